/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * narrow - how 32-bit code makes hypercalls, whichever mode it runs in.  TLFS
 * 3.7, 3.8.
 */
#ifndef MICRO_NARROW_H
#define MICRO_NARROW_H

#include <stdint.h>

/* The registers of 32-bit code, in this order. */
enum { EAX, ECX, EDX, EBX, EBP, ESI, EDI, EFLAGS, NARROW_REGISTERS };

/* Call the hypercall page with @regs, and store what they are then. */
typedef void narrow_call(uint32_t regs[NARROW_REGISTERS]);

/* All that can be said with them, by @call.  The page is enabled. */
void narrow_conventions(narrow_call *call);

#endif
