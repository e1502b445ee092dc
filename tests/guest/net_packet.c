/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "net_packet.h"

/* Writes one field after the other. */
struct writer {
	uint8_t *buf;
	size_t at;
};

static void put8(struct writer *w, unsigned value)
{
	w->buf[w->at++] = (uint8_t)value;
}

static void put16(struct writer *w, unsigned value)
{
	put8(w, value >> 8);
	put8(w, value);
}

static void put32(struct writer *w, uint32_t value)
{
	put16(w, value >> 16);
	put16(w, value);
}

static void put_many(struct writer *w, unsigned value, unsigned count)
{
	while (count--)
		put8(w, value);
}

/* RFC 1071, a pair of bytes at a time. */
static unsigned add(unsigned sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		sum += i % 2 ? p[i] : (unsigned)p[i] << 8;
		if (sum > 0xffff)
			sum -= 0xffff;
	}
	return sum;
}

static void set_checksum(uint8_t *p, unsigned sum)
{
	unsigned csum = sum == 0xffff ? 0xffff : 0xffff - sum;

	p[0] = (uint8_t)(csum >> 8);
	p[1] = (uint8_t)csum;
}

static size_t l4_len(const struct net_packet *p)
{
	return (p->udp ? 8 : 20 + p->tcp_options) + p->payload_len;
}

static unsigned protocol(const struct net_packet *p)
{
	return p->udp ? IPPROTO_UDP : IPPROTO_TCP;
}

static void put_ethernet(struct writer *w, const struct net_packet *p)
{
	put_many(w, 0x52, 6);
	put_many(w, 0x56, 6);
	for (unsigned i = 0; i < p->vlan_tags; i++) {
		put16(w, i + 1 < p->vlan_tags ? 0x88a8 : 0x8100);
		put16(w, 100 + i);
	}
	put16(w, p->ip6 ? 0x86dd : 0x0800);
}

static void put_ip4(struct writer *w, const struct net_packet *p)
{
	unsigned len = 20 + p->ip_options;
	uint8_t *ip = w->buf + w->at;

	put8(w, 0x40 | len / 4);
	put8(w, 0);
	put16(w, (unsigned)(len + l4_len(p)));
	put16(w, p->id);
	put16(w, 0x4000);
	put8(w, 64);
	put8(w, protocol(p));
	put16(w, 0);
	put32(w, 0x0a00020f);
	put32(w, 0xc0a8fe01);
	put_many(w, 1, p->ip_options);
	set_checksum(ip + 10, add(0, ip, len));
}

static void put_ip6(struct writer *w, const struct net_packet *p)
{
	put32(w, 0x60012345);
	put16(w, (unsigned)(p->ip_options + l4_len(p)));
	put8(w, p->ip_options ? IPPROTO_DSTOPTS : protocol(p));
	put8(w, 64);
	put_many(w, 0xfe, 16);
	put_many(w, 0xfd, 16);
	if (!p->ip_options)
		return;
	put8(w, protocol(p));
	put8(w, p->ip_options / 8 - 1);
	put8(w, 1);	/* PadN */
	put8(w, p->ip_options - 4);
	put_many(w, 0, p->ip_options - 4);
}

static unsigned pseudo_header(const struct net_packet *p)
{
	uint8_t bytes[40];
	struct writer w = { bytes, 0 };

	if (p->ip6) {
		put_many(&w, 0xfe, 16);
		put_many(&w, 0xfd, 16);
		put32(&w, (uint32_t)l4_len(p));
		put32(&w, protocol(p));
	} else {
		put32(&w, 0x0a00020f);
		put32(&w, 0xc0a8fe01);
		put8(&w, 0);
		put8(&w, protocol(p));
		put16(&w, (unsigned)l4_len(p));
	}
	return add(0, bytes, w.at);
}

/* With a checksum of 0. */
static void put_l4(struct writer *w, const struct net_packet *p)
{
	put16(w, 40000);
	put16(w, 5201);
	if (p->udp) {
		put16(w, (unsigned)l4_len(p));
	} else {
		put32(w, p->seq);
		put32(w, 0x12345678);
		put8(w, (20 + p->tcp_options) / 4 << 4);
		put8(w, p->flags);
		put16(w, 500);
	}
	put16(w, 0);
	if (!p->udp) {
		put16(w, 0);
		put_many(w, 1, p->tcp_options);
	}
	memcpy(w->buf + w->at, p->payload, p->payload_len);
	w->at += p->payload_len;
}

/* All but the checksum of L4, which begins at the returned place. */
static size_t put_all(struct writer *w, const struct net_packet *p)
{
	size_t l4;

	put_ethernet(w, p);
	if (p->ip6)
		put_ip6(w, p);
	else
		put_ip4(w, p);
	l4 = w->at;
	put_l4(w, p);
	return l4;
}

size_t net_packet_build(const struct net_packet *p, uint8_t *buf)
{
	struct writer w = { buf, 0 };
	size_t l4 = put_all(&w, p);

	set_checksum(buf + l4 + (p->udp ? 6 : 16),
		     add(pseudo_header(p), buf + l4, w.at - l4));
	return w.at;
}

static uint8_t gso_type(const struct net_packet *p)
{
	if (p->udp)
		return VIRTIO_NET_HDR_GSO_UDP_L4;
	return p->ip6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
}

size_t net_packet_build_offload(const struct net_packet *p, uint16_t gso_size,
				uint8_t *buf, struct virtio_net_hdr *hdr)
{
	struct writer w = { buf, 0 }, seed;
	size_t l4 = put_all(&w, p);

	*hdr = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = gso_size ? gso_type(p) : VIRTIO_NET_HDR_GSO_NONE,
		.gso_size = gso_size,
		.hdr_len = (uint16_t)(w.at - p->payload_len),
		.csum_start = (uint16_t)l4,
		.csum_offset = p->udp ? 6 : 16,
	};
	seed = (struct writer){ buf, l4 + hdr->csum_offset };
	put16(&seed, pseudo_header(p));
	return w.at;
}

struct net_packet net_packet_segment(const struct net_packet *p,
				     uint16_t gso_size, unsigned index)
{
	size_t at = (size_t)index * gso_size;
	struct net_packet s = *p;

	s.payload += at;
	s.payload_len = MIN(gso_size, p->payload_len - at);
	s.id = (uint16_t)(p->id + index);
	s.seq = p->seq + (uint32_t)at;
	if (at + s.payload_len < p->payload_len)
		s.flags &= (uint8_t)~(TH_FIN | TH_PUSH);
	if (index)
		s.flags &= (uint8_t)~0x80;	/* CWR */
	return s;
}
