/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The BAT, as it is read and checked when a disk is opened. */
#include <endian.h>
#include <string.h>

#include "backends/block_now.h"
#include "backends/vhd.h"
#include "backends/vhd_internal.h"

#define CHUNK		(1u << 20)	/* that is read at a time */
#define BUFFER_ALIGN	4096u
#define RUN		512u		/* entries that are looked at at once */
/* Behind this the file has no place that an entry can name. */
#define PLACES_END	((uint64_t)VHD_UNUSED * VHD_SECTOR)

/*
 * Where blocks begin, to find two that share a place: a slot for each piece of
 * the file that is as long as a block, so that each has one block at most, and
 * only the slots beside it have others that can reach into it.
 */
struct places {
	uint32_t *sector;	/* 0: none; NULL: nobody wants to know */
	uint64_t len;		/* bytes of a block in the file */
};

struct table {
	struct vhd *v;
	const struct vhd_facts *facts;
	const char *path;
	struct places places;
};

static uint64_t block_len(const struct vhd *v)
{
	return (uint64_t)v->bitmap_size + v->block_size;
}

static bool is_in_file(const struct vhd *v, uint64_t at)
{
	return at >= VHD_SECTOR && at <= v->file->size &&
	       block_len(v) <= v->file->size - at;
}

/* All ends are in the file. */
static bool meets(uint64_t at, uint64_t len, uint64_t other,
		  uint64_t other_len)
{
	return at < other + other_len && other < at + len;
}

uint32_t vhd_blocks(const struct vhd_facts *facts)
{
	uint32_t size = be32toh(facts->header.block_size);

	return (uint32_t)((facts->size + size - 1) / size);
}

bool vhd_is_on_structure(const struct block_backend *file,
			 const struct vhd_facts *facts, uint64_t at,
			 uint64_t len)
{
	const struct vhd_header *h = &facts->header;
	uint64_t blocks = vhd_blocks(facts);

	/* The header may have room for more blocks. */
	if (at < VHD_SECTOR ||
	    meets(at, len, be64toh(facts->footer.data_offset), sizeof(*h)) ||
	    meets(at, len, be64toh(h->table_offset), vhd_table_size(blocks)))
		return true;
	for (unsigned i = 0; i < VHD_LOCATORS; i++) {
		uint64_t offset = be64toh(h->locator[i].data_offset);
		uint64_t size = be32toh(h->locator[i].data_length);

		if (h->locator[i].platform_code && offset <= file->size &&
		    size <= file->size - offset &&
		    meets(at, len, offset, size))
			return true;
	}
	return false;
}

/* Whether a block before this one, or what is no block, has the place. */
static bool is_taken(struct table *t, uint64_t at)
{
	struct places *p = &t->places;
	uint32_t *slot;

	if (!p->sector)
		return false;
	slot = &p->sector[at / p->len];
	if (*slot || vhd_is_on_structure(t->v->file, t->facts, at, p->len))
		return true;
	if ((slot > p->sector && slot[-1] &&
	     at - (uint64_t)slot[-1] * VHD_SECTOR < p->len) ||
	    (slot[1] && (uint64_t)slot[1] * VHD_SECTOR - at < p->len))
		return true;
	*slot = (uint32_t)(at / VHD_SECTOR);
	return false;
}

static bool take_entry(struct table *t, uint32_t index, uint32_t entry,
		       GError **error)
{
	struct vhd *v = t->v;
	uint64_t at = (uint64_t)entry * VHD_SECTOR;

	if (!is_in_file(v, at) ||
	    meets(at, block_len(v), v->table, vhd_table_size(v->blocks)))
		return vhd_fail(error, t->path, "vhd.bat",
				"kvmbus disk check says how much is lost",
				"block %u is not in the file: it is "
				"damaged, or not complete", index);
	if (is_taken(t, at))
		return vhd_fail(error, t->path, "vhd.overlap",
				"a backup; to read what is there: "
				"--disk FILE,ro=on",
				"block %u has a place in the file that "
				"something else has, too, which writes would "
				"damage", index);
	v->end = MAX(v->end, at + block_len(v));
	vhd_entry_set(v, index, entry);
	return true;
}

static bool is_unused(const uint32_t *entries, uint32_t count)
{
	return *entries == VHD_UNUSED &&
	       !memcmp(entries, entries + 1, (count - 1) * sizeof(*entries));
}

static bool take_entries(struct table *t, uint32_t first,
			 const uint32_t *entries, uint32_t count,
			 GError **error)
{
	for (uint32_t i = 0; i < count; i++) {
		if (i % RUN == 0 && is_unused(entries + i,
					      MIN(RUN, count - i)))
			i += RUN - 1;
		else if (entries[i] != VHD_UNUSED &&
			 !take_entry(t, first + i, be32toh(entries[i]), error))
			return false;
	}
	return true;
}

static bool read_all(struct table *t, uint32_t *buf, GError **error)
{
	struct vhd *v = t->v;
	const uint32_t most = CHUNK / sizeof(*buf);

	for (uint32_t first = 0; first < v->blocks; first += most) {
		uint32_t count = MIN(most, v->blocks - first);
		int result = block_read_now(v->file, v->table +
					    first * sizeof(*buf), buf,
					    vhd_table_size(count));

		if (result)
			return vhd_read_failed(error, t->path, result);
		if (!take_entries(t, first, buf, count, error))
			return false;
	}
	return true;
}

bool vhd_table_read(struct vhd *v, const struct vhd_facts *facts,
		    const char *path, GError **error)
{
	struct table t = { .v = v, .facts = facts, .path = path };
	uint32_t *buf = g_aligned_alloc(1, CHUNK, BUFFER_ALIGN);
	bool ok;

	t.places.len = block_len(v);
	if (!v->bb.read_only)
		t.places.sector = g_new0(uint32_t,
			MIN(v->file->size, PLACES_END) / t.places.len + 2);
	v->bat = g_new0(uint32_t, v->blocks);
	ok = read_all(&t, buf, error);
	g_aligned_free(buf);
	g_free(t.places.sector);
	return ok;
}

bool vhd_may_write(struct block_backend *file, const char *path,
		   const struct vhd_facts *facts, GError **error)
{
	const struct vhd_header *h = &facts->header;
	struct vhd v = {
		.bb = *file, .file = file, .footer = facts->footer,
		.block_size = be32toh(h->block_size),
		.table = be64toh(h->table_offset),
	};
	bool ok;

	v.bb.read_only = false;
	v.bitmap_size = vhd_bitmap_size(v.block_size);
	v.blocks = vhd_blocks(facts);
	ok = vhd_table_read(&v, facts, path, error);
	g_free(v.bat);
	return ok;
}
