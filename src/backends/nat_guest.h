/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nat_guest - where the guest is.
 *
 * The guest is whoever shows itself first, until a lease says that it is
 * elsewhere: one that changes its MAC address gets another one.  But a machine
 * behind the guest asks for leases, too, and then the guest is still heard from
 * its old place.  Of IPv6 it is where it first says that it is, with the MAC
 * address that it has.
 *
 * A guest may change its address without a word.  When its MAC address speaks
 * from another one, the gateway asks for the one that is known; if nothing is
 * heard from there, the guest is at the other one.
 */
#ifndef BACKENDS_NAT_GUEST_H
#define BACKENDS_NAT_GUEST_H

#include <netinet/in.h>

#include "backends/nat_filter.h"

/* What a frame has told. */
#define NAT_GUEST_SENT	(1u << 0)	/* it is the guest's */
#define NAT_GUEST_LOST	(1u << 1)	/* it begins anew, or is gone */
#define NAT_GUEST_MET	(1u << 2)	/* here it is (again) */
#define NAT_GUEST_LOST6	(1u << 3)	/* the same of IPv6 */
#define NAT_GUEST_MET6	(1u << 4)
#define NAT_GUEST_DOUBT	(1u << 5)	/* look() has something to do */
#define NAT_GUEST_ASK	(1u << 6)	/* whether it is where it was */
#define NAT_GUEST_ASK6	(1u << 7)

struct nat_place {
	uint32_t addr;
	uint8_t mac[6];
};

struct nat_place6 {
	struct in6_addr addr;
	uint8_t mac[6];
};

struct nat_doubt {
	bool on;
	unsigned asked;		/* questions without an answer */
	uint64_t due;		/* ns: not before, the next one comes */
};

struct nat_guest {
	bool known;		/* it has shown itself */
	bool settled;		/* and it is told from others */
	struct nat_place at;	/* NAT_GUEST until it is another one */
	struct nat_place before;	/* addr 0: there was none */
	bool known6;
	struct nat_place6 at6;
	struct nat_place6 other6;	/* of who else had one */
	struct nat_doubt doubt, doubt6;
	uint32_t instead;	/* where it may be while there is a doubt */
	struct in6_addr instead6;
};

void nat_guest_init(struct nat_guest *g);
/* It has gone. */
void nat_guest_forget(struct nat_guest *g);
/* See a frame that nat_filter() let through.  NAT_GUEST_* */
unsigned nat_guest_see(struct nat_guest *g, uint64_t now, const uint8_t *frame,
		       const struct nat_packet *packet);
/* When look() has something to do, or UINT64_MAX. */
uint64_t nat_guest_due(const struct nat_guest *g);
/* NAT_GUEST_* */
unsigned nat_guest_look(struct nat_guest *g, uint64_t now);
/*
 * See a frame for the guest: a lease that is acknowledged is its address.
 * NAT_GUEST_*
 */
unsigned nat_guest_see_answer(struct nat_guest *g, const uint8_t *frame,
			      size_t len);

#endif
