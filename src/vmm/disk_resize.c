/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/block_now.h"
#include "backends/vhdx.h"
#include "core/error.h"
#include "vmm/disk_internal.h"

#define CHUNK	(1u << 20)

struct resize {
	const struct disk_args *args;
	struct block_backend *file;
	uint64_t size;		/* as it is to be */
	struct vhd_facts facts;
};

static bool fail(const struct resize *r, int status, const char *id,
		 const char *why, const char *advice, GError **error)
{
	g_autofree char *what = g_strdup_printf("cannot resize %s",
						r->args->file);

	return disk_fail(error, status, id, what, why, advice);
}

static bool io_ok(const struct resize *r, int result, GError **error)
{
	return !result || fail(r, EX_IOERR, "disk.io", g_strerror(-result),
			       "room on the host's disk", error);
}

static bool is_zero(const uint8_t *p, size_t len)
{
	return !*p && !memcmp(p, p + 1, len - 1);
}

/* Whether the disk's bytes from @at to @end of the file are all zero. */
static bool is_unused(const struct resize *r, uint64_t at, uint64_t end)
{
	g_autofree uint8_t *buf = g_malloc(CHUNK);

	for (; at < end; at += CHUNK) {
		size_t len = MIN(CHUNK, end - at);

		if (block_read_now(r->file, at, buf, len) < 0 ||
		    !is_zero(buf, len))
			return false;
	}
	return true;
}

static bool may_shrink(const struct resize *r, bool unused, GError **error)
{
	if (!r->args->shrink)
		return fail(r, EX_USAGE, "disk.shrink",
			    "it would become smaller",
			    "shrink its file systems, then --shrink", error);
	return unused || fail(r, EX_DATAERR, "disk.in-use",
			      "there is data behind the new end",
			      "move it and trim: fstrim in the guest", error);
}

/* With the file closed: the backend has no way to make it shorter. */
static bool cut(const struct resize *r, uint64_t size, GError **error)
{
	return truncate(r->args->file, (off_t)size) == 0 ||
	       io_ok(r, -errno, error);
}

static bool resize_raw(struct resize *r, GError **error)
{
	uint64_t old = r->file->size;

	if (!r->file->growable)
		return fail(r, EX_USAGE, "disk.device",
			    "a device has the size that it has", "a file",
			    error);
	if (r->size > old)
		return io_ok(r, block_grow_now(r->file, r->size), error);
	return may_shrink(r, is_unused(r, r->size, old), error) &&
	       cut(r, r->size, error);
}

/* The file ends with a footer always. */
static bool resize_fixed(struct resize *r, GError **error)
{
	struct vhd_footer f = r->facts.footer;
	uint64_t old = r->facts.size;

	if (r->size >= old)
		return io_ok(r, vhd_fixed_grow(r->file, &r->facts, r->size),
			     error);
	vhd_footer_resize(&f, r->size);
	return may_shrink(r, is_unused(r, r->size, old), error) &&
	       io_ok(r, block_write_now(r->file, r->size, &f, sizeof(f)),
		     error) &&
	       io_ok(r, block_flush_now(r->file), error) &&
	       cut(r, r->size + VHD_SECTOR, error);
}

static bool resize_dynamic(struct resize *r, GError **error)
{
	/* A parent that is larger would show through in what is new. */
	if (r->facts.type == VHD_DIFFERENCING)
		return fail(r, EX_USAGE, "vhd.differencing",
			    "a VHD with a parent keeps its size",
			    "kvmbus disk create --parent, with a size", error);
	if (r->size < r->facts.size)
		return fail(r, EX_USAGE, "disk.shrink",
			    "a VHD that grows cannot become smaller",
			    "kvmbus disk convert, after resizing a raw copy",
			    error);
	return vhd_may_write(r->file, r->args->file, &r->facts, error) &&
	       io_ok(r, vhd_resize(r->file, &r->facts, r->size), error);
}

static bool resize_vhd(struct resize *r, GError **error)
{
	if (!vhd_read_facts(r->file, r->args->file, &r->facts, error))
		return false;
	if (r->facts.footer_missing)
		return fail(r, EX_DATAERR, "disk.damaged",
			    "its footer is missing",
			    "kvmbus disk check --repair", error);
	if (r->facts.type == VHD_FIXED)
		return resize_fixed(r, error);
	if (r->size > VHD_SIZE_MAX)
		return fail(r, EX_USAGE, "vhd.size", "a VHD ends at 2040 GiB",
			    "another format", error);
	return resize_dynamic(r, error);
}

/*
 * VHDX: what a smaller disk loses is unmapped first, by a loop.
 */
static void noted(struct block_request *rq)
{
	rq->backend = NULL;
}

static int wait_for(struct loop *loop, struct block_backend *bb,
		    struct block_request rq)
{
	rq.done = noted;
	rq.backend = bb;
	block_submit(bb, &rq);
	while (rq.backend)
		loop_turn(loop, true);
	return rq.result;
}

static bool has_no_data(struct loop *loop, struct block_backend *bb,
			uint64_t at)
{
	g_autofree uint8_t *buf = g_malloc(CHUNK);

	while ((at = block_next_data(bb, at)) < bb->size) {
		struct iovec iov = { buf, MIN(CHUNK, bb->size - at) };
		struct block_request rq = {
			.op = BLOCK_READ, .offset = at, .len = iov.iov_len,
			.iov = &iov, .iovcnt = 1,
		};

		if (wait_for(loop, bb, rq) || !is_zero(buf, iov.iov_len))
			return false;
		at += iov.iov_len;
	}
	return true;
}

static bool drop_end(const struct resize *r, struct loop *loop,
		     struct block_backend *bb, GError **error)
{
	struct block_request zeroes = {
		.op = BLOCK_WRITE_ZEROES, .offset = r->size,
		.len = bb->size - r->size,
	};
	struct block_request flush = { .op = BLOCK_FLUSH };

	return may_shrink(r, has_no_data(loop, bb, r->size), error) &&
	       io_ok(r, wait_for(loop, bb, zeroes), error) &&
	       io_ok(r, wait_for(loop, bb, flush), error);
}

static bool resize_vhdx(const struct resize *r, struct loop *loop,
			GError **error)
{
	const struct block_file_options o = { .path = r->args->file };
	struct block_backend *file = block_file_open(loop, &o, error);
	autoptr(block_backend) bb = NULL;
	int result;

	/* Its name may be another file's now: it has to be a VHDX still. */
	if (file)
		bb = vhdx_open(loop, file, &o, error);
	if (!bb)
		return false;
	if (r->size < bb->size && r->size % bb->block_size == 0 &&
	    !drop_end(r, loop, bb, error))
		return false;
	result = vhdx_resize(bb, r->size);
	if (result == -EINVAL)
		return fail(r, EX_USAGE, "vhdx.size",
			    "there is no such disk",
			    "whole sectors, up to 64 TiB; a disk with a "
			    "larger parent keeps its size", error);
	return io_ok(r, result, error);
}

/* The file is opened anew, with a loop. */
static bool reopen_vhdx(struct resize *r, GError **error)
{
	struct loop *loop = loop_new(error);
	bool ok;

	g_clear_pointer(&r->file, block_close);
	ok = loop && resize_vhdx(r, loop, error);
	loop_free(loop);
	return ok;
}

int disk_resize(const struct disk_args *a, GError **error)
{
	const struct block_file_options o = { .path = a->file };
	struct resize r = { .args = a };
	bool ok = false;

	if (!disk_parse_size(a->second, &r.size, error))
		return EX_USAGE;
	if (!r.size) {
		fail(&r, EX_USAGE, "usage", "no disk is empty", "64G", error);
		return EX_USAGE;
	}
	r.file = block_file_open(NULL, &o, error);
	if (!r.file)
		return (*error)->code;
	switch (block_format_of(r.file)) {
	case BLOCK_FORMAT_VHD:
		ok = resize_vhd(&r, error);
		break;
	case BLOCK_FORMAT_VHDX:
		ok = reopen_vhdx(&r, error);
		break;
	case BLOCK_FORMAT_RAW:
		ok = resize_raw(&r, error);
		break;
	}
	block_close(r.file);
	return ok ? 0 : (*error)->code;
}
