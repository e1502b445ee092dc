/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhd - Virtual Hard Disk files, over the file that they are.
 *
 * Fixed ones are the disk and a footer behind it, and requests go through as
 * they are.  Dynamic ones hold the blocks that have been written, differencing
 * ones what differs from a parent.  vhd_internal.h says what is in the file
 * after a crash.
 */
#ifndef BACKENDS_VHD_H
#define BACKENDS_VHD_H

#include "backends/block_file.h"
#include "backends/vhd_format.h"

/* Whether @file says that it is a VHD, good or damaged. */
bool vhd_probe(struct block_backend *file);

/*
 * The disk in @file, which was opened with @options and passes, also on
 * failure: NULL with an error for the user.  Parents are opened for reading.
 */
struct block_backend *vhd_open(struct loop *loop, struct block_backend *file,
			       const struct block_file_options *options,
			       GError **error);

struct vhd_create_options {
	enum vhd_type type;
	uint64_t size;		/* of the disk; differencing: 0, the parent's */
	uint32_t block_size;	/* 0: 2 MiB */
	const char *parent;	/* of a differencing disk */
};

/*
 * Make @file, which is new and zero, such a disk.  @path is its name.  False
 * with an error for the user.
 */
bool vhd_create(struct block_backend *file, const char *path,
		const struct vhd_create_options *options, GError **error);

/* What the file says of itself, checked; without its blocks and its parent. */
struct vhd_facts {
	enum vhd_type type;
	uint64_t size;			/* of the disk, bytes */
	struct vhd_footer footer;
	struct vhd_header header;	/* zero for fixed disks */
	bool footer_missing;		/* at the end: this is the copy */
};
bool vhd_read_facts(struct block_backend *file, const char *path,
		    struct vhd_facts *facts, GError **error);

/* How many blocks a dynamic or differencing disk has. */
uint32_t vhd_blocks(const struct vhd_facts *facts);

/*
 * Whether each block of the dynamic or differencing disk in @file has a place of
 * its own there: else an error about @path.
 */
bool vhd_may_write(struct block_backend *file, const char *path,
		   const struct vhd_facts *facts, GError **error);
/* Whether that is on what leads to blocks, or to the parent; it is in @file. */
bool vhd_is_on_structure(const struct block_backend *file,
			 const struct vhd_facts *facts, uint64_t at,
			 uint64_t len);

/*
 * Make the dynamic or differencing disk in @file, of which @facts are known and
 * whose footer is there, larger.  At any instant the file has the disk of the
 * old size or of the new one.  0 or -errno; -EINVAL: there is no such disk.
 */
int vhd_resize(struct block_backend *file, const struct vhd_facts *facts,
	       uint64_t size);

/* The same with a fixed one, which ends where its footer is. */
int vhd_fixed_grow(struct block_backend *file, const struct vhd_facts *facts,
		   uint64_t size);

/*
 * Let the differencing disk in @file, at @path, name @parent, which has to be
 * the one that it was made from.  Whenever the host crashes, it names the one or
 * the other.  0, -errno, or 1 with an error for the user.
 */
int vhd_rebase(struct block_backend *file, const struct vhd_facts *facts,
	       const char *path, const char *parent, GError **error);

#endif
