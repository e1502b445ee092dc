/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sub-commands of "kvmbus disk". */
#ifndef VMM_DISK_INTERNAL_H
#define VMM_DISK_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/block_open.h"
#include "backends/vhd.h"
#include "core/autoptr.h"

AUTOPTR_DEFINE(block_backend, block_close)

/* What was asked for. */
struct disk_args {
	const char *file, *second;	/* FILE, and what follows */
	const char *format;		/* -O; NULL: by the name */
	const char *parent;
	uint64_t block_size;
	bool fixed, azure, force, json, repair, replay, shrink;
};

/* Each returns an exit status. */
int disk_info(const struct disk_args *a, GError **error);
int disk_create(const struct disk_args *a, GError **error);
int disk_convert(const struct disk_args *a, GError **error);
int disk_check(const struct disk_args *a, GError **error);
int disk_resize(const struct disk_args *a, GError **error);
int disk_rebase(const struct disk_args *a, GError **error);
int disk_commit(const struct disk_args *a, GError **error);

/* An error of this command: "@what", why, advice; false. */
bool disk_fail(GError **error, int status, const char *id, const char *what,
	       const char *why, const char *advice);

/* A size as users write it; false with an error. */
bool disk_parse_size(const char *text, uint64_t *bytes, GError **error);

/*
 * A new image, under another name in its folder until it is whole: a part of
 * one never has the name.
 */
struct disk_output {
	char *path;		/* as it will be */
	char *temporary;	/* NULL once it has its name, or is gone */
	enum block_format format;
};
/*
 * Make @path as @a says, a disk of @size bytes; not over a file that is there
 * without --force.
 */
bool disk_output_begin(struct disk_output *out, const struct disk_args *a,
		       const char *path, uint64_t size, GError **error);
/* It is whole, and stable: give it its name. */
bool disk_output_commit(struct disk_output *out, GError **error);
/* Remove what is not committed. */
void disk_output_finish(struct disk_output *out);

#endif
