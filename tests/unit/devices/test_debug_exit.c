/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <glib.h>

#include "devices/chipset/debug_exit.h"

static struct ioports ports;
static struct debug_exit dev;
static int status;
static unsigned exits;

static void record(struct debug_exit *d, int s)
{
	assert_ptr_equal(d, &dev);
	status = s;
	exits++;
}

static int setup(void **state)
{
	ioports_init(&ports);
	debug_exit_init(&dev);
	dev.exit = record;
	ioports_add(&ports, &dev.io);
	exits = 0;
	return 0;
}

static int teardown(void **state)
{
	ioports_finish(&ports);
	return 0;
}

static void the_status_is_odd_and_of_eight_bits(void **state)
{
	static const struct {
		uint32_t value;
		int status;
	} cases[] = {
		{ 0, 1 }, { 1, 3 }, { 0x7f, 0xff }, { 0x80, 1 },
		{ UINT32_MAX, 0xff },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		ioports_write(&ports, 0xf4, 4, cases[i].value);
		assert_int_equal(status, cases[i].status);
		assert_int_equal(exits, i + 1);
	}
}

static void writes_of_every_size_are_taken(void **state)
{
	for (unsigned size = 1; size <= 4; size *= 2) {
		ioports_write(&ports, 0xf4, size, 0x10 + size);
		assert_int_equal(status, (0x10 + size) << 1 | 1);
	}
	assert_int_equal(exits, 3);
}

static void reading_it_and_its_neighbours_end_nothing(void **state)
{
	assert_int_equal(ioports_read(&ports, 0xf4, 1), 0xff);
	ioports_write(&ports, 0xf3, 1, 0);
	ioports_write(&ports, 0xf8, 1, 0);
	assert_int_equal(exits, 0);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_status_is_odd_and_of_eight_bits),
		TEST(writes_of_every_size_are_taken),
		TEST(reading_it_and_its_neighbours_end_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
