/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_merge - segments of one connection that follow each other, as one frame.
 *
 *	net_merge_begin() with the first one
 *	net_merge_add() with what comes next, until it does not follow
 *	net_merge_finish(): the headers of the whole
 *
 * Nothing of a segment gets lost: who cuts the whole gets what it was made of,
 * but for the numbers of IPv4 packets, and PSH, which is the last one's then.
 * Segments with options of TCP or of IP stay as they are.
 */
#ifndef BACKENDS_NET_MERGE_H
#define BACKENDS_NET_MERGE_H

#include "backend/net.h"
#include "backends/net_queue.h"

#define NET_MERGE_HEADERS	(14 + 40 + 20)	/* bytes: Ethernet, IPv6, TCP */

struct net_merge {
	size_t headers_len;	/* of every segment; 0: none may follow */
	size_t len;		/* bytes of the whole, with its headers */
	unsigned count;		/* segments */
	/* The rest is this file's own. */
	uint8_t headers[NET_MERGE_HEADERS];	/* the first one's */
	size_t segment;		/* bytes of payload in each but the last */
	uint32_t next;		/* sequence number behind it */
};

/* With what @offloads, NET_OFFLOAD_*, allow the whole to be. */
void net_merge_begin(struct net_merge *m, const uint8_t *frame, size_t len,
		     unsigned offloads);

/*
 * Whether @frame follows.  Then its payload, all behind m->headers_len bytes,
 * belongs behind the whole.
 */
bool net_merge_add(struct net_merge *m, const uint8_t *frame, size_t len);

/* Once there are two at least: m->headers become those of the whole. */
void net_merge_finish(struct net_merge *m, struct virtio_net_hdr *hdr);

/*
 * All that: fill @frame, which has room, with the first frame of @q and what
 * follows it.  Their checksums are right.  False if the first one is too large
 * for the room, or there is none; it is gone.
 */
bool net_merge_take(struct net_queue *q, unsigned offloads,
		    struct net_frame *frame);

#endif
