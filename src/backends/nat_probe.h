/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nat_probe - whether the guest listens at its ports.
 *
 * The gateway sends a SYN now and then and looks what comes back.  What is
 * open is left alone until the guest resets a connection of it.
 *
 *	            SYN-ACK                RST from this port
 *	CLOSED -------------------> OPEN --------------------> DOUBTED
 *	   ^                         ^       SYN-ACK             | |
 *	   |                         +---------------------------+ |
 *	   +--------------------------------------------------------+
 *	        RST; nothing for some SYNs; the guest is gone
 */
#ifndef BACKENDS_NAT_PROBE_H
#define BACKENDS_NAT_PROBE_H

#include "backends/nat_filter.h"
#include "backends/nat_guest.h"
#include "core/loop.h"

#define NAT_PROBES_MAX	64

/* Called from inside of all that takes the probes and from the loop. */
struct nat_probe_ops {
	/* A frame for the guest. */
	void (*send)(void *user, const uint8_t *frame, size_t len);
	/* The answer for probe @id has changed; closed to begin with. */
	void (*changed)(void *user, unsigned id, bool open);
};

enum nat_probe_state { NAT_PROBE_CLOSED, NAT_PROBE_OPEN, NAT_PROBE_DOUBTED };

struct nat_probe {
	unsigned id;		/* the caller's */
	bool ip6;
	uint16_t port;		/* the guest's */
	enum nat_probe_state state;
	uint64_t due;		/* of the next SYN; 0: none is due */
	uint64_t delay;		/* from that to the one behind it */
	uint32_t seq;		/* of the last one; 0: nothing was sent */
	unsigned silent;		/* SYNs in doubt that got no answer */
};

struct nat_probes {
	struct loop *loop;
	const struct nat_probe_ops *ops;
	void *user;
	struct loop_timer timer;
	struct nat_guest guest;
	unsigned count;
	struct nat_probe probe[NAT_PROBES_MAX];
};

void nat_probes_init(struct nat_probes *p, struct loop *loop,
		     const struct nat_probe_ops *ops, void *user);
/* Up to NAT_PROBES_MAX. */
void nat_probes_add(struct nat_probes *p, bool ip6, uint16_t port, unsigned id);

/*
 * See a frame of the guest, which nat_filter() let through.  True if it is the
 * answer to a SYN of ours and meant for nobody else.
 */
bool nat_probes_see(struct nat_probes *p, const uint8_t *frame,
		    const struct nat_packet *packet);
/* See a frame for the guest. */
void nat_probes_see_answer(struct nat_probes *p, const uint8_t *frame,
			   size_t len);
/* The guest has gone, or begins anew: all is closed. */
void nat_probes_forget(struct nat_probes *p);

#endif
