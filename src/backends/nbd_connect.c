/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/nbd_connect.h"
#include "core/error.h"

#define LEN_MAX		(32u << 20)	/* that each server has to take */
#define KEEPALIVE_S	10		/* silence before the peer is asked */
#define KEEPALIVE_N	3

bool nbd_is_uri(const char *text)
{
	static const char *const schemes[] = {
		"nbd://", "nbds://", "nbd+unix://", "nbds+unix://",
		"nbd+vsock://", "nbds+vsock://", "nbd:",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(schemes); i++)
		if (g_str_has_prefix(text, schemes[i]))
			return true;
	return false;
}

/* How far it came says what to tell the user. */
struct attempt {
	const struct nbd_server *server;
	int64_t deadline;	/* microseconds, monotonic */
	int result;		/* errno of the negotiation */
	char *text;		/* libnbd's words for what went wrong */
};

/* Its messages begin with the name of the function that was called. */
static char *last_words(void)
{
	const char *text = libnbd.get_error(), *colon;

	if (!text || !*text)
		return g_strdup("the server ended the connection");
	colon = g_str_has_prefix(text, "nbd_") ? strstr(text, ": ") : NULL;
	return g_strdup(colon ? colon + 2 : text);
}

static bool fail(const struct attempt *a, int status, const char *id,
		 const char *advice, GError **error)
{
	g_autofree char *what = g_strdup_printf("cannot use disk %s",
						a->server->name);

	user_error_set(error, status, id, what, a->text, advice);
	return false;
}

static bool fail_connect(struct attempt *a, int error_number, GError **error)
{
	if (!a->text)
		a->text = last_words();
	if (error_number == EINVAL && a->server->uri)
		return fail(a, EX_USAGE, "nbd.uri",
			    "nbd://HOST[:PORT]/EXPORT, nbds://... with TLS, or"
			    "\nnbd+unix:///EXPORT?socket=PATH", error);
	return fail(a, EX_UNAVAILABLE, "nbd.connect",
		    "see that the server runs, can be reached from here, and "
		    "takes another client", error);
}

static bool fail_export(const struct attempt *a, GError **error)
{
	switch (a->result) {
	case ENOENT:
		return fail(a, EX_NOINPUT, "nbd.export",
			    "nbdinfo --list URI prints the names that it has",
			    error);
	case ENOTSUP:
		return fail(a, EX_UNAVAILABLE, "nbd.refused",
			    "if it wants TLS: nbds://... in place of nbd://...",
			    error);
	default:
		return fail(a, EX_UNAVAILABLE, "nbd.refused",
			    "what the server lets this client do", error);
	}
}

static int time_left(const struct attempt *a)
{
	int64_t us = a->deadline - g_get_monotonic_time();

	return (int)CLAMP(us / 1000, 0, G_MAXINT);
}

/* As long as it is busy with the connection; false at the end of time. */
static bool wait_for(struct attempt *a, struct nbd_handle *h)
{
	while (libnbd.aio_is_connecting(h)) {
		int n = libnbd.poll(h, time_left(a));

		if (n < 0)
			return false;
		if (n == 0 && !time_left(a)) {
			a->text = g_strdup("the server does not answer");
			return false;
		}
	}
	return true;
}

static int gone(void *user_data, int *error)
{
	struct attempt *a = user_data;

	a->result = *error;
	if (a->result && !a->text)
		a->text = last_words();
	return 1;
}

/* Between the greeting and the first request. */
static bool choose_export(struct attempt *a, struct nbd_handle *h,
			  GError **error)
{
	nbd_completion_callback cb = { .callback = gone, .user_data = a };

	if (libnbd.aio_opt_go(h, cb) < 0 || !wait_for(a, h))
		return fail_connect(a, 0, error);
	if (a->result)
		return fail_export(a, error);
	return true;
}

/* A host that is gone without a word is found out. */
static void keep_alive(struct nbd_handle *h)
{
	const struct { int option, value; } options[] = {
		{ TCP_KEEPIDLE, KEEPALIVE_S },
		{ TCP_KEEPINTVL, KEEPALIVE_S },
		{ TCP_KEEPCNT, KEEPALIVE_N },
		{ TCP_USER_TIMEOUT, KEEPALIVE_S * KEEPALIVE_N * 1000 },
	};
	int fd = libnbd.aio_get_fd(h), on = 1;

	/* Those that are no TCP sockets refuse, and need none of it. */
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	for (size_t i = 0; i < G_N_ELEMENTS(options); i++)
		setsockopt(fd, IPPROTO_TCP, options[i].option,
			   &options[i].value, sizeof(options[i].value));
}

static bool connect_now(struct attempt *a, struct nbd_handle *h,
			GError **error)
{
	const struct nbd_server *s = a->server;
	int ret;

	/* Reads that fail are not looked at, so memory need not be zero. */
	libnbd.set_pread_initialize(h, false);
	libnbd.set_opt_mode(h, true);
	libnbd.set_uri_allow_local_file(h, true);
	ret = s->uri ? libnbd.aio_connect_uri(h, s->uri) :
		       libnbd.aio_connect_socket(h, s->fd);
	if (ret < 0)
		return fail_connect(a, libnbd.get_errno(), error);
	if (!wait_for(a, h))
		return fail_connect(a, 0, error);
	/* A server of the old kind knows one export and asks for no name. */
	if (libnbd.aio_is_negotiating(h) && !choose_export(a, h, error))
		return false;
	if (!libnbd.aio_is_ready(h))
		return fail_connect(a, 0, error);
	keep_alive(h);
	return true;
}

struct nbd_handle *nbd_connect(const struct nbd_server *server,
			       unsigned limit_ms, GError **error)
{
	struct attempt a = {
		.server = server,
		.deadline = g_get_monotonic_time() + limit_ms * INT64_C(1000),
	};
	bool there = nbd_library_load(server->name, error), ok;
	autoptr(nbd_handle) h = there ? libnbd.create() : NULL;

	if (!h) {
		if (!server->uri)
			close(server->fd);
		if (there)
			fail_connect(&a, 0, error);
		return NULL;
	}
	ok = connect_now(&a, h, error);
	g_free(a.text);
	return ok ? g_steal_pointer(&h) : NULL;
}

static uint32_t block_size(struct nbd_handle *h, int which, uint32_t unknown)
{
	int64_t size = libnbd.get_block_size(h, which);

	return size > 0 && size <= UINT32_MAX ? (uint32_t)size : unknown;
}

void nbd_export_read(struct nbd_handle *h, struct nbd_export *e)
{
	int64_t size = libnbd.get_size(h);

	*e = (struct nbd_export){
		.size = size > 0 ? (uint64_t)size : 0,
		.block_min = block_size(h, LIBNBD_SIZE_MINIMUM, 1),
		.block_good = block_size(h, LIBNBD_SIZE_PREFERRED, 0),
		.len_max = block_size(h, LIBNBD_SIZE_MAXIMUM, LEN_MAX),
		.read_only = libnbd.is_read_only(h) > 0,
		.rotational = libnbd.is_rotational(h) > 0,
		.can_flush = libnbd.can_flush(h) > 0,
		.can_fua = libnbd.can_fua(h) > 0,
		.can_zero = libnbd.can_zero(h) > 0,
		.can_trim = libnbd.can_trim(h) > 0,
	};
}
