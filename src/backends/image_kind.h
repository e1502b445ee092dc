/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * image_kind - formats that kvmbus knows by sight only, and leaves to qemu-nbd.
 *
 * An image may name other files that its contents come from.  One that a
 * stranger made could name any file of its reader, and show that to a guest.
 */
#ifndef BACKENDS_IMAGE_KIND_H
#define BACKENDS_IMAGE_KIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMAGE_START	(64u << 10)	/* bytes of a file that tell all */

struct image_kind {
	const char *name;
	const char *driver;	/* QEMU's name for it */
	unsigned at, len;	/* of the magic number */
	const char *magic;
	bool (*names_files)(const uint8_t *start, size_t len);
};

/* What a file is that begins with @len bytes; NULL: nothing of these. */
const struct image_kind *image_kind_of(const uint8_t *start, size_t len);
/* The same of the file of this name; *@names_files may be NULL. */
const struct image_kind *image_kind_of_file(const char *path,
					    bool *names_files);

/* Whether it names other files, or may do so further on. */
bool image_kind_names_files(const struct image_kind *kind,
			    const uint8_t *start, size_t len);

#endif
