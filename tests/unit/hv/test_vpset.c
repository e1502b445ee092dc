/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sets of VPs, as the call that sends IPIs takes them.  TLFS 7.8.7.3. */
#include "calls_test.h"

#define VECTOR		0x40
#define BANKS		65	/* one more than a mask has bits for */

static struct {
	struct hv_input_send_ipi_ex fixed;
	uint64_t bank[BANKS];
} in;

static uint64_t send(uint64_t format, uint64_t valid, unsigned banks)
{
	in.fixed = (struct hv_input_send_ipi_ex){
		.vector = VECTOR,
		.vpset = { .format = format, .valid_bank_mask = valid },
	};
	return call_with(HVCALL_SEND_IPI_EX | VARHEAD(banks), &in,
			 sizeof(in));
}

/* Who was interrupted, once each, since the last look. */
static uint64_t interrupted(void)
{
	uint64_t vps = 0;

	for (uint32_t i = 0; i < HV_VP_MAX; i++) {
		assert_in_range(h.vp[i].interrupts[VECTOR], 0, 1);
		if (h.vp[i].interrupts[VECTOR])
			vps |= BIT64(i);
		h.vp[i].interrupts[VECTOR] = 0;
	}
	return vps;
}

/* TLFS: VP-05 VP-65 */
static void bit_n_of_bank_0_is_vp_n(void **state)
{
	for (uint32_t n = 0; n < VP_COUNT; n++) {
		in.bank[0] = BIT64(n);
		assert_int_equal(send(HV_GENERIC_SET_SPARSE_4K, 1, 1), 0);
		assert_int_equal(interrupted(), BIT64(n));
	}
}

/* TLFS: VP-65 VP-69 */
static void banks_come_in_order_and_far_ones_name_nobody(void **state)
{
	memset(in.bank, 0xff, sizeof(in.bank));
	in.bank[0] = BIT64(1) | BIT64(2);
	assert_int_equal(send(HV_GENERIC_SET_SPARSE_4K, BIT64(63) | 3, 3), 0);
	assert_int_equal(interrupted(), BIT64(1) | BIT64(2));
	assert_int_equal(send(HV_GENERIC_SET_SPARSE_4K, BIT64(63) | 2, 2), 0);
	assert_int_equal(interrupted(), 0);
	assert_int_equal(send(HV_GENERIC_SET_SPARSE_4K, UINT64_MAX, 64), 0);
	assert_int_equal(interrupted(), BIT64(1) | BIT64(2));
}

/* TLFS: VP-69 */
static void bits_of_vps_that_are_not_there_are_ignored(void **state)
{
	in.bank[0] = UINT64_MAX;
	assert_int_equal(send(HV_GENERIC_SET_SPARSE_4K, 1, 1), 0);
	assert_int_equal(interrupted(), BIT64(VP_COUNT) - 1);
	in.bank[0] = BIT64(VP_COUNT) | BIT64(63);
	assert_int_equal(send(HV_GENERIC_SET_SPARSE_4K, 1, 1), 0);
	assert_int_equal(interrupted(), 0);
}

static int enable_64(void **state)
{
	return enable_calls(64);
}

static int enable_1(void **state)
{
	return enable_calls(1);
}

/* TLFS: VP-65 VP-67 */
static void a_bank_names_each_of_64_vps(void **state)
{
	in.bank[0] = UINT64_MAX;
	assert_int_equal(send(HV_GENERIC_SET_SPARSE_4K, 1, 1), 0);
	assert_int_equal(interrupted(), UINT64_MAX);
	assert_int_equal(send(HV_GENERIC_SET_ALL, 0, 0), 0);
	assert_int_equal(interrupted(), UINT64_MAX);
}

/* TLFS: VP-67 */
static void all_of_one_is_that_one(void **state)
{
	assert_int_equal(send(HV_GENERIC_SET_ALL, 0, 0), 0);
	assert_int_equal(interrupted(), 1);
}

/* TLFS: VP-66 */
static void empty_banks_and_sets_are_legal(void **state)
{
	memset(in.bank, 0, sizeof(in.bank));
	assert_int_equal(send(HV_GENERIC_SET_SPARSE_4K, 7, 3), 0);
	assert_int_equal(send(HV_GENERIC_SET_SPARSE_4K, 1, 1), 0);
	assert_int_equal(send(HV_GENERIC_SET_SPARSE_4K, 0, 0), 0);
	assert_int_equal(interrupted(), 0);
}

/* TLFS: VP-67 */
static void the_set_of_all_has_no_use_for_banks(void **state)
{
	in.bank[0] = 1;
	assert_int_equal(send(HV_GENERIC_SET_ALL, 0, 0), 0);
	assert_int_equal(interrupted(), BIT64(VP_COUNT) - 1);
	assert_int_equal(send(HV_GENERIC_SET_ALL, 1, 1), 0);
	assert_int_equal(interrupted(), BIT64(VP_COUNT) - 1);
	assert_int_equal(send(HV_GENERIC_SET_ALL, 1, 0), 0);
	assert_int_equal(interrupted(), BIT64(VP_COUNT) - 1);
}

/* TLFS: VP-68 */
static void there_is_a_bank_for_each_bit_or_the_set_is_refused(void **state)
{
	static const struct {
		uint64_t valid;
		unsigned banks;
	} wrong[] = {
		{ 0, 1 }, { 1, 0 }, { 1, 2 }, { 3, 1 }, { 3, 3 },
		{ BIT64(63), 0 }, { BIT64(63), 2 }, { UINT64_MAX, 63 },
		{ UINT64_MAX, 65 }, { UINT64_MAX, 0 },
	};

	memset(in.bank, 0xff, sizeof(in.bank));
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
		assert_int_equal(send(HV_GENERIC_SET_SPARSE_4K,
				      wrong[i].valid, wrong[i].banks),
				 HV_STATUS_INVALID_HYPERCALL_INPUT);
	assert_int_equal(interrupted(), 0);
}

static void other_formats_are_refused(void **state)
{
	in.bank[0] = UINT64_MAX;
	assert_int_equal(send(2, 1, 1), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(send(UINT64_MAX, 1, 1), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(send(BIT64(32), 1, 1), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(interrupted(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bit_n_of_bank_0_is_vp_n),
		TEST(banks_come_in_order_and_far_ones_name_nobody),
		TEST(bits_of_vps_that_are_not_there_are_ignored),
		cmocka_unit_test_setup_teardown(a_bank_names_each_of_64_vps,
						enable_64, tear_down),
		cmocka_unit_test_setup_teardown(all_of_one_is_that_one,
						enable_1, tear_down),
		TEST(empty_banks_and_sets_are_legal),
		TEST(the_set_of_all_has_no_use_for_banks),
		TEST(there_is_a_bank_for_each_bit_or_the_set_is_refused),
		TEST(other_formats_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
