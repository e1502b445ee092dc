/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_tap - a tap device of the host.
 *
 * Frames go between the caller's memory and the host's network with one copy,
 * the kernel's, and one system call each.  Offloads pass through: the host
 * sees a guest's super-frames as its own.
 */
#ifndef BACKENDS_NET_TAP_H
#define BACKENDS_NET_TAP_H

#include <glib.h>

#include "backend/net.h"

#define NET_TAP_QUEUES_MAX	64

/*
 * Open @count queues of the device @name, which is made if it is not there and
 * the process may do so; then it goes with its last queue.  A device that is
 * deleted is a link that is down.  False with an error for the user; else
 * queue[] has the backends, all on @loop.
 */
bool net_tap_open(struct loop *loop, const char *name, unsigned count,
		  struct net_backend **queue, GError **error);

#endif
