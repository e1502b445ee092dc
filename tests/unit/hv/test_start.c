/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HvStartVirtualProcessor: which contexts reach the host. */
#include "calls_test.h"

#define CODE		(0x9bu | HV_X64_SEGMENT_LONG)
#define CODE_32		(0x9bu | HV_X64_SEGMENT_DEFAULT)
#define DATA		0x93u
#define TSS		0x8bu
#define TSS_16		0x83u
#define LDT		0x82u
#define BAD		HV_STATUS_INVALID_REGISTER_VALUE
#define LME_LMA		0x500u

static struct hv_input_start_virtual_processor in;

static struct hv_x64_segment_register segment(uint16_t attributes)
{
	return (struct hv_x64_segment_register){ .limit = 0xffff,
						 .attributes = attributes };
}

/* Long mode. */
static void make(void)
{
	in = (struct hv_input_start_virtual_processor){
		.partition_id = HV_PARTITION_ID_SELF, .vp_index = 2,
		.context = {
			.rip = 0x1000, .rsp = 0x2000, .rflags = 2,
			.cs = segment(CODE), .ss = segment(DATA),
			.tr = segment(TSS), .efer = LME_LMA,
			.cr0 = 0x80000001, .cr3 = 0x3000, .cr4 = 0x20,
			.pat = 0x0007040600070406,
		},
	};
}

static uint64_t start(void)
{
	return call_with(HVCALL_START_VIRTUAL_PROCESSOR, &in, sizeof(in));
}

/* TLFS: VP-45 */
static void a_vp_starts_in_long_or_protected_mode(void **state)
{
	make();
	assert_int_equal(start(), 0);
	assert_int_equal(h.starts, 1);
	assert_int_equal(h.started, 2);
	assert_memory_equal(&h.context, h.ram + IN + 16, 224);
	in.context.efer = 0;
	in.context.cr0 = 1;
	in.context.cr4 = 0;
	in.context.cs = segment(CODE_32);
	in.context.tr = segment(TSS_16);
	assert_int_equal(start(), 0);
	assert_int_equal(h.starts, 2);
}

/* TLFS: VP-46 */
static void one_that_runs_is_not_started(void **state)
{
	make();
	h.start_fails = -EBUSY;
	assert_int_equal(start(), HV_STATUS_INVALID_VP_STATE);
	h.start_fails = 0;
	h.ended = BIT64(2);
	assert_int_equal(start(), HV_STATUS_INVALID_VP_STATE);
	assert_int_equal(h.starts, 0);
}

/* TLFS: VP-44 VP-49 */
static void there_is_no_other_partition_vp_or_vtl(void **state)
{
	make();
	in.partition_id = 1;
	assert_int_equal(start(), HV_STATUS_INVALID_PARTITION_ID);
	make();
	in.vp_index = VP_COUNT;
	assert_int_equal(start(), HV_STATUS_INVALID_VP_INDEX);
	make();
	for (unsigned vtl = 1; vtl < 256; vtl++) {
		in.target_vtl = (uint8_t)vtl;
		assert_int_equal(start(), HV_STATUS_INVALID_VTL_STATE);
	}
	assert_int_equal(h.starts, 0);
}

#define REFUSED(statement)						\
	do {								\
		make();							\
		statement;						\
		assert_int_equal(start(), BAD);				\
	} while (0)
#define TAKEN(statement)						\
	do {								\
		make();							\
		statement;						\
		assert_int_equal(start(), 0);				\
	} while (0)

/* TLFS: VP-47 */
static void registers_are_those_that_can_be(void **state)
{
	struct hv_initial_vp_context *c = &in.context;

	REFUSED(c->cr0 = 0x80000000);		/* real mode */
	REFUSED(c->rflags = 0);
	REFUSED(c->rflags |= BIT64(17));	/* virtual-8086 */
	REFUSED(c->rflags |= BIT64(3));
	REFUSED(c->rflags |= BIT64(22));
	REFUSED(c->efer |= BIT64(1));
	REFUSED(c->efer |= BIT64(12));		/* SVME */
	REFUSED(c->efer = 0x100);		/* active, and not said so */
	REFUSED(c->cr0 = 1);			/* said so, and not active */
	REFUSED(c->pat = 2);
	REFUSED(c->pat = UINT64_C(8) << 56);
	TAKEN(c->rflags |= 0x200);
	TAKEN(c->efer |= 0x801);
	make();
	h.start_fails = -EINVAL;
	assert_int_equal(start(), BAD);
}

/* TLFS: VP-47 */
static void segments_are_those_that_can_be(void **state)
{
	struct hv_initial_vp_context *c = &in.context;

	REFUSED(c->cs = segment(0));
	REFUSED(c->cs = segment(CODE | HV_X64_SEGMENT_DEFAULT));
	REFUSED(c->cs = segment(DATA));
	REFUSED(c->cs = segment(CODE & ~HV_X64_SEGMENT_NON_SYSTEM));
	REFUSED(c->cs.base = BIT64(32));
	REFUSED(c->cs.attributes |= 0x100);
	REFUSED(c->cs.attributes |= 0x60);	/* CPL 3, and SS of 0 */
	REFUSED(c->ss = segment(CODE));
	REFUSED(c->ss = segment(0x91));		/* read-only */
	REFUSED(c->ss.limit = 0x100000);
	REFUSED(c->ds = segment(LDT));
	REFUSED(c->es = segment(LDT));
	REFUSED(c->fs = segment(LDT));
	REFUSED(c->gs = segment(LDT));
	REFUSED(c->ldtr = segment(DATA));
	REFUSED(c->ldtr = segment(TSS));
	REFUSED(c->tr = segment(0));
	REFUSED(c->tr = segment(LDT));
	REFUSED(c->tr = segment(TSS_16));	/* in long mode */
	REFUSED(c->tr = segment(TSS | HV_X64_SEGMENT_NON_SYSTEM));
	TAKEN(c->ss = segment(0));
	TAKEN(c->ldtr = segment(LDT));
	TAKEN(c->ds = segment(DATA));
	TAKEN(c->gs.base = UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_vp_starts_in_long_or_protected_mode),
		TEST(one_that_runs_is_not_started),
		TEST(there_is_no_other_partition_vp_or_vtl),
		TEST(registers_are_those_that_can_be),
		TEST(segments_are_those_that_can_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
