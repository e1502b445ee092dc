/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The channel that a flow was last sent on.
 *
 * Guests choose it by a hash of their own, so the answers of a flow come, by the
 * table for receiving, on another channel and so to another processor; each has
 * an interrupt then, for the answer and for what was sent.  A table that merely
 * takes all channels in turn does not care: there answers go to where the
 * question came from, as on NICs that look at what is sent (Intel's ATR).
 *
 * Two flows may share an entry: then one of them has the other's channel.  And
 * lines share the entries, as atomics: who is late misses a frame or two.
 */
#include <netinet/in.h>

#include "devices/netvsp/netvsp_internal.h"

#define MULTIPLIER	0x9e3779b1u	/* 2^32 by the golden ratio */

/* The sum of two numbers is the same in both directions. */
static uint32_t sum_at(const struct frame_header *h, size_t a, size_t b)
{
	uint32_t x, y;

	memcpy(&x, h->bytes + a, sizeof(x));
	memcpy(&y, h->bytes + b, sizeof(y));
	return x + y;
}

static uint32_t sum_of_ports(const struct frame_header *h)
{
	uint16_t x, y;

	memcpy(&x, h->bytes + h->l4, sizeof(x));
	memcpy(&y, h->bytes + h->l4 + sizeof(x), sizeof(y));
	return (uint32_t)x + y;
}

static uint8_t *entry_of(struct netvsp *nv, const struct frame_header *h)
{
	size_t size = h->ip_version == 4 ? 4 : 16;
	size_t at = h->l3 + (h->ip_version == 4 ? 12u : 8u);
	uint32_t mix = h->protocol;

	if (!h->l4 || h->l4 + 4u > h->len ||
	    (h->protocol != IPPROTO_TCP && h->protocol != IPPROTO_UDP))
		return NULL;
	for (size_t i = 0; i < size; i += sizeof(mix))
		mix = mix * MULTIPLIER + sum_at(h, at + i, at + size + i);
	mix = (mix * MULTIPLIER + sum_of_ports(h)) * MULTIPLIER;
	return &nv->flow[mix >> (32 - FLOW_BITS)];
}

void flow_sent(struct queue *q, const struct frame_header *h)
{
	uint8_t *entry = q->nv->rss.in_turn ? entry_of(q->nv, h) : NULL;
	uint8_t mine = (uint8_t)(q->index + 1);

	/* As a rule it is that already: leave it in the others' caches. */
	if (entry && __atomic_load_n(entry, __ATOMIC_RELAXED) != mine)
		__atomic_store_n(entry, mine, __ATOMIC_RELAXED);
}

struct queue *flow_queue(struct netvsp *nv, const struct frame_header *h)
{
	const uint8_t *entry = nv->rss.in_turn ? entry_of(nv, h) : NULL;
	uint8_t last = entry ? __atomic_load_n(entry, __ATOMIC_RELAXED) : 0;

	return last ? nv->queue[last - 1] : NULL;
}
