/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "vmbus/gpadl.h"
#include "vmbus/proto.h"

int gpadl_new(uint32_t id, uint32_t relid, uint16_t range_buflen,
	      uint16_t rangecount, struct reader *rest, struct gpadl **out)
{
	uint32_t words = range_buflen / 8u;
	struct gpadl *g;

	/* Each range takes its header and a page at least. */
	if (!rangecount || range_buflen % 8 || rangecount > words / 2)
		return -EPROTO;

	/* range_buflen has 16 bits, so this is 64 KiB at most. */
	g = g_malloc0(sizeof(*g) + words * sizeof(g->buffer[0]));
	g->id = id;
	g->relid = relid;
	g->words = words;
	g->ranges = rangecount;
	gpadl_append(g, rest);
	*out = g;
	return 0;
}

void gpadl_free(struct gpadl *g)
{
	g_free(g);
}

void gpadl_append(struct gpadl *g, struct reader *rest)
{
	while (g->words_seen < g->words &&
	       READ(rest, &g->buffer[g->words_seen]))
		g->words_seen++;
}

static struct gpa_range range_at(const struct gpadl *g, uint32_t word)
{
	struct gpa_range r;

	memcpy(&r, &g->buffer[word], sizeof(r));
	return r;
}

static uint64_t pages_of(const struct gpa_range *r)
{
	return ((uint64_t)r->byte_offset + r->byte_count + GMEM_PAGE_SIZE - 1) /
	       GMEM_PAGE_SIZE;
}

static bool is_ram(const struct gmem *gm, uint64_t pfn)
{
	return pfn <= UINT64_MAX / GMEM_PAGE_SIZE &&
	       gmem_ptr(gm, pfn * GMEM_PAGE_SIZE, GMEM_PAGE_SIZE);
}

int gpadl_check(const struct gpadl *g, const struct gmem *gm)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < g->ranges; i++) {
		struct gpa_range r;
		uint64_t pages;

		if (at >= g->words)
			return -EPROTO;
		r = range_at(g, at++);
		pages = pages_of(&r);
		if (!r.byte_count || r.byte_offset >= GMEM_PAGE_SIZE ||
		    pages > g->words - at)
			return -EPROTO;
		for (; pages; pages--)
			if (!is_ram(gm, g->buffer[at++]))
				return -EFAULT;
	}
	return 0;
}

const uint64_t *gpadl_ring_pfns(const struct gpadl *g, uint32_t *pages)
{
	struct gpa_range r = range_at(g, 0);

	if (!g->complete || g->ranges != 1 || r.byte_offset ||
	    r.byte_count % GMEM_PAGE_SIZE)
		return NULL;
	*pages = (uint32_t)pages_of(&r);
	return &g->buffer[1];
}
