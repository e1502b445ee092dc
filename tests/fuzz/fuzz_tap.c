/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a tap device may hand over: headers that are not true of their frames,
 * super-frames, runts, giants.  They are read from a socket in its place and
 * go all the way to a guest, which must get frames that are whole.
 *
 * Input: how the guest is set up; then packets, each behind its length in two
 * bytes, with its virtio header, in the host's byte order.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "backends/net_tap.h"
#include "core/reader.h"
#include "fake_netvsc.h"

#define PACKETS_MAX	64
#define PACKET_MAX	(sizeof(struct virtio_net_hdr) + NET_FRAME_MAX)
#define LONG		0x8000u		/* in a length: to the longest */

static void start(struct netvsc *c, uint8_t how)
{
	netvsc_start(c, how & 1 ? NVSP_PROTOCOL_VERSION_5 :
				  NVSP_PROTOCOL_VERSION_61,
		     how & 2 ? 9014 : 1514,
		     how & 4 ? 0 : NVSP_CAPABILITY_IEEE8021Q |
				   NVSP_CAPABILITY_RSC);
	netvsc_set_rsc(c, true);
}

/* What is longer than the input goes on with zeroes. */
static bool put(struct reader *in, int fd)
{
	static uint8_t packet[PACKET_MAX];
	uint16_t len;
	size_t size;

	if (!READ(in, &len))
		return false;
	size = len & LONG ? (len & ~LONG) * 2u + 16 : len % 2048u;
	memset(packet, 0, size);
	reader_copy(in, packet, MIN(size, in->left));
	return send(fd, packet, size, MSG_DONTWAIT) >= 0;
}

/* Parts of a frame come one behind the other, from the first to the last. */
static void take(struct netvsc *c)
{
	g_autoptr(GPtrArray) all = netvsc_received(c, 0);
	bool within = false;

	for (unsigned i = 0; i < all->len; i++) {
		const struct netvsc_frame *f = all->pdata[i];
		uint8_t flags = f->has_id ? f->id.flags :
				RNDIS_PKTID_FIRST | RNDIS_PKTID_LAST;

		g_assert(within == !(flags & RNDIS_PKTID_FIRST));
		within = !(flags & RNDIS_PKTID_LAST);
	}
	g_assert_false(within);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct loop *loop = loop_new(NULL);
	struct reader in = { data, size };
	struct net_cable cable = { .count = 1 };
	struct netvsc *c;
	uint8_t how = 0;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) < 0)
		abort();
	READ(&in, &how);
	cable.queue[0] = net_tap_new(loop, pair[0], 1500);
	cable.queue[0]->offloads |= NET_OFFLOAD_USO;
	c = netvsc_new_on(loop, 1, &cable);
	start(c, how);
	for (unsigned i = 0; i < PACKETS_MAX && put(&in, pair[1]); i++) {
		loop_turn(loop, false);
		take(c);
	}
	netvsc_free(c);
	net_cable_close(&cable);
	close(pair[1]);
	return 0;
}
