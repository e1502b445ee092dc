/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by loader.c and the formats that it knows. */
#ifndef VMM_LOADER_INTERNAL_H
#define VMM_LOADER_INTERNAL_H

#include "vmm/loader.h"

#define LOADER_HEAD_SIZE	8192	/* both formats' headers are in it */

struct image {
	char *path;
	int fd;
	uint64_t size;
};

struct loader {
	struct image kernel, initrd;
	char *cmdline;
	uint8_t head[LOADER_HEAD_SIZE];		/* of the kernel, zero-padded */
	bool (*load)(const struct loader *l, const struct gmem *gm,
		     struct boot_state *state, GError **error);
};

enum e820_type { E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3 };

struct e820_entry {
	uint64_t addr, size;
	uint32_t type;
} __attribute__((packed));

#define E820_MAX	8

/* The machine's memory map; returns how many entries it has. */
unsigned loader_e820(const struct gmem *gm, struct e820_entry map[E820_MAX]);

/* Read [offset, offset + len) of @img to @gpa. */
bool loader_read(const struct image *img, uint64_t offset, uint64_t len,
		 const struct gmem *gm, gpa_t gpa, GError **error);

bool loader_fail(GError **error, const struct image *img, int status,
		 const char *id, const char *why, const char *advice);
/* "more memory: -m 123M" for an image that ends at @end. */
bool loader_needs_memory(GError **error, const struct image *img,
			 uint64_t end);

/* Whether the head is of the format; then whether it can be started. */
bool linux_recognizes(const struct loader *l);
bool linux_check(const struct loader *l, GError **error);
bool linux_load(const struct loader *l, const struct gmem *gm,
		struct boot_state *state, GError **error);

bool multiboot_recognizes(const struct loader *l);
bool multiboot_check(const struct loader *l, GError **error);
bool multiboot_load(const struct loader *l, const struct gmem *gm,
		    struct boot_state *state, GError **error);

#endif
