/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "core/util.h"
#include "hv_model_internal.h"

#define PLACE		(HV_MSR_PAGE_MASK | HV_MSR_PAGE_ENABLE)

struct model_overlay *model_of_vp(struct hv_model *m,
				  const struct model_vp *v, unsigned which)
{
	return &m->overlay[MODEL_OF_PARTITION + (v - m->vp) * MODEL_OF_VP +
			   which];
}

/*
 * Overlays.  5.2.1: one shows, and the others appear when it goes; the RAM
 * below stays as it is.  Choice: the one that was put there last shows.
 */
static void place(struct hv_model *m, struct model_overlay *o, uint64_t value)
{
	if ((o->msr ^ value) & PLACE)
		o->placed = ++m->placed;
	o->msr = value;
}

static const struct model_overlay *top(const struct hv_model *m, uint64_t gpa)
{
	const struct model_overlay *found = NULL;

	for (unsigned i = 0; i < HV_MODEL_OVERLAYS; i++) {
		const struct model_overlay *o = &m->overlay[i];

		if ((o->msr & PLACE) == (gpa | HV_MSR_PAGE_ENABLE) &&
		    (!found || o->placed > found->placed))
			found = o;
	}
	return found;
}

uint8_t *hv_model_page(struct hv_model *m, unsigned n)
{
	const struct model_overlay *o = top(m, HV_MODEL_GPA +
					       n * HV_MODEL_PAGE);

	return o ? m->overlay[o - m->overlay].bytes : m->ram[n];
}

bool hv_model_page_is_writable(const struct hv_model *m, unsigned n)
{
	const struct model_overlay *o = top(m, HV_MODEL_GPA +
					       n * HV_MODEL_PAGE);

	return !o || o - m->overlay >= MODEL_OF_PARTITION;
}

/* 2.6: who has not said who it is has no hypercall page. */
static void place_hypercall(struct hv_model *m, uint64_t value)
{
	if (!m->guest_os_id)
		value &= ~HV_MSR_PAGE_ENABLE;
	place(m, &m->overlay[MODEL_HYPERCALL], value);
}

/*
 * MSRs.
 */

/* Where the value is that was written, for those that read like that. */
static uint64_t *stored(struct hv_model *m, struct model_vp *v, uint32_t msr)
{
	struct model_timer *t;

	switch (msr) {
	case HV_X64_MSR_GUEST_OS_ID:
		return &m->guest_os_id;
	case HV_X64_MSR_HYPERCALL:
		return &m->overlay[MODEL_HYPERCALL].msr;
	case HV_X64_MSR_REFERENCE_TSC:
		return &m->overlay[MODEL_TSC].msr;
	case HV_X64_MSR_VP_ASSIST_PAGE:
		return &model_of_vp(m, v, MODEL_ASSIST)->msr;
	case HV_X64_MSR_SCONTROL:
		return &v->scontrol;
	case HV_X64_MSR_SIEFP:
		return &model_of_vp(m, v, MODEL_SIEF)->msr;
	case HV_X64_MSR_SIMP:
		return &model_of_vp(m, v, MODEL_SIM)->msr;
	case HV_X64_MSR_SINT0 ... HV_X64_MSR_SINT0 + 15:
		return &v->sint[msr - HV_X64_MSR_SINT0].msr;
	case HV_X64_MSR_STIMER0_CONFIG ... HV_X64_MSR_STIMER0_CONFIG + 7:
		msr -= HV_X64_MSR_STIMER0_CONFIG;
		t = &v->timer[msr / 2];
		return msr % 2 ? &t->count : &t->config;
	default:
		return NULL;
	}
}

uint64_t hv_model_read(struct hv_model *m, unsigned vp, uint32_t msr)
{
	switch (msr) {
	case HV_X64_MSR_VP_INDEX:
		return vp;
	case HV_X64_MSR_TIME_REF_COUNT:
		return m->now;
	case HV_X64_MSR_SVERSION:
		return 1;
	case HV_X64_MSR_EOM:
		return 0;
	default:
		return *stored(m, &m->vp[vp], msr);
	}
}

/* 11.8.5: a vector below 16 is refused, but not where it means nothing. */
static bool sint_write(struct model_sint *s, uint64_t value)
{
	if ((value & 0xff) < 16 && !(value & HV_SYNIC_SINT_MASKED))
		return false;
	s->msr = value;
	return true;
}

static void page_write(struct hv_model *m, struct model_vp *v, uint32_t msr,
		       uint64_t value)
{
	uint64_t *at = stored(m, v, msr);
	struct model_overlay *o = container_of(at, struct model_overlay, msr);

	place(m, o, value);
	if (msr == HV_X64_MSR_SIMP)
		model_retry(m, v);
}

bool hv_model_write(struct hv_model *m, unsigned vp, uint32_t msr,
		    uint64_t value)
{
	struct model_vp *v = &m->vp[vp];

	switch (msr) {
	case HV_X64_MSR_GUEST_OS_ID:
		m->guest_os_id = value;
		place_hypercall(m, m->overlay[MODEL_HYPERCALL].msr);
		return true;
	case HV_X64_MSR_HYPERCALL:
		place_hypercall(m, value);
		return true;
	case HV_X64_MSR_REFERENCE_TSC:
	case HV_X64_MSR_VP_ASSIST_PAGE:
	case HV_X64_MSR_SIEFP:
	case HV_X64_MSR_SIMP:
		page_write(m, v, msr, value);
		return true;
	case HV_X64_MSR_SCONTROL:
		v->scontrol = value;
		model_retry(m, v);
		return true;
	case HV_X64_MSR_EOM:
		model_retry(m, v);
		return true;
	case HV_X64_MSR_SINT0 ... HV_X64_MSR_SINT0 + 15:
		return sint_write(&v->sint[msr - HV_X64_MSR_SINT0], value);
	case HV_X64_MSR_STIMER0_CONFIG ... HV_X64_MSR_STIMER0_CONFIG + 7:
		model_timer_write(m, v, msr - HV_X64_MSR_STIMER0_CONFIG,
				  value);
		return true;
	default:
		return false;	/* read-only */
	}
}

/*
 * First day and every other.  Senders are not the partition's: those that wait
 * go on waiting.
 */
static void reset_vp(struct model_vp *v)
{
	v->scontrol = 0;
	v->retry = UINT64_MAX;
	v->retry_wait = MODEL_RETRY_MIN;
	for (unsigned i = 0; i < HV_SYNIC_SINT_COUNT; i++)
		v->sint[i].msr = HV_SYNIC_SINT_MASKED;
	for (unsigned n = 0; n < HV_STIMER_COUNT; n++)
		v->timer[n] = (struct model_timer){ .due = UINT64_MAX };
}

void hv_model_reset(struct hv_model *m)
{
	m->guest_os_id = 0;
	memset(m->overlay, 0, sizeof(m->overlay));
	for (unsigned page = 0; page < MODEL_OF_PARTITION; page++)
		memcpy(m->overlay[page].bytes, m->content[page],
		       HV_MODEL_PAGE);
	for (unsigned i = 0; i < HV_MODEL_VPS; i++)
		reset_vp(&m->vp[i]);
}

void hv_model_init(struct hv_model *m, uint8_t (*content)[HV_MODEL_PAGE])
{
	memset(m, 0, sizeof(*m));
	memcpy(m->content, content, sizeof(m->content));
	hv_model_reset(m);
}
