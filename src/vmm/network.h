/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * network - the machine's NICs and what their cables end in.
 *
 * Each has an I/O thread, which its back end shares.  The order of what the
 * guest is offered is that of the command line, and the NICs' identity is
 * stable from run to run.
 */
#ifndef VMM_NETWORK_H
#define VMM_NETWORK_H

#include <glib.h>
#include <stdbool.h>

#include "vmbus/bus.h"
#include "vmm/options.h"

struct net_capture;

struct network {
	struct net_capture *capture;	/* NULL: none */
	struct nic *nic;	/* NIC_MAX of them */
};

/* Open all NICs of @o.  @gm is borrowed. */
bool network_open(struct network *n, const struct options *o,
		  const struct gmem *gm, GError **error);
/* Offer the NICs. */
void network_offer(struct network *n, struct vmbus *bus);
bool network_start(struct network *n, GError **error);
/* Stop the threads; the bus has been reset or freed. */
void network_close(struct network *n);

#endif
