/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * block - where disk contents live.
 *
 * A backend belongs to one loop.  submit() never blocks and leads to exactly
 * one done(), on that loop, in any order, never from inside submit() itself.
 */
#ifndef BACKEND_BLOCK_H
#define BACKEND_BLOCK_H

#include <errno.h>
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "core/loop.h"

enum block_op {
	BLOCK_READ,
	BLOCK_WRITE,
	BLOCK_FLUSH,		/* what was done() before is on stable storage */
	BLOCK_WRITE_ZEROES,	/* reads as zeroes; frees space if it can */
	/*
	 * offset is the new size; what is new is 0.  perform() can cut, too,
	 * and put @iov at the new end, in one step.
	 */
	BLOCK_GROW,
};

struct block_request {
	enum block_op op;
	bool fua;			/* BLOCK_WRITE: stable before done() */
	bool rushed;			/* is not kept for another try */
	uint64_t offset;		/* bytes, multiple of block_size */
	uint64_t len;			/* bytes, likewise; iov's sum if iov */
	const struct iovec *iov;	/* borrowed until done(); read, write */
	int iovcnt;
	int result;			/* 0 or -errno, valid in done() */
	void (*done)(struct block_request *rq);
	/* The backend's own, so that a request needs no other allocation. */
	struct loop_op loop_op;
	struct block_backend *backend;
	struct block_request *next;
};

struct block_backend;

struct block_leave {
	void (*left)(struct block_leave *l);
};

struct block_backend_ops {
	const char *name;
	void (*submit)(struct block_backend *bb, struct block_request *rq);
	/*
	 * Do @rq here and now and return its result, without done().  For
	 * formats, when they open and close: before the loop's first turn or
	 * after its last.  NULL: nothing can be built upon this backend.
	 */
	int (*perform)(struct block_backend *bb, struct block_request *rq);
	/*
	 * Look how large it has become, and let @size be that.  -errno: it is
	 * not what a disk can be, or not known, and @size as before.  NULL: it
	 * keeps its size.
	 */
	int (*measure)(struct block_backend *bb);
	/*
	 * Make it @size bytes, more than it has; what is new is zero.  Blocks,
	 * without the loop, when no request is under way and all is flushed;
	 * afterwards requests may come again.  -EINVAL: there is no such disk;
	 * -EOPNOTSUPP: this one keeps its size.  @size says what it is then,
	 * also after another -errno.  NULL: it keeps its size.
	 */
	int (*extend)(struct block_backend *bb, uint64_t size);
	/*
	 * Whoever made the requests under way has no time for them: let those
	 * that wait here by a rule of ours go on.  None is done() from inside.
	 * NULL: none ever waits.  What stands on others passes it to them.
	 */
	void (*hurry)(struct block_backend *bb);
	/*
	 * The user has done something about why requests failed: try again
	 * those that are kept.  None is done() from inside.  NULL: none is.
	 * What stands on others passes it to them.
	 */
	void (*again)(struct block_backend *bb);
	/*
	 * Let go of the loop while it turns, so that close() can come on
	 * another thread.  No request is under way, and none comes any more.
	 * Leads to one l->left(), on the loop, possibly from inside.  NULL: a
	 * backend without requests has nothing to do with its loop.
	 */
	void (*leave)(struct block_backend *bb, struct block_leave *l);
	/* See block_next_data(); NULL: there may be data everywhere. */
	uint64_t (*next_data)(struct block_backend *bb, uint64_t at);
	/*
	 * Free it.  No request is in flight; of a file or a limit the last
	 * one's done() may be what calls this.
	 */
	void (*close)(struct block_backend *bb);
};

/* Base of every backend.  The user checks ranges against @size. */
struct block_backend {
	const struct block_backend_ops *ops;
	uint64_t size;			/* bytes, multiple of block_size */
	uint32_t block_size;		/* logical sector: 512 or 4096 */
	uint32_t physical_block_size;	/* power of two, >= block_size */
	uint32_t discard_granularity;	/* bytes that zeroes free; 0: none */
	bool read_only;			/* then only BLOCK_READ and BLOCK_FLUSH */
	/*
	 * BLOCK_GROW works, one at a time; @size is the new one by its done().
	 */
	bool growable;
	bool rotational;
};

static inline void block_submit(struct block_backend *bb,
				struct block_request *rq)
{
	bb->ops->submit(bb, rq);
}

static inline void block_hurry(struct block_backend *bb)
{
	if (bb->ops->hurry)
		bb->ops->hurry(bb);
}

static inline void block_again(struct block_backend *bb)
{
	if (bb->ops->again)
		bb->ops->again(bb);
}

static inline void block_leave(struct block_backend *bb, struct block_leave *l)
{
	if (bb->ops->leave)
		bb->ops->leave(bb, l);
	else
		l->left(l);
}

/*
 * Where the disk may have data at @at or behind it, a multiple of block_size;
 * its size if all of that reads as zeroes.  For a disk that has not been
 * written since it was opened.  Blocks.
 */
static inline uint64_t block_next_data(struct block_backend *bb, uint64_t at)
{
	return bb->ops->next_data ? bb->ops->next_data(bb, at) : at;
}

static inline int block_measure(struct block_backend *bb)
{
	return bb->ops->measure ? bb->ops->measure(bb) : -EOPNOTSUPP;
}

static inline int block_extend(struct block_backend *bb, uint64_t size)
{
	return bb->ops->extend ? bb->ops->extend(bb, size) : -EOPNOTSUPP;
}

static inline void block_close(struct block_backend *bb)
{
	if (bb)
		bb->ops->close(bb);
}

#endif
