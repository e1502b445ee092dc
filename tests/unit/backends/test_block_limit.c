/* SPDX-License-Identifier: GPL-2.0-or-later */
/* By a clock of the test's own, so that every count is exact. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "backends/block_limit.h"
#include "backends/block_mem.h"

#define MS		UINT64_C(1000000)
#define START		(5000 * MS)
#define KIB		1024u
#define MANY		4096u

static struct loop *loop;
static struct block_backend *mem, *bb;
static struct block_request requests[MANY];
static const struct block_request *order[MANY];
static unsigned submitted, done;
static uint64_t now_ns;
static uint8_t buf[1024 * KIB];

static uint64_t test_clock(void)
{
	return now_ns;
}

static void start(uint64_t ops, uint64_t bytes)
{
	const struct block_limits limits = { .ops = ops, .bytes = bytes };

	now_ns = START;
	loop = loop_new(NULL);
	assert_non_null(loop);
	loop_set_clock(loop, test_clock);
	mem = block_mem_new(loop, sizeof(buf), 512);
	bb = block_limit_new(loop, mem, &limits);
	submitted = done = 0;
}

static int teardown(void **state)
{
	block_close(bb);
	loop_free(loop);
	return 0;
}

static void request_done(struct block_request *rq)
{
	assert_int_equal(rq->result, 0);
	order[done++] = rq;
}

static struct block_request *submit_to(struct block_backend *to,
				       enum block_op op, uint64_t len)
{
	static struct iovec iov[MANY];
	struct block_request *rq = &requests[submitted];

	iov[submitted] = (struct iovec){ buf, len };
	*rq = (struct block_request){
		.op = op, .len = len, .iov = &iov[submitted], .iovcnt = 1,
		.done = request_done,
	};
	submitted++;
	block_submit(to, rq);
	return rq;
}

static void submit_many(unsigned count, enum block_op op, uint64_t len)
{
	while (count--)
		submit_to(bb, op, len);
}

static void settle(void)
{
	while (loop_turn(loop, false))
		;
}

/* Nothing runs until @ms after the start. */
static void jump_to(uint64_t ms)
{
	now_ns = START + ms * MS;
	settle();
}

/* How many are done at @ms after the start, with a turn each millisecond. */
static unsigned done_at(uint64_t ms)
{
	settle();
	while (now_ns < START + ms * MS) {
		now_ns += MS;
		settle();
	}
	return done;
}

static void hurry(void)
{
	block_hurry(bb);
	settle();
	assert_int_equal(done, submitted);
}

static void what_is_more_than_a_burst_waits_for_its_time(void **state)
{
	start(100, 0);
	submit_many(1200, BLOCK_READ, 512);
	assert_int_equal(done_at(0), 11);
	assert_int_equal(done_at(9), 11);
	assert_int_equal(done_at(10), 12);
	assert_int_equal(done_at(1000), 111);
	assert_int_equal(done_at(10000), 1011);
	hurry();
}

static void a_rate_that_does_not_divide_a_second_is_kept(void **state)
{
	start(7, 0);
	submit_many(1000, BLOCK_READ, 512);
	assert_int_equal(done_at(0), 1);
	/* A tenth of a second was there before. */
	assert_int_equal(done_at(99900), 701);
	hurry();
}

/* 1 MiB takes 325520 5/6 ns. */
static void parts_of_a_nanosecond_are_not_lost(void **state)
{
	const uint64_t last_due = START - 100 * MS + 1301757812;

	start(0, UINT64_C(3) << 30);
	submit_many(MANY, BLOCK_READ, sizeof(buf));
	for (uint64_t ms = 0; ms <= 1200; ms += 50)
		jump_to(ms);
	now_ns = last_due - 1;
	settle();
	assert_int_equal(done, 3999);
	now_ns = last_due;
	settle();
	assert_int_equal(done, 4000);
	hurry();
}

static void late_timers_cost_nothing(void **state)
{
	start(1000, 0);
	submit_many(3000, BLOCK_READ, 512);
	for (uint64_t ms = 0; ms <= 2000; ms += 50)
		jump_to(ms);
	assert_int_equal(done, 2101);
	hurry();
}

static void idle_time_earns_no_more_than_a_burst(void **state)
{
	start(100, 0);
	jump_to(60000);
	submit_many(100, BLOCK_WRITE, 512);
	assert_int_equal(done_at(60000), 11);
	hurry();
}

static void bytes_are_counted(void **state)
{
	start(0, 1024 * KIB);
	/* 64 KiB each: a tenth of a second has 1.6, and one is begun. */
	submit_many(100, BLOCK_WRITE, 64 * KIB);
	assert_int_equal(done_at(0), 2);
	assert_int_equal(done_at(1000), 18);
	assert_int_equal(done_at(2000), 34);
	hurry();
}

static void a_large_request_passes_and_others_pay_for_it(void **state)
{
	start(0, 64 * KIB);
	submit_to(bb, BLOCK_WRITE, sizeof(buf));
	submit_to(bb, BLOCK_READ, 512);
	assert_int_equal(done_at(0), 1);
	assert_int_equal(done_at(15899), 1);
	assert_int_equal(done_at(15900), 2);
}

static void the_tighter_limit_decides(void **state)
{
	start(10, 64 * KIB);
	submit_many(20, BLOCK_READ, 512);
	assert_int_equal(done_at(1000), 12);
	hurry();
	teardown(NULL);
	start(10, 64 * KIB);
	submit_many(20, BLOCK_READ, 64 * KIB);
	assert_int_equal(done_at(1000), 2);
	hurry();
}

static void order_is_kept_by_flushes_too(void **state)
{
	static const enum block_op ops[] = {
		BLOCK_WRITE, BLOCK_FLUSH, BLOCK_READ, BLOCK_WRITE_ZEROES,
	};

	start(1000, 0);
	for (unsigned i = 0; i < 1000; i++)
		submit_to(bb, ops[i % G_N_ELEMENTS(ops)],
			  ops[i % G_N_ELEMENTS(ops)] == BLOCK_FLUSH ? 0 : 512);
	assert_int_equal(done_at(1000), 1000);
	for (unsigned i = 0; i < done; i++)
		assert_ptr_equal(order[i], &requests[i]);
}

static void nobody_overtakes_a_timer_that_is_about_to_run(void **state)
{
	start(100, 0);
	submit_many(20, BLOCK_READ, 512);
	assert_int_equal(done_at(0), 11);
	now_ns += 10 * MS;
	loop_set_clock(loop, test_clock);
	submit_to(bb, BLOCK_READ, 512);
	settle();
	assert_int_equal(done, 12);
	assert_ptr_equal(order[11], &requests[11]);
	hurry();
}

static void holes_are_free_but_written_zeroes_are_not(void **state)
{
	start(0, 1024 * KIB);
	submit_many(10, BLOCK_WRITE_ZEROES, sizeof(buf));
	assert_int_equal(done_at(0), 10);
	teardown(NULL);
	start(0, 1024 * KIB);
	bb->discard_granularity = 0;
	submit_many(10, BLOCK_WRITE_ZEROES, sizeof(buf));
	assert_int_equal(done_at(0), 1);
	hurry();
}

static void other_disks_of_the_loop_are_not_delayed(void **state)
{
	start(1, 0);
	submit_many(100, BLOCK_READ, 512);
	assert_int_equal(done_at(0), 1);
	for (unsigned i = 0; i < 100; i++)
		submit_to(mem, BLOCK_READ, 512);
	assert_int_equal(done_at(0), 101);
	hurry();
}

static void hurry_passes_all_at_once_and_is_charged(void **state)
{
	start(100, 0);
	submit_many(111, BLOCK_READ, 512);
	assert_int_equal(done_at(0), 11);
	block_hurry(bb);
	assert_int_equal(done, 11);
	assert_int_equal(done_at(0), 111);
	submit_to(bb, BLOCK_READ, 512);
	assert_int_equal(done_at(1009), 111);
	assert_int_equal(done_at(1010), 112);
}

#define TEST(f)	cmocka_unit_test_teardown(f, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_more_than_a_burst_waits_for_its_time),
		TEST(a_rate_that_does_not_divide_a_second_is_kept),
		TEST(parts_of_a_nanosecond_are_not_lost),
		TEST(late_timers_cost_nothing),
		TEST(idle_time_earns_no_more_than_a_burst),
		TEST(bytes_are_counted),
		TEST(a_large_request_passes_and_others_pay_for_it),
		TEST(the_tighter_limit_decides),
		TEST(order_is_kept_by_flushes_too),
		TEST(nobody_overtakes_a_timer_that_is_about_to_run),
		TEST(holes_are_free_but_written_zeroes_are_not),
		TEST(other_disks_of_the_loop_are_not_delayed),
		TEST(hurry_passes_all_at_once_and_is_charged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
