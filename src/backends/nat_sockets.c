/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <slirp/libslirp.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "backends/nat_sockets.h"

#define READY_MAX	256	/* in one look; the rest is seen by the next */

struct watch {
	bool open;
	bool muted;
	uint32_t wanted;	/* EPOLL* */
	uint32_t armed;		/* what the kernel looks for */
	uint32_t ready;
};

int nat_sockets_init(struct nat_sockets *s)
{
	s->fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->fd < 0)
		return -errno;

	s->watches = g_array_new(FALSE, TRUE, sizeof(struct watch));
	s->open = 0;
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
	if (fd < 0)
		return;
	s->open += !watch_of(s, fd)->open;
	watch_of(s, fd)->open = true;
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
	arm(s, fd, w, 0);
	*w = (struct watch){ 0 };
}

void nat_sockets_mute(struct nat_sockets *s, int fd, bool muted)
{
	watch_of(s, fd)->muted = muted;
}

void nat_sockets_look(struct nat_sockets *s)
{
	struct epoll_event events[READY_MAX];
	int n = epoll_wait(s->fd, events, READY_MAX, 0);

	for (int i = 0; i < n; i++)
		watch_of(s, events[i].data.fd)->ready = events[i].events;
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

void nat_sockets_want(struct nat_sockets *s, int fd, int events)
{
	struct watch *w = watch_of(s, fd);

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		if (!w->muted && (events & names[i].slirp))
			w->wanted |= names[i].epoll;
}

void nat_sockets_end(struct nat_sockets *s)
{
	for (unsigned fd = 0; fd < s->watches->len; fd++) {
		struct watch *w = &g_array_index(s->watches, struct watch, fd);

		arm(s, (int)fd, w, w->wanted);
	}
}
