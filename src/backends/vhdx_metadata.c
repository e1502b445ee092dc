/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Metadata: what the disk is like: [MS-VHDX] 2.6. */
#include <errno.h>
#include <string.h>

#include "backends/block_now.h"
#include "backends/vhdx_internal.h"
#include "core/error.h"

#define LOCATOR_MAX	(1u << 20)

/* Items we understand; the last is that of a disk with a parent only. */
enum item { FILE_PARAMETERS, DISK_SIZE, DISK_ID, LOGICAL_SECTOR,
	    PHYSICAL_SECTOR, PARENT_LOCATOR, ITEMS };

static const struct {
	struct guid id;
	uint32_t length;	/* 0: any, up to LOCATOR_MAX */
} known[ITEMS] = {
	[FILE_PARAMETERS] = { VHDX_ITEM_FILE_PARAMETERS, 8 },
	[DISK_SIZE] = { VHDX_ITEM_VIRTUAL_DISK_SIZE, 8 },
	[DISK_ID] = { VHDX_ITEM_VIRTUAL_DISK_ID, 16 },
	[LOGICAL_SECTOR] = { VHDX_ITEM_LOGICAL_SECTOR_SIZE, 4 },
	[PHYSICAL_SECTOR] = { VHDX_ITEM_PHYSICAL_SECTOR_SIZE, 4 },
	[PARENT_LOCATOR] = { VHDX_ITEM_PARENT_LOCATOR, 0 },
};

struct items {
	struct vhdx_metadata_table_entry entry[ITEMS];
	bool there[ITEMS];
};

static bool damaged(GError **error, const char *path, const char *why)
{
	return vhdx_fail(error, path, "vhdx.metadata", why, NULL);
}

static bool item_fits(const struct vhdx *v,
		      const struct vhdx_metadata_table_entry *e, unsigned n)
{
	return (known[n].length ? e->length == known[n].length :
		e->length <= LOCATOR_MAX) &&
	       e->offset >= VHDX_TABLE_SIZE &&
	       e->offset <= v->layout.metadata.length &&
	       e->length <= v->layout.metadata.length - e->offset;
}

static bool item_take(struct vhdx *v,
		      const struct vhdx_metadata_table_entry *e,
		      struct items *items, const char *path, GError **error)
{
	char text[GUID_TEXT_SIZE];
	unsigned n = 0;

	while (n < ITEMS && (e->flags & VHDX_METADATA_IS_USER ||
			     !guid_equal(&known[n].id, &e->item_id)))
		n++;
	if (n == ITEMS && e->flags & VHDX_METADATA_IS_REQUIRED) {
		g_autofree char *why = g_strdup_printf(
			"it needs metadata {%s}, which kvmbus does not know",
			guid_text(&e->item_id, text));

		return vhdx_fail(error, path, "vhdx.unknown-metadata", why,
				 NULL);
	}
	if (n == ITEMS)
		return true;
	if (items->there[n] || !item_fits(v, e, n))
		return damaged(error, path, "an item of its metadata is "
			       "there twice, or where it cannot be");
	items->entry[n] = *e;
	items->there[n] = true;
	return true;
}

static bool table_read(struct vhdx *v, struct items *items, const char *path,
		       GError **error)
{
	g_autofree uint8_t *table = g_malloc(VHDX_TABLE_SIZE);
	const struct vhdx_metadata_table_header *h = (const void *)table;
	const struct vhdx_metadata_table_entry *e = (const void *)(h + 1);

	if (block_read_now(v->file, v->layout.metadata.offset, table,
			   VHDX_TABLE_SIZE) ||
	    memcmp(h->signature, VHDX_METADATA_SIGNATURE,
		   sizeof(h->signature)) ||
	    h->entry_count > VHDX_METADATA_ENTRY_MAX)
		return damaged(error, path, "its metadata table is damaged");
	for (unsigned i = 0; i < h->entry_count; i++)
		if (!item_take(v, &e[i], items, path, error))
			return false;
	for (unsigned n = 0; n < PARENT_LOCATOR; n++)
		if (!items->there[n])
			return damaged(error, path,
				       "required metadata is missing");
	return true;
}

/* Items may be anywhere; the file is read in sectors. */
static bool item_read(struct vhdx *v, const struct items *items, unsigned n,
		      void *to, uint32_t length)
{
	uint64_t offset = v->layout.metadata.offset + items->entry[n].offset;
	uint64_t start = offset & ~(uint64_t)(VHDX_SECTOR - 1);
	uint64_t skip = offset - start;
	size_t whole = (skip + length + VHDX_SECTOR - 1) &
		       ~(size_t)(VHDX_SECTOR - 1);
	g_autofree uint8_t *bytes = g_malloc(whole);

	if (block_read_now(v->file, start, bytes, whole))
		return false;
	memcpy(to, bytes + skip, length);
	return true;
}

static bool sector_good(uint32_t size)
{
	return size == 512 || size == 4096;
}

static void layout_count(struct vhdx_layout *l)
{
	l->chunk_ratio = VHDX_CHUNK_SECTORS * l->sector / l->block_size;
	l->blocks = (l->size + l->block_size - 1) / l->block_size;
	l->entries = l->blocks + (l->blocks - 1) / l->chunk_ratio;
	/* The last bitmap block's, which the last payload blocks need. */
	if (l->has_parent)
		l->entries = ((l->blocks - 1) / l->chunk_ratio + 1) *
			     (l->chunk_ratio + 1);
}

bool vhdx_layout_valid(struct vhdx_layout *l)
{
	if (l->block_size < VHDX_BLOCK_MIN || l->block_size > VHDX_BLOCK_MAX ||
	    l->block_size & (l->block_size - 1) || !sector_good(l->sector) ||
	    !sector_good(l->physical_sector) || !l->size ||
	    l->size > VHDX_SIZE_MAX || l->size % l->sector)
		return false;
	layout_count(l);
	return true;
}

static bool locator_read(struct vhdx *v, const struct items *items,
			 struct vhdx_locator *locator, const char *path,
			 GError **error)
{
	uint32_t len = items->entry[PARENT_LOCATOR].length;
	g_autofree uint8_t *item = g_malloc(len + 1);
	g_autofree char *why = NULL;
	const char *wrong;

	if (!items->there[PARENT_LOCATOR])
		return damaged(error, path,
			       "it has a parent, and nothing names that");
	if (!item_read(v, items, PARENT_LOCATOR, item, len))
		return damaged(error, path, "its metadata cannot be read");
	wrong = vhdx_locator_read(locator, item, len, path);
	why = g_strdup_printf("its parent locator %s", wrong);
	return !wrong || vhdx_fail(error, path, "vhdx.locator", why, NULL);
}

bool vhdx_metadata_read(struct vhdx *v, struct vhdx_locator *locator,
			const char *path, GError **error)
{
	g_autofree struct items *items = g_new0(struct items, 1);
	struct vhdx_layout *l = &v->layout;
	struct vhdx_file_parameters p;

	if (!table_read(v, items, path, error))
		return false;
	if (!item_read(v, items, FILE_PARAMETERS, &p, sizeof(p)) ||
	    !item_read(v, items, DISK_SIZE, &l->size, 8) ||
	    !item_read(v, items, DISK_ID, &l->disk_id, 16) ||
	    !item_read(v, items, LOGICAL_SECTOR, &l->sector, 4) ||
	    !item_read(v, items, PHYSICAL_SECTOR, &l->physical_sector, 4))
		return damaged(error, path, "its metadata cannot be read");
	l->size_at = l->metadata.offset + items->entry[DISK_SIZE].offset;
	l->block_size = p.block_size;
	l->has_parent = p.flags & VHDX_HAS_PARENT;
	l->leave_allocated = p.flags & VHDX_LEAVE_BLOCKS_ALLOCATED &&
			     !l->has_parent;
	if (!vhdx_layout_valid(l))
		return damaged(error, path, "its size, or that of its blocks "
			       "or sectors, is none that a disk can have");
	if (l->entries > l->bat.length / sizeof(uint64_t))
		return damaged(error, path,
			       "its BAT is too small for its size");
	return !l->has_parent || locator_read(v, items, locator, path, error);
}

int vhdx_metadata_set_locator(struct vhdx *v, const uint8_t *item,
			      uint32_t len)
{
	g_autofree uint8_t *table = g_malloc(VHDX_TABLE_SIZE);
	const struct vhdx_metadata_table_header *h = (const void *)table;
	struct vhdx_metadata_table_entry *e = (void *)(table + sizeof(*h));
	struct vhdx_metadata_table_entry *own = NULL;
	uint64_t end = VHDX_TABLE_SIZE, base = v->layout.metadata.offset;
	int ret = block_read_now(v->file, base, table, VHDX_TABLE_SIZE);

	for (unsigned i = 0; !ret && i < h->entry_count; i++) {
		if (!(e[i].flags & VHDX_METADATA_IS_USER) &&
		    guid_equal(&e[i].item_id, &known[PARENT_LOCATOR].id))
			own = &e[i];
		end = MAX(end, (uint64_t)e[i].offset + e[i].length);
	}
	if (!own)
		return ret ? ret : -EIO;
	if (len > own->length && end + len > v->layout.metadata.length)
		return -ENOSPC;
	if (len > own->length)
		own->offset = (uint32_t)end;
	own->length = len;
	return vhdx_change(v, (struct vhdx_change[]){
		{ base + own->offset, item, len },
		{ base + (uint64_t)((uint8_t *)own - table), own,
		  sizeof(*own) },
	}, 2);
}
