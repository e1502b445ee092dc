/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * chardev - the far end of a serial port.
 *
 * Output never waits for a reader: a file or a terminal takes it at once, and
 * a socket without a peer drops it.
 */
#ifndef BACKEND_CHARDEV_H
#define BACKEND_CHARDEV_H

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

#include "core/loop.h"

struct chardev;

struct chardev_ops {
	/* Any thread, one at a time. */
	void (*write)(struct chardev *cd, const uint8_t *bytes, size_t len);
	/* Input was taken: more may come.  Any thread. */
	void (*accept)(struct chardev *cd);
	/* The loop does not run any more. */
	void (*close)(struct chardev *cd);
};

/* What the user of a console gets told.  On the loop's thread. */
struct chardev_user {
	/*
	 * Input.  Return how many bytes were taken; the rest is offered again
	 * after chardev_ops.accept().
	 */
	size_t (*input)(void *user, const uint8_t *bytes, size_t len);
	/* A person asked to leave by the escape key. */
	void (*quit)(void *user);
	void *user;
};

struct chardev {
	const struct chardev_ops *ops;
	struct chardev_user user;
};

static inline void chardev_write(struct chardev *cd, const uint8_t *bytes,
				 size_t len)
{
	cd->ops->write(cd, bytes, len);
}

static inline void chardev_accept(struct chardev *cd)
{
	cd->ops->accept(cd);
}

static inline void chardev_close(struct chardev *cd)
{
	if (cd)
		cd->ops->close(cd);
}

#endif
