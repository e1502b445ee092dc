/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_sum - the Internet checksum.
 *
 * Sums are kept in the host's byte order, in which a one's complement sum is
 * right as well (RFC 1071, 2 (B)).
 */
#ifndef BACKENDS_NET_SUM_H
#define BACKENDS_NET_SUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* What is odd counts as if a zero followed. */
static inline uint64_t net_sum(const uint8_t *p, size_t len)
{
	uint64_t sum = 0;
	uint32_t word;
	uint16_t half = 0;

	for (; len >= sizeof(word); len -= sizeof(word), p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		sum += word;
	}
	if (len & 2) {
		memcpy(&half, p, sizeof(half));
		sum += half;
		p += sizeof(half);
	}
	if (len & 1) {
		half = 0;
		memcpy(&half, p, 1);
		sum += half;
	}
	return sum;
}

static inline uint16_t net_sum_fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* The checksum, as it is stored.  Never 0, by which UDP means none. */
static inline void net_sum_put(uint8_t *p, uint64_t sum)
{
	uint16_t csum = (uint16_t)~net_sum_fold(sum);

	if (!csum)
		csum = 0xffff;
	memcpy(p, &csum, sizeof(csum));
}

#endif
