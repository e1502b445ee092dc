/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages to the guest: one slot for each SINT.  TLFS 11.4, 11.10.3.
 *
 *	host				guest
 *	----				-----
 *	type is 0: fill the slot,
 *	write the type last		read the message
 *	type is not 0: set pending	write type 0
 *	look at the type once more	look at pending
 *					if set: write EOM
 *
 * Either we see the type cleared, or the guest sees pending; so what waits
 * here is always tried again.  A message that is put into a slot while others
 * wait has pending set from the start, for the guest may have looked at
 * the flags of the one before already.
 *
 * A guest may end with EOI instead (11.4), which is the APIC's and not seen
 * here, or say nothing.  So what waits is also tried after a time, and when
 * one more comes; when nothing waits, the host has nothing to do.
 *
 * The guest can write the page at any time; we go by the type alone, and read
 * nothing else of it.
 */
#include <errno.h>
#include <string.h>

#include "core/trace.h"
#include "core/util.h"
#include "hv/hv_internal.h"

#define HEADER_SIZE	sizeof(struct hv_message_header)
#define NEVER		UINT64_MAX
#define RETRY_MIN	10000u		/* 1 ms; twice as long each time ... */
#define RETRY_MAX	10000000u	/* ... that nothing moves, up to 1 s */
#define HV_NO_ORIGIN	0		/* of a timer's message, 11.10.4 */

static uint8_t *slot_of(const struct synic_sint *s)
{
	return overlay_memory(s->vp->hv, overlay_of_vp(s->vp, PAGE_SIM)) +
	       s->index * HV_MESSAGE_SIZE;
}

static uint32_t *type_of(uint8_t *slot)
{
	return (uint32_t *)(void *)slot;
}

static uint8_t *flags_of(uint8_t *slot)
{
	return slot + offsetof(struct hv_message_header, message_flags);
}

/* The rest of the file up to "Called from outside" has the VP's lock. */

/* Whether a message can be put there now.  If not, EOM will come. */
static bool slot_is_free(const struct synic_sint *s)
{
	uint8_t *slot = slot_of(s);

	if (!synic_page_is_on(s->vp, s->vp->simp))
		return false;
	if (__atomic_load_n(type_of(slot), __ATOMIC_SEQ_CST) == HVMSG_NONE)
		return true;
	__atomic_fetch_or(flags_of(slot), HV_MESSAGE_FLAG_PENDING,
			  __ATOMIC_SEQ_CST);
	return __atomic_load_n(type_of(slot), __ATOMIC_SEQ_CST) == HVMSG_NONE;
}

/* It is free. */
static void fill_slot(const struct synic_sint *s, uint32_t type,
		      uint64_t origin, const void *payload, size_t len)
{
	uint8_t *slot = slot_of(s);
	bool pending = s->notes || s->timers;

	g_assert(type != HVMSG_NONE && len <= HV_MESSAGE_PAYLOAD_MAX);
	s->vp->retry_wait = RETRY_MIN;
	memcpy(slot + HEADER_SIZE, payload, len);
	slot[offsetof(struct hv_message_header, payload_size)] = (uint8_t)len;
	memset(slot + offsetof(struct hv_message_header, reserved), 0,
	       HEADER_SIZE - offsetof(struct hv_message_header, reserved));
	memcpy(slot + offsetof(struct hv_message_header, origination_id),
	       &origin, sizeof(origin));
	__atomic_store_n(flags_of(slot), pending ? HV_MESSAGE_FLAG_PENDING : 0,
			 __ATOMIC_RELAXED);
	/* Pairs with the guest's read of the type. */
	__atomic_store_n(type_of(slot), type, __ATOMIC_RELEASE);
}

static void add_note(struct synic_sint *s, struct hv_sint_note *note)
{
	struct hv_sint_note **end = &s->notes;

	if (note->queued)
		return;
	while (*end)
		end = &(*end)->next;
	note->queued = 1;
	note->next = NULL;
	*end = note;
}

static void remove_note(struct hv_sint_note **at)
{
	struct hv_sint_note *note = *at;

	*at = note->next;
	note->next = NULL;
	note->queued = 0;
}

static void drop_note(struct synic_sint *s, const struct hv_sint_note *note)
{
	for (struct hv_sint_note **at = &s->notes; *at; at = &(*at)->next) {
		if (*at != note)
			continue;
		remove_note(at);
		break;
	}
}

/* Nobody waits before it. */
static bool is_next(const struct synic_sint *s, const struct hv_sint_note *note)
{
	return note == s->vp->running ||
	       (!s->timers && (!s->notes || s->notes == note));
}

/* Whether anything waits that the guest may make room for. */
static bool anything_waits(const struct hv_vp *vp)
{
	for (unsigned i = 0; i < HV_SYNIC_SINT_COUNT; i++)
		if (vp->sint[i].notes || vp->sint[i].timers)
			return synic_page_is_on(vp, vp->simp);
	return false;
}

void message_update_retry(struct hv_vp *vp)
{
	if (!anything_waits(vp)) {
		vp->retry_wait = RETRY_MIN;
		deadline_set(vp, DUE_RETRY, NEVER);
	} else if (vp->due[DUE_RETRY] == NEVER) {
		deadline_set(vp, DUE_RETRY,
			     reftime_now(vp->hv) + vp->retry_wait);
	}
}

/*
 * In its turn.  If it has to wait and the slot is free, those before it are
 * tried at once.
 */
static bool post(struct synic_sint *s, uint32_t type, const void *payload,
		 size_t len, struct hv_sint_note *note)
{
	bool posted = is_next(s, note) && slot_is_free(s);

	if (posted) {
		drop_note(s, note);
		fill_slot(s, type, note->port_id, payload, len);
	} else {
		add_note(s, note);
		if (slot_is_free(s))
			deadline_set(s->vp, DUE_RETRY, reftime_now(s->vp->hv));
	}
	message_update_retry(s->vp);
	return posted;
}

/*
 * Run those who wait, in order, while there is room.  One that fills the slot
 * and has more to post goes to the end of the queue.
 */
static void run_notes(struct synic_sint *s)
{
	struct hv_vp *vp = s->vp;
	unsigned count = 0;

	for (struct hv_sint_note *n = s->notes; n; n = n->next)
		count++;
	while (count-- && s->notes && slot_is_free(s)) {
		struct hv_sint_note *note = s->notes;

		remove_note(&s->notes);
		vp->running = note;
		vp->runner = pthread_self();
		pthread_mutex_unlock(&vp->lock);
		note->run(note);
		pthread_mutex_lock(&vp->lock);
		vp->running = NULL;
		pthread_cond_broadcast(&vp->ran);
	}
}

/* Called from outside. */

int message_post(struct hv_sint *port, uint32_t type, const void *payload,
		 size_t len, struct hv_sint_note *note)
{
	struct synic_sint *s = container_of(port, struct synic_sint, port);
	struct hv_vp *vp = s->vp;
	bool posted, raise;

	if (len > HV_MESSAGE_PAYLOAD_MAX)
		return -EINVAL;
	pthread_mutex_lock(&vp->lock);
	posted = post(s, type, payload, len, note);
	raise = posted && s->vector;
	pthread_mutex_unlock(&vp->lock);

	trace(TRACE_HV, "hv.sint_post vp=%u sint=%u type=%#x posted=%d",
	      vp->index, s->index, type, posted);
	if (raise)
		synic_raise(s);
	return posted ? 0 : -EAGAIN;
}

bool message_is_taken(struct hv_sint *port)
{
	struct hv_vp *vp = container_of(port, struct synic_sint, port)->vp;
	bool taken;

	pthread_mutex_lock(&vp->lock);
	taken = synic_page_is_on(vp, vp->simp);
	pthread_mutex_unlock(&vp->lock);
	return taken;
}

/* From inside its own run() there is nothing to wait for. */
void message_forget(struct hv_sint *port, struct hv_sint_note *note)
{
	struct synic_sint *s = container_of(port, struct synic_sint, port);
	struct hv_vp *vp = s->vp;

	pthread_mutex_lock(&vp->lock);
	while (vp->running == note &&
	       !pthread_equal(vp->runner, pthread_self()))
		pthread_cond_wait(&vp->ran, &vp->lock);
	drop_note(s, note);
	message_update_retry(vp);
	pthread_mutex_unlock(&vp->lock);
}

bool message_post_timer(struct synic_sint *s, unsigned n,
			const struct hv_timer_message_payload *payload)
{
	struct hv_vp *vp = s->vp;
	uint8_t bit = (uint8_t)(1u << n);
	bool posted, raise;

	pthread_mutex_lock(&vp->lock);
	s->timers &= (uint8_t)~bit;
	posted = slot_is_free(s);
	raise = posted && s->vector;
	if (posted)
		fill_slot(s, HVMSG_TIMER_EXPIRED, HV_NO_ORIGIN, payload,
			  sizeof(*payload));
	else
		s->timers |= bit;
	message_update_retry(vp);
	pthread_mutex_unlock(&vp->lock);

	if (raise)
		synic_raise(s);
	return posted;
}

void message_forget_timer(struct synic_sint *s, unsigned n)
{
	pthread_mutex_lock(&s->vp->lock);
	s->timers &= (uint8_t)~(1u << n);
	message_update_retry(s->vp);
	pthread_mutex_unlock(&s->vp->lock);
}

void message_retry(struct hv_vp *vp)
{
	stimer_retry(vp);
	pthread_mutex_lock(&vp->lock);
	for (unsigned i = 0; i < HV_SYNIC_SINT_COUNT; i++)
		run_notes(&vp->sint[i]);
	message_update_retry(vp);
	pthread_mutex_unlock(&vp->lock);
}

void message_retry_expired(struct hv_vp *vp)
{
	bool due;

	pthread_mutex_lock(&vp->lock);
	due = vp->due[DUE_RETRY] <= reftime_now(vp->hv);
	if (due) {
		vp->due[DUE_RETRY] = NEVER;
		vp->retry_wait = MIN(2 * vp->retry_wait, RETRY_MAX);
	}
	pthread_mutex_unlock(&vp->lock);
	if (due)
		message_retry(vp);
}
