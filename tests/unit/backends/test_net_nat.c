/* SPDX-License-Identifier: GPL-2.0-or-later */
/* NAT: what passes, and what does not. */
#include "nat_rig.h"

static void the_gateway_answers_arp(void **state)
{
	static const uint8_t mac[] = { 0x52, 0x55, 10, 0, 2, 2 };

	frame_arp(&out, 1, GUEST, GATEWAY);
	send_out();
	assert_true(comes(is_arp, PATIENCE_MS));
	assert_int_equal(get16(in.bytes + 20), 2);
	assert_memory_equal(in.bytes + 22, mac, 6);
}

static bool has_router(void)
{
	for (size_t at = 42 + 240; at + 2 < in.len && in.bytes[at] != 255;
	     at += 2 + in.bytes[at + 1])
		if (in.bytes[at] == 3)
			return true;
	return false;
}

static void assert_lease(bool router)
{
	send_dhcp(1);
	assert_true(comes(is_udp, PATIENCE_MS));
	assert_int_equal(get32(l4() + 8 + 16), 0x0a00020f);
	assert_int_equal(has_router(), router);
}

static void an_address_has_the_same_lease_each_time(void **state)
{
	assert_lease(true);
	send_dhcp(3);
	assert_true(comes(is_udp, PATIENCE_MS));
	net_forget(nb);
	for (unsigned i = 0; i < 2; i++) {
		send_dhcp_of(other_mac, i ? 3 : 1);
		assert_true(comes(is_udp, PATIENCE_MS));
		assert_int_equal(get32(l4() + 8 + 16), 0x0a000210);
	}
	net_forget(nb);
	assert_lease(true);
}

static void datagrams_go_to_this_host_and_back(void **state)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	uint16_t port;
	autofd fd = host_socket(SOCK_DGRAM, &port);
	char text[8] = "";

	send_udp(GUEST, GATEWAY, 1000, port, "question", 8);
	assert_true(readable_soon(fd));
	assert_int_equal(recvfrom(fd, text, 8, 0, (struct sockaddr *)&from,
				  &len), 8);
	assert_memory_equal(text, "question", 8);
	sendto(fd, "answer", 6, 0, (struct sockaddr *)&from, len);
	assert_true(comes(is_udp, PATIENCE_MS));
	assert_int_equal(get16(l4()), port);
	assert_int_equal(get16(l4() + 2), 1000);
	assert_memory_equal(l4() + 8, "answer", 6);
}

/* More than the MTU, as guests with segmentation offload send it. */
static void a_large_segment_passes_in_one_piece(void **state)
{
	static uint8_t want[60000], got[60000];
	uint16_t port;
	autofd fd = host_socket(SOCK_STREAM, &port);
	autofd peer = -1;
	uint32_t ack, seq = connect_to(port, &ack);
	uint8_t *tcp;

	for (size_t i = 0; i < sizeof(want); i++)
		want[i] = (uint8_t)(i * 7);
	assert_true(readable_soon(fd));
	peer = accept(fd, NULL, NULL);
	tcp = frame_ip4(&out, IPPROTO_TCP, GUEST, GATEWAY, 20 + sizeof(want));
	fill_tcp(tcp, 1000, port, seq, ack, TH_ACK | TH_PSH);
	memcpy(tcp + 20, want, sizeof(want));
	send_flagged((struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 1460 });
	for (size_t n = 0; n < sizeof(got);) {
		ssize_t part;

		assert_true(readable_soon(peer));
		part = read(peer, got + n, sizeof(got) - n);
		assert_true(part > 0);
		n += (size_t)part;
	}
	assert_memory_equal(got, want, sizeof(want));
	assert_true(comes(is_tcp, PATIENCE_MS));
	assert_int_equal(get32(l4() + 8), seq + sizeof(want));

	assert_int_equal(write(peer, "answer", 6), 6);
	do {
		assert_true(comes(is_tcp, PATIENCE_MS));
	} while (in.len == 14 + 20 + 20);
	assert_memory_equal(l4() + 20, "answer", 6);
}

static void a_wrong_checksum_is_refused(void **state)
{
	uint16_t port;
	autofd fd = host_socket(SOCK_DGRAM, &port);

	fill_udp(frame_ip4(&out, IPPROTO_UDP, GUEST, GATEWAY, 12), 1000, port,
		 "abcd", 4);
	put16(out.bytes + 34 + 6, 0x1234);
	send_flagged((struct virtio_net_hdr){ 0 });
	send_udp(GUEST, GATEWAY, 1001, port, "efgh", 4);
	assert_true(readable_soon(fd));
	assert_int_equal(recv(fd, out.bytes, 8, MSG_DONTWAIT), 4);
	assert_memory_equal(out.bytes, "efgh", 4);
	assert_int_equal(recv(fd, out.bytes, 8, MSG_DONTWAIT), -1);
}

static void what_may_not_pass_is_counted(void **state)
{
	send_udp(GUEST, "169.254.169.254", 1000, 80, "x", 1);
	assert_int_equal(nb->dropped, 1);
	out.len = 14;
	send_out();
	assert_int_equal(nb->dropped, 2);
	frame_arp(&out, 1, GUEST, GATEWAY);
	out.len = NET_FRAME_MAX + 1;
	send_out();
	assert_int_equal(nb->dropped, 3);
	the_gateway_answers_arp(state);
}

/* So many a second; the rest would only keep both sides busy. */
static void what_is_forbidden_is_refused_at_a_limited_rate(void **state)
{
	unsigned answers = 0;

	loop_set_clock(loop, fake_clock);
	for (unsigned second = 1; second <= 2; second++) {
		for (unsigned i = 0; i < 150; i++) {
			fill_tcp(frame_ip4(&out, IPPROTO_TCP, GUEST,
					   "169.254.169.254", 20), 1000, 80, 1,
				 0, TH_SYN);
			memcpy(out.bytes, "\x52\x55\x0a\0\2\2", 6);
			send_out();
		}
		while (receive())
			answers += is_tcp() && l4()[13] == (TH_RST | TH_ACK);
		assert_int_equal(answers, 100 * second);
		now += UINT64_C(1000000000);
		loop_turn(loop, false);
	}
}

static void send_tcp6(unsigned port, uint32_t seq, uint32_t ack, uint8_t flags)
{
	fill_tcp(frame_ip6(&out, IPPROTO_TCP, GATEWAY6, 20), 1000, port, seq,
		 ack, flags);
	send_out();
}

/* What a guest leaves to be cut comes out as if it had cut it itself. */
static void a_large_segment_of_ipv6_is_cut(void **state)
{
	static uint8_t want[60000], got[60000];
	uint16_t port;
	autofd fd = host_socket6(&port), peer = -1;
	uint32_t ack;
	uint8_t *tcp;

	for (size_t i = 0; i < sizeof(want); i++)
		want[i] = (uint8_t)(i * 7 + (i >> 8));
	send_tcp6(port, 100, 0, TH_SYN);
	assert_true(comes(is_tcp6, PATIENCE_MS));
	assert_int_equal(l4_of6()[13], TH_SYN | TH_ACK);
	ack = get32(l4_of6() + 4) + 1;
	send_tcp6(port, 101, ack, TH_ACK);
	assert_true(readable_soon(fd));
	peer = accept(fd, NULL, NULL);
	tcp = frame_ip6(&out, IPPROTO_TCP, GATEWAY6, 20 + sizeof(want));
	fill_tcp(tcp, 1000, port, 101, ack, TH_ACK | TH_PSH);
	memcpy(tcp + 20, want, sizeof(want));
	/* The sum of the pseudo header, as its maker leaves it. */
	put16(tcp + 16, pseudo6(out.bytes + 14, 20 + sizeof(want)));
	send_flagged((struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV6, .gso_size = 1220,
		.hdr_len = 74, .csum_start = 54, .csum_offset = 16 });
	for (size_t n = 0; n < sizeof(got);) {
		ssize_t part;

		assert_true(readable_soon(peer));
		part = read(peer, got + n, sizeof(got) - n);
		assert_true(part > 0);
		n += (size_t)part;
	}
	assert_memory_equal(got, want, sizeof(want));
	assert_int_equal(nb->dropped, 0);
}

/* To be cut into segments of @size bytes: whether it is taken. */
static bool takes_segments_of(uint16_t size)
{
	uint64_t dropped = nb->dropped;

	send_flagged((struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV6, .gso_size = size,
		.hdr_len = 74, .csum_start = 54, .csum_offset = 16 });
	return nb->dropped == dropped;
}

/* Larger ones than the MTU are a mistake, and tiny ones would take for ever. */
static void segments_of_ipv6_have_a_sensible_size(void **state)
{
	fill_tcp(frame_ip6(&out, IPPROTO_TCP, GATEWAY6, 20 + 2048 * 20), 1000,
		 9, 101, 1, TH_ACK);
	assert_true(takes_segments_of(1440));
	assert_false(takes_segments_of(1441));
	assert_true(takes_segments_of(20));
	assert_false(takes_segments_of(19));
}

static void the_guest_need_not_check_what_comes_from_here(void **state)
{
	uint16_t port;
	autofd fd = host_socket(SOCK_STREAM, &port);

	send_tcp(1000, port, 100, 0, TH_SYN);
	assert_true(comes(is_tcp, PATIENCE_MS));
	assert_true(readable_soon(fd));
	assert_int_equal(in_hdr.flags, VIRTIO_NET_HDR_F_DATA_VALID);
}

/* The next @want bytes, and the longest frame; the guest confirms each. */
static size_t receive_stream(uint16_t port, uint32_t ack, const uint8_t *want,
			     size_t len, unsigned *gso_types)
{
	size_t longest = 0;

	*gso_types = 0;
	for (size_t at = 0, n; at < len; at += n) {
		do {
			assert_true(comes(is_tcp, PATIENCE_MS));
			n = in.len - 54;
		} while (!n);
		assert_int_equal(get32(l4() + 4), ack + at);
		assert_int_equal(get16(in.bytes + 16), in.len - 14);
		assert_true(n <= len - at);
		assert_memory_equal(l4() + 20, want + at, n);
		longest = MAX(longest, in.len);
		*gso_types |= 1u << in_hdr.gso_type;
		if (in_hdr.gso_type)
			assert_in_range(in_hdr.gso_size, 1400, 1460);
		send_tcp(1000, port, 101, (uint32_t)(ack + at + n), TH_ACK);
	}
	return longest;
}

static void a_stream_comes_in_frames_as_large_as_the_guest_takes(void **state)
{
	static uint8_t data[120000];
	uint16_t port;
	autofd fd = host_socket(SOCK_STREAM, &port);
	autofd peer = -1;
	unsigned types;
	uint32_t ack;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + (i >> 8));
	connect_to(port, &ack);
	assert_true(readable_soon(fd));
	peer = accept(fd, NULL, NULL);
	assert_int_equal(write(peer, data, 40000), 40000);
	assert_in_range(receive_stream(port, ack, data, 40000, &types), 54,
			1514);
	assert_int_equal(types, 1u << VIRTIO_NET_HDR_GSO_NONE);
	net_set_offloads(nb, NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4);
	ack += 40000;
	assert_int_equal(write(peer, data + 40000, 80000), 80000);
	assert_in_range(receive_stream(port, ack, data + 40000, 80000, &types),
			4 * 1460, NET_FRAME_MAX);
	assert_true(types & 1u << VIRTIO_NET_HDR_GSO_TCPV4);
}

/* libslirp takes one at a time. */
static void datagrams_that_wait_come_in_one_turn(void **state)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	uint16_t port;
	autofd fd = host_socket(SOCK_DGRAM, &port);
	unsigned count = 0;
	char text[8];

	send_udp(GUEST, GATEWAY, 1000, port, "x", 1);
	assert_true(readable_soon(fd));
	recvfrom(fd, text, 8, 0, (struct sockaddr *)&from, &len);
	frame_arp(&out, 2, GUEST, GATEWAY);
	send_out();
	loop_turn(loop, false);
	while (receive())
		;
	for (unsigned i = 0; i < 50; i++)
		sendto(fd, "x", 1, 0, (struct sockaddr *)&from, len);
	loop_turn(loop, true);
	while (receive())
		count += is_udp();
	assert_int_equal(count, 50);
}

static void isolation_leaves_dhcp_only(void **state)
{
	uint16_t port;
	autofd fd = host_socket(SOCK_STREAM, &port);

	assert_true(fd >= 0);
	assert_lease(false);
	send_tcp(1000, port, 100, 0, TH_SYN);
	assert_true(comes(is_tcp, PATIENCE_MS));
	assert_int_equal(l4()[13] & TH_RST, TH_RST);
	send_udp(GUEST, GATEWAY, 1000, port, "x", 1);
	assert_false(comes(is_udp, 50));
}

/* A guest that takes nothing: the host's side waits, memory is bounded. */
static void a_deaf_guest_stops_the_host(void **state)
{
	static uint8_t data[1 << 20];
	uint16_t port;
	autofd fd = host_socket(SOCK_DGRAM, &port);
	struct sockaddr_in from;
	socklen_t len = sizeof(from);

	send_udp(GUEST, GATEWAY, 1000, port, "x", 1);
	assert_true(readable_soon(fd));
	recvfrom(fd, data, 1, 0, (struct sockaddr *)&from, &len);
	frame_arp(&out, 2, GUEST, GATEWAY);
	send_out();
	for (unsigned i = 0; i < 20000; i++) {
		sendto(fd, data, 1400, 0, (struct sockaddr *)&from, len);
		loop_turn(loop, false);
	}
	assert_int_equal(nb->dropped, 0);
	assert_true(comes(is_udp, PATIENCE_MS));
	/* All that waited is taken, and then it goes on. */
	while (comes(is_udp, 100))
		;
	sendto(fd, "again", 5, 0, (struct sockaddr *)&from, len);
	assert_true(comes(is_udp, PATIENCE_MS));
	assert_memory_equal(l4() + 8, "again", 5);
}

#define NAT_TEST(name, how) cmocka_unit_test_setup_teardown(name, how, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		NAT_TEST(the_gateway_answers_arp, plain),
		NAT_TEST(an_address_has_the_same_lease_each_time, plain),
		NAT_TEST(datagrams_go_to_this_host_and_back, plain),
		NAT_TEST(a_large_segment_passes_in_one_piece, plain),
		NAT_TEST(a_wrong_checksum_is_refused, plain),
		NAT_TEST(what_may_not_pass_is_counted, plain),
		NAT_TEST(what_is_forbidden_is_refused_at_a_limited_rate, plain),
		NAT_TEST(a_large_segment_of_ipv6_is_cut, plain),
		NAT_TEST(segments_of_ipv6_have_a_sensible_size, plain),
		NAT_TEST(the_guest_need_not_check_what_comes_from_here, plain),
		NAT_TEST(a_stream_comes_in_frames_as_large_as_the_guest_takes,
			 plain),
		NAT_TEST(datagrams_that_wait_come_in_one_turn, plain),
		NAT_TEST(isolation_leaves_dhcp_only, isolated),
		NAT_TEST(a_deaf_guest_stops_the_host, plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
