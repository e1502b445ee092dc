/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Copying a disk: several requests in flight, each read, looked at, and written
 * where it is not zero.  What is new is zero already.
 */
#include <errno.h>
#include <string.h>

#include "core/error.h"
#include "core/util.h"
#include "vmm/disk_internal.h"
#include "vmm/disk_progress.h"
#include "vmm/signals.h"

#define SLOTS		16u
#define SLOT_SIZE	(1u << 20)
#define GRAIN		4096u	/* zeroes are looked for by these */
#define FLUSH_EACH	(64u << 20)

struct copy;

/* A piece of the disk that is under way. */
struct slot {
	struct copy *copy;
	struct block_request rq;
	struct iovec iov;
	uint64_t at, len;	/* of the disk */
	uint64_t done;		/* bytes that are written or zero */
	uint8_t *buf;
};

struct copy {
	struct loop *loop;
	struct block_backend *from, *to;
	uint64_t next;		/* to be read */
	uint64_t unflushed;	/* bytes that no flush has been begun for */
	bool flushing;
	struct block_request flush;
	unsigned busy;
	int result;		/* the first error */
	const char *failed;	/* file that it is of */
	int signal;		/* that ended it; 0 */
	const struct disk_args *args;
	struct disk_progress progress;
	struct signals signals;
	struct slot slots[SLOTS];
};

static void slot_next(struct slot *s);

static void stop(struct copy *c, int result, const char *file)
{
	if (!c->result) {
		c->result = result;
		c->failed = file;
	}
}

static bool is_zero(const uint8_t *p, uint64_t len)
{
	return !*p && !memcmp(p, p + 1, len - 1);
}

static void flushed(struct block_request *rq)
{
	struct copy *c = container_of(rq, struct copy, flush);

	if (rq->result)
		stop(c, rq->result, c->args->second);
	c->flushing = false;
	c->busy--;
}

/* The host's disk works while there is more to copy. */
static void flush(struct copy *c)
{
	c->flushing = true;
	c->busy++;
	c->unflushed = 0;
	c->flush = (struct block_request){
		.op = BLOCK_FLUSH, .done = flushed,
	};
	block_submit(c->to, &c->flush);
}

static void written(struct block_request *rq)
{
	struct slot *s = container_of(rq, struct slot, rq);
	struct copy *c = s->copy;

	if (rq->result)
		stop(c, rq->result, c->args->second);
	c->unflushed += rq->len;
	if (c->unflushed >= FLUSH_EACH && !c->flushing && !c->result)
		flush(c);
	slot_next(s);
}

/* Grains from s->done on: skip those that are zero, find the end of others. */
static uint64_t data_run(struct slot *s)
{
	uint64_t end;

	while (s->done < s->len &&
	       is_zero(s->buf + s->done, MIN(GRAIN, s->len - s->done)))
		s->done += MIN(GRAIN, s->len - s->done);
	for (end = s->done; end < s->len; end += MIN(GRAIN, s->len - end))
		if (is_zero(s->buf + end, MIN(GRAIN, s->len - end)))
			break;
	return end - s->done;
}

static void submit(struct slot *s, struct block_backend *bb, enum block_op op,
		   uint8_t *buf, uint64_t at, uint64_t len,
		   void (*done)(struct block_request *rq))
{
	s->iov = (struct iovec){ buf, len };
	s->rq = (struct block_request){
		.op = op, .offset = at, .len = len, .iov = &s->iov,
		.iovcnt = 1, .done = done,
	};
	block_submit(bb, &s->rq);
}

static void was_read(struct block_request *rq)
{
	struct slot *s = container_of(rq, struct slot, rq);

	if (rq->result)
		stop(s->copy, rq->result, s->copy->args->file);
	s->done = 0;
	slot_next(s);
}

/* Where the next piece begins, which may be data. */
static uint64_t next_piece(const struct copy *c)
{
	uint64_t data = block_next_data(c->from, c->next);

	return data == c->from->size ? data :
	       MAX(c->next, data / GRAIN * GRAIN);
}

/* The next piece of the disk to read, if there is one. */
static void slot_read(struct slot *s)
{
	struct copy *c = s->copy;

	c->next = next_piece(c);
	if (c->next == c->from->size) {
		c->busy--;
		return;
	}
	s->at = c->next;
	s->len = MIN(SLOT_SIZE, c->from->size - s->at);
	c->next += s->len;
	disk_progress_show(&c->progress, s->at);
	submit(s, c->from, BLOCK_READ, s->buf, s->at, s->len, was_read);
}

/* Go on with what the slot has, or else with the next piece. */
static void slot_next(struct slot *s)
{
	struct copy *c = s->copy;
	uint64_t len = c->result ? 0 : data_run(s), at = s->done;

	if (c->result) {
		c->busy--;
	} else if (len) {
		s->done += len;
		submit(s, c->to, BLOCK_WRITE, s->buf + at, s->at + at, len,
		       written);
	} else {
		slot_read(s);
	}
}

static void signalled(struct signals *signals, int signal)
{
	struct copy *c = container_of(signals, struct copy, signals);

	c->signal = signal;
	stop(c, -EINTR, NULL);
}

static void wait(struct copy *c)
{
	while (c->busy)
		loop_turn(c->loop, true);
}

static void run(struct copy *c)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		struct slot *s = &c->slots[i];

		s->copy = c;
		s->buf = g_aligned_alloc(1, SLOT_SIZE, 4096);
		c->busy++;
		slot_read(s);
	}
	wait(c);
	if (!c->result) {
		flush(c);
		wait(c);
	}
	for (unsigned i = 0; i < SLOTS; i++)
		g_aligned_free(c->slots[i].buf);
	disk_progress_end(&c->progress, !c->result);
}

static bool report(const struct copy *c, GError **error)
{
	g_autofree char *what = NULL, *advice = NULL;

	if (!c->result)
		return true;
	if (c->signal)
		return disk_fail(error, 128 + c->signal, "disk.interrupted",
				 "the disk was not copied",
				 "a signal ended it", "once more");
	what = g_strdup_printf("cannot copy %s to %s", c->args->file,
			       c->args->second);
	advice = c->result == -ENOSPC ? g_strdup("another folder") :
		 g_strdup_printf("kvmbus disk check %s, and dmesg", c->failed);
	return disk_fail(error, EX_IOERR,
			 c->result == -ENOSPC ? "disk.full" : "disk.io", what,
			 g_strerror(-c->result), advice);
}

static bool copy(struct copy *c, struct disk_output *out, GError **error)
{
	const struct block_file_options to = { .path = out->temporary };

	c->to = block_open(c->loop, &to, out->format == BLOCK_FORMAT_RAW,
			   error);
	if (!c->to)
		return false;
	disk_progress_begin(&c->progress, "convert", c->from->size);
	run(c);
	block_close(c->to);
	return report(c, error);
}

int disk_convert(const struct disk_args *a, GError **error)
{
	const struct block_file_options from = {
		.path = a->file, .read_only = true,
	};
	struct copy c = { .args = a, .signals.received = signalled };
	struct disk_output out = { 0 };
	bool ok = false;

	c.loop = loop_new(error);
	if (c.loop)
		c.from = block_open(c.loop, &from, false, error);
	if (c.from) {
		/* From here on there is something to be removed. */
		signals_catch(&c.signals, c.loop);
		ok = disk_output_begin(&out, a, a->second, c.from->size,
				       error) &&
		     copy(&c, &out, error) && disk_output_commit(&out, error);
		signals_finish(&c.signals);
	}
	disk_output_finish(&out);
	block_close(c.from);
	loop_free(c.loop);
	return ok ? 0 : (*error)->code;
}
