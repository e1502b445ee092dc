/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * block_now - requests that are done when the call returns, for opening and
 * closing: see perform() of backend/block.h.  0 or -errno.
 */
#ifndef BACKENDS_BLOCK_NOW_H
#define BACKENDS_BLOCK_NOW_H

#include "backend/block.h"

int block_read_now(struct block_backend *bb, uint64_t offset, void *buf,
		   size_t len);
int block_write_now(struct block_backend *bb, uint64_t offset,
		    const void *buf, size_t len);
int block_zero_now(struct block_backend *bb, uint64_t offset, uint64_t len);
int block_grow_now(struct block_backend *bb, uint64_t size);
/* It ends with @buf then, at any instant at which it is larger. */
int block_append_now(struct block_backend *bb, uint64_t size, const void *buf,
		     size_t len);
/* Make it smaller. */
int block_cut_now(struct block_backend *bb, uint64_t size);
int block_flush_now(struct block_backend *bb);

#endif
