/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a micro guest keeps what the assembler and C parts share.
 *
 *   0x08000	code of real mode: the processors' start, calls from 16 bit
 *   0x09000	free for tests that need memory below 1 MiB, up to 0x10000
 *   0x100000	the image; it ends below POOL
 *   POOL	pages of page_alloc()
 *   KEEP	one page that no image touches, so that it survives a reset
 *   POOL_END	64 MiB, what the runner gives to a guest
 */
#ifndef MICRO_LAYOUT_H
#define MICRO_LAYOUT_H

#define REAL_MODE_CODE	0x8000
#define LOW_PAGE	0x9000

#define POOL		0x1000000
#define KEEP		0x3fff000
#define POOL_END	0x4000000

#define CPU_MAX		64
#define STACK_SIZE	0x4000		/* struct cpu is at its low end */

/* Selectors; the order of the descriptors is that of gdt in boot*.S. */
#define CODE64		0x08
#define DATA		0x10
#define CODE32		0x18
#define CODE16		0x20
#define DATA16		0x28
#define USER_DATA	0x33
#define USER_CODE64	0x3b
#define TSS		0x40

#endif
