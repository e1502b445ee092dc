/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A bit for each piece of a disk; ranges are [first, end). */
#ifndef BACKENDS_BLOCK_BITMAP_H
#define BACKENDS_BLOCK_BITMAP_H

#include <stdbool.h>
#include <stdint.h>

/* All clear; takes memory only where bits are set.  Free it by g_free(). */
uint64_t *block_bitmap_new(uint64_t bits);

static inline bool block_bitmap_test(const uint64_t *map, uint64_t bit)
{
	return map[bit / 64] >> (bit % 64) & 1;
}

/* The first bit of a non-empty range that is @set; @end if there is none. */
uint64_t block_bitmap_find(const uint64_t *map, uint64_t first, uint64_t end,
			   bool set);
/* Return how many bits of the range have changed. */
uint64_t block_bitmap_set(uint64_t *map, uint64_t first, uint64_t end);
uint64_t block_bitmap_clear(uint64_t *map, uint64_t first, uint64_t end);
/* How many bits of the range are set. */
uint64_t block_bitmap_count(const uint64_t *map, uint64_t first, uint64_t end);

#endif
