/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every processor starts by SIPI and has its own VP index, SynIC and timers.
 * "cpus=N" says how many there are.
 */
#include "hyperv.h"

#define TIMER_VECTOR	0x80
#define SINT_VECTOR	0x90
#define SINT_USED	4
#define LONG		20000		/* ms */
#define TURNS		100

static struct result {
	uint32_t vp_index, apic_id;
	uint64_t time;
	bool clean;		/* registers had their reset values */
	bool shared;		/* saw what the boot processor wrote */
	bool zero;		/* the new SIM was zero */
	bool direct, message;	/* timers told so */
	volatile bool done;
} results[CPU_MAX];

static bool is_clean(void)
{
	return rdmsr(HV_X64_MSR_SCONTROL) == 0 &&
	       rdmsr(HV_X64_MSR_SIMP) == 0 && rdmsr(HV_X64_MSR_SIEFP) == 0 &&
	       rdmsr(SINT(2)) == HV_SYNIC_SINT_MASKED &&
	       rdmsr(STIMER_CONFIG(0)) == 0 && rdmsr(STIMER_COUNT(0)) == 0;
}

/* Sleep until an interrupt with @vector has come. */
static void wait_irq(uint8_t vector)
{
	while (irqs(vector) == 0)
		irq_wait();
}

static void use_timers(struct result *r)
{
	struct message m;

	wrmsr(STIMER_COUNT(0), ref_time() + 5 * MS);
	wrmsr(STIMER_CONFIG(0), HV_STIMER_ENABLE | HV_STIMER_DIRECT |
	      TIMER_VECTOR << 4);
	wait_irq(TIMER_VECTOR);
	r->direct = true;
	wrmsr(STIMER_COUNT(1), ref_time() + 5 * MS);
	wrmsr(STIMER_CONFIG(1), HV_STIMER_ENABLE | SINT_USED << 16);
	wait_irq(SINT_VECTOR);
	r->message = message_take(SINT_USED, &m) &&
		     m.header.message_type == HVMSG_TIMER_EXPIRED;
}

/* Two processors read the clock in turns; nobody may be behind the other. */
static uint64_t last_time;
static volatile uint32_t turn;
static unsigned behind;

/* TLFS: TIME-02 */
static void compare_clocks(uint32_t me)
{
	for (unsigned i = 0; i < TURNS; i++) {
		uint64_t t;

		while ((__atomic_load_n(&turn, __ATOMIC_ACQUIRE) & 1) != me)
			pause();
		t = ref_time();
		behind += t <= last_time;
		last_time = t;
		__atomic_add_fetch(&turn, 1, __ATOMIC_RELEASE);
	}
}

/* All of them at once. */
static void each_cpu(void)
{
	struct result *r = &results[this_cpu()->index];

	r->vp_index = (uint32_t)rdmsr(HV_X64_MSR_VP_INDEX);
	r->apic_id = apic_id();
	r->clean = is_clean();
	r->shared = rdmsr(HV_X64_MSR_GUEST_OS_ID) == GUEST_OS_ID;
	synic_enable();
	sint_set(SINT_USED, SINT_VECTOR);
	r->zero = message_type(SINT_USED) == HVMSG_NONE;
	use_timers(r);
	r->time = ref_time();
	__atomic_store_n(&r->done, true, __ATOMIC_RELEASE);
	if (this_cpu()->index == 1)
		compare_clocks(1);
}

static unsigned done(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CPU_MAX; i++)
		n += __atomic_load_n(&results[i].done, __ATOMIC_ACQUIRE);
	return n;
}

/* How many of @cpus have @field set. */
#define COUNT(field)							\
	({								\
		unsigned n_ = 0;					\
									\
		for (unsigned i_ = 0; i_ < cpus; i_++)			\
			n_ += results[i_].field;			\
		n_;							\
	})

/* TLFS: VP-01 */
static void identities(unsigned cpus)
{
	uint64_t seen = 0;
	unsigned same = 0;

	for (unsigned i = 0; i < cpus; i++) {
		same += results[i].vp_index == results[i].apic_id;
		seen |= 1ull << results[i].vp_index;
	}
	check_eq(same, cpus, "VP indexes are the APIC ids");
	check_eq(seen, ~0ull >> (64 - cpus), "and all different");
}

/* TLFS: FD-46 BOOT-04 */
void test_main(void)
{
	unsigned cpus = option_number("cpus", 1);
	uint64_t start = ref_time(), end;

	hypercall_enable();
	if (cpus > 1)
		start_cpus(each_cpu);
	irq_off();
	each_cpu();
	irq_on();
	report(WAIT(done() == cpus, LONG), "all processors get interrupts",
	       "%u of %u, %u started", done(), cpus, cpus_started + 1);
	end = ref_time();
	check_eq(cpus_started + 1, cpus, "there are no more of them");
	identities(cpus);
	check_eq(COUNT(clean), cpus, "their registers have reset values");
	check_eq(COUNT(shared), cpus, "they see one GUEST_OS_ID");
	check_eq(COUNT(zero), cpus, "their message pages are zero");
	check_eq(COUNT(direct), cpus, "a timer with a vector interrupts each");
	check_eq(COUNT(message), cpus, "a timer with a SINT interrupts each");
	check_eq(COUNT(time >= start && results[i_].time <= end), cpus,
		 "their clocks are one clock");
	if (cpus > 1) {
		compare_clocks(0);
		check_eq(behind, 0, "in turns, each reads a later time");
	}
	check(cpuid(HV_CPUID_IMPLEMENTATION_LIMITS).eax >= cpus,
	      "the limit of processors in CPUID is not below that");
}
