/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * acpi - the tables that describe the machine, as a Hyper-V generation 2
 * machine has them: fixed hardware at 0x400, no PIC, PIT or PCI, and VMBus
 * below a module device whose resources are the MMIO windows.
 */
#ifndef VMM_ACPI_H
#define VMM_ACPI_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/gmem.h"

struct acpi_config {
	uint32_t vp_count;
	unsigned com_count;	/* serial ports, 0 to 2 */
	bool no_vmbus;		/* the guest is offered none */
};

/* Write the tables and the RSDP to their places (layout.h). */
void acpi_write(const struct gmem *gm, const struct acpi_config *config);

/* The DSDT alone; the caller frees it. */
GByteArray *acpi_dsdt(const struct gmem *gm, const struct acpi_config *config);

#endif
