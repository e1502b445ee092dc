/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a processor starts after SIPI.  guest_start() copies this to
 * REAL_MODE_CODE.
 */
#include "layout.h"

#define CR0_PE	1

	.text
	.code16
	.globl real_mode_start, real_mode_end
real_mode_start:
	cli
	cld
	xor %ax, %ax
	mov %ax, %ds
	lgdtl REAL_MODE_CODE + pointer - real_mode_start
	mov $CR0_PE, %eax
	mov %eax, %cr0
	ljmpl $CODE32, $ap_start32
	.balign 4
pointer:
	.word 0x4f
	.long gdt
real_mode_end:

	.section .note.GNU-stack, "", @progbits
