/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <glib.h>
#include <string.h>

#include "backend/net.h"
#include "backends/net_queue.h"

#define SIZE	(128u << 10)

static struct net_queue q;
static uint8_t frame[NET_FRAME_MAX];
static unsigned pushed, popped;

static int setup(void **state)
{
	net_queue_init(&q, SIZE);
	pushed = popped = 0;
	return 0;
}

static int teardown(void **state)
{
	net_queue_finish(&q);
	return 0;
}

/* Frames differ in their bytes by their number. */
static bool push(size_t len)
{
	memset(frame, (int)(pushed & 0xff), len);
	if (!net_queue_push(&q, frame, len))
		return false;
	pushed++;
	return true;
}

static bool pop(size_t want)
{
	size_t len, seen;
	const uint8_t *first = net_queue_peek(&q, &seen);
	const uint8_t *got = net_queue_pop(&q, &len);

	assert_ptr_equal(got, first);
	if (!got)
		return false;
	assert_int_equal(len, want);
	assert_int_equal(seen, want);
	memset(frame, (int)(popped++ & 0xff), len);
	assert_memory_equal(got, frame, len);
	return true;
}

static void what_goes_in_comes_out_in_order(void **state)
{
	assert_false(pop(0));
	assert_true(push(60) && push(1) && push(NET_FRAME_MAX) && push(0));
	assert_true(pop(60) && pop(1) && pop(NET_FRAME_MAX) && pop(0));
	assert_false(pop(0));
}

static void a_full_queue_takes_no_more_until_there_is_room(void **state)
{
	while (push(1000))
		;
	assert_true(pushed > SIZE / 1008 - 2);
	assert_true(pop(1000));
	assert_true(push(1000));
	assert_false(push(1000));
	while (popped < pushed)
		assert_true(pop(1000));
	assert_true(push(NET_FRAME_MAX));
}

/* Every offset at which the end can be met. */
static void frames_of_all_sizes_go_round_and_round(void **state)
{
	unsigned seed = 1, sizes[4096], first = 0, last = 0;

	for (unsigned step = 0; step < 100000; step++) {
		unsigned n = (seed = seed * 1103515245 + 12345) >> 8;

		if (n & 1) {
			sizes[last % 4096] = n & 2 ? n % 3000 : n % 65000;
			if (last - first < 4096 && push(sizes[last % 4096]))
				last++;
		} else if (first != last) {
			assert_true(pop(sizes[first++ % 4096]));
		} else {
			assert_int_equal(q.used, 0);
		}
	}
	assert_true(popped > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			what_goes_in_comes_out_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_full_queue_takes_no_more_until_there_is_room, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			frames_of_all_sizes_go_round_and_round, setup,
			teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
