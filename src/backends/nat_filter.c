/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <glib.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <string.h>

#include "backends/nat_filter.h"
#include "core/bytes.h"
#include "core/inet_sum.h"

#define ETH_LEN		14
#define ARP_LEN		28
#define IP4_LEN		20
#define IP6_LEN		40
#define TCP_LEN		20
#define UDP_LEN		8
#define ICMP_LEN	8

#define ETHERTYPE_IP4	0x0800
#define ETHERTYPE_ARP	0x0806
#define ETHERTYPE_IP6	0x86dd

#define PORT_BOOTP	67
#define PORT_TFTP	69
#define PORT_DHCP6	547

struct prefix4 {
	uint8_t addr[4];
	unsigned bits;
};

struct prefix6 {
	uint8_t addr[16];
	unsigned bits;
};

/* This host, groups, and what is nobody's: not for a NAT. */
static const struct prefix4 never4[] = {
	{ { 0 }, 8 },
	{ { 127 }, 8 },
	{ { 224 }, 3 },
};
/* Here clouds tell a machine its secrets, without asking who asks. */
static const struct prefix4 metadata4[] = {
	{ { 169, 254 }, 16 },		/* most */
	{ { 168, 63, 129, 16 }, 32 },	/* Azure */
	{ { 100, 100, 100, 200 }, 32 },	/* Alibaba */
	{ { 192, 0, 0, 192 }, 32 },	/* Oracle */
};

static const struct prefix6 never6[] = {
	{ { 0 }, 80 },			/* this host, mapped IPv4 addresses */
	{ { 0xfe, 0x80 }, 10 },		/* links have an end; this is it */
	{ { 0xff }, 8 },
};
static const struct prefix6 metadata6[] = {
	{ { 0xfd, 0x00, 0x0e, 0xc2 }, 32 },	/* AWS */
	{ { 0xfd, 0x20, 0x00, 0xce }, 32 },	/* Google */
	{ { 0xfd, 0x00, 0x00, 0xc1 }, 32 },	/* Oracle */
};
/* These have an IPv4 address inside, which the host may reach by it. */
static const struct {
	struct prefix6 prefix;
	unsigned at;
} embedded4[] = {
	{ { { 0x00, 0x64, 0xff, 0x9b }, 96 }, 12 },	/* NAT64 */
	{ { { 0x20, 0x02 }, 16 }, 2 },			/* 6to4 */
};

static const uint8_t broadcast4[4] = { 255, 255, 255, 255 };
static const uint8_t dhcp_group6[16] = { 0xff, 0x02, [13] = 1, [15] = 2 };
/* Who answers an echo request: the rest would be reported as an error. */
static const uint8_t pingable6[][16] = {
	{ 0xfe, 0xc0, [15] = 2 },
	{ 0xfe, 0xc0, [15] = 3 },
	{ 0xfe, 0x80, [15] = 2 },
};

static bool has_prefix(const uint8_t *addr, const uint8_t *prefix,
		       unsigned bits)
{
	unsigned bytes = bits / 8, rest = bits % 8;

	return !memcmp(addr, prefix, bytes) &&
	       (!rest || !((addr[bytes] ^ prefix[bytes]) >> (8 - rest)));
}

static bool is_among4(const uint8_t *addr, const struct prefix4 *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (has_prefix(addr, list[i].addr, list[i].bits))
			return true;
	return false;
}

static bool is_among6(const uint8_t *addr, const struct prefix6 *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (has_prefix(addr, list[i].addr, list[i].bits))
			return true;
	return false;
}

static enum nat_verdict judge4(const uint8_t *addr, bool metadata)
{
	if (is_among4(addr, never4, G_N_ELEMENTS(never4)))
		return NAT_DROP;
	return metadata ||
	       !is_among4(addr, metadata4, G_N_ELEMENTS(metadata4)) ?
		       NAT_PASS : NAT_REFUSE;
}

static enum nat_verdict judge6(const uint8_t *addr, bool metadata)
{
	enum nat_verdict verdict = NAT_PASS;

	if (is_among6(addr, never6, G_N_ELEMENTS(never6)))
		return NAT_DROP;
	for (size_t i = 0; i < G_N_ELEMENTS(embedded4); i++)
		if (has_prefix(addr, embedded4[i].prefix.addr,
			       embedded4[i].prefix.bits))
			verdict = judge4(addr + embedded4[i].at, metadata);
	if (!metadata && is_among6(addr, metadata6, G_N_ELEMENTS(metadata6)))
		return NAT_REFUSE;
	return verdict;
}

/* The header of the transport is there, and says no more than is there. */
static bool l4_is_whole(const uint8_t *l4, const struct nat_packet *p)
{
	size_t header;

	switch (p->protocol) {
	case IPPROTO_TCP:
		if (p->l4_len < TCP_LEN)
			return false;
		header = (size_t)(l4[12] >> 4) * 4;
		return header >= TCP_LEN && header <= p->l4_len;
	case IPPROTO_UDP:
		return p->l4_len >= UDP_LEN && get16(l4 + 4) >= UDP_LEN &&
		       get16(l4 + 4) <= p->l4_len;
	case IPPROTO_ICMP:
		return !p->ip6 && p->l4_len >= ICMP_LEN;
	case IPPROTO_ICMPV6:
		return p->ip6 && p->l4_len >= ICMP_LEN;
	default:
		return false;
	}
}

/* 0 but for UDP. */
static unsigned udp_port(const uint8_t *l4, const struct nat_packet *p)
{
	return p->protocol == IPPROTO_UDP ? get16(l4 + 2) : 0;
}

/* Options, with which a packet names a way of its own, and fragments: no. */
static enum nat_verdict filter_ip4(const uint8_t *frame, size_t len,
				   bool metadata, struct nat_packet *p)
{
	const uint8_t *ip = frame + ETH_LEN, *l4 = ip + IP4_LEN;
	size_t left = len - ETH_LEN;
	unsigned port;

	if (left < IP4_LEN || ip[0] != 0x45 || get16(ip + 2) < IP4_LEN ||
	    get16(ip + 2) > left || (get16(ip + 6) & 0x3fff) || !ip[8])
		return NAT_DROP;
	p->protocol = ip[9];
	p->l4 = p->l3 + IP4_LEN;
	p->l4_len = get16(ip + 2) - IP4_LEN;
	if (!l4_is_whole(l4, p))
		return NAT_DROP;
	port = udp_port(l4, p);
	if (port == PORT_BOOTP && !memcmp(ip + 16, broadcast4, 4))
		return NAT_PASS;
	return port == PORT_TFTP ? NAT_DROP : judge4(ip + 16, metadata);
}

static enum nat_verdict filter_icmp6(const uint8_t *ip, uint8_t type)
{
	if (type == ND_ROUTER_SOLICIT || type == ND_NEIGHBOR_SOLICIT ||
	    type == ND_NEIGHBOR_ADVERT)
		return NAT_PASS;
	if (type != ICMP6_ECHO_REQUEST)
		return NAT_DROP;
	for (size_t i = 0; i < G_N_ELEMENTS(pingable6); i++)
		if (!memcmp(ip + 24, pingable6[i], 16))
			return NAT_PASS;
	return judge6(ip + 24, true) == NAT_DROP ? NAT_DROP : NAT_REFUSE;
}

static enum nat_verdict filter_ip6(const uint8_t *frame, size_t len,
				   bool metadata, struct nat_packet *p)
{
	const uint8_t *ip = frame + ETH_LEN, *l4 = ip + IP6_LEN;
	size_t left = len - ETH_LEN;
	unsigned port;

	if (left < IP6_LEN || ip[0] >> 4 != 6 ||
	    get16(ip + 4) > left - IP6_LEN || !ip[7])
		return NAT_DROP;
	p->protocol = ip[6];
	p->l4 = p->l3 + IP6_LEN;
	p->l4_len = get16(ip + 4);
	if (!l4_is_whole(l4, p))
		return NAT_DROP;
	if (p->protocol == IPPROTO_ICMPV6)
		return filter_icmp6(ip, l4[0]);
	port = udp_port(l4, p);
	if (port == PORT_DHCP6 && !memcmp(ip + 24, dhcp_group6, 16))
		return NAT_PASS;
	return port == PORT_TFTP ? NAT_DROP : judge6(ip + 24, metadata);
}

enum nat_verdict nat_filter(const uint8_t *frame, size_t len, bool metadata,
			    struct nat_packet *packet)
{
	*packet = (struct nat_packet){ .l3 = ETH_LEN };
	if (len < ETH_LEN)
		return NAT_DROP;
	switch (get16(frame + 12)) {
	case ETHERTYPE_ARP:
		return len >= ETH_LEN + ARP_LEN ? NAT_PASS : NAT_DROP;
	case ETHERTYPE_IP4:
		packet->ip = true;
		return filter_ip4(frame, len, metadata, packet);
	case ETHERTYPE_IP6:
		packet->ip = packet->ip6 = true;
		return filter_ip6(frame, len, metadata, packet);
	default:
		return NAT_DROP;
	}
}

static size_t checksum_at(uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return 16;
	case IPPROTO_UDP:
		return 6;
	default:
		return 2;
	}
}

static void finish_l4(uint8_t *frame, const struct nat_packet *p)
{
	uint8_t *l4 = frame + p->l4;
	bool udp = p->protocol == IPPROTO_UDP;
	uint8_t *field = l4 + checksum_at(p->protocol);
	size_t len = udp ? get16(l4 + 4) : p->l4_len;
	const uint8_t *addresses = frame + p->l3 + (p->ip6 ? 8 : 12);
	uint64_t sum = 0;

	field[0] = field[1] = 0;
	if (p->protocol != IPPROTO_ICMP)
		sum = inet_sum(addresses, p->ip6 ? 32 : 8) +
		      htons(p->protocol) + htons((uint16_t)len);
	inet_sum_put(field, sum + inet_sum(l4, len));
}

void nat_finish_checksums(uint8_t *frame, const struct nat_packet *packet)
{
	uint8_t *ip = frame + packet->l3;

	if (!packet->ip)
		return;
	finish_l4(frame, packet);
	if (packet->ip6)
		return;
	ip[10] = ip[11] = 0;
	inet_sum_put(ip + 10, inet_sum(ip, IP4_LEN));
}
