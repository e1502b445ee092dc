/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_packet - packets of TCP and UDP, built field by field from what the RFCs
 * say and slowly, for tests to compare with.
 */
#ifndef TESTS_NET_PACKET_H
#define TESTS_NET_PACKET_H

#include "backend/net.h"

struct net_packet {
	bool ip6, udp;
	unsigned vlan_tags;	/* 0 to 2 */
	unsigned ip_options;	/* bytes of IPv4 options, a multiple of 4; */
				/* of an IPv6 extension header, of 8 */
	unsigned tcp_options;	/* bytes, a multiple of 4 */
	uint16_t id;
	uint32_t seq;
	uint8_t flags;		/* of TCP */
	const uint8_t *payload;
	size_t payload_len;
};

/* Write it to @buf as a wire has it; return its length. */
size_t net_packet_build(const struct net_packet *p, uint8_t *buf);

/*
 * The same as a guest leaves it to a NIC: with an unfinished checksum and, if
 * @gso_size is not 0, to be cut.  @hdr says so.
 */
size_t net_packet_build_offload(const struct net_packet *p, uint16_t gso_size,
				uint8_t *buf, struct virtio_net_hdr *hdr);

/* The @index'th packet that @p is cut into, @gso_size bytes of payload each. */
struct net_packet net_packet_segment(const struct net_packet *p,
				     uint16_t gso_size, unsigned index);

#endif
