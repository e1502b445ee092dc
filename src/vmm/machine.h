/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * machine - one virtual machine, from its options to its exit status.
 *
 *	new -> run: boot -> RUNNING --guest resets--> draining -> boot ...
 *	                       |
 *	                       +--power off, crash, time-out, quit--> draining
 *	                                                    -> result
 *
 * Draining: vCPUs have stopped; the bus closes its channels, so that requests
 * in flight are done before anything they use goes away.
 */
#ifndef VMM_MACHINE_H
#define VMM_MACHINE_H

#include <glib.h>
#include <stdbool.h>

#include "core/autoptr.h"
#include "vmm/options.h"

struct machine;
struct network;
struct storage;

/* Open and check everything that @o names (borrowed); nothing runs yet. */
struct machine *machine_new(const struct options *o, GError **error);
void machine_free(struct machine *m);
AUTOPTR_DEFINE(machine, machine_free)

/*
 * Boot, and return when the machine is over: the exit status.  A status other
 * than 0 comes with an error that says why, but for those that a signal or the
 * guest has chosen.
 */
int machine_run(struct machine *m, GError **error);

/*
 * What can be asked of one that runs, on its main loop: machine_methods.c.
 *
 * Paused, no virtual processor runs; all else goes on.  A reset leaves it
 * paused.  Resumed, disks try again what the host has failed at.  Resets and
 * the end come after these functions have returned.
 */
void machine_pause(struct machine *m);
void machine_resume(struct machine *m);
bool machine_is_paused(const struct machine *m);
void machine_reset(struct machine *m);
void machine_power_off(struct machine *m);
/* Its NICs, which may come and go. */
struct network *machine_network(struct machine *m);
/* Its disks, likewise. */
struct storage *machine_storage(struct machine *m);

#endif
