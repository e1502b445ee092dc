/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_tap - a tap device of the host.
 *
 * Frames go between the caller's memory and the host's network with one copy,
 * the kernel's, and one system call each; io_uring, many at once, would take
 * the kernel as long.  Offloads pass through: the host sees a guest's super-
 * frames as its own.  Only datagrams that the host left in one frame are cut
 * here, copied twice more.  A flow is answered on the queue that it last came
 * on.
 */
#ifndef BACKENDS_NET_TAP_H
#define BACKENDS_NET_TAP_H

#include <glib.h>

#include "backend/net.h"

/*
 * Open @queues queues of the device @name, each on its own of @loops, or one if
 * the device was not made to have several.  It is made if it is not there and
 * the process may do so; then it goes with its last queue.  A device that is
 * deleted is a link that is down, as each queue says.  False with an error for
 * the user, and an empty @cable.
 */
bool net_tap_open(struct loop *const *loops, const char *name, unsigned queues,
		  struct net_cable *cable, GError **error);

/* A queue that is open as @fd, which passes, of a device with that @mtu. */
struct net_backend *net_tap_new(struct loop *loop, int fd, uint32_t mtu);

#endif
