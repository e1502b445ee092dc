/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_capture - a pcapng file of what passes between NICs and their cables.
 *
 * Frames are recorded whole and as they pass: super-frames uncut, checksums
 * unfinished, each with its direction as the NIC sees it.  One file serves
 * several NICs, and the queues of each, on any loops.
 */
#ifndef BACKENDS_NET_CAPTURE_H
#define BACKENDS_NET_CAPTURE_H

#include <glib.h>

#include "backend/net.h"

struct net_capture;

/*
 * Make the file, or empty it.  When it cannot be written any more, stopped()
 * is called once, on any loop, with the reason; traffic goes on.  NULL with an
 * error for the user.
 */
struct net_capture *net_capture_open(const char *path,
				     void (*stopped)(const char *path,
						     const char *why),
				     GError **error);
/* Its back ends are closed. */
void net_capture_close(struct net_capture *c);

/*
 * Put a back end in front of each queue of @cable, which becomes its owner.
 * They are one interface, called @name.
 */
void net_capture_wrap(struct net_capture *c, const char *name,
		      struct net_cable *cable);

#endif
