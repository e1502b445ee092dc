/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HvSendSyntheticClusterIpi: a fixed interrupt for many VPs at once.  TLFS
 * 10.5.2, 10.5.3.
 */
#include "hv/hypercall.h"

/* What both forms begin with. */
static bool is_valid(const struct hv_input_send_ipi *in)
{
	return in->vector >= HV_IPI_LOW_VECTOR &&
	       in->vector <= HV_IPI_HIGH_VECTOR &&
	       is_own_vtl(in->target_vtl) &&
	       !(in->rsvdz[0] | in->rsvdz[1] | in->rsvdz[2]);
}

static enum hv_status send(const struct call *c, uint64_t vps)
{
	const struct hv_input_send_ipi *in = c->input;

	for (; vps; vps &= vps - 1)
		c->hv->ops->interrupt(c->hv->host,
				      (uint32_t)__builtin_ctzll(vps),
				      (uint8_t)in->vector);
	return HV_STATUS_SUCCESS;
}

enum hv_status send_ipi(struct call *c)
{
	const struct hv_input_send_ipi *in = c->input;

	if (!is_valid(in))
		return HV_STATUS_INVALID_PARAMETER;
	return send(c, vps_of_mask(c->hv, in->processor_mask));
}

enum hv_status send_ipi_ex(struct call *c)
{
	const struct hv_input_send_ipi_ex *in = c->input;
	enum hv_status status;
	uint64_t vps;

	if (!is_valid(c->input))
		return HV_STATUS_INVALID_PARAMETER;
	status = vps_of_set(c, &in->vpset, &vps);
	return status ?: send(c, vps);
}
