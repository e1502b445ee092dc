/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A tap device in a network namespace of the test's own.  The other side is a
 * packet socket on the device, which is what the host's network would see.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/net_tap.h"
#include "core/error.h"
#include "core/util.h"
#include "net_packet.h"

#define ETH_TEST 0x88b5 /* nobody else sends these */
#define ALL	 (NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6)

struct rig {
	struct loop *loop;
	struct net_backend *nb;
	int host; /* packet socket with virtio_net_hdr */
	unsigned readable, writable, down;
};

static void on_readable(void *user)
{
	((struct rig *)user)->readable++;
}

static void on_writable(void *user)
{
	((struct rig *)user)->writable++;
}

static void on_link(void *user, bool up)
{
	assert_false(up);
	((struct rig *)user)->down++;
}

static void device_ioctl(unsigned long request, struct ifreq *ifr)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strcpy(ifr->ifr_name, "tap0");
	assert_int_equal(ioctl(fd, request, ifr), 0);
	close(fd);
}

static void bring_up(void)
{
	struct ifreq ifr = { .ifr_flags = IFF_UP };

	device_ioctl(SIOCSIFFLAGS, &ifr);
}

static void delete_device(void)
{
	struct {
		struct nlmsghdr nl;
		struct ifinfomsg info;
	} rq = {
		.nl = { .nlmsg_len = sizeof(rq),
			.nlmsg_type = RTM_DELLINK,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.info.ifi_index = (int)if_nametoindex("tap0"),
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	char answer[1024];

	assert_int_equal(send(fd, &rq, sizeof(rq), 0), sizeof(rq));
	assert_true(recv(fd, answer, sizeof(answer), 0) > 0);
	close(fd);
}

static int host_side(void)
{
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex("tap0"),
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1;

	assert_int_equal(
		setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)),
		0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

/* All queues on one loop. */
static bool open_on(struct loop *loop, const char *name, unsigned queues,
		    struct net_cable *cable, GError **error)
{
	struct loop *loops[] = { loop, loop, loop, loop };

	return net_tap_open(loops, name, queues, cable, error);
}

static int setup(void **state)
{
	struct rig *r = g_new0(struct rig, 1);
	struct net_cable cable;

	*state = r;
	r->loop = loop_new(NULL);
	if (!r->loop || !open_on(r->loop, "tap0", 1, &cable, NULL))
		return -1;
	r->nb = cable.queue[0];
	r->nb->user = (struct net_user){ on_readable, on_writable, on_link, r };
	bring_up();
	r->host = host_side();
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	close(r->host);
	loop_free(r->loop);
	net_close(r->nb);
	g_free(r);
	return 0;
}

static void turns(struct rig *r)
{
	for (int i = 0; i < 5; i++)
		loop_turn(r->loop, false);
}

/* @len bytes of a frame that only this test could have sent. */
static void make_frame(uint8_t *bytes, size_t len, uint8_t mark)
{
	memset(bytes, 0xff, 12);
	bytes[12] = ETH_TEST >> 8;
	bytes[13] = ETH_TEST & 0xff;
	memset(bytes + 14, mark, len - 14);
}

static void host_sends(struct rig *r, const struct virtio_net_hdr *hdr,
		       const uint8_t *bytes, size_t len)
{
	struct iovec iov[] = {
		{ (void *)hdr, sizeof(*hdr) },
		{ (void *)bytes, len },
	};

	assert_int_equal(writev(r->host, iov, 2), sizeof(*hdr) + len);
}

static void host_sends_plain(struct rig *r, size_t len, uint8_t mark)
{
	struct virtio_net_hdr hdr = { 0 };
	uint8_t bytes[2048];

	make_frame(bytes, len, mark);
	host_sends(r, &hdr, bytes, len);
}

/* The next frame on the host's side that came from the tap. */
static size_t host_receives(struct rig *r, struct virtio_net_hdr *hdr,
			    uint8_t *bytes, size_t size)
{
	struct sockaddr_ll from;
	struct iovec iov[] = { { hdr, sizeof(*hdr) }, { bytes, size } };
	struct msghdr msg = {
		.msg_iov = iov,
		.msg_iovlen = 2,
		.msg_name = &from,
	};
	ssize_t n;

	do {
		msg.msg_namelen = sizeof(from);
		n = recvmsg(r->host, &msg, 0);
	} while (n >= 0 && from.sll_pkttype == PACKET_OUTGOING);
	return n < 0 ? 0 : (size_t)n - sizeof(*hdr);
}

static int receives(struct rig *r, struct net_frame *f, uint8_t *bytes,
		    size_t room)
{
	static struct iovec iov[2];

	/* In two pieces, the second one beginning where nothing else does. */
	iov[0] = (struct iovec){ bytes, MIN(room, 11) };
	iov[1] =
		(struct iovec){ bytes + iov[0].iov_len, room - iov[0].iov_len };
	*f = (struct net_frame){ .iov = iov, .iovcnt = 2 };
	return net_recv(r->nb, f);
}

static void frames_of_the_host_are_received(void **state)
{
	uint8_t got[2048], want[300];
	struct rig *r = *state;
	struct net_frame f;

	assert_int_equal(receives(r, &f, got, sizeof(got)), 0);
	for (uint8_t i = 1; i <= 3; i++)
		host_sends_plain(r, 100u * i, i);
	for (uint8_t i = 1; i <= 3; i++) {
		assert_int_equal(receives(r, &f, got, sizeof(got)), 1);
		assert_int_equal(f.len, 100 * i);
		make_frame(want, f.len, i);
		assert_memory_equal(got, want, f.len);
		assert_int_equal(f.hdr.flags, 0);
		assert_int_equal(f.hdr.gso_type, VIRTIO_NET_HDR_GSO_NONE);
	}
	assert_int_equal(receives(r, &f, got, sizeof(got)), 0);
}

static void frames_that_are_sent_reach_the_host(void **state)
{
	uint8_t bytes[3][200], got[2048];
	struct net_frame frames[3] = { 0 };
	struct virtio_net_hdr hdr;
	struct rig *r = *state;
	struct iovec iov[3][2];

	for (unsigned i = 0; i < 3; i++) {
		make_frame(bytes[i], 100 + i, (uint8_t)i);
		iov[i][0] = (struct iovec){ bytes[i], 14 };
		iov[i][1] = (struct iovec){ bytes[i] + 14, 86 + i };
		frames[i].iov = iov[i];
		frames[i].iovcnt = 2;
		frames[i].len = 100 + i;
	}
	assert_int_equal(net_send(r->nb, frames, 3), 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(host_receives(r, &hdr, got, sizeof(got)),
				 100 + i);
		assert_memory_equal(got, bytes[i], 100 + i);
	}
	assert_int_equal(host_receives(r, &hdr, got, sizeof(got)), 0);
	assert_int_equal(r->nb->dropped, 0);
}

static void who_found_nothing_is_told_once(void **state)
{
	struct rig *r = *state;
	struct net_frame f;
	uint8_t got[2048];

	turns(r);
	r->readable = 0; /* the host may have had something to say */
	while (receives(r, &f, got, sizeof(got)))
		;
	turns(r);
	assert_int_equal(r->readable, 0);
	host_sends_plain(r, 60, 1);
	turns(r);
	assert_int_equal(r->readable, 1);
	host_sends_plain(r, 60, 2);
	turns(r);
	assert_int_equal(r->readable, 1);
	assert_int_equal(receives(r, &f, got, sizeof(got)), 1);
	turns(r);
	assert_int_equal(r->readable, 1);
}

static void a_frame_without_room_is_dropped_and_counted(void **state)
{
	struct rig *r = *state;
	struct net_frame f;
	uint8_t got[512];

	host_sends_plain(r, 201, 1);
	host_sends_plain(r, 200, 2);
	assert_int_equal(receives(r, &f, got, 200), 1);
	assert_int_equal(f.len, 200);
	assert_int_equal(got[20], 2);
	assert_int_equal(r->nb->dropped, 1);
}

/* A socket in the place of a device; it can all that a kernel can. */
static void begin_socket(struct rig *r, unsigned offloads)
{
	int pair[2];

	*r = (struct rig){ .loop = loop_new(NULL) };
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair),
		0);
	r->host = pair[1];
	r->nb = net_tap_new(r->loop, pair[0], 1500);
	r->nb->offloads |= NET_OFFLOAD_USO;
	r->nb->user = (struct net_user){ on_readable, on_writable, on_link, r };
	net_set_offloads(r->nb, offloads);
}

static void end_socket(struct rig *r)
{
	loop_free(r->loop);
	net_close(r->nb);
	close(r->host);
}

/* As no kernel would say. */
static void headers_that_are_not_true_are_dropped_and_counted(void **state)
{
	enum { CSUM = VIRTIO_NET_HDR_F_NEEDS_CSUM, TCP4 = 1, TCP6 = 4 };
	static const struct {
		struct virtio_net_hdr hdr;
		bool good;
	} cases[] = {
		{ { CSUM, 0, 0, 0, 34, 16 }, true },
		{ { CSUM, 0, 0, 0, 82, 16 }, true },
		{ { CSUM, 0, 0, 0, 83, 16 }, false },
		{ { CSUM, 0, 0, 0, 34, 65 }, false },
		{ { CSUM, 0, 0, 0, 65535, 65535 }, false },
		{ { 0, 0, 0, 0, 65535, 65535 }, true },
		{ { CSUM, TCP4, 100, 1, 34, 16 }, true },
		{ { CSUM, TCP4, 101, 1, 34, 16 }, false },
		{ { CSUM, TCP4, 54, 0, 34, 16 }, false },
		{ { 0, TCP4, 54, 1, 34, 16 }, false },
		{ { CSUM, TCP6, 54, 1, 34, 16 }, false }, /* not allowed */
		{ { CSUM, 3, 54, 1, 34, 16 }, false }, /* UFO */
		{ { CSUM, TCP4 | 0x80, 54, 1, 34, 16 }, false },
		{ { CSUM, 255, 54, 1, 34, 16 }, false },
	};
	uint8_t bytes[100] = { 0 }, got[2048];
	struct net_frame f;
	struct rig r;

	begin_socket(&r, NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4);
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		uint64_t dropped = r.nb->dropped;

		host_sends(&r, &cases[i].hdr, bytes, sizeof(bytes));
		assert_int_equal(receives(&r, &f, got, sizeof(got)),
				 cases[i].good);
		assert_int_equal(r.nb->dropped - dropped, !cases[i].good);
	}
	net_set_offloads(r.nb, 0);
	host_sends(&r, &cases[0].hdr, bytes, sizeof(bytes));
	assert_int_equal(receives(&r, &f, got, sizeof(got)), 0);
	end_socket(&r);
}

static const uint8_t payload[8192];

static struct net_packet datagrams(bool ip6)
{
	return (struct net_packet){
		.udp = true,
		.ip6 = ip6,
		.id = 0xfffe,
		.payload = payload,
		.payload_len = sizeof(payload),
	};
}

static void host_sends_whole(struct rig *r, bool ip6)
{
	const struct net_packet p = datagrams(ip6);
	struct virtio_net_hdr hdr;
	static uint8_t bytes[9000];

	host_sends(r, &hdr, bytes,
		   net_packet_build_offload(&p, 1400, bytes, &hdr));
}

static void datagrams_of_one_frame_come_one_by_one(void **state)
{
	uint8_t got[NET_FRAME_MAX], want[2048];
	struct net_frame f;
	struct rig r;

	begin_socket(&r, NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4);
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		const struct net_packet p = datagrams(ip6);

		host_sends_whole(&r, ip6);
		host_sends_plain(&r, 60, 1);
		for (unsigned i = 0; i < 6; i++) {
			struct net_packet one = net_packet_segment(&p, 1400, i);

			assert_int_equal(receives(&r, &f, got, sizeof(got)), 1);
			assert_int_equal(f.len, net_packet_build(&one, want));
			assert_memory_equal(got, want, f.len);
			assert_int_equal(f.hdr.gso_type, 0);
			assert_int_equal(f.hdr.flags,
					 VIRTIO_NET_HDR_F_DATA_VALID);
		}
		assert_int_equal(receives(&r, &f, got, sizeof(got)), 1);
		assert_int_equal(f.len, 60);
		assert_int_equal(f.hdr.flags, 0);
	}
	assert_int_equal(r.nb->dropped, 0);
	end_socket(&r);
}

static void datagrams_without_room_are_dropped_each(void **state)
{
	uint8_t got[NET_FRAME_MAX];
	struct net_frame f;
	struct rig r;

	begin_socket(&r, NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO6);
	host_sends_whole(&r, false);
	assert_int_equal(receives(&r, &f, got, sizeof(got)), 1);
	/* The last one is shorter. */
	assert_int_equal(receives(&r, &f, got, 1300), 1);
	assert_int_equal(f.len, 42 + sizeof(payload) % 1400);
	assert_int_equal(r.nb->dropped, 4);
	end_socket(&r);
}

static void a_frame_that_is_not_of_datagrams_is_dropped(void **state)
{
	uint8_t got[NET_FRAME_MAX], bytes[100];
	const struct virtio_net_hdr hdr = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_size = 10,
		.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4,
		.hdr_len = 42,
		.csum_start = 34,
		.csum_offset = 6,
	};
	struct net_frame f;
	struct rig r;

	begin_socket(&r, NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4);
	make_frame(bytes, sizeof(bytes), 1);
	host_sends(&r, &hdr, bytes, sizeof(bytes));
	host_sends_plain(&r, 60, 2);
	assert_int_equal(receives(&r, &f, got, sizeof(got)), 1);
	assert_int_equal(f.len, 60);
	assert_int_equal(r.nb->dropped, 1);
	net_set_offloads(r.nb, NET_OFFLOAD_CSUM);
	host_sends_whole(&r, false);
	assert_int_equal(receives(&r, &f, got, sizeof(got)), 0);
	assert_int_equal(r.nb->dropped, 2);
	end_socket(&r);
}

/* Where the host's kernel can, it is asked for that. */
static void datagrams_of_one_frame_come_from_a_device(void **state)
{
	uint8_t got[NET_FRAME_MAX];
	struct rig *r = *state;
	struct net_frame f;

	net_set_offloads(r->nb, ALL);
	host_sends_whole(r, false);
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(receives(r, &f, got, sizeof(got)), 1);
		assert_true(f.len <= 42 + 1400);
		assert_int_equal(f.hdr.gso_type, 0);
	}
}

/* There are more of them than it takes in one go. */
static void frames_without_room_do_not_hold_the_loop(void **state)
{
	struct net_frame f;
	uint8_t got[60];
	struct rig r;

	begin_socket(&r, 0);
	for (unsigned i = 0; i < 100; i++)
		host_sends_plain(&r, 100, 0);
	assert_int_equal(receives(&r, &f, got, sizeof(got)), 0);
	assert_in_range(r.nb->dropped, 1, 99);
	turns(&r);
	assert_in_range(r.readable, 1, 6);
	assert_int_equal(receives(&r, &f, got, sizeof(got)), 0);
	assert_int_equal(r.nb->dropped, 100);
	end_socket(&r);
}

static size_t super_frame(uint8_t *bytes, struct virtio_net_hdr *hdr)
{
	const struct net_packet p = {
		.payload = payload,
		.payload_len = sizeof(payload),
	};

	return net_packet_build_offload(&p, 1400, bytes, hdr);
}

static void super_frames_are_received_if_that_is_allowed(void **state)
{
	static uint8_t sent[9000], got[9000];
	struct virtio_net_hdr hdr;
	struct rig *r = *state;
	struct net_frame f;
	size_t len;

	assert_int_equal(r->nb->offloads & ALL, ALL);
	net_set_offloads(r->nb, ALL);
	len = super_frame(sent, &hdr);
	host_sends(r, &hdr, sent, len);
	assert_int_equal(receives(r, &f, got, sizeof(got)), 1);
	assert_int_equal(f.len, len);
	assert_int_equal(f.hdr.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(f.hdr.gso_size, 1400);
	assert_int_equal(f.hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(f.hdr.csum_start, 34);
	assert_int_equal(f.hdr.csum_offset, 16);
}

static void super_frames_are_cut_by_the_host_if_not(void **state)
{
	static uint8_t sent[9000], got[9000];
	struct virtio_net_hdr hdr;
	struct rig *r = *state;
	struct net_frame f;
	unsigned count = 0;
	size_t len;

	net_set_offloads(r->nb, ALL);
	net_set_offloads(r->nb, 0);
	len = super_frame(sent, &hdr);
	host_sends(r, &hdr, sent, len);
	for (; receives(r, &f, got, sizeof(got)); count++) {
		assert_int_equal(f.hdr.gso_type, VIRTIO_NET_HDR_GSO_NONE);
		assert_int_equal(f.hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM, 0);
		assert_true(f.len <= 1400 + 54);
	}
	assert_int_equal(count, (sizeof(payload) + 1399) / 1400);
}

static void super_frames_that_are_sent_stay_whole(void **state)
{
	static uint8_t sent[9000], got[9000];
	struct virtio_net_hdr hdr;
	struct rig *r = *state;
	struct iovec iov = { sent, 0 };
	struct net_frame f = { .iov = &iov, .iovcnt = 1 };

	f.len = iov.iov_len = super_frame(sent, &f.hdr);
	assert_int_equal(net_send(r->nb, &f, 1), 1);
	assert_int_equal(host_receives(r, &hdr, got, sizeof(got)), f.len);
	assert_int_equal(hdr.gso_size, 1400);
	assert_memory_equal(got, sent, f.len);
}

static void a_frame_that_the_host_refuses_is_counted(void **state)
{
	static uint8_t sent[9000];
	struct rig *r = *state;
	struct iovec iov = { sent, 0 };
	struct net_frame f = { .iov = &iov, .iovcnt = 1 };

	f.len = iov.iov_len = super_frame(sent, &f.hdr);
	f.hdr.gso_type = 77;
	assert_int_equal(net_send(r->nb, &f, 1), 1);
	assert_int_equal(r->nb->dropped, 1);
}

static void a_device_that_is_deleted_is_a_link_that_is_down(void **state)
{
	uint8_t bytes[100], got[2048];
	struct rig *r = *state;
	struct iovec iov = { bytes, sizeof(bytes) };
	struct net_frame f = { .iov = &iov, .iovcnt = 1, .len = sizeof(bytes) },
			 in;

	make_frame(bytes, sizeof(bytes), 1);
	while (receives(r, &in, got, sizeof(got)))
		;
	turns(r);
	r->readable = 0;
	delete_device();
	turns(r);
	/* Told at once, or by looking for what seems to be there to read. */
	assert_int_equal(r->readable, 1);
	assert_int_equal(receives(r, &in, got, sizeof(got)), 0);
	turns(r);
	assert_int_equal(r->down, 1);
	assert_false(r->nb->link_up);
	assert_int_equal(net_send(r->nb, &f, 1), 1);
	assert_int_equal(r->nb->dropped, 1);
	turns(r);
	assert_int_equal(r->down, 1);
	assert_false(loop_turn(r->loop, false));
}

/* Nobody waits for it; the next frame finds out. */
static void a_sender_notices_that_the_device_was_deleted(void **state)
{
	uint8_t bytes[100];
	struct rig *r = *state;
	struct iovec iov = { bytes, sizeof(bytes) };
	struct net_frame f = { .iov = &iov, .iovcnt = 1, .len = sizeof(bytes) };

	make_frame(bytes, sizeof(bytes), 1);
	host_sends_plain(r, 60, 1);
	turns(r); /* told that there is something to read */
	delete_device();
	turns(r);
	assert_int_equal(r->down, 0);
	assert_int_equal(net_send(r->nb, &f, 1), 1);
	turns(r);
	assert_int_equal(r->down, 1);
}

static void the_mtu_is_the_devices(void **state)
{
	struct ifreq ifr = { .ifr_mtu = 4000 };
	struct net_cable cable;
	struct loop *loop = loop_new(NULL);
	int keep = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	struct ifreq make = {
		.ifr_name = "tap0",
		.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR |
				     IFF_MULTI_QUEUE),
	};

	/* Made by somebody else. */
	assert_int_equal(ioctl(keep, TUNSETIFF, &make), 0);
	device_ioctl(SIOCSIFMTU, &ifr);
	assert_true(open_on(loop, "tap0", 2, &cable, NULL));
	assert_int_equal(cable.count, 2);
	assert_int_equal(cable.queue[0]->mtu_max, 4000);
	assert_int_equal(cable.queue[1]->mtu_max, 4000);
	loop_free(loop);
	net_cable_close(&cable);
	close(keep);
}

static void an_only_queue_may_be_one_of_many(void **state)
{
	struct loop *loop = loop_new(NULL);
	struct net_cable two, one;

	assert_true(open_on(loop, "tap0", 2, &two, NULL));
	assert_true(open_on(loop, "tap0", 1, &one, NULL));
	assert_int_equal(one.count, 1);
	loop_free(loop);
	net_cable_close(&one);
	net_cable_close(&two);
}

/* Somebody else has made it, and let go of it. */
static void a_device_of_one_queue_has_no_second(void **state)
{
	struct ifreq make = {
		.ifr_name = "tap0",
		.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR),
	};
	int maker = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	struct loop *loop = loop_new(NULL);
	struct net_cable cable;

	assert_int_equal(ioctl(maker, TUNSETIFF, &make), 0);
	assert_int_equal(ioctl(maker, TUNSETPERSIST, 1), 0);
	close(maker);
	assert_true(open_on(loop, "tap0", 4, &cable, NULL));
	assert_int_equal(cable.count, 1);
	delete_device();
	loop_free(loop);
	net_cable_close(&cable);
}

/* A packet of a flow, which the host knows by its port either way. */
static size_t flow(uint8_t port, uint8_t *bytes)
{
	const struct net_packet p = {
		.payload = payload,
		.payload_len = 100,
	};
	size_t len = net_packet_build(&p, bytes);

	bytes[14 + 20 + 1] = port;
	return len;
}

/* What the host learns from. */
static void flow_sent(struct net_backend *nb, uint8_t port)
{
	uint8_t bytes[256];
	struct iovec iov = { bytes, flow(port, bytes) };
	const struct net_frame f = { .iov = &iov,
				     .iovcnt = 1,
				     .len = iov.iov_len };

	assert_int_equal(net_send(nb, &f, 1), 1);
}

static void a_flow_is_answered_on_its_queue(void **state)
{
	struct virtio_net_hdr hdr = { 0 };
	struct rig r = { .loop = loop_new(NULL) };
	struct net_cable cable;
	uint8_t bytes[256], got[2048];
	struct net_frame f;

	assert_true(open_on(r.loop, "tap0", 4, &cable, NULL));
	assert_int_equal(cable.count, 4);
	bring_up();
	r.host = host_side();
	for (uint8_t i = 0; i < 16; i++) {
		size_t len = flow(i, bytes);

		flow_sent(cable.queue[i % 4], i);
		host_sends(&r, &hdr, bytes, len);
		for (unsigned q = 0; q < 4; q++) {
			r.nb = cable.queue[q];
			assert_int_equal(receives(&r, &f, got, sizeof(got)),
					 q == i % 4u);
		}
	}
	close(r.host);
	loop_free(r.loop);
	net_cable_close(&cable);
}

/*
 * Errors.
 */
static void assert_error(const char *name, unsigned queues, int status,
			 const char *id)
{
	struct net_cable cable;
	struct loop *loop = loop_new(NULL);
	GError *error = NULL;

	assert_false(open_on(loop, name, queues, &cable, &error));
	assert_int_equal(cable.count, 0);
	assert_int_equal(error->code, status);
	assert_non_null(strstr(error->message, id));
	g_error_free(error);
	loop_free(loop);
}

static void names_that_no_device_has_are_refused(void **state)
{
	static const char *const bad[] = {
		"", "a234567890123456", "tap%d", "a/b", "a b", "a:1", "..",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		assert_error(bad[i], 1, EX_USAGE, "[net.tap-name]");
}

static void what_is_no_tap_is_refused(void **state)
{
	assert_error("lo", 1, EX_DATAERR, "[net.tap-kind]");
	assert_error("lo", 2, EX_DATAERR, "[net.tap-kind]");
}

static void what_another_uses_is_refused(void **state)
{
	assert_error("tap0", 1, EX_UNAVAILABLE, "[net.tap-busy]");
	assert_error("tap0", 2, EX_UNAVAILABLE, "[net.tap-busy]");
}

/* A child whose user namespace is not the one that owns the network. */
static void without_permission(const char *name, const char *id)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		struct net_cable cable;
		GError *error = NULL;
		struct loop *loop;

		if (unshare(CLONE_NEWUSER) < 0)
			_exit(77);
		loop = loop_new(NULL);
		if (open_on(loop, name, 1, &cable, &error))
			_exit(1);
		_exit(error->code != EX_NOPERM || !strstr(error->message, id));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void making_a_device_needs_permission(void **state)
{
	without_permission("tap9", "[net.tap-missing]");
}

/* So that what is on the devices is this test's. */
static bool own_network(void)
{
	int fd;

	if (unshare(CLONE_NEWNET) < 0 &&
	    unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return false;
	fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY);
	if (fd >= 0) {
		if (write(fd, "1", 1) < 0)
			perror("disable_ipv6");
		close(fd);
	}
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(frames_of_the_host_are_received),
		TEST(frames_that_are_sent_reach_the_host),
		TEST(who_found_nothing_is_told_once),
		TEST(a_frame_without_room_is_dropped_and_counted),
		TEST(super_frames_are_received_if_that_is_allowed),
		TEST(super_frames_are_cut_by_the_host_if_not),
		TEST(super_frames_that_are_sent_stay_whole),
		TEST(datagrams_of_one_frame_come_from_a_device),
		TEST(a_frame_that_the_host_refuses_is_counted),
		TEST(a_device_that_is_deleted_is_a_link_that_is_down),
		TEST(a_sender_notices_that_the_device_was_deleted),
		TEST(what_another_uses_is_refused),
		cmocka_unit_test(
			headers_that_are_not_true_are_dropped_and_counted),
		cmocka_unit_test(frames_without_room_do_not_hold_the_loop),
		cmocka_unit_test(datagrams_of_one_frame_come_one_by_one),
		cmocka_unit_test(datagrams_without_room_are_dropped_each),
		cmocka_unit_test(a_frame_that_is_not_of_datagrams_is_dropped),
		cmocka_unit_test(the_mtu_is_the_devices),
		cmocka_unit_test(an_only_queue_may_be_one_of_many),
		cmocka_unit_test(a_device_of_one_queue_has_no_second),
		cmocka_unit_test(a_flow_is_answered_on_its_queue),
		cmocka_unit_test(names_that_no_device_has_are_refused),
		cmocka_unit_test(what_is_no_tap_is_refused),
		cmocka_unit_test(making_a_device_needs_permission),
	};

	if (!own_network()) {
		printf("skipped: no network namespace or no /dev/net/tun "
		       "here: %s\n",
		       g_strerror(errno));
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
