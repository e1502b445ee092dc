/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hv_test.h"

enum { EAX, EBX, ECX, EDX };

#define ALL_ACCESS							\
	(HV_ACCESS_VP_RUNTIME | HV_ACCESS_TSC_INVARIANT |		\
	 HV_ACCESS_PARTITION_REFERENCE_COUNTER | HV_ACCESS_SYNIC_REGS | \
	 HV_ACCESS_SYNTHETIC_TIMER_REGS | HV_ACCESS_HYPERCALL_MSRS |	\
	 HV_ACCESS_VP_INDEX | HV_ACCESS_RESET_REG |			\
	 HV_ACCESS_PARTITION_REFERENCE_TSC | HV_ACCESS_FREQUENCY_REGS |	\
	 HV_ACCESS_GUEST_IDLE_REG)
#define ALL_FEATURES							\
	(HV_FREQUENCY_REGS_AVAILABLE | HV_GUEST_CRASH_REGS_AVAILABLE |	\
	 HV_SINT_POLLING_AVAILABLE | HV_HYPERCALL_MSR_LOCK_AVAILABLE |	\
	 HV_DIRECT_SYNTHETIC_TIMERS | HV_XMM_INPUT_AVAILABLE |		\
	 HV_XMM_OUTPUT_AVAILABLE | HV_GUEST_IDLE_AVAILABLE)
/* Messages, events, VP registers, fast output, extended calls, start of VPs. */
#define ALL_PRIVILEGES							\
	(1u << 4 | 1u << 5 | 1u << 17 | 1u << 19 | 1u << 20 | 1u << 21)

static void leaf(uint32_t number, uint32_t a, uint32_t b, uint32_t c,
		 uint32_t d)
{
	uint32_t out[4] = { 1, 1, 1, 1 };

	assert_true(hv_cpuid(h.hv, number, out));
	assert_int_equal(out[EAX], a);
	assert_int_equal(out[EBX], b);
	assert_int_equal(out[ECX], c);
	assert_int_equal(out[EDX], d);
}

/*
 * TLFS: FD-02 FD-03 FD-04 FD-05 FD-06 FD-08 FD-09 FD-10 FD-11 FD-30 FD-31
 * FD-33 FD-34 FD-38 FD-41 FD-42 FD-43 FD-47 FD-56 SCHED-06 SYNIC-21
 */
static void leaves_say_microsoft_hv(void **state)
{
	leaf(0x40000000, 0x40000006, 0x7263694d, 0x666f736f, 0x76482074);
	leaf(0x40000001, 0x31237648, 0, 0, 0);
	leaf(0x40000002, 20348, 10u << 16, 0, 0);
	leaf(0x40000004, 1u << 5 | 1u << 9, 0xffffffff, HV_HOST_GPA_BITS, 0);
	leaf(0x40000005, 64, 0, 0, 0);
	leaf(0x40000006, 0, 0, 0, 0);
}

/* TLFS: FD-55 FD-56 */
static void leaves_beyond_the_last_are_zero(void **state)
{
	static const uint32_t beyond[] = {
		0x40000007, 0x4000000a, 0x400000ff, 0x3fffffff, 0, UINT32_MAX,
	};

	for (size_t i = 0; i < G_N_ELEMENTS(beyond); i++) {
		uint32_t out[4] = { 1, 1, 1, 1 };

		assert_false(hv_cpuid(h.hv, beyond[i], out));
		assert_int_equal(out[EAX] | out[EBX] | out[ECX] | out[EDX], 0);
	}
}

/* TLFS: FD-08 FD-12 FD-13 FD-26 PART-32 */
static void all_that_is_there_is_offered(void **state)
{
	leaf(0x40000003, ALL_ACCESS, ALL_PRIVILEGES, 0, ALL_FEATURES);
	assert_int_equal(ALL_ACCESS, 0x8eef);
	assert_int_equal(ALL_FEATURES, 0xe8530);
}

/* TLFS: FD-48 FD-49 FD-50 FD-53 FD-54 */
static void leaves_of_other_hosts_are_zero(void **state)
{
	static const uint32_t others[] = {
		0x40000007,	/* a root partition's */
		0x40000008,	/* shared virtual memory */
		0x40000009, 0x4000000a,		/* nested hypervisors */
		0x4000000c,	/* isolation */
		0x40000080, 0x40000081, 0x40000082,	/* a debugger */
	};

	for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
		uint32_t out[4] = { 1, 1, 1, 1 };

		hv_cpuid(h.hv, others[i], out);
		assert_int_equal(out[EAX] | out[EBX] | out[ECX] | out[EDX], 0);
	}
}

/* TLFS: FD-46 */
static void no_vp_has_an_index_beyond_the_limit(void **state)
{
	uint32_t out[4];

	assert_true(hv_cpuid(h.hv, 0x40000005, out));
	assert_in_range(out[EAX], HV_VP_MAX, UINT32_MAX);
}

/* What a configuration lacks is neither offered nor reachable. */
static void missing(struct hv_config config, uint32_t access,
		    uint32_t features, uint32_t first, uint32_t last)
{
	config.vp_count = 1;
	hv_host_init_with(&h, &config);
	leaf(0x40000003, ALL_ACCESS & ~access, ALL_PRIVILEGES, 0,
	     ALL_FEATURES & ~features);
	for (uint32_t msr = first; msr <= last; msr++) {
		assert_gp_on_read(0, msr);
		assert_gp_on_write(0, msr, 0);
	}
	hv_host_finish(&h);
}

/* TLFS: PART-08 FD-33 */
static void apic_registers_are_recommended_if_they_save_eois(void **state)
{
	struct hv_config config = { .vp_count = 1, .eoi_assist = true };
	uint32_t out[4];

	for (uint32_t msr = HV_X64_MSR_EOI; msr <= HV_X64_MSR_TPR; msr++) {
		assert_gp_on_read(0, msr);
		assert_gp_on_write(0, msr, 0);
	}
	hv_cpuid(h.hv, 0x40000003, out);
	assert_int_equal(out[EAX] & 1u << 4, 0);
	for (unsigned i = 0; i < 4; i++) {
		config.apic_msrs = i & 1;
		config.eoi_assist = i & 2;
		hv_host_finish(&h);
		hv_host_init_with(&h, &config);
		hv_cpuid(h.hv, 0x40000003, out);
		assert_int_equal(out[EAX] & 1u << 4, i & 1 ? 1u << 4 : 0);
		hv_cpuid(h.hv, 0x40000004, out);
		assert_int_equal(out[EAX] & 1u << 3, i == 3 ? 1u << 3 : 0);
	}
}

/* TLFS: FD-21 FD-23 FD-24 PART-07 PART-13 PART-14 PART-15 TIME-17 */
static void what_is_not_offered_is_gp(void **state)
{
	const struct hv_config all = {
		.tsc_hz = 1000000000, .apic_hz = 1000000000, .stimers = true,
		.guest_idle = true, .tsc_invariant = true,
	};
	struct hv_config no_stimers = all, no_tsc = all, no_apic = all;
	struct hv_config no_idle = all, no_invariant = all;

	no_stimers.stimers = false;
	no_tsc.tsc_hz = 0;
	no_apic.apic_hz = 0;
	no_idle.guest_idle = false;
	no_invariant.tsc_invariant = false;

	missing(no_stimers, HV_ACCESS_SYNTHETIC_TIMER_REGS,
		HV_DIRECT_SYNTHETIC_TIMERS, HV_X64_MSR_STIMER0_CONFIG,
		HV_X64_MSR_STIMER0_CONFIG + 7);
	missing(no_tsc, HV_ACCESS_PARTITION_REFERENCE_TSC |
		HV_ACCESS_FREQUENCY_REGS | HV_ACCESS_TSC_INVARIANT,
		HV_FREQUENCY_REGS_AVAILABLE, HV_X64_MSR_REFERENCE_TSC,
		HV_X64_MSR_APIC_FREQUENCY);
	missing(no_invariant, HV_ACCESS_TSC_INVARIANT, 0,
		HV_X64_MSR_TSC_INVARIANT_CONTROL,
		HV_X64_MSR_TSC_INVARIANT_CONTROL);
	missing(no_apic, HV_ACCESS_FREQUENCY_REGS,
		HV_FREQUENCY_REGS_AVAILABLE, HV_X64_MSR_TSC_FREQUENCY,
		HV_X64_MSR_APIC_FREQUENCY);
	missing(no_idle, HV_ACCESS_GUEST_IDLE_REG, HV_GUEST_IDLE_AVAILABLE,
		HV_X64_MSR_GUEST_IDLE, HV_X64_MSR_GUEST_IDLE);
}

static void read_all(uint32_t out[256][4])
{
	for (uint32_t n = 0; n < 256; n++)
		hv_cpuid(h.hv, 0x40000000 + n, out[n]);
}

/* TLFS: FD-17 */
static void leaves_never_change(void **state)
{
	static uint32_t before[256][4], after[256][4];

	read_all(before);
	for (uint32_t msr = 0x40000000; msr <= 0x400001ff; msr++)
		hv_host_wrmsr(&h, 0, msr, 0x10001);
	read_all(after);
	assert_memory_equal(before, after, sizeof(before));
	hv_reset(h.hv);
	read_all(after);
	assert_memory_equal(before, after, sizeof(before));
}

/* A third-party host must not: requirements document, and FD-14. */
/* TLFS: FD-14 FD-15 */
static void no_privilege_of_a_parent_is_offered(void **state)
{
	uint32_t out[4];

	assert_true(hv_cpuid(h.hv, 0x40000003, out));
	assert_int_equal(out[EBX] & 0x314f, 0);
	/* Isolation, VSM: not here. */
	assert_int_equal(out[EBX] & ~ALL_PRIVILEGES, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(leaves_say_microsoft_hv),
		TEST(leaves_beyond_the_last_are_zero),
		TEST(all_that_is_there_is_offered),
		TEST(apic_registers_are_recommended_if_they_save_eois),
		TEST(leaves_of_other_hosts_are_zero),
		TEST(no_vp_has_an_index_beyond_the_limit),
		cmocka_unit_test(what_is_not_offered_is_gp),
		TEST(leaves_never_change),
		TEST(no_privilege_of_a_parent_is_offered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
