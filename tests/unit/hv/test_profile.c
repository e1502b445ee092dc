/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hv/profile.h"
#include "hv_test.h"

enum { EAX, EBX, ECX, EDX };

static struct hv_config everything(void)
{
	struct hv_config config = hv_host_config(VP_COUNT);

	config.apic_msrs = true;
	return config;
}

static void start(const struct hv_profile *p)
{
	struct hv_config config = everything();

	config.profile = p;
	hv_host_init_with(&h, &config);
}

static bool get_named(const char *name, struct hv_profile *p)
{
	const struct hv_config config = everything();

	return hv_profile_named(p, name, &config);
}

static struct hv_profile get_full(void)
{
	const struct hv_config config = everything();
	struct hv_profile p;

	hv_profile_full(&p, &config);
	return p;
}

static void start_named(const char *name)
{
	struct hv_profile p;

	assert_true(get_named(name, &p));
	start(&p);
}

static uint32_t reg(uint32_t leaf, unsigned r)
{
	uint32_t out[4];

	hv_cpuid(h.hv, leaf, out);
	return out[r];
}

static bool reachable(uint32_t msr)
{
	uint64_t value;

	return hv_msr_read(h.hv, 0, msr, &value);
}

static uint64_t call(uint16_t code)
{
	struct hv_call c = {
		.rcx = code | HV_HYPERCALL_FAST, .rdx = 7,
		.long_mode = true, .protected_mode = true,
	};

	wr(0, HV_X64_MSR_GUEST_OS_ID, OS_ID);
	wr(0, HV_X64_MSR_HYPERCALL, 0x3000 | ENABLE);
	assert_true(hv_hypercall(h.hv, 0, &c));
	return c.rax;
}

static void full_is_what_there_is_without_a_profile(void **state)
{
	uint32_t with[HV_PROFILE_LEAVES][4];

	start_named("full");
	for (uint32_t n = 0; n < HV_PROFILE_LEAVES; n++)
		assert_true(hv_cpuid(h.hv, 0x40000000 + n, with[n]));
	hv_host_finish(&h);
	start(NULL);
	for (uint32_t n = 0; n < HV_PROFILE_LEAVES; n++)
		for (unsigned r = EAX; r <= EDX; r++)
			assert_int_equal(with[n][r], reg(0x40000000 + n, r));
	hv_host_finish(&h);
}

/* TLFS: FD-08 FD-13 FD-18 FD-30 */
static void minimal_has_what_must_be(void **state)
{
	uint32_t out[4];

	start_named("minimal");
	assert_int_equal(reg(0x40000000, EAX), 0x40000005);
	assert_int_equal(reg(0x40000000, EBX), 0x7263694d);
	assert_int_equal(reg(0x40000001, EAX), 0x31237648);
	assert_int_equal(reg(0x40000003, EAX), 0x60);
	for (uint32_t leaf = 0x40000002; leaf <= 0x40000005; leaf++) {
		assert_true(hv_cpuid(h.hv, leaf, out));
		if (leaf == 0x40000003)
			out[EAX] = 0;
		assert_int_equal(out[EAX] | out[EBX] | out[ECX] | out[EDX], 0);
	}
	assert_false(hv_cpuid(h.hv, 0x40000006, out));
	hv_host_finish(&h);
}

/*
 * TLFS: PART-04 PART-05 PART-06 PART-07 PART-08 PART-11 PART-13 PART-14 PART-15
 * PART-18 CRASH-01
 */
static void what_minimal_lacks_is_gp(void **state)
{
	start_named("minimal");
	for (uint32_t msr = 0x40000000; msr <= 0x400001ff; msr++) {
		bool there = msr <= 0x40000002 ||
			     msr == HV_X64_MSR_VP_ASSIST_PAGE;

		if (reachable(msr) != there)
			fail_msg("%#x", msr);
		if (!there)
			assert_gp_on_write(0, msr, 0);
	}
	hv_host_finish(&h);
}

/* TLFS: PART-22 PART-23 */
static void what_minimal_lacks_is_denied(void **state)
{
	start_named("minimal");
	assert_int_equal(call(HVCALL_POST_MESSAGE), HV_STATUS_ACCESS_DENIED);
	assert_int_equal(call(HVCALL_SIGNAL_EVENT), HV_STATUS_ACCESS_DENIED);
	/* The page's quick way is no way round. */
	assert_true(hv_doorbell(h.hv, 0, 7) ==
		    ((uint64_t)HV_STATUS_ACCESS_DENIED << 32 | 7));
	hv_host_finish(&h);
}

/* TLFS: PART-09 PART-10 OSID-08 */
static void a_profile_may_be_empty(void **state)
{
	static const struct hv_profile empty;

	start(&empty);
	assert_int_equal(reg(0x40000000, EAX), 0x40000005);
	assert_int_equal(reg(0x40000000, EDX), 0x76482074);
	assert_int_equal(reg(0x40000001, EAX), 0x31237648);
	for (uint32_t msr = 0x40000000; msr <= 0x40000002; msr++)
		assert_false(reachable(msr));
	hv_host_finish(&h);
}

static void openvmm_shows_what_openvmm_shows(void **state)
{
	uint32_t out[4];

	start_named("openvmm");
	assert_int_equal(reg(0x40000000, EAX), 0x40000005);
	assert_int_equal(reg(0x40000002, EAX), 0);
	assert_int_equal(reg(0x40000003, EAX), 0x87f);
	assert_int_equal(reg(0x40000003, EBX), 0);
	assert_int_equal(reg(0x40000003, EDX), 0x100);
	assert_int_equal(reg(0x40000004, EAX), 0x200);
	assert_int_equal(reg(0x40000004, EBX), 0xffffffff);
	assert_int_equal(reg(0x40000004, ECX), 0);
	assert_int_equal(reg(0x40000005, EAX), 0);
	assert_false(hv_cpuid(h.hv, 0x40000006, out));
	hv_host_finish(&h);
}

/* VMBus needs the calls that OpenVMM's CPUID does not grant. */
static void openvmm_lets_its_guests_call(void **state)
{
	start_named("openvmm");
	assert_int_equal(call(HVCALL_SIGNAL_EVENT),
			 HV_STATUS_INVALID_CONNECTION_ID);
	assert_int_equal(hv_doorbell(h.hv, 0, 7) >> 32,
			 HV_STATUS_INVALID_CONNECTION_ID);
	/* What it neither shows nor needs is not there. */
	assert_false(reachable(HV_X64_MSR_REFERENCE_TSC));
	assert_false(reachable(HV_X64_MSR_RESET));
	assert_false(reachable(HV_X64_MSR_CRASH_CTL));
	hv_host_finish(&h);
}

/* TLFS: HC-78 */
static void without_its_feature_a_bit_is_reserved(void **state)
{
	const uint64_t direct = HV_STIMER_DIRECT | 0x40 << 4;

	start_named("openvmm");
	wr(0, HV_X64_MSR_HYPERCALL, HV_MSR_HYPERCALL_LOCKED | 0x3000);
	wr(0, HV_X64_MSR_HYPERCALL, 0x5000);
	assert_int_equal(rd(0, HV_X64_MSR_HYPERCALL), 0x5000);

	wr(0, HV_X64_MSR_STIMER0_CONFIG, direct);
	assert_int_equal(rd(0, HV_X64_MSR_STIMER0_CONFIG), 0x40 << 4);

	hv_host_synic_on(&h, 0);
	wr(0, sint_msr(2), HV_SYNIC_SINT_POLLING | 0x40);
	assert_int_equal(rd(0, sint_msr(2)), HV_SYNIC_SINT_POLLING | 0x40);
	assert_int_equal(h.vp[0].route[2], 0x40);
	hv_host_finish(&h);
}

/* Every bit wished for, and every leaf: only what there is, is there. */
static void a_profile_adds_nothing(void **state)
{
	const struct hv_profile full = get_full();
	struct hv_profile p;

	memset(&p, 0xff, sizeof(p));
	start(&p);
	for (uint32_t n = 0; n <= 1; n++)
		for (unsigned r = EAX; r <= EDX; r++)
			assert_int_equal(reg(0x40000000 + n, r),
					 full.leaf[n][r]);
	for (unsigned r = EAX; r <= EDX; r++)
		assert_int_equal(reg(0x40000003, r), full.leaf[3][r]);
	assert_int_equal(reg(0x40000004, EAX), full.leaf[4][EAX]);
	assert_false(reachable(0x400000e0));
	hv_host_finish(&h);
}

static void other_names_are_none(void **state)
{
	struct hv_profile p;

	assert_false(get_named("", &p));
	assert_false(get_named("Full", &p));
	assert_false(get_named("fulls", &p));
}

static void bits_have_the_specifications_names(void **state)
{
	assert_string_equal(hv_cpuid_bit_name(0x40000003, EAX, 0),
			    "AccessVpRunTimeReg");
	assert_string_equal(hv_cpuid_bit_name(0x40000003, EAX, 15),
			    "AccessTscInvariantControls");
	assert_string_equal(hv_cpuid_bit_name(0x40000003, EBX, 21),
			    "StartVirtualProcessor");
	assert_string_equal(hv_cpuid_bit_name(0x40000003, EDX, 19),
			    "DirectSyntheticTimers");
	assert_string_equal(hv_cpuid_bit_name(0x40000003, EDX, 31),
			    "ApicEoiIntercept");
	assert_string_equal(hv_cpuid_bit_name(0x40000004, EAX, 9),
			    "DeprecateAutoEoi");
	assert_null(hv_cpuid_bit_name(0x40000003, EAX, 16));
	assert_null(hv_cpuid_bit_name(0x40000003, EBX, 31));
	assert_null(hv_cpuid_bit_name(0x40000004, EBX, 0));
	assert_null(hv_cpuid_bit_name(0x40000005, EAX, 0));
}

static void all_that_is_offered_has_a_name(void **state)
{
	const struct hv_profile full = get_full();

	for (unsigned r = EAX; r <= EDX; r++)
		for (unsigned b = 0; b < 32; b++)
			if (full.leaf[3][r] >> b & 1)
				assert_non_null(hv_cpuid_bit_name(0x40000003, r,
								  b));
	start(NULL);
	for (uint32_t msr = 0x40000000; msr <= 0x400001ff; msr++)
		if (hv_msr_access(h.hv, msr))
			assert_non_null(hv_msr_name(msr));
	assert_int_equal(hv_msr_access(h.hv, HV_X64_MSR_EOI), HV_MSR_WRITE);
	assert_int_equal(hv_msr_access(h.hv, HV_X64_MSR_TPR),
			 HV_MSR_READ | HV_MSR_WRITE);
	assert_string_equal(hv_msr_name(0x4000009f), "SINT0-SINT15");
	assert_null(hv_msr_name(0x400000a0));
	hv_host_finish(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_is_what_there_is_without_a_profile),
		cmocka_unit_test(minimal_has_what_must_be),
		cmocka_unit_test(what_minimal_lacks_is_gp),
		cmocka_unit_test(what_minimal_lacks_is_denied),
		cmocka_unit_test(a_profile_may_be_empty),
		cmocka_unit_test(openvmm_shows_what_openvmm_shows),
		cmocka_unit_test(openvmm_lets_its_guests_call),
		cmocka_unit_test(without_its_feature_a_bit_is_reserved),
		cmocka_unit_test(a_profile_adds_nothing),
		cmocka_unit_test(other_names_are_none),
		cmocka_unit_test(bits_have_the_specifications_names),
		cmocka_unit_test(all_that_is_offered_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
