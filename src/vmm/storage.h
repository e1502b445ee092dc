/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * storage - the machine's SCSI controllers and the disks on them.
 *
 * Each controller that has disks gets an I/O thread.  The order of what the
 * guest is offered follows the controllers' numbers, and their identity is
 * stable from run to run.
 */
#ifndef VMM_STORAGE_H
#define VMM_STORAGE_H

#include <glib.h>
#include <stdbool.h>

#include "vmbus/bus.h"
#include "vmm/options.h"

struct storage {
	struct controller *controller;	/* CONTROLLER_MAX of them */
	GPtrArray *changes;		/* of discs, under way */
};

struct disc_change {
	unsigned controller, lun;
	const char *file;	/* to put in, borrowed; NULL: take out */
	bool force;		/* take it from a guest that has locked it */
	struct loop *loop;	/* of the caller */
	void (*done)(void *arg, GError *error);	/* the error passes */
	void *arg;
};

/* Open all disks of @o.  @gm is borrowed. */
bool storage_open(struct storage *s, const struct options *o,
		  const struct gmem *gm, GError **error);
/* Offer the controllers. */
void storage_offer(struct storage *s, struct vmbus *bus);
bool storage_start(struct storage *s, GError **error);
/*
 * Change the disc of a DVD drive.  Leads to one done() on the caller's loop,
 * possibly at once, or to none if that loop ends before.
 */
void storage_change_disc(struct storage *s, const struct disc_change *asked);
/* Stop the threads; the bus has been reset or freed. */
void storage_close(struct storage *s);

#endif
