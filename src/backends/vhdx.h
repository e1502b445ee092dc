/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhdx - virtual hard disks in the format of Hyper-V: [MS-VHDX].
 *
 * A VHDX is a backend over the backend of its file.  Payload goes from the
 * guest's pages to the file without a copy.  What the format calls metadata
 * is changed through its log, so that at every instant the file on stable
 * storage is one that opens and has all that was flushed: docs/storage.md.
 *
 * Nothing of ours is in flight in the file while no request is.
 */
#ifndef BACKENDS_VHDX_H
#define BACKENDS_VHDX_H

#include "backend/block.h"
#include "core/guid.h"

/* Whether a file with these first 8 bytes wants to be a VHDX. */
bool vhdx_probe(const uint8_t *start);

/*
 * The disk in @file, which passes to it, also on failure.  @path names it in
 * messages.  NULL with an error for the user.  Differencing disks are refused.
 */
struct block_backend *vhdx_open(struct loop *loop, struct block_backend *file,
				const char *path, GError **error);

struct vhdx_create_options {
	bool fixed;
	uint64_t size;		/* bytes, up to 64 TiB */
	uint32_t block_size;	/* 0: 32 MiB */
	uint32_t sector_size;	/* 512 or 4096; 0: 512 */
};

/*
 * Write an empty disk to @file, which grows and has zeroes only: 0 or -errno,
 * -EINVAL for sizes that cannot be.
 */
int vhdx_format(struct block_backend *file,
		const struct vhdx_create_options *options);
/*
 * Make @path, which must not exist.  On failure it is not there, and the
 * error is one for the user.
 */
bool vhdx_create(const char *path, const struct vhdx_create_options *options,
		 GError **error);

/*
 * What follows is for a disk that is all there is of it, such as
 * block_open() gives: no request is in flight, and it is closed next.  It all
 * blocks and returns 0 or -errno.
 */

/*
 * Give it another size; what is new is zero.  -EINVAL: there is no such disk.
 * A smaller disk must have no blocks behind its end, unless it is a fixed one.
 */
int vhdx_resize(struct block_backend *bb, uint64_t size);

/* What the file says of itself. */
struct vhdx_facts {
	bool fixed;
	uint32_t block_size;
	uint64_t log_size;
	struct guid disk_id;		/* as in SCSI's page 83 */
	struct guid file_write_guid, data_write_guid;
};
void vhdx_get_facts(struct block_backend *bb, struct vhdx_facts *facts);

/* What a look at all of it tells. */
struct vhdx_survey {
	uint64_t blocks;	/* that are in the file; of these ... */
	uint64_t outside;	/* ... beyond its end, */
	uint64_t shared;	/* and on others, or on structures */
	uint64_t lost;		/* bytes of the host that nothing uses */
	uint64_t end;		/* behind it nothing is used */
	uint64_t *used;		/* a bit for each MiB of the file */
	bool damaged_header, damaged_regions;	/* one of two */
	bool replayed;		/* its log, when it was opened */
};
/* To be finished in any case. */
int vhdx_survey(struct block_backend *bb, struct vhdx_survey *s);
void vhdx_survey_finish(struct vhdx_survey *s);
/*
 * Write damaged copies again, and give back what nothing uses, if it is sure
 * what that is.
 */
int vhdx_repair(struct block_backend *bb, const struct vhdx_survey *s);

#endif
