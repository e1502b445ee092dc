/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "devices/chipset/ioports.h"

static struct ioports ports;
static uint16_t last_port;
static unsigned last_size, writes;
static uint32_t last_value;

static uint32_t dev_read(struct ioport *io, uint16_t port, unsigned size)
{
	/* The lock is held: nobody else is in here. */
	assert_int_not_equal(pthread_mutex_trylock(&ports.lock), 0);
	last_port = port;
	last_size = size;
	return 0xaabbccdd;
}

static void dev_write(struct ioport *io, uint16_t port, unsigned size,
		      uint32_t value)
{
	assert_int_not_equal(pthread_mutex_trylock(&ports.lock), 0);
	last_port = port;
	last_size = size;
	last_value = value;
	writes++;
}

static struct ioport both = { 0x10, 0x13, dev_read, dev_write };
static struct ioport write_only = { 0xffff, 0xffff, NULL, dev_write };
static struct ioport read_only = { 0, 0, dev_read, NULL };

static int setup(void **state)
{
	ioports_init(&ports);
	ioports_add(&ports, &both);
	ioports_add(&ports, &write_only);
	ioports_add(&ports, &read_only);
	writes = 0;
	return 0;
}

static int teardown(void **state)
{
	ioports_finish(&ports);
	return 0;
}

static void a_port_belongs_to_one_device(void **state)
{
	assert_int_equal(ioports_read(&ports, 0x13, 1), 0xdd);
	assert_int_equal(last_port, 0x13);
	ioports_write(&ports, 0x10, 1, 5);
	assert_int_equal(last_port, 0x10);
	assert_int_equal(last_value, 5);
	ioports_write(&ports, 0xffff, 4, 6);
	assert_int_equal(last_port, 0xffff);
	assert_int_equal(last_size, 4);
	assert_int_equal(writes, 2);
	ioports_read(&ports, 0, 1);
	assert_int_equal(last_port, 0);
}

static void reads_have_the_width_that_was_asked(void **state)
{
	assert_int_equal(ioports_read(&ports, 0x10, 1), 0xdd);
	assert_int_equal(ioports_read(&ports, 0x10, 2), 0xccdd);
	assert_int_equal(ioports_read(&ports, 0x10, 4), 0xaabbccdd);
}

/* TLFS: EXEC-11 */
static void nobody_answers_with_ones(void **state)
{
	static const uint16_t nobody[] = { 0x0f, 0x14, 0xfffe, 0xffff };

	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(ioports_read(&ports, nobody[i], 1), 0xff);
		assert_int_equal(ioports_read(&ports, nobody[i], 2), 0xffff);
		assert_int_equal(ioports_read(&ports, nobody[i], 4),
				 0xffffffff);
	}
	ioports_write(&ports, 0x0f, 1, 0);
	ioports_write(&ports, 0x14, 4, 0);
	ioports_write(&ports, 0, 1, 0);
	assert_int_equal(writes, 0);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_port_belongs_to_one_device),
		TEST(reads_have_the_width_that_was_asked),
		TEST(nobody_answers_with_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
