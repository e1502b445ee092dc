/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One processor changes a page table and says so by HvFlushVirtualAddress*;
 * the others read through it all the time.  "cpus=N" says how many there are;
 * with "how=storm" all of them flush all for ever, with "how=idle" the others
 * sleep.
 */
#include "hypercall_user.h"

#define LONG		30000		/* ms */
#define ROUNDS		60
#define STORM		100
#define PAGES		16		/* round n maps page n % PAGES */
#define PRESENT_WRITE	3ull
#define WINDOW		((volatile uint64_t *)(1ull << 39))	/* a page */

static uint64_t *pages[PAGES];
static volatile uint64_t *pte;
static unsigned cpus;

/* Rounds whose flush has returned. */
static uint64_t round;
static bool over;
static unsigned ended, storms;

static struct watcher {
	uint64_t round;		/* it has read the window since */
	uint64_t stale;		/* reads that were too old */
} watchers[CPU_MAX];

static uint64_t load(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

static uint64_t cr3(void)
{
	uint64_t value;

	asm volatile("mov %%cr3, %0" : "=r"(value));
	return value;
}

static uint64_t *table_below(uint64_t *entry)
{
	uint64_t *table = page_alloc();

	*entry = (uintptr_t)table | PRESENT_WRITE;
	return table;
}

static void map(uint64_t n)
{
	*pte = (uintptr_t)pages[n % PAGES] | PRESENT_WRITE;
}

static void make_window(void)
{
	uint64_t *pml4 = (uint64_t *)(uintptr_t)(cr3() & ~0xfffull);

	for (unsigned i = 0; i < PAGES; i++) {
		pages[i] = page_alloc();
		*pages[i] = i;
	}
	pte = table_below(table_below(table_below(&pml4[1])));
	map(0);
}

/* A read between two looks at the round shows one of these, or the next. */
static bool is_stale(uint64_t before, uint64_t value, uint64_t after)
{
	return after - before < PAGES - 2 &&
	       (value - before) % PAGES > after + 1 - before;
}

static void flush_storm(void);

static void watch(void)
{
	struct watcher *w = &watchers[this_cpu()->index];

	while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE)) {
		uint64_t before = load(&round), value = *WINDOW;

		w->stale += is_stale(before, value, load(&round));
		__atomic_store_n(&w->round, before + 1, __ATOMIC_RELEASE);
	}
	flush_storm();
	__atomic_fetch_add(&ended, 1, __ATOMIC_SEQ_CST);
}

static bool all_have_read(void)
{
	for (unsigned i = 1; i < cpus; i++)
		if (load(&watchers[i].round) <= load(&round))
			return false;
	return true;
}

static unsigned stale(void)
{
	unsigned n = 0;

	for (unsigned i = 1; i < cpus; i++)
		n += (unsigned)watchers[i].stale;
	return n;
}

/* All VPs but this one, in each of the forms. */
static uint64_t flush(unsigned form)
{
	static const uint64_t controls[] = {
		HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE,
		HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST | 1ull << 32,
		HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE_EX | 1 << 17,
		HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST_EX | 1 << 17 | 1ull << 32,
	};
	const uint64_t others = ~0ull >> (64 - cpus) & ~1ull;
	const uint64_t mask[] = { cr3(), 0, others, (uintptr_t)WINDOW };
	const uint64_t set[] = { cr3(), 0, HV_GENERIC_SET_SPARSE_4K, 1, others,
				 (uintptr_t)WINDOW };
	struct fast_registers f = { 0 };

	if (form < 2)
		memcpy(&f, mask, sizeof(mask));
	else
		memcpy(&f, set, sizeof(set));
	return (uint16_t)call_fast(controls[form] | HV_HYPERCALL_FAST, &f);
}

/* TLFS: MMU-06 MMU-12 MMU-17 MMU-22 */
static void others_see(unsigned form, const char *sentence)
{
	/* They share what processors the host has. */
	const unsigned rounds = ROUNDS / (cpus - 1);
	unsigned done = 0, before = stale();

	while (done < rounds && WAIT(all_have_read(), LONG)) {
		map(load(&round) + 1);
		if (flush(form))
			break;
		__atomic_fetch_add(&round, 1, __ATOMIC_SEQ_CST);
		done++;
	}
	report(done == rounds && WAIT(all_have_read(), LONG) &&
		       stale() == before,
	       sentence, "%u rounds, %u stale reads", done, stale() - before);
}

static uint64_t flush_all(void)
{
	const struct hv_input_flush in = {
		.flags = HV_FLUSH_ALL_PROCESSORS |
			 HV_FLUSH_ALL_VIRTUAL_ADDRESS_SPACES,
	};
	struct fast_registers f = { 0 };

	memcpy(&f, &in, sizeof(in));
	return call_fast(HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE |
			 HV_HYPERCALL_FAST, &f);
}

/* TLFS: MMU-19 */
static void i_see(void)
{
	unsigned right = 0;

	for (unsigned i = 0; i < ROUNDS; i++) {
		map(i);
		right += !flush_all() && *WINDOW == i % PAGES;
	}
	map(0);
	flush_all();
	check_eq(right, ROUNDS, "who flushes all flushes itself");
}

/* All of them at all of them. */
static void flush_storm(void)
{
	unsigned good = 0;

	enable_sse();
	for (unsigned i = 0; i < STORM; i++)
		good += !flush_all();
	__atomic_fetch_add(&storms, good == STORM, __ATOMIC_SEQ_CST);
}

static void storm_for_ever(void)
{
	enable_sse();
	for (;;)
		flush_all();
}

static void sleep_for_ever(void)
{
	for (;;)
		rdmsr(HV_X64_MSR_GUEST_IDLE);
}

static void idle_ones(void)
{
	unsigned good = 0;

	start_cpus(sleep_for_ever);
	for (unsigned i = 0; i < STORM; i++)
		good += !flush_all();
	check_eq(good, STORM, "VPs that sleep are flushed");
}

/* TLFS: MMU-18 */
void test_main(void)
{
	cpus = option_number("cpus", 1);
	hypercall_enable();
	enable_sse();
	if (option_is("how", "storm")) {
		start_cpus(storm_for_ever);
		storm_for_ever();
	}
	if (option_is("how", "idle")) {
		idle_ones();
		return;
	}
	make_window();
	check_eq(flush_all(), 0, "VPs that have not started are flushed");
	i_see();
	if (cpus > 1) {
		start_cpus(watch);
		others_see(0, "a flush of a space is seen by all");
		others_see(1, "a flush of a list is seen by all");
		others_see(2, "a flush of a space of a set is seen by all");
		others_see(3, "a flush of a list of a set is seen by all");
	}
	__atomic_store_n(&over, true, __ATOMIC_RELEASE);
	flush_storm();
	check(WAIT(ended == cpus - 1, LONG),
	      "VPs that flush each other all go on");
	check_eq(storms, cpus, "and all flushes are done");
	check_eq(flush_all(), 0, "VPs that are halted are flushed");
}
