/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * block_file - a raw image file or a block device, on io_uring.
 *
 * Payload goes between the guest's pages and the file without a copy; with
 * O_DIRECT, what is not aligned for it goes through a bounce buffer.  The file
 * is locked: one writer, or any number of readers, or of those who share it.
 */
#ifndef BACKENDS_BLOCK_FILE_H
#define BACKENDS_BLOCK_FILE_H

#include "backend/block.h"

struct block_hold_watch;

struct block_file_options {
	const char *path;
	bool read_only;
	bool direct;		/* O_DIRECT if the file allows it */
	/* Of what is no file, or not only one. */
	unsigned reconnect;	/* see block_nbd.h */
	bool backing;		/* files that an image names may be opened */
	/* Of a format: what its file fails at is kept; see block_hold.h. */
	struct block_hold_watch *watch;
	/*
	 * The name of this machine among others that write it at the same
	 * time; only with O_DIRECT.  NULL: nobody else does.
	 */
	const char *shared;
};

/* NULL with an error for the user. */
struct block_backend *block_file_open(struct loop *loop,
				      const struct block_file_options *options,
				      GError **error);

#endif
