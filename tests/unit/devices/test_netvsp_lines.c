/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A NIC whose cable has a queue for each channel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fake_netvsc.h"

#define LINES	3
#define LEN	60

static int setup(void **state)
{
	const struct nvsp_message ask = {
		.msg_type = NVSP_MSG5_TYPE_SUBCHANNEL,
		.subchannel = { NVSP_SUBCHANNEL_ALLOCATE, NETVSC_QUEUES - 1 },
	};
	struct netvsc *c = netvsc_new_lines(NETVSC_QUEUES, LINES);

	netvsc_start(c, NVSP_PROTOCOL_VERSION_61, 1514,
		     NVSP_CAPABILITY_IEEE8021Q | NVSP_CAPABILITY_RSC);
	netvsc_message(c, &ask);
	for (unsigned i = 1; i < NETVSC_QUEUES; i++)
		c->ch[i] = fake_open(netvsp_device(c->nv), i);
	g_free(fake_answer(c->ch[0]));	/* the send table */
	*state = c;
	return 0;
}

static int teardown(void **state)
{
	netvsc_free(*state);
	return 0;
}

static void make_frame(uint8_t frame[LEN], unsigned mark)
{
	memset(frame, 0, LEN);
	memcpy(frame, netvsc_mac, sizeof(netvsc_mac));
	frame[LEN - 1] = (uint8_t)mark;
}

static uint32_t send(struct netvsc *c, unsigned channel, unsigned mark)
{
	uint8_t frame[LEN], msg[512];

	make_frame(frame, mark);
	return netvsc_send(c, channel, NVSP_CHANNEL_DATA, msg,
			   netvsc_wrap(msg, NULL, 0, frame, LEN));
}

static void tell(const struct net_mem *line, void (*what)(void *))
{
	what(line->net.user.user);
}

/* @count frames come on @line, which does not say so. */
static void come(struct net_mem *line, unsigned count)
{
	uint8_t frame[LEN];

	make_frame(frame, 1);
	for (unsigned i = 0; i < count; i++)
		net_mem_receive(line, NULL, frame, LEN);
}

static unsigned received(struct netvsc *c)
{
	g_autoptr(GPtrArray) all = netvsc_received(c, 0);

	return all->len;
}

static void a_channel_sends_on_its_own_line(void **state)
{
	struct netvsc *c = *state;

	for (unsigned i = 0; i < NETVSC_QUEUES; i++)
		assert_int_equal(send(c, i, i), NVSP_STAT_SUCCESS);
	for (unsigned i = 0; i < NETVSC_QUEUES; i++) {
		g_autofree struct net_mem_frame *s =
			net_mem_sent(c->line[i % LINES]);

		assert_non_null(s);
		assert_int_equal(s->bytes[LEN - 1], i);
	}
}

static void a_full_line_holds_its_own_channels_up(void **state)
{
	struct netvsc *c = *state;

	c->line[1]->room = 0;
	assert_int_equal(send(c, 1, 1), NVSP_STAT_NONE);
	assert_int_equal(send(c, 2, 2), NVSP_STAT_SUCCESS);
	c->line[1]->room = 100;
	tell(c->line[2], c->line[2]->net.user.writable);
	assert_true(c->ch[1]->busy);
	tell(c->line[1], c->line[1]->net.user.writable);
	assert_false(c->ch[1]->busy);
	g_free(fake_answer(c->ch[1]));
}

static void frames_come_on_all_lines(void **state)
{
	struct netvsc *c = *state;

	for (unsigned i = 0; i < LINES; i++)
		come(c->line[i], i + 1);
	/* Each is taken when it says so, and as others do. */
	tell(c->line[1], c->line[1]->net.user.readable);
	assert_int_equal(c->line[1]->incoming.length, 0);
	for (unsigned i = 0; i < LINES; i++)
		tell(c->line[i], c->line[i]->net.user.readable);
	assert_int_equal(received(c), 1 + 2 + 3);
	assert_int_equal(c->line[0]->offloads, c->line[2]->offloads);
}

static void a_busy_line_does_not_keep_others_waiting(void **state)
{
	struct netvsc *c = *state;

	for (unsigned i = 0; i < LINES; i++)
		tell(c->line[i], c->line[i]->net.user.readable);
	come(c->line[0], 2 * RX_BUDGET);
	come(c->line[1], 1);
	for (unsigned i = 0; i < LINES; i++)
		c->nv->line[i].idle = false;
	tell(c->line[0], c->line[0]->net.user.readable);
	assert_int_equal(c->line[1]->incoming.length, 1);
	loop_turn(c->loop, false);
	assert_int_equal(c->line[1]->incoming.length, 0);
}

static void the_guest_hears_once_that_the_link_is_down(void **state)
{
	struct netvsc *c = *state;

	for (unsigned i = LINES; i-- > 0;) {
		c->line[i]->net.link_up = false;
		c->line[i]->net.user.link(c->line[i]->net.user.user, false);
	}
	assert_int_equal(c->ch[0]->transfers.length, 1);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_channel_sends_on_its_own_line),
		TEST(a_full_line_holds_its_own_channels_up),
		TEST(frames_come_on_all_lines),
		TEST(a_busy_line_does_not_keep_others_waiting),
		TEST(the_guest_hears_once_that_the_link_is_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
