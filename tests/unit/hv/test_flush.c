/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HvFlushVirtualAddressSpace and List: what reaches the host.  TLFS 9.4. */
#include "calls_test.h"

#define SPACE		HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE
#define LIST		HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST
#define SPACE_EX	HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE_EX
#define LIST_EX		HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST_EX
#define ALL_VPS		HV_FLUSH_ALL_PROCESSORS
#define ALL_SPACES	HV_FLUSH_ALL_VIRTUAL_ADDRESS_SPACES
#define NON_GLOBAL	HV_FLUSH_NON_GLOBAL_MAPPINGS_ONLY
#define EVERYONE	(BIT64(VP_COUNT) - 1)
#define CR3		UINT64_C(0x123000)
#define BAD		HV_STATUS_INVALID_PARAMETER

/* Of each form, with the same who and what. */
struct input {
	uint64_t space, flags, mask;
};

static uint64_t by_mask(uint64_t control, struct input in)
{
	uint64_t words[3 + 8] = { in.space, in.flags, in.mask };

	/* GVAs: a canonical one, a hole, the last page and 4095 more. */
	words[3] = 0x7000;
	words[4] = UINT64_C(0x8000000000000000);
	words[5] = UINT64_MAX;
	return call_with(control, words, sizeof(words));
}

static uint64_t by_set(uint64_t control, struct input in)
{
	const uint64_t words[8] = {
		in.space, in.flags, HV_GENERIC_SET_SPARSE_4K, 1, in.mask,
	};

	return call_with(control | VARHEAD(1), words, sizeof(words));
}

/* The status of all four; they agree. */
static uint64_t each(struct input in)
{
	uint64_t status = by_mask(SPACE, in);

	assert_int_equal(by_set(SPACE_EX, in), status);
	assert_int_equal(by_mask(LIST | REPS(1), in),
			 status ?: REPS(1));
	assert_int_equal(by_set(LIST_EX | REPS(1), in), status ?: REPS(1));
	return status;
}

static void assert_flushed(unsigned times, uint64_t vps)
{
	assert_int_equal(h.flushes, times);
	if (times) {
		assert_int_equal(h.flusher, 0);
		assert_int_equal(h.flushed, vps);
	}
	h.flushes = 0;
}

/* TLFS: MMU-06 MMU-19 MMU-22 VP-05 */
static void those_of_the_set_are_flushed(void **state)
{
	assert_int_equal(each((struct input){ CR3, 0, BIT64(1) | BIT64(3) }),
			 0);
	assert_flushed(4, BIT64(1) | BIT64(3));
	assert_int_equal(each((struct input){ CR3, 0, BIT64(0) }), 0);
	assert_flushed(4, BIT64(0));
}

/* TLFS: MMU-08 */
static void all_processors_are_all_whatever_the_set_says(void **state)
{
	assert_int_equal(each((struct input){ CR3, ALL_VPS, BIT64(2) }), 0);
	assert_flushed(4, EVERYONE);
	assert_int_equal(each((struct input){ CR3, ALL_VPS, 0 }), 0);
	assert_flushed(4, EVERYONE);
}

/* TLFS: MMU-07 MMU-08 */
static void the_space_is_a_cr3_unless_all_are_meant(void **state)
{
	for (unsigned bit = 52; bit < 64; bit++) {
		uint64_t space = CR3 | BIT64(bit);

		assert_int_equal(each((struct input){ space, 0, 1 }), BAD);
		assert_flushed(0, 0);
		assert_int_equal(each((struct input){ space, ALL_SPACES, 1 }),
				 0);
		assert_flushed(4, 1);
	}
	assert_int_equal(each((struct input){ BIT64(52) - 1, 0, 1 }), 0);
	assert_flushed(4, 1);
}

/* TLFS: MMU-09 */
static void unknown_flags_are_refused(void **state)
{
	/* Bit 3 is the format of ranges that EDX[14] does not offer. */
	for (unsigned bit = 3; bit < 64; bit++)
		assert_int_equal(each((struct input){ CR3, BIT64(bit), 1 }),
				 BAD);
	assert_flushed(0, 0);
}

/* TLFS: MMU-10 */
static void a_mask_of_nobody_is_refused(void **state)
{
	const struct input in = { CR3, 0, 0 };

	assert_int_equal(by_mask(SPACE, in), BAD);
	assert_int_equal(by_mask(LIST | REPS(1), in), BAD);
	assert_flushed(0, 0);
}

/* TLFS: VP-66 VP-69 */
static void a_set_of_nobody_needs_no_flush(void **state)
{
	const struct input nobody = { CR3, 0, 0 };
	const struct input absent = { CR3, 0, BIT64(VP_COUNT) };

	assert_int_equal(by_set(SPACE_EX, nobody), 0);
	assert_int_equal(by_set(LIST_EX | REPS(2), nobody), REPS(2));
	assert_int_equal(each(absent), 0);
	assert_flushed(0, 0);
}

/* TLFS: MMU-11 MMU-14 */
static void only_a_space_can_keep_its_global_pages(void **state)
{
	const struct input in = { CR3, NON_GLOBAL, 1 };

	assert_int_equal(by_mask(SPACE, in), 0);
	assert_int_equal(by_set(SPACE_EX, in), 0);
	assert_flushed(2, 1);
	assert_int_equal(by_mask(LIST | REPS(1), in), BAD);
	assert_int_equal(by_set(LIST_EX | REPS(1), in), BAD);
	assert_flushed(0, 0);
}

/* TLFS: MMU-12 MMU-15 MMU-16 MMU-24 MMU-27 */
static void a_list_is_one_flush_from_any_start(void **state)
{
	const struct input in = { CR3, 0, 1 };

	assert_int_equal(by_mask(LIST | REPS(3), in), REPS(3));
	assert_flushed(1, 1);
	assert_int_equal(by_mask(LIST | REPS(3) | START(2), in), REPS(3));
	assert_flushed(1, 1);
	assert_int_equal(by_mask(LIST | REPS(509), in), REPS(509));
	assert_flushed(1, 1);
	assert_int_equal(by_mask(LIST | REPS(510), in),
			 HV_STATUS_INVALID_ALIGNMENT);
	assert_int_equal(by_mask(LIST | REPS(3) | START(3), in),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
	assert_int_equal(by_mask(LIST, in), HV_STATUS_INVALID_HYPERCALL_INPUT);
	assert_flushed(0, 0);
}

/* TLFS: MMU-22 VP-67 VP-68 */
static void a_set_is_checked(void **state)
{
	uint64_t words[8] = { CR3, 0, HV_GENERIC_SET_ALL };

	assert_int_equal(call_with(SPACE_EX, words, sizeof(words)), 0);
	assert_flushed(1, EVERYONE);
	words[2] = HV_GENERIC_SET_SPARSE_4K;
	words[3] = 3;
	assert_int_equal(call_with(SPACE_EX | VARHEAD(1), words,
				   sizeof(words)),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
	words[2] = 2;
	assert_int_equal(call_with(LIST_EX | VARHEAD(2) | REPS(1), words,
				   sizeof(words)), BAD);
	assert_flushed(0, 0);
}

/* TLFS: HC-63 FD-19 */
static void flushes_fit_into_registers(void **state)
{
	const uint64_t mask[] = { CR3, 0, BIT64(2), 0x7000 };
	const uint64_t set[] = { CR3, 0, HV_GENERIC_SET_SPARSE_4K, 1,
				 BIT64(3), 0x7000 };

	assert_int_equal(call_fast(SPACE, mask, sizeof(mask)), 0);
	assert_flushed(1, BIT64(2));
	assert_int_equal(call_fast(LIST | REPS(1), mask, sizeof(mask)),
			 REPS(1));
	assert_flushed(1, BIT64(2));
	assert_int_equal(call_fast(SPACE_EX | VARHEAD(1), set, sizeof(set)),
			 0);
	assert_flushed(1, BIT64(3));
	assert_int_equal(call_fast(LIST_EX | VARHEAD(1) | REPS(1), set,
				   sizeof(set)), REPS(1));
	assert_flushed(1, BIT64(3));
}

static void what_is_slower_than_an_ipi_is_not_recommended(void **state)
{
	uint32_t r[4];

	assert_true(hv_cpuid(h.hv, HV_CPUID_ENLIGHTENMENT_INFO, r));
	assert_int_equal(r[0] & (BIT64(0) | BIT64(1) | BIT64(2) | BIT64(10) |
				 BIT64(11)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(those_of_the_set_are_flushed),
		TEST(all_processors_are_all_whatever_the_set_says),
		TEST(the_space_is_a_cr3_unless_all_are_meant),
		TEST(unknown_flags_are_refused),
		TEST(a_mask_of_nobody_is_refused),
		TEST(a_set_of_nobody_needs_no_flush),
		TEST(only_a_space_can_keep_its_global_pages),
		TEST(a_list_is_one_flush_from_any_start),
		TEST(a_set_is_checked),
		TEST(flushes_fit_into_registers),
		TEST(what_is_slower_than_an_ipi_is_not_recommended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
