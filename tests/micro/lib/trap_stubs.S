/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 256 entries of 16 bytes, one a vector: they make the frames of exceptions
 * with and without an error code alike, for trap_common in boot*.S.
 */
#define HAS_ERROR_CODE	0x60227d00	/* 8, 10 to 14, 17, 21, 29, 30 */

	.text
	.balign 16
	.globl trap_stubs
trap_stubs:
	.set vector, 0
	.set has_error_code, HAS_ERROR_CODE
	.rept 256
	.balign 16
	.ifeq has_error_code & 1
	push $0
	.endif
	push $vector
	jmp trap_common
	.set vector, vector + 1
	.set has_error_code, has_error_code >> 1
	.endr

	.section .note.GNU-stack, "", @progbits
