/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * block_open - a disk's file, or NBD export, in whatever format it has.
 *
 * The content decides, not the name.  What a guest writes to a raw disk may
 * look like another format, which is why parents are believed by their ids
 * only, and why @raw is there.
 */
#ifndef BACKENDS_BLOCK_OPEN_H
#define BACKENDS_BLOCK_OPEN_H

#include "backends/block_file.h"

enum block_format {
	BLOCK_FORMAT_RAW, BLOCK_FORMAT_VHD, BLOCK_FORMAT_VHDX,
};

/*
 * The bytes as they are, of a file or of what an NBD URI leads to.  NULL with
 * an error for the user.
 */
struct block_backend *block_open_bytes(struct loop *loop,
				       const struct block_file_options *options,
				       GError **error);

/* What the content of @file looks like. */
enum block_format block_format_of(struct block_backend *file);
const char *block_format_name(enum block_format format);

/* Whether the file's content is an ISO 9660 file system's. */
bool block_is_iso(const char *path);

/*
 * The disk in the file.  With @raw, the bytes as they are.  NULL with an error
 * for the user.
 */
struct block_backend *block_open(struct loop *loop,
				 const struct block_file_options *options,
				 bool raw, GError **error);

#endif
