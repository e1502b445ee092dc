/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Space for blocks: what was given back, and the file's end. */
#include <errno.h>

#include "backends/block_now.h"
#include "backends/vhdx_internal.h"
#include "core/util.h"

#define GROW_BLOCKS	16	/* as holes they cost nothing ... */
#define GROW_MAX	(UINT64_C(64) << 20)	/* ... but look large */

void vhdx_space_init(struct vhdx *v)
{
	v->space.free = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	v->space.end = (v->file->size + VHDX_MIB - 1) & ~(VHDX_MIB - 1);
}

void vhdx_space_finish(struct vhdx_space *s)
{
	g_array_unref(s->free);
}

void vhdx_space_add(struct vhdx *v, uint64_t offset)
{
	g_array_append_val(v->space.free, offset);
}

static void grown(struct block_request *rq)
{
	struct vhdx *v = container_of(rq, struct vhdx, space.rq);

	v->space.growing = false;
	v->space.error = rq->result;
	vhdx_wake(v);
}

/* By many blocks, or by one that is large; bitmap blocks are not larger. */
static void grow(struct vhdx *v)
{
	uint64_t size = v->layout.block_size;
	uint64_t step = MAX(MIN(GROW_BLOCKS * size, GROW_MAX), size);

	v->space.growing = true;
	v->space.rq = (struct block_request){
		.op = BLOCK_GROW, .offset = v->space.end + step, .done = grown,
	};
	block_submit(v->file, &v->space.rq);
}

static gint by_offset(gconstpointer a, gconstpointer b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

int vhdx_space_give_back(struct vhdx *v)
{
	struct vhdx_space *s = &v->space;
	uint64_t size = v->layout.block_size;

	g_array_sort(s->free, by_offset);
	while (s->free->len && g_array_index(s->free, uint64_t, s->free->len -
					     1) + size == s->end) {
		s->end -= size;
		g_array_set_size(s->free, s->free->len - 1);
	}
	return s->end < v->file->size && v->file->growable ?
	       block_cut_now(v->file, s->end) : 0;
}

int vhdx_allocate_end(struct vhdx *v, uint64_t len, uint64_t *offset)
{
	struct vhdx_space *s = &v->space;

	if (s->end + len <= v->file->size) {
		*offset = s->end;
		s->end += len;
		return 0;
	}
	if (s->error)
		return s->error;
	if (!v->file->growable)
		return -ENOSPC;
	if (!s->growing)
		grow(v);
	return VHDX_WAIT;
}

int vhdx_allocate(struct vhdx *v, uint64_t *offset)
{
	struct vhdx_space *s = &v->space;

	if (!s->free->len)
		return vhdx_allocate_end(v, v->layout.block_size, offset);
	*offset = g_array_index(s->free, uint64_t, s->free->len - 1);
	g_array_set_size(s->free, s->free->len - 1);
	return 0;
}
