/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What all logical units do alike.  SPC-4.
 *
 * Each command is decoded completely, then performed: from its type's table to
 * its handler, which either answers at once or fills in one block request.
 */
#include <errno.h>
#include <string.h>

#include "core/trace.h"
#include "core/util.h"
#include "devices/scsi/scsi_internal.h"

/* Current error, fixed format. */
static void fill_sense(uint8_t *p, struct scsi_sense sense)
{
	memset(p, 0, SCSI_SENSE_MAX);
	p[0] = 0x70;
	p[2] = sense.key;
	p[7] = SCSI_SENSE_MAX - 8;
	p[12] = sense.asc;
	p[13] = sense.ascq;
}

void scsi_finish_status(struct scsi_request *rq, enum scsi_status status)
{
	if (rq->entered)
		scsi_share_leave(rq);
	rq->status = (uint8_t)status;
	rq->sense_len = 0;
	rq->transferred = 0;
	rq->done(rq);
}

void scsi_finish(struct scsi_request *rq, struct scsi_sense sense)
{
	if (rq->entered)
		scsi_share_leave(rq);
	rq->status = SCSI_GOOD;
	rq->sense_len = 0;
	if (sense.key) {
		fill_sense(rq->sense, sense);
		rq->sense_len = SCSI_SENSE_MAX;
		rq->status = SCSI_CHECK_CONDITION;
		rq->transferred = 0;
		trace(TRACE_SCSI, "scsi.check op=%02x key=%x asc=%02x/%02x",
		      rq->cdb[0], sense.key, sense.asc, sense.ascq);
	}
	rq->done(rq);
}

void scsi_finish_data(struct scsi_request *rq, const uint8_t *data,
		      uint32_t len, uint32_t allocation)
{
	uint32_t left = MIN(len, allocation);

	if (rq->dir != SCSI_DATA_IN)
		left = 0;
	rq->transferred = 0;
	for (int i = 0; i < rq->data_cnt && left; i++) {
		uint32_t n = (uint32_t)MIN(rq->data[i].iov_len, left);

		memcpy(rq->data[i].iov_base, data + rq->transferred, n);
		rq->transferred += n;
		left -= n;
	}
	scsi_finish(rq, SENSE_NONE);
}

uint32_t scsi_get_data(struct scsi_request *rq, uint8_t *buf, uint32_t len)
{
	uint32_t got = 0;

	if (rq->dir != SCSI_DATA_OUT)
		return 0;
	for (int i = 0; i < rq->data_cnt && got < len; i++) {
		uint32_t n = (uint32_t)MIN(rq->data[i].iov_len, len - got);

		memcpy(buf + got, rq->data[i].iov_base, n);
		got += n;
	}
	rq->transferred = got;
	return got;
}

struct scsi_sense scsi_sense_of(const struct block_request *b)
{
	switch (b->result) {
	case 0:
		return SENSE_NONE;
	case -ENOSPC:
	case -EDQUOT:
		return SENSE_NO_SPACE;
	case -EROFS:
	case -EPERM:
		return SENSE_WRITE_PROTECTED;
	default:
		return b->op == BLOCK_READ ? SENSE_READ_ERROR :
					     SENSE_WRITE_ERROR;
	}
}

static void block_done(struct block_request *b)
{
	struct scsi_request *rq = container_of(b, struct scsi_request, block);

	scsi_medium_put(rq->medium);
	if (b->iov)
		rq->transferred = (uint32_t)b->len;
	scsi_finish(rq, scsi_sense_of(b));
}

void scsi_submit_block(struct scsi_request *rq)
{
	rq->medium = rq->lun->medium;
	rq->medium->users++;
	rq->block.done = block_done;
	block_submit(rq->medium->bb, &rq->block);
}

void scsi_good(struct scsi_request *rq)
{
	scsi_finish(rq, SENSE_NONE);
}

/* Sense goes with each command: only an attention can be left. */
void scsi_request_sense(struct scsi_request *rq)
{
	struct scsi_lun *lun = rq->lun;
	uint8_t data[SCSI_SENSE_MAX];

	if (rq->cdb[1] & 1) {		/* descriptor format */
		scsi_finish(rq, SENSE_INVALID_FIELD);
		return;
	}
	fill_sense(data, lun->attention);
	lun->attention = SENSE_NONE;
	scsi_finish_data(rq, data, sizeof(data), rq->cdb[4]);
}

/* The length of a CDB stands in its first three bits. */
static bool cdb_is_complete(const struct scsi_request *rq)
{
	static const uint8_t sizes[8] = { 6, 10, 10, 0, 16, 12, 0, 0 };

	return rq->cdb_len >= sizes[rq->cdb[0] >> 5];
}

/* What stands between @rq and what it needs. */
static struct scsi_sense hindrance(struct scsi_lun *lun, enum scsi_needs needs)
{
	struct scsi_sense attention = lun->attention;

	if (needs == SCSI_NEEDS_NOTHING)
		return SENSE_NONE;
	if (attention.key) {
		lun->attention = SENSE_NONE;
		return attention;
	}
	if (needs == SCSI_NEEDS_MEDIUM && !lun->medium)
		return lun->type->not_ready(lun);
	return SENSE_NONE;
}

void scsi_submit(struct scsi_lun *lun, struct scsi_request *rq)
{
	const struct scsi_command *c = &lun->type->commands[rq->cdb[0]];
	struct scsi_sense sense;

	bool shared = lun->share && c->needs != SCSI_NEEDS_NOTHING;

	rq->lun = lun;
	rq->transferred = 0;
	rq->entered = false;
	if (shared && !scsi_share_look(rq, c->access))
		return;
	if (!c->perform)
		sense = SENSE_INVALID_OPCODE;
	else if (!cdb_is_complete(rq))
		sense = SENSE_INVALID_FIELD;
	else
		sense = hindrance(lun, c->needs);
	if (sense.key)
		scsi_finish(rq, sense);
	else if (shared && scsi_share_forbids(rq, c->access))
		scsi_finish_status(rq, SCSI_RESERVATION_CONFLICT);
	else
		c->perform(rq);
}

struct scsi_medium *scsi_medium_new(struct block_backend *bb)
{
	struct scsi_medium *m = g_new(struct scsi_medium, 1);

	*m = (struct scsi_medium){ .bb = bb, .users = 1 };
	return m;
}

void scsi_medium_put(struct scsi_medium *m)
{
	if (!m || --m->users)
		return;

	block_close(m->bb);
	g_free(m);
}

void scsi_lun_init(struct scsi_lun *lun, const struct scsi_type *type,
		   const struct scsi_identity *id, struct block_backend *bb)
{
	lun->type = type;
	lun->id = *id;
	lun->medium = bb ? scsi_medium_new(bb) : NULL;
}

static bool attends_luns(const struct scsi_lun *lun)
{
	return lun->attention.asc == SENSE_LUNS_CHANGED.asc;
}

/* Anything else that waits to be told is more important. */
void scsi_lun_set_changed(struct scsi_lun *lun)
{
	if (!lun->attention.key)
		lun->attention = SENSE_LUNS_CHANGED;
}

void scsi_lun_set_reported(struct scsi_lun *lun)
{
	if (attends_luns(lun))
		lun->attention = SENSE_NONE;
}

void scsi_lun_settle(struct scsi_lun *lun, struct scsi_request *rq)
{
	rq->lun = lun;
	rq->block = (struct block_request){
		.op = BLOCK_FLUSH, .rushed = true,
	};
	if (lun->medium)
		scsi_submit_block(rq);
	else
		scsi_finish(rq, SENSE_NONE);
}

void scsi_lun_leave(struct scsi_lun *lun, struct block_leave *l)
{
	if (lun->medium)
		block_leave(lun_bb(lun), l);
	else
		l->left(l);
}

void scsi_lun_reset(struct scsi_lun *lun)
{
	if (lun->type->reset)
		lun->type->reset(lun);
	if (lun->share)
		scsi_share_reset(lun->share);
}

void scsi_lun_again(struct scsi_lun *lun)
{
	if (lun->medium)
		block_again(lun_bb(lun));
}

void scsi_lun_hurry(struct scsi_lun *lun)
{
	if (lun->medium)
		block_hurry(lun_bb(lun));
	if (lun->share)
		scsi_share_hurry(lun->share);
}

void scsi_lun_free(struct scsi_lun *lun)
{
	if (!lun)
		return;

	scsi_medium_put(lun->medium);
	scsi_share_free(lun->share);
	g_free(lun);
}
