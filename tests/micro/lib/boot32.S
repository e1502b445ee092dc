/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Start of a 32-bit guest: protected mode without paging, as the loader had. */
#include "layout.h"

#define MULTIBOOT_MAGIC	0x1badb002
#define MULTIBOOT_FLAGS	2		/* memory information, please */

	.section .multiboot, "a"
	.balign 4
	.long MULTIBOOT_MAGIC, MULTIBOOT_FLAGS
	.long -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

	.text
	.globl _start
_start:
	cli
	cld
	mov $stacks + STACK_SIZE, %esp
	mov %ebx, multiboot_info
	lgdt gdt_pointer
	ljmp $CODE32, $1f
1:	call load_segments
	call guest_start
2:	hlt
	jmp 2b

load_segments:
	mov $DATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov %eax, %fs
	mov %eax, %gs
	ret

	.globl ap_start32
ap_start32:
	mov $DATA, %eax
	mov %eax, %ss
	mov $1, %ebx
	lock xadd %ebx, %ss:cpus_started
	lea 2(%ebx), %eax		/* the end of stack ticket + 1 */
	imul $STACK_SIZE, %eax, %esp
	add $stacks, %esp
	call load_segments
	push %ebx
	call ap_start
1:	hlt
	jmp 1b

	.globl trap_common
trap_common:
	pusha
	cld
	push %esp
	call trap
	add $4, %esp
	popa
	add $8, %esp
	iret

	.data
	.balign 16
	.globl gdt
gdt:	.quad 0
	.quad 0				/* CODE64 */
	.quad 0x00cf93000000ffff	/* DATA */
	.quad 0x00cf9b000000ffff	/* CODE32 */
	.quad 0x00009b000000ffff	/* CODE16 */
	.quad 0x000093000000ffff	/* DATA16 */
	.quad 0, 0, 0, 0
gdt_end:
	.globl gdt_pointer
gdt_pointer:
	.word gdt_end - gdt - 1
	.long gdt

	.bss
	.balign STACK_SIZE
	.globl stacks
stacks:	.zero CPU_MAX * STACK_SIZE

	.section .note.GNU-stack, "", @progbits
