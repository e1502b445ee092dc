/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rig.h"

static struct vmbus_channel_open_channel open_msg(const struct guest_channel *c)
{
	return (struct vmbus_channel_open_channel){
		.header.msgtype = CHANNELMSG_OPENCHANNEL,
		.child_relid = c->relid,
		.openid = 0x1234,
		.ringbuffer_gpadlhandle = c->gpadl,
		.downstream_ringbuffer_pageoffset = c->split,
	};
}

/* 1: opened; 0: refused; -1: no answer at all. */
static int try_open(struct rig *r, const struct vmbus_channel_open_channel *o)
{
	struct vmbus_channel_open_result res;

	GUEST_POST(r->g, o);
	if (g_queue_is_empty(&r->g->messages))
		return -1;
	assert_true(GUEST_EXPECT(r->g, CHANNELMSG_OPENCHANNEL_RESULT, &res));
	assert_int_equal(res.child_relid, o->child_relid);
	assert_int_equal(res.openid, o->openid);
	rig_silent(r);
	return res.status == VMBUS_STATUS_SUCCESS;
}

static void post_modify(struct rig *r, uint32_t relid, uint32_t vp)
{
	const struct vmbus_channel_modifychannel m = {
		.header.msgtype = CHANNELMSG_MODIFYCHANNEL,
		.child_relid = relid, .target_vp = vp,
	};

	GUEST_POST(r->g, &m);
}

static void expect_modified(struct rig *r, uint32_t relid, bool ok)
{
	struct vmbus_channel_modifychannel_response m;

	assert_true(GUEST_EXPECT(r->g, CHANNELMSG_MODIFYCHANNEL_RESPONSE, &m));
	assert_int_equal(m.child_relid, relid);
	assert_int_equal(m.status, ok ? 0 : VMBUS_STATUS_UNSUCCESSFUL);
}

static void release(struct rig *r, uint32_t relid)
{
	const struct vmbus_channel_relid_released m = {
		.header.msgtype = CHANNELMSG_RELID_RELEASED,
		.child_relid = relid,
	};

	GUEST_POST(r->g, &m);
}

/* Whether a packet goes to the device and back, with a signal. */
static bool works(struct rig *r, struct guest_channel *c)
{
	struct guest_packet p;

	guest_channel_signalled(c);
	if (guest_channel_send(c, 99, "12345678", 8))
		return false;
	guest_run(r->g);
	return guest_channel_recv(c, &p) && p.desc.trans_id == 99 &&
	       guest_channel_signalled(c);
}

static void a_channel_opens_and_closes_over_and_over(void **state)
{
	struct rig *r = *state;

	rig_connect(r, VERSION_WIN10_V5_3);
	for (unsigned i = 0; i < 20; i++) {
		struct guest_channel c;

		guest_channel_init(&c, r->g, &r->offers.offer[0], 4, 2);
		assert_true(guest_channel_open(&c));
		assert_true(works(r, &c));
		guest_channel_close(&c);
		rig_silent(r);
	}
}

static void rings_need_a_list_of_their_channel(void **state)
{
	struct rig *r = *state;
	struct vmbus_channel_open_channel o;

	rig_connect(r, VERSION_WIN10_V5_3);
	o = open_msg(&r->ch[0]);
	assert_int_equal(try_open(r, &o), 0);
	assert_true(guest_gpadl(r->g, 2, o.ringbuffer_gpadlhandle,
				r->ch[0].gpa, r->ch[0].pages));
	assert_int_equal(try_open(r, &o), 0);
	assert_true(guest_gpadl(r->g, 1, o.ringbuffer_gpadlhandle,
				r->ch[0].gpa, r->ch[0].pages));
	assert_int_equal(try_open(r, &o), 1);
}

static void each_ring_needs_two_pages(void **state)
{
	struct rig *r = *state;
	static const uint32_t bad[] = { 0, 1, 4, 5, UINT32_MAX, 0x80000000 };
	struct vmbus_channel_open_channel o;
	gpa_t gpa = guest_pages(r->g, 5);

	rig_connect(r, VERSION_WIN10_V5_3);
	assert_true(guest_gpadl(r->g, 1, 7, gpa, 5));
	o = open_msg(&r->ch[0]);
	o.ringbuffer_gpadlhandle = 7;
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		o.downstream_ringbuffer_pageoffset = bad[i];
		assert_int_equal(try_open(r, &o), 0);
	}
	for (uint32_t split = 2; split < 4; split++) {
		o.downstream_ringbuffer_pageoffset = split;
		assert_int_equal(try_open(r, &o), 1);
		guest_channel_send_close(&r->ch[0]);
	}
}

/* A list cannot be the ring of two channels; nor of one that closes. */
static void a_ring_in_use_is_not_used_again(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);
	struct vmbus_channel_open_channel o = open_msg(c);

	r->echo[0].close_late = true;
	guest_channel_send_close(c);
	assert_int_equal(try_open(r, &o), -1);
	echo_finish_close(&r->echo[0]);
	guest_run(r->g);
	assert_int_equal(try_open(r, &o), 1);
}

static void indices_that_are_bad_from_the_start_are_refused(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = &r->ch[0];
	struct vmbus_channel_open_channel o;

	rig_connect(r, VERSION_WIN10_V5_3);
	assert_true(guest_gpadl(r->g, 1, c->gpadl, c->gpa, c->pages));
	o = open_msg(c);
	c->tx.ctrl->read_index = c->tx.size;
	assert_int_equal(try_open(r, &o), 0);
	c->tx.ctrl->read_index = 0;
	c->rx.ctrl->write_index = 4;
	assert_int_equal(try_open(r, &o), 0);
	c->rx.ctrl->write_index = 0;
	assert_int_equal(try_open(r, &o), 1);
}

static void the_target_vp_must_be_there_or_none(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = &r->ch[0];
	struct vmbus_channel_open_channel o;

	rig_connect(r, VERSION_WIN10_V5_3);
	assert_true(guest_gpadl(r->g, 1, c->gpadl, c->gpa, c->pages));
	o = open_msg(c);
	o.target_vp = GUEST_VPS;
	assert_int_equal(try_open(r, &o), 0);
	o.target_vp = UINT32_MAX - 1;
	assert_int_equal(try_open(r, &o), 0);
	o.target_vp = VMBUS_TARGET_VP_NONE;
	assert_int_equal(try_open(r, &o), 1);
	guest_channel_send_close(c);
	o.target_vp = GUEST_VPS - 1;
	assert_int_equal(try_open(r, &o), 1);
	c->target_vp = o.target_vp;
	assert_true(works(r, c));
}

/* Before 2.4 interrupts go where messages go, whatever the field holds. */
static void an_old_guest_does_not_choose_the_vp(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = &r->ch[0];
	struct vmbus_channel_open_channel o;

	rig_connect(r, VERSION_WIN7);
	assert_true(guest_gpadl(r->g, 1, c->gpadl, c->gpa, c->pages));
	o = open_msg(c);
	o.target_vp = 12345;
	assert_int_equal(try_open(r, &o), 1);
	guest_channel_send(c, 1, "12345678", 8);
	guest_run(r->g);
	assert_int_equal(r->g->sint[0][2].interrupts, 1);
}

static void opening_what_cannot_be_opened_is_ignored(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);
	struct vmbus_channel_open_channel o = open_msg(c);
	static const uint32_t relids[] = { 0, 3, 2047, 2048, UINT32_MAX };

	assert_int_equal(try_open(r, &o), -1);
	for (size_t i = 0; i < G_N_ELEMENTS(relids); i++) {
		o.child_relid = relids[i];
		assert_int_equal(try_open(r, &o), -1);
	}
	assert_true(works(r, c));
}

static void a_device_may_refuse(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = &r->ch[0];
	struct vmbus_channel_open_channel o;

	rig_connect(r, VERSION_WIN10_V5_3);
	assert_true(guest_gpadl(r->g, 1, c->gpadl, c->gpa, c->pages));
	o = open_msg(c);
	r->echo[0].open_fails = -EBUSY;
	assert_int_equal(try_open(r, &o), 0);
	r->echo[0].open_fails = 0;
	r->g->doorbell_fails = -ENOSPC;
	assert_int_equal(try_open(r, &o), 0);
	assert_string_equal(r->echo[0].log->str, "");
	r->g->doorbell_fails = 0;
	assert_int_equal(try_open(r, &o), 1);
	assert_true(works(r, c));
}

static void closing_what_is_not_open_is_ignored(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = &r->ch[0];
	const struct vmbus_channel_open_channel o = {
		.header.msgtype = CHANNELMSG_OPENCHANNEL, .child_relid = 1,
		.ringbuffer_gpadlhandle = 5,
		.downstream_ringbuffer_pageoffset = RIG_RING_PAGES,
	};
	const struct vmbus_channel_close_channel close = {
		.header.msgtype = CHANNELMSG_CLOSECHANNEL, .child_relid = 1,
	};

	rig_connect(r, VERSION_WIN10_V5_3);
	guest_channel_send_close(c);
	assert_true(guest_gpadl(r->g, 1, 5, c->gpa, c->pages));
	/* Both at once: the close comes while the channel opens. */
	guest_post_on(r->g, 4, &o, sizeof(o));
	guest_post_on(r->g, 4, &close, sizeof(close));
	guest_run(r->g);
	assert_true(guest_expect(r->g, CHANNELMSG_OPENCHANNEL_RESULT, NULL,
				 20));
	assert_string_equal(r->echo[0].log->str, "open0 ");
	guest_channel_send_close(c);
	guest_channel_send_close(c);
	assert_string_equal(r->echo[0].log->str, "open0 close0 closed0 ");
	rig_silent(r);
}

static void what_was_sent_before_opening_is_found(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = &r->ch[0];
	struct guest_packet p;

	rig_connect(r, VERSION_WIN10_V5_3);
	guest_channel_send(c, 5, "12345678", 8);
	assert_true(guest_channel_open(c));
	guest_run(r->g);
	assert_true(guest_channel_recv(c, &p));
	assert_int_equal(p.desc.trans_id, 5);
}

/*
 * The orders of real guests.
 */
static void linux_closes_and_tears_down_without_waiting(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);
	const struct vmbus_channel_close_channel close = {
		.header.msgtype = CHANNELMSG_CLOSECHANNEL,
		.child_relid = c->relid,
	};
	const struct vmbus_channel_gpadl_teardown t = {
		.header.msgtype = CHANNELMSG_GPADL_TEARDOWN,
		.child_relid = c->relid, .gpadl = c->gpadl,
	};

	guest_post_on(r->g, 4, &close, sizeof(close));
	guest_post_on(r->g, 4, &t, sizeof(t));
	guest_run(r->g);
	assert_true(guest_expect(r->g, CHANNELMSG_GPADL_TORNDOWN, NULL, 12));
	rig_silent(r);
}

/* Also while the channel moves to another VP. */
static void a_close_during_a_move_loses_nothing(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);
	const struct vmbus_channel_modifychannel m = {
		.header.msgtype = CHANNELMSG_MODIFYCHANNEL,
		.child_relid = c->relid, .target_vp = 1,
	};
	const struct vmbus_channel_close_channel close = {
		.header.msgtype = CHANNELMSG_CLOSECHANNEL,
		.child_relid = c->relid,
	};
	const struct vmbus_channel_gpadl_teardown t = {
		.header.msgtype = CHANNELMSG_GPADL_TEARDOWN,
		.child_relid = c->relid, .gpadl = c->gpadl,
	};

	guest_post_on(r->g, 4, &m, sizeof(m));
	guest_post_on(r->g, 4, &m, sizeof(m));	/* one at a time */
	guest_post_on(r->g, 4, &close, sizeof(close));
	guest_post_on(r->g, 4, &t, sizeof(t));
	guest_run(r->g);
	expect_modified(r, c->relid, false);
	expect_modified(r, c->relid, true);
	assert_true(guest_expect(r->g, CHANNELMSG_GPADL_TORNDOWN, NULL, 12));
	rig_silent(r);
	assert_string_equal(r->echo[0].log->str, "open0 close0 closed0 ");
}

/* FreeBSD posts on connection 1 and does not wait for unload's answer. */
static void freebsd_comes_and_goes(void **state)
{
	struct rig *r = *state;
	const struct vmbus_channel_message_header unload = {
		.msgtype = CHANNELMSG_UNLOAD,
	};

	for (unsigned i = 0; i < 3; i++) {
		struct guest_channel *c = rig_open(r, VERSION_WIN10);

		assert_true(works(r, c));
		assert_int_equal(guest_post_on(r->g, 1, &unload,
					       sizeof(unload)), 0);
		guest_run(r->g);
		g_free(guest_take(r->g));
		rig_silent(r);
	}
}

/* UEFI asks for 6.0 first, pads all it sends, and asserts exact sizes. */
static void uefi_comes_and_goes(void **state)
{
	struct rig *r = *state;
	const struct vmbus_channel_message_header unload = {
		.msgtype = CHANNELMSG_UNLOAD,
	};
	uint8_t padded[HV_MESSAGE_PAYLOAD_MAX] = { 0 };
	struct vmbus_channel_open_channel o;
	struct guest_channel *c;

	assert_false(guest_connect(r->g, VERSION_V6_0));
	rig_connect(r, VERSION_WIN8_1);
	c = &r->ch[0];
	assert_true(guest_gpadl(r->g, 1, c->gpadl, c->gpa, c->pages));
	o = open_msg(c);
	memcpy(padded, &o, sizeof(o));
	guest_post(r->g, padded, sizeof(padded));
	assert_true(guest_expect(r->g, CHANNELMSG_OPENCHANNEL_RESULT, NULL,
				 20));
	assert_true(works(r, c));
	guest_channel_close(c);
	GUEST_POST(r->g, &unload);
	assert_true(guest_expect(r->g, CHANNELMSG_UNLOAD_RESPONSE, NULL, 8));
	rig_silent(r);
}

/*
 * Moving to another VP.
 */
static void a_channel_moves_to_another_vp(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);

	for (uint32_t vp = 0; vp < GUEST_VPS; vp++) {
		post_modify(r, c->relid, vp);
		expect_modified(r, c->relid, true);
		c->target_vp = vp;
		assert_true(works(r, c));
	}
}

static void before_5_3_a_move_is_not_answered(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V4_1);

	post_modify(r, c->relid, 2);
	post_modify(r, c->relid, 99);
	post_modify(r, 2, 0);
	rig_silent(r);
	c->target_vp = 2;
	assert_true(works(r, c));
}

static void a_move_that_cannot_be_is_refused(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);

	post_modify(r, c->relid, GUEST_VPS);
	expect_modified(r, c->relid, false);
	post_modify(r, 2, 0);		/* closed */
	expect_modified(r, 2, false);
	post_modify(r, 3, 0);		/* not there */
	post_modify(r, UINT32_MAX, 0);
	rig_silent(r);
	assert_true(works(r, c));
}

/* What came while interrupts were off is signalled when they are on again. */
static void interrupts_can_be_turned_off(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);
	struct guest_packet p;

	post_modify(r, c->relid, VMBUS_TARGET_VP_NONE);
	expect_modified(r, c->relid, true);
	guest_channel_send(c, 1, "12345678", 8);
	guest_run(r->g);
	assert_false(guest_channel_signalled(c));
	post_modify(r, c->relid, 1);
	expect_modified(r, c->relid, true);
	assert_false(guest_channel_signalled(c));
	c->target_vp = 1;
	assert_true(guest_channel_signalled(c));
	assert_true(guest_channel_recv(c, &p));
	post_modify(r, c->relid, 2);
	expect_modified(r, c->relid, true);
	c->target_vp = 2;
	assert_false(guest_channel_signalled(c));
}

/*
 * Relids.
 */
static void a_relid_that_is_in_use_cannot_be_released(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);

	release(r, c->relid);
	assert_true(works(r, c));
	assert_true(guest_gpadl(r->g, c->relid, 5, guest_pages(r->g, 1), 1));
	release(r, 0);
	release(r, 3);
	release(r, UINT32_MAX);
	guest_channel_close(c);
	rig_silent(r);
}

static void what_was_released_is_gone_until_the_next_connection(void **state)
{
	struct rig *r = *state;

	rig_connect(r, VERSION_WIN10_V5_3);
	release(r, 1);
	release(r, 1);
	assert_false(guest_gpadl(r->g, 1, 5, guest_pages(r->g, 4), 4));
	guest_channel_send_open(&r->ch[0]);
	rig_silent(r);
	rig_open(r, VERSION_WIN10_V5_3);
}

/*
 * Sub-channels.
 */
static void offer_subchannels(struct rig *r, unsigned count)
{
	struct guest_packet p;

	r->echo[0].subchannels = count;
	assert_int_equal(guest_channel_send(&r->ch[0], 3, "sub", 3), 0);
	guest_run(r->g);
	assert_true(guest_channel_recv(&r->ch[0], &p));
}

static struct vmbus_channel_offer_channel expect_offer(struct rig *r,
						       unsigned index)
{
	struct vmbus_channel_offer_channel o;

	assert_true(GUEST_EXPECT(r->g, CHANNELMSG_OFFERCHANNEL, &o));
	assert_int_equal(o.offer.sub_channel_index, index);
	assert_true(guid_equal(&o.offer.if_instance,
			       &r->echo[0].vmbus.if_instance));
	return o;
}

static void subchannels_are_offered_and_work(void **state)
{
	struct rig *r = *state;
	struct guest_channel sub[3];

	rig_open(r, VERSION_WIN10_V5_3);
	offer_subchannels(r, 3);
	for (unsigned i = 0; i < 3; i++) {
		struct vmbus_channel_offer_channel o = expect_offer(r, i + 1);

		assert_int_equal(o.child_relid, 3 + i);
		guest_channel_init(&sub[i], r->g, &o, 4, 2);
		sub[i].target_vp = i % GUEST_VPS;
	}
	rig_silent(r);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(guest_channel_open(&sub[i]));
		assert_true(works(r, &sub[i]));
	}
	assert_string_equal(r->echo[0].log->str, "open0 open1 open2 open3 ");
}

/* Nothing happens to them while it does not turn. */
static void subchannels_may_live_on_another_loop(void **state)
{
	struct rig *r = *state;
	struct loop *other = loop_new(NULL);
	struct guest_channel sub;
	struct vmbus_channel_offer_channel o;

	rig_open(r, VERSION_WIN10_V5_3);
	r->echo[0].sub_loop = other;
	loop_set_clock(other, guest_now);
	offer_subchannels(r, 1);
	o = expect_offer(r, 1);
	guest_channel_init(&sub, r->g, &o, 4, 2);
	assert_true(guest_gpadl(r->g, sub.relid, sub.gpadl, sub.gpa,
				sub.pages));
	guest_channel_send_open(&sub);
	assert_string_equal(r->echo[0].log->str, "open0 ");
	assert_true(works(r, &r->ch[0]));
	loop_turn(other, false);
	assert_string_equal(r->echo[0].log->str, "open0 open1 ");
	guest_run(r->g);
	assert_true(GUEST_EXPECT(r->g, CHANNELMSG_OPENCHANNEL_RESULT,
				 &(struct vmbus_channel_open_result){ 0 }));
	/* Both are closed by the reset at the end, each by its own. */
	vmbus_reset(r->g->bus, &r->done);
	guest_run(r->g);
	assert_string_equal(r->echo[0].log->str,
			    "open0 open1 close0 closed0 ");
	assert_int_equal(r->done_count, 0);
	while (loop_turn(other, false))
		;
	guest_run(r->g);
	assert_string_equal(r->echo[0].log->str,
			    "open0 open1 close0 closed0 close1 closed1 ");
	assert_int_equal(r->done_count, 1);
	loop_free(other);
}

/* Linux closes sub-channels first; then the host takes them back. */
static void subchannels_go_when_the_primary_closes(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < 3; i++) {
		struct vmbus_channel_offer_channel o;
		struct vmbus_channel_rescind_offer m;
		struct guest_channel sub;

		if (i == 0)
			rig_open(r, VERSION_WIN10_V5_3);
		else
			assert_true(guest_channel_open(&r->ch[0]));
		offer_subchannels(r, 1);
		o = expect_offer(r, 1);
		assert_int_equal(o.child_relid, 3);
		guest_channel_init(&sub, r->g, &o, 4, 2);
		assert_true(guest_channel_open(&sub));
		if (i)		/* and those that do not care */
			guest_channel_close(&sub);
		guest_channel_send_close(&r->ch[0]);
		assert_true(GUEST_EXPECT(r->g,
					 CHANNELMSG_RESCIND_CHANNELOFFER, &m));
		assert_int_equal(m.child_relid, 3);
		guest_send_teardown(r->g, 1, r->ch[0].gpadl);
		assert_true(guest_expect(r->g, CHANNELMSG_GPADL_TORNDOWN, NULL,
					 12));
		release(r, 3);
		guest_channel_init(&r->ch[0], r->g, &r->offers.offer[0],
				   2 * RIG_RING_PAGES, RIG_RING_PAGES);
		rig_silent(r);
	}
}

static void subchannels_are_not_offered_after_the_close(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);
	const struct vmbus_channel_close_channel close = {
		.header.msgtype = CHANNELMSG_CLOSECHANNEL,
		.child_relid = c->relid,
	};

	r->echo[0].subchannels = 2;
	guest_channel_send(c, 3, "sub", 3);
	guest_post_on(r->g, 4, &close, sizeof(close));
	guest_run(r->g);
	/* Whatever was offered is taken back. */
	while (guest_expect(r->g, CHANNELMSG_OFFERCHANNEL, NULL, 196))
		assert_true(guest_expect(r->g, CHANNELMSG_RESCIND_CHANNELOFFER,
					 NULL, 12));
	rig_silent(r);
}

static void subchannels_do_not_survive_the_connection(void **state)
{
	struct rig *r = *state;

	rig_open(r, VERSION_WIN10_V5_3);
	offer_subchannels(r, 2);
	expect_offer(r, 1);
	expect_offer(r, 2);
	rig_connect(r, VERSION_WIN10_V5_3);
	assert_null(bus_channel(r->g->bus, 3));
	assert_null(bus_channel(r->g->bus, 4));
}

static void subchannels_go_with_their_device(void **state)
{
	struct rig *r = *state;

	rig_open(r, VERSION_WIN10_V5_3);
	offer_subchannels(r, 1);
	expect_offer(r, 1);
	vmbus_withdraw(r->g->bus, &r->echo[0].vmbus, &r->done);
	guest_run(r->g);
	assert_true(guest_expect(r->g, CHANNELMSG_RESCIND_CHANNELOFFER, NULL,
				 12));
	assert_true(guest_expect(r->g, CHANNELMSG_RESCIND_CHANNELOFFER, NULL,
				 12));
	assert_int_equal(r->done_count, 1);
	release(r, 1);
	release(r, 3);
	assert_int_equal(vmbus_offer(r->g->bus, &r->echo[0].vmbus), 0);
	guest_run(r->g);
	assert_true(guest_expect(r->g, CHANNELMSG_OFFERCHANNEL, NULL, 196));
}

/* Relids run out in the middle: the guest gets those that there are. */
static void subchannels_stop_where_relids_run_out(void **state)
{
	struct rig *r = *state;
	unsigned offered = 0;

	rig_open(r, VERSION_WIN10_V5_3);
	offer_subchannels(r, VMBUS_RELID_MAX);
	while (guest_expect(r->g, CHANNELMSG_OFFERCHANNEL, NULL, 196))
		offered++;
	assert_int_equal(offered, VMBUS_RELID_MAX - 2);
	rig_silent(r);
}

/*
 * Reserved channels.
 */
static void reserved_channels_are_refused_where_the_guest_waits(void **state)
{
	struct rig *r = *state;
	struct vmbus_channel_open_reserved o = {
		.header.msgtype = CHANNELMSG_OPEN_RESERVED,
		.child_relid = 1, .target_vp = 2, .target_sint = 3,
	};
	struct vmbus_channel_close_reserved c = {
		.header.msgtype = CHANNELMSG_CLOSE_RESERVED,
		.child_relid = 1, .target_vp = 1, .target_sint = 1,
	};
	struct vmbus_channel_close_reserved_response closed;
	struct vmbus_channel_open_result res;
	const struct guest_message *m;

	rig_connect(r, VERSION_WIN10);
	GUEST_POST(r->g, &o);
	m = g_queue_peek_head(&r->g->messages);
	assert_int_equal(m->vp, 2);
	assert_int_equal(m->sint, 3);
	assert_true(GUEST_EXPECT(r->g, CHANNELMSG_OPENCHANNEL_RESULT, &res));
	assert_int_equal(res.child_relid, 1);
	assert_int_not_equal(res.status, 0);
	GUEST_POST(r->g, &c);
	m = g_queue_peek_head(&r->g->messages);
	assert_int_equal(m->vp, 1);
	assert_int_equal(m->sint, 1);
	assert_true(GUEST_EXPECT(r->g, CHANNELMSG_CLOSE_RESERVED_RESPONSE,
				 &closed));
	assert_int_equal(closed.child_relid, 1);
	/* Where there is nobody, nobody is told. */
	o.target_vp = c.target_vp = GUEST_VPS;
	GUEST_POST(r->g, &o);
	GUEST_POST(r->g, &c);
	o.target_vp = c.target_vp = 0;
	o.target_sint = c.target_sint = UINT32_MAX;
	GUEST_POST(r->g, &o);
	GUEST_POST(r->g, &c);
	rig_silent(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(a_channel_opens_and_closes_over_and_over),
		RIG_TEST(rings_need_a_list_of_their_channel),
		RIG_TEST(each_ring_needs_two_pages),
		RIG_TEST(a_ring_in_use_is_not_used_again),
		RIG_TEST(indices_that_are_bad_from_the_start_are_refused),
		RIG_TEST(the_target_vp_must_be_there_or_none),
		RIG_TEST(an_old_guest_does_not_choose_the_vp),
		RIG_TEST(opening_what_cannot_be_opened_is_ignored),
		RIG_TEST(a_device_may_refuse),
		RIG_TEST(closing_what_is_not_open_is_ignored),
		RIG_TEST(what_was_sent_before_opening_is_found),
		RIG_TEST(linux_closes_and_tears_down_without_waiting),
		RIG_TEST(a_close_during_a_move_loses_nothing),
		RIG_TEST(freebsd_comes_and_goes),
		RIG_TEST(uefi_comes_and_goes),
		RIG_TEST(a_channel_moves_to_another_vp),
		RIG_TEST(before_5_3_a_move_is_not_answered),
		RIG_TEST(a_move_that_cannot_be_is_refused),
		RIG_TEST(interrupts_can_be_turned_off),
		RIG_TEST(a_relid_that_is_in_use_cannot_be_released),
		RIG_TEST(what_was_released_is_gone_until_the_next_connection),
		RIG_TEST(subchannels_are_offered_and_work),
		RIG_TEST(subchannels_may_live_on_another_loop),
		RIG_TEST(subchannels_go_when_the_primary_closes),
		RIG_TEST(subchannels_are_not_offered_after_the_close),
		RIG_TEST(subchannels_do_not_survive_the_connection),
		RIG_TEST(subchannels_go_with_their_device),
		RIG_TEST(subchannels_stop_where_relids_run_out),
		RIG_TEST(reserved_channels_are_refused_where_the_guest_waits),
	};

	return RIG_RUN(tests);
}
