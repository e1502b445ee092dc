/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * block_mem - a disk in memory, for tests and fuzzers.
 *
 * Requests are done on the loop's next turn, in the order of submission, and
 * leave the process's memory only.  A request beyond the end aborts: checking
 * ranges is the user's part of the contract.
 */
#ifndef BACKENDS_BLOCK_MEM_H
#define BACKENDS_BLOCK_MEM_H

#include "backend/block.h"

/* @size zeroes in blocks of @block_size; the rest of bb may be changed. */
struct block_backend *block_mem_new(struct loop *loop, uint64_t size,
				    uint32_t block_size);
/*
 * The contents, bb->size bytes; to be changed at once, not after the disk has
 * grown.
 */
uint8_t *block_mem_bytes(struct block_backend *bb);
/* @len of them at @offset: quicker where a disk is made often. */
uint8_t *block_mem_part(struct block_backend *bb, uint64_t offset,
			uint64_t len);
/* How many requests of @op have been submitted. */
unsigned block_mem_count(const struct block_backend *bb, enum block_op op);

#endif
