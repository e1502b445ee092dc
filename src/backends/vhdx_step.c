/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Steps of requests: what one does in one block.
 *
 * A block that gets its first data is part of the BAT at once.  Its space
 * reads as zeroes, as it did before, so that it does not matter what of the
 * data is stable when the BAT is.
 *
 * Where a parent would show through that does not do.  There a block is first
 * partially present, without any of its sectors, and these are shown when their
 * data is in the file: a commit makes all stable that is in the file before the
 * bitmap that it has copied.  A block of which all is there becomes a fully
 * present one.
 */
#include <errno.h>

#include "backends/block_iov.h"
#include "backends/vhdx_internal.h"
#include "core/util.h"

/*
 * Pieces.
 */
static void piece_end(struct vhdx_piece *p, int result)
{
	struct vhdx *v = p->v;
	struct vhdx_io *io = p->io;

	if (result && !io->error)
		io->error = result;
	p->next = v->free_pieces;
	v->free_pieces = p;
	vhdx_io_piece_ended(v, io);
}

/* The part of the block that the disk has: the last may be cut. */
static uint32_t block_len(const struct vhdx *v, uint64_t block)
{
	return (uint32_t)MIN(v->layout.block_size, v->layout.size -
			     block * v->layout.block_size);
}

/* What has been written to a partially present block is there now. */
static int show(struct vhdx *v, const struct vhdx_piece *p)
{
	uint64_t at = vhdx_bat_payload(v, p->span.block), entry;
	uint32_t sector = v->layout.sector;
	bool all = p->span.len == block_len(v, p->span.block);
	int ret = vhdx_bat_get(v, at, &entry);

	/* It has been given back meanwhile, or become fully present. */
	if (ret || entry != p->entry)
		return ret;
	if (!all)
		ret = vhdx_sectors_set(v, p->span.block,
				       p->span.skip / sector,
				       p->span.len / sector, &all);
	if (!ret && all)
		ret = vhdx_make_room(v, 1);
	if (!ret && all)
		vhdx_bat_set(v, at, VHDX_ENTRY_OFFSET(entry) |
				    PAYLOAD_BLOCK_FULLY_PRESENT);
	return ret;
}

static void try_to_show(struct vhdx_piece *p)
{
	int ret = show(p->v, p);

	if (ret == VHDX_WAIT)
		g_queue_push_tail_link(&p->v->showing, &p->link);
	else
		piece_end(p, ret);
}

void vhdx_show(struct vhdx *v)
{
	GQueue woken = v->showing;
	GList *l;

	g_queue_init(&v->showing);
	while ((l = g_queue_pop_head_link(&woken)))
		try_to_show(l->data);
}

/*
 * It is not in the file any more, also if it has to be shown yet: a block that
 * is given back never is partially present again, so that there is no mistake.
 */
static void piece_done(struct block_request *rq)
{
	struct vhdx_piece *p = container_of(rq, struct vhdx_piece, rq);
	struct vhdx *v = p->v;

	if (!--v->in_flight[p->phase])
		vhdx_commit_quiet(v);
	if (p->entry && !rq->result)
		try_to_show(p);
	else
		piece_end(p, rq->result);
}

static struct vhdx_piece *piece_new(struct vhdx *v, struct vhdx_io *io,
				    const struct vhdx_span *s)
{
	struct vhdx_piece *p = v->free_pieces;

	if (p)
		v->free_pieces = p->next;
	else
		p = g_new0(struct vhdx_piece, 1);
	p->v = v;
	p->io = io;
	p->span = *s;
	p->entry = 0;
	p->link.data = p;
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

static void piece_submit(struct vhdx_piece *p, struct block_backend *to,
			 uint64_t offset)
{
	const struct block_request *rq = p->io->rq;

	p->rq = (struct block_request){
		.op = rq->op, .fua = rq->fua, .offset = offset,
		.len = p->span.len, .done = piece_done,
	};
	p->rq.iov = piece_iov(p, p->io, p->span.len, &p->rq.iovcnt);
	block_submit(to, &p->rq);
}

static int in_file(struct vhdx *v, struct vhdx_io *io, uint64_t entry,
		   const struct vhdx_span *s)
{
	uint64_t offset = VHDX_ENTRY_OFFSET(entry);
	struct vhdx_piece *p;

	if (!vhdx_block_fits(v, offset, v->layout.block_size))
		return -EIO;
	p = piece_new(v, io, s);
	if (io->rq->op != BLOCK_READ &&
	    VHDX_ENTRY_STATE(entry) == PAYLOAD_BLOCK_PARTIALLY_PRESENT)
		p->entry = entry;
	piece_submit(p, v->file, offset + s->skip);
	return 0;
}

/*
 * Steps.
 */

/* Whether the parent, which may be smaller, shows through in the block. */
static bool has_below(const struct vhdx *v, uint64_t block, uint64_t entry)
{
	return v->parent && block * v->layout.block_size < v->parent->size &&
	       VHDX_ENTRY_STATE(entry) == PAYLOAD_BLOCK_NOT_PRESENT;
}

static void read_nothing(struct vhdx_io *io, const struct vhdx_span *s)
{
	block_iov_zero(io->rq->iov, io->rq->iovcnt, io->at, s->len);
}

static void read_below(struct vhdx *v, struct vhdx_io *io,
		       struct vhdx_span *s)
{
	uint64_t at = io->rq->offset + io->at;

	if (at < v->parent->size) {
		s->len = (uint32_t)MIN(s->len, v->parent->size - at);
		piece_submit(piece_new(v, io, s), v->parent, at);
	} else {
		read_nothing(io, s);
	}
}

/* A run of sectors that are all here, or all below. */
static int read_partial(struct vhdx *v, struct vhdx_io *io, uint64_t entry,
			struct vhdx_span *s)
{
	uint32_t sector = v->layout.sector, count = s->len / sector;
	bool present = false;
	int ret = vhdx_sectors_get(v, s->block, s->skip / sector, &count,
				   &present);

	if (ret)
		return ret;
	s->len = count * sector;
	if (present)
		return in_file(v, io, entry, s);
	read_below(v, io, s);
	return 0;
}

static int write_first(struct vhdx *v, struct vhdx_io *io, bool below,
		       const struct vhdx_span *s)
{
	uint64_t entry;
	int ret = vhdx_make_room(v, 1 + (below ? VHDX_BITMAP_PAGES : 0));

	/* It was there when the disk was opened. */
	if (v->shared)
		ret = -EIO;
	if (!ret && below)
		ret = vhdx_sectors_clear(v, s->block);
	if (!ret)
		ret = vhdx_allocate(v, &entry);
	if (ret)
		return ret;
	entry |= below ? PAYLOAD_BLOCK_PARTIALLY_PRESENT :
		 PAYLOAD_BLOCK_FULLY_PRESENT;
	vhdx_bat_set(v, vhdx_bat_payload(v, s->block), entry);
	return in_file(v, io, entry, s);
}

static bool zeroes_block(const struct vhdx *v, const struct vhdx_io *io,
			 const struct vhdx_span *s)
{
	return io->rq->op == BLOCK_WRITE_ZEROES &&
	       s->len == block_len(v, s->block);
}

static int step_absent(struct vhdx *v, struct vhdx_io *io, uint64_t entry,
		       struct vhdx_span *s)
{
	bool below = has_below(v, s->block, entry);
	int ret = 0;

	if (io->rq->op == BLOCK_READ && below)
		read_below(v, io, s);
	else if (io->rq->op == BLOCK_READ)
		read_nothing(io, s);
	else if (io->rq->op == BLOCK_WRITE ||
		 (below && !zeroes_block(v, io, s)))
		ret = write_first(v, io, below, s);
	else if (below && !(ret = vhdx_make_room(v, 1)))
		vhdx_bat_set(v, vhdx_bat_payload(v, s->block),
			     PAYLOAD_BLOCK_ZERO);
	return ret;
}

static int zero_present(struct vhdx *v, uint64_t entry,
			const struct vhdx_span *s)
{
	uint64_t offset = VHDX_ENTRY_OFFSET(entry);
	int ret;

	if (!vhdx_block_fits(v, offset, v->layout.block_size))
		return -EIO;
	ret = vhdx_make_room(v, 1);
	if (ret)
		return ret;
	vhdx_bat_set(v, vhdx_bat_payload(v, s->block), PAYLOAD_BLOCK_ZERO);
	g_array_append_val(v->freed, offset);
	return 0;
}

static int step_present(struct vhdx *v, struct vhdx_io *io, uint64_t entry,
			struct vhdx_span *s)
{
	if (zeroes_block(v, io, s) && !v->layout.leave_allocated)
		return zero_present(v, entry, s);
	if (io->rq->op == BLOCK_READ &&
	    VHDX_ENTRY_STATE(entry) == PAYLOAD_BLOCK_PARTIALLY_PRESENT)
		return read_partial(v, io, entry, s);
	return in_file(v, io, entry, s);
}

static int step_state(struct vhdx *v, struct vhdx_io *io, uint64_t entry,
		      struct vhdx_span *s)
{
	switch (VHDX_ENTRY_STATE(entry)) {
	case PAYLOAD_BLOCK_PARTIALLY_PRESENT:
		return v->parent ? step_present(v, io, entry, s) : -EIO;
	case PAYLOAD_BLOCK_FULLY_PRESENT:
		return step_present(v, io, entry, s);
	case PAYLOAD_BLOCK_NOT_PRESENT:
	case PAYLOAD_BLOCK_UNDEFINED:
	case PAYLOAD_BLOCK_ZERO:
	case PAYLOAD_BLOCK_UNMAPPED:
		return step_absent(v, io, entry, s);
	default:
		return -EIO;
	}
}

int vhdx_step(struct vhdx *v, struct vhdx_io *io)
{
	uint64_t offset = io->rq->offset + io->at, entry;
	uint32_t size = v->layout.block_size;
	struct vhdx_span s = {
		.block = offset / size, .skip = (uint32_t)(offset % size),
	};
	int ret = 0;

	s.len = (uint32_t)MIN(size - s.skip, io->rq->len - io->at);
	if (io->rq->op != BLOCK_READ)
		ret = vhdx_begin(v);
	if (!ret)
		ret = vhdx_bat_get(v, vhdx_bat_payload(v, s.block), &entry);
	if (!ret)
		ret = step_state(v, io, entry, &s);
	if (!ret)
		io->at += s.len;
	return ret;
}

void vhdx_step_finish(struct vhdx *v)
{
	struct vhdx_piece *p;

	while ((p = v->free_pieces)) {
		v->free_pieces = p->next;
		g_free(p->iov);
		g_free(p);
	}
}
