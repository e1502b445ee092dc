/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * block_limit - a disk that takes only so much in a second.
 *
 * Requests pass in the order in which they came.  Who was idle may catch up
 * for a tenth of a second; a request that is larger than that passes, and
 * those behind it wait until it is paid for.
 */
#ifndef BACKENDS_BLOCK_LIMIT_H
#define BACKENDS_BLOCK_LIMIT_H

#include "backend/block.h"

/* In a second; 0: no limit. */
struct block_limits {
	uint64_t ops;		/* requests of any kind */
	uint64_t bytes;		/* read and written; holes are free */
};

/* @below, which passes, with @limits. */
struct block_backend *block_limit_new(struct loop *loop,
				      struct block_backend *below,
				      const struct block_limits *limits);

#endif
