/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HvFlushVirtualAddressSpace and List.  TLFS 9.4.2 to 9.4.5.
 *
 * Which addresses of which space are meant does not matter: more may be
 * flushed than the guest asked for, and all is what a host can flush.
 */
#include "hv/hypercall.h"
#include "hv/x86.h"

#define LIST_FLAGS	(HV_FLUSH_ALL_PROCESSORS |			\
			 HV_FLUSH_ALL_VIRTUAL_ADDRESS_SPACES)
#define SPACE_FLAGS	(LIST_FLAGS | HV_FLUSH_NON_GLOBAL_MAPPINGS_ONLY)

/* A mask of nobody is an error of the guest's, unlike a set of nobody. */
static enum hv_status by_mask(const struct call *c, uint64_t *vps)
{
	const struct hv_input_flush *in = c->input;

	*vps = vps_of_mask(c->hv, in->processor_mask);
	return in->processor_mask ? HV_STATUS_SUCCESS :
				    HV_STATUS_INVALID_PARAMETER;
}

static enum hv_status by_set(const struct call *c, uint64_t *vps)
{
	const struct hv_input_flush_ex *in = c->input;

	return vps_of_set(c, &in->vpset, vps);
}

/* Both forms begin alike.  A list is done at once, whatever is in it. */
static enum hv_status flush(struct call *c, uint64_t known,
			    enum hv_status (*by)(const struct call *c,
						 uint64_t *vps))
{
	const struct hv_input_flush *in = c->input;
	enum hv_status status = HV_STATUS_SUCCESS;
	uint64_t vps = vps_all(c->hv);

	if (in->flags & ~known ||
	    (!(in->flags & HV_FLUSH_ALL_VIRTUAL_ADDRESS_SPACES) &&
	     in->address_space & CR3_RSVD))
		return HV_STATUS_INVALID_PARAMETER;
	if (!(in->flags & HV_FLUSH_ALL_PROCESSORS))
		status = by(c, &vps);
	if (status)
		return status;
	if (vps)
		c->hv->ops->flush_tlb(c->hv->host, c->vp->index, vps);
	if (c->count)
		c->rep = c->count - 1;
	return HV_STATUS_SUCCESS;
}

enum hv_status flush_space(struct call *c)
{
	return flush(c, SPACE_FLAGS, by_mask);
}

enum hv_status flush_space_ex(struct call *c)
{
	return flush(c, SPACE_FLAGS, by_set);
}

enum hv_status flush_list(struct call *c)
{
	return flush(c, LIST_FLAGS, by_mask);
}

enum hv_status flush_list_ex(struct call *c)
{
	return flush(c, LIST_FLAGS, by_set);
}
