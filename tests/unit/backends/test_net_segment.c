/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <glib.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "backends/net_segment.h"
#include "net_packet.h"

#define ROOM		(NET_FRAME_MAX + NET_HEADERS_MAX)
#define CWR		0x80
#define IOV_MAX_HERE	16

static uint8_t payload[65536], built[ROOM], expected[ROOM], made[ROOM];

/* A frame whose memory lies in pieces of @piece bytes. */
struct pieces {
	struct net_frame frame;
	struct iovec iov[IOV_MAX_HERE];
};

static void cut_into_pieces(struct pieces *m, size_t len, size_t piece)
{
	int n = 0;

	for (size_t at = 0; at < len; n++) {
		size_t left = len - at;
		bool last = n == IOV_MAX_HERE - 1;

		m->iov[n].iov_base = built + at;
		m->iov[n].iov_len = last ? left : MIN(left, piece);
		at += m->iov[n].iov_len;
	}
	m->frame.iov = m->iov;
	m->frame.iovcnt = n;
	m->frame.len = len;
}

static void offload(struct pieces *m, const struct net_packet *p,
		    uint16_t gso_size, size_t piece)
{
	size_t len = net_packet_build_offload(p, gso_size, built,
					      &m->frame.hdr);

	cut_into_pieces(m, len, piece);
}

static void assert_segments(const struct net_packet *p, uint16_t gso_size,
			    size_t piece)
{
	unsigned count = (unsigned)(p->payload_len + gso_size - 1) / gso_size;
	struct net_segmenter s;
	struct pieces m;

	offload(&m, p, gso_size, piece);
	assert_true(net_segmenter_init(&s, &m.frame));
	for (unsigned i = 0; i < count; i++) {
		struct net_packet want = net_packet_segment(p, gso_size, i);
		size_t len = net_packet_build(&want, expected);

		assert_true(len <= s.max);
		assert_int_equal(net_segmenter_next(&s, made), len);
		assert_memory_equal(made, expected, len);
	}
	assert_int_equal(net_segmenter_next(&s, made), 0);
}

/* Each shape that headers can have, into segments of @gso_size. */
static void each_shape(size_t payload_len, uint16_t gso_size, size_t piece)
{
	for (unsigned shape = 0; shape < 32; shape++) {
		for (unsigned tags = 0; tags <= 2; tags++) {
			struct net_packet p = {
				.ip6 = shape & 1, .udp = shape & 2,
				.ip_options = shape & 4 ? 24 : 0,
				.tcp_options = shape & 8 ? 12 : 0,
				.flags = TH_ACK |
					 (shape & 16 ? TH_FIN | TH_PUSH | CWR :
						       TH_URG),
				.vlan_tags = tags,
				.id = 0xfffe, .seq = 0xffffff00,
				.payload = payload, .payload_len = payload_len,
			};

			assert_segments(&p, gso_size, piece);
		}
	}
}

static void frames_are_cut_as_packets_are_built(void **state)
{
	each_shape(10000, 1448, 4096);
	each_shape(10 * 1448, 1448, 4096);
	each_shape(3, 1, 4096);
}

static void a_frame_of_one_segment_becomes_a_packet(void **state)
{
	each_shape(1000, 1448, 4096);
	each_shape(1000, 1000, 4096);
}

static void where_memory_lies_in_pieces_makes_no_difference(void **state)
{
	for (size_t piece = 1; piece < 300; piece += 7)
		each_shape(1999, 501, piece);
}

static void the_largest_frame_is_cut(void **state)
{
	struct net_packet p = {
		.payload = payload, .payload_len = 65535 - 40,
	};

	assert_segments(&p, 1460, 4096);
	assert_segments(&p, 65535, 4096);
}

/* One without anything to do, and one that lacks its checksum. */
static void a_frame_that_is_not_cut_stays_whole(void **state)
{
	for (unsigned shape = 0; shape < 8; shape++) {
		struct net_packet p = {
			.ip6 = shape & 1, .udp = shape & 2,
			.payload = payload,
			.payload_len = shape & 4 ? 1001 : 0,
		};
		size_t len = net_packet_build(&p, expected);

		for (int finished = 0; finished <= 1; finished++) {
			struct net_segmenter s;
			struct pieces m;

			offload(&m, &p, 0, 33);
			if (finished) {
				memcpy(built, expected, len);
				m.frame.hdr.flags = 0;
			}
			assert_true(net_segmenter_init(&s, &m.frame));
			assert_int_equal(s.max, len);
			assert_int_equal(net_segmenter_next(&s, made), len);
			assert_memory_equal(made, expected, len);
			assert_int_equal(net_segmenter_next(&s, made), 0);
		}
	}
}

/* Also of what is still to be cut, and in pieces of any size. */
static void a_checksum_is_finished_in_place(void **state)
{
	for (size_t piece = 1; piece < 120; piece++) {
		struct net_packet p = {
			.ip6 = piece & 1, .udp = piece & 2,
			.payload = payload, .payload_len = 1001 + piece,
		};
		struct pieces m;

		offload(&m, &p, piece & 4 ? 500 : 0, piece);
		assert_true(net_checksum_finish(&m.frame));
		net_packet_build(&p, expected);
		assert_memory_equal(built, expected, m.frame.len);
	}
}

static void a_finished_checksum_is_left_alone(void **state)
{
	struct net_packet p = { .payload = payload, .payload_len = 10 };
	struct pieces m;

	offload(&m, &p, 0, 100);
	memcpy(expected, built, m.frame.len);
	m.frame.hdr.flags = 0;
	assert_true(net_checksum_finish(&m.frame));
	assert_memory_equal(built, expected, m.frame.len);
}

/* RFC 768: a sum of zero is sent as all ones. */
static void a_checksum_is_never_zero(void **state)
{
	struct net_packet p = { .udp = true, .payload_len = 2 };
	uint8_t two[2] = { 0, 0 };
	struct net_segmenter s;
	struct pieces m;
	size_t at;

	p.payload = two;
	net_packet_build(&p, expected);
	at = 14 + 20 + 6;
	memcpy(two, expected + at, 2);	/* fill up to a sum of 0xffff */
	offload(&m, &p, 0, 100);
	assert_true(net_segmenter_init(&s, &m.frame));
	net_segmenter_next(&s, made);
	assert_int_equal(made[at] << 8 | made[at + 1], 0xffff);
}

/*
 * What does not fit its header.
 */
static struct net_packet plain(void)
{
	return (struct net_packet){ .payload = payload, .payload_len = 3000 };
}

static bool accepted(const struct pieces *m)
{
	struct net_segmenter s;

	return net_segmenter_init(&s, &m->frame);
}

static void checksums_outside_the_frame_are_refused(void **state)
{
	struct net_packet p = plain();
	struct pieces m;

	offload(&m, &p, 0, 4096);
	m.frame.hdr.csum_start = (uint16_t)(m.frame.len - 2);
	m.frame.hdr.csum_offset = 0;
	assert_true(accepted(&m));
	assert_true(net_checksum_finish(&m.frame));
	m.frame.hdr.csum_offset = 1;
	assert_false(accepted(&m));
	assert_false(net_checksum_finish(&m.frame));
	m.frame.hdr.csum_start = m.frame.hdr.csum_offset = 0xffff;
	assert_false(accepted(&m));
	assert_false(net_checksum_finish(&m.frame));
	cut_into_pieces(&m, 1, 1);
	m.frame.hdr.csum_start = m.frame.hdr.csum_offset = 0;
	assert_false(accepted(&m));
	assert_false(net_checksum_finish(&m.frame));
}

static void lengths_that_no_frame_has_are_refused(void **state)
{
	struct pieces m = { .frame.hdr.flags = 0 };

	cut_into_pieces(&m, 0, 1);
	assert_false(accepted(&m));
	cut_into_pieces(&m, NET_FRAME_MAX, 4096);
	assert_true(accepted(&m));
	cut_into_pieces(&m, NET_FRAME_MAX + 1, 4096);
	assert_false(accepted(&m));
}

static void a_cut_needs_a_size_a_checksum_and_a_known_type(void **state)
{
	struct net_packet p = plain();
	struct pieces m;

	offload(&m, &p, 1000, 4096);
	m.frame.hdr.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	assert_true(accepted(&m));
	m.frame.hdr.gso_size = 0;
	assert_false(accepted(&m));
	offload(&m, &p, 1000, 4096);
	m.frame.hdr.flags = 0;
	assert_false(accepted(&m));
	for (unsigned type = 1; type < 256; type++) {
		offload(&m, &p, 1000, 4096);
		m.frame.hdr.gso_type = (uint8_t)type;
		assert_int_equal(accepted(&m),
				 type == VIRTIO_NET_HDR_GSO_TCPV4 ||
				 type == (VIRTIO_NET_HDR_GSO_TCPV4 |
					  VIRTIO_NET_HDR_GSO_ECN));
	}
}

/* One byte of the headers is wrong, each of those that one is cut by. */
static void headers_that_contradict_are_refused(void **state)
{
	static const struct {
		bool ip6, udp;
		unsigned at;
		uint8_t value;
	} wrong[] = {
		{ false, false, 12, 0x86 },		/* Ethernet type */
		{ false, false, 13, 0x06 },
		{ true, false, 12, 0x08 },
		{ false, false, 14, 0x65 },		/* version, length */
		{ false, false, 14, 0x44 },
		{ false, false, 14, 0x46 },
		{ true, false, 14, 0x40 },
		{ false, false, 23, IPPROTO_UDP },	/* protocol */
		{ false, true, 23, IPPROTO_TCP },
		{ false, false, 46, 0x40 },		/* data offset */
	};

	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
		struct net_packet p = plain();
		struct pieces m;

		p.ip6 = wrong[i].ip6;
		p.udp = wrong[i].udp;
		offload(&m, &p, 1000, 4096);
		assert_true(accepted(&m));
		built[wrong[i].at] = wrong[i].value;
		assert_false(accepted(&m));
	}
}

static void the_checksum_must_be_where_the_protocol_has_it(void **state)
{
	for (int udp = 0; udp <= 1; udp++) {
		struct net_packet p = plain();
		struct pieces m;

		p.udp = udp;
		offload(&m, &p, 1000, 4096);
		m.frame.hdr.csum_offset = udp ? 16 : 6;
		assert_false(accepted(&m));
		for (uint16_t start = 0; start < 60; start++) {
			m.frame.hdr.csum_offset = udp ? 6 : 16;
			m.frame.hdr.csum_start = start;
			assert_int_equal(accepted(&m), start == 34);
		}
	}
}

static void headers_must_be_inside_and_have_payload_behind(void **state)
{
	for (unsigned shape = 0; shape < 4; shape++) {
		struct net_packet p = plain();
		struct pieces m;
		size_t headers;

		p.ip6 = shape & 1;
		p.udp = shape & 2;
		p.tcp_options = p.udp ? 0 : 40;
		p.vlan_tags = 2;
		offload(&m, &p, 1000, 4096);
		headers = m.frame.hdr.hdr_len;
		for (size_t len = 1; len <= headers + 1; len++) {
			cut_into_pieces(&m, len, 4096);
			assert_int_equal(accepted(&m), len > headers);
		}
	}
}

static void headers_that_are_too_long_or_have_too_many_tags(void **state)
{
	struct net_packet p = plain();
	struct pieces m;

	p.ip6 = true;
	p.ip_options = 176;	/* 250 bytes in all */
	offload(&m, &p, 1000, 4096);
	assert_true(accepted(&m));
	p.ip_options = 184;
	offload(&m, &p, 1000, 4096);
	assert_false(accepted(&m));

	p = plain();
	p.vlan_tags = 2;
	offload(&m, &p, 1000, 4096);
	memmove(built + 16, built + 12, m.frame.len - 12);
	m.frame.hdr.csum_start += 4;
	cut_into_pieces(&m, m.frame.len + 4, 4096);
	assert_false(accepted(&m));
}

/* Then its length would not be in 16 bits. */
static void a_segment_that_is_longer_than_a_packet_is_refused(void **state)
{
	struct net_packet p = plain();
	struct pieces m;

	p.payload_len = 65535 - 40;
	offload(&m, &p, 0xffff, 8192);
	assert_true(accepted(&m));
	cut_into_pieces(&m, m.frame.len + 1, 8192);
	assert_false(accepted(&m));
	m.frame.hdr.gso_size = 0x8000;
	assert_true(accepted(&m));
}

static int fill_payload(void **state)
{
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7 + i / 251);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_are_cut_as_packets_are_built),
		cmocka_unit_test(a_frame_of_one_segment_becomes_a_packet),
		cmocka_unit_test(
			where_memory_lies_in_pieces_makes_no_difference),
		cmocka_unit_test(the_largest_frame_is_cut),
		cmocka_unit_test(a_frame_that_is_not_cut_stays_whole),
		cmocka_unit_test(a_checksum_is_finished_in_place),
		cmocka_unit_test(a_finished_checksum_is_left_alone),
		cmocka_unit_test(a_checksum_is_never_zero),
		cmocka_unit_test(checksums_outside_the_frame_are_refused),
		cmocka_unit_test(lengths_that_no_frame_has_are_refused),
		cmocka_unit_test(
			a_cut_needs_a_size_a_checksum_and_a_known_type),
		cmocka_unit_test(headers_that_contradict_are_refused),
		cmocka_unit_test(
			the_checksum_must_be_where_the_protocol_has_it),
		cmocka_unit_test(
			headers_must_be_inside_and_have_payload_behind),
		cmocka_unit_test(
			headers_that_are_too_long_or_have_too_many_tags),
		cmocka_unit_test(
			a_segment_that_is_longer_than_a_packet_is_refused),
	};

	return cmocka_run_group_tests(tests, fill_payload, NULL);
}
