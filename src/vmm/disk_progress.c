/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <stdio.h>
#include <unistd.h>

#include "vmm/disk_progress.h"

#define REDRAW_US	200000
#define QUIET_US	1000000	/* what is done by then needs no lines */

void disk_progress_begin(struct disk_progress *p, const char *name,
			 uint64_t total)
{
	*p = (struct disk_progress){
		.name = name, .total = total, .tty = isatty(STDERR_FILENO),
		.begun = g_get_monotonic_time(),
	};
}

static void print(const struct disk_progress *p, uint64_t done, int64_t now)
{
	double seconds = (double)(now - p->begun) / 1e6;
	double rate = seconds > 0 ? (double)done / seconds : 0;
	double left = rate > 0 ? (double)(p->total - done) / rate : 0;

	fprintf(stderr, "%s%s %3.0f %%  %.0f MB/s  %.0f s left%s",
		p->tty ? "\r" : "", p->name,
		100.0 * (double)done / (double)p->total, rate / 1e6, left,
		p->tty ? "   " : "\n");
}

void disk_progress_show(struct disk_progress *p, uint64_t done)
{
	int64_t now = g_get_monotonic_time();
	unsigned tenths = (unsigned)(done * 10 / p->total);

	if (p->tty) {
		if (now - p->shown < REDRAW_US)
			return;
	} else if (tenths <= p->tenths || now - p->begun < QUIET_US) {
		return;
	}
	p->shown = now;
	p->tenths = tenths;
	print(p, done, now);
}

void disk_progress_end(struct disk_progress *p, bool whole)
{
	if (whole && (p->tty || p->tenths))
		print(p, p->total, g_get_monotonic_time());
	if (p->tty)
		fprintf(stderr, "\n");
}
