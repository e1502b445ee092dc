/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "backends/block_now.h"
#include "backends/vhd.h"
#include "backends/vhd_parent.h"
#include "core/autoptr.h"
#include "core/error.h"

AUTOPTR_DEFINE(block_backend, block_close)

static bool fail(GError **error, const char *path, int status, const char *why,
		 const char *advice)
{
	g_autofree char *what = g_strdup_printf("cannot make disk %s", path);

	user_error_set(error, status, "vhd.create", what, why, advice);
	return false;
}

/* Write @len bytes at @at, where the file may end. */
static int put(struct block_backend *file, uint64_t at, const void *data,
	       size_t len)
{
	int result = 0;

	if (at + len > file->size)
		result = block_grow_now(file, at + len);
	return result ? result : block_write_now(file, at, data, len);
}

static int create_fixed(struct block_backend *file, uint64_t size)
{
	struct vhd_footer f;

	vhd_footer_make(&f, VHD_FIXED, size);
	return put(file, size, &f, sizeof(f));
}

/* A BAT without blocks. */
static int put_table(struct block_backend *file, uint64_t at, uint64_t len)
{
	uint8_t unused[64 << 10];
	int result = 0;

	memset(unused, 0xff, sizeof(unused));
	for (uint64_t done = 0; done < len && !result; done += sizeof(unused))
		result = put(file, at + done, unused,
			     MIN(sizeof(unused), len - done));
	return result;
}

/* What the header keeps of the parent, whose size is *@size if that is 0. */
static bool adopt(struct vhd_header *h, uint64_t *size, const char *parent,
		  GError **error)
{
	const struct block_file_options o = {
		.path = parent, .read_only = true,
	};
	autoptr(block_backend) file = block_file_open(NULL, &o, error);
	struct vhd_facts facts;
	struct stat st;

	if (!file || !vhd_read_facts(file, parent, &facts, error))
		return false;
	if (!*size)
		*size = facts.size;
	memcpy(h->parent_unique_id, facts.footer.unique_id,
	       sizeof(h->parent_unique_id));
	if (stat(parent, &st) == 0)
		h->parent_timestamp = htobe32((uint32_t)(st.st_mtim.tv_sec -
							 VHD_EPOCH));
	return true;
}

static int create_sparse(struct block_backend *file, const char *path,
			 const struct vhd_create_options *o, uint64_t size,
			 const struct vhd_header *adopted)
{
	const uint64_t table = sizeof(struct vhd_footer) +
			       sizeof(struct vhd_header);
	uint64_t table_size, end;
	struct vhd_footer f;
	struct vhd_header h;
	int result = 0;

	vhd_footer_make(&f, o->type, size);
	vhd_header_make(&h, size, o->block_size ? o->block_size :
						  VHD_BLOCK_SIZE, table);
	table_size = vhd_table_size(be32toh(h.max_table_entries));
	end = table + table_size;
	memcpy(h.parent_unique_id, adopted->parent_unique_id,
	       sizeof(h.parent_unique_id));
	h.parent_timestamp = adopted->parent_timestamp;
	if (o->parent)
		result = vhd_parent_locate(file, &h, path, o->parent, &end);
	vhd_header_seal(&h);
	if (!result)
		result = put_table(file, table, table_size);
	if (!result)
		result = put(file, sizeof(f), &h, sizeof(h));
	if (!result)
		result = put(file, end, &f, sizeof(f));
	/* Only now it is a disk. */
	return result ? result : put(file, 0, &f, sizeof(f));
}

bool vhd_create(struct block_backend *file, const char *path,
		const struct vhd_create_options *o, GError **error)
{
	struct vhd_header adopted = { 0 };
	uint64_t size = o->size;
	int result;

	if (o->parent && !adopt(&adopted, &size, o->parent, error))
		return false;
	if (!size || size % VHD_SECTOR)
		return fail(error, path, EX_USAGE,
			    "a disk's size is a multiple of 512 bytes",
			    "whole MiB, such as 8G");
	if (o->type != VHD_FIXED && size > VHD_SIZE_MAX)
		return fail(error, path, EX_USAGE,
			    "a VHD ends at 2040 GiB", "a VHDX");
	result = o->type == VHD_FIXED ? create_fixed(file, size) :
		 create_sparse(file, path, o, size, &adopted);
	if (!result)
		result = block_flush_now(file);
	return !result || fail(error, path, EX_CANTCREAT, g_strerror(-result),
			       NULL);
}
