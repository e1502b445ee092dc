/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading and writing: which part of a request is where. */
#include "backends/block_iov.h"
#include "backends/vhd_internal.h"

uint64_t vhd_data_offset(const struct vhd *v, uint32_t index)
{
	return (uint64_t)vhd_entry(v, index) * VHD_SECTOR + v->bitmap_size;
}

static void zero(struct block_job *j, uint64_t skip, uint64_t len)
{
	block_iov_zero(j->rq->iov, j->rq->iovcnt, skip, len);
}

/* From what is below this disk, which may be smaller. */
static void read_below(struct vhd *v, struct block_job *j, uint64_t at,
		       uint64_t len)
{
	uint64_t skip = at - j->rq->offset, there = 0;

	if (v->parent && at < v->parent->size)
		there = MIN(len, v->parent->size - at);
	if (there)
		block_job_part(j, v->parent, BLOCK_READ, at, skip, there);
	if (there < len)
		zero(j, skip + there, len - there);
}

/* By runs of sectors that are in the block, or not. */
static void read_partial(struct vhd *v, struct block_job *j,
			 const struct vhd_block *b, uint64_t at, uint64_t len)
{
	uint64_t data = vhd_data_offset(v, b->index);
	uint32_t n = (uint32_t)(at % v->block_size) / VHD_SECTOR;
	uint32_t end = n + (uint32_t)(len / VHD_SECTOR), next;

	for (; n < end; n = next) {
		bool has = vhd_block_has(b, n);
		uint64_t from = (uint64_t)b->index * v->block_size +
				(uint64_t)n * VHD_SECTOR, bytes;

		for (next = n + 1; next < end; next++)
			if (vhd_block_has(b, next) != has)
				break;
		bytes = (uint64_t)(next - n) * VHD_SECTOR;
		if (has)
			block_job_part(j, v->file, BLOCK_READ,
				       data + (uint64_t)n * VHD_SECTOR,
				       from - j->rq->offset, bytes);
		else
			read_below(v, j, from, bytes);
	}
}

/* @len bytes at @at, all in one block. */
static void read_in_block(struct vhd *v, struct block_job *j, uint64_t at,
			  uint64_t len)
{
	uint32_t index = (uint32_t)(at / v->block_size);
	uint64_t skip = at - j->rq->offset;
	struct vhd_block *b;

	if (block_bitmap_test(v->full, index)) {
		block_job_part(j, v->file, BLOCK_READ,
			       vhd_data_offset(v, index) + at % v->block_size,
			       skip, len);
		return;
	}
	b = vhd_block_find(v, index);
	if (b && b->loaded)
		read_partial(v, j, b, at, len);
	else if (!b && vhd_is_absent(v, index))
		read_below(v, j, at, len);
	else
		vhd_block_load(v, index,
			       block_job_take(j, BLOCK_READ, skip, len));
}

void vhd_read_part(struct vhd *v, struct block_part *p)
{
	read_in_block(v, p->job, p->at, p->rq.len);
	block_part_end(p, 0);
}

static bool has_all(const struct vhd *v, const struct vhd_block *b,
		    uint64_t at, uint64_t len)
{
	uint32_t n = (uint32_t)(at % v->block_size) / VHD_SECTOR;
	uint32_t end = n + (uint32_t)(len / VHD_SECTOR);

	for (; n < end; n++)
		if (!vhd_block_has(b, n))
			return false;
	return true;
}

/* Zeroes where nothing is below need no place. */
static bool is_zero_already(const struct vhd *v, const struct block_job *j,
			    const struct vhd_block *b, uint32_t index)
{
	return j->rq->op == BLOCK_WRITE_ZEROES && !v->parent && !b &&
	       vhd_is_absent(v, index);
}

static void write_in_block(struct vhd *v, struct block_job *j, uint64_t at,
			   uint64_t len)
{
	uint32_t index = (uint32_t)(at / v->block_size);
	uint64_t skip = at - j->rq->offset;
	struct vhd_block *b = vhd_block_find(v, index);

	if (is_zero_already(v, j, b, index))
		return;
	if (block_bitmap_test(v->full, index) ||
	    (b && b->loaded && has_all(v, b, at, len)))
		block_job_part(j, v->file, j->rq->op,
			       vhd_data_offset(v, index) + at % v->block_size,
			       skip, len);
	else
		vhd_block_write(v, index,
				block_job_take(j, j->rq->op, skip, len));
}

struct vhd_job {
	struct block_job job;
	uint64_t written;	/* metadata, when the flush began */
};

static void flushed(struct block_job *j)
{
	struct vhd *v = container_of(j->rq->backend, struct vhd, bb);
	const struct vhd_job *vj = container_of(j, struct vhd_job, job);

	if (!j->result)
		v->stable = MAX(v->stable, vj->written);
	block_job_end(j);
}

/* What is done is in the file, with all that leads there. */
static void flush(struct vhd *v, struct block_job *j)
{
	container_of(j, struct vhd_job, job)->written = v->written;
	block_job_part(j, v->file, BLOCK_FLUSH, 0, 0, 0);
	block_job_go(j);
}

/* With FUA, what leads to the data has to be stable as well. */
static void written(struct block_job *j)
{
	struct vhd *v = container_of(j->rq->backend, struct vhd, bb);

	if (j->fua && !j->result && v->written != v->stable) {
		block_job_again(j, flushed);
		flush(v, j);
	} else {
		block_job_end(j);
	}
}

static void transfer(struct vhd *v, struct block_request *rq)
{
	struct block_job *j = block_job_new(&v->jobs, rq,
					    rq->op == BLOCK_READ ?
					    block_job_end : written);
	uint64_t end = rq->offset + rq->len, at, next;

	for (at = rq->offset; at < end; at = next) {
		next = MIN((at / v->block_size + 1) * v->block_size, end);
		if (rq->op == BLOCK_READ)
			read_in_block(v, j, at, next - at);
		else
			write_in_block(v, j, at, next - at);
	}
	block_job_go(j);
}

static void vhd_submit(struct block_backend *bb, struct block_request *rq)
{
	struct vhd *v = container_of(bb, struct vhd, bb);

	rq->backend = bb;
	if (rq->op == BLOCK_FLUSH)
		flush(v, block_job_new(&v->jobs, rq, flushed));
	else
		transfer(v, rq);
}

/* The parent may be smaller. */
static uint64_t data_below(const struct vhd *v, uint64_t at)
{
	uint64_t size = v->parent ? v->parent->size : 0;
	uint64_t data = at < size ? block_next_data(v->parent, at) : size;

	return data < size ? data : UINT64_MAX;
}

/*
 * Data of block @index at @at or behind it.  Without a parent, what is a hole
 * of the file is one of the disk, whatever the bitmap says.
 */
static uint64_t data_in_block(const struct vhd *v, uint32_t index, uint64_t at)
{
	uint64_t skip = at % v->block_size, data, found;

	if (vhd_is_absent(v, index))
		return data_below(v, at);
	if (v->parent)
		return at;
	data = vhd_data_offset(v, index);
	found = block_next_data(v->file, data + skip);
	return at - skip + (found - data);
}

static uint64_t vhd_next_data(struct block_backend *bb, uint64_t at)
{
	struct vhd *v = container_of(bb, struct vhd, bb);

	while (at < bb->size) {
		uint32_t index = (uint32_t)(at / v->block_size);
		uint64_t end = ((uint64_t)index + 1) * v->block_size;
		uint64_t data = data_in_block(v, index, at);

		if (data < end)
			return MIN(data, bb->size);
		at = end;
	}
	return bb->size;
}

/* A parent is a file, which neither waits nor has anything to leave. */
static void vhd_hurry(struct block_backend *bb)
{
	block_hurry(container_of(bb, struct vhd, bb)->file);
}

static void vhd_again(struct block_backend *bb)
{
	block_again(container_of(bb, struct vhd, bb)->file);
}

static void vhd_leave(struct block_backend *bb, struct block_leave *l)
{
	block_leave(container_of(bb, struct vhd, bb)->file, l);
}

static void vhd_close(struct block_backend *bb)
{
	struct vhd *v = container_of(bb, struct vhd, bb);

	block_jobs_finish(&v->jobs, NULL);
	g_hash_table_unref(v->held);
	block_close(v->file);
	block_close(v->parent);
	g_free(v->bat);
	g_free(v->fresh);
	g_free(v->full);
	g_free(v);
}

static const struct block_backend_ops vhd_ops = {
	.name = "vhd",
	.submit = vhd_submit,
	.next_data = vhd_next_data,
	.extend = vhd_extend,
	.hurry = vhd_hurry,
	.again = vhd_again,
	.leave = vhd_leave,
	.close = vhd_close,
};

void vhd_init(struct vhd *v, struct loop *loop)
{
	v->bb.ops = &vhd_ops;
	v->fresh = block_bitmap_new(v->blocks);
	v->full = block_bitmap_new(v->blocks);
	v->held = g_hash_table_new_full(NULL, NULL, NULL, vhd_block_free);
	block_jobs_init(&v->jobs, loop, sizeof(struct vhd_job));
}
