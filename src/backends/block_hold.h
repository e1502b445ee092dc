/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * block_hold - a disk that keeps the requests at which the host fails, until it
 * is told to try again.
 *
 * A format has requests of its own in its file, such as those of a log, of which
 * a flush consists.  To have them kept there is another one between the two:
 *
 *	hold ---> limit ---> VHDX ---> hold of the file ---> file
 *
 *	passing --one fails--> holding --again()--> passing
 *	                          |
 *	                          +--hurry(): all end, as they failed or now do
 *
 * While it holds, new requests wait behind those that failed; what is under way
 * goes on.  All go on in the order in which they came.
 *
 * A flush that fails is not held, nor is that of a write with FUA: the next one
 * would say of what the host has lost that it is stable.  But one that found no
 * server (-ENOTCONN) has lost nothing.
 *
 * Requests that were under way at hurry(), and those that say so, are not held,
 * nor is what they lead to in the file.
 */
#ifndef BACKENDS_BLOCK_HOLD_H
#define BACKENDS_BLOCK_HOLD_H

#include "backend/block.h"

struct block_hold_watch {
	/*
	 * On its loop: it begins to hold, for this -errno; 0: it holds no
	 * more.
	 */
	void (*changed)(struct block_hold_watch *w, int error);
	/* block_hold.c's: requests to the disk under way that are not held. */
	unsigned rushed;
};

/* @below, which passes; @watch is borrowed. */
struct block_backend *block_hold_new(struct loop *loop,
				     struct block_backend *below,
				     struct block_hold_watch *watch);

/* Of a disk with the same @watch: what is between its format and @file. */
struct block_backend *block_hold_file(struct loop *loop,
				      struct block_backend *file,
				      struct block_hold_watch *watch);

#endif
