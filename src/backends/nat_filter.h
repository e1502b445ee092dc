/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nat_filter - which frames of a guest reach the address translation.
 *
 * What is let through is ARP, IPv4 and IPv6 that is whole, whose lengths agree
 * with each other, and that is not meant for a place that a guest has no
 * business with.  See docs/network.md.
 */
#ifndef BACKENDS_NAT_FILTER_H
#define BACKENDS_NAT_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What nat_filter() has found in a frame. */
struct nat_packet {
	bool ip;		/* the rest is so; else it is ARP */
	bool ip6;
	uint8_t protocol;	/* IPPROTO_TCP, UDP, ICMP or ICMPV6 */
	size_t l3, l4;		/* where these headers are */
	size_t l4_len;		/* bytes, with the header */
};

enum nat_verdict {
	NAT_DROP,	/* it makes no sense, or nobody may hear of it */
	NAT_REFUSE,	/* the guest has no business there, and may know */
	NAT_PASS,
};

/*
 * Whether @frame may pass; unless it is dropped, what it is.  @metadata: what
 * the host's cloud tells its machines may be asked for.
 */
enum nat_verdict nat_filter(const uint8_t *frame, size_t len, bool metadata,
			    struct nat_packet *packet);

/*
 * Compute the checksums of the transport and of IPv4, whatever @frame has
 * there.
 */
void nat_finish_checksums(uint8_t *frame, const struct nat_packet *packet);

#endif
