/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netvsp - synthetic NIC: RNDIS over NVSP over VMBus channels.
 *
 * A NIC, all of its channels and of the queues of its cable live on one loop.
 */
#ifndef DEVICES_NETVSP_NETVSP_H
#define DEVICES_NETVSP_NETVSP_H

#include "backend/net.h"
#include "vmbus/channel.h"

#define NETVSP_QUEUES_MAX	NET_QUEUES_MAX

struct netvsp_options {
	struct guid instance;	/* identity to the guest, stable over reboots */
	uint8_t mac[6];		/* that a guest may change, until it restarts */
	unsigned max_queues;	/* channels, 1 to NETVSP_QUEUES_MAX */
};

struct netvsp;

/*
 * The n-th channel sends on the n-th queue of @cable, if there are as many; what
 * comes from any of them goes where RSS says.  The queues are borrowed, and
 * their user is set.  Before @loop runs.
 */
struct netvsp *netvsp_new(struct loop *loop, const struct gmem *gm,
			  const struct netvsp_options *options,
			  const struct net_cable *cable);
/* The device is not offered (any more).  NULL is nothing. */
void netvsp_free(struct netvsp *nv);

/*
 * Pull the cable out, or put it in, as it is at first.  On the NIC's loop, or
 * before it runs.
 */
void netvsp_set_link(struct netvsp *nv, bool up);

/* To be offered with vmbus_offer(). */
struct vmbus_device *netvsp_device(struct netvsp *nv);

#endif
