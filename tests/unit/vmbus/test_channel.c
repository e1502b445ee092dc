/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rig.h"

static const char word[8] = "payload";

static void send(struct guest_channel *c, uint64_t trans_id)
{
	assert_int_equal(guest_channel_send(c, trans_id, word, sizeof(word)),
			 0);
}

static void expect(struct guest_channel *c, uint64_t trans_id)
{
	struct guest_packet p;

	assert_true(guest_channel_recv(c, &p));
	assert_int_equal(p.desc.type, VM_PKT_COMP);
	assert_int_equal(p.desc.offset8, 2);
	assert_int_equal(p.desc.trans_id, trans_id);
	assert_int_equal(p.desc.flags, 0);
	assert_int_equal(p.len, sizeof(word));
	assert_memory_equal(p.payload, word, sizeof(word));
}

static void expect_none(struct guest_channel *c)
{
	struct guest_packet p;

	assert_false(guest_channel_recv(c, &p));
}

static unsigned interrupts(struct rig *r)
{
	return r->g->sint[0][VMBUS_MESSAGE_SINT].interrupts;
}

/* How often the guest had to ring so far. */
static unsigned rings(const struct guest_channel *c)
{
	return c->g->doorbell[c->connection_id % GUEST_RELIDS].rings;
}

static void packets_of_all_sizes_go_round(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);
	static uint8_t payload[16384 - 16];

	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7 + i / 256);
	for (size_t len = 0; len <= sizeof(payload);
	     len += len < 64 ? 1 : len / 3) {
		struct guest_packet p;

		assert_int_equal(guest_channel_send(c, len + 1, payload, len),
				 0);
		guest_run(r->g);
		assert_true(guest_channel_recv(c, &p));
		assert_int_equal(p.desc.trans_id, len + 1);
		assert_int_equal(p.len, (len + 7) / 8 * 8);
		assert_memory_equal(p.payload, payload, len);
		assert_true(guest_channel_signalled(c));
	}
	assert_int_equal(guest_channel_send(c, 1, payload, sizeof(payload)),
			 0);
	guest_run(r->g);
	assert_string_equal(r->echo[0].log->str, "open0 ");
}

static void the_device_sees_header_and_payload_apart(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);
	const struct vmpacket_descriptor d = {
		VM_PKT_DATA_USING_GPA_DIRECT, 5, 6, 1, 0xfeed
	};
	const uint64_t body[4] = { 1, 2, 3, 4 };
	struct guest_packet p;
	bool ring;

	guest_ring_write(&c->tx, &d, body, sizeof(body), &ring);
	guest_channel_ring(c);
	guest_run(r->g);
	assert_int_equal(r->echo[0].last_type, VM_PKT_DATA_USING_GPA_DIRECT);
	assert_int_equal(r->echo[0].last_header, 24);
	assert_true(guest_channel_recv(c, &p));
	assert_int_equal(p.len, 8);
	assert_memory_equal(p.payload, &body[3], 8);
}

static void what_is_completed_in_a_turn_interrupts_once(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);
	unsigned before = interrupts(r);

	for (unsigned i = 1; i <= 100; i++)
		send(c, i);
	assert_int_equal(rings(c), 1);
	guest_run(r->g);
	assert_true(guest_channel_signalled(c));
	assert_int_equal(interrupts(r) - before, 1);
	for (unsigned i = 1; i <= 100; i++)
		expect(c, i);
	expect_none(c);

	r->echo[0].hold = true;
	for (unsigned i = 1; i <= 10; i++)
		send(c, i);
	guest_run(r->g);
	expect_none(c);
	before = interrupts(r);
	echo_release(&r->echo[0], 10);
	guest_run(r->g);
	assert_int_equal(interrupts(r) - before, 1);
	for (unsigned i = 1; i <= 10; i++)
		expect(c, i);
}

/* Both sides of "only if it was empty": the guest is still reading. */
static void a_guest_that_has_not_read_all_is_not_interrupted(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);

	send(c, 1);
	guest_run(r->g);
	assert_true(guest_channel_signalled(c));
	send(c, 2);
	guest_run(r->g);
	assert_false(guest_channel_signalled(c));
	expect(c, 1);
	expect(c, 2);
	c->rx.ctrl->interrupt_mask = 1;
	send(c, 3);
	guest_run(r->g);
	assert_false(guest_channel_signalled(c));
	expect(c, 3);
}

static void a_turn_takes_a_bounded_number_of_packets(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);
	unsigned i;

	for (i = 0; i < PACKET_BUDGET + 100; i++)
		send(c, i + 1);
	while (!r->echo[0].received)
		loop_turn(r->g->dev, false);
	assert_int_equal(r->echo[0].received, PACKET_BUDGET);
	guest_run(r->g);
	assert_int_equal(r->echo[0].received, i);
}

/*
 * How the channel learns of packets.
 */
static void an_idle_channel_asks_for_doorbells(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);
	unsigned readies;

	assert_int_equal(c->tx.ctrl->interrupt_mask, 0);
	readies = r->echo[0].readies;
	for (unsigned i = 1; i <= 5; i++) {
		send(c, i);
		assert_int_equal(rings(c), i);
		guest_run(r->g);
		expect(c, i);
	}
	/* The device was called once for each, and then sleeps. */
	assert_int_equal(r->echo[0].readies, readies + 5);
	readies = r->echo[0].readies;
	guest_pass(r->g, 1000 * POLL_NS);
	assert_int_equal(r->echo[0].readies, readies);
}

static void a_busy_channel_looks_by_itself_for_a_while(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);

	r->echo[0].hold = true;
	send(c, 1);
	guest_run(r->g);
	assert_int_equal(rings(c), 1);
	assert_int_equal(c->tx.ctrl->interrupt_mask, 1);
	/* It was fed: it looks again soon, without a doorbell. */
	send(c, 2);
	assert_int_equal(rings(c), 1);
	guest_pass(r->g, POLL_NS - 1);
	assert_int_equal(r->echo[0].received, 1);
	guest_pass(r->g, 1);
	assert_int_equal(r->echo[0].received, 2);
	assert_int_equal(c->tx.ctrl->interrupt_mask, 1);
	/* Nothing came: doorbells again, though it is as busy as before. */
	guest_pass(r->g, POLL_NS);
	assert_int_equal(c->tx.ctrl->interrupt_mask, 0);
	send(c, 3);
	assert_int_equal(rings(c), 2);
	guest_run(r->g);
	assert_int_equal(r->echo[0].received, 3);
}

static void a_completion_looks_for_more_at_once(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);

	r->echo[0].hold = true;
	send(c, 1);
	send(c, 2);
	guest_run(r->g);
	send(c, 3);
	assert_int_equal(r->echo[0].received, 2);
	echo_release(&r->echo[0], 1);
	guest_run(r->g);
	assert_int_equal(r->echo[0].received, 3);
	assert_int_equal(rings(c), 1);
	/* A look that finds nothing ends the polling. */
	echo_release(&r->echo[0], 1);
	guest_run(r->g);
	assert_int_equal(c->tx.ctrl->interrupt_mask, 0);
}

/* The guest adds packets between our last look and the mask's fall. */
static void nothing_is_lost_as_polling_ends(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);

	for (unsigned i = 1; i < 50; i++) {
		c->tx.ctrl->interrupt_mask = 1;
		r->echo[0].hold = i % 2;
		guest_channel_ring(c);
		send(c, i);
		echo_release(&r->echo[0], 1);
		guest_pass(r->g, POLL_NS);
		assert_int_equal(r->echo[0].received, i);
	}
}

/* A device with its hands full leaves the rest in the ring. */
static void a_full_device_is_asked_again_as_it_completes(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);
	unsigned readies;

	r->echo[0].hold = true;
	r->echo[0].depth = 2;
	for (unsigned i = 1; i <= 6; i++)
		send(c, i);
	guest_run(r->g);
	assert_int_equal(r->echo[0].received, 2);
	/* Until then it is left alone. */
	readies = r->echo[0].readies;
	guest_pass(r->g, 1000 * POLL_NS);
	assert_int_equal(r->echo[0].readies, readies);
	for (unsigned i = 1; i <= 6; i++) {
		echo_release(&r->echo[0], 1);
		guest_run(r->g);
		expect(c, i);
		assert_int_equal(r->echo[0].received, MIN(i + 2, 6));
	}
	assert_int_equal(rings(c), 1);
}

/* Nor does one that leaves packets for no reason make the loop spin. */
static void a_device_that_sips_is_asked_again_soon(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);

	r->echo[0].sips = true;
	for (unsigned i = 1; i <= 6; i++)
		send(c, i);
	guest_run(r->g);
	for (unsigned i = 1; i <= 6; i++) {
		assert_int_equal(r->echo[0].received, i);
		guest_pass(r->g, POLL_NS);
	}
	assert_int_equal(c->tx.ctrl->interrupt_mask, 0);
}

/* Requests that want no answer complete nothing; they end all the same. */
static void a_device_that_ends_without_answers_is_asked_again(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);

	r->echo[0].hold = true;
	r->echo[0].mute = true;
	r->echo[0].depth = 2;
	for (unsigned i = 1; i <= 6; i++)
		send(c, i);
	for (unsigned i = 2; i <= 6; i += 2) {
		guest_run(r->g);
		assert_int_equal(r->echo[0].received, i);
		echo_release(&r->echo[0], 2);
	}
	guest_run(r->g);
	assert_int_equal(c->tx.ctrl->interrupt_mask, 0);
	expect_none(c);
}

/*
 * A ring without room.
 */

/* Small rings: a data page down holds 127 answers of 32 bytes. */
static struct guest_channel *open_small(struct rig *r)
{
	rig_connect(r, VERSION_WIN10_V5_3);
	guest_channel_init(&r->ch[0], r->g, &r->offers.offer[0], 6, 4);
	assert_true(guest_channel_open(&r->ch[0]));
	guest_run(r->g);
	return &r->ch[0];
}

#define SMALL_ANSWERS	127

static void answers_without_room_wait_in_order(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = open_small(r);
	unsigned before;

	for (unsigned i = 1; i <= 200; i++)
		send(c, i);
	guest_run(r->g);
	/* As no packet is taken while one waits, one too many was taken. */
	assert_int_equal(r->echo[0].received, SMALL_ANSWERS + 1);
	assert_true(c->rx.ctrl->pending_send_sz >= 32);
	before = rings(c);
	for (unsigned i = 1; i <= 200; i++) {
		expect(c, i);
		guest_run(r->g);
	}
	/* Told as a part of the ring came free, not for every packet. */
	assert_in_range(rings(c) - before, 1, 4);
	assert_int_equal(c->rx.ctrl->pending_send_sz, 0);
	expect_none(c);
}

/* Memory does not grow with a guest that sends and never reads. */
static void a_guest_that_reads_nothing_is_not_served_for_ever(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = open_small(r);
	struct vmbus_channel *ch = bus_channel(r->g->bus, c->relid);
	unsigned sent = 0;

	r->echo[0].hold = true;
	r->echo[0].depth = 16;
	for (unsigned i = 0; i < 1000; i++) {
		if (guest_channel_send(c, i + 1, word, sizeof(word)) == 0)
			sent++;
		guest_channel_ring(c);
		guest_pass(r->g, POLL_NS);
		echo_release(&r->echo[0], UINT32_MAX);
		guest_run(r->g);
	}
	assert_true(g_queue_get_length(&ch->waiting) <= 16);
	assert_true(r->echo[0].received <= SMALL_ANSWERS + 16);
	for (unsigned i = 1; i <= sent; i++) {
		struct guest_packet p;

		assert_true(guest_channel_recv(c, &p));
		guest_pass(r->g, ROOM_POLL_NS);
		echo_release(&r->echo[0], UINT32_MAX);
		guest_run(r->g);
	}
	expect_none(c);
}

/* Such guests look at their ring when they like, and do not tell. */
static void room_is_found_though_the_guest_does_not_ring(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = open_small(r);
	struct guest_packet p;

	for (unsigned i = 1; i <= SMALL_ANSWERS + 10; i++)
		send(c, i);
	guest_run(r->g);
	while (guest_ring_read(&c->rx, &p))
		;
	guest_ring_commit(&c->rx);
	guest_run(r->g);
	expect_none(c);
	guest_pass(r->g, ROOM_POLL_NS);
	for (unsigned i = SMALL_ANSWERS + 1; i <= SMALL_ANSWERS + 10; i++)
		expect(c, i);
}

static void a_waiting_channel_does_not_spin(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = open_small(r);
	unsigned readies;

	for (unsigned i = 1; i <= 200; i++)
		send(c, i);
	guest_run(r->g);
	readies = r->echo[0].readies;
	for (unsigned i = 0; i < 10 * ROOM_POLL_NS / POLL_NS; i++)
		guest_pass(r->g, POLL_NS);
	assert_in_range(r->echo[0].readies - readies, 1, 10);
}

/* Room comes, and more answers with it, before the channel has looked. */
static void an_answer_does_not_overtake_one_that_waits(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = open_small(r);

	r->echo[0].hold = true;
	for (unsigned i = 1; i <= SMALL_ANSWERS + 3; i++)
		send(c, i);
	guest_run(r->g);
	echo_release(&r->echo[0], SMALL_ANSWERS + 1);
	guest_run(r->g);
	for (unsigned i = 1; i <= 50; i++)
		expect(c, i);
	echo_release(&r->echo[0], 2);
	guest_run(r->g);
	for (unsigned i = 51; i <= SMALL_ANSWERS + 3; i++)
		expect(c, i);
}

static void a_device_sends_packets_of_its_own(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = open_small(r);
	struct guest_packet p;

	echo_send(&r->echo[0], 5);
	assert_int_equal(r->echo[0].sent, 0);
	guest_run(r->g);
	assert_true(guest_channel_signalled(c));
	for (unsigned i = 0; i < 5; i++) {
		assert_true(guest_channel_recv(c, &p));
		assert_int_equal(p.desc.type, VM_PKT_DATA_INBAND);
		assert_int_equal(p.desc.trans_id, 0);
		assert_int_equal(p.desc.flags, 0);
		assert_memory_equal(p.payload, "unasked", 8);
	}
	expect_none(c);
}

/* What did not fit is the device's to send again when it is called. */
static void a_device_that_finds_no_room_is_called_again(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = open_small(r);
	struct guest_packet p;
	unsigned got = 0;

	echo_send(&r->echo[0], 300);
	assert_int_equal(r->echo[0].sent, -EAGAIN);
	guest_run(r->g);
	assert_int_equal(r->echo[0].to_send, 300 - SMALL_ANSWERS);
	while (guest_channel_recv(c, &p)) {
		got++;
		guest_run(r->g);
	}
	assert_int_equal(got, 300);
}

/* Nor do its own packets overtake answers that wait. */
static void a_device_does_not_overtake_its_answers(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = open_small(r);
	struct guest_packet p;

	for (unsigned i = 1; i <= SMALL_ANSWERS + 1; i++)
		send(c, i);
	guest_run(r->g);
	expect(c, 1);
	echo_send(&r->echo[0], 1);
	assert_int_equal(r->echo[0].sent, -EAGAIN);
	for (unsigned i = 2; i <= SMALL_ANSWERS + 1; i++) {
		guest_pass(r->g, ROOM_POLL_NS);
		expect(c, i);
	}
	assert_true(guest_channel_recv(c, &p));
	assert_int_equal(p.desc.trans_id, 0);
}

static void a_guest_that_waits_for_room_is_signalled(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);
	unsigned sent = 0;

	r->echo[0].mute = true;
	while (guest_channel_send(c, ++sent, word, sizeof(word)) == 0)
		;
	c->tx.ctrl->pending_send_sz = 4096;
	guest_run(r->g);
	assert_true(guest_channel_signalled(c));
	assert_int_equal(guest_channel_send(c, sent, word, sizeof(word)), 0);
}

/*
 * Broken rings.
 */
static void a_broken_ring_silences_its_channel_only(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);
	struct guest_channel again;
	unsigned before;

	assert_true(guest_channel_open(&r->ch[1]));
	c->tx.ctrl->write_index = 12;
	guest_channel_ring(c);
	guest_run(r->g);
	assert_string_equal(r->echo[0].log->str, "open0 error0 ");
	/* It stays so, though the index is mended. */
	c->tx.ctrl->write_index = 0;
	send(c, 1);
	guest_channel_ring(c);
	before = r->echo[0].readies;
	guest_pass(r->g, ROOM_POLL_NS);
	assert_int_equal(r->echo[0].readies, before);
	assert_false(guest_channel_signalled(c));
	echo_send(&r->echo[0], 1);
	assert_int_equal(r->echo[0].sent, -EPROTO);
	r->echo[0].to_send = 0;

	send(&r->ch[1], 5);
	guest_run(r->g);
	expect(&r->ch[1], 5);

	/* Closed and opened, it is as good as new. */
	guest_channel_close(c);
	guest_channel_init(&again, r->g, &r->offers.offer[0], 4, 2);
	assert_true(guest_channel_open(&again));
	send(&again, 6);
	guest_run(r->g);
	expect(&again, 6);
}

static void a_broken_ring_for_answers_silences_too(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);

	send(c, 1);
	send(c, 2);
	c->rx.ctrl->read_index = 0xffffff00;
	guest_run(r->g);
	assert_int_equal(c->rx.ctrl->write_index, 0);
	assert_string_equal(r->echo[0].log->str, "open0 error0 ");
	guest_channel_close(c);
}

/* The device still holds requests of a ring that has broken. */
static void answers_for_a_broken_ring_go_nowhere(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);

	r->echo[0].hold = true;
	send(c, 1);
	guest_run(r->g);
	c->tx.ctrl->write_index = 4;
	guest_channel_ring(c);
	guest_run(r->g);
	echo_release(&r->echo[0], 1);
	guest_run(r->g);
	assert_int_equal(c->rx.ctrl->write_index, 0);
	guest_channel_close(c);
}

/* While answers wait, too: they are forgotten. */
static void a_ring_that_breaks_with_answers_waiting_can_be_closed(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = open_small(r);

	for (unsigned i = 1; i <= 200; i++)
		send(c, i);
	guest_run(r->g);
	c->rx.ctrl->read_index = 2;
	guest_pass(r->g, ROOM_POLL_NS);
	guest_pass(r->g, ROOM_POLL_NS);
	assert_string_equal(r->echo[0].log->str, "open0 error0 ");
	guest_channel_close(c);
	assert_string_equal(r->echo[0].log->str,
			    "open0 error0 close0 closed0 ");
}

/*
 * Closing.
 */
static void what_completes_after_the_close_is_not_sent(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);

	r->echo[0].hold = true;
	send(c, 1);
	send(c, 2);
	guest_run(r->g);
	guest_channel_send_close(c);
	send(c, 3);
	guest_channel_ring(c);
	echo_release(&r->echo[0], 1);
	guest_pass(r->g, ROOM_POLL_NS);
	assert_string_equal(r->echo[0].log->str, "open0 close0 ");
	echo_release(&r->echo[0], 1);
	guest_run(r->g);
	assert_string_equal(r->echo[0].log->str, "open0 close0 closed0 ");
	assert_int_equal(r->echo[0].received, 2);
	assert_int_equal(c->rx.ctrl->write_index, 0);
}

static void post_release(struct rig *r, uint32_t relid)
{
	const struct vmbus_channel_relid_released m = {
		.header.msgtype = CHANNELMSG_RELID_RELEASED,
		.child_relid = relid,
	};

	assert_int_equal(guest_post_on(r->g, r->g->connection_id, &m,
				       sizeof(m)), 0);
}

/* The channel is freed; its timers were set: for more, and for room. */
static void timers_end_with_the_channel(void **state)
{
	struct rig *r = *state;

	for (unsigned full = 0; full < 2; full++) {
		struct guest_channel *c = open_small(r);

		r->echo[0].hold = !full;
		for (unsigned i = 1; i <= (full ? 200 : 1); i++)
			send(c, i);
		guest_run(r->g);
		r->echo[0].hold = false;
		vmbus_withdraw(r->g->bus, &r->echo[0].vmbus, &r->done);
		echo_release(&r->echo[0], 1);
		post_release(r, c->relid);
		guest_run(r->g);
		assert_null(bus_channel(r->g->bus, c->relid));
		guest_pass(r->g, ROOM_POLL_NS);
		assert_int_equal(vmbus_offer(r->g->bus, &r->echo[0].vmbus), 0);
		guest_run(r->g);
		g_queue_clear_full(&r->g->messages, g_free);
	}
}

/* The turn that takes the last budget also closes; then all is released. */
static void notes_in_flight_are_waited_for(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);

	for (unsigned i = 1; i <= PACKET_BUDGET + 1; i++)
		send(c, i);
	vmbus_withdraw(r->g->bus, &r->echo[0].vmbus, &r->done);
	post_release(r, c->relid);
	loop_turn(r->g->main, false);
	loop_turn(r->g->dev, false);
	loop_turn(r->g->main, false);
	guest_run(r->g);
	assert_int_equal(r->echo[0].received, PACKET_BUDGET);
	assert_null(bus_channel(r->g->bus, c->relid));
	assert_int_equal(vmbus_offer(r->g->bus, &r->echo[0].vmbus), 0);
}

/* Pages of a ring may be anything, each other and the control page too. */
static void rings_that_overlap_harm_the_guest_only(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = &r->ch[0];
	struct {
		struct vmbus_channel_gpadl_header h;
		uint64_t word[5];
	} __attribute__((packed)) m = {
		.h.header.msgtype = CHANNELMSG_GPADL_HEADER,
		.h.child_relid = 1, .h.range_buflen = 40, .h.rangecount = 1,
	};

	rig_connect(r, VERSION_WIN10_V5_3);
	m.h.gpadl = c->gpadl;
	m.word[0] = 4 * GMEM_PAGE_SIZE;
	for (unsigned i = 1; i < 5; i++)
		m.word[i] = c->gpa / GMEM_PAGE_SIZE;
	GUEST_POST(r->g, &m);
	assert_true(guest_expect(r->g, CHANNELMSG_GPADL_CREATED, NULL, 20));
	c->split = 2;
	guest_channel_send_open(c);
	assert_true(guest_expect(r->g, CHANNELMSG_OPENCHANNEL_RESULT, NULL,
				 20));
	for (uint32_t i = 0; i < 512; i++) {
		memset(c->tx.ctrl, 0, 128);
		c->tx.ctrl->write_index = i * 8;
		guest_channel_ring(c);
		guest_pass(r->g, ROOM_POLL_NS);
	}
	guest_channel_close(c);
}

static void pages_are_sent_by_their_ranges(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);
	struct vmbus_channel *ch = bus_channel(r->g->bus, c->relid);
	const struct vmbus_transfer t = {
		.trans_id = 77, .pageset = 0xcafe, .count = 2,
		.ranges = { { 100, 0 }, { 200, 1806 } },
	};
	struct vmtransfer_pages head;
	struct guest_packet p;
	size_t ranges = 2 * sizeof(t.ranges[0]);

	assert_int_equal(vmbus_send_pages(ch, &t, word, sizeof(word)), 0);
	guest_run(r->g);
	assert_true(guest_channel_recv(c, &p));
	assert_int_equal(p.desc.type, VM_PKT_DATA_USING_XFER_PAGES);
	assert_int_equal(p.desc.offset8, 5);
	assert_int_equal(p.desc.len8, 6);
	assert_int_equal(p.desc.flags,
			 VMBUS_DATA_PACKET_FLAG_COMPLETION_REQUESTED);
	assert_int_equal(p.desc.trans_id, 77);
	memcpy(&head, p.payload, sizeof(head));
	assert_int_equal(head.xfer_pageset_id, 0xcafe);
	assert_int_equal(head.range_cnt, 2);
	assert_memory_equal(p.payload + sizeof(head), t.ranges, ranges);
	assert_memory_equal(p.payload + sizeof(head) + ranges, word,
			    sizeof(word));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(packets_of_all_sizes_go_round),
		RIG_TEST(pages_are_sent_by_their_ranges),
		RIG_TEST(the_device_sees_header_and_payload_apart),
		RIG_TEST(what_is_completed_in_a_turn_interrupts_once),
		RIG_TEST(a_guest_that_has_not_read_all_is_not_interrupted),
		RIG_TEST(a_turn_takes_a_bounded_number_of_packets),
		RIG_TEST(an_idle_channel_asks_for_doorbells),
		RIG_TEST(a_busy_channel_looks_by_itself_for_a_while),
		RIG_TEST(a_completion_looks_for_more_at_once),
		RIG_TEST(nothing_is_lost_as_polling_ends),
		RIG_TEST(a_full_device_is_asked_again_as_it_completes),
		RIG_TEST(a_device_that_sips_is_asked_again_soon),
		RIG_TEST(a_device_that_ends_without_answers_is_asked_again),
		RIG_TEST(answers_without_room_wait_in_order),
		RIG_TEST(a_guest_that_reads_nothing_is_not_served_for_ever),
		RIG_TEST(room_is_found_though_the_guest_does_not_ring),
		RIG_TEST(a_waiting_channel_does_not_spin),
		RIG_TEST(an_answer_does_not_overtake_one_that_waits),
		RIG_TEST(a_device_sends_packets_of_its_own),
		RIG_TEST(a_device_that_finds_no_room_is_called_again),
		RIG_TEST(a_device_does_not_overtake_its_answers),
		RIG_TEST(a_guest_that_waits_for_room_is_signalled),
		RIG_TEST(a_broken_ring_silences_its_channel_only),
		RIG_TEST(a_broken_ring_for_answers_silences_too),
		RIG_TEST(answers_for_a_broken_ring_go_nowhere),
		RIG_TEST(a_ring_that_breaks_with_answers_waiting_can_be_closed),
		RIG_TEST(what_completes_after_the_close_is_not_sent),
		RIG_TEST(timers_end_with_the_channel),
		RIG_TEST(notes_in_flight_are_waited_for),
		RIG_TEST(rings_that_overlap_harm_the_guest_only),
	};

	return RIG_RUN(tests);
}
