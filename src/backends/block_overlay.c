/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "backends/block_bitmap.h"
#include "backends/block_file.h"
#include "backends/block_job.h"
#include "backends/block_overlay.h"
#include "core/autoptr.h"
#include "core/error.h"
#include "core/util.h"

#define CLUSTER_MIN	4096u
#define CLUSTERS_MAX	(UINT64_C(1) << 28)	/* 32 MiB for each bitmap */

struct block_overlay {
	struct block_backend bb;
	struct block_backend *base, *top;
	struct block_jobs reads, writes;
	uint32_t cluster;
	/* A bit for each cluster. */
	uint64_t *ours;		/* it is in @top, perhaps as a hole */
	uint64_t *filled;	/* it takes space there */
	uint64_t *busy;		/* it is becoming ours */
	uint64_t held, limit;	/* clusters that take space, or soon will */
	GQueue waiting;		/* struct block_request, for busy clusters */
};

/*
 * A write, or zeroes, and the clusters that it touches.  Of those at its ends
 * that become ours and that it does not cover, the rest is copied from @base.
 */
struct overlay_write {
	struct block_job job;
	uint64_t first, end;
	uint64_t takes;		/* clusters it takes space for */
	bool claims;		/* some become ours by it: they are busy */
	uint32_t head, tail;	/* bytes to copy before it and behind it */
	uint8_t *copy;		/* a cluster for each, once needed */
};

static struct block_overlay *overlay_of(const struct block_request *rq)
{
	return container_of(rq->backend, struct block_overlay, bb);
}

static uint64_t first_cluster(const struct block_overlay *o,
			      const struct block_request *rq)
{
	return rq->offset / o->cluster;
}

static uint64_t end_cluster(const struct block_overlay *o,
			    const struct block_request *rq)
{
	return (rq->offset + rq->len + o->cluster - 1) / o->cluster;
}

/*
 * Reading.
 */
/* Some of it is here and some there. */
static void read_mixed(struct block_overlay *o, struct block_request *rq)
{
	struct block_job *j = block_job_new(&o->reads, rq, block_job_end);
	uint64_t end = rq->offset + rq->len, at = rq->offset;

	while (at < end) {
		uint64_t c = at / o->cluster;
		bool ours = block_bitmap_test(o->ours, c);
		uint64_t next = block_bitmap_find(o->ours, c,
						  end_cluster(o, rq), !ours);
		uint64_t len = MIN(next * o->cluster, end) - at;

		block_job_part(j, ours ? o->top : o->base, BLOCK_READ, at,
			       at - rq->offset, len);
		at += len;
	}
	block_job_go(j);
}

static void read_blocks(struct block_overlay *o, struct block_request *rq)
{
	uint64_t first = first_cluster(o, rq), end = end_cluster(o, rq);
	bool ours = block_bitmap_test(o->ours, first);

	if (block_bitmap_find(o->ours, first, end, !ours) == end)
		block_submit(ours ? o->top : o->base, rq);
	else
		read_mixed(o, rq);
}

/*
 * Writing.
 */
static struct overlay_write *write_of(struct block_job *j)
{
	return container_of(j, struct overlay_write, job);
}

static void write_start(struct block_overlay *o, struct block_request *rq);

static void wake_waiting(struct block_overlay *o)
{
	GQueue waiting = o->waiting;
	struct block_request *rq;

	g_queue_init(&o->waiting);
	while ((rq = g_queue_pop_head(&waiting)))
		write_start(o, rq);
}

/* The clusters are what @w has made of them. */
static void settle(struct block_overlay *o, const struct overlay_write *w)
{
	const struct block_request *rq = w->job.rq;
	uint64_t inner = w->first + (rq->offset % o->cluster != 0);
	uint64_t inner_end = (rq->offset + rq->len) / o->cluster;

	o->held -= w->takes;
	if (w->claims)
		block_bitmap_clear(o->busy, w->first, w->end);
	if (w->job.result)
		return;
	block_bitmap_set(o->ours, w->first, w->end);
	if (rq->op == BLOCK_WRITE || !o->bb.discard_granularity) {
		o->held += block_bitmap_set(o->filled, w->first, w->end);
		return;
	}
	if (w->head)
		o->held += block_bitmap_set(o->filled, w->first, w->first + 1);
	if (w->tail)
		o->held += block_bitmap_set(o->filled, w->end - 1, w->end);
	if (inner < inner_end)
		o->held -= block_bitmap_clear(o->filled, inner, inner_end);
}

static void write_finished(struct block_job *j)
{
	const struct overlay_write *w = write_of(j);
	struct block_overlay *o = overlay_of(j->rq);

	settle(o, w);
	block_job_end(j);
	if (!g_queue_is_empty(&o->waiting))
		wake_waiting(o);
}

static void write_parts(struct block_overlay *o, struct overlay_write *w)
{
	const struct block_request *rq = w->job.rq;

	block_job_part(&w->job, o->top, rq->op, rq->offset, 0, rq->len);
	if (w->head)
		block_job_own_part(&w->job, o->top, BLOCK_WRITE,
				   rq->offset - w->head, w->copy, w->head);
	if (w->tail)
		block_job_own_part(&w->job, o->top, BLOCK_WRITE,
				   rq->offset + rq->len, w->copy + o->cluster,
				   w->tail);
	block_job_go(&w->job);
}

static void copies_read(struct block_job *j)
{
	if (j->result) {
		write_finished(j);
		return;
	}
	block_job_again(j, write_finished);
	write_parts(overlay_of(j->rq), write_of(j));
}

static void read_copies(struct block_overlay *o, struct overlay_write *w)
{
	const struct block_request *rq = w->job.rq;

	if (!w->copy)
		w->copy = g_aligned_alloc(2, o->cluster, CLUSTER_MIN);
	if (w->head)
		block_job_own_part(&w->job, o->base, BLOCK_READ,
				   rq->offset - w->head, w->copy, w->head);
	if (w->tail)
		block_job_own_part(&w->job, o->base, BLOCK_READ,
				   rq->offset + rq->len, w->copy + o->cluster,
				   w->tail);
	block_job_go(&w->job);
}

/* What @w has to copy, and the space that it needs. */
static void measure(struct block_overlay *o, struct overlay_write *w)
{
	const struct block_request *rq = w->job.rq;
	uint64_t end = rq->offset + rq->len;

	w->first = first_cluster(o, rq);
	w->end = end_cluster(o, rq);
	w->claims = block_bitmap_find(o->ours, w->first, w->end, false) !=
		    w->end;
	w->head = w->tail = 0;
	if (!block_bitmap_test(o->ours, w->first))
		w->head = (uint32_t)(rq->offset % o->cluster);
	/* The last cluster of the disk may be a short one. */
	if (!block_bitmap_test(o->ours, w->end - 1))
		w->tail = (uint32_t)(MIN(w->end * o->cluster, o->bb.size) -
				     end);
	if (rq->op == BLOCK_WRITE || !o->bb.discard_granularity)
		w->takes = w->end - w->first -
			   block_bitmap_count(o->filled, w->first, w->end);
	else
		w->takes = (w->head != 0) + (w->tail != 0);
}

static void write_slowly(struct block_overlay *o, struct block_request *rq)
{
	struct block_job *j = block_job_new(&o->writes, rq, write_finished);
	struct overlay_write *w = write_of(j);

	j->fua = false;
	measure(o, w);
	if (w->takes > o->limit - o->held) {
		j->result = -ENOSPC;
		w->takes = 0;
		w->claims = false;
		block_job_go(j);
		return;
	}
	o->held += w->takes;
	if (w->claims)
		block_bitmap_set(o->busy, w->first, w->end);
	if (w->head || w->tail) {
		j->finished = copies_read;
		read_copies(o, w);
	} else {
		write_parts(o, w);
	}
}

/*
 * Two writes must not make one cluster ours at a time: the one would copy what
 * the other overwrites.  Where the data is in @top already there is no more to
 * it than the write.
 */
static void write_start(struct block_overlay *o, struct block_request *rq)
{
	uint64_t first = first_cluster(o, rq), end = end_cluster(o, rq);

	if (rq->op == BLOCK_WRITE && !rq->fua &&
	    block_bitmap_find(o->filled, first, end, false) == end)
		block_submit(o->top, rq);
	else if (block_bitmap_find(o->busy, first, end, true) != end)
		g_queue_push_tail(&o->waiting, rq);
	else
		write_slowly(o, rq);
}

static void overlay_submit(struct block_backend *bb, struct block_request *rq)
{
	struct block_overlay *o = container_of(bb, struct block_overlay, bb);

	rq->backend = bb;
	switch (rq->op) {
	case BLOCK_READ:
		read_blocks(o, rq);
		break;
	case BLOCK_WRITE:
	case BLOCK_WRITE_ZEROES:
		write_start(o, rq);
		break;
	case BLOCK_FLUSH:
		block_job_go(block_job_new(&o->reads, rq, block_job_end));
		break;
	case BLOCK_GROW:
		g_assert_not_reached();	/* not growable */
	}
}

static void overlay_hurry(struct block_backend *bb)
{
	struct block_overlay *o = container_of(bb, struct block_overlay, bb);

	block_hurry(o->top);
	block_hurry(o->base);
}

static void overlay_again(struct block_backend *bb)
{
	block_again(container_of(bb, struct block_overlay, bb)->base);
}

static void release_write(struct block_job *j)
{
	g_aligned_free(write_of(j)->copy);
}

/* What is written is in a file, which has nothing to leave. */
static void overlay_leave(struct block_backend *bb, struct block_leave *l)
{
	block_leave(container_of(bb, struct block_overlay, bb)->base, l);
}

static void overlay_close(struct block_backend *bb)
{
	struct block_overlay *o = container_of(bb, struct block_overlay, bb);

	g_assert(g_queue_is_empty(&o->waiting));
	block_jobs_finish(&o->reads, NULL);
	block_jobs_finish(&o->writes, release_write);
	block_close(o->top);
	block_close(o->base);
	g_free(o->ours);
	g_free(o->filled);
	g_free(o->busy);
	g_free(o);
}

static const struct block_backend_ops overlay_ops = {
	.name = "overlay",
	.submit = overlay_submit,
	.hurry = overlay_hurry,
	.again = overlay_again,
	.leave = overlay_leave,
	.close = overlay_close,
};

struct block_backend *block_overlay_new(struct loop *loop,
					struct block_backend *base,
					struct block_backend *top,
					uint64_t limit)
{
	struct block_overlay *o = g_new0(struct block_overlay, 1);
	uint64_t clusters;

	o->bb = *base;
	o->bb.ops = &overlay_ops;
	o->bb.read_only = o->bb.growable = false;
	o->base = base;
	o->top = top;
	o->cluster = MAX(CLUSTER_MIN, base->block_size);
	while (base->size / o->cluster >= CLUSTERS_MAX)
		o->cluster *= 2;
	o->bb.discard_granularity = top->discard_granularity ? o->cluster : 0;
	clusters = (base->size + o->cluster - 1) / o->cluster;
	o->limit = limit ? limit / o->cluster : UINT64_MAX;
	o->ours = block_bitmap_new(clusters);
	o->filled = block_bitmap_new(clusters);
	o->busy = block_bitmap_new(clusters);
	g_queue_init(&o->waiting);
	block_jobs_init(&o->reads, loop, sizeof(struct block_job));
	block_jobs_init(&o->writes, loop, sizeof(struct overlay_write));
	return &o->bb;
}

/*
 * A file for what is written.
 */
static void no_space_for(GError **error, const char *folder)
{
	g_autofree char *what = g_strdup_printf(
		"cannot keep what is written to an ephemeral disk in %s",
		folder);

	user_error_set(error, EX_CANTCREAT, "disk.ephemeral", what,
		       g_strerror(errno), "another folder: TMPDIR=FOLDER");
}

/* $TMPDIR or the user's cache folder, which is on a disk as a rule. */
static char *overlay_folder(void)
{
	const char *tmp = g_getenv("TMPDIR");

	return tmp && *tmp ? g_strdup(tmp) :
	       g_build_filename(g_get_user_cache_dir(), "kvmbus", NULL);
}

static struct block_backend *open_top(struct loop *loop, uint64_t size,
				      GError **error)
{
	g_autofree char *folder = overlay_folder();
	g_autofree char *path = g_build_filename(folder, "overlay-XXXXXX",
						 NULL);
	const struct block_file_options options = {
		.path = path, .direct = true,
	};
	struct block_backend *top = NULL;
	autofd fd = -1;

	g_mkdir_with_parents(folder, 0700);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0) {
		no_space_for(error, folder);
		return NULL;
	}
	if (ftruncate(fd, (off_t)size) < 0)
		no_space_for(error, folder);
	else
		top = block_file_open(loop, &options, error);
	unlink(path);
	return top;
}

struct block_backend *block_overlay_open(struct loop *loop,
					 struct block_backend *base,
					 uint64_t limit, GError **error)
{
	struct block_backend *top = open_top(loop, base->size, error);

	if (!top) {
		block_close(base);
		return NULL;
	}
	return block_overlay_new(loop, base, top, limit);
}
