/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the files of src/devices/scsi. */
#ifndef DEVICES_SCSI_SCSI_INTERNAL_H
#define DEVICES_SCSI_SCSI_INTERNAL_H

#include <glib.h>

#include "core/bytes.h"
#include "devices/scsi/scsi.h"

/* Sense key, additional code and qualifier; key 0 is no error. */
struct scsi_sense {
	uint8_t key, asc, ascq;
};

#define SENSE_NONE		((struct scsi_sense){ 0, 0, 0 })
#define SENSE_WRITE_ERROR	((struct scsi_sense){ 0x03, 0x0c, 0x00 })
#define SENSE_READ_ERROR	((struct scsi_sense){ 0x03, 0x11, 0x00 })
#define SENSE_TARGET_FAILURE	((struct scsi_sense){ 0x04, 0x44, 0x00 })
#define SENSE_INVALID_OPCODE	((struct scsi_sense){ 0x05, 0x20, 0x00 })
#define SENSE_LBA_OUT_OF_RANGE	((struct scsi_sense){ 0x05, 0x21, 0x00 })
#define SENSE_INVALID_FIELD	((struct scsi_sense){ 0x05, 0x24, 0x00 })
#define SENSE_PARAM_LENGTH	((struct scsi_sense){ 0x05, 0x1a, 0x00 })
#define SENSE_PARAM_FIELD	((struct scsi_sense){ 0x05, 0x26, 0x00 })
#define SENSE_CAPACITY_CHANGED	((struct scsi_sense){ 0x06, 0x2a, 0x09 })
#define SENSE_LUNS_CHANGED	((struct scsi_sense){ 0x06, 0x3f, 0x0e })
#define SENSE_WRITE_PROTECTED	((struct scsi_sense){ 0x07, 0x27, 0x00 })
#define SENSE_NO_SPACE		((struct scsi_sense){ 0x07, 0x27, 0x07 })

/* What has to be so before a command is performed. */
enum scsi_needs {
	SCSI_NEEDS_UNIT,	/* a unit attention has been told */
	SCSI_NEEDS_MEDIUM,	/* and there is a medium */
	SCSI_NEEDS_NOTHING,	/* an attention stays */
};

/* What a command does to a disk, as reservations see it. */
enum scsi_access {
	SCSI_ACCESS_NONE,
	SCSI_ACCESS_READ,
	SCSI_ACCESS_WRITE,	/* or changes how it behaves for others */
};

struct scsi_command {
	void (*perform)(struct scsi_request *rq);	/* NULL: none such */
	enum scsi_needs needs;
	enum scsi_access access;
};

/* A VPD page without its 4-byte header: fill @p, return the length. */
struct scsi_vpd_page {
	uint8_t code;
	unsigned (*fill)(const struct scsi_lun *lun, uint8_t *p);
};

/* A mode page of @len bytes, of which fill() finds the first two filled. */
struct scsi_mode_page {
	uint8_t code;
	uint8_t len;
	void (*fill)(const struct scsi_lun *lun, uint8_t *p);
};

/* What kinds of LUNs differ in. */
struct scsi_type {
	uint8_t peripheral;	/* peripheral device type */
	bool removable;
	const char *product;	/* 16 characters */
	const struct scsi_command *commands;	/* 256, by opcode */
	/* Beyond those that all have; both end with a NULL function. */
	const struct scsi_vpd_page *vpd;
	const struct scsi_mode_page *mode;
	/* The device-specific parameter of MODE SENSE. */
	uint8_t (*mode_parameter)(const struct scsi_lun *lun);
	/* Why there is no medium; only LUNs that can be without need it. */
	struct scsi_sense (*not_ready)(const struct scsi_lun *lun);
	/* The guest has reset the LUN, or begins anew; may be NULL. */
	void (*reset)(struct scsi_lun *lun);
};

/* Goes when its LUN and all requests under way have let go of it. */
struct scsi_medium {
	struct block_backend *bb;
	unsigned users;
};

struct scsi_share;

struct scsi_lun {
	const struct scsi_type *type;
	struct scsi_medium *medium;	/* NULL: none */
	struct scsi_identity id;
	uint32_t block_size;		/* bytes; a multiple of the medium's */
	uint32_t max_transfer;
	struct scsi_sense attention;	/* of the next command */
	struct scsi_share *share;	/* NULL: no other machine has it */
};

/*
 * @lun is what scsi_lun_free() gives to g_free(), or its first member.  @bb
 * passes, and may be NULL.
 */
void scsi_lun_init(struct scsi_lun *lun, const struct scsi_type *type,
		   const struct scsi_identity *id, struct block_backend *bb);
struct scsi_medium *scsi_medium_new(struct block_backend *bb);
/* One user less.  NULL is fine. */
void scsi_medium_put(struct scsi_medium *m);

/* The rest is for LUNs with a medium. */
static inline struct block_backend *lun_bb(const struct scsi_lun *lun)
{
	return lun->medium->bb;
}

static inline uint64_t lun_blocks(const struct scsi_lun *lun)
{
	return lun_bb(lun)->size / lun->block_size;
}

/* End @rq. */
void scsi_finish(struct scsi_request *rq, struct scsi_sense sense);
/* End @rq with a status that has no sense. */
void scsi_finish_status(struct scsi_request *rq, enum scsi_status status);
/* End @rq with @len bytes of data in, cut to @allocation and to its buffer. */
void scsi_finish_data(struct scsi_request *rq, const uint8_t *data,
		      uint32_t len, uint32_t allocation);
/* Copy data out to @buf; how many bytes there were.  They count as moved. */
uint32_t scsi_get_data(struct scsi_request *rq, uint8_t *buf, uint32_t len);

/* LBA, length and flags of READ, WRITE, VERIFY and SYNCHRONIZE CACHE. */
struct scsi_extent {
	uint64_t lba;
	uint64_t blocks;
	bool fua;
	bool protect;		/* protection information is asked for */
};

struct scsi_extent scsi_extent_of(const uint8_t *cdb);
/* 0 blocks at @lba or more, all of them on the disk. */
bool scsi_range_ok(const struct scsi_lun *lun, uint64_t lba, uint64_t blocks);

/* Submit rq->block as it is filled in; ends @rq by the block's result. */
void scsi_submit_block(struct scsi_request *rq);
/* What the result of @b means to the guest. */
struct scsi_sense scsi_sense_of(const struct block_request *b);

/*
 * Commands of every LUN.
 */
void scsi_good(struct scsi_request *rq);	/* there is nothing to do */
void scsi_request_sense(struct scsi_request *rq);
void scsi_inquiry(struct scsi_request *rq);
void scsi_mode_sense(struct scsi_request *rq);
void scsi_mode_select(struct scsi_request *rq);
void scsi_read(struct scsi_request *rq);
void scsi_write(struct scsi_request *rq);
void scsi_verify(struct scsi_request *rq);
void scsi_read_capacity10(struct scsi_request *rq);

/*
 * Of disks: UNMAP and WRITE SAME.
 */
void scsi_unmap(struct scsi_request *rq);
void scsi_write_same(struct scsi_request *rq);

/*
 * Of disks that other machines have too; RESERVE and RELEASE do nothing on
 * those of one.
 */
void scsi_reserve_in(struct scsi_request *rq);
void scsi_reserve_out(struct scsi_request *rq);
void scsi_reserve6(struct scsi_request *rq);
void scsi_release6(struct scsi_request *rq);
/*
 * Look at what the others have done: there may be an attention.  False: the
 * state cannot be seen, and @rq has been ended.
 */
bool scsi_share_look(struct scsi_request *rq, enum scsi_access access);
/* Whether a reservation forbids @rq. */
bool scsi_share_forbids(const struct scsi_request *rq, enum scsi_access access);
/* A request that was announced as a write ends. */
void scsi_share_leave(struct scsi_request *rq);
void scsi_share_reset(struct scsi_share *sh);
void scsi_share_hurry(struct scsi_share *sh);
void scsi_share_free(struct scsi_share *sh);

#define RELEASE_6	0x17

/* Blocks of the largest WRITE SAME; in VPD page B0 too. */
#define WRITE_SAME_MAX_BYTES	(UINT64_C(1) << 32)
#define UNMAP_DESCRIPTORS_MAX	256

#endif
