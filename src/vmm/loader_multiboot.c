/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Multiboot (version 1) for ELF32 images: the specification's sections 3.1
 * (header), 3.2 (machine state) and 3.3 (boot information).
 */
#include <elf.h>
#include <string.h>

#include "core/error.h"
#include "vmm/layout.h"
#include "vmm/loader_internal.h"

#define HEADER_MAGIC	0x1badb002u
#define LOADER_MAGIC	0x2badb002u
#define HEADER_AOUT	(1u << 16)	/* load by the header, not by ELF */
#define INFO_MEMORY	(1u << 0)
#define INFO_CMDLINE	(1u << 2)
#define INFO_MMAP	(1u << 6)
#define KIB		1024u

/* The information goes where a Linux kernel finds its zero page. */
#define INFO_GPA	LAYOUT_ZERO_PAGE
#define MMAP_GPA	(LAYOUT_ZERO_PAGE + 0x400)

struct multiboot_header {
	uint32_t magic, flags, checksum;
};

struct multiboot_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline;
	uint32_t mods_count, mods_addr, syms[4], mmap_length, mmap_addr;
} __attribute__((packed));

struct multiboot_mmap {
	uint32_t size;		/* of what follows */
	struct e820_entry entry;
} __attribute__((packed));

/* The header is somewhere in the first 8 KiB, aligned to four bytes. */
static bool find_header(const struct loader *l, struct multiboot_header *h)
{
	for (size_t at = 0; at + sizeof(*h) <= sizeof(l->head); at += 4) {
		memcpy(h, l->head + at, sizeof(*h));
		if (h->magic == HEADER_MAGIC &&
		    h->magic + h->flags + h->checksum == 0)
			return true;
	}
	return false;
}

static Elf32_Ehdr elf_header(const struct loader *l)
{
	Elf32_Ehdr e;

	memcpy(&e, l->head, sizeof(e));
	return e;
}

bool multiboot_recognizes(const struct loader *l)
{
	struct multiboot_header h;

	return find_header(l, &h);
}

bool multiboot_check(const struct loader *l, GError **error)
{
	Elf32_Ehdr e = elf_header(l);
	struct multiboot_header h;

	find_header(l, &h);
	if (memcmp(e.e_ident, ELFMAG, SELFMAG) ||
	    e.e_ident[EI_CLASS] != ELFCLASS32 || e.e_machine != EM_386 ||
	    (h.flags & HEADER_AOUT))
		return loader_fail(error, &l->kernel, EX_DATAERR,
				   "kernel.multiboot",
				   "only ELF32 multiboot images can be started",
				   "objcopy -O elf32-i386");
	if (e.e_phentsize != sizeof(Elf32_Phdr) || !e.e_phnum ||
	    e.e_phoff > sizeof(l->head) ||
	    e.e_phnum * sizeof(Elf32_Phdr) > sizeof(l->head) - e.e_phoff)
		return loader_fail(error, &l->kernel, EX_DATAERR,
				   "kernel.damaged",
				   "its program headers make no sense",
				   "readelf -l, to see what is wrong");
	return true;
}

static bool load_segment(const struct loader *l, const struct gmem *gm,
			 const Elf32_Phdr *p, GError **error)
{
	uint8_t *to = gmem_ptr(gm, p->p_paddr, p->p_memsz);

	if (p->p_paddr < LAYOUT_LOW_END || p->p_filesz > p->p_memsz)
		return loader_fail(error, &l->kernel, EX_DATAERR,
				   "kernel.damaged",
				   "a segment lies below 1 MiB, or is larger "
				   "in the file than in memory",
				   "link it to 1 MiB or above");
	if (!to)
		return loader_needs_memory(error, &l->kernel,
					   (uint64_t)p->p_paddr + p->p_memsz);
	memset(to, 0, p->p_memsz);
	return loader_read(&l->kernel, p->p_offset, p->p_filesz, gm,
			   p->p_paddr, error);
}

static void write_info(const struct loader *l, const struct gmem *gm)
{
	struct multiboot_mmap mmap[E820_MAX];
	struct e820_entry map[E820_MAX];
	unsigned n = loader_e820(gm, map);
	struct multiboot_info info = {
		.flags = INFO_MEMORY | INFO_CMDLINE | INFO_MMAP,
		.mem_lower = LAYOUT_ACPI / KIB,
		.mem_upper = (uint32_t)((gm->region[0].size - LAYOUT_LOW_END) /
					KIB),
		.cmdline = LAYOUT_CMDLINE,
		.mmap_length = n * (uint32_t)sizeof(mmap[0]),
		.mmap_addr = MMAP_GPA,
	};

	for (unsigned i = 0; i < n; i++)
		mmap[i] = (struct multiboot_mmap){ sizeof(map[i]), map[i] };
	if (gmem_write(gm, INFO_GPA, &info, sizeof(info)) ||
	    gmem_write(gm, MMAP_GPA, mmap, n * sizeof(mmap[0])) ||
	    gmem_write(gm, LAYOUT_CMDLINE, l->cmdline, strlen(l->cmdline) + 1))
		g_assert_not_reached();	/* memory_init() has 2 MiB at least */
}

bool multiboot_load(const struct loader *l, const struct gmem *gm,
		    struct boot_state *state, GError **error)
{
	Elf32_Ehdr e = elf_header(l);

	for (unsigned i = 0; i < e.e_phnum; i++) {
		Elf32_Phdr p;

		memcpy(&p, l->head + e.e_phoff + i * sizeof(p), sizeof(p));
		if (p.p_type == PT_LOAD && p.p_memsz &&
		    !load_segment(l, gm, &p, error))
			return false;
	}
	write_info(l, gm);
	*state = (struct boot_state){
		.mode = BOOT_PROT32,
		.rip = e.e_entry,
		.rax = LOADER_MAGIC,
		.rbx = INFO_GPA,
	};
	return true;
}
