/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loader - what the first vCPU runs: a Linux bzImage by its 64-bit entry, or
 * an ELF32 multiboot (version 1) image for small test kernels.
 *
 * The files are opened once and read at each (re)boot, straight into guest
 * memory.  They are not trusted: no offset or size of theirs is used without a
 * check.
 */
#ifndef VMM_LOADER_H
#define VMM_LOADER_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/autoptr.h"
#include "core/gmem.h"

enum boot_mode {
	BOOT_LONG64,	/* paging on, flat 64-bit segments */
	BOOT_PROT32,	/* paging off, flat 32-bit segments */
};

/* How the boot processor starts. */
struct boot_state {
	enum boot_mode mode;
	uint64_t rip, rsp, rax, rbx, rsi;
	uint64_t cr3;			/* BOOT_LONG64 */
	uint64_t gdt_base;
	uint16_t gdt_limit;
};

struct loader;

/*
 * Open @kernel and @initrd (NULL: none) and check what can be checked without
 * memory.  NULL with an error for the user.
 */
struct loader *loader_open(const char *kernel, const char *initrd,
			   const char *cmdline, GError **error);
void loader_free(struct loader *l);
AUTOPTR_DEFINE(loader, loader_free)

/* Whether it is a Linux kernel; a multiboot image needs less of the host. */
bool loader_is_linux(const struct loader *l);

/*
 * Fill guest memory below 1 MiB (but for the tables' areas of layout.h) and
 * the image's place, and say how to start it.  May be repeated.
 */
bool loader_load(const struct loader *l, const struct gmem *gm,
		 struct boot_state *state, GError **error);

#endif
