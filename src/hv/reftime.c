/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reference time, and the page from which a guest computes it.  TLFS 12.4,
 * 12.7.
 *
 * Time is ((TSC * scale) >> 64) + offset: the host's clock is this very
 * formula, so that the page and TIME_REF_COUNT always agree.  Scale and offset
 * never change, so the sequence does not either.
 */
#include <string.h>

#include "hv/hv_internal.h"

#define REF_HZ	10000000u	/* 100 ns units */

/* Not 0, which says "do not use it", nor what it once was, 0xffffffff. */
#define SEQUENCE	1

void reftime_init(struct hv *hv)
{
	uint64_t hz = hv->config.tsc_hz;

	if (!hz)
		return;
	g_assert(hz > REF_HZ);
	hv->tsc_scale = (uint64_t)(((unsigned __int128)REF_HZ << 64) / hz);
	hv->tsc_offset = 0 - hv_tsc_to_ref(hv, hv->config.tsc_start);
}

uint64_t hv_tsc_to_ref(const struct hv *hv, uint64_t tsc)
{
	return (uint64_t)((unsigned __int128)tsc * hv->tsc_scale >> 64) +
	       hv->tsc_offset;
}

uint64_t reftime_now(const struct hv *hv)
{
	return hv->ops->now(hv->host);
}

void reference_tsc_page_write(const struct hv *hv)
{
	const struct hv_reference_tsc_page p = {
		.tsc_sequence = SEQUENCE,
		.tsc_scale = hv->tsc_scale,
		.tsc_offset = (int64_t)hv->tsc_offset,
	};
	uint8_t *page = overlay_memory(hv, PAGE_REFERENCE_TSC);

	memset(page, 0, GMEM_PAGE_SIZE);
	memcpy(page, &p, sizeof(p));
}
