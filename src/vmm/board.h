/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * board - what is soldered on: the port bus with its devices, the serial
 * console, the tables that describe all this, and what is booted.
 */
#ifndef VMM_BOARD_H
#define VMM_BOARD_H

#include <glib.h>
#include <stdbool.h>

#include "core/gmem.h"
#include "core/loop.h"
#include "vmm/kvm.h"
#include "vmm/loader.h"
#include "vmm/options.h"

struct board;
struct ioports;

struct board_ops {
	/* On the thread of the vCPU that asked for it, inside its exit. */
	void (*reset)(void *host);
	void (*power_off)(void *host);
	/* MACHINE_UNIT_TEST: end with that status of the process. */
	void (*exit)(void *host, int status);
	/* On the loop: a person pressed the console's escape key and q. */
	void (*quit)(void *host);
};

/* Opens the console and what is booted.  All arguments are borrowed. */
struct board *board_new(const struct options *o, const struct kvm *kvm,
			const struct gmem *gm, struct loop *loop,
			const struct board_ops *ops, void *host,
			GError **error);
void board_free(struct board *b);

struct ioports *board_ports(struct board *b);

/* As at power on, but for the clock and its memory. */
void board_reset_devices(struct board *b);

/* Write tables, with a @vmbus in them or not, and image to memory. */
bool board_load(struct board *b, bool vmbus, struct boot_state *state,
		GError **error);

#endif
