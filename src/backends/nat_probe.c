/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <net/if_arp.h>
#include <netinet/icmp6.h>
#include <string.h>

#include "backends/nat_network.h"
#include "backends/nat_probe.h"
#include "core/bytes.h"
#include "core/trace.h"
#include "core/util.h"

#define NS_PER_MS	UINT64_C(1000000)
#define DELAY_FIRST	(100 * NS_PER_MS)
#define DELAY_BUSY	(1000 * NS_PER_MS)	/* while the guest sends */
#define DELAY_MAX	(5000 * NS_PER_MS)	/* while it is silent */
#define SILENT_MAX	4

#define TH_RST		0x04
#define TH_SYN		0x02
#define TH_ACK		0x10

#define ETH_LEN		14
#define IP_LEN		20
#define TCP_LEN		20
#define IP6_LEN		40
#define ARP_LEN		28
#define SOLICIT_LEN	32	/* with the option that says who asks */
#define SYN_MAX		(ETH_LEN + IP6_LEN + TCP_LEN)

static const uint8_t gateway_mac[6] = { 0x52, 0x55, 10, 0, 2, 2 };
static const uint8_t gateway6_mac[6] = { 0x52, 0x56, 0, 0, 0, 2 };
static const struct in6_addr gateway6 = NAT_GATEWAY6_ADDR;

/* Nobody's connection comes from such a low port. */
static uint16_t source_port(unsigned index)
{
	return (uint16_t)(index + 1);
}

/* The headers of a segment without data from the gateway; its packet. */
static struct nat_packet begin_ip4(const struct nat_probes *p, uint8_t *frame)
{
	uint8_t *ip = frame + ETH_LEN;

	memcpy(frame, p->guest.at.mac, 6);
	memcpy(frame + 6, gateway_mac, 6);
	put16(frame + 12, 0x0800);
	ip[0] = 0x45;
	put16(ip + 2, IP_LEN + TCP_LEN);
	put16(ip + 6, 0x4000);
	ip[8] = 64;
	ip[9] = IPPROTO_TCP;
	put32(ip + 12, NAT_GATEWAY);
	put32(ip + 16, p->guest.at.addr);
	return (struct nat_packet){
		.ip = true, .protocol = IPPROTO_TCP,
		.l3 = ETH_LEN, .l4 = ETH_LEN + IP_LEN, .l4_len = TCP_LEN,
	};
}

static struct nat_packet begin_ip6(const struct nat_probes *p, uint8_t *frame,
				   uint8_t protocol, unsigned l4_len)
{
	uint8_t *ip = frame + ETH_LEN;

	memcpy(frame, p->guest.at6.mac, 6);
	memcpy(frame + 6, gateway6_mac, 6);
	put16(frame + 12, 0x86dd);
	ip[0] = 0x60;
	put16(ip + 4, l4_len);
	ip[6] = protocol;
	ip[7] = 64;
	memcpy(ip + 8, &gateway6, 16);
	memcpy(ip + 24, &p->guest.at6.addr, 16);
	return (struct nat_packet){
		.ip = true, .ip6 = true, .protocol = protocol,
		.l3 = ETH_LEN, .l4 = ETH_LEN + IP6_LEN, .l4_len = l4_len,
	};
}

static void send_tcp(struct nat_probes *p, unsigned index, uint32_t seq,
		     uint8_t flags)
{
	uint8_t frame[SYN_MAX] = { 0 };
	struct nat_packet packet =
		p->probe[index].ip6 ?
			begin_ip6(p, frame, IPPROTO_TCP, TCP_LEN) :
			begin_ip4(p, frame);
	uint8_t *tcp = frame + packet.l4;

	put16(tcp, source_port(index));
	put16(tcp + 2, p->probe[index].port);
	put32(tcp + 4, seq);
	tcp[12] = TCP_LEN / 4 << 4;
	tcp[13] = flags;
	put16(tcp + 14, flags & TH_RST ? 0 : 1024);
	nat_finish_checksums(frame, &packet);
	p->ops->send(p->user, frame, packet.l4 + TCP_LEN);
}

/* Whether the guest still has its address: it alone is asked. */
static void send_arp(struct nat_probes *p)
{
	uint8_t frame[ETH_LEN + ARP_LEN] = { 0 };
	uint8_t *arp = frame + ETH_LEN;

	memcpy(frame, p->guest.at.mac, 6);
	memcpy(frame + 6, gateway_mac, 6);
	put16(frame + 12, 0x0806);
	put16(arp, ARPHRD_ETHER);
	put16(arp + 2, 0x0800);
	arp[4] = 6;
	arp[5] = 4;
	put16(arp + 6, ARPOP_REQUEST);
	memcpy(arp + 8, gateway_mac, 6);
	put32(arp + 14, NAT_GATEWAY);
	put32(arp + 24, p->guest.at.addr);
	p->ops->send(p->user, frame, sizeof(frame));
}

static void send_solicitation(struct nat_probes *p)
{
	uint8_t frame[ETH_LEN + IP6_LEN + SOLICIT_LEN] = { 0 };
	struct nat_packet packet = begin_ip6(p, frame, IPPROTO_ICMPV6,
					     SOLICIT_LEN);
	uint8_t *icmp = frame + packet.l4;

	frame[packet.l3 + 7] = 255;
	icmp[0] = ND_NEIGHBOR_SOLICIT;
	memcpy(icmp + 8, &p->guest.at6.addr, 16);
	icmp[24] = ND_OPT_SOURCE_LINKADDR;
	icmp[25] = 1;
	memcpy(icmp + 26, gateway6_mac, 6);
	nat_finish_checksums(frame, &packet);
	p->ops->send(p->user, frame, sizeof(frame));
}

static void set_timer(struct nat_probes *p)
{
	uint64_t due = nat_guest_due(&p->guest);

	for (unsigned i = 0; i < p->count; i++)
		if (p->probe[i].due)
			due = MIN(due, p->probe[i].due);
	if (due != UINT64_MAX)
		loop_timer_set(p->loop, &p->timer, due);
	else
		loop_timer_clear(p->loop, &p->timer);
}

/* SYNs come from now on, soon at first. */
static void start(struct nat_probes *p, unsigned index,
		  enum nat_probe_state state)
{
	struct nat_probe *probe = &p->probe[index];

	probe->state = state;
	probe->silent = 0;
	probe->delay = DELAY_FIRST;
	probe->due = loop_now(p->loop) + DELAY_FIRST;
}

static void change(struct nat_probes *p, unsigned index, bool open)
{
	trace(TRACE_NET, "nat.%s port=%u", open ? "listens" : "refuses",
	      p->probe[index].port);
	p->ops->changed(p->user, p->probe[index].id, open);
}

static void close_one(struct nat_probes *p, unsigned index)
{
	bool was_open = p->probe[index].state != NAT_PROBE_CLOSED;

	start(p, index, NAT_PROBE_CLOSED);
	if (was_open)
		change(p, index, false);
}

static void ask(struct nat_probes *p, unsigned index)
{
	struct nat_probe *probe = &p->probe[index];

	if (probe->state == NAT_PROBE_DOUBTED &&
	    probe->silent++ == SILENT_MAX) {
		close_one(p, index);
		return;
	}
	do {
		probe->seq = g_random_int();
	} while (!probe->seq);
	send_tcp(p, index, probe->seq, TH_SYN);
	probe->due = loop_now(p->loop) + probe->delay;
	probe->delay = MIN(2 * probe->delay, DELAY_MAX);
}

void nat_probes_add(struct nat_probes *p, bool ip6, uint16_t port, unsigned id)
{
	g_assert(p->count < NAT_PROBES_MAX);
	p->probe[p->count++] = (struct nat_probe){
		.id = id, .ip6 = ip6, .port = port,
	};
}

/* Those of a version of IP are closed; nobody is asked. */
static void close_all(struct nat_probes *p, bool ip6)
{
	for (unsigned i = 0; i < p->count; i++) {
		if (p->probe[i].ip6 != ip6)
			continue;
		close_one(p, i);
		p->probe[i].due = p->probe[i].seq = 0;
	}
	set_timer(p);
}

/* The same, but they are asked from now on. */
static void restart_all(struct nat_probes *p, bool ip6)
{
	for (unsigned i = 0; i < p->count; i++)
		if (p->probe[i].ip6 == ip6)
			close_one(p, i);
	set_timer(p);
}

/* Do what follows from @told, NAT_GUEST_*. */
static void learn(struct nat_probes *p, unsigned told)
{
	if (told & NAT_GUEST_LOST)
		close_all(p, false);
	if (told & NAT_GUEST_MET)
		restart_all(p, false);
	if (told & NAT_GUEST_LOST6)
		close_all(p, true);
	if (told & NAT_GUEST_MET6)
		restart_all(p, true);
	if (told & NAT_GUEST_DOUBT)
		set_timer(p);
	if (told & NAT_GUEST_ASK)
		send_arp(p);
	if (told & NAT_GUEST_ASK6)
		send_solicitation(p);
}

static void expired(struct loop_timer *t)
{
	struct nat_probes *p = container_of(t, struct nat_probes, timer);

	learn(p, nat_guest_look(&p->guest, loop_now(p->loop)));
	for (unsigned i = 0; i < p->count; i++)
		if (p->probe[i].due && p->probe[i].due <= loop_now(p->loop))
			ask(p, i);
	set_timer(p);
}

void nat_probes_init(struct nat_probes *p, struct loop *loop,
		     const struct nat_probe_ops *ops, void *user)
{
	*p = (struct nat_probes){ .loop = loop, .ops = ops, .user = user };
	nat_guest_init(&p->guest);
	p->timer.expired = expired;
}

void nat_probes_forget(struct nat_probes *p)
{
	nat_guest_forget(&p->guest);
	learn(p, NAT_GUEST_LOST | NAT_GUEST_LOST6);
}

/* Who has something to say may have begun to listen. */
static void hurry(struct nat_probes *p)
{
	uint64_t soon = loop_now(p->loop) + DELAY_BUSY;

	if (p->timer.due_ns <= soon)
		return;
	for (unsigned i = 0; i < p->count; i++)
		if (p->probe[i].due)
			p->probe[i].due = MIN(p->probe[i].due, soon);
	set_timer(p);
}

/* Whose SYN this segment answers, or -1. */
static int answered(const struct nat_probes *p, const uint8_t *frame,
		    const struct nat_packet *packet)
{
	const uint8_t *ip = frame + packet->l3, *tcp = frame + packet->l4;
	unsigned index = get16(tcp + 2) - 1u;
	bool to_gateway = packet->ip6 ? !memcmp(ip + 24, &gateway6, 16) :
					get32(ip + 16) == NAT_GATEWAY;

	if (!to_gateway || index >= p->count ||
	    p->probe[index].ip6 != packet->ip6 ||
	    get16(tcp) != p->probe[index].port || !(tcp[13] & TH_ACK) ||
	    !p->probe[index].seq ||
	    get32(tcp + 8) != p->probe[index].seq + 1)
		return -1;
	return (int)index;
}

static void take_answer(struct nat_probes *p, unsigned index, uint8_t flags)
{
	struct nat_probe *probe = &p->probe[index];
	bool was_open = probe->state != NAT_PROBE_CLOSED;

	if (flags & TH_RST) {
		probe->silent = 0;
		if (was_open)
			close_one(p, index);
	} else if (flags & TH_SYN) {
		send_tcp(p, index, probe->seq + 1, TH_RST);
		probe->state = NAT_PROBE_OPEN;
		probe->due = 0;
		if (!was_open)
			change(p, index, true);
	}
	probe->seq = 0;
	set_timer(p);
}

static void doubt(struct nat_probes *p, bool ip6, uint16_t port)
{
	for (unsigned i = 0; i < p->count; i++)
		if (p->probe[i].ip6 == ip6 && p->probe[i].port == port &&
		    p->probe[i].state == NAT_PROBE_OPEN)
			start(p, i, NAT_PROBE_DOUBTED);
	set_timer(p);
}

static bool see_tcp(struct nat_probes *p, const uint8_t *frame,
		    const struct nat_packet *packet)
{
	uint8_t flags = frame[packet->l4 + 13];
	int index = answered(p, frame, packet);

	if (index >= 0)
		take_answer(p, (unsigned)index, flags);
	else if (flags & TH_RST)
		doubt(p, packet->ip6, get16(frame + packet->l4));
	return index >= 0;
}

bool nat_probes_see(struct nat_probes *p, const uint8_t *frame,
		    const struct nat_packet *packet)
{
	unsigned told = nat_guest_see(&p->guest, loop_now(p->loop), frame,
				      packet);

	learn(p, told);
	if (!(told & NAT_GUEST_SENT))
		return false;
	hurry(p);
	return packet->ip && packet->protocol == IPPROTO_TCP &&
	       see_tcp(p, frame, packet);
}

void nat_probes_see_answer(struct nat_probes *p, const uint8_t *frame,
			   size_t len)
{
	learn(p, nat_guest_see_answer(&p->guest, frame, len));
}
