/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a NIC has counted, as guests ask for it. */
#include <stddef.h>

#include "devices/netvsp/netvsp_internal.h"

#define COUNTER(oid, member)	{ oid, offsetof(struct netvsp, member) }

static const struct {
	uint32_t oid;
	size_t at;
} counters[] = {
	COUNTER(0x00020103, tx_errors),
	COUNTER(0x00020201, tx.bytes[FRAME_DIRECTED]),
	COUNTER(0x00020202, tx.frames[FRAME_DIRECTED]),
	COUNTER(0x00020203, tx.bytes[FRAME_MULTICAST]),
	COUNTER(0x00020204, tx.frames[FRAME_MULTICAST]),
	COUNTER(0x00020205, tx.bytes[FRAME_BROADCAST]),
	COUNTER(0x00020206, tx.frames[FRAME_BROADCAST]),
	COUNTER(0x00020207, rx.bytes[FRAME_DIRECTED]),
	COUNTER(0x00020208, rx.frames[FRAME_DIRECTED]),
	COUNTER(0x00020209, rx.bytes[FRAME_MULTICAST]),
	COUNTER(0x0002020a, rx.frames[FRAME_MULTICAST]),
	COUNTER(0x0002020b, rx.bytes[FRAME_BROADCAST]),
	COUNTER(0x0002020c, rx.frames[FRAME_BROADCAST]),
	COUNTER(0x0002021c, tx_lost),
};

void stats_count(struct counters *c, const uint8_t *to, size_t len)
{
	enum frame_cast cast = frame_cast(to);

	c->frames[cast]++;
	c->bytes[cast] += len;
}

static uint64_t sum(const uint64_t of[FRAME_CASTS])
{
	return of[FRAME_DIRECTED] + of[FRAME_MULTICAST] + of[FRAME_BROADCAST];
}

uint64_t stats_frames(const struct counters *c)
{
	return sum(c->frames);
}

uint64_t stats_bytes(const struct counters *c)
{
	return sum(c->bytes);
}

void stats_list(GByteArray *out)
{
	for (size_t i = 0; i < G_N_ELEMENTS(counters); i++)
		g_byte_array_append(out, (const guint8 *)&counters[i].oid,
				    sizeof(counters[i].oid));
}

bool stats_query(const struct netvsp *nv, uint32_t oid, GByteArray *out)
{
	for (size_t i = 0; i < G_N_ELEMENTS(counters); i++) {
		if (counters[i].oid != oid)
			continue;
		g_byte_array_append(out, (const guint8 *)nv + counters[i].at,
				    sizeof(uint64_t));
		return true;
	}
	return false;
}

/* The same in a different order: what comes and goes, frames and bytes. */
void stats_object(const struct netvsp *nv, struct ndis_statistics *s)
{
	*s = (struct ndis_statistics){
		.header = { NDIS_OBJECT_TYPE_DEFAULT, 1, sizeof(*s) },
		.supported = NDIS_STATISTICS_ALL,
		.in_bytes = stats_bytes(&nv->rx),
		.out_bytes = stats_bytes(&nv->tx),
		.out_errors = nv->tx_errors, .out_discards = nv->tx_lost,
	};
	memcpy(s->in_frames, nv->rx.frames, sizeof(s->in_frames));
	memcpy(s->in_bytes_by_cast, nv->rx.bytes, sizeof(s->in_bytes_by_cast));
	memcpy(s->out_frames, nv->tx.frames, sizeof(s->out_frames));
	memcpy(s->out_bytes_by_cast, nv->tx.bytes,
	       sizeof(s->out_bytes_by_cast));
}
