/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests.  One walks over the blocks that it touches, and has pieces,
 * requests in the file or to the parent, for what is there; what it lacks it
 * waits for.
 */
#include "backends/vhdx_internal.h"
#include "core/util.h"

#define PIECES_MAX	16u		/* of a request at a time */
#define STEPS_MAX	4096u		/* of a request in one turn of the loop */

static struct vhdx *vhdx_of(struct block_backend *bb)
{
	return container_of(bb, struct vhdx, bb);
}

static struct vhdx_io *io_new(struct vhdx *v, struct block_request *rq)
{
	struct vhdx_io *io = v->free_ios;

	if (io)
		v->free_ios = io->next;
	else
		io = g_new(struct vhdx_io, 1);
	*io = (struct vhdx_io){ .rq = rq, .link.data = io };
	return io;
}

static void answer(struct vhdx *v, struct vhdx_io *io)
{
	struct block_request *rq = io->rq;

	rq->result = io->error;
	io->next = v->free_ios;
	v->free_ios = io;
	rq->done(rq);
}

/* Not from within submit(). */
static void io_end(struct vhdx *v, struct vhdx_io *io)
{
	if (!v->submitting) {
		answer(v, io);
		return;
	}
	g_queue_push_tail_link(&v->answers, &io->link);
	loop_post(v->loop, &v->note);
}

static void wait_for_commit(struct vhdx *v, struct vhdx_io *io)
{
	io->ticket = v->log.started + 1;
	io->dirty_number = v->cache.dirty_number;
	g_queue_push_tail_link(&v->committing, &io->link);
	vhdx_commit(v);
}

/* Whether pages are not yet stable. */
static bool metadata_pending(const struct vhdx *v)
{
	return v->cache.dirty.length || (v->log.count && !v->log.unapplied);
}

static void io_walked(struct vhdx *v, struct vhdx_io *io)
{
	if (!io->walked || io->pieces)
		return;
	if (io->rq->op == BLOCK_WRITE && io->rq->fua && !io->error &&
	    metadata_pending(v))
		wait_for_commit(v, io);
	else
		io_end(v, io);
}

static void walk(struct vhdx *v, struct vhdx_io *io)
{
	unsigned steps = 0;

	io->crowded = false;
	while (io->at < io->rq->len && !io->error) {
		bool tired = steps++ == STEPS_MAX;
		int ret;

		if (io->pieces == PIECES_MAX) {
			io->crowded = true;
			return;
		}
		ret = tired ? VHDX_WAIT : vhdx_step(v, io);
		if (tired)
			loop_post(v->loop, &v->note);
		if (ret == VHDX_WAIT) {
			g_queue_push_tail_link(&v->waiting, &io->link);
			return;
		}
		io->error = ret;
	}
	io->walked = true;
	io_walked(v, io);
}

void vhdx_io_piece_ended(struct vhdx *v, struct vhdx_io *io)
{
	io->pieces--;
	if (io->crowded)
		walk(v, io);
	else
		io_walked(v, io);
}

/* Something has happened that requests may wait for. */
void vhdx_wake(struct vhdx *v)
{
	GQueue woken;
	GList *l;

	/* Those that are almost done go first. */
	vhdx_show(v);
	woken = v->waiting;
	g_queue_init(&v->waiting);
	while ((l = g_queue_pop_head_link(&woken)))
		walk(v, l->data);
	vhdx_cache_forget_failures(&v->cache);
	v->space.error = 0;
	v->log.begin_error = v->log.room_error = 0;
}

void vhdx_go_on(struct loop_note *note)
{
	struct vhdx *v = container_of(note, struct vhdx, note);
	GList *l;

	while ((l = g_queue_pop_head_link(&v->answers)))
		answer(v, l->data);
	vhdx_wake(v);
}

/* Whether what @io waits for is in the log. */
static bool is_committed(struct vhdx *v, const struct vhdx_io *io)
{
	const struct vhdx_page *oldest = g_queue_peek_head(&v->cache.dirty);

	return io->ticket <= v->log.finished &&
	       (!oldest || oldest->dirty_number > io->dirty_number);
}

void vhdx_committed(struct vhdx *v)
{
	GQueue all = v->committing;
	GList *l;

	g_queue_init(&v->committing);
	while ((l = g_queue_pop_head_link(&all))) {
		struct vhdx_io *io = l->data;

		if (io->ticket <= v->log.finished && v->log.result)
			io->error = v->log.result;
		if (io->error || is_committed(v, io))
			io_end(v, io);
		else
			g_queue_push_tail_link(&v->committing, l);
	}
	vhdx_wake(v);
	if (v->committing.length)
		vhdx_commit(v);
}

void vhdx_submit(struct block_backend *bb, struct block_request *rq)
{
	struct vhdx *v = vhdx_of(bb);
	struct vhdx_io *io = io_new(v, rq);
	bool nested = v->submitting;

	v->submitting = true;
	if (rq->op == BLOCK_FLUSH)
		wait_for_commit(v, io);
	else
		walk(v, io);
	v->submitting = nested;
}

void vhdx_io_finish(struct vhdx *v)
{
	struct vhdx_io *io;

	while ((io = v->free_ios)) {
		v->free_ios = io->next;
		g_free(io);
	}
}
