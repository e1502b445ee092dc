/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copying extents: several in flight, each read, looked at, and written. */
#include <string.h>

#include "backends/block_merge.h"

#define SLOTS		16u
#define SLOT_SIZE	(UINT64_C(1) << 20)
#define ZERO_SIZE	(UINT64_C(64) << 20)	/* at a time */

struct copy;

struct slot {
	struct block_request rq;
	struct copy *copy;
	struct iovec iov;
	struct block_extent e;	/* that is under way */
	uint8_t *buf;
};

struct copy {
	struct block_merge *m;
	struct block_backend *to;
	block_extent_next *next;
	void *source;
	struct block_extent e;	/* what is left of it is to be copied */
	uint64_t copied;
	unsigned busy;
	int result;		/* the first error */
	struct slot slots[SLOTS];
};

int block_merge_count(struct block_merge *m, block_extent_next *next,
		      void *source)
{
	struct block_extent e = { 0 };
	int ret;

	m->total = 0;
	do {
		ret = next(source, e.at + e.len, &e);
		if (!ret)
			m->total += e.len;
	} while (!ret && e.len);
	return ret;
}

static void slot_next(struct slot *s);

static void fail(struct copy *c, int result)
{
	if (!c->result)
		c->result = result;
}

static void submit(struct slot *s, struct block_backend *bb, enum block_op op,
		   uint64_t at, void (*done)(struct block_request *rq))
{
	bool bytes = op == BLOCK_READ || op == BLOCK_WRITE;

	s->iov = (struct iovec){ s->buf, s->e.len };
	s->rq = (struct block_request){
		.op = op, .offset = at, .len = s->e.len,
		.iov = bytes ? &s->iov : NULL, .iovcnt = bytes, .done = done,
	};
	block_submit(bb, &s->rq);
}

static void written(struct block_request *rq)
{
	struct slot *s = (struct slot *)rq;
	struct copy *c = s->copy;

	if (rq->result)
		fail(c, rq->result);
	c->copied += s->e.len;
	if (c->m->progress)
		c->m->progress(c->m, c->copied);
	slot_next(s);
}

static bool is_zero(const uint8_t *p, uint64_t len)
{
	return !*p && !memcmp(p, p + 1, len - 1);
}

static void was_read(struct block_request *rq)
{
	struct slot *s = (struct slot *)rq;

	if (rq->result) {
		fail(s->copy, rq->result);
		slot_next(s);
		return;
	}
	submit(s, s->copy->to, is_zero(s->buf, s->e.len) ?
	       BLOCK_WRITE_ZEROES : BLOCK_WRITE, s->e.at, written);
}

/* The next piece for @s; false: there is none. */
static bool take(struct copy *c, struct slot *s)
{
	int ret = c->m->stop ? c->m->stop : c->result;

	if (!ret && !c->e.len)
		ret = c->next(c->source, c->e.at, &c->e);
	if (ret)
		fail(c, ret);
	if (ret || !c->e.len)
		return false;
	s->e = c->e;
	s->e.len = MIN(c->e.len, c->e.zero ? ZERO_SIZE : SLOT_SIZE);
	c->e.at += s->e.len;
	c->e.place += s->e.len;
	c->e.len -= s->e.len;
	return true;
}

static void slot_next(struct slot *s)
{
	struct copy *c = s->copy;

	if (!take(c, s))
		c->busy--;
	else if (s->e.zero)
		submit(s, c->to, BLOCK_WRITE_ZEROES, s->e.at, written);
	else
		submit(s, c->m->file, BLOCK_READ, s->e.place, was_read);
}

static void flushed(struct block_request *rq)
{
	struct slot *s = (struct slot *)rq;

	if (rq->result)
		fail(s->copy, rq->result);
	s->copy->busy--;
}

static void wait(struct copy *c)
{
	while (c->busy)
		loop_turn(c->m->loop, true);
}

int block_merge_copy(struct block_merge *m, block_extent_next *next,
		     void *source, struct block_backend *to)
{
	g_autofree struct copy *c = g_new0(struct copy, 1);

	*c = (struct copy){ .m = m, .to = to, .next = next, .source = source };
	for (unsigned i = 0; i < SLOTS; i++) {
		c->slots[i].copy = c;
		c->slots[i].buf = g_aligned_alloc(1, SLOT_SIZE, 4096);
		c->busy++;
		slot_next(&c->slots[i]);
	}
	wait(c);
	if (!c->result) {
		c->busy++;
		c->slots[0].e.len = 0;
		submit(&c->slots[0], to, BLOCK_FLUSH, 0, flushed);
		wait(c);
	}
	for (unsigned i = 0; i < SLOTS; i++)
		g_aligned_free(c->slots[i].buf);
	return c->result;
}
