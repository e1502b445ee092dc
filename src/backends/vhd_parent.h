/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the parent of a differencing VHD is. */
#ifndef BACKENDS_VHD_PARENT_H
#define BACKENDS_VHD_PARENT_H

#include "backends/vhd.h"

/*
 * Paths on this host that the header's locators and names may mean, the most
 * trustworthy first, without doubles; some name no file.
 */
GPtrArray *vhd_parent_paths(struct block_backend *file,
			    const struct vhd_header *h, const char *path);

/*
 * Whether the disk at @path is the parent that the other one was made from, as
 * it was then.  False with an error for the user.
 */
bool vhd_parent_check(const struct vhd_facts *child, const char *child_path,
		      const struct vhd_facts *parent, const char *path,
		      GError **error);

/*
 * Enter @parent into the header of a new disk at @path.  The locators' data is
 * written to @file at *@at, which goes on behind it.  0 or -errno.
 */
int vhd_parent_locate(struct block_backend *file, struct vhd_header *h,
		      const char *path, const char *parent, uint64_t *at);

#endif
