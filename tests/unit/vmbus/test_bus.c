/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rig.h"

static uint32_t expect_offer(struct rig *r)
{
	struct vmbus_channel_offer_channel o;

	assert_true(GUEST_EXPECT(r->g, CHANNELMSG_OFFERCHANNEL, &o));
	return o.child_relid;
}

static void expect_rescind(struct rig *r, uint32_t relid)
{
	struct vmbus_channel_rescind_offer m;

	assert_true(GUEST_EXPECT(r->g, CHANNELMSG_RESCIND_CHANNELOFFER, &m));
	assert_int_equal(m.child_relid, relid);
}

static void release(struct rig *r, uint32_t relid)
{
	const struct vmbus_channel_relid_released m = {
		.header.msgtype = CHANNELMSG_RELID_RELEASED,
		.child_relid = relid,
	};

	GUEST_POST(r->g, &m);
}

static void unload(struct rig *r)
{
	const struct vmbus_channel_message_header m = {
		.msgtype = CHANNELMSG_UNLOAD,
	};

	GUEST_POST(r->g, &m);
}

static void withdraw(struct rig *r, unsigned echo)
{
	vmbus_withdraw(r->g->bus, &r->echo[echo].vmbus, &r->done);
	guest_run(r->g);
}

/* The device that was withdrawn comes back for the rest of the test. */
static void offer_again(struct rig *r, unsigned echo)
{
	assert_int_equal(vmbus_offer(r->g->bus, &r->echo[echo].vmbus), 0);
	guest_run(r->g);
}

static void an_instance_is_offered_once(void **state)
{
	struct rig *r = *state;

	assert_int_equal(vmbus_offer(r->g->bus, &r->echo[0].vmbus), -EEXIST);
}

static void relids_follow_the_order_of_offering(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < 3; i++) {
		rig_connect(r, VERSION_WIN10_V5_3);
		assert_int_equal(r->offers.offer[0].child_relid, 1);
		assert_int_equal(r->offers.offer[1].child_relid, 2);
		assert_int_equal(r->offers.offer[1].offer.user_def[0], 1);
	}
}

static void a_late_offer_comes_at_once(void **state)
{
	struct rig *r = *state;
	struct echo late;

	rig_connect(r, VERSION_WIN10_V5_3);
	echo_init(&late, r->g->dev, &r->g->gm, 9);
	assert_int_equal(vmbus_offer(r->g->bus, &late.vmbus), 0);
	guest_run(r->g);
	assert_int_equal(expect_offer(r), 3);
	vmbus_withdraw(r->g->bus, &late.vmbus, &r->done);
	guest_run(r->g);
	assert_int_equal(r->done_count, 1);
	echo_finish(&late);
}

/* 2047 relids, of which the rig has 2. */
static void relids_run_out_and_come_back(void **state)
{
	struct rig *r = *state;
	g_autofree struct echo *many = g_new0(struct echo, VMBUS_RELID_MAX);
	unsigned count = 0;

	for (; count < VMBUS_RELID_MAX; count++) {
		echo_init(&many[count], r->g->dev, &r->g->gm, 0);
		memcpy(&many[count].vmbus.if_instance, &count, sizeof(count));
		if (vmbus_offer(r->g->bus, &many[count].vmbus))
			break;
	}
	assert_int_equal(count, VMBUS_RELID_MAX - 2);
	assert_int_equal(vmbus_offer(r->g->bus, &many[count].vmbus), -ENOSPC);
	assert_true(guest_connect(r->g, VERSION_WIN10_V5_3));
	guest_request_offers(r->g, &r->offers);
	assert_int_equal(r->offers.count, VMBUS_RELID_MAX);
	/* The highest relid works as well as any. */
	guest_channel_init(&r->ch[0], r->g,
			   &r->offers.offer[VMBUS_RELID_MAX - 1], 4, 2);
	assert_int_equal(r->ch[0].relid, VMBUS_RELID_MAX);
	assert_true(guest_channel_open(&r->ch[0]));
	guest_channel_send(&r->ch[0], 1, "12345678", 8);
	guest_run(r->g);
	assert_true(guest_channel_signalled(&r->ch[0]));
	unload(r);
	for (unsigned i = 0; i <= count; i++) {
		vmbus_withdraw(r->g->bus, &many[i].vmbus, &r->done);
		echo_finish(&many[i]);
	}
	guest_run(r->g);
	assert_true(guest_expect(r->g, CHANNELMSG_UNLOAD_RESPONSE, NULL, 8));
	rig_connect(r, VERSION_WIN10_V5_3);
}

static void a_device_nobody_knows_is_withdrawn_silently(void **state)
{
	struct rig *r = *state;

	withdraw(r, 0);
	assert_int_equal(r->done_count, 1);
	assert_true(guest_connect(r->g, VERSION_WIN10_V5_3));
	guest_request_offers(r->g, &r->offers);
	assert_int_equal(r->offers.count, 1);
	/* Its relid is the first that is free. */
	offer_again(r, 0);
	assert_int_equal(expect_offer(r), 1);
}

static void a_closed_device_is_rescinded(void **state)
{
	struct rig *r = *state;

	rig_connect(r, VERSION_WIN10_V5_3);
	withdraw(r, 0);
	expect_rescind(r, 1);
	assert_int_equal(r->done_count, 1);
	/* The relid is the guest's until it says otherwise. */
	offer_again(r, 0);
	assert_int_equal(expect_offer(r), 3);
	release(r, 1);
	withdraw(r, 1);
	expect_rescind(r, 2);
	offer_again(r, 1);
	assert_int_equal(expect_offer(r), 1);
}

static void an_open_device_is_closed_and_rescinded(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);

	r->echo[0].close_late = true;
	withdraw(r, 0);
	expect_rescind(r, c->relid);
	assert_string_equal(r->echo[0].log->str, "open0 close0 ");
	assert_int_equal(r->done_count, 0);
	/* What Linux does about it: all of it is moot, and is answered. */
	guest_channel_send_close(c);
	guest_send_teardown(r->g, c->relid, c->gpadl);
	release(r, c->relid);
	rig_silent(r);
	echo_finish_close(&r->echo[0]);
	guest_run(r->g);
	assert_int_equal(r->done_count, 1);
	assert_true(guest_expect(r->g, CHANNELMSG_GPADL_TORNDOWN, NULL, 12));
	offer_again(r, 0);
	assert_int_equal(expect_offer(r), 1);
}

static void a_device_that_opens_is_rescinded_without_a_result(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = &r->ch[0];
	const struct vmbus_channel_gpadl_teardown t = {
		.header.msgtype = CHANNELMSG_GPADL_TEARDOWN,
		.child_relid = 1, .gpadl = 5,
	};
	const struct vmbus_channel_open_channel o = {
		.header.msgtype = CHANNELMSG_OPENCHANNEL, .child_relid = 1,
		.ringbuffer_gpadlhandle = 5,
		.downstream_ringbuffer_pageoffset = RIG_RING_PAGES,
	};

	rig_connect(r, VERSION_WIN10_V5_3);
	assert_true(guest_gpadl(r->g, 1, 5, c->gpa, c->pages));
	for (unsigned fails = 0; fails < 2; fails++) {
		r->echo[0].open_fails = fails ? -EIO : 0;
		guest_post_on(r->g, 4, &o, sizeof(o));
		/* On the main loop only: with two the device has yet to open. */
		loop_turn(r->g->main, false);
		vmbus_withdraw(r->g->bus, &r->echo[0].vmbus, &r->done);
		guest_post_on(r->g, 4, &t, sizeof(t));
		loop_turn(r->g->main, false);
		guest_run(r->g);
		assert_int_equal(r->done_count, fails + 1);
		expect_rescind(r, 1);
		assert_true(guest_expect(r->g, CHANNELMSG_GPADL_TORNDOWN, NULL,
					 12));
		rig_silent(r);
		unload(r);
		assert_true(guest_expect(r->g, CHANNELMSG_UNLOAD_RESPONSE,
					 NULL, 8));
		offer_again(r, 0);
		rig_connect(r, VERSION_WIN10_V5_3);
		assert_true(guest_gpadl(r->g, 1, 5, c->gpa, c->pages));
	}
}

static void a_closing_device_is_rescinded_once_closed(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);

	r->echo[0].close_late = true;
	guest_channel_send_close(c);
	withdraw(r, 0);
	expect_rescind(r, c->relid);
	release(r, c->relid);
	assert_int_equal(r->done_count, 0);
	echo_finish_close(&r->echo[0]);
	guest_run(r->g);
	assert_int_equal(r->done_count, 1);
	assert_string_equal(r->echo[0].log->str, "open0 close0 closed0 ");
	offer_again(r, 0);
	assert_int_equal(expect_offer(r), 1);
}

static void what_fills_fails_before_the_rescind(void **state)
{
	struct rig *r = *state;
	struct vmbus_channel_gpadl_created c;
	const struct vmbus_channel_gpadl_header h = {
		.header.msgtype = CHANNELMSG_GPADL_HEADER,
		.child_relid = 1, .gpadl = 5, .range_buflen = 64,
		.rangecount = 1,
	};

	rig_connect(r, VERSION_WIN10_V5_3);
	GUEST_POST(r->g, &h);
	withdraw(r, 0);
	assert_true(GUEST_EXPECT(r->g, CHANNELMSG_GPADL_CREATED, &c));
	assert_int_not_equal(c.creation_status, 0);
	expect_rescind(r, 1);
	offer_again(r, 0);
	expect_offer(r);
}

/* The guest learns late: it must not wait for what nobody will do. */
static void lists_of_a_rescinded_channel_come_and_go_by_words(void **state)
{
	struct rig *r = *state;

	rig_connect(r, VERSION_WIN10_V5_3);
	assert_true(guest_gpadl(r->g, 1, 4, guest_pages(r->g, 1), 1));
	withdraw(r, 0);
	expect_rescind(r, 1);
	assert_true(guest_gpadl(r->g, 1, 5, guest_pages(r->g, 1), 1));
	assert_int_equal(g_hash_table_size(r->g->bus->gpadls), 1);
	for (uint32_t id = 4; id < 6; id++) {
		guest_send_teardown(r->g, 1, id);
		assert_true(guest_expect(r->g, CHANNELMSG_GPADL_TORNDOWN, NULL,
					 12));
	}
	/* Opening is ignored. */
	guest_channel_send_open(&r->ch[0]);
	rig_silent(r);
	offer_again(r, 0);
	expect_offer(r);
}

static void a_guest_that_leaves_gets_neither_offer_nor_rescind(void **state)
{
	struct rig *r = *state;

	rig_open(r, VERSION_WIN10_V5_3);
	r->echo[0].close_late = true;
	unload(r);
	withdraw(r, 1);
	assert_int_equal(r->done_count, 1);
	offer_again(r, 1);
	rig_silent(r);
	echo_finish_close(&r->echo[0]);
	guest_run(r->g);
	assert_true(guest_expect(r->g, CHANNELMSG_UNLOAD_RESPONSE, NULL, 8));
	rig_silent(r);
	rig_connect(r, VERSION_WIN10_V5_3);
}

/* UEFI never gives relids back. */
static void unload_gives_back_all_relids(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < 5; i++) {
		rig_connect(r, VERSION_WIN8_1);
		withdraw(r, 0);
		expect_rescind(r, 1);
		unload(r);
		assert_true(guest_expect(r->g, CHANNELMSG_UNLOAD_RESPONSE,
					 NULL, 8));
		offer_again(r, 0);
		assert_int_equal(r->g->bus->channels->len, 3);
	}
}

static void reset(struct rig *r)
{
	r->done_count = 0;
	vmbus_reset(r->g->bus, &r->done);
	guest_run(r->g);
}

static void a_reset_works_in_every_state(void **state)
{
	struct rig *r = *state;

	reset(r);			/* never connected */
	assert_int_equal(r->done_count, 1);
	assert_true(guest_connect(r->g, VERSION_WIN10));
	reset(r);			/* connected */
	assert_int_equal(r->done_count, 1);
	rig_connect(r, VERSION_WIN10);
	assert_true(guest_gpadl(r->g, 1, 5, guest_pages(r->g, 4), 4));
	reset(r);			/* with lists */
	assert_int_equal(r->done_count, 1);
	rig_open(r, VERSION_WIN10);
	reset(r);			/* open */
	assert_int_equal(r->done_count, 1);
	assert_string_equal(r->echo[0].log->str, "open0 close0 closed0 ");
	rig_open(r, VERSION_WIN10);
	guest_channel_close(&r->ch[0]);
	withdraw(r, 0);
	reset(r);			/* rescinded and not released */
	assert_int_equal(r->done_count, 1);
	offer_again(r, 0);
	g_free(guest_take(r->g));
	rig_connect(r, VERSION_WIN10);
}

static void a_reset_waits_for_slow_devices(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);

	r->echo[0].hold = true;
	guest_channel_send(c, 1, "12345678", 8);
	guest_run(r->g);
	/* Nobody will be there for the answer to this. */
	guest_channel_send_close(c);
	guest_send_teardown(r->g, c->relid, c->gpadl);
	reset(r);
	assert_int_equal(r->done_count, 0);
	echo_release(&r->echo[0], 1);
	guest_run(r->g);
	assert_int_equal(r->done_count, 1);
	rig_silent(r);
}

/* Unload waits for a device, and then the machine is reset. */
static void a_reset_overtakes_unload_and_contact(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < 2; i++) {
		struct vmbus_channel_initiate_contact c = {
			.header.msgtype = i ? CHANNELMSG_INITIATE_CONTACT :
					      CHANNELMSG_UNLOAD,
		};

		rig_open(r, VERSION_WIN10_V5_3);
		r->echo[0].close_late = true;
		GUEST_POST(r->g, &c);
		reset(r);
		assert_int_equal(r->done_count, 0);
		echo_finish_close(&r->echo[0]);
		guest_run(r->g);
		assert_int_equal(r->done_count, 1);
		rig_silent(r);
	}
}

static void a_reset_while_a_channel_opens_closes_it(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = &r->ch[0];
	const struct vmbus_channel_open_channel o = {
		.header.msgtype = CHANNELMSG_OPENCHANNEL, .child_relid = 1,
		.ringbuffer_gpadlhandle = 5,
		.downstream_ringbuffer_pageoffset = RIG_RING_PAGES,
	};

	rig_connect(r, VERSION_WIN10_V5_3);
	assert_true(guest_gpadl(r->g, 1, 5, c->gpa, c->pages));
	guest_post_on(r->g, 4, &o, sizeof(o));
	loop_turn(r->g->main, false);
	reset(r);
	assert_int_equal(r->done_count, 1);
	assert_string_equal(r->echo[0].log->str, "open0 close0 closed0 ");
	rig_silent(r);
}

/*
 * Guests before 2.4.
 */

/* The lower half of the page tells the guest, the upper half us. */
static uint8_t *interrupt_page(struct rig *r)
{
	return r->g->bus->interrupt_page;
}

static void an_old_guest_finds_signals_in_its_page(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WS2008);
	struct guest_sint *s = &r->g->sint[0][VMBUS_MESSAGE_SINT];

	guest_channel_send(c, 1, "12345678", 8);
	guest_run(r->g);
	assert_int_equal(interrupt_page(r)[0], 1u << c->relid);
	assert_int_equal(s->flags[0], 1);
	assert_int_equal(s->interrupts, 1);
	assert_false(guest_channel_signalled(c));
}

static void an_old_guest_rings_by_its_page(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WS2008);
	struct hv_event_port *port = vmbus_shared_event_port(r->g->bus);
	const struct vmpacket_descriptor d = { VM_PKT_DATA_INBAND, 2, 2, 1, 7 };
	uint8_t *bits = interrupt_page(r) + GMEM_PAGE_SIZE / 2;
	bool ring;

	assert_int_equal(guest_ring_write(&c->tx, &d, "", 0, &ring), 0);
	assert_true(ring);
	/* A bit of a channel that is closed, and of one that is not there. */
	bits[0] = 1u << 2;
	bits[255] = 0x80;
	port->signal(port, 0);
	guest_run(r->g);
	assert_int_equal(r->echo[0].received, 0);
	bits[0] |= 1u << c->relid;
	port->signal(port, 0);
	guest_run(r->g);
	assert_int_equal(r->echo[0].received, 1);
	assert_int_equal(bits[0], 0);
}

/* The guest rings for a channel and releases it at once. */
static void a_channel_rung_for_may_be_gone(void **state)
{
	struct rig *r = *state;
	struct hv_event_port *port = vmbus_shared_event_port(r->g->bus);
	const struct vmbus_channel_relid_released m = {
		.header.msgtype = CHANNELMSG_RELID_RELEASED, .child_relid = 1,
	};

	rig_connect(r, VERSION_WIN7);
	withdraw(r, 0);
	expect_rescind(r, 1);
	interrupt_page(r)[GMEM_PAGE_SIZE / 2] = 1u << 1;
	port->signal(port, 0);
	guest_post_on(r->g, 1, &m, sizeof(m));
	guest_run(r->g);
	assert_null(bus_channel(r->g->bus, 1));
	offer_again(r, 0);
	expect_offer(r);
}

static void the_page_of_a_guest_that_left_is_its_own(void **state)
{
	struct rig *r = *state;
	struct hv_event_port *port = vmbus_shared_event_port(r->g->bus);
	uint8_t *bits;

	rig_connect(r, VERSION_WIN7);
	bits = interrupt_page(r) + GMEM_PAGE_SIZE / 2;
	unload(r);
	assert_true(guest_expect(r->g, CHANNELMSG_UNLOAD_RESPONSE, NULL, 8));
	bits[0] = 1u << 1;
	port->signal(port, 0);
	guest_run(r->g);
	assert_int_equal(bits[0], 1u << 1);
}

static void the_shared_event_means_nothing_to_later_guests(void **state)
{
	struct rig *r = *state;
	struct hv_event_port *port = vmbus_shared_event_port(r->g->bus);
	unsigned readies;

	port->signal(port, 0);
	guest_run(r->g);
	rig_open(r, VERSION_WIN8);
	assert_null(interrupt_page(r));
	readies = r->echo[0].readies;
	port->signal(port, 0);
	guest_run(r->g);
	assert_int_equal(r->echo[0].readies, readies);
}

/* The bus goes while a channel is open: the loops have stopped. */
static void a_bus_can_be_freed_as_it_is(void **state)
{
	struct guest *g = guest_new(rig_loops);
	static struct guest_offer offers;
	struct guest_channel c;
	struct echo e;

	echo_init(&e, g->dev, &g->gm, 3);
	e.hold = true;
	assert_int_equal(vmbus_offer(g->bus, &e.vmbus), 0);
	assert_true(guest_connect(g, VERSION_WIN10_V5_3));
	guest_request_offers(g, &offers);
	guest_channel_init(&c, g, &offers.offer[0], 4, 2);
	assert_true(guest_channel_open(&c));
	guest_channel_send(&c, 1, "12345678", 8);
	guest_run(g);
	guest_free(g);
	echo_finish(&e);
	vmbus_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(an_instance_is_offered_once),
		RIG_TEST(relids_follow_the_order_of_offering),
		RIG_TEST(a_late_offer_comes_at_once),
		RIG_TEST(relids_run_out_and_come_back),
		RIG_TEST(a_device_nobody_knows_is_withdrawn_silently),
		RIG_TEST(a_closed_device_is_rescinded),
		RIG_TEST(an_open_device_is_closed_and_rescinded),
		RIG_TEST(a_device_that_opens_is_rescinded_without_a_result),
		RIG_TEST(a_closing_device_is_rescinded_once_closed),
		RIG_TEST(what_fills_fails_before_the_rescind),
		RIG_TEST(lists_of_a_rescinded_channel_come_and_go_by_words),
		RIG_TEST(a_guest_that_leaves_gets_neither_offer_nor_rescind),
		RIG_TEST(unload_gives_back_all_relids),
		RIG_TEST(a_reset_works_in_every_state),
		RIG_TEST(a_reset_waits_for_slow_devices),
		RIG_TEST(a_reset_overtakes_unload_and_contact),
		RIG_TEST(a_reset_while_a_channel_opens_closes_it),
		RIG_TEST(an_old_guest_finds_signals_in_its_page),
		RIG_TEST(an_old_guest_rings_by_its_page),
		RIG_TEST(a_channel_rung_for_may_be_gone),
		RIG_TEST(the_page_of_a_guest_that_left_is_its_own),
		RIG_TEST(the_shared_event_means_nothing_to_later_guests),
		RIG_TEST(a_bus_can_be_freed_as_it_is),
	};

	return RIG_RUN(tests);
}
