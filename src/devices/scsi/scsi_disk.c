/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A disk: its pages, and the commands that only disks have.  SBC-3. */
#include "devices/scsi/scsi_internal.h"

static unsigned vpd_block_limits(const struct scsi_lun *lun, uint8_t *p)
{
	const struct block_backend *bb = lun_bb(lun);
	uint32_t granularity = bb->discard_granularity / bb->block_size;
	uint32_t max = lun->max_transfer / bb->block_size;

	p[0] = 1;			/* WSNZ: WRITE SAME of 0 is refused */
	put16(p + 2, (uint16_t)(bb->physical_block_size / bb->block_size));
	put32(p + 4, max);
	put32(p + 8, max);
	if (bb->discard_granularity) {
		put32(p + 16, UINT32_MAX);
		put32(p + 20, UNMAP_DESCRIPTORS_MAX);
		put32(p + 24, granularity);
		put32(p + 28, 0x80000000u);	/* alignment 0 is valid */
	}
	put64(p + 32, WRITE_SAME_MAX_BYTES / bb->block_size);
	return 60;
}

static unsigned vpd_characteristics(const struct scsi_lun *lun, uint8_t *p)
{
	put16(p, lun_bb(lun)->rotational ? 0 : 1);	/* 1: does not rotate */
	return 60;
}

static unsigned vpd_provisioning(const struct scsi_lun *lun, uint8_t *p)
{
	/* UNMAP and WRITE SAME unmap, and what is unmapped reads zero. */
	if (lun_bb(lun)->discard_granularity) {
		p[1] = 0x80 | 0x40 | 0x20 | 0x04;
		p[2] = 2;		/* thin */
	}
	return 4;
}

static const struct scsi_vpd_page vpd[] = {
	{ 0xb0, vpd_block_limits },
	{ 0xb1, vpd_characteristics },
	{ 0xb2, vpd_provisioning },
	{ 0 },
};

#define CACHING_WCE		0x04
#define MODE_WRITE_PROTECT	0x80
#define MODE_DPO_FUA		0x10

/* The host caches writes, so flushes matter. */
static void mode_caching(const struct scsi_lun *lun, uint8_t *p)
{
	p[2] = CACHING_WCE;
}

static const struct scsi_mode_page mode[] = {
	{ 0x08, 20, mode_caching },
	{ 0 },
};

static uint8_t mode_parameter(const struct scsi_lun *lun)
{
	return MODE_DPO_FUA |
	       (lun_bb(lun)->read_only ? MODE_WRITE_PROTECT : 0);
}

static void flush(struct scsi_request *rq)
{
	rq->block = (struct block_request){ .op = BLOCK_FLUSH };
	scsi_submit_block(rq);
}

static void synchronize_cache(struct scsi_request *rq)
{
	struct scsi_extent e = scsi_extent_of(rq->cdb);

	if (scsi_range_ok(rq->lun, e.lba, e.blocks))
		flush(rq);
	else
		scsi_finish(rq, SENSE_LBA_OUT_OF_RANGE);
}

static void start_stop(struct scsi_request *rq)
{
	if (rq->cdb[4] & 1)
		scsi_finish(rq, SENSE_NONE);
	else
		flush(rq);
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
	const struct block_backend *bb = lun_bb(rq->lun);
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

#define READS(f)	{ (f), .access = SCSI_ACCESS_READ }
#define WRITES(f)	{ (f), .access = SCSI_ACCESS_WRITE }

static const struct scsi_command commands[256] = {
	[0x00].perform = scsi_good,		/* TEST UNIT READY */
	[0x03] = { scsi_request_sense, SCSI_NEEDS_NOTHING },
	[0x08] = READS(scsi_read),		/* READ(6) */
	[0x0a] = WRITES(scsi_write),		/* WRITE(6) */
	[0x12] = { scsi_inquiry, SCSI_NEEDS_NOTHING },
	[0x15] = WRITES(scsi_mode_select),	/* MODE SELECT(6) */
	[0x16].perform = scsi_reserve6,
	[RELEASE_6].perform = scsi_release6,
	[0x1a].perform = scsi_mode_sense,	/* MODE SENSE(6) */
	[0x1b] = WRITES(start_stop),
	[0x1d] = WRITES(scsi_good),		/* SEND DIAGNOSTIC */
	[0x1e] = WRITES(scsi_good),	/* PREVENT ALLOW MEDIUM REMOVAL */
	[0x25].perform = scsi_read_capacity10,
	[0x28] = READS(scsi_read),		/* READ(10) */
	[0x2a] = WRITES(scsi_write),		/* WRITE(10) */
	[0x2f] = READS(scsi_verify),		/* VERIFY(10) */
	[0x35] = WRITES(synchronize_cache),	/* SYNCHRONIZE CACHE(10) */
	[0x41] = WRITES(scsi_write_same),	/* WRITE SAME(10) */
	[0x42] = WRITES(scsi_unmap),
	[0x55] = WRITES(scsi_mode_select),	/* MODE SELECT(10) */
	[0x5a].perform = scsi_mode_sense,	/* MODE SENSE(10) */
	[0x5e].perform = scsi_reserve_in,
	[0x5f].perform = scsi_reserve_out,
	[0x88] = READS(scsi_read),		/* READ(16) */
	[0x8a] = WRITES(scsi_write),		/* WRITE(16) */
	[0x8f] = READS(scsi_verify),		/* VERIFY(16) */
	[0x91] = WRITES(synchronize_cache),	/* SYNCHRONIZE CACHE(16) */
	[0x93] = WRITES(scsi_write_same),	/* WRITE SAME(16) */
	[0x9e].perform = service_action_in,
	[0xa8] = READS(scsi_read),		/* READ(12) */
	[0xaa] = WRITES(scsi_write),		/* WRITE(12) */
};

static const struct scsi_type disk = {
	.product = "Virtual Disk    ",
	.commands = commands,
	.vpd = vpd,
	.mode = mode,
	.mode_parameter = mode_parameter,
};

struct scsi_lun *scsi_disk_new(struct block_backend *bb,
			       const struct scsi_identity *id,
			       uint32_t max_transfer)
{
	struct scsi_lun *lun = g_new0(struct scsi_lun, 1);

	scsi_lun_init(lun, &disk, id, bb);
	lun->block_size = bb->block_size;
	lun->max_transfer = max_transfer;
	return lun;
}

int scsi_disk_measure(struct scsi_lun *lun, uint64_t *size)
{
	struct block_backend *bb;
	uint64_t before;
	int ret;

	if (lun->type != &disk)
		return -EOPNOTSUPP;
	bb = lun_bb(lun);
	before = bb->size;
	ret = block_measure(bb);
	*size = bb->size;
	if (!ret && bb->size != before)
		lun->attention = SENSE_CAPACITY_CHANGED;
	return ret;
}

int scsi_disk_extend(struct scsi_lun *lun, uint64_t size)
{
	return lun->type == &disk ? block_extend(lun_bb(lun), size) :
				    -EOPNOTSUPP;
}

void scsi_disk_extended(struct scsi_lun *lun, uint64_t before)
{
	if (scsi_disk_size(lun) != before)
		lun->attention = SENSE_CAPACITY_CHANGED;
}

uint64_t scsi_disk_size(const struct scsi_lun *lun)
{
	return lun->type == &disk ? lun_bb(lun)->size : 0;
}
