/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Overlay pages cover memory and give it back: SIM, SIEF, the hypercall page,
 * the reference TSC page.  TLFS 5.2.1.
 */
#include "hyperv.h"

#define WORDS		(PAGE_SIZE / sizeof(uint64_t))
#define ENABLE		HV_MSR_PAGE_ENABLE
#define ROUNDS		100

typedef volatile uint64_t page_t;

static void fill(page_t *page, uint64_t seed)
{
	for (unsigned i = 0; i < WORDS; i++)
		page[i] = seed * 0x9e3779b97f4a7c15ull + i;
}

static bool filled(const page_t *page, uint64_t seed)
{
	for (unsigned i = 0; i < WORDS; i++)
		if (page[i] != seed * 0x9e3779b97f4a7c15ull + i)
			return false;
	return true;
}

static bool zero(const page_t *page)
{
	for (unsigned i = 0; i < WORDS; i++)
		if (page[i])
			return false;
	return true;
}

static void show(uint32_t msr, const page_t *page)
{
	wrmsr(msr, (uintptr_t)page | ENABLE);
}

static void hide(uint32_t msr)
{
	wrmsr(msr, 0);
}

static void name(const char *what)
{
	print("# %s\n", what);
}

/* A page that starts as zeros and that the guest may write. */
/* TLFS: SYNIC-06 SYNIC-07 SYNIC-12 GPA-09 GPA-10 */
static void covers(uint32_t msr)
{
	page_t *page = page_alloc(), *other = page_alloc();

	fill(page, 1);
	fill(other, 2);
	show(msr, page);
	check(zero(page), "an enabled page hides memory and is zero");
	page[5] = 0x1234;
	check_eq(page[5], 0x1234, "the guest can write it");
	hide(msr);
	check(filled(page, 1), "disabled, memory is as it was");
	show(msr, page);
	check_eq(page[5], 0x1234, "enabled again, the page is as it was");
	show(msr, other);
	check(filled(page, 1), "moved, memory at the old place is as it was");
	check(other[5] == 0x1234 && !other[6],
	      "moved, the page is at the new place");
	wrmsr(msr, (uintptr_t)other);
	check(filled(other, 2), "disabled there, that memory is as it was");
	fill(page, 3);
	check(filled(page, 3), "memory that was covered is ordinary memory");
}

/* TLFS: HC-79 HC-81 */
static void hypercall_page_covers(void)
{
	page_t *page = page_alloc(), *other = page_alloc();
	uint64_t code;

	fill(page, 1);
	fill(other, 2);
	wrmsr(HV_X64_MSR_GUEST_OS_ID, GUEST_OS_ID);
	show(HV_X64_MSR_HYPERCALL, page);
	code = page[0];
	check(!filled(page, 1), "the hypercall page hides memory");
	show(HV_X64_MSR_HYPERCALL, other);
	check(filled(page, 1), "moved, memory at the old place is as it was");
	check_eq(other[0], code, "moved, the page is at the new place");
	wrmsr(HV_X64_MSR_GUEST_OS_ID, 0);
	check(filled(other, 2), "without GUEST_OS_ID, memory is as it was");
}

/* TLFS: TIME-08 TIME-20 */
static void tsc_page_covers(void)
{
	page_t *page = page_alloc();

	if (!has_access(HV_ACCESS_PARTITION_REFERENCE_TSC)) {
		skip("the reference TSC page hides memory", "not offered");
		return;
	}
	fill(page, 4);
	show(HV_X64_MSR_REFERENCE_TSC, page);
	check(!page[WORDS - 1] && !filled(page, 4),
	      "the reference TSC page hides memory");
	hide(HV_X64_MSR_REFERENCE_TSC);
	check(filled(page, 4), "disabled, memory is as it was");
}

/* Two overlays on one page: either may be seen first. */
/* TLFS: GPA-11 SYNIC-11 */
static void stacked(uint32_t first, uint32_t second, const char *sentence)
{
	page_t *page = page_alloc(), *away = page_alloc();

	show(HV_X64_MSR_SIMP, away);
	away[1] = HV_X64_MSR_SIMP;
	show(HV_X64_MSR_SIEFP, page);
	page[1] = HV_X64_MSR_SIEFP;
	hide(HV_X64_MSR_SIEFP);
	fill(page, 5);
	show(HV_X64_MSR_SIEFP, page);
	show(HV_X64_MSR_SIMP, page);
	check(page[1] == HV_X64_MSR_SIMP || page[1] == HV_X64_MSR_SIEFP,
	      "of two overlays on one page, one is seen");
	hide(first);
	check_eq(page[1], second, sentence);
	hide(second);
	check(filled(page, 5), "without both, memory is as it was");
}

/* The borders of memory, and pages that are no memory. */
/* TLFS: SYNIC-05 */
static void places(void)
{
	page_t *low = (page_t *)LOW_PAGE;
	page_t *last = (page_t *)(POOL_END - PAGE_SIZE);
	static const uint64_t nowhere[] = {
		POOL_END, 0xfee00000, 0xfffff000, 1ull << 40, 1ull << 52,
		~0xfffull,
	};

	fill(low, 6);
	fill(last, 7);
	show(HV_X64_MSR_SIMP, low);
	show(HV_X64_MSR_SIEFP, last);
	check(!low[3] && !last[3], "below 1 MiB and at the end of memory too");
	hide(HV_X64_MSR_SIMP);
	hide(HV_X64_MSR_SIEFP);
	check(filled(low, 6) && filled(last, 7), "and they are as they were");
	for (unsigned i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) {
		TRY(wrmsr(HV_X64_MSR_SIMP, nowhere[i] | ENABLE));
		TRY(wrmsr(HV_X64_MSR_SIEFP, nowhere[i] | ENABLE));
		TRY(wrmsr(HV_X64_MSR_REFERENCE_TSC, nowhere[i] | ENABLE));
	}
	show(HV_X64_MSR_SIMP, low);
	check(!filled(low, 6), "after pages outside memory, others still work");
	hide(HV_X64_MSR_SIMP);
	hide(HV_X64_MSR_SIEFP);
	hide(HV_X64_MSR_REFERENCE_TSC);
	check(filled(low, 6) && filled(last, 7), "and go again");
}

#define PRESENT_WRITE	3ull
#define WINDOW		((page_t *)(1ull << 39))

static uint64_t cr3(void)
{
	uint64_t value;

	asm volatile("mov %%cr3, %0" : "=r"(value) : : "memory");
	return value;
}

static void flush_tlb(void)
{
	asm volatile("mov %0, %%cr3" : : "r"(cr3()) : "memory");
}

/* Let @table, a page's worth of the lowest entries, translate WINDOW. */
static void translate_by(page_t *table)
{
	page_t *pml4 = (page_t *)(uintptr_t)(cr3() & ~0xfffull);
	page_t *pdpt = page_alloc(), *directory = page_alloc();

	directory[0] = (uintptr_t)table | PRESENT_WRITE;
	pdpt[0] = (uintptr_t)directory | PRESENT_WRITE;
	pml4[1] = (uintptr_t)pdpt | PRESENT_WRITE;
	flush_tlb();
}

/* What a page table says may be that of the overlay or of memory. */
static bool is_either(page_t *a, page_t *b)
{
	volatile uint64_t value = 0;

	if (TRY(value = WINDOW[0]; WINDOW[1] = value) != NO_TRAP)
		return false;
	return value == a[0] || value == b[0];
}

/* TLFS: GPA-15 */
static void page_tables(void)
{
	page_t *table = page_alloc(), *a = page_alloc(), *b = page_alloc();
	unsigned good = 0;

	a[0] = 0xa;
	b[0] = 0xb;
	table[0] = (uintptr_t)a | PRESENT_WRITE;
	show(HV_X64_MSR_SIMP, table);
	table[0] = (uintptr_t)b | PRESENT_WRITE;
	translate_by(table);
	for (unsigned i = 0; i < ROUNDS; i++) {
		good += is_either(a, b);
		hide(HV_X64_MSR_SIMP);
		good += is_either(a, b);
		flush_tlb();
		good += is_either(a, b);
		show(HV_X64_MSR_SIMP, table);
		flush_tlb();
	}
	check_eq(good, 3 * ROUNDS, "a page table may be on an overlay");
	hide(HV_X64_MSR_SIMP);

	/* Bytes of code are no translation, and take no accessed bit. */
	hypercall_enable();
	translate_by(hypercall_page);
	TRY(b[2] = WINDOW[0]);
	TRY(WINDOW[PAGE_SIZE / sizeof(WINDOW[0])] = 1);
	translate_by(table);
	check(is_either(a, b), "on one that cannot be one, too, without harm");
}

/*
 * Another processor reads the page all the time, so that it has it in its TLB,
 * and tells what it sees when asked.
 */
static page_t *watched;
static volatile uint64_t seen;
static volatile uint32_t asked, answered;

static void watch(void)
{
	for (;;) {
		uint32_t n = __atomic_load_n(&asked, __ATOMIC_ACQUIRE);
		uint64_t value = watched[5];

		if (n != answered) {
			seen = value;
			__atomic_store_n(&answered, n, __ATOMIC_RELEASE);
		}
		pause();
	}
}

static uint64_t ask(void)
{
	__atomic_add_fetch(&asked, 1, __ATOMIC_RELEASE);
	if (!WAIT(__atomic_load_n(&answered, __ATOMIC_ACQUIRE) == asked, 10000))
		bail("the other processor does not answer");
	return seen;
}

/* TLFS: SYNIC-10 GPA-10 */
static void other_processor(void)
{
	unsigned covered = 0, uncovered = 0;

	watched = page_alloc();
	watched[5] = 0xa;
	show(HV_X64_MSR_SIMP, watched);
	watched[5] = 0xb;
	hide(HV_X64_MSR_SIMP);
	start_cpus(watch);
	for (unsigned i = 0; i < ROUNDS; i++) {
		show(HV_X64_MSR_SIMP, watched);
		covered += ask() == 0xb;
		hide(HV_X64_MSR_SIMP);
		uncovered += ask() == 0xa;
	}
	check_eq(covered, ROUNDS, "another processor sees the page at once");
	check_eq(uncovered, ROUNDS, "and memory at once when it goes");
}

void test_main(void)
{
	name("SIMP");
	covers(HV_X64_MSR_SIMP);
	name("SIEFP");
	covers(HV_X64_MSR_SIEFP);
	name("HYPERCALL");
	hypercall_page_covers();
	name("REFERENCE_TSC");
	tsc_page_covers();
	name("SIMP and SIEFP on one page");
	stacked(HV_X64_MSR_SIMP, HV_X64_MSR_SIEFP,
		"without the first, the second is seen");
	stacked(HV_X64_MSR_SIEFP, HV_X64_MSR_SIMP,
		"without the second, the first is seen");
	name("places");
	places();
	name("page tables");
	page_tables();
	if (option_number("cpus", 1) == 2)
		other_processor();
}
