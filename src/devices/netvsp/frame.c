/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>
#include <string.h>

#include <glib.h>

#include "core/bytes.h"
#include "core/inet_sum.h"
#include "devices/netvsp/frame.h"

#define ETH_SIZE	14
#define VLAN_SIZE	4
#define ETH_P_VLAN	0x8100
#define ETH_P_IPV4	0x0800
#define ETH_P_IPV6	0x86dd
#define IPV6_SIZE	40

enum frame_cast frame_cast(const uint8_t *to)
{
	static const uint8_t all[6] = { 255, 255, 255, 255, 255, 255 };

	if (!(to[0] & 1))
		return FRAME_DIRECTED;
	return memcmp(to, all, sizeof(all)) ? FRAME_MULTICAST : FRAME_BROADCAST;
}

static bool has(const struct frame_header *h, size_t off, size_t len)
{
	return off + len <= h->len;
}

static void parse_ipv4(struct frame_header *h)
{
	const uint8_t *ip = h->bytes + h->l3;
	unsigned size;

	if (!has(h, h->l3, 20) || ip[0] >> 4 != 4)
		return;
	size = (ip[0] & 15) * 4u;
	if (size < 20 || !has(h, h->l3, size))
		return;
	h->ip_version = 4;
	if (get16(ip + 6) & 0x1fff)
		return;
	h->protocol = ip[9];
	h->l4 = (uint16_t)(h->l3 + size);
}

/* Skip the extension headers that a first fragment may have. */
static void parse_ipv6(struct frame_header *h)
{
	const uint8_t *ip = h->bytes + h->l3;
	size_t at = h->l3 + IPV6_SIZE;
	uint8_t next;

	if (!has(h, h->l3, IPV6_SIZE) || ip[0] >> 4 != 6)
		return;
	h->ip_version = 6;
	next = ip[6];
	while (next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING ||
	       next == IPPROTO_DSTOPTS) {
		if (!has(h, at, 8))
			return;
		next = h->bytes[at];
		at += (h->bytes[at + 1] + 1u) * 8;
	}
	if (next == IPPROTO_FRAGMENT || !has(h, at, 1))
		return;
	h->protocol = next;
	h->l4 = (uint16_t)at;
}

void frame_parse(struct frame_header *h)
{
	size_t at = ETH_SIZE;
	uint16_t type;

	h->l3 = h->l4 = 0;
	h->ip_version = h->protocol = 0;
	h->tagged = false;
	if (!has(h, 0, ETH_SIZE))
		return;
	type = get16(h->bytes + 12);
	if (type == ETH_P_VLAN && has(h, ETH_SIZE, VLAN_SIZE)) {
		h->tagged = true;
		type = get16(h->bytes + 16);
		at += VLAN_SIZE;
	}
	h->l3 = (uint16_t)at;
	if (type == ETH_P_IPV4)
		parse_ipv4(h);
	else if (type == ETH_P_IPV6)
		parse_ipv6(h);
	if (!h->ip_version)
		h->l3 = 0;
}

size_t frame_size(const struct iovec *iov, int iovcnt)
{
	size_t size = 0;

	for (int i = 0; i < iovcnt; i++)
		size += iov[i].iov_len;
	return size;
}

int frame_slice(const struct iovec *iov, int iovcnt, size_t off, size_t len,
		struct iovec *out, int used, int max)
{
	for (int i = 0; i < iovcnt && len; i++) {
		size_t n;

		if (off >= iov[i].iov_len) {
			off -= iov[i].iov_len;
			continue;
		}
		if (used == max)
			return -1;
		n = MIN(iov[i].iov_len - off, len);
		out[used++] = (struct iovec){
			(uint8_t *)iov[i].iov_base + off, n
		};
		len -= n;
		off = 0;
	}
	return len ? -1 : used;
}

/* Step through [off, off + len), which @iov has, piece by piece. */
struct walk {
	const struct iovec *iov;
	size_t off, left;
};

static struct iovec step(struct walk *w)
{
	struct iovec piece = { NULL, 0 };

	if (!w->left)
		return piece;
	while (w->off >= w->iov->iov_len)
		w->off -= w->iov++->iov_len;
	piece.iov_base = (uint8_t *)w->iov->iov_base + w->off;
	piece.iov_len = MIN(w->iov->iov_len - w->off, w->left);
	w->left -= piece.iov_len;
	w->off += piece.iov_len;
	return piece;
}

static bool covers(const struct iovec *iov, int iovcnt, size_t off, size_t len)
{
	size_t size = frame_size(iov, iovcnt);

	return off <= size && len <= size - off;
}

bool frame_read(const struct iovec *iov, int iovcnt, size_t off, void *dst,
		size_t len)
{
	struct walk w = { iov, off, len };
	struct iovec piece;

	if (!covers(iov, iovcnt, off, len))
		return false;
	while ((piece = step(&w)).iov_len) {
		memcpy(dst, piece.iov_base, piece.iov_len);
		dst = (uint8_t *)dst + piece.iov_len;
	}
	return true;
}

bool frame_write(const struct iovec *iov, int iovcnt, size_t off,
		 const void *src, size_t len)
{
	struct walk w = { iov, off, len };
	struct iovec piece;

	if (!covers(iov, iovcnt, off, len))
		return false;
	while ((piece = step(&w)).iov_len) {
		memcpy(piece.iov_base, src, piece.iov_len);
		src = (const uint8_t *)src + piece.iov_len;
	}
	return true;
}

uint64_t frame_sum(const struct iovec *iov, int iovcnt, size_t off, size_t len)
{
	struct walk w = { iov, off, len };
	struct iovec piece;
	uint64_t sum = 0;
	bool odd = false;

	if (!covers(iov, iovcnt, off, len))
		return 0;
	while ((piece = step(&w)).iov_len) {
		uint16_t part = inet_sum_fold(
			inet_sum(piece.iov_base, piece.iov_len));

		sum += odd ? GUINT16_SWAP_LE_BE(part) : part;
		odd ^= piece.iov_len & 1;
	}
	return sum;
}

uint16_t frame_fold(uint64_t sum)
{
	return (uint16_t)~inet_sum_fold(sum);
}

uint64_t frame_pseudo_sum(const struct frame_header *h, uint32_t len)
{
	const uint8_t *ip = h->bytes + h->l3;
	const uint8_t tail[8] = {
		(uint8_t)(len >> 24), (uint8_t)(len >> 16),
		(uint8_t)(len >> 8), (uint8_t)len, 0, 0, 0, h->protocol,
	};
	uint64_t sum = inet_sum(tail, sizeof(tail));

	return sum + (h->ip_version == 4 ? inet_sum(ip + 12, 8) :
					   inet_sum(ip + 8, 32));
}
