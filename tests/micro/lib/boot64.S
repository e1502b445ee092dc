/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Start of a 64-bit guest: from the loader's 32-bit protected mode to main(),
 * and from real mode to ap_main() for the other processors.
 */
#include "layout.h"

#define MULTIBOOT_MAGIC	0x1badb002
#define MULTIBOOT_FLAGS	2		/* memory information, please */

#define MSR_EFER	0xc0000080
#define EFER_LME	0x100
#define CR0_PE		0x1
#define CR0_PG_WP_PE	0x80010001
#define CR4_PAE		0x20

#define PRESENT_WRITE_USER	0x7
#define LARGE_PAGE		0x87

	.section .multiboot, "a"
	.balign 4
	.long MULTIBOOT_MAGIC, MULTIBOOT_FLAGS
	.long -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

	.text
	.code32
	.globl _start
_start:
	cli
	cld
	mov $stacks + STACK_SIZE, %esp
	mov %ebx, multiboot_info
	call long_mode
	.code64
	call guest_start
1:	hlt
	jmp 1b

/* To the 32-bit caller's return address, in 64-bit mode. */
	.code32
long_mode:
	lgdt gdt_pointer
	mov $CR4_PAE, %eax
	mov %eax, %cr4
	mov $pml4, %eax
	mov %eax, %cr3
	mov $MSR_EFER, %ecx
	xor %edx, %edx
	mov $EFER_LME, %eax
	wrmsr
	mov $CR0_PG_WP_PE, %eax
	mov %eax, %cr0
	ljmp $CODE64, $1f
	.code64
1:	mov $DATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	mov (%rsp), %eax
	add $4, %rsp
	jmp *%rax

	.code32
	.globl ap_start32
ap_start32:
	mov $DATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov $1, %eax
	lock xadd %eax, cpus_started
	mov %eax, %ebx
	add $2, %eax			/* the end of stack ticket + 1 */
	imul $STACK_SIZE, %eax, %esp
	add $stacks, %esp
	call long_mode
	.code64
	mov %ebx, %edi
	call ap_start
1:	hlt
	jmp 1b

/* call_user(rip, rsp, rflags, rdi): to CPL 3; only a trap comes back. */
	.globl call_user
call_user:
	mov %rsp, tss + 4
	push $USER_DATA
	push %rsi
	push %rdx
	push $USER_CODE64
	push %rdi
	mov %rcx, %rdi
	iretq

	.globl trap_common
trap_common:
	push %rax
	push %rcx
	push %rdx
	push %rbx
	push %rbp
	push %rsi
	push %rdi
	push %r8
	push %r9
	push %r10
	push %r11
	push %r12
	push %r13
	push %r14
	push %r15
	cld
	mov %rsp, %rdi
	call trap
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rdi
	pop %rsi
	pop %rbp
	pop %rbx
	pop %rdx
	pop %rcx
	pop %rax
	add $16, %rsp
	iretq

	.data
	.balign 16
	.globl gdt
gdt:	.quad 0
	.quad 0x00af9b000000ffff	/* CODE64 */
	.quad 0x00cf93000000ffff	/* DATA */
	.quad 0x00cf9b000000ffff	/* CODE32 */
	.quad 0x00009b000000ffff	/* CODE16 */
	.quad 0x000093000000ffff	/* DATA16 */
	.quad 0x00cff3000000ffff	/* USER_DATA */
	.quad 0x00affb000000ffff	/* USER_CODE64 */
	.quad 0, 0			/* TSS, by guest_start() */
gdt_end:
	.globl gdt_pointer
gdt_pointer:
	.word gdt_end - gdt - 1
	.quad gdt

	.balign 8
	.globl tss
tss:	.zero 104

	/* The first 4 GiB as they are, open to CPL 3. */
	.balign 4096
pml4:	.quad pdpt + PRESENT_WRITE_USER
	.zero 4088
pdpt:	.set n, 0
	.rept 4
	.quad pd + n * 4096 + PRESENT_WRITE_USER
	.set n, n + 1
	.endr
	.zero 4064
pd:	.set n, 0
	.rept 2048
	.quad n * 0x200000 + LARGE_PAGE
	.set n, n + 1
	.endr

	.bss
	.balign STACK_SIZE
	.globl stacks
stacks:	.zero CPU_MAX * STACK_SIZE

	.section .note.GNU-stack, "", @progbits
