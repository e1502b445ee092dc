/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "devices/chipset/fw_cfg.h"

#define RAM	UINT64_C(0x123456789a)
#define CPUS	0x140

static struct ioports ports;
static struct fw_cfg dev;

static int setup(void **state)
{
	ioports_init(&ports);
	fw_cfg_init(&dev, RAM, CPUS);
	ioports_add(&ports, &dev.io);
	return 0;
}

static int teardown(void **state)
{
	ioports_finish(&ports);
	return 0;
}

static void choose(uint16_t key)
{
	ioports_write(&ports, 0x510, 2, key);
}

static uint8_t next(void)
{
	return (uint8_t)ioports_read(&ports, 0x511, 1);
}

static uint64_t item(uint16_t key)
{
	uint64_t value = 0;

	choose(key);
	for (unsigned i = 0; i < 8; i++)
		value |= (uint64_t)next() << 8 * i;
	return value;
}

static void items_say_what_the_machine_has(void **state)
{
	assert_int_equal(item(0x00), 0x554d4551);	/* QEMU */
	assert_int_equal(item(0x01), 1);
	assert_int_equal(item(0x03), RAM);
	assert_int_equal(item(0x05), CPUS);
	assert_int_equal(item(0x0f), CPUS);
}

static void other_items_and_what_follows_an_end_are_zero(void **state)
{
	for (unsigned key = 0; key <= UINT16_MAX; key++) {
		choose((uint16_t)key);
		for (unsigned i = 0; i < 8; i++)
			next();
		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(next(), 0);
		if (key > 0x0f)
			assert_int_equal(item((uint16_t)key), 0);
	}
}

static void choosing_again_starts_at_the_first_byte(void **state)
{
	choose(0x03);
	assert_int_equal(next(), 0x9a);
	assert_int_equal(next(), 0x78);
	choose(0x03);
	assert_int_equal(next(), 0x9a);
}

static void a_reset_leaves_nothing_selected(void **state)
{
	choose(0x03);
	fw_cfg_reset(&dev);
	assert_int_equal(next(), 0);
	assert_int_equal(item(0x03), RAM);
}

static void accesses_of_other_sizes_change_nothing(void **state)
{
	choose(0x03);
	ioports_write(&ports, 0x510, 1, 0);
	ioports_write(&ports, 0x510, 4, 0);
	ioports_write(&ports, 0x511, 1, 0xff);
	ioports_write(&ports, 0x511, 2, 0);
	assert_int_equal(ioports_read(&ports, 0x510, 2), 0xffff);
	assert_int_equal(ioports_read(&ports, 0x510, 1), 0xff);
	assert_int_equal(ioports_read(&ports, 0x511, 2), 0xffff);
	assert_int_equal(next(), 0x9a);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(items_say_what_the_machine_has),
		TEST(other_items_and_what_follows_an_end_are_zero),
		TEST(choosing_again_starts_at_the_first_byte),
		TEST(a_reset_leaves_nothing_selected),
		TEST(accesses_of_other_sizes_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
