/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "backends/chardev.h"
#include "core/autoptr.h"
#include "core/error.h"
#include "core/util.h"

struct chardev_unix {
	struct chardev cd;
	struct loop *loop;
	char *path;
	int listener;
	struct loop_op accept, poll;
	struct loop_note retry;
	struct chardev_input input;
	bool accepting, polling;
	int next;		/* who waits for the client to leave; -1 */
	pthread_mutex_t lock;	/* of the client: vCPUs write to it */
	int client;		/* -1: nobody */
};

static void unix_write(struct chardev *cd, const uint8_t *bytes, size_t len)
{
	struct chardev_unix *u = container_of(cd, struct chardev_unix, cd);

	pthread_mutex_lock(&u->lock);
	if (u->client >= 0 &&
	    send(u->client, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
	    errno != EAGAIN) {
		shutdown(u->client, SHUT_RDWR);	/* the poll will tell us */
		loop_post(u->loop, &u->retry);	/* or this, if there is none */
	}
	pthread_mutex_unlock(&u->lock);
}

static void set_client(struct chardev_unix *u, int fd)
{
	pthread_mutex_lock(&u->lock);
	if (u->client >= 0)
		close(u->client);
	u->client = fd;
	pthread_mutex_unlock(&u->lock);
}

static void wait_for_client(struct chardev_unix *u)
{
	if (u->accepting || u->next >= 0)
		return;
	u->accepting = true;
	io_uring_prep_accept(loop_sqe(u->loop, &u->accept), u->listener, NULL,
			     NULL, SOCK_CLOEXEC);
}

/* Input that was not taken yet comes first. */
static void wait_for_input(struct chardev_unix *u)
{
	if (u->polling || u->client < 0 || u->input.len)
		return;
	u->polling = true;
	io_uring_prep_poll_add(loop_sqe(u->loop, &u->poll), u->client, POLLIN);
}

static bool has_left(int fd)
{
	struct pollfd p = { .fd = fd };

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR));
}

/*
 * Let the next client in if there is none.  A guest that takes no input must
 * not keep it out: what a client that has left still wanted to say is dropped
 * for it.
 */
static void change_client(struct chardev_unix *u)
{
	if (u->client >= 0 && u->next >= 0 && !u->polling &&
	    has_left(u->client)) {
		set_client(u, -1);
		u->input.len = 0;
	}
	if (u->client < 0 && u->next >= 0) {
		set_client(u, u->next);
		u->next = -1;
	}
	wait_for_client(u);
	wait_for_input(u);
}

static void accepted(struct loop_op *op, int res)
{
	struct chardev_unix *u = container_of(op, struct chardev_unix, accept);

	u->accepting = false;
	if (res < 0) {
		if (res == -EINTR || res == -ECONNABORTED)
			wait_for_client(u);
		return;
	}
	u->next = res;
	change_client(u);
}

static void polled(struct loop_op *op, int res)
{
	struct chardev_unix *u = container_of(op, struct chardev_unix, poll);
	ssize_t n = recv(u->client, u->input.bytes, sizeof(u->input.bytes),
			 MSG_DONTWAIT);

	u->polling = false;
	if (n > 0) {
		u->input.len = (size_t)n;
		chardev_input_offer(&u->input, &u->cd.user);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		set_client(u, -1);
	}
	change_client(u);
}

static void retry(struct loop_note *note)
{
	struct chardev_unix *u = container_of(note, struct chardev_unix, retry);

	chardev_input_offer(&u->input, &u->cd.user);
	change_client(u);
}

static void unix_accept(struct chardev *cd)
{
	struct chardev_unix *u = container_of(cd, struct chardev_unix, cd);

	loop_post(u->loop, &u->retry);
}

static void unix_close(struct chardev *cd)
{
	struct chardev_unix *u = container_of(cd, struct chardev_unix, cd);

	unlink(u->path);
	close(u->listener);
	set_client(u, -1);
	if (u->next >= 0)
		close(u->next);
	pthread_mutex_destroy(&u->lock);
	g_free(u->path);
	g_free(u);
}

static const struct chardev_ops unix_ops = {
	.write = unix_write,
	.accept = unix_accept,
	.close = unix_close,
};

/* A descriptor that listens at @path, or -1 with errno. */
static int listen_at(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(addr.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path));
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(fd, 1) < 0)
		return -1;
	return autofd_steal(&fd);
}

struct chardev *chardev_unix_open(const char *path, struct loop *loop,
				  const struct chardev_user *user,
				  GError **error)
{
	int fd = listen_at(path);
	struct chardev_unix *u;

	if (fd < 0) {
		g_autofree char *what = g_strdup_printf(
			"cannot listen for the console at %s", path);

		user_error_set(error, EX_CANTCREAT, "console.socket", what,
			       g_strerror(errno),
			       errno == EADDRINUSE ?
				       "remove the file if nobody uses it" :
				       "a name in a folder that you may write "
				       "to");
		return NULL;
	}
	u = g_new0(struct chardev_unix, 1);
	u->cd.ops = &unix_ops;
	u->cd.user = *user;
	u->loop = loop;
	u->path = g_strdup(path);
	u->listener = fd;
	u->client = u->next = -1;
	u->accept.done = accepted;
	u->poll.done = polled;
	u->retry.run = retry;
	pthread_mutex_init(&u->lock, NULL);
	wait_for_client(u);
	return &u->cd;
}
