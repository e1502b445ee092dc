/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * NAT, isolated so that nothing leaves this process, with a forward.  Input:
 * frames, each after two bytes of length whose upper bits say what else is
 * done.
 */
#include <arpa/inet.h>
#include <glib.h>

#include "backends/net_nat.h"

#define LEN_MASK	0x0fff
#define FORGET		0x1000
#define CSUM		0x2000
#define LATER		0x4000	/* time goes by */
#define CUT		0x8000	/* segments of IPv6 without extensions */

static struct loop *loop;
static struct net_backend *nb;
static uint64_t now = 1;

static uint64_t fake_clock(void)
{
	return now;
}

static void drain(void *user)
{
	static uint8_t bytes[NET_FRAME_MAX];
	const struct iovec iov = { bytes, sizeof(bytes) };
	struct net_frame frame = { .iov = &iov, .iovcnt = 1 };

	while (net_recv(nb, &frame))
		g_assert(frame.len >= 14 &&
			 (frame.len <= 1514 || frame.hdr.gso_type));
}

static void no_matter(void *user)
{
}

static void no_link(void *user, bool up)
{
}

static void begin(void)
{
	struct net_forward forwards[] = {
		{ .host = { htonl(INADDR_LOOPBACK) },
		  .any_port = true, .guest_port = 22 },
		{ .ip6 = true, .host6 = IN6ADDR_LOOPBACK_INIT,
		  .any_port = true, .guest_port = 22 },
	};
	struct net_nat_options options = {
		.isolated = true, .forwards = forwards, .forward_count = 2 };

	loop = loop_new(NULL);
	loop_set_clock(loop, fake_clock);
	g_random_set_seed(1);	/* what probes look like */
	nb = net_nat_open(loop, &options, NULL);
	/* Not every machine has ::1. */
	options.forward_count = 1;
	nb = nb ?: net_nat_open(loop, &options, NULL);
	nb->user = (struct net_user){ drain, no_matter, no_link, NULL };
	net_set_offloads(nb, NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 |
			     NET_OFFLOAD_TSO6);
}

static size_t one(const uint8_t *data, size_t size)
{
	unsigned head = (unsigned)(data[0] << 8 | data[1]);
	size_t len = MIN(head & LEN_MASK, size - 2);
	const struct iovec iov = { (void *)(uintptr_t)(data + 2), len };
	struct net_frame frame = {
		.hdr.flags = head & CSUM ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0,
		.iov = &iov, .iovcnt = 1, .len = len,
	};

	if (head & CUT && len > 74) {
		frame.hdr.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		frame.hdr.gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
		frame.hdr.gso_size = (uint16_t)(1 + head % 1500);
		frame.hdr.hdr_len = 74;
		frame.hdr.csum_start = 54;
		frame.hdr.csum_offset = 16;
	}

	if (head & FORGET)
		net_forget(nb);
	if (head & LATER)
		now += 600000000;
	net_send(nb, &frame, 1);
	loop_turn(loop, false);
	return 2 + len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	begin();
	while (size >= 2) {
		size_t n = one(data, size);

		data += n;
		size -= n;
	}
	net_close(nb);
	loop_free(loop);
	return 0;
}
