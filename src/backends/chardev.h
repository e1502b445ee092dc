/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The chardevs that there are, by name. */
#ifndef BACKENDS_CHARDEV_H
#define BACKENDS_CHARDEV_H

#include "backend/chardev.h"

/*
 * "stdio", "file:NAME" or "unix:NAME".  @user is copied.  NULL with an error
 * for the user.
 */
struct chardev *chardev_open(const char *spec, struct loop *loop,
			     const struct chardev_user *user, GError **error);

/*
 * stdin and stdout.  A terminal is put into raw mode until the chardev is
 * closed or the process exits; there Ctrl-] is the escape key.  The end of a
 * stdin that is no terminal ends the input, nothing else.
 */
struct chardev *chardev_stdio_open(struct loop *loop,
				   const struct chardev_user *user,
				   GError **error);
/* Output to a file, which is emptied first; no input. */
struct chardev *chardev_file_open(const char *path, GError **error);
/*
 * A listening socket for one client at a time.  Output while nobody is there,
 * or faster than the client reads, is lost.  Who comes second waits.  The
 * socket's file is removed at the end.
 */
struct chardev *chardev_unix_open(const char *path, struct loop *loop,
				  const struct chardev_user *user,
				  GError **error);

/*
 * Input that was read and that the user has not taken yet.
 */
#define CHARDEV_INPUT_MAX	256

struct chardev_input {
	uint8_t bytes[CHARDEV_INPUT_MAX];
	size_t len;
};

/* Offer what there is; what was not taken stays. */
void chardev_input_offer(struct chardev_input *in,
			 const struct chardev_user *user);

#endif
