/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "vmm/layout.h"
#include "vmm/memory.h"
#include "vmm/smbios.h"

#define MIB	(UINT64_C(1) << 20)

static struct memory m;
static struct smbios_config config;

static int setup(void **state)
{
	config = (struct smbios_config){
		.vp_count = 4, .memory = 2 * MIB,
		.uuid = GUID(0x11223344, 0x5566, 0x7788, 0x99aa, 0xbbccddeeff00),
	};
	return memory_init(&m, 2 * MIB, 1, NULL) ? 0 : -1;
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

/* The entry point, checked; the table and its size. */
static const uint8_t *table(uint32_t *size)
{
	const uint8_t *e = gmem_ptr(&m.gmem, LAYOUT_SMBIOS_ENTRY, 24);
	uint8_t sum = 0;

	assert_memory_equal(e, "_SM3_", 5);
	assert_int_equal(e[6], 24);
	for (unsigned i = 0; i < 24; i++)
		sum += e[i];
	assert_int_equal(sum, 0);
	assert_int_equal(get(e + 16, 8), LAYOUT_SMBIOS);
	*size = (uint32_t)get(e + 12, 4);
	assert_true(*size <= LAYOUT_SMBIOS_MAX);
	return gmem_ptr(&m.gmem, LAYOUT_SMBIOS, *size);
}

/* Behind the strings of the structure at @p; their number. */
static const uint8_t *strings_end(const uint8_t *p, unsigned *count)
{
	*count = 0;
	p += p[1];
	if (!*p)
		return p + 2;
	for (; *p; (*count)++)
		p += strlen((const char *)p) + 1;
	return p + 1;
}

/* String @n of the structure at @p. */
static const char *string(const uint8_t *p, unsigned n)
{
	const char *s = (const char *)p + p[1];

	while (--n)
		s += strlen(s) + 1;
	return s;
}

static const uint8_t *find(uint8_t type)
{
	uint32_t size;
	const uint8_t *p = table(&size), *end = p + size;

	while (p < end && p[0] != type) {
		unsigned count;

		p = strings_end(p, &count);
	}
	assert_true(p < end);
	return p;
}

static void structures_fill_the_table_exactly(void **state)
{
	/* Lengths of SMBIOS 3.1, DSP0134 section 7. */
	static const struct { uint8_t type, len, strings; } want[] = {
		{ 0, 0x1a, 3 }, { 1, 0x1b, 4 }, { 3, 0x16, 2 }, { 4, 0x30, 2 },
		{ 16, 0x17, 0 }, { 17, 0x28, 2 }, { 19, 0x1f, 0 },
		{ 32, 0x0b, 0 }, { 127, 4, 0 },
	};
	const uint8_t *p, *end;
	uint32_t size;

	smbios_write(&m.gmem, &config);
	p = table(&size);
	end = p + size;
	for (size_t i = 0; i < G_N_ELEMENTS(want); i++) {
		unsigned strings;

		assert_true(p < end);
		assert_int_equal(p[0], want[i].type);
		assert_int_equal(p[1], want[i].len);
		p = strings_end(p, &strings);
		assert_int_equal(strings, want[i].strings);
	}
	assert_ptr_equal(p, end);
}

static void it_is_a_hyper_v_machine(void **state)
{
	const uint8_t *p;

	smbios_write(&m.gmem, &config);
	p = find(1);
	assert_string_equal(string(p, p[4]), "Microsoft Corporation");
	assert_string_equal(string(p, p[5]), "Virtual Machine");
	assert_memory_equal(p + 8, "\x44\x33\x22\x11\x66\x55\x88\x77\x99\xaa"
			    "\xbb\xcc\xdd\xee\xff\x00", 16);
	p = find(0);
	assert_int_equal(p[19] & 0x10, 0x10);	/* virtual */
	p = find(4);
	assert_int_equal(p[0x23], 4);		/* cores */
	assert_int_equal(get(p + 0x2a, 2), 4);
}

static void memory_of_any_size_is_described(void **state)
{
	static const uint64_t sizes[] = { 2 * MIB, 4096 * MIB,
					  1024 * 1024 * MIB };

	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		config.memory = sizes[i];
		smbios_write(&m.gmem, &config);
		assert_int_equal(get(find(16) + 15, 8), config.memory);
		assert_int_equal(get(find(17) + 12, 2), 0x7fff);
		assert_int_equal(get(find(17) + 28, 4), config.memory / MIB);
		assert_int_equal(get(find(19) + 23, 8), config.memory - 1);
	}
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(structures_fill_the_table_exactly),
		TEST(it_is_a_hyper_v_machine),
		TEST(memory_of_any_size_is_described),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
