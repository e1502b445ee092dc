/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CPUID and the synthetic MSRs: what is advertised works, and what is not
 * advertised is #GP.  TLFS 2.4, 4.2.2 and the MSR chapters.
 */
#include "hyperv.h"

#define FIRST	0x40000000u
#define LAST	0x400001ffu

#define READ	1
#define WRITE	2
#define QUIET	4	/* an access has effects: leave it alone */

/* Bits that tlfs.h has no name for: kvmbus does not offer what they gate. */
#define ACCESS_STATS		(1u << 8)
#define ACCESS_GUEST_IDLE	(1u << 10)
#define ACCESS_DEBUG		(1u << 12)
#define ACCESS_REENLIGHTENMENT	(1u << 13)
#define FEATURE_NPIEP		(1u << 12)
#define FEATURE_UNHALTED_TIMER	(1u << 23)

/* Privileges that only a parent has: EBX bits 0 to 3, 6, 8, 12, 13. */
#define PARENT_PRIVILEGES	0x314fu
/* Hints to use hypercalls and MSRs that are slow or absent here: EAX 0 to 3. */
#define SLOW_HINTS		0xfu
#define CPUID1_ECX_VMX		(1u << 5)
#define CPUID1_ECX_HYPERVISOR	(1u << 31)
#define CPUID_POWER			0x80000007u
#define CPUID_POWER_EDX_INVARIANT_TSC	(1u << 8)
#define WAKE_VECTOR	0x91u
#define ASLEEP		(200 * MS)
#define RUNTIME_READS			1000
#define CPUID_AMD_ECX_SVM	(1u << 2)

static const struct msr {
	uint32_t first, last;
	uint32_t access, feature;	/* in EAX and EDX of leaf 3 */
	unsigned how;
} msrs[] = {
	{ 0x00, 0x01, HV_ACCESS_HYPERCALL_MSRS, 0, READ | WRITE },
	{ 0x02, 0x02, HV_ACCESS_VP_INDEX, 0, READ },
	{ 0x03, 0x03, HV_ACCESS_RESET_REG, 0, READ | WRITE },
	{ 0x10, 0x10, HV_ACCESS_VP_RUNTIME, 0, READ },
	{ 0x20, 0x20, HV_ACCESS_PARTITION_REFERENCE_COUNTER, 0, READ },
	{ 0x21, 0x21, HV_ACCESS_PARTITION_REFERENCE_TSC, 0, READ | WRITE },
	{ 0x22, 0x23, HV_ACCESS_FREQUENCY_REGS, HV_FREQUENCY_REGS_AVAILABLE,
	  READ },
	{ 0x40, 0x40, 0, FEATURE_NPIEP, READ | WRITE },
	{ 0x70, 0x70, HV_ACCESS_INTR_CTRL_REGS, 0, WRITE | QUIET },
	{ 0x71, 0x71, HV_ACCESS_INTR_CTRL_REGS, 0, READ | WRITE | QUIET },
	{ 0x72, 0x72, HV_ACCESS_INTR_CTRL_REGS, 0, READ | WRITE },
	/* Linux writes it whatever it was offered, so it is always there. */
	{ 0x73, 0x73, 0, 0, READ | WRITE },
	{ 0x80, 0x80, HV_ACCESS_SYNIC_REGS, 0, READ | WRITE },
	{ 0x81, 0x81, HV_ACCESS_SYNIC_REGS, 0, READ },
	{ 0x82, 0x84, HV_ACCESS_SYNIC_REGS, 0, READ | WRITE },
	{ 0x90, 0x9f, HV_ACCESS_SYNIC_REGS, 0, READ | WRITE },
	{ 0xb0, 0xb7, HV_ACCESS_SYNTHETIC_TIMER_REGS, 0, READ | WRITE },
	{ 0xe0, 0xe3, ACCESS_STATS, 0, READ | WRITE },
	{ 0xf0, 0xf0, ACCESS_GUEST_IDLE, 0, READ | QUIET },
	{ 0xf1, 0xf5, ACCESS_DEBUG, 0, READ | WRITE },
	{ 0xff, 0xff, ACCESS_DEBUG, 0, READ | WRITE },
	{ 0x100, 0x105, 0, HV_GUEST_CRASH_REGS_AVAILABLE, READ | WRITE },
	{ 0x106, 0x108, ACCESS_REENLIGHTENMENT, 0, READ | WRITE },
	{ 0x114, 0x115, HV_ACCESS_SYNTHETIC_TIMER_REGS, FEATURE_UNHALTED_TIMER,
	  READ | WRITE },
	{ 0x118, 0x118, HV_ACCESS_TSC_INVARIANT, 0, READ | WRITE },
};

static unsigned how(uint32_t msr)
{
	const struct cpuid c = cpuid(HV_CPUID_FEATURES);

	for (unsigned i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++) {
		const struct msr *m = &msrs[i];

		if (msr - FIRST < m->first || msr - FIRST > m->last)
			continue;
		if ((c.eax & m->access) == m->access &&
		    (c.edx & m->feature) == m->feature)
			return m->how;
		break;
	}
	return 0;
}

/* What may be written to any register without doing anything. */
static uint64_t harmless(uint32_t msr, unsigned h)
{
	if (!(h & READ) || msr == HV_X64_MSR_CRASH_CTL)
		return 0;
	return rdmsr(msr);
}

static bool allowed(uint32_t msr, unsigned h, unsigned access)
{
	uint64_t value;

	if (access == READ)
		return TRY(value = rdmsr(msr); (void)value) == NO_TRAP;
	value = harmless(msr, h);
	return TRY(wrmsr(msr, value)) == NO_TRAP;
}

/* All registers that allow @access, or all that do not. */
/* TLFS: FD-16 */
static void sweep(unsigned access, bool want, const char *sentence)
{
	uint32_t wrong = 0, first = 0, tried = 0;

	for (uint32_t msr = FIRST; msr <= LAST; msr++) {
		unsigned h = how(msr);

		if (!!(h & access) != want || h & QUIET)
			continue;
		tried++;
		if (allowed(msr, h, access) == want)
			continue;
		if (!wrong++)
			first = msr;
	}
	report(!wrong && tried, sentence, "%u of %u are not so, first %#x",
	       wrong, tried, first);
}

/* TLFS: FD-24 FD-33 FD-55 */
static void cpuid_leaves(void)
{
	struct cpuid c = cpuid(1), features;
	uint32_t max, leaf, limit;

	check(c.ecx & CPUID1_ECX_HYPERVISOR, "the hypervisor bit is set");
	check(!(c.ecx & CPUID1_ECX_VMX), "VMX is hidden");
	check(!(cpuid(0x80000001).ecx & CPUID_AMD_ECX_SVM), "SVM is hidden");
	c = cpuid(HV_CPUID_VENDOR_AND_MAX_FUNCTIONS);
	max = c.eax;
	check(max >= HV_CPUID_IMPLEMENTATION_LIMITS && max < 0x40000100,
	      "there are leaves up to 0x40000005");
	check(c.ebx == 0x7263694d && c.ecx == 0x666f736f && c.edx == 0x76482074,
	      "the vendor is \"Microsoft Hv\"");
	c = cpuid(HV_CPUID_INTERFACE);
	check(c.eax == 0x31237648 && !c.ebx && !c.ecx && !c.edx,
	      "the interface is \"Hv#1\"");
	features = cpuid(HV_CPUID_FEATURES);
	check((features.eax & 0x60) == 0x60,
	      "hypercall and VP index registers are offered");
	check_eq(features.ebx & PARENT_PRIVILEGES, 0,
		 "no privilege of a parent is offered");
	check_eq(cpuid(HV_CPUID_ENLIGHTENMENT_INFO).eax & SLOW_HINTS, 0,
		 "nothing is recommended that leaves to the VMM");
	check(has_feature(HV_DIRECT_SYNTHETIC_TIMERS) ==
	      has_access(HV_ACCESS_SYNTHETIC_TIMER_REGS),
	      "direct mode is offered with the timers");
	limit = cpuid(HV_CPUID_IMPLEMENTATION_LIMITS).eax;
	check(!limit || limit >= option_number("cpus", 1),
	      "the limit of processors is not known, or large enough");
	for (leaf = max + 1; leaf <= 0x400000ff; leaf++) {
		c = cpuid(leaf);
		if (c.eax || c.ebx || c.ecx || c.edx)
			break;
	}
	check_eq(leaf, 0x40000100, "leaves above the highest are zero");
}

static void reset_values(void)
{
	static const struct {
		uint32_t msr;
		uint64_t value;
	} table[] = {
		{ HV_X64_MSR_GUEST_OS_ID, 0 },
		{ HV_X64_MSR_HYPERCALL, 0 },
		{ HV_X64_MSR_VP_INDEX, 0 },
		{ HV_X64_MSR_SCONTROL, 0 },
		{ HV_X64_MSR_SVERSION, HV_SYNIC_VERSION },
		{ HV_X64_MSR_SIEFP, 0 },
		{ HV_X64_MSR_SIMP, 0 },
		{ HV_X64_MSR_EOM, 0 },
		{ SINT(0), HV_SYNIC_SINT_MASKED },
		{ SINT(2), HV_SYNIC_SINT_MASKED },
		{ SINT(15), HV_SYNIC_SINT_MASKED },
		{ STIMER_CONFIG(0), 0 },
		{ STIMER_COUNT(0), 0 },
		{ STIMER_COUNT(3), 0 },
		{ HV_X64_MSR_CRASH_P0, 0 },
		{ HV_X64_MSR_CRASH_P0 + 4, 0 },
	};
	unsigned i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (how(table[i].msr) & READ &&
		    rdmsr(table[i].msr) != table[i].value)
			break;
	report(i == sizeof(table) / sizeof(table[0]),
	       "registers have their reset values", "%#x has %#llx",
	       table[i].msr, (unsigned long long)rdmsr(table[i].msr));
}

static void kept_bits(uint32_t msr, uint64_t bits, const char *sentence)
{
	wrmsr(msr, bits);
	check_eq(rdmsr(msr), bits, sentence);
	wrmsr(msr, 0);
}

/* TLFS: SYNIC-14 */
static void synic_fields(void)
{
	kept_bits(HV_X64_MSR_SIMP, 0xabcffe, "SIMP keeps reserved bits");
	kept_bits(HV_X64_MSR_SIEFP, 0xabcffe, "SIEFP keeps reserved bits");
	kept_bits(HV_X64_MSR_SCONTROL, 0xfffffffe,
		  "SCONTROL keeps reserved bits");
	check_eq(TRY(wrmsr(SINT(5), 15)), TRAP_GP,
		 "a SINT with vector 15 is #GP");
	check_eq(rdmsr(SINT(5)), HV_SYNIC_SINT_MASKED,
		 "and the register is unchanged");
	check_eq(TRY(wrmsr(SINT(5), 16)), NO_TRAP,
		 "a SINT with vector 16 is allowed");
	check_eq(TRY(wrmsr(SINT(5), HV_SYNIC_SINT_MASKED)), NO_TRAP,
		 "a masked SINT with vector 0 is allowed");
}

/* TLFS: SYNIC-03 TIME-04 */
static void fields(void)
{
	const uint64_t reserved = 0xfff00000ull;

	check_eq(TRY(wrmsr(HV_X64_MSR_SVERSION, 1)), TRAP_GP,
		 "SVERSION cannot be written");
	check_eq(TRY(wrmsr(HV_X64_MSR_TIME_REF_COUNT, 0)), TRAP_GP,
		 "TIME_REF_COUNT cannot be written");
	check(TRY(wrmsr(STIMER_CONFIG(1), reserved)) == TRAP_GP ||
	      !(rdmsr(STIMER_CONFIG(1)) & reserved),
	      "reserved bits of a timer are not kept");
	wrmsr(HV_X64_MSR_GUEST_OS_ID, GUEST_OS_ID);
	check_eq(TRY(wrmsr(HV_X64_MSR_HYPERCALL,
			   1ull << 52 | HV_MSR_PAGE_ENABLE)), TRAP_GP,
		 "a hypercall page beyond the address space is #GP");
	wrmsr(HV_X64_MSR_GUEST_OS_ID, 0);
}

/* To the next reset, so it is the last thing done with it. */
static void lock(void)
{
	const char *sentence = "a locked hypercall page cannot be moved";
	const uint64_t page = (uintptr_t)page_alloc();

	if (!has_feature(HV_HYPERCALL_MSR_LOCK_AVAILABLE)) {
		skip(sentence, "not offered");
		return;
	}
	wrmsr(HV_X64_MSR_HYPERCALL, page | HV_MSR_HYPERCALL_LOCKED);
	check(TRY(wrmsr(HV_X64_MSR_HYPERCALL, 0)) == TRAP_GP &&
	      rdmsr(HV_X64_MSR_HYPERCALL) == (page | HV_MSR_HYPERCALL_LOCKED),
	      sentence);
}

/* TLFS: VP-19 */
static void runtime(void)
{
	const char *sentence = "a processor's time increases as it runs";
	uint64_t first, last, now;
	unsigned i;

	if (!has_access(HV_ACCESS_VP_RUNTIME)) {
		skip(sentence, "not offered");
		return;
	}
	first = last = rdmsr(HV_X64_MSR_VP_RUNTIME);
	for (i = 0; i < RUNTIME_READS; i++) {
		now = rdmsr(HV_X64_MSR_VP_RUNTIME);
		if (now < last)
			break;
		last = now;
	}
	report(i == RUNTIME_READS && last > first, sentence, "%llu to %llu",
	       (unsigned long long)first, (unsigned long long)last);
}

/* TLFS: VP-20 */
static void runtime_asleep(void)
{
	const char *sentence = "a processor's time stands while it sleeps";
	uint64_t before;

	if (!has_access(HV_ACCESS_VP_RUNTIME | HV_ACCESS_SYNTHETIC_TIMER_REGS)) {
		skip(sentence, "not offered");
		return;
	}
	irq_off();
	before = rdmsr(HV_X64_MSR_VP_RUNTIME);
	wrmsr(STIMER_COUNT(0), ref_time() + ASLEEP);
	wrmsr(STIMER_CONFIG(0), HV_STIMER_ENABLE | HV_STIMER_DIRECT |
	      WAKE_VECTOR << 4);
	irq_wait();
	before = rdmsr(HV_X64_MSR_VP_RUNTIME) - before;
	irq_on();
	report(irqs(WAKE_VECTOR) == 1 && before < ASLEEP / 4, sentence,
	       "%llu units of %u", (unsigned long long)before, ASLEEP);
}

/* TLFS: TIME-25 TIME-26 */
static void invariant_tsc(void)
{
	const uint32_t msr = HV_X64_MSR_TSC_INVARIANT_CONTROL;

	if (!has_access(HV_ACCESS_TSC_INVARIANT)) {
		skip("an invariant TSC can be asked for", "not offered");
		return;
	}
	check_eq(TRY(wrmsr(msr, 2)), TRAP_GP,
		 "reserved bits of TSC_INVARIANT_CONTROL are #GP");
	wrmsr(msr, HV_EXPOSE_INVARIANT_TSC);
	check(rdmsr(msr) == HV_EXPOSE_INVARIANT_TSC &&
	      cpuid(CPUID_POWER).edx & CPUID_POWER_EDX_INVARIANT_TSC,
	      "an invariant TSC can be asked for");
	check_eq(TRY(wrmsr(msr, 0)), TRAP_GP, "and it cannot be taken back");
}

/* TLFS: CRASH-02 FD-22 */
static void crash_registers(void)
{
	if (!has_feature(HV_GUEST_CRASH_REGS_AVAILABLE)) {
		skip("crash registers keep their values", "not offered");
		return;
	}
	for (uint32_t i = 0; i < 5; i++)
		wrmsr(HV_X64_MSR_CRASH_P0 + i, 0x0123456789abcdefull * (i + 1));
	for (uint32_t i = 0; i < 5; i++)
		if (rdmsr(HV_X64_MSR_CRASH_P0 + i) !=
		    0x0123456789abcdefull * (i + 1)) {
			report(false, "crash registers keep their values",
			       "P%u", i);
			return;
		}
	check(rdmsr(HV_X64_MSR_CRASH_CTL) & HV_CRASH_CTL_CRASH_NOTIFY,
	      "crash registers keep their values, and CTL says what it can");
}

void test_main(void)
{
	reset_values();
	cpuid_leaves();
	sweep(READ, true, "what is advertised can be read");
	sweep(READ, false, "reading what is not advertised is #GP");
	sweep(WRITE, true, "what is advertised can be written");
	sweep(WRITE, false, "writing what is not advertised is #GP");
	if (has_access(HV_ACCESS_SYNIC_REGS))
		synic_fields();
	fields();
	runtime();
	runtime_asleep();
	invariant_tsc();
	crash_registers();
	check_eq(TRY(rdmsr(0x40000200)), TRAP_GP,
		 "the first MSR behind the synthetic ones is #GP");
	lock();
}
