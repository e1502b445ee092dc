/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net - what the cable of a NIC ends in.
 *
 * A backend is one queue of a cable and belongs to one loop, which need not be
 * that of the others; so does its user.  All queues of a cable lead to the same
 * place, and are alike in what they can.
 * Nothing is kept between the two sides: send() says how many frames it took,
 * recv() fills the caller's memory, and who could not go on is told when it
 * may.  So what is too much waits in the guest or in the host's kernel, where
 * it is bounded.  A source that cannot wait has a bounded queue of its own.
 *
 * Frames are Ethernet's, without FCS, VLAN tags in place.  What is left to do
 * with one, a checksum or to be cut into segments, its header says in
 * virtio's terms and in the host's byte order.
 */
#ifndef BACKEND_NET_H
#define BACKEND_NET_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "core/loop.h"

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4	/* headers of Linux before 6.2 */
#define VIRTIO_NET_HDR_GSO_UDP_L4	5
#endif

#define NET_FRAME_MAX	(18 + 65535)	/* bytes, with a VLAN tag */
#define NET_QUEUES_MAX	64

/* What a frame may leave to be done. */
#define NET_OFFLOAD_CSUM	(1u << 0)	/* VIRTIO_NET_HDR_F_NEEDS_CSUM */
#define NET_OFFLOAD_TSO4	(1u << 1)	/* these need NET_OFFLOAD_CSUM */
#define NET_OFFLOAD_TSO6	(1u << 2)
#define NET_OFFLOAD_USO		(1u << 3)	/* send() only: no guest has it */

struct net_frame {
	/*
	 * Checked by whoever made the frame: csum_start, csum_offset and
	 * hdr_len lie inside it, gso_size is not 0 if there is a gso_type.
	 */
	struct virtio_net_hdr hdr;
	const struct iovec *iov;	/* recv(): room for the frame */
	int iovcnt;
	size_t len;			/* bytes; recv() sets it */
};

/* Called on the backend's loop, never from inside its functions. */
struct net_user {
	void (*readable)(void *user);	/* recv() may have a frame */
	void (*writable)(void *user);	/* send() may take more again */
	void (*link)(void *user, bool up);
	void *user;
};

struct net_backend;

struct net_backend_ops {
	const char *name;
	/*
	 * Take @count frames or the first few of them, and return how many;
	 * if that is not all, writable() follows.  Memory and @frames are the
	 * caller's again.  A frame that cannot be sent is taken, and counted
	 * as dropped.  The memory may be a guest's and change meanwhile.
	 */
	unsigned (*send)(struct net_backend *nb, const struct net_frame *frames,
			 unsigned count);
	/*
	 * Fill @frame: 1; or 0 if there is none, then readable() follows when
	 * one comes.  A frame larger than @frame's room is dropped and
	 * counted.  What it leaves to do is within what set_offloads() allowed;
	 * after that allowed TSO, room is for NET_FRAME_MAX bytes.
	 */
	int (*recv)(struct net_backend *nb, struct net_frame *frame);
	/* NET_OFFLOAD_* that recv() may use from now on; none at first. */
	void (*set_offloads)(struct net_backend *nb, unsigned offloads);
	/*
	 * The guest has let go of its NIC: what is known of it, and what waits
	 * for it, is void.  NULL if nothing is.
	 */
	void (*forget)(struct net_backend *nb);
	/* Free it.  Its loop does not run any more. */
	void (*close)(struct net_backend *nb);
};

struct net_backend {
	const struct net_backend_ops *ops;
	struct net_user user;		/* set before the loop runs */
	unsigned offloads;		/* NET_OFFLOAD_* that send() takes */
	uint32_t mtu_max;		/* bytes behind the Ethernet header */
	uint64_t speed;			/* bits per second, as shown to guests */
	bool link_up;
	uint64_t dropped;		/* frames that got lost here */
};

/* What a NIC has plugged in; whoever opened it closes it. */
struct net_cable {
	struct net_backend *queue[NET_QUEUES_MAX];
	unsigned count;
};

static inline unsigned net_send(struct net_backend *nb,
				const struct net_frame *frames, unsigned count)
{
	return nb->ops->send(nb, frames, count);
}

static inline int net_recv(struct net_backend *nb, struct net_frame *frame)
{
	return nb->ops->recv(nb, frame);
}

static inline void net_set_offloads(struct net_backend *nb, unsigned offloads)
{
	nb->ops->set_offloads(nb, offloads);
}

static inline void net_forget(struct net_backend *nb)
{
	if (nb->ops->forget)
		nb->ops->forget(nb);
}

static inline void net_close(struct net_backend *nb)
{
	if (nb)
		nb->ops->close(nb);
}

static inline void net_cable_close(struct net_cable *cable)
{
	while (cable->count)
		net_close(cable->queue[--cable->count]);
}

#endif
