/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One row of a table for each thing that CPUID can announce. */
#include "windows.h"

#define UNKNOWN_CALL	0x7ffe
#define REF_HZ		10000000u
#define READS		50

/* As Windows arms its clock: auto-enabled, direct, with this vector. */
#define CLOCK_CONFIG	0x1ef8
#define CLOCK_VECTOR	0xef
#define TIMER_SINT	3
#define TIMER_VECTOR	0xd3
#define IPI_VECTOR	0xe1
#define ICR_FIXED	0x4000
#define APIC_TICKS	1000000		/* ms or less */

/* What tlfs.h has no name for. */
#define ACCESS_TSC_INVARIANT	(1u << 15)
#define FEATURE_HYPERCALL_LOCK	(1u << 18)
#define HINT_REMOTE_FLUSH	(1u << 2)
#define HINT_APIC_MSRS		(1u << 3)
#define HINT_CLUSTER_IPI	(1u << 10)
#define HINT_EX_MASKS		(1u << 11)
#define CPUID_INVARIANT_TSC	(1u << 8)
#define MSR_VP_RUNTIME		0x40000010
#define MSR_TSC_INVARIANT	0x40000118
#define FLUSH_SPACE		0x02
#define SEND_IPI		0x0b
#define SEND_IPI_EX		0x15
#define GET_PARTITION_ID	0x46
#define FLUSH_ALL_PROCESSORS	1
#define FLUSH_ALL_SPACES	2
#define VP_SET_ALL		1

static uint64_t indexes;		/* of processors seen so far */

/* What each processor tries; false: it does not work. */

/* TLFS: FD-17 */
static bool same_cpuid(void)
{
	const struct cpuid f = cpuid(HV_CPUID_FEATURES);
	const struct cpuid h = cpuid(HV_CPUID_ENLIGHTENMENT_INFO);

	return !memcmp(&f, &features, sizeof(f)) &&
	       !memcmp(&h, &hints, sizeof(h));
}

/* TLFS: OSID-01 OSID-04 */
static bool identity(void)
{
	return rdmsr(HV_X64_MSR_GUEST_OS_ID) == WINDOWS &&
	       rdmsr(HV_X64_MSR_HYPERCALL) ==
		       ((uintptr_t)hypercall_page | HV_MSR_PAGE_ENABLE);
}

/* Leaf 4 says after how many turns of a spin lock to tell the host. */
/* TLFS: HC-38 HC-79 HC-84 */
static bool hypercalls(void)
{
	const uint64_t spin = HVCALL_NOTIFY_LONG_SPIN_WAIT | HV_HYPERCALL_FAST;
	bool tells = hints.ebx && hints.ebx != UINT32_MAX;

	return hypercall(UNKNOWN_CALL, 0, 0) ==
		       HV_STATUS_INVALID_HYPERCALL_CODE &&
	       (!tells || hypercall(spin, hints.ebx, 0) == HV_STATUS_SUCCESS);
}

/* TLFS: VP-01 FD-46 */
static bool index_is_new(void)
{
	uint64_t index = rdmsr(HV_X64_MSR_VP_INDEX), before = indexes;
	uint32_t limit = cpuid(HV_CPUID_IMPLEMENTATION_LIMITS).eax;

	indexes |= 1ull << index;
	return index < cpus && (!limit || index < limit) && before != indexes;
}

/* TLFS: VP-56 VP-57 GPA-12 */
static bool assist_page(void)
{
	volatile uint32_t *page = page_alloc();
	uint64_t msr = (uintptr_t)page | HV_MSR_PAGE_ENABLE;

	wrmsr(HV_X64_MSR_VP_ASSIST_PAGE, msr);
	page[100] = 0x1234;
	return rdmsr(HV_X64_MSR_VP_ASSIST_PAGE) == msr && !page[0] &&
	       page[100] == 0x1234;
}

static bool runtime(void)
{
	uint64_t before = rdmsr(MSR_VP_RUNTIME);

	return WAIT(rdmsr(MSR_VP_RUNTIME) > before, LONG);
}

static bool counter(void)
{
	uint64_t last = ref_time();

	for (unsigned i = 0; i < READS; i++) {
		uint64_t now = ref_time();

		if (now <= last)
			return false;
		last = now;
	}
	return true;
}

/* Sequence 0 says not to use it. */
/* TLFS: TIME-10 TIME-11 TIME-16 */
static bool reference_tsc(void)
{
	for (unsigned i = 0; i < READS && tsc_page->tsc_sequence; i++) {
		uint64_t before = ref_time(), now = tsc_page_time(tsc_page);

		if (now < before || now > ref_time())
			return false;
	}
	return rdmsr(HV_X64_MSR_REFERENCE_TSC) & HV_MSR_PAGE_ENABLE;
}

/* TLFS: TIME-27 FD-21 */
static bool frequencies(void)
{
	uint64_t hz = rdmsr(HV_X64_MSR_TSC_FREQUENCY), ref_hz = REF_HZ;

	if (tsc_page && tsc_page->tsc_sequence)
		ref_hz = (uint64_t)((unsigned __int128)hz *
				    tsc_page->tsc_scale >> 64) + 1;
	return hz && rdmsr(HV_X64_MSR_APIC_FREQUENCY) &&
	       ref_hz - REF_HZ <= 1;
}

static bool invariant_tsc(void)
{
	wrmsr(MSR_TSC_INVARIANT, 1);
	return rdmsr(MSR_TSC_INVARIANT) == 1 &&
	       cpuid(0x80000007).edx & CPUID_INVARIANT_TSC;
}

/* TLFS: SYNIC-01 SYNIC-03 SYNIC-15 */
static bool synic(void)
{
	uint64_t sint = TIMER_VECTOR;

	if (!(hints.eax & HV_DEPRECATE_AUTO_EOI))
		sint |= HV_SYNIC_SINT_AUTO_EOI;
	synic_enable();
	wrmsr(SINT(TIMER_SINT), sint);
	return rdmsr(HV_X64_MSR_SVERSION) == HV_SYNIC_VERSION &&
	       rdmsr(HV_X64_MSR_SCONTROL) == HV_SYNIC_CONTROL_ENABLE &&
	       rdmsr(SINT(TIMER_SINT)) == sint &&
	       message_type(TIMER_SINT) == HVMSG_NONE;
}

/* Not before its time, and once more by a new count alone. */
/* TLFS: TIME-36 TIME-40 TIME-45 TIME-54 FD-24 */
static bool clock_timer(void)
{
	wrmsr(STIMER_CONFIG(0), CLOCK_CONFIG);
	for (unsigned i = 0; i < 2; i++) {
		uint32_t before = irqs(CLOCK_VECTOR);
		uint64_t deadline = ref_time() + MS;

		wrmsr(STIMER_COUNT(0), deadline);
		if (!WAIT(irqs(CLOCK_VECTOR) != before, LONG) ||
		    ref_time() < deadline)
			return false;
	}
	wrmsr(STIMER_COUNT(0), 0);
	return rdmsr(STIMER_CONFIG(0)) == CLOCK_CONFIG;
}

static bool message_timer(unsigned n)
{
	uint32_t before = irqs(TIMER_VECTOR);
	uint64_t deadline = ref_time() + MS;
	const struct hv_timer_message_payload *t;
	struct message m;

	wrmsr(STIMER_CONFIG(n), HV_STIMER_AUTO_ENABLE | TIMER_SINT << 16);
	wrmsr(STIMER_COUNT(n), deadline);
	if (!WAIT(irqs(TIMER_VECTOR) != before, LONG) ||
	    !message_take(TIMER_SINT, &m))
		return false;
	t = (void *)m.payload;
	return m.header.message_type == HVMSG_TIMER_EXPIRED &&
	       t->timer_index == n && t->expiration_time == deadline &&
	       t->delivery_time >= deadline;
}

/* TLFS: TIME-29 TIME-49 TIME-50 MSG-16 */
static bool timers(void)
{
	for (unsigned n = 0; n < HV_STIMER_COUNT; n++)
		if (!message_timer(n))
			return false;
	return true;
}

static void ipi_now(void)
{
	apic_write(APIC_ICR_HIGH, apic_id() << 24);
	apic_write(APIC_ICR, ICR_FIXED | IPI_VECTOR);
}

static void timer_soon(void)
{
	apic_write(APIC_TIMER_DIVIDE, APIC_DIVIDE_BY_1);
	apic_write(APIC_LVT_TIMER, IPI_VECTOR);
	apic_write(APIC_TIMER_COUNT, APIC_TICKS);
}

/* Sleep until what @comes waits, though interrupts are disabled. */
static bool sleeps_until(void (*comes)(void))
{
	uint32_t before = irqs(IPI_VECTOR);
	bool waits;

	irq_off();
	comes();
	rdmsr(HV_X64_MSR_GUEST_IDLE);
	waits = irqs(IPI_VECTOR) == before;
	irq_on();
	return waits && WAIT(irqs(IPI_VECTOR) - before == 1, LONG);
}

/* TLFS: VP-12 VP-13 VP-14 FD-23 */
static bool idle(void)
{
	return sleeps_until(ipi_now) && sleeps_until(timer_soon);
}

/* TLFS: VIC-07 VIC-08 VIC-10 */
static bool apic_registers(void)
{
	uint64_t self = (uint64_t)apic_id() << 56, tpr;
	uint32_t before = irqs(IPI_VECTOR);

	wrmsr(HV_X64_MSR_ICR, self | ICR_FIXED | IPI_VECTOR);
	wrmsr(HV_X64_MSR_TPR, 0x20);
	tpr = rdmsr(HV_X64_MSR_TPR);
	wrmsr(HV_X64_MSR_TPR, 0);
	return tpr == 0x20 && WAIT(irqs(IPI_VECTOR) - before == 1, LONG) &&
	       TRY(rdmsr(HV_X64_MSR_EOI)) == TRAP_GP;
}

/* HvSendSyntheticClusterIpi: vector and VTL, then the processors. */
static bool cluster_ipi(void)
{
	uint32_t before = irqs(IPI_VECTOR);
	uint64_t self = 1ull << rdmsr(HV_X64_MSR_VP_INDEX);

	return hypercall(SEND_IPI | HV_HYPERCALL_FAST, IPI_VECTOR, self) ==
		       HV_STATUS_SUCCESS &&
	       WAIT(irqs(IPI_VECTOR) - before == 1, LONG);
}

/* The same to all, but the others have interrupts disabled. */
static bool set_ipi(void)
{
	static uint64_t input[4] __attribute__((aligned(64))) = {
		IPI_VECTOR, VP_SET_ALL,
	};
	uint32_t before = irqs(IPI_VECTOR);

	return hypercall(SEND_IPI_EX, (uintptr_t)input, 0) ==
		       HV_STATUS_SUCCESS &&
	       WAIT(irqs(IPI_VECTOR) - before == 1, LONG);
}

/* HvFlushVirtualAddressSpace: all spaces of all processors. */
static bool flush(void)
{
	static uint64_t input[3] __attribute__((aligned(64))) = {
		0, FLUSH_ALL_PROCESSORS | FLUSH_ALL_SPACES,
	};

	return hypercall(FLUSH_SPACE, (uintptr_t)input, 0) ==
	       HV_STATUS_SUCCESS;
}

static bool partition_id(void)
{
	uint64_t *id = page_alloc();

	return hypercall(GET_PARTITION_ID, 0, (uintptr_t)id) ==
		       HV_STATUS_SUCCESS && *id && ~*id;
}

static bool capabilities(void)
{
	uint64_t *mask = page_alloc();

	return hypercall(HVEXTCALL_QUERY_CAPABILITIES, 0, (uintptr_t)mask) ==
	       HV_STATUS_SUCCESS;
}

/* TLFS: VSM-08 */
static bool vsm_status(void)
{
	struct {
		struct hv_input_vp_registers in;
		uint32_t name;
	} *call = page_alloc();
	uint64_t *status = page_alloc();

	call->in.partition_id = HV_PARTITION_ID_SELF;
	call->in.vp_index = HV_VP_INDEX_SELF;
	call->name = HV_REGISTER_VSM_VP_STATUS;
	return hypercall(HVCALL_GET_VP_REGISTERS | 1ull << 32, (uintptr_t)call,
			 (uintptr_t)status) == 1ull << 32 &&
	       *status == HV_VSM_VP_ENABLED_VTL_0;
}

/* Of a processor that runs, with registers of nobody. */
static bool start_refused(void)
{
	struct hv_input_start_virtual_processor *in = page_alloc();

	in->partition_id = HV_PARTITION_ID_SELF;
	in->vp_index = HV_VP_INDEX_SELF;
	return hypercall(HVCALL_START_VIRTUAL_PROCESSOR, (uintptr_t)in, 0) ==
	       HV_STATUS_INVALID_REGISTER_VALUE;
}

static bool reset_register(void)
{
	return rdmsr(HV_X64_MSR_RESET) == 0;
}

/* TLFS: CRASH-02 CRASH-03 */
static bool crash_registers(void)
{
	wrmsr(HV_X64_MSR_CRASH_P0 + 4, apic_id());
	return rdmsr(HV_X64_MSR_CRASH_P0 + 4) == apic_id() &&
	       rdmsr(HV_X64_MSR_CRASH_CTL) & HV_CRASH_CTL_CRASH_NOTIFY;
}

/* In this order.  All bits of a row must be announced; none: always. */
static const struct feature {
	uint32_t access, privileges, features, hints;
	bool (*works)(void);	/* NULL: there is nothing to try here */
	const char *sentence;
} table[] = {
	{ 0, 0, 0, 0, same_cpuid, "all processors see the same CPUID" },
	{ HV_ACCESS_HYPERCALL_MSRS, 0, 0, 0, identity,
	  "all see Windows's identity and one hypercall page" },
	{ 0, 0, 0, 0, hypercalls, "all can call the hypercall page" },
	{ HV_ACCESS_VP_INDEX, 0, 0, 0, index_is_new,
	  "VP indexes differ, and are below the limit" },
	{ 0, 0, 0, 0, assist_page, "each has its VP assist page" },
	{ HV_ACCESS_VP_RUNTIME, 0, 0, 0, runtime, "VP_RUNTIME goes on" },
	{ HV_ACCESS_PARTITION_REFERENCE_COUNTER, 0, 0, 0, counter,
	  "TIME_REF_COUNT increases strictly" },
	{ HV_ACCESS_PARTITION_REFERENCE_TSC, 0, 0, 0, reference_tsc,
	  "the reference TSC page agrees with it" },
	{ HV_ACCESS_FREQUENCY_REGS, 0, HV_FREQUENCY_REGS_AVAILABLE, 0,
	  frequencies, "the frequency registers agree with that" },
	{ ACCESS_TSC_INVARIANT, 0, 0, 0, invariant_tsc,
	  "the invariant TSC can be asked for" },
	{ HV_ACCESS_SYNIC_REGS, 0, 0, 0, synic, "the SynIC can be enabled" },
	{ HV_ACCESS_SYNTHETIC_TIMER_REGS, 0, HV_DIRECT_SYNTHETIC_TIMERS, 0,
	  clock_timer, "the clock interrupts, never early" },
	{ HV_ACCESS_SYNTHETIC_TIMER_REGS, 0, 0, 0, timers,
	  "the four timers send messages" },
	{ HV_ACCESS_GUEST_IDLE_REG, 0, HV_GUEST_IDLE_AVAILABLE, 0, idle,
	  "GUEST_IDLE returns when an interrupt waits" },
	{ HV_ACCESS_INTR_CTRL_REGS, 0, 0, 0, apic_registers,
	  "ICR, TPR and EOI work as registers" },
	{ HV_ACCESS_RESET_REG, 0, 0, 0, reset_register, "RESET reads as zero" },
	{ 0, 0, 0, HINT_CLUSTER_IPI, cluster_ipi,
	  "an IPI by hypercall arrives" },
	{ 0, 0, 0, HINT_CLUSTER_IPI | HINT_EX_MASKS, set_ipi,
	  "an IPI to all by hypercall arrives" },
	{ 0, 0, 0, HINT_REMOTE_FLUSH, flush, "a flush by hypercall succeeds" },
	{ 0, HV_ACCESS_PARTITION_ID, 0, 0, partition_id,
	  "there is a partition id" },
	{ 0, HV_ENABLE_EXTENDED_HYPERCALLS, 0, 0, capabilities,
	  "capabilities can be asked for" },
	{ 0, HV_ACCESS_VP_REGISTERS, 0, 0, vsm_status,
	  "VSM_VP_STATUS says that VTL 0 is all there is" },
	{ 0, HV_START_VIRTUAL_PROCESSOR, 0, 0, start_refused,
	  "no processor starts without registers" },
	{ 0, 0, HV_GUEST_CRASH_REGS_AVAILABLE, 0, crash_registers,
	  "crash registers keep their values" },
	{ 0, HV_POST_MESSAGES | HV_SIGNAL_EVENTS | HV_FAST_HYPERCALL_OUTPUT,
	  HV_SINT_POLLING_AVAILABLE | HV_XMM_INPUT_AVAILABLE |
	  HV_XMM_OUTPUT_AVAILABLE | FEATURE_HYPERCALL_LOCK,
	  HV_RECOMMEND_RELAXED_TIMING | HV_DEPRECATE_AUTO_EOI |
	  HINT_APIC_MSRS, NULL, NULL },
};

static uint32_t failures[ARRAY_SIZE(table)];

static bool is_offered(const struct feature *f)
{
	return (features.eax & f->access) == f->access &&
	       (features.ebx & f->privileges) == f->privileges &&
	       (features.edx & f->features) == f->features &&
	       (hints.eax & f->hints) == f->hints;
}

volatile uint32_t features_tried;

void features_try(void)
{
	irq_on();
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].works && is_offered(&table[i]))
			failures[i] += !table[i].works();
	features_tried++;
}

/* Whatever is announced has its row. */
void features_all_known(void)
{
	struct feature all = { 0 };

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		all.access |= table[i].access;
		all.privileges |= table[i].privileges;
		all.features |= table[i].features;
		all.hints |= table[i].hints;
	}
	report(!(features.eax & ~all.access) &&
	       !(features.ebx & ~all.privileges) &&
	       !(features.edx & ~all.features) && !(hints.eax & ~all.hints),
	       "nothing is announced that we do not know",
	       "%#x %#x %#x, hints %#x", features.eax & ~all.access,
	       features.ebx & ~all.privileges, features.edx & ~all.features,
	       hints.eax & ~all.hints);
}

void features_report(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		const struct feature *f = &table[i];

		if (f->works && is_offered(f))
			report(!failures[i], f->sentence, "not on %u of %u",
			       failures[i], cpus);
		else if (f->works)
			skip(f->sentence, "not announced");
	}
}
