/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Frames as a guest behind NAT makes them, by hand. */
#ifndef NAT_FRAMES_H
#define NAT_FRAMES_H

#include <arpa/inet.h>
#include <glib.h>
#include <stdint.h>
#include <string.h>

#include "backends/nat_filter.h"

#define GUEST		"10.0.2.15"
#define GATEWAY		"10.0.2.2"
#define TH_FIN		0x01
#define TH_SYN		0x02
#define TH_RST		0x04
#define TH_PSH		0x08
#define TH_ACK		0x10

static const uint8_t guest_mac[6] = { 2, 0, 0, 0, 0, 1 };
/* Frames come from here. */
static const uint8_t *sender_mac = guest_mac;

struct frame {
	uint8_t bytes[70000];
	size_t len;
};

static inline void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static inline uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static inline void frame_begin(struct frame *f, unsigned type)
{
	memset(f, 0, sizeof(*f));
	memset(f->bytes, 0xff, 6);
	memcpy(f->bytes + 6, sender_mac, 6);
	put16(f->bytes + 12, type);
	f->len = 14;
}

static inline void frame_arp(struct frame *f, unsigned op, const char *from,
			     const char *to)
{
	uint8_t *arp = f->bytes + 14;

	frame_begin(f, 0x0806);
	put16(arp, 1);
	put16(arp + 2, 0x0800);
	arp[4] = 6;
	arp[5] = 4;
	put16(arp + 6, op);
	memcpy(arp + 8, sender_mac, 6);
	inet_pton(AF_INET, from, arp + 14);
	inet_pton(AF_INET, to, arp + 24);
	f->len += 28;
}

/* With @l4_len bytes of what the caller fills in; returns where. */
static inline uint8_t *frame_ip4(struct frame *f, uint8_t protocol,
				 const char *from, const char *to,
				 size_t l4_len)
{
	uint8_t *ip = f->bytes + 14;

	frame_begin(f, 0x0800);
	ip[0] = 0x45;
	put16(ip + 2, (unsigned)(20 + l4_len));
	ip[8] = 64;
	ip[9] = protocol;
	inet_pton(AF_INET, from, ip + 12);
	inet_pton(AF_INET, to, ip + 16);
	f->len += 20 + l4_len;
	return ip + 20;
}

static inline uint8_t *frame_ip6(struct frame *f, uint8_t protocol,
				 const char *to, size_t l4_len)
{
	uint8_t *ip = f->bytes + 14;

	frame_begin(f, 0x86dd);
	ip[0] = 0x60;
	put16(ip + 4, (unsigned)l4_len);
	ip[6] = protocol;
	ip[7] = 64;
	inet_pton(AF_INET6, "fec0::15", ip + 8);
	inet_pton(AF_INET6, to, ip + 24);
	f->len += 40 + l4_len;
	return ip + 40;
}

static inline void fill_udp(uint8_t *udp, unsigned from, unsigned to,
			    const void *data, size_t len)
{
	put16(udp, from);
	put16(udp + 2, to);
	put16(udp + 4, (unsigned)(8 + len));
	memcpy(udp + 8, data, len);
}

static inline void fill_tcp(uint8_t *tcp, unsigned from, unsigned to,
			    uint32_t seq, uint32_t ack, uint8_t flags)
{
	put16(tcp, from);
	put16(tcp + 2, to);
	put32(tcp + 4, seq);
	put32(tcp + 8, ack);
	tcp[12] = 5 << 4;
	tcp[13] = flags;
	put16(tcp + 14, 65535);
}

static inline bool filter(const struct frame *f, bool metadata)
{
	/* In memory of its own, so that ASan sees a read behind it. */
	g_autofree uint8_t *copy = g_memdup2(f->bytes, f->len ?: 1);
	struct nat_packet p;

	return nat_filter(copy, f->len, metadata, &p) == NAT_PASS;
}

#endif
