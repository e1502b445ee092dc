/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "hv_model_internal.h"

#define NEVER		UINT64_MAX

/* Choice: a timer interrupts at most each 200 us, once its first is past. */
#define PERIOD_MIN	2000u
static uint64_t sum(uint64_t a, uint64_t b)
{
	return a + b < a ? NEVER : a + b;
}

void model_send_expired(struct hv_model *m, struct model_vp *v, unsigned n)
{
	struct model_timer *t = &v->timer[n];
	const struct hv_timer_message_payload p = {
		.timer_index = n,
		.expiration_time = t->expiration,
		.delivery_time = m->now,
	};

	/* 11.10.4: no port, no origin. */
	struct model_message msg = {
		.type = HVMSG_TIMER_EXPIRED, .len = sizeof(p),
	};

	memcpy(msg.payload, &p, sizeof(p));
	t->queued = false;	/* it does not wait for itself */
	t->queued = !model_deliver(m, v, HV_STIMER_SINT(t->config), &msg);
	model_plan_retry(m, v);
}

/*
 * 12.1.4: missed periods may be skipped.  Choice: they always are, and those
 * that remain are whole periods apart.
 */
static uint64_t next_period(const struct model_timer *t, uint64_t now)
{
	uint64_t period = t->count;

	while (period < PERIOD_MIN)
		period += t->count;
	return sum(t->due + (now - t->due) / period * period, period);
}

static void expire(struct hv_model *m, struct model_vp *v, unsigned n)
{
	struct model_timer *t = &v->timer[n];
	uint64_t due = t->due;

	if (t->config & HV_STIMER_PERIODIC) {
		t->due = next_period(t, m->now);
	} else {
		t->config &= ~HV_STIMER_ENABLE;
		t->due = NEVER;
	}
	if (t->config & HV_STIMER_DIRECT) {
		v->interrupts[HV_STIMER_VECTOR(t->config)]++;
		return;
	}
	/* Choice: as long as a message waits, it stands for all. */
	if (t->queued)
		return;
	t->expiration = due;
	model_send_expired(m, v, n);
}

static void expire_due(struct hv_model *m, struct model_vp *v)
{
	for (unsigned n = 0; n < HV_STIMER_COUNT; n++)
		if (v->timer[n].due <= m->now)
			expire(m, v, n);
}

/* 12.5.1: SINT 0 is not for timers; nor is a vector that no APIC takes. */
static bool has_target(const struct model_timer *t)
{
	if (t->config & HV_STIMER_DIRECT)
		return HV_STIMER_VECTOR(t->config) >= 16;
	return HV_STIMER_SINT(t->config);
}

/*
 * 12.5: one-shots have a time, periodic timers a distance from now.  Choice: a
 * write starts the timer anew, and takes a message back that waits.
 */
void model_timer_write(struct hv_model *m, struct model_vp *v, unsigned reg,
		       uint64_t value)
{
	struct model_timer *t = &v->timer[reg / 2];

	t->queued = false;
	model_plan_retry(m, v);
	if (reg % 2 == 0) {
		t->config = value & HV_STIMER_VALID_BITS;
	} else {
		t->count = value;
		if (value && (t->config & HV_STIMER_AUTO_ENABLE))
			t->config |= HV_STIMER_ENABLE;
		if (!value)
			t->config &= ~HV_STIMER_ENABLE;
	}
	if (!has_target(t))
		t->config &= ~HV_STIMER_ENABLE;
	t->due = NEVER;
	if ((t->config & HV_STIMER_ENABLE) && t->count)
		t->due = t->config & HV_STIMER_PERIODIC ?
				 sum(m->now, t->count) : t->count;
	expire_due(m, v);
}

void hv_model_timer_expired(struct hv_model *m, unsigned vp)
{
	expire_due(m, &m->vp[vp]);
	model_retry_due(m, &m->vp[vp]);
}

void hv_model_set_time(struct hv_model *m, uint64_t now)
{
	m->now = now;
	for (unsigned i = 0; i < HV_MODEL_VPS; i++)
		hv_model_timer_expired(m, i);
}

uint64_t hv_model_deadline(const struct model_vp *v)
{
	uint64_t first = v->retry;

	for (unsigned n = 0; n < HV_STIMER_COUNT; n++)
		if (v->timer[n].due < first)
			first = v->timer[n].due;
	return first;
}
