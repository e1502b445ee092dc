/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <elf.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"
#include "vmm/layout.h"
#include "vmm/loader.h"
#include "vmm/memory.h"

#define MIB		(UINT64_C(1) << 20)
#define SETUP_SECTS	3
#define SETUP_SIZE	((SETUP_SECTS + 1) * 512)
#define CODE_SIZE	4096
#define KERNEL_SIZE	(SETUP_SIZE + CODE_SIZE)

static struct memory m;
static char *dir, *kernel, *initrd;

/* A bzImage's first bytes, after Documentation/arch/x86/boot.rst. */
static uint8_t bz[KERNEL_SIZE];

static void put(size_t at, uint64_t value, size_t len)
{
	memcpy(bz + at, &value, len);
}

static void make_bzimage(void)
{
	memset(bz, 0, sizeof(bz));
	put(0x1f1, SETUP_SECTS, 1);
	put(0x1f4, CODE_SIZE / 16, 4);
	put(0x1fe, 0xaa55, 2);
	put(0x202, 0x53726448, 4);
	put(0x206, 0x020f, 2);		/* version */
	put(0x211, 0x01, 1);		/* loaded high */
	put(0x22c, 0x7fffffff, 4);	/* initrd_addr_max */
	put(0x230, 0x200000, 4);	/* alignment */
	put(0x234, 1, 1);		/* relocatable */
	put(0x236, 0x0001, 2);		/* 64-bit entry */
	put(0x238, 2047, 4);		/* cmdline_size */
	put(0x258, 0x1000000, 8);	/* pref_address */
	put(0x260, 0x800000, 4);	/* init_size */
	for (size_t i = 0; i < CODE_SIZE; i++)
		bz[SETUP_SIZE + i] = (uint8_t)(i * 7 + 1);
}

static void write_file(const char *path, const void *data, size_t len)
{
	assert_true(g_file_set_contents(path, data, (gssize)len, NULL));
}

static int setup(void **state)
{
	dir = g_dir_make_tmp("loader-XXXXXX", NULL);
	kernel = g_build_filename(dir, "kernel", NULL);
	initrd = g_build_filename(dir, "initrd", NULL);
	make_bzimage();
	return memory_init(&m, 64 * MIB, 1, NULL) ? 0 : -1;
}

static int teardown(void **state)
{
	memory_finish(&m);
	unlink(kernel);
	unlink(initrd);
	rmdir(dir);
	g_free(dir);
	g_free(kernel);
	g_free(initrd);
	return 0;
}

static void memory_of(uint64_t size)
{
	memory_finish(&m);
	assert_true(memory_init(&m, size, 1, NULL));
}

/* Opening or loading @kernel fails and says @text. */
static void expect_refusal_of(const char *with_initrd, const char *cmdline,
			      const char *text)
{
	g_autoptr(GError) error = NULL;
	autoptr(loader) l = loader_open(kernel, with_initrd, cmdline, &error);
	struct boot_state state;

	if (l)
		assert_false(loader_load(l, &m.gmem, &state, &error));
	assert_non_null(error);
	assert_int_equal(error->domain, USER_ERROR);
	if (!strstr(error->message, text))
		fail_msg("no '%s' in: %s", text, error->message);
}

static void expect_refusal(const char *text)
{
	write_file(kernel, bz, sizeof(bz));
	expect_refusal_of(NULL, "", text);
}

static struct boot_state load(const char *with_initrd, const char *cmdline)
{
	autoptr(loader) l = loader_open(kernel, with_initrd, cmdline, NULL);
	struct boot_state state;

	assert_non_null(l);
	assert_true(loader_is_linux(l));
	assert_true(loader_load(l, &m.gmem, &state, NULL));
	/* A reboot loads again, over what the guest has left. */
	memset(m.ram + 0x2000, 0xff, 0x2000);
	memset(m.ram + MIB, 0xff, m.size - MIB);
	assert_true(loader_load(l, &m.gmem, &state, NULL));
	return state;
}

static uint64_t ram(gpa_t gpa, size_t len)
{
	uint64_t v = 0;

	assert_int_equal(gmem_read(&m.gmem, gpa, &v, len), 0);
	return v;
}

static void a_bzimage_starts_at_its_64_bit_entry(void **state)
{
	struct boot_state s;

	write_file(kernel, bz, sizeof(bz));
	write_file(initrd, "initrd!", 7);
	s = load(initrd, "console=ttyS0");
	assert_int_equal(s.mode, BOOT_LONG64);
	assert_int_equal(s.rip, 0x1000200);
	assert_int_equal(s.rsi, LAYOUT_ZERO_PAGE);
	assert_memory_equal(gmem_ptr(&m.gmem, 0x1000000, CODE_SIZE),
			    bz + SETUP_SIZE, CODE_SIZE);
	/* The zero page: header, pointers, memory map. */
	assert_int_equal(ram(s.rsi + 0x202, 4), 0x53726448);
	assert_int_equal(ram(s.rsi + 0x210, 1), 0xff);
	assert_int_equal(ram(s.rsi + 0x228, 4), LAYOUT_CMDLINE);
	assert_string_equal(gmem_ptr(&m.gmem, LAYOUT_CMDLINE, 16),
			    "console=ttyS0");
	assert_int_equal(ram(s.rsi + 0x21c, 4), 7);
	assert_memory_equal(gmem_ptr(&m.gmem, ram(s.rsi + 0x218, 4), 7),
			    "initrd!", 7);
	assert_int_equal(ram(s.rsi + 0x218, 4), 64 * MIB - 4096);
	assert_int_equal(ram(s.rsi + 0x070, 8), LAYOUT_RSDP);
	assert_int_equal(ram(s.rsi + 0x000, 8), 0);
	/* Page tables map 0 to 4 GiB to itself. */
	for (uint64_t va = 0; va < 4096 * MIB; va += 511 * 2 * MIB) {
		uint64_t pdpt = ram(s.cr3, 8) & ~UINT64_C(0xfff);
		uint64_t pd = ram(pdpt + (va >> 30) * 8, 8);
		uint64_t entry = ram((pd & ~UINT64_C(0xfff)) +
				     (va >> 21 & 511) * 8, 8);

		assert_int_equal(pd & 3, 3);
		assert_int_equal(entry, va | 0x83);
	}
	assert_int_equal(ram(s.gdt_base + LAYOUT_CODE_SELECTOR, 8),
			 UINT64_C(0x00af9b000000ffff));
}

static void the_memory_map_covers_ram_and_keeps_tables_apart(void **state)
{
	struct boot_state s;
	uint64_t end = 0;
	unsigned n;

	memory_of(4096 * MIB);		/* part of it above 4 GiB */
	write_file(kernel, bz, sizeof(bz));
	s = load(NULL, "");
	n = (unsigned)ram(s.rsi + 0x1e8, 1);
	assert_int_equal(n, 7);
	for (unsigned i = 0; i < n; i++) {
		gpa_t e = s.rsi + 0x2d0 + i * 20;

		if (i < n - 1)
			assert_int_equal(ram(e, 8), end);
		else
			assert_int_equal(ram(e, 8), LAYOUT_HIGH_RAM);
		end = ram(e, 8) + ram(e + 8, 8);
		if (ram(e, 8) == LAYOUT_ACPI)
			assert_int_equal(ram(e + 16, 4), 3);
		if (ram(e, 8) == LAYOUT_SMBIOS)
			assert_int_equal(ram(e + 16, 4), 2);
		if (ram(e, 8) == MIB)
			assert_int_equal(end, LAYOUT_LOW_RAM_MAX);
	}
	assert_int_equal(end - LAYOUT_HIGH_RAM,
			 4096 * MIB - LAYOUT_LOW_RAM_MAX);
}

static void a_relocatable_kernel_moves_to_where_there_is_room(void **state)
{
	memory_of(16 * MIB);
	write_file(kernel, bz, sizeof(bz));
	assert_int_equal(load(NULL, "").rip, 0x200000 + 0x200);
	bz[0x234] = 0;			/* not this one */
	expect_refusal("[kernel.memory]");
	bz[0x234] = 1;
	put(0x260, 14 * MIB, 4);
	write_file(kernel, bz, sizeof(bz));
	load(NULL, "");
	put(0x260, 14 * MIB + 1, 4);
	expect_refusal("[kernel.memory]");
	put(0x260, UINT32_MAX, 4);
	expect_refusal("-m ");
	memory_of(2 * MIB);
	make_bzimage();
	expect_refusal("[kernel.memory]");
}

/* Every length short of the whole is refused, at opening. */
static void a_truncated_kernel_is_refused(void **state)
{
	expect_refusal_of(NULL, "", "No such file");
	for (size_t len = 0; len < sizeof(bz); len++) {
		g_autoptr(GError) error = NULL;

		write_file(kernel, bz, len);
		assert_null(loader_open(kernel, NULL, "", &error));
		assert_non_null(error);
		if (!len)
			assert_non_null(strstr(error->message, "empty"));
		else if (len >= 0x264)
			assert_non_null(strstr(error->message, "truncated"));
		if (len > 0x1c0 && len < 0x280)
			continue;	/* all around the header */
		len += MIN(97, sizeof(bz) - 1 - len);
	}
}

/* A kernel that gets shorter between two boots. */
static void a_kernel_cut_while_open_is_an_error(void **state)
{
	g_autoptr(GError) error = NULL;
	autoptr(loader) l = NULL;
	struct boot_state s;

	write_file(kernel, bz, sizeof(bz));
	l = loader_open(kernel, NULL, "", NULL);
	assert_true(loader_load(l, &m.gmem, &s, NULL));
	assert_int_equal(truncate(kernel, SETUP_SIZE + 100), 0);
	assert_false(loader_load(l, &m.gmem, &s, &error));
	assert_non_null(strstr(error->message, "shorter"));
}

static void headers_that_make_no_sense_are_refused(void **state)
{
	static const struct {
		size_t at, len;
		uint64_t value;
		const char *text;
	} bad[] = {
		{ 0x1fe, 2, 0xaa54, "[kernel.format]" },
		{ 0x202, 4, 0x53726449, "[kernel.format]" },
		{ 0x206, 2, 0x020b, "[kernel.old]" },
		{ 0x211, 1, 0, "[kernel.old]" },
		{ 0x236, 2, 0xfffe, "[kernel.old]" },
		{ 0x260, 4, 0, "[kernel.damaged]" },
		{ 0x230, 4, 0, "[kernel.damaged]" },
		{ 0x230, 4, 0x300000, "[kernel.damaged]" },
		{ 0x1f4, 4, 0, "[kernel.damaged]" },
		{ 0x1f4, 4, CODE_SIZE / 16 + 1, "[kernel.truncated]" },
		{ 0x1f4, 4, UINT32_MAX, "[kernel.truncated]" },
		{ 0x1f1, 1, 255, "[kernel.truncated]" },
		{ 0x260, 4, CODE_SIZE - 1, "[kernel.damaged]" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		make_bzimage();
		put(bad[i].at, bad[i].value, bad[i].len);
		expect_refusal(bad[i].text);
	}
	make_bzimage();
	put(0x258, UINT64_MAX - 0xfff, 8);	/* odd places */
	put(0x234, 0, 1);
	expect_refusal("[kernel.");
	put(0x258, 0, 8);
	expect_refusal("[kernel.");
}

static void other_files_are_called_what_they_are(void **state)
{
	static const struct { const char *head, *text; } files[] = {
		{ "\x7f" "ELF\x02", "ELF file" }, { "\x1f\x8b\x08", "gzip" },
		{ "\xfd" "7zXZ", "xz" }, { "MZ", "EFI program" },
		{ "070701", "cpio" }, { "hello", "neither" }, { "h", "neither" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
		write_file(kernel, files[i].head, strlen(files[i].head));
		expect_refusal_of(NULL, "", files[i].text);
	}
	unlink(kernel);
	assert_int_equal(mkfifo(kernel, 0600), 0);
	expect_refusal_of(NULL, "", "regular file");
	unlink(kernel);
	assert_int_equal(mkdir(kernel, 0700), 0);
	expect_refusal_of(NULL, "", "regular file");
	rmdir(kernel);
}

static void an_initrd_must_fit_above_the_kernel(void **state)
{
	const uint64_t room = 64 * MIB - 0x1800000;

	write_file(kernel, bz, sizeof(bz));
	write_file(initrd, "", 0);
	expect_refusal_of(initrd, "", "empty");
	assert_int_equal(truncate(initrd, (off_t)room), 0);
	load(initrd, "");
	assert_int_equal(ram(LAYOUT_ZERO_PAGE + 0x218, 4), 0x1800000);
	assert_int_equal(truncate(initrd, (off_t)room + 1), 0);
	expect_refusal_of(initrd, "", "[kernel.memory]");
	assert_int_equal(truncate(initrd, INT64_C(1) << 40), 0);
	expect_refusal_of(initrd, "", "[kernel.memory]");
	/* No higher than the kernel looks for it. */
	assert_int_equal(truncate(initrd, 4096), 0);
	put(0x22c, 0x1fffffff >> 4, 4);
	write_file(kernel, bz, sizeof(bz));
	load(initrd, "");
	assert_int_equal(ram(LAYOUT_ZERO_PAGE + 0x218, 4), 0x1fff000);
	unlink(initrd);
	expect_refusal_of(initrd, "", "No such file");
}

static void a_command_line_has_the_kernels_length_at_most(void **state)
{
	g_autofree char *text = g_strnfill(2048, 'x');
	g_autofree char *most = g_strnfill(4096, 'x');

	write_file(kernel, bz, sizeof(bz));
	expect_refusal_of(NULL, text, "[kernel.cmdline]");
	text[2047] = 0;
	load(NULL, text);
	put(0x238, UINT32_MAX, 4);
	write_file(kernel, bz, sizeof(bz));
	expect_refusal_of(NULL, most, "[kernel.cmdline]");
	most[4095] = 0;
	load(NULL, most);
	assert_string_equal(gmem_ptr(&m.gmem, LAYOUT_CMDLINE, 4096), most);
}

/*
 * Multiboot.
 */
static struct elf {
	Elf32_Ehdr e;
	Elf32_Phdr p[2];
	uint32_t multiboot[3];
	uint8_t code[64];
} elf;

static void make_elf(void)
{
	elf = (struct elf){
		.e = {
			.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS32,
				     ELFDATA2LSB, EV_CURRENT },
			.e_type = ET_EXEC, .e_machine = EM_386,
			.e_entry = 0x100010, .e_phnum = 2,
			.e_phoff = offsetof(struct elf, p),
			.e_phentsize = sizeof(Elf32_Phdr),
		},
		.p = {
			{ .p_type = PT_LOAD, .p_paddr = 0x100000,
			  .p_offset = offsetof(struct elf, code),
			  .p_filesz = 64, .p_memsz = 128 },
			{ .p_type = PT_NOTE, .p_offset = UINT32_MAX,
			  .p_filesz = UINT32_MAX, .p_memsz = UINT32_MAX },
		},
		.multiboot = { 0x1badb002, 3, -(0x1badb002u + 3) },
		.code = "multiboot code",
	};
}

static void expect_elf_refusal(const char *text)
{
	write_file(kernel, &elf, sizeof(elf));
	expect_refusal_of(NULL, "", text);
}

static void a_multiboot_image_starts_in_32_bit_mode(void **state)
{
	autoptr(loader) l = NULL;
	struct boot_state s;
	gpa_t info;

	make_elf();
	write_file(kernel, &elf, sizeof(elf));
	l = loader_open(kernel, NULL, "arguments", NULL);
	assert_non_null(l);
	assert_false(loader_is_linux(l));
	memset(m.ram + MIB, 0xff, MIB);
	assert_true(loader_load(l, &m.gmem, &s, NULL));
	assert_int_equal(s.mode, BOOT_PROT32);
	assert_int_equal(s.rip, 0x100010);
	assert_int_equal(s.rax, 0x2badb002);
	info = s.rbx;
	assert_int_equal(ram(info, 4), 1 | 4 | 64);
	assert_int_equal(ram(info + 8, 4), 63 * 1024);
	assert_string_equal(gmem_ptr(&m.gmem, ram(info + 16, 4), 10),
			    "arguments");
	assert_int_equal(ram(info + 44, 4), 6 * 24);
	assert_int_equal(ram(ram(info + 48, 4), 4), 20);
	assert_string_equal(gmem_ptr(&m.gmem, MIB, 64), "multiboot code");
	assert_int_equal(ram(MIB + 127, 1), 0);		/* .bss */
	assert_int_equal(ram(MIB + 128, 1), 0xff);
}

static void program_headers_are_not_believed(void **state)
{
	static const struct { uint32_t at, value; const char *text; }
	bad[] = {
		{ offsetof(Elf32_Phdr, p_paddr), 0xfffff, "damaged" },
		{ offsetof(Elf32_Phdr, p_paddr), 0, "damaged" },
		{ offsetof(Elf32_Phdr, p_paddr), 64 << 20, "memory" },
		{ offsetof(Elf32_Phdr, p_paddr), (64 << 20) - 127, "memory" },
		{ offsetof(Elf32_Phdr, p_paddr), 0xffffffff, "memory" },
		{ offsetof(Elf32_Phdr, p_memsz), 63, "damaged" },
		{ offsetof(Elf32_Phdr, p_memsz), 0xffffffff, "memory" },
		{ offsetof(Elf32_Phdr, p_filesz), 0xffffffff, "damaged" },
		{ offsetof(Elf32_Phdr, p_offset), sizeof(struct elf) - 63,
		  "truncated" },
		{ offsetof(Elf32_Phdr, p_offset), 0xffffffff, "truncated" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		make_elf();
		memcpy((uint8_t *)&elf.p[0] + bad[i].at,
		       &bad[i].value, 4);
		expect_elf_refusal(bad[i].text);
	}
	make_elf();
	elf.e.e_phnum = 0;
	expect_elf_refusal("damaged");
	elf.e.e_phnum = 0xffff;
	expect_elf_refusal("damaged");
	make_elf();
	elf.e.e_phoff = 0xffffffff;
	expect_elf_refusal("damaged");
	elf.e.e_phoff = 8192 - 2 * sizeof(Elf32_Phdr) + 1;
	expect_elf_refusal("damaged");
	make_elf();
	elf.e.e_phentsize--;
	expect_elf_refusal("damaged");
	make_elf();
	elf.e.e_ident[EI_CLASS] = ELFCLASS64;
	expect_elf_refusal("[kernel.multiboot]");
	make_elf();
	elf.multiboot[1] |= 1 << 16;
	elf.multiboot[2] -= 1 << 16;
	expect_elf_refusal("[kernel.multiboot]");
	make_elf();
	elf.multiboot[2]++;
	expect_elf_refusal("ELF file");
	/* Nothing to load, and every length that is too short. */
	for (size_t len = 0; len < sizeof(elf); len++) {
		make_elf();
		write_file(kernel, &elf, len);
		expect_refusal_of(NULL, "", "cannot boot");
	}
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_bzimage_starts_at_its_64_bit_entry),
		TEST(the_memory_map_covers_ram_and_keeps_tables_apart),
		TEST(a_relocatable_kernel_moves_to_where_there_is_room),
		TEST(a_truncated_kernel_is_refused),
		TEST(a_kernel_cut_while_open_is_an_error),
		TEST(headers_that_make_no_sense_are_refused),
		TEST(other_files_are_called_what_they_are),
		TEST(an_initrd_must_fit_above_the_kernel),
		TEST(a_command_line_has_the_kernels_length_at_most),
		TEST(a_multiboot_image_starts_in_32_bit_mode),
		TEST(program_headers_are_not_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
