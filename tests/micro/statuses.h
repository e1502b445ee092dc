/* SPDX-License-Identifier: GPL-2.0-or-later */
/* statuses - hypercalls that are refused or succeed, whoever makes them. */
#ifndef MICRO_STATUSES_H
#define MICRO_STATUSES_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Make the call in one of the ways there are; whether @result comes back, and
 * no other register of the caller has changed.
 */
typedef bool call_is(uint64_t control, uint64_t input, uint64_t output,
		     uint64_t result);

/*
 * This processor's flags, the arithmetic ones and DF this way or that: each is
 * set in one of two callers and clear in the other.
 */
unsigned long next_flags(void);

/* The hypercall page is enabled. */
void statuses(call_is *is);

#endif
