/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>

#include "backends/block_hold.h"
#include "backends/block_job.h"
#include "core/util.h"

struct hold_job {
	struct block_job job;
	uint64_t number;	/* in the order of submission */
	bool written;		/* what it is about now is to make it stable */
};

struct block_hold {
	struct block_backend bb;
	struct block_backend *below;
	struct block_hold_watch *watch;
	struct block_jobs jobs;
	GQueue held;		/* struct hold_job, in order */
	bool holding;
	bool inner;		/* between a format and its file */
	unsigned under_way;
	uint64_t next;		/* number */
	uint64_t hurried;	/* numbers below it are never held */
};

static struct block_hold *hold_of(const struct block_job *j)
{
	return container_of(j->rq->backend, struct block_hold, bb);
}

static struct hold_job *hold_job_of(struct block_job *j)
{
	return container_of(j, struct hold_job, job);
}

static bool is_rushed(const struct block_hold *h, struct block_job *j)
{
	return j->rq->rushed || hold_job_of(j)->number < h->hurried;
}

/* Whether it is for the host to mend, and another try says the truth. */
static bool may_hold(const struct block_hold *h, struct block_job *j)
{
	const struct hold_job *of = hold_job_of(j);

	/* Of what is in a file it is not known whose it is. */
	if (!j->result || (h->inner ? h->watch->rushed : is_rushed(h, j)))
		return false;
	if (of->written || j->rq->op == BLOCK_FLUSH)
		return j->result == -ENOTCONN;
	return j->result != -EINVAL && j->result != -EOPNOTSUPP;
}

static gint compare(gconstpointer a, gconstpointer b, gpointer unused)
{
	const struct hold_job *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

static void set_holding(struct block_hold *h, int error)
{
	if (h->holding == (error != 0))
		return;
	h->holding = error != 0;
	h->watch->changed(h->watch, error);
}

static void end(struct block_hold *h, struct block_job *j)
{
	h->under_way--;
	if (!h->inner && is_rushed(h, j))
		h->watch->rushed--;
	if (j->rq->op == BLOCK_GROW)
		h->bb.size = h->below->size;
	block_job_end(j);
}

static void finished(struct block_job *j)
{
	struct block_hold *h = hold_of(j);
	struct hold_job *of = hold_job_of(j);

	if (may_hold(h, j)) {
		block_job_again(j, finished);
		g_queue_insert_sorted(&h->held, of, compare, NULL);
		set_holding(h, j->result);
	} else if (!j->result && j->rq->fua && !of->written) {
		of->written = true;
		block_job_again(j, finished);
		block_job_part(j, h->below, BLOCK_FLUSH, 0, 0, 0);
		block_job_go(j);
	} else {
		end(h, j);
	}
}

/* FUA is a flush of its own: which of the two failed makes a difference. */
static void pass(struct block_hold *h, struct block_job *j)
{
	const struct block_request *rq = j->rq;

	j->result = 0;
	j->fua = false;
	hold_job_of(j)->written = false;
	block_job_part(j, h->below, rq->op, rq->offset, 0, rq->len);
	block_job_go(j);
}

static void hold_submit(struct block_backend *bb, struct block_request *rq)
{
	struct block_hold *h = container_of(bb, struct block_hold, bb);
	struct block_job *j;

	rq->backend = bb;
	j = block_job_new(&h->jobs, rq, finished);
	hold_job_of(j)->number = h->next++;
	h->under_way++;
	if (!h->inner && rq->rushed)
		h->watch->rushed++;
	if (h->holding)
		g_queue_push_tail(&h->held, hold_job_of(j));
	else
		pass(h, j);
}

static void hold_again(struct block_backend *bb)
{
	struct block_hold *h = container_of(bb, struct block_hold, bb);
	struct hold_job *of;

	set_holding(h, 0);
	while ((of = g_queue_pop_head(&h->held)))
		pass(h, &of->job);
	block_again(h->below);
}

/* What has failed ends so; the rest has not been tried yet. */
static void hold_hurry(struct block_backend *bb)
{
	struct block_hold *h = container_of(bb, struct block_hold, bb);
	struct hold_job *of;

	h->hurried = h->next;
	if (!h->inner)
		h->watch->rushed = h->under_way;
	set_holding(h, 0);
	while ((of = g_queue_pop_head(&h->held))) {
		if (of->job.result)
			block_job_go(&of->job);
		else
			pass(h, &of->job);
	}
	block_hurry(h->below);
}

static int hold_perform(struct block_backend *bb, struct block_request *rq)
{
	struct block_hold *h = container_of(bb, struct block_hold, bb);
	int ret = h->below->ops->perform(h->below, rq);

	bb->size = h->below->size;
	return ret;
}

static uint64_t hold_next_data(struct block_backend *bb, uint64_t at)
{
	return block_next_data(container_of(bb, struct block_hold, bb)->below,
			       at);
}

static int hold_measure(struct block_backend *bb)
{
	struct block_hold *h = container_of(bb, struct block_hold, bb);
	int ret = block_measure(h->below);

	bb->size = h->below->size;
	return ret;
}

static int hold_extend(struct block_backend *bb, uint64_t size)
{
	struct block_hold *h = container_of(bb, struct block_hold, bb);
	int ret = block_extend(h->below, size);

	bb->size = h->below->size;
	return ret;
}

static void hold_leave(struct block_backend *bb, struct block_leave *l)
{
	block_leave(container_of(bb, struct block_hold, bb)->below, l);
}

static void hold_close(struct block_backend *bb)
{
	struct block_hold *h = container_of(bb, struct block_hold, bb);

	g_assert(g_queue_is_empty(&h->held));
	block_jobs_finish(&h->jobs, NULL);
	block_close(h->below);
	g_free(h);
}

static const struct block_backend_ops hold_ops = {
	.name = "hold",
	.submit = hold_submit,
	.measure = hold_measure,
	.extend = hold_extend,
	.hurry = hold_hurry,
	.again = hold_again,
	.leave = hold_leave,
	.close = hold_close,
};

static const struct block_backend_ops inner_ops = {
	.name = "hold-file",
	.submit = hold_submit,
	.perform = hold_perform,
	.measure = hold_measure,
	.hurry = hold_hurry,
	.again = hold_again,
	.leave = hold_leave,
	.next_data = hold_next_data,
	.close = hold_close,
};

static struct block_hold *hold_new(struct loop *loop,
				   struct block_backend *below,
				   struct block_hold_watch *watch)
{
	struct block_hold *h = g_new0(struct block_hold, 1);

	h->bb = *below;
	h->below = below;
	h->watch = watch;
	g_queue_init(&h->held);
	block_jobs_init(&h->jobs, loop, sizeof(struct hold_job));
	return h;
}

struct block_backend *block_hold_new(struct loop *loop,
				     struct block_backend *below,
				     struct block_hold_watch *watch)
{
	struct block_hold *h = hold_new(loop, below, watch);

	h->bb.ops = &hold_ops;
	h->bb.growable = false;
	return &h->bb;
}

struct block_backend *block_hold_file(struct loop *loop,
				      struct block_backend *file,
				      struct block_hold_watch *watch)
{
	struct block_hold *h = hold_new(loop, file, watch);

	h->bb.ops = &inner_ops;
	h->inner = true;
	return &h->bb;
}
