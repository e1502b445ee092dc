/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "devices/chipset/rtc.h"

enum { SEC = 0, MIN = 2, HOUR = 4, WDAY = 6, DAY = 7, MONTH = 8, YEAR = 9,
       A = 10, B = 11, C = 12, D = 13, CENTURY = 0x32 };

static struct rtc rtc;
static int64_t now;

static int64_t clock_now(void)
{
	return now;
}

static int setup(void **state)
{
	now = 1709210096;		/* 2024-02-29 12:34:56, Thursday */
	rtc_init(&rtc, clock_now);
	return 0;
}

static uint8_t in(uint8_t reg)
{
	rtc.io.write(&rtc.io, 0x70, 1, reg);
	return (uint8_t)rtc.io.read(&rtc.io, 0x71, 1);
}

static void out(uint8_t reg, uint8_t value)
{
	rtc.io.write(&rtc.io, 0x70, 1, reg);
	rtc.io.write(&rtc.io, 0x71, 1, value);
}

static void expect_time(const uint8_t want[8])
{
	static const uint8_t regs[8] = { CENTURY, YEAR, MONTH, DAY, WDAY, HOUR,
					 MIN, SEC };

	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(in(regs[i]), want[i]);
}

#define TIME(...)	(const uint8_t[8]){ __VA_ARGS__ }

static void it_tells_the_time_in_bcd_and_24_hours(void **state)
{
	expect_time(TIME(0x20, 0x24, 0x02, 0x29, 5, 0x12, 0x34, 0x56));
	now += 4;
	expect_time(TIME(0x20, 0x24, 0x02, 0x29, 5, 0x12, 0x35, 0x00));
	assert_int_equal(in(A), 0x26);		/* no update under way */
	assert_int_equal(in(B), 0x02);
	assert_int_equal(in(C), 0);
	assert_int_equal(in(D), 0x80);
}

static void it_can_count_in_binary_and_12_hours(void **state)
{
	static const uint8_t hours[24] = {
		12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
		0x8c, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
		0x8a, 0x8b,
	};

	out(B, 0x06);
	expect_time(TIME(20, 24, 2, 29, 5, 12, 34, 56));
	out(B, 0x04);
	now -= 12 * 3600;
	for (unsigned h = 0; h < 24; h++, now += 3600)
		assert_int_equal(in(HOUR), hours[h]);
	out(B, 0x00);
	now -= 3600;
	assert_int_equal(in(HOUR), 0x91);	/* 11 p.m. */
}

/* As Linux does it: stop, write all, go on. */
static void the_guest_can_set_it(void **state)
{
	out(B, 0x82);
	out(CENTURY, 0x19);
	out(YEAR, 0x99);
	out(MONTH, 0x12);
	out(DAY, 0x31);
	out(HOUR, 0x23);
	out(MIN, 0x59);
	out(SEC, 0x58);
	now += 100;				/* stands still meanwhile */
	assert_int_equal(in(SEC), 0x58);
	out(B, 0x02);
	expect_time(TIME(0x19, 0x99, 0x12, 0x31, 6, 0x23, 0x59, 0x58));
	now += 2;
	expect_time(TIME(0x20, 0x00, 0x01, 0x01, 7, 0x00, 0x00, 0x00));
}

static void one_field_can_be_set_while_it_runs(void **state)
{
	out(HOUR, 0x08);
	expect_time(TIME(0x20, 0x24, 0x02, 0x29, 5, 0x08, 0x34, 0x56));
	out(B, 0x00);
	out(HOUR, 0x92);			/* 12 p.m. */
	out(B, 0x02);
	assert_int_equal(in(HOUR), 0x12);
	out(B, 0x00);
	out(HOUR, 0x12);			/* 12 a.m. */
	out(B, 0x02);
	assert_int_equal(in(HOUR), 0x00);
}

static void no_value_of_any_field_does_harm(void **state)
{
	static const uint8_t regs[] = { SEC, 1, MIN, 3, HOUR, 5, WDAY, DAY,
					MONTH, YEAR, CENTURY };

	for (unsigned mode = 0; mode < 8; mode += 2) {
		for (unsigned r = 0; r < sizeof(regs); r++) {
			for (unsigned v = 0; v < 256; v++) {
				setup(state);
				out(B, (uint8_t)mode);
				out(regs[r], (uint8_t)v);
				for (unsigned i = 0; i < sizeof(regs); i++)
					in(regs[i]);
			}
		}
		/* All fields at once, the least and the most. */
		for (unsigned v = 0; v < 256; v += 255) {
			setup(state);
			out(B, (uint8_t)(0x80 | mode));
			for (unsigned r = 0; r < sizeof(regs); r++)
				out(regs[r], (uint8_t)v);
			out(B, (uint8_t)mode);
			for (unsigned i = 0; i < sizeof(regs); i++)
				in(regs[i]);
		}
	}
}

static void the_rest_is_memory(void **state)
{
	for (unsigned i = 14; i < 128; i++)
		if (i != CENTURY)
			out((uint8_t)i, (uint8_t)(i * 3));
	for (unsigned i = 14; i < 128; i++)
		if (i != CENTURY)
			assert_int_equal(in((uint8_t)i), (uint8_t)(i * 3));
	assert_int_equal(in(0x80 | 14), 42);	/* bit 7 masks NMIs */
	out(C, 0xff);
	out(D, 0);
	assert_int_equal(in(C), 0);
	assert_int_equal(in(D), 0x80);
	out(A, 0xff);
	assert_int_equal(in(A), 0x7f);
}

#define TEST(f)	cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_tells_the_time_in_bcd_and_24_hours),
		TEST(it_can_count_in_binary_and_12_hours),
		TEST(the_guest_can_set_it),
		TEST(one_field_can_be_set_while_it_runs),
		TEST(no_value_of_any_field_does_harm),
		TEST(the_rest_is_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
