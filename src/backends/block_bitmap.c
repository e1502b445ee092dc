/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>

#include "backends/block_bitmap.h"

uint64_t *block_bitmap_new(uint64_t bits)
{
	return g_new0(uint64_t, (bits + 63) / 64);
}

/* The bits of word @word that are in the range. */
static uint64_t mask_of(uint64_t word, uint64_t first, uint64_t end)
{
	uint64_t mask = UINT64_MAX;

	if (first > word * 64)
		mask <<= first - word * 64;
	if (end - word * 64 < 64)
		mask &= ~(UINT64_MAX << (end - word * 64));
	return mask;
}

#define FOR_EACH_WORD(w, first, end)					\
	for (uint64_t w = (first) / 64; w * 64 < (end); w++)

uint64_t block_bitmap_find(const uint64_t *map, uint64_t first, uint64_t end,
			   bool set)
{
	FOR_EACH_WORD(w, first, end) {
		uint64_t hits = (set ? map[w] : ~map[w]) &
				mask_of(w, first, end);

		if (hits)
			return w * 64 + (uint64_t)__builtin_ctzll(hits);
	}
	return end;
}

uint64_t block_bitmap_set(uint64_t *map, uint64_t first, uint64_t end)
{
	uint64_t changed = 0;

	FOR_EACH_WORD(w, first, end) {
		uint64_t bits = mask_of(w, first, end) & ~map[w];

		map[w] |= bits;
		changed += (uint64_t)__builtin_popcountll(bits);
	}
	return changed;
}

uint64_t block_bitmap_clear(uint64_t *map, uint64_t first, uint64_t end)
{
	uint64_t changed = 0;

	FOR_EACH_WORD(w, first, end) {
		uint64_t bits = mask_of(w, first, end) & map[w];

		map[w] &= ~bits;
		changed += (uint64_t)__builtin_popcountll(bits);
	}
	return changed;
}

uint64_t block_bitmap_count(const uint64_t *map, uint64_t first, uint64_t end)
{
	uint64_t count = 0;

	FOR_EACH_WORD(w, first, end)
		count += (uint64_t)__builtin_popcountll(
			map[w] & mask_of(w, first, end));
	return count;
}
