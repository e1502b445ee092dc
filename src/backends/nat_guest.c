/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <netinet/icmp6.h>
#include <stddef.h>
#include <string.h>

#include "backends/nat_guest.h"
#include "backends/nat_network.h"
#include "core/bytes.h"
#include "core/trace.h"

#define ETH_LEN			14
#define IP_LEN			20
#define UDP_LEN			8
#define PORT_BOOTP		67
#define PORT_BOOTP_CLIENT	68
#define DHCP_YIADDR_AT		16
#define DHCP_CHADDR_AT		28
#define DHCP_OPTIONS_AT		240	/* behind the cookie */
#define DHCP_MESSAGE_TYPE	53
#define DHCP_ACK		5
#define PREFIX6_LEN		8	/* bytes */
#define ASK_NS			UINT64_C(1000000000)	/* between questions */
#define ASK_MAX			3

static bool is_mac(const uint8_t *mac, const uint8_t *other)
{
	return !memcmp(mac, other, 6);
}

void nat_guest_init(struct nat_guest *g)
{
	*g = (struct nat_guest){ .at.addr = NAT_GUEST };
}

void nat_guest_forget(struct nat_guest *g)
{
	g->known = g->settled = g->known6 = false;
	g->doubt.on = g->doubt6.on = false;
	g->before.addr = 0;
	g->other6 = (struct nat_place6){ 0 };
}

/* Where doubts keep coming up, @d->due is how questions stay few. */
static unsigned begin_doubt(struct nat_doubt *d, uint64_t now)
{
	if (d->on)
		return 0;
	d->on = true;
	d->asked = 0;
	d->due = MAX(d->due, now);
	return NAT_GUEST_DOUBT;
}

static unsigned meet6(struct nat_guest *g, const struct nat_place6 *place)
{
	g->known6 = true;
	g->at6 = *place;
	g->doubt6.on = false;
	return NAT_GUEST_MET6;
}

/* The guest has the MAC address @mac. */
static unsigned follow6(struct nat_guest *g, const uint8_t *mac)
{
	if (g->known6 && is_mac(mac, g->at6.mac))
		return 0;
	if (is_mac(mac, g->other6.mac))
		return meet6(g, &g->other6);
	if (!g->known6)
		return 0;
	g->known6 = false;
	return NAT_GUEST_LOST6;
}

/* The guest is at @addr. */
static unsigned meet(struct nat_guest *g, uint32_t addr, const uint8_t *mac)
{
	bool same = g->known && g->at.addr == addr;

	if (g->at.addr != addr)
		trace(TRACE_NET, "nat.guest addr=%#x", addr);
	g->at.addr = addr;
	memcpy(g->at.mac, mac, sizeof(g->at.mac));
	g->known = g->settled = true;
	g->doubt.on = false;
	return follow6(g, mac) | (same ? 0 : NAT_GUEST_MET);
}

/* The address that a frame comes from, which is not of IPv6. */
static uint32_t sender(const uint8_t *frame, const struct nat_packet *packet)
{
	return get32(frame + ETH_LEN + (packet->ip ? 12 : 14));
}

static bool asks_for_lease(const uint8_t *frame,
			   const struct nat_packet *packet)
{
	return packet->ip && packet->protocol == IPPROTO_UDP &&
	       !sender(frame, packet) &&
	       get16(frame + packet->l4 + 2) == PORT_BOOTP;
}

static bool may_be_guest(uint32_t addr)
{
	return (addr & NAT_NETMASK) == NAT_NETWORK && addr != NAT_NETWORK &&
	       addr != NAT_GATEWAY && addr != NAT_RESOLVER &&
	       addr != (NAT_NETWORK | ~NAT_NETMASK);
}

/*
 * Whether the guest is who sends from @addr.  Who was the guest before a lease
 * said otherwise, and is still there, is so.
 */
static bool is_guest(struct nat_guest *g, uint32_t addr, const uint8_t *mac)
{
	if (g->before.addr && addr == g->before.addr &&
	    is_mac(mac, g->before.mac)) {
		g->before.addr = 0;
		return true;
	}
	return g->settled ? addr == g->at.addr : may_be_guest(addr);
}

static unsigned see_ip4(struct nat_guest *g, uint64_t now, const uint8_t *frame,
			const struct nat_packet *packet)
{
	uint32_t addr = sender(frame, packet);

	if (asks_for_lease(frame, packet)) {
		g->known = false;
		return NAT_GUEST_LOST;
	}
	if (is_guest(g, addr, frame + 6))
		return NAT_GUEST_SENT | meet(g, addr, frame + 6);
	if (!is_mac(frame + 6, g->at.mac) || !may_be_guest(addr))
		return 0;
	g->instead = addr;
	return begin_doubt(&g->doubt, now);
}

/* The address that a frame shows who sends it to have, or is about to have. */
static const uint8_t *claimed6(const uint8_t *frame,
			       const struct nat_packet *packet)
{
	const uint8_t *source = frame + packet->l3 + 8;
	const uint8_t *icmp = frame + packet->l4;

	if (packet->protocol == IPPROTO_ICMPV6 &&
	    packet->l4_len >= sizeof(struct nd_neighbor_solicit) &&
	    icmp[0] == ND_NEIGHBOR_SOLICIT &&
	    !memcmp(source, &in6addr_any, sizeof(in6addr_any)))
		return icmp +
		       offsetof(struct nd_neighbor_solicit, nd_ns_target);
	return source;
}

static bool may_be_guest6(const struct in6_addr *addr)
{
	static const struct in6_addr gateway = NAT_GATEWAY6_ADDR;
	static const struct in6_addr resolver = NAT_RESOLVER6_ADDR;

	return !memcmp(addr, &gateway, PREFIX6_LEN) &&
	       memcmp(addr, &gateway, sizeof(*addr)) &&
	       memcmp(addr, &resolver, sizeof(*addr));
}

static bool is_at6(const struct nat_guest *g, const struct nat_place6 *place)
{
	return !memcmp(&place->addr, &g->at6.addr, sizeof(place->addr));
}

static unsigned see_ip6(struct nat_guest *g, uint64_t now, const uint8_t *frame,
			const struct nat_packet *packet)
{
	struct nat_place6 from;

	memcpy(&from.addr, claimed6(frame, packet), sizeof(from.addr));
	memcpy(from.mac, frame + 6, sizeof(from.mac));
	if (g->known6 && is_mac(from.mac, g->at6.mac) && is_at6(g, &from)) {
		g->doubt6.on = false;
		return NAT_GUEST_SENT;
	}
	if (!may_be_guest6(&from.addr))
		return 0;
	if (g->known6 && is_mac(from.mac, g->at6.mac)) {
		g->instead6 = from.addr;
		return begin_doubt(&g->doubt6, now);
	}
	if (g->known6 || (g->settled && !is_mac(from.mac, g->at.mac))) {
		g->other6 = from;
		return 0;
	}
	return NAT_GUEST_SENT | meet6(g, &from);
}

unsigned nat_guest_see(struct nat_guest *g, uint64_t now, const uint8_t *frame,
		       const struct nat_packet *packet)
{
	return packet->ip6 ? see_ip6(g, now, frame, packet) :
			     see_ip4(g, now, frame, packet);
}

uint64_t nat_guest_due(const struct nat_guest *g)
{
	return MIN(g->doubt.on ? g->doubt.due : UINT64_MAX,
		   g->doubt6.on ? g->doubt6.due : UINT64_MAX);
}

enum next { WAIT, ASK, GONE };

static enum next next_step(struct nat_doubt *d, uint64_t now)
{
	if (!d->on || now < d->due)
		return WAIT;
	if (d->asked == ASK_MAX)
		return GONE;
	d->asked++;
	d->due = now + ASK_NS;
	return ASK;
}

unsigned nat_guest_look(struct nat_guest *g, uint64_t now)
{
	const enum next next = next_step(&g->doubt, now);
	const enum next next6 = next_step(&g->doubt6, now);
	struct nat_place6 place6 = g->at6;
	unsigned told = (next == ASK ? NAT_GUEST_ASK : 0) |
			(next6 == ASK ? NAT_GUEST_ASK6 : 0);

	place6.addr = g->instead6;
	if (next == GONE)
		told |= meet(g, g->instead, g->at.mac);
	if (next6 == GONE)
		told |= meet6(g, &place6);
	return told;
}

static unsigned take_lease(struct nat_guest *g, uint32_t addr,
			   const uint8_t *mac)
{
	g->before.addr = 0;
	if (g->settled && !is_mac(mac, g->at.mac))
		g->before = g->at;
	return meet(g, addr, mac);
}

/* libslirp's first option says what kind of an answer it is. */
unsigned nat_guest_see_answer(struct nat_guest *g, const uint8_t *frame,
			      size_t len)
{
	const uint8_t *ip = frame + ETH_LEN, *udp = ip + IP_LEN;
	const uint8_t *dhcp = udp + UDP_LEN, *option = dhcp + DHCP_OPTIONS_AT;

	if (len < ETH_LEN + IP_LEN + UDP_LEN + DHCP_OPTIONS_AT + 3 ||
	    get16(frame + 12) != 0x0800 || ip[9] != IPPROTO_UDP ||
	    get16(udp) != PORT_BOOTP || get16(udp + 2) != PORT_BOOTP_CLIENT ||
	    option[0] != DHCP_MESSAGE_TYPE || option[2] != DHCP_ACK)
		return 0;
	return take_lease(g, get32(dhcp + DHCP_YIADDR_AT),
			  dhcp + DHCP_CHADDR_AT);
}
