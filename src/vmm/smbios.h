/* SPDX-License-Identifier: GPL-2.0-or-later */
/* smbios - who the machine says it is (SMBIOS 3.1): a Hyper-V one. */
#ifndef VMM_SMBIOS_H
#define VMM_SMBIOS_H

#include <stdint.h>

#include "core/gmem.h"
#include "core/guid.h"

struct smbios_config {
	uint32_t vp_count;
	uint64_t memory;	/* bytes */
	struct guid uuid;	/* of the system */
};

/* Write the entry point and the structures to their places (layout.h). */
void smbios_write(const struct gmem *gm, const struct smbios_config *config);

#endif
