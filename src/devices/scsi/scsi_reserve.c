/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk that several machines share: who may do what, PERSISTENT RESERVE IN
 * and OUT, RESERVE and RELEASE (6).
 *
 *	look -> attention, conflict, or perform ... finish -> leave
 *
 * What writes is announced before the state is looked at, so that who preempts
 * and aborts sees either the write or that it was refused.
 */
#include <errno.h>
#include <string.h>

#include "core/util.h"
#include "devices/scsi/scsi_pr.h"

#define POLL_NS		UINT64_C(1000000)	/* for writes of others */

#define OUT_LENGTH	24
#define SPEC_I_PT	0x08
#define APTPL		0x01
#define UNREG		0x02	/* of REGISTER AND MOVE */
#define TRANSPORT_ID	24
#define TRANSPORT_SAS	0x06
#define TRANSPORT_NAME	4	/* offset in it */
#define MOVE_LENGTH	(OUT_LENGTH + TRANSPORT_ID)

struct scsi_share {
	struct reservations *r;
	struct loop *loop;
	uint32_t attentions;	/* that the guest has been told of */
	/* The only change that is waited for, and its request. */
	struct scsi_request *rq;
	uint64_t preempted;	/* who may still write */
	struct loop_timer poll;
	struct loop_op sync;
	bool was_kept;		/* APTPL before the change */
};

/* The file of the state cannot be used: for now, or any more. */
static void finish_failed(struct scsi_request *rq, int result)
{
	if (result == -EAGAIN)
		scsi_finish_status(rq, SCSI_BUSY);
	else
		scsi_finish(rq, SENSE_TARGET_FAILURE);
}

static void finish_conflict(struct scsi_request *rq)
{
	scsi_finish_status(rq, SCSI_RESERVATION_CONFLICT);
}

/*
 * Every command comes by here.
 */

/* Some commands do more or less by what is in them. */
static enum scsi_access access_of(const uint8_t *cdb, enum scsi_access access)
{
	switch (cdb[0]) {
	case 0x1b:	/* START STOP UNIT: without START it flushes */
		return (cdb[4] & 0xf1) == 0x01 ? SCSI_ACCESS_NONE : access;
	case 0x1e:	/* PREVENT ALLOW MEDIUM REMOVAL */
		return cdb[4] & 3 ? access : SCSI_ACCESS_NONE;
	default:
		return access;
	}
}

/* Whether another machine that is running has reserved it by RESERVE(6). */
static bool is_reserved6(const struct scsi_share *sh)
{
	unsigned by = reservations_state(sh->r)->reserved6;

	return by && by - 1 != reservations_self(sh->r) &&
	       reservations_is_alive(sh->r, by - 1);
}

static struct scsi_sense attention_of(const struct pr_initiator *me)
{
	return (struct scsi_sense){ 0x06, (uint8_t)(me->attention >> 8),
				    (uint8_t)me->attention };
}

bool scsi_share_look(struct scsi_request *rq, enum scsi_access access)
{
	struct scsi_share *sh = rq->lun->share;
	bool writes = access_of(rq->cdb, access) == SCSI_ACCESS_WRITE;
	int result = writes ? reservations_enter(sh->r) :
			      reservations_refresh(sh->r);
	const struct pr_initiator *me;

	if (result) {
		finish_failed(rq, result);
		return false;
	}
	rq->entered = writes;
	me = &reservations_state(sh->r)->initiator[reservations_self(sh->r)];
	if (me->attentions != sh->attentions) {
		sh->attentions = me->attentions;
		rq->lun->attention = attention_of(me);
	}
	return true;
}

bool scsi_share_forbids(const struct scsi_request *rq, enum scsi_access access)
{
	const struct scsi_share *sh = rq->lun->share;

	if (is_reserved6(sh) && rq->cdb[0] != RELEASE_6)
		return true;
	return pr_forbids(reservations_state(sh->r), reservations_self(sh->r),
			  access_of(rq->cdb, access));
}

void scsi_share_leave(struct scsi_request *rq)
{
	rq->entered = false;
	reservations_leave(rq->lun->share->r);
}

/*
 * PERSISTENT RESERVE OUT.
 */
static void out_end(struct scsi_share *sh)
{
	struct scsi_request *rq = sh->rq;

	sh->rq = NULL;
	scsi_finish(rq, SENSE_NONE);
}

/*
 * Tasks of those who were preempted are over when none of them writes: they
 * cannot begin another.  Who may write again all the same is not waited for.
 */
static void wait_for_writes(struct scsi_share *sh)
{
	if (reservations_refresh(sh->r) == 0) {
		for (unsigned i = 0; i < PR_INITIATORS_MAX; i++)
			if ((sh->preempted & UINT64_C(1) << i) &&
			    (!pr_forbids(reservations_state(sh->r), i,
					 SCSI_ACCESS_WRITE) ||
			     !reservations_is_writing(sh->r, i)))
				sh->preempted &= ~(UINT64_C(1) << i);
	}
	if (sh->preempted)
		loop_timer_set(sh->loop, &sh->poll,
			       loop_now(sh->loop) + POLL_NS);
	else
		out_end(sh);
}

static void poll_expired(struct loop_timer *t)
{
	wait_for_writes(container_of(t, struct scsi_share, poll));
}

static void synced(struct loop_op *op, int res)
{
	struct scsi_share *sh = container_of(op, struct scsi_share, sync);
	struct scsi_request *rq = sh->rq;

	if (res >= 0) {
		wait_for_writes(sh);
		return;
	}
	sh->rq = NULL;
	scsi_finish(rq, SENSE_TARGET_FAILURE);
}

static void out_done(struct scsi_share *sh, enum pr_result result)
{
	static const struct scsi_sense senses[] = {
		[PR_BAD_CDB] = { 0x05, 0x24, 0x00 },
		[PR_BAD_PARAMETER] = { 0x05, 0x26, 0x00 },
		[PR_BAD_RELEASE] = { 0x05, 0x26, 0x04 },
	};
	struct scsi_request *rq = sh->rq;

	if (result == PR_GOOD) {
		if (sh->was_kept || reservations_state(sh->r)->aptpl)
			reservations_sync(sh->r, sh->loop, &sh->sync);
		else
			wait_for_writes(sh);
		return;
	}
	sh->rq = NULL;
	if (result == PR_CONFLICT)
		finish_conflict(rq);
	else
		scsi_finish(rq, senses[result]);
}

static void out_perform(struct scsi_share *sh, const struct pr_out *out)
{
	int result;
	struct pr_state *s = reservations_begin(sh->r, &result);
	struct scsi_request *rq = sh->rq;
	enum pr_result pr = PR_CONFLICT;

	if (s) {
		sh->was_kept = s->aptpl;
		if (!s->reserved6 || !reservations_is_alive(sh->r,
							    s->reserved6 - 1u))
			pr = pr_perform(s, reservations_self(sh->r), out,
					&sh->preempted);
		if (out->action != PR_PREEMPT_AND_ABORT)
			sh->preempted = 0;
		if (pr == PR_GOOD)
			result = reservations_commit(sh->r);
		else
			reservations_abandon(sh->r);
	}
	if (!result) {
		out_done(sh, pr);
		return;
	}
	sh->rq = NULL;
	finish_failed(rq, result);
}

static void read_out(struct pr_out *out, const uint8_t *p)
{
	out->aptpl = p[20] & APTPL;
	out->spec_i_pt = p[20] & SPEC_I_PT;
}

static void read_move(struct pr_out *out, const uint8_t *p)
{
	const uint8_t *id = p + OUT_LENGTH;

	out->aptpl = p[17] & APTPL;
	out->unreg = p[17] & UNREG;
	out->target_port = get16(p + 18);
	/* Of another transport nobody has a name here. */
	if (id[0] == TRANSPORT_SAS)
		memcpy(out->id, id + TRANSPORT_NAME, sizeof(out->id));
}

/* Lists of these lengths only, but that of the unsupported SPEC_I_PT. */
static bool has_length(const struct pr_out *out, uint32_t len,
		       const uint8_t *p)
{
	if (out->action == PR_REGISTER_AND_MOVE)
		return len == MOVE_LENGTH && get32(p + 20) == TRANSPORT_ID;
	return len == OUT_LENGTH || (len > OUT_LENGTH && p[20] & SPEC_I_PT);
}

void scsi_reserve_out(struct scsi_request *rq)
{
	struct scsi_share *sh = rq->lun->share;
	uint32_t len = get32(rq->cdb + 5), max = MIN(len, MOVE_LENGTH);
	uint8_t p[MOVE_LENGTH] = { 0 };
	struct pr_out out = {
		.action = rq->cdb[1] & 0x1f,
		.scope = rq->cdb[2] >> 4, .type = rq->cdb[2] & 0x0f,
	};

	if (!sh) {
		scsi_finish(rq, SENSE_INVALID_OPCODE);
		return;
	}
	if (sh->rq) {
		scsi_finish_status(rq, SCSI_BUSY);
		return;
	}
	if (scsi_get_data(rq, p, max) < max || !has_length(&out, len, p)) {
		scsi_finish(rq, SENSE_PARAM_LENGTH);
		return;
	}
	out.key = get64(p);
	out.action_key = get64(p + 8);
	if (out.action == PR_REGISTER_AND_MOVE)
		read_move(&out, p);
	else
		read_out(&out, p);
	sh->rq = rq;
	out_perform(sh, &out);
}

/*
 * PERSISTENT RESERVE IN.
 */
#define IN_HEADER	8
#define FULL_STATUS	(24 + TRANSPORT_ID)
#define IN_MAX		(IN_HEADER + PR_INITIATORS_MAX * FULL_STATUS)

/* Behind the header: what each fills in, and its length. */
static uint32_t read_keys(const struct pr_state *s, uint8_t *p)
{
	uint32_t len = 0;

	for (unsigned i = 0; i < PR_INITIATORS_MAX; i++) {
		if (!s->initiator[i].key)
			continue;
		put64(p + len, s->initiator[i].key);
		len += 8;
	}
	return len;
}

static uint32_t read_reservation(const struct pr_state *s, uint8_t *p)
{
	if (!s->type)
		return 0;
	if (!pr_all_hold(s))
		put64(p, s->initiator[s->holder].key);
	p[13] = s->type;
	return 16;
}

/* Its TransportID is that of a SAS port. */
static void full_status(const struct pr_state *s, unsigned i, uint8_t *p)
{
	put64(p, s->initiator[i].key);
	if (pr_is_holder(s, i)) {
		p[12] = 0x01;
		p[13] = s->type;
	}
	put16(p + 18, PR_TARGET_PORT);
	put32(p + 20, TRANSPORT_ID);
	p[24] = TRANSPORT_SAS;
	memcpy(p + 24 + TRANSPORT_NAME, s->initiator[i].id, sizeof(s->initiator[i].id));
}

static uint32_t read_full_status(const struct pr_state *s, uint8_t *p)
{
	uint32_t len = 0;

	for (unsigned i = 0; i < PR_INITIATORS_MAX; i++) {
		if (!s->initiator[i].key)
			continue;
		full_status(s, i, p + len);
		len += FULL_STATUS;
	}
	return len;
}

static void report_capabilities(struct scsi_request *rq,
				const struct pr_state *s)
{
	const uint8_t data[8] = {
		[1] = sizeof(data),
		[2] = 0x05,		/* ATP_C, PTPL_C */
		[3] = 0x80 | s->aptpl,	/* the mask is valid */
		[4] = 0xea, [5] = 0x01,	/* all six types */
	};

	scsi_finish_data(rq, data, sizeof(data), get16(rq->cdb + 7));
}

void scsi_reserve_in(struct scsi_request *rq)
{
	static uint32_t (*const fill[])(const struct pr_state *s,
					uint8_t *p) = {
		read_keys, read_reservation, NULL, read_full_status,
	};
	const struct scsi_share *sh = rq->lun->share;
	unsigned action = rq->cdb[1] & 0x1f;
	uint8_t data[IN_MAX] = { 0 };
	const struct pr_state *s;
	uint32_t len;

	if (!sh || action >= G_N_ELEMENTS(fill)) {
		scsi_finish(rq, sh ? SENSE_INVALID_FIELD :
				     SENSE_INVALID_OPCODE);
		return;
	}
	s = reservations_state(sh->r);
	if (!fill[action]) {
		report_capabilities(rq, s);
		return;
	}
	len = fill[action](s, data + IN_HEADER);
	put32(data, s->generation);
	put32(data + 4, len);
	scsi_finish_data(rq, data, IN_HEADER + len, get16(rq->cdb + 7));
}

/*
 * RESERVE and RELEASE (6), which are not for who uses the others.
 */
static bool any_key(const struct pr_state *s)
{
	for (unsigned i = 0; i < PR_INITIATORS_MAX; i++)
		if (s->initiator[i].key)
			return true;
	return false;
}

/* Reserve it for @by, 1 + a place; 0: for nobody.  Or -errno. */
static int set_reserved6(struct scsi_share *sh, unsigned by)
{
	int result;
	struct pr_state *s = reservations_begin(sh->r, &result);

	if (!s)
		return result;
	s->reserved6 = (uint8_t)by;
	return reservations_commit(sh->r);
}

void scsi_reserve6(struct scsi_request *rq)
{
	struct scsi_share *sh = rq->lun->share;
	int result;

	if (!sh) {
		scsi_finish(rq, SENSE_NONE);
		return;
	}
	if (any_key(reservations_state(sh->r))) {
		finish_conflict(rq);
		return;
	}
	result = set_reserved6(sh, reservations_self(sh->r) + 1);
	if (result)
		finish_failed(rq, result);
	else
		scsi_finish(rq, SENSE_NONE);
}

/* Who has not reserved it has nothing to release, and that is no error. */
static int release6(struct scsi_share *sh)
{
	unsigned by = reservations_state(sh->r)->reserved6;

	return by == reservations_self(sh->r) + 1 ? set_reserved6(sh, 0) : 0;
}

void scsi_release6(struct scsi_request *rq)
{
	struct scsi_share *sh = rq->lun->share;
	int result = sh ? release6(sh) : 0;

	if (result)
		finish_failed(rq, result);
	else
		scsi_finish(rq, SENSE_NONE);
}

void scsi_share_reset(struct scsi_share *sh)
{
	if (!reservations_refresh(sh->r))
		release6(sh);
}

void scsi_lun_share(struct scsi_lun *lun, struct loop *loop,
		    struct reservations *r)
{
	struct scsi_share *sh = g_new0(struct scsi_share, 1);
	unsigned self = reservations_self(r);

	sh->r = r;
	sh->loop = loop;
	sh->attentions = reservations_state(r)->initiator[self].attentions;
	sh->poll.expired = poll_expired;
	sh->sync.done = synced;
	lun->share = sh;
	memcpy(lun->id.unique_id, reservations_disk_id(r),
	       sizeof(lun->id.unique_id));
}

/* The sync of a file, which may be under way, ends by itself. */
void scsi_share_hurry(struct scsi_share *sh)
{
	if (!sh->poll.due_ns)
		return;
	sh->preempted = 0;
	loop_timer_set(sh->loop, &sh->poll, loop_now(sh->loop));
}

void scsi_share_free(struct scsi_share *sh)
{
	if (!sh)
		return;

	reservations_close(sh->r);
	g_free(sh);
}
