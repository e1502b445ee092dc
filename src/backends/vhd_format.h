/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checking and making the structures of a VHD file. */
#ifndef BACKENDS_VHD_FORMAT_H
#define BACKENDS_VHD_FORMAT_H

#include <stdbool.h>

#include "backends/vhd_proto.h"

#define VHD_BLOCK_MIN	(64u << 10)
#define VHD_BLOCK_MAX	(64u << 20)

/* NULL, or what is wrong with it: a phrase that follows the thing's name. */
const char *vhd_footer_check(const struct vhd_footer *f);
/* The header of the disk with the footer @f, which has been checked. */
const char *vhd_header_check(const struct vhd_header *h,
			     const struct vhd_footer *f);

/* A footer of a new disk of @size bytes, with a new id, complete. */
void vhd_footer_make(struct vhd_footer *f, enum vhd_type type, uint64_t size);
/* Change the size of the disk, and what follows from it. */
void vhd_footer_resize(struct vhd_footer *f, uint64_t size);
/* A header for it, whose BAT is at @table; without parent. */
void vhd_header_make(struct vhd_header *h, uint64_t size, uint32_t block_size,
		     uint64_t table);
/* Call these after a change. */
void vhd_footer_seal(struct vhd_footer *f);
void vhd_header_seal(struct vhd_header *h);

/* Bytes of a block's sector bitmap, whole sectors. */
static inline uint32_t vhd_bitmap_size(uint32_t block_size)
{
	uint32_t bytes = block_size / VHD_SECTOR / 8;

	return (bytes + VHD_SECTOR - 1) / VHD_SECTOR * VHD_SECTOR;
}

/* Bytes of a BAT with so many entries, whole sectors. */
static inline uint64_t vhd_table_size(uint64_t entries)
{
	return (entries * 4 + VHD_SECTOR - 1) / VHD_SECTOR * VHD_SECTOR;
}

#endif
