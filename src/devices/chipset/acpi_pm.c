/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>

#include "core/util.h"
#include "devices/chipset/acpi_pm.h"

#define PM_TIMER_HZ	3579545u
#define NS_PER_S	1000000000u

#define PM1_SCI_EN	0x0001
#define PM1_SLP_TYP(c)	((c) >> 10 & 7)
#define PM1_SLP_EN	0x2000
#define PM1_WRITABLE	0x1c07		/* SLP_TYP, GBL_RLS, BM_RLD */
#define PM1_EVENTS	0x0521		/* RTC, buttons, global, timer */

#define CF9_RESET	0x04
#define KEYBOARD_RESET	0xfe
#define PORT92_RESET	0x01
#define PORT92_A20	0x02

static uint32_t timer_value(const struct acpi_pm *pm)
{
	return (uint32_t)((unsigned __int128)pm->now_ns() * PM_TIMER_HZ /
			  NS_PER_S);
}

static void update_sci(struct acpi_pm *pm)
{
	irq_set(pm->sci, (pm->status & pm->enable) ||
			 (pm->gpe_status & pm->gpe_enable));
}

/* The block as 16-bit registers; the timer is two of them. */
static uint16_t read_word(const struct acpi_pm *pm, uint16_t reg,
			  uint32_t timer)
{
	switch (reg) {
	case 0x0:
		return pm->status;
	case 0x2:
		return pm->enable;
	case 0x4:
		return pm->control | PM1_SCI_EN;
	case 0x8:
		return (uint16_t)timer;
	case 0xa:
		return (uint16_t)(timer >> 16);
	case 0xc:
		return pm->gpe_status;
	case 0xe:
		return pm->gpe_enable;
	default:
		return 0;
	}
}

static uint32_t pm_read(struct ioport *io, uint16_t port, unsigned size)
{
	struct acpi_pm *pm = container_of(io, struct acpi_pm, pm);
	uint16_t reg = (port - ACPI_PM_BASE) & ~1;
	uint32_t timer = timer_value(pm);
	uint32_t value = read_word(pm, reg, timer) |
			 (uint32_t)read_word(pm, reg + 2, timer) << 16;

	return port & 1 ? value >> 8 : value;
}

static void write_control(struct acpi_pm *pm, uint16_t value)
{
	pm->control = value & PM1_WRITABLE;
	if ((value & PM1_SLP_EN) && PM1_SLP_TYP(value) == ACPI_SLEEP_TYPE_S5)
		pm->power_off(pm);
}

static void write_word(struct acpi_pm *pm, uint16_t reg, uint16_t value)
{
	switch (reg) {
	case 0x0:	/* ones clear */
		pm->status &= ~value;
		break;
	case 0x2:
		pm->enable = value & PM1_EVENTS;
		break;
	case 0x4:
		write_control(pm, value);
		break;
	case 0xc:
		pm->gpe_status &= ~value;
		break;
	case 0xe:
		pm->gpe_enable = value;
		break;
	default:
		break;
	}
	update_sci(pm);
}

static void pm_write(struct ioport *io, uint16_t port, unsigned size,
		     uint32_t value)
{
	struct acpi_pm *pm = container_of(io, struct acpi_pm, pm);
	uint16_t reg = (port - ACPI_PM_BASE) & ~1;
	uint16_t old;

	if (size == 1) {
		/* Bytes that are not written keep their value; status bits
		 * that are not written as ones keep theirs. */
		old = reg == 0x0 || reg == 0xc ? 0 : read_word(pm, reg, 0);
		value = port & 1 ? (old & 0x00ffu) | value << 8 :
				   (old & 0xff00u) | value;
	}
	write_word(pm, reg, (uint16_t)value);
	if (size == 4)
		write_word(pm, reg + 2, (uint16_t)(value >> 16));
}

static void reset_write(struct ioport *io, uint16_t port, unsigned size,
			uint32_t value)
{
	struct acpi_pm *pm = container_of(io, struct acpi_pm, reset);

	if ((uint8_t)value == ACPI_RESET_VALUE)
		pm->system_reset(pm);
}

static void cf9_write(struct ioport *io, uint16_t port, unsigned size,
		      uint32_t value)
{
	struct acpi_pm *pm = container_of(io, struct acpi_pm, cf9);

	if (size == 1 && (value & CF9_RESET))
		pm->system_reset(pm);
}

static void keyboard_write(struct ioport *io, uint16_t port, unsigned size,
			   uint32_t value)
{
	struct acpi_pm *pm = container_of(io, struct acpi_pm, keyboard);

	if ((uint8_t)value == KEYBOARD_RESET)
		pm->system_reset(pm);
}

static uint32_t port92_read(struct ioport *io, uint16_t port, unsigned size)
{
	return PORT92_A20;
}

static void port92_write(struct ioport *io, uint16_t port, unsigned size,
			 uint32_t value)
{
	struct acpi_pm *pm = container_of(io, struct acpi_pm, port92);

	if (value & PORT92_RESET)
		pm->system_reset(pm);
}

void acpi_pm_reset(struct acpi_pm *pm)
{
	pm->status = pm->enable = pm->control = 0;
	pm->gpe_status = pm->gpe_enable = 0;
	update_sci(pm);
}

void acpi_pm_init(struct acpi_pm *pm, struct ioports *ports,
		  struct irq_line *sci, uint64_t (*now_ns)(void))
{
	*pm = (struct acpi_pm){
		.pm = { ACPI_PM_BASE, ACPI_PM_BASE + 0xf, pm_read, pm_write },
		.reset = { ACPI_RESET_PORT, ACPI_RESET_PORT, NULL,
			   reset_write },
		.cf9 = { 0xcf9, 0xcf9, NULL, cf9_write },
		.keyboard = { 0x64, 0x64, NULL, keyboard_write },
		.port92 = { 0x92, 0x92, port92_read, port92_write },
		.sci = sci,
		.now_ns = now_ns,
	};
	ioports_add(ports, &pm->pm);
	ioports_add(ports, &pm->reset);
	ioports_add(ports, &pm->cf9);
	ioports_add(ports, &pm->keyboard);
	ioports_add(ports, &pm->port92);
	acpi_pm_reset(pm);
}
