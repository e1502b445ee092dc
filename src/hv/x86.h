/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bits of the architecture's registers that hypercalls look at. */
#ifndef HV_X86_H
#define HV_X86_H

#include "core/util.h"

#define RFLAGS_FIXED	BIT64(1)
#define RFLAGS_VM	BIT64(17)
#define RFLAGS_AC	BIT64(18)
#define RFLAGS_VALID	UINT64_C(0x3f7fd7)

#define CR0_PE		BIT64(0)
#define CR0_WP		BIT64(16)
#define CR0_CD		BIT64(30)
#define CR0_PG		BIT64(31)
#define CR0_VALID	UINT64_C(0xe005003f)
#define CR3_RSVD	(UINT64_C(0xfff) << 52)		/* on every processor */
#define CR4_PSE		BIT64(4)
#define CR4_PAE		BIT64(5)
#define CR4_LA57	BIT64(12)
#define CR4_SMEP	BIT64(20)
#define CR4_SMAP	BIT64(21)
#define EFER_LME	BIT64(8)
#define EFER_LMA	BIT64(10)
#define EFER_NXE	BIT64(11)
#define EFER_VALID	(EFER_NXE | EFER_LMA | EFER_LME | BIT64(0))

#define TRAP_GP		13
#define TRAP_PF		14

#endif
