/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * debug_exit - a port by which a test kernel ends its run and says how it
 * went.  A write of N makes N << 1 | 1 the status of the process, of which
 * eight bits are left: what succeeded is 1, and 0 cannot be said.
 */
#ifndef DEVICES_CHIPSET_DEBUG_EXIT_H
#define DEVICES_CHIPSET_DEBUG_EXIT_H

#include "devices/chipset/ioports.h"

#define DEBUG_EXIT_PORT	0xf4

struct debug_exit {
	struct ioport io;
	/* On the vCPU's thread, under the bus lock. */
	void (*exit)(struct debug_exit *d, int status);
};

/* The callback is set after. */
void debug_exit_init(struct debug_exit *d);

#endif
