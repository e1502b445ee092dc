/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The structures of a VHDX file, little-endian: [MS-VHDX] 2. */
#ifndef BACKENDS_VHDX_PROTO_H
#define BACKENDS_VHDX_PROTO_H

#include <stdint.h>

#include "core/guid.h"

#define VHDX_MIB		(UINT64_C(1) << 20)
#define VHDX_SECTOR		4096u	/* of headers, log and caches */

/* 2.2: where the header section has what. */
#define VHDX_HEADER1_OFFSET	(64u << 10)
#define VHDX_HEADER2_OFFSET	(128u << 10)
#define VHDX_REGION1_OFFSET	(192u << 10)
#define VHDX_REGION2_OFFSET	(256u << 10)
#define VHDX_TABLE_SIZE		(64u << 10)

/* 2.2.1 */
#define VHDX_FILE_SIGNATURE	"vhdxfile"

struct vhdx_file_identifier {
	char signature[8];
	uint16_t creator[256];
};

/* 2.2.2 */
#define VHDX_HEADER_SIGNATURE	0x64616568u	/* "head" */

struct vhdx_header {
	uint32_t signature;
	uint32_t checksum;
	uint64_t sequence_number;
	struct guid file_write_guid;
	struct guid data_write_guid;
	struct guid log_guid;		/* zero: the log is empty */
	uint16_t log_version;		/* 0 */
	uint16_t version;		/* 1 */
	uint32_t log_length;
	uint64_t log_offset;
	uint8_t reserved[4016];
};

/* 2.2.3 */
#define VHDX_REGION_SIGNATURE	0x69676572u	/* "regi" */
#define VHDX_REGION_ENTRY_MAX	2047

struct vhdx_region_table_header {
	uint32_t signature;
	uint32_t checksum;
	uint32_t entry_count;
	uint32_t reserved;
};

struct vhdx_region_table_entry {
	struct guid guid;
	uint64_t file_offset;
	uint32_t length;
	uint32_t required;
};

#define VHDX_REGION_BAT							\
	GUID(0x2dc27766, 0xf623, 0x4200, 0x9d64, 0x115e9bfd4a08)
#define VHDX_REGION_METADATA						\
	GUID(0x8b7ca206, 0x4790, 0x4b9a, 0xb8fe, 0x575f050f886e)

/* 2.3 */
#define VHDX_LOG_ENTRY_SIGNATURE	0x65676f6cu	/* "loge" */
#define VHDX_LOG_DATA_DESCRIPTOR	0x63736564u	/* "desc" */
#define VHDX_LOG_ZERO_DESCRIPTOR	0x6f72657au	/* "zero" */
#define VHDX_LOG_DATA_SIGNATURE		0x61746164u	/* "data" */

struct vhdx_log_entry_header {
	uint32_t signature;
	uint32_t checksum;		/* of the whole entry */
	uint32_t entry_length;
	uint32_t tail;			/* where the sequence begins */
	uint64_t sequence_number;
	uint32_t descriptor_count;
	uint32_t reserved;
	struct guid log_guid;
	uint64_t flushed_file_offset;	/* the file is this long for sure */
	uint64_t last_file_offset;	/* and has to be this long */
};

struct vhdx_log_descriptor {
	uint32_t signature;
	uint32_t trailing_bytes;	/* of a data sector: its last 4 */
	uint64_t leading_bytes;		/* its first 8; or bytes of zeroes */
	uint64_t file_offset;
	uint64_t sequence_number;
};

struct vhdx_log_data_sector {
	uint32_t signature;
	uint32_t sequence_high;
	uint8_t data[4084];
	uint32_t sequence_low;
};

/* 2.5.1: an entry of the BAT is a state and an offset in MiB. */
#define VHDX_ENTRY_STATE(e)	((unsigned)((e) & 7))
#define VHDX_ENTRY_OFFSET(e)	((e) & ~(VHDX_MIB - 1))
#define VHDX_ENTRY_RESERVED	(VHDX_MIB - 8)

enum vhdx_block_state {
	PAYLOAD_BLOCK_NOT_PRESENT = 0,
	PAYLOAD_BLOCK_UNDEFINED = 1,
	PAYLOAD_BLOCK_ZERO = 2,
	PAYLOAD_BLOCK_UNMAPPED = 3,
	PAYLOAD_BLOCK_FULLY_PRESENT = 6,
	PAYLOAD_BLOCK_PARTIALLY_PRESENT = 7,
	SB_BLOCK_NOT_PRESENT = 0,
	SB_BLOCK_PRESENT = 6,
};

/* 2.6 */
#define VHDX_METADATA_SIGNATURE	"metadata"
#define VHDX_METADATA_ENTRY_MAX	2047

struct vhdx_metadata_table_header {
	char signature[8];
	uint16_t reserved;
	uint16_t entry_count;
	uint32_t reserved2[5];
};

#define VHDX_METADATA_IS_USER		1u
#define VHDX_METADATA_IS_VIRTUAL_DISK	2u
#define VHDX_METADATA_IS_REQUIRED	4u

struct vhdx_metadata_table_entry {
	struct guid item_id;
	uint32_t offset;		/* from the region's start */
	uint32_t length;
	uint32_t flags;
	uint32_t reserved;
};

#define VHDX_ITEM_FILE_PARAMETERS					\
	GUID(0xcaa16737, 0xfa36, 0x4d43, 0xb3b6, 0x33f0aa44e76b)
#define VHDX_ITEM_VIRTUAL_DISK_SIZE					\
	GUID(0x2fa54224, 0xcd1b, 0x4876, 0xb211, 0x5dbed83bf4b8)
#define VHDX_ITEM_VIRTUAL_DISK_ID					\
	GUID(0xbeca12ab, 0xb2e6, 0x4523, 0x93ef, 0xc309e000c746)
#define VHDX_ITEM_LOGICAL_SECTOR_SIZE					\
	GUID(0x8141bf1d, 0xa96f, 0x4709, 0xba47, 0xf233a8faab5f)
#define VHDX_ITEM_PHYSICAL_SECTOR_SIZE					\
	GUID(0xcda348c7, 0x445d, 0x4471, 0x9cc9, 0xe9885251c556)
#define VHDX_ITEM_PARENT_LOCATOR					\
	GUID(0xa8d35f2d, 0xb30b, 0x454d, 0xabf7, 0xd3d84834ab0c)

#define VHDX_LEAVE_BLOCKS_ALLOCATED	1u
#define VHDX_HAS_PARENT			2u

struct vhdx_file_parameters {
	uint32_t block_size;
	uint32_t flags;
};

/* 2.6.2.6: offsets are from the item's start, strings UTF-16 without end. */
#define VHDX_LOCATOR_TYPE						\
	GUID(0xb04aefb7, 0xd19e, 0x4a81, 0xb789, 0x25b8e9445913)
#define VHDX_PARENT_LINKAGE		"parent_linkage"
#define VHDX_PARENT_LINKAGE2		"parent_linkage2"
#define VHDX_RELATIVE_PATH		"relative_path"
#define VHDX_VOLUME_PATH		"volume_path"
#define VHDX_ABSOLUTE_PATH		"absolute_win32_path"

struct vhdx_locator_header {
	struct guid type;
	uint16_t reserved;
	uint16_t count;
};

struct vhdx_locator_entry {
	uint32_t key_offset;
	uint32_t value_offset;
	uint16_t key_length;
	uint16_t value_length;
};

/* Limits of 2.6.2: 64 TiB, blocks of 1 to 256 MiB. */
#define VHDX_SIZE_MAX		(UINT64_C(64) << 40)
#define VHDX_BLOCK_MIN		(1u << 20)
#define VHDX_BLOCK_MAX		(256u << 20)
#define VHDX_CHUNK_SECTORS	(UINT64_C(1) << 23)

#endif
