/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "hv_model_internal.h"

#define RETRY_MAX	10000000u	/* 1 s */

/*
 * Interrupts.  11.8.5: masked and polled SINTs have none, and without SynIC
 * there are none.
 */
uint8_t hv_model_vector(const struct model_vp *v, unsigned sint)
{
	uint64_t msr = v->sint[sint].msr;

	if (!(v->scontrol & HV_SYNIC_CONTROL_ENABLE))
		return 0;
	if (msr & (HV_SYNIC_SINT_MASKED | HV_SYNIC_SINT_POLLING))
		return 0;
	return msr & 0xff;
}

static void raise(struct model_vp *v, unsigned sint)
{
	if (hv_model_vector(v, sint))
		v->sint[sint].raised++;
}

/*
 * Messages.
 */
static bool is_up(const struct model_vp *v, const struct model_overlay *page)
{
	return (v->scontrol & HV_SYNIC_CONTROL_ENABLE) &&
	       (page->msr & HV_MSR_PAGE_ENABLE);
}

/* 11.4: nothing new is directed to a VP that is not up. */
bool hv_model_takes_messages(struct hv_model *m, unsigned vp)
{
	struct model_vp *v = &m->vp[vp];

	return is_up(v, model_of_vp(m, v, MODEL_SIM));
}

static bool a_timer_waits_for(const struct model_vp *v, unsigned sint)
{
	bool waits = false;

	for (unsigned i = 0; i < HV_STIMER_COUNT; i++)
		waits |= v->timer[i].queued &&
			 HV_STIMER_SINT(v->timer[i].config) == sint;
	return waits;
}

static bool is_waited_for(const struct model_vp *v, unsigned sint)
{
	return v->sint[sint].waiting || a_timer_waits_for(v, sint);
}

/*
 * The slot, if it is empty.  11.10.3: who finds it busy leaves word there that
 * the guest should say when it is not.
 */
static uint8_t *empty_slot(struct hv_model *m, struct model_vp *v,
			   unsigned sint)
{
	struct model_overlay *sim = model_of_vp(m, v, MODEL_SIM);
	uint8_t *slot = sim->bytes + sint * HV_MESSAGE_SIZE;
	static const uint8_t none[4];

	if (!is_up(v, sim))
		return NULL;
	if (memcmp(slot, none, sizeof(none)) == 0)
		return slot;
	slot[5] |= HV_MESSAGE_FLAG_PENDING;
	return NULL;
}

bool model_deliver(struct hv_model *m, struct model_vp *v, unsigned sint,
		   const struct model_message *msg)
{
	uint8_t *slot = empty_slot(m, v, sint);

	if (!slot)
		return false;
	memset(slot, 0, sizeof(struct hv_message_header));
	memcpy(slot, &msg->type, sizeof(msg->type));
	slot[4] = (uint8_t)msg->len;
	slot[5] = is_waited_for(v, sint) ? HV_MESSAGE_FLAG_PENDING : 0;
	memcpy(slot + 8, &msg->origin, sizeof(msg->origin));
	memcpy(slot + sizeof(struct hv_message_header), msg->payload,
	       msg->len);
	raise(v, sint);
	v->retry_wait = MODEL_RETRY_MIN;
	return true;
}

/*
 * 11.4 has three events after which what waits is tried, of which EOI is not
 * seen.  Choice: it is also tried after 1 ms, and each time that nothing moves
 * after twice as long, up to 1 s; that goes on while anything waits.
 */
void model_plan_retry(struct hv_model *m, struct model_vp *v)
{
	bool waits = false;

	for (unsigned i = 0; i < HV_SYNIC_SINT_COUNT; i++)
		waits |= is_waited_for(v, i);
	if (!waits || !is_up(v, model_of_vp(m, v, MODEL_SIM))) {
		v->retry = UINT64_MAX;
		v->retry_wait = MODEL_RETRY_MIN;
	} else if (v->retry == UINT64_MAX) {
		v->retry = m->now + v->retry_wait;
	}
}

uint32_t hv_model_port_id(unsigned sender)
{
	return 0x00a0b0c0 + sender;
}

void hv_model_message(struct model_message *m, unsigned sender,
		      unsigned number)
{
	m->type = (number << 4 | sender << 1 | 1) & ~HVMSG_FROM_HYPERVISOR;
	m->origin = hv_model_port_id(sender);
	m->len = number * 37 % (HV_MESSAGE_PAYLOAD_MAX + 1);
	memset(m->payload, (int)(number * 4 + sender + 1), m->len);
}

static void leave_queue(struct model_sint *to, struct model_sender *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < to->waiting; i++)
		if (to->queue[i] != s)
			to->queue[n++] = to->queue[i];
	to->waiting = n;
	s->queued = false;
}

static void enter_queue(struct model_sint *to, struct model_sender *s)
{
	if (!s->queued)
		to->queue[to->waiting++] = s;
	s->queued = true;
}

/* Whether it waits before all others; timers come first. */
static bool is_first(const struct model_vp *v, unsigned sint,
		     const struct model_sender *s)
{
	const struct model_sint *to = &v->sint[sint];

	return !a_timer_waits_for(v, sint) &&
	       (!to->waiting || to->queue[0] == s);
}

/*
 * Send what there is, and wait for the slot with the rest.  11.4: one that
 * finds others waiting goes behind them, and they are tried.  Choice: as soon
 * as the host's timer comes.  With @turn the sender was told that it is next.
 */
static void drain(struct hv_model *m, struct model_vp *v, unsigned sint,
		  struct model_sender *s, bool turn)
{
	struct model_sint *to = &v->sint[sint];
	struct model_message msg;
	bool sent = true;

	for (; s->backlog && sent; s->backlog -= sent, s->next += sent) {
		hv_model_message(&msg, (unsigned)(s - to->sender), s->next);
		sent = (turn || is_first(v, sint, s)) &&
		       empty_slot(m, v, sint);
		if (sent) {
			leave_queue(to, s);
			model_deliver(m, v, sint, &msg);
		} else {
			enter_queue(to, s);
			if (empty_slot(m, v, sint))
				v->retry = m->now;
		}
		model_plan_retry(m, v);
	}
}

void hv_model_post(struct hv_model *m, unsigned vp, unsigned sint,
		   unsigned sender)
{
	struct model_sender *s = &m->vp[vp].sint[sint].sender[sender];

	s->backlog++;
	drain(m, &m->vp[vp], sint, s, false);
}

void hv_model_forget(struct hv_model *m, unsigned vp, unsigned sint,
		     unsigned sender)
{
	struct model_sint *to = &m->vp[vp].sint[sint];

	leave_queue(to, &to->sender[sender]);
	to->sender[sender].backlog = 0;
	model_plan_retry(m, &m->vp[vp]);
}

/*
 * 11.4: all queues of the VP are tried.  Choice: timers first, then senders in
 * the order of waiting; who is not done goes to the end.
 */
void model_retry(struct hv_model *m, struct model_vp *v)
{
	for (unsigned n = 0; n < HV_STIMER_COUNT; n++)
		if (v->timer[n].queued)
			model_send_expired(m, v, n);
	for (unsigned i = 0; i < HV_SYNIC_SINT_COUNT; i++) {
		struct model_sint *to = &v->sint[i];

		for (unsigned n = to->waiting; n && empty_slot(m, v, i); n--) {
			struct model_sender *s = to->queue[0];

			leave_queue(to, s);
			s->runs++;
			drain(m, v, i, s, true);
		}
	}
	model_plan_retry(m, v);
}

void model_retry_due(struct hv_model *m, struct model_vp *v)
{
	if (v->retry > m->now)
		return;
	v->retry = UINT64_MAX;
	v->retry_wait *= 2;
	if (v->retry_wait > RETRY_MAX)
		v->retry_wait = RETRY_MAX;
	model_retry(m, v);
}

/* 11.5.1: a flag is set once, and only then interrupts. */
int hv_model_signal(struct hv_model *m, unsigned vp, unsigned sint,
		    uint16_t flag)
{
	struct model_vp *v = &m->vp[vp];
	struct model_overlay *sief = model_of_vp(m, v, MODEL_SIEF);
	uint8_t *byte = sief->bytes + sint * HV_MESSAGE_SIZE + flag / 8;
	uint8_t bit = (uint8_t)(1u << flag % 8);

	if (flag >= HV_EVENT_FLAG_COUNT)
		return -EINVAL;
	if (!is_up(v, sief) || (v->sint[sint].msr & HV_SYNIC_SINT_MASKED))
		return -ENXIO;
	if (!(*byte & bit))
		raise(v, sint);
	*byte |= bit;
	return 0;
}
