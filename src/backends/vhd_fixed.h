/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vhd_fixed - a disk that is the first part of a file. */
#ifndef BACKENDS_VHD_FIXED_H
#define BACKENDS_VHD_FIXED_H

#include "backend/block.h"

/* The first @size bytes of @file, which passes. */
struct block_backend *vhd_fixed_new(struct block_backend *file, uint64_t size);

#endif
