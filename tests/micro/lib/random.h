/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * random - repeatable nonsense, for guests that mean no good.  Each processor
 * has numbers of its own.
 */
#ifndef MICRO_RANDOM_H
#define MICRO_RANDOM_H

#include "guest.h"

/* Where pages may be put without harm to ourselves. */
#define FREE_RAM	0x2000000u
#define FREE_PAGES	0x1000u

/* Start this processor's numbers. */
void random_seed(uint32_t seed);

uint64_t random64(void);
uint32_t below(uint32_t n);
/* Numbers that make a difference. */
uint32_t number(void);
/* Page addresses: free memory, or none at all. */
uint64_t page_address(void);

#endif
