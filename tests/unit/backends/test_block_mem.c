/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "backends/block_error.h"
#include "backends/block_mem.h"
#include "backends/block_now.h"

static struct loop *loop;
static struct block_backend *mem, *bb;
static uint8_t buf[4][1024];
static struct iovec iov[4];
static struct block_request rq[4];
static GString *order;

static void done(struct block_request *r)
{
	g_string_append_printf(order, "%d:%d ", (int)(r - rq), r->result);
}

static int setup(void **state)
{
	loop = loop_new(NULL);
	mem = block_mem_new(loop, 8192, 512);
	bb = block_error_new(loop, mem);
	order = g_string_new(NULL);
	memset(buf, 0, sizeof(buf));
	return 0;
}

static int teardown(void **state)
{
	block_close(bb);
	loop_free(loop);
	g_string_free(order, TRUE);
	return 0;
}

static void submit(unsigned n, enum block_op op, uint64_t offset)
{
	iov[n] = (struct iovec){ buf[n], sizeof(buf[n]) };
	rq[n] = (struct block_request){
		.op = op, .offset = offset, .len = sizeof(buf[n]),
		.iov = &iov[n], .iovcnt = 1, .done = done,
	};
	block_submit(bb, &rq[n]);
}

static void settle(void)
{
	while (loop_turn(loop, false))
		;
}

static void requests_are_done_later_and_in_order(void **state)
{
	memset(buf[0], 'x', sizeof(buf[0]));
	submit(0, BLOCK_WRITE, 512);
	submit(1, BLOCK_READ, 512);
	submit(2, BLOCK_WRITE_ZEROES, 1024);
	submit(3, BLOCK_FLUSH, 0);
	assert_string_equal(order->str, "");
	settle();
	assert_string_equal(order->str, "0:0 1:0 2:0 3:0 ");
	assert_int_equal(buf[1][1023], 'x');
	assert_int_equal(block_mem_bytes(mem)[1023], 'x');
	assert_int_equal(block_mem_bytes(mem)[1024], 0);
	assert_int_equal(block_mem_count(mem, BLOCK_WRITE), 1);
}

static void a_rule_fails_the_requests_it_names(void **state)
{
	struct block_error_rule rule = {
		.ops = 1u << BLOCK_READ, .offset = 1024, .len = 512,
		.error = -EIO,
	};

	block_error_set(bb, &rule);
	submit(0, BLOCK_READ, 0);		/* ends where it begins */
	submit(1, BLOCK_READ, 512);
	submit(2, BLOCK_READ, 1536);		/* begins where it ends */
	submit(3, BLOCK_WRITE, 1024);
	settle();
	assert_non_null(strstr(order->str, "0:0 "));
	assert_non_null(strstr(order->str, "1:-5 "));
	assert_non_null(strstr(order->str, "2:0 "));
	assert_non_null(strstr(order->str, "3:0 "));

	rule.after = 1;
	block_error_set(bb, &rule);
	g_string_truncate(order, 0);
	submit(0, BLOCK_READ, 1024);
	settle();
	submit(1, BLOCK_READ, 1024);
	settle();
	block_error_set(bb, NULL);
	submit(2, BLOCK_READ, 1024);
	settle();
	assert_string_equal(order->str, "0:0 1:-5 2:0 ");
}

static void what_is_held_is_done_when_it_is_released(void **state)
{
	block_error_hold(bb, true);
	submit(0, BLOCK_READ, 0);
	submit(1, BLOCK_FLUSH, 0);
	settle();
	assert_string_equal(order->str, "");
	block_error_hold(bb, false);
	assert_string_equal(order->str, "");
	settle();
	assert_string_equal(order->str, "0:0 1:0 ");
}

static void a_disk_grows_by_zeroes(void **state)
{
	submit(0, BLOCK_GROW, 16384);
	settle();
	assert_string_equal(order->str, "0:0 ");
	assert_int_equal(mem->size, 16384);
	assert_int_equal(bb->size, 16384);
	submit(1, BLOCK_READ, 15 * 1024);
	settle();
	assert_string_equal(order->str, "0:0 1:0 ");
	assert_int_equal(block_grow_now(bb, 32768), 0);
	assert_int_equal(bb->size, 32768);
}

static void requests_at_once_obey_the_rule(void **state)
{
	const struct block_error_rule rule = {
		.ops = 1u << BLOCK_WRITE, .error = -ENOSPC, .after = 1,
	};

	block_error_set(bb, &rule);
	memset(buf[0], 'x', sizeof(buf[0]));
	assert_int_equal(block_write_now(bb, 512, buf[0], 1024), 0);
	assert_int_equal(block_write_now(bb, 512, buf[0], 1024), -ENOSPC);
	assert_int_equal(block_read_now(bb, 512, buf[1], 1024), 0);
	assert_memory_equal(buf[0], buf[1], 1024);
	assert_int_equal(block_zero_now(bb, 512, 512), 0);
	assert_int_equal(block_flush_now(bb), 0);
	assert_int_equal(block_mem_bytes(mem)[512], 0);
	assert_int_equal(block_mem_bytes(mem)[1024], 'x');
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(requests_are_done_later_and_in_order),
		TEST(a_rule_fails_the_requests_it_names),
		TEST(a_disk_grows_by_zeroes),
		TEST(requests_at_once_obey_the_rule),
		TEST(what_is_held_is_done_when_it_is_released),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
