/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For tests of calls: VP 0 has a hypercall page, and calls from 64-bit code. */
#ifndef TESTS_HV_CALLS_TEST_H
#define TESTS_HV_CALLS_TEST_H

#include "hv_test.h"

#define IN		UINT64_C(0x5000)
#define OUT		UINT64_C(0x6000)
#define FAST		HV_HYPERCALL_FAST
#define REPS(n)		((uint64_t)(n) << 32)
#define START(n)	((uint64_t)(n) << 48)
#define VARHEAD(n)	((uint64_t)(n) << 17)

static inline int enable_calls(uint32_t vp_count)
{
	hv_host_init(&h, vp_count);
	wr(0, HV_X64_MSR_GUEST_OS_ID, OS_ID);
	wr(0, HV_X64_MSR_HYPERCALL, 0x1000 | ENABLE);
	return 0;
}

static inline int enable(void **state)
{
	return enable_calls(VP_COUNT);
}

#undef TEST
#define TEST(f)	cmocka_unit_test_setup_teardown(f, enable, tear_down)

static inline struct hv_call call(uint64_t control, uint64_t in, uint64_t out)
{
	struct hv_call c = {
		.rcx = control, .rdx = in, .r8 = out,
		.long_mode = true, .protected_mode = true,
	};

	assert_true(hv_hypercall(h.hv, 0, &c));
	return c;
}

/* With @input in memory: the result value. */
static inline uint64_t call_with(uint64_t control, const void *input,
				 size_t size)
{
	memcpy(h.ram + IN, input, size);
	return call(control, IN, OUT).rax;
}

/* With @input in registers. */
static inline uint64_t call_fast(uint64_t control, const void *input,
				 size_t size)
{
	struct hv_call c = {
		.rcx = control | FAST,
		.long_mode = true, .protected_mode = true,
	};
	uint64_t words[14] = { 0 };

	g_assert(size <= sizeof(words));
	memcpy(words, input, size);
	c.rdx = words[0];
	c.r8 = words[1];
	if (hv_call_wants_xmm(h.hv, &c))
		memcpy(c.xmm, words + 2, sizeof(c.xmm));
	assert_true(hv_hypercall(h.hv, 0, &c));
	return c.rax;
}

#endif
