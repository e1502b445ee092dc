/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * start_guard - whoever kills this process kills a program that it has just
 * started, too.
 *
 * A program that serves a connection ends with it, but not before it has begun
 * to, and it can miss a signal (PR_SET_PDEATHSIG) that comes while it starts.
 * Until then a small process waits for the end of ours, by a pipe.
 */
#ifndef BACKENDS_START_GUARD_H
#define BACKENDS_START_GUARD_H

#include <sys/types.h>

struct start_guard {
	pid_t pid;	/* 0: none */
	int alive;	/* our end of the pipe */
};

/*
 * Guard @pid, a child of ours that nobody has waited for: SIGKILL.  0, or
 * -errno.
 */
int start_guard_begin(struct start_guard *g, pid_t pid);
/* It can end by itself now, or is gone.  Fine if none has begun. */
void start_guard_end(struct start_guard *g);

#endif
