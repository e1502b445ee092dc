/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netvsp - synthetic NIC: RNDIS over NVSP over VMBus channels.
 *
 * Each queue of its cable has a loop, on which some of the NIC's channels live
 * as well.
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
 * The n-th channel sends on the n-th queue of @cable and lives on the n-th of
 * @loops; if there are not as many, they are taken in turn.  What comes from
 * any queue goes where RSS says.  The queues are borrowed, and their user is
 * set.  @loops has as many as @cable, of which some or all may be one, and none
 * runs yet.
 */
struct netvsp *netvsp_new(struct loop *const *loops, const struct gmem *gm,
			  const struct netvsp_options *options,
			  const struct net_cable *cable);
/* It is not offered (any more), and no loop of it runs.  NULL is nothing. */
void netvsp_free(struct netvsp *nv);

/*
 * Pull the cable out, or put it in, as it is at first.  On the first of the
 * loops, or before they run.
 */
void netvsp_set_link(struct netvsp *nv, bool up);

/* To be offered with vmbus_offer(). */
struct vmbus_device *netvsp_device(struct netvsp *nv);

#endif
