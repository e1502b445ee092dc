/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sector bitmaps of a differencing disk: [MS-VHDX] 2.4.  Each chunk of the disk
 * has a block of 1 MiB with a bit for each of its sectors, bit 0 of byte 0
 * first: set if the sector is in this file, and not the parent's.
 */
#include <errno.h>

#include "backends/block_bitmap.h"
#include "backends/vhdx_internal.h"

#define PAGE_BITS	(VHDX_SECTOR * 8)

_Static_assert(VHDX_BITMAP_PAGES == VHDX_BLOCK_MAX / 512 / PAGE_BITS + 1,
	       "the bits of the largest block, and a page of the BAT");

static uint32_t block_sectors(const struct vhdx *v)
{
	return v->layout.block_size / v->layout.sector;
}

/* Where the bits of @block are in the file, by its chunk's entry. */
static int place(const struct vhdx *v, uint64_t block, uint64_t entry,
		 uint64_t *at)
{
	uint64_t offset = VHDX_ENTRY_OFFSET(entry);

	if (VHDX_ENTRY_STATE(entry) != SB_BLOCK_PRESENT ||
	    !vhdx_block_fits(v, offset, VHDX_MIB))
		return -EIO;
	*at = offset + block % v->layout.chunk_ratio * (block_sectors(v) / 8);
	return 0;
}

static int find(struct vhdx *v, uint64_t block, uint64_t *at)
{
	uint64_t entry;
	int ret = vhdx_bat_get(v, vhdx_bat_bitmap(v, block), &entry);

	return ret ? ret : place(v, block, entry, at);
}

/* Bits of one page. */
struct bits {
	struct vhdx_page *page;
	uint64_t *map;
	uint64_t first, end;
};

/* Of @count bits from number @first behind byte @at those in one page. */
static int bits_get(struct vhdx *v, uint64_t at, uint32_t first,
		    uint32_t count, struct bits *b)
{
	int ret;

	at += first / 8;
	b->first = at % VHDX_SECTOR * 8 + first % 8;
	b->end = MIN(b->first + count, PAGE_BITS);
	ret = vhdx_page_get(v, at, &b->page);
	if (!ret)
		b->map = (uint64_t *)b->page->bytes;
	return ret;
}

int vhdx_sectors_get(struct vhdx *v, uint64_t block, uint32_t first,
		     uint32_t *count, bool *present)
{
	struct bits b;
	uint64_t at;
	int ret = find(v, block, &at);

	if (!ret)
		ret = bits_get(v, at, first, *count, &b);
	if (ret)
		return ret;
	*present = block_bitmap_test(b.map, b.first);
	*count = (uint32_t)(block_bitmap_find(b.map, b.first, b.end,
					      !*present) - b.first);
	return 0;
}

/* Make bits @present, in a page that has room to become dirty if need be. */
static int bits_change(struct vhdx *v, const struct bits *b, bool present)
{
	int ret = 0;

	if (block_bitmap_find(b->map, b->first, b->end, !present) == b->end)
		return 0;
	if (!b->page->dirty)
		ret = vhdx_make_room(v, 1);
	if (ret)
		return ret;
	if (present)
		block_bitmap_set(b->map, b->first, b->end);
	else
		block_bitmap_clear(b->map, b->first, b->end);
	vhdx_page_dirty(b->page);
	return 0;
}

static int change_all(struct vhdx *v, uint64_t at, uint32_t first,
		      uint32_t count, bool present)
{
	uint32_t n;
	int ret = 0;

	for (; count && !ret; first += n, count -= n) {
		struct bits b;

		ret = bits_get(v, at, first, count, &b);
		n = (uint32_t)(b.end - b.first);
		if (!ret)
			ret = bits_change(v, &b, present);
	}
	return ret;
}

/*
 * Whether all bits of a block are set.  From its end, which who writes in order
 * comes to last, so that the search is a short one.
 */
static bool all_present(struct vhdx *v, uint64_t at)
{
	uint32_t step = MIN(block_sectors(v), PAGE_BITS), n = block_sectors(v);

	while (n) {
		struct bits b;

		n -= step;
		if (bits_get(v, at, n, step, &b) ||
		    !block_bitmap_test(b.map, b.end - 1) ||
		    block_bitmap_find(b.map, b.first, b.end, false) != b.end)
			return false;
	}
	return true;
}

int vhdx_sectors_set(struct vhdx *v, uint64_t block, uint32_t first,
		     uint32_t count, bool *all)
{
	uint64_t at;
	int ret = find(v, block, &at);

	if (!ret)
		ret = change_all(v, at, first, count, true);
	if (!ret)
		*all = all_present(v, at);
	return ret;
}

/* The chunk's bitmap block; a new one has zeroes. */
static int have_block(struct vhdx *v, uint64_t block, uint64_t *at)
{
	uint64_t where = vhdx_bat_bitmap(v, block), entry, offset;
	int ret = vhdx_bat_get(v, where, &entry);

	if (!ret && VHDX_ENTRY_STATE(entry) == SB_BLOCK_NOT_PRESENT) {
		ret = vhdx_allocate_end(v, VHDX_MIB, &offset);
		if (ret)
			return ret;
		entry = offset | SB_BLOCK_PRESENT;
		vhdx_bat_set(v, where, entry);
	}
	return ret ? ret : place(v, block, entry, at);
}

int vhdx_sectors_clear(struct vhdx *v, uint64_t block)
{
	uint64_t at;
	int ret = have_block(v, block, &at);

	return ret ? ret : change_all(v, at, 0, block_sectors(v), false);
}
