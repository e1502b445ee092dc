/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_nat - the host's network by address translation, without privileges.
 *
 * libslirp ends the guest's connections and makes ordinary ones of this
 * process of them.  It pushes what comes for the guest, so frames wait here
 * until recv() takes them, up to a number of bytes: TCP by its windows stays
 * below that, and what does not is dropped.
 */
#ifndef BACKENDS_NET_NAT_H
#define BACKENDS_NET_NAT_H

#include <glib.h>
#include <netinet/in.h>

#include "backend/net.h"

/*
 * A port of this host whose connections (datagrams) go to one of the guest, by
 * the same version of IP.  TCP is refused as long as the guest refuses it.
 */
struct net_forward {
	bool ip6;
	union {
		struct in_addr host;
		struct in6_addr host6;
	};
	bool any_port;		/* net_nat_open() picks a free one */
	uint16_t host_port;
	uint16_t guest_port;
	bool udp;
};

#define NET_FORWARDS_MAX	64

struct net_nat_options {
	bool isolated;		/* DHCP answers, and forwards work */
	bool host_metadata;	/* let the guest ask for the host's */
	struct net_forward *forwards;	/* up to NET_FORWARDS_MAX */
	unsigned forward_count;
	/*
	 * On the loop, or NULL: the guest is elsewhere, and @f and maybe
	 * others cannot follow it yet.
	 */
	void (*stuck)(const struct net_forward *f, const char *why);
};

/* NULL with an error for the user. */
struct net_backend *net_nat_open(struct loop *loop,
				 const struct net_nat_options *options,
				 GError **error);

#endif
