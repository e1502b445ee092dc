/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Another size.  What a larger disk needs is first in the file, where nothing
 * says yet that it is part of the disk: zeroed or placed blocks in the BAT
 * behind its last entry, or in a longer BAT at the file's end.  Then one entry
 * of the log changes the size and the region tables at once.
 */
#include <errno.h>
#include <string.h>

#include "backends/block_now.h"
#include "backends/vhdx_internal.h"
#include "core/util.h"

#define ENTRIES		(VHDX_SECTOR / sizeof(uint64_t))	/* of a page */

/* What is to become of the disk. */
struct resize {
	struct vhdx *v;
	struct vhdx_layout to;
	uint64_t end;		/* of what the file has */
	bool moves;		/* the BAT */
};

static bool is_payload(const struct vhdx_layout *l, uint64_t n)
{
	return n % (l->chunk_ratio + 1) != l->chunk_ratio;
}

/* Places in the file, and the file as long as it has to be. */
static int make_room(struct resize *r)
{
	const struct vhdx_layout *from = &r->v->layout;
	struct vhdx_layout *to = &r->to;
	struct block_backend *file = r->v->file;

	r->end = r->v->space.end;
	r->moves = to->entries > from->bat.length / sizeof(uint64_t);
	if (r->moves) {
		to->bat.offset = r->end;
		to->bat.length = (to->entries * sizeof(uint64_t) +
				  VHDX_MIB - 1) & ~(VHDX_MIB - 1);
		r->end += to->bat.length;
	}
	r->v->space.end = r->end;
	if (to->leave_allocated)
		r->v->space.end += (to->blocks - from->blocks) *
				   to->block_size;
	return r->v->space.end > file->size ?
	       block_grow_now(file, r->v->space.end) : 0;
}

/* A page of the BAT as it will be, from entry @first on. */
static int fill_page(struct resize *r, uint64_t first, uint64_t *page)
{
	const struct vhdx_layout *from = &r->v->layout;
	uint64_t old = first < from->entries ?
		       MIN(from->entries - first, ENTRIES) : 0;
	int ret = 0;

	if (old)
		ret = block_read_now(r->v->file, from->bat.offset +
				     first * sizeof(*page), page, VHDX_SECTOR);
	memset(page + old, 0, (ENTRIES - old) * sizeof(*page));
	for (uint64_t n = old; n < ENTRIES && first + n < r->to.entries; n++) {
		if (!r->to.leave_allocated || !is_payload(&r->to, first + n))
			continue;
		page[n] = r->end | PAYLOAD_BLOCK_FULLY_PRESENT;
		r->end += r->to.block_size;
	}
	return ret;
}

static bool is_empty(const uint64_t *page)
{
	return !page[0] && !memcmp(page, page + 1, VHDX_SECTOR - sizeof(*page));
}

static int write_table(struct resize *r)
{
	uint64_t page[ENTRIES];
	uint64_t at = r->moves ? 0 : r->v->layout.entries & ~(ENTRIES - 1);
	int ret = 0;

	for (; at < r->to.entries && !ret; at += ENTRIES) {
		ret = fill_page(r, at, page);
		/* What the file got is zero. */
		if (!ret && !(r->moves && is_empty(page)))
			ret = block_write_now(r->v->file, r->to.bat.offset +
					      at * sizeof(*page), page,
					      sizeof(page));
	}
	return ret;
}

/* Of the last block there may be more than the disk has. */
static int clean_last_block(struct vhdx *v)
{
	const struct vhdx_layout *l = &v->layout;
	uint64_t has = l->size % l->block_size, entry;
	int ret = has ? vhdx_bat_get(v, vhdx_bat_payload(v, l->blocks - 1),
				     &entry) : 0;

	if (ret || !has ||
	    VHDX_ENTRY_STATE(entry) < PAYLOAD_BLOCK_FULLY_PRESENT)
		return ret;
	if (!vhdx_block_fits(v, VHDX_ENTRY_OFFSET(entry), l->block_size))
		return -EIO;
	return block_zero_now(v->file, VHDX_ENTRY_OFFSET(entry) + has,
			      l->block_size - has);
}

static int enter(struct resize *r)
{
	g_autofree uint8_t *table = r->moves ?
		vhdx_regions_make(r->v, &r->to.bat) : NULL;
	const struct vhdx_change changes[] = {
		{ r->to.size_at, &r->to.size, sizeof(r->to.size) },
		{ VHDX_REGION1_OFFSET, table, VHDX_TABLE_SIZE },
		{ VHDX_REGION2_OFFSET, table, VHDX_TABLE_SIZE },
	};

	if (r->moves && !table)
		return -EIO;
	return vhdx_change(r->v, changes, r->moves ? 3 : 1);
}

/* Blocks of a fixed disk behind its new end are free. */
static int find_end(struct vhdx *v, const struct vhdx_layout *to)
{
	struct vhdx_survey s;
	int ret;

	v->layout = *to;
	ret = vhdx_survey(&v->bb, &s);
	if (!ret && !s.outside && !s.shared)
		v->space.end = s.end;
	vhdx_survey_finish(&s);
	return ret;
}

/* What is needed first, where nothing says yet that it is there. */
static int prepare(struct resize *r)
{
	struct vhdx *v = r->v;
	uint64_t end = v->space.end;
	int ret = 0;

	if (r->to.size > v->layout.size)
		ret = clean_last_block(v);
	if (!ret && r->to.blocks > v->layout.blocks) {
		ret = make_room(r);
		if (!ret)
			ret = write_table(r);
	}
	if (ret)
		v->space.end = end;
	return ret;
}

/* From here on it is so: what is not stable now is with the next commit. */
static int perform(struct resize *r)
{
	struct vhdx *v = r->v;
	const struct vhdx_layout from = v->layout;
	int ret = enter(r);

	if (ret)
		return ret;
	v->layout = r->to;
	v->bb.size = r->to.size;
	ret = vhdx_commit_all(v);
	if (!ret && r->moves)
		ret = block_zero_now(v->file, from.bat.offset, from.bat.length);
	if (!ret && r->to.size < from.size)
		ret = find_end(v, &r->to);
	return ret;
}

int vhdx_resize(struct block_backend *bb, uint64_t size)
{
	struct vhdx *v = container_of(bb, struct vhdx, bb);
	struct resize r = { .v = v, .to = v->layout };
	int ret;

	r.to.size = size;
	if (!vhdx_layout_valid(&r.to) ||
	    (v->parent && v->parent->size > v->layout.size &&
	     size > v->layout.size))
		return -EINVAL;
	ret = vhdx_begin_now(v, true);
	if (!ret)
		ret = prepare(&r);
	return ret ? ret : perform(&r);
}

/*
 * Have all in its place, and begin a new log with the next write.  Headers that
 * say, or were to say, that there is none end it in any case: no entry of it
 * would count any more.
 */
static int end_log(struct vhdx *v)
{
	static const struct guid none;
	int ret = vhdx_commit_all(v);

	if (!memcmp(&v->header.log_guid, &none, sizeof(none)))
		v->log.begun = false;
	return ret;
}

/*
 * While it is open.  Pages that are in memory are of the table as it was, but
 * for those that are not in the file yet.
 */
int vhdx_extend(struct block_backend *bb, uint64_t size)
{
	struct vhdx *v = container_of(bb, struct vhdx, bb);
	int ret;

	if (!v->file->growable || bb->read_only)
		return -EOPNOTSUPP;
	if (size < bb->size)
		return -EINVAL;
	/* The table is copied by what is in the file. */
	ret = end_log(v);
	if (!ret) {
		ret = vhdx_resize(bb, size);
		end_log(v);
	}
	vhdx_cache_drop_clean(&v->cache);
	v->closing = false;
	return ret;
}
