/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VHD with changed bytes: opening it, and requests to what opens, or merging
 * it into a parent.
 *
 * The input is what to change, then what to ask for.  Checksums are made right
 * again unless the input says otherwise, so that what is behind them is
 * reached.  The memory below aborts on requests beyond its end.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "backends/block_mem.h"
#include "backends/block_merge.h"
#include "backends/vhd.h"
#include "core/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BLOCK		(64u << 10)
#define DISK_SIZE	(9 * BLOCK)
#define CHANGES_MAX	64

enum { FIXED = 1, KEEP_SUMS = 2, READ_ONLY = 4, MERGE = 8 };
#define GROW	255	/* as a step */

enum place { FOOTER, COPY, HEADER, TABLE, PLACES };

struct change {
	uint8_t place;
	uint16_t at;
	uint8_t value;
} __attribute__((packed));

struct step {
	uint8_t op;
	uint16_t sector;
	uint8_t sectors;
} __attribute__((packed));

static unsigned busy;

static void done(struct block_request *rq)
{
	busy--;
}

static void request(struct loop *loop, struct block_backend *bb,
		    const struct step *s)
{
	static uint8_t buf[256 * 512];
	uint64_t at = (uint64_t)s->sector * 512;
	uint64_t len = (s->sectors + 1u) * 512;
	struct iovec iov = { buf, len };
	struct block_request rq = {
		.op = s->op % 4, .fua = s->op & 4, .offset = at, .len = len,
		.iov = &iov, .iovcnt = 1, .done = done,
	};

	if (at > bb->size || len > bb->size - at ||
	    (bb->read_only && rq.op != BLOCK_READ && rq.op != BLOCK_FLUSH))
		return;
	memset(buf, s->op, len);
	busy++;
	block_submit(bb, &rq);
	while (busy)
		loop_turn(loop, true);
}

/* A disk with a few blocks, and what is to be changed of it. */
static struct block_backend *make(struct loop *loop, uint8_t flags)
{
	const struct vhd_create_options o = {
		.type = flags & FIXED ? VHD_FIXED : VHD_DYNAMIC,
		.size = DISK_SIZE, .block_size = BLOCK,
	};
	static const struct step steps[] = { { 1, 0, 0 }, { 1, 400, 200 } };
	static const struct block_file_options f = { .path = "fuzz" };
	struct block_backend *mem = block_mem_new(loop, 512, 512), *bb, *copy;

	if (!vhd_create(mem, "fuzz", &o, NULL))
		abort();
	if (flags & FIXED)
		return mem;
	copy = block_mem_new(loop, mem->size, 512);
	memcpy(block_mem_bytes(copy), block_mem_bytes(mem), mem->size);
	block_close(mem);
	bb = vhd_open(loop, copy, &f, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(steps); i++)
		request(loop, bb, &steps[i]);
	mem = block_mem_new(loop, copy->size, 512);
	memcpy(block_mem_bytes(mem), block_mem_bytes(copy), copy->size);
	block_close(bb);
	return mem;
}

static uint8_t *place_of(struct block_backend *mem, const struct change *c)
{
	uint8_t *b = block_mem_bytes(mem);

	switch (c->place % PLACES) {
	case FOOTER:
		return b + mem->size - 512 + c->at % 512;
	case COPY:
		return b + c->at % 512;
	case HEADER:
		return b + 512 + c->at % 1024;
	default:
		return b + 1536 + c->at % 512;
	}
}

static void change(struct block_backend *mem, struct reader *r, uint8_t flags)
{
	uint8_t *b = block_mem_bytes(mem);
	struct change c;
	uint8_t n = 0;

	(void)READ(r, &n);
	for (unsigned i = 0; i < n % CHANGES_MAX && READ(r, &c); i++)
		*place_of(mem, &c) = c.value;
	if (flags & KEEP_SUMS)
		return;
	vhd_footer_seal((void *)(b + mem->size - 512));
	if (flags & FIXED)
		return;
	vhd_footer_seal((void *)b);
	vhd_header_seal((void *)(b + 512));
}

static void use(struct loop *loop, struct block_backend *mem, struct reader *r,
		uint8_t flags)
{
	const struct block_file_options f = {
		.path = "fuzz", .read_only = flags & READ_ONLY,
	};
	g_autoptr(GError) error = NULL;
	struct block_backend *bb;
	struct step s;

	mem->read_only = f.read_only;
	bb = vhd_open(loop, mem, &f, &error);
	if (!bb != (error != NULL))
		abort();
	if (!bb)
		return;
	while (READ(r, &s)) {
		if (s.op == GROW)
			block_extend(bb, bb->size +
					 (s.sector % 4096 + 1) * 512);
		else
			request(loop, bb, &s);
	}
	block_close(bb);
}

/* Let @mem, which is dynamic, have a type and the id zero. */
static void set_type(struct block_backend *mem, enum vhd_type type)
{
	uint8_t *b = block_mem_bytes(mem);
	struct vhd_footer *copies[] = {
		(void *)b, (void *)(b + mem->size - 512),
	};

	for (size_t i = 0; i < G_N_ELEMENTS(copies); i++) {
		memset(copies[i]->unique_id, 0, sizeof(copies[i]->unique_id));
		copies[i]->disk_type = htobe32(type);
		vhd_footer_seal(copies[i]);
	}
}

/* The id of the parent of a disk whose header was made without one is zero. */
static struct block_backend *open_parent(struct block_merge *m, bool read_only,
					 GError **error)
{
	struct block_backend *mem = make(m->loop, 0);

	m->parent_path = "fuzz-parent";
	set_type(mem, VHD_DYNAMIC);
	return mem;
}

static void merge(struct loop *loop, struct block_backend *mem)
{
	struct block_merge m = {
		.loop = loop, .file = mem, .path = "fuzz",
		.open_parent = open_parent,
	};
	g_autoptr(GError) error = NULL;

	if ((vhd_merge(&m, &error) == 1) != (error != NULL))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = { data, size };
	struct loop *loop = loop_new(NULL);
	struct block_backend *mem;
	uint8_t flags = 0;

	(void)READ(&r, &flags);
	if (flags & MERGE)
		flags &= (uint8_t)~FIXED;
	mem = make(loop, flags);
	if (flags & MERGE)
		set_type(mem, VHD_DIFFERENCING);
	change(mem, &r, flags);
	if (flags & MERGE)
		merge(loop, mem);
	else
		use(loop, mem, &r, flags);
	loop_free(loop);
	return 0;
}
