/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whole chapters of the TLFS are not for this guest: it is nobody's parent, has
 * one trust level, is not isolated and nests nothing.  Here are the bits and
 * registers of these; their calls are in test_calls.c.
 */
#include "hv_test.h"

enum { EAX, EBX, ECX, EDX };

static bool is_clear(uint32_t leaf, unsigned reg, unsigned bit)
{
	uint32_t out[4];

	assert_true(hv_cpuid(h.hv, leaf, out));
	return !(out[reg] & 1u << bit);
}

static void is_no_leaf(uint32_t leaf)
{
	uint32_t out[4];

	hv_cpuid(h.hv, leaf, out);
	assert_int_equal(out[EAX] | out[EBX] | out[ECX] | out[EDX], 0);
}

static void are_gp(uint32_t first, uint32_t last)
{
	for (uint32_t msr = first; msr <= last; msr++) {
		assert_gp_on_read(0, msr);
		assert_gp_on_write(0, msr, 0);
	}
}

static void there_are_no_children(void **state)
{
	static const unsigned privileges[] = { 0, 2, 6, 8, 12 };

	for (size_t i = 0; i < G_N_ELEMENTS(privileges); i++)
		assert_true(is_clear(0x40000003, EBX, privileges[i]));
	is_no_leaf(0x40000007);
	are_gp(0x400000c1, 0x400000c3);
	are_gp(0x400000d1, 0x400000d3);
}

static void there_is_one_trust_level(void **state)
{
	assert_true(is_clear(0x40000003, EBX, 16));
	assert_true(is_clear(0x40000003, EDX, 20));
	assert_true(is_clear(0x40000003, EDX, 21));
}

static void nothing_is_nested(void **state)
{
	assert_true(is_clear(0x40000003, EAX, 13));
	assert_true(is_clear(0x40000004, EAX, 12));
	assert_true(is_clear(0x40000004, EAX, 14));
	is_no_leaf(0x40000009);
	is_no_leaf(0x4000000a);
	are_gp(0x40000106, 0x40000108);
}

static void nobody_is_isolated(void **state)
{
	assert_true(is_clear(0x40000003, EBX, 22));
	assert_true(is_clear(0x40000004, EAX, 21));
	is_no_leaf(0x4000000c);
}

static void there_is_no_synthetic_debugger(void **state)
{
	assert_true(is_clear(0x40000003, EAX, 12));
	assert_true(is_clear(0x40000003, EBX, 11));
	assert_true(is_clear(0x40000003, EDX, 1));
	is_no_leaf(0x40000080);
	are_gp(0x400000f1, 0x400000f5);
	are_gp(0x400000ff, 0x400000ff);
}

static void there_are_no_statistics(void **state)
{
	assert_true(is_clear(0x40000003, EAX, 8));
	are_gp(0x400000e0, 0x400000e3);
}

static void there_is_no_time_unhalted_timer(void **state)
{
	assert_true(is_clear(0x40000003, EDX, 23));
	are_gp(0x40000114, 0x40000115);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(there_are_no_children),
		TEST(there_is_one_trust_level),
		TEST(nothing_is_nested),
		TEST(nobody_is_isolated),
		TEST(there_is_no_synthetic_debugger),
		TEST(there_are_no_statistics),
		TEST(there_is_no_time_unhalted_timer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
