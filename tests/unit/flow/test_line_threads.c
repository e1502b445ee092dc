/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A NIC with a loop for each queue of its cable, all of them on threads,
 * against a guest with a thread for each channel: frames go and come on all of
 * them, for whichever RSS says, while the first one takes buffers away and lends
 * them again, changes RSS, filter and offloads, and channels close and open.
 *
 * Frames get lost by that.  But each packet is answered, whatever becomes of
 * it, and no wake-up is lost: a guest waits for interrupts only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "devices/netvsp/netvsp_internal.h"
#include "fake_guest.h"

#define LINES		3
#define CHANNELS	5	/* two lines have two of them */
#define ROUNDS		6
#define PACKETS		10000u	/* of each channel in a round */
#define UNANSWERED	40u
#define STOPS		5000u
#define PATIENCE_US	(20 * G_USEC_PER_SEC)
#define RING_PAGES	17
#define RECV_PAGES	64
#define SECTIONS	64u	/* of each channel */
#define SEND_PAGES	(CHANNELS * SECTIONS * SEND_SECTION_SIZE / \
			 GMEM_PAGE_SIZE)
#define RECV_GPADL	1
#define SEND_GPADL	2
#define LEN		60
#define FLOWS		50u

/* A queue of the cable: it is full now and then, and sends two back for one. */
struct far_end {
	struct net_backend net;
	struct loop *loop;
	struct loop_note ready;
	unsigned taken, waiting, made;
	bool full;
	pthread_t thread;
};

struct driver {
	struct world *w;
	struct guest_channel c;
	unsigned index;
	pthread_t thread;
	unsigned sent, answered, received;
	uint32_t random;
	const char *failure;		/* NULL: none */
};

struct world {
	struct guest *g;
	struct netvsp *nv;
	struct far_end far[LINES];
	struct driver driver[CHANNELS];
	struct guest_offer offers;
	gpa_t send, recv;
	struct loop_note link;
	bool up;			/* atomic: as that note makes it */
};

static const uint8_t mac[6] = { 0x02, 1, 2, 3, 4, 5 };

/*
 * The cable.
 */
static void far_ready(struct loop_note *note)
{
	struct far_end *f = container_of(note, struct far_end, ready);
	bool was_full = f->full;

	f->full = false;
	if (was_full)
		f->net.user.writable(f->net.user.user);
	if (f->waiting)
		f->net.user.readable(f->net.user.user);
}

static unsigned far_send(struct net_backend *nb, const struct net_frame *frames,
			 unsigned count)
{
	struct far_end *f = container_of(nb, struct far_end, net);
	unsigned n;

	for (n = 0; n < count && !f->full; n++) {
		f->taken++;
		f->waiting = MIN(f->waiting + 2, 1000);
		f->full = f->taken % 77 == 0;
	}
	loop_post(f->loop, &f->ready);
	return n;
}

/* UDP of one of some flows; @back: an answer. */
static void make_frame(uint8_t bytes[LEN], uint8_t flow, bool back)
{
	static const uint8_t headers[] = {
		[12] = 0x08, 0x00, 0x45, [17] = LEN - 14, [23] = 17,
		[26] = 10, 9, 0, 2, 10, 9, 0, 2, [35] = 7, [37] = 7,
		[39] = LEN - 34,
	};

	memset(bytes, 0, LEN);
	memcpy(bytes, headers, sizeof(headers));
	memcpy(bytes, mac, sizeof(mac));
	bytes[back ? 29 : 33] = flow;
}

/* So that RSS has something to tell apart. */
static int far_recv(struct net_backend *nb, struct net_frame *frame)
{
	struct far_end *f = container_of(nb, struct far_end, net);
	uint8_t bytes[LEN];

	if (!f->waiting)
		return 0;
	f->waiting--;
	make_frame(bytes, (uint8_t)(f->made++ % FLOWS), true);
	memcpy(frame->iov[0].iov_base, bytes, sizeof(bytes));
	frame->len = LEN;
	frame->hdr = (struct virtio_net_hdr){ 0 };
	return 1;
}

static void far_set_offloads(struct net_backend *nb, unsigned offloads)
{
}

static const struct net_backend_ops far_ops = {
	.name = "far", .send = far_send, .recv = far_recv,
	.set_offloads = far_set_offloads,
};

/*
 * A channel's driver.
 */
static unsigned pick(struct driver *d, unsigned count)
{
	d->random = d->random * 1664525 + 1013904223;
	return (d->random >> 16) % count;
}

/* Now and then of another packet as well, which may be another channel's. */
static bool give_back(struct driver *d, uint64_t trans_id)
{
	struct vmpacket_descriptor desc = {
		.type = VM_PKT_COMP, .trans_id = trans_id,
		.offset8 = sizeof(desc) / 8, .len8 = sizeof(desc) / 8,
	};
	bool ring, again = pick(d, 8) == 0;

	if (guest_ring_write(&d->c.tx, &desc, NULL, 0, &ring))
		return false;
	if (again) {
		desc.trans_id = pick(d, 200);
		if (!guest_ring_write(&d->c.tx, &desc, NULL, 0, &again))
			ring |= again;
	}
	if (ring)
		guest_channel_ring(&d->c);
	return true;
}

static bool take(struct guest_channel *c, const struct guest_packet *p)
{
	struct driver *d = container_of(c, struct driver, c);

	if (p->desc.type == VM_PKT_COMP) {
		d->answered++;
		return true;
	}
	/* The send table is not lent. */
	if (p->desc.type != VM_PKT_DATA_USING_XFER_PAGES)
		return true;
	d->received++;
	return give_back(d, p->desc.trans_id);
}

static const char *wait_for_interrupt(struct driver *d)
{
	if (!guest_channel_wait(&d->c, PATIENCE_US))
		return "no interrupt came";
	return guest_channel_take_all(&d->c, take) ? NULL :
						     "there is no room for an answer";
}

static void send_message(struct driver *d, const struct nvsp_message *m)
{
	if (guest_channel_send(&d->c, ++d->sent, m, NVSP_MESSAGE_SIZE_61))
		d->failure = "there is no room";
}

/* An RNDIS message, by a section that is free. */
static void send_rndis(struct driver *d, uint32_t type, const void *msg,
		       uint32_t len)
{
	uint32_t section = d->index * SECTIONS + d->sent % SECTIONS;
	const struct nvsp_message m = {
		.msg_type = NVSP_MSG1_TYPE_SEND_RNDIS_PKT,
		.rndis_pkt = { type, section, len },
	};

	memcpy(d->w->g->ram + d->w->send + section * SEND_SECTION_SIZE, msg,
	       len);
	send_message(d, &m);
}

static void send_frame(struct driver *d)
{
	struct {
		struct rndis_message_header h;
		struct rndis_packet p;
		struct ppi csum;
		uint8_t frame[LEN];
	} __attribute__((packed)) m = {
		.h = { RNDIS_MSG_PACKET, sizeof(m) },
		.p.data_offset = sizeof(m.p) + sizeof(m.csum),
		.p.data_len = LEN,
		.p.per_pkt_info_offset = sizeof(m.p),
		.p.per_pkt_info_len = sizeof(m.csum),
		.csum = { { sizeof(m.csum), RNDIS_PKTINFO_CSUM,
			    sizeof(m.csum.head) }, CSUM_TX_UDP },
	};

	make_frame(m.frame, (uint8_t)pick(d, FLOWS), false);
	send_rndis(d, NVSP_CHANNEL_DATA, &m, sizeof(m));
}

static void control(struct driver *d, uint32_t type, const void *body,
		    size_t len)
{
	const struct rndis_message_header h = {
		type, (uint32_t)(sizeof(h) + len),
	};
	uint8_t msg[512];

	memcpy(msg, &h, sizeof(h));
	memcpy(msg + sizeof(h), body, len);
	send_rndis(d, NVSP_CHANNEL_CONTROL, msg, h.msg_len);
}

static void set(struct driver *d, uint32_t oid, const void *value, size_t len)
{
	const struct rndis_request rq = {
		.oid = oid, .info_buflen = (uint32_t)len,
		.info_buf_offset = sizeof(rq),
	};
	uint8_t body[256];

	memcpy(body, &rq, sizeof(rq));
	memcpy(body + sizeof(rq), value, len);
	control(d, RNDIS_MSG_SET, body, sizeof(rq) + len);
}

static void set_filter(struct driver *d, uint32_t filter)
{
	set(d, 0x0001010e, &filter, sizeof(filter));
}

/* All channels in turn, or as it comes. */
static void set_rss(struct driver *d)
{
	bool in_turn = pick(d, 2);
	struct {
		struct ndis_rss_parameters p;
		uint8_t key[NDIS_RSS_KEY_SIZE];
		uint32_t table[8];
	} __attribute__((packed)) rss = {
		.p = {
			.hash_info = NDIS_HASH_IPV4,
			.table_size = sizeof(rss.table),
			.table_offset = sizeof(rss.p) + sizeof(rss.key),
			.key_size = sizeof(rss.key),
			.key_offset = sizeof(rss.p),
		},
	};

	for (unsigned i = 0; i < sizeof(rss.key); i++)
		rss.key[i] = (uint8_t)(i * 37 + 1);
	for (unsigned i = 0; i < G_N_ELEMENTS(rss.table); i++)
		rss.table[i] = in_turn ? i % CHANNELS : pick(d, CHANNELS);
	set(d, 0x00010204, &rss, sizeof(rss));
}

static void set_rsc(struct driver *d)
{
	struct ndis_offload_parameters p = {
		.header = { NDIS_OBJECT_TYPE_DEFAULT, 3, sizeof(p) },
	};

	p.rsc_ip4 = pick(d, 2) ? NDIS_OFFLOAD_ON : NDIS_OFFLOAD_OFF;
	set(d, 0xfc01020c, &p, sizeof(p));
}

static void ask_for_statistics(struct driver *d)
{
	const struct rndis_request rq = { .oid = 0x00020106 };

	control(d, RNDIS_MSG_QUERY, &rq, sizeof(rq));
}

static void buffer(struct driver *d, uint32_t type, uint32_t gpadl)
{
	const struct nvsp_message m = {
		.msg_type = type, .send_buf = { gpadl, 1 },
	};

	send_message(d, &m);
}

static void change_something(struct driver *d)
{
	switch (pick(d, 7)) {
	case 0:
		buffer(d, NVSP_MSG1_TYPE_REVOKE_SEND_BUF, 0);
		buffer(d, NVSP_MSG1_TYPE_SEND_SEND_BUF, SEND_GPADL);
		break;
	case 1:
		buffer(d, NVSP_MSG1_TYPE_REVOKE_RECV_BUF, 0);
		buffer(d, NVSP_MSG1_TYPE_SEND_RECV_BUF, RECV_GPADL);
		break;
	case 2:
		set_filter(d, 0);
		set_filter(d, NDIS_PACKET_TYPE_DIRECTED);
		break;
	case 3:
		set_rsc(d);
		break;
	case 4:
		ask_for_statistics(d);
		break;
	default:
		set_rss(d);
		break;
	}
}

static void *drive(void *arg)
{
	struct driver *d = arg;
	const unsigned end = d->sent + PACKETS;

	while (d->answered < end && !d->failure) {
		while (d->sent < end && d->sent - d->answered < UNANSWERED &&
		       !d->failure) {
			if (!d->index && pick(d, 10) == 0)
				change_something(d);
			else
				send_frame(d);
		}
		if (!d->failure && d->answered < end)
			d->failure = wait_for_interrupt(d);
	}
	return NULL;
}

/*
 * Setting up, on the test's thread.
 */
static void finish(struct driver *d)
{
	while (d->answered < d->sent)
		assert_null(wait_for_interrupt(d));
}

static void open_channel(struct driver *d,
			 const struct vmbus_channel_offer_channel *offer)
{
	guest_channel_init(&d->c, d->w->g, offer, 2 * RING_PAGES, RING_PAGES);
	d->c.target_vp = d->index % GUEST_VPS;
	assert_true(guest_channel_open(&d->c));
}

static void open_subchannels(struct world *w)
{
	const struct nvsp_message m = {
		.msg_type = NVSP_MSG5_TYPE_SUBCHANNEL,
		.subchannel = { NVSP_SUBCHANNEL_ALLOCATE, CHANNELS - 1 },
	};
	struct vmbus_channel_offer_channel o[CHANNELS];

	send_message(&w->driver[0], &m);
	finish(&w->driver[0]);
	for (unsigned i = 1; i < CHANNELS; i++)
		assert_true(GUEST_EXPECT(w->g, CHANNELMSG_OFFERCHANNEL, &o[i]));
	for (unsigned i = 1; i < CHANNELS; i++)
		open_channel(&w->driver[i], &o[i]);
}

static void start_driver(struct world *w)
{
	struct driver *d = &w->driver[0];
	const struct nvsp_message init = {
		.msg_type = NVSP_MSG_TYPE_INIT,
		.init = { NVSP_PROTOCOL_VERSION_61, NVSP_PROTOCOL_VERSION_61 },
	};
	const struct nvsp_message config = {
		.msg_type = NVSP_MSG2_TYPE_SEND_NDIS_CONFIG,
		.ndis_config = { 1514, 0, NVSP_CAPABILITY_RSC },
	};
	const struct rndis_init begin = { .major_ver = 1 };

	open_channel(d, &w->offers.offer[0]);
	assert_true(guest_gpadl(w->g, d->c.relid, RECV_GPADL, w->recv,
				RECV_PAGES));
	assert_true(guest_gpadl(w->g, d->c.relid, SEND_GPADL, w->send,
				SEND_PAGES));
	send_message(d, &init);
	send_message(d, &config);
	buffer(d, NVSP_MSG1_TYPE_SEND_RECV_BUF, RECV_GPADL);
	buffer(d, NVSP_MSG1_TYPE_SEND_SEND_BUF, SEND_GPADL);
	control(d, RNDIS_MSG_INIT, &begin, sizeof(begin));
	set_filter(d, NDIS_PACKET_TYPE_DIRECTED);
	set_rss(d);
	open_subchannels(w);
}

static void *run_loop(void *loop)
{
	loop_run(loop);
	return NULL;
}

static void set_link(struct loop_note *note)
{
	struct world *w = container_of(note, struct world, link);

	netvsp_set_link(w->nv, __atomic_load_n(&w->up, __ATOMIC_ACQUIRE));
}

static void plug(struct world *w, bool up)
{
	__atomic_store_n(&w->up, up, __ATOMIC_RELEASE);
	loop_post(w->far[0].loop, &w->link);
}

static void start_world(struct world *w)
{
	const struct netvsp_options options = {
		.instance = GUID(1, 2, 3, 4, 5), .max_queues = CHANNELS,
		.mac = { 0x02, 1, 2, 3, 4, 5 },
	};
	struct loop *loops[LINES];
	struct net_cable cable = { .count = LINES };

	w->g = guest_new_threaded();
	w->link.run = set_link;
	w->send = guest_pages(w->g, SEND_PAGES);
	w->recv = guest_pages(w->g, RECV_PAGES);
	for (unsigned i = 0; i < LINES; i++) {
		loops[i] = i ? loop_new(NULL) : w->g->dev;
		w->far[i] = (struct far_end){
			.net = { .ops = &far_ops, .mtu_max = 1500,
				 .offloads = NET_OFFLOAD_CSUM,
				 .link_up = true },
			.loop = loops[i], .ready.run = far_ready,
		};
		cable.queue[i] = &w->far[i].net;
	}
	for (unsigned i = 0; i < CHANNELS; i++)
		w->driver[i] = (struct driver){
			.w = w, .index = i, .random = i + 1,
		};
	w->nv = netvsp_new(loops, &w->g->gm, &options, &cable);
	assert_int_equal(vmbus_offer(w->g->bus, netvsp_device(w->nv)), 0);
	for (unsigned i = 0; i < LINES; i++)
		pthread_create(&w->far[i].thread, NULL, run_loop, loops[i]);
	assert_true(guest_connect(w->g, VERSION_WIN10_V5_3));
	guest_request_offers(w->g, &w->offers);
}

static bool is_reset;

static void reset_done(struct loop_note *note)
{
	is_reset = true;
}

static void stop_world(struct world *w)
{
	struct loop_note done = { .run = reset_done };

	is_reset = false;
	vmbus_reset(w->g->bus, &done);
	while (!is_reset)
		loop_turn(w->g->main, true);
	for (unsigned i = 0; i < LINES; i++) {
		loop_stop(w->far[i].loop);
		pthread_join(w->far[i].thread, NULL);
	}
	netvsp_free(w->nv);
	for (unsigned i = 1; i < LINES; i++)
		loop_free(w->far[i].loop);
	guest_free(w->g);
}

static void join(struct driver *d)
{
	pthread_join(d->thread, NULL);
	if (d->failure)
		fail_msg("channel %u: %s: sent %u, answered %u", d->index,
			 d->failure, d->sent, d->answered);
	assert_int_equal(d->answered, d->sent);
}

/* Channels 1 and 2 close while others are at it, the rest with the first. */
static void run_round(struct world *w, bool close_some)
{
	for (unsigned i = 0; i < CHANNELS; i++)
		pthread_create(&w->driver[i].thread, NULL, drive,
			       &w->driver[i]);
	for (unsigned i = 1; i < CHANNELS; i++) {
		join(&w->driver[i]);
		plug(w, i % 2);
		if (close_some && i < 3)
			guest_channel_close(&w->driver[i].c);
	}
	join(&w->driver[0]);
	plug(w, true);
}

/* All at once by a new contact, or the first one before that. */
static void close_all(struct world *w, bool primary_first)
{
	struct vmbus_channel_rescind_offer r;

	if (primary_first) {
		guest_channel_send_close(&w->driver[0].c);
		for (unsigned i = 1; i < CHANNELS; i++)
			assert_true(GUEST_EXPECT(
				w->g, CHANNELMSG_RESCIND_CHANNELOFFER, &r));
	}
	assert_true(guest_connect(w->g, VERSION_WIN10_V5_3));
	guest_request_offers(w->g, &w->offers);
}

static void all_is_answered_whatever_control_does(void **state)
{
	static struct world w;

	start_world(&w);
	for (unsigned i = 0; i < ROUNDS; i++) {
		start_driver(&w);
		run_round(&w, i % 2);
		close_all(&w, i % 2);
	}
	for (unsigned i = 0; i < CHANNELS; i++)
		assert_true(w.driver[i].received > 0);
	stop_world(&w);
}

/* A line that has one turn after the other, and lets who wants it go first. */
struct busy_line {
	struct line *line;
	unsigned stops;			/* atomic; STOPS: the end */
	/* Turns that began when it was wanted: by whom, how many, at most. */
	unsigned by, late, most;
};

static void *take_turns(void *arg)
{
	struct busy_line *b = arg;

	while (b->by < STOPS) {
		line_begin(b->line);
		if (__atomic_load_n(&b->line->wanted, __ATOMIC_RELAXED)) {
			unsigned by = __atomic_load_n(&b->stops,
						      __ATOMIC_RELAXED);

			b->late = by == b->by ? b->late + 1 : 1;
			b->most = MAX(b->most, b->late);
			b->by = by;
		} else if (__atomic_load_n(&b->stops, __ATOMIC_RELAXED) ==
			   STOPS) {
			b->by = STOPS;
		}
		line_end(b->line);
	}
	return NULL;
}

static void control_waits_for_one_turn_of_a_busy_line(void **state)
{
	static struct world w;
	struct busy_line b = { 0 };
	pthread_t thread;

	start_world(&w);
	b.line = w.nv->line[1];
	pthread_create(&thread, NULL, take_turns, &b);
	for (unsigned i = 1; i < STOPS; i++) {
		__atomic_store_n(&b.stops, i, __ATOMIC_RELAXED);
		lines_stop(w.nv, 0);
		lines_go(w.nv, 0);
	}
	__atomic_store_n(&b.stops, STOPS, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	/* One that had looked before, and no more. */
	assert_in_range(b.most, 0, 1);
	stop_world(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_is_answered_whatever_control_does),
		cmocka_unit_test(control_waits_for_one_turn_of_a_busy_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
