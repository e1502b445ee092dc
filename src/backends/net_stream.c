/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <netinet/if_ether.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/net_copy.h"
#include "backends/net_segment.h"
#include "backends/net_stream.h"
#include "core/util.h"

#define LENGTH		sizeof(uint32_t)
#define SPEED		UINT64_C(10000000000)
/*
 * As often it is read for one frame.  A peer that sends nothing but what is
 * dropped does not keep the loop from what else it has to do.
 */
#define READS_MAX	4

static struct net_stream *stream_of(struct net_backend *nb)
{
	return container_of(nb, struct net_stream, nb);
}

static bool has_peer(const struct net_stream *s)
{
	return s->fd >= 0 && !s->ended;
}

/* Not at once: a backend's function may be running. */
static void end_peer(struct net_stream *s)
{
	s->ended = true;
	loop_post(s->loop, &s->give_up);
}

/* What the user waits for, and room for what is still to be sent. */
static void wait_on(struct net_stream *s)
{
	if (has_peer(s))
		loop_poll_set(&s->poll, s->waiting |
			      (s->out.at < s->out.end ? POLLOUT : 0u));
}

static void tell(struct net_stream *s, unsigned events)
{
	const struct net_user *u = &s->nb.user;

	s->waiting &= ~events;
	if (events & POLLIN)
		u->readable(u->user);
	if (events & POLLOUT)
		u->writable(u->user);
}

static void flush(struct net_stream *s)
{
	struct net_stream_bytes *b = &s->out;

	while (b->at < b->end && has_peer(s)) {
		ssize_t n = send(s->fd, b->bytes + b->at, b->end - b->at,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n >= 0)
			b->at += (size_t)n;
		else if (errno == EAGAIN)
			return;
		else if (errno != EINTR)
			end_peer(s);
	}
	b->at = b->end = 0;
}

static void make_room(struct net_stream_bytes *b)
{
	memmove(b->bytes, b->bytes + b->at, b->end - b->at);
	b->end -= b->at;
	b->at = 0;
}

/* There will be @size bytes behind b->end, unless the peer takes none. */
static bool out_has_room(struct net_stream *s, size_t size)
{
	if (NET_STREAM_BUFFER - s->out.end >= size)
		return true;
	flush(s);
	make_room(&s->out);
	return NET_STREAM_BUFFER - s->out.end >= size;
}

static void put_segment(struct net_stream *s, struct net_segmenter *cut)
{
	uint8_t *to = s->out.bytes + s->out.end;
	uint32_t len = (uint32_t)net_segmenter_next(cut, to + LENGTH);

	s->out.end += LENGTH + len;
	len = htonl(len);
	memcpy(to, &len, LENGTH);
}

/*
 * All segments of @f go behind what waits, or none: -EAGAIN if there is no
 * room now, -EMSGSIZE if there never will be, for segments of a few bytes.
 */
static int put_frame(struct net_stream *s, const struct net_frame *f)
{
	struct net_segmenter cut;
	size_t count, bytes;

	if (!has_peer(s))
		return -ENOTCONN;
	if (!net_segmenter_init(&cut, f))
		return -EINVAL;
	count = net_segmenter_count(&cut, &bytes);
	if (bytes + count * LENGTH > NET_STREAM_BUFFER)
		return -EMSGSIZE;
	if (!out_has_room(s, bytes + count * LENGTH))
		return -EAGAIN;
	while (cut.left)
		put_segment(s, &cut);
	return 0;
}

static unsigned stream_send(struct net_backend *nb,
			    const struct net_frame *frames, unsigned count)
{
	struct net_stream *s = stream_of(nb);
	unsigned i;

	for (i = 0; i < count; i++) {
		int ret = put_frame(s, &frames[i]);

		if (ret == -EAGAIN) {
			s->waiting |= POLLOUT;
			break;
		}
		nb->dropped += ret < 0;
	}
	flush(s);
	wait_on(s);
	return i;
}

/* The length of the frame at in.at; 0 if it is not all there. */
static size_t whole_frame(struct net_stream *s)
{
	const struct net_stream_bytes *b = &s->in;
	size_t have = b->end - b->at;
	uint32_t len;

	if (have < LENGTH)
		return 0;
	memcpy(&len, b->bytes + b->at, LENGTH);
	len = ntohl(len);
	/* A peer that says so is out of step, and stays so. */
	if (!len || len > NET_FRAME_MAX) {
		end_peer(s);
		return 0;
	}
	return have - LENGTH >= len ? len : 0;
}

static bool read_more(struct net_stream *s)
{
	struct net_stream_bytes *b = &s->in;
	ssize_t n;

	if (!has_peer(s))
		return false;
	make_room(b);
	do
		n = recv(s->fd, b->bytes + b->end, NET_STREAM_BUFFER - b->end,
			 MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		b->end += (size_t)n;
	else if (n == 0 || errno != EAGAIN)
		end_peer(s);
	return n > 0;
}

static int stream_recv(struct net_backend *nb, struct net_frame *f)
{
	struct net_stream *s = stream_of(nb);
	size_t len;

	for (unsigned reads = 0;; reads++) {
		while ((len = whole_frame(s))) {
			const uint8_t *p = s->in.bytes + s->in.at + LENGTH;

			s->in.at += LENGTH + len;
			if (len >= ETH_HLEN && net_scatter(f, p, len))
				return 1;
			nb->dropped++;
		}
		if (reads == READS_MAX || !read_more(s))
			break;
	}
	s->waiting |= POLLIN;
	wait_on(s);
	return 0;
}

/* Nothing is ever left to be done with what comes from a stream. */
static void stream_set_offloads(struct net_backend *nb, unsigned offloads)
{
}

static void stream_close(struct net_backend *nb)
{
	struct net_stream *s = stream_of(nb);

	s->close(s);
}

static const struct net_backend_ops stream_ops = {
	.name = "stream",
	.send = stream_send,
	.recv = stream_recv,
	.set_offloads = stream_set_offloads,
	.close = stream_close,
};

static void polled(struct loop_poll *p, unsigned events)
{
	struct net_stream *s = container_of(p, struct net_stream, poll);

	if (events & POLLOUT)
		flush(s);
	/*
	 * The end is found by reading, behind what came before it.  Whoever
	 * does not read learns of it all the same.
	 */
	if (!(s->waiting & POLLIN) && events & (POLLERR | POLLHUP))
		end_peer(s);
	tell(s, events & s->waiting);
	wait_on(s);
}

static void poll_removed(struct loop_poll *p)
{
	struct net_stream *s = container_of(p, struct net_stream, poll);

	close(s->fd);
	s->fd = -1;
	s->ended = false;
	s->lost(s);
}

static void give_up(struct loop_note *note)
{
	struct net_stream *s = container_of(note, struct net_stream, give_up);

	s->in.at = s->in.end = s->out.at = s->out.end = 0;
	loop_poll_remove(&s->poll, poll_removed);
	s->nb.link_up = false;
	s->nb.user.link(s->nb.user.user, false);
	/* It may go on: what it sends from now on is dropped. */
	tell(s, s->waiting & POLLOUT);
}

void net_stream_attach(struct net_stream *s, int fd)
{
	s->fd = fd;
	loop_poll_add(s->loop, &s->poll, fd);
	s->waiting |= POLLIN;
	wait_on(s);
	s->nb.link_up = true;
	if (s->nb.user.link)
		s->nb.user.link(s->nb.user.user, true);
}

void net_stream_init(struct net_stream *s, struct loop *loop)
{
	s->nb.ops = &stream_ops;
	s->nb.offloads = NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 |
			 NET_OFFLOAD_TSO6 | NET_OFFLOAD_USO;
	s->nb.mtu_max = UINT16_MAX;
	s->nb.speed = SPEED;
	s->loop = loop;
	s->fd = -1;
	s->poll.ready = polled;
	s->give_up.run = give_up;
	s->in.bytes = g_malloc(NET_STREAM_BUFFER);
	s->out.bytes = g_malloc(NET_STREAM_BUFFER);
}

void net_stream_finish(struct net_stream *s)
{
	if (s->fd >= 0)
		close(s->fd);
	g_free(s->in.bytes);
	g_free(s->out.bytes);
}
