/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * block_error - a backend that fails or holds back requests to another one,
 * for tests of what stands above.
 */
#ifndef BACKENDS_BLOCK_ERROR_H
#define BACKENDS_BLOCK_ERROR_H

#include "backend/block.h"

struct block_error_rule {
	unsigned ops;		/* bit n: requests of op n */
	uint64_t offset, len;	/* that touch this; len 0: everywhere */
	int error;		/* -errno */
	unsigned after;		/* this many of them still work */
};

/* In front of @inner, which passes to it. */
struct block_backend *block_error_new(struct loop *loop,
				      struct block_backend *inner);
/* The only rule from now on; NULL: let everything through. */
void block_error_set(struct block_backend *bb,
		     const struct block_error_rule *rule);
/* Hold all requests; with @hold false, submit those that were held. */
void block_error_hold(struct block_backend *bb, bool hold);
/* How often it was told to hurry; it does nothing about it. */
unsigned block_error_hurries(const struct block_backend *bb);

#endif
