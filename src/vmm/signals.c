/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <liburing.h>
#include <signal.h>
#include <unistd.h>

#include "core/util.h"
#include "vmm/signals.h"

static void wait_for_one(struct signals *s)
{
	io_uring_prep_read(loop_sqe(s->loop, &s->op), s->fd, &s->info,
			   sizeof(s->info), 0);
}

static void read_done(struct loop_op *op, int res)
{
	struct signals *s = container_of(op, struct signals, op);

	if (res != sizeof(s->info))
		return;
	s->received(s, (int)s->info.ssi_signo);
	wait_for_one(s);
}

void signals_catch(struct signals *s, struct loop *loop)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	/* A disk beyond ulimit -f: the guest gets an I/O error. */
	signal(SIGXFSZ, SIG_IGN);
	s->loop = loop;
	s->op.done = read_done;
	s->fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (s->fd >= 0)
		wait_for_one(s);
}

void signals_finish(struct signals *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}
