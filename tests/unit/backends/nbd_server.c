/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "nbd_server.h"

#define NBD_MAGIC	UINT64_C(0x4e42444d41474943)
#define IHAVEOPT	UINT64_C(0x49484156454f5054)
#define REPLY_MAGIC	UINT64_C(0x0003e889045565a9)
#define REQUEST_MAGIC	0x25609513u
#define SIMPLE_MAGIC	0x67446698u
#define REP_ACK		1u
#define REP_INFO	3u
#define REP_UNSUP	0x80000001u
#define REP_UNKNOWN	0x80000006u
#define OPT_ABORT	2u
#define OPT_GO		7u
#define TYPES		8u
#define DATA_MAX	(32u << 20)
#define SHUTDOWN	108u

enum { CMD_READ, CMD_WRITE, CMD_DISC, CMD_FLUSH, CMD_TRIM, CMD_ZEROES = 6 };

struct nbd_test_server {
	struct nbd_server_options o;
	char *path;
	GThread *thread;
	int listener;
	uint8_t *bytes, *stable, *data;
	pthread_mutex_t lock;		/* of the rest */
	int connection;
	bool stopping;
	enum nbd_fault fault;
	unsigned after;
	bool has_failed;
	unsigned counts[TYPES], connections;
};

struct request {
	uint32_t magic;
	uint16_t flags, type;
	uint64_t cookie, offset;
	uint32_t len;
} __attribute__((packed));

struct reply {
	uint32_t magic, error;
	uint64_t cookie;
} __attribute__((packed));

static bool get(int fd, void *buf, size_t len)
{
	/* For no bytes it would wait for some. */
	return !len || recv(fd, buf, len, MSG_WAITALL) == (ssize_t)len;
}

static bool put(int fd, const void *buf, size_t len)
{
	const uint8_t *at = buf;

	while (len) {
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

static bool put_option_reply(int fd, uint32_t option, uint32_t type,
			     const void *data, uint32_t len)
{
	struct {
		uint64_t magic;
		uint32_t option, type, len;
	} __attribute__((packed)) reply = {
		htobe64(REPLY_MAGIC), htobe32(option), htobe32(type),
		htobe32(len),
	};

	return put(fd, &reply, sizeof(reply)) && put(fd, data, len);
}

static bool put_export(struct nbd_test_server *s, int fd)
{
	struct {
		uint16_t type;
		uint64_t size;
		uint16_t flags;
	} __attribute__((packed)) export = {
		0, htobe64(s->o.size), htobe16(s->o.flags | 1),
	};
	struct {
		uint16_t type;
		uint32_t min, good, max;
	} __attribute__((packed)) blocks = {
		htobe16(3), htobe32(s->o.block_min),
		htobe32(MAX(s->o.block_min, 4096)),
		htobe32(s->o.block_max ?: DATA_MAX),
	};

	return put_option_reply(fd, OPT_GO, REP_INFO, &export,
				sizeof(export)) &&
	       (!s->o.block_min ||
		put_option_reply(fd, OPT_GO, REP_INFO, &blocks,
				 sizeof(blocks))) &&
	       put_option_reply(fd, OPT_GO, REP_ACK, NULL, 0);
}

/* True once the client has chosen the export, which is called "disk". */
static bool negotiate(struct nbd_test_server *s, int fd)
{
	const struct {
		uint64_t magic, option;
		uint16_t flags;
	} __attribute__((packed)) hello = {
		htobe64(NBD_MAGIC), htobe64(IHAVEOPT), htobe16(3),
	};
	struct {
		uint64_t magic;
		uint32_t option, len;
	} __attribute__((packed)) o;
	uint32_t flags;

	if (!put(fd, &hello, sizeof(hello)) || !get(fd, &flags, sizeof(flags)))
		return false;
	while (get(fd, &o, sizeof(o)) && be32toh(o.len) < 4096) {
		uint32_t option = be32toh(o.option), type = REP_UNSUP;

		if (!get(fd, s->data, be32toh(o.len)) || option == OPT_ABORT)
			return false;
		if (option == OPT_GO && !memcmp(s->data, "\0\0\0\4disk", 8))
			return put_export(s, fd);
		if (option == OPT_GO)
			type = REP_UNKNOWN;
		if (!put_option_reply(fd, option, type, NULL, 0))
			return false;
	}
	return false;
}

static void make_stable(struct nbd_test_server *s, const struct request *rq)
{
	memcpy(s->stable + rq->offset, s->bytes + rq->offset, rq->len);
}

static void perform(struct nbd_test_server *s, const struct request *rq)
{
	switch (rq->type) {
	case CMD_READ:
		memcpy(s->data, s->bytes + rq->offset, rq->len);
		break;
	case CMD_WRITE:
		memcpy(s->bytes + rq->offset, s->data, rq->len);
		break;
	case CMD_ZEROES:
		memset(s->bytes + rq->offset, 0, rq->len);
		break;
	case CMD_FLUSH:
		memcpy(s->stable, s->bytes, s->o.size);
		break;
	default:
		g_assert_not_reached();
	}
	if (rq->flags & 1)
		make_stable(s, rq);
}

static bool get_request(struct nbd_test_server *s, int fd, struct request *rq)
{
	if (!get(fd, rq, sizeof(*rq)))
		return false;
	g_assert(be32toh(rq->magic) == REQUEST_MAGIC);
	rq->flags = be16toh(rq->flags);
	rq->type = be16toh(rq->type);
	rq->offset = be64toh(rq->offset);
	rq->len = be32toh(rq->len);
	g_assert(rq->type < TYPES && rq->offset + rq->len <= s->o.size);
	g_assert(rq->len <= (s->o.block_max ?: DATA_MAX) ||
		 rq->type == CMD_ZEROES);
	g_assert(!s->o.block_min ||
		 (rq->offset | rq->len) % s->o.block_min == 0);
	return rq->type != CMD_DISC &&
	       (rq->type != CMD_WRITE || get(fd, s->data, rq->len));
}

static enum nbd_fault fault_now(struct nbd_test_server *s, unsigned type)
{
	enum nbd_fault fault = NBD_WORKS;

	pthread_mutex_lock(&s->lock);
	s->counts[type]++;
	if (s->fault && !s->after--) {
		fault = s->fault;
		s->fault = NBD_WORKS;
		s->has_failed = true;
	}
	pthread_mutex_unlock(&s->lock);
	return fault;
}

static bool answer(struct nbd_test_server *s, int fd, const struct request *rq,
		   enum nbd_fault fault)
{
	struct reply reply = {
		.magic = htobe32(SIMPLE_MAGIC), .cookie = rq->cookie,
		.error = htobe32(fault == NBD_FAILS ? EIO :
				 fault == NBD_SAYS_SHUTDOWN ? SHUTDOWN : 0),
	};

	if (fault == NBD_DROPS_INSIDE) {
		put(fd, &reply, sizeof(reply) / 2);
		return false;
	}
	return fault != NBD_DROPS_AFTER && put(fd, &reply, sizeof(reply)) &&
	       (rq->type != CMD_READ || reply.error ||
		put(fd, s->data, rq->len));
}

/* Requests until one ends the connection. */
static void serve(struct nbd_test_server *s, int fd)
{
	struct request rq, late = { 0 };
	uint8_t byte;

	while (get_request(s, fd, &rq)) {
		enum nbd_fault fault = fault_now(s, rq.type);

		if (s->o.late_flushes && rq.type == CMD_FLUSH) {
			late = rq;
			perform(s, &rq);
			continue;
		}

		if (fault == NBD_DROPS_BEFORE)
			return;
		while (fault == NBD_IS_SILENT && get(fd, &byte, 1))
			;
		if (fault == NBD_IS_SILENT)
			return;
		if (fault != NBD_FAILS && fault != NBD_SAYS_SHUTDOWN)
			perform(s, &rq);
		if (!answer(s, fd, &rq, fault) ||
		    (late.magic && !answer(s, fd, &late, NBD_WORKS)))
			return;
		late.magic = 0;
	}
}

static void *server_run(void *data)
{
	struct nbd_test_server *s = data;
	bool stopping;
	int fd;

	while ((fd = accept(s->listener, NULL, NULL)) >= 0) {
		pthread_mutex_lock(&s->lock);
		s->connection = fd;
		s->connections++;
		stopping = s->stopping;
		pthread_mutex_unlock(&s->lock);
		if (!stopping && negotiate(s, fd))
			serve(s, fd);
		pthread_mutex_lock(&s->lock);
		s->connection = -1;
		if (s->o.crashes)
			memcpy(s->bytes, s->stable, s->o.size);
		pthread_mutex_unlock(&s->lock);
		close(fd);
	}
	return NULL;
}

void nbd_server_start(struct nbd_test_server *s)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	g_strlcpy(addr.sun_path, s->path, sizeof(addr.sun_path));
	unlink(s->path);
	s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_assert(!bind(s->listener, (void *)&addr, sizeof(addr)));
	g_assert(!listen(s->listener, 4));
	s->stopping = false;
	s->thread = g_thread_new("nbd-server", server_run, s);
}

void nbd_server_stop(struct nbd_test_server *s)
{
	unlink(s->path);
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	shutdown(s->listener, SHUT_RDWR);
	if (s->connection >= 0)
		shutdown(s->connection, SHUT_RDWR);
	pthread_mutex_unlock(&s->lock);
	g_thread_join(s->thread);
	close(s->listener);
}

struct nbd_test_server *nbd_server_new(const struct nbd_server_options *o)
{
	struct nbd_test_server *s = g_new0(struct nbd_test_server, 1);

	s->o = *o;
	s->path = g_strdup(o->path);
	s->bytes = g_malloc0(o->size);
	s->stable = g_malloc0(o->size);
	s->data = g_malloc(DATA_MAX);
	s->connection = -1;
	pthread_mutex_init(&s->lock, NULL);
	nbd_server_start(s);
	return s;
}

void nbd_server_free(struct nbd_test_server *s)
{
	if (!s->stopping)
		nbd_server_stop(s);
	pthread_mutex_destroy(&s->lock);
	g_free(s->path);
	g_free(s->bytes);
	g_free(s->stable);
	g_free(s->data);
	g_free(s);
}

void nbd_server_change(struct nbd_test_server *s, uint64_t size,
		       uint16_t flags)
{
	s->o.size = size;
	s->o.flags = flags;
}

void nbd_server_fault(struct nbd_test_server *s, enum nbd_fault fault,
		      unsigned after)
{
	pthread_mutex_lock(&s->lock);
	s->fault = fault;
	s->after = after;
	s->has_failed = false;
	pthread_mutex_unlock(&s->lock);
}

bool nbd_server_has_failed(struct nbd_test_server *s)
{
	bool has_failed;

	pthread_mutex_lock(&s->lock);
	has_failed = s->has_failed;
	pthread_mutex_unlock(&s->lock);
	return has_failed;
}

unsigned nbd_server_count(struct nbd_test_server *s, unsigned type)
{
	unsigned count;

	pthread_mutex_lock(&s->lock);
	count = s->counts[type];
	pthread_mutex_unlock(&s->lock);
	return count;
}

unsigned nbd_server_connections(struct nbd_test_server *s)
{
	unsigned connections;

	pthread_mutex_lock(&s->lock);
	connections = s->connections;
	pthread_mutex_unlock(&s->lock);
	return connections;
}

const uint8_t *nbd_server_bytes(struct nbd_test_server *s)
{
	return s->bytes;
}

const uint8_t *nbd_server_stable(struct nbd_test_server *s)
{
	return s->stable;
}
