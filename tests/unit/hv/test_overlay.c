/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hv_test.h"

#define A	UINT64_C(0x10000)
#define B	UINT64_C(0x20000)
#define RAM	0x11
#define SIM	0x22
#define SIEF	0x33
#define ASSIST	0x44

/* Pages that are told apart by their first byte; RAM is RAM. */
static int mark_pages(void **state)
{
	hv_host_init(&h, VP_COUNT);
	h.ram[A] = h.ram[B] = RAM;
	wr(0, HV_X64_MSR_SIMP, A | ENABLE);
	h.ram[A] = SIM;
	wr(0, HV_X64_MSR_SIMP, 0);
	wr(0, HV_X64_MSR_SIEFP, A | ENABLE);
	h.ram[A] = SIEF;
	wr(0, HV_X64_MSR_SIEFP, 0);
	wr(0, HV_X64_MSR_VP_ASSIST_PAGE, A | ENABLE);
	h.ram[A] = ASSIST;
	wr(0, HV_X64_MSR_VP_ASSIST_PAGE, 0);
	h.shows = h.hides = 0;
	return 0;
}

#undef TEST
#define TEST(f)	cmocka_unit_test_setup_teardown(f, mark_pages, tear_down)

/* TLFS: GPA-09 GPA-10 SYNIC-12 */
static void a_page_covers_ram_and_gives_it_back(void **state)
{
	assert_int_equal(h.ram[A], RAM);
	wr(0, HV_X64_MSR_SIMP, A | ENABLE);
	assert_int_equal(h.ram[A], SIM);
	wr(0, HV_X64_MSR_SIMP, A);
	assert_int_equal(h.ram[A], RAM);
	wr(0, HV_X64_MSR_SIMP, A | ENABLE);
	assert_int_equal(h.ram[A], SIM);
}

/* TLFS: GPA-10 */
static void a_page_moves_at_once(void **state)
{
	wr(0, HV_X64_MSR_SIMP, A | ENABLE);
	wr(0, HV_X64_MSR_SIMP, B | ENABLE);
	assert_int_equal(h.ram[A], RAM);
	assert_int_equal(h.ram[B], SIM);
}

/* TLFS: GPA-11 SYNIC-11 */
static void of_several_the_youngest_is_seen(void **state)
{
	wr(0, HV_X64_MSR_SIMP, A | ENABLE);
	wr(0, HV_X64_MSR_SIEFP, A | ENABLE);
	assert_int_equal(h.ram[A], SIEF);
	wr(0, HV_X64_MSR_VP_ASSIST_PAGE, A | ENABLE);
	assert_int_equal(h.ram[A], ASSIST);
	/* From the middle: nothing to see. */
	wr(0, HV_X64_MSR_SIEFP, 0);
	assert_int_equal(h.ram[A], ASSIST);
	wr(0, HV_X64_MSR_VP_ASSIST_PAGE, 0);
	assert_int_equal(h.ram[A], SIM);
	wr(0, HV_X64_MSR_SIMP, 0);
	assert_int_equal(h.ram[A], RAM);
}

static void order_is_that_of_enabling(void **state)
{
	wr(0, HV_X64_MSR_SIEFP, A | ENABLE);
	wr(0, HV_X64_MSR_SIMP, A | ENABLE);
	assert_int_equal(h.ram[A], SIM);
	/* Moved away and back, it is the youngest again. */
	wr(0, HV_X64_MSR_SIEFP, B | ENABLE);
	assert_int_equal(h.ram[A], SIM);
	wr(0, HV_X64_MSR_SIEFP, A | ENABLE);
	assert_int_equal(h.ram[A], SIEF);
	assert_int_equal(h.ram[B], RAM);
	/* Written again as it is, the order stays. */
	wr(0, HV_X64_MSR_SIMP, A | ENABLE);
	assert_int_equal(h.ram[A], SIEF);
}

/* Pages of different VPs and of the partition share one order. */
/* TLFS: GPA-11 GPA-12 */
static void pages_of_all_owners_stack(void **state)
{
	wr(1, HV_X64_MSR_SIMP, A | ENABLE);
	wr(0, HV_X64_MSR_SIMP, A | ENABLE);
	wr(0, HV_X64_MSR_REFERENCE_TSC, A | ENABLE);
	assert_int_equal(h.ram[A], 1);		/* its sequence */
	wr(0, HV_X64_MSR_REFERENCE_TSC, 0);
	assert_int_equal(h.ram[A], SIM);
	wr(0, HV_X64_MSR_SIMP, 0);
	assert_int_equal(h.ram[A], 0);
	wr(1, HV_X64_MSR_SIMP, 0);
	assert_int_equal(h.ram[A], RAM);
}

static void the_host_is_told_changes_only(void **state)
{
	wr(0, HV_X64_MSR_SIMP, A);
	wr(0, HV_X64_MSR_SIMP, B);
	assert_int_equal(h.shows + h.hides, 0);
	wr(0, HV_X64_MSR_SIMP, A | ENABLE);
	wr(0, HV_X64_MSR_SIMP, A | ENABLE | 0xffe);
	assert_int_equal(h.shows, 1);
	wr(0, HV_X64_MSR_SIEFP, A | ENABLE);
	assert_int_equal(h.shows, 2);
	/* A covered page that goes changes nothing. */
	wr(0, HV_X64_MSR_SIMP, 0);
	assert_int_equal(h.shows, 2);
	assert_int_equal(h.hides, 0);
	wr(0, HV_X64_MSR_SIEFP, 0);
	assert_int_equal(h.hides, 1);
}

/* TLFS: SYNIC-05 BOOT-11 */
static void a_page_outside_of_ram_is_nowhere(void **state)
{
	static const uint64_t gpas[] = {
		HV_HOST_RAM, UINT64_C(0xfee00000), BIT64(40), BIT64(52),
		~UINT64_C(0xfff),
	};

	for (size_t i = 0; i < G_N_ELEMENTS(gpas); i++) {
		wr(0, HV_X64_MSR_SIMP, gpas[i] | ENABLE);
		wr(0, HV_X64_MSR_SIEFP, gpas[i] | ENABLE);
		assert_true(rd(0, HV_X64_MSR_SIMP) == (gpas[i] | ENABLE));
	}
	assert_int_equal(h.hides, 0);
	wr(0, HV_X64_MSR_SIMP, A | ENABLE);
	assert_int_equal(h.ram[A], SIM);
	wr(0, HV_X64_MSR_SIEFP, (HV_HOST_RAM - PAGE) | ENABLE);
	assert_int_equal(h.ram[HV_HOST_RAM - PAGE], SIEF);
}

/* Should the host fail: RAM is better than a page that has gone. */
static void a_page_that_cannot_be_shown_leaves_ram(void **state)
{
	wr(0, HV_X64_MSR_SIMP, A | ENABLE);
	h.show_fails = -ENOMEM;
	wr(0, HV_X64_MSR_SIEFP, A | ENABLE);
	assert_int_equal(h.ram[A], RAM);
	wr(0, HV_X64_MSR_SIEFP, 0);
	assert_int_equal(h.ram[A], RAM);
	h.show_fails = 0;
	wr(0, HV_X64_MSR_SIMP, B | ENABLE);
	assert_int_equal(h.ram[A], RAM);
	assert_int_equal(h.ram[B], SIM);
}

/* TLFS: HC-80 GPA-14 */
static void of_all_pages_only_the_hypercall_page_may_not_be_written(void **state)
{
	static const uint32_t others[] = {
		HV_X64_MSR_REFERENCE_TSC, HV_X64_MSR_SIMP, HV_X64_MSR_SIEFP,
		HV_X64_MSR_VP_ASSIST_PAGE,
	};

	wr(0, HV_X64_MSR_GUEST_OS_ID, OS_ID);
	wr(0, HV_X64_MSR_HYPERCALL, A | ENABLE);
	assert_false(h.writable);
	for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
		wr(0, others[i], A | ENABLE);
		assert_true(h.writable);
		/* The hypercall page is seen again. */
		wr(0, others[i], 0);
		assert_false(h.writable);
	}
	wr(0, HV_X64_MSR_HYPERCALL, 0);
	h.ram[A] = ~RAM;
}

/* TLFS: HC-50 HC-53 */
static void calls_read_and_write_the_ram_below(void **state)
{
	const struct hv_input_get_vp_index in = {
		.partition_id = HV_PARTITION_ID_SELF,
	};
	struct hv_call call = {
		.rcx = HVCALL_GET_VP_INDEX_FROM_APIC_ID | UINT64_C(1) << 32,
		.rdx = A, .r8 = B, .long_mode = true, .protected_mode = true,
	};
	uint32_t id = 3;

	memcpy(h.ram + A, &in, sizeof(in));
	memcpy(h.ram + A + sizeof(in), &id, sizeof(id));
	wr(0, HV_X64_MSR_GUEST_OS_ID, OS_ID);
	wr(0, HV_X64_MSR_HYPERCALL, A | ENABLE);
	wr(0, HV_X64_MSR_SIMP, B | ENABLE);
	assert_true(hv_hypercall(h.hv, 0, &call));
	assert_true(call.rax == UINT64_C(1) << 32);
	assert_int_equal(h.ram[B], SIM);
	wr(0, HV_X64_MSR_SIMP, 0);
	assert_int_equal(h.ram[B], id);
}

/* TLFS: SYNIC-07 GPA-12 BOOT-02 */
static void reset_gives_all_ram_back(void **state)
{
	wr(0, HV_X64_MSR_GUEST_OS_ID, OS_ID);
	wr(0, HV_X64_MSR_HYPERCALL, A | ENABLE);
	wr(0, HV_X64_MSR_SIMP, A | ENABLE);
	wr(1, HV_X64_MSR_SIEFP, B | ENABLE);
	wr(2, HV_X64_MSR_VP_ASSIST_PAGE, B | ENABLE);
	hv_reset(h.hv);
	assert_int_equal(h.ram[A], RAM);
	assert_int_equal(h.ram[B], RAM);
	/* And the pages of VPs are zero. */
	wr(0, HV_X64_MSR_SIMP, A | ENABLE);
	assert_int_equal(h.ram[A], 0);
	wr(0, HV_X64_MSR_SIEFP, A | ENABLE);
	assert_int_equal(h.ram[A], 0);
	wr(0, HV_X64_MSR_VP_ASSIST_PAGE, A | ENABLE);
	assert_int_equal(h.ram[A], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_page_covers_ram_and_gives_it_back),
		TEST(a_page_moves_at_once),
		TEST(of_several_the_youngest_is_seen),
		TEST(order_is_that_of_enabling),
		TEST(pages_of_all_owners_stack),
		TEST(the_host_is_told_changes_only),
		TEST(a_page_outside_of_ram_is_nowhere),
		TEST(a_page_that_cannot_be_shown_leaves_ram),
		TEST(of_all_pages_only_the_hypercall_page_may_not_be_written),
		TEST(calls_read_and_write_the_ram_below),
		TEST(reset_gives_all_ram_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
