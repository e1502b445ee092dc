/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "backends/block_error.h"
#include "backends/block_hold.h"
#include "backends/block_mem.h"

#define DISK_SIZE	(64u * 1024)
#define MANY		64u
#define OPS(op)		(1u << (op))
#define ALL_OPS		(OPS(BLOCK_READ) | OPS(BLOCK_WRITE) | \
			 OPS(BLOCK_FLUSH) | OPS(BLOCK_WRITE_ZEROES))

struct single {
	struct block_request rq;
	struct iovec iov;
	bool over;
};

static struct loop *loop;
static struct block_backend *mem, *error, *bb;
static struct single singles[MANY];
static const struct single *order[MANY];
static unsigned submitted, done;
static uint8_t buf[DISK_SIZE];
static int holds;		/* what was told last; 0: nothing is held */
static unsigned told;

static void changed(struct block_hold_watch *w, int why)
{
	assert_true((holds == 0) != (why == 0));
	holds = why;
	told++;
}

static struct block_hold_watch watch = { .changed = changed };

static int setup(void **state)
{
	loop = loop_new(NULL);
	assert_non_null(loop);
	mem = block_mem_new(loop, DISK_SIZE, 512);
	error = block_error_new(loop, mem);
	bb = block_hold_new(loop, error, &watch);
	submitted = done = told = 0;
	holds = 0;
	return 0;
}

static int teardown(void **state)
{
	block_close(bb);
	loop_free(loop);
	return 0;
}

static void request_done(struct block_request *rq)
{
	struct single *s = (void *)rq;

	assert_false(s->over);
	s->over = true;
	order[done++] = s;
}

static struct single *submit(enum block_op op, uint64_t sector)
{
	struct single *s = &singles[submitted++];

	*s = (struct single){
		.rq = { .op = op, .offset = sector * 512, .len = 512,
			.done = request_done },
		.iov = { buf + sector * 512, 512 },
	};
	if (op == BLOCK_FLUSH)
		s->rq.offset = s->rq.len = 0;
	if (op == BLOCK_READ || op == BLOCK_WRITE) {
		s->rq.iov = &s->iov;
		s->rq.iovcnt = 1;
	}
	block_submit(bb, &s->rq);
	assert_false(s->over);
	return s;
}

static struct single *submit_fua(uint64_t sector)
{
	struct single *s = &singles[submitted++];

	*s = (struct single){
		.rq = { .op = BLOCK_WRITE, .fua = true, .iovcnt = 1,
			.offset = sector * 512, .len = 512, .iov = &s->iov,
			.done = request_done },
		.iov = { buf + sector * 512, 512 },
	};
	block_submit(bb, &s->rq);
	return s;
}

static void settle(void)
{
	while (loop_turn(loop, false))
		;
}

static void fail_with(int result, unsigned ops, unsigned after)
{
	const struct block_error_rule rule = {
		.ops = ops, .error = result, .after = after,
	};

	block_error_set(error, &rule);
}

static void again(void)
{
	unsigned before = done;

	block_again(bb);
	assert_int_equal(done, before);
	settle();
}

static void all_are_done_with(int result)
{
	assert_int_equal(done, submitted);
	for (unsigned i = 0; i < submitted; i++)
		assert_int_equal(singles[i].rq.result, result);
}

static void what_works_passes(void **state)
{
	memset(buf, 7, sizeof(buf));
	submit(BLOCK_WRITE, 3);
	submit(BLOCK_WRITE_ZEROES, 4);
	submit(BLOCK_FLUSH, 0);
	submit(BLOCK_READ, 5);
	submit_fua(6);
	settle();
	all_are_done_with(0);
	assert_int_equal(told, 0);
	assert_int_equal(block_mem_bytes(mem)[3 * 512], 7);
	assert_int_equal(block_mem_bytes(mem)[6 * 512], 7);
	assert_int_equal(buf[5 * 512], 0);
}

static void what_fails_waits_and_is_done_again(void **state)
{
	static const int errors[] = { -ENOSPC, -EDQUOT, -EIO, -EROFS };

	memset(buf, 7, sizeof(buf));
	for (size_t i = 0; i < G_N_ELEMENTS(errors); i++) {
		fail_with(errors[i], ALL_OPS, 0);
		submit(BLOCK_WRITE, i);
		submit(BLOCK_READ, 20);
		submit(BLOCK_WRITE_ZEROES, 30);
		settle();
		assert_int_equal(done, submitted - 3);
		assert_int_equal(holds, errors[i]);
		/* As often as one likes. */
		again();
		assert_int_equal(done, submitted - 3);
		assert_int_equal(holds, errors[i]);
		block_error_set(error, NULL);
		again();
		all_are_done_with(0);
		assert_int_equal(holds, 0);
		assert_int_equal(block_mem_bytes(mem)[i * 512], 7);
	}
	assert_int_equal(told, 4 * G_N_ELEMENTS(errors));
}

static void what_the_guest_did_wrong_is_answered(void **state)
{
	fail_with(-EINVAL, ALL_OPS, 0);
	submit(BLOCK_WRITE, 0);
	settle();
	all_are_done_with(-EINVAL);
	fail_with(-EOPNOTSUPP, ALL_OPS, 0);
	assert_ptr_equal(submit(BLOCK_WRITE_ZEROES, 0), &singles[1]);
	settle();
	assert_int_equal(singles[1].rq.result, -EOPNOTSUPP);
	assert_int_equal(told, 0);
}

static void others_wait_behind_it_in_their_order(void **state)
{
	fail_with(-ENOSPC, OPS(BLOCK_WRITE), 0);
	submit(BLOCK_WRITE, 0);
	settle();
	for (unsigned i = 1; i < 20; i++)
		submit(i % 5 ? BLOCK_READ : BLOCK_FLUSH, i);
	settle();
	assert_int_equal(done, 0);
	block_error_set(error, NULL);
	again();
	all_are_done_with(0);
	for (unsigned i = 0; i < submitted; i++)
		assert_ptr_equal(order[i], &singles[i]);
}

static void what_was_under_way_ends(void **state)
{
	const struct single *good, *bad;

	block_error_hold(error, true);
	good = submit(BLOCK_READ, 0);
	bad = submit(BLOCK_WRITE, 1);
	fail_with(-EIO, OPS(BLOCK_WRITE), 0);
	block_error_hold(error, false);
	settle();
	assert_true(good->over);
	assert_false(bad->over);
	block_error_set(error, NULL);
	again();
	all_are_done_with(0);
}

/* The flush of the first one fails when the second one has failed already. */
static void what_failed_goes_on_in_the_order_it_came_in(void **state)
{
	const struct single *first, *second;

	fail_with(-ENOTCONN, OPS(BLOCK_WRITE) | OPS(BLOCK_FLUSH), 1);
	first = submit_fua(0);
	second = submit(BLOCK_WRITE, 1);
	settle();
	assert_int_equal(done, 0);
	fail_with(-ENOTCONN, OPS(BLOCK_WRITE), 1);
	again();
	assert_true(first->over);
	assert_false(second->over);
	block_error_set(error, NULL);
	again();
	all_are_done_with(0);
}

static void a_flush_that_fails_is_told(void **state)
{
	fail_with(-EIO, OPS(BLOCK_FLUSH), 0);
	submit(BLOCK_FLUSH, 0);
	submit_fua(1);
	settle();
	all_are_done_with(-EIO);
	assert_int_equal(told, 0);
	assert_int_equal(block_mem_count(mem, BLOCK_WRITE), 1);
}

static void a_flush_that_found_no_server_waits(void **state)
{
	fail_with(-ENOTCONN, OPS(BLOCK_FLUSH), 0);
	submit(BLOCK_FLUSH, 0);
	submit_fua(1);
	settle();
	assert_int_equal(done, 0);
	block_error_set(error, NULL);
	again();
	all_are_done_with(0);
	/* The write, too, was done again. */
	assert_int_equal(block_mem_count(mem, BLOCK_WRITE), 2);
	assert_int_equal(block_mem_count(mem, BLOCK_FLUSH), 2);
}

static void fua_is_stable_when_it_is_done(void **state)
{
	submit_fua(1);
	settle();
	all_are_done_with(0);
	assert_int_equal(block_mem_count(mem, BLOCK_FLUSH), 1);
}

static void hurry_gives_up(void **state)
{
	const struct single *failed, *late;

	fail_with(-ENOSPC, OPS(BLOCK_WRITE), 0);
	failed = submit(BLOCK_WRITE, 0);
	settle();
	submit(BLOCK_READ, 1);
	late = submit(BLOCK_WRITE, 2);
	settle();
	assert_int_equal(done, 0);
	block_hurry(bb);
	assert_int_equal(done, 0);
	assert_int_equal(holds, 0);
	assert_int_equal(block_error_hurries(error), 1);
	settle();
	assert_int_equal(done, 3);
	assert_int_equal(failed->rq.result, -ENOSPC);
	assert_int_equal(singles[1].rq.result, 0);
	assert_int_equal(late->rq.result, -ENOSPC);
	assert_int_equal(told, 2);
	/* Whoever comes then waits as before. */
	submit(BLOCK_WRITE, 0);
	settle();
	assert_int_equal(holds, -ENOSPC);
	block_error_set(error, NULL);
	again();
	assert_int_equal(singles[3].rq.result, 0);
}

static void what_was_under_way_in_a_hurry_is_not_held(void **state)
{
	fail_with(-EIO, ALL_OPS, 0);
	block_error_hold(error, true);
	submit(BLOCK_WRITE, 0);
	submit_fua(1);
	block_hurry(bb);
	block_error_hold(error, false);
	settle();
	all_are_done_with(-EIO);
	assert_int_equal(told, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_works_passes),
		TEST(what_fails_waits_and_is_done_again),
		TEST(what_the_guest_did_wrong_is_answered),
		TEST(others_wait_behind_it_in_their_order),
		TEST(what_was_under_way_ends),
		TEST(what_failed_goes_on_in_the_order_it_came_in),
		TEST(a_flush_that_fails_is_told),
		TEST(a_flush_that_found_no_server_waits),
		TEST(fua_is_stable_when_it_is_done),
		TEST(hurry_gives_up),
		TEST(what_was_under_way_in_a_hurry_is_not_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
