/* SPDX-License-Identifier: GPL-2.0-or-later */
/* signals - SIGINT, SIGTERM and SIGHUP as events of a loop. */
#ifndef VMM_SIGNALS_H
#define VMM_SIGNALS_H

#include <sys/signalfd.h>

#include "core/loop.h"

struct signals {
	void (*received)(struct signals *s, int signal);
	int fd;			/* these belong to the implementation */
	struct loop *loop;
	struct loop_op op;
	struct signalfd_siginfo info;
};

/* Before other threads start, so that they leave the signals to the loop. */
void signals_catch(struct signals *s, struct loop *loop);
/* The loop does not run any more. */
void signals_finish(struct signals *s);

#endif
