/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A differencing disk into its parent: block_merge.h.
 *
 * The parent's id stays, and the time of its last change does not: until that
 * is known, the child has the time stamp of the parent's footer, which stays.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/block_merge.h"
#include "backends/block_now.h"
#include "backends/vhd_internal.h"
#include "backends/vhd_parent.h"
#include "core/autoptr.h"
#include "core/error.h"

#define TABLE_CHUNK	(64u << 10)

struct merge {
	struct block_merge *m;
	struct vhd_facts child, parent;
	uint64_t table, table_size;	/* the child's BAT, bytes */
	uint32_t block_size, bitmap_size;
	/* The sector of the BAT that was looked at last; 0: none. */
	uint64_t entries_at;
	uint32_t entries[VHD_SECTOR / sizeof(uint32_t)];
	/* Of the last block that was looked at; ~0: none. */
	uint32_t index;
	uint32_t entry;			/* of the BAT */
	uint8_t *bits;
};

static bool fail(const struct merge *g, const char *id, const char *why,
		 const char *advice, GError **error)
{
	g_autofree char *what = g_strdup_printf("cannot use disk %s",
						g->m->path);

	user_error_set(error, EX_DATAERR, id, what, why, advice);
	return false;
}

/*
 * What the child has.
 */
static bool entry_fits(const struct merge *g, uint32_t entry)
{
	uint64_t at = (uint64_t)entry * VHD_SECTOR;
	uint64_t len = (uint64_t)g->bitmap_size + g->block_size;

	return at >= VHD_SECTOR && at <= g->m->file->size &&
	       len <= g->m->file->size - at &&
	       (at + len <= g->table || at >= g->table + g->table_size);
}

/* Have the sector of the BAT that says where block @index is. */
static int load_entries(struct merge *g, uint32_t index)
{
	uint64_t at = g->table + index / G_N_ELEMENTS(g->entries) * VHD_SECTOR;
	int ret;

	if (g->entries_at == at)
		return 0;
	g->entries_at = 0;
	ret = block_read_now(g->m->file, at, g->entries, sizeof(g->entries));
	if (!ret)
		g->entries_at = at;
	return ret;
}

/* Have the entry and the bitmap of block @index. */
static int load_block(struct merge *g, uint32_t index)
{
	int ret;

	if (g->index == index)
		return 0;
	g->index = UINT32_MAX;
	ret = load_entries(g, index);
	if (ret)
		return ret;
	g->entry = be32toh(g->entries[index % G_N_ELEMENTS(g->entries)]);
	if (g->entry != VHD_UNUSED && !entry_fits(g, g->entry))
		return -EIO;
	if (g->entry != VHD_UNUSED)
		ret = block_read_now(g->m->file, (uint64_t)g->entry *
				     VHD_SECTOR, g->bits, g->bitmap_size);
	if (!ret)
		g->index = index;
	return ret;
}

/* The first of sectors @n to @end that is in the file, or, if not, is not. */
static uint32_t find_sector(const struct merge *g, uint32_t n, uint32_t end,
			    bool there)
{
	while (n < end && !!(g->bits[n / 8] & 0x80 >> n % 8) != there)
		n++;
	return n;
}

/* Of one block from e->at to @end: e->len is 0 if there is nothing. */
static void next_in_block(const struct merge *g, uint64_t end,
			  struct block_extent *e)
{
	uint64_t start = (uint64_t)g->index * g->block_size;
	uint32_t last = (uint32_t)((end - start) / VHD_SECTOR);
	uint32_t n = (uint32_t)((e->at - start) / VHD_SECTOR), next;

	if (g->entry == VHD_UNUSED)
		return;
	n = find_sector(g, n, last, true);
	next = find_sector(g, n, last, false);
	e->at = start + (uint64_t)n * VHD_SECTOR;
	e->len = (uint64_t)(next - n) * VHD_SECTOR;
	e->place = (uint64_t)g->entry * VHD_SECTOR + g->bitmap_size + e->at -
		   start;
}

static int next_own(void *source, uint64_t at, struct block_extent *e)
{
	struct merge *g = source;
	uint64_t end;
	int ret = 0;

	*e = (struct block_extent){ 0 };
	for (; at < g->child.size && !ret && !e->len; at = end) {
		uint32_t index = (uint32_t)(at / g->block_size);

		end = MIN(((uint64_t)index + 1) * g->block_size,
			  g->child.size);
		ret = load_block(g, index);
		e->at = at;
		if (!ret)
			next_in_block(g, end, e);
	}
	return ret;
}

/*
 * Changes of the child.
 */

/* Its first sector has both the time and the checksum. */
static int set_time(struct merge *g, uint32_t time)
{
	struct vhd_header *h = &g->child.header;
	int ret;

	_Static_assert(offsetof(struct vhd_header, parent_timestamp) +
		       sizeof(h->parent_timestamp) <= VHD_SECTOR,
		       "one sector is the old one or the new one");
	h->parent_timestamp = time;
	vhd_header_seal(h);
	ret = block_write_now(g->m->file, be64toh(g->child.footer.data_offset),
			      h, VHD_SECTOR);
	return ret ? ret : block_flush_now(g->m->file);
}

/* Each block goes by itself. */
static int drop_blocks(struct merge *g)
{
	g_autofree uint8_t *buf = g_malloc(2 * TABLE_CHUNK);
	uint8_t *unused = buf + TABLE_CHUNK;
	int ret = 0;

	memset(unused, 0xff, TABLE_CHUNK);
	for (uint64_t at = 0; at < g->table_size && !ret; at += TABLE_CHUNK) {
		size_t len = MIN(TABLE_CHUNK, g->table_size - at);

		ret = block_read_now(g->m->file, g->table + at, buf, len);
		if (!ret && memcmp(buf, unused, len))
			ret = block_write_now(g->m->file, g->table + at,
					      unused, len);
	}
	return ret ? ret : block_flush_now(g->m->file);
}

/* Where the file's blocks would begin. */
static uint64_t end_of_header(const struct merge *g)
{
	const struct vhd_header *h = &g->child.header;
	uint64_t end = MAX(g->table + g->table_size,
			   be64toh(g->child.footer.data_offset) + sizeof(*h));

	for (unsigned i = 0; i < VHD_LOCATORS; i++) {
		uint64_t at = be64toh(h->locator[i].data_offset);
		uint64_t len = be32toh(h->locator[i].data_length);

		if (h->locator[i].platform_code && at < g->m->file->size &&
		    len < g->m->file->size - at)
			end = MAX(end, at + len);
	}
	return (end + VHD_SECTOR - 1) / VHD_SECTOR * VHD_SECTOR;
}

/* The new footer first: the file ends with one always. */
static int shrink_child(struct merge *g)
{
	struct block_backend *file = g->m->file;
	uint64_t end = end_of_header(g);
	int ret;

	if (!file->growable || end + VHD_SECTOR >= file->size)
		return 0;
	ret = block_write_now(file, end, &g->child.footer, VHD_SECTOR);
	if (!ret)
		ret = block_flush_now(file);
	return ret ? ret : block_cut_now(file, end + VHD_SECTOR);
}

/*
 * The parent.
 */

/* When it was changed, as a header says that, once that is stable. */
static int parent_time(const struct merge *g, uint32_t *time)
{
	autofd fd = open(g->m->parent_path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fsync(fd) < 0 || fstat(fd, &st) < 0)
		return -errno;
	*time = htobe32((uint32_t)(st.st_mtim.tv_sec - VHD_EPOCH));
	return 0;
}

/* The one whose facts are known, to be written, and as large as the child. */
static struct block_backend *open_parent(struct merge *g, GError **error)
{
	const struct block_file_options o = { .path = g->m->parent_path };
	struct block_backend *file = g->m->open_parent(g->m, false, error);
	struct vhd_facts f;
	int result = 0;

	if (!file || !vhd_read_facts(file, o.path, &f, error) ||
	    !vhd_parent_check(&g->child, g->m->path, &f, o.path, error)) {
		block_close(file);
		return NULL;
	}
	if (g->child.size > f.size)
		result = vhd_resize(file, &f, g->child.size);
	if (!result)
		return vhd_open(g->m->loop, file, &o, error);
	block_close(file);
	fail(g, "disk.io", g_strerror(-result), "room on the host's disk",
	     error);
	return NULL;
}

static int end_times(struct merge *g)
{
	uint32_t time = 0;
	int ret = parent_time(g, &time);

	return ret ? ret : set_time(g, time);
}

/*
 * A child without a time (0) does not look at it, and goes on so.  The parent
 * is closed, and free for others, only when the child has its time.
 */
static int fill_parent(struct merge *g, GError **error)
{
	uint32_t before = g->child.header.parent_timestamp;
	struct block_backend *parent;
	int ret = before ? set_time(g, g->parent.footer.timestamp) : 0, timed;

	if (ret)
		return ret;
	parent = open_parent(g, error);
	ret = parent ? block_merge_copy(g->m, next_own, g, parent) : 1;
	timed = before ? end_times(g) : 0;
	block_close(parent);
	return ret ? ret : timed;
}

/* One that has nothing leaves its parent to the others, as it is. */
static int merge(struct merge *g, GError **error)
{
	int ret = block_merge_count(g->m, next_own, g);

	if (!ret && g->m->total)
		ret = fill_parent(g, error);
	if (!ret)
		ret = drop_blocks(g);
	return ret ? ret : shrink_child(g);
}

/*
 * Opening.
 */
static bool size_fits(const struct merge *g, GError **error)
{
	if (g->child.size <= g->parent.size)
		return true;
	if (g->parent.footer_missing)
		return fail(g, "disk.damaged", "the footer of its parent is "
			    "missing", "kvmbus disk check --repair PARENT",
			    error);
	return g->parent.type == VHD_DYNAMIC ||
	       fail(g, "vhd.parent-size", "it is larger than its parent, and "
		    "of VHDs only one that has no parent of its own and is "
		    "not fixed can grow",
		    "make one disk of them: kvmbus disk convert", error);
}

static bool child_fits(const struct merge *g, GError **error)
{
	if (g->child.footer_missing)
		return fail(g, "disk.damaged", "its footer is missing",
			    "kvmbus disk check --repair", error);
	return g->child.type == VHD_DIFFERENCING ||
	       fail(g, "vhd.no-parent", "it has all of its data, and no parent",
		    "use it as it is", error);
}

/* What there is to be known of it without writing. */
static bool read_parent(struct merge *g, GError **error)
{
	struct block_merge *m = g->m;
	struct block_backend *file = m->open_parent(m, true, error);
	bool ok = file && vhd_read_facts(file, m->parent_path, &g->parent,
					 error) &&
		  vhd_parent_check(&g->child, m->path, &g->parent,
				   m->parent_path, error) &&
		  (g->parent.type == VHD_FIXED ||
		   vhd_may_write(file, m->parent_path, &g->parent, error));

	block_close(file);
	return ok && size_fits(g, error);
}

static bool read_both(struct merge *g, GError **error)
{
	const struct block_merge *m = g->m;
	const struct vhd_header *h = &g->child.header;

	if (!vhd_read_facts(m->file, m->path, &g->child, error) ||
	    !child_fits(g, error) ||
	    !vhd_may_write(m->file, m->path, &g->child, error) ||
	    !read_parent(g, error))
		return false;
	g->table = be64toh(h->table_offset);
	g->table_size = vhd_table_size(be32toh(h->max_table_entries));
	g->block_size = be32toh(h->block_size);
	g->bitmap_size = vhd_bitmap_size(g->block_size);
	g->bits = g_malloc(g->bitmap_size);
	g->index = UINT32_MAX;
	return true;
}

int vhd_merge(struct block_merge *m, GError **error)
{
	struct merge g = { .m = m };
	int ret = read_both(&g, error) ? merge(&g, error) : 1;

	g_free(g.bits);
	block_close(m->file);
	return ret;
}
