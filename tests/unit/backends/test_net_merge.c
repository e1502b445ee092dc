/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <glib.h>
#include <netinet/tcp.h>
#include <string.h>

#include "backends/net_merge.h"
#include "net_packet.h"

#define BOTH	(NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6)

static uint8_t payload[65536], segment[2048];
static uint8_t expected[NET_FRAME_MAX], whole[NET_FRAME_MAX];
static struct net_merge m;

static struct net_packet packet(bool ip6, size_t len)
{
	return (struct net_packet){
		.ip6 = ip6, .flags = TH_ACK | TH_PUSH, .id = 0xfffe,
		.seq = 0xffffff00, .payload = payload, .payload_len = len,
	};
}

/* As soon as two go together nothing is left where it came from. */
static bool add(const struct net_packet *p, uint16_t size, unsigned index)
{
	struct net_packet one = net_packet_segment(p, size, index);
	size_t len = net_packet_build(&one, segment), before = m.len;

	if (!index) {
		net_merge_begin(&m, segment, len, BOTH);
		memcpy(whole, segment, len);
		return true;
	}
	if (!net_merge_add(&m, segment, len))
		return false;
	memcpy(whole + before, segment + m.headers_len, len - m.headers_len);
	return true;
}

static void assert_whole(bool ip6, size_t payload_len, uint16_t size)
{
	struct net_packet p = packet(ip6, payload_len);
	unsigned count = (unsigned)(payload_len + size - 1) / size;
	struct virtio_net_hdr want, hdr;
	size_t len = net_packet_build_offload(&p, size, expected, &want);

	for (unsigned i = 0; i < count; i++)
		assert_true(add(&p, size, i));
	assert_int_equal(m.count, count);
	assert_int_equal(m.len, len);
	net_merge_finish(&m, &hdr);
	memcpy(whole, m.headers, m.headers_len);
	assert_memory_equal(whole, expected, len);
	assert_memory_equal(&hdr, &want, sizeof(hdr));
}

static void segments_become_what_they_were_cut_from(void **state)
{
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		assert_whole(ip6, 2 * 1440, 1440);
		assert_whole(ip6, 10000, 1440);
		assert_whole(ip6, 10001, 1441);
		assert_whole(ip6, 2, 1);
	}
}

static void a_frame_is_no_longer_than_ip_can_say(void **state)
{
	const struct net_packet p = packet(false, sizeof(payload));

	assert_whole(false, 65535 - 40, 1460);
	for (unsigned i = 0; i < 44; i++)
		assert_true(add(&p, 1460, i));
	assert_false(add(&p, 1460, 44));
	assert_int_equal(m.count, 44);
}

static void one_that_is_shorter_is_the_last(void **state)
{
	const struct net_packet p = packet(false, 3000);
	struct net_packet more = p;

	assert_true(add(&p, 1400, 0) && add(&p, 1400, 1) && add(&p, 1400, 2));
	more.seq += 3000;
	assert_false(add(&more, 200, 1));
}

static void a_longer_one_does_not_follow(void **state)
{
	struct net_packet p = packet(false, 100);

	assert_true(add(&p, 100, 0));
	p.payload_len = 202;
	p.seq -= 1;
	assert_false(add(&p, 101, 1));
}

static void only_what_the_guest_takes_is_begun(void **state)
{
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		const struct net_packet p = packet(ip6, 1000);
		size_t len = net_packet_build(&p, segment);

		net_merge_begin(&m, segment, len,
				ip6 ? NET_OFFLOAD_TSO4 : NET_OFFLOAD_TSO6);
		assert_int_equal(m.headers_len, 0);
		net_merge_begin(&m, segment, len,
				ip6 ? NET_OFFLOAD_TSO6 : NET_OFFLOAD_TSO4);
		assert_int_equal(m.headers_len, ip6 ? 74 : 54);
		net_merge_begin(&m, segment, len, NET_OFFLOAD_CSUM);
		assert_int_equal(m.headers_len, 0);
		assert_false(net_merge_add(&m, segment, len));
	}
}

static void assert_not_begun(struct net_packet p)
{
	size_t len = net_packet_build(&p, segment);

	net_merge_begin(&m, segment, len, BOTH);
	assert_int_equal(m.headers_len, 0);
}

static void what_is_more_than_data_stays_alone(void **state)
{
	static const uint8_t flags[] = { TH_ACK | TH_SYN, TH_ACK | TH_FIN,
					 TH_ACK | TH_RST, TH_ACK | TH_URG,
					 TH_PUSH };

	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		struct net_packet p = packet(ip6, 1000);

		for (size_t i = 0; i < sizeof(flags); i++) {
			p.flags = flags[i];
			assert_not_begun(p);
		}
		p = packet(ip6, 0);
		assert_not_begun(p);
		p = packet(ip6, 1000);
		p.tcp_options = 12;
		assert_not_begun(p);
		p.tcp_options = 0;
		p.ip_options = 8;
		assert_not_begun(p);
		p.ip_options = 0;
		p.vlan_tags = 1;
		assert_not_begun(p);
		p.vlan_tags = 0;
		p.udp = true;
		assert_not_begun(p);
	}
}

/* What may be another in each segment; how much of @at else. */
static uint8_t free_bits(bool ip6, size_t at)
{
	size_t tcp = ip6 ? 54 : 34;

	if (!ip6 && (at == 18 || at == 19 || at == 24 || at == 25))
		return 0xff;	/* number and checksum */
	if (at == tcp + 16 || at == tcp + 17)
		return 0xff;
	return at == tcp + 13 ? TH_PUSH : 0;
}

static void any_other_header_makes_another_connection(void **state)
{
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		const struct net_packet p = packet(ip6, 2000);
		struct net_packet second = net_packet_segment(&p, 1000, 1);
		size_t len = net_packet_build(&second, segment);

		for (size_t at = 0; at < (ip6 ? 74 : 54); at++) {
			for (unsigned bit = 1; bit < 256; bit <<= 1) {
				bool same = free_bits(ip6, at) & bit;

				add(&p, 1000, 0);
				net_packet_build(&second, segment);
				segment[at] ^= (uint8_t)bit;
				assert_int_equal(
					net_merge_add(&m, segment, len), same);
			}
		}
	}
}

static void fragments_stay_alone(void **state)
{
	const struct net_packet p = packet(false, 1000);
	size_t len = net_packet_build(&p, segment);

	segment[14 + 6] = 0x20;
	net_merge_begin(&m, segment, len, BOTH);
	assert_int_equal(m.headers_len, 0);
	segment[14 + 6] = 0x40;		/* not to be fragmented */
	net_merge_begin(&m, segment, len, BOTH);
	assert_int_equal(m.headers_len, 54);
}

/* Whatever is missing, nothing behind the end is looked at. */
static void a_frame_that_is_cut_short_stays_alone(void **state)
{
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		const struct net_packet p = packet(ip6, 10);
		size_t full = net_packet_build(&p, segment);

		for (size_t len = 0; len < full; len++) {
			g_autofree uint8_t *part = g_memdup2(segment, len);

			net_merge_begin(&m, part, len, BOTH);
			assert_int_equal(m.headers_len, 0);
			net_merge_begin(&m, segment, full, BOTH);
			assert_false(net_merge_add(&m, part, len));
		}
	}
}

static void push(struct net_queue *q, const struct net_packet *p,
		 uint16_t size, unsigned index)
{
	const struct net_packet one = net_packet_segment(p, size, index);

	assert_true(net_queue_push(q, segment,
				   net_packet_build(&one, segment)));
}

/* In room whose pieces are as awkward as can be. */
static bool take(struct net_queue *q, struct net_frame *frame, size_t room,
		 size_t piece)
{
	static struct iovec iov[4096];

	frame->iov = iov;
	frame->iovcnt = 0;
	for (size_t at = 0; at < room; at += piece)
		iov[frame->iovcnt++] = (struct iovec){
			whole + at, MIN(piece, room - at) };
	memset(whole, 0xee, sizeof(whole));
	return net_merge_take(q, BOTH, frame);
}

static void what_waits_in_a_row_is_taken_as_one(void **state)
{
	const struct net_packet p = packet(false, 10000);
	struct virtio_net_hdr want;
	struct net_frame frame;
	struct net_queue q;
	size_t len = net_packet_build_offload(&p, 1440, expected, &want);

	net_queue_init(&q, 128u << 10);
	for (size_t piece = 17; piece < 3000; piece += 311) {
		for (unsigned i = 0; i < 7; i++)
			push(&q, &p, 1440, i);
		push(&q, &p, 1440, 0);
		assert_true(take(&q, &frame, sizeof(whole), piece));
		assert_int_equal(frame.len, len);
		assert_memory_equal(whole, expected, len);
		assert_memory_equal(&frame.hdr, &want, sizeof(want));
		assert_true(take(&q, &frame, 1494, piece));
		assert_int_equal(frame.len, 1494);
		assert_int_equal(frame.hdr.flags, VIRTIO_NET_HDR_F_DATA_VALID);
		assert_int_equal(frame.hdr.gso_type, VIRTIO_NET_HDR_GSO_NONE);
		assert_memory_equal(whole, segment, 1494);
		assert_false(take(&q, &frame, 1494, piece));
	}
	net_queue_finish(&q);
}

static void no_more_is_taken_than_there_is_room_for(void **state)
{
	const struct net_packet p = packet(false, 10000);
	struct net_frame frame;
	struct net_queue q;

	net_queue_init(&q, 128u << 10);
	for (unsigned i = 0; i < 3; i++)
		push(&q, &p, 1440, i);
	assert_false(take(&q, &frame, 1493, 4096));	/* it is lost */
	assert_true(take(&q, &frame, 1494 + 1440, 4096));
	assert_int_equal(frame.len, 1494);
	assert_int_equal(whole[1494], 0xee);
	assert_true(take(&q, &frame, 1494, 4096));
	net_queue_finish(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_become_what_they_were_cut_from),
		cmocka_unit_test(a_frame_is_no_longer_than_ip_can_say),
		cmocka_unit_test(one_that_is_shorter_is_the_last),
		cmocka_unit_test(a_longer_one_does_not_follow),
		cmocka_unit_test(only_what_the_guest_takes_is_begun),
		cmocka_unit_test(what_is_more_than_data_stays_alone),
		cmocka_unit_test(any_other_header_makes_another_connection),
		cmocka_unit_test(fragments_stay_alone),
		cmocka_unit_test(a_frame_that_is_cut_short_stays_alone),
		cmocka_unit_test(what_waits_in_a_row_is_taken_as_one),
		cmocka_unit_test(no_more_is_taken_than_there_is_room_for),
	};

	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7 + (i >> 8));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
