/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * block_nbd - an export of an NBD server as a disk.
 *
 * A connection that is lost is made again, and what was under way is sent
 * again.  So is what was written since the last flush, in its order, before
 * anything else: a server that died may have forgotten it.  It is kept in
 * memory for that, up to a limit at which the server is told to flush.
 */
#ifndef BACKENDS_BLOCK_NBD_H
#define BACKENDS_BLOCK_NBD_H

#include "backend/block.h"
#include "backends/nbd_connect.h"

struct block_nbd_options {
	struct nbd_server server;
	bool read_only;
	/*
	 * Seconds without an answer after which requests fail, until there is
	 * one again; 0: the first connection is the only one.
	 */
	unsigned reconnect;
	/* The backend has been closed, and its connection: @user's turn. */
	void (*closed)(void *user);
	void *user;
};

#define BLOCK_NBD_RECONNECT	30	/* seconds, unless told otherwise */

/*
 * NULL with an error for the user; then closed() is not called.  Any thread;
 * the disk is closed when it has left its loop, or that turns no more.
 */
struct block_backend *block_nbd_open(struct loop *loop,
				     const struct block_nbd_options *options,
				     GError **error);

#endif
