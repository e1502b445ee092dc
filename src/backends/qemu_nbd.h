/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qemu_nbd - disks in formats of others, by a qemu-nbd of their own.
 *
 * It has one end of a pair of sockets that nobody else can reach, and ends with
 * the disk: by itself when the connection does, by a signal if this process
 * dies.  The format is named to it; it does not guess.
 */
#ifndef BACKENDS_QEMU_NBD_H
#define BACKENDS_QEMU_NBD_H

#include "backends/block_file.h"

/*
 * The disk in @options->path, in QEMU's format @driver.  Other files that the
 * image names are not opened unless @backing.  From the thread that ends with
 * the process.  NULL with an error for the user.
 */
struct block_backend *qemu_nbd_open(struct loop *loop,
				    const struct block_file_options *options,
				    const char *driver, bool backing,
				    GError **error);

#endif
