/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "vmm/acpi.h"
#include "vmm/aml.h"
#include "vmm/layout.h"
#include "vmm/memory.h"

#define MIB	(UINT64_C(1) << 20)
#define TABLES	4

static struct memory m;

static void start(uint64_t memory, uint32_t vp_count)
{
	const struct acpi_config config = {
		.vp_count = vp_count, .com_count = 2,
	};

	memory_finish(&m);
	assert_true(memory_init(&m, memory, 1, NULL));
	acpi_write(&m.gmem, &config);
}

static int setup(void **state)
{
	m = (struct memory){ .fd = -1, .overlay_fd = -1 };
	start(2 * MIB, 4);
	return 0;
}

static int teardown(void **state)
{
	memory_finish(&m);
	return 0;
}

static uint64_t get(const uint8_t *p, size_t len)
{
	uint64_t v = 0;

	memcpy(&v, p, len);
	return v;
}

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;

	while (len--)
		s += *p++;
	return s;
}

/* The table at @gpa, which must be whole. */
static const uint8_t *table_at(gpa_t gpa, const char *signature)
{
	const uint8_t *t = gmem_ptr(&m.gmem, gpa, 36);
	uint32_t len = (uint32_t)get(t + 4, 4);

	assert_memory_equal(t, signature, 4);
	assert_true(gpa >= LAYOUT_ACPI);
	assert_true(gpa - LAYOUT_ACPI + len <= LAYOUT_ACPI_MAX);
	assert_int_equal(sum(t, len), 0);
	assert_memory_equal(t + 10, "VRTUALMICROSFT", 14);
	assert_memory_equal(t + 28, "MSFT", 4);
	return t;
}

static const uint8_t *xsdt(void)
{
	const uint8_t *r = gmem_ptr(&m.gmem, LAYOUT_RSDP, 36);

	assert_memory_equal(r, "RSD PTR ", 8);
	assert_int_equal(sum(r, 20), 0);
	assert_int_equal(sum(r, 36), 0);
	assert_int_equal(r[15], 2);
	assert_int_equal(get(r + 20, 4), 36);
	return table_at(get(r + 24, 8), "XSDT");
}

static const uint8_t *find(const char *signature)
{
	const uint8_t *x = xsdt();

	assert_int_equal(get(x + 4, 4), 36 + 8 * TABLES);
	for (unsigned i = 0; i < TABLES; i++) {
		gpa_t gpa = get(x + 36 + 8 * i, 8);

		if (!memcmp(gmem_ptr(&m.gmem, gpa, 4), signature, 4))
			return table_at(gpa, signature);
	}
	fail_msg("no %s", signature);
	return NULL;
}

static const uint8_t *dsdt(void)
{
	const uint8_t *f = find("FACP");

	assert_int_equal(get(f + 40, 4), get(f + 140, 8));
	return table_at(get(f + 140, 8), "DSDT");
}

static void fixed_hardware_is_where_hyper_v_has_it(void **state)
{
	static const struct { unsigned at, len; uint64_t value; } fields[] = {
		{ 4, 4, 276 }, { 8, 1, 6 }, { 46, 2, 9 },	/* SCI */
		{ 48, 4, 0 }, { 52, 1, 0 },		/* no SMI port */
		{ 56, 4, 0x400 }, { 64, 4, 0x404 }, { 76, 4, 0x408 },
		{ 80, 4, 0x40c }, { 88, 1, 4 }, { 89, 1, 2 }, { 91, 1, 4 },
		{ 92, 1, 4 }, { 96, 2, 101 }, { 98, 2, 1001 },
		{ 109, 2, 4 },				/* no VGA, no 8042 */
		{ 112, 4, 0x8535 },
		/* Reset register: I/O port 433, a byte; write 1. */
		{ 116, 1, 1 }, { 117, 1, 8 }, { 119, 1, 1 }, { 120, 8, 0x433 },
		{ 128, 1, 1 },
		{ 148 + 4, 8, 0x400 }, { 172 + 4, 8, 0x404 },
		{ 208 + 4, 8, 0x408 }, { 220 + 4, 8, 0x40c },
		{ 148, 1, 1 }, { 148 + 1, 1, 32 }, { 172 + 1, 1, 16 },
		{ 208 + 1, 1, 32 }, { 220 + 1, 1, 32 },
		/* Sleep control and status: bytes of the PM1 registers. */
		{ 244, 1, 1 }, { 244 + 1, 1, 8 }, { 244 + 4, 8, 0x405 },
		{ 256, 1, 1 }, { 256 + 1, 1, 8 }, { 256 + 4, 8, 0x401 },
	};
	const uint8_t *f = find("FACP");

	for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
		if (get(f + fields[i].at, fields[i].len) != fields[i].value)
			fail_msg("offset %u is %#lx", fields[i].at,
				 (long)get(f + fields[i].at, fields[i].len));
	assert_memory_equal(f + 268, "MsHyperV", 8);
}

static void the_facs_is_aligned_and_named_once(void **state)
{
	const uint8_t *f = find("FACP");
	gpa_t gpa = get(f + 36, 4);
	const uint8_t *facs = gmem_ptr(&m.gmem, gpa, 64);

	assert_int_equal(gpa % 64, 0);
	assert_int_equal(get(f + 132, 8), 0);
	assert_memory_equal(facs, "FACS", 4);
	assert_int_equal(get(facs + 4, 4), 64);
	assert_int_equal(facs[32], 2);
}

static void every_processor_is_in_the_madt(void **state)
{
	static const uint32_t counts[] = { 1, 2, 63, 64 };

	for (size_t c = 0; c < G_N_ELEMENTS(counts); c++) {
		const uint8_t *t, *p, *end;
		unsigned cpus = 0, others[5] = { 0 };

		start(2 * MIB, counts[c]);
		t = find("APIC");
		assert_int_equal(get(t + 36, 4), 0xfee00000);
		assert_int_equal(get(t + 40, 4), 0);
		end = t + get(t + 4, 4);
		for (p = t + 44; p < end; p += p[1]) {
			assert_true(p[1] >= 2);
			assert_true(p[0] < 5);
			others[p[0]]++;
			if (p[0] == 0) {
				assert_int_equal(p[3], cpus);
				assert_int_equal(p[2], ++cpus);
				assert_int_equal(get(p + 4, 4), 1);
			} else if (p[0] == 1) {
				assert_int_equal(get(p + 4, 4), 0xfec00000);
			} else if (p[0] == 2) {
				assert_int_equal(p[3], 9);
				assert_int_equal(get(p + 4, 4), 9);
				assert_int_equal(get(p + 8, 2), 0x0d);
			} else {
				assert_int_equal(p[2], 0xff);
				assert_int_equal(p[5], 1);
			}
		}
		assert_ptr_equal(p, end);
		assert_int_equal(cpus, counts[c]);
		assert_int_equal(others[1], 1);
		assert_int_equal(others[2], 1);
		assert_int_equal(others[3], 0);
		assert_int_equal(others[4], 1);
		dsdt();
	}
}

static void memory_on_both_sides_of_the_hole_is_in_the_srat(void **state)
{
	uint64_t total = 0;
	const uint8_t *t, *p;

	start(4096 * MIB, 2);
	t = find("SRAT");
	for (p = t + 48; p < t + get(t + 4, 4); p += p[1])
		if (p[0] == 1)
			total += get(p + 16, 8);
	assert_int_equal(total, 4096 * MIB);
	assert_int_equal(get(find("WAET") + 36, 4), 3);
}

static void packages_have_lengths_of_one_to_three_bytes(void **state)
{
	static const struct { unsigned content; uint8_t head[4]; } cases[] = {
		/* The length counts itself and the name's four bytes. */
		{ 58, { 0x10, 0x3f } },
		{ 59, { 0x10, 0x41, 0x04 } },
		{ 4089, { 0x10, 0x4f, 0xff } },
		{ 4090, { 0x10, 0x81, 0x00, 0x01 } },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GByteArray) a = g_byte_array_new();
		GByteArray *inside = g_byte_array_new();
		unsigned len = cases[i].head[1] >> 6;

		for (unsigned n = 0; n < cases[i].content; n++)
			aml_byte(inside, 0xa3);
		aml_scope(a, "_SB", inside);
		assert_memory_equal(a->data, cases[i].head, 2 + len);
		assert_int_equal(a->len, 2 + len + 4 + cases[i].content);
		assert_memory_equal(a->data + 2 + len, "_SB_", 4);
	}
}

static void integers_take_as_little_room_as_they_can(void **state)
{
	static const struct { uint64_t value; const char *bytes; size_t len; }
	cases[] = {
		{ 0, "\x00", 1 }, { 1, "\x01", 1 }, { 2, "\x0a\x02", 2 },
		{ 0xff, "\x0a\xff", 2 }, { 0x100, "\x0b\x00\x01", 3 },
		{ 0xffff, "\x0b\xff\xff", 3 },
		{ 0x10000, "\x0c\x00\x00\x01\x00", 5 },
		{ UINT32_MAX, "\x0c\xff\xff\xff\xff", 5 },
		{ UINT64_C(1) << 32, "\x0e\0\0\0\0\x01\0\0\0", 9 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GByteArray) a = g_byte_array_new();

		aml_integer(a, cases[i].value);
		assert_int_equal(a->len, cases[i].len);
		assert_memory_equal(a->data, cases[i].bytes, a->len);
	}
}

/* Run iasl in @dir; it must not complain. */
static void run_iasl(const char *dir, const char *arguments, char **output)
{
	g_autofree char *command = g_strdup_printf("iasl %s", arguments);
	g_auto(GStrv) argv = g_strsplit(command, " ", -1);
	g_autofree char *errors = NULL;
	int status = -1;

	assert_true(g_spawn_sync(dir, argv, NULL, G_SPAWN_SEARCH_PATH, NULL,
				 NULL, output, &errors, &status, NULL));
	if (status)
		fail_msg("%s: %s%s", command, *output, errors);
}

/* Disassemble @t and compile it again. */
static void round_trip(const char *dir, const char *name, const uint8_t *t)
{
	g_autofree char *dat = g_strdup_printf("%s/%s.dat", dir, name);
	g_autofree char *dsl = g_strdup_printf("%s/%s.dsl", dir, name);
	g_autofree char *aml = g_strdup_printf("%s/%s.aml", dir, name);
	g_autofree char *d = g_strdup_printf("-d %s.dat", name);
	/*
	 * Hyper-V's VMBus device has an id that is none by the specification
	 * (6033), and an address besides (3073).
	 */
	g_autofree char *c = g_strdup_printf("-we -vw 6033 -vw 3073 %s.dsl",
					     name);
	g_autofree char *output = NULL, *compiled = NULL;

	assert_true(g_file_set_contents(dat, (const char *)t,
					(gssize)get(t + 4, 4), NULL));
	run_iasl(dir, d, &output);
	assert_null(strstr(output, "ERROR"));
	run_iasl(dir, c, &compiled);
	assert_non_null(strstr(compiled, " 0 Errors"));
	unlink(dat);
	unlink(dsl);
	unlink(aml);
}

static bool dsdt_says(const char *text)
{
	const uint8_t *t = dsdt();

	return memmem(t, get(t + 4, 4), text, strlen(text) + 1);
}

/* TLFS: FD-58 */
static void vmbus_is_described_only_if_it_is_there(void **state)
{
	const struct acpi_config without = { .vp_count = 1, .no_vmbus = true };

	assert_true(dsdt_says("VMBus"));
	acpi_write(&m.gmem, &without);
	assert_false(dsdt_says("VMBus"));
	assert_true(dsdt_says("ACPI0004"));
}

static void iasl_understands_every_table(void **state)
{
	static const char *const names[] = { "FACP", "APIC", "SRAT", "WAET" };
	g_autofree char *iasl = g_find_program_in_path("iasl");
	g_autofree char *dir = NULL;

	if (!iasl) {
		print_message("skipped: no iasl here (acpica-tools)\n");
		skip();
	}
	dir = g_dir_make_tmp("acpi-XXXXXX", NULL);
	start(4096 * MIB, 64);
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		round_trip(dir, names[i], find(names[i]));
	round_trip(dir, "XSDT", xsdt());
	round_trip(dir, "DSDT", dsdt());
	start(2 * MIB, 1);
	round_trip(dir, "DSDT", dsdt());
	rmdir(dir);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fixed_hardware_is_where_hyper_v_has_it),
		TEST(the_facs_is_aligned_and_named_once),
		TEST(every_processor_is_in_the_madt),
		TEST(memory_on_both_sides_of_the_hole_is_in_the_srat),
		TEST(packages_have_lengths_of_one_to_three_bytes),
		TEST(integers_take_as_little_room_as_they_can),
		TEST(vmbus_is_described_only_if_it_is_there),
		TEST(iasl_understands_every_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
