/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_segment - what a frame's header leaves to be done, done in software.
 *
 * A checksum field that is not finished holds the sum of the pseudo header,
 * with the length of all that follows it, as Linux and virtio have it.
 *
 * Nothing here trusts a frame.  Its memory may be a guest's and change
 * meanwhile; then the bytes are anything, but they are as many as promised.
 */
#ifndef BACKENDS_NET_SEGMENT_H
#define BACKENDS_NET_SEGMENT_H

#include "backend/net.h"

/* Headers of a frame that is cut: Ethernet to TCP, with all options. */
#define NET_HEADERS_MAX	256	/* bytes */

/*
 * A frame on its way to become one or more that leave nothing to be done.
 */
struct net_segmenter {
	const struct net_frame *frame;
	size_t max;		/* bytes of the longest segment */
	size_t left;		/* bytes of the frame not yet in a segment */
	/* The rest is this file's own. */
	const struct iovec *iov;
	size_t iov_used;	/* bytes of iov[0] */
	size_t headers_len;	/* of headers[]; 0 if nothing is to be cut */
	size_t payload_max;	/* bytes of the frame in a segment */
	unsigned l3, l4;	/* where these headers begin */
	uint8_t headers[NET_HEADERS_MAX];	/* of the next segment */
};

/*
 * Begin with @frame, which must stay until the last segment was made.  False
 * if it is not what its header says; then it is to be dropped.
 */
bool net_segmenter_init(struct net_segmenter *s, const struct net_frame *frame);

/* How many segments are still to be made, and *@bytes of them all. */
size_t net_segmenter_count(const struct net_segmenter *s, size_t *bytes);

/*
 * Write the next segment to @buf, which has room for s->max bytes.  Return its
 * length; 0 after the last one.
 */
size_t net_segmenter_next(struct net_segmenter *s, uint8_t *buf);

/*
 * Finish the checksum of @frame in place if it is not; one with a gso_type
 * gets that of the whole.  False if it lies outside.
 */
bool net_checksum_finish(const struct net_frame *frame);

#endif
