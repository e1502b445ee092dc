/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_stream - frames over a stream socket, each behind its length in 32 bits,
 * big-endian: what QEMU's stream netdev, passt and kvmbus itself speak.
 *
 * A stream carries no offloads, so frames are cut and finished before they go.
 * Many of them go and come in one system call, by way of two buffers.
 *
 * Base of the back ends that know where the peer comes from.
 */
#ifndef BACKENDS_NET_STREAM_H
#define BACKENDS_NET_STREAM_H

#include "backend/net.h"

#define NET_STREAM_BUFFER	(256u << 10)	/* bytes, each way */

struct net_stream_bytes {
	uint8_t *bytes;		/* NET_STREAM_BUFFER of them */
	size_t at, end;		/* those in use */
};

struct net_stream {
	struct net_backend nb;
	/* There is no peer any more; another may be attached, also later. */
	void (*lost)(struct net_stream *s);
	void (*close)(struct net_stream *s);	/* finish and free it */
	struct loop *loop;	/* the rest is net_stream's own */
	int fd;			/* -1: no peer */
	bool ended;		/* the peer is to be given up */
	unsigned waiting;	/* POLLIN, POLLOUT: what the user waits for */
	struct loop_poll poll;
	struct loop_note give_up;
	struct net_stream_bytes in, out;
};

/* Without a peer.  The two functions are set by the caller. */
void net_stream_init(struct net_stream *s, struct loop *loop);
/* Its loop does not run any more. */
void net_stream_finish(struct net_stream *s);

/*
 * The peer is at the other end of @fd, which passes.  There was none.  On the
 * loop or before it runs.
 */
void net_stream_attach(struct net_stream *s, int fd);

#endif
