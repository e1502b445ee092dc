/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands that free blocks: UNMAP, and WRITE SAME of zeroes. */
#include <string.h>

#include "core/util.h"
#include "devices/scsi/scsi_internal.h"

#define UNMAP_HEADER	8
#define UNMAP_RANGE	16
#define WRITE_SAME_UNMAP	0x08

/*
 * A parameter list of an UNMAP that is under way; its ranges are discarded one
 * after the other.
 */
struct unmap {
	struct scsi_request *rq;
	unsigned next, count;
	struct block_request block;
	uint8_t ranges[UNMAP_DESCRIPTORS_MAX * UNMAP_RANGE];
};

static void unmap_step(struct unmap *u);

static void unmap_done(struct block_request *b)
{
	struct unmap *u = container_of(b, struct unmap, block);
	struct scsi_request *rq = u->rq;
	struct scsi_sense sense = scsi_sense_of(b);

	if (!sense.key) {
		unmap_step(u);
		return;
	}
	g_free(u);		/* with @b */
	scsi_finish(rq, sense);
}

/* Discard the next range that has blocks, or end. */
static void unmap_step(struct unmap *u)
{
	struct scsi_request *rq = u->rq;
	uint32_t size = lun_bb(rq->lun)->block_size;

	while (u->next < u->count) {
		const uint8_t *r = u->ranges + u->next++ * UNMAP_RANGE;
		uint64_t blocks = get32(r + 8);

		if (!blocks)
			continue;
		u->block = (struct block_request){
			.op = BLOCK_WRITE_ZEROES, .offset = get64(r) * size,
			.len = blocks * size, .done = unmap_done,
		};
		block_submit(lun_bb(rq->lun), &u->block);
		return;
	}
	g_free(u);
	scsi_finish(rq, SENSE_NONE);
}

/* All ranges are on the disk. */
static bool ranges_ok(const struct unmap *u)
{
	for (unsigned i = 0; i < u->count; i++) {
		const uint8_t *r = u->ranges + i * UNMAP_RANGE;

		if (!scsi_range_ok(u->rq->lun, get64(r), get32(r + 8)))
			return false;
	}
	return true;
}

/* Copy and check the parameter list. */
static struct scsi_sense parse_list(struct scsi_request *rq, struct unmap *u)
{
	uint8_t list[UNMAP_HEADER + sizeof(u->ranges)];
	uint32_t want = get16(rq->cdb + 7);
	uint32_t len = scsi_get_data(rq, list, MIN(want, sizeof(list)));
	uint32_t descriptors;

	if (len < UNMAP_HEADER)
		return SENSE_PARAM_LENGTH;
	descriptors = get16(list + 2);
	if (descriptors > len - UNMAP_HEADER || get16(list) < descriptors + 6)
		return SENSE_PARAM_FIELD;
	u->count = descriptors / UNMAP_RANGE;
	memcpy(u->ranges, list + UNMAP_HEADER, u->count * UNMAP_RANGE);
	return ranges_ok(u) ? SENSE_NONE : SENSE_LBA_OUT_OF_RANGE;
}

void scsi_unmap(struct scsi_request *rq)
{
	const struct block_backend *bb = lun_bb(rq->lun);
	struct scsi_sense sense;
	struct unmap *u;

	if (!bb->discard_granularity) {
		scsi_finish(rq, SENSE_INVALID_OPCODE);
		return;
	}
	if (bb->read_only) {
		scsi_finish(rq, SENSE_WRITE_PROTECTED);
		return;
	}
	/* Anchoring is not offered; an empty list is no error. */
	if (rq->cdb[1] & 1 || !get16(rq->cdb + 7)) {
		scsi_finish(rq, rq->cdb[1] & 1 ? SENSE_INVALID_FIELD :
						 SENSE_NONE);
		return;
	}
	u = g_new0(struct unmap, 1);
	u->rq = rq;
	sense = parse_list(rq, u);
	if (sense.key) {
		g_free(u);
		scsi_finish(rq, sense);
		return;
	}
	unmap_step(u);
}

static bool is_zero(struct scsi_request *rq)
{
	uint8_t block[4096];
	uint32_t size = lun_bb(rq->lun)->block_size;
	uint32_t got = scsi_get_data(rq, block, MIN(size, sizeof(block)));

	for (uint32_t i = 0; i < got; i++)
		if (block[i])
			return false;
	return got == size;
}

/*
 * Only zeroes can be written many times over.  Who wants another pattern has
 * to write it: the refusal names the field, as SBC asks.
 */
void scsi_write_same(struct scsi_request *rq)
{
	const struct scsi_lun *lun = rq->lun;
	bool sixteen = rq->cdb[0] == 0x93;
	uint64_t lba = sixteen ? get64(rq->cdb + 2) : get32(rq->cdb + 2);
	uint64_t blocks = sixteen ? get32(rq->cdb + 10) : get16(rq->cdb + 7);
	uint8_t flags = rq->cdb[1];
	bool no_data = sixteen && (flags & 0x01);	/* NDOB */

	if ((flags & 0xf6) || !blocks ||
	    ((flags & WRITE_SAME_UNMAP) && !lun_bb(lun)->discard_granularity) ||
	    blocks > WRITE_SAME_MAX_BYTES / lun_bb(lun)->block_size ||
	    (!no_data && !is_zero(rq))) {
		scsi_finish(rq, SENSE_INVALID_FIELD);
	} else if (!scsi_range_ok(lun, lba, blocks)) {
		scsi_finish(rq, SENSE_LBA_OUT_OF_RANGE);
	} else if (lun_bb(lun)->read_only) {
		scsi_finish(rq, SENSE_WRITE_PROTECTED);
	} else {
		rq->block = (struct block_request){
			.op = BLOCK_WRITE_ZEROES,
			.offset = lba * lun_bb(lun)->block_size,
			.len = blocks * lun_bb(lun)->block_size,
		};
		scsi_submit_block(rq);
	}
}
