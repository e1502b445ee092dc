/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reference time by MSR and by page, and the frequencies of TSC and APIC timer.
 * TLFS 12.
 */
#include "hyperv.h"

#define READS		500
#define MEASURE		(50 * MS)
#define REF_HZ		10000000u
#define JUST_STARTED	60		/* s */

static volatile struct hv_reference_tsc_page *page;

/* TLFS: TIME-02 */
static void counter(void)
{
	uint64_t last = ref_time();
	unsigned i;

	for (i = 0; i < READS; i++) {
		uint64_t t = ref_time();

		if (t <= last)
			break;
		last = t;
	}
	check_eq(i, READS, "TIME_REF_COUNT increases strictly");
}

/* Page and MSR are one clock: each reading lies between its neighbours. */
/* TLFS: TIME-11 TIME-15 TIME-16 */
static void page_agrees(void)
{
	uint64_t before, between, after, last = 0;
	uint32_t sequence = page->tsc_sequence;
	unsigned i;

	for (i = 0; i < READS; i++) {
		before = ref_time();
		between = tsc_page_time(page);
		after = ref_time();
		if (between < before || between > after || between < last)
			break;
		last = between;
	}
	report(i == READS, "the page's time lies between two of the register",
	       "round %u: %#llx %#llx %#llx", i, (unsigned long long)before,
	       (unsigned long long)between, (unsigned long long)after);
	check_eq(page->tsc_sequence, sequence,
		 "the sequence does not change without need");
}

static void reference_page(void)
{
	if (!has_access(HV_ACCESS_PARTITION_REFERENCE_TSC)) {
		skip("the reference TSC page agrees with the register",
		     "not offered");
		return;
	}
	page = page_alloc();
	wrmsr(HV_X64_MSR_REFERENCE_TSC, (uintptr_t)page | HV_MSR_PAGE_ENABLE);
	check_eq(rdmsr(HV_X64_MSR_REFERENCE_TSC),
		 (uintptr_t)page | HV_MSR_PAGE_ENABLE,
		 "REFERENCE_TSC reads as written");
	check(page->tsc_sequence != UINT32_MAX,
	      "the sequence is not what old guests take for invalid");
	if (page->tsc_sequence == 0)
		skip("the page agrees with the register",
		     "this host's TSC is not steady");
	else
		page_agrees();
	wrmsr(HV_X64_MSR_REFERENCE_TSC, 0);
}

static bool within_percent(uint64_t value, uint64_t of, unsigned percent)
{
	uint64_t slack = of / 100 * percent;

	return value + slack >= of && value <= of + slack;
}

/* The three clocks at one moment: the best of some tries, if we are stopped. */
struct moment {
	uint64_t time, tsc;
	uint32_t apic;			/* counts down */
};

static struct moment now(void)
{
	struct moment best = { 0 };
	uint64_t least = UINT64_MAX;

	for (unsigned i = 0; i < 20; i++) {
		struct moment m = { .time = ref_time() };
		uint64_t took;

		m.tsc = rdtsc();
		m.apic = apic_read(APIC_TIMER_CURRENT);
		took = ref_time() - m.time;
		if (took < least) {
			least = took;
			best = m;
		}
	}
	return best;
}

static void check_frequency(uint32_t msr, uint64_t ticks, uint64_t time,
			    const char *sentence)
{
	uint64_t hz = ticks * REF_HZ / time;

	report(within_percent(rdmsr(msr), hz, 5), sentence, "%llu, not %llu",
	       (unsigned long long)rdmsr(msr), (unsigned long long)hz);
}

/* TLFS: TIME-27 VIC-49 */
static void frequencies(void)
{
	struct moment a, b;

	if (!has_access(HV_ACCESS_FREQUENCY_REGS)) {
		skip("frequencies are those measured", "not offered");
		return;
	}
	apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED);
	apic_write(APIC_TIMER_DIVIDE, APIC_DIVIDE_BY_1);
	apic_write(APIC_TIMER_COUNT, UINT32_MAX);
	a = now();
	delay(MEASURE);
	b = now();
	apic_write(APIC_TIMER_COUNT, 0);
	check_frequency(HV_X64_MSR_TSC_FREQUENCY, b.tsc - a.tsc,
			b.time - a.time, "TSC_FREQUENCY is what is measured");
	check_frequency(HV_X64_MSR_APIC_FREQUENCY, a.apic - b.apic,
			b.time - a.time, "APIC_FREQUENCY is what is measured");
}

/* A para-virtual KVM shows the host's TSC as it is, and time goes with it. */
static bool tsc_is_of_host(void)
{
	return has_access(HV_ACCESS_FREQUENCY_REGS) &&
	       rdtsc() / rdmsr(HV_X64_MSR_TSC_FREQUENCY) > JUST_STARTED;
}

/* TLFS: TIME-01 */
static void start(void)
{
	const char *sentence = "reference time starts near zero";

	if (tsc_is_of_host())
		skip(sentence, "this KVM cannot move the guest's TSC");
	else
		check(ref_time() / REF_HZ <= JUST_STARTED, sentence);
}

void test_main(void)
{
	start();
	counter();
	reference_page();
	frequencies();
}
