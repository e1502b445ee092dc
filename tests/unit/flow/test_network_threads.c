/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A NIC from the ring to the cable, against a guest on a thread of its own.
 *
 * The guest has only so many packets unanswered and then waits, for an interrupt
 * and nothing else: like its sockets, whose memory comes back with the answers.
 * An answer that is kept for ever, or a wake-up that is lost, stops the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "core/util.h"
#include "devices/netvsp/netvsp.h"
#include "devices/netvsp/netvsp_proto.h"
#include "fake_guest.h"

#define FRAMES		20000u	/* for each number of packets */
#define PATIENCE_US	(20 * G_USEC_PER_SEC)
#define RING_PAGES	17
#define RECV_PAGES	64
#define SECTIONS	128u
#define SECTION_SIZE	6144u
#define RECV_ID		0xcafe
#define LEN		60
#define OID_FILTER	0x0001010e

static const uint8_t mac[6] = { 0x02, 1, 2, 3, 4, 5 };
/* How many may be unanswered: one that waits for each, and streams. */
static const unsigned limits[] = { 1, 2, 5, 17, 40, 100 };

/* A cable that is full now and then, and sends some frames back. */
struct far_end {
	struct net_backend net;
	struct loop *loop;
	struct loop_note ready;
	unsigned taken, waiting;
	bool full;
};

struct driver {
	struct guest *g;
	struct guest_channel c;
	gpa_t send, recv;
	pthread_t thread;
	unsigned sent, answered, received;
	const char *failure;		/* NULL: none */
};

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
		f->waiting += f->taken % 100 == 0;
		f->full = f->taken % 777 == 0;
	}
	if (f->full || f->waiting)
		loop_post(f->loop, &f->ready);
	return n;
}

static int far_recv(struct net_backend *nb, struct net_frame *frame)
{
	struct far_end *f = container_of(nb, struct far_end, net);

	if (!f->waiting)
		return 0;
	f->waiting--;
	memcpy(frame->iov[0].iov_base, mac, sizeof(mac));
	frame->len = LEN;
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
 * The guest's driver.
 */
static bool give_back(struct driver *d, uint64_t trans_id)
{
	const struct vmpacket_descriptor desc = {
		.type = VM_PKT_COMP, .trans_id = trans_id,
		.offset8 = sizeof(desc) / 8, .len8 = sizeof(desc) / 8,
	};
	bool ring;

	if (guest_ring_write(&d->c.tx, &desc, NULL, 0, &ring))
		return false;
	if (ring)
		guest_channel_ring(&d->c);
	return true;
}

static bool take(struct guest_channel *c, const struct guest_packet *p)
{
	struct driver *d = container_of(c, struct driver, c);

	if (p->desc.type == VM_PKT_COMP) {
		if (p->desc.trans_id != d->answered + 1)
			return false;
		d->answered++;
		return true;
	}
	d->received++;
	return give_back(d, p->desc.trans_id);
}

static const char *wait_for_interrupt(struct driver *d)
{
	if (!guest_channel_wait(&d->c, PATIENCE_US))
		return "no interrupt came";
	return guest_channel_take_all(&d->c, take) ? NULL :
						     "an answer is wrong";
}

static bool send_message(struct driver *d, const struct nvsp_message *m)
{
	return !guest_channel_send(&d->c, ++d->sent, m, NVSP_MESSAGE_SIZE);
}

/* An RNDIS message, by a section that is free. */
static bool send_rndis(struct driver *d, uint32_t channel, const void *msg,
		       uint32_t len)
{
	uint32_t section = d->sent % SECTIONS;
	const struct nvsp_message m = {
		.msg_type = NVSP_MSG1_TYPE_SEND_RNDIS_PKT,
		.rndis_pkt = { channel, section, len },
	};

	memcpy(d->g->ram + d->send + section * SECTION_SIZE, msg, len);
	return send_message(d, &m);
}

static bool send_frame(struct driver *d)
{
	struct {
		struct rndis_message_header h;
		struct rndis_packet p;
		uint8_t frame[LEN];
	} __attribute__((packed)) m = {
		.h = { RNDIS_MSG_PACKET, sizeof(m) },
		.p.data_offset = sizeof(m.p), .p.data_len = LEN,
	};

	return send_rndis(d, NVSP_CHANNEL_DATA, &m, sizeof(m));
}

static void *drive(void *arg)
{
	struct driver *d = arg;

	for (size_t i = 0; i < G_N_ELEMENTS(limits) && !d->failure; i++) {
		const unsigned end = d->sent + FRAMES;

		while (d->answered < end && !d->failure) {
			while (d->sent < end &&
			       d->sent - d->answered < limits[i])
				if (!send_frame(d))
					d->failure = "there is no room";
			if (!d->failure)
				d->failure = wait_for_interrupt(d);
		}
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

static void control(struct driver *d, uint32_t type, const void *body,
		    size_t len)
{
	const struct rndis_message_header h = {
		type, (uint32_t)(sizeof(h) + len),
	};
	uint8_t msg[64];

	memcpy(msg, &h, sizeof(h));
	memcpy(msg + sizeof(h), body, len);
	assert_true(send_rndis(d, NVSP_CHANNEL_CONTROL, msg, h.msg_len));
	finish(d);
}

static void lend(struct driver *d, uint32_t type, uint32_t gpadl, gpa_t at,
		 uint32_t pages)
{
	const struct nvsp_message m = {
		.msg_type = type, .send_buf = { gpadl, RECV_ID },
	};

	assert_true(guest_gpadl(d->g, d->c.relid, gpadl, at, pages));
	assert_true(send_message(d, &m));
	finish(d);
}

static void start_driver(struct driver *d)
{
	const struct nvsp_message init = {
		.msg_type = NVSP_MSG_TYPE_INIT,
		.init = { NVSP_PROTOCOL_VERSION_5, NVSP_PROTOCOL_VERSION_5 },
	};
	const struct rndis_init begin = { .major_ver = 1 };
	const struct {
		struct rndis_request rq;
		uint32_t filter;
	} __attribute__((packed)) set = {
		{ .oid = OID_FILTER, .info_buflen = sizeof(set.filter),
		  .info_buf_offset = sizeof(set.rq) },
		NDIS_PACKET_TYPE_DIRECTED,
	};

	d->recv = guest_pages(d->g, RECV_PAGES);
	d->send = guest_pages(d->g, SECTIONS * SECTION_SIZE / GMEM_PAGE_SIZE);
	assert_true(send_message(d, &init));
	finish(d);
	lend(d, NVSP_MSG1_TYPE_SEND_RECV_BUF, 1, d->recv, RECV_PAGES);
	lend(d, NVSP_MSG1_TYPE_SEND_SEND_BUF, 2, d->send,
	     SECTIONS * SECTION_SIZE / GMEM_PAGE_SIZE);
	control(d, RNDIS_MSG_INIT, &begin, sizeof(begin));
	control(d, RNDIS_MSG_SET, &set, sizeof(set));
	d->received = 0;
}

static void *run_device(void *loop)
{
	loop_run(loop);
	return NULL;
}

static bool is_reset;

static void reset_done(struct loop_note *note)
{
	is_reset = true;
}

static void a_guest_that_waits_hears_what_has_left(void **state)
{
	static struct guest_offer offers;
	struct guest *g = guest_new_threaded();
	struct far_end far = {
		.net = { .ops = &far_ops, .mtu_max = 1500, .link_up = true },
		.loop = g->dev, .ready.run = far_ready,
	};
	const struct net_cable cable = { { &far.net }, 1 };
	const struct netvsp_options options = {
		.instance = GUID(1, 2, 3, 4, 5), .max_queues = 1,
		.mac = { 0x02, 1, 2, 3, 4, 5 },
	};
	struct netvsp *nv = netvsp_new(&g->dev, &g->gm, &options, &cable);
	struct loop_note done = { .run = reset_done };
	struct driver d = { .g = g };
	pthread_t device;

	assert_int_equal(vmbus_offer(g->bus, netvsp_device(nv)), 0);
	pthread_create(&device, NULL, run_device, g->dev);
	assert_true(guest_connect(g, VERSION_WIN10_V5_3));
	guest_request_offers(g, &offers);
	guest_channel_init(&d.c, g, &offers.offer[0], 2 * RING_PAGES,
			   RING_PAGES);
	assert_true(guest_channel_open(&d.c));
	start_driver(&d);
	pthread_create(&d.thread, NULL, drive, &d);
	pthread_join(d.thread, NULL);
	if (d.failure)
		fail_msg("%s: sent %u, answered %u", d.failure, d.sent,
			 d.answered);
	assert_true(d.received > 0);
	guest_channel_close(&d.c);
	vmbus_reset(g->bus, &done);
	while (!is_reset)
		loop_turn(g->main, true);
	loop_stop(g->dev);
	pthread_join(device, NULL);
	assert_int_equal(far.taken, G_N_ELEMENTS(limits) * FRAMES);
	netvsp_free(nv);
	guest_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_that_waits_hears_what_has_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
