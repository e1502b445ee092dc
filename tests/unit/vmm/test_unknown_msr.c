/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "vmm/unknown_msr.h"

static struct unknown_msr u;

static int set_up(void **state)
{
	unknown_msr_init(&u);
	return 0;
}

static int tear_down(void **state)
{
	unknown_msr_finish(&u);
	return 0;
}

static void each_is_new_once(void **state)
{
	assert_true(unknown_msr_is_new(&u, 0));
	assert_true(unknown_msr_is_new(&u, UINT32_MAX));
	assert_false(unknown_msr_is_new(&u, 0));
	assert_false(unknown_msr_is_new(&u, UINT32_MAX));
}

/* A guest cannot fill a disk with log lines. */
static void a_guest_gets_a_bounded_number_of_lines(void **state)
{
	unsigned lines = 0;

	for (uint32_t msr = 0; msr < 1000; msr++)
		lines += unknown_msr_is_new(&u, msr);
	assert_int_equal(lines, UNKNOWN_MSR_TOLD_MAX);
	assert_false(unknown_msr_is_new(&u, 0));
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_is_new_once),
		TEST(a_guest_gets_a_bounded_number_of_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
