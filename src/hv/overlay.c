/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Overlay pages: pages of the hypervisor that cover guest memory.  TLFS 5.2.1.
 *
 * Several may be put on one address.  The last one put there is seen, and when
 * it goes, the one before it is.  A page put where there is no RAM is nowhere.
 * Its contents are its own, and stay when it moves or goes.  It covers memory
 * for processors; devices, and hypercalls for their parameters, reach RAM.
 */
#include "core/trace.h"
#include "hv/hv_internal.h"

uint8_t *overlay_memory(const struct hv *hv, uint32_t page)
{
	return hv->config.overlay + page * GMEM_PAGE_SIZE;
}

/* TLFS 3.13: guests read and execute the hypercall page. */
static bool is_writable(uint32_t page)
{
	return page != PAGE_HYPERCALL;
}

static int show(struct hv *hv, gpa_t gpa, uint32_t page)
{
	return hv->ops->overlay_show(hv->host, gpa, page, is_writable(page));
}

/* Let the youngest overlay at @gpa be seen, or RAM if there is none. */
static void refresh(struct hv *hv, gpa_t gpa)
{
	struct overlay *top = NULL, *seen = NULL;

	for (uint32_t n = 0; n < hv_overlay_pages(hv->config.vp_count); n++) {
		struct overlay *o = &hv->overlay[n];

		if (o->gpa != gpa)
			continue;
		if (o->seen)
			seen = o;
		if (o->on && (!top || o->order > top->order))
			top = o;
	}
	if (top == seen)
		return;
	if (seen)
		seen->seen = false;
	if (top && !show(hv, gpa, (uint32_t)(top - hv->overlay)))
		top->seen = true;
	else if (seen)
		hv->ops->overlay_hide(hv->host, gpa);
}

void overlay_set(struct hv *hv, uint32_t page, uint64_t msr)
{
	struct overlay *o = &hv->overlay[page];
	bool on = msr & HV_MSR_PAGE_ENABLE;
	gpa_t gpa = msr & HV_MSR_PAGE_MASK;

	pthread_mutex_lock(&hv->overlay_lock);
	if (o->on && (!on || gpa != o->gpa)) {
		o->on = false;
		refresh(hv, o->gpa);
	}
	if (on && !o->on) {
		o->on = true;
		o->gpa = gpa;
		o->order = ++hv->overlay_order;
		refresh(hv, gpa);
		trace(TRACE_HV, "hv.overlay page=%u gpa=%#" G_GINT64_MODIFIER
		      "x seen=%d", page, gpa, o->seen);
	}
	pthread_mutex_unlock(&hv->overlay_lock);
}

bool overlay_is_at(struct hv *hv, gpa_t gpa)
{
	bool seen = false;

	pthread_mutex_lock(&hv->overlay_lock);
	for (uint32_t n = 0; n < hv_overlay_pages(hv->config.vp_count); n++)
		seen |= hv->overlay[n].seen && hv->overlay[n].gpa == gpa;
	pthread_mutex_unlock(&hv->overlay_lock);
	return seen;
}
