/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>

#include "devices/chipset/acpi_pm.h"
#include "vmm/acpi.h"
#include "vmm/acpi_internal.h"
#include "vmm/aml.h"
#include "vmm/layout.h"

#define STA_PRESENT	0xf
#define WINDOW_ALIGN	(UINT64_C(1) << 30)

static uint64_t ram_end(const struct gmem *gm)
{
	const struct gmem_region *last = &gm->region[gm->count - 1];

	return MAX(last->gpa + last->size, LAYOUT_HIGH_RAM);
}

/* Where VMBus devices get memory-mapped ranges from: below and above RAM. */
static void add_windows(GByteArray *module, const struct gmem *gm)
{
	uint64_t high = (ram_end(gm) + WINDOW_ALIGN - 1) & ~(WINDOW_ALIGN - 1);
	GByteArray *crs = g_byte_array_new();

	aml_memory_window(crs, LAYOUT_LOW_MMIO, LAYOUT_LOW_MMIO_END - 1);
	aml_memory_window(crs, high, high + LAYOUT_HIGH_MMIO_SIZE - 1);
	aml_resources(module, "_CRS", crs);
}

static void add_empty_method(GByteArray *device, const char *name)
{
	aml_method(device, name, g_byte_array_new());
}

/*
 * _HID is "VMBus" and not the newer MSFT1000: every guest knows the former,
 * Windows Server 2012 only that.  The interrupt is for old Linux kernels that
 * want one to be described.
 */
static void add_vmbus(GByteArray *module)
{
	GByteArray *dev = g_byte_array_new(), *crs = g_byte_array_new();

	aml_name_integer(dev, "_ADR", 0);
	aml_name_string(dev, "_DDN", "VMBUS");
	aml_name_string(dev, "_HID", "VMBus");
	aml_name_integer(dev, "_UID", 0);
	aml_name_integer(dev, "_STA", STA_PRESENT);
	add_empty_method(dev, "_DIS");
	add_empty_method(dev, "_PS0");
	add_empty_method(dev, "_PS3");
	aml_irq(crs, 5);
	aml_resources(dev, "_CRS", crs);
	aml_device(module, "VMBS", dev);
}

static void add_module(GByteArray *bus, const struct gmem *gm, bool vmbus)
{
	GByteArray *dev = g_byte_array_new();

	aml_name_string(dev, "_HID", "ACPI0004");
	aml_name_integer(dev, "_UID", 0);
	add_windows(dev, gm);
	if (vmbus)
		add_vmbus(dev);
	aml_device(bus, "VMOD", dev);
}

static void add_interrupt_controllers(GByteArray *bus)
{
	GByteArray *dev = g_byte_array_new(), *crs = g_byte_array_new();

	aml_name(dev, "_HID");
	aml_eisa_id(dev, "PNP0003");
	aml_memory32_fixed(crs, LAYOUT_LAPIC, 0x1000);
	aml_memory32_fixed(crs, LAYOUT_IOAPIC, 0x1000);
	aml_resources(dev, "_CRS", crs);
	aml_device(bus, "APIC", dev);
}

static void add_com(GByteArray *bus, unsigned n)
{
	static const struct { uint16_t port; uint8_t irq; } com[] = {
		{ 0x3f8, LAYOUT_GSI_COM1 }, { 0x2f8, LAYOUT_GSI_COM2 },
	};
	GByteArray *dev = g_byte_array_new(), *crs = g_byte_array_new();
	char name[] = { 'U', 'A', 'R', (char)('1' + n), 0 };
	char ddn[] = { 'C', 'O', 'M', (char)('1' + n), 0 };

	aml_name(dev, "_HID");
	aml_eisa_id(dev, "PNP0501");
	aml_name_string(dev, "_DDN", ddn);
	aml_name_integer(dev, "_UID", n + 1);
	aml_io(crs, com[n].port, 8);
	aml_irq(crs, com[n].irq);
	aml_resources(dev, "_CRS", crs);
	aml_device(bus, name, dev);
}

static void add_rtc(GByteArray *bus)
{
	GByteArray *dev = g_byte_array_new(), *crs = g_byte_array_new();

	aml_name(dev, "_HID");
	aml_eisa_id(dev, "PNP0B00");
	aml_name_integer(dev, "_UID", 0);
	aml_io(crs, 0x70, 2);
	aml_resources(dev, "_CRS", crs);
	aml_device(bus, "RTC0", dev);
}

static void add_processor(GByteArray *bus, uint32_t vp)
{
	GByteArray *dev = g_byte_array_new();
	char name[5];

	snprintf(name, sizeof(name), "P%03u", (vp + 1) % 1000);
	aml_name_string(dev, "_HID", "ACPI0007");
	aml_name_integer(dev, "_UID", vp + 1);
	aml_name_integer(dev, "_STA", STA_PRESENT);
	aml_device(bus, name, dev);
}

GByteArray *acpi_dsdt(const struct gmem *gm, const struct acpi_config *config)
{
	static const uint8_t s0[] = { 0, 0 };
	static const uint8_t s5[] = { ACPI_SLEEP_TYPE_S5, 0 };
	GByteArray *t = acpi_begin("DSDT", 2), *bus = g_byte_array_new();

	aml_name(t, "\\_S0");
	aml_package(t, 2, s0);
	aml_name(t, "\\_S5");
	aml_package(t, 2, s5);
	add_module(bus, gm, !config->no_vmbus);
	add_interrupt_controllers(bus);
	for (unsigned i = 0; i < config->com_count; i++)
		add_com(bus, i);
	add_rtc(bus);
	for (uint32_t i = 0; i < config->vp_count; i++)
		add_processor(bus, i);
	aml_scope(t, "\\_SB", bus);
	return acpi_end(t);
}
