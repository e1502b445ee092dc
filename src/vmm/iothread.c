/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pthread.h>

#include "core/error.h"
#include "vmm/iothread.h"

struct iothread {
	struct loop *loop;
	pthread_t thread;
	bool started;
};

static void *iothread_main(void *arg)
{
	struct iothread *io = arg;

	loop_run(io->loop);
	return NULL;
}

struct iothread *iothread_new(GError **error)
{
	struct loop *loop = loop_new(error);
	struct iothread *io;

	if (!loop)
		return NULL;
	io = g_new0(struct iothread, 1);
	io->loop = loop;
	return io;
}

struct loop *iothread_loop(struct iothread *io)
{
	return io->loop;
}

bool iothread_start(struct iothread *io, GError **error)
{
	int ret = pthread_create(&io->thread, NULL, iothread_main, io);

	if (ret) {
		user_error_set(error, EX_OSERR, "host.threads",
			       "cannot start a thread", g_strerror(ret),
			       "raise the limit: ulimit -u");
		return false;
	}
	io->started = true;
	return true;
}

void iothread_stop(struct iothread *io)
{
	if (!io || !io->started)
		return;

	loop_stop(io->loop);
	pthread_join(io->thread, NULL);
	io->started = false;
}

void iothread_free(struct iothread *io)
{
	if (!io)
		return;

	loop_free(io->loop);
	g_free(io);
}
