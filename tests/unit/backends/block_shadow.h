/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random requests to a disk, many at a time, next to memory that says what
 * reads have to give.  Requests in flight have sectors of their own, but share
 * whatever is larger than a sector.
 */
#ifndef TESTS_BLOCK_SHADOW_H
#define TESTS_BLOCK_SHADOW_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "backend/block.h"

#define SHADOW_SLOTS	16
#define SHADOW_IOVS	5

struct shadow;

struct shadow_slot {
	struct block_request rq;
	struct shadow *shadow;
	struct iovec iov[SHADOW_IOVS];
	uint8_t *buf;		/* max_len */
	bool busy;
};

struct shadow {
	struct loop *loop;
	struct block_backend *bb;
	uint8_t *bytes;		/* bb->size of them; zero to begin with */
	uint32_t max_len;	/* of a request */
	GRand *random;
	struct shadow_slot slots[SHADOW_SLOTS];
};

static void shadow_init(struct shadow *s, struct loop *loop,
			struct block_backend *bb, uint32_t max_len,
			uint32_t seed)
{
	*s = (struct shadow){
		.loop = loop, .bb = bb, .max_len = max_len,
		.bytes = g_malloc0(bb->size),
		.random = g_rand_new_with_seed(seed),
	};
	for (unsigned i = 0; i < SHADOW_SLOTS; i++)
		s->slots[i].buf = g_aligned_alloc(1, max_len, 4096);
}

static void shadow_finish(struct shadow *s)
{
	for (unsigned i = 0; i < SHADOW_SLOTS; i++)
		g_aligned_free(s->slots[i].buf);
	g_free(s->bytes);
	g_rand_free(s->random);
}

static void shadow_done(struct block_request *rq)
{
	struct shadow_slot *slot = (void *)rq;
	const uint8_t *want = slot->shadow->bytes + rq->offset;

	assert_true(slot->busy);
	slot->busy = false;
	assert_int_equal(rq->result, 0);
	if (rq->op != BLOCK_READ)
		return;
	for (int i = 0; i < rq->iovcnt; i++) {
		assert_memory_equal(want, rq->iov[i].iov_base,
				    rq->iov[i].iov_len);
		want += rq->iov[i].iov_len;
	}
}

static bool shadow_collides(const struct shadow *s, uint64_t at, uint64_t len)
{
	for (unsigned i = 0; i < SHADOW_SLOTS; i++) {
		const struct block_request *rq = &s->slots[i].rq;

		if (s->slots[i].busy && at < rq->offset + rq->len &&
		    rq->offset < at + len)
			return true;
	}
	return false;
}

/* The request's buffer in random pieces. */
static int shadow_cut(struct shadow_slot *slot, GRand *r, uint32_t len)
{
	uint8_t *at = slot->buf;
	int n = 0;

	while (len) {
		uint32_t piece = len;

		if (n < SHADOW_IOVS - 1 && len > 512)
			piece = 512 * (uint32_t)g_rand_int_range(
					r, 1, (gint32)(len / 512) + 1);
		slot->iov[n++] = (struct iovec){ at, piece };
		at += piece;
		len -= piece;
	}
	return n;
}

static void shadow_start(struct shadow *s, struct shadow_slot *slot)
{
	GRand *r = s->random;
	uint32_t bs = s->bb->block_size;
	uint32_t blocks = 1 + (uint32_t)g_rand_int_range(
				r, 0, (gint32)(s->max_len / bs));
	uint64_t at = bs * (uint64_t)g_rand_int_range(
				r, 0, (gint32)(s->bb->size / bs));
	uint64_t len = MIN((uint64_t)blocks * bs, s->bb->size - at);
	int kind = g_rand_int_range(r, 0, 8);

	if (shadow_collides(s, at, len))
		return;
	*slot = (struct shadow_slot){ .shadow = s, .buf = slot->buf };
	slot->rq = (struct block_request){
		.op = kind < 3 ? BLOCK_READ : kind < 6 ? BLOCK_WRITE :
		      kind < 7 ? BLOCK_WRITE_ZEROES : BLOCK_FLUSH,
		.fua = g_rand_int_range(r, 0, 4) == 0,
		.offset = at, .len = len, .done = shadow_done,
	};
	if (slot->rq.op == BLOCK_FLUSH)
		slot->rq.offset = slot->rq.len = 0;
	if (slot->rq.op == BLOCK_READ || slot->rq.op == BLOCK_WRITE) {
		memset(slot->buf, g_rand_int_range(r, 1, 256), len);
		slot->rq.iov = slot->iov;
		slot->rq.iovcnt = shadow_cut(slot, r, (uint32_t)len);
	}
	slot->busy = true;
	if (slot->rq.op == BLOCK_WRITE)
		memcpy(s->bytes + at, slot->buf, len);
	else if (slot->rq.op == BLOCK_WRITE_ZEROES)
		memset(s->bytes + at, 0, len);
	block_submit(s->bb, &slot->rq);
	assert_true(slot->busy);
}

/* Wait for all that is in flight. */
static void shadow_settle(struct shadow *s)
{
	for (unsigned i = 0; i < SHADOW_SLOTS; i++)
		while (s->slots[i].busy)
			loop_turn(s->loop, true);
}

/* @steps random requests, to their ends. */
static void shadow_run(struct shadow *s, unsigned steps)
{
	for (unsigned i = 0; i < steps; i++) {
		struct shadow_slot *slot = &s->slots[g_rand_int_range(
			s->random, 0, SHADOW_SLOTS)];

		if (slot->busy)
			loop_turn(s->loop, false);
		else
			shadow_start(s, slot);
	}
	shadow_settle(s);
}

/* All of the disk is as it has to be. */
static void shadow_verify(struct shadow *s)
{
	struct shadow_slot *slot = &s->slots[0];

	for (uint64_t at = 0; at < s->bb->size; at += s->max_len) {
		uint64_t len = MIN(s->max_len, s->bb->size - at);

		*slot = (struct shadow_slot){ .shadow = s, .buf = slot->buf,
					      .busy = true };
		slot->iov[0] = (struct iovec){ slot->buf, len };
		slot->rq = (struct block_request){
			.op = BLOCK_READ, .offset = at, .len = len,
			.iov = slot->iov, .iovcnt = 1, .done = shadow_done,
		};
		block_submit(s->bb, &slot->rq);
		shadow_settle(s);
	}
}

#endif
