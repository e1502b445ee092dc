/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nat_port - ports of the host that lead to a guest.
 *
 * A port is taken when the machine starts, but refuses connections as long as
 * the guest does not listen.  Linux keeps a listening socket's port through
 * shutdown() and listens there again, if the port was bound by its number.
 */
#ifndef BACKENDS_NAT_PORT_H
#define BACKENDS_NAT_PORT_H

#include <glib.h>
#include <stdint.h>
#include <sys/socket.h>

#include "backends/net_nat.h"

/* @fd listens, its port bound with SO_REUSEADDR.  From now on it refuses. */
void nat_port_refuse(int fd);
/* Connections are taken (again).  0 or -errno. */
int nat_port_listen(int fd);

/* The host's side of @f; its length. */
socklen_t nat_port_sockaddr(const struct net_forward *f,
			    struct sockaddr_storage *addr);

/* A number that is free at @f's address; 0 with errno. */
uint16_t nat_port_pick(const struct net_forward *f);

/* Beside those of errno: libslirp has the port, but does not wait for it. */
#define NAT_PORT_UNKNOWN	4096

/* Say why @f cannot be had: @err is an errno, or the one above. */
void nat_port_error(const struct net_forward *f, int err, GError **error);
const char *nat_port_reason(int err);

#endif
