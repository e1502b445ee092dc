/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pages of the BAT and of bitmaps, read when they are first wanted. */
#include <errno.h>
#include <string.h>

#include "backends/vhdx_internal.h"
#include "core/util.h"

#define PAGES_MAX	4096	/* 16 MiB; more only if more are dirty */

static void page_free(gpointer data)
{
	struct vhdx_page *p = data;

	g_aligned_free(p->bytes);
	g_free(p);
}

void vhdx_cache_init(struct vhdx_cache *c)
{
	c->pages = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL,
					 page_free);
}

void vhdx_cache_finish(struct vhdx_cache *c)
{
	g_hash_table_unref(c->pages);
	g_slist_free(c->failed);
}

static void page_drop(struct vhdx_cache *c, struct vhdx_page *p)
{
	g_queue_unlink(&c->age, &p->link);
	g_hash_table_remove(c->pages, &p->offset);
}

/* Make room for one more: the oldest of the first few that can go. */
static void evict(struct vhdx_cache *c)
{
	GList *l = c->age.head;

	if (c->age.length < PAGES_MAX)
		return;
	for (unsigned i = 0; i < 2 * VHDX_COMMIT_PAGES && l; i++, l = l->next) {
		struct vhdx_page *p = l->data;

		if (p->loading || p->error || p->dirty || p->logged)
			continue;
		page_drop(c, p);
		return;
	}
}

void vhdx_cache_drop_clean(struct vhdx_cache *c)
{
	GList *next;

	for (GList *l = c->age.head; l; l = next) {
		struct vhdx_page *p = l->data;

		next = l->next;
		if (!p->dirty && !p->logged && !p->loading && !p->error)
			page_drop(c, p);
	}
}

static void page_loaded(struct block_request *rq)
{
	struct vhdx_page *p = container_of(rq, struct vhdx_page, rq);
	struct vhdx *v = p->v;

	p->loading = false;
	p->error = rq->result;
	if (p->error)
		v->cache.failed = g_slist_prepend(v->cache.failed, p);
	vhdx_wake(v);
}

static struct vhdx_page *page_new(struct vhdx *v, uint64_t offset)
{
	struct vhdx_page *p = g_new0(struct vhdx_page, 1);

	evict(&v->cache);
	p->v = v;
	p->offset = offset;
	p->bytes = g_aligned_alloc(1, VHDX_SECTOR, VHDX_SECTOR);
	p->link.data = p->dirty_link.data = p;
	p->iov = (struct iovec){ p->bytes, VHDX_SECTOR };
	p->rq = (struct block_request){
		.op = BLOCK_READ, .offset = offset, .len = VHDX_SECTOR,
		.iov = &p->iov, .iovcnt = 1, .done = page_loaded,
	};
	g_hash_table_insert(v->cache.pages, &p->offset, p);
	g_queue_push_tail_link(&v->cache.age, &p->link);
	return p;
}

static void page_load(struct vhdx *v, uint64_t offset)
{
	struct vhdx_page *p = page_new(v, offset);

	p->loading = true;
	block_submit(v->file, &p->rq);
}

/* Without a loop. */
static int page_load_now(struct vhdx *v, uint64_t offset,
			 struct vhdx_page **page)
{
	int ret;

	*page = page_new(v, offset);
	ret = v->file->ops->perform(v->file, &(*page)->rq);
	if (ret)
		page_drop(&v->cache, *page);
	return ret;
}

static struct vhdx_page *page_find(struct vhdx *v, uint64_t offset)
{
	offset &= ~(uint64_t)(VHDX_SECTOR - 1);
	return g_hash_table_lookup(v->cache.pages, &offset);
}

int vhdx_page_get(struct vhdx *v, uint64_t offset, struct vhdx_page **page)
{
	*page = page_find(v, offset);
	if (!*page && v->closing)
		return page_load_now(v, offset & ~(uint64_t)(VHDX_SECTOR - 1),
				     page);
	if (!*page)
		page_load(v, offset & ~(uint64_t)(VHDX_SECTOR - 1));
	else if (!(*page)->loading)
		return (*page)->error;
	return VHDX_WAIT;
}

void vhdx_page_dirty(struct vhdx_page *p)
{
	struct vhdx_cache *c = &p->v->cache;

	if (p->dirty)
		return;
	p->dirty = true;
	p->dirty_number = ++c->dirty_number;
	g_queue_push_tail_link(&c->dirty, &p->dirty_link);
}

int vhdx_make_room(struct vhdx *v, unsigned pages)
{
	/* A commit that fails gives back those that it has. */
	if (v->cache.dirty.length + v->log.count + pages <= VHDX_COMMIT_PAGES)
		return 0;
	if (v->log.room_error)
		return v->log.room_error;
	vhdx_commit(v);
	return VHDX_WAIT;
}

void vhdx_cache_forget_failures(struct vhdx_cache *c)
{
	while (c->failed) {
		page_drop(c, c->failed->data);
		c->failed = g_slist_delete_link(c->failed, c->failed);
	}
}

/* A bitmap block's entry follows those of each chunk's payload blocks. */
uint64_t vhdx_bat_payload(const struct vhdx *v, uint64_t block)
{
	return v->layout.bat.offset +
	       (block + block / v->layout.chunk_ratio) * sizeof(uint64_t);
}

uint64_t vhdx_bat_bitmap(const struct vhdx *v, uint64_t block)
{
	uint64_t chunk = block / v->layout.chunk_ratio;

	return v->layout.bat.offset + sizeof(uint64_t) *
	       (chunk * (v->layout.chunk_ratio + 1) + v->layout.chunk_ratio);
}

int vhdx_bat_get(struct vhdx *v, uint64_t at, uint64_t *entry)
{
	struct vhdx_page *p;
	int ret = vhdx_page_get(v, at, &p);

	if (!ret)
		memcpy(entry, p->bytes + at % VHDX_SECTOR, sizeof(*entry));
	return ret;
}

void vhdx_bat_set(struct vhdx *v, uint64_t at, uint64_t entry)
{
	struct vhdx_page *p = page_find(v, at);

	memcpy(p->bytes + at % VHDX_SECTOR, &entry, sizeof(entry));
	vhdx_page_dirty(p);
}

/* Have the pages of @c, or, with @enter, change them, which are there. */
static int pass(struct vhdx *v, const struct vhdx_change *c, bool enter)
{
	size_t len;

	for (size_t done = 0; done < c->len; done += len) {
		uint64_t at = c->offset + done, skip = at % VHDX_SECTOR;
		struct vhdx_page *p;
		int ret = vhdx_page_get(v, at, &p);

		if (ret)
			return ret;
		len = MIN(c->len - done, VHDX_SECTOR - skip);
		if (!enter)
			continue;
		memcpy(p->bytes + skip, (const uint8_t *)c->bytes + done, len);
		vhdx_page_dirty(p);
	}
	return 0;
}

/* What can fail comes before the first change. */
int vhdx_change(struct vhdx *v, const struct vhdx_change *changes, unsigned n)
{
	int ret = 0;

	/* With what is changed already they might not fit one entry. */
	if (v->cache.dirty.length) {
		vhdx_commit(v);
		ret = v->log.result;
	}
	for (unsigned i = 0; i < n && !ret; i++)
		ret = pass(v, &changes[i], false);
	for (unsigned i = 0; i < n && !ret; i++)
		ret = pass(v, &changes[i], true);
	return ret;
}

static bool on_region(const struct vhdx_region *r, uint64_t offset,
		      uint64_t len)
{
	return offset < r->offset + r->length && r->offset < offset + len;
}

bool vhdx_block_fits(const struct vhdx *v, uint64_t offset, uint64_t len)
{
	const struct vhdx_layout *l = &v->layout;

	return offset >= VHDX_MIB && offset <= v->file->size &&
	       len <= v->file->size - offset &&
	       !on_region(&l->log, offset, len) &&
	       !on_region(&l->bat, offset, len) &&
	       !on_region(&l->metadata, offset, len);
}
