/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HvSendSyntheticClusterIpi: vectors, VTLs, ways to call.  TLFS 10.5. */
#include "calls_test.h"

#define BAD	HV_STATUS_INVALID_PARAMETER

static struct hv_input_send_ipi to(uint64_t mask, uint32_t vector)
{
	return (struct hv_input_send_ipi){
		.vector = vector, .processor_mask = mask,
	};
}

static uint64_t send(struct hv_input_send_ipi in)
{
	return call_with(HVCALL_SEND_IPI, &in, sizeof(in));
}

/* How many interrupts with @vector the VPs have, a byte for each. */
static uint32_t got(uint8_t vector)
{
	uint32_t counts = 0;

	for (unsigned i = 0; i < VP_COUNT; i++)
		counts |= h.vp[i].interrupts[vector] << 8 * i;
	return counts;
}

static unsigned interrupts(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < HV_VP_MAX; i++)
		for (unsigned v = 0; v < 256; v++)
			n += h.vp[i].interrupts[v];
	return n;
}

/* TLFS: VIC-35 VP-05 */
static void each_vp_of_the_mask_gets_the_vector(void **state)
{
	assert_int_equal(send(to(BIT64(1) | BIT64(3), 0x10)), 0);
	assert_int_equal(got(0x10), 0x01000100);
	assert_int_equal(send(to(BIT64(0) | BIT64(3), 0xff)), 0);
	assert_int_equal(got(0xff), 0x01000001);
	assert_int_equal(interrupts(), 4);
}

/* TLFS: VIC-35 HC-21 */
static void an_ipi_fits_into_two_registers(void **state)
{
	struct hv_input_send_ipi in = to(BIT64(2), 0x80);

	assert_int_equal(call_fast(HVCALL_SEND_IPI, &in, sizeof(in)), 0);
	assert_int_equal(got(0x80), 0x00010000);
}

/* TLFS: VIC-36 VIC-37 */
static void vectors_are_16_to_255(void **state)
{
	static const uint32_t bad[] = { 0, 2, 15, 256, 0x110, UINT32_MAX };
	struct hv_input_send_ipi_ex ex = {
		.vpset.format = HV_GENERIC_SET_ALL,
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		assert_int_equal(send(to(1, bad[i])), BAD);
		ex.vector = bad[i];
		assert_int_equal(call_with(HVCALL_SEND_IPI_EX, &ex,
					   sizeof(ex)), BAD);
	}
	assert_int_equal(interrupts(), 0);
}

/* TLFS: VIC-39 */
static void a_mask_of_nobody_is_done(void **state)
{
	assert_int_equal(send(to(0, 0x80)), 0);
	assert_int_equal(send(to(~(BIT64(VP_COUNT) - 1), 0x80)), 0);
	assert_int_equal(interrupts(), 0);
}

static void there_is_one_vtl(void **state)
{
	static const uint8_t good[] = { 0, 1, 15, 0x10 };
	static const uint8_t bad[] = { 0x11, 0x1f, 0x20, 0x80 };
	struct hv_input_send_ipi in = to(1, 0x80);

	for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
		in.target_vtl = good[i];
		assert_int_equal(send(in), 0);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		in.target_vtl = bad[i];
		assert_int_equal(send(in), BAD);
	}
	assert_int_equal(interrupts(), G_N_ELEMENTS(good));
}

static void reserved_bytes_are_zero(void **state)
{
	struct hv_input_send_ipi in;

	for (unsigned i = 0; i < sizeof(in.rsvdz); i++) {
		in = to(1, 0x80);
		in.rsvdz[i] = 1;
		assert_int_equal(send(in), BAD);
		assert_int_equal(call_fast(HVCALL_SEND_IPI, &in, sizeof(in)),
				 BAD);
	}
	assert_int_equal(interrupts(), 0);
}

/* TLFS: VIC-38 HC-63 FD-19 */
static void a_set_in_xmm_registers_is_a_set(void **state)
{
	struct {
		struct hv_input_send_ipi_ex fixed;
		uint64_t bank;
	} in = {
		{ .vector = 0x90, .vpset.format = HV_GENERIC_SET_ALL },
		BIT64(1) | BIT64(2),
	};

	assert_int_equal(call_fast(HVCALL_SEND_IPI_EX, &in, sizeof(in)), 0);
	assert_int_equal(got(0x90), 0x01010101);
	in.fixed.vpset = (struct hv_vpset){ .valid_bank_mask = 1 };
	assert_int_equal(call_fast(HVCALL_SEND_IPI_EX | VARHEAD(1), &in,
				   sizeof(in)), 0);
	assert_int_equal(got(0x90), 0x01020201);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_vp_of_the_mask_gets_the_vector),
		TEST(an_ipi_fits_into_two_registers),
		TEST(vectors_are_16_to_255),
		TEST(a_mask_of_nobody_is_done),
		TEST(there_is_one_vtl),
		TEST(reserved_bytes_are_zero),
		TEST(a_set_in_xmm_registers_is_a_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
