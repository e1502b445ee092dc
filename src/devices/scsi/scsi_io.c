/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands that move blocks, or ask how many there are.  SBC-3. */
#include "devices/scsi/scsi_internal.h"

bool scsi_range_ok(const struct scsi_lun *lun, uint64_t lba, uint64_t blocks)
{
	uint64_t total = lun_blocks(lun);

	return lba <= total && blocks <= total - lba;
}

struct scsi_extent scsi_extent_of(const uint8_t *cdb)
{
	struct scsi_extent e = {
		.fua = cdb[1] & 0x08, .protect = cdb[1] & 0xe0,
	};

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
	struct scsi_extent e = scsi_extent_of(rq->cdb);
	uint64_t bytes = e.blocks * lun->block_size;
	enum scsi_direction dir = op == BLOCK_READ ? SCSI_DATA_IN :
						     SCSI_DATA_OUT;

	if (e.protect) {
		scsi_finish(rq, SENSE_INVALID_FIELD);
	} else if (!scsi_range_ok(lun, e.lba, e.blocks)) {
		scsi_finish(rq, SENSE_LBA_OUT_OF_RANGE);
	} else if (op == BLOCK_WRITE && lun_bb(lun)->read_only) {
		scsi_finish(rq, SENSE_WRITE_PROTECTED);
	} else if (!e.blocks) {
		scsi_finish(rq, SENSE_NONE);
	} else if (rq->dir != dir || rq->data_len != bytes) {
		scsi_finish(rq, SENSE_INVALID_FIELD);
	} else {
		rq->block = (struct block_request){
			.op = op, .fua = e.fua && op == BLOCK_WRITE,
			.offset = e.lba * lun->block_size, .len = bytes,
			.iov = rq->data, .iovcnt = rq->data_cnt,
		};
		scsi_submit_block(rq);
	}
}

void scsi_read(struct scsi_request *rq)
{
	read_write(rq, BLOCK_READ);
}

void scsi_write(struct scsi_request *rq)
{
	read_write(rq, BLOCK_WRITE);
}

/* Without data to compare it says that the medium is readable; we trust it. */
void scsi_verify(struct scsi_request *rq)
{
	struct scsi_extent e = scsi_extent_of(rq->cdb);

	if (rq->cdb[1] & 0x06 || e.protect)
		scsi_finish(rq, SENSE_INVALID_FIELD);
	else if (scsi_range_ok(rq->lun, e.lba, e.blocks))
		scsi_finish(rq, SENSE_NONE);
	else
		scsi_finish(rq, SENSE_LBA_OUT_OF_RANGE);
}

void scsi_read_capacity10(struct scsi_request *rq)
{
	uint64_t last = lun_blocks(rq->lun) - 1;
	uint8_t data[8];

	put32(data, (uint32_t)MIN(last, UINT32_MAX));
	put32(data + 4, rq->lun->block_size);
	scsi_finish_data(rq, data, sizeof(data), sizeof(data));
}
