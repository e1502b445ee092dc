/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "backends/net_capture.h"
#include "backends/net_copy.h"
#include "core/error.h"
#include "core/util.h"

/* draft-ietf-opsawg-pcapng; everything in the host's byte order. */
#define PCAPNG_SECTION		0x0a0d0d0au
#define PCAPNG_MAGIC		0x1a2b3c4du
#define PCAPNG_INTERFACE	1u
#define PCAPNG_PACKET		6u
#define PCAPNG_ETHERNET		1u
#define PCAPNG_IF_NAME		2u
#define PCAPNG_IF_TSRESOL	9u
#define PCAPNG_EPB_FLAGS	2u
#define PCAPNG_INBOUND		1u
#define PCAPNG_OUTBOUND		2u

#define NS_PER_S	1000000000u
#define PIECES_MAX	(IOV_MAX - 3)	/* of a frame, in one write */

struct packet_head {
	uint32_t type, total;
	uint32_t interface;
	uint32_t time_high, time_low;	/* nanoseconds */
	uint32_t captured, original;
};

struct packet_tail {
	uint16_t flags_code, flags_len;
	uint32_t flags;
	uint32_t end_of_options;
	uint32_t total;
};

struct net_capture {
	pthread_mutex_t lock;	/* of the file and what follows */
	char *path;
	int fd;			/* -1: stopped */
	off_t good;		/* bytes that end with a whole block */
	uint32_t interfaces;
	void (*stopped)(const char *path, const char *why);
};

/* In front of a queue of one NIC's cable. */
struct tap_point {
	struct net_backend nb;
	struct net_backend *inner;
	struct net_capture *capture;
	uint32_t interface;
};

static struct tap_point *point_of(struct net_backend *nb)
{
	return container_of(nb, struct tap_point, nb);
}

/* Half a block would spoil the file for its readers. */
static void stop(struct net_capture *c, int err)
{
	if (ftruncate(c->fd, c->good) < 0)
		err = errno;
	close(c->fd);
	c->fd = -1;
	c->stopped(c->path, g_strerror(err));
}

/* A whole block, under the lock. */
static void write_block(struct net_capture *c, const struct iovec *iov,
			int iovcnt, size_t len)
{
	ssize_t n;

	if (c->fd < 0)
		return;
	do
		n = writev(c->fd, iov, iovcnt);
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)len)
		c->good += n;
	else
		stop(c, n < 0 ? errno : ENOSPC);
}

static void write_bytes(struct net_capture *c, GByteArray *b)
{
	struct iovec iov = { b->data, b->len };

	write_block(c, &iov, 1, b->len);
	g_byte_array_unref(b);
}

static void put32(GByteArray *b, uint32_t value)
{
	g_byte_array_append(b, (void *)&value, sizeof(value));
}

static void put_option(GByteArray *b, unsigned code, const void *data,
		       unsigned len)
{
	static const uint8_t zeroes[4];

	put32(b, code | len << 16);
	g_byte_array_append(b, data, len);
	g_byte_array_append(b, zeroes, -len % 4);
}

/* The two lengths around what @b has behind its first 8 bytes. */
static void finish_block(GByteArray *b)
{
	uint32_t total = b->len + 4;

	memcpy(b->data + 4, &total, sizeof(total));
	put32(b, total);
}

static void write_section(struct net_capture *c)
{
	GByteArray *b = g_byte_array_new();

	put32(b, PCAPNG_SECTION);
	put32(b, 0);
	put32(b, PCAPNG_MAGIC);
	put32(b, 1);			/* version 1.0 */
	put32(b, UINT32_MAX);		/* its length is not known */
	put32(b, UINT32_MAX);
	finish_block(b);
	write_bytes(c, b);
}

static void write_interface(struct net_capture *c, const char *name)
{
	GByteArray *b = g_byte_array_new();
	const uint8_t nanoseconds = 9;

	put32(b, PCAPNG_INTERFACE);
	put32(b, 0);
	put32(b, PCAPNG_ETHERNET);
	put32(b, 0);			/* frames of any length */
	put_option(b, PCAPNG_IF_NAME, name, (unsigned)strlen(name));
	put_option(b, PCAPNG_IF_TSRESOL, &nanoseconds, 1);
	put32(b, 0);
	finish_block(b);
	write_bytes(c, b);
}

static void put_time(struct packet_head *head)
{
	struct timespec ts;
	uint64_t ns;

	clock_gettime(CLOCK_REALTIME, &ts);
	ns = (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
	head->time_high = (uint32_t)(ns >> 32);
	head->time_low = (uint32_t)ns;
}

/* The frame's memory, up to its length; how many pieces. */
static int put_frame(struct iovec *iov, const struct net_frame *f)
{
	size_t left = f->len;
	int n = 0;

	for (; n < f->iovcnt && left; n++) {
		iov[n] = f->iov[n];
		iov[n].iov_len = MIN(iov[n].iov_len, left);
		left -= iov[n].iov_len;
	}
	return n;
}

/* Else a guest could hide what it sends by sending it in many pieces. */
static uint8_t *copy_whole(const struct net_frame *f, struct net_frame *copy,
			   struct iovec *iov)
{
	uint8_t *bytes = g_malloc0(f->len);

	net_gather(f, bytes, f->len);
	*iov = (struct iovec){ bytes, f->len };
	*copy = (struct net_frame){ .iov = iov, .iovcnt = 1, .len = f->len };
	return bytes;
}

/* One write, so that what is recorded is whole. */
static void record(struct tap_point *p, const struct net_frame *f,
		   uint32_t direction)
{
	static const uint8_t zeroes[4];
	g_autofree uint8_t *bytes = NULL;
	struct iovec iov[IOV_MAX], one;
	struct net_frame copy;
	uint32_t pad = -(uint32_t)f->len % 4;
	struct packet_head head = {
		.type = PCAPNG_PACKET, .interface = p->interface,
		.captured = (uint32_t)f->len, .original = (uint32_t)f->len,
	};
	struct packet_tail tail = {
		.flags_code = PCAPNG_EPB_FLAGS, .flags_len = 4,
		.flags = direction,
	};
	int n = 1;

	if (f->len > NET_FRAME_MAX)
		return;
	if (f->iovcnt > PIECES_MAX) {
		bytes = copy_whole(f, &copy, &one);
		f = &copy;
	}
	head.total = tail.total = (uint32_t)(sizeof(head) + f->len + pad +
					     sizeof(tail));
	put_time(&head);
	iov[0] = (struct iovec){ &head, sizeof(head) };
	n += put_frame(iov + n, f);
	iov[n++] = (struct iovec){ (void *)zeroes, pad };
	iov[n++] = (struct iovec){ &tail, sizeof(tail) };
	pthread_mutex_lock(&p->capture->lock);
	write_block(p->capture, iov, n, head.total);
	pthread_mutex_unlock(&p->capture->lock);
}

static unsigned capture_send(struct net_backend *nb,
			     const struct net_frame *frames, unsigned count)
{
	struct tap_point *p = point_of(nb);
	unsigned taken = net_send(p->inner, frames, count);

	for (unsigned i = 0; i < taken; i++)
		record(p, &frames[i], PCAPNG_OUTBOUND);
	nb->dropped = p->inner->dropped;
	return taken;
}

static int capture_recv(struct net_backend *nb, struct net_frame *f)
{
	struct tap_point *p = point_of(nb);
	int got = net_recv(p->inner, f);

	if (got)
		record(p, f, PCAPNG_INBOUND);
	nb->dropped = p->inner->dropped;
	return got;
}

static void capture_set_offloads(struct net_backend *nb, unsigned offloads)
{
	net_set_offloads(point_of(nb)->inner, offloads);
}

static void capture_forget(struct net_backend *nb)
{
	net_forget(point_of(nb)->inner);
}

static void capture_close(struct net_backend *nb)
{
	struct tap_point *p = point_of(nb);

	net_close(p->inner);
	g_free(p);
}

static const struct net_backend_ops capture_ops = {
	.name = "capture",
	.send = capture_send,
	.recv = capture_recv,
	.set_offloads = capture_set_offloads,
	.forget = capture_forget,
	.close = capture_close,
};

static void readable(void *user)
{
	struct tap_point *p = user;

	p->nb.user.readable(p->nb.user.user);
}

static void writable(void *user)
{
	struct tap_point *p = user;

	p->nb.user.writable(p->nb.user.user);
}

static void link_changed(void *user, bool up)
{
	struct tap_point *p = user;

	p->nb.link_up = up;
	p->nb.user.link(p->nb.user.user, up);
}

static struct net_backend *wrap(struct net_capture *c, uint32_t interface,
				struct net_backend *inner)
{
	struct tap_point *p = g_new0(struct tap_point, 1);

	p->nb = *inner;
	p->nb.ops = &capture_ops;
	p->inner = inner;
	p->inner->user = (struct net_user){
		readable, writable, link_changed, p
	};
	p->capture = c;
	p->interface = interface;
	return &p->nb;
}

void net_capture_wrap(struct net_capture *c, const char *name,
		      struct net_cable *cable)
{
	uint32_t interface;

	pthread_mutex_lock(&c->lock);
	interface = c->interfaces++;
	write_interface(c, name);
	pthread_mutex_unlock(&c->lock);
	for (unsigned i = 0; i < cable->count; i++)
		cable->queue[i] = wrap(c, interface, cable->queue[i]);
}

struct net_capture *net_capture_open(const char *path,
				     void (*stopped)(const char *path,
						     const char *why),
				     GError **error)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	struct net_capture *c;

	if (fd < 0) {
		g_autofree char *what = g_strdup_printf(
			"cannot write the capture %s", path);

		user_error_set(error, EX_CANTCREAT, "net.capture", what,
			       g_strerror(errno),
			       "a name in a folder that you may write to");
		return NULL;
	}
	c = g_new0(struct net_capture, 1);
	pthread_mutex_init(&c->lock, NULL);
	c->path = g_strdup(path);
	c->fd = fd;
	c->stopped = stopped;
	write_section(c);
	return c;
}

void net_capture_close(struct net_capture *c)
{
	if (!c)
		return;

	if (c->fd >= 0)
		close(c->fd);
	pthread_mutex_destroy(&c->lock);
	g_free(c->path);
	g_free(c);
}
