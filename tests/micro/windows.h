/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * windows - what CPUID can announce, and how a processor finds out whether it
 * is there.
 */
#ifndef MICRO_WINDOWS_H
#define MICRO_WINDOWS_H

#include "hyperv.h"

/* TLFS 2.6: Microsoft, Windows NT, 10.0, build 20348. */
#define WINDOWS		(1ull << 48 | 4ull << 40 | 10ull << 32 | 20348)
#define LONG		20000		/* ms that nothing takes */
#define HINT_FLUSHES	0x6u		/* leaf 4, EAX */

/* The boot processor knows these before it tries anything. */
extern uint32_t cpus;
extern struct cpuid features, hints;	/* leaves 3 and 4 */
extern volatile struct hv_reference_tsc_page *tsc_page;	/* NULL: none */

/* Use all that is announced, on this processor; one after the other. */
void features_try(void);
/* How many processors have. */
extern volatile uint32_t features_tried;

/* A result for each feature, and one for bits that we do not know. */
void features_report(void);
void features_all_known(void);

#endif
