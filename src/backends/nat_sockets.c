/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <limits.h>
#include <slirp/libslirp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "backends/nat_sockets.h"

#define READY_MAX	256	/* in one look; the rest is seen by the next */
/* A guest's connections and flows; a part of them others may cause. */
#define OPEN_MAX	4096
#define OTHERS_MAX	(OPEN_MAX / 4 * 3)
#define SPARE		128	/* descriptors, for the rest of the machine */

struct watch {
	bool open;
	bool high;
	bool muted;
	bool listens;
	uint32_t wanted;	/* EPOLL* */
	uint32_t armed;		/* what the kernel looks for */
	uint32_t ready;
};

/* Lower ones are given out first, so a high one says that few are left. */
static int high_from(void)
{
	struct rlimit limit = { .rlim_cur = RLIM_INFINITY };

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur > INT_MAX)
		return INT_MAX;
	return (int)(limit.rlim_cur - MIN(SPARE, limit.rlim_cur / 4));
}

int nat_sockets_init(struct nat_sockets *s)
{
	s->fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->fd < 0)
		return -errno;

	s->watches = g_array_new(FALSE, TRUE, sizeof(struct watch));
	s->open = s->high = 0;
	s->high_from = high_from();
	return 0;
}

void nat_sockets_finish(struct nat_sockets *s)
{
	close(s->fd);
	g_array_unref(s->watches);
}

static struct watch *watch_of(struct nat_sockets *s, int fd)
{
	if ((unsigned)fd >= s->watches->len)
		g_array_set_size(s->watches, (unsigned)fd + 1);
	return &g_array_index(s->watches, struct watch, fd);
}

void nat_sockets_opened(struct nat_sockets *s, int fd)
{
	struct watch *w;

	if (fd < 0)
		return;
	w = watch_of(s, fd);
	if (w->open)
		return;
	w->open = true;
	w->high = fd >= s->high_from;
	s->open++;
	s->high += w->high;
}

bool nat_sockets_is_open(const struct nat_sockets *s, int fd)
{
	return (unsigned)fd < s->watches->len &&
	       g_array_index(s->watches, struct watch, fd).open;
}

static void arm(struct nat_sockets *s, int fd, struct watch *w, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.fd = fd };
	int how = !w->armed ? EPOLL_CTL_ADD :
		  events    ? EPOLL_CTL_MOD :
			      EPOLL_CTL_DEL;

	if (w->armed != events && epoll_ctl(s->fd, how, fd, &e) == 0)
		w->armed = events;
}

void nat_sockets_closed(struct nat_sockets *s, int fd)
{
	struct watch *w;

	if (fd < 0)
		return;
	w = watch_of(s, fd);
	s->open -= w->open;
	s->high -= w->high;
	arm(s, fd, w, 0);
	*w = (struct watch){ 0 };
}

bool nat_sockets_full(const struct nat_sockets *s)
{
	return s->open >= OPEN_MAX || s->high;
}

void nat_sockets_listens(struct nat_sockets *s, int fd)
{
	watch_of(s, fd)->listens = true;
}

void nat_sockets_mute(struct nat_sockets *s, int fd, bool muted)
{
	watch_of(s, fd)->muted = muted;
}

/* The kernel may still look for what is not wanted any more. */
bool nat_sockets_look(struct nat_sockets *s)
{
	struct epoll_event events[READY_MAX];
	int n = epoll_wait(s->fd, events, READY_MAX, 0);
	bool any = false;

	for (int i = 0; i < n; i++) {
		struct watch *w = watch_of(s, events[i].data.fd);

		if (w->wanted)
			w->ready = events[i].events &
				   (w->wanted | EPOLLERR | EPOLLHUP);
		any |= w->ready != 0;
	}
	return any;
}

static const struct {
	int slirp;
	uint32_t epoll;
} names[] = {
	{ SLIRP_POLL_IN, EPOLLIN },   { SLIRP_POLL_OUT, EPOLLOUT },
	{ SLIRP_POLL_PRI, EPOLLPRI }, { SLIRP_POLL_ERR, EPOLLERR },
	{ SLIRP_POLL_HUP, EPOLLHUP },
};

int nat_sockets_ready(const struct nat_sockets *s, int fd)
{
	uint32_t ready = (unsigned)fd >= s->watches->len ? 0 :
			 g_array_index(s->watches, struct watch, fd).ready;
	int events = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		if (ready & names[i].epoll)
			events |= names[i].slirp;
	return events;
}

void nat_sockets_begin(struct nat_sockets *s)
{
	for (unsigned fd = 0; fd < s->watches->len; fd++) {
		struct watch *w = &g_array_index(s->watches, struct watch, fd);

		w->wanted = w->ready = 0;
	}
}

static bool is_silent(const struct nat_sockets *s, const struct watch *w)
{
	return w->muted ||
	       (w->listens && (s->open >= OTHERS_MAX || s->high));
}

void nat_sockets_want(struct nat_sockets *s, int fd, int events)
{
	struct watch *w = watch_of(s, fd);

	if (is_silent(s, w))
		return;
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		if (events & names[i].slirp)
			w->wanted |= names[i].epoll;
}

void nat_sockets_end(struct nat_sockets *s)
{
	for (unsigned fd = 0; fd < s->watches->len; fd++) {
		struct watch *w = &g_array_index(s->watches, struct watch, fd);

		arm(s, (int)fd, w, w->wanted);
	}
}
