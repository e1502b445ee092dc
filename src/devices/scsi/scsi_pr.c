/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "devices/scsi/scsi_pr.h"

/* Additional sense of unit attentions. */
#define RESERVATIONS_PREEMPTED	0x2a03
#define RESERVATIONS_RELEASED	0x2a04
#define REGISTRATIONS_PREEMPTED	0x2a05

bool pr_all_hold(const struct pr_state *s)
{
	return s->type >= PR_WRITE_EXCLUSIVE_AR;
}

static bool is_registered(const struct pr_state *s, unsigned who)
{
	return s->initiator[who].key != 0;
}

bool pr_is_holder(const struct pr_state *s, unsigned who)
{
	if (!s->type || !is_registered(s, who))
		return false;
	return pr_all_hold(s) || s->holder == who;
}

static bool excludes_reads(const struct pr_state *s)
{
	return s->type == PR_EXCLUSIVE_ACCESS ||
	       s->type == PR_EXCLUSIVE_ACCESS_RO ||
	       s->type == PR_EXCLUSIVE_ACCESS_AR;
}

/* With these types it is enough to be registered. */
static bool lets_registrants(const struct pr_state *s)
{
	return s->type >= PR_WRITE_EXCLUSIVE_RO;
}

bool pr_forbids(const struct pr_state *s, unsigned who, enum scsi_access access)
{
	if (!s->type || access < SCSI_ACCESS_READ || pr_is_holder(s, who) ||
	    (lets_registrants(s) && is_registered(s, who)))
		return false;
	return access == SCSI_ACCESS_WRITE || excludes_reads(s);
}

static void attention(struct pr_state *s, unsigned who, uint16_t code)
{
	s->initiator[who].attention = code;
	s->initiator[who].attentions++;
}

/* All who are registered but @self get to know. */
static void tell_others(struct pr_state *s, unsigned self, uint16_t code)
{
	for (unsigned i = 0; i < PR_INITIATORS_MAX; i++)
		if (i != self && is_registered(s, i))
			attention(s, i, code);
}

static bool any_registered(const struct pr_state *s)
{
	for (unsigned i = 0; i < PR_INITIATORS_MAX; i++)
		if (is_registered(s, i))
			return true;
	return false;
}

/* @self is not registered any more; what it held alone is free. */
static void unregister(struct pr_state *s, unsigned self)
{
	bool held = pr_is_holder(s, self);

	s->initiator[self].key = 0;
	if (!held || (pr_all_hold(s) && any_registered(s)))
		return;
	if (lets_registrants(s))
		tell_others(s, self, RESERVATIONS_RELEASED);
	s->type = PR_NONE;
}

static enum pr_result do_register(struct pr_state *s, unsigned self,
				  const struct pr_out *out)
{
	if (out->action == PR_REGISTER && out->key != s->initiator[self].key)
		return PR_CONFLICT;
	if (!is_registered(s, self) && !out->action_key)
		return PR_GOOD;
	if (out->action_key)
		s->initiator[self].key = out->action_key;
	else
		unregister(s, self);
	s->aptpl = out->aptpl;
	s->generation++;
	return PR_GOOD;
}

static bool is_type(unsigned type)
{
	switch (type) {
	case PR_WRITE_EXCLUSIVE:
	case PR_EXCLUSIVE_ACCESS:
	case PR_WRITE_EXCLUSIVE_RO:
	case PR_EXCLUSIVE_ACCESS_RO:
	case PR_WRITE_EXCLUSIVE_AR:
	case PR_EXCLUSIVE_ACCESS_AR:
		return true;
	default:
		return false;
	}
}

static enum pr_result reserve(struct pr_state *s, unsigned self,
			      const struct pr_out *out)
{
	if (s->type)
		return pr_is_holder(s, self) && s->type == out->type ?
		       PR_GOOD : PR_CONFLICT;
	s->type = (uint8_t)out->type;
	s->holder = (uint8_t)self;
	return PR_GOOD;
}

static enum pr_result release(struct pr_state *s, unsigned self,
			      const struct pr_out *out)
{
	if (!pr_is_holder(s, self))
		return PR_GOOD;
	if (s->type != out->type || out->scope)
		return PR_BAD_RELEASE;
	if (lets_registrants(s))
		tell_others(s, self, RESERVATIONS_RELEASED);
	s->type = PR_NONE;
	return PR_GOOD;
}

static enum pr_result clear(struct pr_state *s, unsigned self)
{
	tell_others(s, self, RESERVATIONS_PREEMPTED);
	for (unsigned i = 0; i < PR_INITIATORS_MAX; i++)
		s->initiator[i].key = 0;
	s->type = PR_NONE;
	s->generation++;
	return PR_GOOD;
}

/* Others with @key are out; 0: all others.  Who they were, bit by bit. */
static uint64_t remove_others(struct pr_state *s, unsigned self, uint64_t key)
{
	uint64_t removed = 0;

	for (unsigned i = 0; i < PR_INITIATORS_MAX; i++) {
		if (i == self || !is_registered(s, i) ||
		    (key && s->initiator[i].key != key))
			continue;
		s->initiator[i].key = 0;
		attention(s, i, REGISTRATIONS_PREEMPTED);
		removed |= UINT64_C(1) << i;
	}
	return removed;
}

static bool is_key(const struct pr_state *s, uint64_t key)
{
	for (unsigned i = 0; i < PR_INITIATORS_MAX; i++)
		if (s->initiator[i].key == key)
			return true;
	return false;
}

/* Whether @key stands for the reservation that is there. */
static bool means_reservation(const struct pr_state *s, uint64_t key)
{
	if (!s->type)
		return false;
	return pr_all_hold(s) ? !key : key == s->initiator[s->holder].key;
}

static enum pr_result preempt(struct pr_state *s, unsigned self,
			      const struct pr_out *out, uint64_t *preempted)
{
	bool takes = means_reservation(s, out->action_key);
	uint8_t before = s->type;

	if (!takes && !out->action_key)
		return PR_BAD_PARAMETER;
	if (!takes && !is_key(s, out->action_key))
		return PR_CONFLICT;
	if (takes && (out->scope || !is_type(out->type)))
		return PR_BAD_CDB;
	*preempted = remove_others(s, self, out->action_key);
	if (takes) {
		s->type = (uint8_t)out->type;
		s->holder = (uint8_t)self;
		if (s->type != before)
			tell_others(s, self, RESERVATIONS_RELEASED);
	}
	s->generation++;
	return PR_GOOD;
}

static unsigned find_port(const struct pr_state *s, const uint8_t *id)
{
	static const uint8_t none[sizeof(s->initiator[0].id)];
	unsigned i = 0;

	if (!memcmp(id, none, sizeof(none)))
		return PR_INITIATORS_MAX;
	while (i < PR_INITIATORS_MAX &&
	       memcmp(id, s->initiator[i].id, sizeof(none)))
		i++;
	return i;
}

/* Nobody is told: who has it now is who was to have it. */
static enum pr_result move(struct pr_state *s, unsigned self,
			   const struct pr_out *out)
{
	unsigned to = find_port(s, out->id);

	if (!s->type)
		return PR_BAD_CDB;
	if (pr_all_hold(s) || !pr_is_holder(s, self))
		return PR_CONFLICT;
	if (!out->action_key || out->target_port != PR_TARGET_PORT ||
	    to == self || to == PR_INITIATORS_MAX)
		return PR_BAD_PARAMETER;
	s->initiator[to].key = out->action_key;
	s->holder = (uint8_t)to;
	if (out->unreg)
		s->initiator[self].key = 0;
	s->aptpl = out->aptpl;
	s->generation++;
	return PR_GOOD;
}

enum pr_result pr_perform(struct pr_state *s, unsigned self,
			  const struct pr_out *out, uint64_t *preempted)
{
	*preempted = 0;
	if (out->action > PR_REGISTER_AND_MOVE)
		return PR_BAD_CDB;
	if (out->spec_i_pt)
		return PR_BAD_PARAMETER;
	if (out->action == PR_REGISTER ||
	    out->action == PR_REGISTER_AND_IGNORE_KEY)
		return do_register(s, self, out);
	if (!is_registered(s, self) || out->key != s->initiator[self].key)
		return PR_CONFLICT;
	switch (out->action) {
	case PR_RESERVE:
		return out->scope || !is_type(out->type) ?
		       PR_BAD_CDB : reserve(s, self, out);
	case PR_RELEASE:
		return release(s, self, out);
	case PR_CLEAR:
		return clear(s, self);
	case PR_REGISTER_AND_MOVE:
		return move(s, self, out);
	default:
		return preempt(s, self, out, preempted);
	}
}
