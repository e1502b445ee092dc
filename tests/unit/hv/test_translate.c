/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HvTranslateVirtualAddress: from the call to the walk and back. */
#include "calls_test.h"

#define PLAIN		HVCALL_TRANSLATE_VIRTUAL_ADDRESS
#define EX		HVCALL_TRANSLATE_VIRTUAL_ADDRESS_EX
#define READ		HV_TRANSLATE_GVA_VALIDATE_READ
#define WRITE		HV_TRANSLATE_GVA_VALIDATE_WRITE
#define SELF		HV_VP_INDEX_SELF
#define BAD		HV_STATUS_INVALID_PARAMETER
#define VP		2
#define ROOT		UINT64_C(0x10000)
#define TABLE		UINT64_C(0x11000)

static struct hv_input_translate_virtual_address in;
static struct hv_output_translate_virtual_address out;
static struct hv_output_translate_virtual_address_ex ex;

static void set(uint32_t name, uint64_t value)
{
	const union hv_register_value v = { { value } };

	h.inside = VP;
	hv_host_set_register(&h, VP, name, &v);
	h.inside = -1;
}

/* VP 2 has 32-bit paging; page 3 is a page of user's, page 4 not there. */
static int make(void **state)
{
	const uint32_t pde = TABLE | 7, pte = 0x9000 | 7;

	enable(state);
	set(HV_X64_REGISTER_CR0, 0x80000001);
	set(HV_X64_REGISTER_CR3, ROOT);
	set(HV_X64_REGISTER_PAT, 0x0007040600070406);
	memcpy(h.ram + ROOT, &pde, sizeof(pde));
	memcpy(h.ram + TABLE + 3 * 4, &pte, sizeof(pte));
	in = (struct hv_input_translate_virtual_address){
		.partition_id = HV_PARTITION_ID_SELF, .vp_index = VP,
		.control_flags = READ, .gva_page = 3,
	};
	return 0;
}

#undef TEST
#define TEST(f)	cmocka_unit_test_setup_teardown(f, make, tear_down)

static uint64_t go(void)
{
	uint64_t status;

	memset(h.ram + OUT, 0xaa, sizeof(ex));
	status = call_with(EX, &in, sizeof(in));
	memcpy(&ex, h.ram + OUT, sizeof(ex));
	memset(h.ram + OUT, 0xaa, sizeof(out));
	assert_int_equal(call_with(PLAIN, &in, sizeof(in)), status);
	memcpy(&out, h.ram + OUT, sizeof(out));
	if (!status) {
		assert_memory_equal(&out.result, &ex.result, 8);
		assert_int_equal(out.gpa_page, ex.gpa_page);
	}
	return status;
}

/* TLFS: MMU-29 MMU-34 */
static void the_tables_are_those_of_the_vp(void **state)
{
	assert_int_equal(go(), 0);
	assert_int_equal(out.result.result_code, 0);
	assert_int_equal(out.result.cache_type, HV_CACHE_TYPE_WRITE_BACK);
	assert_int_equal(out.result.overlay_page, 0);
	assert_int_equal(out.gpa_page, 9);
	/* The caller has no paging. */
	in.vp_index = SELF;
	assert_int_equal(go(), 0);
	assert_int_equal(out.gpa_page, 3);
}

/* TLFS: MMU-34 */
static void an_overlay_is_told(void **state)
{
	wr(1, HV_X64_MSR_SIMP, 0x9000 | ENABLE);
	go();
	assert_int_equal(out.result.overlay_page, 1);
	wr(1, HV_X64_MSR_SIMP, 0x9000);
	go();
	assert_int_equal(out.result.overlay_page, 0);
}

/* TLFS: MMU-30 */
static void flags_are_checked(void **state)
{
	for (unsigned flags = 0; flags < 8; flags++) {
		in.control_flags = flags;
		assert_int_equal(go(), flags ? 0 : BAD);
	}
	for (unsigned bit = 3; bit < 64; bit++) {
		/* Exempt, bits to be set; the VTL, which is not used. */
		const bool known = bit < 5 || (bit >= 56 && bit < 60);

		in.control_flags = READ | BIT64(bit);
		assert_int_equal(go(), known || bit == 60 ? 0 : BAD);
	}
	in.control_flags = READ | BIT64(60) | BIT64(56);
	assert_int_equal(go(), BAD);
}

static void flushes_cannot_be_inhibited(void **state)
{
	in.control_flags = READ | HV_TRANSLATE_GVA_TLB_FLUSH_INHIBIT;
	assert_int_equal(go(), BAD);
}

static void there_is_no_other_partition_or_vp(void **state)
{
	in.partition_id = 0;
	assert_int_equal(go(), HV_STATUS_INVALID_PARTITION_ID);
	in.partition_id = HV_PARTITION_ID_SELF;
	in.vp_index = VP_COUNT;
	assert_int_equal(go(), HV_STATUS_INVALID_VP_INDEX);
	in.vp_index = VP;
	h.ended = BIT64(VP);
	assert_int_equal(go(), HV_STATUS_INVALID_VP_STATE);
}

static void users_are_those_of_cpl_3(void **state)
{
	const union hv_register_value ss = { .segment.attributes = 0xf3 };
	const uint32_t pte = 0x9000 | 3;

	memcpy(h.ram + TABLE + 3 * 4, &pte, sizeof(pte));
	go();
	assert_int_equal(out.result.result_code, HV_TRANSLATE_GVA_SUCCESS);
	h.inside = VP;
	hv_host_set_register(&h, VP, HV_X64_REGISTER_SS, &ss);
	h.inside = -1;
	go();
	assert_int_equal(out.result.result_code,
			 HV_TRANSLATE_GVA_PRIVILEGE_VIOLATION);
}

/* TLFS: MMU-31 */
static void a_page_beyond_all_addresses_is_not_present(void **state)
{
	in.gva_page = BIT64(52) | 3;
	go();
	assert_int_equal(out.result.result_code,
			 HV_TRANSLATE_GVA_PAGE_NOT_PRESENT);
	assert_int_equal(ex.event.vector, 13);
	assert_int_equal(ex.event.exception_parameter, 0);
}

/* TLFS: MMU-37 */
static void the_exception_is_told_by_the_other_call(void **state)
{
	go();
	assert_int_equal(ex.event.pending, 0);
	in.gva_page = 4;
	in.control_flags = WRITE;
	assert_int_equal(go(), 0);
	assert_int_equal(out.result.result_code,
			 HV_TRANSLATE_GVA_PAGE_NOT_PRESENT);
	assert_int_equal(ex.event.pending, 1);
	assert_int_equal(ex.event.deliver_error_code, 1);
	assert_int_equal(ex.event.vector, 14);
	assert_int_equal(ex.event.error_code, 2);
	assert_int_equal(ex.event.exception_parameter, 0x4000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_tables_are_those_of_the_vp),
		TEST(an_overlay_is_told),
		TEST(flags_are_checked),
		TEST(flushes_cannot_be_inhibited),
		TEST(there_is_no_other_partition_or_vp),
		TEST(users_are_those_of_cpl_3),
		TEST(a_page_beyond_all_addresses_is_not_present),
		TEST(the_exception_is_told_by_the_other_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
