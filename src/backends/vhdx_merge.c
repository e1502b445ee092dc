/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A differencing disk into its parent: block_merge.h.
 *
 * The parent gets another DataWriteGuid with its first change; the child has
 * that as its second linkage by then.  What the child shows stays the same, and
 * so does its own DataWriteGuid, by which its children know it.
 */
#include <errno.h>
#include <string.h>

#include "backends/block_bitmap.h"
#include "backends/block_merge.h"
#include "backends/block_now.h"
#include "backends/vhdx_internal.h"

#define ENTRIES		(VHDX_SECTOR / sizeof(uint64_t))	/* of a page */
#define PAGE_BITS	(VHDX_SECTOR * 8)

/*
 * What the child has.
 */

enum which { BAT_PAGE, BITMAP_PAGE };

/* The child, of which the last pages that were looked at are kept. */
struct own {
	struct vhdx *v;
	uint64_t at[2];		/* of pages, by enum which; 0: none */
	uint64_t page[2][ENTRIES];
};

/* Have the page that byte @at of the file is in. */
static int load_page(struct own *o, enum which which, uint64_t at)
{
	int ret = 0;

	at &= ~(uint64_t)(VHDX_SECTOR - 1);
	if (o->at[which] == at)
		return 0;
	o->at[which] = 0;
	ret = block_read_now(o->v->file, at, o->page[which], VHDX_SECTOR);
	if (!ret)
		o->at[which] = at;
	return ret;
}

static int load_entry(struct own *o, uint64_t at, uint64_t *entry)
{
	int ret = load_page(o, BAT_PAGE, at);

	if (!ret)
		*entry = o->page[BAT_PAGE][at % VHDX_SECTOR / sizeof(*entry)];
	return ret;
}

/* Where the file has the bit of sector @n of the block. */
static int find_bit(struct own *o, uint64_t block, uint32_t n, uint64_t *at)
{
	const struct vhdx_layout *l = &o->v->layout;
	uint64_t entry;
	int ret = load_entry(o, vhdx_bat_bitmap(o->v, block), &entry);

	if (ret)
		return ret;
	if (VHDX_ENTRY_STATE(entry) != SB_BLOCK_PRESENT ||
	    !vhdx_block_fits(o->v, VHDX_ENTRY_OFFSET(entry), VHDX_MIB))
		return -EIO;
	*at = VHDX_ENTRY_OFFSET(entry) + (block % l->chunk_ratio *
	      (l->block_size / l->sector) + n) / 8;
	return 0;
}

/*
 * The first run of sectors from @n to @end of a block that are in the file, if
 * there is one in the page of bits that @n has: *@n to *@next.
 */
static int find_run(struct own *o, uint64_t block, uint32_t *n, uint32_t end,
		    uint32_t *next)
{
	uint64_t at, bit, limit, first, last;
	int ret = find_bit(o, block, *n, &at);

	if (!ret)
		ret = load_page(o, BITMAP_PAGE, at);
	if (ret)
		return ret;
	bit = at % VHDX_SECTOR * 8 + *n % 8;
	limit = MIN(bit + (end - *n), PAGE_BITS);
	first = block_bitmap_find(o->page[BITMAP_PAGE], bit, limit, true);
	last = block_bitmap_find(o->page[BITMAP_PAGE], first, limit, false);
	*next = *n + (uint32_t)(last - bit);
	*n += (uint32_t)(first - bit);
	return 0;
}

/* Of a partially present block from e->at to @end. */
static int next_run(struct own *o, uint64_t offset, uint64_t end,
		    struct block_extent *e)
{
	const struct vhdx_layout *l = &o->v->layout;
	uint64_t block = e->at / l->block_size, start = block * l->block_size;
	uint32_t n = (uint32_t)((e->at - start) / l->sector);
	uint32_t last = (uint32_t)((end - start) / l->sector), next = n;
	int ret = 0;

	for (; n < last; n = next) {
		ret = find_run(o, block, &n, last, &next);
		if (ret || n < next)
			break;
	}
	if (ret || n >= last)
		return ret;
	e->at = start + (uint64_t)n * l->sector;
	e->len = (uint64_t)(next - n) * l->sector;
	e->place = offset + e->at - start;
	return 0;
}

/* Of one block from e->at to @end: e->len is 0 if there is nothing. */
static int next_in_block(struct own *o, uint64_t entry, uint64_t end,
			 struct block_extent *e)
{
	uint64_t offset = VHDX_ENTRY_OFFSET(entry);
	unsigned state = VHDX_ENTRY_STATE(entry);

	switch (state) {
	case PAYLOAD_BLOCK_NOT_PRESENT:
		return 0;
	case PAYLOAD_BLOCK_UNDEFINED:
	case PAYLOAD_BLOCK_ZERO:
	case PAYLOAD_BLOCK_UNMAPPED:
		e->len = end - e->at;
		e->zero = true;
		return 0;
	case PAYLOAD_BLOCK_FULLY_PRESENT:
	case PAYLOAD_BLOCK_PARTIALLY_PRESENT:
		if (!vhdx_block_fits(o->v, offset, o->v->layout.block_size))
			return -EIO;
		if (state == PAYLOAD_BLOCK_PARTIALLY_PRESENT)
			return next_run(o, offset, end, e);
		e->len = end - e->at;
		e->place = offset + e->at % o->v->layout.block_size;
		return 0;
	default:
		return -EIO;
	}
}

static int next_own(void *source, uint64_t at, struct block_extent *e)
{
	struct own *o = source;
	const struct vhdx_layout *l = &o->v->layout;
	uint64_t end, entry;
	int ret = 0;

	*e = (struct block_extent){ 0 };
	for (; at < l->size && !ret && !e->len; at = end) {
		uint64_t block = at / l->block_size;

		end = MIN((block + 1) * l->block_size, l->size);
		ret = load_entry(o, vhdx_bat_payload(o->v, block), &entry);
		e->at = at;
		if (!ret)
			ret = next_in_block(o, entry, end, e);
	}
	return ret;
}

/*
 * Changes of the child.
 */
struct merge {
	struct block_merge *m;
	struct vhdx *child;	/* as it was when it was opened */
	struct block_backend *parent_file;
	struct vhdx *parent;
	struct block_chain top, below;
	char *way;		/* from the one to the other */
};

static int set_entry(struct vhdx *v, uint64_t at, uint64_t entry)
{
	uint64_t old;
	int ret;

	/* Without a loop, what it would wait for is a commit that has ended. */
	while ((ret = vhdx_make_room(v, 1)) == VHDX_WAIT && !v->log.result)
		;
	if (ret == VHDX_WAIT)
		ret = v->log.result;
	if (!ret)
		ret = vhdx_bat_get(v, at, &old);
	if (!ret)
		vhdx_bat_set(v, at, entry);
	return ret;
}

/* Of all payload blocks, or of all bitmap blocks. */
static int drop_blocks(struct vhdx *v, bool bitmaps)
{
	const struct vhdx_layout *l = &v->layout;
	uint64_t page[ENTRIES];
	int ret = 0;

	for (uint64_t n = 0; n < l->entries && !ret; n++) {
		uint64_t at = l->bat.offset + n * sizeof(*page);
		bool bitmap = n % (l->chunk_ratio + 1) == l->chunk_ratio;

		if (n % ENTRIES == 0)
			ret = block_read_now(v->file, at, page, sizeof(page));
		if (!ret && bitmap == bitmaps && page[n % ENTRIES])
			ret = set_entry(v, at, 0);
	}
	return ret;
}

static int set_linkage(struct vhdx *v, const struct guid linkage[2],
		       const char *way)
{
	uint32_t len;
	g_autofree uint8_t *item = vhdx_locator_make(linkage, way, &len);

	return vhdx_metadata_set_locator(v, item, len);
}

/* Bitmaps go last, so that there is one for each block that needs it. */
static int change_child(struct vhdx *v, const struct guid linkage[2],
			const char *way, bool empty)
{
	int ret = vhdx_begin_now(v, false);

	if (!ret)
		ret = set_linkage(v, linkage, way);
	if (!ret && empty)
		ret = drop_blocks(v, false);
	if (!ret && empty)
		ret = drop_blocks(v, true);
	return ret ? ret : vhdx_commit_all(v);
}

/* The child once more: a log that has ended does not begin again. */
static struct vhdx *child_again(const struct merge *g)
{
	struct vhdx *v = vhdx_new(NULL, g->m->file);
	struct vhdx_locator l = { 0 };
	bool ok = vhdx_read_file(v, &l, g->m->path, NULL);

	vhdx_locator_finish(&l);
	if (ok)
		return v;
	v->file = NULL;		/* borrowed */
	vhdx_free(v);
	return NULL;
}

static void child_done(struct vhdx *v)
{
	v->file = NULL;
	vhdx_free(v);
}

static int link_child(const struct merge *g, const struct guid *now,
		      const struct guid *next, bool empty)
{
	const struct guid linkage[2] = { *now, *next };
	struct vhdx *v = child_again(g);
	int ret = v ? change_child(v, linkage, g->way, empty) : -EIO;

	if (v)
		child_done(v);
	return ret;
}

/* What it took is the host's again. */
static int shrink_child(const struct merge *g)
{
	struct vhdx *v = child_again(g);
	struct vhdx_survey s;
	int ret;

	if (!v)
		return -EIO;
	ret = vhdx_survey(&v->bb, &s);
	if (!ret)
		ret = vhdx_repair(&v->bb, &s);
	vhdx_survey_finish(&s);
	child_done(v);
	return ret;
}

/*
 * The parent.
 */
static bool open_parent(struct merge *g, const struct guid *next,
			GError **error)
{
	g->parent = vhdx_new(g->m->loop, g->parent_file);
	if (next)
		g->parent->next_data_write = *next;
	return vhdx_load(g->parent, &g->below, error);
}

/* Also if there is none. */
static int close_parent(struct merge *g)
{
	struct vhdx *v = g->parent;
	int ret;

	if (!v)
		return 0;
	ret = vhdx_commit_all(v);
	if (!ret && v->log.begun)
		ret = vhdx_space_give_back(v);
	v->file = NULL;		/* borrowed */
	g_clear_pointer(&g->parent, vhdx_free);
	return ret;
}

/* One that has grown is to be opened anew. */
static int grow_parent(struct merge *g, const struct guid *next)
{
	int ret, closed;

	if (g->parent->layout.size >= g->child->layout.size)
		return 0;
	ret = vhdx_resize(&g->parent->bb, g->child->layout.size);
	closed = close_parent(g);
	if (!ret)
		ret = closed;
	return ret ? ret : open_parent(g, next, NULL) ? 0 : -EIO;
}

static int fill_parent(struct merge *g, struct own *o)
{
	const struct guid now = g->parent->header.data_write_guid;
	struct guid next;
	int ret;

	vhdx_new_guid(&next);
	g->parent->next_data_write = next;
	ret = link_child(g, &now, &next, false);
	if (!ret)
		ret = grow_parent(g, &next);
	return ret ? ret : block_merge_copy(g->m, next_own, o, &g->parent->bb);
}

/* One that has nothing leaves its parent to the others, as it is. */
static int merge(struct merge *g)
{
	static const struct guid none;
	g_autofree struct own *o = g_new0(struct own, 1);
	struct guid is;
	int ret, closed;

	o->v = g->child;
	ret = block_merge_count(g->m, next_own, o);
	if (!ret && g->m->total)
		ret = fill_parent(g, o);
	is = g->parent ? g->parent->header.data_write_guid : none;
	closed = close_parent(g);
	if (!ret)
		ret = closed;
	if (!ret)
		ret = link_child(g, &is, &none, true);
	return ret ? ret : shrink_child(g);
}

/*
 * Opening.
 */
static bool size_fits(const struct merge *g, GError **error)
{
	const struct vhdx *p = g->parent;

	return g->child->layout.size <= p->layout.size || !p->parent ||
	       p->parent->size <= p->layout.size ||
	       vhdx_fail(error, g->m->path, "vhdx.parent-size",
			 "it is larger than its parent, which cannot grow: a "
			 "parent of that one would show through",
			 "make one disk of them: kvmbus disk convert");
}

static bool child_fits(const struct merge *g, const struct vhdx_locator *l,
		       GError **error)
{
	const char *path = g->m->path;

	if (!g->child->layout.has_parent)
		return vhdx_fail(error, path, "vhdx.no-parent",
				 "it has all of its data, and no parent",
				 "use it as it is");
	return vhdx_parent_fits(g->child, l, path, g->parent,
				g->m->parent_path, error) &&
	       vhdx_way_is_text(g->way, g->m->parent_path, error) &&
	       size_fits(g, error);
}

static bool open_both(struct merge *g, GError **error)
{
	struct block_merge *m = g->m;
	struct vhdx_locator l = { 0 };
	bool ok;

	g->child = vhdx_new(NULL, m->file);
	g->parent_file = m->open_parent(m, false, error);
	g->top = (struct block_chain){
		.loop = m->loop, .options.path = m->path,
	};
	g->below = (struct block_chain){
		.loop = m->loop, .options.path = m->parent_path,
		.child = &g->top,
	};
	if (!g->parent_file)
		return false;
	g->way = block_parent_way(m->path, m->parent_path);
	ok = vhdx_read_file(g->child, &l, m->path, error) &&
	     vhdx_may_write(g->child, m->path, error) &&
	     open_parent(g, NULL, error) &&
	     vhdx_may_write(g->parent, m->parent_path, error) &&
	     child_fits(g, &l, error);
	vhdx_locator_finish(&l);
	return ok;
}

int vhdx_merge(struct block_merge *m, GError **error)
{
	struct merge g = { .m = m };
	int ret = open_both(&g, error) ? merge(&g) : 1;

	close_parent(&g);
	child_done(g.child);
	g_free(g.way);
	block_close(g.parent_file);
	block_close(m->file);
	return ret;
}
