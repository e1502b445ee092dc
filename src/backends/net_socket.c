/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/net_socket.h"
#include "backends/net_stream.h"
#include "backends/unix_socket.h"
#include "core/autoptr.h"
#include "core/error.h"
#include "core/util.h"

#define RETRY_NS	UINT64_C(1000000000)
#define CHILD_FD	3

/*
 *	         nobody there                  accepted
 *	connect -------------> listen <-------------------> connected
 *	   ^ |                           lost
 *	   | +--------------------------------------------> connected
 *	   +---- a second later, lost or not found -------------+
 */
struct net_socket {
	struct net_stream s;
	char *path;		/* NULL: a peer that does not come again */
	bool may_listen;
	int listener;		/* -1: we are who connects */
	struct loop_poll accept;
	struct loop_timer retry;
	pid_t child;		/* 0: none was started */
	void (*passt_lost)(const char *path);	/* NULL: nobody asks */
};

static struct net_socket *socket_of(struct net_stream *s)
{
	return container_of(s, struct net_socket, s);
}

/* 0: connected, or listening. */
static int find_peer(struct net_socket *n)
{
	autofd lock = n->may_listen ? unix_socket_lock(n->path) : -1;
	int fd;

	if (n->may_listen && lock < 0)
		return lock;
	fd = unix_socket_connect(n->path);
	if (fd >= 0) {
		net_stream_attach(&n->s, fd);
		return 0;
	}
	if (!n->may_listen || (fd != -ENOENT && fd != -ECONNREFUSED))
		return fd;
	fd = unix_socket_listen(n->path, 0777, 1);
	if (fd < 0)
		return fd;
	n->listener = fd;
	loop_poll_add(n->s.loop, &n->accept, fd);
	loop_poll_set(&n->accept, POLLIN);
	return 0;
}

static void retry_later(struct net_socket *n)
{
	loop_timer_set(n->s.loop, &n->retry, loop_now(n->s.loop) + RETRY_NS);
}

static void retry(struct loop_timer *t)
{
	struct net_socket *n = container_of(t, struct net_socket, retry);

	if (n->listener >= 0)
		loop_poll_set(&n->accept, POLLIN);
	else if (find_peer(n) < 0)
		retry_later(n);
}

static void lost(struct net_stream *s)
{
	struct net_socket *n = socket_of(s);

	if (n->path && n->listener < 0)
		retry_later(n);
	if (n->passt_lost)
		n->passt_lost(n->path);
}

/*
 * Who comes third is told at once that it is not wanted.  Without a descriptor
 * for it, it would be announced again at once.
 */
static void accept_peer(struct loop_poll *p, unsigned events)
{
	struct net_socket *n = container_of(p, struct net_socket, accept);
	int fd = accept4(n->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0 && n->s.fd >= 0)
		close(fd);
	else if (fd >= 0)
		net_stream_attach(&n->s, fd);
	if (fd < 0 && errno != EAGAIN)
		retry_later(n);
	else
		loop_poll_set(p, POLLIN);
}

static void socket_close(struct net_stream *s)
{
	struct net_socket *n = socket_of(s);

	loop_timer_clear(s->loop, &n->retry);
	net_stream_finish(s);
	if (n->listener >= 0) {
		unlink(n->path);
		close(n->listener);
	}
	if (n->child) {
		kill(n->child, SIGTERM);
		waitpid(n->child, NULL, 0);
	}
	g_free(n->path);
	g_free(n);
}

static struct net_socket *socket_new(struct loop *loop, const char *path,
				     bool may_listen)
{
	struct net_socket *n = g_new0(struct net_socket, 1);

	net_stream_init(&n->s, loop);
	n->s.lost = lost;
	n->s.close = socket_close;
	n->path = g_strdup(path);
	n->may_listen = may_listen;
	n->listener = -1;
	n->accept.ready = accept_peer;
	n->retry.expired = retry;
	return n;
}

struct net_backend *net_socket_open(struct loop *loop, const char *path,
				    GError **error)
{
	struct net_socket *n = socket_new(loop, path, true);
	int ret = find_peer(n);

	if (ret == -EAGAIN) {
		retry_later(n);
	} else if (ret < 0) {
		g_autofree char *what = g_strdup_printf(
			"cannot meet another machine at %s", path);

		user_error_set(error, EX_CANTCREAT, "net.socket", what,
			       g_strerror(-ret),
			       ret == -EADDRINUSE || ret == -ENOTSOCK ?
				       "another name; that file is no socket" :
				       "a name in a folder that you may write "
				       "to");
		net_close(&n->s.nb);
		return NULL;
	}
	return &n->s.nb;
}

static struct net_socket *passt_at(struct loop *loop, const char *path,
				   GError **error)
{
	struct net_socket *n = socket_new(loop, path, false);
	int ret = find_peer(n);

	if (ret < 0) {
		g_autofree char *what = g_strdup_printf(
			"cannot connect to passt at %s", path);
		g_autofree char *advice = g_strdup_printf(
			"start it first: passt --socket %s\n"
			"or let kvmbus do it: --net passt", path);

		user_error_set(error, EX_UNAVAILABLE, "net.passt-socket", what,
			       g_strerror(-ret), advice);
		net_close(&n->s.nb);
		return NULL;
	}
	return n;
}

static bool start_passt(int fd, GPid *child, GError **error)
{
	static const char *const argv[] = {
		"passt", "--foreground", "--quiet", "--fd", "3", NULL,
	};
	const int target = CHILD_FD;
	g_autoptr(GError) why = NULL;

	if (g_spawn_async_with_pipes_and_fds(
		    NULL, argv, NULL,
		    G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD,
		    NULL, NULL, -1, -1, -1, &fd, &target, 1, child, NULL, NULL,
		    NULL, &why))
		return true;
	user_error_set(error, EX_UNAVAILABLE, "net.passt-missing",
		       "cannot start passt",
		       why->code == G_SPAWN_ERROR_NOENT ?
			       "it is not installed" : why->message,
		       "sudo apt install passt, or use --net nat");
	return false;
}

static struct net_socket *passt_started(struct loop *loop, GError **error)
{
	struct net_socket *n;
	int fds[2];
	bool ok;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
		user_error_set(error, EX_OSERR, "host.descriptors",
			       "cannot make a pair of sockets",
			       g_strerror(errno), "raise the limit: ulimit -n");
		return NULL;
	}
	n = socket_new(loop, NULL, false);
	ok = start_passt(fds[1], &n->child, error);
	close(fds[1]);
	net_stream_attach(&n->s, fds[0]);
	if (ok)
		return n;
	net_close(&n->s.nb);
	return NULL;
}

struct net_backend *net_passt_open(struct loop *loop, const char *path,
				   void (*gone)(const char *path),
				   GError **error)
{
	struct net_socket *n = path ? passt_at(loop, path, error) :
				      passt_started(loop, error);

	if (!n)
		return NULL;
	n->passt_lost = gone;
	return &n->s.nb;
}
