/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HvStartVirtualProcessor: a VP that waits for SIPI starts in a context of the
 * caller's.  TLFS 7.10.3.
 */
#include <errno.h>

#include "hv/hypercall.h"
#include "hv/x86.h"

#define TYPE_CODE	8u
#define TYPE_WRITABLE	2u
#define TYPE_LDT	2u
#define TYPE_TSS_16	3u
#define TYPE_TSS	11u

static bool is_present(const struct hv_x64_segment_register *s)
{
	return s->attributes & HV_X64_SEGMENT_PRESENT;
}

static bool is_system(const struct hv_x64_segment_register *s)
{
	return !(s->attributes & HV_X64_SEGMENT_NON_SYSTEM);
}

static unsigned type(const struct hv_x64_segment_register *s)
{
	return HV_X64_SEGMENT_TYPE(s->attributes);
}

/* A code segment is of one mode. */
static bool cs_is_valid(const struct hv_x64_segment_register *s)
{
	const uint16_t modes = HV_X64_SEGMENT_LONG | HV_X64_SEGMENT_DEFAULT;

	return is_present(s) && segment_is_valid(s) && !is_system(s) &&
	       type(s) & TYPE_CODE && (s->attributes & modes) != modes &&
	       s->base <= UINT32_MAX;
}

static bool ss_is_valid(const struct hv_x64_segment_register *s,
			const struct hv_x64_segment_register *cs)
{
	if (HV_X64_SEGMENT_DPL(s->attributes) !=
	    HV_X64_SEGMENT_DPL(cs->attributes))
		return false;
	return !is_present(s) ||
	       (segment_is_valid(s) && !is_system(s) &&
		!(type(s) & TYPE_CODE) && type(s) & TYPE_WRITABLE);
}

static bool data_is_valid(const struct hv_x64_segment_register *s)
{
	return !is_present(s) || (segment_is_valid(s) && !is_system(s));
}

static bool ldtr_is_valid(const struct hv_x64_segment_register *s)
{
	return !is_present(s) ||
	       (segment_is_valid(s) && is_system(s) && type(s) == TYPE_LDT);
}

static bool tr_is_valid(const struct hv_x64_segment_register *s,
			bool long_mode)
{
	return is_present(s) && segment_is_valid(s) && is_system(s) &&
	       (type(s) == TYPE_TSS || (type(s) == TYPE_TSS_16 && !long_mode));
}

static bool segments_are_valid(const struct hv_initial_vp_context *c)
{
	return cs_is_valid(&c->cs) && ss_is_valid(&c->ss, &c->cs) &&
	       data_is_valid(&c->ds) && data_is_valid(&c->es) &&
	       data_is_valid(&c->fs) && data_is_valid(&c->gs) &&
	       ldtr_is_valid(&c->ldtr) &&
	       tr_is_valid(&c->tr, c->efer & EFER_LMA);
}

/* Protected or long mode; what KVM or a processor checks is left to them. */
static bool is_valid(const struct hv_initial_vp_context *c)
{
	const bool lma = (c->cr0 & CR0_PG) && (c->efer & EFER_LME);

	return c->cr0 & CR0_PE && !(c->efer & ~EFER_VALID) &&
	       !(c->efer & EFER_LMA) == !lma &&
	       c->rflags & RFLAGS_FIXED &&
	       !(c->rflags & (~RFLAGS_VALID | RFLAGS_VM)) &&
	       pat_is_valid(c->pat) && segments_are_valid(c);
}

struct start {
	struct hv_vp *vp;
	const struct hv_initial_vp_context *context;
	int ret;
};

static void start(void *arg)
{
	struct start *s = arg;
	struct hv *hv = s->vp->hv;

	s->ret = hv->ops->start_vp(hv->host, s->vp->index, s->context);
}

enum hv_status start_virtual_processor(struct call *c)
{
	const struct hv_input_start_virtual_processor *in = c->input;
	const struct hv_initial_vp_context context = in->context;
	struct start s = { .context = &context, .ret = -EBUSY };
	enum hv_status status;
	uint32_t vp;

	status = find_vp(c, in->partition_id, in->vp_index, &vp);
	if (status)
		return status;
	if (in->target_vtl)
		return HV_STATUS_INVALID_VTL_STATE;
	if (!is_valid(&context))
		return HV_STATUS_INVALID_REGISTER_VALUE;
	s.vp = &c->hv->vp[vp];
	c->hv->ops->run_on(c->hv->host, c->vp->index, vp, start, &s);
	if (!s.ret)
		return HV_STATUS_SUCCESS;
	return s.ret == -EBUSY ? HV_STATUS_INVALID_VP_STATE :
				 HV_STATUS_INVALID_REGISTER_VALUE;
}
