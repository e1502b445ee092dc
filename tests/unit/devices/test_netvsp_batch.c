/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When a guest that sends much hears what has left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fake_netvsc.h"

#define LEN	60
#define FEW	3u
/* Frames after which the ring is looked at, and those answered at once then. */
#define STREAM	8u
#define TOGETHER 16u

static uint64_t now = 1000;

static uint64_t fake_clock(void)
{
	return now;
}

static int setup(void **state)
{
	struct netvsc *c = netvsc_new(1);

	loop_set_clock(c->loop, fake_clock);
	netvsc_start(c, NVSP_PROTOCOL_VERSION_61, 1514, 0);
	*state = c;
	return 0;
}

static int teardown(void **state)
{
	netvsc_free(*state);
	return 0;
}

/* It waits in the ring.  Its number is the answer's. */
static void put(struct netvsc *c, const void *rndis, size_t len)
{
	const struct nvsp_message m = {
		.msg_type = NVSP_MSG1_TYPE_SEND_RNDIS_PKT,
		.rndis_pkt = { NVSP_CHANNEL_DATA, 0, (uint32_t)len },
	};

	memcpy(c->ram + NETVSC_SEND_GPA, rndis, len);
	fake_send(c->ch[0], ++c->trans_id, NULL, 0, &m, sizeof(m));
}

static void put_frames(struct netvsc *c, unsigned count, size_t len)
{
	uint8_t frame[1514] = { 0 }, msg[2048];
	size_t size = netvsc_wrap(msg, NULL, 0, frame, len);

	while (count--)
		put(c, msg, size);
}

/* One by one, each with its look. */
static void send(struct netvsc *c, unsigned count, size_t len)
{
	while (count--) {
		put_frames(c, 1, len);
		fake_kick(c->ch[0]);
	}
}

static void come(struct netvsc *c)
{
	uint8_t frame[LEN] = { 0 };

	memcpy(frame, netvsc_mac, sizeof(netvsc_mac));
	net_mem_receive(c->cable, NULL, frame, sizeof(frame));
	c->cable->net.user.readable(c->cable->net.user.user);
}

/* How many there are; those of the last packets, in their order. */
static unsigned answers(struct netvsc *c)
{
	uint64_t id = c->trans_id - c->ch[0]->packets.length -
		      c->ch[0]->answers.length;
	struct fake_answer *a;
	unsigned n = 0;

	while ((a = fake_answer(c->ch[0]))) {
		assert_int_equal(a->trans_id, ++id);
		g_free(a);
		n++;
	}
	return n;
}

static unsigned sent(struct netvsc *c)
{
	unsigned n = c->cable->sent.length;

	g_queue_clear_full(&c->cable->sent, g_free);
	return n;
}

/* The ring is looked at from now on. */
static void begin_stream(struct netvsc *c)
{
	for (unsigned i = 0; i < STREAM; i++) {
		assert_false(c->ch[0]->busy);
		send(c, 1, LEN);
		assert_int_equal(answers(c), 1);
	}
	assert_true(c->ch[0]->busy);
	assert_int_equal(sent(c), STREAM);
}

static void frames_of_a_stream_are_answered_together(void **state)
{
	struct netvsc *c = *state;

	begin_stream(c);
	for (unsigned round = 0; round < 10; round++) {
		send(c, TOGETHER - 1, LEN);
		assert_int_equal(answers(c), 0);
		assert_true(c->ch[0]->busy);
		send(c, 1, LEN);
		assert_int_equal(sent(c), TOGETHER);
		assert_int_equal(answers(c), TOGETHER);
	}
}

/* Else the guest might wait for them, and nobody would look again. */
static void nothing_is_owed_when_the_guest_has_to_ring(void **state)
{
	struct netvsc *c = *state;

	begin_stream(c);
	send(c, FEW, LEN);
	assert_int_equal(answers(c), 0);
	fake_kick(c->ch[0]);
	assert_int_equal(answers(c), FEW);
	assert_int_equal(sent(c), FEW);
	begin_stream(c);
}

static void answers_come_with_what_is_received(void **state)
{
	struct netvsc *c = *state;

	begin_stream(c);
	send(c, FEW, LEN);
	come(c);
	assert_int_equal(answers(c), FEW);
	g_free(fake_transfer(c->ch[0]));
	/* The look that was due finds this, and is the last. */
	send(c, 1, LEN);
	assert_int_equal(answers(c), 1);
	assert_false(c->ch[0]->busy);
}

/* A guest lets few bytes of a flow be under way. */
static void large_frames_are_answered_sooner(void **state)
{
	struct netvsc *c = *state;
	unsigned n;

	begin_stream(c);
	for (n = 1; n < TOGETHER; n++) {
		send(c, 1, 1514);
		if (c->ch[0]->answers.length)
			break;
	}
	assert_int_equal(n, 10);
	assert_int_equal(answers(c), n);
}

static void a_full_ring_is_answered_as_it_is_emptied(void **state)
{
	struct netvsc *c = *state;

	begin_stream(c);
	put_frames(c, 5 * TX_BATCH, LEN);
	fake_kick(c->ch[0]);
	assert_int_equal(sent(c), 5 * TX_BATCH);
	assert_in_range(c->ch[0]->answers.length, 5 * TX_BATCH - TOGETHER,
			5 * TX_BATCH);
}

/* What cannot be sent is owed for, too. */
static void nonsense_is_answered_in_time(void **state)
{
	struct netvsc *c = *state;
	const uint8_t nonsense[64] = { 0 };

	begin_stream(c);
	for (unsigned i = 1; i <= 3 * TX_BATCH; i++) {
		put(c, nonsense, sizeof(nonsense));
		fake_kick(c->ch[0]);
		assert_int_equal(c->ch[0]->answers.length,
				 i / TOGETHER * TOGETHER);
	}
	assert_int_equal(sent(c), 0);
}

static void what_waits_for_the_cable_is_not_answered(void **state)
{
	struct netvsc *c = *state;

	begin_stream(c);
	send(c, FEW, LEN);
	c->cable->room = 0;
	send(c, 1, LEN);
	come(c);
	fake_kick(c->ch[0]);
	assert_int_equal(answers(c), 0);
	c->cable->room = 100;
	c->cable->net.user.writable(c->cable->net.user.user);
	fake_kick(c->ch[0]);
	assert_int_equal(sent(c), FEW + 1);
	assert_int_equal(answers(c), FEW + 1);
	g_free(fake_transfer(c->ch[0]));
}

static void what_is_lost_is_answered_at_once(void **state)
{
	struct netvsc *c = *state;

	begin_stream(c);
	send(c, FEW, LEN);
	c->cable->room = 0;
	send(c, 1, LEN);
	now += TX_PATIENCE_NS;
	loop_turn(c->loop, false);
	assert_int_equal(answers(c), FEW + 1);
	assert_int_equal(netvsc_lost(c), 1);
}

static void nothing_is_owed_when_the_buffer_goes(void **state)
{
	struct netvsc *c = *state;
	const struct nvsp_message revoke = {
		.msg_type = NVSP_MSG1_TYPE_REVOKE_SEND_BUF,
	};

	begin_stream(c);
	send(c, FEW, LEN);
	fake_send(c->ch[0], 0, NULL, 0, &revoke, sizeof(revoke));
	fake_kick(c->ch[0]);
	/* And that one's own. */
	assert_int_equal(c->ch[0]->answers.length, FEW + 1);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(frames_of_a_stream_are_answered_together),
		TEST(nothing_is_owed_when_the_guest_has_to_ring),
		TEST(answers_come_with_what_is_received),
		TEST(large_frames_are_answered_sooner),
		TEST(a_full_ring_is_answered_as_it_is_emptied),
		TEST(nonsense_is_answered_in_time),
		TEST(what_waits_for_the_cable_is_not_answered),
		TEST(what_is_lost_is_answered_at_once),
		TEST(nothing_is_owed_when_the_buffer_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
