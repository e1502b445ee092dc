/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests.  One walks over the blocks that it touches, and has a request in
 * the file for each that is there; what it lacks it waits for.
 *
 * A block that gets its first data is part of the BAT at once.  Its space
 * reads as zeroes, as it did before, so that it does not matter what of the
 * data is stable when the BAT is.
 */
#include <errno.h>

#include "backends/block_iov.h"
#include "backends/vhdx_internal.h"
#include "core/util.h"

#define DIRTY_MAX	(4u * VHDX_COMMIT_PAGES)
#define STEPS_MAX	4096u		/* of a request in one turn of the loop */

struct vhdx_io {
	struct block_request *rq;
	uint64_t at;			/* bytes that have been looked at */
	unsigned pieces;		/* in the file */
	bool walked;
	int error;
	/* Of one that waits for a commit: the first that will do ... */
	uint64_t ticket;
	uint64_t dirty_number;		/* ... if it has all pages up to this */
	GList link;
	struct vhdx_io *next;
};

struct vhdx_piece {
	struct block_request rq;
	struct vhdx *v;
	struct vhdx_io *io;
	unsigned phase;
	struct iovec *iov;
	int iov_size;
	struct vhdx_piece *next;
};

/* The part of a request that is in one block. */
struct span {
	uint64_t block;
	uint32_t skip, len;		/* bytes */
};

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

/*
 * Pieces.
 */
static void piece_done(struct block_request *rq)
{
	struct vhdx_piece *p = container_of(rq, struct vhdx_piece, rq);
	struct vhdx *v = p->v;
	struct vhdx_io *io = p->io;

	if (rq->result && !io->error)
		io->error = rq->result;
	p->next = v->free_pieces;
	v->free_pieces = p;
	if (!--v->in_flight[p->phase])
		vhdx_commit_quiet(v);
	io->pieces--;
	io_walked(v, io);
}

static struct vhdx_piece *piece_new(struct vhdx *v, struct vhdx_io *io)
{
	struct vhdx_piece *p = v->free_pieces;

	if (p)
		v->free_pieces = p->next;
	else
		p = g_new0(struct vhdx_piece, 1);
	p->v = v;
	p->io = io;
	p->phase = v->phase;
	v->in_flight[p->phase]++;
	io->pieces++;
	return p;
}

/* The piece's memory: the request's own if that is all of it. */
static const struct iovec *piece_iov(struct vhdx_piece *p,
				     const struct vhdx_io *io, uint32_t len,
				     int *iovcnt)
{
	const struct block_request *rq = io->rq;

	*iovcnt = rq->iovcnt;
	if (len == rq->len || !rq->iovcnt)
		return rq->iov;
	if (p->iov_size < rq->iovcnt) {
		p->iov = g_renew(struct iovec, p->iov, rq->iovcnt);
		p->iov_size = rq->iovcnt;
	}
	*iovcnt = block_iov_slice(p->iov, rq->iov, rq->iovcnt, io->at, len);
	return p->iov;
}

static int in_file(struct vhdx *v, struct vhdx_io *io, uint64_t entry,
		   const struct span *s)
{
	struct vhdx_piece *p;

	if (!vhdx_block_fits(v, VHDX_ENTRY_OFFSET(entry)))
		return -EIO;
	p = piece_new(v, io);
	p->rq = (struct block_request){
		.op = io->rq->op, .fua = io->rq->fua,
		.offset = VHDX_ENTRY_OFFSET(entry) + s->skip, .len = s->len,
		.done = piece_done,
	};
	p->rq.iov = piece_iov(p, io, s->len, &p->rq.iovcnt);
	block_submit(v->file, &p->rq);
	return 0;
}

/*
 * Steps: one block.  0, -errno, or VHDX_WAIT.
 */
static int read_nothing(struct vhdx_io *io, const struct span *s)
{
	block_iov_zero(io->rq->iov, io->rq->iovcnt, io->at, s->len);
	return 0;
}

static int write_first(struct vhdx *v, struct vhdx_io *io,
		       const struct span *s)
{
	uint64_t entry;
	int ret;

	if (v->cache.dirty.length >= DIRTY_MAX) {
		vhdx_commit(v);
		return VHDX_WAIT;
	}
	ret = vhdx_allocate(v, &entry);
	if (ret)
		return ret;
	entry |= PAYLOAD_BLOCK_FULLY_PRESENT;
	vhdx_bat_set(v, s->block, entry);
	return in_file(v, io, entry, s);
}

/* The part of the block that the disk has: the last may be cut. */
static uint32_t block_len(const struct vhdx *v, uint64_t block)
{
	return (uint32_t)MIN(v->layout.block_size, v->layout.size -
			     block * v->layout.block_size);
}

static int zero_present(struct vhdx *v, struct vhdx_io *io, uint64_t entry,
			const struct span *s)
{
	uint64_t offset = VHDX_ENTRY_OFFSET(entry);

	if (v->layout.leave_allocated || s->len < block_len(v, s->block))
		return in_file(v, io, entry, s);
	if (!vhdx_block_fits(v, offset))
		return -EIO;
	if (v->cache.dirty.length >= DIRTY_MAX) {
		vhdx_commit(v);
		return VHDX_WAIT;
	}
	vhdx_bat_set(v, s->block, PAYLOAD_BLOCK_ZERO);
	g_array_append_val(v->freed, offset);
	return 0;
}

static int step_state(struct vhdx *v, struct vhdx_io *io, uint64_t entry,
		      const struct span *s)
{
	enum block_op op = io->rq->op;

	switch (VHDX_ENTRY_STATE(entry)) {
	case PAYLOAD_BLOCK_FULLY_PRESENT:
		return op == BLOCK_WRITE_ZEROES ?
		       zero_present(v, io, entry, s) :
		       in_file(v, io, entry, s);
	case PAYLOAD_BLOCK_NOT_PRESENT:
	case PAYLOAD_BLOCK_UNDEFINED:
	case PAYLOAD_BLOCK_ZERO:
	case PAYLOAD_BLOCK_UNMAPPED:
		if (op == BLOCK_READ)
			return read_nothing(io, s);
		return op == BLOCK_WRITE ? write_first(v, io, s) : 0;
	default:
		return -EIO;
	}
}

static int step(struct vhdx *v, struct vhdx_io *io)
{
	uint64_t offset = io->rq->offset + io->at, entry;
	uint32_t size = v->layout.block_size;
	struct span s = {
		.block = offset / size, .skip = (uint32_t)(offset % size),
	};
	int ret = 0;

	s.len = (uint32_t)MIN(size - s.skip, io->rq->len - io->at);
	if (io->rq->op != BLOCK_READ)
		ret = vhdx_begin(v);
	if (!ret)
		ret = vhdx_bat_get(v, s.block, &entry);
	if (!ret)
		ret = step_state(v, io, entry, &s);
	if (!ret)
		io->at += s.len;
	return ret;
}

static void walk(struct vhdx *v, struct vhdx_io *io)
{
	unsigned steps = 0;

	while (io->at < io->rq->len && !io->error) {
		bool tired = steps++ == STEPS_MAX;
		int ret = tired ? VHDX_WAIT : step(v, io);

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

/* Something has happened that requests may wait for. */
void vhdx_wake(struct vhdx *v)
{
	GQueue woken = v->waiting;
	GList *l;

	g_queue_init(&v->waiting);
	while ((l = g_queue_pop_head_link(&woken)))
		walk(v, l->data);
	vhdx_cache_forget_failures(&v->cache);
	v->space.error = 0;
	v->log.begin_error = 0;
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
	struct vhdx_piece *p;
	struct vhdx_io *io;

	while ((p = v->free_pieces)) {
		v->free_pieces = p->next;
		g_free(p->iov);
		g_free(p);
	}
	while ((io = v->free_ios)) {
		v->free_ios = io->next;
		g_free(io);
	}
}
