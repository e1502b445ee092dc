/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rtc - the clock of a PC (MC146818), ports 70 and 71: time of day in UTC,
 * 114 bytes of memory that a reset keeps.  Its interrupts (alarm, periodic,
 * update) are not there; guests are told by the FADT and have better timers.
 */
#ifndef DEVICES_CHIPSET_RTC_H
#define DEVICES_CHIPSET_RTC_H

#include <stdint.h>

#include "devices/chipset/ioports.h"

struct rtc {
	struct ioport io;
	/* Seconds since 1970, UTC. */
	int64_t (*now)(void);
	int64_t offset;		/* what the guest has set its clock by */
	uint8_t index;
	uint8_t memory[128];
};

void rtc_init(struct rtc *rtc, int64_t (*now)(void));

#endif
