/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * block_merge - what a differencing disk has becomes its parent's.
 *
 *	LINK	the child takes its parent also as that will be
 *	GROW	the parent is as large as the child
 *	COPY	what is in the child's file is written to the parent, and stable
 *	UNLINK	the child takes its parent only as it is now
 *	EMPTY	the child's file has nothing any more
 *
 * What the child has hides what the parent gets, and is dropped when that is
 * stable: at every instant the child reads as before.  Whatever ends this,
 * doing it once more ends it well.  Other children of the parent have lost it
 * with the first write.
 */
#ifndef BACKENDS_BLOCK_MERGE_H
#define BACKENDS_BLOCK_MERGE_H

#include "backend/block.h"

struct block_merge {
	struct loop *loop;
	struct block_backend *file;	/* can be written; passes */
	const char *path;
	/*
	 * The file of the parent, which passes; NULL with an error for the
	 * user.  It is not opened for writing before it is known that it will
	 * be: that alone may be a change to the time of its last one.
	 */
	struct block_backend *(*open_parent)(struct block_merge *m,
					     bool read_only, GError **error);
	const char *parent_path;	/* known by then */
	/* Bytes of @total are copied; NULL: nobody wants to know. */
	void (*progress)(struct block_merge *m, uint64_t copied);
	uint64_t total;
	int stop;		/* -errno: end by this */
};

/*
 * vhdx_merge.c, vhd_merge.c: the whole of it.  0, -errno, or 1 with an error
 * for the user, before which nothing was copied.
 */
int vhdx_merge(struct block_merge *m, GError **error);
int vhd_merge(struct block_merge *m, GError **error);

/*
 * For formats.
 */

/* What is in the child's file in one piece. */
struct block_extent {
	uint64_t at, len;	/* of the disk; len 0: there is no more */
	uint64_t place;		/* in the file ... */
	bool zero;		/* ... or nowhere */
};
/* The first extent at @at or behind it.  0 or -errno. */
typedef int block_extent_next(void *source, uint64_t at,
			      struct block_extent *e);

/* Count what there is, and see that all of it makes sense.  0 or -errno. */
int block_merge_count(struct block_merge *m, block_extent_next *next,
		      void *source);
/* Write it to @to, and make it stable there.  0 or -errno. */
int block_merge_copy(struct block_merge *m, block_extent_next *next,
		     void *source, struct block_backend *to);

#endif
