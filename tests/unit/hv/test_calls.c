/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which calls there are, and what the others are answered.  TLFS appendix A. */
#include "hv/hv_internal.h"
#include "calls_test.h"

#define DENIED		HV_STATUS_ACCESS_DENIED
#define UNKNOWN		HV_STATUS_INVALID_HYPERCALL_CODE

static uint64_t status_of(uint64_t control)
{
	return call(control, 0, 0).rax;
}

/* Codes that are here. */
static bool exists(unsigned code)
{
	static const uint16_t codes[] = {
		0x01, 0x02, 0x03, 0x08, 0x0b, 0x13, 0x14, 0x15, 0x50, 0x51,
		0x52, 0x5c, 0x5d, 0x7e, 0x99, 0x9a, 0xac, 0x8001,
	};

	for (size_t i = 0; i < G_N_ELEMENTS(codes); i++)
		if (code == codes[i])
			return true;
	return false;
}

/*
 * What only a parent, the root, a VTL, or a partition with a privilege that
 * this one lacks may ask for.
 */
static const struct {
	uint16_t first, last;
} denied[] = {
	{ 0x04, 0x04 }, { 0x09, 0x0a }, { 0x0c, 0x12 }, { 0x40, 0x4f },
	{ 0x53, 0x54 }, { 0x56, 0x56 }, { 0x58, 0x58 }, { 0x5a, 0x5b }, { 0x5e, 0x70 },
	{ 0x76, 0x7d }, { 0x80, 0x92 }, { 0x94, 0x97 },
	{ 0xad, 0xad }, { 0xc0, 0xc2 }, { 0xc9, 0xc9 }, { 0xcc, 0xcd },
	{ 0xd4, 0xd4 }, { 0xd7, 0xdb }, { 0xe1, 0xe5 }, { 0xf4, 0xf4 },
	{ 0x101, 0x101 }, { 0x10a, 0x10a }, { 0x131, 0x131 },
};

static enum hv_status refusal(unsigned code)
{
	for (size_t i = 0; i < G_N_ELEMENTS(denied); i++)
		if (code >= denied[i].first && code <= denied[i].last)
			return DENIED;
	return UNKNOWN;
}

/* TLFS: GEN-07 HC-38 HC-39 HC-42 PART-03 HW-01 HW-16 HW-17 */
static void every_other_code_has_its_refusal(void **state)
{
	for (unsigned code = 0; code <= UINT16_MAX; code++) {
		if (exists(code))
			continue;
		assert_int_equal(status_of(code), refusal(code));
		assert_int_equal(status_of(code | FAST), refusal(code));
		/* Whatever else is wrong with it. */
		assert_int_equal(status_of(code | BIT64(44) | BIT64(32)),
				 refusal(code));
	}
}

/* TLFS: HC-41 HC-42 HC-94 PART-22 PART-23 PART-29 PART-30 PART-31 VP-40 */
static void a_call_without_its_privilege_is_denied(void **state)
{
	h.hv->features[EBX] = 0;
	for (unsigned code = 0x8001; code <= UINT16_MAX; code++)
		assert_int_equal(status_of(code), DENIED);
	assert_int_equal(status_of(HVCALL_GET_VP_REGISTERS), DENIED);
	assert_int_equal(status_of(HVCALL_SET_VP_REGISTERS), DENIED);
	assert_int_equal(status_of(HVCALL_TRANSLATE_VIRTUAL_ADDRESS), DENIED);
	assert_int_equal(status_of(HVCALL_TRANSLATE_VIRTUAL_ADDRESS_EX),
			 DENIED);
	assert_int_equal(status_of(HVCALL_START_VIRTUAL_PROCESSOR), DENIED);
	assert_int_equal(status_of(HVCALL_POST_MESSAGE), DENIED);
	assert_int_equal(status_of(HVCALL_SIGNAL_EVENT | FAST), DENIED);
	assert_int_equal(status_of(HVCALL_SIGNAL_EVENT | BIT64(63)), DENIED);
	assert_int_equal(status_of(0x8000), UNKNOWN);
}

/* A privilege alone does not make a call. */
static void a_call_that_is_not_here_is_unknown_to_the_privileged(void **state)
{
	h.hv->features[EBX] = UINT32_MAX;
	for (unsigned code = 0; code <= UINT16_MAX; code++)
		if (!exists(code))
			assert_int_equal(status_of(code), UNKNOWN);
}

/* TLFS: HC-49 HC-92 HC-93 HC-95 HC-96 */
static void there_are_no_extended_capabilities(void **state)
{
	uint64_t mask = UINT64_MAX;
	struct hv_call c;

	memset(h.ram + OUT, 0xff, 16);
	c = call(HVEXTCALL_QUERY_CAPABILITIES, 0, OUT);
	assert_int_equal(c.rax, 0);
	memcpy(&mask, h.ram + OUT, sizeof(mask));
	assert_int_equal(mask, 0);
	assert_int_equal(h.ram[OUT + 8], 0xff);

	c = call(HVEXTCALL_QUERY_CAPABILITIES | FAST, 1, 2);
	assert_int_equal(c.rax, 0);
	assert_int_equal(c.rdx, 0);
	assert_int_equal(c.r8, 2);
	for (unsigned code = 0x8002; code <= 0x8006; code++)
		assert_int_equal(status_of(code), UNKNOWN);
}

/* TLFS: SCHED-07 SCHED-08 */
static void a_long_spin_may_always_be_told(void **state)
{
	assert_int_equal(call(HVCALL_NOTIFY_LONG_SPIN_WAIT | FAST, 0, 0).rax,
			 0);
	assert_int_equal(call(HVCALL_NOTIFY_LONG_SPIN_WAIT | FAST,
			      UINT32_MAX, 0).rax, 0);
	assert_int_equal(call(HVCALL_NOTIFY_LONG_SPIN_WAIT, OUT, 0).rax, 0);
	/* The upper half is not looked at. */
	assert_int_equal(call(HVCALL_NOTIFY_LONG_SPIN_WAIT | FAST,
			      UINT64_MAX, 0).rax, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_other_code_has_its_refusal),
		TEST(a_call_without_its_privilege_is_denied),
		TEST(a_call_that_is_not_here_is_unknown_to_the_privileged),
		TEST(there_are_no_extended_capabilities),
		TEST(a_long_spin_may_always_be_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
