/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Structures of a VHD file.  Virtual Hard Disk Image Format Specification,
 * version 1.0.  All integers are big-endian.
 */
#ifndef BACKENDS_VHD_PROTO_H
#define BACKENDS_VHD_PROTO_H

#include <stdint.h>

#define VHD_SECTOR		512u
#define VHD_COOKIE		"conectix"
#define VHD_HEADER_COOKIE	"cxsparse"
#define VHD_VERSION		0x00010000u
#define VHD_FEATURES		2u		/* reserved, always set */
#define VHD_NO_OFFSET		UINT64_MAX
#define VHD_UNUSED		UINT32_MAX	/* of a BAT entry */
#define VHD_EPOCH		946684800	/* 2000-01-01, in Unix time */
#define VHD_LOCATORS		8
/* What a BAT entry can address ends with 2 TiB; Hyper-V stops here. */
#define VHD_SIZE_MAX		(UINT64_C(2040) << 30)
#define VHD_BLOCK_SIZE		(2u << 20)

enum vhd_type { VHD_FIXED = 2, VHD_DYNAMIC = 3, VHD_DIFFERENCING = 4 };

#define VHD_CODE(a, b, c, d)						\
	((uint32_t)(a) << 24 | (uint32_t)(b) << 16 |			\
	 (uint32_t)(c) << 8 | (uint32_t)(d))
#define VHD_W2RU	VHD_CODE('W', '2', 'r', 'u')	/* relative, UTF-16LE */
#define VHD_W2KU	VHD_CODE('W', '2', 'k', 'u')	/* absolute, UTF-16LE */
#define VHD_MACX	VHD_CODE('M', 'a', 'c', 'X')	/* file URL, UTF-8 */

/* At the end of each file, and at the start of those that are not fixed. */
struct vhd_footer {
	char cookie[8];
	uint32_t features;
	uint32_t version;
	uint64_t data_offset;		/* of the header; fixed: none */
	uint32_t timestamp;		/* seconds since VHD_EPOCH */
	char creator_application[4];
	uint32_t creator_version;
	char creator_host_os[4];
	uint64_t original_size;
	uint64_t current_size;
	uint16_t cylinders;
	uint8_t heads;
	uint8_t sectors_per_track;
	uint32_t disk_type;
	uint32_t checksum;
	uint8_t unique_id[16];
	uint8_t saved_state;
	uint8_t reserved[427];
} __attribute__((packed));
_Static_assert(sizeof(struct vhd_footer) == 512, "a footer is a sector");

struct vhd_locator {
	uint32_t platform_code;
	uint32_t data_space;
	uint32_t data_length;
	uint32_t reserved;
	uint64_t data_offset;
} __attribute__((packed));

/* Of dynamic and differencing disks. */
struct vhd_header {
	char cookie[8];
	uint64_t data_offset;
	uint64_t table_offset;
	uint32_t version;
	uint32_t max_table_entries;
	uint32_t block_size;
	uint32_t checksum;
	uint8_t parent_unique_id[16];
	uint32_t parent_timestamp;
	uint32_t reserved1;
	uint16_t parent_name[256];	/* UTF-16BE */
	struct vhd_locator locator[VHD_LOCATORS];
	uint8_t reserved2[256];
} __attribute__((packed));
_Static_assert(sizeof(struct vhd_header) == 1024, "a header is two sectors");

#endif
