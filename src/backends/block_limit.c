/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>

#include "backends/block_limit.h"
#include "core/util.h"

#define NS_PER_S	UINT64_C(1000000000)
#define BURST_NS	(NS_PER_S / 10)

/* What passes moves @paid_ns on; the next may pass when that is over. */
struct bucket {
	uint64_t rate;		/* units in a second; 0: no limit */
	uint64_t paid_ns;
	uint64_t rest;		/* of a ns, in parts of @rate */
};

struct block_limit {
	struct block_backend bb;
	struct block_backend *below;
	struct loop *loop;
	struct loop_timer timer;
	struct bucket ops, bytes;
	struct block_request *first, **end;	/* they wait */
};

/* @units pass at @now, whether it is time or not. */
static void charge(struct bucket *b, uint64_t now, uint64_t units)
{
	unsigned __int128 cost = units;

	if (!b->rate)
		return;
	if (b->paid_ns + BURST_NS < now) {
		b->paid_ns = now - BURST_NS;
		b->rest = 0;
	}
	cost = cost * NS_PER_S + b->rest;
	b->paid_ns += (uint64_t)(cost / b->rate);
	b->rest = (uint64_t)(cost % b->rate);
}

static uint64_t bytes_of(const struct block_limit *l,
			 const struct block_request *rq)
{
	switch (rq->op) {
	case BLOCK_READ:
	case BLOCK_WRITE:
		return rq->len;
	case BLOCK_WRITE_ZEROES:
		return l->bb.discard_granularity ? 0 : rq->len;
	default:
		return 0;
	}
}

static void pass(struct block_limit *l, struct block_request *rq)
{
	uint64_t now = loop_now(l->loop);

	charge(&l->ops, now, 1);
	charge(&l->bytes, now, bytes_of(l, rq));
	block_submit(l->below, rq);
}

/* When the next one may pass. */
static uint64_t due(const struct block_limit *l)
{
	return MAX(l->ops.paid_ns, l->bytes.paid_ns);
}

static void pass_first(struct block_limit *l)
{
	struct block_request *rq = l->first;

	l->first = rq->next;
	if (!l->first)
		l->end = &l->first;
	pass(l, rq);
}

static void pass_due(struct loop_timer *t)
{
	struct block_limit *l = container_of(t, struct block_limit, timer);

	while (l->first && due(l) <= loop_now(l->loop))
		pass_first(l);
	if (l->first)
		loop_timer_set(l->loop, &l->timer, due(l));
}

static void limit_submit(struct block_backend *bb, struct block_request *rq)
{
	struct block_limit *l = container_of(bb, struct block_limit, bb);

	if (!l->first && due(l) <= loop_now(l->loop)) {
		pass(l, rq);
		return;
	}
	if (!l->first)
		loop_timer_set(l->loop, &l->timer, due(l));
	rq->next = NULL;
	*l->end = rq;
	l->end = &rq->next;
}

/* It is charged all the same, so that nobody gains by it. */
static void limit_hurry(struct block_backend *bb)
{
	struct block_limit *l = container_of(bb, struct block_limit, bb);

	loop_timer_clear(l->loop, &l->timer);
	while (l->first)
		pass_first(l);
	block_hurry(l->below);
}

static void limit_again(struct block_backend *bb)
{
	block_again(container_of(bb, struct block_limit, bb)->below);
}

static int limit_measure(struct block_backend *bb)
{
	struct block_limit *l = container_of(bb, struct block_limit, bb);
	int ret = block_measure(l->below);

	bb->size = l->below->size;
	return ret;
}

static int limit_extend(struct block_backend *bb, uint64_t size)
{
	struct block_limit *l = container_of(bb, struct block_limit, bb);
	int ret = block_extend(l->below, size);

	bb->size = l->below->size;
	return ret;
}

static void limit_leave(struct block_backend *bb, struct block_leave *leave)
{
	struct block_limit *l = container_of(bb, struct block_limit, bb);

	loop_timer_clear(l->loop, &l->timer);
	block_leave(l->below, leave);
}

static void limit_close(struct block_backend *bb)
{
	struct block_limit *l = container_of(bb, struct block_limit, bb);

	g_assert(!l->first);
	block_close(l->below);
	g_free(l);
}

static const struct block_backend_ops limit_ops = {
	.name = "limit",
	.submit = limit_submit,
	.measure = limit_measure,
	.extend = limit_extend,
	.hurry = limit_hurry,
	.again = limit_again,
	.leave = limit_leave,
	.close = limit_close,
};

struct block_backend *block_limit_new(struct loop *loop,
				      struct block_backend *below,
				      const struct block_limits *limits)
{
	struct block_limit *l = g_new0(struct block_limit, 1);

	l->bb = *below;
	l->bb.ops = &limit_ops;
	l->bb.growable = false;
	l->below = below;
	l->loop = loop;
	l->timer.expired = pass_due;
	l->ops.rate = limits->ops;
	l->bytes.rate = limits->bytes;
	l->end = &l->first;
	return &l->bb;
}
