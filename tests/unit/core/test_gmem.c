/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "core/gmem.h"

#define PAGE	GMEM_PAGE_SIZE
#define TOP	(UINT64_MAX - PAGE + 1)

/* Two regions that touch in guest memory only, a gap, and the last page. */
static uint8_t low[2 * 4096], mid[4096], spare[4096], top[4096];
static const struct gmem_region regions[] = {
	{ 0, sizeof(low), low },
	{ 2 * PAGE, sizeof(mid), mid },
	{ 8 * PAGE, sizeof(spare), spare },
	{ TOP, sizeof(top), top },
};
static const struct gmem gm = { regions, 4 };

static void ptr_needs_one_region(void **state)
{
	assert_ptr_equal(gmem_ptr(&gm, 0, 2 * PAGE), low);
	assert_ptr_equal(gmem_ptr(&gm, PAGE + 8, PAGE - 8), low + PAGE + 8);
	assert_null(gmem_ptr(&gm, PAGE + 8, PAGE - 7));
	assert_null(gmem_ptr(&gm, 0, 3 * PAGE));
	assert_null(gmem_ptr(&gm, 3 * PAGE, 1));
	assert_null(gmem_ptr(&gm, 0, UINT64_MAX));
	assert_ptr_equal(gmem_ptr(&gm, UINT64_MAX, 1), top + PAGE - 1);
	assert_null(gmem_ptr(&gm, UINT64_MAX, 2));
}

static void copies_cross_touching_regions(void **state)
{
	uint8_t out[16], in[16];

	memset(in, 0x5a, sizeof(in));
	assert_int_equal(gmem_write(&gm, 2 * PAGE - 8, in, 16), 0);
	assert_int_equal(low[2 * PAGE - 1], 0x5a);
	assert_int_equal(mid[7], 0x5a);
	assert_int_equal(mid[8], 0);
	assert_int_equal(gmem_read(&gm, 2 * PAGE - 8, out, 16), 0);
	assert_memory_equal(in, out, 16);
}

/* TLFS: GPA-08 BOOT-11 */
static void a_copy_that_leaves_ram_copies_nothing(void **state)
{
	uint8_t buf[16] = { 1 };

	memset(mid, 0, sizeof(mid));
	memset(top, 0, sizeof(top));
	assert_int_equal(gmem_write(&gm, 3 * PAGE - 8, buf, 16), -EFAULT);
	assert_int_equal(mid[PAGE - 8], 0);
	assert_int_equal(gmem_write(&gm, UINT64_MAX - 7, buf, 16), -EFAULT);
	assert_int_equal(top[PAGE - 8], 0);
	assert_int_equal(gmem_read(&gm, 5 * PAGE, buf, 16), -EFAULT);
	assert_int_equal(buf[0], 1);
	assert_int_equal(gmem_read(&gm, 5 * PAGE, buf, 0), 0);
}

static void map_joins_what_is_contiguous(void **state)
{
	struct iovec iov[3];
	int n;

	n = gmem_map(&gm, 0, PAGE, iov, 0, 3);
	assert_int_equal(n, 1);
	n = gmem_map(&gm, PAGE, 8, iov, n, 3);
	assert_int_equal(n, 1);
	assert_int_equal(iov[0].iov_len, PAGE + 8);
	n = gmem_map(&gm, 2 * PAGE - 8, 16, iov, n, 3);
	assert_int_equal(n, 3);
	assert_ptr_equal(iov[2].iov_base, mid);
	assert_int_equal(iov[2].iov_len, 8);
	assert_int_equal(gmem_map(&gm, 8 * PAGE, 1, iov, n, 3), -E2BIG);
	assert_int_equal(gmem_map(&gm, 4 * PAGE, 1, iov, 0, 3), -EFAULT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ptr_needs_one_region),
		cmocka_unit_test(copies_cross_touching_regions),
		cmocka_unit_test(a_copy_that_leaves_ram_copies_nothing),
		cmocka_unit_test(map_joins_what_is_contiguous),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
