/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk's commands.  SBC-3, SPC-4.
 *
 * Each command is decoded completely, then performed: from the table to its
 * handler, which either answers at once or fills in one block request.
 */
#include <errno.h>
#include <string.h>

#include "core/trace.h"
#include "core/util.h"
#include "devices/scsi/scsi_internal.h"

void scsi_finish(struct scsi_request *rq, struct scsi_sense sense)
{
	rq->status = SCSI_GOOD;
	rq->sense_len = 0;
	if (sense.key) {
		memset(rq->sense, 0, sizeof(rq->sense));
		rq->sense[0] = 0x70;	/* current error, fixed format */
		rq->sense[2] = sense.key;
		rq->sense[7] = SCSI_SENSE_MAX - 8;
		rq->sense[12] = sense.asc;
		rq->sense[13] = sense.ascq;
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

	if (b->iov)
		rq->transferred = (uint32_t)b->len;
	scsi_finish(rq, scsi_sense_of(b));
}

void scsi_submit_block(struct scsi_request *rq)
{
	rq->block.done = block_done;
	block_submit(rq->lun->bb, &rq->block);
}

bool scsi_range_ok(const struct scsi_lun *lun, uint64_t lba, uint64_t blocks)
{
	uint64_t total = lun_blocks(lun);

	return lba <= total && blocks <= total - lba;
}

/* LBA, length and flags of READ, WRITE, VERIFY and SYNCHRONIZE CACHE. */
struct extent {
	uint64_t lba;
	uint64_t blocks;
	bool fua;
	bool protect;		/* protection information is asked for */
};

static struct extent extent_of(const uint8_t *cdb)
{
	struct extent e = { .fua = cdb[1] & 0x08, .protect = cdb[1] & 0xe0 };

	switch (cdb[0] >> 5) {
	case 0:		/* 6 bytes: 21-bit LBA, 0 means 256 */
		e.lba = get32(cdb) & 0x1fffff;
		e.blocks = cdb[4] ? cdb[4] : 256;
		e.fua = e.protect = false;
		break;
	case 4:		/* 16 bytes */
		e.lba = get64(cdb + 2);
		e.blocks = get32(cdb + 10);
		break;
	case 5:		/* 12 bytes */
		e.lba = get32(cdb + 2);
		e.blocks = get32(cdb + 6);
		break;
	default:	/* 10 bytes */
		e.lba = get32(cdb + 2);
		e.blocks = get16(cdb + 7);
	}
	return e;
}

static void read_write(struct scsi_request *rq, enum block_op op)
{
	const struct scsi_lun *lun = rq->lun;
	struct extent e = extent_of(rq->cdb);
	uint64_t bytes = e.blocks * lun->bb->block_size;
	enum scsi_direction dir = op == BLOCK_READ ? SCSI_DATA_IN :
						     SCSI_DATA_OUT;

	if (e.protect) {
		scsi_finish(rq, SENSE_INVALID_FIELD);
	} else if (!scsi_range_ok(lun, e.lba, e.blocks)) {
		scsi_finish(rq, SENSE_LBA_OUT_OF_RANGE);
	} else if (op == BLOCK_WRITE && lun->bb->read_only) {
		scsi_finish(rq, SENSE_WRITE_PROTECTED);
	} else if (!e.blocks) {
		scsi_finish(rq, SENSE_NONE);
	} else if (rq->dir != dir || rq->data_len != bytes) {
		scsi_finish(rq, SENSE_INVALID_FIELD);
	} else {
		rq->block = (struct block_request){
			.op = op, .fua = e.fua && op == BLOCK_WRITE,
			.offset = e.lba * lun->bb->block_size, .len = bytes,
			.iov = rq->data, .iovcnt = rq->data_cnt,
		};
		scsi_submit_block(rq);
	}
}

static void read_blocks(struct scsi_request *rq)
{
	read_write(rq, BLOCK_READ);
}

static void write_blocks(struct scsi_request *rq)
{
	read_write(rq, BLOCK_WRITE);
}

static void flush(struct scsi_request *rq)
{
	rq->block = (struct block_request){ .op = BLOCK_FLUSH };
	scsi_submit_block(rq);
}

static void synchronize_cache(struct scsi_request *rq)
{
	struct extent e = extent_of(rq->cdb);

	if (scsi_range_ok(rq->lun, e.lba, e.blocks))
		flush(rq);
	else
		scsi_finish(rq, SENSE_LBA_OUT_OF_RANGE);
}

/* Without data to compare it says that the medium is readable; we trust it. */
static void verify(struct scsi_request *rq)
{
	struct extent e = extent_of(rq->cdb);

	if (rq->cdb[1] & 0x06 || e.protect)
		scsi_finish(rq, SENSE_INVALID_FIELD);
	else if (scsi_range_ok(rq->lun, e.lba, e.blocks))
		scsi_finish(rq, SENSE_NONE);
	else
		scsi_finish(rq, SENSE_LBA_OUT_OF_RANGE);
}

static void good(struct scsi_request *rq)
{
	scsi_finish(rq, SENSE_NONE);
}

static void request_sense(struct scsi_request *rq)
{
	/* Sense goes with each command; there is never any left. */
	const uint8_t none[SCSI_SENSE_MAX] = {
		0x70, [7] = SCSI_SENSE_MAX - 8,
	};

	if (rq->cdb[1] & 1)		/* descriptor format */
		scsi_finish(rq, SENSE_INVALID_FIELD);
	else
		scsi_finish_data(rq, none, sizeof(none), rq->cdb[4]);
}

static void start_stop(struct scsi_request *rq)
{
	if (rq->cdb[4] & 1)
		scsi_finish(rq, SENSE_NONE);
	else
		flush(rq);
}

static void read_capacity10(struct scsi_request *rq)
{
	uint64_t last = lun_blocks(rq->lun) - 1;
	uint8_t data[8];

	put32(data, (uint32_t)MIN(last, UINT32_MAX));
	put32(data + 4, rq->lun->bb->block_size);
	scsi_finish_data(rq, data, sizeof(data), sizeof(data));
}

/* log2 of physical over logical block size */
static uint8_t physical_exponent(const struct block_backend *bb)
{
	uint8_t exponent = 0;

	while (bb->block_size << exponent < bb->physical_block_size)
		exponent++;
	return exponent;
}

static void service_action_in(struct scsi_request *rq)
{
	const struct block_backend *bb = rq->lun->bb;
	uint8_t data[32] = { 0 };

	if ((rq->cdb[1] & 0x1f) != 0x10) {	/* READ CAPACITY(16) only */
		scsi_finish(rq, SENSE_INVALID_FIELD);
		return;
	}
	put64(data, lun_blocks(rq->lun) - 1);
	put32(data + 8, bb->block_size);
	data[13] = physical_exponent(bb);
	if (bb->discard_granularity)
		data[14] = 0x80 | 0x40;	/* thin; unmapped blocks read zero */
	scsi_finish_data(rq, data, sizeof(data), get32(rq->cdb + 10));
}

static const struct command {
	uint8_t opcode;
	void (*perform)(struct scsi_request *rq);
} commands[] = {
	{ 0x00, good },			/* TEST UNIT READY */
	{ 0x03, request_sense },
	{ 0x08, read_blocks },		/* READ(6) */
	{ 0x0a, write_blocks },		/* WRITE(6) */
	{ 0x12, scsi_inquiry },
	{ 0x15, scsi_mode_select },	/* MODE SELECT(6) */
	{ 0x16, good },			/* RESERVE(6): one initiator */
	{ 0x17, good },			/* RELEASE(6) */
	{ 0x1a, scsi_mode_sense },	/* MODE SENSE(6) */
	{ 0x1b, start_stop },
	{ 0x1d, good },			/* SEND DIAGNOSTIC */
	{ 0x1e, good },			/* PREVENT ALLOW MEDIUM REMOVAL */
	{ 0x25, read_capacity10 },
	{ 0x28, read_blocks },		/* READ(10) */
	{ 0x2a, write_blocks },		/* WRITE(10) */
	{ 0x2f, verify },		/* VERIFY(10) */
	{ 0x35, synchronize_cache },	/* SYNCHRONIZE CACHE(10) */
	{ 0x41, scsi_write_same },	/* WRITE SAME(10) */
	{ 0x42, scsi_unmap },
	{ 0x55, scsi_mode_select },	/* MODE SELECT(10) */
	{ 0x5a, scsi_mode_sense },	/* MODE SENSE(10) */
	{ 0x88, read_blocks },		/* READ(16) */
	{ 0x8a, write_blocks },		/* WRITE(16) */
	{ 0x8f, verify },		/* VERIFY(16) */
	{ 0x91, synchronize_cache },	/* SYNCHRONIZE CACHE(16) */
	{ 0x93, scsi_write_same },	/* WRITE SAME(16) */
	{ 0x9e, service_action_in },
	{ 0xa8, read_blocks },		/* READ(12) */
	{ 0xaa, write_blocks },		/* WRITE(12) */
};

/* The length of a CDB stands in its first three bits. */
static bool cdb_is_complete(const struct scsi_request *rq)
{
	static const uint8_t sizes[8] = { 6, 10, 10, 0, 16, 12, 0, 0 };

	return rq->cdb_len >= sizes[rq->cdb[0] >> 5];
}

void scsi_submit(struct scsi_lun *lun, struct scsi_request *rq)
{
	rq->lun = lun;
	rq->transferred = 0;
	for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
		if (commands[i].opcode != rq->cdb[0])
			continue;
		if (cdb_is_complete(rq))
			commands[i].perform(rq);
		else
			scsi_finish(rq, SENSE_INVALID_FIELD);
		return;
	}
	scsi_finish(rq, SENSE_INVALID_OPCODE);
}

struct scsi_lun *scsi_disk_new(struct block_backend *bb,
			       const struct scsi_identity *id,
			       uint32_t max_transfer)
{
	struct scsi_lun *lun = g_new0(struct scsi_lun, 1);

	lun->bb = bb;
	lun->id = *id;
	lun->max_transfer = max_transfer;
	return lun;
}

void scsi_lun_hurry(struct scsi_lun *lun)
{
	block_hurry(lun->bb);
}

void scsi_lun_free(struct scsi_lun *lun)
{
	if (!lun)
		return;

	block_close(lun->bb);
	g_free(lun);
}
