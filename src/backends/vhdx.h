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
 *
 * A differencing disk has what differs from its parent, sector by sector.  The
 * parent is one with the DataWriteGuid that the disk names: one that has been
 * written since has another.
 */
#ifndef BACKENDS_VHDX_H
#define BACKENDS_VHDX_H

#include "backends/block_file.h"
#include "core/guid.h"

/* Whether a file with these first 8 bytes wants to be a VHDX. */
bool vhdx_probe(const uint8_t *start);

/*
 * The disk in @file, which was opened with @options and passes, also on
 * failure: NULL with an error for the user.  Parents are opened for reading.
 * One with blocks that share a place, or have none, is opened for reading only.
 */
struct block_backend *vhdx_open(struct loop *loop, struct block_backend *file,
				const struct block_file_options *options,
				GError **error);
/* The same for a survey, without a loop, and whatever its blocks are. */
struct block_backend *vhdx_open_damaged(struct block_backend *file,
					const char *path, GError **error);

/*
 * What the file says of itself, checked; without its blocks and its parent.
 * Nothing is written, also if its log is not empty.
 */
struct vhdx_facts {
	bool fixed, differencing;
	bool dirty;			/* what is here is partly in its log */
	uint64_t size;			/* of the disk, bytes */
	uint32_t block_size, sector_size, physical_sector_size;
	uint64_t log_size;
	struct guid disk_id;		/* as in SCSI's page 83 */
	struct guid file_write_guid, data_write_guid;
	struct guid parent;		/* the DataWriteGuid of the parent */
	GPtrArray *parent_paths;	/* on this host; NULL: no parent */
};
bool vhdx_read_facts(struct block_backend *file, const char *path,
		     struct vhdx_facts *facts, GError **error);
void vhdx_facts_finish(struct vhdx_facts *facts);

/*
 * Let the differencing disk in @file, at @path, name @parent, which has to be
 * the one that it was made from.  What it has stays as it is, and so does its
 * DataWriteGuid.  0, -errno, or 1 with an error for the user.
 */
int vhdx_rebase(struct block_backend *file, const char *path,
		const char *parent, GError **error);

struct vhdx_create_options {
	bool fixed;
	uint64_t size;		/* bytes, up to 64 TiB */
	uint32_t block_size;	/* 0: 32 MiB; with a parent 2 MiB */
	uint32_t sector_size;	/* 512 or 4096; 0: 512 */
	uint32_t physical_sector;	/* likewise; 0: 4096 */
	struct guid id;		/* zero: a new one */
	/* Of a differencing disk: its parent, and the way to it from there. */
	struct guid parent;
	char *way;		/* NULL: none */
};

/*
 * Make @options those of a disk at @path that differs from the one in the file
 * @parent, of the same size unless that is set, and free what they have.  False
 * with an error for the user.
 */
bool vhdx_create_options_adopt(struct vhdx_create_options *options,
			       const char *path, const char *parent,
			       GError **error);
void vhdx_create_options_finish(struct vhdx_create_options *options);

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
 * Give it another size; what is new is zero.  -EINVAL: there is no such disk,
 * or a parent would show through in what is new.
 * A smaller disk must have no blocks behind its end, unless it is a fixed one.
 */
int vhdx_resize(struct block_backend *bb, uint64_t size);

/* What a look at all of it tells. */
struct vhdx_survey {
	uint64_t blocks;	/* that are in the file; of these ... */
	uint64_t payload;	/* ... fully present ones of the disk, */
	uint64_t outside;	/* beyond its end, */
	uint64_t shared;	/* and on others, or on structures */
	uint64_t lost;		/* bytes of the host that nothing uses */
	uint64_t end;		/* behind it nothing is used */
	uint64_t *used;		/* a bit for each MiB of the file */
	bool damaged_header, damaged_regions;	/* one of two */
	bool replayed;		/* its log, when it was opened */
	bool aside;		/* likewise, but not into the file */
};
/* Of a disk that has not been written yet.  To be finished in any case. */
int vhdx_survey(struct block_backend *bb, struct vhdx_survey *s);
void vhdx_survey_finish(struct vhdx_survey *s);
/*
 * Write damaged copies again, and give back what nothing uses, if it is sure
 * what that is.
 */
int vhdx_repair(struct block_backend *bb, const struct vhdx_survey *s);

#endif
