/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <glib.h>
#include <netinet/in.h>
#include <string.h>

#include "backends/net_copy.h"
#include "backends/net_merge.h"
#include "core/bytes.h"
#include "core/inet_sum.h"

#define ETH_LEN		14
#define ETH_TYPE_AT	12
#define ETH_TYPE_IP4	0x0800
#define ETH_TYPE_IP6	0x86dd

#define MERGED_MAX	(ETH_LEN + 65535u)	/* as IPv4 can say */
#define IP4_LEN		20
#define IP4_LENGTH_AT	2
#define IP4_ID_AT	4
#define IP4_FRAGMENT_AT	6
#define IP4_FRAGMENT	0x3fff	/* an offset, or more to come */
#define IP4_PROTOCOL_AT	9
#define IP4_CSUM_AT	10
#define IP4_ADDRESS_AT	12
#define IP6_LEN		40
#define IP6_LENGTH_AT	4
#define IP6_NEXT_AT	6
#define IP6_ADDRESS_AT	8

#define TCP_LEN		20
#define TCP_SEQ_AT	4
#define TCP_DOFF_AT	12
#define TCP_FLAGS_AT	13
#define TCP_CSUM_AT	16
#define TCP_PSH		0x08
#define TCP_ACK		0x10

static bool is_tcp4(const uint8_t *frame, size_t len)
{
	const uint8_t *ip = frame + ETH_LEN;

	return len > ETH_LEN + IP4_LEN + TCP_LEN &&
	       get16(frame + ETH_TYPE_AT) == ETH_TYPE_IP4 && ip[0] == 0x45 &&
	       get16(ip + IP4_LENGTH_AT) == len - ETH_LEN &&
	       !(get16(ip + IP4_FRAGMENT_AT) & IP4_FRAGMENT) &&
	       ip[IP4_PROTOCOL_AT] == IPPROTO_TCP;
}

static bool is_tcp6(const uint8_t *frame, size_t len)
{
	const uint8_t *ip = frame + ETH_LEN;

	return len > ETH_LEN + IP6_LEN + TCP_LEN &&
	       get16(frame + ETH_TYPE_AT) == ETH_TYPE_IP6 && ip[0] >> 4 == 6 &&
	       get16(ip + IP6_LENGTH_AT) == len - ETH_LEN - IP6_LEN &&
	       ip[IP6_NEXT_AT] == IPPROTO_TCP;
}

/* Length of the headers of a segment that can be a part of more, or 0. */
static size_t headers_of(const uint8_t *frame, size_t len, unsigned offloads)
{
	const uint8_t *tcp;
	size_t l4;

	if (offloads & NET_OFFLOAD_TSO4 && is_tcp4(frame, len))
		l4 = ETH_LEN + IP4_LEN;
	else if (offloads & NET_OFFLOAD_TSO6 && is_tcp6(frame, len))
		l4 = ETH_LEN + IP6_LEN;
	else
		return 0;
	tcp = frame + l4;
	if (tcp[TCP_DOFF_AT] >> 4 != TCP_LEN / 4 ||
	    (tcp[TCP_FLAGS_AT] & ~TCP_PSH) != TCP_ACK)
		return 0;
	return l4 + TCP_LEN;
}

void net_merge_begin(struct net_merge *m, const uint8_t *frame, size_t len,
		     unsigned offloads)
{
	m->headers_len = headers_of(frame, len, offloads);
	m->len = len;
	m->count = 1;
	if (!m->headers_len)
		return;
	memcpy(m->headers, frame, m->headers_len);
	m->segment = len - m->headers_len;
	m->next = get32(frame + m->headers_len - TCP_LEN + TCP_SEQ_AT) +
		  (uint32_t)m->segment;
}

/* With what differs from segment to segment taken from @m's. */
static bool is_alike(const struct net_merge *m, const uint8_t *frame)
{
	uint8_t headers[NET_MERGE_HEADERS];
	uint8_t *ip = headers + ETH_LEN;
	uint8_t *tcp = headers + m->headers_len - TCP_LEN;
	const uint8_t *our_ip = m->headers + ETH_LEN;
	const uint8_t *our_tcp = m->headers + m->headers_len - TCP_LEN;

	memcpy(headers, frame, m->headers_len);
	if (tcp - ip == IP4_LEN) {
		memcpy(ip + IP4_LENGTH_AT, our_ip + IP4_LENGTH_AT, 4);
		memcpy(ip + IP4_CSUM_AT, our_ip + IP4_CSUM_AT, 2);
	} else {
		memcpy(ip + IP6_LENGTH_AT, our_ip + IP6_LENGTH_AT, 2);
	}
	memcpy(tcp + TCP_SEQ_AT, our_tcp + TCP_SEQ_AT, 4);
	tcp[TCP_FLAGS_AT] = our_tcp[TCP_FLAGS_AT];
	memcpy(tcp + TCP_CSUM_AT, our_tcp + TCP_CSUM_AT, 2);
	return !memcmp(headers, m->headers, m->headers_len);
}

bool net_merge_add(struct net_merge *m, const uint8_t *frame, size_t len)
{
	const uint8_t *tcp;
	size_t payload;

	/* One that is shorter, or longer, than the first ends it. */
	if (!m->headers_len ||
	    m->len - m->headers_len != m->count * m->segment ||
	    headers_of(frame, len, NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6) !=
		    m->headers_len)
		return false;
	tcp = frame + m->headers_len - TCP_LEN;
	payload = len - m->headers_len;
	if (payload > m->segment || m->len + payload > MERGED_MAX ||
	    get32(tcp + TCP_SEQ_AT) != m->next || !is_alike(m, frame))
		return false;
	m->headers[m->headers_len - TCP_LEN + TCP_FLAGS_AT] |=
		tcp[TCP_FLAGS_AT];
	m->len += payload;
	m->count++;
	m->next += (uint32_t)payload;
	return true;
}

static void finish_ip(struct net_merge *m)
{
	uint8_t *ip = m->headers + ETH_LEN;

	if (ip[0] >> 4 == 6) {
		put16(ip + IP6_LENGTH_AT, m->len - ETH_LEN - IP6_LEN);
		return;
	}
	put16(ip + IP4_LENGTH_AT, m->len - ETH_LEN);
	put16(ip + IP4_CSUM_AT, 0);
	inet_sum_put(ip + IP4_CSUM_AT, inet_sum(ip, IP4_LEN));
}

/* The sum of the pseudo header: what else is in the sum is left to do. */
static void begin_checksum(struct net_merge *m, size_t l4)
{
	const uint8_t *ip = m->headers + ETH_LEN;
	uint64_t sum = ip[0] >> 4 == 6 ? inet_sum(ip + IP6_ADDRESS_AT, 32) :
					 inet_sum(ip + IP4_ADDRESS_AT, 8);
	uint16_t seed;

	sum += htons(IPPROTO_TCP);
	sum += htons((uint16_t)(m->len - l4));
	seed = inet_sum_fold(sum);
	memcpy(m->headers + l4 + TCP_CSUM_AT, &seed, sizeof(seed));
}

void net_merge_finish(struct net_merge *m, struct virtio_net_hdr *hdr)
{
	size_t l4 = m->headers_len - TCP_LEN;

	finish_ip(m);
	begin_checksum(m, l4);
	*hdr = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = l4 == ETH_LEN + IP4_LEN ? VIRTIO_NET_HDR_GSO_TCPV4 :
						      VIRTIO_NET_HDR_GSO_TCPV6,
		.hdr_len = (uint16_t)m->headers_len,
		.gso_size = (uint16_t)m->segment,
		.csum_start = (uint16_t)l4,
		.csum_offset = TCP_CSUM_AT,
	};
}

/* Where the next bytes go. */
struct room {
	const struct iovec *iov;
	int left;		/* of them */
	size_t used;		/* bytes of the first */
};

static void put(struct room *r, const uint8_t *bytes, size_t len)
{
	while (len && r->left) {
		size_t n = MIN(r->iov->iov_len - r->used, len);

		memcpy((uint8_t *)r->iov->iov_base + r->used, bytes, n);
		bytes += n;
		len -= n;
		r->used += n;
		if (r->used == r->iov->iov_len) {
			r->iov++;
			r->left--;
			r->used = 0;
		}
	}
}

static void take_more(struct net_merge *m, struct net_queue *q, struct room *r,
		      size_t size)
{
	const uint8_t *bytes;
	size_t len;

	while ((bytes = net_queue_peek(q, &len)) && m->len + len <= size &&
	       net_merge_add(m, bytes, len)) {
		put(r, bytes + m->headers_len, len - m->headers_len);
		net_queue_pop(q, &len);
	}
}

bool net_merge_take(struct net_queue *q, unsigned offloads,
		    struct net_frame *frame)
{
	const struct room start = { frame->iov, frame->iovcnt, 0 };
	struct room headers = start, r = start;
	size_t len, size = net_room(frame);
	const uint8_t *bytes = net_queue_pop(q, &len);
	struct net_merge m;

	if (!bytes || len > size)
		return false;
	net_merge_begin(&m, bytes, len, offloads);
	put(&r, bytes, len);
	take_more(&m, q, &r, size);
	frame->len = m.len;
	frame->hdr = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_DATA_VALID };
	if (m.count > 1) {
		net_merge_finish(&m, &frame->hdr);
		put(&headers, m.headers, m.headers_len);
	}
	return true;
}
