/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A larger VHD.  What it needs is put at the end of the file, and what
 * is used stays as it is: who reads an old footer has the old disk.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "backends/block_now.h"
#include "backends/vhd.h"
#include "backends/vhd_internal.h"

/* A longer BAT, and a header for it behind that, which @f points to then. */
static int add_table(struct block_backend *file, const struct vhd_facts *facts,
		     uint32_t entries, struct vhd_footer *f)
{
	struct vhd_header h = facts->header;
	uint64_t had = be32toh(h.max_table_entries), at = file->size;
	uint64_t bytes = vhd_table_size(entries);
	g_autofree uint8_t *buf = g_malloc(bytes);
	int result = block_read_now(file, be64toh(h.table_offset), buf,
				    vhd_table_size(had));

	memset(buf + had * 4, 0xff, bytes - had * 4);
	h.table_offset = htobe64(at);
	h.max_table_entries = htobe32(entries);
	vhd_header_seal(&h);
	f->data_offset = htobe64(at + bytes);
	if (!result)
		result = block_grow_now(file, at + bytes + sizeof(h) +
					      VHD_SECTOR);
	if (!result)
		result = block_write_now(file, at, buf, bytes);
	return result ? result : block_write_now(file, at + bytes, &h,
						 sizeof(h));
}

int vhd_enter_footer(struct block_backend *file, const struct vhd_footer *f)
{
	const uint64_t at[] = { file->size - VHD_SECTOR, 0 };
	int result = block_flush_now(file);

	for (size_t i = 0; i < G_N_ELEMENTS(at) && !result; i++) {
		result = block_write_now(file, at[i], f, sizeof(*f));
		if (!result)
			result = block_flush_now(file);
	}
	return result;
}

int vhd_resize(struct block_backend *file, const struct vhd_facts *facts,
	       uint64_t size)
{
	struct vhd_footer f = facts->footer;
	uint32_t block = be32toh(facts->header.block_size);
	uint32_t entries = (uint32_t)((size + block - 1) / block);
	int result = 0;

	if (size < facts->size || size > VHD_SIZE_MAX || size % VHD_SECTOR)
		return -EINVAL;
	if (entries > be32toh(facts->header.max_table_entries))
		result = add_table(file, facts, entries, &f);
	vhd_footer_resize(&f, size);
	return result ? result : vhd_enter_footer(file, &f);
}

/*
 * While it is open.
 */
static uint64_t *larger_bitmap(uint64_t *old, uint32_t had, uint32_t blocks)
{
	uint64_t *map = block_bitmap_new(blocks);

	for (uint32_t i = 0; i < had; i++)
		if (block_bitmap_test(old, i))
			block_bitmap_set(map, i, i + 1);
	g_free(old);
	return map;
}

static void have_blocks(struct vhd *v, uint32_t blocks)
{
	uint64_t bytes = vhd_table_size(blocks);

	if (blocks == v->blocks)
		return;
	v->bat = g_realloc(v->bat, bytes);
	for (uint32_t i = v->blocks; i < bytes / sizeof(*v->bat); i++)
		vhd_entry_set(v, i, VHD_UNUSED);
	v->fresh = larger_bitmap(v->fresh, v->blocks, blocks);
	v->full = larger_bitmap(v->full, v->blocks, blocks);
	v->blocks = blocks;
}

/* What stood in front of the old end is given up: a table may be behind it. */
static void use_new_end(struct vhd *v)
{
	v->end = v->room = MAX(v->file->size - VHD_SECTOR, v->room);
}

/*
 * A part of it may have failed.  The file says which disk it has now, of which
 * the blocks are the same.
 */
static int adopt(struct vhd *v, uint64_t had)
{
	struct vhd_facts facts;

	if (v->file->size != had)
		use_new_end(v);
	if (!vhd_read_facts(v->file, "", &facts, NULL))
		return -EIO;
	v->footer = facts.footer;
	v->table = be64toh(facts.header.table_offset);
	have_blocks(v, (uint32_t)((facts.size + v->block_size - 1) /
				  v->block_size));
	v->bb.size = facts.size;
	return 0;
}

int vhd_extend(struct block_backend *bb, uint64_t size)
{
	struct vhd *v = container_of(bb, struct vhd, bb);
	struct vhd_facts facts;
	uint64_t had = v->file->size;
	int result, adopted;

	if (v->parent || bb->read_only || !v->file->growable)
		return -EOPNOTSUPP;
	if (!vhd_read_facts(v->file, "", &facts, NULL))
		return -EIO;
	result = vhd_resize(v->file, &facts, size);
	adopted = adopt(v, had);
	return result ? result : adopted;
}

/*
 * The file ends with a footer always, and what the old one leaves behind is
 * gone before the disk has it.
 */
int vhd_fixed_grow(struct block_backend *file, const struct vhd_facts *facts,
		   uint64_t size)
{
	struct vhd_footer f = facts->footer;
	uint64_t dirty_end = MIN(size, file->size);
	int result = 0;

	if (size < facts->size || size % VHD_SECTOR)
		return -EINVAL;
	if (size + VHD_SECTOR > file->size)
		result = block_append_now(file, size + VHD_SECTOR, &f,
					  sizeof(f));
	if (!result)
		result = block_flush_now(file);
	if (!result && dirty_end > facts->size)
		result = block_zero_now(file, facts->size,
					dirty_end - facts->size);
	if (!result)
		result = block_flush_now(file);
	vhd_footer_resize(&f, size);
	if (!result)
		result = block_write_now(file, file->size - VHD_SECTOR, &f,
					 sizeof(f));
	return result ? result : block_flush_now(file);
}
