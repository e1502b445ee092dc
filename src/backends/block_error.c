/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/block_error.h"
#include "core/util.h"

struct block_error {
	struct block_backend bb;
	struct block_backend *inner;
	struct loop *loop;
	struct loop_note note;
	struct block_error_rule rule;
	bool hold;
	unsigned hurries;
	GQueue held, failed;	/* struct block_request */
};

static bool matches(const struct block_error *e,
		    const struct block_request *rq)
{
	const struct block_error_rule *r = &e->rule;

	if (!(r->ops & 1u << rq->op))
		return false;
	if (!r->len || rq->op == BLOCK_FLUSH || rq->op == BLOCK_GROW)
		return true;
	return rq->offset < r->offset + r->len &&
	       r->offset < rq->offset + rq->len;
}

static void fail(struct loop_note *note)
{
	struct block_error *e = container_of(note, struct block_error, note);
	GQueue now = e->failed;
	struct block_request *rq;

	/* What comes from there posts the note again. */
	g_queue_init(&e->failed);
	while ((rq = g_queue_pop_head(&now)))
		rq->done(rq);
}

static void error_submit(struct block_backend *bb, struct block_request *rq)
{
	struct block_error *e = container_of(bb, struct block_error, bb);

	if (e->hold) {
		g_queue_push_tail(&e->held, rq);
		return;
	}
	if (!matches(e, rq) || (e->rule.after && e->rule.after--)) {
		/* What is in front of is memory: it will do it. */
		if (rq->op == BLOCK_GROW)
			e->bb.size = rq->offset;
		block_submit(e->inner, rq);
		return;
	}
	rq->result = e->rule.error;
	g_queue_push_tail(&e->failed, rq);
	loop_post(e->loop, &e->note);
}

static int error_perform(struct block_backend *bb, struct block_request *rq)
{
	struct block_error *e = container_of(bb, struct block_error, bb);
	int result;

	if (matches(e, rq) && !(e->rule.after && e->rule.after--))
		return e->rule.error;
	result = e->inner->ops->perform(e->inner, rq);
	e->bb.size = e->inner->size;
	return result;
}

static void error_hurry(struct block_backend *bb)
{
	struct block_error *e = container_of(bb, struct block_error, bb);

	e->hurries++;
	block_hurry(e->inner);
}

static void error_close(struct block_backend *bb)
{
	struct block_error *e = container_of(bb, struct block_error, bb);

	g_assert(g_queue_is_empty(&e->held) && g_queue_is_empty(&e->failed));
	block_close(e->inner);
	g_free(e);
}

static const struct block_backend_ops error_ops = {
	.name = "error",
	.submit = error_submit,
	.perform = error_perform,
	.hurry = error_hurry,
	.close = error_close,
};

struct block_backend *block_error_new(struct loop *loop,
				      struct block_backend *inner)
{
	struct block_error *e = g_new0(struct block_error, 1);

	e->bb = *inner;
	e->bb.ops = &error_ops;
	e->inner = inner;
	e->loop = loop;
	e->note.run = fail;
	g_queue_init(&e->held);
	g_queue_init(&e->failed);
	return &e->bb;
}

void block_error_set(struct block_backend *bb,
		     const struct block_error_rule *rule)
{
	struct block_error *e = container_of(bb, struct block_error, bb);

	e->rule = rule ? *rule : (struct block_error_rule){ 0 };
}

unsigned block_error_hurries(const struct block_backend *bb)
{
	return container_of(bb, struct block_error, bb)->hurries;
}

void block_error_hold(struct block_backend *bb, bool hold)
{
	struct block_error *e = container_of(bb, struct block_error, bb);
	struct block_request *rq;

	e->hold = hold;
	while (!hold && (rq = g_queue_pop_head(&e->held)))
		error_submit(bb, rq);
}
