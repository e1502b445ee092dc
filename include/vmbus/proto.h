/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMBus wire formats: constants and structures only.
 *
 * VMBus is not part of the TLFS; names follow Linux include/linux/hyperv.h so
 * that both ends of the ring can be read side by side.  All little-endian.
 */
#ifndef VMBUS_PROTO_H
#define VMBUS_PROTO_H

#include <assert.h>
#include <stdint.h>

#include "core/guid.h"

#define VMBUS_MESSAGE_SINT		2
#define VMBUS_MESSAGE_TYPE		1	/* HV message type of all below */
#define VMBUS_MESSAGE_PORT_ID		1	/* origin of what the host says */
#define VMBUS_MESSAGE_CONNECTION_ID	1	/* HvPostMessage, all versions */
#define VMBUS_MESSAGE_CONNECTION_ID_4	4	/* versions from 5.0 on */
#define VMBUS_EVENT_CONNECTION_ID	2	/* shared, versions before 2.4 */

/* Relids are event flag numbers: 1 to 2047, flag 0 is never a channel. */
#define VMBUS_RELID_MAX			2047

enum vmbus_version {
	VERSION_WS2008		= 0 << 16 | 13,
	VERSION_WIN7		= 1 << 16 | 1,
	VERSION_WIN8		= 2 << 16 | 4,
	VERSION_WIN8_1		= 3 << 16 | 0,
	VERSION_WIN10		= 4 << 16 | 0,
	VERSION_WIN10_V4_1	= 4 << 16 | 1,
	VERSION_WIN10_V5	= 5 << 16 | 0,
	VERSION_WIN10_V5_1	= 5 << 16 | 1,
	VERSION_WIN10_V5_2	= 5 << 16 | 2,
	VERSION_WIN10_V5_3	= 5 << 16 | 3,
	VERSION_V6_0		= 6 << 16 | 0,
};

enum vmbus_channel_message_type {
	CHANNELMSG_INVALID			= 0,
	CHANNELMSG_OFFERCHANNEL			= 1,
	CHANNELMSG_RESCIND_CHANNELOFFER		= 2,
	CHANNELMSG_REQUESTOFFERS		= 3,
	CHANNELMSG_ALLOFFERS_DELIVERED		= 4,
	CHANNELMSG_OPENCHANNEL			= 5,
	CHANNELMSG_OPENCHANNEL_RESULT		= 6,
	CHANNELMSG_CLOSECHANNEL			= 7,
	CHANNELMSG_GPADL_HEADER			= 8,
	CHANNELMSG_GPADL_BODY			= 9,
	CHANNELMSG_GPADL_CREATED		= 10,
	CHANNELMSG_GPADL_TEARDOWN		= 11,
	CHANNELMSG_GPADL_TORNDOWN		= 12,
	CHANNELMSG_RELID_RELEASED		= 13,
	CHANNELMSG_INITIATE_CONTACT		= 14,
	CHANNELMSG_VERSION_RESPONSE		= 15,
	CHANNELMSG_UNLOAD			= 16,
	CHANNELMSG_UNLOAD_RESPONSE		= 17,
	CHANNELMSG_OPEN_RESERVED		= 18,
	CHANNELMSG_CLOSE_RESERVED		= 19,
	CHANNELMSG_CLOSE_RESERVED_RESPONSE	= 20,
	CHANNELMSG_TL_CONNECT_REQUEST		= 21,
	CHANNELMSG_MODIFYCHANNEL		= 22,
	CHANNELMSG_TL_CONNECT_RESULT		= 23,
	CHANNELMSG_MODIFYCHANNEL_RESPONSE	= 24,
	CHANNELMSG_MODIFY_CONNECTION		= 25,
	CHANNELMSG_MODIFY_CONNECTION_RESPONSE	= 26,
	CHANNELMSG_PAUSE			= 27,
	CHANNELMSG_PAUSE_RESPONSE		= 28,
	CHANNELMSG_RESUME			= 29,
	CHANNELMSG_COUNT
};

struct vmbus_channel_message_header {
	uint32_t msgtype;
	uint32_t padding;
} __attribute__((packed));

#define MAX_USER_DEFINED_BYTES	120

/* Offer flags. */
#define VMBUS_CHANNEL_ENUMERATE_DEVICE_INTERFACE	0x0001
#define VMBUS_CHANNEL_NAMED_PIPE_MODE			0x0010

struct vmbus_channel_offer {
	struct guid if_type;
	struct guid if_instance;
	uint64_t reserved1;
	uint64_t reserved2;
	uint16_t chn_flags;
	uint16_t mmio_megabytes;
	uint8_t user_def[MAX_USER_DEFINED_BYTES];
	uint16_t sub_channel_index;
	uint16_t mmio_megabytes_optional;
} __attribute__((packed));

struct vmbus_channel_offer_channel {
	struct vmbus_channel_message_header header;
	struct vmbus_channel_offer offer;
	uint32_t child_relid;
	uint8_t monitorid;
	uint8_t monitor_allocated;
	uint16_t is_dedicated_interrupt;
	uint32_t connection_id;
} __attribute__((packed));
static_assert(sizeof(struct vmbus_channel_offer_channel) == 196, "wire format");

struct vmbus_channel_rescind_offer {
	struct vmbus_channel_message_header header;
	uint32_t child_relid;
} __attribute__((packed));

struct vmbus_channel_open_channel {
	struct vmbus_channel_message_header header;
	uint32_t child_relid;
	uint32_t openid;
	uint32_t ringbuffer_gpadlhandle;
	uint32_t target_vp;
	uint32_t downstream_ringbuffer_pageoffset;
	uint8_t userdata[MAX_USER_DEFINED_BYTES];
} __attribute__((packed));
static_assert(sizeof(struct vmbus_channel_open_channel) == 148, "wire format");

#define VMBUS_TARGET_VP_NONE	UINT32_MAX	/* interrupts disabled */

struct vmbus_channel_open_result {
	struct vmbus_channel_message_header header;
	uint32_t child_relid;
	uint32_t openid;
	uint32_t status;
} __attribute__((packed));

struct vmbus_channel_close_channel {
	struct vmbus_channel_message_header header;
	uint32_t child_relid;
} __attribute__((packed));

struct vmbus_channel_gpadl_header {
	struct vmbus_channel_message_header header;
	uint32_t child_relid;
	uint32_t gpadl;
	uint16_t range_buflen;
	uint16_t rangecount;
	/* struct gpa_range and PFNs follow */
} __attribute__((packed));
static_assert(sizeof(struct vmbus_channel_gpadl_header) == 20, "wire format");

struct vmbus_channel_gpadl_body {
	struct vmbus_channel_message_header header;
	uint32_t msgnumber;
	uint32_t gpadl;
	/* PFNs follow */
} __attribute__((packed));

struct vmbus_channel_gpadl_created {
	struct vmbus_channel_message_header header;
	uint32_t child_relid;
	uint32_t gpadl;
	uint32_t creation_status;
} __attribute__((packed));

struct vmbus_channel_gpadl_teardown {
	struct vmbus_channel_message_header header;
	uint32_t child_relid;
	uint32_t gpadl;
} __attribute__((packed));

struct vmbus_channel_gpadl_torndown {
	struct vmbus_channel_message_header header;
	uint32_t gpadl;
} __attribute__((packed));

struct vmbus_channel_relid_released {
	struct vmbus_channel_message_header header;
	uint32_t child_relid;
} __attribute__((packed));

struct vmbus_channel_initiate_contact {
	struct vmbus_channel_message_header header;
	uint32_t vmbus_version_requested;
	uint32_t target_vcpu;
	union {
		uint64_t interrupt_page;	/* before 5.0 */
		struct {
			uint8_t msg_sint;	/* from 5.0 */
			uint8_t msg_vtl;	/* from 5.1 */
			uint16_t reserved;
			uint32_t feature_flags;	/* from 6.0 */
		};
	};
	uint64_t monitor_page1;		/* parent to child */
	uint64_t monitor_page2;		/* child to parent */
} __attribute__((packed));
static_assert(sizeof(struct vmbus_channel_initiate_contact) == 40,
	      "wire format");

struct vmbus_channel_version_response {
	struct vmbus_channel_message_header header;
	uint8_t version_supported;
	uint8_t connection_state;
	uint16_t padding;
	/* The version before 5.0; from 5.0 on where the guest must post. */
	uint32_t msg_conn_id;
} __attribute__((packed));
static_assert(sizeof(struct vmbus_channel_version_response) == 16,
	      "wire format");

struct vmbus_channel_modifychannel {
	struct vmbus_channel_message_header header;
	uint32_t child_relid;
	uint32_t target_vp;
} __attribute__((packed));

struct vmbus_channel_modifychannel_response {
	struct vmbus_channel_message_header header;
	uint32_t child_relid;
	uint32_t status;
} __attribute__((packed));

struct vmbus_channel_open_reserved {
	struct vmbus_channel_message_header header;
	uint32_t child_relid;
	uint32_t target_vp;
	uint32_t target_sint;
	uint32_t ringbuffer_gpadlhandle;
	uint32_t downstream_ringbuffer_pageoffset;
} __attribute__((packed));

struct vmbus_channel_close_reserved {
	struct vmbus_channel_message_header header;
	uint32_t child_relid;
	uint32_t target_vp;
	uint32_t target_sint;
} __attribute__((packed));

struct vmbus_channel_close_reserved_response {
	struct vmbus_channel_message_header header;
	uint32_t child_relid;
} __attribute__((packed));

struct vmbus_channel_tl_connect_request {
	struct vmbus_channel_message_header header;
	struct guid guest_endpoint_id;
	struct guid host_service_id;
} __attribute__((packed));

struct vmbus_channel_tl_connect_result {
	struct vmbus_channel_message_header header;
	struct guid guest_endpoint_id;
	struct guid host_service_id;
	uint32_t status;
} __attribute__((packed));

#define VMBUS_STATUS_SUCCESS		0x00000000u
#define VMBUS_STATUS_UNSUCCESSFUL	0x8000ffffu
#define VMBUS_STATUS_REFUSED		0xc0000236u

/* Guest pages: @byte_count bytes from @byte_offset in the first of the PFNs. */
struct gpa_range {
	uint32_t byte_count;
	uint32_t byte_offset;
	/* uint64_t pfn[] follow */
} __attribute__((packed));

/* First page of each ring; data pages follow. */
struct hv_ring_buffer {
	uint32_t write_index;		/* written by the sender */
	uint32_t read_index;		/* written by the receiver */
	uint32_t interrupt_mask;	/* by the receiver: do not signal me */
	uint32_t pending_send_sz;	/* by the sender: waits for this room */
	uint32_t reserved1[12];
	uint32_t feature_bits;		/* by the sender */
};
#define RING_FEAT_PENDING_SEND_SZ	1u

enum vmbus_packet_type {
	VM_PKT_DATA_INBAND		= 0x6,
	VM_PKT_DATA_USING_XFER_PAGES	= 0x7,
	VM_PKT_DATA_USING_GPA_DIRECT	= 0x9,
	VM_PKT_COMP			= 0xb,
};
#define VMBUS_DATA_PACKET_FLAG_COMPLETION_REQUESTED	1

struct vmpacket_descriptor {
	uint16_t type;
	uint16_t offset8;	/* header length, in 8-byte units */
	uint16_t len8;		/* header and payload, in 8-byte units */
	uint16_t flags;
	uint64_t trans_id;
} __attribute__((packed));
static_assert(sizeof(struct vmpacket_descriptor) == 16, "wire format");

/* After the descriptor of VM_PKT_DATA_USING_GPA_DIRECT. */
struct vmdata_gpa_direct {
	uint32_t reserved;
	uint32_t range_cnt;
	/* struct gpa_range and PFNs follow */
} __attribute__((packed));

/* After the descriptor of VM_PKT_DATA_USING_XFER_PAGES. */
struct vmtransfer_page_range {
	uint32_t byte_count;
	uint32_t byte_offset;		/* in the set's pages */
} __attribute__((packed));

struct vmtransfer_pages {
	uint16_t xfer_pageset_id;
	uint8_t sender_owns_set;
	uint8_t reserved;
	uint32_t range_cnt;
	struct vmtransfer_page_range ranges[];
} __attribute__((packed));

#endif
