/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Frames for the guest. */
#include <netinet/in.h>

#include "netvsp_rig.h"

static void a_frame_arrives_as_it_is(void **state)
{
	struct netvsc *c = *state;
	uint32_t free_count = c->nv->line[0]->free.count;

	for (size_t len = 1; len <= 1472; len += 49) {
		g_autofree struct made *f = make_frame(4, IPPROTO_UDP, len);
		g_autoptr(GPtrArray) all = NULL;
		struct netvsc_frame *got;

		come(c, f, NULL);
		all = netvsc_received(c, 0);
		assert_int_equal(all->len, 1);
		got = all->pdata[0];
		assert_int_equal(got->len, f->len);
		assert_memory_equal(got->bytes, f->bytes, f->len);
		assert_false(got->has_csum || got->has_vlan || got->has_id);
		assert_int_equal(c->nv->line[0]->free.count, free_count);
	}
}

static void a_burst_comes_in_few_packets(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 64);
	g_autoptr(GPtrArray) all = NULL;

	for (int i = 0; i < 100; i++) {
		f->bytes[f->payload] = (uint8_t)i;
		net_mem_receive(c->cable, NULL, f->bytes, f->len);
	}
	c->cable->net.user.readable(c->cable->net.user.user);
	/* Room for a frame of many segments is kept in each. */
	assert_true(c->ch[0]->transfers.length <= 100 / 16);
	all = netvsc_received(c, 0);
	assert_int_equal(all->len, 100);
	for (int i = 0; i < 100; i++)
		assert_int_equal(((struct netvsc_frame *)
				  all->pdata[i])->bytes[f->payload], i);
}

static void a_checksum_that_was_left_is_finished(void **state)
{
	struct netvsc *c = *state;

	for (unsigned kind = 0; kind < 4; kind++) {
		int v = kind & 1 ? 6 : 4;
		unsigned proto = kind & 2 ? IPPROTO_UDP : IPPROTO_TCP;
		g_autofree struct made *f = make_frame(v, proto, 1237);
		const struct virtio_net_hdr hdr = {
			.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			.csum_start = (uint16_t)f->l4,
			.csum_offset = proto == IPPROTO_TCP ? 16 : 6,
		};
		g_autoptr(GPtrArray) all = NULL;
		struct netvsc_frame *got;

		put16(f->bytes + csum_at(f, proto),
		      plain_pseudo(f, v, proto, f->len - f->l4));
		come(c, f, &hdr);
		all = netvsc_received(c, 0);
		assert_int_equal(all->len, 1);
		got = all->pdata[0];
		assert_true(is_right(got->bytes, f, v, proto));
		assert_true(got->has_csum);
		assert_int_equal(got->csum, proto == IPPROTO_TCP ?
				 CSUM_RX_TCP_OK : CSUM_RX_UDP_OK);
	}
}

static void a_guest_that_checks_itself_is_told_nothing(void **state)
{
	struct netvsc *c = *state;
	const struct ndis_offload_parameters p = {
		.header = { NDIS_OBJECT_TYPE_DEFAULT, 3, sizeof(p) },
		.tcp4_csum = NDIS_CSUM_TX,
	};
	const struct virtio_net_hdr hdr = {
		.flags = VIRTIO_NET_HDR_F_DATA_VALID,
	};
	g_autofree struct made *f = make_frame(4, IPPROTO_TCP, 10);
	g_autoptr(GPtrArray) all = NULL;
	struct fake_transfer *t;

	come(c, f, &hdr);
	all = netvsc_received(c, 0);
	assert_true(((struct netvsc_frame *)all->pdata[0])->has_csum);
	g_ptr_array_set_size(all, 0);
	/* The answer, and behind it the indication of what is on now. */
	netvsc_set(c, OID_OFFLOAD, &p, sizeof(p));
	t = fake_transfer(c->ch[0]);
	assert_non_null(t);
	g_free(t);
	come(c, f, &hdr);
	g_ptr_array_unref(g_steal_pointer(&all));
	all = netvsc_received(c, 0);
	assert_int_equal(all->len, 1);
	assert_false(((struct netvsc_frame *)all->pdata[0])->has_csum);
}

static void a_tag_comes_beside_the_frame(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 1472);
	g_autofree struct made *tagged = g_memdup2(f, sizeof(*f));
	g_autoptr(GPtrArray) all = NULL;
	struct netvsc_frame *got;

	memcpy(tagged->bytes + 12, "\x81\x00\xba\xbc", 4);
	memcpy(tagged->bytes + 16, f->bytes + 12, f->len - 12);
	tagged->len += 4;
	come(c, tagged, NULL);
	all = netvsc_received(c, 0);
	assert_int_equal(all->len, 1);
	got = all->pdata[0];
	assert_int_equal(got->len, f->len);
	assert_memory_equal(got->bytes, f->bytes, f->len);
	assert_true(got->has_vlan);
	assert_int_equal(got->vlan, 5 | 1 << 3 | 0xabc << 4);
}

static void the_filter_decides(void **state)
{
	static const struct { uint32_t filter; bool me, all, group, other; }
	cases[] = {
		{ 0, 0, 0, 0, 0 },
		{ NDIS_PACKET_TYPE_DIRECTED, 1, 0, 0, 0 },
		{ NDIS_PACKET_TYPE_BROADCAST, 0, 1, 0, 0 },
		{ NDIS_PACKET_TYPE_MULTICAST, 0, 0, 1, 0 },
		{ NDIS_PACKET_TYPE_ALL_MULTICAST, 0, 0, 1, 0 },
		{ 0xd, 1, 1, 1, 0 },
		{ NDIS_PACKET_TYPE_PROMISCUOUS, 1, 1, 1, 1 },
	};
	static const char *const to[] = {
		"\x02\x01\x02\x03\x04\x05", "\xff\xff\xff\xff\xff\xff",
		"\x01\x00\x5e\x00\x00\x01", "\x02\x01\x02\x03\x04\x06",
	};
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 10);

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		const bool want[] = { cases[i].me, cases[i].all,
				      cases[i].group, cases[i].other };

		netvsc_set(c, OID_FILTER, &cases[i].filter, 4);
		for (size_t k = 0; k < G_N_ELEMENTS(to); k++) {
			GPtrArray *all;

			memcpy(f->bytes, to[k], 6);
			come(c, f, NULL);
			all = netvsc_received(c, 0);
			assert_int_equal(all->len, want[k]);
			g_ptr_array_unref(all);
		}
	}
}

static void what_comes_while_nobody_listens_is_not_for_later(void **state)
{
	const uint32_t off = 0, on = NDIS_PACKET_TYPE_PROMISCUOUS;
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 10);
	g_autoptr(GPtrArray) all = NULL;

	/* Also what had come before, and found no room. */
	c->ch[0]->full = true;
	come(c, f, NULL);
	come(c, f, NULL);
	c->ch[0]->full = false;
	netvsc_set(c, OID_FILTER, &off, sizeof(off));
	g_ptr_array_unref(netvsc_received(c, 0));
	for (int i = 0; i < 2 * RX_BUDGET; i++)
		net_mem_receive(c->cable, NULL, f->bytes, f->len);
	c->cable->net.user.readable(c->cable->net.user.user);
	while (loop_turn(c->loop, false))
		;
	assert_int_equal(c->cable->incoming.length, 0);
	netvsc_set(c, OID_FILTER, &on, sizeof(on));
	f->bytes[f->payload] ^= 1;
	come(c, f, NULL);
	all = netvsc_received(c, 0);
	assert_int_equal(all->len, 1);
	assert_memory_equal(((struct netvsc_frame *)all->pdata[0])->bytes,
			    f->bytes, f->len);
}

static void what_comes_while_there_is_no_driver_is_not_for_later(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 10);

	/* Left by a guest that had no buffers. */
	for (unsigned i = c->nv->line[0]->free.count + 1; i; i--)
		net_mem_receive(c->cable, NULL, f->bytes, f->len);
	c->cable->net.user.readable(c->cable->net.user.user);
	while (loop_turn(c->loop, false))
		;
	assert_int_equal(c->cable->incoming.length, 1);
	fake_close(c->ch[0]);
	fake_free(c->ch[0]);
	c->ch[0] = NULL;
	while (loop_turn(c->loop, false))
		;
	assert_int_equal(c->cable->incoming.length, 0);
	come(c, f, NULL);
	assert_int_equal(c->cable->incoming.length, 0);
}

static void no_frame_passes_a_cable_that_is_out(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 10);
	g_autoptr(GPtrArray) all = NULL;

	c->cable->room = 0;
	assert_int_equal(send_frame(c, f, NULL, 0), NVSP_STAT_NONE);
	c->cable->room = 100;
	netvsp_set_link(c->nv, false);
	assert_false(c->ch[0]->busy);
	g_free(fake_answer(c->ch[0]));
	assert_indicated(c, is_down, 1);
	assert_false(is_connected(c));
	assert_int_equal(send_frame(c, f, NULL, 0), NVSP_STAT_SUCCESS);
	assert_null(net_mem_sent(c->cable));
	assert_int_equal(netvsc_lost(c), 2);
	come(c, f, NULL);
	assert_int_equal(c->ch[0]->transfers.length, 0);
	/* Nor by what happens at its other end. */
	set_cable(c, false);
	set_cable(c, true);
	assert_false(is_connected(c));
	netvsp_set_link(c->nv, true);
	assert_true(is_connected(c));
	assert_int_equal(send_frame(c, f, NULL, 0), NVSP_STAT_SUCCESS);
	g_free(net_mem_sent(c->cable));
	come(c, f, NULL);
	all = netvsc_received(c, 0);
	assert_int_equal(all->len, 1);
}

static void groups_that_were_named_are_received(void **state)
{
	static const uint8_t groups[GROUPS_MAX + 1][6] = {
		{ 1, 0, 0x5e, 0, 0, 1 }, { 0x33, 0x33, 0, 0, 0, 1 },
	};
	static const struct { uint32_t filter; bool in, out; } cases[] = {
		{ NDIS_PACKET_TYPE_MULTICAST, 1, 0 },
		{ NDIS_PACKET_TYPE_ALL_MULTICAST, 1, 1 },
		{ NDIS_PACKET_TYPE_DIRECTED, 0, 0 },
	};
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 10);
	g_autoptr(GByteArray) b = g_byte_array_new();

	assert_int_equal(netvsc_set(c, OID_GROUPS, groups, 7),
			 RNDIS_STATUS_INVALID_LENGTH);
	assert_int_equal(netvsc_set(c, OID_GROUPS, groups, sizeof(groups)),
			 RNDIS_STATUS_MULTICAST_FULL);
	assert_int_equal(netvsc_set(c, OID_GROUPS, groups,
				    sizeof(groups) - 6),
			 RNDIS_STATUS_SUCCESS);
	assert_int_equal(netvsc_set(c, OID_GROUPS, groups, 12),
			 RNDIS_STATUS_SUCCESS);
	netvsc_query(c, OID_GROUPS, NULL, 0, b);
	assert_int_equal(b->len, 12);
	assert_memory_equal(b->data, groups, 12);
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		netvsc_set(c, OID_FILTER, &cases[i].filter, 4);
		for (unsigned k = 0; k < 3; k++) {
			GPtrArray *all;

			memcpy(f->bytes, k < 2 ? groups[k] :
					 (const uint8_t *)"\1\0\x5e\0\0\2", 6);
			come(c, f, NULL);
			all = netvsc_received(c, 0);
			assert_int_equal(all->len, k < 2 ? cases[i].in :
							   cases[i].out);
			g_ptr_array_unref(all);
		}
	}
}

static uint64_t counter(struct netvsc *c, uint32_t oid)
{
	g_autoptr(GByteArray) b = g_byte_array_new();
	uint64_t value;

	assert_int_equal(netvsc_query(c, oid, NULL, 0, b),
			 RNDIS_STATUS_SUCCESS);
	assert_int_equal(b->len, sizeof(value));
	memcpy(&value, b->data, sizeof(value));
	return value;
}

static void frames_are_counted_by_who_they_are_for(void **state)
{
	static const char *const to[] = {
		"\x02\x01\x02\x03\x04\x05", "\x01\x00\x5e\x00\x00\x01",
		"\xff\xff\xff\xff\xff\xff",
	};
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 10);
	g_autoptr(GByteArray) b = g_byte_array_new();
	struct ndis_statistics s;

	for (unsigned k = 0; k < 3; k++) {
		memcpy(f->bytes, to[k], 6);
		for (unsigned i = 0; i <= k; i++) {
			send_frame(c, f, NULL, 0);
			g_free(net_mem_sent(c->cable));
		}
		for (unsigned i = 0; i <= k + 3; i++)
			come(c, f, NULL);
		g_ptr_array_unref(netvsc_received(c, 0));
	}
	c->cable->room = 0;
	netvsp_set_link(c->nv, false);
	send_frame(c, f, NULL, 0);
	netvsp_set_link(c->nv, true);
	assert_indicated(c, is_down, 1);
	for (unsigned k = 0; k < 3; k++) {
		assert_int_equal(counter(c, 0x00020201 + 2 * k),
				 (k + 1) * f->len);
		assert_int_equal(counter(c, 0x00020202 + 2 * k), k + 1);
		assert_int_equal(counter(c, 0x00020207 + 2 * k),
				 (k + 4) * f->len);
		assert_int_equal(counter(c, 0x00020208 + 2 * k), k + 4);
	}
	assert_int_equal(counter(c, 0x00020101), 6);
	assert_int_equal(counter(c, 0x00020102), 15);
	assert_int_equal(counter(c, 0x0002021c), 1);
	netvsc_query(c, 0x00020106, NULL, 0, b);
	assert_int_equal(b->len, sizeof(s));
	memcpy(&s, b->data, sizeof(s));
	assert_int_equal(s.header.size, sizeof(s));
	assert_int_equal(s.in_bytes, 15 * f->len);
	assert_int_equal(s.out_bytes, 6 * f->len);
	assert_int_equal(s.out_discards, 1);
	for (unsigned k = 0; k < 3; k++) {
		assert_int_equal(s.in_frames[k], k + 4);
		assert_int_equal(s.out_frames[k], k + 1);
		assert_int_equal(s.in_bytes_by_cast[k], (k + 4) * f->len);
		assert_int_equal(s.out_bytes_by_cast[k], (k + 1) * f->len);
	}
}

static void set_rsc(struct netvsc *c, bool on)
{
	assert_int_equal(netvsc_set_rsc(c, on), RNDIS_STATUS_SUCCESS);
}

static void a_large_frame_comes_in_parts_of_one_packet(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_TCP, 60000);
	const struct virtio_net_hdr hdr = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 1448,
		.hdr_len = (uint16_t)f->payload,
		.csum_start = (uint16_t)f->l4, .csum_offset = 16,
	};
	g_autoptr(GPtrArray) all = NULL;
	size_t at = 0;

	assert_int_equal(c->cable->offloads, NET_OFFLOAD_CSUM);
	set_rsc(c, true);
	assert_int_equal(c->cable->offloads, NET_OFFLOAD_CSUM |
			 NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6);
	put16(f->bytes + csum_at(f, IPPROTO_TCP),
	      plain_pseudo(f, 4, IPPROTO_TCP, f->len - f->l4));
	come(c, f, &hdr);
	put16(f->bytes + csum_at(f, IPPROTO_TCP),
	      ~plain_sum(f->bytes + f->l4, f->len - f->l4, 0) & 0xffff);
	assert_true(is_right(f->bytes, f, 4, IPPROTO_TCP));
	all = netvsc_received(c, 0);
	assert_true(all->len > 1);
	for (guint i = 0; i < all->len; i++) {
		struct netvsc_frame *got = all->pdata[i];

		assert_true(got->has_id);
		assert_int_equal(got->id.flags, RNDIS_PKTID_VALID |
				 (i ? 0 : RNDIS_PKTID_FIRST) |
				 (i + 1 < all->len ? 0 : RNDIS_PKTID_LAST));
		assert_int_equal(got->has_csum, i == 0);
		assert_int_equal(got->trans_id,
				 ((struct netvsc_frame *)
				  all->pdata[0])->trans_id);
		assert_memory_equal(got->bytes, f->bytes + at, got->len);
		at += got->len;
	}
	assert_int_equal(at, f->len);
	set_rsc(c, false);
	assert_int_equal(c->cable->offloads, NET_OFFLOAD_CSUM);
}

static void see_whole(struct netvsc *c, const struct made *f)
{
	g_autoptr(GPtrArray) all = netvsc_received(c, 0);
	size_t at = 0;

	for (guint i = 0; i < all->len; i++) {
		struct netvsc_frame *got = all->pdata[i];

		assert_memory_equal(got->bytes, f->bytes + at, got->len);
		at += got->len;
	}
	assert_int_equal(at, f->len);
}

/* Each piece is work for the kernel: a small frame needs no room of a large. */
static void room_is_offered_as_it_was_needed(void **state)
{
	static const struct { size_t size; int least, most; } frames[] = {
		{ 64, 2, 2 }, { 64, 2, 2 }, { 65000, 43, 44 },
		{ 65000, 43, 44 }, { 64, 2, 44 }, { 20000, 14, 44 },
		{ 3000, 3, 44 }, { NET_FRAME_MAX - 66, 43, 44 },
		{ 64, 2, 44 }, { 64, 2, 44 }, { 64, 2, 44 }, { 64, 2, 44 },
		{ 64, 2, 44 }, { 64, 2, 2 }, { 1500, 3, 3 },
	};
	struct netvsc *c = *state;
	uint32_t free_count;

	set_rsc(c, true);
	free_count = c->nv->line[0]->free.count;
	for (size_t i = 0; i < G_N_ELEMENTS(frames); i++) {
		g_autofree struct made *f = make_frame(4, IPPROTO_TCP,
						       frames[i].size);

		come(c, f, NULL);
		/* Of the next. */
		assert_in_range(c->cable->pieces, frames[i].least,
				frames[i].most);
		see_whole(c, f);
		assert_int_equal(c->nv->line[0]->free.count, free_count);
	}
}

/* Memory stays bounded, and nothing is lost by it. */
static void a_guest_that_gives_nothing_back_gets_no_more(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 64);
	unsigned count = c->nv->recv.count, packets, got = 0;

	for (unsigned i = 0; i < 2 * count; i++)
		net_mem_receive(c->cable, NULL, f->bytes, f->len);
	c->cable->net.user.readable(c->cable->net.user.user);
	while (loop_turn(c->loop, false))
		;
	packets = c->ch[0]->transfers.length;
	assert_int_equal(c->nv->line[0]->free.count, 0);
	assert_int_equal(c->cable->incoming.length,
			 2 * count - (count - RX_CONTROL_BUFFERS));
	/* It can still be spoken to. */
	assert_int_not_equal(c->nv->recv.free_control.count, 0);
	while (packets) {
		GPtrArray *all = netvsc_received(c, 0);

		got += all->len;
		g_ptr_array_unref(all);
		while (loop_turn(c->loop, false))
			;
		packets = c->ch[0]->transfers.length;
	}
	assert_int_equal(got, 2 * count);
}

static void what_was_never_sent_cannot_be_given_back(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 64);
	uint32_t free_count = c->nv->line[0]->free.count;
	g_autofree struct fake_transfer *t = NULL;

	for (uint64_t id = 0; id < 3000; id++)
		fake_complete(c->ch[0], id);
	fake_complete(c->ch[0], UINT64_MAX);
	fake_kick(c->ch[0]);
	assert_int_equal(c->nv->line[0]->free.count, free_count);
	for (int i = 0; i < 3; i++)
		net_mem_receive(c->cable, NULL, f->bytes, f->len);
	c->cable->net.user.readable(c->cable->net.user.user);
	t = fake_transfer(c->ch[0]);
	assert_int_equal(t->t.count, 3);
	/* Its second part, and all of it twice. */
	fake_complete(c->ch[0], t->t.ranges[1].byte_offset / 1806 + 1);
	fake_kick(c->ch[0]);
	assert_int_equal(c->nv->line[0]->free.count, free_count - 3);
	fake_complete(c->ch[0], t->t.trans_id);
	fake_complete(c->ch[0], t->t.trans_id);
	fake_kick(c->ch[0]);
	assert_int_equal(c->nv->line[0]->free.count, free_count);
}

static void a_full_ring_loses_nothing(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 64);
	g_autoptr(GPtrArray) all = NULL;

	c->ch[0]->full = true;
	for (int i = 0; i < 100; i++)
		net_mem_receive(c->cable, NULL, f->bytes, f->len);
	c->cable->net.user.readable(c->cable->net.user.user);
	assert_int_equal(c->ch[0]->transfers.length, 0);
	c->ch[0]->full = false;
	fake_kick(c->ch[0]);
	all = netvsc_received(c, 0);
	assert_int_equal(all->len, 100);
}

static void nothing_is_received_into_a_revoked_buffer(void **state)
{
	struct netvsc *c = *state;
	const struct nvsp_message m = {
		.msg_type = NVSP_MSG1_TYPE_REVOKE_RECV_BUF,
	};
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 64);

	c->ch[0]->full = true;
	come(c, f, NULL);
	netvsc_tell(c, &m);
	c->ch[0]->full = false;
	come(c, f, NULL);
	fake_kick(c->ch[0]);
	assert_int_equal(c->ch[0]->transfers.length, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STARTED(a_frame_arrives_as_it_is),
		STARTED(a_burst_comes_in_few_packets),
		STARTED(a_checksum_that_was_left_is_finished),
		STARTED(a_guest_that_checks_itself_is_told_nothing),
		STARTED(a_tag_comes_beside_the_frame),
		STARTED(the_filter_decides),
		STARTED(no_frame_passes_a_cable_that_is_out),
		STARTED(groups_that_were_named_are_received),
		STARTED(frames_are_counted_by_who_they_are_for),
		STARTED(what_comes_while_nobody_listens_is_not_for_later),
		STARTED(what_comes_while_there_is_no_driver_is_not_for_later),
		STARTED(a_large_frame_comes_in_parts_of_one_packet),
		STARTED(room_is_offered_as_it_was_needed),
		STARTED(a_guest_that_gives_nothing_back_gets_no_more),
		STARTED(what_was_never_sent_cannot_be_given_back),
		STARTED(a_full_ring_loses_nothing),
		STARTED(nothing_is_received_into_a_revoked_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
