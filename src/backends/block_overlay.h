/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * block_overlay - a disk that may be written and forgets it.
 *
 * Reads come from @base until the same place has been written; writes go to
 * @top.  Both are of the same size, and @base is never written.  A bit for
 * each cluster of 4 KiB (more for disks beyond 1 TiB) says where its data is:
 * what is aligned to clusters goes to one of the two as it is, and of a
 * cluster that is written in part the rest is copied once.
 *
 * Nothing of it survives, so that flushes and FUA cost nothing.
 */
#ifndef BACKENDS_BLOCK_OVERLAY_H
#define BACKENDS_BLOCK_OVERLAY_H

#include "backend/block.h"

/*
 * Passes @base and @top, which reads as zeroes and whose blocks are not larger
 * than those of @base.  Writes fail with -ENOSPC once @limit bytes are held in
 * @top; 0: no limit.
 */
struct block_backend *block_overlay_new(struct loop *loop,
					struct block_backend *base,
					struct block_backend *top,
					uint64_t limit);

/*
 * An overlay whose top is a file without a name, in $TMPDIR or else the user's
 * cache folder; it takes space only for what is written.  Passes @base, also
 * on failure: NULL with an error for the user.
 */
struct block_backend *block_overlay_open(struct loop *loop,
					 struct block_backend *base,
					 uint64_t limit, GError **error);

#endif
