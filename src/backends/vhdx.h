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

#endif
