/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The whole BAT, read at once: where data is, and what is wrong. */
#include <errno.h>
#include <inttypes.h>

#include "backends/block_bitmap.h"
#include "backends/block_now.h"
#include "backends/vhdx_internal.h"
#include "core/util.h"

#define ENTRIES		(VHDX_SECTOR / sizeof(uint64_t))	/* of a page */
#define FILE_MAX	(2 * VHDX_SIZE_MAX)	/* that can have been used */
#define CHUNK		(256u << 10)	/* of the BAT that is read at a time */

/* The parent's size is the end of what it has. */
static uint64_t data_below(const struct vhdx *v, uint64_t at)
{
	uint64_t data = block_next_data(v->parent, at);

	return data < v->parent->size ? data : UINT64_MAX;
}

/* What of a block at @at or behind it may be data; UINT64_MAX: nothing. */
static uint64_t data_in_block(const struct vhdx *v, uint64_t entry,
			      uint64_t at)
{
	uint64_t offset = VHDX_ENTRY_OFFSET(entry);
	uint64_t skip = at % v->layout.block_size;

	switch (VHDX_ENTRY_STATE(entry)) {
	case PAYLOAD_BLOCK_NOT_PRESENT:
		return v->parent && at < v->parent->size ?
		       data_below(v, at) : UINT64_MAX;
	case PAYLOAD_BLOCK_UNDEFINED:
	case PAYLOAD_BLOCK_ZERO:
	case PAYLOAD_BLOCK_UNMAPPED:
		return UINT64_MAX;
	case PAYLOAD_BLOCK_FULLY_PRESENT:
		/* Holes of the file are the disk's. */
		if (vhdx_block_fits(v, offset, v->layout.block_size))
			return at - skip - offset +
			       block_next_data(v->file, offset + skip);
		return at;
	default:
		return at;
	}
}

uint64_t vhdx_next_data(struct block_backend *bb, uint64_t at)
{
	const struct vhdx *v = container_of(bb, struct vhdx, bb);
	uint64_t page[ENTRIES], loaded = 0;

	while (at < bb->size) {
		uint64_t block = at / v->layout.block_size;
		uint64_t end = (block + 1) * v->layout.block_size, data;
		uint64_t place = vhdx_bat_payload(v, block);

		if (loaded != (place & ~(uint64_t)(VHDX_SECTOR - 1))) {
			loaded = place & ~(uint64_t)(VHDX_SECTOR - 1);
			if (block_read_now(v->file, loaded, page, VHDX_SECTOR))
				return at;
		}
		data = data_in_block(v, page[place % VHDX_SECTOR /
					     sizeof(*page)], at);
		if (data < end)
			return MIN(data, bb->size);
		at = end;
	}
	return bb->size;
}

/* A block of the file has another one's place, or none. */
static void take_block(struct vhdx *v, struct vhdx_survey *s, uint64_t offset,
		       uint64_t len)
{
	uint64_t first = offset / VHDX_MIB, count = len / VHDX_MIB;

	s->blocks++;
	if (offset > v->file->size || len > v->file->size - offset)
		s->outside++;
	else if (block_bitmap_set(s->used, first, first + count) != count)
		s->shared++;
	else
		s->end = MAX(s->end, offset + len);
}

static void take_entries(struct vhdx *v, struct vhdx_survey *s, uint64_t first,
			 const uint64_t *entry, uint64_t count)
{
	const struct vhdx_layout *l = &v->layout;

	for (uint64_t n = first; n < first + count; n++) {
		bool bitmap = n % (l->chunk_ratio + 1) == l->chunk_ratio;
		uint64_t e = entry[n - first];

		s->payload += !bitmap && VHDX_ENTRY_STATE(e) ==
					 PAYLOAD_BLOCK_FULLY_PRESENT;
		if (VHDX_ENTRY_STATE(e) == PAYLOAD_BLOCK_FULLY_PRESENT ||
		    VHDX_ENTRY_STATE(e) == PAYLOAD_BLOCK_PARTIALLY_PRESENT)
			take_block(v, s, VHDX_ENTRY_OFFSET(e),
				   bitmap ? VHDX_MIB : l->block_size);
	}
}

/* The BAT of a large disk may be holes for the most part. */
static int take_table(struct vhdx *v, struct vhdx_survey *s)
{
	const struct vhdx_layout *l = &v->layout;
	uint64_t *buf = g_aligned_alloc(1, CHUNK, VHDX_SECTOR);
	uint64_t n = 0, count;
	int ret = 0;

	while (!ret && n < l->entries) {
		uint64_t at = l->bat.offset + n * sizeof(*buf);
		uint64_t data = block_next_data(v->file, at);

		n += (data - at) / VHDX_SECTOR * ENTRIES;
		if (n >= l->entries)
			break;
		at = l->bat.offset + n * sizeof(*buf);
		count = MIN(l->entries - n, CHUNK / sizeof(*buf));
		ret = block_read_now(v->file, at, buf,
				     (count + ENTRIES - 1) / ENTRIES *
				     VHDX_SECTOR);
		if (!ret)
			take_entries(v, s, n, buf, count);
		n += count;
	}
	g_aligned_free(buf);
	return ret;
}

/* What structures and blocks take of the file. */
static int take_all(struct vhdx *v, struct vhdx_survey *s)
{
	*s = (struct vhdx_survey){ 0 };
	if (v->file->size > FILE_MAX)
		return -EFBIG;
	s->used = block_bitmap_new(v->file->size / VHDX_MIB);
	s->end = vhdx_regions_mark(v, s->used);
	return take_table(v, s);
}

static bool may_use(struct vhdx *v, struct vhdx_survey *s, const char *path,
		    GError **error)
{
	g_autofree char *why = NULL;
	int ret = take_all(v, s);

	if (ret)
		why = g_strdup_printf("its BAT cannot be checked: %s",
				      g_strerror(-ret));
	else if (s->shared || s->outside)
		why = g_strdup_printf(
			"of its blocks, %" PRIu64 " share a place with others, "
			"or with what leads to them, and %" PRIu64 " are "
			"outside of the file: writes would damage more",
			s->shared, s->outside);
	vhdx_survey_finish(s);
	return !why || vhdx_fail(error, path, "vhdx.overlap", why,
				 "a backup; to read what is there: "
				 "--disk FILE,ro=on");
}

bool vhdx_may_write(struct vhdx *v, const char *path, GError **error)
{
	struct vhdx_survey s;

	return may_use(v, &s, path, error);
}

bool vhdx_may_share(struct vhdx *v, const char *path, GError **error)
{
	struct vhdx_survey s;

	if (!may_use(v, &s, path, error))
		return false;
	return (v->layout.leave_allocated && s.payload == v->layout.blocks) ||
	       vhdx_fail(error, path, "vhdx.shared",
			 "it is not fixed, or some of its blocks are not in the "
			 "file, and machines that share it cannot add them",
			 "make a new one: kvmbus disk convert --fixed");
}

/* Unused MiB that are not holes. */
static uint64_t lost_bytes(struct block_backend *file, const uint64_t *used,
			   uint64_t units)
{
	uint64_t lost = 0, n = 0, data;

	while ((n = block_bitmap_find(used, n, units, false)) < units) {
		data = block_next_data(file, n * VHDX_MIB) / VHDX_MIB;
		if (data == n) {
			lost += VHDX_MIB;
			n++;
		} else {
			n = MIN(data, units);
		}
	}
	return lost;
}

int vhdx_survey(struct block_backend *bb, struct vhdx_survey *s)
{
	struct vhdx *v = container_of(bb, struct vhdx, bb);
	int ret = take_all(v, s);

	if (!s->used)
		return ret;
	s->damaged_header = v->damaged_header;
	s->damaged_regions = v->damaged_regions;
	s->replayed = v->replayed;
	s->aside = v->aside;
	s->lost = lost_bytes(v->file, s->used, v->file->size / VHDX_MIB);
	return ret;
}

void vhdx_survey_finish(struct vhdx_survey *s)
{
	g_free(s->used);
}

static int write_tables(struct vhdx *v)
{
	static const uint64_t at[] = {
		VHDX_REGION1_OFFSET, VHDX_REGION2_OFFSET,
	};
	g_autofree uint8_t *table = vhdx_regions_make(v, &v->layout.bat);
	int ret = table ? 0 : -EIO;

	for (size_t i = 0; i < G_N_ELEMENTS(at) && !ret; i++) {
		ret = block_write_now(v->file, at[i], table, VHDX_TABLE_SIZE);
		if (!ret)
			ret = block_flush_now(v->file);
	}
	return ret;
}

/* What is in no block becomes holes; at the end it goes. */
static int give_back(struct vhdx *v, const struct vhdx_survey *s)
{
	uint64_t units = s->end / VHDX_MIB, first = 0, end;
	int ret = 0;

	while (!ret && (first = block_bitmap_find(s->used, first, units,
						  false)) < units) {
		end = block_bitmap_find(s->used, first, units, true);
		ret = block_zero_now(v->file, first * VHDX_MIB,
				     (end - first) * VHDX_MIB);
		first = end;
	}
	v->space.end = s->end;
	return ret ? ret : vhdx_space_give_back(v);
}

/* What the disk has stays as it is, and so does its DataWriteGuid. */
int vhdx_repair(struct block_backend *bb, const struct vhdx_survey *s)
{
	struct vhdx *v = container_of(bb, struct vhdx, bb);
	int ret = 0;

	vhdx_new_guid(&v->header.file_write_guid);
	if (s->damaged_header)
		ret = vhdx_header_end_log(v);
	if (!ret && s->damaged_regions)
		ret = write_tables(v);
	return ret || s->outside || s->shared ? ret : give_back(v, s);
}
