/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whatever stands on others has all of them hurry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "backends/block_error.h"
#include "backends/block_limit.h"
#include "backends/block_mem.h"
#include "backends/block_overlay.h"
#include "backends/vhd.h"
#include "backends/vhdx.h"

#define MIB	(UINT64_C(1) << 20)

static const struct block_file_options options = { .path = "disk" };

static struct loop *loop;
static struct block_backend *file, *bb;

static int setup(void **state)
{
	loop = loop_new(NULL);
	assert_non_null(loop);
	file = block_error_new(loop, block_mem_new(loop, MIB, 512));
	return 0;
}

static int teardown(void **state)
{
	block_close(bb);
	loop_free(loop);
	return 0;
}

static void hurry_reaches(struct block_backend *below)
{
	assert_int_equal(block_error_hurries(below), 0);
	block_hurry(bb);
	assert_int_equal(block_error_hurries(below), 1);
}

static void limit_hurries(void **state)
{
	const struct block_limits limits = { .ops = 1 };

	bb = block_limit_new(loop, file, &limits);
	hurry_reaches(file);
}

static void overlay_hurries_both(void **state)
{
	struct block_backend *top =
		block_error_new(loop, block_mem_new(loop, MIB, 512));

	bb = block_overlay_new(loop, file, top, 0);
	hurry_reaches(file);
	assert_int_equal(block_error_hurries(top), 1);
}

static void vhd_hurries(enum vhd_type type)
{
	const struct vhd_create_options o = { .type = type, .size = MIB };

	assert_true(vhd_create(file, options.path, &o, NULL));
	bb = vhd_open(loop, file, &options, NULL);
	assert_non_null(bb);
	hurry_reaches(file);
}

static void fixed_vhd_hurries(void **state)
{
	vhd_hurries(VHD_FIXED);
}

static void dynamic_vhd_hurries(void **state)
{
	vhd_hurries(VHD_DYNAMIC);
}

static void vhdx_hurries(void **state)
{
	const struct vhdx_create_options o = {
		.size = MIB, .block_size = MIB,
	};

	assert_int_equal(vhdx_format(file, &o), 0);
	bb = vhdx_open(loop, file, &options, NULL);
	assert_non_null(bb);
	hurry_reaches(file);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(limit_hurries),
		TEST(overlay_hurries_both),
		TEST(fixed_vhd_hurries),
		TEST(dynamic_vhd_hurries),
		TEST(vhdx_hurries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
