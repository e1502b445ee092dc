/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

#include "core/error.h"
#include "vmm/iothread.h"

struct iothread {
	struct loop *loop;
	pthread_t thread;
	bool started;
	bool batch;
	bool rests;		/* set before the loop is stopped */
	sem_t resting, go;
};

/* Needs no privilege.  Who started us with another policy has a reason. */
static void be_batch(void)
{
	struct sched_param param;
	int policy;

	if (!pthread_getschedparam(pthread_self(), &policy, &param) &&
	    policy == SCHED_OTHER)
		pthread_setschedparam(pthread_self(), SCHED_BATCH, &param);
}

static void wait_for(sem_t *sem)
{
	/* It can only be interrupted. */
	while (sem_wait(sem) < 0)
		;
}

static void *iothread_main(void *arg)
{
	struct iothread *io = arg;

	if (io->batch)
		be_batch();
	loop_run(io->loop);
	if (io->rests) {
		sem_post(&io->resting);
		wait_for(&io->go);
	}
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
	sem_init(&io->resting, 0, 0);
	sem_init(&io->go, 0, 0);
	return io;
}

struct loop *iothread_loop(struct iothread *io)
{
	return io->loop;
}

void iothread_set_batch(struct iothread *io)
{
	io->batch = true;
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

void iothread_rest(struct iothread *io)
{
	if (!io || !io->started)
		return;

	io->rests = true;
	loop_stop(io->loop);
	wait_for(&io->resting);
}

void iothread_stop(struct iothread *io)
{
	if (!io || !io->started)
		return;

	if (io->rests)
		sem_post(&io->go);
	else
		loop_stop(io->loop);
	pthread_join(io->thread, NULL);
	io->started = false;
}

void iothread_free(struct iothread *io)
{
	if (!io)
		return;

	loop_free(io->loop);
	sem_destroy(&io->resting);
	sem_destroy(&io->go);
	g_free(io);
}
