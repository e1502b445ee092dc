/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * layout - where things are in guest-physical memory.
 *
 *	0x00001000  GDT			0x00002000  zero page (boot_params)
 *	0x00003000  command line	0x00008000  page tables, 0 to 4 GiB
 *	0x00010000  ACPI tables		0x00030000  SMBIOS structures
 *	0x000e0000  RSDP		0x000f0000  SMBIOS entry point
 *	0x00100000  kernel
 *	0xe0000000  end of low RAM at most; MMIO above
 *	0xf8000000  low MMIO window of VMBus devices, up to
 *	0xfec00000  IOAPIC		0xfee00000  local APICs
 *	4 GiB       RAM goes on; behind it the high MMIO window
 */
#ifndef VMM_LAYOUT_H
#define VMM_LAYOUT_H

#include <stdint.h>

#define LAYOUT_GDT		UINT64_C(0x1000)
#define LAYOUT_ZERO_PAGE	UINT64_C(0x2000)
#define LAYOUT_CMDLINE		UINT64_C(0x3000)
#define LAYOUT_CMDLINE_MAX	UINT64_C(0x1000)	/* with its NUL */
#define LAYOUT_PAGE_TABLES	UINT64_C(0x8000)
#define LAYOUT_ACPI		UINT64_C(0x10000)
#define LAYOUT_ACPI_MAX		UINT64_C(0x20000)
#define LAYOUT_SMBIOS		UINT64_C(0x30000)
#define LAYOUT_SMBIOS_MAX	UINT64_C(0x10000)
#define LAYOUT_RSDP		UINT64_C(0xe0000)
#define LAYOUT_SMBIOS_ENTRY	UINT64_C(0xf0000)
#define LAYOUT_LOW_END		UINT64_C(0x100000)
#define LAYOUT_KERNEL		UINT64_C(0x100000)

#define LAYOUT_LOW_RAM_MAX	UINT64_C(0xe0000000)
#define LAYOUT_LOW_MMIO		UINT64_C(0xf8000000)
#define LAYOUT_LOW_MMIO_END	UINT64_C(0xfec00000)
#define LAYOUT_IOAPIC		UINT32_C(0xfec00000)
#define LAYOUT_LAPIC		UINT32_C(0xfee00000)
#define LAYOUT_HIGH_RAM		UINT64_C(0x100000000)
#define LAYOUT_HIGH_MMIO_SIZE	UINT64_C(0x40000000)

/* Selectors of the GDT that a guest starts with. */
#define LAYOUT_CODE_SELECTOR	0x10
#define LAYOUT_DATA_SELECTOR	0x18

/* IOAPIC inputs. */
#define LAYOUT_GSI_COM2		3
#define LAYOUT_GSI_COM1		4
#define LAYOUT_GSI_SCI		9

#endif
