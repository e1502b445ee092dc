/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a guest can ask of a NIC and set, by one table. */
#include "devices/netvsp/netvsp_internal.h"

#define ETH_SIZE		14
#define LSO_SIZE_MAX		62780u	/* bytes of payload, as Hyper-V has it */
#define LSO_SEGMENTS_MIN	2
#define BUFFER_SPACE		(256u << 10)
#define VENDOR_ID		0x00155du	/* Microsoft's */
#define DRIVER_VERSION		0x0100
#define FRIENDLY_NAME_SIZE	512
#define PARAMETER_MAX		255	/* bytes of a name or a value */

#define NDIS_MAC_OPTIONS	(0x1 | 0x4 | 0x8 | 0x40 | 0x200)
#define NDIS_FILTER_MASK	(NDIS_PACKET_TYPE_DIRECTED | \
				 NDIS_PACKET_TYPE_MULTICAST | \
				 NDIS_PACKET_TYPE_ALL_MULTICAST | \
				 NDIS_PACKET_TYPE_BROADCAST | \
				 NDIS_PACKET_TYPE_PROMISCUOUS)

typedef GByteArray bytes;

static enum rndis_status put(bytes *out, const void *p, size_t len)
{
	g_byte_array_append(out, p, (guint)len);
	return RNDIS_STATUS_SUCCESS;
}

static enum rndis_status put32(bytes *out, uint32_t v)
{
	return put(out, &v, sizeof(v));
}

static enum rndis_status put64(bytes *out, uint64_t v)
{
	return put(out, &v, sizeof(v));
}

/*
 * The plain ones.
 */
static enum rndis_status zero(struct netvsp *nv, struct reader in, bytes *out)
{
	return put32(out, 0);
}

static enum rndis_status frame_max(struct netvsp *nv, struct reader in,
				   bytes *out)
{
	return put32(out, nv->mtu - ETH_SIZE);
}

static enum rndis_status total_max(struct netvsp *nv, struct reader in,
				   bytes *out)
{
	return put32(out, nv->mtu);
}

static enum rndis_status speed(struct netvsp *nv, struct reader in,
			       bytes *out)
{
	return put32(out, link_speed(nv));
}

static enum rndis_status max_link_speed(struct netvsp *nv, struct reader in,
					bytes *out)
{
	put64(out, nv->nb->speed);
	return put64(out, nv->nb->speed);
}

static enum rndis_status link_state(struct netvsp *nv, struct reader in,
				    bytes *out)
{
	struct {
		struct ndis_object_header header;
		uint32_t connect_state, duplex_state, pad;
		uint64_t xmit_speed, recv_speed;
		uint32_t pause_functions, auto_negotiation;
	} __attribute__((packed)) s = {
		.header = { NDIS_OBJECT_TYPE_DEFAULT, 1, sizeof(s) },
		.connect_state = link_is_up(nv) ? 1 : 2,
		.duplex_state = 2,
		.xmit_speed = nv->nb->speed, .recv_speed = nv->nb->speed,
		.pause_functions = 1,
	};

	return put(out, &s, sizeof(s));
}

static enum rndis_status connect_status(struct netvsp *nv, struct reader in,
					bytes *out)
{
	return put32(out, !link_is_up(nv));
}

static enum rndis_status buffer_space(struct netvsp *nv, struct reader in,
				      bytes *out)
{
	return put32(out, BUFFER_SPACE);
}

static enum rndis_status vendor_id(struct netvsp *nv, struct reader in,
				   bytes *out)
{
	return put32(out, VENDOR_ID);
}

static enum rndis_status vendor(struct netvsp *nv, struct reader in,
				bytes *out)
{
	static const char name[] = "kvmbus";

	return put(out, name, sizeof(name));
}

static enum rndis_status driver_version(struct netvsp *nv, struct reader in,
					bytes *out)
{
	const uint16_t v = DRIVER_VERSION;

	return put(out, &v, sizeof(v));
}

static enum rndis_status mac_options(struct netvsp *nv, struct reader in,
				     bytes *out)
{
	return put32(out, NDIS_MAC_OPTIONS);
}

static enum rndis_status no_limit(struct netvsp *nv, struct reader in,
				  bytes *out)
{
	return put32(out, UINT32_MAX);
}

static enum rndis_status friendly_name(struct netvsp *nv, struct reader in,
				       bytes *out)
{
	static const char name[] = "Network Adapter";
	uint16_t utf16[FRIENDLY_NAME_SIZE / 2] = { 0 };

	for (size_t i = 0; name[i]; i++)
		utf16[i] = (uint8_t)name[i];
	return put(out, utf16, sizeof(utf16));
}

static enum rndis_status permanent_address(struct netvsp *nv, struct reader in,
					   bytes *out)
{
	return put(out, nv->permanent_mac, sizeof(nv->permanent_mac));
}

static enum rndis_status current_address(struct netvsp *nv, struct reader in,
					 bytes *out)
{
	return put(out, nv->mac, sizeof(nv->mac));
}

static enum rndis_status received(struct netvsp *nv, struct reader in,
				  bytes *out)
{
	const struct stats all = stats_sum(nv);

	return put64(out, stats_frames(&all.rx));
}

static enum rndis_status sent(struct netvsp *nv, struct reader in, bytes *out)
{
	const struct stats all = stats_sum(nv);

	return put64(out, stats_frames(&all.tx));
}

static enum rndis_status bytes_received(struct netvsp *nv, struct reader in,
					bytes *out)
{
	const struct stats all = stats_sum(nv);

	return put64(out, stats_bytes(&all.rx));
}

static enum rndis_status bytes_sent(struct netvsp *nv, struct reader in,
				    bytes *out)
{
	const struct stats all = stats_sum(nv);

	return put64(out, stats_bytes(&all.tx));
}

static enum rndis_status statistics(struct netvsp *nv, struct reader in,
				    bytes *out)
{
	struct ndis_statistics s;

	stats_object(nv, &s);
	return put(out, &s, sizeof(s));
}

static enum rndis_status get_groups(struct netvsp *nv, struct reader in,
				    bytes *out)
{
	return put(out, nv->group, nv->groups * sizeof(nv->group[0]));
}

static enum rndis_status set_groups(struct netvsp *nv, struct reader in)
{
	if (in.left % sizeof(nv->group[0]))
		return RNDIS_STATUS_INVALID_LENGTH;
	if (in.left > sizeof(nv->group))
		return RNDIS_STATUS_MULTICAST_FULL;
	nv->groups = (unsigned)(in.left / sizeof(nv->group[0]));
	reader_copy(&in, nv->group, in.left);
	return RNDIS_STATUS_SUCCESS;
}

static enum rndis_status groups_max(struct netvsp *nv, struct reader in,
				    bytes *out)
{
	return put32(out, GROUPS_MAX);
}

static enum rndis_status get_filter(struct netvsp *nv, struct reader in,
				    bytes *out)
{
	return put32(out, nv->filter);
}

static enum rndis_status set_filter(struct netvsp *nv, struct reader in)
{
	uint32_t filter;

	if (!READ(&in, &filter))
		return RNDIS_STATUS_BUFFER_TOO_SHORT;
	nv->filter = filter & NDIS_FILTER_MASK;
	return RNDIS_STATUS_SUCCESS;
}

static enum rndis_status ignore(struct netvsp *nv, struct reader in)
{
	return RNDIS_STATUS_SUCCESS;
}

/*
 * Offloads.
 */

/* With all of their options: FreeBSD takes all of it or nothing. */
static struct ndis_offload offload_caps(const struct netvsp *nv)
{
	const uint32_t v4 = NDIS_CSUM_IP_OPTIONS | NDIS_CSUM_TCP_OPTIONS |
			    NDIS_CSUM_TCP | NDIS_CSUM_UDP;
	const uint32_t v6 = NDIS_CSUM6_EXT_HEADERS | NDIS_CSUM6_TCP_OPTIONS |
			    NDIS_CSUM6_TCP | NDIS_CSUM6_UDP;
	const uint32_t enc = NDIS_ENCAPSULATION_IEEE_802_3;
	struct ndis_offload o = {
		.header = { NDIS_OBJECT_TYPE_OFFLOAD, NDIS_OFFLOAD_REVISION,
			    sizeof(o) },
		.csum = { .ip4_rx_enc = enc, .ip4_rx_flags = v4,
			  .ip6_rx_enc = enc, .ip6_rx_flags = v6 },
		.rsc = { .ip4 = 1, .ip6 = 1 },
	};

	if (nv->nb->offloads & NET_OFFLOAD_CSUM) {
		o.csum.ip4_tx_enc = o.csum.ip6_tx_enc = enc;
		o.csum.ip4_tx_flags = v4 | NDIS_CSUM_IP;
		o.csum.ip6_tx_flags = v6;
	}
	if (nv->nb->offloads & NET_OFFLOAD_TSO4) {
		o.lsov1 = (struct ndis_lsov1_offload){
			.enc = enc, .max_size = LSO_SIZE_MAX,
			.min_segments = LSO_SEGMENTS_MIN,
			.flags = NDIS_LSO1_TCP_OPTIONS,
		};
		o.lsov2.ip4_enc = enc;
		o.lsov2.ip4_max_size = LSO_SIZE_MAX;
		o.lsov2.ip4_min_segments = LSO_SEGMENTS_MIN;
	}
	if (nv->nb->offloads & NET_OFFLOAD_TSO6) {
		o.lsov2.ip6_enc = enc;
		o.lsov2.ip6_max_size = LSO_SIZE_MAX;
		o.lsov2.ip6_min_segments = LSO_SEGMENTS_MIN;
		o.lsov2.ip6_flags = NDIS_LSO6_EXT_HEADERS |
				    NDIS_LSO6_TCP_OPTIONS;
	}
	return o;
}

/* In the revision that the guest knows. */
static enum rndis_status offload_hw(struct netvsp *nv, struct reader in,
				    bytes *out)
{
	struct ndis_offload o = offload_caps(nv);
	struct ndis_object_header asked = o.header;

	if (READ(&in, &asked) && asked.revision < NDIS_OFFLOAD_REVISION) {
		o.header.revision = asked.revision;
		o.header.size = asked.revision == 2 ?
					NDIS_OFFLOAD_SIZE_REVISION_2 :
					NDIS_OFFLOAD_SIZE_REVISION_1;
	}
	return put(out, &o, o.header.size);
}

static enum rndis_status offload_current(struct netvsp *nv, struct reader in,
					 bytes *out)
{
	struct ndis_offload o = offload_caps(nv);

	return put(out, &o, sizeof(o));
}

static void set_rx_csum(bool *rx, uint8_t value)
{
	if (value != NDIS_CSUM_NO_CHANGE)
		*rx = value == NDIS_CSUM_RX || value == NDIS_CSUM_BOTH;
}

static void set_switch(bool *on, uint8_t value)
{
	if (value != NDIS_OFFLOAD_NO_CHANGE)
		*on = value == NDIS_OFFLOAD_ON;
}

static enum rndis_status set_offload(struct netvsp *nv, struct reader in)
{
	struct ndis_offload_parameters p = { 0 };
	struct offloads *o = &nv->offloads;

	if (in.left < NDIS_OFFLOAD_PARAMETERS_MIN)
		return RNDIS_STATUS_BUFFER_TOO_SHORT;
	reader_copy(&in, &p, MIN(in.left, sizeof(p)));
	if (p.header.type != NDIS_OBJECT_TYPE_DEFAULT || !p.header.revision ||
	    p.lsov1 == NDIS_OFFLOAD_ON)
		return RNDIS_STATUS_INVALID_DATA;
	set_rx_csum(&o->rx_tcp4, p.tcp4_csum);
	set_rx_csum(&o->rx_udp4, p.udp4_csum);
	set_rx_csum(&o->rx_tcp6, p.tcp6_csum);
	set_rx_csum(&o->rx_udp6, p.udp6_csum);
	set_switch(&o->rsc4, p.rsc_ip4);
	set_switch(&o->rsc6, p.rsc_ip6);
	rx_update_offloads(nv);
	nv->offloads_due = true;
	return RNDIS_STATUS_SUCCESS;
}

void oid_indicate(struct netvsp *nv)
{
	struct ndis_offload now = offload_caps(nv);

	if (!nv->offloads_due)
		return;
	nv->offloads_due = false;
	rndis_indicate(nv, RNDIS_STATUS_TASK_OFFLOAD_CONFIG, &now, sizeof(now));
}

void oid_default_offloads(struct netvsp *nv)
{
	nv->offloads = (struct offloads){
		.rx_tcp4 = true, .rx_udp4 = true,
		.rx_tcp6 = true, .rx_udp6 = true,
	};
}

struct encapsulation {
	struct ndis_object_header header;
	uint32_t ip4_on, ip4_type, ip4_header;
	uint32_t ip6_on, ip6_type, ip6_header;
} __attribute__((packed));

static enum rndis_status get_encapsulation(struct netvsp *nv, struct reader in,
					   bytes *out)
{
	const struct encapsulation e = {
		{ NDIS_OBJECT_TYPE_OFFLOAD_ENCAPSULATION, 1, sizeof(e) },
		1, NDIS_ENCAPSULATION_IEEE_802_3, ETH_SIZE,
		1, NDIS_ENCAPSULATION_IEEE_802_3, ETH_SIZE,
	};

	return put(out, &e, sizeof(e));
}

static enum rndis_status set_encapsulation(struct netvsp *nv, struct reader in)
{
	struct encapsulation e;

	if (!READ(&in, &e))
		return RNDIS_STATUS_BUFFER_TOO_SHORT;
	return e.header.type == NDIS_OBJECT_TYPE_OFFLOAD_ENCAPSULATION ?
		       RNDIS_STATUS_SUCCESS : RNDIS_STATUS_INVALID_DATA;
}

/*
 * RSS.
 */
static enum rndis_status rss_caps(struct netvsp *nv, struct reader in,
				  bytes *out)
{
	const struct ndis_rss_capabilities c = {
		.header = { NDIS_OBJECT_TYPE_RSS_CAPABILITIES, 2, sizeof(c) },
		.flags = NDIS_RSS_CAPS_TCP_IPV4 | NDIS_RSS_CAPS_TCP_IPV6 |
			 NDIS_HASH_TOEPLITZ,
		.interrupt_messages = 1,
		.receive_queues = nv->max_queues,
		.table_entries = NDIS_RSS_TABLE_ENTRIES,
	};

	return put(out, &c, sizeof(c));
}

/*
 * Configuration parameters: a name and a value, as text.
 */
struct parameter {
	uint32_t name_offset, name_len;
	uint32_t type;
	uint32_t value_offset, value_len;
} __attribute__((packed));

static bool text_at(struct reader all, uint32_t off, uint32_t len,
		    char text[PARAMETER_MAX / 2 + 1])
{
	struct reader skipped, part;
	uint16_t c;
	size_t n = 0;

	if (len > PARAMETER_MAX || !reader_split(&all, off, &skipped) ||
	    !reader_split(&all, len, &part))
		return false;
	while (READ(&part, &c))
		text[n++] = c < 128 ? (char)c : '?';
	text[n] = 0;
	return true;
}

static bool mac_of(const char *text, uint8_t mac[6])
{
	if (strlen(text) != 12)
		return false;
	for (int i = 0; i < 6; i++) {
		int high = g_ascii_xdigit_value(text[2 * i]);
		int low = g_ascii_xdigit_value(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		mac[i] = (uint8_t)(high << 4 | low);
	}
	return !(mac[0] & 1);
}

static enum rndis_status set_parameter(struct netvsp *nv, struct reader in)
{
	char name[PARAMETER_MAX / 2 + 1] = "";
	char value[PARAMETER_MAX / 2 + 1] = "";
	const struct reader all = in;
	struct parameter p;
	uint8_t mac[6];

	if (!READ(&in, &p))
		return RNDIS_STATUS_BUFFER_TOO_SHORT;
	if (!text_at(all, p.name_offset, p.name_len, name) ||
	    !text_at(all, p.value_offset, p.value_len, value))
		return RNDIS_STATUS_INVALID_DATA;
	/* Others are about offloads, which have an OID of their own. */
	if (strcmp(name, "NetworkAddress"))
		return RNDIS_STATUS_SUCCESS;
	if (!mac_of(value, mac))
		return RNDIS_STATUS_INVALID_DATA;
	memcpy(nv->mac, mac, sizeof(nv->mac));
	memcpy(nv->changed_mac, mac, sizeof(nv->changed_mac));
	return RNDIS_STATUS_SUCCESS;
}

/*
 * The table.
 */
static enum rndis_status supported(struct netvsp *nv, struct reader in,
				   bytes *out);

static const struct {
	uint32_t oid;
	enum rndis_status (*query)(struct netvsp *nv, struct reader in,
				   bytes *out);
	enum rndis_status (*set)(struct netvsp *nv, struct reader in);
} oids[] = {
	{ 0x00010101, supported, NULL },
	{ 0x00010102, zero, NULL },			/* hardware status */
	{ 0x00010103, zero, NULL },			/* media supported */
	{ 0x00010104, zero, NULL },			/* media in use */
	{ 0x00010105, frame_max, NULL },		/* maximum lookahead */
	{ 0x00010106, frame_max, NULL },
	{ 0x00010107, speed, NULL },
	{ 0x00010108, buffer_space, NULL },		/* transmit */
	{ 0x00010109, buffer_space, NULL },		/* receive */
	{ 0x0001010a, total_max, NULL },		/* transmit block */
	{ 0x0001010b, total_max, NULL },		/* receive block */
	{ 0x0001010c, vendor_id, NULL },
	{ 0x0001010d, vendor, NULL },
	{ 0x0001010e, get_filter, set_filter },
	{ 0x0001010f, frame_max, ignore },		/* current lookahead */
	{ 0x00010110, driver_version, NULL },
	{ 0x00010111, total_max, NULL },
	{ 0x00010113, mac_options, NULL },
	{ 0x00010114, connect_status, NULL },
	{ 0x00010115, no_limit, NULL },			/* send packets */
	{ 0x00010116, driver_version, NULL },		/* the vendor's */
	{ 0x00010118, NULL, ignore },			/* layer addresses */
	{ 0x00010203, rss_caps, NULL },
	{ 0x00010204, NULL, rss_set },
	{ 0x00010206, max_link_speed, NULL },
	{ 0x00010207, link_state, NULL },
	{ 0x0001021b, NULL, set_parameter },
	{ 0x00020101, sent, NULL },
	{ 0x00020102, received, NULL },
	{ 0x00020104, zero, NULL },			/* receive errors */
	{ 0x00020105, zero, NULL },			/* no buffers */
	{ 0x00020106, statistics, NULL },
	{ 0x0002020d, zero, NULL },			/* bad checksums */
	{ 0x0002020e, zero, NULL },			/* length of a queue */
	{ 0x00020216, friendly_name, NULL },
	{ 0x00020219, bytes_received, NULL },
	{ 0x0002021a, bytes_sent, NULL },
	{ 0x0002021b, zero, NULL },			/* discarded */
	{ 0x01010101, permanent_address, NULL },
	{ 0x01010102, current_address, NULL },
	{ 0x01010103, get_groups, set_groups },
	{ 0x01010104, groups_max, NULL },
	{ 0x0101010a, get_encapsulation, set_encapsulation },
	{ 0x01020101, zero, NULL },			/* alignment errors */
	{ 0x01020102, zero, NULL },			/* one collision */
	{ 0x01020103, zero, NULL },			/* more collisions */
	{ 0xfc01020b, offload_current, NULL },
	{ 0xfc01020c, NULL, set_offload },
	{ 0xfc01020d, offload_hw, NULL },
};

static enum rndis_status supported(struct netvsp *nv, struct reader in,
				   bytes *out)
{
	for (size_t i = 0; i < G_N_ELEMENTS(oids); i++)
		put32(out, oids[i].oid);
	stats_list(out);
	return RNDIS_STATUS_SUCCESS;
}

enum rndis_status oid_query(struct netvsp *nv, uint32_t oid, struct reader in,
			    GByteArray *out)
{
	for (size_t i = 0; i < G_N_ELEMENTS(oids); i++)
		if (oids[i].oid == oid && oids[i].query)
			return oids[i].query(nv, in, out);
	return stats_query(nv, oid, out) ? RNDIS_STATUS_SUCCESS :
					   RNDIS_STATUS_NOT_SUPPORTED;
}

enum rndis_status oid_set(struct netvsp *nv, uint32_t oid, struct reader in)
{
	for (size_t i = 0; i < G_N_ELEMENTS(oids); i++)
		if (oids[i].oid == oid && oids[i].set)
			return oids[i].set(nv, in);
	return RNDIS_STATUS_NOT_SUPPORTED;
}
