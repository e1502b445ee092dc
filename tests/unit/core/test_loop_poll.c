/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/loop.h"
#include "core/util.h"

struct rig {
	struct loop *loop;
	struct loop_poll poll;
	int peer;
	unsigned ready;		/* calls */
	unsigned events;	/* of the last one */
	unsigned again;		/* what ready() waits for next */
	bool removed;
};

static void ready(struct loop_poll *p, unsigned events)
{
	struct rig *r = container_of(p, struct rig, poll);

	r->ready++;
	r->events = events;
	if (r->again)
		loop_poll_set(p, r->again);
}

static void removed(struct loop_poll *p)
{
	assert_int_equal(p->in_ring, 0);
	container_of(p, struct rig, poll)->removed = true;
}

static int setup(void **state)
{
	struct rig *r = g_new0(struct rig, 1);
	int fds[2];

	*state = r;
	r->loop = loop_new(NULL);
	if (!r->loop || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK |
				   SOCK_CLOEXEC, 0, fds) < 0)
		return -1;
	r->poll.ready = ready;
	r->peer = fds[1];
	loop_poll_add(r->loop, &r->poll, fds[0]);
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	loop_free(r->loop);
	close(r->poll.fd);
	if (r->peer >= 0)
		close(r->peer);
	g_free(r);
	return 0;
}

/* As many turns as anything could take that is going to happen. */
static void turns(struct rig *r)
{
	for (int i = 0; i < 5; i++)
		loop_turn(r->loop, false);
}

static void send_byte(int fd)
{
	assert_int_equal(write(fd, "x", 1), 1);
}

static void take_byte(int fd)
{
	char c;

	assert_int_equal(read(fd, &c, 1), 1);
}

static void fill(int fd)
{
	static const char zeroes[4096];

	while (write(fd, zeroes, sizeof(zeroes)) > 0)
		;
}

static void drain(int fd)
{
	static char bytes[4096];

	while (read(fd, bytes, sizeof(bytes)) > 0)
		;
}

static void what_comes_later_is_told_once(void **state)
{
	struct rig *r = *state;

	loop_poll_set(&r->poll, POLLIN);
	turns(r);
	assert_int_equal(r->ready, 0);
	send_byte(r->peer);
	turns(r);
	assert_int_equal(r->ready, 1);
	assert_int_equal(r->events, POLLIN);
	send_byte(r->peer);
	turns(r);
	assert_int_equal(r->ready, 1);
}

static void what_is_there_already_is_told_on_a_later_turn(void **state)
{
	struct rig *r = *state;

	send_byte(r->peer);
	loop_poll_set(&r->poll, POLLIN | POLLOUT);
	assert_int_equal(r->ready, 0);
	turns(r);
	assert_int_equal(r->ready, 1);
	assert_int_equal(r->events, POLLIN | POLLOUT);
}

static void ready_may_wait_again(void **state)
{
	struct rig *r = *state;

	r->again = POLLIN;
	loop_poll_set(&r->poll, POLLOUT);
	turns(r);
	assert_int_equal(r->ready, 1);
	send_byte(r->peer);
	r->again = 0;
	turns(r);
	assert_int_equal(r->ready, 2);
	assert_int_equal(r->events, POLLIN);
}

static void more_may_be_waited_for(void **state)
{
	struct rig *r = *state;

	loop_poll_set(&r->poll, POLLIN);
	turns(r);
	loop_poll_set(&r->poll, POLLIN | POLLOUT);
	turns(r);
	assert_int_equal(r->ready, 1);
	assert_int_equal(r->events, POLLOUT);
}

/* The ring has both orders still to read when the poll ends. */
static void more_may_be_waited_for_on_the_turn_that_ends_it(void **state)
{
	struct rig *r = *state;

	send_byte(r->peer);
	loop_poll_set(&r->poll, POLLIN);
	loop_poll_set(&r->poll, POLLOUT);
	turns(r);
	assert_int_equal(r->ready, 1);
	assert_int_equal(r->events, POLLOUT);
}

static void less_may_be_waited_for(void **state)
{
	struct rig *r = *state;

	fill(r->poll.fd);
	loop_poll_set(&r->poll, POLLIN | POLLOUT);
	turns(r);
	loop_poll_set(&r->poll, POLLOUT);
	send_byte(r->peer);
	turns(r);
	assert_int_equal(r->ready, 0);
	take_byte(r->poll.fd);
	drain(r->peer);
	turns(r);
	assert_int_equal(r->ready, 1);
	assert_int_equal(r->events, POLLOUT);
}

static void who_stopped_waiting_is_not_told_until_it_waits_again(void **state)
{
	struct rig *r = *state;

	loop_poll_set(&r->poll, POLLIN);
	turns(r);
	loop_poll_set(&r->poll, 0);
	send_byte(r->peer);
	turns(r);
	assert_int_equal(r->ready, 0);
	loop_poll_set(&r->poll, POLLIN);
	turns(r);
	assert_int_equal(r->ready, 1);
}

static void who_stopped_waiting_is_not_told_of_the_end_either(void **state)
{
	struct rig *r = *state;

	loop_poll_set(&r->poll, POLLIN);
	turns(r);
	loop_poll_set(&r->poll, 0);
	close(r->peer);
	r->peer = -1;
	turns(r);
	assert_int_equal(r->ready, 0);
}

static void the_end_of_the_other_side_is_always_told(void **state)
{
	struct rig *r = *state;

	fill(r->poll.fd);
	loop_poll_set(&r->poll, POLLOUT);
	turns(r);
	close(r->peer);
	r->peer = -1;
	turns(r);
	assert_int_equal(r->ready, 1);
	assert_true(r->events & POLLHUP);
}

static void assert_removable(struct rig *r)
{
	char c;

	loop_poll_remove(&r->poll, removed);
	close(r->poll.fd);
	r->poll.fd = -1;
	assert_false(r->removed);
	while (!r->removed)
		loop_turn(r->loop, true);
	assert_int_equal(r->ready, 0);
	/* The kernel keeps no copy of the descriptor. */
	assert_int_equal(read(r->peer, &c, 1), 0);
}

static void removal_is_told_when_nothing_is_waited_for(void **state)
{
	assert_removable(*state);
}

static void removal_ends_what_is_waited_for(void **state)
{
	struct rig *r = *state;

	loop_poll_set(&r->poll, POLLIN);
	turns(r);
	assert_removable(r);
}

static void removal_on_the_turn_that_waits_tells_only_that(void **state)
{
	struct rig *r = *state;

	loop_poll_set(&r->poll, POLLIN);
	loop_poll_set(&r->poll, POLLIN | POLLOUT);
	assert_removable(r);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_comes_later_is_told_once),
		TEST(what_is_there_already_is_told_on_a_later_turn),
		TEST(ready_may_wait_again),
		TEST(more_may_be_waited_for),
		TEST(more_may_be_waited_for_on_the_turn_that_ends_it),
		TEST(less_may_be_waited_for),
		TEST(who_stopped_waiting_is_not_told_until_it_waits_again),
		TEST(who_stopped_waiting_is_not_told_of_the_end_either),
		TEST(the_end_of_the_other_side_is_always_told),
		TEST(removal_is_told_when_nothing_is_waited_for),
		TEST(removal_ends_what_is_waited_for),
		TEST(removal_on_the_turn_that_waits_tells_only_that),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
