/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fw_cfg - what QEMU tells firmware, as far as test kernels ask: a 16-bit OUT
 * to 0x510 selects an item, each 8-bit IN from 0x511 is its next byte.
 *
 *	0x00 "QEMU"	0x01 interface (bit 0: these ports)
 *	0x03 bytes of RAM (64)	0x05, 0x0f processors, now and at most (16)
 *
 * Numbers are little-endian.  Other items, and what is beyond an item's end,
 * read as 0.
 */
#ifndef DEVICES_CHIPSET_FW_CFG_H
#define DEVICES_CHIPSET_FW_CFG_H

#include "devices/chipset/ioports.h"

#define FW_CFG_PORT	0x510

struct fw_cfg {
	struct ioport io;
	uint64_t ram_size;	/* bytes */
	uint16_t cpus;
	uint64_t rest;		/* of the selected item, next byte lowest */
};

void fw_cfg_init(struct fw_cfg *f, uint64_t ram_size, uint16_t cpus);
/* No item is selected. */
void fw_cfg_reset(struct fw_cfg *f);

#endif
