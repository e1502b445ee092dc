/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The synthetic interrupt controller of a VP: its registers and event flags.
 * TLFS chapter 11.  Messages are in message.c.
 *
 * The guest writes the SIEF page as it likes; we only ever OR a bit into it,
 * through our own mapping of the page.
 */
#include <errno.h>
#include <string.h>

#include "core/trace.h"
#include "core/util.h"
#include "hv/hv_internal.h"

#define FLAG_WORD_BITS	64
#define FLAG_WORDS	(HV_EVENT_FLAG_COUNT / FLAG_WORD_BITS)	/* a SINT */

static bool is_on(const struct hv_vp *vp)
{
	return vp->scontrol & HV_SYNIC_CONTROL_ENABLE;
}

bool synic_page_is_on(const struct hv_vp *vp, uint64_t page_msr)
{
	return is_on(vp) && (page_msr & HV_MSR_PAGE_ENABLE);
}

/* The vector that the SINT raises, or 0. */
static uint8_t vector_of(const struct synic_sint *s)
{
	bool polling = s->msr & HV_SYNIC_SINT_POLLING &&
		       hv_offers(s->vp->hv, EDX, HV_SINT_POLLING_AVAILABLE);

	if (!is_on(s->vp) || s->msr & HV_SYNIC_SINT_MASKED || polling)
		return 0;
	return (uint8_t)(s->msr & HV_SYNIC_SINT_VECTOR_MASK);
}

/* Tell the host, with the VP's lock held. */
static void update_route(struct synic_sint *s)
{
	struct hv *hv = s->vp->hv;
	uint8_t vector = vector_of(s);
	bool auto_eoi = vector && (s->msr & HV_SYNIC_SINT_AUTO_EOI);

	if (vector == s->vector && auto_eoi == s->auto_eoi)
		return;
	s->vector = vector;
	s->auto_eoi = auto_eoi;
	hv->ops->sint_route(hv->host, s->vp->index, s->index, vector, auto_eoi);
}

static void update_routes(struct hv_vp *vp)
{
	for (unsigned i = 0; i < HV_SYNIC_SINT_COUNT; i++)
		update_route(&vp->sint[i]);
}

void synic_raise(const struct synic_sint *s)
{
	struct hv *hv = s->vp->hv;

	trace(TRACE_HV, "hv.sint vp=%u sint=%u", s->vp->index, s->index);
	hv->ops->sint_raise(hv->host, s->vp->index, s->index);
}

/* Set the flag.  Whether it was clear; the guest's partner is a locked BTR. */
static bool set_flag(const struct synic_sint *s, uint16_t flag)
{
	uint8_t *page = overlay_memory(s->vp->hv,
				       overlay_of_vp(s->vp, PAGE_SIEF));
	uint64_t *word = (uint64_t *)(void *)page + s->index * FLAG_WORDS +
			 flag / FLAG_WORD_BITS;
	uint64_t bit = BIT64(flag % FLAG_WORD_BITS);

	return !(__atomic_fetch_or(word, bit, __ATOMIC_SEQ_CST) & bit);
}

/* TLFS 11.5.1: only a flag that was clear interrupts. */
static int sint_signal(struct hv_sint *port, uint16_t flag)
{
	struct synic_sint *s = container_of(port, struct synic_sint, port);
	struct hv_vp *vp = s->vp;
	bool raise = false;
	int ret = -ENXIO;

	if (flag >= HV_EVENT_FLAG_COUNT)
		return -EINVAL;
	pthread_mutex_lock(&vp->lock);
	if (synic_page_is_on(vp, vp->siefp) &&
	    !(s->msr & HV_SYNIC_SINT_MASKED)) {
		raise = set_flag(s, flag) && s->vector;
		ret = 0;
	}
	pthread_mutex_unlock(&vp->lock);

	trace(TRACE_HV, "hv.sint_signal vp=%u sint=%u flag=%u error=%d",
	      vp->index, s->index, flag, -ret);
	if (raise)
		synic_raise(s);
	return ret;
}

void synic_init(struct hv_vp *vp)
{
	pthread_mutex_init(&vp->lock, NULL);
	pthread_cond_init(&vp->ran, NULL);
	for (unsigned i = 0; i < HV_SYNIC_SINT_COUNT; i++)
		vp->sint[i] = (struct synic_sint){
			.port = {
				.signal = sint_signal,
				.post = message_post,
				.takes_messages = message_is_taken,
				.forget = message_forget,
			},
			.vp = vp,
			.index = i,
			.msr = HV_SYNIC_SINT_MASKED,
		};
}

void synic_finish(struct hv_vp *vp)
{
	pthread_cond_destroy(&vp->ran);
	pthread_mutex_destroy(&vp->lock);
}

/* Notes stay: what they wait for may still come. */
void synic_reset(struct hv_vp *vp)
{
	pthread_mutex_lock(&vp->lock);
	vp->scontrol = vp->siefp = vp->simp = 0;
	for (unsigned i = 0; i < HV_SYNIC_SINT_COUNT; i++)
		vp->sint[i].msr = HV_SYNIC_SINT_MASKED;
	update_routes(vp);
	message_update_retry(vp);
	for (unsigned page = 0; page < PAGES_OF_VP; page++)
		memset(overlay_memory(vp->hv, overlay_of_vp(vp, page)), 0,
		       GMEM_PAGE_SIZE);
	pthread_mutex_unlock(&vp->lock);
	vp->assist = 0;
}

bool synic_read(struct hv_vp *vp, uint32_t msr, uint64_t *value)
{
	switch (msr) {
	case HV_X64_MSR_SCONTROL:
		*value = vp->scontrol;
		return true;
	case HV_X64_MSR_SVERSION:
		*value = HV_SYNIC_VERSION;
		return true;
	case HV_X64_MSR_SIEFP:
		*value = vp->siefp;
		return true;
	case HV_X64_MSR_SIMP:
		*value = vp->simp;
		return true;
	case HV_X64_MSR_EOM:
		*value = 0;
		return true;
	default:	/* a SINT: msr.c has checked the range */
		*value = vp->sint[msr - HV_X64_MSR_SINT0].msr;
		return true;
	}
}

static void write_scontrol(struct hv_vp *vp, uint64_t value)
{
	pthread_mutex_lock(&vp->lock);
	vp->scontrol = value;
	update_routes(vp);
	pthread_mutex_unlock(&vp->lock);
}

static void write_page(struct hv_vp *vp, uint64_t *msr, unsigned page,
		       uint64_t value)
{
	pthread_mutex_lock(&vp->lock);
	*msr = value;
	pthread_mutex_unlock(&vp->lock);
	overlay_set(vp->hv, overlay_of_vp(vp, page), value);
}

/*
 * TLFS 11.8.5: a vector below 16 is #GP, but the reset value (masked, 0) may
 * be written back.
 */
static bool write_sint(struct hv_vp *vp, struct synic_sint *s, uint64_t value)
{
	if (!(value & HV_SYNIC_SINT_MASKED) &&
	    (value & HV_SYNIC_SINT_VECTOR_MASK) < HV_SYNIC_FIRST_VALID_VECTOR)
		return false;
	pthread_mutex_lock(&vp->lock);
	s->msr = value;
	update_route(s);
	pthread_mutex_unlock(&vp->lock);
	return true;
}

bool synic_write(struct hv_vp *vp, uint32_t msr, uint64_t value)
{
	switch (msr) {
	case HV_X64_MSR_SCONTROL:
		write_scontrol(vp, value);
		message_retry(vp);
		return true;
	case HV_X64_MSR_SIEFP:
		write_page(vp, &vp->siefp, PAGE_SIEF, value);
		return true;
	case HV_X64_MSR_SIMP:
		write_page(vp, &vp->simp, PAGE_SIM, value);
		message_retry(vp);
		return true;
	case HV_X64_MSR_EOM:
		message_retry(vp);
		return true;
	default:
		return write_sint(vp, &vp->sint[msr - HV_X64_MSR_SINT0],
				  value);
	}
}
