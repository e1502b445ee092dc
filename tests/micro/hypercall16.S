/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "layout.h"

#define HERE		0xa000		/* real_call_start is copied to */
#define STACK16		0xf000
#define SCRATCH		0xb000
#define CR0_PE		1
#define RETURNED	0xffff

	.text
/*
 * call_all_registers(uint32_t regs[8]): call the hypercall page with these in
 * EAX ECX EDX EBX EBP ESI EDI EFLAGS, and store what they are then.
 */
	.globl call_all_registers
call_all_registers:
	pusha
	mov 36(%esp), %edi
	push 28(%edi)
	popf
	mov 4(%edi), %ecx
	mov 8(%edi), %edx
	mov 12(%edi), %ebx
	mov 16(%edi), %ebp
	mov 20(%edi), %esi
	mov (%edi), %eax
	push %edi
	mov 24(%edi), %edi
	call *hypercall_page
	xchg %edi, (%esp)
	mov %eax, (%edi)
	mov %ecx, 4(%edi)
	mov %edx, 8(%edi)
	mov %ebx, 12(%edi)
	mov %ebp, 16(%edi)
	mov %esi, 20(%edi)
	pop 24(%edi)
	pushf
	pop 28(%edi)
	cld
	popa
	ret

/*
 * uint32_t call_real_mode(eax, ecx): call LOW_PAGE from real mode; the vector
 * of the exception that ends it, or RETURNED.
 */
	.globl call_real_mode
call_real_mode:
	mov 4(%esp), %eax
	mov 8(%esp), %ecx
	pushf
	cli
	push %ebx
	push %esi
	push %edi
	push %ebp
	mov %esp, saved_sp
	sidt saved_idt
	ljmp $CODE16, $HERE
real_call_back:
	mov $DATA, %ecx
	mov %ecx, %ds
	mov %ecx, %es
	mov %ecx, %ss
	mov saved_sp, %esp
	lidt saved_idt
	movzwl %ax, %eax
	pop %ebp
	pop %edi
	pop %esi
	pop %ebx
	popf
	ret

/* Copied to HERE. */
	.globl real_call_start, real_call_trap, real_call_end
	.code16
real_call_start:
	mov %eax, %edi
	mov $DATA16, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %ss
	mov %cr0, %eax
	and $~CR0_PE, %eax
	mov %eax, %cr0
	ljmp $0, $HERE + 1f - real_call_start
1:	xor %eax, %eax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %ss
	mov $STACK16, %esp
	lidtl %cs:HERE + real_idt - real_call_start
	mov %edi, %eax
	xor %edx, %edx
	/* 16-bit code may take bytes of the page for a write to BX + SI. */
	xor %ebx, %ebx
	mov $SCRATCH, %esi
	mov $LOW_PAGE, %ebp
	call *%bp
	mov $RETURNED, %si
	jmp 2f
real_call_trap:
	mov %cs, %si
2:	cli
	mov %cr0, %eax
	or $CR0_PE, %al
	mov %eax, %cr0
	mov %si, %ax
	ljmpl $CODE32, $real_call_back
	.balign 4
real_idt:
	.word 0x3ff
	.long 0
real_call_end:

	.bss
	.balign 4
saved_sp:	.zero 4
saved_idt:	.zero 8

	.section .note.GNU-stack, "", @progbits
