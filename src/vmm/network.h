/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * network - the machine's NICs and what their cables end in.
 *
 * Each has an I/O thread for each queue of its cable.  The order of what the
 * guest is offered is that of the command line, and the NICs' identity is
 * stable from run to run.
 *
 * NICs have numbers, their places on the command line.  One that comes later
 * has the lowest that is free.
 */
#ifndef VMM_NETWORK_H
#define VMM_NETWORK_H

#include <glib.h>
#include <stdbool.h>

#include "vmbus/bus.h"
#include "vmm/options.h"

struct net_capture;

struct network {
	const struct options *options;	/* borrowed, like gm and bus */
	const struct gmem *gm;
	struct vmbus *bus;		/* once all is offered */
	struct net_capture *capture;	/* NULL: none */
	struct nic *nic;	/* NIC_MAX of them */
	uint16_t generation[NIC_MAX];	/* how many each place has had */
};

/* Open all NICs of @o. */
bool network_open(struct network *n, const struct options *o,
		  const struct gmem *gm, GError **error);
/* Offer the NICs. */
void network_offer(struct network *n, struct vmbus *bus);
bool network_start(struct network *n, GError **error);
/* Stop the threads; the bus has been reset or freed. */
void network_close(struct network *n);

/*
 * While the machine runs, on its main loop.
 */
/* One as by --net @value: its number, or -1 with an error for the user. */
int network_add(struct network *n, const char *value, GError **error);
/*
 * Take one away.  @removed(@arg) is called when nothing is left of it; not, if
 * the machine ends before.  False with an error for the user.
 */
bool network_remove(struct network *n, unsigned index,
		    void (*removed)(void *arg), void *arg, GError **error);
/* Pull the cable of one out, or put it in.  False with an error likewise. */
bool network_set_link(struct network *n, unsigned index, bool up,
		      GError **error);

#endif
