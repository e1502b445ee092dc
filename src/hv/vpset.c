/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sets of VPs, as calls name them: a mask of the first 64, or banks of 64 with
 * a mask of those that are there.  TLFS 7.8.7.3.
 */
#include <string.h>

#include "hv/hypercall.h"

#define BANK_SIZE	64
static_assert(HV_VP_MAX <= BANK_SIZE, "all VPs are in bank 0");

uint64_t vps_all(const struct hv *hv)
{
	return UINT64_MAX >> (BANK_SIZE - hv->config.vp_count);
}

uint64_t vps_of_mask(const struct hv *hv, uint64_t mask)
{
	return mask & vps_all(hv);
}

/* A bank for each bit of the mask, or we would take something else for one. */
static bool has_its_banks(const struct call *c, uint64_t valid_bank_mask)
{
	return c->header_size ==
	       (size_t)__builtin_popcountll(valid_bank_mask) * sizeof(uint64_t);
}

enum hv_status vps_of_set(const struct call *c, const struct hv_vpset *set,
			  uint64_t *vps)
{
	const struct hv_vpset s = *set;
	uint64_t bank = 0;

	switch (s.format) {
	case HV_GENERIC_SET_ALL:
		*vps = vps_all(c->hv);
		return HV_STATUS_SUCCESS;
	case HV_GENERIC_SET_SPARSE_4K:
		break;
	default:
		return HV_STATUS_INVALID_PARAMETER;
	}
	if (!has_its_banks(c, s.valid_bank_mask))
		return HV_STATUS_INVALID_HYPERCALL_INPUT;
	/* Banks come in order: if bank 0 is there, it is the first. */
	if (s.valid_bank_mask & 1)
		memcpy(&bank, set + 1, sizeof(bank));
	*vps = vps_of_mask(c->hv, bank);
	return HV_STATUS_SUCCESS;
}
