/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Wire formats of the synthetic NIC: NVSP messages, RNDIS inside of them, NDIS
 * objects inside of that.  Names follow Linux drivers/net/hyperv and
 * linux/rndis.h.  All little-endian.
 */
#ifndef DEVICES_NETVSP_NETVSP_PROTO_H
#define DEVICES_NETVSP_NETVSP_PROTO_H

#include <assert.h>
#include <stdint.h>

/*
 * NVSP.
 */
#define NVSP_PROTOCOL_VERSION_1		0x00000002u
#define NVSP_PROTOCOL_VERSION_2		0x00030002u
#define NVSP_PROTOCOL_VERSION_4		0x00040000u
#define NVSP_PROTOCOL_VERSION_5		0x00050000u
#define NVSP_PROTOCOL_VERSION_6		0x00060000u
#define NVSP_PROTOCOL_VERSION_61	0x00060001u

enum nvsp_msg_type {
	NVSP_MSG_TYPE_INIT			= 1,
	NVSP_MSG_TYPE_INIT_COMPLETE		= 2,
	NVSP_MSG1_TYPE_SEND_NDIS_VER		= 100,
	NVSP_MSG1_TYPE_SEND_RECV_BUF		= 101,
	NVSP_MSG1_TYPE_SEND_RECV_BUF_COMPLETE	= 102,
	NVSP_MSG1_TYPE_REVOKE_RECV_BUF		= 103,
	NVSP_MSG1_TYPE_SEND_SEND_BUF		= 104,
	NVSP_MSG1_TYPE_SEND_SEND_BUF_COMPLETE	= 105,
	NVSP_MSG1_TYPE_REVOKE_SEND_BUF		= 106,
	NVSP_MSG1_TYPE_SEND_RNDIS_PKT		= 107,
	NVSP_MSG1_TYPE_SEND_RNDIS_PKT_COMPLETE	= 108,
	NVSP_MSG2_TYPE_SEND_NDIS_CONFIG		= 125,
	NVSP_MSG4_TYPE_SEND_VF_ASSOCIATION	= 128,
	NVSP_MSG4_TYPE_SWITCH_DATA_PATH		= 129,
	NVSP_MSG5_TYPE_OID_QUERY_EX		= 131,
	NVSP_MSG5_TYPE_OID_QUERY_EX_COMP	= 132,
	NVSP_MSG5_TYPE_SUBCHANNEL		= 133,
	NVSP_MSG5_TYPE_SEND_INDIRECTION_TABLE	= 134,
	NVSP_MSG6_TYPE_PD_API			= 135,
	NVSP_MSG6_TYPE_PD_POST_BATCH		= 136,
};

enum nvsp_status {
	NVSP_STAT_NONE,
	NVSP_STAT_SUCCESS,
	NVSP_STAT_FAIL,
	NVSP_STAT_PROTOCOL_TOO_NEW,
	NVSP_STAT_PROTOCOL_TOO_OLD,
	NVSP_STAT_INVALID_RNDIS_PKT,
	NVSP_STAT_BUSY,
	NVSP_STAT_PROTOCOL_UNSUPPORTED,
};

#define NVSP_CAPABILITY_IEEE8021Q	UINT64_C(0x08)
#define NVSP_CAPABILITY_RSC		UINT64_C(0x80)

#define NVSP_SUBCHANNEL_ALLOCATE	1
#define NVSP_NO_SECTION			UINT32_MAX
#define NVSP_CHANNEL_DATA		0
#define NVSP_CHANNEL_CONTROL		1
#define NVSP_SEND_TABLE_COUNT		16

struct nvsp_message {
	uint32_t msg_type;
	union {
		struct {
			uint32_t min_protocol_ver;
			uint32_t max_protocol_ver;
		} init;
		struct {
			uint32_t negotiated_protocol_ver;
			uint32_t max_mdl_chain_len;
			uint32_t status;
		} init_complete;
		struct {
			uint32_t major;
			uint32_t minor;
		} ndis_version;
		struct {
			uint32_t gpadl_handle;
			uint16_t id;
		} send_buf;			/* also a receive buffer */
		struct {
			uint32_t status;
			uint32_t num_sections;
			uint32_t offset;
			uint32_t sub_alloc_size;
			uint32_t num_sub_allocs;
			uint32_t end_offset;
		} recv_buf_complete;
		struct {
			uint32_t status;
			uint32_t section_size;
		} send_buf_complete;
		struct {
			uint16_t id;
		} revoke_buf;
		struct {
			uint32_t channel_type;
			uint32_t section_index;
			uint32_t section_size;
		} rndis_pkt;
		struct {
			uint32_t mtu;		/* with the Ethernet header */
			uint32_t reserved;
			uint64_t capabilities;
		} __attribute__((packed)) ndis_config;
		struct {
			uint32_t op;
			uint32_t num_subchannels;
		} subchannel;
		uint32_t status;
		struct {
			uint32_t status;
			uint32_t num_subchannels;
		} subchannel_complete;
		uint8_t bytes[36];
	};
} __attribute__((packed));
static_assert(sizeof(struct nvsp_message) == 40, "wire format");

#define NVSP_MESSAGE_SIZE	32	/* on the wire, up to version 6 */
#define NVSP_MESSAGE_SIZE_61	40

struct nvsp_send_table {
	uint32_t msg_type;
	uint32_t count;
	uint32_t offset;			/* from the message's start */
	uint32_t table[NVSP_SEND_TABLE_COUNT];
} __attribute__((packed));

/*
 * RNDIS.
 */
enum rndis_msg_type {
	RNDIS_MSG_PACKET	= 0x00000001,
	RNDIS_MSG_INIT		= 0x00000002,
	RNDIS_MSG_HALT		= 0x00000003,
	RNDIS_MSG_QUERY		= 0x00000004,
	RNDIS_MSG_SET		= 0x00000005,
	RNDIS_MSG_RESET		= 0x00000006,
	RNDIS_MSG_INDICATE	= 0x00000007,
	RNDIS_MSG_KEEPALIVE	= 0x00000008,
};
#define RNDIS_MSG_COMPLETION	0x80000000u

enum rndis_status {
	RNDIS_STATUS_SUCCESS			= 0,
	RNDIS_STATUS_MEDIA_CONNECT		= 0x4001000b,
	RNDIS_STATUS_MEDIA_DISCONNECT		= 0x4001000c,
	RNDIS_STATUS_LINK_SPEED_CHANGE		= 0x40010013,
	RNDIS_STATUS_NETWORK_CHANGE		= 0x40010018,
	RNDIS_STATUS_TASK_OFFLOAD_CONFIG	= 0x40020006,
	RNDIS_STATUS_FAILURE			= 0xc0000001,
	RNDIS_STATUS_NOT_SUPPORTED		= 0xc00000bb,
	RNDIS_STATUS_MULTICAST_FULL		= 0xc0010009,
	RNDIS_STATUS_INVALID_LENGTH		= 0xc0010014,
	RNDIS_STATUS_INVALID_DATA		= 0xc0010015,
	RNDIS_STATUS_BUFFER_TOO_SHORT		= 0xc0010016,
};

struct rndis_message_header {
	uint32_t msg_type;
	uint32_t msg_len;		/* with this header */
} __attribute__((packed));

/* Offsets in what follows a header count from behind it. */
struct rndis_packet {
	uint32_t data_offset;
	uint32_t data_len;
	uint32_t oob_data_offset;
	uint32_t oob_data_len;
	uint32_t num_oob_data_elements;
	uint32_t per_pkt_info_offset;
	uint32_t per_pkt_info_len;
	uint32_t vc_handle;
	uint32_t reserved;
} __attribute__((packed));

#define RNDIS_HEADER_SIZE	(sizeof(struct rndis_message_header))
#define RNDIS_PACKET_SIZE	(RNDIS_HEADER_SIZE + \
				 sizeof(struct rndis_packet))

struct rndis_per_packet_info {
	uint32_t size;			/* with this header */
	uint32_t type;			/* RNDIS_PKTINFO_* */
	uint32_t ppi_offset;		/* of the data, from here */
} __attribute__((packed));

#define RNDIS_PKTINFO_INTERNAL		0x80000000u
#define RNDIS_PKTINFO_CSUM		0
#define RNDIS_PKTINFO_LSO		2
#define RNDIS_PKTINFO_8021Q		6
#define RNDIS_PKTINFO_HASH		8
#define RNDIS_PKTINFO_ID		(RNDIS_PKTINFO_INTERNAL | 1)

/* RNDIS_PKTINFO_CSUM, what the guest asks for ... */
#define CSUM_TX_IPV4			(1u << 0)
#define CSUM_TX_IPV6			(1u << 1)
#define CSUM_TX_TCP			(1u << 2)
#define CSUM_TX_UDP			(1u << 3)
#define CSUM_TX_IP_HEADER		(1u << 4)
#define CSUM_TX_L4_OFFSET(v)		((v) >> 16 & 0x3ff)
/* ... and what it is told. */
#define CSUM_RX_TCP_OK			(1u << 3)
#define CSUM_RX_UDP_OK			(1u << 4)
#define CSUM_RX_IP_OK			(1u << 5)

#define LSO_MSS(v)			((v) & 0xfffff)
#define LSO_TCP_OFFSET(v)		((v) >> 20 & 0x3ff)
#define LSO_TYPE_2			(1u << 30)	/* else 1 */
#define LSO_IPV6			(1u << 31)

#define VLAN_PRI(v)			((v) & 7)
#define VLAN_CFI(v)			((v) >> 3 & 1)
#define VLAN_ID(v)			((v) >> 4 & 0xfff)

struct rndis_packet_id {
	uint8_t version;
	uint8_t flags;
	uint16_t pkt_id;
} __attribute__((packed));
#define RNDIS_PKTID_VERSION		1
#define RNDIS_PKTID_VALID		0x01
#define RNDIS_PKTID_FIRST		0x02
#define RNDIS_PKTID_LAST		0x04

struct rndis_init {
	uint32_t req_id;
	uint32_t major_ver;
	uint32_t minor_ver;
	uint32_t max_xfer_size;
} __attribute__((packed));

struct rndis_init_complete {
	uint32_t req_id;
	uint32_t status;
	uint32_t major_ver;
	uint32_t minor_ver;
	uint32_t device_flags;
	uint32_t medium;
	uint32_t max_pkt_per_msg;
	uint32_t max_xfer_size;
	uint32_t pkt_alignment_factor;
	uint32_t af_list_offset;
	uint32_t af_list_size;
} __attribute__((packed));

/* RNDIS_MSG_QUERY and RNDIS_MSG_SET. */
struct rndis_request {
	uint32_t req_id;
	uint32_t oid;
	uint32_t info_buflen;
	uint32_t info_buf_offset;
	uint32_t dev_vc_handle;
} __attribute__((packed));

struct rndis_query_complete {
	uint32_t req_id;
	uint32_t status;
	uint32_t info_buflen;
	uint32_t info_buf_offset;
} __attribute__((packed));

struct rndis_complete {			/* of RNDIS_MSG_SET, KEEPALIVE */
	uint32_t req_id;
	uint32_t status;
} __attribute__((packed));

struct rndis_reset_complete {
	uint32_t status;
	uint32_t addressing_reset;
} __attribute__((packed));

struct rndis_indicate {
	uint32_t status;
	uint32_t status_buflen;
	uint32_t status_buf_offset;
} __attribute__((packed));

/* NDIS_PACKET_TYPE_* of OID_GEN_CURRENT_PACKET_FILTER. */
#define NDIS_PACKET_TYPE_DIRECTED	0x01
#define NDIS_PACKET_TYPE_MULTICAST	0x02
#define NDIS_PACKET_TYPE_ALL_MULTICAST	0x04
#define NDIS_PACKET_TYPE_BROADCAST	0x08
#define NDIS_PACKET_TYPE_PROMISCUOUS	0x20

/*
 * NDIS objects.
 */
struct ndis_object_header {
	uint8_t type;
	uint8_t revision;
	uint16_t size;
} __attribute__((packed));

#define NDIS_OBJECT_TYPE_DEFAULT		0x80
#define NDIS_OBJECT_TYPE_RSS_CAPABILITIES	0x88
#define NDIS_OBJECT_TYPE_OFFLOAD		0xa7
#define NDIS_OBJECT_TYPE_OFFLOAD_ENCAPSULATION	0xa8

/* Of OID_GEN_STATISTICS: frames and bytes by who they are for. */
struct ndis_statistics {
	struct ndis_object_header header;
	uint32_t supported;
	uint64_t in_discards, in_errors;
	uint64_t in_bytes;
	uint64_t in_frames[3];		/* directed, multicast, broadcast */
	uint64_t out_bytes;
	uint64_t out_frames[3];
	uint64_t out_errors, out_discards;
	uint64_t in_bytes_by_cast[3];
	uint64_t out_bytes_by_cast[3];
} __attribute__((packed));
static_assert(sizeof(struct ndis_statistics) == 152, "wire format");
#define NDIS_STATISTICS_ALL			0x3f87ffu

#define NDIS_ENCAPSULATION_IEEE_802_3		2

struct ndis_csum_offload {
	uint32_t ip4_tx_enc, ip4_tx_flags;
	uint32_t ip4_rx_enc, ip4_rx_flags;
	uint32_t ip6_tx_enc, ip6_tx_flags;
	uint32_t ip6_rx_enc, ip6_rx_flags;
} __attribute__((packed));

/* Of IPv4: each feature has two bits. */
#define NDIS_CSUM_IP_OPTIONS			0x001
#define NDIS_CSUM_TCP_OPTIONS			0x004
#define NDIS_CSUM_TCP				0x010
#define NDIS_CSUM_UDP				0x040
#define NDIS_CSUM_IP				0x100
/* Of IPv6. */
#define NDIS_CSUM6_EXT_HEADERS			0x01
#define NDIS_CSUM6_TCP_OPTIONS			0x04
#define NDIS_CSUM6_TCP				0x10
#define NDIS_CSUM6_UDP				0x40

/* Of IPv4 only. */
struct ndis_lsov1_offload {
	uint32_t enc, max_size, min_segments, flags;
} __attribute__((packed));
#define NDIS_LSO1_TCP_OPTIONS			0x1

struct ndis_lsov2_offload {
	uint32_t ip4_enc, ip4_max_size, ip4_min_segments;
	uint32_t ip6_enc, ip6_max_size, ip6_min_segments, ip6_flags;
} __attribute__((packed));
#define NDIS_LSO6_EXT_HEADERS			0x1
#define NDIS_LSO6_TCP_OPTIONS			0x4

struct ndis_offload {
	struct ndis_object_header header;
	struct ndis_csum_offload csum;
	struct ndis_lsov1_offload lsov1;
	uint8_t ipsecv1[28];
	struct ndis_lsov2_offload lsov2;
	uint32_t flags;
	uint8_t ipsecv2[32];
	struct {
		uint8_t ip4, ip6;
		uint8_t pad[2];
	} rsc;
	uint8_t gre[8];
} __attribute__((packed));
static_assert(sizeof(struct ndis_offload) == 156, "wire format");
#define NDIS_OFFLOAD_REVISION		3
#define NDIS_OFFLOAD_SIZE_REVISION_1	112
#define NDIS_OFFLOAD_SIZE_REVISION_2	144

/* Of OID_TCP_OFFLOAD_PARAMETERS; what follows is newer. */
struct ndis_offload_parameters {
	struct ndis_object_header header;
	uint8_t ip4_csum;		/* enum ndis_offload_csum */
	uint8_t tcp4_csum;
	uint8_t udp4_csum;
	uint8_t tcp6_csum;
	uint8_t udp6_csum;
	uint8_t lsov1;			/* enum ndis_offload_switch ... */
	uint8_t ipsecv1;
	uint8_t lsov2_ip4;
	uint8_t lsov2_ip6;
	uint8_t tcp4_connection;
	uint8_t tcp6_connection;
	uint8_t pad;
	uint32_t flags;
	/* Since revision 2, and 3. */
	uint8_t ipsecv2[2];
	uint8_t rsc_ip4;
	uint8_t rsc_ip6;
} __attribute__((packed));
#define NDIS_OFFLOAD_PARAMETERS_MIN	20

enum ndis_offload_csum { NDIS_CSUM_NO_CHANGE, NDIS_CSUM_OFF, NDIS_CSUM_TX,
			 NDIS_CSUM_RX, NDIS_CSUM_BOTH };
enum ndis_offload_switch { NDIS_OFFLOAD_NO_CHANGE, NDIS_OFFLOAD_OFF,
			   NDIS_OFFLOAD_ON };

struct ndis_rss_capabilities {
	struct ndis_object_header header;
	uint32_t flags;
	uint32_t interrupt_messages;
	uint32_t receive_queues;
	uint16_t table_entries;
} __attribute__((packed));
static_assert(sizeof(struct ndis_rss_capabilities) == 18, "wire format");
#define NDIS_RSS_CAPS_TCP_IPV4		0x100u
#define NDIS_RSS_CAPS_TCP_IPV6		0x200u
#define NDIS_HASH_TOEPLITZ		0x1u

struct ndis_rss_parameters {
	struct ndis_object_header header;
	uint16_t flags;
	uint16_t base_cpu;
	uint32_t hash_info;
	uint16_t table_size;		/* bytes */
	uint16_t pad;
	uint32_t table_offset;		/* from the object's start */
	uint16_t key_size;
	uint16_t pad2;
	uint32_t key_offset;
} __attribute__((packed));
#define NDIS_RSS_TABLE_UNCHANGED	0x0004
#define NDIS_RSS_KEY_UNCHANGED		0x0008
#define NDIS_RSS_DISABLE		0x0010
#define NDIS_HASH_IPV4			0x00000100u
#define NDIS_HASH_TCP_IPV4		0x00000200u
#define NDIS_HASH_IPV6			0x00000400u
#define NDIS_HASH_TCP_IPV6		0x00001000u
#define NDIS_RSS_TABLE_ENTRIES		128
#define NDIS_RSS_KEY_SIZE		40

#endif
