/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Blocks in memory: their sector bitmaps, and rounds of writes. */
#include <string.h>

#include "backends/vhd_internal.h"

#define IDLE_MAX	256u	/* bitmaps that are kept for later reads */

static void list_init(struct part_list *l)
{
	l->first = NULL;
	l->end = &l->first;
}

static void list_add(struct part_list *l, struct block_part *p)
{
	p->next = NULL;
	*l->end = p;
	l->end = &p->next;
}

/* Take all that is in @l. */
static struct block_part *list_take(struct part_list *l)
{
	struct block_part *first = l->first;

	list_init(l);
	return first;
}

static void end_parts(struct part_list *l, int result)
{
	struct block_part *p, *next;

	for (p = list_take(l); p; p = next) {
		next = p->next;
		block_part_end(p, p->rq.result ? p->rq.result : result);
	}
}

struct vhd_block *vhd_block_find(struct vhd *v, uint32_t index)
{
	return g_hash_table_lookup(v->held, GUINT_TO_POINTER(index));
}

static bool is_idle(const struct vhd_block *b)
{
	return b->loaded && !b->busy && !b->readers.first && !b->writers.first;
}

static struct vhd_block *block_new(struct vhd *v, uint32_t index)
{
	struct vhd_block *b = g_new0(struct vhd_block, 1);

	b->vhd = v;
	b->index = index;
	b->bits = g_aligned_alloc0(2, v->bitmap_size, 4096);
	b->new_bits = b->bits + v->bitmap_size;
	b->loaded = vhd_is_absent(v, index);
	b->link.data = b;
	list_init(&b->readers);
	list_init(&b->writers);
	list_init(&b->round);
	g_hash_table_insert(v->held, GUINT_TO_POINTER(index), b);
	return b;
}

void vhd_block_free(void *block)
{
	struct vhd_block *b = block;

	g_aligned_free(b->bits);
	g_free(b);
}

static struct vhd_block *block_get(struct vhd *v, uint32_t index)
{
	struct vhd_block *b = vhd_block_find(v, index);

	if (!b)
		return block_new(v, index);
	if (is_idle(b))
		g_queue_unlink(&v->idle, &b->link);
	return b;
}

static void block_drop(struct vhd_block *b)
{
	g_hash_table_remove(b->vhd->held, GUINT_TO_POINTER(b->index));
}

/* Nobody waits for it: keep what may be read again, up to a limit. */
static void block_put(struct vhd_block *b)
{
	struct vhd *v = b->vhd;

	if (block_bitmap_test(v->full, b->index) ||
	    vhd_is_absent(v, b->index)) {
		block_drop(b);
		return;
	}
	g_queue_push_tail_link(&v->idle, &b->link);
	if (v->idle.length > IDLE_MAX)
		block_drop(g_queue_pop_head_link(&v->idle)->data);
}

static bool has_all_sectors(const struct vhd_block *b)
{
	uint32_t bytes = b->vhd->block_size / VHD_SECTOR / 8;

	for (uint32_t i = 0; i < bytes; i++)
		if (b->bits[i] != 0xff)
			return false;
	return true;
}

static void note_if_full(struct vhd_block *b)
{
	if (has_all_sectors(b))
		block_bitmap_set(b->vhd->full, b->index, b->index + 1);
}

static void load(struct vhd_block *b);
static void round_begin(struct vhd_block *b);

/* Start a round if writes wait, or let the block go. */
static void block_next(struct vhd_block *b)
{
	if (b->busy)
		return;
	if (b->writers.first) {
		round_begin(b);
		load(b);
	} else if (b->loaded) {
		block_put(b);
	} else if (!b->loading) {
		block_drop(b);
	}
}

/*
 * Loading.
 */
static void bitmap_io(struct vhd_block *b, enum block_op op, void *buf,
		      void (*done)(struct block_request *rq))
{
	struct vhd *v = b->vhd;

	b->iov = (struct iovec){ buf, v->bitmap_size };
	b->rq = (struct block_request){
		.op = op,
		.offset = (uint64_t)vhd_entry(v, b->index) * VHD_SECTOR,
		.len = v->bitmap_size, .iov = &b->iov, .iovcnt = 1,
		.done = done,
	};
	block_submit(v->file, &b->rq);
}

/* Reads wait for nothing else; the block stays while they end. */
static void answer_readers(struct vhd_block *b, int result)
{
	bool busy = b->busy;
	struct block_part *p, *next;

	b->busy = true;
	for (p = list_take(&b->readers); p; p = next) {
		next = p->next;
		if (result)
			block_part_end(p, result);
		else
			vhd_read_part(b->vhd, p);
	}
	b->busy = busy;
}

static void round_settle(struct vhd_block *b);

static void loaded(struct block_request *rq)
{
	struct vhd_block *b = container_of(rq, struct vhd_block, rq);

	b->loading = false;
	b->load_error = rq->result;
	if (!rq->result) {
		b->loaded = true;
		note_if_full(b);
	}
	answer_readers(b, rq->result);
	if (b->busy)
		round_settle(b);
	else
		block_next(b);
}

static void load(struct vhd_block *b)
{
	if (b->loading || b->loaded)
		return;
	b->loading = true;
	bitmap_io(b, BLOCK_READ, b->bits, loaded);
}

void vhd_block_load(struct vhd *v, uint32_t index, struct block_part *p)
{
	struct vhd_block *b = block_get(v, index);

	list_add(&b->readers, p);
	load(b);
}

void vhd_block_write(struct vhd *v, uint32_t index, struct block_part *p)
{
	struct vhd_block *b = block_get(v, index);

	list_add(&b->writers, p);
	block_next(b);
}

/*
 * Rounds.
 */
static void round_end(struct vhd_block *b, int result)
{
	if (!result) {
		memcpy(b->bits, b->new_bits, b->vhd->bitmap_size);
		note_if_full(b);
	}
	end_parts(&b->round, result);
	b->busy = false;
	block_next(b);
}

void vhd_block_listed(struct vhd_block *b, int result)
{
	round_end(b, result);
}

static void bitmap_written(struct block_request *rq)
{
	struct vhd_block *b = container_of(rq, struct vhd_block, rq);

	b->vhd->written++;
	if (!rq->result && b->add)
		vhd_list(b->vhd, b);
	else
		round_end(b, rq->result);
}

static void set_bits(uint8_t *bits, uint32_t n, uint32_t end)
{
	for (; n < end; n++)
		bits[n / 8] |= (uint8_t)(0x80 >> n % 8);
}

/*
 * The block has what was written; and a new one of a disk without a parent has
 * all of its sectors, since the file's new place is zero.
 */
static bool add_bits(struct vhd_block *b)
{
	const struct vhd *v = b->vhd;
	bool any = false;

	memcpy(b->new_bits, b->bits, v->bitmap_size);
	for (const struct block_part *p = b->round.first; p; p = p->next) {
		uint32_t n = (uint32_t)(p->at % v->block_size) / VHD_SECTOR;

		if (p->rq.result)
			continue;
		any = true;
		set_bits(b->new_bits, n,
			 n + (uint32_t)(p->rq.len / VHD_SECTOR));
	}
	if (b->add && any && !v->parent)
		memset(b->new_bits, 0xff, v->bitmap_size);
	return any;
}

/* Data is written while bits are read: what ends last goes on. */
static void round_settle(struct vhd_block *b)
{
	if (b->pending || b->loading)
		return;
	if (!b->loaded)
		round_end(b, b->load_error);
	else if (!add_bits(b) ||
		 (!b->add && !memcmp(b->bits, b->new_bits,
				     b->vhd->bitmap_size)))
		round_end(b, 0);
	else
		bitmap_io(b, BLOCK_WRITE, b->new_bits, bitmap_written);
}

static void data_written(struct block_request *rq)
{
	struct block_part *p = container_of(rq, struct block_part, rq);
	struct vhd *v = vhd_of_part(p);
	struct vhd_block *b = vhd_block_find(v, (uint32_t)(p->at /
							   v->block_size));

	b->pending--;
	round_settle(b);
}

void vhd_block_placed(struct vhd_block *b, int result)
{
	struct vhd *v = b->vhd;
	struct block_part *p, *next;

	if (result) {
		memcpy(b->new_bits, b->bits, v->bitmap_size);
		round_end(b, result);
		return;
	}
	for (p = b->round.first; p; p = p->next)
		b->pending++;
	for (p = b->round.first; p; p = next) {
		next = p->next;
		p->rq.offset = vhd_data_offset(v, b->index) +
			       p->at % v->block_size;
		p->rq.done = data_written;
		block_submit(v->file, &p->rq);
	}
}

static void round_begin(struct vhd_block *b)
{
	b->busy = true;
	b->add = vhd_is_absent(b->vhd, b->index);
	b->round.first = b->writers.first;
	b->round.end = b->writers.end;
	list_init(&b->writers);
	if (b->add)
		vhd_place(b->vhd, b);
	else
		vhd_block_placed(b, 0);
}
