/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <glib.h>
#include <netinet/in.h>
#include <string.h>

#include "backends/net_segment.h"
#include "core/bytes.h"
#include "core/inet_sum.h"

#define ETH_TYPE_AT	12
#define VLAN_TAG	4	/* bytes */
#define VLAN_TAGS_MAX	2
#define ETH_TYPE_VLAN	0x8100
#define ETH_TYPE_QINQ	0x88a8
#define ETH_TYPE_IP4	0x0800
#define ETH_TYPE_IP6	0x86dd

#define IP_LENGTH_MAX	65535
#define IP4_HEADER	20
#define IP4_LENGTH_AT	2
#define IP4_ID_AT	4
#define IP4_PROTOCOL_AT	9
#define IP4_CSUM_AT	10
#define IP6_HEADER	40
#define IP6_LENGTH_AT	4

#define TCP_HEADER	20
#define TCP_SEQ_AT	4
#define TCP_DOFF_AT	12
#define TCP_FLAGS_AT	13
#define TCP_CSUM_AT	16
#define TCP_FIN		0x01
#define TCP_PSH		0x08
#define TCP_CWR		0x80
#define UDP_HEADER	8
#define UDP_LENGTH_AT	4
#define UDP_CSUM_AT	6

static bool checksum_is_inside(const struct net_frame *f)
{
	size_t at = (size_t)f->hdr.csum_start + f->hdr.csum_offset;

	return f->len >= 2 && at <= f->len - 2;
}

static bool wants_checksum(const struct net_frame *f)
{
	return f->hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
}

/* The sum of @frame from @start on. */
static uint64_t sum_frame(const struct net_frame *f, size_t start)
{
	size_t left = f->len, skip = start;
	bool odd = false;	/* an odd number of bytes was summed */
	uint64_t sum = 0;

	for (int i = 0; i < f->iovcnt && left; i++) {
		size_t n = MIN(f->iov[i].iov_len, left), from = MIN(n, skip);
		const uint8_t *p = f->iov[i].iov_base;
		uint16_t part = inet_sum_fold(inet_sum(p + from, n - from));

		sum += odd ? GUINT16_SWAP_LE_BE(part) : part;
		odd ^= (n - from) & 1;
		skip -= from;
		left -= n;
	}
	return sum;
}

static void frame_put(const struct net_frame *f, size_t at, uint8_t value)
{
	for (int i = 0; i < f->iovcnt; i++) {
		uint8_t *p = f->iov[i].iov_base;

		if (at < f->iov[i].iov_len) {
			p[at] = value;
			return;
		}
		at -= f->iov[i].iov_len;
	}
}

bool net_checksum_finish(const struct net_frame *f)
{
	size_t at = (size_t)f->hdr.csum_start + f->hdr.csum_offset;
	uint8_t bytes[2];

	if (!wants_checksum(f))
		return true;
	if (!checksum_is_inside(f))
		return false;
	inet_sum_put(bytes, sum_frame(f, f->hdr.csum_start));
	frame_put(f, at, bytes[0]);
	frame_put(f, at + 1, bytes[1]);
	return true;
}

/* Copy the next @len bytes of the frame and leave them where they are. */
static void peek(const struct net_segmenter *s, uint8_t *to, size_t len)
{
	size_t used = s->iov_used;

	for (const struct iovec *v = s->iov; len; v++) {
		const uint8_t *p = v->iov_base;
		size_t n = MIN(len, v->iov_len - used);

		memcpy(to, p + used, n);
		to += n;
		len -= n;
		used = 0;
	}
}

static void skip(struct net_segmenter *s, size_t len)
{
	s->left -= len;
	for (s->iov_used += len; s->left && s->iov_used >= s->iov->iov_len;
	     s->iov++)
		s->iov_used -= s->iov->iov_len;
}

/* Where the network header begins, and its Ethernet type; 0 if nowhere. */
static unsigned find_l3(const uint8_t *headers, size_t len, uint16_t *type)
{
	unsigned at = ETH_TYPE_AT;

	for (unsigned tags = 0; at + 2 <= len; tags++) {
		*type = get16(headers + at);
		if (*type != ETH_TYPE_VLAN && *type != ETH_TYPE_QINQ)
			return at + 2;
		if (tags == VLAN_TAGS_MAX)
			break;
		at += VLAN_TAG;
	}
	return 0;
}

/* The network header goes up to the transport header, as far as one sees. */
static bool l3_is_good(const struct net_segmenter *s, uint16_t type,
		       unsigned protocol)
{
	const uint8_t *ip = s->headers + s->l3;
	unsigned len = s->l4 - s->l3;

	if (s->l4 < s->l3)
		return false;
	if (type == ETH_TYPE_IP4)
		return len >= IP4_HEADER && ip[0] >> 4 == 4 &&
		       len == (ip[0] & 15) * 4u &&
		       ip[IP4_PROTOCOL_AT] == protocol;
	return type == ETH_TYPE_IP6 && len >= IP6_HEADER && ip[0] >> 4 == 6;
}

/* Length of the transport header at s->l4, or 0. */
static unsigned l4_length(const struct net_segmenter *s, size_t len,
			  unsigned protocol)
{
	unsigned offset = s->frame->hdr.csum_offset;
	unsigned doff;

	if (protocol == IPPROTO_UDP)
		return offset == UDP_CSUM_AT ? UDP_HEADER : 0;
	if (offset != TCP_CSUM_AT || len < s->l4 + TCP_HEADER)
		return 0;
	doff = (s->headers[s->l4 + TCP_DOFF_AT] >> 4) * 4u;
	return doff >= TCP_HEADER ? doff : 0;
}

/* What @gso_type cuts, or 0; its network protocol is @type. */
static unsigned gso_protocol(unsigned gso_type, uint16_t type)
{
	switch (gso_type & ~(unsigned)VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return type == ETH_TYPE_IP4 ? IPPROTO_TCP : 0;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return type == ETH_TYPE_IP6 ? IPPROTO_TCP : 0;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		return IPPROTO_UDP;
	default:
		return 0;
	}
}

/* Copy the headers and see that they are those of the frame's gso_type. */
static bool read_headers(struct net_segmenter *s)
{
	const struct virtio_net_hdr *hdr = &s->frame->hdr;
	size_t len = MIN(s->left, NET_HEADERS_MAX);
	unsigned protocol, l4_len;
	uint16_t type = 0;

	peek(s, s->headers, len);
	s->l3 = find_l3(s->headers, len, &type);
	s->l4 = hdr->csum_start;
	protocol = gso_protocol(hdr->gso_type, type);
	if (!s->l3 || !protocol || s->l4 > len ||
	    !l3_is_good(s, type, protocol))
		return false;
	l4_len = l4_length(s, len, protocol);
	s->headers_len = s->l4 + l4_len;
	/* Without payload there is nothing to cut. */
	return l4_len && s->headers_len <= len && s->headers_len < s->left;
}

/*
 * The checksum field has the length of the whole in it; take it out, so that
 * each segment can add its own.
 */
static void unseed_checksum(struct net_segmenter *s)
{
	uint8_t *p = s->headers + s->l4 + s->frame->hdr.csum_offset;
	uint16_t whole = htons((uint16_t)(s->frame->len - s->l4)), seed;

	memcpy(&seed, p, sizeof(seed));
	seed = inet_sum_fold((uint64_t)seed + (uint16_t)~whole);
	memcpy(p, &seed, sizeof(seed));
}

static bool prepare_cut(struct net_segmenter *s)
{
	const struct net_frame *f = s->frame;

	if (!wants_checksum(f) || !f->hdr.gso_size || !read_headers(s))
		return false;
	skip(s, s->headers_len);
	unseed_checksum(s);
	s->payload_max = f->hdr.gso_size;
	s->max = s->headers_len + MIN(s->left, s->payload_max);
	return s->max - s->l3 <= IP_LENGTH_MAX;
}

bool net_segmenter_init(struct net_segmenter *s, const struct net_frame *f)
{
	s->frame = f;
	s->left = s->max = s->payload_max = f->len;
	s->iov = f->iov;
	s->iov_used = 0;
	s->headers_len = 0;
	if (!f->len || f->len > NET_FRAME_MAX)
		return false;
	if (wants_checksum(f) && !checksum_is_inside(f))
		return false;
	return f->hdr.gso_type == VIRTIO_NET_HDR_GSO_NONE || prepare_cut(s);
}

size_t net_segmenter_count(const struct net_segmenter *s, size_t *bytes)
{
	size_t count = (s->left + s->payload_max - 1) / s->payload_max;

	*bytes = count * s->headers_len + s->left;
	return count;
}

static void finish_ip(const struct net_segmenter *s, uint8_t *ip, size_t len)
{
	if (ip[0] >> 4 == 6) {
		put16(ip + IP6_LENGTH_AT, len - IP6_HEADER);
		return;
	}
	put16(ip + IP4_LENGTH_AT, len);
	put16(ip + IP4_CSUM_AT, 0);
	inet_sum_put(ip + IP4_CSUM_AT, inet_sum(ip, s->l4 - s->l3));
}

/* In the headers of the segment after one with @payload bytes. */
static void advance_headers(struct net_segmenter *s, size_t payload)
{
	uint8_t *ip = s->headers + s->l3, *tcp = s->headers + s->l4;
	uint32_t seq;

	if (ip[0] >> 4 == 4)
		put16(ip + IP4_ID_AT, get16(ip + IP4_ID_AT) + 1u);
	if (s->frame->hdr.csum_offset != TCP_CSUM_AT)
		return;
	tcp[TCP_FLAGS_AT] &= (uint8_t)~TCP_CWR;	/* the first one's */
	memcpy(&seq, tcp + TCP_SEQ_AT, sizeof(seq));
	seq = htonl(ntohl(seq) + (uint32_t)payload);
	memcpy(tcp + TCP_SEQ_AT, &seq, sizeof(seq));
}

/* Make what is in @buf, @len bytes, a packet of its own. */
static void finish_headers(const struct net_segmenter *s, uint8_t *buf,
			   size_t len)
{
	size_t l4_len = len - s->l4;
	uint8_t *l4 = buf + s->l4, *csum = l4 + s->frame->hdr.csum_offset;
	uint16_t seed;

	finish_ip(s, buf + s->l3, len - s->l3);
	if (s->frame->hdr.csum_offset == UDP_CSUM_AT)
		put16(l4 + UDP_LENGTH_AT, l4_len);
	else if (s->left)
		l4[TCP_FLAGS_AT] &= (uint8_t)~(TCP_FIN | TCP_PSH);
	memcpy(&seed, csum, sizeof(seed));
	seed = inet_sum_fold((uint64_t)seed + htons((uint16_t)l4_len));
	memcpy(csum, &seed, sizeof(seed));
}

size_t net_segmenter_next(struct net_segmenter *s, uint8_t *buf)
{
	const struct virtio_net_hdr *hdr = &s->frame->hdr;
	size_t payload = MIN(s->left, s->payload_max);
	size_t len = s->headers_len + payload;

	if (!payload)
		return 0;
	memcpy(buf, s->headers, s->headers_len);
	peek(s, buf + s->headers_len, payload);
	skip(s, payload);
	if (s->headers_len) {
		finish_headers(s, buf, len);
		advance_headers(s, payload);
	}
	if (wants_checksum(s->frame))
		inet_sum_put(buf + hdr->csum_start + hdr->csum_offset,
			     inet_sum(buf + hdr->csum_start,
				      len - hdr->csum_start));
	return len;
}
