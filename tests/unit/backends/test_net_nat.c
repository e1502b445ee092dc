/* SPDX-License-Identifier: GPL-2.0-or-later */
/* NAT, and a guest behind it that does everything by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/nat_port.h"
#include "backends/nat_probe.h"
#include "backends/net_nat.h"
#include "core/autoptr.h"
#include "core/error.h"
#include "nat_frames.h"

#define PATIENCE_MS	5000
#define GUEST_PORT	4000
#define GATEWAY6	"fec0::2"
#define ELSEWHERE	"10.0.2.16"	/* the second lease */

static const uint8_t other_mac[6] = { 2, 0, 0, 0, 0, 2 };
static const char *guest = GUEST;	/* its address */

static struct loop *loop;
static struct net_backend *nb;
static struct net_forward forward;
static struct frame in, out;	/* the guest's sides of the cable */

static void no_matter(void *user)
{
}

static void no_link(void *user, bool up)
{
}

static void start(const struct net_nat_options *options)
{
	g_autoptr(GError) error = NULL;

	loop = loop_new(NULL);
	nb = net_nat_open(loop, options, &error);
	if (!nb)
		fail_msg("%s", error->message);
	nb->user = (struct net_user){ no_matter, no_matter, no_link, NULL };
}

static int plain(void **state)
{
	start(&(struct net_nat_options){ 0 });
	return 0;
}

static int isolated(void **state)
{
	start(&(struct net_nat_options){ .isolated = true });
	return 0;
}

static int forwarding(void **state)
{
	forward = (struct net_forward){ .host = { htonl(INADDR_LOOPBACK) },
					.any_port = true,
					.guest_port = GUEST_PORT };
	start(&(struct net_nat_options){ .forwards = &forward,
					 .forward_count = 1 });
	return 0;
}

static int forwarding_udp(void **state)
{
	forward = (struct net_forward){ .host = { htonl(INADDR_LOOPBACK) },
					.any_port = true, .udp = true,
					.guest_port = GUEST_PORT };
	start(&(struct net_nat_options){ .forwards = &forward,
					 .forward_count = 1 });
	return 0;
}

static int host_socket6(uint16_t *port)
{
	struct sockaddr_in6 addr = { .sin6_family = AF_INET6,
				     .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	if (bind(fd, (struct sockaddr *)&addr, len) < 0) {
		print_message("this machine has no ::1\n");
		skip();
	}
	assert_int_equal(listen(fd, 1), 0);
	getsockname(fd, (struct sockaddr *)&addr, &len);
	*port = ntohs(addr.sin6_port);
	return fd;
}

static int forwarding6(void **state)
{
	uint16_t port;

	close(host_socket6(&port));
	forward = (struct net_forward){ .ip6 = true,
					.host6 = IN6ADDR_LOOPBACK_INIT,
					.any_port = true,
					.guest_port = GUEST_PORT };
	start(&(struct net_nat_options){ .forwards = &forward,
					 .forward_count = 1 });
	return 0;
}

static int stop(void **state)
{
	guest = GUEST;
	sender_mac = guest_mac;
	net_close(nb);
	loop_free(loop);
	return 0;
}

/*
 * The guest.
 */
static void send_flagged(struct virtio_net_hdr hdr)
{
	/* In two pieces, as headers and payload are. */
	const struct iovec iov[] = { { out.bytes, 14 },
				     { out.bytes + 14, out.len - 14 } };
	const struct net_frame frame = { .hdr = hdr, .iov = iov, .iovcnt = 2,
					 .len = out.len };

	assert_int_equal(net_send(nb, &frame, 1), 1);
}

/* Checksums are left to do, as by a guest that was offered so. */
static void send_out(void)
{
	send_flagged((struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM });
}

static bool receive(void)
{
	const struct iovec iov = { in.bytes, sizeof(in.bytes) };
	struct net_frame frame = { .iov = &iov, .iovcnt = 1 };

	if (!net_recv(nb, &frame))
		return false;
	in.len = frame.len;
	return true;
}

static uint16_t type(void)
{
	return get16(in.bytes + 12);
}

static const uint8_t *l4(void)
{
	return in.bytes + 34;
}

static bool is_protocol(uint8_t protocol)
{
	return type() == 0x0800 && in.bytes[23] == protocol;
}

static bool is_arp(void)
{
	return type() == 0x0806;
}

static bool is_udp(void)
{
	return is_protocol(IPPROTO_UDP);
}

static bool is_tcp(void)
{
	return is_protocol(IPPROTO_TCP);
}

/* Who asks where the guest is gets told, as by any guest. */
static void answer_arp(void)
{
	if (get16(in.bytes + 20) != 1)
		return;
	frame_arp(&out, 2, guest, GATEWAY);
	send_out();
}

/*
 * IPv6, which needs to be told where its neighbours are.
 */
static const uint8_t *l4_of6(void)
{
	return in.bytes + 54;
}

static bool is_tcp6(void)
{
	return type() == 0x86dd && in.bytes[20] == IPPROTO_TCP;
}

static bool is_solicitation(void)
{
	return type() == 0x86dd && in.bytes[20] == IPPROTO_ICMPV6 &&
	       l4_of6()[0] == 135;
}

static void answer_solicitation(void)
{
	uint8_t *icmp = frame_ip6(&out, IPPROTO_ICMPV6, GATEWAY6, 32);

	out.bytes[21] = 255;
	icmp[0] = 136;
	icmp[4] = 0x60;		/* solicited, to replace what is known */
	memcpy(out.bytes + 22, l4_of6() + 8, 16);
	memcpy(icmp + 8, l4_of6() + 8, 16);
	icmp[24] = 2;
	icmp[25] = 1;
	memcpy(icmp + 26, sender_mac, 6);
	send_out();
}

/* The next frame that @is wanted; false if none comes for @ms. */
static bool comes(bool (*is)(void), unsigned ms)
{
	gint64 end = g_get_monotonic_time() + ms * G_GINT64_CONSTANT(1000);

	do {
		loop_turn(loop, false);
		while (receive()) {
			if (is())
				return true;
			if (is_arp())
				answer_arp();
			else if (is_solicitation())
				answer_solicitation();
		}
		g_usleep(200);
	} while (g_get_monotonic_time() < end);
	return false;
}

static void send_udp(const char *from, const char *to, unsigned sport,
		     unsigned dport, const void *data, size_t len)
{
	fill_udp(frame_ip4(&out, IPPROTO_UDP, from, to, 8 + len), sport, dport,
		 data, len);
	send_out();
}

static void send_tcp(unsigned sport, unsigned dport, uint32_t seq,
		     uint32_t ack, uint8_t flags)
{
	fill_tcp(frame_ip4(&out, IPPROTO_TCP, guest, GATEWAY, 20), sport,
		 dport, seq, ack, flags);
	send_out();
}

static void send_dhcp_of(const uint8_t mac[6], uint8_t kind)
{
	uint8_t dhcp[300] = { 1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78 };
	const uint8_t options[] = { 99, 130, 83, 99, 53, 1, kind, 255 };

	memcpy(dhcp + 28, mac, 6);
	memcpy(dhcp + 236, options, sizeof(options));
	send_udp("0.0.0.0", "255.255.255.255", 68, 67, dhcp, sizeof(dhcp));
}

static void send_dhcp(uint8_t kind)
{
	send_dhcp_of(guest_mac, kind);
}

/*
 * The host.
 */
static int host_socket(int kind, uint16_t *port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, kind, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
	if (kind == SOCK_STREAM)
		assert_int_equal(listen(fd, 8), 0);
	getsockname(fd, (struct sockaddr *)&addr, &len);
	*port = ntohs(addr.sin_port);
	return fd;
}

/* Turns until @fd can be read. */
static bool readable_soon(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	gint64 end = g_get_monotonic_time() +
		     PATIENCE_MS * G_GINT64_CONSTANT(1000);

	while (g_get_monotonic_time() < end) {
		loop_turn(loop, false);
		if (poll(&p, 1, 1) == 1)
			return true;
	}
	return false;
}

/* A client of the forwarded port: its descriptor, or -errno. */
static int connect_client(void)
{
	struct sockaddr_storage addr;
	socklen_t len = nat_port_sockaddr(&forward, &addr);
	autofd fd = socket(addr.ss_family, SOCK_STREAM, 0);

	if (connect(fd, (const struct sockaddr *)&addr, len) < 0)
		return -errno;
	return autofd_steal(&fd);
}

static bool refuses(void)
{
	int fd = connect_client();

	if (fd >= 0)
		close(fd);
	return fd == -ECONNREFUSED;
}

static bool refuses_soon(bool refused)
{
	gint64 end = g_get_monotonic_time() +
		     PATIENCE_MS * G_GINT64_CONSTANT(1000);

	while (g_get_monotonic_time() < end) {
		loop_turn(loop, false);
		if (refuses() == refused)
			return true;
		g_usleep(1000);
	}
	return false;
}

/*
 * Tests.
 */
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

/* A connection to @port: what the guest says next. */
static uint32_t connect_to(uint16_t port, uint32_t *ack)
{
	send_tcp(1000, port, 100, 0, TH_SYN);
	assert_true(comes(is_tcp, PATIENCE_MS));
	assert_int_equal(l4()[13], TH_SYN | TH_ACK);
	assert_int_equal(get32(l4() + 8), 101);
	*ack = get32(l4() + 4) + 1;
	send_tcp(1000, port, 101, *ack, TH_ACK);
	return 101;
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

/* The gateway's SYN, answered with @flags. */
static void answer_probe(uint8_t flags)
{
	do {
		assert_true(comes(is_tcp, PATIENCE_MS));
	} while (l4()[13] != TH_SYN || get16(l4() + 2) != GUEST_PORT);
	send_tcp(GUEST_PORT, get16(l4()), flags & TH_SYN ? 500 : 0,
		 get32(l4() + 4) + 1, flags | TH_ACK);
}

static void open_the_port(void)
{
	frame_arp(&out, 1, GUEST, GATEWAY);
	send_out();
	answer_probe(TH_SYN);
	assert_true(refuses_soon(false));
}

static bool second_is_over;

static void second_over(struct loop_timer *t)
{
	second_is_over = true;
}

/* A connection, a flow and a forward that are open cost few wake-ups. */
static void an_idle_guest_lets_the_host_sleep(void **state)
{
	struct loop_timer second = { .expired = second_over };
	uint16_t port, udp_port;
	autofd fd = host_socket(SOCK_STREAM, &port);
	autofd udp = host_socket(SOCK_DGRAM, &udp_port), peer = -1;
	unsigned turns = 0;
	uint32_t ack;

	connect_to(port, &ack);
	assert_true(readable_soon(fd));
	peer = accept(fd, NULL, NULL);
	send_udp(GUEST, GATEWAY, 1000, udp_port, "x", 1);
	assert_true(readable_soon(udp));
	open_the_port();
	while (comes(is_tcp, 100))
		;
	loop_timer_set(loop, &second,
		       loop_now(loop) + UINT64_C(1000000000));
	for (; !second_is_over; turns++)
		loop_turn(loop, true);
	assert_in_range(turns, 1, 20);
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

static uint64_t now = 1;

static uint64_t fake_clock(void)
{
	return now;
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

/* Plain and slow: addresses, length and protocol, a byte at a time. */
static unsigned pseudo6(const uint8_t *ip, size_t len)
{
	unsigned sum = (unsigned)len + IPPROTO_TCP;

	for (int i = 8; i < 40; i++)
		sum += i % 2 ? ip[i] : (unsigned)ip[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
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
	/* Larger ones than the MTU are the guest's mistake. */
	send_flagged((struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV6, .gso_size = 1441,
		.hdr_len = 74, .csum_start = 54, .csum_offset = 16 });
	assert_int_equal(nb->dropped, 1);
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

static void a_port_refuses_until_the_guest_listens(void **state)
{
	assert_int_not_equal(forward.host_port, 0);
	assert_true(refuses());
	assert_false(comes(is_tcp, 300));	/* nobody is asked yet */
	frame_arp(&out, 1, GUEST, GATEWAY);
	send_out();
	answer_probe(TH_RST);
	assert_true(refuses());
	answer_probe(TH_SYN);
	assert_true(comes(is_tcp, PATIENCE_MS));
	assert_int_equal(l4()[13], TH_RST);	/* what was half open */
	assert_true(refuses_soon(false));
}

static void a_client_reaches_the_guest(void **state)
{
	autofd client = -1;
	uint32_t seq;
	uint16_t from;
	char text[6];

	open_the_port();
	while (comes(is_tcp, 100))	/* what open_the_port() has made */
		;
	client = connect_client();
	assert_true(client >= 0);
	assert_true(comes(is_tcp, PATIENCE_MS));
	assert_int_equal(l4()[13], TH_SYN);
	from = get16(l4());
	seq = get32(l4() + 4) + 1;
	send_tcp(GUEST_PORT, from, 500, seq, TH_SYN | TH_ACK);
	assert_int_equal(write(client, "hello", 5), 5);
	do {
		assert_true(comes(is_tcp, PATIENCE_MS));
	} while (in.len == 14 + 20 + 20);
	assert_int_equal(get16(l4()), from);
	assert_memory_equal(l4() + 20, "hello", 5);

	fill_tcp(frame_ip4(&out, IPPROTO_TCP, GUEST, GATEWAY, 20 + 6),
		 GUEST_PORT, from, 501, seq + 5, TH_ACK | TH_PSH);
	memcpy(out.bytes + 54, "answer", 6);
	send_out();
	assert_true(readable_soon(client));
	assert_int_equal(read(client, text, 6), 6);
	assert_memory_equal(text, "answer", 6);
}

static void a_port_refuses_again_when_the_guest_does(void **state)
{
	open_the_port();
	/* A client's SYN that meets nobody. */
	do {
		assert_true(comes(is_tcp, PATIENCE_MS));
	} while (l4()[13] != TH_SYN);
	send_tcp(GUEST_PORT, get16(l4()), 0, get32(l4() + 4) + 1,
		 TH_RST | TH_ACK);
	answer_probe(TH_RST);
	assert_true(refuses_soon(true));
}

static void a_reset_of_a_connection_alone_closes_nothing(void **state)
{
	open_the_port();
	send_tcp(GUEST_PORT, 50000, 77, 0, TH_RST);
	answer_probe(TH_SYN);
	assert_false(refuses());
}

static void a_port_refuses_when_the_guest_begins_anew(void **state)
{
	open_the_port();
	net_forget(nb);
	assert_true(refuses());
	open_the_port();
	send_dhcp(1);
	assert_true(refuses());
}

static void a_port_refuses_when_the_guest_falls_silent(void **state)
{
	open_the_port();
	send_tcp(GUEST_PORT, 50000, 77, 0, TH_RST);
	assert_true(refuses_soon(true));
}

/* Who asks for a lease as @mac gets it. */
static void lease(const uint8_t mac[6])
{
	sender_mac = mac;
	for (unsigned i = 0; i < 2; i++) {
		send_dhcp_of(mac, i ? 3 : 1);
		assert_true(comes(is_udp, PATIENCE_MS));
	}
}

static void become(const char *addr, const uint8_t mac[6])
{
	guest = addr;
	sender_mac = mac;
}

/* And not the gateway's own. */
static bool is_clients_syn(void)
{
	return is_tcp() && l4()[13] == TH_SYN && get16(l4()) > NAT_PROBES_MAX;
}

/* A client's connection leads to @addr as @mac. */
static void assert_leads_to(const char *addr, const uint8_t mac[6])
{
	uint8_t want[4];
	autofd client = -1;

	while (comes(is_tcp, 100))
		;
	client = connect_client();
	assert_true(client >= 0);
	assert_true(comes(is_clients_syn, PATIENCE_MS));
	inet_pton(AF_INET, addr, want);
	assert_memory_equal(in.bytes + 30, want, 4);
	assert_memory_equal(in.bytes, mac, 6);
	send_tcp(GUEST_PORT, get16(l4()), 0, get32(l4() + 4) + 1,
		 TH_RST | TH_ACK);
}

static void a_forward_follows_the_guest_to_another_lease(void **state)
{
	lease(guest_mac);
	open_the_port();
	assert_leads_to(GUEST, guest_mac);
	lease(other_mac);
	assert_true(refuses());
	become(ELSEWHERE, other_mac);
	answer_probe(TH_SYN);
	assert_true(refuses_soon(false));
	assert_leads_to(ELSEWHERE, other_mac);
	/* And back, as often as it likes. */
	lease(guest_mac);
	become(GUEST, guest_mac);
	open_the_port();
	assert_leads_to(GUEST, guest_mac);
}

static void a_machine_behind_the_guest_gets_no_forwards(void **state)
{
	lease(guest_mac);
	lease(other_mac);
	become(GUEST, guest_mac);
	open_the_port();
	assert_leads_to(GUEST, guest_mac);
	become(ELSEWHERE, other_mac);
	frame_arp(&out, 1, guest, GATEWAY);
	send_out();
	assert_leads_to(GUEST, guest_mac);
}

static void a_guest_without_a_lease_is_where_it_shows_itself(void **state)
{
	static const char *const nobodys[] = { GATEWAY, "10.0.2.3", "10.0.2.0",
					       "10.0.2.255", "10.0.3.9",
					       "0.0.0.0" };

	for (size_t i = 0; i < G_N_ELEMENTS(nobodys); i++) {
		frame_arp(&out, 1, nobodys[i], GATEWAY);
		send_out();
	}
	assert_false(comes(is_tcp, 300));
	become("10.0.2.77", guest_mac);
	frame_arp(&out, 1, guest, GATEWAY);
	send_out();
	answer_probe(TH_SYN);
	assert_true(refuses_soon(false));
	assert_leads_to("10.0.2.77", guest_mac);
}

static void datagrams_follow_the_guest_to_another_lease(void **state)
{
	const struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_port = htons(forward.host_port),
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	autofd fd = socket(AF_INET, SOCK_DGRAM, 0);

	for (unsigned i = 0; i < 2; i++) {
		lease(i ? other_mac : guest_mac);
		loop_turn(loop, false);
		sendto(fd, "x", 1, 0, (const struct sockaddr *)&addr,
		       sizeof(addr));
		assert_true(comes(is_udp, PATIENCE_MS));
		assert_int_equal(get32(in.bytes + 30), 0x0a00020f + i);
		assert_int_equal(get16(l4() + 2), GUEST_PORT);
	}
}

/* Who has @mac asks whether anybody else is at @addr, which it will have. */
static void claim6(const char *addr, const uint8_t mac[6])
{
	uint8_t *icmp;

	sender_mac = mac;
	icmp = frame_ip6(&out, IPPROTO_ICMPV6, "ff02::1", 24);
	memset(out.bytes + 22, 0, 16);
	out.bytes[21] = 255;
	icmp[0] = 135;
	inet_pton(AF_INET6, addr, icmp + 8);
	send_out();
}

/* Plain and slow, from the sum @sum on. */
static unsigned plain_sum(const uint8_t *p, size_t len, unsigned sum)
{
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? p[i] : (unsigned)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static bool is_probe6(void)
{
	return is_tcp6() && l4_of6()[13] == TH_SYN &&
	       get16(l4_of6()) <= NAT_PROBES_MAX;
}

static bool is_clients_syn6(void)
{
	return is_tcp6() && l4_of6()[13] == TH_SYN &&
	       get16(l4_of6()) > NAT_PROBES_MAX;
}

/* The gateway's SYN to @addr as @mac, answered with @flags from there. */
static void answer_probe6(const char *addr, const uint8_t mac[6],
			  uint8_t flags)
{
	uint8_t want[16];
	uint8_t *tcp;

	assert_true(comes(is_probe6, PATIENCE_MS));
	inet_pton(AF_INET6, addr, want);
	assert_memory_equal(in.bytes + 38, want, 16);
	assert_memory_equal(in.bytes, mac, 6);
	assert_int_equal(get16(l4_of6() + 2), GUEST_PORT);
	assert_int_equal(plain_sum(l4_of6(), 20, pseudo6(in.bytes + 14, 20)),
			 0xffff);
	sender_mac = mac;
	tcp = frame_ip6(&out, IPPROTO_TCP, GATEWAY6, 20);
	memcpy(out.bytes + 22, want, 16);
	fill_tcp(tcp, GUEST_PORT, get16(l4_of6()), flags & TH_SYN ? 500 : 0,
		 get32(l4_of6() + 4) + 1, flags | TH_ACK);
	send_out();
}

static void assert_leads_to6(const char *addr)
{
	uint8_t want[16];
	autofd client = -1;

	while (comes(is_tcp6, 100))
		;
	client = connect_client();
	assert_true(client >= 0);
	assert_true(comes(is_clients_syn6, PATIENCE_MS));
	inet_pton(AF_INET6, addr, want);
	assert_memory_equal(in.bytes + 38, want, 16);
	assert_int_equal(get16(l4_of6() + 2), GUEST_PORT);
}

static void a_port_of_ipv6_leads_to_the_guests(void **state)
{
	assert_true(refuses());
	/* Neither by IPv4 nor by what is nobody's address it is known. */
	frame_arp(&out, 1, GUEST, GATEWAY);
	send_out();
	claim6("fe80::15", guest_mac);
	claim6(GATEWAY6, guest_mac);
	assert_false(comes(is_probe6, 300));
	claim6("fec0::15", guest_mac);
	answer_probe6("fec0::15", guest_mac, TH_RST);
	assert_true(refuses());
	answer_probe6("fec0::15", guest_mac, TH_SYN);
	assert_true(refuses_soon(false));
	assert_leads_to6("fec0::15");
	/* What another machine has does not matter. */
	claim6("fec0::16", other_mac);
	assert_leads_to6("fec0::15");
	net_forget(nb);
	assert_true(refuses());
}

/* It may say where it is before its lease says who it is. */
static void a_port_of_ipv6_follows_the_guest(void **state)
{
	lease(guest_mac);
	claim6("fec0::15", guest_mac);
	answer_probe6("fec0::15", guest_mac, TH_SYN);
	assert_true(refuses_soon(false));
	claim6("fec0::16", other_mac);
	assert_false(refuses());
	lease(other_mac);
	assert_true(refuses());
	answer_probe6("fec0::16", other_mac, TH_SYN);
	assert_true(refuses_soon(false));
	assert_leads_to6("fec0::16");
}

static void a_busy_port_names_its_holder(void **state)
{
	g_autoptr(GError) error = NULL;
	struct net_forward f = { .host = { htonl(INADDR_LOOPBACK) },
				 .guest_port = 22 };
	const struct net_nat_options options = { .forwards = &f,
						 .forward_count = 1 };
	autofd fd = host_socket(SOCK_STREAM, &f.host_port);

	assert_true(fd >= 0);
	assert_null(net_nat_open(loop, &options, &error));
	assert_true(g_error_matches(error, USER_ERROR, EX_UNAVAILABLE));
	assert_non_null(strstr(error->message, "[net.port-busy]"));
	assert_non_null(strstr(error->message, "this machine has it"));
}

/* Whose port refuses is held all the same. */
static void a_port_that_refuses_is_no_one_elses(void **state)
{
	g_autoptr(GError) error = NULL;
	struct net_forward f = forward;
	const struct net_nat_options options = { .forwards = &f,
						 .forward_count = 1 };

	f.any_port = false;
	assert_null(net_nat_open(loop, &options, &error));
	assert_non_null(strstr(error->message, "[net.port-busy]"));
}

#define NAT_TEST(name, how) cmocka_unit_test_setup_teardown(name, how, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		NAT_TEST(the_gateway_answers_arp, plain),
		NAT_TEST(an_address_has_the_same_lease_each_time, plain),
		NAT_TEST(datagrams_go_to_this_host_and_back, plain),
		NAT_TEST(a_large_segment_passes_in_one_piece, plain),
		NAT_TEST(an_idle_guest_lets_the_host_sleep, forwarding),
		NAT_TEST(a_wrong_checksum_is_refused, plain),
		NAT_TEST(what_may_not_pass_is_counted, plain),
		NAT_TEST(what_is_forbidden_is_refused_at_a_limited_rate, plain),
		NAT_TEST(a_large_segment_of_ipv6_is_cut, plain),
		NAT_TEST(isolation_leaves_dhcp_only, isolated),
		NAT_TEST(a_deaf_guest_stops_the_host, plain),
		NAT_TEST(a_port_refuses_until_the_guest_listens, forwarding),
		NAT_TEST(a_client_reaches_the_guest, forwarding),
		NAT_TEST(a_port_refuses_again_when_the_guest_does, forwarding),
		NAT_TEST(a_reset_of_a_connection_alone_closes_nothing,
			 forwarding),
		NAT_TEST(a_port_refuses_when_the_guest_begins_anew,
			 forwarding),
		NAT_TEST(a_port_refuses_when_the_guest_falls_silent,
			 forwarding),
		NAT_TEST(a_forward_follows_the_guest_to_another_lease,
			 forwarding),
		NAT_TEST(a_machine_behind_the_guest_gets_no_forwards,
			 forwarding),
		NAT_TEST(a_guest_without_a_lease_is_where_it_shows_itself,
			 forwarding),
		NAT_TEST(datagrams_follow_the_guest_to_another_lease,
			 forwarding_udp),
		NAT_TEST(a_port_of_ipv6_leads_to_the_guests, forwarding6),
		NAT_TEST(a_port_of_ipv6_follows_the_guest, forwarding6),
		NAT_TEST(a_busy_port_names_its_holder, plain),
		NAT_TEST(a_port_that_refuses_is_no_one_elses, forwarding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
