/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests to a file without a loop: what formats do to open and to close. */
#ifndef BACKENDS_BLOCK_FILE_PERFORM_H
#define BACKENDS_BLOCK_FILE_PERFORM_H

#include "backend/block.h"

/*
 * Do @rq on @fd, which may have O_DIRECT, whatever @rq's memory is aligned to.
 * Blocks; returns 0 or -errno, -EIO when the file ends too early.
 */
int block_file_perform(int fd, const struct block_request *rq);

#endif
