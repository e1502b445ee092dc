/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which VP is which.  HvGetVpIndexFromApicId: TLFS 7.10.4. */
#include <string.h>

#include "hv/hypercall.h"

enum hv_status find_vp(const struct call *c, uint64_t partition_id,
		       uint32_t index, uint32_t *vp)
{
	if (partition_id != HV_PARTITION_ID_SELF)
		return HV_STATUS_INVALID_PARTITION_ID;
	*vp = index == HV_VP_INDEX_SELF ? c->vp->index : index;
	return *vp < c->hv->config.vp_count ? HV_STATUS_SUCCESS :
					      HV_STATUS_INVALID_VP_INDEX;
}

enum hv_status get_vp_index(struct call *c)
{
	const struct hv_input_get_vp_index *in = c->input;
	uint32_t id;

	if (in->partition_id != HV_PARTITION_ID_SELF)
		return HV_STATUS_ACCESS_DENIED;
	if (!is_own_vtl(in->target_vtl))
		return HV_STATUS_INVALID_PARAMETER;
	for (size_t i = 0; i < sizeof(in->rsvdz); i++)
		if (in->rsvdz[i])
			return HV_STATUS_INVALID_PARAMETER;
	/* struct hv_config: APIC ids are VP indexes. */
	memcpy(&id, c->element, sizeof(id));
	if (id >= c->hv->config.vp_count)
		return HV_STATUS_INVALID_PARAMETER;
	memcpy(c->result, &id, sizeof(id));
	return HV_STATUS_SUCCESS;
}
