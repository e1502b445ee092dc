/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <endian.h>
#include <glib.h>
#include <stddef.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "backends/vhd_format.h"

/* The complement of the sum of all bytes but those of the checksum itself. */
static uint32_t checksum(const void *p, size_t len, size_t field)
{
	const uint8_t *b = p;
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		if (i < field || i >= field + sizeof(uint32_t))
			sum += b[i];
	return ~sum;
}

static uint32_t footer_sum(const struct vhd_footer *f)
{
	return checksum(f, sizeof(*f), offsetof(struct vhd_footer, checksum));
}

static uint32_t header_sum(const struct vhd_header *h)
{
	return checksum(h, sizeof(*h), offsetof(struct vhd_header, checksum));
}

void vhd_footer_seal(struct vhd_footer *f)
{
	f->checksum = htobe32(footer_sum(f));
}

void vhd_header_seal(struct vhd_header *h)
{
	h->checksum = htobe32(header_sum(h));
}

const char *vhd_footer_check(const struct vhd_footer *f)
{
	uint64_t size = be64toh(f->current_size);
	uint32_t type = be32toh(f->disk_type);

	if (memcmp(f->cookie, VHD_COOKIE, sizeof(f->cookie)) != 0)
		return "is missing";
	if (be32toh(f->checksum) != footer_sum(f))
		return "has a wrong checksum";
	if (be32toh(f->version) >> 16 != VHD_VERSION >> 16)
		return "is of an unknown version";
	if (type < VHD_FIXED || type > VHD_DIFFERENCING)
		return "names an unknown type of disk";
	if (!size || size % VHD_SECTOR)
		return "has a size that is not a multiple of 512 bytes";
	if (type != VHD_FIXED && size > VHD_SIZE_MAX)
		return "has a size above 2040 GiB";
	return NULL;
}

const char *vhd_header_check(const struct vhd_header *h,
			     const struct vhd_footer *f)
{
	uint64_t size = be64toh(f->current_size);
	uint32_t block = be32toh(h->block_size);

	if (memcmp(h->cookie, VHD_HEADER_COOKIE, sizeof(h->cookie)) != 0)
		return "is missing";
	if (be32toh(h->checksum) != header_sum(h))
		return "has a wrong checksum";
	if (be32toh(h->version) >> 16 != VHD_VERSION >> 16)
		return "is of an unknown version";
	if (block < VHD_BLOCK_MIN || block > VHD_BLOCK_MAX ||
	    (block & (block - 1)))
		return "has a block size that is no power of two from 64 KiB "
		       "to 64 MiB";
	if (be32toh(h->max_table_entries) < (size + block - 1) / block)
		return "has fewer blocks than the disk";
	if (be64toh(h->table_offset) % VHD_SECTOR)
		return "has a block table that is not at a sector";
	return NULL;
}

struct geometry {
	uint32_t cylinders, heads, sectors;
};

/* Appendix "CHS calculation".  Nothing here uses it; old BIOSes do. */
static struct geometry geometry_of(uint64_t size)
{
	uint64_t total = MIN(size / VHD_SECTOR, 65535 * 16 * 255);
	struct geometry g = { .heads = 16, .sectors = 255 };
	uint64_t tracks;

	if (total < 65535 * 16 * 63) {
		g.sectors = 17;
		tracks = total / 17;
		g.heads = (uint32_t)MAX((tracks + 1023) / 1024, 4);
		if (tracks >= g.heads * 1024 || g.heads > 16) {
			g.sectors = 31;
			g.heads = 16;
			tracks = total / 31;
		}
		if (tracks >= g.heads * 1024) {
			g.sectors = 63;
			g.heads = 16;
		}
	}
	g.cylinders = (uint32_t)(total / g.sectors / g.heads);
	return g;
}

void vhd_footer_resize(struct vhd_footer *f, uint64_t size)
{
	struct geometry g = geometry_of(size);

	f->current_size = htobe64(size);
	f->cylinders = htobe16((uint16_t)g.cylinders);
	f->heads = (uint8_t)g.heads;
	f->sectors_per_track = (uint8_t)g.sectors;
	vhd_footer_seal(f);
}

/*
 * The creator is Hyper-V's: there are programs that take the geometry for the
 * size of the disks of any other one.
 */
void vhd_footer_make(struct vhd_footer *f, enum vhd_type type, uint64_t size)
{
	uint64_t header = type == VHD_FIXED ? VHD_NO_OFFSET : sizeof(*f);

	*f = (struct vhd_footer){
		.features = htobe32(VHD_FEATURES),
		.version = htobe32(VHD_VERSION),
		.data_offset = htobe64(header),
		.timestamp = htobe32((uint32_t)(time(NULL) - VHD_EPOCH)),
		.creator_application = "win ",
		.creator_version = htobe32(0x000a0000),
		.creator_host_os = "Wi2k",
		.original_size = htobe64(size),
		.disk_type = htobe32(type),
	};
	memcpy(f->cookie, VHD_COOKIE, sizeof(f->cookie));
	if (getrandom(f->unique_id, sizeof(f->unique_id), 0) < 0)
		g_assert_not_reached();	/* 16 bytes are always there */
	vhd_footer_resize(f, size);
}

void vhd_header_make(struct vhd_header *h, uint64_t size, uint32_t block_size,
		     uint64_t table)
{
	uint64_t blocks = (size + block_size - 1) / block_size;

	*h = (struct vhd_header){
		.data_offset = htobe64(VHD_NO_OFFSET),
		.table_offset = htobe64(table),
		.version = htobe32(VHD_VERSION),
		.max_table_entries = htobe32((uint32_t)blocks),
		.block_size = htobe32(block_size),
	};
	memcpy(h->cookie, VHD_HEADER_COOKIE, sizeof(h->cookie));
	vhd_header_seal(h);
}
