/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a processor owes its guest beside the synthetic registers: CPUID, the
 * TSC, ports, the local APIC, and the way interrupts of the SynIC go through
 * it.  "cpus=N" says how many there are.
 */
#include "hyperv.h"

#define UNKNOWN_CALL		0x7ffe
#define NO_PORT			0x1234
#define LONG			5000		/* ms */
#define HIGH_VECTOR		0xa1
#define LOW_VECTOR		0x61
#define SINT_A			3
#define SINT_B			5

#define CPUID1_ECX_HYPERVISOR	(1u << 31)
#define CPUID1_ECX_MONITOR	(1u << 3)
#define FEATURE_MWAIT		(1u << 0)	/* leaf 3, EDX */
#define MSR_TSC			0x10
#define MSR_PLATFORM_ID		0x17
#define MSR_APIC_BASE		0x1b
#define APIC_BASE_BSP		(1u << 8)
#define APIC_IRR(vector)	(0x200u + (vector) / 32 * 0x10)
#define APIC_ICR_HIGH		0x310
#define ICR_SELF		0x44000u
#define ICR_INIT		0x4500u
#define ICR_STARTUP		(0x4600u | REAL_MODE_CODE / PAGE_SIZE)

static struct result {
	bool hypervisor, same, boots, calls;
	volatile bool done;
} results[CPU_MAX];

static struct cpuid features;		/* as the boot processor has them */
static volatile uint64_t tsc_of_other;
static const volatile uint32_t *volatile address;
static volatile uint32_t asked, answered, seen, turns;

static bool is_same(struct cpuid a, struct cpuid b)
{
	return a.eax == b.eax && a.ebx == b.ebx && a.ecx == b.ecx &&
	       a.edx == b.edx;
}

/* After INIT and SIPI, but for the boot processor. */
static void each_cpu(void)
{
	struct result *r = &results[this_cpu()->index];

	r->hypervisor = cpuid(1).ecx & CPUID1_ECX_HYPERVISOR;
	r->same = is_same(cpuid(HV_CPUID_FEATURES), features);
	r->boots = rdmsr(MSR_APIC_BASE) & APIC_BASE_BSP;
	r->calls = hypercall(UNKNOWN_CALL, 0, 0) ==
		   HV_STATUS_INVALID_HYPERCALL_CODE;
	__atomic_store_n(&r->done, true, __ATOMIC_RELEASE);
	while (this_cpu()->index == 1) {
		uint32_t n = __atomic_load_n(&asked, __ATOMIC_ACQUIRE);

		turns++;
		tsc_of_other = rdtsc();
		if (n == answered)
			continue;
		seen = *address;
		__atomic_store_n(&answered, n, __ATOMIC_RELEASE);
	}
}

/* The word there as the other processor sees it. */
static uint32_t on_other(const void *at)
{
	address = at;
	__atomic_add_fetch(&asked, 1, __ATOMIC_RELEASE);
	if (!WAIT(__atomic_load_n(&answered, __ATOMIC_ACQUIRE) == asked, LONG))
		bail("the other processor does not answer");
	return seen;
}

static bool all_done(unsigned cpus)
{
	for (unsigned i = 0; i < cpus; i++)
		if (!__atomic_load_n(&results[i].done, __ATOMIC_ACQUIRE))
			return false;
	return true;
}

/* TLFS: FD-01 FD-17 VP-06 HC-91 BOOT-04 */
static void identities(void)
{
	unsigned cpus = option_number("cpus", 1);
	unsigned hypervisor = 0, same = 0, boots = 0, calls = 0;

	features = cpuid(HV_CPUID_FEATURES);
	hypercall_enable();
	if (cpus > 1)
		start_cpus(each_cpu);
	each_cpu();
	check(WAIT(all_done(cpus), LONG), "all processors run");
	for (unsigned i = 0; i < cpus; i++) {
		hypervisor += results[i].hypervisor;
		same += results[i].same;
		boots += results[i].boots;
		calls += results[i].calls;
	}
	check_eq(hypervisor, cpus, "all see a hypervisor");
	check_eq(same, cpus, "all are offered the same");
	check(boots == 1 && results[0].boots, "the first alone is for boot");
	check_eq(calls, cpus, "the hypercall page survives INIT");
}

/* TLFS: HC-82 */
static void page_moves(void)
{
	uint32_t *old = hypercall_page, *new = page_alloc(), code = *old;

	if (option_number("cpus", 1) < 2)
		return;

	check_eq(on_other(old), code, "another processor sees the page");
	wrmsr(HV_X64_MSR_HYPERCALL, (uintptr_t)new | HV_MSR_PAGE_ENABLE);
	check_eq(on_other(old), 0, "moved, it sees memory at the old place");
	check_eq(on_other(new), code, "and the page at the new one");
	hypercall_page = new;
	check_eq(hypercall(UNKNOWN_CALL, 0, 0),
		 HV_STATUS_INVALID_HYPERCALL_CODE, "which can be called");
}

static struct cpuid subleaf(uint32_t leaf, uint32_t sub)
{
	struct cpuid c;

	asm volatile("cpuid" : "=a"(c.eax), "=b"(c.ebx), "=c"(c.ecx),
		     "=d"(c.edx) : "a"(leaf), "c"(sub));
	return c;
}

/* TLFS: FD-59 */
static void subleaves(void)
{
	static const uint32_t subs[] = { 1, 2, 0xff, 0xffffffff };
	uint32_t max = cpuid(HV_CPUID_VENDOR_AND_MAX_FUNCTIONS).eax, wrong = 0;

	for (uint32_t leaf = 0x40000000; leaf <= max; leaf++)
		for (unsigned i = 0; i < sizeof(subs) / sizeof(subs[0]); i++)
			wrong += !is_same(cpuid(leaf), subleaf(leaf, subs[i]));
	check_eq(wrong, 0, "leaves of the hypervisor do not look at ECX");
}

/* TLFS: EXEC-11 */
static void ports(void)
{
	outb(NO_PORT, 0x12);
	check_eq(inb(NO_PORT), 0xff, "a port that nobody has reads as ones");
}

/* TLFS: EXEC-22 */
static void invd(void)
{
	volatile uint64_t *page = page_alloc();
	unsigned good = 0;

	for (unsigned i = 0; i < PAGE_SIZE / sizeof(*page); i++)
		page[i] = 0x1234567890ull + i;
	asm volatile("invd" : : : "memory");
	for (unsigned i = 0; i < PAGE_SIZE / sizeof(*page); i++)
		good += page[i] == 0x1234567890ull + i;
	check_eq(good, PAGE_SIZE / sizeof(*page), "INVD loses nothing");
}

static void timer_of(unsigned n, unsigned sint, uint64_t count)
{
	wrmsr(STIMER_COUNT(n), count);
	wrmsr(STIMER_CONFIG(n), HV_STIMER_ENABLE | (uint64_t)sint << 16);
}

/* TLFS: EXEC-07 */
static void tsc_goes_on(void)
{
	struct message m;
	uint64_t hz, start;

	if (!has_access(HV_ACCESS_FREQUENCY_REGS)) {
		skip("the TSC goes on while the processor sleeps",
		     "its frequency is not offered");
		return;
	}
	hz = rdmsr(HV_X64_MSR_TSC_FREQUENCY);
	sint_set(SINT_A, HIGH_VECTOR);
	irq_off();
	start = rdtsc();
	timer_of(0, SINT_A, ref_time() + 20 * MS);
	while (message_type(SINT_A) == HVMSG_NONE)
		irq_wait();
	irq_on();
	check(rdtsc() - start >= hz / 1000 * 19,
	      "the TSC goes on while the processor sleeps");
	message_take(SINT_A, &m);
}

#define FAR	(1ull << 40)		/* minutes */

/* A para-virtual KVM cannot move the guest's TSC; so we know one. */
static bool is_para_virtual(void)
{
	uint64_t before = rdtsc(), now;

	wrmsr(MSR_TSC, before + FAR);
	now = rdtsc();
	wrmsr(MSR_TSC, rdtsc() - FAR);
	return now - before < FAR;
}

/* TLFS: EXEC-09 */
static void tsc_is_its_own(void)
{
	const char *sentence = "writing the TSC moves that of one processor";
	uint64_t before = rdtsc();

	if (option_number("cpus", 1) < 2)
		return;

	if (is_para_virtual()) {
		skip(sentence, "this KVM cannot move the guest's TSC");
		return;
	}
	wrmsr(MSR_TSC, rdtsc() + FAR);
	delay(10 * MS);
	check(tsc_of_other - before < FAR / 2, sentence);
	wrmsr(MSR_TSC, rdtsc() - FAR);
}

/* TLFS: VIC-12 */
static void ipi_to_itself(void)
{
	const char *sentence = "an IPI to itself comes before the next "
			       "instruction";
	uint32_t before = irqs(HIGH_VECTOR), now;

	if (is_para_virtual()) {
		skip(sentence, "this KVM takes its time");
		return;
	}
	apic_write(APIC_ICR, ICR_SELF | HIGH_VECTOR);
	now = irqs(HIGH_VECTOR);
	check_eq(now - before, 1, sentence);
}

static bool is_requested(uint8_t vector)
{
	return apic_read(APIC_IRR(vector)) >> vector % 32 & 1;
}

/* TLFS: VIC-52 */
static void waits_in_irr(void)
{
	uint32_t before = irqs(HIGH_VECTOR);

	irq_off();
	apic_write(APIC_ICR, ICR_SELF | HIGH_VECTOR);
	check(is_requested(HIGH_VECTOR),
	      "an edge is in IRR while interrupts are off");
	check_eq(irqs(HIGH_VECTOR) - before, 0, "and is not delivered");
	irq_on();
	check(WAIT(irqs(HIGH_VECTOR) - before == 1, LONG),
	      "it is delivered when they are on");
}

static uint8_t first_taken;

static void took_high(void)
{
	first_taken = first_taken ?: HIGH_VECTOR;
}

static void took_low(void)
{
	first_taken = first_taken ?: LOW_VECTOR;
}

/* TLFS: SYNIC-55 */
static void priority(void)
{
	uint32_t high = irqs(HIGH_VECTOR), low = irqs(LOW_VECTOR);
	struct message m;

	sint_set(SINT_A, LOW_VECTOR);
	sint_set(SINT_B, HIGH_VECTOR);
	irq_handle(HIGH_VECTOR, took_high);
	irq_handle(LOW_VECTOR, took_low);
	apic_write(APIC_TPR, 0x80);
	timer_of(0, SINT_A, 1);
	check(WAIT(message_type(SINT_A), LONG) && irqs(LOW_VECTOR) == low,
	      "a SINT waits while TPR is above its vector");
	irq_off();
	apic_write(APIC_TPR, 0);
	timer_of(1, SINT_B, 1);
	WAIT(is_requested(HIGH_VECTOR) && is_requested(LOW_VECTOR), LONG);
	irq_on();
	check(WAIT(irqs(LOW_VECTOR) - low == 1, LONG) &&
	      irqs(HIGH_VECTOR) - high == 1, "then both come");
	check_eq(first_taken, HIGH_VECTOR, "the higher vector first");
	message_take(SINT_A, &m);
	message_take(SINT_B, &m);
	irq_handle(HIGH_VECTOR, NULL);
	irq_handle(LOW_VECTOR, NULL);
}

/* TLFS: SYNIC-58 */
static void shared_vector(void)
{
	uint32_t before = irqs(HIGH_VECTOR);
	struct message m;

	sint_set(SINT_A, HIGH_VECTOR);
	sint_set(SINT_B, HIGH_VECTOR);
	timer_of(0, SINT_A, 1);
	check(WAIT(irqs(HIGH_VECTOR) - before == 1, LONG) &&
	      message_take(SINT_A, &m), "one of two SINTs with a vector");
	timer_of(1, SINT_B, 1);
	check(WAIT(irqs(HIGH_VECTOR) - before == 2, LONG) &&
	      message_take(SINT_B, &m), "and the other interrupt by it");
}

static volatile uint32_t *assist;
static uint32_t assist_seen;

static void look_at_assist(void)
{
	assist_seen |= *assist;
}

/* All EOIs are real ones. */
static void no_eoi_assist(void)
{
	uint32_t before = irqs(HIGH_VECTOR);
	struct message m;

	assist = page_alloc();
	wrmsr(HV_X64_MSR_VP_ASSIST_PAGE,
	      (uintptr_t)assist | HV_MSR_PAGE_ENABLE);
	irq_handle(HIGH_VECTOR, look_at_assist);
	sint_set(SINT_A, HIGH_VECTOR);
	timer_of(0, SINT_A, 1);
	apic_write(APIC_ICR, ICR_SELF | HIGH_VECTOR);
	check(WAIT(irqs(HIGH_VECTOR) - before >= 1, LONG) &&
	      message_take(SINT_A, &m), "interrupts come with an assist page");
	check_eq(assist_seen | *assist, 0, "and never without need for EOI");
	irq_handle(HIGH_VECTOR, NULL);
	wrmsr(HV_X64_MSR_VP_ASSIST_PAGE, 0);
}

/* Whether the other processor runs: it counts its turns. */
static bool other_runs(void)
{
	uint32_t before = turns;

	return WAIT(turns != before, 100);
}

/* TLFS: VP-71 HC-91 */
static void init(void)
{
	if (option_number("cpus", 1) != 2)
		return;

	check(other_runs(), "the other processor runs");
	apic_write(APIC_ICR_HIGH, 1u << 24);
	apic_write(APIC_ICR, ICR_INIT);
	delay(20 * MS);
	check(!other_runs(), "after INIT it waits");
	apic_write(APIC_ICR, ICR_STARTUP);
	/* It counts as one more processor then. */
	check(WAIT(__atomic_load_n(&results[2].done, __ATOMIC_ACQUIRE), LONG),
	      "SIPI starts it again");
	check(results[2].calls, "and it may make hypercalls as before");
}

/* TLFS: EXEC-03 */
static void platform_id(void)
{
	uint64_t value = 0;

	TRY(value = rdmsr(MSR_PLATFORM_ID));
	check_eq(value, 0, "PLATFORM_ID tells nothing");
}

static void do_monitor(void)
{
	asm volatile("monitor" : : "a"(&turns), "c"(0), "d"(0));
}

static void do_mwait(void)
{
	asm volatile("mwait" : : "a"(0), "c"(0));
}

/* TLFS: EXEC-05 */
static void monitor(void)
{
	const char *sentence = "MONITOR and MWAIT are #UD";

	check(!(cpuid(1).ecx & CPUID1_ECX_MONITOR) &&
	      !has_feature(FEATURE_MWAIT), "MONITOR is not offered");
	if (is_para_virtual())
		skip(sentence, "this KVM cannot emulate them");
	else
		check(TRY(do_monitor()) == TRAP_UD &&
		      TRY(do_mwait()) == TRAP_UD, sentence);
}

void test_main(void)
{
	identities();
	page_moves();
	subleaves();
	ports();
	invd();
	ipi_to_itself();
	waits_in_irr();
	synic_enable();
	tsc_goes_on();
	tsc_is_its_own();
	priority();
	shared_vector();
	no_eoi_assist();
	platform_id();
	monitor();
	init();
}
