/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pthread.h>

#include "backends/nbd_attempt.h"
#include "core/util.h"

struct nbd_attempt {
	struct loop *loop;
	struct loop_note note;
	char *name, *uri;
	unsigned limit_ms;
	void (*done)(void *user, struct nbd_handle *h, const GError *error);
	void *user;
	struct nbd_handle *h;	/* the result */
	GError *error;
	pthread_mutex_t lock;		/* of the two below */
	bool abandoned;		/* the thread frees this */
	bool over;		/* the thread does not touch this any more */
};

static void attempt_free(struct nbd_attempt *a)
{
	libnbd.close(a->h);
	g_clear_error(&a->error);
	pthread_mutex_destroy(&a->lock);
	g_free(a->name);
	g_free(a->uri);
	g_free(a);
}

static void tell(struct loop_note *note)
{
	struct nbd_attempt *a = container_of(note, struct nbd_attempt, note);

	/* The thread has let go of the lock, or is about to. */
	pthread_mutex_lock(&a->lock);
	pthread_mutex_unlock(&a->lock);
	a->done(a->user, g_steal_pointer(&a->h), a->error);
	attempt_free(a);
}

static void *attempt_run(void *data)
{
	struct nbd_attempt *a = data;
	const struct nbd_server server = {
		.name = a->name, .uri = a->uri, .fd = -1,
	};
	bool abandoned;

	a->h = nbd_connect(&server, a->limit_ms, &a->error);
	pthread_mutex_lock(&a->lock);
	abandoned = a->abandoned;
	a->over = true;
	if (!abandoned)
		loop_post(a->loop, &a->note);
	pthread_mutex_unlock(&a->lock);
	if (abandoned)
		attempt_free(a);
	return NULL;
}

struct nbd_attempt *nbd_attempt_new(struct loop *loop,
				    const struct nbd_server *server,
				    unsigned limit_ms,
				    void (*done)(void *user,
						 struct nbd_handle *h,
						 const GError *error),
				    void *user)
{
	struct nbd_attempt *a = g_new0(struct nbd_attempt, 1);

	a->loop = loop;
	a->note.run = tell;
	a->name = g_strdup(server->name);
	a->uri = g_strdup(server->uri);
	a->limit_ms = limit_ms;
	a->done = done;
	a->user = user;
	pthread_mutex_init(&a->lock, NULL);
	g_thread_unref(g_thread_new("nbd-connect", attempt_run, a));
	return a;
}

bool nbd_attempt_cancel(struct nbd_attempt *a)
{
	bool over;

	if (!a)
		return true;
	pthread_mutex_lock(&a->lock);
	over = a->over;
	a->abandoned = !over;
	pthread_mutex_unlock(&a->lock);
	return !over;
}

void nbd_attempt_abandon(struct nbd_attempt *a)
{
	bool over;

	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	a->abandoned = true;
	over = a->over;
	pthread_mutex_unlock(&a->lock);
	if (over)
		attempt_free(a);
}
