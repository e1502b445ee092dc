/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * aml - writes the few ACPI Machine Language terms that our DSDT needs.
 * ACPI specification 6.4, chapter 20.
 *
 * Terms append to a GByteArray; those that enclose others take what they hold
 * as another array, which they free:
 *
 *	GByteArray *dev = g_byte_array_new();
 *	aml_name(dev, "_HID");
 *	aml_string(dev, "VMBus");
 *	aml_device(table, "VMBS", dev);
 */
#ifndef VMM_AML_H
#define VMM_AML_H

#include <glib.h>
#include <stdint.h>

void aml_byte(GByteArray *a, uint8_t byte);
/* The smallest integer term that holds @value. */
void aml_integer(GByteArray *a, uint64_t value);
void aml_string(GByteArray *a, const char *text);
/* A PNP or similar id ("PNP0501") in its compressed form. */
void aml_eisa_id(GByteArray *a, const char *id);

/* "_HID" or "\\_SB_": what follows is its object. */
void aml_name(GByteArray *a, const char *name);
void aml_name_integer(GByteArray *a, const char *name, uint64_t value);
void aml_name_string(GByteArray *a, const char *name, const char *text);

/* These free @inside. */
void aml_scope(GByteArray *a, const char *name, GByteArray *inside);
void aml_device(GByteArray *a, const char *name, GByteArray *inside);
void aml_method(GByteArray *a, const char *name, GByteArray *inside);
/* A package of small integers. */
void aml_package(GByteArray *a, unsigned count, const uint8_t *values);

/* A _CRS: resource descriptors as bytes, closed by an end tag.  Frees. */
void aml_resources(GByteArray *a, const char *name, GByteArray *descriptors);
/* Descriptors, ACPI 6.4 section 6.4. */
void aml_irq(GByteArray *d, unsigned irq);
void aml_io(GByteArray *d, uint16_t port, uint8_t len);
/* A window of [@first, @last] that its children may use. */
void aml_memory_window(GByteArray *d, uint64_t first, uint64_t last);
void aml_memory32_fixed(GByteArray *d, uint32_t first, uint32_t len);

#endif
