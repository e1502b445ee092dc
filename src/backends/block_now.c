/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/block_now.h"

static int transfer(struct block_backend *bb, enum block_op op,
		    uint64_t offset, void *buf, size_t len)
{
	const struct iovec iov = { buf, len };
	struct block_request rq = {
		.op = op, .offset = offset, .len = len,
		.iov = &iov, .iovcnt = 1,
	};

	return bb->ops->perform(bb, &rq);
}

int block_read_now(struct block_backend *bb, uint64_t offset, void *buf,
		   size_t len)
{
	return transfer(bb, BLOCK_READ, offset, buf, len);
}

int block_write_now(struct block_backend *bb, uint64_t offset,
		    const void *buf, size_t len)
{
	return transfer(bb, BLOCK_WRITE, offset, (void *)buf, len);
}

int block_zero_now(struct block_backend *bb, uint64_t offset, uint64_t len)
{
	struct block_request rq = {
		.op = BLOCK_WRITE_ZEROES, .offset = offset, .len = len,
	};

	return bb->ops->perform(bb, &rq);
}

int block_grow_now(struct block_backend *bb, uint64_t size)
{
	struct block_request rq = { .op = BLOCK_GROW, .offset = size };

	return bb->ops->perform(bb, &rq);
}

int block_append_now(struct block_backend *bb, uint64_t size, const void *buf,
		     size_t len)
{
	const struct iovec iov = { (void *)buf, len };
	struct block_request rq = {
		.op = BLOCK_GROW, .offset = size, .len = len,
		.iov = &iov, .iovcnt = 1,
	};

	return bb->ops->perform(bb, &rq);
}

int block_cut_now(struct block_backend *bb, uint64_t size)
{
	return block_grow_now(bb, size);
}

int block_flush_now(struct block_backend *bb)
{
	struct block_request rq = { .op = BLOCK_FLUSH };

	return bb->ops->perform(bb, &rq);
}
