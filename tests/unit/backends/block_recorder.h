/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * block_recorder - a file in memory that keeps a record of what is done to it,
 * and files as a crash of the host leaves them: all that a flush has covered,
 * and of what came later some, in parts.
 */
#ifndef BLOCK_RECORDER_H
#define BLOCK_RECORDER_H

#include <string.h>

#include "backends/block_iov.h"
#include "backends/block_mem.h"
#include "core/util.h"

#define RECORD_SECTOR	512u	/* what is not torn */

/* What was done to a file, in order. */
struct record {
	unsigned file;
	enum block_op op;
	bool fua;
	uint64_t offset, len;
	uint8_t *bytes;		/* of a write, or at the new end */
	unsigned covers;	/* BLOCK_FLUSH: records that are stable */
};

struct recorder {
	struct block_backend bb;
	struct block_backend *mem;	/* borrowed */
	GArray *records;	/* struct record; of several files, perhaps */
	unsigned file;		/* its number among these */
	GRand *rand;
	void (*changed)(struct recorder *r);	/* NULL: nobody asks */
	struct loop *loop;
	struct loop_note note;
	GQueue queue;
};

static inline void record_clear(void *p)
{
	g_free(((struct record *)p)->bytes);
}

static inline GArray *records_new(void)
{
	GArray *records = g_array_new(FALSE, FALSE, sizeof(struct record));

	g_array_set_clear_func(records, record_clear);
	return records;
}

static inline void recorder_act(struct recorder *r, struct block_request *rq)
{
	struct record record = {
		.file = r->file, .op = rq->op, .fua = rq->fua,
		.offset = rq->offset, .len = rq->len,
		/* Set when it was submitted. */
		.covers = (unsigned)rq->result,
	};

	if (rq->op != BLOCK_READ && rq->iovcnt) {
		record.bytes = g_malloc(rq->len);
		block_iov_gather(record.bytes, rq->iov, rq->iovcnt, 0,
				 rq->len);
	}
	if (rq->op != BLOCK_READ)
		g_array_append_val(r->records, record);
	if (rq->op != BLOCK_READ && rq->op != BLOCK_FLUSH && r->changed)
		r->changed(r);
	r->mem->ops->perform(r->mem, rq);
	r->bb.size = r->mem->size;
}

/* One at a time and in any order, so that they and flushes mix. */
static inline void recorder_run(struct loop_note *note)
{
	struct recorder *r = container_of(note, struct recorder, note);
	struct block_request *rq;

	rq = g_queue_pop_nth(&r->queue, (guint)
			     g_rand_int_range(r->rand, 0,
					      (gint32)r->queue.length));
	if (!g_queue_is_empty(&r->queue))
		loop_post(r->loop, &r->note);
	recorder_act(r, rq);
	rq->result = 0;
	rq->done(rq);
}

static inline void recorder_submit(struct block_backend *bb,
				   struct block_request *rq)
{
	struct recorder *r = container_of(bb, struct recorder, bb);

	rq->result = (int)r->records->len;
	g_queue_push_tail(&r->queue, rq);
	loop_post(r->loop, &r->note);
}

static inline int recorder_perform(struct block_backend *bb,
				   struct block_request *rq)
{
	struct recorder *r = container_of(bb, struct recorder, bb);

	rq->result = (int)r->records->len;
	recorder_act(r, rq);
	return 0;
}

static inline void recorder_close(struct block_backend *bb)
{
}

/* @mem, @records and @rand are borrowed. */
static inline void recorder_init(struct recorder *r, struct loop *l,
				 struct block_backend *mem, GArray *records,
				 GRand *rand)
{
	static const struct block_backend_ops ops = {
		.name = "recorder", .submit = recorder_submit,
		.perform = recorder_perform, .close = recorder_close,
	};

	*r = (struct recorder){
		.bb = *mem, .mem = mem, .records = records, .rand = rand,
		.loop = l, .note.run = recorder_run,
	};
	r->bb.ops = &ops;
}

static inline struct block_backend *copy_of_mem(struct loop *l,
						struct block_backend *mem)
{
	struct block_backend *copy = block_mem_new(l, mem->size,
						   mem->block_size);

	memcpy(block_mem_bytes(copy), block_mem_bytes(mem), mem->size);
	return copy;
}

static inline void resize_mem(struct block_backend *mem, uint64_t size)
{
	mem->ops->perform(mem, &(struct block_request){
		.op = BLOCK_GROW, .offset = size,
	});
}

/* Each sector of it if there is no @torn. */
static inline void record_redo(struct block_backend *mem,
			       const struct record *r, GRand *torn)
{
	uint64_t end = r->op == BLOCK_WRITE ? r->offset + r->len : 0;
	uint8_t *to;

	/* So does a write behind the end. */
	if (r->op == BLOCK_GROW || end > mem->size)
		resize_mem(mem, r->op == BLOCK_GROW ? r->offset : end);
	to = block_mem_bytes(mem) + r->offset;
	if (r->op == BLOCK_GROW && r->bytes)
		memcpy(to - r->len, r->bytes, r->len);
	for (uint64_t at = 0; at < r->len && r->offset + at < mem->size;
	     at += RECORD_SECTOR) {
		if (torn && g_rand_boolean(torn))
			continue;
		if (r->op == BLOCK_WRITE)
			memcpy(to + at, r->bytes + at, RECORD_SECTOR);
		else if (r->op == BLOCK_WRITE_ZEROES)
			memset(to + at, 0, RECORD_SECTOR);
	}
}

/* Of what no flush has covered, what is there? */
enum crash_how { CRASH_ALL, CRASH_NOTHING, CRASH_PARTS, CRASH_TORN,
		 CRASH_HOWS };

struct crash {
	struct loop *loop;
	const GArray *records;
	unsigned file, from, when;	/* records of the file in between */
	enum crash_how how;
	GRand *rand;
};

static inline bool is_stable(const struct crash *c, unsigned i,
			     unsigned stable)
{
	return i < stable || c->how == CRASH_ALL ||
	       g_array_index(c->records, struct record, i).fua;
}

/* The file that began as @base. */
static inline struct block_backend *crash_file(const struct crash *c,
					       struct block_backend *base)
{
	struct block_backend *mem = copy_of_mem(c->loop, base);
	const struct record *r = (const void *)c->records->data;
	unsigned stable = c->from;

	for (unsigned i = c->from; i < c->when; i++)
		if (r[i].file == c->file && r[i].op == BLOCK_FLUSH)
			stable = MAX(stable, r[i].covers);
	for (unsigned i = c->from; i < c->when; i++) {
		if (r[i].file != c->file || r[i].op == BLOCK_FLUSH)
			continue;
		if (is_stable(c, i, stable))
			record_redo(mem, &r[i], NULL);
		else if (c->how >= CRASH_PARTS && g_rand_boolean(c->rand))
			record_redo(mem, &r[i], c->how == CRASH_TORN ?
						c->rand : NULL);
	}
	return mem;
}

#endif
