/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "backends/chardev.h"
#include "core/error.h"
#include "core/util.h"

struct chardev *chardev_open(const char *spec, struct loop *loop,
			     const struct chardev_user *user, GError **error)
{
	if (!strcmp(spec, "stdio"))
		return chardev_stdio_open(loop, user, error);
	if (g_str_has_prefix(spec, "file:"))
		return chardev_file_open(spec + strlen("file:"), error);
	if (g_str_has_prefix(spec, "unix:"))
		return chardev_unix_open(spec + strlen("unix:"), loop, user,
					 error);
	user_error_set(error, EX_USAGE, "console.kind",
		       "there is no such console", spec,
		       "stdio, file:F, unix:F, or off");
	return NULL;
}

void chardev_input_offer(struct chardev_input *in,
			 const struct chardev_user *user)
{
	size_t taken;

	if (!in->len)
		return;
	taken = user->input(user->user, in->bytes, in->len);
	in->len -= taken;
	memmove(in->bytes, in->bytes + taken, in->len);
}

struct chardev_file {
	struct chardev cd;
	int fd;
};

/* What cannot be written is lost: the guest has nobody to tell. */
static void file_write(struct chardev *cd, const uint8_t *bytes, size_t len)
{
	struct chardev_file *f = container_of(cd, struct chardev_file, cd);

	while (len) {
		ssize_t n = write(f->fd, bytes, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		bytes += n;
		len -= (size_t)n;
	}
}

static void file_accept(struct chardev *cd)
{
}

static void file_close(struct chardev *cd)
{
	struct chardev_file *f = container_of(cd, struct chardev_file, cd);

	close(f->fd);
	g_free(f);
}

static const struct chardev_ops file_ops = {
	.write = file_write,
	.accept = file_accept,
	.close = file_close,
};

struct chardev *chardev_file_open(const char *path, GError **error)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	struct chardev_file *f;

	if (fd < 0) {
		g_autofree char *what = g_strdup_printf(
			"cannot write the console to %s", path);

		user_error_set(error, EX_CANTCREAT, "console.file", what,
			       g_strerror(errno),
			       "a file in a folder that you may write to");
		return NULL;
	}
	f = g_new0(struct chardev_file, 1);
	f->cd.ops = &file_ops;
	f->fd = fd;
	return &f->cd;
}
