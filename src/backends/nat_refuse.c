/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <glib.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>

#include "backends/nat_network.h"
#include "backends/nat_refuse.h"
#include "core/bytes.h"

#define ETH_LEN		14
#define IP4_LEN		20
#define IP6_LEN		40
#define TCP_LEN		20
#define ICMP_LEN	8
#define TTL		64

#define TH_FIN		0x01
#define TH_SYN		0x02
#define TH_RST		0x04
#define TH_ACK		0x10

/* Nobody answers to a group, or to one who does not say who it is. */
static bool has_sender(const uint8_t *frame, const struct nat_packet *p)
{
	static const uint8_t nobody[16];
	const uint8_t *from = frame + ETH_LEN + (p->ip6 ? 8 : 12);

	if ((frame[0] | frame[6]) & 1)
		return false;
	return p->ip6 ? from[0] != 0xff && memcmp(from, nobody, 16) != 0 :
			from[0] && from[0] < 224;
}

/*
 * Headers up to the transport's, for @len bytes of that, back to who sent
 * @frame; from whom that was for.
 */
static struct nat_packet begin(uint8_t *answer, const uint8_t *frame,
			       const struct nat_packet *p, uint8_t protocol,
			       size_t len)
{
	const struct nat_packet a = {
		.ip = true, .ip6 = p->ip6, .protocol = protocol,
		.l3 = ETH_LEN, .l4_len = len,
		.l4 = ETH_LEN + (p->ip6 ? IP6_LEN : IP4_LEN),
	};
	const uint8_t *from = frame + ETH_LEN;
	uint8_t *ip = answer + ETH_LEN;

	memset(answer, 0, a.l4 + len);
	memcpy(answer, frame + 6, 6);
	memcpy(answer + 6, frame, 6);
	memcpy(answer + 12, frame + 12, 2);
	if (p->ip6) {
		ip[0] = 0x60;
		put16(ip + 4, len);
		ip[6] = protocol;
		ip[7] = TTL;
		memcpy(ip + 8, from + 24, 16);
		memcpy(ip + 24, from + 8, 16);
	} else {
		ip[0] = 0x45;
		put16(ip + 2, IP4_LEN + len);
		ip[8] = TTL;
		ip[9] = protocol;
		memcpy(ip + 12, from + 16, 4);
		memcpy(ip + 16, from + 12, 4);
	}
	return a;
}

static size_t reset(uint8_t *answer, const uint8_t *frame,
		    const struct nat_packet *p)
{
	const uint8_t *tcp = frame + p->l4;
	uint8_t flags = tcp[13];
	struct nat_packet a;
	uint32_t data;
	uint8_t *to;

	if (flags & TH_RST)
		return 0;
	a = begin(answer, frame, p, IPPROTO_TCP, TCP_LEN);
	to = answer + a.l4;
	memcpy(to, tcp + 2, 2);
	memcpy(to + 2, tcp, 2);
	to[12] = TCP_LEN / 4 << 4;
	to[13] = TH_RST;
	if (flags & TH_ACK) {
		memcpy(to + 4, tcp + 8, 4);
	} else {
		data = (uint32_t)p->l4_len - (tcp[12] >> 4) * 4u +
		       !!(flags & TH_SYN) + !!(flags & TH_FIN);
		put32(to + 8, get32(tcp + 4) + data);
		to[13] |= TH_ACK;
	}
	nat_finish_checksums(answer, &a);
	return a.l4 + TCP_LEN;
}

/* The gateway says so, and of what: as much as has to be, or may. */
static size_t prohibit(uint8_t *answer, const uint8_t *frame,
		       const struct nat_packet *p)
{
	size_t about = p->ip6 ? MIN(IP6_LEN + p->l4_len,
				    NAT_REFUSAL_MAX - ETH_LEN - IP6_LEN -
					    ICMP_LEN) :
				IP4_LEN + ICMP_LEN;
	struct nat_packet a = begin(answer, frame, p, p->ip6 ? IPPROTO_ICMPV6 :
							       IPPROTO_ICMP,
				    ICMP_LEN + about);
	uint8_t *icmp = answer + a.l4;

	if (p->ip6)
		inet_pton(AF_INET6, NAT_GATEWAY6, answer + ETH_LEN + 8);
	else
		put32(answer + ETH_LEN + 12, NAT_GATEWAY);
	icmp[0] = p->ip6 ? ICMP6_DST_UNREACH : ICMP_DEST_UNREACH;
	icmp[1] = p->ip6 ? ICMP6_DST_UNREACH_ADMIN : ICMP_PKT_FILTERED;
	memcpy(icmp + ICMP_LEN, frame + ETH_LEN, about);
	nat_finish_checksums(answer, &a);
	return a.l4 + a.l4_len;
}

size_t nat_refuse(const uint8_t *frame, const struct nat_packet *packet,
		  uint8_t answer[NAT_REFUSAL_MAX])
{
	if (!has_sender(frame, packet))
		return 0;
	return packet->protocol == IPPROTO_TCP ?
		       reset(answer, frame, packet) :
		       prohibit(answer, frame, packet);
}
