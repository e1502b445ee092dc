/* SPDX-License-Identifier: GPL-2.0-or-later */
/* net_socket - frames over a Unix socket, to another machine or to passt. */
#ifndef BACKENDS_NET_SOCKET_H
#define BACKENDS_NET_SOCKET_H

#include <glib.h>

#include "backend/net.h"

/*
 * Two machines that name one @path are back to back: who comes first listens.
 * While the other one is not there the link is down.  NULL with an error for
 * the user.
 */
struct net_backend *net_socket_open(struct loop *loop, const char *path,
				    GError **error);

/*
 * The passt that listens at @path; with NULL, one that is started and ends
 * with this back end.
 */
struct net_backend *net_passt_open(struct loop *loop, const char *path,
				   GError **error);

#endif
