/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/block_iov.h"
#include "backends/block_job.h"
#include "core/util.h"

static void run_idle(struct loop_note *note)
{
	struct block_jobs *jobs = container_of(note, struct block_jobs, note);
	struct block_job *j = jobs->idle, *next;

	jobs->idle = NULL;
	jobs->idle_end = &jobs->idle;
	for (; j; j = next) {
		next = j->next;
		j->finished(j);
	}
}

void block_jobs_init(struct block_jobs *jobs, struct loop *loop, size_t size)
{
	g_assert(size >= sizeof(struct block_job));
	*jobs = (struct block_jobs){
		.loop = loop, .size = size, .note.run = run_idle,
	};
	jobs->idle_end = &jobs->idle;
}

void block_jobs_finish(struct block_jobs *jobs,
		       void (*release)(struct block_job *j))
{
	struct block_part *p;
	struct block_job *j;

	g_assert(!jobs->idle);
	while ((j = jobs->free)) {
		jobs->free = j->next;
		if (release)
			release(j);
		g_free(j);
	}
	while ((p = jobs->parts)) {
		jobs->parts = p->next;
		g_free(p->iov);
		g_free(p);
	}
}

struct block_job *block_job_new(struct block_jobs *jobs,
				struct block_request *rq,
				void (*finished)(struct block_job *j))
{
	struct block_job *j = jobs->free;

	if (j)
		jobs->free = j->next;
	else
		j = g_malloc0(jobs->size);
	j->rq = rq;
	j->result = 0;
	j->fua = rq->fua;
	j->jobs = jobs;
	j->finished = finished;
	j->pending = 1;
	return j;
}

static struct block_part *part_new(struct block_job *j)
{
	struct block_part *p = j->jobs->parts;

	if (p)
		j->jobs->parts = p->next;
	else
		p = g_new0(struct block_part, 1);
	p->job = j;
	j->pending++;
	return p;
}

void block_part_end(struct block_part *p, int result)
{
	struct block_job *j = p->job;

	if (result && !j->result)
		j->result = result;
	p->next = j->jobs->parts;
	j->jobs->parts = p;
	if (!--j->pending)
		j->finished(j);
}

static void part_done(struct block_request *rq)
{
	block_part_end(container_of(rq, struct block_part, rq), rq->result);
}

struct block_part *block_job_take(struct block_job *j, enum block_op op,
				  uint64_t skip, uint64_t len)
{
	struct block_part *p = part_new(j);

	p->at = j->rq->offset + skip;
	p->rq = (struct block_request){ .op = op, .len = len };
	if (op != BLOCK_READ && op != BLOCK_WRITE)
		return p;
	if (p->iov_max < j->rq->iovcnt) {
		p->iov_max = j->rq->iovcnt;
		p->iov = g_renew(struct iovec, p->iov, p->iov_max);
	}
	p->rq.fua = j->fua;
	p->rq.iov = p->iov;
	p->rq.iovcnt = block_iov_slice(p->iov, j->rq->iov, j->rq->iovcnt, skip,
				       len);
	return p;
}

void block_job_part(struct block_job *j, struct block_backend *to,
		    enum block_op op, uint64_t offset, uint64_t skip,
		    uint64_t len)
{
	struct block_part *p = block_job_take(j, op, skip, len);

	p->rq.offset = offset;
	p->rq.done = part_done;
	block_submit(to, &p->rq);
}

void block_job_own_part(struct block_job *j, struct block_backend *to,
			enum block_op op, uint64_t offset, void *buf,
			size_t len)
{
	struct block_part *p = part_new(j);

	p->own = (struct iovec){ buf, len };
	p->rq = (struct block_request){
		.op = op, .offset = offset, .len = len, .done = part_done,
		.iov = &p->own, .iovcnt = 1,
	};
	block_submit(to, &p->rq);
}

void block_job_go(struct block_job *j)
{
	if (--j->pending)
		return;
	/* It was never pending: finished() must not run inside submit(). */
	j->next = NULL;
	*j->jobs->idle_end = j;
	j->jobs->idle_end = &j->next;
	loop_post(j->jobs->loop, &j->jobs->note);
}

void block_job_again(struct block_job *j,
		     void (*finished)(struct block_job *j))
{
	g_assert(!j->pending);
	j->finished = finished;
	j->pending = 1;
}

void block_job_end(struct block_job *j)
{
	struct block_request *rq = j->rq;

	rq->result = j->result;
	j->next = j->jobs->free;
	j->jobs->free = j;
	rq->done(rq);
}
