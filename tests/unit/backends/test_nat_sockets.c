/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <slirp/libslirp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/nat_sockets.h"

static struct nat_sockets s;
static int pair[2];	/* the first is watched, and has something to read */

static int setup(void **state)
{
	assert_int_equal(nat_sockets_init(&s), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(write(pair[1], "x", 1), 1);
	nat_sockets_opened(&s, pair[0]);
	return 0;
}

static int teardown(void **state)
{
	nat_sockets_closed(&s, pair[0]);
	close(pair[0]);
	close(pair[1]);
	nat_sockets_finish(&s);
	return 0;
}

/* What the kernel hears of with the next end() only. */
static void want(int events)
{
	nat_sockets_begin(&s);
	if (events)
		nat_sockets_want(&s, pair[0], events);
}

static void assert_ready(int events)
{
	assert_int_equal(nat_sockets_look(&s), events != 0);
	assert_int_equal(nat_sockets_ready(&s, pair[0]), events);
}

static void what_is_wanted_and_there_is_ready(void **state)
{
	assert_ready(0);
	want(SLIRP_POLL_IN);
	nat_sockets_end(&s);
	assert_ready(SLIRP_POLL_IN);
	want(SLIRP_POLL_IN | SLIRP_POLL_OUT);
	nat_sockets_end(&s);
	assert_ready(SLIRP_POLL_IN | SLIRP_POLL_OUT);
	want(0);
	nat_sockets_end(&s);
	assert_ready(0);
}

/* libslirp must not read what it has no room for. */
static void what_is_not_wanted_any_more_is_not_ready(void **state)
{
	want(SLIRP_POLL_IN | SLIRP_POLL_OUT);
	nat_sockets_end(&s);
	want(SLIRP_POLL_OUT);
	assert_ready(SLIRP_POLL_OUT);
	want(0);
	assert_ready(0);
	close(pair[1]);
	assert_ready(0);
	want(SLIRP_POLL_OUT);
	assert_ready(SLIRP_POLL_OUT | SLIRP_POLL_HUP);
	pair[1] = dup(pair[0]);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_wanted_and_there_is_ready),
		TEST(what_is_not_wanted_any_more_is_not_ready),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
