/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HvTranslateVirtualAddress: a VP's registers, and then a walk of its tables
 * (paging.c) on the caller's thread.  TLFS 9.4.6.
 */
#include "hv/hypercall.h"
#include "hv/paging.h"
#include "hv/x86.h"

#define PAGE_SHIFT	12
#define GVA_PAGE_BITS	(64 - PAGE_SHIFT)
#define ENTRY_BITS	52		/* of an address, at most */
#define ACCESS		(HV_TRANSLATE_GVA_VALIDATE_READ |		\
			 HV_TRANSLATE_GVA_VALIDATE_WRITE |		\
			 HV_TRANSLATE_GVA_VALIDATE_EXECUTE)
/*
 * Flushes are not held up for anybody: TLB_FLUSH_INHIBIT is for those who
 * emulate a guest's instructions.
 */
#define KNOWN		(ACCESS | HV_TRANSLATE_GVA_PRIVILEGE_EXEMPT |	\
			 HV_TRANSLATE_GVA_SET_PAGE_TABLE_BITS |		\
			 HV_TRANSLATE_GVA_INPUT_VTL_MASK)

/* The registers of one VP that matter. */
struct errand {
	struct hv_vp *vp;
	struct paging paging;
	bool done;
};

static bool get(struct hv_vp *vp, uint32_t name, union hv_register_value *value)
{
	struct hv *hv = vp->hv;

	return !hv->ops->get_register(hv->host, vp->index, name, value);
}

static bool get_word(struct hv_vp *vp, uint32_t name, uint64_t *word)
{
	union hv_register_value value;
	const bool got = get(vp, name, &value);

	if (got)
		*word = value.word[0];
	return got;
}

static void get_paging(void *arg)
{
	struct errand *e = arg;
	struct paging *p = &e->paging;
	union hv_register_value ss;

	e->done = get_word(e->vp, HV_X64_REGISTER_CR0, &p->cr0) &&
		  get_word(e->vp, HV_X64_REGISTER_CR3, &p->cr3) &&
		  get_word(e->vp, HV_X64_REGISTER_CR4, &p->cr4) &&
		  get_word(e->vp, HV_X64_REGISTER_EFER, &p->efer) &&
		  get_word(e->vp, HV_X64_REGISTER_RFLAGS, &p->rflags) &&
		  get_word(e->vp, HV_X64_REGISTER_PAT, &p->pat) &&
		  get(e->vp, HV_X64_REGISTER_SS, &ss);
	if (e->done)
		p->user = HV_X64_SEGMENT_DPL(ss.segment.attributes) == 3;
}

static enum hv_status
check(const struct call *c, const struct hv_input_translate_virtual_address *in,
      uint32_t *vp)
{
	enum hv_status status = find_vp(c, in->partition_id, in->vp_index, vp);
	const uint64_t flags = in->control_flags;

	if (status)
		return status;
	return flags & ~KNOWN || !(flags & ACCESS) ||
	       !is_own_vtl(HV_TRANSLATE_GVA_INPUT_VTL(flags)) ?
		       HV_STATUS_INVALID_PARAMETER : HV_STATUS_SUCCESS;
}

/* Pages that have no address are beyond the range of every mode. */
static struct translation
look_up(struct hv *hv, const struct paging *p,
	const struct hv_input_translate_virtual_address *in)
{
	const struct translation beyond = {
		.code = HV_TRANSLATE_GVA_PAGE_NOT_PRESENT,
		.exception = TRAP_GP,
	};

	if (in->gva_page >> GVA_PAGE_BITS && p->cr0 & CR0_PG)
		return beyond;
	return paging_translate(p, hv->gm, in->gva_page << PAGE_SHIFT,
				in->control_flags);
}

static enum hv_status translate(const struct call *c, struct translation *t)
{
	const struct hv_input_translate_virtual_address *in = c->input;
	struct hv *hv = c->hv;
	struct errand e = {
		.paging.gpa_bits = hv->config.gpa_bits ?: ENTRY_BITS,
	};
	enum hv_status status;
	uint32_t vp;

	status = check(c, in, &vp);
	if (status)
		return status;
	e.vp = &hv->vp[vp];
	hv->ops->run_on(hv->host, c->vp->index, vp, get_paging, &e);
	if (!e.done)
		return HV_STATUS_INVALID_VP_STATE;
	*t = look_up(hv, &e.paging, in);
	return HV_STATUS_SUCCESS;
}

/* A GPA is told of success, and of what is not in RAM. */
static uint64_t page_of(const struct translation *t)
{
	return t->gpa >> PAGE_SHIFT;
}

static struct hv_translate_gva_result result_of(struct hv *hv,
						const struct translation *t)
{
	return (struct hv_translate_gva_result){
		.result_code = t->code,
		.cache_type = t->cache_type,
		.overlay_page = t->code == HV_TRANSLATE_GVA_SUCCESS &&
				overlay_is_at(hv, page_of(t) << PAGE_SHIFT),
	};
}

static struct hv_x64_pending_exception_event
event_of(const struct translation *t, uint64_t gva)
{
	if (!t->exception)
		return (struct hv_x64_pending_exception_event){ 0 };
	return (struct hv_x64_pending_exception_event){
		.pending = 1, .deliver_error_code = 1,
		.vector = t->exception, .error_code = t->error_code,
		.exception_parameter = t->exception == TRAP_PF ? gva : 0,
	};
}

enum hv_status translate_virtual_address(struct call *c)
{
	struct hv_output_translate_virtual_address *out = c->output;
	struct translation t;
	enum hv_status status = translate(c, &t);

	if (status)
		return status;
	out->result = result_of(c->hv, &t);
	out->gpa_page = page_of(&t);
	return HV_STATUS_SUCCESS;
}

enum hv_status translate_virtual_address_ex(struct call *c)
{
	const struct hv_input_translate_virtual_address *in = c->input;
	struct hv_output_translate_virtual_address_ex *out = c->output;
	struct translation t;
	enum hv_status status = translate(c, &t);

	if (status)
		return status;
	out->result = result_of(c->hv, &t);
	out->event = event_of(&t, in->gva_page << PAGE_SHIFT);
	out->gpa_page = page_of(&t);
	return HV_STATUS_SUCCESS;
}
