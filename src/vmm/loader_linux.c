/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Linux boot protocol, 64-bit entry.
 * Linux Documentation/arch/x86/boot.rst and zero-page.rst.
 */
#include <assert.h>
#include <string.h>

#include "core/error.h"
#include "core/util.h"
#include "vmm/layout.h"
#include "vmm/loader_internal.h"

#define SETUP_HEADER		0x1f1	/* in file and zero page alike */
#define SETUP_MAGIC		0x53726448	/* "HdrS" */
#define BOOT_FLAG		0xaa55
#define PROTOCOL_MIN		0x020c	/* 2.12 has xloadflags */
#define SECTOR			512
#define ENTRY_64		0x200
#define LOADER_UNKNOWN		0xff
#define LOADFLAGS_LOADED_HIGH	0x01
#define XLF_KERNEL_64		0x0001
#define INITRD_ALIGN		4096

struct setup_header {
	uint8_t setup_sects;
	uint16_t root_flags;
	uint32_t syssize;
	uint16_t ram_size, vid_mode, root_dev, boot_flag, jump;
	uint32_t header;
	uint16_t version;
	uint32_t realmode_swtch;
	uint16_t start_sys_seg, kernel_version;
	uint8_t type_of_loader, loadflags;
	uint16_t setup_move_size;
	uint32_t code32_start, ramdisk_image, ramdisk_size, bootsect_kludge;
	uint16_t heap_end_ptr;
	uint8_t ext_loader_ver, ext_loader_type;
	uint32_t cmd_line_ptr, initrd_addr_max, kernel_alignment;
	uint8_t relocatable_kernel, min_alignment;
	uint16_t xloadflags;
	uint32_t cmdline_size, hardware_subarch;
	uint64_t hardware_subarch_data;
	uint32_t payload_offset, payload_length;
	uint64_t setup_data, pref_address;
	uint32_t init_size, handover_offset;
} __attribute__((packed));
static_assert(sizeof(struct setup_header) == 0x268 - SETUP_HEADER, "boot.rst");

struct boot_params {
	uint8_t other1[0x70];
	uint64_t acpi_rsdp_addr;
	uint8_t other2[0x1e8 - 0x78];
	uint8_t e820_entries;
	uint8_t other3[SETUP_HEADER - 0x1e9];
	struct setup_header hdr;
	uint8_t other4[0x2d0 - 0x268];
	struct e820_entry e820_table[128];
	uint8_t other5[0x1000 - 0x2d0 - 128 * 20];
} __attribute__((packed));
static_assert(sizeof(struct boot_params) == 4096, "zero-page.rst");

static struct setup_header header_of(const struct loader *l)
{
	struct setup_header h;

	memcpy(&h, l->head + SETUP_HEADER, sizeof(h));
	return h;
}

bool linux_recognizes(const struct loader *l)
{
	struct setup_header h = header_of(l);

	return h.boot_flag == BOOT_FLAG && h.header == SETUP_MAGIC;
}

static uint64_t setup_size(const struct setup_header *h)
{
	return ((h->setup_sects ? h->setup_sects : 4) + 1u) * SECTOR;
}

bool linux_check(const struct loader *l, GError **error)
{
	struct setup_header h = header_of(l);
	const struct image *k = &l->kernel;

	if (h.version < PROTOCOL_MIN || !(h.xloadflags & XLF_KERNEL_64) ||
	    !(h.loadflags & LOADFLAGS_LOADED_HIGH))
		return loader_fail(error, k, EX_DATAERR, "kernel.old",
				   "it has no 64-bit entry point",
				   "use an x86-64 kernel, Linux 3.8 or newer");
	if (k->size < setup_size(&h) + h.syssize * UINT64_C(16))
		return loader_fail(error, k, EX_DATAERR, "kernel.truncated",
				   "the file ends too early",
				   "get it again: it is not complete");
	/* The code is at the front of what the kernel asks for to run in. */
	if (!h.syssize || h.init_size < h.syssize * UINT64_C(16) ||
	    !h.kernel_alignment ||
	    (h.kernel_alignment & (h.kernel_alignment - 1)))
		return loader_fail(error, k, EX_DATAERR, "kernel.damaged",
				   "its header makes no sense",
				   "get it again: it is damaged");
	if (strlen(l->cmdline) > h.cmdline_size)
		return loader_fail(error, k, EX_USAGE, "kernel.cmdline",
				   "it takes no command line that long",
				   "shorten --append");
	return true;
}

/* Where the kernel likes to be if it fits there, else as low as it can be. */
static uint64_t choose_address(const struct setup_header *h, uint64_t low_ram)
{
	uint64_t low = (LAYOUT_KERNEL + h->kernel_alignment - 1) &
		       ~((uint64_t)h->kernel_alignment - 1);

	if (h->pref_address >= LAYOUT_KERNEL && h->pref_address < low_ram &&
	    h->init_size <= low_ram - h->pref_address)
		return h->pref_address;
	return h->relocatable_kernel ? low : h->pref_address;
}

/* As high as the kernel can find it, above the kernel.  0: does not fit. */
static uint64_t initrd_address(const struct loader *l,
			       const struct setup_header *h,
			       uint64_t kernel_end, uint64_t low_ram)
{
	uint64_t top = MIN(low_ram, (uint64_t)h->initrd_addr_max + 1);
	uint64_t at;

	if (l->initrd.size > top)
		return 0;
	at = (top - l->initrd.size) & ~(uint64_t)(INITRD_ALIGN - 1);
	return at >= kernel_end ? at : 0;
}

/* 0 to 4 GiB mapped to itself by 2 MiB pages. */
static int write_page_tables(const struct gmem *gm)
{
	enum { PML4, PDPT, PD, TABLES = PD + 4, ENTRIES = 512 };
	const uint64_t present = 3, large = 0x83;
	g_autofree uint64_t *t = g_new0(uint64_t, TABLES * ENTRIES);

	t[PML4 * ENTRIES] = (LAYOUT_PAGE_TABLES + PDPT * 4096) | present;
	for (uint64_t i = 0; i < 4; i++)
		t[PDPT * ENTRIES + i] =
			(LAYOUT_PAGE_TABLES + (PD + i) * 4096) | present;
	for (uint64_t i = 0; i < 4 * ENTRIES; i++)
		t[PD * ENTRIES + i] = i << 21 | large;
	return gmem_write(gm, LAYOUT_PAGE_TABLES, t,
			  TABLES * ENTRIES * sizeof(*t));
}

static int write_gdt(const struct gmem *gm)
{
	static const uint64_t gdt[] = {
		0, 0,
		[LAYOUT_CODE_SELECTOR / 8] = UINT64_C(0x00af9b000000ffff),
		[LAYOUT_DATA_SELECTOR / 8] = UINT64_C(0x00cf93000000ffff),
	};

	return gmem_write(gm, LAYOUT_GDT, gdt, sizeof(gdt));
}

static int write_zero_page(const struct loader *l, const struct gmem *gm,
			   const struct setup_header *from, uint64_t initrd)
{
	g_autofree struct boot_params *bp = g_new0(struct boot_params, 1);
	struct e820_entry map[E820_MAX];

	bp->hdr = *from;
	bp->hdr.type_of_loader = LOADER_UNKNOWN;
	bp->hdr.cmd_line_ptr = LAYOUT_CMDLINE;
	bp->hdr.ramdisk_image = (uint32_t)initrd;
	bp->hdr.ramdisk_size = (uint32_t)l->initrd.size;
	bp->acpi_rsdp_addr = LAYOUT_RSDP;
	bp->e820_entries = (uint8_t)loader_e820(gm, map);
	memcpy(bp->e820_table, map, bp->e820_entries * sizeof(map[0]));
	return gmem_write(gm, LAYOUT_ZERO_PAGE, bp, sizeof(*bp));
}

bool linux_load(const struct loader *l, const struct gmem *gm,
		struct boot_state *state, GError **error)
{
	struct setup_header h = header_of(l);
	uint64_t low_ram = gm->region[0].size, initrd = 0;
	uint64_t at = choose_address(&h, low_ram);

	if (at < LAYOUT_KERNEL || at > low_ram || h.init_size > low_ram - at)
		return loader_needs_memory(error, &l->kernel,
					   at + h.init_size);
	if (l->initrd.fd >= 0) {
		initrd = initrd_address(l, &h, at + h.init_size, low_ram);
		if (!initrd)
			return loader_needs_memory(error, &l->initrd, at +
						   h.init_size +
						   l->initrd.size);
		if (!loader_read(&l->initrd, 0, l->initrd.size, gm, initrd,
				 error))
			return false;
	}
	if (!loader_read(&l->kernel, setup_size(&h), h.syssize * UINT64_C(16),
			 gm, at, error))
		return false;
	if (write_page_tables(gm) || write_gdt(gm) ||
	    write_zero_page(l, gm, &h, initrd) ||
	    gmem_write(gm, LAYOUT_CMDLINE, l->cmdline,
		       strlen(l->cmdline) + 1))
		g_assert_not_reached();	/* memory_init() has 2 MiB at least */

	*state = (struct boot_state){
		.mode = BOOT_LONG64,
		.rip = at + ENTRY_64,
		.rsi = LAYOUT_ZERO_PAGE,
		.cr3 = LAYOUT_PAGE_TABLES,
		.gdt_base = LAYOUT_GDT,
		.gdt_limit = LAYOUT_DATA_SELECTOR + 7,
	};
	return true;
}
