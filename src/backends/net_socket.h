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
 * The passt that listens at @path, which is looked for again if it goes; with
 * NULL, one that is started and ends with this back end.  If it ends before,
 * @gone (or NULL) is called with @path, on @loop.
 */
struct net_backend *net_passt_open(struct loop *loop, const char *path,
				   void (*gone)(const char *path),
				   GError **error);

#endif
