/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * acpi_pm - ACPI fixed hardware of a Hyper-V machine, and all other ways that
 * a PC is reset by.
 *
 *	0x400 PM1 status (16)   0x402 PM1 enable (16)   0x404 PM1 control (16)
 *	0x408 PM timer (32, 3.579545 MHz)               0x40c GPE0 (16 + 16)
 *	0x433 reset register (1)	0xcf9 (bit 2)
 *	0x64 keyboard controller (0xfe)	0x92 (bit 0)
 *
 * S5 is sleep type 0 (see the DSDT).  ACPI mode is always on.
 */
#ifndef DEVICES_CHIPSET_ACPI_PM_H
#define DEVICES_CHIPSET_ACPI_PM_H

#include "core/irq.h"
#include "devices/chipset/ioports.h"

#define ACPI_PM_BASE		0x400
#define ACPI_PM1_EVENT		0x400
#define ACPI_PM1_CONTROL	0x404
#define ACPI_PM_TIMER		0x408
#define ACPI_GPE0		0x40c
#define ACPI_RESET_PORT		0x433
#define ACPI_RESET_VALUE	1
#define ACPI_SLEEP_TYPE_S5	0

struct acpi_pm {
	struct ioport pm, reset, cf9, keyboard, port92;
	struct irq_line *sci;
	uint64_t (*now_ns)(void);	/* for the PM timer; monotonic */
	/* On the vCPU's thread, under the bus lock. */
	void (*power_off)(struct acpi_pm *pm);
	void (*system_reset)(struct acpi_pm *pm);

	uint16_t status, enable, control;
	uint16_t gpe_status, gpe_enable;
};

/* Adds its ports to @ports.  Callbacks are set after. */
void acpi_pm_init(struct acpi_pm *pm, struct ioports *ports,
		  struct irq_line *sci, uint64_t (*now_ns)(void));
void acpi_pm_reset(struct acpi_pm *pm);

#endif
