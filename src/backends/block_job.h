/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * block_job - a request that one backend does as several of others.
 *
 *	j = block_job_new(&b->jobs, rq, finished);
 *	block_job_part(j, below, ...);		any number of them
 *	block_job_go(j);			inside submit()
 *	...
 *	finished(j);				when the last part is done
 *	block_job_end(j);			answers @rq
 *
 * Parts lend the caller's memory: nothing is copied.  Jobs and parts come from
 * a pool that keeps what it has, so that a steady state allocates nothing.
 */
#ifndef BACKENDS_BLOCK_JOB_H
#define BACKENDS_BLOCK_JOB_H

#include "backend/block.h"

/* Embedded in what a backend keeps of a request. */
struct block_job {
	struct block_request *rq;
	int result;		/* 0, or the first error of a part */
	bool fua;		/* of its parts; as in @rq to begin with */
	struct block_jobs *jobs;	/* these belong to block_job.c */
	void (*finished)(struct block_job *j);
	unsigned pending;
	struct block_job *next;
};

/* One request of a job to a backend below. */
struct block_part {
	struct block_request rq;
	struct block_job *job;
	uint64_t at;		/* where it is of the job's request's disk */
	struct block_part *next;	/* for who has it */
	struct iovec own;	/* these belong to block_job.c */
	struct iovec *iov;
	int iov_max;
};

struct block_jobs {
	struct loop *loop;
	size_t size;
	struct loop_note note;
	struct block_job *free;
	struct block_job *idle, **idle_end;	/* end on the next turn */
	struct block_part *parts;
};

/*
 * A pool of jobs of @size bytes each, of which the first are a struct
 * block_job; a fresh one is zero, one used before has its old contents.
 */
void block_jobs_init(struct block_jobs *jobs, struct loop *loop, size_t size);
/* No job is under way.  @release, if any, gets each before its memory goes. */
void block_jobs_finish(struct block_jobs *jobs,
		       void (*release)(struct block_job *j));

struct block_job *block_job_new(struct block_jobs *jobs,
				struct block_request *rq,
				void (*finished)(struct block_job *j));
/*
 * Let @to do @op on @len bytes at @offset with what the job's request has from
 * byte @skip on.  Before block_job_go(), from a done(), or from finished().
 */
void block_job_part(struct block_job *j, struct block_backend *to,
		    enum block_op op, uint64_t offset, uint64_t skip,
		    uint64_t len);
/* The same with memory of the backend's own, which must live until then. */
void block_job_own_part(struct block_job *j, struct block_backend *to,
			enum block_op op, uint64_t offset, void *buf,
			size_t len);
/*
 * The same, to be submitted later, once or not at all: rq.offset and rq.done
 * are the caller's to set.  The job waits for block_part_end().
 */
struct block_part *block_job_take(struct block_job *j, enum block_op op,
				  uint64_t skip, uint64_t len);
void block_part_end(struct block_part *p, int result);

/*
 * All parts are made.  finished() comes later, never from here, also if there
 * are none.
 */
void block_job_go(struct block_job *j);
/* From finished(): more parts, then block_job_go(), and then @finished. */
void block_job_again(struct block_job *j,
		     void (*finished)(struct block_job *j));
/* From finished(): give the job back and answer its request. */
void block_job_end(struct block_job *j);

#endif
