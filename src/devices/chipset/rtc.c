/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <stdbool.h>
#include <time.h>

#include "core/util.h"
#include "devices/chipset/rtc.h"

enum {
	RTC_SECONDS = 0, RTC_MINUTES = 2, RTC_HOURS = 4, RTC_WEEKDAY = 6,
	RTC_DAY = 7, RTC_MONTH = 8, RTC_YEAR = 9,
	RTC_A = 10, RTC_B = 11, RTC_C = 12, RTC_D = 13,
	RTC_CENTURY = 0x32,
};

#define RTC_A_DEFAULT	0x26	/* 32 kHz, 1024 Hz, no update under way */
#define RTC_B_24H	0x02
#define RTC_B_BINARY	0x04
#define RTC_B_SET	0x80
#define RTC_D_VALID	0x80

static uint8_t encode(const struct rtc *rtc, int value)
{
	if (rtc->memory[RTC_B] & RTC_B_BINARY)
		return (uint8_t)value;
	return (uint8_t)(value / 10 << 4 | value % 10);
}

static int decode(const struct rtc *rtc, uint8_t value)
{
	if (rtc->memory[RTC_B] & RTC_B_BINARY)
		return value;
	return (value >> 4) * 10 + (value & 0xf);
}

static uint8_t encode_hours(const struct rtc *rtc, int hour)
{
	int h12 = hour % 12 ? hour % 12 : 12;

	if (rtc->memory[RTC_B] & RTC_B_24H)
		return encode(rtc, hour);
	return encode(rtc, h12) | (hour >= 12 ? 0x80 : 0);
}

static int decode_hours(const struct rtc *rtc, uint8_t value)
{
	int hour = decode(rtc, value & 0x7f);

	if (rtc->memory[RTC_B] & RTC_B_24H)
		return decode(rtc, value);
	return hour % 12 + (value & 0x80 ? 12 : 0);
}

/* Bring the time registers up to now, unless the guest is setting them. */
static void update(struct rtc *rtc)
{
	time_t t = (time_t)(rtc->now() + rtc->offset);
	struct tm tm;
	int year;

	if (rtc->memory[RTC_B] & RTC_B_SET)
		return;
	gmtime_r(&t, &tm);
	year = MAX(1900 + tm.tm_year, 0);	/* as the guest has set it */
	rtc->memory[RTC_SECONDS] = encode(rtc, tm.tm_sec);
	rtc->memory[RTC_MINUTES] = encode(rtc, tm.tm_min);
	rtc->memory[RTC_HOURS] = encode_hours(rtc, tm.tm_hour);
	rtc->memory[RTC_WEEKDAY] = encode(rtc, tm.tm_wday + 1);
	rtc->memory[RTC_DAY] = encode(rtc, tm.tm_mday);
	rtc->memory[RTC_MONTH] = encode(rtc, tm.tm_mon + 1);
	rtc->memory[RTC_YEAR] = encode(rtc, year % 100);
	rtc->memory[RTC_CENTURY] = encode(rtc, year / 100);
}

/* The guest has written a time register: keep the difference to ours. */
static void take_time(struct rtc *rtc)
{
	const uint8_t *m = rtc->memory;
	struct tm tm = {
		.tm_sec = decode(rtc, m[RTC_SECONDS]),
		.tm_min = decode(rtc, m[RTC_MINUTES]),
		.tm_hour = decode_hours(rtc, m[RTC_HOURS]),
		.tm_mday = decode(rtc, m[RTC_DAY]),
		.tm_mon = decode(rtc, m[RTC_MONTH]) - 1,
		.tm_year = decode(rtc, m[RTC_YEAR]) +
			   (decode(rtc, m[RTC_CENTURY]) - 19) * 100,
	};

	rtc->offset = (int64_t)timegm(&tm) - rtc->now();
}

static bool is_time(uint8_t index)
{
	return index <= RTC_YEAR || index == RTC_CENTURY;
}

static uint32_t rtc_read(struct ioport *io, uint16_t port, unsigned size)
{
	struct rtc *rtc = container_of(io, struct rtc, io);

	if (port == io->first)
		return 0xff;
	if (is_time(rtc->index))
		update(rtc);
	return rtc->memory[rtc->index];
}

static void rtc_write(struct ioport *io, uint16_t port, unsigned size,
		      uint32_t value)
{
	struct rtc *rtc = container_of(io, struct rtc, io);
	bool was_setting = rtc->memory[RTC_B] & RTC_B_SET;

	if (port == io->first) {
		rtc->index = value & 0x7f;
		return;
	}
	switch (rtc->index) {
	case RTC_A:
		rtc->memory[RTC_A] = value & 0x7f;
		return;
	case RTC_C:
	case RTC_D:
		return;
	case RTC_B:
		/* The registers' form changes with this: read them first. */
		update(rtc);
		rtc->memory[RTC_B] = (uint8_t)value;
		if (was_setting && !(value & RTC_B_SET))
			take_time(rtc);
		return;
	default:
		if (is_time(rtc->index))
			update(rtc);
		rtc->memory[rtc->index] = (uint8_t)value;
		if (is_time(rtc->index) && !was_setting)
			take_time(rtc);
	}
}

void rtc_init(struct rtc *rtc, int64_t (*now)(void))
{
	*rtc = (struct rtc){
		.io = {
			.first = 0x70, .last = 0x71,
			.read = rtc_read, .write = rtc_write,
		},
		.now = now,
	};
	rtc->memory[RTC_A] = RTC_A_DEFAULT;
	rtc->memory[RTC_B] = RTC_B_24H;
	rtc->memory[RTC_D] = RTC_D_VALID;
}
