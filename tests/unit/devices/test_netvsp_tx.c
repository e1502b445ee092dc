/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Frames of the guest's. */
#include <netinet/in.h>

#include "netvsp_rig.h"

static void a_plain_frame_goes_out_as_it_is(void **state)
{
	struct netvsc *c = *state;

	for (size_t len = 1; len <= 1472; len += 49) {
		g_autofree struct made *f = make_frame(4, IPPROTO_UDP, len);
		g_autofree struct net_mem_frame *s = NULL;

		assert_int_equal(send_frame(c, f, NULL, 0), NVSP_STAT_SUCCESS);
		s = net_mem_sent(c->cable);
		assert_non_null(s);
		assert_int_equal(s->len, f->len);
		assert_memory_equal(s->bytes, f->bytes, f->len);
		assert_int_equal(s->hdr.flags, 0);
		assert_int_equal(s->hdr.gso_type, 0);
	}
}

static void a_checksum_is_left_to_the_cable(void **state)
{
	static const struct { int version; unsigned proto, want; } kinds[] = {
		{ 4, IPPROTO_TCP, CSUM_TX_IPV4 | CSUM_TX_TCP },
		{ 4, IPPROTO_UDP, CSUM_TX_IPV4 | CSUM_TX_UDP },
		{ 6, IPPROTO_TCP, CSUM_TX_IPV6 | CSUM_TX_TCP },
		{ 6, IPPROTO_UDP, CSUM_TX_IPV6 | CSUM_TX_UDP },
	};
	struct netvsc *c = *state;

	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
		int v = kinds[i].version;
		unsigned proto = kinds[i].proto;
		g_autofree struct made *f = make_frame(v, proto, 301);
		struct ppi ppi = netvsc_ppi(RNDIS_PKTINFO_CSUM,
					    kinds[i].want |
					    CSUM_TX_IP_HEADER);
		g_autofree struct net_mem_frame *s = NULL;

		/* As guests do: the sum of the pseudo header is there. */
		put16(f->bytes + csum_at(f, proto),
		      plain_pseudo(f, v, proto, f->len - f->l4));
		if (v == 4)
			put16(f->bytes + f->l3 + 10, 0xbad);
		assert_int_equal(send_frame(c, f, &ppi, 1), NVSP_STAT_SUCCESS);
		s = net_mem_sent(c->cable);
		assert_non_null(s);
		assert_int_equal(s->len, f->len);
		finish(s);
		assert_true(is_right(s->bytes, f, v, proto));
		if (v == 4)
			assert_int_equal(plain_sum(s->bytes + f->l3, 20, 0),
					 0xffff);
		assert_memory_equal(s->bytes + f->payload,
				    f->bytes + f->payload, 301);
	}
}

static void a_large_frame_leaves_with_what_cutting_it_needs(void **state)
{
	/* The first version is of IPv4 only. */
	static const struct {
		int v;
		uint32_t type;
	} kinds[] = {
		{ 4, LSO_TYPE_2 }, { 6, LSO_TYPE_2 | LSO_IPV6 }, { 4, 0 },
	};
	struct netvsc *c = *state;

	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
		int v = kinds[i].v;
		g_autofree struct made *f = make_frame(v, IPPROTO_TCP, 5000);
		struct ppi ppi = netvsc_ppi(RNDIS_PKTINFO_LSO,
					    1400 | (uint32_t)f->l4 << 20 |
					    kinds[i].type);
		g_autofree struct net_mem_frame *s = NULL;

		/* Linux leaves out the lengths, and IPv4's checksum. */
		if (kinds[i].type)
			put16(f->bytes + f->l3 + (v == 4 ? 2 : 4), 0);
		if (v == 4)
			put16(f->bytes + f->l3 + 10, 0);
		put16(f->bytes + csum_at(f, IPPROTO_TCP),
		      plain_pseudo(f, v, IPPROTO_TCP, 0));
		assert_int_equal(send_frame(c, f, &ppi, 1), NVSP_STAT_SUCCESS);
		s = net_mem_sent(c->cable);
		assert_non_null(s);
		assert_int_equal(s->hdr.gso_type, v == 4 ?
				 VIRTIO_NET_HDR_GSO_TCPV4 :
				 VIRTIO_NET_HDR_GSO_TCPV6);
		assert_int_equal(s->hdr.gso_size, 1400);
		assert_int_equal(s->hdr.hdr_len, f->payload);
		assert_int_equal(get16(s->bytes + f->l3 + (v == 4 ? 2 : 4)),
				 f->len - (v == 4 ? f->l3 : f->l4));
		if (v == 4)
			assert_int_equal(plain_sum(s->bytes + f->l3, 20, 0),
					 0xffff);
		finish(s);
		assert_true(is_right(s->bytes, f, v, IPPROTO_TCP));
	}
}

static void a_tag_is_inserted(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 1472);
	struct ppi ppi[2] = {
		netvsc_ppi(RNDIS_PKTINFO_8021Q, 5 | 1 << 3 | 0xabc << 4),
		netvsc_ppi(RNDIS_PKTINFO_CSUM, CSUM_TX_IPV4 | CSUM_TX_UDP),
	};
	g_autofree struct net_mem_frame *s = NULL;

	assert_int_equal(send_frame(c, f, ppi, 2), NVSP_STAT_SUCCESS);
	s = net_mem_sent(c->cable);
	assert_non_null(s);
	assert_int_equal(s->len, f->len + 4);
	assert_memory_equal(s->bytes, f->bytes, 12);
	assert_memory_equal(s->bytes + 12, "\x81\x00\xba\xbc", 4);
	assert_memory_equal(s->bytes + 16, f->bytes + 12, 2);
	assert_int_equal(s->hdr.csum_start, f->l4 + 4);
	assert_memory_equal(s->bytes + f->payload + 4, f->bytes + f->payload,
			    1472);
}

static void several_frames_may_come_in_one_message(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 100);
	static uint8_t msg[9 * 256];

	for (unsigned n = 1; n <= 9; n++) {
		size_t len = 0;

		for (unsigned i = 0; i < n; i++)
			len += netvsc_wrap(msg + len, NULL, 0, f->bytes,
					   f->len);
		assert_int_equal(netvsc_send(c, 0, NVSP_CHANNEL_DATA, msg, len),
				 n <= 8 ? NVSP_STAT_SUCCESS :
					  NVSP_STAT_INVALID_RNDIS_PKT);
		for (unsigned i = 0; i < MIN(n, 8); i++) {
			g_autofree struct net_mem_frame *s =
				net_mem_sent(c->cable);

			assert_non_null(s);
			assert_memory_equal(s->bytes, f->bytes, f->len);
		}
		assert_null(net_mem_sent(c->cable));
	}
}

/* Headers in the section, the rest in pages of the guest's. */
static void a_frame_may_lie_in_pages(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(6, IPPROTO_UDP, 1300);
	static uint8_t msg[4096];
	size_t len = netvsc_wrap(msg, NULL, 0, f->bytes, f->len);
	size_t split = RNDIS_PACKET_SIZE + 33;
	uint64_t pfn = NETVSC_FREE_GPA / GMEM_PAGE_SIZE;
	const struct nvsp_message m = {
		.msg_type = NVSP_MSG1_TYPE_SEND_RNDIS_PKT,
		.rndis_pkt = { 0, 3, (uint32_t)split },
	};
	struct {
		struct vmdata_gpa_direct h;
		struct gpa_range r0;
		uint64_t pfn0[2];
		struct gpa_range r1;
		uint64_t pfn1;
	} __attribute__((packed)) head = {
		.h.range_cnt = 2,
		.r0 = { .byte_count = 500, .byte_offset = 4000 },
		.pfn0 = { pfn + 3, pfn + 1 },
		.r1 = { .byte_count = (uint32_t)(len - split - 500),
			.byte_offset = 7 },
		.pfn1 = pfn,
	};
	uint8_t *free_pages = c->ram + NETVSC_FREE_GPA;
	g_autofree struct net_mem_frame *s = NULL;
	g_autofree struct fake_answer *a = NULL;

	memcpy(c->ram + NETVSC_SEND_GPA + 3 * 6144, msg, split);
	memcpy(free_pages + 3 * 4096 + 4000, msg + split, 96);
	memcpy(free_pages + 4096, msg + split + 96, 404);
	memcpy(free_pages + 7, msg + split + 500, len - split - 500);
	fake_send(c->ch[0], 5, &head, sizeof(head), &m, sizeof(m));
	fake_kick(c->ch[0]);
	a = fake_answer(c->ch[0]);
	assert_non_null(a);
	s = net_mem_sent(c->cable);
	assert_non_null(s);
	assert_int_equal(s->len, f->len);
	assert_memory_equal(s->bytes, f->bytes, f->len);
}

static void a_full_cable_holds_the_ring_up(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 100);
	struct fake_answer *a;

	c->cable->room = 0;
	assert_int_equal(send_frame(c, f, NULL, 0), NVSP_STAT_NONE);
	assert_true(c->ch[0]->busy);
	/* The next stays where it is. */
	assert_int_equal(send_frame(c, f, NULL, 0), NVSP_STAT_NONE);
	assert_int_equal(c->ch[0]->packets.length, 1);
	c->cable->room = 100;
	c->cable->net.user.writable(c->cable->net.user.user);
	assert_false(c->ch[0]->busy);
	fake_kick(c->ch[0]);
	for (int i = 0; i < 2; i++) {
		a = fake_answer(c->ch[0]);
		assert_non_null(a);
		g_free(a);
		g_free(net_mem_sent(c->cable));
	}
	assert_int_equal(c->ch[0]->packets.length, 0);
}

/* Whatever the peer does, a guest is not held up by it for ever. */
static void a_cable_that_stays_full_loses_frames(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 100);
	uint8_t query[28] = { RNDIS_MSG_KEEPALIVE, 0, 0, 0, 12 };
	struct fake_answer *a;

	loop_set_clock(c->loop, rig_clock);
	c->cable->room = 0;
	assert_int_equal(send_frame(c, f, NULL, 0), NVSP_STAT_NONE);
	assert_int_equal(netvsc_send(c, 0, NVSP_CHANNEL_CONTROL, query,
				     sizeof(query)), NVSP_STAT_NONE);
	rig_now += TX_PATIENCE_NS - 1;
	loop_turn(c->loop, false);
	fake_kick(c->ch[0]);
	assert_null(fake_answer(c->ch[0]));
	rig_now++;
	loop_turn(c->loop, false);
	assert_false(c->ch[0]->busy);
	fake_kick(c->ch[0]);
	for (int i = 0; i < 2; i++) {
		a = fake_answer(c->ch[0]);
		assert_non_null(a);
		g_free(a);
	}
	g_free(fake_transfer(c->ch[0]));
	/* The next is not even waited for, ... */
	assert_int_equal(send_frame(c, f, NULL, 0), NVSP_STAT_SUCCESS);
	assert_int_equal(netvsc_lost(c), 2);
	/* ... until the cable takes frames again. */
	c->cable->room = 1;
	c->cable->net.user.writable(c->cable->net.user.user);
	assert_int_equal(send_frame(c, f, NULL, 0), NVSP_STAT_SUCCESS);
	assert_int_equal(send_frame(c, f, NULL, 0), NVSP_STAT_NONE);
	assert_int_equal(netvsc_lost(c), 2);
	g_free(net_mem_sent(c->cable));
}

/* Two guests that wait for each other's buffers would never go on. */
static void who_sends_much_and_gets_nothing_need_not_ring(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *small = make_frame(4, IPPROTO_UDP, 64);
	g_autoptr(GPtrArray) all = NULL;

	for (unsigned n = 1; n <= 8; n++) {
		send_frame(c, small, NULL, 0);
		g_free(net_mem_sent(c->cable));
		assert_int_equal(c->ch[0]->busy, n == 8);
	}
	fake_kick(c->ch[0]);
	assert_false(c->ch[0]->busy);
	for (unsigned n = 0; n < 20; n++) {
		send_frame(c, small, NULL, 0);
		g_free(net_mem_sent(c->cable));
		assert_false(c->ch[0]->busy);
		net_mem_receive(c->cable, NULL, small->bytes, small->len);
		c->cable->net.user.readable(c->cable->net.user.user);
	}
	all = netvsc_received(c, 0);
	assert_int_equal(all->len, 20);
}

static void buffers_come_back_past_frames_that_wait(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 64);
	unsigned count = c->nv->line[0]->free.count;
	g_autoptr(GPtrArray) all = NULL;
	struct fake_transfer *t;

	c->cable->room = 0;
	assert_int_equal(send_frame(c, f, NULL, 0), NVSP_STAT_NONE);
	for (unsigned i = 0; i < count + 1; i++)
		net_mem_receive(c->cable, NULL, f->bytes, f->len);
	while ((t = fake_transfer(c->ch[0]))) {
		fake_complete(c->ch[0], t->t.trans_id);
		g_free(t);
	}
	c->cable->net.user.readable(c->cable->net.user.user);
	while (loop_turn(c->loop, false))
		;
	while ((t = fake_transfer(c->ch[0]))) {
		fake_complete(c->ch[0], t->t.trans_id);
		g_free(t);
	}
	fake_kick(c->ch[0]);
	g_free(fake_answer(c->ch[0]));
	all = netvsc_received(c, 0);
	assert_int_equal(all->len, 1);
	assert_int_equal(c->nv->line[0]->free.count, count);
	assert_int_equal(netvsc_lost(c), 1);
}

/* The guest's pages may be anything's from then on. */
static void no_frame_outlives_its_send_buffer(void **state)
{
	const struct nvsp_message revoke = {
		.msg_type = NVSP_MSG1_TYPE_REVOKE_SEND_BUF,
	};
	const struct nvsp_message lend = {
		.msg_type = NVSP_MSG1_TYPE_SEND_SEND_BUF,
		.send_buf = { NETVSC_SEND_GPADL, 0 },
	};
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 100);
	uint8_t msg[512];
	size_t len = netvsc_wrap(msg, NULL, 0, f->bytes, f->len);
	const struct nvsp_message m = {
		.msg_type = NVSP_MSG1_TYPE_SEND_RNDIS_PKT,
		.rndis_pkt = { NVSP_CHANNEL_DATA, 0, (uint32_t)len },
	};

	open_subchannels(c, 1);
	g_free(fake_answer(c->ch[0]));
	/* What comes before it in the ring leaves, ... */
	memcpy(c->ram + NETVSC_SEND_GPA, msg, len);
	fake_send(c->ch[0], 5, NULL, 0, &m, sizeof(m));
	fake_send(c->ch[0], 6, NULL, 0, &revoke, sizeof(revoke));
	fake_kick(c->ch[0]);
	g_free(fake_answer(c->ch[0]));
	g_free(fake_answer(c->ch[0]));
	assert_int_equal(c->cable->sent.length, 1);
	g_free(net_mem_sent(c->cable));
	/* ... unless it cannot; the same if the NIC is closed. */
	assert_true(netvsc_message(c, &lend));
	c->cable->room = 0;
	assert_int_equal(netvsc_send(c, 1, NVSP_CHANNEL_DATA, msg, len),
			 NVSP_STAT_NONE);
	fake_close(c->ch[0]);
	c->cable->room = 100;
	c->cable->net.user.writable(c->cable->net.user.user);
	assert_null(net_mem_sent(c->cable));
	fake_free(c->ch[0]);
	c->ch[0] = NULL;
}

static void frames_that_make_no_sense_are_not_sent(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_TCP, 100);
	static const struct { unsigned word; uint32_t value; } bad[] = {
		{ 0, 2 }, { 0, 0 }, { 1, 7 }, { 1, 43 }, { 1, UINT32_MAX },
		{ 1, 1 << 16 }, { 2, UINT32_MAX }, { 2, 1 << 12 },
		{ 3, 0 }, { 3, UINT32_MAX }, { 3, 2000 },
		{ 7, UINT32_MAX }, { 8, UINT32_MAX }, { 8, 513 }, { 8, 5 },
		{ 11, 0 }, { 11, 11 }, { 11, UINT32_MAX }, { 11, 500 },
		{ 13, 17 }, { 13, UINT32_MAX },
	};
	struct ppi ppi = netvsc_ppi(RNDIS_PKTINFO_CSUM,
				    CSUM_TX_IPV4 | CSUM_TX_TCP);
	uint8_t msg[512];
	size_t len = netvsc_wrap(msg, &ppi, 1, f->bytes, f->len);

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		uint8_t m[512];

		memcpy(m, msg, len);
		memcpy(m + bad[i].word * 4, &bad[i].value, 4);
		assert_int_equal(netvsc_send(c, 0, NVSP_CHANNEL_DATA, m, len),
				 NVSP_STAT_INVALID_RNDIS_PKT);
		assert_null(net_mem_sent(c->cable));
	}
	assert_int_equal(netvsc_send(c, 0, NVSP_CHANNEL_DATA, msg, len),
			 NVSP_STAT_SUCCESS);
	g_free(net_mem_sent(c->cable));
}

static void wishes_that_cannot_be_are_refused(void **state)
{
	struct netvsc *c = *state;
	static const struct ppi bad[] = {
		{ { 16, RNDIS_PKTINFO_LSO, 12 }, 0 },		/* MSS 0 */
		{ { 16, RNDIS_PKTINFO_LSO, 12 }, 0xfffff },
		{ { 16, RNDIS_PKTINFO_CSUM, 12 }, CSUM_TX_UDP },
	};
	g_autofree struct made *tcp = make_frame(4, IPPROTO_TCP, 100);
	g_autofree struct made *long_one = make_frame(4, IPPROTO_UDP, 1480);

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		assert_int_equal(send_frame(c, tcp, &bad[i], 1),
				 NVSP_STAT_INVALID_RNDIS_PKT);
	assert_int_equal(send_frame(c, long_one, NULL, 0),
			 NVSP_STAT_INVALID_RNDIS_PKT);
	/* No TCP header to be seen; one that goes on behind the frame. */
	tcp->bytes[tcp->l4 + 12] = 0x40;
	assert_int_equal(send_frame(c, tcp, &(struct ppi){
				{ 16, RNDIS_PKTINFO_LSO, 12 }, 1400 }, 1),
			 NVSP_STAT_INVALID_RNDIS_PKT);
	tcp->bytes[tcp->l4 + 12] = 0xf0;
	tcp->len = tcp->payload + 10;
	assert_int_equal(send_frame(c, tcp, &(struct ppi){
				{ 16, RNDIS_PKTINFO_LSO, 12 }, 1400 }, 1),
			 NVSP_STAT_INVALID_RNDIS_PKT);
	assert_null(net_mem_sent(c->cable));
}

/* Guests that ask for what they were not offered do not get it. */
static void what_the_cable_cannot_do_never_reaches_it(void **state)
{
	struct netvsc *c = *state;
	const struct ppi lso = netvsc_ppi(RNDIS_PKTINFO_LSO, 1400 | LSO_TYPE_2);
	const struct ppi csum = netvsc_ppi(RNDIS_PKTINFO_CSUM, CSUM_TX_TCP);
	const struct { int version; unsigned lacks; const struct ppi *ppi; }
	asked[] = {
		{ 4, NET_OFFLOAD_TSO4, &lso }, { 6, NET_OFFLOAD_TSO6, &lso },
		{ 4, NET_OFFLOAD_CSUM, &csum }, { 6, NET_OFFLOAD_CSUM, &csum },
	};
	unsigned all = c->cable->net.offloads;

	for (size_t i = 0; i < G_N_ELEMENTS(asked); i++) {
		g_autofree struct made *f = make_frame(asked[i].version,
						       IPPROTO_TCP, 1400);

		c->cable->net.offloads = all & ~asked[i].lacks;
		assert_int_equal(send_frame(c, f, asked[i].ppi, 1),
				 NVSP_STAT_INVALID_RNDIS_PKT);
		assert_null(net_mem_sent(c->cable));
		c->cable->net.offloads = asked[i].lacks;
		assert_int_equal(send_frame(c, f, asked[i].ppi, 1),
				 NVSP_STAT_SUCCESS);
		g_free(net_mem_sent(c->cable));
	}
}

static void a_frame_is_as_long_as_the_cable_takes(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 1472);
	static const struct { uint32_t mtu_max; size_t len; bool ok; } cases[] = {
		{ 65535, 13, false }, { 65535, 14, true },
		{ 65535, 1518, true }, { 65535, 1519, false },
		{ 1400, 1418, true }, { 1400, 1419, false },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		c->cable->net.mtu_max = cases[i].mtu_max;
		f->len = cases[i].len;
		assert_int_equal(send_frame(c, f, NULL, 0), cases[i].ok ?
				 NVSP_STAT_SUCCESS :
				 NVSP_STAT_INVALID_RNDIS_PKT);
		g_free(net_mem_sent(c->cable));
	}
}

static void sections_and_ranges_have_bounds(void **state)
{
	struct netvsc *c = *state;
	static const uint32_t sections[][2] = {
		{ NETVSC_SEND_PAGES * 4096 / 6144, 6144 },
		{ 0, 6145 }, { UINT32_MAX - 1, 100 }, { 0, UINT32_MAX },
	};
	struct {
		struct vmdata_gpa_direct h;
		struct gpa_range r;
		uint64_t pfn;
	} __attribute__((packed)) head = {
		.h.range_cnt = 1, .r = { .byte_count = 100 },
	};
	static const struct {
		uint32_t count, bytes, offset;
		uint64_t pfn;
	} ranges[] = {
		{ 2, 100, 0, 1 }, { UINT32_MAX, 100, 0, 1 },
		{ 1, 100, 4096, 1 }, { 1, 4097, 0, 1 },
		{ 1, UINT32_MAX, 0, 1 }, { 1, 100, 0, UINT64_MAX },
		{ 1, 100, 0, NETVSC_RAM / 4096 },
	};
	struct nvsp_message m = {
		.msg_type = NVSP_MSG1_TYPE_SEND_RNDIS_PKT,
	};
	struct nvsp_message *got;
	struct fake_answer *a;

	for (size_t i = 0; i < G_N_ELEMENTS(sections); i++) {
		m.rndis_pkt.section_index = sections[i][0];
		m.rndis_pkt.section_size = sections[i][1];
		assert_true(netvsc_message(c, &m));
		assert_int_equal(c->answer.status, NVSP_STAT_FAIL);
	}
	m.rndis_pkt.section_index = NVSP_NO_SECTION;
	for (size_t i = 0; i < G_N_ELEMENTS(ranges); i++) {
		head.h.range_cnt = ranges[i].count;
		head.r.byte_count = ranges[i].bytes;
		head.r.byte_offset = ranges[i].offset;
		head.pfn = ranges[i].pfn;
		fake_send(c->ch[0], 5, &head, sizeof(head), &m, sizeof(m));
		fake_kick(c->ch[0]);
		a = fake_answer(c->ch[0]);
		assert_non_null(a);
		got = (void *)a->payload;
		assert_int_equal(got->status, NVSP_STAT_FAIL);
		g_free(a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STARTED(a_plain_frame_goes_out_as_it_is),
		STARTED(a_checksum_is_left_to_the_cable),
		STARTED(a_large_frame_leaves_with_what_cutting_it_needs),
		STARTED(a_tag_is_inserted),
		STARTED(several_frames_may_come_in_one_message),
		STARTED(a_frame_may_lie_in_pages),
		STARTED(a_full_cable_holds_the_ring_up),
		STARTED(a_cable_that_stays_full_loses_frames),
		STARTED(who_sends_much_and_gets_nothing_need_not_ring),
		STARTED(buffers_come_back_past_frames_that_wait),
		STARTED(no_frame_outlives_its_send_buffer),
		STARTED(frames_that_make_no_sense_are_not_sent),
		STARTED(wishes_that_cannot_be_are_refused),
		STARTED(what_the_cable_cannot_do_never_reaches_it),
		STARTED(a_frame_is_as_long_as_the_cable_takes),
		STARTED(sections_and_ranges_have_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
