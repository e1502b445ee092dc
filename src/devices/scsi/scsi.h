/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scsi - SCSI logical units, whatever brings the commands.
 *
 * A LUN belongs to its backend's loop.  scsi_submit() leads to exactly one
 * done(), possibly before it returns.
 */
#ifndef DEVICES_SCSI_SCSI_H
#define DEVICES_SCSI_SCSI_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "backend/block.h"
#include "backend/reservations.h"

#define SCSI_DVD_BLOCK	2048	/* bytes of a DVD's blocks */
#define SCSI_CDB_MAX	16
#define SCSI_SENSE_MAX	18	/* fixed format, as we build it */

enum scsi_status {
	SCSI_GOOD			= 0x00,
	SCSI_CHECK_CONDITION		= 0x02,
	SCSI_BUSY			= 0x08,
	SCSI_RESERVATION_CONFLICT	= 0x18,
	SCSI_TASK_SET_FULL		= 0x28,
};

enum scsi_direction { SCSI_DATA_NONE, SCSI_DATA_IN, SCSI_DATA_OUT };

struct scsi_request {
	/* Set by the transport. */
	uint8_t cdb[SCSI_CDB_MAX];	/* zero beyond cdb_len */
	uint8_t cdb_len;
	enum scsi_direction dir;
	const struct iovec *data;	/* borrowed until done() */
	int data_cnt;
	uint32_t data_len;		/* bytes in @data */
	void (*done)(struct scsi_request *rq);

	/* Valid in done(). */
	uint8_t status;			/* enum scsi_status */
	uint8_t sense_len;		/* 0 unless CHECK CONDITION */
	uint8_t sense[SCSI_SENSE_MAX];
	uint32_t transferred;		/* bytes, at most data_len */

	/* The LUN's own. */
	struct scsi_lun *lun;
	struct scsi_medium *medium;	/* of @block */
	bool entered;			/* a write that others wait for */
	struct block_request block;
};

struct scsi_lun;
struct scsi_medium;

/* Who a disk says it is; stable over reboots. */
struct scsi_identity {
	uint8_t unique_id[16];		/* VPD 83 */
	char serial[21];		/* VPD 80, printable ASCII; "" for none */
};

/*
 * A disk on @bb, which passes to the LUN.  @max_transfer: bytes of the largest
 * request that the transport brings.
 */
struct scsi_lun *scsi_disk_new(struct block_backend *bb,
			       const struct scsi_identity *id,
			       uint32_t max_transfer);
/* A DVD drive with the medium @bb, which passes, or NULL: empty. */
struct scsi_lun *scsi_dvd_new(struct block_backend *bb,
			      const struct scsi_identity *id,
			      uint32_t max_transfer);
/* Whether @bb can be a medium: whole blocks of a DVD's size. */
bool scsi_dvd_takes(const struct block_backend *bb);
/*
 * By the user, at any time, on the LUN's loop.  @bb passes if 0 is returned.
 * -EEXIST: there is a medium; -ENODEV: @lun is no DVD drive.
 */
int scsi_dvd_insert(struct scsi_lun *lun, struct block_backend *bb);
/*
 * -EBUSY: the guest has locked it, and has now been asked to eject it; with
 * @force that does not matter.  -ENOMEDIUM, -ENODEV.
 */
int scsi_dvd_eject(struct scsi_lun *lun, bool force);
/* Whether it is a DVD drive without a medium. */
bool scsi_dvd_is_empty(const struct scsi_lun *lun);
/*
 * Other machines have the disk too; @r, which passes, says what they may do.
 * The disk's unique id is that of @r.
 */
void scsi_lun_share(struct scsi_lun *lun, struct loop *loop,
		    struct reservations *r);
/*
 * See how many bytes the disk has now; the guest hears of it by its next
 * command if that is something else.  -EOPNOTSUPP: this one cannot change;
 * another -errno: what it became cannot be used.
 */
int scsi_disk_measure(struct scsi_lun *lun, uint64_t *size);
/*
 * Make a disk @size bytes, more than it has.  Blocks; on any thread, while the
 * LUN is held.  As block_backend_ops; the guest hears of it by
 * scsi_disk_extended().
 */
int scsi_disk_extend(struct scsi_lun *lun, uint64_t size);
/* On the loop: it had @before bytes, and may have more now. */
void scsi_disk_extended(struct scsi_lun *lun, uint64_t before);
/* What a disk has, in bytes; 0: it is none. */
uint64_t scsi_disk_size(const struct scsi_lun *lun);
/* Other LUNs have come or gone: the guest hears of it by its next command. */
void scsi_lun_set_changed(struct scsi_lun *lun);
/* It has asked itself which there are. */
void scsi_lun_set_reported(struct scsi_lun *lun);
/*
 * For who takes the LUN away, when no request is in flight: make stable what
 * was written.  Leads to @rq->done(), with a status other than SCSI_GOOD if
 * that failed; only its done() has to be filled in.
 */
void scsi_lun_settle(struct scsi_lun *lun, struct scsi_request *rq);
/*
 * No request is in flight any more: let go of the loop, which turns, so that
 * scsi_lun_free() can come on another thread.  Leads to one l->left(), on the
 * loop, possibly from inside.
 */
void scsi_lun_leave(struct scsi_lun *lun, struct block_leave *l);
/* Try again what the host failed at, if the backend keeps that. */
void scsi_lun_again(struct scsi_lun *lun);
/* The guest has reset it, or begins anew. */
void scsi_lun_reset(struct scsi_lun *lun);
/* No request is in flight.  Closes the backend.  NULL is fine. */
void scsi_lun_free(struct scsi_lun *lun);

void scsi_submit(struct scsi_lun *lun, struct scsi_request *rq);
/* Its requests are wanted no more: none waits for what only time brings. */
void scsi_lun_hurry(struct scsi_lun *lun);

#endif
