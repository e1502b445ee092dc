/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hv_test.h"

#define A	UINT64_C(0x10000)
#define B	UINT64_C(0x20000)

/* What a guest makes of its TSC, by 12.7.3: in 32-bit steps, for itself. */
static uint64_t mul_high(uint64_t x, uint64_t y)
{
	uint64_t xl = (uint32_t)x, xh = x >> 32, yl = (uint32_t)y, yh = y >> 32;
	uint64_t low = xl * yl, m1 = xh * yl, m2 = xl * yh;
	uint64_t carry = (low >> 32) + (uint32_t)m1 + (uint32_t)m2;

	return xh * yh + (m1 >> 32) + (m2 >> 32) + (carry >> 32);
}

static struct hv_reference_tsc_page page_at(gpa_t gpa)
{
	struct hv_reference_tsc_page p;

	memcpy(&p, h.ram + gpa, sizeof(p));
	return p;
}

/* TLFS: TIME-10 TIME-11 TIME-13 GEN-06 */
static void the_page_and_the_clock_agree(void **state)
{
	static const uint64_t tscs[] = {
		0, 1, 199, 200, 201, 4000000000, UINT64_C(1) << 40,
		UINT64_C(123456789012345678), UINT64_MAX,
	};
	struct hv_reference_tsc_page p;

	wr(0, HV_X64_MSR_REFERENCE_TSC, A | ENABLE);
	p = page_at(A);
	assert_true(p.tsc_sequence != 0 && p.tsc_sequence != UINT32_MAX);
	assert_int_equal(p.reserved, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(tscs); i++)
		assert_true(mul_high(tscs[i], p.tsc_scale) +
			    (uint64_t)p.tsc_offset ==
			    hv_tsc_to_ref(h.hv, tscs[i]));
	for (unsigned i = sizeof(p); i < PAGE; i++)
		assert_int_equal(h.ram[A + i], 0);
}

/* TLFS: TIME-03 */
static void a_second_of_tsc_is_a_second(void **state)
{
	const struct hv_config odd = {
		.vp_count = 1, .tsc_hz = 2893202000, .apic_hz = 1000000000,
	};
	uint64_t ref;

	hv_host_init_with(&h, &odd);
	ref = hv_tsc_to_ref(h.hv, odd.tsc_hz * 3600);
	assert_in_range(ref, UINT64_C(36000000000) - 1, 36000000000);
	hv_host_finish(&h);
}

/* TLFS: TIME-01 */
static void time_is_0_where_the_tsc_starts(void **state)
{
	const struct hv_config late = {
		.vp_count = 1, .tsc_hz = 2893202000, .apic_hz = 1000000000,
		.tsc_start = UINT64_C(123456789012345),
	};

	hv_host_init_with(&h, &late);
	assert_int_equal(hv_tsc_to_ref(h.hv, late.tsc_start), 0);
	assert_in_range(hv_tsc_to_ref(h.hv, late.tsc_start + late.tsc_hz),
			9999999, 10000000);
	hv_host_finish(&h);
}

/* TLFS: TIME-07 TIME-08 TIME-20 */
static void the_page_is_the_partitions(void **state)
{
	wr(0, HV_X64_MSR_REFERENCE_TSC, A | ENABLE | 0x7f0);
	assert_int_equal(rd(3, HV_X64_MSR_REFERENCE_TSC), A | ENABLE | 0x7f0);
	wr(3, HV_X64_MSR_REFERENCE_TSC, B | ENABLE);
	assert_int_equal(page_at(A).tsc_sequence, 0);
	assert_int_equal(page_at(B).tsc_sequence, 1);
	wr(1, HV_X64_MSR_REFERENCE_TSC, B);
	assert_int_equal(page_at(B).tsc_sequence, 0);
}

/* TLFS: TIME-15 */
static void the_page_is_the_same_after_a_reset(void **state)
{
	struct hv_reference_tsc_page p;

	wr(0, HV_X64_MSR_REFERENCE_TSC, A | ENABLE);
	p = page_at(A);
	memset(h.ram + A, 0xff, PAGE);
	hv_reset(h.hv);
	assert_int_equal(rd(0, HV_X64_MSR_REFERENCE_TSC), 0);
	wr(0, HV_X64_MSR_REFERENCE_TSC, B | ENABLE);
	assert_memory_equal(h.ram + B, &p, sizeof(p));
	assert_int_equal(h.ram[B + PAGE - 1], 0);
}

/* TLFS: TIME-09 */
static void a_page_outside_of_ram_is_no_fault(void **state)
{
	wr(0, HV_X64_MSR_REFERENCE_TSC, ~UINT64_C(0xfff) | ENABLE);
	assert_true(rd(0, HV_X64_MSR_REFERENCE_TSC) ==
		    (~UINT64_C(0xfff) | ENABLE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_page_and_the_clock_agree),
		cmocka_unit_test(a_second_of_tsc_is_a_second),
		cmocka_unit_test(time_is_0_where_the_tsc_starts),
		TEST(the_page_is_the_partitions),
		TEST(the_page_is_the_same_after_a_reset),
		TEST(a_page_outside_of_ram_is_no_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
