/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A disk under test: requests from one buffer, and a shadow of what it has. */
#ifndef VHDX_RIG_H
#define VHDX_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "backends/block_mem.h"
#include "backends/vhdx.h"

#define MIB		(UINT64_C(1) << 20)
#define RIG_BUFFER	(2 * MIB)

struct rig {
	struct loop *loop;
	struct block_backend *bb;
	uint8_t *shadow;
	uint8_t *buf;
	unsigned running;
};

struct rig_request {
	struct block_request rq;
	struct iovec iov[3];
	struct rig *rig;
	bool done;
};

/* The disk in @file, which passes, as if its path were @path. */
static inline struct block_backend *rig_open(struct rig *rig,
					     struct block_backend *file,
					     const char *path, GError **error)
{
	const struct block_file_options o = {
		.path = path, .read_only = file->read_only,
	};

	return vhdx_open(rig->loop, file, &o, error);
}

static inline void rig_done(struct block_request *rq)
{
	struct rig_request *r = (void *)rq;

	assert_false(r->done);
	r->done = true;
	r->rig->running--;
}

static inline void rig_start(struct rig *rig, struct rig_request *r,
			     enum block_op op, uint64_t offset, uint64_t len,
			     uint8_t *buf)
{
	uint64_t third = len / 3 & ~UINT64_C(511);

	*r = (struct rig_request){ .rig = rig };
	r->iov[0] = (struct iovec){ buf, third };
	r->iov[1] = (struct iovec){ buf + third, third };
	r->iov[2] = (struct iovec){ buf + 2 * third, len - 2 * third };
	r->rq = (struct block_request){
		.op = op, .offset = offset, .len = len, .iov = r->iov,
		.iovcnt = 3, .fua = offset & 4096, .done = rig_done,
	};
	rig->running++;
	block_submit(rig->bb, &r->rq);
	assert_false(r->done);
}

static inline void rig_settle(struct rig *rig)
{
	while (rig->running)
		loop_turn(rig->loop, true);
}

static inline int rig_do(struct rig *rig, enum block_op op, uint64_t offset,
			 uint64_t len)
{
	struct rig_request r;

	rig_start(rig, &r, op, offset, len, rig->buf);
	rig_settle(rig);
	return r.rq.result;
}

/* A random request, checked against the shadow. */
static inline void rig_random(struct rig *rig, GRand *rand)
{
	enum block_op op = (enum block_op)g_rand_int_range(rand, 0, 4);
	uint32_t unit = rig->bb->block_size;
	uint64_t at = (uint64_t)g_rand_double_range(rand, 0, (double)
						    rig->bb->size) & -unit;
	uint64_t len = (uint64_t)g_rand_int_range(rand, 1, (gint32)
						  (RIG_BUFFER / unit)) * unit;
	struct rig_request r;

	len = MIN(len, rig->bb->size - at);
	/* Whole blocks, so that they are unmapped. */
	if (op == BLOCK_WRITE_ZEROES && g_rand_boolean(rand)) {
		at &= ~(MIB - 1);
		len = MIN(2 * MIB, rig->bb->size - at);
	}
	memset(rig->buf, g_rand_int_range(rand, 1, 256), len);
	rig_start(rig, &r, op, at, len, rig->buf);
	rig_settle(rig);
	assert_int_equal(r.rq.result, 0);
	if (op == BLOCK_WRITE)
		memcpy(rig->shadow + at, rig->buf, len);
	else if (op == BLOCK_WRITE_ZEROES)
		memset(rig->shadow + at, 0, len);
	else if (op == BLOCK_READ)
		assert_memory_equal(rig->shadow + at, rig->buf, len);
}

static inline void rig_compare(struct rig *rig)
{
	for (uint64_t at = 0; at < rig->bb->size; at += RIG_BUFFER) {
		uint64_t len = MIN(RIG_BUFFER, rig->bb->size - at);

		assert_int_equal(rig_do(rig, BLOCK_READ, at, len), 0);
		assert_memory_equal(rig->buf, rig->shadow + at, len);
	}
}

#endif
