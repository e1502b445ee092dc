/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nat_forward - ports of the host in libslirp's hands.
 *
 * libslirp takes a port and leads it to an address of the guest's.  Where a
 * forward leads cannot be changed, so for another address there is another
 * forward, which takes over the socket.
 */
#ifndef BACKENDS_NAT_FORWARD_H
#define BACKENDS_NAT_FORWARD_H

#include <slirp/libslirp.h>

#include "backends/nat_sockets.h"
#include "backends/net_nat.h"

struct nat_forward {
	struct net_forward spec;
	int fd;			/* libslirp's; of TCP it listens or not */
	bool open;
	bool astray;		/* it leads where the guest was */
};

struct nat_forwards {
	Slirp *slirp;			/* borrowed, like the next one */
	struct nat_sockets *sockets;
	void (*stuck)(const struct net_forward *one, const char *why);
	bool told;			/* that one is stuck */
	struct in_addr guest;		/* where they lead to */
	struct in6_addr guest6;
	unsigned count;
	struct nat_forward forward[NET_FORWARDS_MAX];
};

void nat_forwards_init(struct nat_forwards *f, Slirp *slirp,
		       struct nat_sockets *sockets,
		       void (*stuck)(const struct net_forward *one,
				     const char *why));

/*
 * Take the port of @spec; one that was picked is written there.  One of TCP
 * refuses connections.  False with an error for the user.
 */
bool nat_forwards_add(struct nat_forwards *f, struct net_forward *spec,
		      GError **error);

/* From now on forward @index of TCP takes connections, or refuses them. */
void nat_forwards_open(struct nat_forwards *f, unsigned index, bool open);

/* The guest is at @addr now. */
void nat_forwards_lead_to(struct nat_forwards *f, struct in_addr addr);
void nat_forwards_lead_to6(struct nat_forwards *f, const struct in6_addr *addr);

/*
 * Let those lead to the guest that do not.  What fails is told once, and tried
 * again by the next call.  Not from inside of libslirp.
 */
void nat_forwards_follow(struct nat_forwards *f);

#endif
