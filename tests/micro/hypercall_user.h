/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls with more registers than C has words for: hypercall_user.S. */
#ifndef MICRO_HYPERCALL_USER_H
#define MICRO_HYPERCALL_USER_H

#include "hyperv.h"

#define CR4_OSFXSR	(1ul << 9)

extern char user_hypercall[];
void call_all_registers(uint64_t regs[16]);

/* A fast call's input, and what the registers hold afterwards. */
struct fast_registers {
	uint64_t rdx, r8;
	uint8_t xmm[96];
};
uint64_t call_fast(uint64_t control, struct fast_registers *f);

/* On each processor, before call_fast(). */
static inline void enable_sse(void)
{
	unsigned long cr4;

	asm volatile("mov %%cr4, %0" : "=r"(cr4));
	asm volatile("mov %0, %%cr4" : : "r"(cr4 | CR4_OSFXSR));
}

#endif
