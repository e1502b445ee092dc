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
};

/* Open all disks of @o.  @gm is borrowed. */
bool storage_open(struct storage *s, const struct options *o,
		  const struct gmem *gm, GError **error);
/* Offer the controllers. */
void storage_offer(struct storage *s, struct vmbus *bus);
bool storage_start(struct storage *s, GError **error);
/* Stop the threads; the bus has been reset or freed. */
void storage_close(struct storage *s);

#endif
