/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <stdio.h>

#include "vmm/disk_report.h"
#include "vmm/json.h"

static void print_name(struct report *r, const char *name)
{
	if (!r->json) {
		printf("%-20s ", name);
		return;
	}
	if (!r->first)
		printf(", ");
	r->first = false;
	json_print_text(name);
	printf(": ");
}

void report_begin(struct report *r, bool json)
{
	*r = (struct report){ .json = json, .first = true };
	if (json)
		putchar('{');
}

void report_end(struct report *r)
{
	if (r->json)
		printf("}\n");
}

void report_text(struct report *r, const char *name, const char *value)
{
	print_name(r, name);
	if (r->json)
		json_print_text(value);
	else
		printf("%s\n", value);
}

void report_number(struct report *r, const char *name, uint64_t value,
		   const char *unit)
{
	print_name(r, name);
	printf("%" PRIu64, value);
	if (!r->json)
		printf("%s\n", unit);
}

void report_bytes(struct report *r, const char *name, uint64_t value)
{
	g_autofree char *text =
		g_format_size_full(value, G_FORMAT_SIZE_IEC_UNITS);

	print_name(r, name);
	if (r->json)
		printf("%" PRIu64, value);
	else
		printf("%s (%" PRIu64 " bytes)\n", text, value);
}

void report_open(struct report *r, const char *name)
{
	if (!r->json) {
		printf("\n%s\n", name);
		return;
	}
	print_name(r, name);
	putchar('{');
	r->first = true;
}

void report_close(struct report *r)
{
	if (r->json)
		putchar('}');
	r->first = false;
}
