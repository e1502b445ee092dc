/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HvGetVpRegisters, HvSetVpRegisters, HvSwitchVirtualAddressSpace. */
#include "hv/hv_internal.h"
#include "calls_test.h"

#define GET		HVCALL_GET_VP_REGISTERS
#define SET		HVCALL_SET_VP_REGISTERS
#define SELF		HV_VP_INDEX_SELF
#define BAD		HV_STATUS_INVALID_PARAMETER
#define BAD_VALUE	HV_STATUS_INVALID_REGISTER_VALUE
#define UNKNOWN		0x00bad000u

struct get_input {
	struct hv_input_vp_registers header;
	uint32_t name[4];
};

struct set_input {
	struct hv_input_vp_registers header;
	struct hv_register_assoc element[2];
};

static struct hv_input_vp_registers header(uint32_t vp)
{
	return (struct hv_input_vp_registers){
		.partition_id = HV_PARTITION_ID_SELF, .vp_index = vp,
	};
}

static uint64_t get(uint32_t vp, uint32_t name, union hv_register_value *value)
{
	const struct get_input in = { header(vp), { name } };
	uint64_t result;

	memset(h.ram + OUT, 0xaa, sizeof(*value));
	result = call_with(GET | REPS(1), &in, sizeof(in));
	memcpy(value, h.ram + OUT, sizeof(*value));
	return result;
}

static uint64_t word(uint32_t vp, uint32_t name)
{
	union hv_register_value value;

	assert_int_equal(get(vp, name, &value), REPS(1));
	assert_int_equal(value.word[1], 0);
	return value.word[0];
}

/* The status. */
static uint16_t set(uint32_t vp, uint32_t name, uint64_t low, uint64_t high)
{
	const struct set_input in = {
		header(vp), { { .name = name, .value.word = { low, high } } },
	};

	return (uint16_t)call_with(SET | REPS(1), &in, sizeof(in));
}

/* TLFS: VP-32 VP-33 */
static void values_come_in_the_order_of_their_names(void **state)
{
	const struct get_input in = {
		header(2), { HV_REGISTER_VP_INDEX, HV_X64_REGISTER_RSP,
			     HV_REGISTER_SVERSION },
	};
	const uint64_t want[] = { 2, 0, 0x1234, 0x5678, HV_SYNIC_VERSION, 0 };

	assert_int_equal(set(2, HV_X64_REGISTER_RSP, 0x1234, 0), 0);
	h.registers[0].value.word[1] = 0x5678;
	assert_int_equal(call_with(GET | REPS(3), &in, sizeof(in)), REPS(3));
	assert_memory_equal(h.ram + OUT, want, sizeof(want));
}

static void a_value_may_come_in_registers(void **state)
{
	struct hv_call c = {
		.rcx = GET | REPS(1) | FAST, .rdx = HV_PARTITION_ID_SELF,
		.r8 = SELF, .long_mode = true, .protected_mode = true,
	};
	const uint32_t name = HV_REGISTER_VSM_VP_STATUS;
	uint64_t status;

	assert_true(hv_call_wants_xmm(h.hv, &c));
	memcpy(c.xmm[0], &name, sizeof(name));
	assert_true(hv_hypercall(h.hv, 0, &c));
	assert_int_equal(c.rax, REPS(1));
	memcpy(&status, c.xmm[1], sizeof(status));
	assert_int_equal(status, HV_VSM_VP_ENABLED_VTL_0);
}

/* TLFS: VP-34 */
static void elements_to_be_set_have_32_bytes(void **state)
{
	const struct set_input in = {
		header(SELF), {
			{ HV_X64_REGISTER_RSP, { 1, 2, 3 }, { { 0x11 } } },
			{ HV_X64_REGISTER_RIP, { 0 }, { { 0x22 } } },
		},
	};

	assert_int_equal(call_with(SET | REPS(2), &in, sizeof(in)), REPS(2));
	assert_int_equal(word(0, HV_X64_REGISTER_RSP), 0x11);
	assert_int_equal(word(0, HV_X64_REGISTER_RIP), 0x22);
}

/* TLFS: VP-35 */
static void a_list_is_done_up_to_an_unknown_name(void **state)
{
	const struct get_input in = {
		header(SELF), { HV_REGISTER_VP_INDEX, UNKNOWN,
				HV_REGISTER_VP_INDEX },
	};
	const struct set_input to = {
		header(SELF), { { .name = HV_X64_REGISTER_RSP,
				  .value.word = { 5 } },
				{ .name = UNKNOWN } },
	};

	memset(h.ram + OUT, 0xaa, 48);
	assert_int_equal(call_with(GET | REPS(3), &in, sizeof(in)),
			 REPS(1) | BAD);
	assert_int_equal(h.ram[OUT], 0);
	for (unsigned i = 16; i < 48; i++)
		assert_int_equal(h.ram[OUT + i], 0xaa);
	assert_int_equal(call_with(SET | REPS(2), &to, sizeof(to)),
			 REPS(1) | BAD);
	assert_int_equal(word(0, HV_X64_REGISTER_RSP), 5);
}

/* TLFS: VP-36 */
static void what_is_read_only_cannot_be_set(void **state)
{
	static const uint32_t names[] = {
		HV_REGISTER_HYPERVISOR_VERSION,
		HV_REGISTER_PRIVILEGES_AND_FEATURES, HV_REGISTER_FEATURES_INFO,
		HV_REGISTER_IMPLEMENTATION_LIMITS,
		HV_REGISTER_HARDWARE_FEATURES, HV_REGISTER_GUEST_CRASH_CTL,
		HV_REGISTER_PROCESSOR_CLOCK_FREQUENCY,
		HV_REGISTER_INTERRUPT_CLOCK_FREQUENCY, HV_REGISTER_VP_RUNTIME,
		HV_REGISTER_VP_INDEX, HV_REGISTER_TIME_REF_COUNT,
		HV_REGISTER_SVERSION, HV_REGISTER_VSM_VP_STATUS,
		HV_REGISTER_VSM_PARTITION_STATUS, HV_REGISTER_VSM_CAPABILITIES,
	};

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		union hv_register_value v;

		assert_int_equal(get(1, names[i], &v), REPS(1));
		assert_int_equal(set(1, names[i], v.word[0], v.word[1]), BAD);
	}
	assert_int_equal(h.crashes, 0);
}

/* Bits that a register may have; @fixed, those that it must. */
static void has_bits(uint32_t name, uint64_t low, uint64_t high,
		     uint64_t fixed)
{
	for (unsigned bit = 0; bit < 128; bit++) {
		uint64_t word[2] = { fixed, 0 };
		bool valid = (bit < 64 ? low : high) >> bit % 64 & 1;

		word[bit / 64] |= BIT64(bit % 64);
		assert_int_equal(set(1, name, word[0], word[1]),
				 valid ? 0 : BAD);
	}
}

/* TLFS: VP-37 */
static void reserved_bits_are_refused(void **state)
{
	has_bits(HV_X64_REGISTER_RSP, UINT64_MAX, 0, 0);
	has_bits(HV_X64_REGISTER_RFLAGS, 0x3f7fd7, 0, 2);
	assert_int_equal(set(1, HV_X64_REGISTER_RFLAGS, 0, 0), BAD);
	has_bits(HV_X64_REGISTER_CR0, 0xe005003f, 0, 0);
	has_bits(HV_X64_REGISTER_CR3, BIT64(52) - 1, 0, 0);
	has_bits(HV_X64_REGISTER_CR4, UINT32_MAX, 0, 0);
	has_bits(HV_X64_REGISTER_CR8, 15, 0, 0);
	has_bits(HV_X64_REGISTER_DR0 + 3, UINT64_MAX, 0, 0);
	has_bits(HV_X64_REGISTER_DR6, UINT32_MAX, 0, 0);
	has_bits(HV_X64_REGISTER_DR7, UINT32_MAX, 0, 0);
	has_bits(HV_X64_REGISTER_EFER, 0xd01, 0, 0);
	has_bits(HV_X64_REGISTER_GDTR, UINT64_C(0xffff) << 48, UINT64_MAX, 0);
	has_bits(HV_X64_REGISTER_LSTAR, UINT64_MAX, 0, 0);
	has_bits(HV_REGISTER_SCONTROL, UINT64_MAX, 0, 0);
	/* Of a segment that is not present, else the limit matters, too. */
	assert_int_equal(set(1, HV_X64_REGISTER_DS, 0, BIT64(56)), BAD);
	assert_int_equal(set(1, HV_X64_REGISTER_DS, 0, BIT64(59)), BAD);
	assert_int_equal(set(1, HV_X64_REGISTER_DS, 0, BIT64(60)), 0);
}

static uint16_t set_limit(uint32_t limit, uint16_t attributes)
{
	const union hv_register_value v = { .segment = {
		.limit = limit,
		.attributes = attributes | HV_X64_SEGMENT_PRESENT,
	} };

	return set(1, HV_X64_REGISTER_SS, v.word[0], v.word[1]);
}

static void values_that_cannot_be_are_refused(void **state)
{
	const uint16_t pages = HV_X64_SEGMENT_GRANULARITY;

	assert_int_equal(set_limit(0xfffff, 0), 0);
	assert_int_equal(set_limit(0x100000, 0), BAD_VALUE);
	assert_int_equal(set_limit(0xfff, pages), 0);
	assert_int_equal(set_limit(0xffe, pages), BAD_VALUE);
	assert_int_equal(set_limit(UINT32_MAX, pages), 0);
	for (unsigned type = 0; type < 256; type++) {
		const bool valid = type < 8 && type != 2 && type != 3;

		assert_int_equal(set(1, HV_X64_REGISTER_PAT, type, 0),
				 valid ? 0 : BAD_VALUE);
		assert_int_equal(set(1, HV_X64_REGISTER_PAT,
				     (uint64_t)type << 56, 0),
				 valid ? 0 : BAD_VALUE);
	}
	/* A SINT without a vector, as its MSR. */
	assert_int_equal(set(1, HV_REGISTER_SINT0, 15, 0), BAD_VALUE);
	h.set_fails = -EINVAL;
	assert_int_equal(set(1, HV_X64_REGISTER_CR0, 1, 0), BAD_VALUE);
	h.set_fails = -EBUSY;
	assert_int_equal(set(1, HV_X64_REGISTER_CR0, 1, 0),
			 HV_STATUS_INVALID_VP_STATE);
	h.set_fails = -ENOENT;
	assert_int_equal(set(1, HV_X64_REGISTER_CR0, 1, 0), BAD);
}

/* TLFS: VP-40 VP-44 */
static void others_have_no_registers(void **state)
{
	struct get_input in = { header(SELF), { HV_REGISTER_VP_INDEX } };

	for (unsigned bit = 0; bit < 64; bit++) {
		in.header.partition_id = ~BIT64(bit);
		assert_int_equal(call_with(GET | REPS(1), &in, sizeof(in)),
				 HV_STATUS_INVALID_PARTITION_ID);
		assert_int_equal(call_with(SET | REPS(1), &in, sizeof(in)),
				 HV_STATUS_INVALID_PARTITION_ID);
	}
	in.header.partition_id = HV_PARTITION_ID_SELF;
	for (unsigned i = 0; i < 3; i++) {
		in.header.vp_index = (uint32_t[]){ VP_COUNT, 0xfffffffd,
						   UINT32_MAX }[i];
		assert_int_equal(call_with(GET | REPS(1), &in, sizeof(in)),
				 HV_STATUS_INVALID_VP_INDEX);
		assert_int_equal(call_with(SET | REPS(1), &in, sizeof(in)),
				 HV_STATUS_INVALID_VP_INDEX);
	}
	assert_int_equal(h.errands, 0);
}

/* TLFS: VP-42 */
static void registers_are_those_of_vtl_0(void **state)
{
	struct get_input in = { header(SELF), { HV_REGISTER_VP_INDEX } };

	for (unsigned vtl = 0; vtl < 256; vtl++) {
		/* Without bit 4 it is the caller's, whatever it says. */
		const bool valid = vtl < 0x11;

		in.header.input_vtl = (uint8_t)vtl;
		assert_int_equal(call_with(GET | REPS(1), &in, sizeof(in)),
				 valid ? REPS(1) : BAD);
	}
	in.header.input_vtl = 0x11;
	assert_int_equal(call_with(SET | REPS(1), &in, sizeof(in)), BAD);
	in.header.input_vtl = 0;
	for (unsigned i = 0; i < 3; i++) {
		in.header.rsvdz[i] = 1;
		assert_int_equal(call_with(GET | REPS(1), &in, sizeof(in)),
				 BAD);
		in.header.rsvdz[i] = 0;
	}
}

/* TLFS: VP-43 */
static void what_section_7_10_1_lists_can_be_had_and_set(void **state)
{
	static const uint32_t names[] = {
		0x00010004, 0x00090013, 0x000d0002, 0x000d0005, 0x000d0007,
		0x000d0010, 0x00020004, 0x00020010, 0x00020011, 0x00040002,
		0x00040004, 0x00050005, 0x00060000, 0x00060001, 0x00060002,
		0x00060003, 0x00060004, 0x00060005, 0x00060006, 0x00060007,
		0x00070000, 0x00070001, 0x00080001, 0x00080002, 0x00080005,
		0x00080008, 0x00080009, 0x0008000a, 0x0008000b, 0x00080003,
		0x000e0000, 0x000e0001, 0x000e0002, 0x000e0003,
	};

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		const bool rflags = names[i] == HV_X64_REGISTER_RFLAGS;

		assert_int_equal(word(3, names[i]), 0);
		assert_int_equal(set(3, names[i], rflags ? 2 : 0, 0), 0);
	}
	/* There is nothing to intercept, and no other trust level. */
	assert_int_equal(set(3, HV_REGISTER_PENDING_EVENT_0, 1, 0), BAD_VALUE);
	assert_int_equal(set(3, HV_REGISTER_VSM_VINA, 0x120, 0), BAD_VALUE);
	assert_int_equal(set(3, HV_X64_REGISTER_CR_INTERCEPT_CONTROL, 0, 1),
			 BAD_VALUE);
}

static void a_leaf_of_cpuid_is_a_register(void **state)
{
	static const struct {
		uint32_t name, leaf;
	} table[] = {
		{ HV_REGISTER_HYPERVISOR_VERSION, 0x40000002 },
		{ HV_REGISTER_PRIVILEGES_AND_FEATURES, 0x40000003 },
		{ HV_REGISTER_FEATURES_INFO, 0x40000004 },
		{ HV_REGISTER_IMPLEMENTATION_LIMITS, 0x40000005 },
		{ HV_REGISTER_HARDWARE_FEATURES, 0x40000006 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		union hv_register_value v;
		uint32_t out[4];

		hv_cpuid(h.hv, table[i].leaf, out);
		assert_int_equal(get(SELF, table[i].name, &v), REPS(1));
		assert_memory_equal(&v, out, sizeof(out));
	}
}

static void an_msr_is_a_register_of_its_vp(void **state)
{
	static const struct {
		uint32_t name, msr;
	} table[] = {
		{ 0x00000210, 0x40000100 }, { 0x00000214, 0x40000104 },
		{ 0x00090013, 0x40000073 }, { 0x00090017, 0x40000021 },
		{ 0x000a0000, 0x40000090 }, { 0x000a000f, 0x4000009f },
		{ 0x000a0010, 0x40000080 }, { 0x000a0012, 0x40000082 },
		{ 0x000a0013, 0x40000083 }, { 0x000b0007, 0x400000b7 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		assert_int_equal(set(2, table[i].name, 0x7010 + i * 16, 0), 0);
		assert_int_equal(rd(2, table[i].msr), 0x7010 + i * 16);
		wr(2, table[i].msr, 0x7020 + i * 16);
		assert_int_equal(word(2, table[i].name), 0x7020 + i * 16);
	}
	assert_int_equal(rd(0, HV_X64_MSR_SCONTROL), 0);
	h.runtime = 100;
	assert_int_equal(word(2, HV_REGISTER_VP_RUNTIME), 102);
	assert_int_equal(word(2, HV_REGISTER_GUEST_OS_ID), OS_ID);
	assert_int_equal(word(2, HV_X64_REGISTER_HYPERCALL), 0x1000 | ENABLE);
	assert_int_equal(word(2, HV_REGISTER_PROCESSOR_CLOCK_FREQUENCY),
			 HV_HOST_TSC_HZ);
}

static void what_is_not_offered_is_no_register(void **state)
{
	union hv_register_value v;

	h.hv->features[EAX] &= ~(HV_ACCESS_SYNTHETIC_TIMER_REGS |
				 HV_ACCESS_VP_RUNTIME);
	assert_int_equal(get(1, HV_REGISTER_STIMER0_CONFIG, &v), BAD);
	assert_int_equal(set(1, HV_REGISTER_STIMER0_CONFIG, 0, 0), BAD);
	assert_int_equal(get(1, HV_REGISTER_VP_RUNTIME, &v), BAD);
}

/* TLFS: VSM-08 */
static void there_is_vtl_0_only(void **state)
{
	assert_int_equal(word(SELF, HV_REGISTER_VSM_VP_STATUS), 0x10000);
	assert_int_equal(word(SELF, HV_REGISTER_VSM_PARTITION_STATUS), 1);
	assert_int_equal(word(SELF, HV_REGISTER_VSM_CAPABILITIES), 0);
	assert_int_equal(word(SELF, HV_REGISTER_VSM_CODE_PAGE_OFFSETS), 0);
}

static void each_is_reached_on_the_thread_of_its_vp(void **state)
{
	union hv_register_value v;

	assert_int_equal(word(2, HV_REGISTER_VP_INDEX), 2);
	assert_int_equal(h.errands, 1);
	assert_int_equal(h.from, 0);
	h.ended = BIT64(2);
	assert_int_equal(get(2, HV_REGISTER_VP_INDEX, &v),
			 HV_STATUS_INVALID_VP_STATE);
	assert_int_equal(set(2, HV_X64_REGISTER_RSP, 1, 0),
			 HV_STATUS_INVALID_VP_STATE);
	assert_int_equal(h.register_count, 0);
}

/* TLFS: VP-39 */
static void nothing_but_the_register_changes(void **state)
{
	assert_int_equal(set(1, HV_X64_REGISTER_CR3, 0x5000, 0), 0);
	assert_int_equal(h.flushes, 0);
	assert_int_equal(h.register_count, 1);
}

/* TLFS: MMU-28 */
static void the_address_space_of_the_caller_is_switched(void **state)
{
	const uint64_t control = HVCALL_SWITCH_VIRTUAL_ADDRESS_SPACE | FAST;

	assert_int_equal(call(control, 0x7000, 0).rax, 0);
	assert_int_equal(word(0, HV_X64_REGISTER_CR3), 0x7000);
	assert_int_equal(h.flushes, 0);
	for (unsigned bit = 52; bit < 64; bit++)
		assert_int_equal(call(control, BIT64(bit), 0).rax, BAD);
	h.set_fails = -EINVAL;
	assert_int_equal(call(control, 0x8000, 0).rax, BAD);
	assert_int_equal(word(0, HV_X64_REGISTER_CR3), 0x7000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(values_come_in_the_order_of_their_names),
		TEST(a_value_may_come_in_registers),
		TEST(elements_to_be_set_have_32_bytes),
		TEST(a_list_is_done_up_to_an_unknown_name),
		TEST(what_is_read_only_cannot_be_set),
		TEST(reserved_bits_are_refused),
		TEST(values_that_cannot_be_are_refused),
		TEST(others_have_no_registers),
		TEST(registers_are_those_of_vtl_0),
		TEST(what_section_7_10_1_lists_can_be_had_and_set),
		TEST(a_leaf_of_cpuid_is_a_register),
		TEST(an_msr_is_a_register_of_its_vp),
		TEST(what_is_not_offered_is_no_register),
		TEST(there_is_vtl_0_only),
		TEST(each_is_reached_on_the_thread_of_its_vp),
		TEST(nothing_but_the_register_changes),
		TEST(the_address_space_of_the_caller_is_switched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
