/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "layout.h"

	.text

/* At CPL 3, with the hypercall page in RDI: the call should not return. */
	.globl user_hypercall
user_hypercall:
	mov $0x7ffe, %ecx
	xor %edx, %edx
	xor %r8d, %r8d
	call *%rdi
	int3

/*
 * call_compat(uint32_t regs[8]): call the hypercall page from a 32-bit code
 * segment of long mode with these in EAX ECX EDX EBX EBP ESI EDI EFLAGS, and
 * store what they are then.  The upper halves are ones, which 32-bit code cannot
 * see.
 */
	.globl call_compat
call_compat:
	push %rbx
	push %rbp
	push %rdi
	mov 28(%rdi), %eax
	push %rax
	mov $-1, %rax
	shl $32, %rax
	mov 4(%rdi), %ecx
	or %rax, %rcx
	mov 8(%rdi), %edx
	or %rax, %rdx
	mov 12(%rdi), %ebx
	or %rax, %rbx
	mov 16(%rdi), %ebp
	or %rax, %rbp
	mov 20(%rdi), %esi
	or %rax, %rsi
	mov (%rdi), %r8d
	mov 24(%rdi), %edi
	or %rax, %rdi
	or %r8, %rax
	popf
	push $CODE32
	push $1f
	lretq
	.code32
1:	call *hypercall_page
	ljmp $CODE64, $1f
	.code64
1:	mov %edi, %r8d
	pop %rdi
	mov %eax, (%rdi)
	mov %ecx, 4(%rdi)
	mov %edx, 8(%rdi)
	mov %ebx, 12(%rdi)
	mov %ebp, 16(%rdi)
	mov %esi, 20(%rdi)
	mov %r8d, 24(%rdi)
	pushf
	pop %rax
	mov %eax, 28(%rdi)
	cld
	pop %rbp
	pop %rbx
	ret

/*
 * call_all_registers(uint64_t regs[16]): call the hypercall page with these in
 * RAX RCX RDX RBX RBP RSI RDI R8-R15 RFLAGS, and store what they are then.
 */
	.globl call_all_registers
call_all_registers:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	push %rdi
	push 120(%rdi)
	popf
	mov 8(%rdi), %rcx
	mov 16(%rdi), %rdx
	mov 24(%rdi), %rbx
	mov 32(%rdi), %rbp
	mov 40(%rdi), %rsi
	mov 56(%rdi), %r8
	mov 64(%rdi), %r9
	mov 72(%rdi), %r10
	mov 80(%rdi), %r11
	mov 88(%rdi), %r12
	mov 96(%rdi), %r13
	mov 104(%rdi), %r14
	mov 112(%rdi), %r15
	mov (%rdi), %rax
	mov 48(%rdi), %rdi
	call *hypercall_page
	pushf
	cld
	push %rdi
	mov 16(%rsp), %rdi
	mov %rax, (%rdi)
	mov %rcx, 8(%rdi)
	mov %rdx, 16(%rdi)
	mov %rbx, 24(%rdi)
	mov %rbp, 32(%rdi)
	mov %rsi, 40(%rdi)
	mov %r8, 56(%rdi)
	mov %r9, 64(%rdi)
	mov %r10, 72(%rdi)
	mov %r11, 80(%rdi)
	mov %r12, 88(%rdi)
	mov %r13, 96(%rdi)
	mov %r14, 104(%rdi)
	mov %r15, 112(%rdi)
	mov %rdi, %rax
	pop %rdi
	mov %rdi, 48(%rax)
	pop 120(%rax)
	pop %rdi
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret

/*
 * call_fast(uint64_t control, struct fast_registers *f): a fast call with these
 * in RDX, R8 and XMM0 to XMM5; store what they are then.  The result.
 */
	.globl call_fast
call_fast:
	push %rsi
	mov %rdi, %rcx
	mov (%rsi), %rdx
	mov 8(%rsi), %r8
	movdqu 16(%rsi), %xmm0
	movdqu 32(%rsi), %xmm1
	movdqu 48(%rsi), %xmm2
	movdqu 64(%rsi), %xmm3
	movdqu 80(%rsi), %xmm4
	movdqu 96(%rsi), %xmm5
	call *hypercall_page
	pop %rsi
	mov %rdx, (%rsi)
	mov %r8, 8(%rsi)
	movdqu %xmm0, 16(%rsi)
	movdqu %xmm1, 32(%rsi)
	movdqu %xmm2, 48(%rsi)
	movdqu %xmm3, 64(%rsi)
	movdqu %xmm4, 80(%rsi)
	movdqu %xmm5, 96(%rsi)
	ret

	.section .note.GNU-stack, "", @progbits
