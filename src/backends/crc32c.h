/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CRC-32C (Castagnoli), as iSCSI and VHDX have it. */
#ifndef BACKENDS_CRC32C_H
#define BACKENDS_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Of some bytes, or of what follows those with the CRC @crc; 0 to begin. */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);

#endif
