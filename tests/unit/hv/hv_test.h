/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of src/hv share: cmocka, and a host with four processors. */
#ifndef TESTS_HV_TEST_H
#define TESTS_HV_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "core/util.h"
#include "hv_host.h"

#define VP_COUNT	4
#define PAGE		GMEM_PAGE_SIZE
#define ENABLE		HV_MSR_PAGE_ENABLE
#define OS_ID		UINT64_C(0x8100060c00000000)

static struct hv_host h;

static inline int set_up(void **state)
{
	hv_host_init(&h, VP_COUNT);
	return 0;
}

static inline int tear_down(void **state)
{
	hv_host_finish(&h);
	return 0;
}

#define TEST(f)		cmocka_unit_test_setup_teardown(f, set_up, tear_down)

#define assert_gp_on_read(vp, msr)					\
	do {								\
		uint64_t value_ = HV_HOST_NO_VALUE;			\
									\
		assert_false(hv_msr_read(h.hv, (vp), (msr), &value_));	\
		assert_true(value_ == HV_HOST_NO_VALUE);		\
	} while (0)
#define assert_gp_on_write(vp, msr, value)				\
	assert_false(hv_host_wrmsr(&h, (vp), (msr), (value)))

static inline void wr(uint32_t vp, uint32_t msr, uint64_t value)
{
	assert_true(hv_host_wrmsr(&h, vp, msr, value));
}

static inline uint64_t rd(uint32_t vp, uint32_t msr)
{
	uint64_t value = 0;

	assert_true(hv_msr_read(h.hv, vp, msr, &value));
	return value;
}

static inline uint32_t sint_msr(unsigned sint)
{
	return HV_X64_MSR_SINT0 + sint;
}

#endif
