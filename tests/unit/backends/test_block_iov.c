/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "backends/block_iov.h"

#define SIZE	10

/* Ten bytes in pieces of 3, 0, 1 and 6. */
static char memory[SIZE + 1];
static const struct iovec iov[] = {
	{ memory, 3 }, { memory + 3, 0 }, { memory + 3, 1 }, { memory + 4, 6 },
};

static void reset(void)
{
	memcpy(memory, "abcdefghij", sizeof(memory));
}

static void every_part_is_found(void **state)
{
	for (unsigned skip = 0; skip <= SIZE; skip++) {
		for (unsigned len = 0; len <= SIZE - skip; len++) {
			char buf[SIZE + 1] = "..........";
			char expected[SIZE + 1] = "..........";

			reset();
			memcpy(expected, memory + skip, len);
			block_iov_gather(buf, iov, 4, skip, len);
			assert_string_equal(buf, expected);
			memset(buf, '!', SIZE);
			strcpy(expected, memory);
			memset(expected + skip, '!', len);
			block_iov_scatter(iov, 4, skip, buf, len);
			assert_string_equal(memory, expected);
		}
	}
}

static void a_slice_is_the_same_memory(void **state)
{
	struct iovec out[4];

	assert_int_equal(block_iov_slice(out, iov, 4, 2, 5), 3);
	assert_ptr_equal(out[0].iov_base, memory + 2);
	assert_int_equal(out[0].iov_len, 1);
	assert_ptr_equal(out[1].iov_base, memory + 3);
	assert_int_equal(out[1].iov_len, 1);
	assert_ptr_equal(out[2].iov_base, memory + 4);
	assert_int_equal(out[2].iov_len, 3);
	assert_int_equal(block_iov_slice(out, iov, 4, 4, 6), 1);
	assert_int_equal(block_iov_slice(out, iov, 4, 10, 0), 0);
}

static void a_part_becomes_zero(void **state)
{
	reset();
	block_iov_zero(iov, 4, 1, 4);
	assert_memory_equal(memory, "a\0\0\0\0fghij", SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_part_is_found),
		cmocka_unit_test(a_slice_is_the_same_memory),
		cmocka_unit_test(a_part_becomes_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
