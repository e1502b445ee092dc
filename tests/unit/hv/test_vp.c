/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls about VPs and interrupts that name a partition or a device. */
#include "hv/hv_internal.h"
#include "calls_test.h"

#define GET_INDEX	HVCALL_GET_VP_INDEX_FROM_APIC_ID
#define BAD		HV_STATUS_INVALID_PARAMETER

static struct {
	struct hv_input_get_vp_index fixed;
	uint32_t apic_id[8];
} in;

static uint64_t get_index(unsigned count)
{
	memset(h.ram + OUT, 0xff, 64);
	return call_with(GET_INDEX | REPS(count), &in, sizeof(in));
}

static int enable_self(void **state)
{
	memset(&in, 0, sizeof(in));
	in.fixed.partition_id = HV_PARTITION_ID_SELF;
	return enable(state);
}

#undef TEST
#define TEST(f)	cmocka_unit_test_setup_teardown(f, enable_self, tear_down)

static uint32_t result(unsigned n)
{
	uint32_t value;

	memcpy(&value, h.ram + OUT + n * sizeof(value), sizeof(value));
	return value;
}

/* TLFS: VP-50 VP-52 */
static void apic_ids_have_an_index_each(void **state)
{
	static const uint32_t ids[] = { 3, 0, 2, 1, 3 };

	memcpy(in.apic_id, ids, sizeof(ids));
	assert_int_equal(get_index(5), REPS(5));
	for (unsigned i = 0; i < G_N_ELEMENTS(ids); i++)
		assert_int_equal(result(i), ids[i]);
	assert_int_equal(result(5), UINT32_MAX);
}

static void one_id_fits_into_registers(void **state)
{
	struct hv_call c = {
		.rcx = GET_INDEX | REPS(1) | FAST, .rdx = HV_PARTITION_ID_SELF,
		.long_mode = true, .protected_mode = true,
	};

	assert_true(hv_call_wants_xmm(h.hv, &c));
	c.xmm[0][0] = 2;
	assert_true(hv_hypercall(h.hv, 0, &c));
	assert_int_equal(c.rax, REPS(1));
	assert_int_equal(c.xmm[1][0], 2);
}

/* TLFS: VP-51 */
static void an_unknown_apic_id_ends_the_list(void **state)
{
	in.apic_id[0] = 1;
	in.apic_id[1] = VP_COUNT;
	assert_int_equal(get_index(3), REPS(1) | BAD);
	assert_int_equal(result(0), 1);
	assert_int_equal(result(1), UINT32_MAX);
	in.apic_id[0] = UINT32_MAX;
	assert_int_equal(get_index(1), BAD);
}

/* TLFS: VP-51 */
static void indexes_are_for_who_may_read_its_own(void **state)
{
	h.hv->features[EAX] &= ~HV_ACCESS_VP_INDEX;
	assert_int_equal(get_index(1), HV_STATUS_ACCESS_DENIED);
	assert_int_equal(get_index(0), HV_STATUS_ACCESS_DENIED);
}

/* TLFS: VP-51 */
static void other_partitions_and_vtls_are_refused(void **state)
{
	in.fixed.partition_id = 1;
	assert_int_equal(get_index(1), HV_STATUS_ACCESS_DENIED);
	in.fixed.partition_id = HV_PARTITION_ID_SELF;
	in.fixed.target_vtl = HV_INPUT_VTL_USE_TARGET | 1;
	assert_int_equal(get_index(1), BAD);
	in.fixed.target_vtl = HV_INPUT_VTL_USE_TARGET;
	assert_int_equal(get_index(1), REPS(1));
	for (unsigned i = 0; i < sizeof(in.fixed.rsvdz); i++) {
		in.fixed.rsvdz[i] = 1;
		assert_int_equal(get_index(1), BAD);
		in.fixed.rsvdz[i] = 0;
	}
}

static struct {
	struct hv_input_retarget fixed;
	uint64_t set[2];
} move;

static uint64_t retarget(unsigned header)
{
	return call_with(HVCALL_RETARGET_INTERRUPT | VARHEAD(header), &move,
			 sizeof(move));
}

/* TLFS: VIC-43 VIC-47 */
static void no_device_has_an_interrupt_to_move(void **state)
{
	move.fixed = (struct hv_input_retarget){
		.partition_id = HV_PARTITION_ID_SELF, .device_id = 1,
		.source = HV_INTERRUPT_SOURCE_MSI, .vector = 0x40,
		.mask_or_format = 1,
	};
	assert_int_equal(retarget(0), HV_STATUS_INVALID_DEVICE_ID);
	move.fixed.flags = HV_DEVICE_INTERRUPT_TARGET_PROCESSOR_SET |
			   HV_DEVICE_INTERRUPT_TARGET_MULTICAST;
	assert_int_equal(retarget(2), HV_STATUS_INVALID_DEVICE_ID);

	move.fixed.flags = 4;
	assert_int_equal(retarget(0), BAD);
	move.fixed.flags = 0;
	move.fixed.rsvdz4 = 1;
	assert_int_equal(retarget(0), BAD);
	move.fixed.rsvdz4 = 0;
	move.fixed.rsvdz8 = BIT64(63);
	assert_int_equal(retarget(0), BAD);
	move.fixed.rsvdz8 = 0;
	move.fixed.source = 2;
	assert_int_equal(retarget(0), BAD);
	move.fixed.partition_id = 1;
	assert_int_equal(retarget(0), HV_STATUS_ACCESS_DENIED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(apic_ids_have_an_index_each),
		TEST(one_id_fits_into_registers),
		TEST(an_unknown_apic_id_ends_the_list),
		TEST(indexes_are_for_who_may_read_its_own),
		TEST(other_partitions_and_vtls_are_refused),
		TEST(no_device_has_an_interrupt_to_move),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
