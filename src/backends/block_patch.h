/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * block_patch - a file that is only read, with changes that it should have and
 * has not: they are in memory.
 *
 *	p = block_patch_new(loop, file);
 *	block_write_now(p, ...)		or zero, or grow; any number of them
 *	block_flush_now(p);		the last change; requests may come
 *
 * Each change covers what those before it have.  Nothing is written to the
 * file.
 */
#ifndef BACKENDS_BLOCK_PATCH_H
#define BACKENDS_BLOCK_PATCH_H

#include "backend/block.h"

/*
 * Writes and zeroes that one takes, then it is -ENOBUFS: as many as there are
 * sectors of data in 64 MiB of a log.
 */
#define BLOCK_PATCH_MAX		16384u

/* @below passes. */
struct block_backend *block_patch_new(struct loop *loop,
				      struct block_backend *below);
/* Free it, and give back @below. */
struct block_backend *block_patch_release(struct block_backend *bb);

#endif
