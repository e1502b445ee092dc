/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "backends/block_iov.h"
#include "backends/block_nbd_internal.h"
#include "core/error.h"
#include "core/trace.h"
#include "core/util.h"

#define CONNECT_MS	10000
#define SECTOR		512u
#define BLOCK_MAX	4096u		/* that guests can be told of */
#define CHUNK		(1u << 20)	/* of data in a command */
#define ZEROES_MAX	(1u << 30)	/* of zeroes in one */
#define PARTS		16u		/* of a request, at a time */
#define HELD_MAX	(64u << 20)	/* bytes of copies */
#define KEPT_MAX	8192u		/* writes */

struct nbd_job {
	struct block_job job;
	uint64_t cut;		/* bytes that parts have been made of */
	bool flushed;
};

static struct block_nbd *nbd_of(struct block_backend *bb)
{
	return container_of(bb, struct block_nbd, bb);
}

static bool is_write(enum block_op op)
{
	return op == BLOCK_WRITE || op == BLOCK_WRITE_ZEROES;
}

/* A server that is not there again, or cannot flush, needs no second copy. */
static bool keeps(const struct block_nbd *n)
{
	return n->options.reconnect && n->export.can_flush;
}

/*
 * Commands.
 */
static struct nbd_command *command_new(struct block_nbd *n, enum block_op op)
{
	struct nbd_command *c = nbd_command_first(&n->idle);

	if (c)
		nbd_command_move(c, NULL);
	else
		c = g_new(struct nbd_command, 1);
	*c = (struct nbd_command){ .n = n, .op = op, .link.data = c };
	return c;
}

static void command_release(struct block_nbd *n, struct nbd_command *c)
{
	if (c->copy)
		n->held -= c->len;
	g_clear_pointer(&c->copy, g_free);
	nbd_command_move(c, &n->idle);
}

/* The bytes of the part if they are in one piece. */
static uint8_t *one_piece(const struct block_request *rq)
{
	uint8_t *first = rq->iov[0].iov_base, *next = first;

	for (int i = 0; i < rq->iovcnt; i++) {
		if (rq->iov[i].iov_base != next)
			return NULL;
		next += rq->iov[i].iov_len;
	}
	return first;
}

static uint8_t *zeroes_of(struct block_nbd *n)
{
	if (!n->zeroes)
		n->zeroes = g_malloc0(n->chunk);
	return n->zeroes;
}

/*
 * The guest's own memory where it can be used: it has to be in one piece, since
 * the library takes no more, and what is kept must not change.
 */
static void give_memory(struct block_nbd *n, struct nbd_command *c)
{
	const struct block_request *rq = &c->part->rq;

	if (c->op != BLOCK_READ && c->op != BLOCK_WRITE)
		return;
	if (!rq->iovcnt)
		c->bytes = zeroes_of(n);
	else if (c->op == BLOCK_READ || !keeps(n))
		c->bytes = one_piece(rq);
	if (c->bytes)
		return;
	c->bytes = c->copy = g_malloc(c->len);
	n->held += c->len;
	if (c->op == BLOCK_WRITE)
		block_iov_gather(c->copy, rq->iov, rq->iovcnt, 0, c->len);
}

static struct nbd_command *command_of_part(struct block_nbd *n,
					   struct block_part *p)
{
	struct nbd_command *c = command_new(n, p->rq.op);

	c->part = p;
	c->fua = p->rq.fua;
	c->offset = p->rq.offset;
	c->len = p->rq.len;
	give_memory(n, c);
	return c;
}

/* From inside the library, so that it only takes a note. */
static int completed(void *user_data, int *error)
{
	struct nbd_command *c = user_data;
	struct block_nbd *n = c->n;

	if (c != n->replayed && c->in != &n->sent)
		return 1;
	c->result = -*error;
	if (c == n->replayed)
		n->replay_over = true;
	else
		nbd_command_move(c, &n->over);
	return 1;
}

static int64_t hand_over(struct block_nbd *n, struct nbd_command *c)
{
	const nbd_completion_callback cb = {
		.callback = completed, .user_data = c,
	};
	uint32_t fua = c->fua && n->export.can_fua ? LIBNBD_CMD_FLAG_FUA : 0;
	struct nbd_handle *h = n->link->h;

	switch (c->op) {
	case BLOCK_READ:
		return libnbd.aio_pread(h, c->bytes, c->len, c->offset, cb, 0);
	case BLOCK_WRITE:
		return libnbd.aio_pwrite(h, c->bytes, c->len, c->offset, cb, fua);
	case BLOCK_WRITE_ZEROES:
		return libnbd.aio_zero(h, c->len, c->offset, cb, fua);
	case BLOCK_FLUSH:
		c->number = n->answered;
		return libnbd.aio_flush(h, cb, 0);
	case BLOCK_GROW:
		break;
	}
	g_assert_not_reached();
}

void nbd_command_send(struct block_nbd *n, struct nbd_command *c)
{
	int error;

	if (c != n->replayed)
		nbd_command_move(c, &n->sent);
	if (hand_over(n, c) >= 0)
		return;
	error = libnbd.get_errno() ?: EIO;
	n->lost = libnbd.aio_is_dead(n->link->h) || libnbd.aio_is_closed(n->link->h);
	if (n->lost)
		error = ENOTCONN;
	completed(c, &error);
}

/* @c was a flush. */
static void flushed(struct block_nbd *n, struct nbd_command *c)
{
	struct nbd_command *k;

	while ((k = nbd_command_first(&n->kept)) && k->number <= c->number)
		command_release(n, k);
	if (!c->part) {
		n->flushing = false;
		n->flush_error = n->flush_error ?: c->result;
	} else {
		/* One that nobody asked for may have failed. */
		c->result = c->result ?: n->flush_error;
		n->flush_error = 0;
	}
}

void nbd_command_end(struct block_nbd *n, struct nbd_command *c)
{
	struct block_part *p = c->part;
	int result;

	if (c->op == BLOCK_FLUSH)
		flushed(n, c);
	result = c->result;
	if (c->op == BLOCK_READ && c->copy && !result)
		block_iov_scatter(p->rq.iov, p->rq.iovcnt, 0, c->copy, c->len);
	if (is_write(c->op) && !result && keeps(n)) {
		c->part = NULL;
		c->number = ++n->answered;
		nbd_command_move(c, &n->kept);
	} else {
		command_release(n, c);
	}
	if (p)
		block_part_end(p, result);
}

static struct block_part *take_waiting(struct block_nbd *n)
{
	struct block_part *p = n->waiting;

	n->waiting = p->next;
	if (!n->waiting)
		n->waiting_end = &n->waiting;
	return p;
}

void nbd_fail_all(struct block_nbd *n)
{
	struct block_part *p = n->waiting, *next;
	struct nbd_command *c;

	n->waiting = NULL;
	n->waiting_end = &n->waiting;
	while ((c = nbd_command_first(&n->again))) {
		struct block_part *of = c->part;

		if (!of)
			n->flushing = false;
		command_release(n, c);
		if (of)
			block_part_end(of, -ENOTCONN);
	}
	for (; p; p = next) {
		next = p->next;
		block_part_end(p, -ENOTCONN);
	}
	nbd_link_be_patient(n);
}

/* Beyond half of what may be kept the server is told to flush. */
static void flush_in_time(struct block_nbd *n)
{
	if (n->flushing || !n->kept.length ||
	    (n->held < HELD_MAX / 2 && n->kept.length < KEPT_MAX / 2))
		return;
	n->flushing = true;
	nbd_command_send(n, command_new(n, BLOCK_FLUSH));
}

static bool has_room(const struct block_nbd *n, const struct block_part *p)
{
	return p->rq.op == BLOCK_FLUSH ||
	       ((!n->held || n->held + p->rq.len <= HELD_MAX ||
		 p->rq.op == BLOCK_WRITE_ZEROES) &&
		n->kept.length + n->sent.length < KEPT_MAX);
}

void nbd_pump(struct block_nbd *n)
{
	while (nbd_is_serving(n)) {
		struct nbd_command *c = nbd_command_first(&n->again);

		if (!c && (!n->waiting || !has_room(n, n->waiting)))
			break;
		nbd_command_send(n, c ?: command_of_part(n, take_waiting(n)));
	}
	if (nbd_is_serving(n))
		flush_in_time(n);
}

/*
 * Requests.
 */
static void add_part(struct block_nbd *n, struct nbd_job *j, enum block_op op,
		     uint64_t len)
{
	struct block_part *p = block_job_take(&j->job, op, j->cut, len);

	p->rq.offset = p->at;
	p->next = NULL;
	*n->waiting_end = p;
	n->waiting_end = &p->next;
	j->cut += len;
}

/* Only so many at a time: the request may be for all of the disk. */
static void add_parts(struct block_nbd *n, struct nbd_job *j)
{
	const struct block_request *rq = j->job.rq;
	bool zeroes = rq->op == BLOCK_WRITE_ZEROES && n->export.can_zero;
	enum block_op op = rq->op == BLOCK_READ ? BLOCK_READ :
			   zeroes ? BLOCK_WRITE_ZEROES : BLOCK_WRITE;
	uint32_t most = zeroes ? ZEROES_MAX : n->chunk;

	for (unsigned i = 0; i < PARTS && j->cut < rq->len; i++)
		add_part(n, j, op, MIN(rq->len - j->cut, most));
}

static bool needs_flush(const struct block_nbd *n, const struct nbd_job *j)
{
	return j->job.rq->fua && !n->export.can_fua && n->export.can_flush &&
	       !j->flushed;
}

static void finished(struct block_job *job)
{
	struct nbd_job *j = container_of(job, struct nbd_job, job);
	struct block_nbd *n = nbd_of(job->rq->backend);
	bool more = j->cut < job->rq->len;

	if (job->result || (!more && !needs_flush(n, j))) {
		trace(TRACE_BLOCK, "nbd.done op=%u offset=%#"
		      G_GINT64_MODIFIER "x result=%d", job->rq->op,
		      job->rq->offset, job->result);
		block_job_end(job);
		return;
	}
	block_job_again(job, finished);
	if (more) {
		add_parts(n, j);
	} else {
		j->flushed = true;
		add_part(n, j, BLOCK_FLUSH, 0);
	}
	block_job_go(job);
	nbd_pump(n);
}

static void nbd_submit(struct block_backend *bb, struct block_request *rq)
{
	struct block_nbd *n = nbd_of(bb);
	struct nbd_job *j;

	rq->backend = bb;
	j = container_of(block_job_new(&n->jobs, rq, finished),
			 struct nbd_job, job);
	j->cut = 0;
	j->flushed = false;
	if (rq->op != BLOCK_FLUSH)
		add_parts(n, j);
	else if (n->export.can_flush)
		add_part(n, j, BLOCK_FLUSH, 0);
	block_job_go(&j->job);
	nbd_pump(n);
	nbd_link_watch(n);
}

struct performed {
	struct block_request rq;
	bool over;
};

static void performed(struct block_request *rq)
{
	container_of(rq, struct performed, rq)->over = true;
}

/*
 * Before the loop's first turn, after its last, or when the disk has left it
 * for good.
 */
static int nbd_perform(struct block_backend *bb, struct block_request *rq)
{
	struct block_nbd *n = nbd_of(bb);
	struct performed p = { .rq = *rq };
	int64_t deadline = g_get_monotonic_time() +
			   n->options.reconnect * G_USEC_PER_SEC;

	if (rq->op == BLOCK_GROW)
		return -ENOTSUP;
	if (rq->op == BLOCK_FLUSH && !n->export.can_flush)
		return 0;
	p.rq.done = performed;
	n->alone = true;
	nbd_submit(bb, &p.rq);
	while (!p.over)
		nbd_link_step(n, deadline);
	n->alone = n->left;
	return p.rq.result;
}

static void nbd_hurry(struct block_backend *bb)
{
	nbd_link_hurry(nbd_of(bb));
}

static void nbd_leave(struct block_backend *bb, struct block_leave *l)
{
	nbd_link_leave(nbd_of(bb), l);
}

static void free_commands(GQueue *queue)
{
	struct nbd_command *c;

	while ((c = nbd_command_first(queue))) {
		nbd_command_move(c, NULL);
		g_free(c->copy);
		g_free(c);
	}
}

static void nbd_free(struct block_nbd *n)
{
	GQueue *queues[] = { &n->again, &n->sent, &n->over, &n->kept,
			     &n->idle };

	g_assert(!n->waiting);
	nbd_link_finish(n);
	for (size_t i = 0; i < G_N_ELEMENTS(queues); i++)
		free_commands(queues[i]);
	block_jobs_finish(&n->jobs, NULL);
	g_free(n->zeroes);
	g_free((char *)n->options.server.name);
	g_free((char *)n->options.server.uri);
	g_free(n);
}

static void nbd_backend_close(struct block_backend *bb)
{
	struct block_nbd *n = nbd_of(bb);
	void (*closed)(void *user) = n->options.closed;
	void *user = n->options.user;

	nbd_free(n);
	if (closed)
		closed(user);
}

static const struct block_backend_ops nbd_ops = {
	.name = "nbd",
	.submit = nbd_submit,
	.perform = nbd_perform,
	.hurry = nbd_hurry,
	.leave = nbd_leave,
	.close = nbd_backend_close,
};

/*
 * Opening.
 */
static bool fail(const struct block_nbd_options *o, int status, const char *id,
		 const char *why, const char *advice, GError **error)
{
	g_autofree char *what = g_strdup_printf("cannot use disk %s",
						o->server.name);

	user_error_set(error, status, id, what, why, advice);
	return false;
}

static uint32_t sector_of(const struct nbd_export *e)
{
	return e->block_min > SECTOR ? BLOCK_MAX : SECTOR;
}

static bool check_export(const struct block_nbd_options *o,
			 const struct nbd_export *e, GError **error)
{
	if (e->read_only && !o->read_only)
		return fail(o, EX_NOPERM, "disk.read-only",
			    "the server lets it be read only",
			    "give it as --disk URI,ro=on", error);
	if (e->block_min > BLOCK_MAX || e->len_max < BLOCK_MAX)
		return fail(o, EX_DATAERR, "nbd.blocks",
			    "the server wants blocks that no disk has",
			    "sectors have 512 or 4096 bytes", error);
	if (!e->size)
		return fail(o, EX_DATAERR, "disk.empty", "it is empty",
			    "an export with a size", error);
	if (e->size % sector_of(e))
		return fail(o, EX_DATAERR, "disk.size",
			    "its size is not a multiple of its sectors, as a "
			    "disk's is", "truncate -s %512 FILE", error);
	return true;
}

static void measure(struct block_nbd *n)
{
	const struct nbd_export *e = &n->export;
	struct block_backend *bb = &n->bb;

	bb->ops = &nbd_ops;
	bb->size = e->size;
	bb->block_size = sector_of(e);
	bb->physical_block_size = BLOCK_MAX;
	bb->read_only = n->options.read_only;
	bb->rotational = e->rotational;
	if (e->can_zero && e->can_trim && !bb->read_only)
		bb->discard_granularity = CLAMP(e->block_good, BLOCK_MAX,
						1u << 20);
	n->chunk = MIN(CHUNK, e->len_max) / BLOCK_MAX * BLOCK_MAX;
}

struct block_backend *block_nbd_open(struct loop *loop,
				     const struct block_nbd_options *options,
				     GError **error)
{
	autoptr(nbd_handle) h = nbd_connect(&options->server, CONNECT_MS,
					    error);
	struct nbd_export e;
	struct block_nbd *n;

	if (!h)
		return NULL;
	nbd_export_read(h, &e);
	if (!check_export(options, &e, error))
		return NULL;
	n = g_new0(struct block_nbd, 1);
	n->options = *options;
	n->options.server.name = g_strdup(options->server.name);
	n->options.server.uri = g_strdup(options->server.uri);
	n->export = e;
	n->loop = loop;
	n->waiting_end = &n->waiting;
	block_jobs_init(&n->jobs, loop, sizeof(struct nbd_job));
	measure(n);
	nbd_link_init(n);
	nbd_link_up(n, g_steal_pointer(&h));
	return &n->bb;
}
