/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Receive-side scaling: the hash of a frame's addresses and ports chooses an
 * entry of the guest's table, and that a channel.
 */
#include <netinet/in.h>

#include "devices/netvsp/netvsp_internal.h"

uint32_t rss_toeplitz(const uint8_t *key, const uint8_t *input, size_t len)
{
	uint32_t window = (uint32_t)key[0] << 24 | key[1] << 16 | key[2] << 8 |
			  key[3];
	uint32_t hash = 0;

	for (size_t i = 0; i < len; i++) {
		uint8_t next = i + 4 < NDIS_RSS_KEY_SIZE ? key[i + 4] : 0;

		for (int bit = 7; bit >= 0; bit--) {
			if (input[i] >> bit & 1)
				hash ^= window;
			window = window << 1 | (next >> bit & 1);
		}
	}
	return hash;
}

/* Addresses, and ports where the guest wants them in.  Its length, or 0. */
static size_t hash_input(const struct rss *rss, const struct frame_header *h,
			 uint8_t input[36])
{
	bool v4 = h->ip_version == 4;
	uint32_t with_ports = v4 ? NDIS_HASH_TCP_IPV4 : NDIS_HASH_TCP_IPV6;
	uint32_t without = v4 ? NDIS_HASH_IPV4 : NDIS_HASH_IPV6;
	size_t len = v4 ? 8 : 32;

	if (!h->ip_version)
		return 0;
	memcpy(input, h->bytes + h->l3 + (v4 ? 12 : 8), len);
	if (rss->hash_info & with_ports && h->l4 &&
	    h->protocol == IPPROTO_TCP && h->l4 + 4u <= h->len) {
		memcpy(input + len, h->bytes + h->l4, 4);
		return len + 4;
	}
	return rss->hash_info & without ? len : 0;
}

struct queue *rss_queue(struct netvsp *nv, const struct frame_header *h,
			uint32_t *hash)
{
	const struct rss *rss = &nv->rss;
	uint8_t input[36];
	struct queue *q;
	size_t len;

	*hash = 0;
	if (!rss->on)
		return primary(nv);
	len = hash_input(rss, h, input);
	if (!len)
		return primary(nv);
	*hash = rss_toeplitz(rss->key, input, len);
	q = flow_queue(nv, h) ?: nv->queue[rss->table[*hash % rss->entries]];
	return q ?: primary(nv);
}

/* The part of @all that an object's fields name. */
static bool part_of(struct reader all, uint32_t off, uint32_t len,
		    struct reader *part)
{
	struct reader skipped;

	return reader_split(&all, off, &skipped) &&
	       reader_split(&all, len, part);
}

/* As drivers fill it, before anybody has wishes of his own. */
static bool is_in_turn(const struct rss *rss, unsigned channels)
{
	for (unsigned i = 0; i < rss->entries; i++)
		if (rss->table[i] != i % channels)
			return false;
	return true;
}

static bool read_table(struct netvsp *nv, struct reader r, struct rss *rss)
{
	uint32_t entry;

	rss->entries = (uint16_t)(r.left / sizeof(entry));
	if (!rss->entries || rss->entries > NDIS_RSS_TABLE_ENTRIES)
		return false;
	for (unsigned i = 0; i < rss->entries; i++) {
		if (!READ(&r, &entry) || entry > nv->subchannels)
			return false;
		rss->table[i] = (uint8_t)entry;
	}
	rss->in_turn = is_in_turn(rss, nv->subchannels + 1);
	return true;
}

enum rndis_status rss_set(struct netvsp *nv, struct reader in)
{
	struct reader all = in, part;
	struct ndis_rss_parameters p;
	struct rss rss = nv->rss;

	if (!READ(&in, &p))
		return RNDIS_STATUS_BUFFER_TOO_SHORT;
	if (p.flags & NDIS_RSS_DISABLE || !p.hash_info) {
		nv->rss.on = false;
		return RNDIS_STATUS_SUCCESS;
	}
	if (!(p.flags & NDIS_RSS_KEY_UNCHANGED)) {
		if (p.key_size != sizeof(rss.key) ||
		    !part_of(all, p.key_offset, p.key_size, &part))
			return RNDIS_STATUS_INVALID_DATA;
		reader_copy(&part, rss.key, sizeof(rss.key));
	}
	if (!(p.flags & NDIS_RSS_TABLE_UNCHANGED) &&
	    (!part_of(all, p.table_offset, p.table_size, &part) ||
	     !read_table(nv, part, &rss)))
		return RNDIS_STATUS_INVALID_DATA;
	if (!rss.entries)
		return RNDIS_STATUS_INVALID_DATA;
	rss.on = true;
	rss.hash_info = p.hash_info;
	nv->rss = rss;
	return RNDIS_STATUS_SUCCESS;
}
