/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * block_parent - the files of disks that others keep differences from.
 *
 * Children name their parent by paths of Windows.  Here these mean files beside
 * the child, and whether one is the parent is said by ids alone.
 */
#ifndef BACKENDS_BLOCK_PARENT_H
#define BACKENDS_BLOCK_PARENT_H

#include "backends/block_file.h"

#define BLOCK_CHAIN_MAX	32	/* disks, the first one included */

/* A disk of a chain while it is opened, from the child that was asked for. */
struct block_chain {
	struct loop *loop;
	struct block_file_options options;
	const struct block_chain *child;	/* NULL: it is that one */
	bool write_parent;	/* which is opened for that, then */
};

/*
 * Open the first of @paths that is there, for reading unless @child says
 * otherwise, as the parent of @child, and make *@parent say so, with a path
 * borrowed from @paths.  NULL with an error for the user: none is there, the
 * chain is too long, or it comes back to one of its files.
 */
struct block_backend *block_parent_open(const struct block_chain *child,
					const GPtrArray *paths,
					struct block_chain *parent,
					GError **error);

/* The first of @paths that is there; NULL: none. */
const char *block_parent_there(const GPtrArray *paths);

/*
 * @name, as Windows writes paths, as one of this host, beside @child's file;
 * NULL if it names none.
 */
char *block_parent_path(const char *name, const char *child);
/* Append @path, which passes, unless it is NULL or there already. */
void block_parent_add(GPtrArray *paths, char *path);
/* The way from the folder of @child to @parent, as Windows writes it. */
char *block_parent_way(const char *child, const char *parent);

/* @units of UTF-16 up to the first NUL, as a string; NULL if they are none. */
char *block_utf16_read(const void *data, size_t units, bool big_endian);
/* @text as UTF-16, *@units of it without its end; NULL if it is no UTF-8. */
gunichar2 *block_utf16_make(const char *text, bool big_endian, size_t *units);

#endif
