/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hv/profile.h"
#include "hv_test.h"

#define HYPERCALL_GPA	UINT64_C(0x3000)

static bool can_read(uint32_t msr)
{
	uint64_t value;

	return hv_msr_read(h.hv, 0, msr, &value);
}

/* The registers there are, and how they may be used. */
/*
 * TLFS: FD-16 PART-04 PART-08 PART-12 PART-16 PART-17 PART-18 VP-02
 * EXEC-16
 */
static void only_known_registers_exist(void **state)
{
	static const struct {
		uint32_t first, last;
		bool read, write;
	} known[] = {
		{ 0x40000000, 0x40000001, true, true },
		{ 0x40000002, 0x40000002, true, false },
		{ 0x40000003, 0x40000003, true, true },
		{ 0x40000010, 0x40000010, true, false },
		{ 0x40000020, 0x40000020, true, false },
		{ 0x40000021, 0x40000021, true, true },
		{ 0x40000022, 0x40000023, true, false },
		{ 0x40000073, 0x40000073, true, true },
		{ 0x40000080, 0x40000080, true, true },
		{ 0x40000081, 0x40000081, true, false },
		{ 0x40000082, 0x40000084, true, true },
		{ 0x40000090, 0x4000009f, true, true },
		{ 0x400000b0, 0x400000b7, true, true },
		{ 0x400000f0, 0x400000f0, true, false },
		{ 0x40000100, 0x40000105, true, true },
	};
	const uint32_t bit_0_only = HV_X64_MSR_TSC_INVARIANT_CONTROL;

	for (uint32_t msr = 0x40000000; msr <= 0x40000200; msr++) {
		bool read = false, write = false;

		for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
			if (msr >= known[i].first && msr <= known[i].last) {
				read = known[i].read;
				write = known[i].write;
			}
		read |= msr == bit_0_only;
		if (can_read(msr) != read)
			fail_msg("reading %#x", msr);
		if (hv_host_wrmsr(&h, 0, msr, 0x10000) != write)
			fail_msg("writing %#x", msr);
		write |= msr == bit_0_only;
		assert_int_equal(hv_msr_access(h.hv, msr),
				 (read ? HV_MSR_READ : 0) |
				 (write ? HV_MSR_WRITE : 0));
	}
	assert_false(can_read(0x3fffffff));
	assert_false(can_read(0));
	assert_false(can_read(UINT32_MAX));
}

static void all_have_their_reset_values(void)
{
	for (uint32_t msr = 0x40000000; msr <= 0x400001ff; msr++) {
		uint64_t want = 0;

		if (!can_read(msr))
			continue;
		if (msr == HV_X64_MSR_TSC_FREQUENCY)
			want = HV_HOST_TSC_HZ;
		else if (msr == HV_X64_MSR_APIC_FREQUENCY)
			want = HV_HOST_APIC_HZ;
		else if (msr == HV_X64_MSR_SVERSION)
			want = 1;
		else if (msr >= 0x40000090 && msr <= 0x4000009f)
			want = 0x10000;
		else if (msr == HV_X64_MSR_CRASH_CTL)
			want = UINT64_C(3) << 62;
		if (rd(0, msr) != want)
			fail_msg("%#x", msr);
	}
}

/* TLFS: OSID-01 HC-74 SYNIC-01 SYNIC-04 SYNIC-13 TIME-07 TIME-31 VP-56 */
static void registers_start_at_their_reset_values(void **state)
{
	all_have_their_reset_values();
}

/* TLFS: BOOT-02 */
static void reset_restores_all_registers(void **state)
{
	for (uint32_t msr = 0x40000000; msr <= 0x400001ff; msr++)
		hv_host_wrmsr(&h, 0, msr, 0x7030);
	assert_int_equal(rd(0, HV_X64_MSR_CRASH_P0), 0x7030);
	wr(0, HV_X64_MSR_TSC_INVARIANT_CONTROL, 1);
	hv_reset(h.hv);
	all_have_their_reset_values();
}

/* TLFS: OSID-01 OSID-04 */
static void the_identity_is_the_partitions(void **state)
{
	wr(0, HV_X64_MSR_GUEST_OS_ID, OS_ID);
	assert_true(rd(3, HV_X64_MSR_GUEST_OS_ID) == OS_ID);
	wr(2, HV_X64_MSR_GUEST_OS_ID, 5);
	assert_true(rd(1, HV_X64_MSR_GUEST_OS_ID) == 5);
}

/* TLFS: OSID-10 */
static void any_identity_will_do(void **state)
{
	static const uint64_t ids[] = {
		1, BIT64(63), UINT64_C(0x0001040a00004f7c), UINT64_MAX,
	};

	for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
		wr(0, HV_X64_MSR_GUEST_OS_ID, ids[i]);
		assert_true(rd(0, HV_X64_MSR_GUEST_OS_ID) == ids[i]);
		wr(0, HV_X64_MSR_HYPERCALL, HYPERCALL_GPA | ENABLE);
		assert_int_equal(h.ram[HYPERCALL_GPA], 0xf3);
		wr(0, HV_X64_MSR_GUEST_OS_ID, 0);
		assert_int_equal(h.ram[HYPERCALL_GPA], 0);
	}
}

/* TLFS: VP-01 FD-07 */
static void each_vp_has_its_index(void **state)
{
	for (uint32_t vp = 0; vp < VP_COUNT; vp++)
		assert_int_equal(rd(vp, HV_X64_MSR_VP_INDEX), vp);
}

/* TLFS: OSID-02 HC-75 */
static void without_identity_there_is_no_hypercall_page(void **state)
{
	wr(0, HV_X64_MSR_HYPERCALL, HYPERCALL_GPA | 0xffe | ENABLE);
	assert_int_equal(rd(0, HV_X64_MSR_HYPERCALL), HYPERCALL_GPA | 0xffe);
	assert_int_equal(h.shows, 0);
}

/* TLFS: OSID-03 HC-74 HC-79 HC-81 FD-07 */
static void the_identity_and_the_page_go_together(void **state)
{
	wr(0, HV_X64_MSR_GUEST_OS_ID, OS_ID);
	wr(1, HV_X64_MSR_HYPERCALL, HYPERCALL_GPA | ENABLE);
	assert_int_equal(rd(2, HV_X64_MSR_HYPERCALL), HYPERCALL_GPA | ENABLE);
	assert_int_equal(h.ram[HYPERCALL_GPA], 0xf3);

	wr(3, HV_X64_MSR_GUEST_OS_ID, 0);
	assert_int_equal(rd(0, HV_X64_MSR_HYPERCALL), HYPERCALL_GPA);
	assert_int_equal(h.ram[HYPERCALL_GPA], 0);
}

/* TLFS: HC-78 GEN-04 */
static void the_page_keeps_reserved_bits(void **state)
{
	wr(0, HV_X64_MSR_GUEST_OS_ID, OS_ID);
	wr(0, HV_X64_MSR_HYPERCALL, HYPERCALL_GPA | 0xffd);
	assert_int_equal(rd(0, HV_X64_MSR_HYPERCALL), HYPERCALL_GPA | 0xffd);
}

/* TLFS: PART-12 PART-16 PART-17 FD-28 HW-15 STAT-05 DBG-06 */
static void what_kvmbus_does_not_have_is_gp(void **state)
{
	static const uint32_t msrs[] = {
		0x40000040,					/* NPIEP */
		0x400000c1, 0x400000c3, 0x400000d1, 0x400000d3,	/* power */
		0x400000e0, 0x400000e3,				/* statistics */
		0x400000f1, 0x400000f5, 0x400000ff,		/* debugging */
		0x40000106, 0x40000107, 0x40000108,	/* reenlightenment */
		0x40000114, 0x40000115,			/* unhalted timer */
	};

	for (size_t i = 0; i < G_N_ELEMENTS(msrs); i++) {
		assert_gp_on_read(0, msrs[i]);
		assert_gp_on_write(0, msrs[i], 0);
		assert_int_equal(hv_msr_access(h.hv, msrs[i]), 0);
	}
}

/* TLFS: HC-77 FD-27 BOOT-03 */
static void a_locked_page_stays_until_reset(void **state)
{
	const uint64_t locked = HYPERCALL_GPA | HV_MSR_HYPERCALL_LOCKED |
				ENABLE;

	wr(0, HV_X64_MSR_GUEST_OS_ID, OS_ID);
	wr(0, HV_X64_MSR_HYPERCALL, locked);
	assert_gp_on_write(1, HV_X64_MSR_HYPERCALL, locked);
	assert_gp_on_write(0, HV_X64_MSR_HYPERCALL, 0);
	assert_gp_on_write(0, HV_X64_MSR_HYPERCALL, 0x5000 | ENABLE);
	wr(0, HV_X64_MSR_GUEST_OS_ID, 0);
	assert_int_equal(rd(0, HV_X64_MSR_HYPERCALL), locked);
	assert_int_equal(h.ram[HYPERCALL_GPA], 0xf3);

	hv_reset(h.hv);
	assert_int_equal(h.ram[HYPERCALL_GPA], 0);
	wr(0, HV_X64_MSR_HYPERCALL, 0x5000);
	assert_int_equal(rd(0, HV_X64_MSR_HYPERCALL), 0x5000);
}

/* TLFS: HC-76 GPA-01 */
static void a_hypercall_page_beyond_all_memory_is_gp(void **state)
{
	wr(0, HV_X64_MSR_GUEST_OS_ID, OS_ID);
	wr(0, HV_X64_MSR_HYPERCALL, HYPERCALL_GPA | ENABLE);
	assert_gp_on_write(0, HV_X64_MSR_HYPERCALL,
			   BIT64(HV_HOST_GPA_BITS) | ENABLE);
	assert_gp_on_write(0, HV_X64_MSR_HYPERCALL, BIT64(63));
	assert_int_equal(rd(0, HV_X64_MSR_HYPERCALL), HYPERCALL_GPA | ENABLE);
	assert_int_equal(h.ram[HYPERCALL_GPA], 0xf3);
	/* The last page there can be is no RAM, but may be named. */
	wr(0, HV_X64_MSR_HYPERCALL, (BIT64(HV_HOST_GPA_BITS) - PAGE) | ENABLE);
	assert_int_equal(h.ram[HYPERCALL_GPA], 0);
}

/* All but the hypercall page are simply nowhere. */
/* TLFS: TIME-09 SYNIC-05 */
static void other_pages_may_be_beyond_all_memory(void **state)
{
	static const uint32_t pages[] = {
		HV_X64_MSR_REFERENCE_TSC, HV_X64_MSR_VP_ASSIST_PAGE,
		HV_X64_MSR_SIEFP, HV_X64_MSR_SIMP,
	};

	for (size_t i = 0; i < G_N_ELEMENTS(pages); i++) {
		wr(0, pages[i], HYPERCALL_GPA | ENABLE);
		assert_int_equal(h.shows - h.hides, 1);
		wr(0, pages[i], ~UINT64_C(0xffe));
		assert_true(rd(0, pages[i]) == ~UINT64_C(0xffe));
		wr(0, pages[i], HYPERCALL_GPA | ENABLE);
		wr(0, pages[i], 0);
		h.shows = h.hides = 0;
	}
}

/* TLFS: BOOT-01 */
static void reset_is_asked_for_by_bit_0(void **state)
{
	wr(1, HV_X64_MSR_RESET, 0xfffffffe);
	assert_int_equal(h.resets, 0);
	wr(1, HV_X64_MSR_RESET, 1);
	assert_int_equal(h.resets, 1);
	assert_int_equal(rd(1, HV_X64_MSR_RESET), 0);
}

/* TLFS: TIME-04 */
static void the_reference_counter_is_the_clock(void **state)
{
	h.now = 123456789;
	assert_int_equal(rd(0, HV_X64_MSR_TIME_REF_COUNT), 123456789);
	assert_int_equal(rd(3, HV_X64_MSR_TIME_REF_COUNT), 123456789);
	assert_gp_on_write(0, HV_X64_MSR_TIME_REF_COUNT, 0);
}

static void a_read_of_guest_idle_lets_its_vp_sleep(void **state)
{
	assert_int_equal(rd(2, HV_X64_MSR_GUEST_IDLE), 0);
	assert_int_equal(h.vp[2].idles, 1);
	assert_int_equal(h.vp[0].idles, 0);
	assert_gp_on_write(2, HV_X64_MSR_GUEST_IDLE, 0);
	assert_int_equal(h.vp[2].idles, 1);
}

/* TLFS: VP-19 */
static void runtime_is_each_vps_own(void **state)
{
	h.runtime = 1000;
	assert_int_equal(rd(0, HV_X64_MSR_VP_RUNTIME), 1000);
	assert_int_equal(rd(3, HV_X64_MSR_VP_RUNTIME), 1003);
	h.runtime = UINT64_C(1) << 40;
	assert_true(rd(0, HV_X64_MSR_VP_RUNTIME) == UINT64_C(1) << 40);
	assert_gp_on_write(0, HV_X64_MSR_VP_RUNTIME, 0);
}

/* TLFS: TIME-26 */
static void invariant_tsc_is_asked_for_once(void **state)
{
	const uint32_t msr = HV_X64_MSR_TSC_INVARIANT_CONTROL;

	assert_gp_on_write(0, msr, 2);
	assert_gp_on_write(0, msr, BIT64(63) | 1);
	wr(0, msr, 0);
	wr(0, msr, 1);
	assert_int_equal(rd(3, msr), 1);
	wr(1, msr, 1);
	assert_gp_on_write(0, msr, 0);
	assert_int_equal(rd(0, msr), 1);
}

/* Linux writes it whatever it was offered. */
/* TLFS: VP-56 VP-57 VP-64 */
static void each_vp_has_an_assist_page(void **state)
{
	for (uint32_t vp = 0; vp < VP_COUNT; vp++) {
		wr(vp, HV_X64_MSR_VP_ASSIST_PAGE, (vp + 1) * PAGE | ENABLE);
		h.ram[(vp + 1) * PAGE] = (uint8_t)(vp + 1);
	}
	for (uint32_t vp = 0; vp < VP_COUNT; vp++) {
		assert_int_equal(rd(vp, HV_X64_MSR_VP_ASSIST_PAGE),
				 (vp + 1) * PAGE | ENABLE);
		wr(vp, HV_X64_MSR_VP_ASSIST_PAGE, 0);
		assert_int_equal(h.ram[(vp + 1) * PAGE], 0);
		wr(vp, HV_X64_MSR_VP_ASSIST_PAGE, 0x9000 | ENABLE);
		assert_int_equal(h.ram[0x9000], vp + 1);
	}
}

static void the_host_saves_eois_by_it_if_that_is_recommended(void **state)
{
	const struct hv_config config = { .vp_count = 2, .apic_msrs = true,
					  .eoi_assist = true };

	wr(1, HV_X64_MSR_VP_ASSIST_PAGE, PAGE | ENABLE);
	assert_int_equal(h.vp[1].assists, 0);
	hv_host_finish(&h);
	hv_host_init_with(&h, &config);
	wr(1, HV_X64_MSR_VP_ASSIST_PAGE, PAGE | ENABLE);
	assert_int_equal(h.vp[1].assists, 1);
	assert_int_equal(h.vp[1].assist, PAGE | ENABLE);
	wr(1, HV_X64_MSR_VP_ASSIST_PAGE, 0);
	assert_int_equal(h.vp[1].assists, 2);
	assert_int_equal(h.vp[1].assist, 0);
	assert_int_equal(h.vp[0].assists, 0);
}

/* TLFS: VP-56 */
static void the_assist_page_keeps_reserved_bits(void **state)
{
	wr(2, HV_X64_MSR_VP_ASSIST_PAGE, 0xabcffe);
	assert_int_equal(rd(2, HV_X64_MSR_VP_ASSIST_PAGE), 0xabcffe);
	assert_int_equal(rd(1, HV_X64_MSR_VP_ASSIST_PAGE), 0);
	assert_int_equal(h.shows, 0);
	wr(2, HV_X64_MSR_VP_ASSIST_PAGE, HYPERCALL_GPA | 0xfff);
	assert_int_equal(rd(2, HV_X64_MSR_VP_ASSIST_PAGE),
			 HYPERCALL_GPA | 0xfff);
	assert_int_equal(h.shows, 1);
}

/* TLFS: VP-01 */
static void a_wide_partition_knows_all_its_vps(void **state)
{
	hv_host_init(&h, HV_VP_MAX);
	for (uint32_t vp = 0; vp < HV_VP_MAX; vp++)
		assert_int_equal(rd(vp, HV_X64_MSR_VP_INDEX), vp);
	hv_host_synic_on(&h, HV_VP_MAX - 1);
	assert_non_null(hv_get_sint(h.hv, HV_VP_MAX - 1, 15));
	assert_null(hv_get_sint(h.hv, HV_VP_MAX, 0));
	assert_null(hv_get_sint(h.hv, 0, 16));
	hv_host_finish(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_known_registers_exist),
		TEST(registers_start_at_their_reset_values),
		TEST(reset_restores_all_registers),
		TEST(the_identity_is_the_partitions),
		TEST(any_identity_will_do),
		TEST(each_vp_has_its_index),
		TEST(without_identity_there_is_no_hypercall_page),
		TEST(the_identity_and_the_page_go_together),
		TEST(the_page_keeps_reserved_bits),
		TEST(what_kvmbus_does_not_have_is_gp),
		TEST(a_locked_page_stays_until_reset),
		TEST(a_hypercall_page_beyond_all_memory_is_gp),
		TEST(other_pages_may_be_beyond_all_memory),
		TEST(reset_is_asked_for_by_bit_0),
		TEST(the_reference_counter_is_the_clock),
		TEST(a_read_of_guest_idle_lets_its_vp_sleep),
		TEST(runtime_is_each_vps_own),
		TEST(invariant_tsc_is_asked_for_once),
		TEST(each_vp_has_an_assist_page),
		TEST(the_host_saves_eois_by_it_if_that_is_recommended),
		TEST(the_assist_page_keeps_reserved_bits),
		cmocka_unit_test(a_wide_partition_knows_all_its_vps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
