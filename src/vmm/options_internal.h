/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the command line's parser share. */
#ifndef VMM_OPTIONS_INTERNAL_H
#define VMM_OPTIONS_INTERNAL_H

#include "backends/net_nat.h"
#include "vmm/options.h"

/* Both set @error and return false.  @option is without its dashes. */
bool usage(GError **error, const char *what, const char *why,
	   const char *advice);
bool bad_value(GError **error, const char *option, const char *value,
	       const char *why, const char *advice);

/* All of @text is a decimal number up to @max. */
bool parse_count(const char *text, unsigned max, unsigned *out);
/* @value is "on" or "off". */
bool is_on(const char *value, bool *out);
/* A copy of @value takes the place of *@to; true. */
bool set_string(char **to, const char *value);

/* The form HEAD[,KEY=VALUE...]. */
struct keyed {
	const char *option;
	const char *const *keys;	/* ends with NULL */
	bool (*set)(void *to, const char *key, const char *value);
	const char *advice;		/* if set() has refused a value */
};

/*
 * Call set() for each key of @value and return the head; NULL with an error.
 * What follows a comma and is no key belongs to the head, so that a file name
 * with commas needs no quoting.
 */
char *keyed_parse(const struct keyed *k, const char *value, void *to,
		  GError **error);

/* --disk FILE|URI[,KEY=VALUE...], --cdrom FILE|none[,KEY=VALUE...] */
bool set_disk(struct options *o, const char *value, GError **error);
bool set_cdrom(struct options *o, const char *value, GError **error);
/* Whether somebody can end the pauses that disks may begin. */
bool disks_can_resume(const struct options *o, GError **error);
/* Give a controller and a LUN to all that have none. */
bool place_disks(struct options *o, GError **error);

/* --net MODE[,KEY=VALUE...], and what NICs have unless told otherwise. */
bool set_net(struct options *o, const char *value, GError **error);
bool finish_nics(struct options *o, GError **error);

/* -p [ADDR:][HOST:]GUEST[/udp] */
bool forward_parse(const char *value, struct net_forward *f);
bool set_publish(struct options *o, const char *value, GError **error);

#endif
