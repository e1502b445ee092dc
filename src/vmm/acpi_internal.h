/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by acpi.c and acpi_dsdt.c. */
#ifndef VMM_ACPI_INTERNAL_H
#define VMM_ACPI_INTERNAL_H

#include <glib.h>
#include <stdint.h>

/* A table with its header; acpi_end() fills in length and checksum. */
GByteArray *acpi_begin(const char signature[4], uint8_t revision);
GByteArray *acpi_end(GByteArray *table);

#endif
