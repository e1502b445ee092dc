/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trace - one line per event: "area.event key=value ...".
 *
 * An area that is off costs one predictable branch.  Tests install a sink and
 * assert on the order of events, so a trace point is part of a module's
 * contract.  Safe from any thread.
 */
#ifndef CORE_TRACE_H
#define CORE_TRACE_H

#include <glib.h>
#include <stdbool.h>

enum trace_area {
	TRACE_HV,
	TRACE_VMBUS,
	TRACE_STORVSP,
	TRACE_NETVSP,
	TRACE_SCSI,
	TRACE_BLOCK,
	TRACE_NET,
	TRACE_CHIPSET,
	TRACE_KVM,
	TRACE_AREA_COUNT
};

/* Bit n: area n is on.  Set before the threads start. */
extern unsigned trace_mask;
/* Where lines go, without newline; NULL is stderr. */
extern void (*trace_sink)(const char *line);

/* Turn on the area called @name ("hv", "vmbus", ..., "all").  false: none. */
bool trace_enable(const char *name);
/* The name of @area, for help texts. */
const char *trace_area_name(enum trace_area area);

void trace_emit(const char *fmt, ...) G_GNUC_PRINTF(1, 2);

#define trace(area, ...)						\
	do {								\
		if (G_UNLIKELY(trace_mask & (1u << (area))))		\
			trace_emit(__VA_ARGS__);			\
	} while (0)

#endif
