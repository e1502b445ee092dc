/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a NIC has counted, as guests ask for it. */
#include <stddef.h>

#include "devices/netvsp/netvsp_internal.h"

#define COUNTER(oid, member)	{ oid, offsetof(struct stats, member) }

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

static void add(struct counters *to, const struct counters *c)
{
	for (unsigned i = 0; i < FRAME_CASTS; i++) {
		to->frames[i] += c->frames[i];
		to->bytes[i] += c->bytes[i];
	}
}

struct stats stats_sum(const struct netvsp *nv)
{
	struct stats all = { 0 };

	for (unsigned i = 0; i < nv->lines; i++) {
		const struct stats *s = &nv->line[i]->stats;

		add(&all.rx, &s->rx);
		add(&all.tx, &s->tx);
		all.tx_errors += s->tx_errors;
		all.tx_lost += s->tx_lost;
	}
	return all;
}

bool stats_query(const struct netvsp *nv, uint32_t oid, GByteArray *out)
{
	const struct stats all = stats_sum(nv);

	for (size_t i = 0; i < G_N_ELEMENTS(counters); i++) {
		if (counters[i].oid != oid)
			continue;
		g_byte_array_append(out, (const guint8 *)&all + counters[i].at,
				    sizeof(uint64_t));
		return true;
	}
	return false;
}

/* The same in a different order: what comes and goes, frames and bytes. */
void stats_object(const struct netvsp *nv, struct ndis_statistics *s)
{
	const struct stats all = stats_sum(nv);

	*s = (struct ndis_statistics){
		.header = { NDIS_OBJECT_TYPE_DEFAULT, 1, sizeof(*s) },
		.supported = NDIS_STATISTICS_ALL,
		.in_bytes = stats_bytes(&all.rx),
		.out_bytes = stats_bytes(&all.tx),
		.out_errors = all.tx_errors, .out_discards = all.tx_lost,
	};
	memcpy(s->in_frames, all.rx.frames, sizeof(s->in_frames));
	memcpy(s->in_bytes_by_cast, all.rx.bytes, sizeof(s->in_bytes_by_cast));
	memcpy(s->out_frames, all.tx.frames, sizeof(s->out_frames));
	memcpy(s->out_bytes_by_cast, all.tx.bytes,
	       sizeof(s->out_bytes_by_cast));
}
