/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>

#include "backends/block_iov.h"
#include "backends/block_job.h"
#include "backends/block_patch.h"
#include "core/util.h"

struct change {
	uint64_t offset, end;
	const uint8_t *bytes;	/* NULL: zeroes */
};

struct block_patch {
	struct block_backend bb;
	struct block_backend *below;
	struct block_jobs jobs;
	GPtrArray *memory;	/* what changes have in it */
	GArray *changes;	/* in the order in which they came ... */
	GArray *parts;		/* ... and what of them is seen, by offset */
};

static struct block_patch *patch_of(struct block_backend *bb)
{
	return container_of(bb, struct block_patch, bb);
}

/*
 * Which change is seen where.  Between two neighbours of all the places where
 * one begins or ends it is one change, or the file; the last change takes
 * its part first, and the others what is left.
 */
struct cover {
	uint64_t *edge;			/* ascending */
	unsigned edges;
	unsigned *next;			/* a way to one not taken, or itself */
	const struct change **by;	/* from this edge to the next */
};

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static struct cover cover_new(const struct change *c, unsigned count)
{
	struct cover v = {
		.edge = g_new(uint64_t, 2 * count), .edges = 2 * count,
		.next = g_new(unsigned, 2 * count),
		.by = g_new0(const struct change *, 2 * count),
	};

	for (unsigned i = 0; i < count; i++) {
		v.edge[2 * i] = c[i].offset;
		v.edge[2 * i + 1] = c[i].end;
	}
	qsort(v.edge, v.edges, sizeof(*v.edge), by_value);
	for (unsigned i = 0; i < v.edges; i++)
		v.next[i] = i;
	return v;
}

static void cover_finish(struct cover *v)
{
	g_free(v->edge);
	g_free(v->next);
	g_free(v->by);
}

/* The first that is not taken, from @i on; the last edge never is. */
static unsigned cover_find(struct cover *v, unsigned i)
{
	while (v->next[i] != i) {
		v->next[i] = v->next[v->next[i]];
		i = v->next[i];
	}
	return i;
}

static void cover_take(struct cover *v, const struct change *c)
{
	const uint64_t *first = bsearch(&c->offset, v->edge, v->edges,
					sizeof(*v->edge), by_value);
	unsigned i = cover_find(v, (unsigned)(first - v->edge));

	for (; v->edge[i] < c->end; i = cover_find(v, i + 1)) {
		v->by[i] = c;
		v->next[i] = i + 1;
	}
}

static void take_parts(struct block_patch *p, const struct cover *v)
{
	for (unsigned i = 0; i + 1 < v->edges; i++) {
		const struct change *c = v->by[i];
		struct change part = { v->edge[i], v->edge[i + 1], NULL };

		if (!c || part.offset == part.end)
			continue;
		if (c->bytes)
			part.bytes = c->bytes + (part.offset - c->offset);
		g_array_append_val(p->parts, part);
	}
}

static void settle(struct block_patch *p)
{
	const struct change *c = (const void *)p->changes->data;
	unsigned n = p->changes->len;
	struct cover v;

	if (!n)
		return;
	v = cover_new(c, n);
	while (n--)
		cover_take(&v, &c[n]);
	take_parts(p, &v);
	cover_finish(&v);
	g_array_set_size(p->changes, 0);
}

/* The first part that ends behind @at, or where it would be. */
static unsigned first_part(const struct block_patch *p, uint64_t at)
{
	const struct change *part = (const void *)p->parts->data;
	unsigned low = 0, high = p->parts->len;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (part[middle].end > at)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static const struct change *part_at(const struct block_patch *p, unsigned n)
{
	return n < p->parts->len ?
	       &g_array_index(p->parts, struct change, n) : NULL;
}

/* How much of @rq is in the file. */
static uint64_t len_below(const struct block_patch *p,
			  const struct block_request *rq)
{
	uint64_t size = p->below->size;

	return rq->offset >= size ? 0 : MIN(rq->len, size - rq->offset);
}

/* Put what is in memory over what was read. */
static void show(const struct block_patch *p, const struct block_request *rq)
{
	uint64_t end = rq->offset + rq->len, have = len_below(p, rq);
	unsigned n = first_part(p, rq->offset);
	const struct change *c;

	block_iov_zero(rq->iov, rq->iovcnt, have, rq->len - have);
	for (; (c = part_at(p, n)) && c->offset < end; n++) {
		uint64_t from = MAX(c->offset, rq->offset);
		size_t len = MIN(c->end, end) - from;

		if (c->bytes)
			block_iov_scatter(rq->iov, rq->iovcnt,
					  from - rq->offset,
					  c->bytes + (from - c->offset), len);
		else
			block_iov_zero(rq->iov, rq->iovcnt, from - rq->offset,
				       len);
	}
}

static bool is_below(const struct block_patch *p,
		     const struct block_request *rq)
{
	const struct change *c = part_at(p, first_part(p, rq->offset));

	return rq->op != BLOCK_READ ||
	       (len_below(p, rq) == rq->len &&
		(!c || c->offset >= rq->offset + rq->len));
}

static void finished(struct block_job *j)
{
	if (!j->result)
		show(patch_of(j->rq->backend), j->rq);
	block_job_end(j);
}

/* All of it is read, also what memory has: that is one request then. */
static void patch_submit(struct block_backend *bb, struct block_request *rq)
{
	struct block_patch *p = patch_of(bb);
	uint64_t have = len_below(p, rq);
	struct block_job *j;

	if (is_below(p, rq)) {
		block_submit(p->below, rq);
		return;
	}
	rq->backend = bb;
	j = block_job_new(&p->jobs, rq, finished);
	if (have)
		block_job_part(j, p->below, BLOCK_READ, rq->offset, 0, have);
	block_job_go(j);
}

static int read_now(struct block_patch *p, const struct block_request *rq)
{
	g_autofree struct iovec *iov = g_new(struct iovec, rq->iovcnt);
	struct block_request part = {
		.op = BLOCK_READ, .offset = rq->offset, .iov = iov,
		.len = len_below(p, rq),
	};
	int ret = 0;

	part.iovcnt = block_iov_slice(iov, rq->iov, rq->iovcnt, 0, part.len);
	if (part.len)
		ret = p->below->ops->perform(p->below, &part);
	if (!ret)
		show(p, rq);
	return ret;
}

static int change(struct block_patch *p, const struct block_request *rq)
{
	struct change c = { rq->offset, rq->offset + rq->len, NULL };
	uint8_t *bytes;

	if (p->changes->len == BLOCK_PATCH_MAX)
		return -ENOBUFS;
	if (rq->op == BLOCK_WRITE) {
		bytes = g_malloc(rq->len);
		block_iov_gather(bytes, rq->iov, rq->iovcnt, 0, rq->len);
		g_ptr_array_add(p->memory, bytes);
		c.bytes = bytes;
	}
	g_array_append_val(p->changes, c);
	return 0;
}

static int patch_perform(struct block_backend *bb, struct block_request *rq)
{
	struct block_patch *p = patch_of(bb);

	switch (rq->op) {
	case BLOCK_READ:
		return read_now(p, rq);
	case BLOCK_WRITE:
	case BLOCK_WRITE_ZEROES:
		return change(p, rq);
	case BLOCK_GROW:
		bb->size = rq->offset;
		break;
	case BLOCK_FLUSH:
		settle(p);
		break;
	}
	return 0;
}

/* A part of zeroes is as good as data. */
static uint64_t patch_next_data(struct block_backend *bb, uint64_t at)
{
	struct block_patch *p = patch_of(bb);
	const struct change *c = part_at(p, first_part(p, at));
	uint64_t part = c ? MAX(c->offset, at) : bb->size, below = bb->size;

	if (at < p->below->size)
		below = block_next_data(p->below, at);
	return MIN(part, below);
}

static void patch_hurry(struct block_backend *bb)
{
	block_hurry(patch_of(bb)->below);
}

static void patch_again(struct block_backend *bb)
{
	block_again(patch_of(bb)->below);
}

static void patch_leave(struct block_backend *bb, struct block_leave *l)
{
	block_leave(patch_of(bb)->below, l);
}

static void patch_close(struct block_backend *bb)
{
	block_close(block_patch_release(bb));
}

static const struct block_backend_ops patch_ops = {
	.name = "patch",
	.submit = patch_submit,
	.perform = patch_perform,
	.next_data = patch_next_data,
	.hurry = patch_hurry,
	.again = patch_again,
	.leave = patch_leave,
	.close = patch_close,
};

struct block_backend *block_patch_new(struct loop *loop,
				      struct block_backend *below)
{
	struct block_patch *p = g_new0(struct block_patch, 1);

	p->bb = *below;
	p->bb.ops = &patch_ops;
	p->bb.read_only = true;
	p->bb.growable = false;
	p->below = below;
	p->memory = g_ptr_array_new_with_free_func(g_free);
	p->changes = g_array_new(FALSE, FALSE, sizeof(struct change));
	p->parts = g_array_new(FALSE, FALSE, sizeof(struct change));
	block_jobs_init(&p->jobs, loop, sizeof(struct block_job));
	return &p->bb;
}

struct block_backend *block_patch_release(struct block_backend *bb)
{
	struct block_patch *p = patch_of(bb);
	struct block_backend *below = p->below;

	block_jobs_finish(&p->jobs, NULL);
	g_ptr_array_unref(p->memory);
	g_array_unref(p->changes);
	g_array_unref(p->parts);
	g_free(p);
	return below;
}
