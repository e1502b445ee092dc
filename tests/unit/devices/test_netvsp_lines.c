/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A NIC whose cable has several queues, each with a loop of its own, which the
 * test turns one by one: what one line does, and what it leaves to others.
 */
#include <netinet/in.h>

#include "netvsp_rig.h"

#define LINES	3
#define LARGE	60000	/* bytes of a frame that takes many buffers */

static void settle(struct netvsc *c)
{
	while (netvsc_turn(c))
		;
}

static int setup_lines(void **state)
{
	struct netvsc *c = netvsc_new_lines(NETVSC_QUEUES, LINES);

	netvsc_start(c, NVSP_PROTOCOL_VERSION_61, 1514,
		     NVSP_CAPABILITY_IEEE8021Q | NVSP_CAPABILITY_RSC);
	open_subchannels(c, NETVSC_QUEUES - 1);
	settle(c);
	g_free(fake_answer(c->ch[0]));	/* the send table */
	*state = c;
	return 0;
}

/*
 * What guest and cable do.
 */
static uint32_t send_on(struct netvsc *c, unsigned channel, unsigned mark)
{
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 10);
	uint8_t msg[512];

	f->bytes[f->payload] = (uint8_t)mark;
	return netvsc_send(c, channel, NVSP_CHANNEL_DATA, msg,
			   netvsc_wrap(msg, NULL, 0, f->bytes, f->len));
}

/* Channel 2 of the cable's second line is to take all that comes, say. */
static void receive_on(struct netvsc *c, unsigned channel)
{
	struct {
		struct ndis_rss_parameters p;
		uint8_t key[NDIS_RSS_KEY_SIZE];
		uint32_t table;
	} __attribute__((packed)) rss = {
		.p = {
			.header.size = sizeof(rss.p),
			.hash_info = NDIS_HASH_IPV4,
			.table_size = sizeof(rss.table),
			.table_offset = sizeof(rss.p) + sizeof(rss.key),
			.key_size = sizeof(rss.key),
			.key_offset = sizeof(rss.p),
		},
		.key = { 1 },
		.table = channel,
	};

	assert_int_equal(netvsc_set(c, OID_RSS, &rss, sizeof(rss)),
			 RNDIS_STATUS_SUCCESS);
}

static void tell(const struct net_mem *line, void (*what)(void *))
{
	what(line->net.user.user);
}

/* @count frames come on @line, which says so. */
static void come_by(struct net_mem *line, unsigned count, size_t size)
{
	const struct virtio_net_hdr hdr = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = size > 1400 ? VIRTIO_NET_HDR_GSO_TCPV4 : 0,
		.hdr_len = 54, .gso_size = 1400,
		.csum_start = 34, .csum_offset = 16,
	};
	g_autofree struct made *f = make_frame(4, IPPROTO_TCP, size);

	for (unsigned i = 0; i < count; i++)
		net_mem_receive(line, &hdr, f->bytes, f->len);
	tell(line, line->net.user.readable);
}

/* RSS is not for these, so they are for the primary channel. */
static void come_unsorted_by(struct net_mem *line, unsigned count)
{
	g_autofree struct made *f = make_frame(6, IPPROTO_UDP, 10);

	for (unsigned i = 0; i < count; i++)
		net_mem_receive(line, NULL, f->bytes, f->len);
	tell(line, line->net.user.readable);
}

static void set_rsc(struct netvsc *c)
{
	const struct ndis_offload_parameters p = {
		.header = { NDIS_OBJECT_TYPE_DEFAULT, 3, sizeof(p) },
		.rsc_ip4 = NDIS_OFFLOAD_ON, .rsc_ip6 = NDIS_OFFLOAD_ON,
	};
	struct fake_transfer *t;

	assert_int_equal(netvsc_set(c, OID_OFFLOAD, &p, sizeof(p)),
			 RNDIS_STATUS_SUCCESS);
	t = fake_transfer(c->ch[0]);	/* the indication */
	fake_complete(c->ch[0], t->t.trans_id);
	fake_kick(c->ch[0]);
	g_free(t);
}

/* What @channel has got is given back, by itself. */
static unsigned take(struct netvsc *c, unsigned channel)
{
	g_autoptr(GPtrArray) all = netvsc_received(c, channel);

	return all->len;
}

/* The guest is slow: what it got stays its own until it says which. */
static void keep(struct netvsc *c, unsigned channel, GArray *ids)
{
	struct fake_transfer *t;

	while ((t = fake_transfer(c->ch[channel]))) {
		g_array_append_val(ids, t->t.trans_id);
		g_free(t);
	}
}

static void give_back(struct netvsc *c, unsigned channel, const GArray *ids)
{
	for (guint i = 0; i < ids->len; i++)
		fake_complete(c->ch[channel], g_array_index(ids, uint64_t, i));
}

static void answer(struct netvsc *c, unsigned channel)
{
	g_free(fake_answer(c->ch[channel]));
}

static uint32_t share(const struct netvsc *c, unsigned line)
{
	const struct recv_buf *b = &c->nv->recv;

	return line < LINES - 1 ? b->share :
				  b->count - b->control - line * b->share;
}

/* All suballocations are where they began. */
static void assert_nothing_leaked(struct netvsc *c)
{
	struct recv_buf *b = &c->nv->recv;

	settle(c);
	for (unsigned i = 0; i < LINES; i++)
		assert_int_equal(c->nv->line[i]->free.count +
				 c->nv->line[i]->returned.count, share(c, i));
	assert_int_equal(b->free_control.count, b->control);
	for (uint32_t n = 0; n < b->count; n++)
		assert_int_equal(b->buffer[n].sent_on, 0);
}

/*
 * Each by itself.
 */
static void channels_live_where_their_lines_do(void **state)
{
	struct netvsc *c = *state;
	const struct vmbus_device *dev = netvsp_device(c->nv);

	assert_ptr_equal(dev->loop, c->loops[0]);
	for (unsigned i = 1; i < NETVSC_QUEUES; i++)
		assert_ptr_equal(dev->ops->loop(dev, i), c->loops[i % LINES]);
}

static void a_channel_sends_on_its_own_line(void **state)
{
	struct netvsc *c = *state;

	for (unsigned i = 0; i < NETVSC_QUEUES; i++)
		assert_int_equal(send_on(c, i, i), NVSP_STAT_SUCCESS);
	for (unsigned i = 0; i < NETVSC_QUEUES; i++) {
		g_autofree struct net_mem_frame *s =
			net_mem_sent(c->line[i % LINES]);

		assert_non_null(s);
		assert_int_equal(s->bytes[42], i);
	}
}

static void a_full_line_holds_its_own_channels_up(void **state)
{
	struct netvsc *c = *state;

	c->line[1]->room = 0;
	assert_int_equal(send_on(c, 1, 1), NVSP_STAT_NONE);
	assert_int_equal(send_on(c, 2, 2), NVSP_STAT_SUCCESS);
	c->line[1]->room = 100;
	tell(c->line[2], c->line[2]->net.user.writable);
	assert_true(c->ch[1]->busy);
	tell(c->line[1], c->line[1]->net.user.writable);
	assert_false(c->ch[1]->busy);
	answer(c, 1);
}

static void a_busy_line_does_not_keep_others_waiting(void **state)
{
	struct netvsc *c = *state;

	come_by(c->line[0], 2 * RX_BUDGET, 10);
	come_by(c->line[1], 1, 10);
	assert_int_equal(c->line[1]->incoming.length, 0);
	assert_int_not_equal(c->line[0]->incoming.length, 0);
}

static void counters_are_of_all_lines(void **state)
{
	struct netvsc *c = *state;
	struct ndis_statistics s;

	for (unsigned i = 0; i < LINES; i++) {
		come_by(c->line[i], i + 1, 10);
		assert_int_equal(send_on(c, i, 0), NVSP_STAT_SUCCESS);
	}
	stats_object(c->nv, &s);
	assert_int_equal(s.in_frames[FRAME_DIRECTED], 1 + 2 + 3);
	assert_int_equal(s.out_frames[FRAME_DIRECTED], LINES);
	settle(c);
	assert_int_equal(take(c, 0), 1 + 2 + 3);
	assert_nothing_leaked(c);
}

static void the_guest_hears_once_that_the_link_is_down(void **state)
{
	struct netvsc *c = *state;

	for (unsigned i = LINES; i-- > 0;) {
		assert_int_equal(c->ch[0]->transfers.length, 0);
		c->line[i]->net.link_up = false;
		c->line[i]->net.user.link(c->line[i]->net.user.user, false);
	}
	assert_int_equal(c->ch[0]->transfers.length, 1);
}

/*
 * Frames from line to line.
 */
static void a_frame_for_its_own_channel_goes_at_once(void **state)
{
	struct netvsc *c = *state;

	for (unsigned i = 0; i < NETVSC_QUEUES; i++) {
		receive_on(c, i);
		come_by(c->line[i % LINES], 2, 10);
		assert_int_equal(c->ch[i]->transfers.length, 1);
		assert_int_equal(take(c, i), 2);
	}
	assert_nothing_leaked(c);
}

static void a_frame_for_another_line_is_sent_on_its_loop(void **state)
{
	struct netvsc *c = *state;

	receive_on(c, 2);
	settle(c);
	for (unsigned i = 0; i < LINES; i++)
		come_by(c->line[i], 10, 10);
	/* Its own, and what its turn found of the others. */
	assert_int_equal(take(c, 2), 30);
	come_by(c->line[0], 10, 10);
	assert_int_equal(c->ch[2]->transfers.length, 0);
	loop_turn(c->loops[2], false);
	/* All that came in a turn is one packet. */
	assert_int_equal(c->ch[2]->transfers.length, 1);
	assert_int_equal(take(c, 2), 10);
	assert_nothing_leaked(c);
}

static void parts_of_a_frame_stay_together_on_their_way(void **state)
{
	struct netvsc *c = *state;
	struct fake_transfer *t;
	unsigned packets = 0;

	set_rsc(c);
	settle(c);
	come_by(c->line[1], 4, LARGE);
	come_by(c->line[2], 3, 10);
	come_by(c->line[2], 1, LARGE);
	loop_turn(c->loops[0], false);
	while ((t = fake_transfer(c->ch[0]))) {
		/* With them goes what is small, if there is room. */
		assert_in_range(t->t.count, LARGE / 1514, LARGE / 1400 + 3);
		fake_complete(c->ch[0], t->t.trans_id);
		g_free(t);
		packets++;
	}
	assert_int_equal(packets, 5);
	fake_kick(c->ch[0]);
	assert_nothing_leaked(c);
}

static void what_a_full_ring_does_not_take_waits(void **state)
{
	struct netvsc *c = *state;
	unsigned all = share(c, 1) + 5;

	receive_on(c, 1);
	c->ch[0]->full = true;
	come_unsorted_by(c->line[1], all);
	settle(c);
	fake_kick(c->ch[0]);
	assert_int_equal(c->ch[0]->transfers.length, 0);
	/* As much as the line's buffers hold. */
	assert_int_equal(c->line[1]->incoming.length, 5);
	/* Other channels have theirs meanwhile. */
	come_by(c->line[2], 7, 10);
	settle(c);
	assert_int_equal(take(c, 1), 7);
	c->ch[0]->full = false;
	fake_kick(c->ch[0]);
	assert_int_equal(take(c, 0), share(c, 1));
	settle(c);
	assert_int_equal(take(c, 0), 5);
	assert_nothing_leaked(c);
}

/*
 * Buffers, and back.
 */
static void an_answer_counts_on_the_channel_it_is_for(void **state)
{
	struct netvsc *c = *state;
	g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(uint64_t));

	come_by(c->line[1], 3, 10);
	settle(c);
	keep(c, 0, ids);
	assert_int_equal(ids->len, 1);
	for (unsigned i = 1; i < NETVSC_QUEUES; i++) {
		give_back(c, i, ids);
		fake_kick(c->ch[i]);
		settle(c);
		assert_int_equal(c->nv->line[1]->free.count, share(c, 1) - 3);
	}
	give_back(c, 0, ids);
	give_back(c, 0, ids);
	fake_kick(c->ch[0]);
	assert_nothing_leaked(c);
}

static void a_line_without_buffers_hears_when_some_are_back(void **state)
{
	struct netvsc *c = *state;
	unsigned all = 2 * share(c, 1) + 1, got = 0;

	come_by(c->line[1], all, 10);
	settle(c);
	assert_int_equal(c->line[1]->incoming.length, all - share(c, 1));
	while (c->ch[0]->transfers.length) {
		got += take(c, 0);
		/* It is line 1's turn, and nobody else tells it. */
		loop_turn(c->loops[1], false);
		settle(c);
	}
	assert_int_equal(got, all);
	assert_nothing_leaked(c);
}

static void lines_without_buffers_let_each_other_rest(void **state)
{
	struct netvsc *c = *state;
	unsigned turns = 0;

	for (unsigned i = 0; i < LINES; i++)
		come_by(c->line[i], share(c, i) + 1, 10);
	while (netvsc_turn(c))
		assert_in_range(++turns, 0, 20);
	for (unsigned i = 0; i < LINES; i++)
		assert_int_equal(c->line[i]->incoming.length, 1);
	while (c->ch[0]->transfers.length) {
		take(c, 0);
		settle(c);
	}
	assert_nothing_leaked(c);
}

/* Before or after (@later) another line has run out of buffers. */
static void block_and_starve(struct netvsc *c, bool later)
{
	g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	uint64_t lost = netvsc_lost(c);

	receive_on(c, 2);
	c->line[2]->room = 0;
	if (!later)
		assert_int_equal(send_on(c, 2, 0), NVSP_STAT_NONE);
	come_by(c->line[1], share(c, 1) + 1, 10);
	settle(c);
	keep(c, 2, ids);
	if (later)
		send_on(c, 2, 0);
	give_back(c, 2, ids);
	assert_int_equal(c->line[1]->incoming.length, 1);
	/* The frame in hand is lost, and what is behind it comes by. */
	settle(c);
	assert_false(c->ch[2]->busy);
	assert_int_equal(netvsc_lost(c), lost + 1);
	fake_kick(c->ch[2]);
	settle(c);
	assert_int_equal(take(c, 2), 1);
	while (c->ch[2]->answers.length)
		answer(c, 2);
	c->line[2]->room = UINT32_MAX;
	tell(c->line[2], c->line[2]->net.user.writable);
	assert_nothing_leaked(c);
}

static void buffers_come_back_past_frames_of_any_line(void **state)
{
	block_and_starve(*state, false);
	block_and_starve(*state, true);
}

static void a_buffer_that_is_too_small_for_all_lines_is_refused(void **state)
{
	struct netvsc *c = netvsc_new_lines(NETVSC_QUEUES, NETVSC_QUEUES);
	struct nvsp_message m = {
		.msg_type = NVSP_MSG1_TYPE_SEND_RECV_BUF,
		.send_buf = { 99, NETVSC_RECV_ID },
	};

	/* 4 suballocations, of which one is for control. */
	fake_lend(c->ch[0], 99, c->ram + NETVSC_FREE_GPA, 2);
	fake_lend(c->ch[0], 100, c->ram + NETVSC_FREE_GPA, 3);
	assert_true(netvsc_init(c, NVSP_PROTOCOL_VERSION_61));
	netvsc_message(c, &m);
	assert_int_equal(c->answer.recv_buf_complete.status, NVSP_STAT_FAIL);
	m.send_buf.gpadl_handle = 100;
	netvsc_message(c, &m);
	assert_int_equal(c->answer.recv_buf_complete.status, NVSP_STAT_SUCCESS);
	netvsc_free(c);
}

/*
 * What control wants of other lines.
 */
static void offloads_are_set_by_each_line_before_it_goes_on(void **state)
{
	struct netvsc *c = *state;
	unsigned before = c->line[1]->offloads;

	set_rsc(c);
	assert_int_not_equal(c->line[0]->offloads, before);
	assert_int_equal(c->line[1]->offloads, before);
	tell(c->line[1], c->line[1]->net.user.writable);
	assert_int_equal(c->line[1]->offloads, c->line[0]->offloads);
	assert_int_equal(c->line[2]->offloads, before);
	loop_turn(c->loops[2], false);
	assert_int_equal(c->line[2]->offloads, c->line[0]->offloads);
}

static void take_away(struct netvsc *c, uint32_t type)
{
	const struct nvsp_message m = { .msg_type = type };

	netvsc_tell(c, &m);
}

/* Its pages may be anything's at once; the answer comes by the line's loop. */
static void no_frame_in_hand_outlives_its_send_buffer(void **state)
{
	struct netvsc *c = *state;

	for (unsigned i = 1; i < NETVSC_QUEUES; i++) {
		c->line[i % LINES]->room = 0;
		assert_int_equal(send_on(c, i, i), NVSP_STAT_NONE);
	}
	take_away(c, NVSP_MSG1_TYPE_REVOKE_SEND_BUF);
	assert_null(c->nv->send);
	assert_int_equal(netvsc_lost(c), NETVSC_QUEUES - 1);
	assert_int_equal(c->ch[1]->answers.length, 0);
	for (unsigned i = 1; i < LINES; i++) {
		c->line[i]->room = 100;
		tell(c->line[i], c->line[i]->net.user.writable);
		assert_int_equal(c->line[i]->sent.length, 0);
		assert_int_equal(c->ch[i]->answers.length, 1);
		assert_false(c->ch[i]->busy);
		answer(c, i);
	}
	answer(c, 3);
}

static void a_cable_that_is_out_lets_no_line_keep_frames(void **state)
{
	struct netvsc *c = *state;

	c->line[2]->room = 0;
	assert_int_equal(send_on(c, 2, 2), NVSP_STAT_NONE);
	netvsp_set_link(c->nv, false);
	assert_int_equal(netvsc_lost(c), 1);
	assert_true(c->ch[2]->busy);
	loop_turn(c->loops[2], false);
	assert_false(c->ch[2]->busy);
	answer(c, 2);
	assert_int_equal(send_on(c, 2, 2), NVSP_STAT_SUCCESS);
	assert_int_equal(netvsc_lost(c), 2);
}

static void nothing_is_passed_on_of_a_revoked_buffer(void **state)
{
	struct netvsc *c = *state;

	come_by(c->line[1], 10, 10);
	settle(c);
	assert_int_equal(take(c, 0), 10);	/* returned */
	assert_int_equal(c->nv->line[1]->returned.count, 10);
	c->ch[0]->full = true;
	come_by(c->line[1], 10, 10);
	loop_turn(c->loops[0], false);		/* arrived */
	come_by(c->line[1], 10, 10);		/* in the inbox */
	come_by(c->line[2], share(c, 2) + 1, 10);	/* out of buffers */
	assert_int_equal(c->line[2]->incoming.length, 1);
	take_away(c, NVSP_MSG1_TYPE_REVOKE_RECV_BUF);
	c->ch[0]->full = false;
	settle(c);
	fake_kick(c->ch[0]);
	assert_int_equal(c->ch[0]->transfers.length, 0);
	/* Nobody listens now. */
	assert_int_equal(c->line[2]->incoming.length, 0);
	assert_true(netvsc_message(c, &(struct nvsp_message){
		.msg_type = NVSP_MSG1_TYPE_SEND_RECV_BUF,
		.send_buf = { NETVSC_RECV_GPADL, NETVSC_RECV_ID },
	}));
	come_by(c->line[1], 1, 10);
	settle(c);
	assert_int_equal(take(c, 0), 1);
	assert_nothing_leaked(c);
}

/*
 * Channels that come and go.
 */
static void the_send_table_comes_by_the_primary_channels_loop(void **state)
{
	struct netvsc *c = netvsc_new_lines(NETVSC_QUEUES, LINES);

	netvsc_start(c, NVSP_PROTOCOL_VERSION_61, 1514, 0);
	open_subchannels(c, LINES - 1);
	assert_int_equal(c->ch[0]->answers.length, 0);
	loop_turn(c->loops[0], false);
	assert_int_equal(c->ch[0]->answers.length, 1);
	netvsc_free(c);
}

static void close_channel(struct netvsc *c, unsigned i)
{
	fake_close(c->ch[i]);
	fake_free(c->ch[i]);
	c->ch[i] = NULL;
}

static void a_channel_that_closes_leaves_its_buffers(void **state)
{
	struct netvsc *c = *state;
	g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(uint64_t));

	receive_on(c, 1);
	come_by(c->line[0], 10, 10);
	come_by(c->line[1], 10, 10);
	keep(c, 1, ids);			/* never answered */
	c->ch[1]->full = true;
	come_by(c->line[1], 10, 10);		/* in a packet of the queue's */
	come_by(c->line[0], 100, 10);
	loop_turn(c->loops[1], false);		/* arrived there */
	assert_int_not_equal(c->nv->queue[1]->arrived.count, 0);
	come_by(c->line[2], 10, 10);		/* in its inbox */
	close_channel(c, 1);
	assert_nothing_leaked(c);
	/* What comes for it goes elsewhere. */
	come_by(c->line[2], 10, 10);
	settle(c);
	assert_int_equal(take(c, 0), 10);
	give_back(c, 0, ids);
	fake_kick(c->ch[0]);
	assert_nothing_leaked(c);
}

/* Its line may get to that late, when the next driver has come. */
static void a_channel_of_the_last_driver_disturbs_no_other(void **state)
{
	struct netvsc *c = *state;
	struct vmbus_channel *old[2] = { c->ch[1], c->ch[2] };

	c->line[1]->room = 0;
	assert_int_equal(send_on(c, 1, 1), NVSP_STAT_NONE);
	come_by(c->line[2], 3, 10);
	close_channel(c, 0);
	close_channel(c, 3);
	c->ch[0] = fake_open(netvsp_device(c->nv), 0);
	fake_lend(c->ch[0], NETVSC_RECV_GPADL, c->ram + NETVSC_RECV_GPA,
		  NETVSC_RECV_PAGES);
	fake_lend(c->ch[0], NETVSC_SEND_GPADL, c->ram + NETVSC_SEND_GPA,
		  NETVSC_SEND_PAGES);
	netvsc_start(c, NVSP_PROTOCOL_VERSION_61, 1514, 0);
	for (unsigned i = 0; i < 2; i++) {
		fake_send(old[i], 1, NULL, 0, &(struct nvsp_message){ 0 }, 40);
		fake_kick(old[i]);
		assert_int_equal(old[i]->packets.length, 1);
	}
	open_subchannels(c, 2);
	fake_kick(old[0]);
	assert_int_equal(old[0]->packets.length, 1);
	for (unsigned i = 0; i < 2; i++) {
		fake_close(old[i]);
		fake_free(old[i]);
		assert_non_null(c->nv->queue[i + 1]);
	}
	settle(c);
	for (unsigned i = 0; i < LINES; i++)
		assert_int_equal(c->line[i]->forgotten, 1);
	answer(c, 0);			/* the send table */
	c->line[1]->room = 100;
	assert_int_equal(send_on(c, 1, 1), NVSP_STAT_SUCCESS);
	assert_nothing_leaked(c);
}

/* Its opening may come so late that the next driver's follows. */
static void a_channel_gives_way_to_another_in_its_place(void **state)
{
	struct netvsc *c = *state;
	struct vmbus_channel *old = c->ch[1];

	receive_on(c, 1);
	c->line[1]->room = 0;
	assert_int_equal(send_on(c, 1, 1), NVSP_STAT_NONE);
	come_by(c->line[0], 10, 10);
	loop_turn(c->loops[1], false);		/* sent, and never answered */
	old->full = true;
	come_by(c->line[1], 10, 10);
	come_by(c->line[0], 100, 10);
	c->ch[1] = fake_open(netvsp_device(c->nv), 1);
	assert_false(old->busy);
	assert_int_equal(netvsc_lost(c), 1);
	assert_nothing_leaked(c);
	come_by(c->line[1], 10, 10);
	assert_int_equal(take(c, 1), 10);
	fake_close(old);
	fake_free(old);
	come_by(c->line[1], 10, 10);
	assert_int_equal(take(c, 1), 10);
	assert_nothing_leaked(c);
}

#define LINE_TEST(f)	cmocka_unit_test_setup_teardown(f, setup_lines, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINE_TEST(channels_live_where_their_lines_do),
		LINE_TEST(a_channel_sends_on_its_own_line),
		LINE_TEST(a_full_line_holds_its_own_channels_up),
		LINE_TEST(a_busy_line_does_not_keep_others_waiting),
		LINE_TEST(counters_are_of_all_lines),
		LINE_TEST(the_guest_hears_once_that_the_link_is_down),
		LINE_TEST(a_frame_for_its_own_channel_goes_at_once),
		LINE_TEST(a_frame_for_another_line_is_sent_on_its_loop),
		LINE_TEST(parts_of_a_frame_stay_together_on_their_way),
		LINE_TEST(what_a_full_ring_does_not_take_waits),
		LINE_TEST(an_answer_counts_on_the_channel_it_is_for),
		LINE_TEST(a_line_without_buffers_hears_when_some_are_back),
		LINE_TEST(lines_without_buffers_let_each_other_rest),
		LINE_TEST(buffers_come_back_past_frames_of_any_line),
		cmocka_unit_test(
			a_buffer_that_is_too_small_for_all_lines_is_refused),
		LINE_TEST(offloads_are_set_by_each_line_before_it_goes_on),
		LINE_TEST(no_frame_in_hand_outlives_its_send_buffer),
		LINE_TEST(a_cable_that_is_out_lets_no_line_keep_frames),
		LINE_TEST(nothing_is_passed_on_of_a_revoked_buffer),
		cmocka_unit_test(
			the_send_table_comes_by_the_primary_channels_loop),
		LINE_TEST(a_channel_that_closes_leaves_its_buffers),
		LINE_TEST(a_channel_of_the_last_driver_disturbs_no_other),
		LINE_TEST(a_channel_gives_way_to_another_in_its_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
