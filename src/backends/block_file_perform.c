/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include "backends/block_file_perform.h"
#include "backends/block_iov.h"

#define CHUNK		(256u << 10)
#define BUFFER_ALIGN	4096u

/* All of @len bytes at @offset between @buf and the file. */
static int transfer(int fd, enum block_op op, uint8_t *buf, size_t len,
		    uint64_t offset)
{
	while (len) {
		ssize_t n = op == BLOCK_READ ?
			    pread(fd, buf, len, (off_t)offset) :
			    pwrite(fd, buf, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		buf += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

/* Whether the caller's memory is one that O_DIRECT takes. */
static bool is_aligned(const struct block_request *rq)
{
	return rq->iovcnt == 1 &&
	       (uintptr_t)rq->iov->iov_base % BUFFER_ALIGN == 0;
}

/* Through a buffer that suits O_DIRECT; it has zeroes to begin with. */
static int transfer_buffered(int fd, const struct block_request *rq)
{
	size_t chunk = MIN(rq->len, CHUNK);
	uint8_t *buf = g_aligned_alloc0(1, chunk, BUFFER_ALIGN);
	int result = 0;

	for (uint64_t at = 0; at < rq->len && !result; at += chunk) {
		size_t n = MIN(chunk, rq->len - at);

		if (rq->op == BLOCK_WRITE)
			block_iov_gather(buf, rq->iov, rq->iovcnt, at, n);
		result = transfer(fd, rq->op, buf, n, rq->offset + at);
		if (rq->op == BLOCK_READ && !result)
			block_iov_scatter(rq->iov, rq->iovcnt, at, buf, n);
	}
	g_aligned_free(buf);
	return result;
}

static int transfer_all(int fd, const struct block_request *rq)
{
	if (!is_aligned(rq))
		return transfer_buffered(fd, rq);
	return transfer(fd, rq->op, rq->iov->iov_base, rq->len, rq->offset);
}

static int flush(int fd)
{
	return fdatasync(fd) < 0 ? -errno : 0;
}

static int punch(int fd, const struct block_request *rq)
{
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      (off_t)rq->offset, (off_t)rq->len) < 0)
		return transfer_all(fd, rq);
	return 0;
}

/* A file is as long as what is written to it: at no instant without that. */
static int grow(int fd, const struct block_request *rq)
{
	struct block_request end = *rq;

	if (!rq->iovcnt)
		return ftruncate(fd, (off_t)rq->offset) < 0 ? -errno : 0;
	end.op = BLOCK_WRITE;
	end.offset = rq->offset - rq->len;
	return transfer_all(fd, &end);
}

int block_file_perform(int fd, const struct block_request *rq)
{
	int result;

	switch (rq->op) {
	case BLOCK_READ:
		return transfer_all(fd, rq);
	case BLOCK_WRITE:
		result = transfer_all(fd, rq);
		return !result && rq->fua ? flush(fd) : result;
	case BLOCK_FLUSH:
		return flush(fd);
	case BLOCK_WRITE_ZEROES:
		return punch(fd, rq);
	case BLOCK_GROW:
		return grow(fd, rq);
	}
	g_assert_not_reached();
}
