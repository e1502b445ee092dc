/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Synthetic timers.  TLFS 12.1, 12.5.
 *
 *	idle --enabled, COUNT not 0--> running --due--> expired
 *	  ^                              ^                 |
 *	  +--CONFIG, COUNT written-------+----periodic-----+--one-shot--> idle
 *
 * An expired timer interrupts (direct mode) or sends a message; if the slot of
 * its SINT is busy, the message waits, and a periodic timer that expires again
 * before it is sent leaves it at one message.
 *
 * All on the VP's own thread.
 */
#include <string.h>

#include "core/trace.h"
#include "hv/hv_internal.h"

#define NEVER	UINT64_MAX

/* Faster than each 200 us, a timer would keep its guest from running at all. */
#define PERIOD_MIN	2000u

static struct synic_sint *sint_of(struct hv_vp *vp, const struct stimer *t)
{
	return &vp->sint[HV_STIMER_SINT(t->config)];
}

static unsigned number_of(const struct hv_vp *vp, const struct stimer *t)
{
	return (unsigned)(t - vp->timer);
}

/* @t + @by, or never: there is no time beyond the last. */
static uint64_t later(uint64_t t, uint64_t by)
{
	return by > NEVER - t ? NEVER : t + by;
}

static void send_message(struct hv_vp *vp, struct stimer *t)
{
	const struct hv_timer_message_payload payload = {
		.timer_index = number_of(vp, t),
		.expiration_time = t->expired,
		.delivery_time = reftime_now(vp->hv),
	};

	t->waits = !message_post_timer(sint_of(vp, t), payload.timer_index,
				       &payload);
}

/* The period, or the multiple of it that a guest can live with. */
static uint64_t period_of(const struct stimer *t)
{
	uint64_t many = (PERIOD_MIN + t->count - 1) / t->count;

	return t->count < PERIOD_MIN ? many * t->count : t->count;
}

/* Periods that were missed are skipped, as 12.1.4 allows to all timers. */
static void expire(struct hv_vp *vp, struct stimer *t, uint64_t now)
{
	uint64_t due = t->due;

	if (t->config & HV_STIMER_PERIODIC) {
		uint64_t period = period_of(t);

		t->due = later(now - (now - due) % period, period);
	} else {
		t->due = NEVER;
		t->config &= ~HV_STIMER_ENABLE;
	}
	trace(TRACE_HV, "hv.stimer vp=%u timer=%u due=%" G_GINT64_MODIFIER "u",
	      vp->index, number_of(vp, t), due);
	if (t->config & HV_STIMER_DIRECT) {
		vp->hv->ops->interrupt(vp->hv->host, vp->index,
				       HV_STIMER_VECTOR(t->config));
	} else if (!t->waits) {
		t->expired = due;
		send_message(vp, t);
	}
}

/* And let the host wake us for the next. */
void stimer_run(struct hv_vp *vp)
{
	uint64_t next = NEVER;

	for (unsigned i = 0; i < HV_STIMER_COUNT; i++) {
		struct stimer *t = &vp->timer[i];

		if (t->due != NEVER) {
			uint64_t now = reftime_now(vp->hv);

			if (now >= t->due)
				expire(vp, t, now);
		}
		next = MIN(next, t->due);
	}
	pthread_mutex_lock(&vp->lock);
	deadline_set(vp, DUE_TIMER, next);
	pthread_mutex_unlock(&vp->lock);
}

void stimer_retry(struct hv_vp *vp)
{
	for (unsigned i = 0; i < HV_STIMER_COUNT; i++)
		if (vp->timer[i].waits)
			send_message(vp, &vp->timer[i]);
}

static void stop(struct hv_vp *vp, struct stimer *t)
{
	if (t->waits)
		message_forget_timer(sint_of(vp, t), number_of(vp, t));
	t->waits = false;
	t->due = NEVER;
}

/* Enabled with COUNT 0, it waits for a COUNT: Linux writes that last. */
static void start(struct hv_vp *vp, struct stimer *t)
{
	if (!(t->config & HV_STIMER_ENABLE) || !t->count)
		return;
	if (t->config & HV_STIMER_PERIODIC)
		t->due = later(reftime_now(vp->hv), t->count);
	else
		t->due = t->count;
}

/* Others read as zero. */
static uint64_t valid_bits(const struct hv *hv)
{
	return hv_offers(hv, EDX, HV_DIRECT_SYNTHETIC_TIMERS) ?
		       HV_STIMER_VALID_BITS :
		       HV_STIMER_VALID_BITS & ~HV_STIMER_DIRECT;
}

/* Whether it has somewhere to expire to: SINT 0 is not for timers. */
static bool has_target(const struct stimer *t)
{
	if (t->config & HV_STIMER_DIRECT)
		return HV_STIMER_VECTOR(t->config) >=
		       HV_SYNIC_FIRST_VALID_VECTOR;
	return HV_STIMER_SINT(t->config) != 0;
}

static void set_count(struct stimer *t, uint64_t count)
{
	t->count = count;
	if (!count)
		t->config &= ~HV_STIMER_ENABLE;
	else if (t->config & HV_STIMER_AUTO_ENABLE)
		t->config |= HV_STIMER_ENABLE;
}

static bool is_count(uint32_t msr)
{
	return (msr - HV_X64_MSR_STIMER0_CONFIG) % 2;
}

static struct stimer *timer_of(struct hv_vp *vp, uint32_t msr)
{
	return &vp->timer[(msr - HV_X64_MSR_STIMER0_CONFIG) / 2];
}

bool stimer_read(struct hv_vp *vp, uint32_t msr, uint64_t *value)
{
	const struct stimer *t = timer_of(vp, msr);

	*value = is_count(msr) ? t->count : t->config;
	return true;
}

bool stimer_write(struct hv_vp *vp, uint32_t msr, uint64_t value)
{
	struct stimer *t = timer_of(vp, msr);

	stop(vp, t);
	if (is_count(msr))
		set_count(t, value);
	else
		t->config = value & valid_bits(vp->hv);
	if (!has_target(t))
		t->config &= ~HV_STIMER_ENABLE;
	start(vp, t);
	stimer_run(vp);
	return true;
}

void stimer_init(struct hv_vp *vp)
{
	for (unsigned i = 0; i < HV_STIMER_COUNT; i++)
		vp->timer[i].due = NEVER;
}

void stimer_reset(struct hv_vp *vp)
{
	for (unsigned i = 0; i < HV_STIMER_COUNT; i++) {
		stop(vp, &vp->timer[i]);
		vp->timer[i].config = vp->timer[i].count = 0;
	}
	stimer_run(vp);
}
