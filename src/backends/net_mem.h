/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_mem - a cable whose far end is a test: frames in queues.
 */
#ifndef BACKENDS_NET_MEM_H
#define BACKENDS_NET_MEM_H

#include <glib.h>

#include "backend/net.h"

struct net_mem_frame {
	struct virtio_net_hdr hdr;
	size_t len;
	uint8_t bytes[];
};

struct net_mem {
	struct net_backend net;
	GQueue sent;			/* struct net_mem_frame, owned */
	GQueue incoming;		/* likewise */
	unsigned room;			/* frames that send() still takes */
	unsigned offloads;		/* as set_offloads() said */
	unsigned forgotten;		/* calls of forget() */
	int pieces;			/* of the room that recv() had last */
};

/* Takes all offloads, and any number of frames. */
struct net_mem *net_mem_new(void);

/* The oldest that was sent, to be freed with g_free(); NULL if none was. */
struct net_mem_frame *net_mem_sent(struct net_mem *nm);

/* A frame comes.  net_user.readable() is the caller's to call. */
void net_mem_receive(struct net_mem *nm, const struct virtio_net_hdr *hdr,
		     const void *bytes, size_t len);

#endif
