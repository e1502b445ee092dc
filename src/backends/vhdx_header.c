/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Headers and region tables: [MS-VHDX] 2.2. */
#include <errno.h>
#include <string.h>

#include "backends/block_bitmap.h"
#include "backends/block_now.h"
#include "backends/crc32c.h"
#include "backends/vhdx_internal.h"
#include "core/error.h"

#define LOG_MAX		(UINT64_C(1) << 30)
#define METADATA_MAX	(UINT64_C(128) << 20)

static const uint32_t header_offset[] = {
	VHDX_HEADER1_OFFSET, VHDX_HEADER2_OFFSET,
};

/* Both tables and headers have their checksum at byte 4. */
uint32_t vhdx_checksum(const void *data, size_t len)
{
	static const uint8_t zeroes[4];
	const uint8_t *p = data;
	uint32_t crc = crc32c(0, p, 4);

	crc = crc32c(crc, zeroes, 4);
	return crc32c(crc, p + 8, len - 8);
}

static bool header_read(struct vhdx *v, unsigned n, struct vhdx_header *h)
{
	return !block_read_now(v->file, header_offset[n], h, sizeof(*h)) &&
	       h->signature == VHDX_HEADER_SIGNATURE &&
	       h->checksum == vhdx_checksum(h, sizeof(*h));
}

bool vhdx_log_is_empty(const struct vhdx *v)
{
	static const struct guid none;

	return guid_equal(&v->header.log_guid, &none);
}

static bool header_check(struct vhdx *v, const char *path, GError **error)
{
	const struct vhdx_header *h = &v->header;

	if (h->version != 1)
		return vhdx_fail(error, path, "vhdx.version",
				 "its format is of a version that is not 1",
				 NULL);
	if (!vhdx_log_is_empty(v) && h->log_version)
		return vhdx_fail(error, path, "vhdx.log-version",
				 "its log is of a version that is not 0",
				 "let the program that wrote it close it");
	if (!h->log_length || h->log_length % VHDX_MIB ||
	    h->log_offset % VHDX_MIB || h->log_offset < VHDX_MIB ||
	    h->log_length > LOG_MAX || h->log_offset > v->file->size ||
	    h->log_length > v->file->size - h->log_offset)
		return vhdx_fail(error, path, "vhdx.log",
				 "its log is at a place that cannot be", NULL);
	v->layout.log = (struct vhdx_region){ h->log_offset, h->log_length };
	return true;
}

bool vhdx_headers_read(struct vhdx *v, const char *path, GError **error)
{
	g_autofree struct vhdx_header *h = g_new0(struct vhdx_header, 2);
	bool good[2];

	if (v->file->size < VHDX_MIB)
		return vhdx_fail(error, path, "vhdx.short",
				 "it ends within its headers", NULL);
	for (unsigned n = 0; n < 2; n++)
		good[n] = header_read(v, n, &h[n]);
	if (!good[0] && !good[1])
		return vhdx_fail(error, path, "vhdx.header",
				 "both of its headers are damaged", NULL);
	v->current = good[1] && (!good[0] || h[1].sequence_number >
					     h[0].sequence_number);
	v->header = h[v->current];
	v->damaged_header = !good[0] || !good[1];
	return header_check(v, path, error);
}

uint64_t vhdx_header_next(struct vhdx *v)
{
	v->current ^= 1;
	v->header.sequence_number++;
	v->header.checksum = vhdx_checksum(&v->header, sizeof(v->header));
	return header_offset[v->current];
}

int vhdx_header_end_log(struct vhdx *v)
{
	int ret = 0;

	memset(&v->header.log_guid, 0, sizeof(v->header.log_guid));
	for (unsigned n = 0; n < 2 && !ret; n++) {
		uint64_t at = vhdx_header_next(v);

		ret = block_write_now(v->file, at, &v->header,
				      sizeof(v->header));
		if (!ret)
			ret = block_flush_now(v->file);
	}
	return ret;
}

/*
 * The region table.
 */
static bool table_good(const uint8_t *table)
{
	const struct vhdx_region_table_header *h = (const void *)table;

	return h->signature == VHDX_REGION_SIGNATURE &&
	       h->checksum == vhdx_checksum(table, VHDX_TABLE_SIZE) &&
	       h->entry_count <= VHDX_REGION_ENTRY_MAX;
}

static bool one_table_read(struct vhdx *v, uint64_t at, uint8_t *table)
{
	return !block_read_now(v->file, at, table, VHDX_TABLE_SIZE) &&
	       table_good(table);
}

/* The first one if that is good. */
static bool table_read(struct vhdx *v, uint8_t *table)
{
	bool second = one_table_read(v, VHDX_REGION2_OFFSET, table);
	g_autofree uint8_t *first = g_malloc(VHDX_TABLE_SIZE);

	v->damaged_regions = !one_table_read(v, VHDX_REGION1_OFFSET, first);
	if (v->damaged_regions)
		return second;
	v->damaged_regions = !second ||
			     memcmp(first, table, VHDX_TABLE_SIZE) != 0;
	memcpy(table, first, VHDX_TABLE_SIZE);
	return true;
}

static bool overlaps(const struct vhdx_region *a, uint64_t offset,
		     uint64_t length)
{
	return a->offset < offset + length && offset < a->offset + a->length;
}

static bool region_fits(const struct vhdx *v,
			const struct vhdx_region_table_entry *e)
{
	return e->file_offset >= VHDX_MIB && e->length &&
	       (e->file_offset | e->length) % VHDX_MIB == 0 &&
	       e->file_offset <= v->file->size &&
	       e->length <= v->file->size - e->file_offset &&
	       !overlaps(&v->layout.log, e->file_offset, e->length);
}

/* Which region of ours entry @e is; NULL: none. */
static struct vhdx_region *region_known(struct vhdx_layout *l,
					const struct guid *guid)
{
	static const struct guid bat = VHDX_REGION_BAT;
	static const struct guid metadata = VHDX_REGION_METADATA;

	if (guid_equal(guid, &bat))
		return &l->bat;
	return guid_equal(guid, &metadata) ? &l->metadata : NULL;
}

static bool region_take(struct vhdx *v,
			const struct vhdx_region_table_entry *e,
			const char *path, GError **error)
{
	struct vhdx_region *r = region_known(&v->layout, &e->guid);
	char text[GUID_TEXT_SIZE];

	if (!r && e->required) {
		g_autofree char *why = g_strdup_printf(
			"it needs region {%s}, which kvmbus does not know",
			guid_text(&e->guid, text));

		return vhdx_fail(error, path, "vhdx.unknown-region", why,
				 NULL);
	}
	if (!r)
		return true;
	if (!region_fits(v, e) || r->length)
		return vhdx_fail(error, path, "vhdx.region",
				 "a region of it is at a place that cannot be",
				 NULL);
	*r = (struct vhdx_region){ e->file_offset, e->length };
	return true;
}

bool vhdx_regions_read(struct vhdx *v, const char *path, GError **error)
{
	g_autofree uint8_t *table = g_malloc(VHDX_TABLE_SIZE);
	const struct vhdx_region_table_header *h = (const void *)table;
	const struct vhdx_region_table_entry *e = (const void *)(h + 1);
	struct vhdx_layout *l = &v->layout;

	if (!table_read(v, table))
		return vhdx_fail(error, path, "vhdx.region-table",
				 "both of its region tables are damaged",
				 NULL);
	for (uint32_t i = 0; i < h->entry_count; i++)
		if (!region_take(v, &e[i], path, error))
			return false;
	if (!l->bat.length || !l->metadata.length ||
	    l->metadata.length > METADATA_MAX ||
	    overlaps(&l->bat, l->metadata.offset, l->metadata.length))
		return vhdx_fail(error, path, "vhdx.region",
				 "it has no proper regions for the BAT and "
				 "for metadata", NULL);
	return true;
}

uint8_t *vhdx_regions_make(struct vhdx *v, const struct vhdx_region *bat)
{
	g_autofree uint8_t *table = g_malloc(VHDX_TABLE_SIZE);
	struct vhdx_region_table_header *h = (void *)table;
	struct vhdx_region_table_entry *e = (void *)(h + 1);

	if (!table_read(v, table))
		return NULL;
	for (uint32_t i = 0; i < h->entry_count; i++) {
		if (region_known(&v->layout, &e[i].guid) != &v->layout.bat)
			continue;
		e[i].file_offset = bat->offset;
		e[i].length = (uint32_t)bat->length;
	}
	h->checksum = vhdx_checksum(table, VHDX_TABLE_SIZE);
	return g_steal_pointer(&table);
}

static uint64_t mark(const struct vhdx *v, uint64_t *used, uint64_t offset,
		     uint64_t length)
{
	uint64_t units = v->file->size / VHDX_MIB;
	uint64_t first = MIN(offset / VHDX_MIB, units);
	uint64_t end = MIN(first + length / VHDX_MIB, units);

	block_bitmap_set(used, first, end);
	return end * VHDX_MIB;
}

uint64_t vhdx_regions_mark(struct vhdx *v, uint64_t *used)
{
	g_autofree uint8_t *table = vhdx_regions_make(v, &v->layout.bat);
	const struct vhdx_region_table_header *h = (const void *)table;
	const struct vhdx_region_table_entry *e = (const void *)(h + 1);
	uint64_t end = mark(v, used, v->layout.log.offset,
			    v->layout.log.length);

	mark(v, used, 0, VHDX_MIB);
	for (uint32_t i = 0; table && i < h->entry_count; i++) {
		uint64_t last = mark(v, used, e[i].file_offset, e[i].length);

		end = MAX(end, last);
	}
	return end;
}
