/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inet_sum - the Internet checksum.
 *
 * Sums are kept in the host's byte order, in which a one's complement sum is
 * right as well (RFC 1071, 2 (B)).
 */
#ifndef CORE_INET_SUM_H
#define CORE_INET_SUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* What is odd counts as if a zero followed. */
static inline uint64_t inet_sum(const uint8_t *p, size_t len)
{
	uint64_t sum = 0, word;

	for (; len >= sizeof(word); len -= sizeof(word), p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		sum += (word >> 32) + (uint32_t)word;
	}
	word = 0;
	memcpy(&word, p, len);
	return sum + (word >> 32) + (uint32_t)word;
}

static inline uint16_t inet_sum_fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* The checksum, as it is stored.  Never 0, by which UDP means none. */
static inline void inet_sum_put(uint8_t *p, uint64_t sum)
{
	uint16_t csum = (uint16_t)~inet_sum_fold(sum);

	if (!csum)
		csum = 0xffff;
	memcpy(p, &csum, sizeof(csum));
}

#endif
