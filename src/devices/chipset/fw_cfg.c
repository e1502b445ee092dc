/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/util.h"
#include "devices/chipset/fw_cfg.h"

enum {
	FW_CFG_SIGNATURE = 0x00,
	FW_CFG_ID = 0x01,
	FW_CFG_RAM_SIZE = 0x03,
	FW_CFG_NB_CPUS = 0x05,
	FW_CFG_MAX_CPUS = 0x0f,
};

#define SIGNATURE	0x554d4551u	/* "QEMU" */
#define ID_PORTS	1u

static uint64_t item(const struct fw_cfg *f, uint16_t key)
{
	switch (key) {
	case FW_CFG_SIGNATURE:
		return SIGNATURE;
	case FW_CFG_ID:
		return ID_PORTS;
	case FW_CFG_RAM_SIZE:
		return f->ram_size;
	case FW_CFG_NB_CPUS:
	case FW_CFG_MAX_CPUS:
		return f->cpus;
	default:
		return 0;
	}
}

static uint32_t fw_cfg_read(struct ioport *io, uint16_t port, unsigned size)
{
	struct fw_cfg *f = container_of(io, struct fw_cfg, io);
	uint8_t byte = (uint8_t)f->rest;

	if (port == FW_CFG_PORT || size != 1)
		return UINT32_MAX;
	f->rest >>= 8;
	return byte;
}

static void fw_cfg_write(struct ioport *io, uint16_t port, unsigned size,
			 uint32_t value)
{
	struct fw_cfg *f = container_of(io, struct fw_cfg, io);

	if (port == FW_CFG_PORT && size == 2)
		f->rest = item(f, (uint16_t)value);
}

void fw_cfg_reset(struct fw_cfg *f)
{
	f->rest = 0;
}

void fw_cfg_init(struct fw_cfg *f, uint64_t ram_size, uint16_t cpus)
{
	*f = (struct fw_cfg){
		.io = {
			.first = FW_CFG_PORT, .last = FW_CFG_PORT + 1,
			.read = fw_cfg_read, .write = fw_cfg_write,
		},
		.ram_size = ram_size,
		.cpus = cpus,
	};
}
