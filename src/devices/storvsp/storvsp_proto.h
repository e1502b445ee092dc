/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Wire formats of synthetic storage.  Names follow Linux
 * drivers/scsi/storvsc_drv.c.  All little-endian.
 */
#ifndef DEVICES_STORVSP_STORVSP_PROTO_H
#define DEVICES_STORVSP_STORVSP_PROTO_H

#include <assert.h>
#include <stdint.h>

#define VMSTOR_VERSION(major, minor)	((major) << 8 | (minor))
#define VMSTOR_WIN6	VMSTOR_VERSION(2, 0)
#define VMSTOR_WIN7	VMSTOR_VERSION(4, 2)
#define VMSTOR_WIN8	VMSTOR_VERSION(5, 1)
#define VMSTOR_WIN8_1	VMSTOR_VERSION(6, 0)
#define VMSTOR_WIN10	VMSTOR_VERSION(6, 2)

enum vstor_packet_operation {
	VSTOR_OPERATION_COMPLETE_IO		= 1,
	VSTOR_OPERATION_REMOVE_DEVICE		= 2,
	VSTOR_OPERATION_EXECUTE_SRB		= 3,
	VSTOR_OPERATION_RESET_LUN		= 4,
	VSTOR_OPERATION_RESET_ADAPTER		= 5,
	VSTOR_OPERATION_RESET_BUS		= 6,
	VSTOR_OPERATION_BEGIN_INITIALIZATION	= 7,
	VSTOR_OPERATION_END_INITIALIZATION	= 8,
	VSTOR_OPERATION_QUERY_PROTOCOL_VERSION	= 9,
	VSTOR_OPERATION_QUERY_PROPERTIES	= 10,
	VSTOR_OPERATION_ENUMERATE_BUS		= 11,
	VSTOR_OPERATION_FCHBA_DATA		= 12,
	VSTOR_OPERATION_CREATE_SUB_CHANNELS	= 13,
};

/* NTSTATUS of a packet. */
enum vstor_status {
	VSTOR_STATUS_SUCCESS			= 0x00000000,
	VSTOR_STATUS_BUSY			= 0x80000011,
	VSTOR_STATUS_UNSUCCESSFUL		= 0xc0000001,
	VSTOR_STATUS_INVALID_PARAMETER		= 0xc000000d,
	VSTOR_STATUS_INVALID_DEVICE_REQUEST	= 0xc0000010,
	VSTOR_STATUS_REVISION_MISMATCH		= 0xc0000059,
	VSTOR_STATUS_DEVICE_DOES_NOT_EXIST	= 0xc00000c0,
	VSTOR_STATUS_INVALID_DEVICE_STATE	= 0xc0000184,
	VSTOR_STATUS_IO_DEVICE_ERROR		= 0xc0000185,
};

enum srb_status {
	SRB_STATUS_SUCCESS			= 0x01,
	SRB_STATUS_ERROR			= 0x04,
	SRB_STATUS_BUSY				= 0x05,
	SRB_STATUS_INVALID_REQUEST		= 0x06,
	SRB_STATUS_INVALID_LUN			= 0x20,
	SRB_STATUS_INVALID_TARGET_ID		= 0x21,
	SRB_STATUS_AUTOSENSE_VALID		= 0x80,
};

enum vstor_data_in { WRITE_TYPE, READ_TYPE, UNKNOWN_TYPE };

#define VMSCSI_SENSE_MAX	20

struct vmscsi_request {
	uint16_t length;
	uint8_t srb_status;
	uint8_t scsi_status;
	uint8_t port_number;
	uint8_t path_id;
	uint8_t target_id;
	uint8_t lun;
	uint8_t cdb_length;
	uint8_t sense_info_length;
	uint8_t data_in;
	uint8_t reserved;
	uint32_t data_transfer_length;
	union {
		uint8_t cdb[16];
		uint8_t sense_data[VMSCSI_SENSE_MAX];
	};
	/* From here on since version 5.1. */
	uint16_t reserve;
	uint8_t queue_tag;
	uint8_t queue_action;
	uint32_t srb_flags;
	uint32_t time_out_value;
	uint32_t queue_sort_key;
} __attribute__((packed));
static_assert(sizeof(struct vmscsi_request) == 0x34, "wire format");

struct vmstorage_channel_properties {
	uint32_t reserved;
	uint16_t max_channel_cnt;	/* sub-channels */
	uint16_t reserved1;
	uint32_t flags;
	uint32_t max_transfer_bytes;
	uint64_t reserved2;
} __attribute__((packed));
#define STORAGE_CHANNEL_SUPPORTS_MULTI_CHANNEL	1

struct vmstorage_protocol_version {
	uint16_t major_minor;
	uint16_t revision;
} __attribute__((packed));

struct vstor_packet {
	uint32_t operation;
	uint32_t flags;
	uint32_t status;
	union {
		struct vmscsi_request vm_srb;
		struct vmstorage_channel_properties channel_properties;
		struct vmstorage_protocol_version version;
		uint16_t sub_channel_count;
		uint8_t buffer[0x34];
	};
} __attribute__((packed));
static_assert(sizeof(struct vstor_packet) == 0x40, "wire format");

/* Packets of versions before 5.1 end here. */
#define VSTOR_PACKET_MIN	0x30

#endif
