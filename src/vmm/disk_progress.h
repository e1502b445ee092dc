/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How far something is, on stderr: redrawn on a terminal, else now and then. */
#ifndef VMM_DISK_PROGRESS_H
#define VMM_DISK_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct disk_progress {
	const char *name;
	uint64_t total;		/* bytes */
	bool tty;
	int64_t begun, shown;	/* microseconds, monotonic */
	unsigned tenths;	/* lines that are printed */
};

void disk_progress_begin(struct disk_progress *p, const char *name,
			 uint64_t total);
void disk_progress_show(struct disk_progress *p, uint64_t done);
/* @whole: say that all of it is done. */
void disk_progress_end(struct disk_progress *p, bool whole);

#endif
