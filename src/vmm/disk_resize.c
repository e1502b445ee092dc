/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/block_now.h"
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

/* Whether the disk's bytes from @at to @end of the file are all zero. */
static bool is_unused(const struct resize *r, uint64_t at, uint64_t end)
{
	g_autofree uint8_t *buf = g_malloc(CHUNK);

	for (; at < end; at += CHUNK) {
		size_t len = MIN(CHUNK, end - at);

		if (block_read_now(r->file, at, buf, len) < 0 || *buf ||
		    memcmp(buf, buf + 1, len - 1) != 0)
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

/* The new footer first: the file ends with one always. */
static bool resize_fixed(struct resize *r, GError **error)
{
	struct vhd_footer f = r->facts.footer;
	uint64_t old = r->facts.size;
	int result = 0;

	vhd_footer_resize(&f, r->size);
	if (r->size < old)
		return may_shrink(r, is_unused(r, r->size, old), error) &&
		       io_ok(r, block_write_now(r->file, r->size, &f,
						sizeof(f)), error) &&
		       io_ok(r, block_flush_now(r->file), error) &&
		       cut(r, r->size + VHD_SECTOR, error);
	if (r->size + VHD_SECTOR > r->file->size)
		result = block_grow_now(r->file, r->size + VHD_SECTOR);
	if (!result)
		result = block_write_now(r->file, r->size, &f, sizeof(f));
	if (!result)
		result = block_flush_now(r->file);
	if (!result)
		result = block_zero_now(r->file, old, VHD_SECTOR);
	return io_ok(r, result, error);
}

/* A longer BAT, at the end of the file; *@table is where. */
static int move_table(const struct resize *r, uint32_t entries,
		      uint64_t *table)
{
	uint64_t had = be32toh(r->facts.header.max_table_entries);
	uint64_t bytes = vhd_table_size(entries);
	g_autofree uint8_t *buf = g_malloc(bytes);
	int result;

	result = block_read_now(r->file, *table, buf, vhd_table_size(had));
	if (result)
		return result;
	memset(buf + had * 4, 0xff, bytes - had * 4);
	*table = r->file->size;
	result = block_grow_now(r->file, *table + bytes + VHD_SECTOR);
	return result ? result : block_write_now(r->file, *table, buf, bytes);
}

/*
 * What is new is in the file before the header says so, and the copy of the
 * footer comes last: with the old one the disk has its old size.
 */
static int enter_size(const struct resize *r, const struct vhd_header *h)
{
	struct vhd_footer f = r->facts.footer;
	int result;

	vhd_footer_resize(&f, r->size);
	result = block_flush_now(r->file);
	if (!result)
		result = block_write_now(r->file, be64toh(f.data_offset), h,
					 sizeof(*h));
	if (!result)
		result = block_write_now(r->file, r->file->size - VHD_SECTOR,
					 &f, sizeof(f));
	if (!result)
		result = block_flush_now(r->file);
	if (!result)
		result = block_write_now(r->file, 0, &f, sizeof(f));
	return result ? result : block_flush_now(r->file);
}

static bool resize_dynamic(struct resize *r, GError **error)
{
	struct vhd_header h = r->facts.header;
	uint32_t block = be32toh(h.block_size);
	uint32_t entries = (uint32_t)((r->size + block - 1) / block);
	uint64_t table = be64toh(h.table_offset);
	int result = 0;

	if (r->size < r->facts.size)
		return fail(r, EX_USAGE, "disk.shrink",
			    "a VHD that grows cannot become smaller",
			    "kvmbus disk convert, after resizing a raw copy",
			    error);
	if (entries > be32toh(h.max_table_entries)) {
		result = move_table(r, entries, &table);
		h.table_offset = htobe64(table);
		h.max_table_entries = htobe32(entries);
		vhd_header_seal(&h);
	}
	if (!result)
		result = enter_size(r, &h);
	return io_ok(r, result, error);
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
		ok = fail(&r, EX_USAGE, "vhdx.size",
			  "a VHDX keeps its size here",
			  "convert it to raw, resize that, and convert it",
			  error);
		break;
	case BLOCK_FORMAT_RAW:
		ok = resize_raw(&r, error);
		break;
	}
	block_close(r.file);
	return ok ? 0 : (*error)->code;
}
