/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Changes that are in memory, beside a file and the same in another one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "backends/block_error.h"
#include "backends/block_mem.h"
#include "backends/block_now.h"
#include "backends/block_patch.h"

#define UNIT		4096u
#define UNITS		64u		/* of the file */
#define LARGE		96u		/* of what it becomes */
#define ROUNDS		200u

static struct loop *loop;
static struct block_backend *mem, *file, *patch;
static uint8_t want[LARGE * UNIT], buf[LARGE * UNIT];
static bool done_;

static int setup(void **state)
{
	loop = loop_new(NULL);
	mem = block_mem_new(loop, UNITS * UNIT, 512);
	memset(block_mem_bytes(mem), 'f', UNITS * UNIT);
	memset(want, 0, sizeof(want));
	memset(want, 'f', UNITS * UNIT);
	file = block_error_new(loop, mem);
	patch = block_patch_new(loop, file);
	return 0;
}

static int teardown(void **state)
{
	block_close(patch);
	loop_free(loop);
	return 0;
}

static void done(struct block_request *rq)
{
	done_ = true;
}

/* By way of the loop, to three pieces of memory, of which one is empty. */
static int read_some(uint64_t offset, uint64_t len)
{
	struct iovec iov[] = {
		{ buf, len / 2 }, { buf, 0 }, { buf + len / 2, len - len / 2 },
	};
	struct block_request rq = {
		.op = BLOCK_READ, .offset = offset, .len = len, .iov = iov,
		.iovcnt = 3, .done = done,
	};

	memset(buf, 'x', len);
	done_ = false;
	block_submit(patch, &rq);
	assert_false(done_);
	while (!done_)
		loop_turn(loop, true);
	return rq.result;
}

static void expect(uint64_t offset, uint64_t len)
{
	assert_int_equal(read_some(offset, len), 0);
	assert_memory_equal(buf, want + offset, len);
	memset(buf, 'x', len);
	assert_int_equal(block_read_now(patch, offset, buf, len), 0);
	assert_memory_equal(buf, want + offset, len);
}

static void put(unsigned first, unsigned count, uint8_t value)
{
	uint64_t offset = (uint64_t)first * UNIT, len = (uint64_t)count * UNIT;

	for (uint64_t i = 0; i < len; i++)
		want[offset + i] = value ? (uint8_t)(value + i / 512) : 0;
	if (value)
		assert_int_equal(block_write_now(patch, offset, want + offset,
						 len), 0);
	else
		assert_int_equal(block_zero_now(patch, offset, len), 0);
}

static void expect_file_as_it_was(void)
{
	const uint8_t *bytes = block_mem_bytes(mem);

	assert_int_equal(mem->size, UNITS * UNIT);
	for (size_t i = 0; i < UNITS * UNIT; i++)
		assert_int_equal(bytes[i], 'f');
}

static void random_changes(GRand *rand)
{
	unsigned n = (unsigned)g_rand_int_range(rand, 0, 40);

	assert_int_equal(block_grow_now(patch, LARGE * UNIT), 0);
	while (n--) {
		unsigned first = (unsigned)g_rand_int_range(rand, 0, LARGE);
		unsigned count = (unsigned)g_rand_int_range(rand, 0, 20);

		put(first, MIN(count, LARGE - first),
		    (uint8_t)g_rand_int_range(rand, 0, 4));
	}
	assert_int_equal(block_flush_now(patch), 0);
}

static void what_is_changed_last_is_read(void **state)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(1);

	for (unsigned i = 0; i < ROUNDS; i++) {
		random_changes(rand);
		assert_int_equal(patch->size, sizeof(want));
		expect(0, sizeof(want));
		for (unsigned at = 0; at < LARGE * 8; at += 3)
			expect(at * 512, MIN(LARGE * 8 - at, i % 40 + 1) *
					 UINT64_C(512));
		expect_file_as_it_was();
		teardown(NULL);
		setup(NULL);
	}
}

static void what_is_not_changed_is_passed_on(void **state)
{
	unsigned before;

	put(3, 2, 'p');
	assert_int_equal(block_flush_now(patch), 0);
	before = block_mem_count(mem, BLOCK_READ);
	expect(2 * UNIT, UNIT);
	expect(2 * UNIT, 4 * UNIT);
	/* Each of both ways is one request. */
	assert_int_equal(block_mem_count(mem, BLOCK_READ), before + 4);
}

static void what_cannot_be_read_is_told(void **state)
{
	const struct block_error_rule rule = {
		.ops = 1u << BLOCK_READ, .error = -EIO,
	};

	put(3, 2, 'p');
	assert_int_equal(block_flush_now(patch), 0);
	block_error_set(file, &rule);
	assert_int_equal(read_some(2 * UNIT, UNIT), -EIO);
	assert_int_equal(read_some(3 * UNIT, UNIT), -EIO);
	assert_int_equal(block_read_now(patch, 0, buf, UNIT), -EIO);
}

static void data_may_be_where_it_is_in_either(void **state)
{
	assert_int_equal(block_grow_now(patch, LARGE * UNIT), 0);
	put(UNITS + 8, 1, 'p');
	assert_int_equal(block_flush_now(patch), 0);
	assert_int_equal(block_next_data(patch, UNIT), UNIT);
	assert_int_equal(block_next_data(patch, UNITS * UNIT),
			 (UNITS + 8) * UNIT);
	assert_int_equal(block_next_data(patch, (UNITS + 8) * UNIT + 512),
			 (UNITS + 8) * UNIT + 512);
	assert_int_equal(block_next_data(patch, (UNITS + 9) * UNIT),
			 LARGE * UNIT);
}

static void there_is_an_end_to_what_is_kept(void **state)
{
	for (unsigned i = 0; i < BLOCK_PATCH_MAX; i++)
		put(i % UNITS, 1, (uint8_t)(i % 255));
	assert_int_equal(block_zero_now(patch, 0, UNIT), -ENOBUFS);
	assert_int_equal(block_write_now(patch, 0, buf, UNIT), -ENOBUFS);
	assert_int_equal(block_flush_now(patch), 0);
	expect(0, UNITS * UNIT);
}

static void the_file_is_given_back(void **state)
{
	put(0, 1, 'p');
	assert_int_equal(block_flush_now(patch), 0);
	assert_ptr_equal(block_patch_release(patch), file);
	patch = file;
	expect_file_as_it_was();
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_changed_last_is_read),
		TEST(what_is_not_changed_is_passed_on),
		TEST(what_cannot_be_read_is_told),
		TEST(data_may_be_where_it_is_in_either),
		TEST(there_is_an_end_to_what_is_kept),
		TEST(the_file_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
