/* SPDX-License-Identifier: GPL-2.0-or-later */
/* NAT, and a guest behind it that does everything by hand. */
#ifndef TESTS_NAT_RIG_H
#define TESTS_NAT_RIG_H

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
static unsigned times_stuck;	/* forward */
static char stuck_because[64];
static struct frame in, out;	/* the guest's sides of the cable */
static struct virtio_net_hdr in_hdr;

static inline void no_matter(void *user)
{
}

static inline void no_link(void *user, bool up)
{
}

static inline void is_stuck(const struct net_forward *f, const char *why)
{
	times_stuck++;
	g_strlcpy(stuck_because, why, sizeof(stuck_because));
}

static inline void start(const struct net_nat_options *options)
{
	g_autoptr(GError) error = NULL;

	loop = loop_new(NULL);
	nb = net_nat_open(loop, options, &error);
	if (!nb)
		fail_msg("%s", error->message);
	nb->user = (struct net_user){ no_matter, no_matter, no_link, NULL };
}

static inline int plain(void **state)
{
	start(&(struct net_nat_options){ 0 });
	return 0;
}

static inline int isolated(void **state)
{
	start(&(struct net_nat_options){ .isolated = true });
	return 0;
}

/* What @f leaves open: any port of the host leads to one of the guest. */
static inline int forward_to(struct net_forward f)
{
	forward = f;
	forward.any_port = true;
	forward.guest_port = GUEST_PORT;
	start(&(struct net_nat_options){ .forwards = &forward,
					 .forward_count = 1,
					 .stuck = is_stuck });
	return 0;
}

static inline int forwarding(void **state)
{
	return forward_to((struct net_forward){
		.host = { htonl(INADDR_LOOPBACK) } });
}

static inline int forwarding_udp(void **state)
{
	return forward_to((struct net_forward){
		.host = { htonl(INADDR_LOOPBACK) }, .udp = true });
}

static inline int host_socket6(uint16_t *port)
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

static inline int forwarding6(void **state)
{
	uint16_t port;

	close(host_socket6(&port));
	return forward_to((struct net_forward){
		.ip6 = true, .host6 = IN6ADDR_LOOPBACK_INIT });
}

static uint64_t now = 1;

static inline uint64_t fake_clock(void)
{
	return now;
}

static inline int stop(void **state)
{
	guest = GUEST;
	sender_mac = guest_mac;
	times_stuck = 0;
	net_close(nb);
	loop_free(loop);
	return 0;
}

/*
 * The guest.
 */
static inline void send_flagged(struct virtio_net_hdr hdr)
{
	/* In two pieces, as headers and payload are. */
	const struct iovec iov[] = { { out.bytes, 14 },
				     { out.bytes + 14, out.len - 14 } };
	const struct net_frame frame = { .hdr = hdr, .iov = iov, .iovcnt = 2,
					 .len = out.len };

	assert_int_equal(net_send(nb, &frame, 1), 1);
}

/* Checksums are left to do, as by a guest that was offered so. */
static inline void send_out(void)
{
	send_flagged((struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM });
}

static inline bool receive(void)
{
	const struct iovec iov = { in.bytes, sizeof(in.bytes) };
	struct net_frame frame = { .iov = &iov, .iovcnt = 1 };

	if (!net_recv(nb, &frame))
		return false;
	in.len = frame.len;
	in_hdr = frame.hdr;
	return true;
}

static inline uint16_t type(void)
{
	return get16(in.bytes + 12);
}

static inline const uint8_t *l4(void)
{
	return in.bytes + 34;
}

static inline bool is_protocol(uint8_t protocol)
{
	return type() == 0x0800 && in.bytes[23] == protocol;
}

static inline bool is_arp(void)
{
	return type() == 0x0806;
}

static inline bool is_udp(void)
{
	return is_protocol(IPPROTO_UDP);
}

static inline bool is_tcp(void)
{
	return is_protocol(IPPROTO_TCP);
}

/* Who asks where the guest is gets told, as by any guest. */
static inline void answer_arp(void)
{
	if (get16(in.bytes + 20) != 1)
		return;
	frame_arp(&out, 2, guest, GATEWAY);
	send_out();
}

/*
 * IPv6, which needs to be told where its neighbours are.
 */
static inline const uint8_t *l4_of6(void)
{
	return in.bytes + 54;
}

static inline bool is_tcp6(void)
{
	return type() == 0x86dd && in.bytes[20] == IPPROTO_TCP;
}

static inline bool is_solicitation(void)
{
	return type() == 0x86dd && in.bytes[20] == IPPROTO_ICMPV6 &&
	       l4_of6()[0] == 135;
}

static inline void answer_solicitation(void)
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
static inline bool comes(bool (*is)(void), unsigned ms)
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

static inline void send_udp(const char *from, const char *to, unsigned sport,
		     unsigned dport, const void *data, size_t len)
{
	fill_udp(frame_ip4(&out, IPPROTO_UDP, from, to, 8 + len), sport, dport,
		 data, len);
	send_out();
}

static inline void send_tcp(unsigned sport, unsigned dport, uint32_t seq,
		     uint32_t ack, uint8_t flags)
{
	fill_tcp(frame_ip4(&out, IPPROTO_TCP, guest, GATEWAY, 20), sport,
		 dport, seq, ack, flags);
	send_out();
}

static inline void send_dhcp_of(const uint8_t mac[6], uint8_t kind)
{
	uint8_t dhcp[300] = { 1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78 };
	const uint8_t options[] = { 99, 130, 83, 99, 53, 1, kind, 255 };

	memcpy(dhcp + 28, mac, 6);
	memcpy(dhcp + 236, options, sizeof(options));
	send_udp("0.0.0.0", "255.255.255.255", 68, 67, dhcp, sizeof(dhcp));
}

static inline void send_dhcp(uint8_t kind)
{
	send_dhcp_of(guest_mac, kind);
}

/*
 * The host.
 */
static inline int host_socket(int kind, uint16_t *port)
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
static inline bool readable_soon(int fd)
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
static inline int connect_client(void)
{
	struct sockaddr_storage addr;
	socklen_t len = nat_port_sockaddr(&forward, &addr);
	autofd fd = socket(addr.ss_family, SOCK_STREAM, 0);

	if (connect(fd, (const struct sockaddr *)&addr, len) < 0)
		return -errno;
	return autofd_steal(&fd);
}

static inline bool refuses(void)
{
	int fd = connect_client();

	if (fd >= 0)
		close(fd);
	return fd == -ECONNREFUSED;
}

static inline bool refuses_soon(bool refused)
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

/* A connection to @port: what the guest says next. */
static inline uint32_t connect_to(uint16_t port, uint32_t *ack)
{
	send_tcp(1000, port, 100, 0, TH_SYN);
	/* A forward's probe may come first. */
	do {
		assert_true(comes(is_tcp, PATIENCE_MS));
	} while (get16(l4() + 2) != 1000);
	assert_int_equal(l4()[13], TH_SYN | TH_ACK);
	assert_int_equal(get32(l4() + 8), 101);
	*ack = get32(l4() + 4) + 1;
	send_tcp(1000, port, 101, *ack, TH_ACK);
	return 101;
}

/* Plain and slow: addresses, length and protocol, a byte at a time. */
static inline unsigned pseudo6(const uint8_t *ip, size_t len)
{
	unsigned sum = (unsigned)len + ip[6];

	for (int i = 8; i < 40; i++)
		sum += i % 2 ? ip[i] : (unsigned)ip[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

#endif
