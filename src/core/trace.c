/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "core/trace.h"

#define TRACE_LINE_MAX	640

unsigned trace_mask;
void (*trace_sink)(const char *line);

static const char *const area_names[TRACE_AREA_COUNT] = {
	[TRACE_HV] = "hv",
	[TRACE_VMBUS] = "vmbus",
	[TRACE_STORVSP] = "storvsp",
	[TRACE_NETVSP] = "netvsp",
	[TRACE_SCSI] = "scsi",
	[TRACE_BLOCK] = "block",
	[TRACE_NET] = "net",
	[TRACE_CHIPSET] = "chipset",
	[TRACE_KVM] = "kvm",
};

bool trace_enable(const char *name)
{
	if (!strcmp(name, "all")) {
		trace_mask = (1u << TRACE_AREA_COUNT) - 1;
		return true;
	}
	for (unsigned i = 0; i < TRACE_AREA_COUNT; i++) {
		if (!strcmp(name, area_names[i])) {
			trace_mask |= 1u << i;
			return true;
		}
	}
	return false;
}

const char *trace_area_name(enum trace_area area)
{
	return area_names[area];
}

void trace_emit(const char *fmt, ...)
{
	char line[TRACE_LINE_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (trace_sink)
		trace_sink(line);
	else
		fprintf(stderr, "%s\n", line);
}
