/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "devices/chipset/acpi_pm.h"

static struct ioports ports;
static struct acpi_pm pm;
static uint64_t now;
static unsigned resets, offs;
static struct {
	struct irq_line line;
	bool high;
} sci;

static void set(struct irq_line *line, bool high)
{
	sci.high = high;
}

static uint64_t now_ns(void)
{
	return now;
}

static void system_reset(struct acpi_pm *p)
{
	resets++;
}

static void power_off(struct acpi_pm *p)
{
	offs++;
}

static int setup(void **state)
{
	now = resets = offs = 0;
	sci.line.set = set;
	ioports_init(&ports);
	acpi_pm_init(&pm, &ports, &sci.line, now_ns);
	pm.system_reset = system_reset;
	pm.power_off = power_off;
	return 0;
}

static int teardown(void **state)
{
	ioports_finish(&ports);
	return 0;
}

static uint32_t in(uint16_t port, unsigned size)
{
	return ioports_read(&ports, port, size);
}

static void out(uint16_t port, unsigned size, uint32_t value)
{
	ioports_write(&ports, port, size, value);
}

static void the_timer_runs_at_its_frequency_and_wraps(void **state)
{
	assert_int_equal(in(0x408, 4), 0);
	now = 1000000000;
	assert_int_equal(in(0x408, 4), 3579545);
	now = UINT64_C(1000000000) * 3600 * 24 * 365;
	assert_int_equal(in(0x408, 4),
			 (uint32_t)(UINT64_C(3579545) * 3600 * 24 * 365));
	assert_int_equal(in(0x40a, 2), in(0x408, 4) >> 16);
	assert_int_equal(in(0x408, 2), in(0x408, 4) & 0xffff);
	assert_int_equal(in(0x40b, 1), in(0x408, 4) >> 24);
	out(0x408, 4, 1);
	assert_int_not_equal(in(0x408, 4), 1);
}

static void acpi_mode_is_always_on(void **state)
{
	assert_int_equal(in(0x404, 2), 1);
	out(0x404, 2, 0);
	assert_int_equal(in(0x404, 2), 1);
	out(0x404, 2, 0x1c06);		/* sleep type and the like stay */
	assert_int_equal(in(0x404, 2), 0x1c07);
	assert_int_equal(in(0x405, 1), 0x1c);
	assert_int_equal(offs, 0);
}

static void s5_powers_off_and_no_other_state_does(void **state)
{
	for (unsigned type = 1; type < 8; type++)
		out(0x404, 2, 0x2000 | type << 10);
	assert_int_equal(offs, 0);
	out(0x404, 2, 0x2000);
	assert_int_equal(offs, 1);
	assert_int_equal(in(0x404, 2), 1);	/* SLP_EN reads as zero */
	out(0x405, 1, 0x20);		/* the upper byte alone: SLEEP_CONTROL */
	assert_int_equal(offs, 2);
	out(0x405, 1, 0x24);
	assert_int_equal(offs, 2);
}

static void the_interrupt_is_status_and_enable(void **state)
{
	out(0x402, 2, 0xffff);
	assert_int_equal(in(0x402, 2), 0x0521);
	assert_int_equal(in(0x400, 4), 0x05210000);
	assert_false(sci.high);
	pm.status = 0x0101;
	out(0x402, 2, 0x0100);
	assert_true(sci.high);
	out(0x402, 2, 0);
	assert_false(sci.high);
	out(0x402, 2, 0x0100);
	out(0x401, 1, 0x01);		/* ones clear, by bytes as well */
	assert_int_equal(in(0x400, 2), 0x0001);
	assert_false(sci.high);
	out(0x400, 4, 0x00010001);
	assert_int_equal(in(0x400, 4), 0x00010000);

	pm.gpe_status = 2;
	out(0x40e, 1, 2);
	assert_true(sci.high);
	out(0x40c, 1, 1);
	assert_true(sci.high);
	out(0x40c, 1, 2);
	assert_false(sci.high);
	acpi_pm_reset(&pm);
	assert_int_equal(in(0x400, 4), 0);
	assert_int_equal(in(0x40c, 4), 0);
}

static void the_machine_is_reset_by_every_known_route(void **state)
{
	static const struct { uint16_t port; uint32_t value; } yes[] = {
		{ 0x433, 1 }, { 0xcf9, 0x06 }, { 0xcf9, 0x04 }, { 0xcf9, 0x0e },
		{ 0x64, 0xfe }, { 0x92, 1 }, { 0x92, 3 },
	}, no[] = {
		{ 0x433, 0 }, { 0x433, 2 }, { 0xcf9, 0x02 }, { 0xcf9, 0 },
		{ 0x64, 0xff }, { 0x64, 0xaa }, { 0x92, 2 }, { 0x92, 0 },
	};

	for (unsigned i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		out(no[i].port, 1, no[i].value);
	assert_int_equal(resets, 0);
	for (unsigned i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		out(yes[i].port, 1, yes[i].value);
		assert_int_equal(resets, i + 1);
	}
	assert_int_equal(offs, 0);
	assert_int_equal(in(0x92, 1), 2);	/* A20 is on */
	assert_int_equal(in(0x64, 1), 0xff);	/* there is no 8042 */
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_timer_runs_at_its_frequency_and_wraps),
		TEST(acpi_mode_is_always_on),
		TEST(s5_powers_off_and_no_other_state_does),
		TEST(the_interrupt_is_status_and_enable),
		TEST(the_machine_is_reset_by_every_known_route),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
