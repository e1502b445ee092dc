/* SPDX-License-Identifier: GPL-2.0-or-later */
/* net_modes - what the cable of a NIC can end in: --net MODE, by one table. */
#ifndef VMM_NET_MODES_H
#define VMM_NET_MODES_H

#include <glib.h>
#include <stdbool.h>

#include "backend/net.h"
#include "vmm/options.h"

struct net_mode {
	const char *name;
	const char *argument;	/* what "NAME:" is followed by; NULL: nothing */
	bool argument_optional;
	bool forwards;		/* --publish works */
	bool queues;		/* one for each channel; else there is one */
	const char *help;
	/*
	 * @cable gets as many queues as its count says, or fewer, the n-th on
	 * the n-th of @loops, which do not run yet.  False with an error for
	 * the user, and no queue.
	 */
	bool (*open)(struct loop *const *loops, const struct options *o,
		     const struct nic_options *nic, struct net_cable *cable,
		     GError **error);
};

/* Ends with a nameless one.  The first is the default. */
extern const struct net_mode net_modes[];

/* The mode called @name (@len bytes), or NULL. */
const struct net_mode *net_mode_find(const char *name, size_t len);

/* How to write it: "nat", "tap:NAME", "passt[:PATH]". */
char *net_mode_form(const struct net_mode *mode);

#endif
