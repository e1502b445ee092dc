/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "backends/block_mem.h"
#include "core/util.h"

#define ROOM	(UINT64_C(4) << 30)	/* of addresses; memory by touch */

/*
 * What a closed disk leaves for the next one: fuzzers make thousands, and to
 * get new pages from the kernel is most of what that costs.
 */
static struct {
	uint8_t *bytes;
	uint64_t used;		/* behind it are zeroes */
} spare;

struct block_mem {
	struct block_backend bb;
	struct loop *loop;
	struct loop_note note;
	struct block_request *first, **end;
	unsigned count[BLOCK_GROW + 1];
	uint8_t *bytes;
	uint64_t used;		/* behind it are zeroes */
};

static void transfer(uint8_t *disk, const struct block_request *rq)
{
	uint64_t left = rq->len;

	for (int i = 0; i < rq->iovcnt; i++) {
		const struct iovec *v = &rq->iov[i];

		g_assert(v->iov_len <= left);
		if (rq->op == BLOCK_READ)
			memcpy(v->iov_base, disk, v->iov_len);
		else
			memcpy(disk, v->iov_base, v->iov_len);
		disk += v->iov_len;
		left -= v->iov_len;
	}
	g_assert(!left);
}

static void zero(struct block_mem *m, const struct block_request *rq)
{
	if (rq->offset < m->used)
		memset(m->bytes + rq->offset, 0,
		       MIN(rq->len, m->used - rq->offset));
}

static void resize(struct block_mem *m, uint64_t size)
{
	if (size < m->used) {
		memset(m->bytes + size, 0, m->used - size);
		m->used = size;
	}
	m->bb.size = size;
}

static void act(struct block_mem *m, const struct block_request *rq)
{
	switch (rq->op) {
	case BLOCK_WRITE:
		m->used = MAX(m->used, rq->offset + rq->len);
		transfer(m->bytes + rq->offset, rq);
		break;
	case BLOCK_READ:
		transfer(m->bytes + rq->offset, rq);
		break;
	case BLOCK_WRITE_ZEROES:
		zero(m, rq);
		break;
	case BLOCK_GROW:
		resize(m, rq->offset);
		if (!rq->iovcnt)
			break;
		m->used = MAX(m->used, rq->offset);
		transfer(m->bytes + rq->offset - rq->len, rq);
		break;
	case BLOCK_FLUSH:
		break;
	}
}

static void run(struct loop_note *note)
{
	struct block_mem *m = container_of(note, struct block_mem, note);
	struct block_request *rq = m->first, *next;

	m->first = NULL;
	m->end = &m->first;
	for (; rq; rq = next) {
		next = rq->next;
		act(m, rq);
		rq->result = 0;
		rq->done(rq);
	}
}

static void check(const struct block_backend *bb,
		  const struct block_request *rq)
{
	if (rq->op == BLOCK_GROW) {
		g_assert(bb->growable);
		g_assert(rq->offset % bb->block_size == 0);
	} else if (rq->op != BLOCK_FLUSH) {
		g_assert(rq->offset <= bb->size);
		g_assert(rq->len <= bb->size - rq->offset);
		g_assert((rq->offset | rq->len) % bb->block_size == 0);
	}
	g_assert(!bb->read_only || rq->op == BLOCK_READ ||
		 rq->op == BLOCK_FLUSH);
}

static void mem_submit(struct block_backend *bb, struct block_request *rq)
{
	struct block_mem *m = container_of(bb, struct block_mem, bb);

	check(bb, rq);
	g_assert(rq->op != BLOCK_GROW ||
		 (rq->offset > bb->size && rq->offset <= ROOM));
	m->count[rq->op]++;
	rq->backend = bb;
	rq->next = NULL;
	*m->end = rq;
	m->end = &rq->next;
	loop_post(m->loop, &m->note);
}

static int mem_perform(struct block_backend *bb, struct block_request *rq)
{
	struct block_mem *m = container_of(bb, struct block_mem, bb);

	check(bb, rq);
	m->count[rq->op]++;
	if (rq->op == BLOCK_GROW && rq->offset > ROOM)
		return -ENOSPC;
	act(m, rq);
	return 0;
}

static void mem_close(struct block_backend *bb)
{
	struct block_mem *m = container_of(bb, struct block_mem, bb);

	g_assert(!m->first);
	if (spare.bytes)
		munmap(spare.bytes, ROOM);
	spare.bytes = m->bytes;
	spare.used = m->used;
	g_free(m);
}

static const struct block_backend_ops mem_ops = {
	.name = "mem",
	.submit = mem_submit,
	.perform = mem_perform,
	.close = mem_close,
};

static uint8_t *take_bytes(void)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	uint8_t *bytes = spare.bytes;

	if (bytes) {
		memset(bytes, 0, spare.used);
		spare.bytes = NULL;
		return bytes;
	}
	/* cppcheck-suppress invalidFunctionArg */
	bytes = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, flags, -1, 0);
	g_assert(bytes != MAP_FAILED);
	return bytes;
}

struct block_backend *block_mem_new(struct loop *loop, uint64_t size,
				    uint32_t block_size)
{
	struct block_mem *m = g_new0(struct block_mem, 1);

	m->bb = (struct block_backend){
		.ops = &mem_ops, .size = size, .block_size = block_size,
		.physical_block_size = MAX(block_size, 4096),
		.discard_granularity = 4096, .growable = true,
	};
	m->loop = loop;
	m->note.run = run;
	m->end = &m->first;
	g_assert(size <= ROOM);
	m->bytes = take_bytes();
	return &m->bb;
}

uint8_t *block_mem_part(struct block_backend *bb, uint64_t offset,
			uint64_t len)
{
	struct block_mem *m = container_of(bb, struct block_mem, bb);

	g_assert(offset <= bb->size && len <= bb->size - offset);
	/* What the caller will do to them is not seen. */
	m->used = MAX(m->used, offset + len);
	return m->bytes + offset;
}

uint8_t *block_mem_bytes(struct block_backend *bb)
{
	return block_mem_part(bb, 0, bb->size);
}

unsigned block_mem_count(const struct block_backend *bb, enum block_op op)
{
	return container_of(bb, const struct block_mem, bb)->count[op];
}
