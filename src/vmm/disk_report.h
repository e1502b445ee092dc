/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Facts to stdout, for people or as JSON. */
#ifndef VMM_DISK_REPORT_H
#define VMM_DISK_REPORT_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct report {
	bool json;
	bool first;	/* of its object or list */
};

void report_begin(struct report *r, bool json);
void report_end(struct report *r);
void report_text(struct report *r, const char *name, const char *value);
/* @unit follows the number, for people. */
void report_number(struct report *r, const char *name, uint64_t value,
		   const char *unit);
/* Bytes, for people as "8.0 GiB". */
void report_bytes(struct report *r, const char *name, uint64_t value);
/* Facts about something of this one, up to report_close(). */
void report_open(struct report *r, const char *name);
void report_close(struct report *r);

#endif
