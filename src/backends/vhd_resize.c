/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A larger dynamic VHD.  What it needs is put at the end of the file, and what
 * is used stays as it is: who reads an old footer has the old disk.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "backends/block_now.h"
#include "backends/vhd.h"
#include "backends/vhd_internal.h"

/* A longer BAT, and a header for it behind that, which @f points to then. */
static int add_table(struct block_backend *file, const struct vhd_facts *facts,
		     uint32_t entries, struct vhd_footer *f)
{
	struct vhd_header h = facts->header;
	uint64_t had = be32toh(h.max_table_entries), at = file->size;
	uint64_t bytes = vhd_table_size(entries);
	g_autofree uint8_t *buf = g_malloc(bytes);
	int result = block_read_now(file, be64toh(h.table_offset), buf,
				    vhd_table_size(had));

	memset(buf + had * 4, 0xff, bytes - had * 4);
	h.table_offset = htobe64(at);
	h.max_table_entries = htobe32(entries);
	vhd_header_seal(&h);
	f->data_offset = htobe64(at + bytes);
	if (!result)
		result = block_grow_now(file, at + bytes + sizeof(h) +
					      VHD_SECTOR);
	if (!result)
		result = block_write_now(file, at, buf, bytes);
	return result ? result : block_write_now(file, at + bytes, &h,
						 sizeof(h));
}

int vhd_enter_footer(struct block_backend *file, const struct vhd_footer *f)
{
	const uint64_t at[] = { file->size - VHD_SECTOR, 0 };
	int result = block_flush_now(file);

	for (size_t i = 0; i < G_N_ELEMENTS(at) && !result; i++) {
		result = block_write_now(file, at[i], f, sizeof(*f));
		if (!result)
			result = block_flush_now(file);
	}
	return result;
}

int vhd_resize(struct block_backend *file, const struct vhd_facts *facts,
	       uint64_t size)
{
	struct vhd_footer f = facts->footer;
	uint32_t block = be32toh(facts->header.block_size);
	uint32_t entries = (uint32_t)((size + block - 1) / block);
	int result = 0;

	if (size < facts->size || size > VHD_SIZE_MAX || size % VHD_SECTOR)
		return -EINVAL;
	if (entries > be32toh(facts->header.max_table_entries))
		result = add_table(file, facts, entries, &f);
	vhd_footer_resize(&f, size);
	return result ? result : vhd_enter_footer(file, &f);
}
