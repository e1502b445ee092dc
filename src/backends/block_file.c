/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <liburing.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "backends/block_file.h"
#include "backends/block_file_lock.h"
#include "backends/block_file_perform.h"
#include "backends/block_iov.h"
#include "core/autoptr.h"
#include "core/error.h"
#include "core/trace.h"
#include "core/util.h"

#define SECTOR		512u
#define BUFFER_ALIGN	4096u
#define CHUNK		(64u << 10)	/* of what goes through a buffer */
#define SLOW_MAX	8		/* buffers at a time */

struct block_file {
	struct block_backend bb;
	struct loop *loop;
	int fd;
	uint32_t align;		/* of memory and offsets for O_DIRECT; 1 */
	bool can_punch;		/* fallocate() has not been refused */
	uint8_t *zeroes;	/* CHUNK of them, when first needed */
	unsigned slow_count;
	GQueue slow_waiting;	/* struct block_request */
};

static void finish(struct block_request *rq, int result)
{
	trace(TRACE_BLOCK, "block.done op=%u offset=%#" G_GINT64_MODIFIER
	      "x result=%d", rq->op, rq->offset, result);
	rq->result = result;
	rq->done(rq);
}

static struct block_file *file_of(const struct block_request *rq)
{
	return container_of(rq->backend, struct block_file, bb);
}

static const uint8_t *zeroes_of(struct block_file *f)
{
	if (!f->zeroes)
		f->zeroes = g_aligned_alloc0(1, CHUNK, BUFFER_ALIGN);
	return f->zeroes;
}

/*
 * A transfer that is not finished by its first operation, or cannot be done
 * by it: short, or not aligned.  Rare; it has its own memory, and only so many
 * have it at a time.
 */
struct slow {
	struct loop_op op;
	struct block_request *rq;
	uint64_t done;		/* bytes of the request */
	uint32_t len;		/* of the operation under way */
	uint8_t *buf;
};

static void slow_start(struct block_request *rq);
static void slow_step(struct slow *s);

static void slow_finish(struct slow *s, int result)
{
	struct block_request *rq = s->rq;
	struct block_file *f = file_of(rq);

	g_aligned_free(s->buf);
	g_free(s);
	f->slow_count--;
	if (!g_queue_is_empty(&f->slow_waiting))
		slow_start(g_queue_pop_head(&f->slow_waiting));
	finish(rq, result);
}

static void slow_done(struct loop_op *op, int res)
{
	struct slow *s = container_of(op, struct slow, op);
	uint32_t align = file_of(s->rq)->align;

	if (res == -EINTR || res == -EAGAIN) {
		slow_step(s);
		return;
	}
	/* Nothing read: the file has become shorter. */
	if (res == 0)
		res = -EIO;
	if (res < 0) {
		slow_finish(s, res);
		return;
	}
	if ((uint32_t)res < s->len) {
		res -= res % (int)MAX(align, SECTOR);
		if (!res) {
			slow_finish(s, -EIO);
			return;
		}
	}
	if (s->rq->op == BLOCK_READ)
		block_iov_scatter(s->rq->iov, s->rq->iovcnt, s->done, s->buf,
				  (size_t)res);
	s->done += (uint32_t)res;
	if (s->done < s->rq->len)
		slow_step(s);
	else
		slow_finish(s, 0);
}

static int write_flags(const struct block_request *rq)
{
	return rq->fua ? RWF_DSYNC : 0;
}

static void slow_step(struct slow *s)
{
	const struct block_request *rq = s->rq;
	struct block_file *f = file_of(rq);
	struct io_uring_sqe *sqe = loop_sqe(f->loop, &s->op);
	uint64_t at = rq->offset + s->done;

	s->len = (uint32_t)MIN(rq->len - s->done, CHUNK);
	if (rq->op == BLOCK_READ) {
		io_uring_prep_read(sqe, f->fd, s->buf, s->len, at);
		return;
	}
	if (rq->op == BLOCK_WRITE_ZEROES) {
		io_uring_prep_write(sqe, f->fd, zeroes_of(f), s->len, at);
		return;
	}
	block_iov_gather(s->buf, rq->iov, rq->iovcnt, s->done, s->len);
	io_uring_prep_write(sqe, f->fd, s->buf, s->len, at);
	sqe->rw_flags = write_flags(rq);
}

/* Do @rq through a buffer, now or when there is one. */
static void slow_start(struct block_request *rq)
{
	struct block_file *f = file_of(rq);
	struct slow *s;

	if (f->slow_count == SLOW_MAX) {
		g_queue_push_tail(&f->slow_waiting, rq);
		return;
	}
	trace(TRACE_BLOCK, "block.bounce op=%u len=%" G_GUINT64_FORMAT,
	      rq->op, rq->len);
	f->slow_count++;
	s = g_new0(struct slow, 1);
	s->rq = rq;
	s->op.done = slow_done;
	if (rq->op != BLOCK_WRITE_ZEROES)
		s->buf = g_aligned_alloc(1, MIN(rq->len, CHUNK), BUFFER_ALIGN);
	slow_step(s);
}

static void transfer_done(struct loop_op *op, int res)
{
	struct block_request *rq = container_of(op, struct block_request,
						loop_op);

	if (res >= 0 && (uint64_t)res == rq->len)
		finish(rq, 0);
	else if (res >= 0 || res == -EINTR || res == -EAGAIN)
		slow_start(rq);	/* short: go on where it is safe */
	else
		finish(rq, res);
}

static bool is_aligned(const struct block_file *f,
		       const struct block_request *rq)
{
	uintptr_t bits = rq->offset | rq->len;

	if (f->align <= 1)
		return true;
	for (int i = 0; i < rq->iovcnt; i++)
		bits |= (uintptr_t)rq->iov[i].iov_base | rq->iov[i].iov_len;
	return bits % f->align == 0;
}

static void transfer(struct block_file *f, struct block_request *rq)
{
	struct io_uring_sqe *sqe;

	if (!is_aligned(f, rq) || rq->iovcnt > IOV_MAX) {
		slow_start(rq);
		return;
	}
	rq->loop_op.done = transfer_done;
	sqe = loop_sqe(f->loop, &rq->loop_op);
	if (rq->op == BLOCK_READ) {
		io_uring_prep_readv(sqe, f->fd, rq->iov,
				    (unsigned)rq->iovcnt, rq->offset);
		return;
	}
	io_uring_prep_writev(sqe, f->fd, rq->iov, (unsigned)rq->iovcnt,
			     rq->offset);
	sqe->rw_flags = write_flags(rq);
}

static void plain_done(struct loop_op *op, int res)
{
	finish(container_of(op, struct block_request, loop_op),
	       MIN(res, 0));
}

static void flush(struct block_file *f, struct block_request *rq)
{
	rq->loop_op.done = plain_done;
	io_uring_prep_fsync(loop_sqe(f->loop, &rq->loop_op), f->fd,
			    IORING_FSYNC_DATASYNC);
}

static void punch_done(struct loop_op *op, int res)
{
	struct block_request *rq = container_of(op, struct block_request,
						loop_op);
	struct block_file *f = file_of(rq);
	bool disturbed = res == -EINTR || res == -EAGAIN;

	if (res != -EOPNOTSUPP && res != -EINVAL && !disturbed) {
		finish(rq, res);
		return;
	}
	f->can_punch &= disturbed;
	slow_start(rq);
}

static void write_zeroes(struct block_file *f, struct block_request *rq)
{
	if (!f->can_punch) {
		slow_start(rq);
		return;
	}
	rq->loop_op.done = punch_done;
	io_uring_prep_fallocate(loop_sqe(f->loop, &rq->loop_op), f->fd,
				FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				(off_t)rq->offset, (off_t)rq->len);
}

static void grow(struct block_file *f, struct block_request *rq);

static void grow_done(struct loop_op *op, int res)
{
	struct block_request *rq = container_of(op, struct block_request,
						loop_op);
	struct block_file *f = file_of(rq);

	if (res == -EINTR || res == -EAGAIN) {
		grow(f, rq);
		return;
	}
	if (res == (int)f->bb.block_size) {
		f->bb.size = rq->offset;
		res = 0;
	}
	finish(rq, res > 0 ? -EIO : res);
}

/* Its last block makes a file longer; what comes before is a hole. */
static void grow(struct block_file *f, struct block_request *rq)
{
	uint32_t len = f->bb.block_size;

	rq->loop_op.done = grow_done;
	io_uring_prep_write(loop_sqe(f->loop, &rq->loop_op), f->fd,
			    zeroes_of(f), len, rq->offset - len);
}

static void file_submit(struct block_backend *bb, struct block_request *rq)
{
	struct block_file *f = container_of(bb, struct block_file, bb);

	trace(TRACE_BLOCK, "block.submit op=%u offset=%#" G_GINT64_MODIFIER
	      "x len=%" G_GUINT64_FORMAT, rq->op, rq->offset, rq->len);
	rq->backend = bb;
	switch (rq->op) {
	case BLOCK_READ:
	case BLOCK_WRITE:
		transfer(f, rq);
		break;
	case BLOCK_FLUSH:
		flush(f, rq);
		break;
	case BLOCK_WRITE_ZEROES:
		write_zeroes(f, rq);
		break;
	case BLOCK_GROW:
		grow(f, rq);
		break;
	}
}

static int file_perform(struct block_backend *bb, struct block_request *rq)
{
	struct block_file *f = container_of(bb, struct block_file, bb);
	int result = block_file_perform(f->fd, rq);

	if (rq->op == BLOCK_GROW && !result)
		bb->size = rq->offset;
	return result;
}

static uint64_t file_next_data(struct block_backend *bb, uint64_t at)
{
	struct block_file *f = container_of(bb, struct block_file, bb);
	off_t data;

	if (at >= bb->size)
		return bb->size;
	data = lseek(f->fd, (off_t)at, SEEK_DATA);
	if (data < 0)
		return errno == ENXIO ? bb->size : at;
	return MIN((uint64_t)data & ~(uint64_t)(bb->block_size - 1), bb->size);
}

static int file_measure(struct block_backend *bb)
{
	struct block_file *f = container_of(bb, struct block_file, bb);
	uint64_t size = 0;
	struct stat st;

	if (fstat(f->fd, &st) < 0 ||
	    (S_ISBLK(st.st_mode) && ioctl(f->fd, BLKGETSIZE64, &size) < 0))
		return -errno;
	if (S_ISREG(st.st_mode))
		size = (uint64_t)st.st_size;
	if (!size || size % bb->block_size)
		return -EINVAL;
	bb->size = size;
	return 0;
}

/* Behind a device's end, or what others write too, there is nothing to have. */
static int file_extend(struct block_backend *bb, uint64_t size)
{
	struct block_request rq = { .op = BLOCK_GROW, .offset = size };

	if (!bb->growable)
		return -EOPNOTSUPP;
	return size % bb->block_size ? -EINVAL : file_perform(bb, &rq);
}

static void file_close(struct block_backend *bb)
{
	struct block_file *f = container_of(bb, struct block_file, bb);

	block_file_unlock(f->fd);
	close(f->fd);
	g_aligned_free(f->zeroes);
	g_free(f);
}

static const struct block_backend_ops file_ops = {
	.name = "file",
	.submit = file_submit,
	.perform = file_perform,
	.next_data = file_next_data,
	.measure = file_measure,
	.extend = file_extend,
	.close = file_close,
};

/*
 * Opening.
 */
static bool fail(GError **error, const char *path, int status, const char *id,
		 const char *why, const char *advice)
{
	g_autofree char *what = g_strdup_printf("cannot use disk %s", path);

	user_error_set(error, status, id, what, why, advice);
	return false;
}

static bool open_failed(GError **error, const struct block_file_options *o)
{
	const char *path = o->path;

	switch (errno) {
	case ENOENT:
		return fail(error, path, EX_NOINPUT, "disk.missing",
			    "there is no such file",
			    "make one: truncate -s 8G FILE");
	case EISDIR:
		return fail(error, path, EX_DATAERR, "disk.directory",
			    "it is a directory", "the image file in it");
	case EROFS:
		return fail(error, path, EX_NOPERM, "disk.read-only",
			    "it is on a read-only file system",
			    "give it as --disk FILE,ro=on");
	case EACCES:
	case EPERM:
		return fail(error, path, EX_NOPERM, "disk.permission",
			    g_strerror(errno),
			    o->read_only ? "chmod u+r, or a copy of it" :
			    "chmod u+w, or give it as --disk FILE,ro=on");
	default:
		return fail(error, path, EX_NOINPUT, "disk.open",
			    g_strerror(errno), NULL);
	}
}

/* Size and sectors of what was opened. */
static bool measure(struct block_file *f, const struct block_file_options *o,
		    GError **error)
{
	struct block_backend *bb = &f->bb;
	uint64_t size = 0;
	struct stat st;
	int n;

	bb->block_size = bb->physical_block_size = SECTOR;
	if (fstat(f->fd, &st) < 0)
		return open_failed(error, o);
	if (S_ISDIR(st.st_mode)) {
		errno = EISDIR;
		return open_failed(error, o);
	}
	if (S_ISBLK(st.st_mode)) {
		if (ioctl(f->fd, BLKGETSIZE64, &size) < 0)
			return open_failed(error, o);
		if (ioctl(f->fd, BLKSSZGET, &n) == 0 && n == 4096)
			bb->block_size = 4096;
		if (ioctl(f->fd, BLKPBSZGET, &n) == 0)
			bb->physical_block_size = (uint32_t)n;
	} else if (S_ISREG(st.st_mode)) {
		size = (uint64_t)st.st_size;
		bb->growable = !o->read_only;
		bb->physical_block_size = 4096;
	} else {
		return fail(error, o->path, EX_DATAERR, "disk.kind",
			    "it is neither a file nor a block device",
			    "a raw image: truncate -s 8G FILE");
	}
	if (!size)
		return fail(error, o->path, EX_DATAERR, "disk.empty",
			    "it is empty", "give it a size: truncate -s 8G");
	if (size % bb->block_size)
		return fail(error, o->path, EX_DATAERR, "disk.size",
			    "its size is not a multiple of 512 bytes, as a "
			    "disk's is",
			    "truncate -s %512 FILE   (appends zeroes)");
	bb->size = size;
	/* What the file system works in; a hole is at least that large. */
	bb->discard_granularity =
		(uint32_t)CLAMP(st.st_blksize, 4096, 1 << 20);
	return true;
}

/*
 * Try O_DIRECT, and find what alignment it wants.  If that is more than the
 * guest's blocks have, it cannot be used: buffers help against misaligned
 * memory only.
 */
static void try_direct(struct block_file *f)
{
	int flags = fcntl(f->fd, F_GETFL);
	uint8_t *buf;

	if (fcntl(f->fd, F_SETFL, flags | O_DIRECT) < 0)
		return;
	buf = g_aligned_alloc(1, BUFFER_ALIGN, BUFFER_ALIGN);
	for (uint32_t align = SECTOR; align <= f->bb.block_size; align *= 2) {
		/* The end of a buffer of that alignment, and no better. */
		if (pread(f->fd, buf + BUFFER_ALIGN - align, align, 0) >= 0) {
			f->align = align;
			break;
		}
	}
	g_aligned_free(buf);
	if (f->align == 1)
		fcntl(f->fd, F_SETFL, flags);
}

/* Whether a block device can be told of unused blocks. */
static bool device_can_punch(const struct stat *st)
{
	static const char *const places[] = { "queue", "../queue" };

	for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
		g_autofree char *text = NULL, *path = g_strdup_printf(
			"/sys/dev/block/%u:%u/%s/write_zeroes_max_bytes",
			major(st->st_rdev), minor(st->st_rdev), places[i]);

		if (g_file_get_contents(path, &text, NULL, NULL))
			return g_ascii_strtoull(text, NULL, 10) != 0;
	}
	return false;
}

/*
 * A guest must not be told to discard what would then be written as zeroes:
 * that would fill the host's disk.  Behind its end a file has nothing to lose.
 */
static void try_punch(struct block_file *f)
{
	struct stat st;

	if (f->bb.read_only || fstat(f->fd, &st) < 0)
		f->can_punch = false;
	else if (S_ISBLK(st.st_mode))
		f->can_punch = device_can_punch(&st);
	else
		f->can_punch = !fallocate(f->fd, FALLOC_FL_PUNCH_HOLE |
					  FALLOC_FL_KEEP_SIZE,
					  (off_t)f->bb.size, SECTOR);
	if (!f->can_punch)
		f->bb.discard_granularity = 0;
}

static bool lock(int fd, const struct block_file_options *o, GError **error)
{
	return o->shared ?
	       block_file_lock_shared(fd, o->path, o->shared, error) :
	       block_file_lock(fd, o->path, o->read_only, error);
}

/* What one machine has written the other must not find in a cache. */
static bool may_share(struct block_file *f, const struct block_file_options *o,
		      GError **error)
{
	f->bb.growable = false;
	return f->align != 1 ||
	       fail(error, o->path, EX_UNAVAILABLE, "disk.shared-direct",
		    "a disk that is shared needs O_DIRECT, which its file "
		    "system does not have",
		    "another file system, such as ext4 or xfs");
}

struct block_backend *block_file_open(struct loop *loop,
				      const struct block_file_options *o,
				      GError **error)
{
	autofd fd = open(o->path, (o->read_only ? O_RDONLY : O_RDWR) |
			 O_CLOEXEC | O_NONBLOCK);
	struct block_file probe = {
		.bb.ops = &file_ops, .bb.read_only = o->read_only,
		.loop = loop, .fd = fd, .align = 1,
	};

	if (fd < 0) {
		open_failed(error, o);
		return NULL;
	}
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	if (!measure(&probe, o, error) || !lock(fd, o, error))
		return NULL;
	if (o->direct)
		try_direct(&probe);
	if (o->shared && !may_share(&probe, o, error))
		return NULL;
	try_punch(&probe);
	trace(TRACE_BLOCK, "block.open path=%s size=%" G_GUINT64_FORMAT
	      " align=%u", o->path, probe.bb.size, probe.align);
	autofd_steal(&fd);
	return &((struct block_file *)g_memdup2(&probe, sizeof(probe)))->bb;
}
