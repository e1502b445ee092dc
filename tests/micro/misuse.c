/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What no sane guest does, case by case: pages over each other and where no
 * memory is, vectors that are exceptions, calls before there is a page to
 * call, messages to everybody, input that changes while it is read.
 */
#include "hyperv.h"
#include "random.h"

#define WORDS		(PAGE_SIZE / sizeof(uint64_t))
#define PLACINGS	300
#define UNKNOWN_CALL	0x7ffe
#define MESSAGE_ID	1		/* VMBus's, as an example */
#define IDS_TRIED	0x2000
#define CALLS		5000

typedef volatile uint64_t page_t;

/* A register that puts a page somewhere, and how the page is known. */
static struct overlay {
	uint32_t msr;
	unsigned word;
	uint64_t mark;		/* what the word holds */
	unsigned order;		/* of being put there; 0: away */
} overlays[] = {
	{ HV_X64_MSR_HYPERCALL, 0 },
	{ HV_X64_MSR_REFERENCE_TSC, 1 },
	{ HV_X64_MSR_SIMP, 5, 0xa1 },
	{ HV_X64_MSR_SIEFP, 5, 0xa2 },
	{ HV_X64_MSR_VP_ASSIST_PAGE, 5, 0xa3 },
};

static void show(uint32_t msr, const page_t *page)
{
	wrmsr(msr, (uintptr_t)page | HV_MSR_PAGE_ENABLE);
}

/* Our mark into those that can be written; the others have their own. */
static void mark(page_t *page)
{
	for (unsigned i = 0; i < ARRAY_SIZE(overlays); i++) {
		struct overlay *o = &overlays[i];

		show(o->msr, page);
		if (o->mark)
			page[o->word] = o->mark;
		else
			o->mark = page[o->word];
		wrmsr(o->msr, 0);
	}
}

/* The last that was put there is seen, or else memory. */
static bool seen_is_right(const page_t *page)
{
	const struct overlay *top = NULL;

	for (unsigned i = 0; i < ARRAY_SIZE(overlays); i++)
		if (overlays[i].order > (top ? top->order : 0))
			top = &overlays[i];
	if (top)
		return page[top->word] == top->mark;
	for (unsigned i = 0; i < WORDS; i++)
		if (page[i] != i)
			return false;
	return true;
}

/* TLFS: GPA-09 GPA-10 GPA-11 GPA-12 SYNIC-12 TIME-20 HC-81 */
static void over_each_other(void)
{
	page_t *page = page_alloc();
	unsigned right = 0;

	for (unsigned i = 0; i < WORDS; i++)
		page[i] = i;
	mark(page);
	for (unsigned i = 1; i <= PLACINGS; i++) {
		struct overlay *o = &overlays[below(ARRAY_SIZE(overlays))];

		o->order = o->order ? 0 : i;
		if (o->order)
			show(o->msr, page);
		else
			wrmsr(o->msr, 0);
		right += seen_is_right(page);
	}
	check_eq(right, PLACINGS, "of five pages on one, the last is seen");
	for (unsigned i = 0; i < ARRAY_SIZE(overlays); i++) {
		wrmsr(overlays[i].msr, 0);
		overlays[i].order = 0;
	}
	check(seen_is_right(page), "without them, memory is as it was");
}

/* Whether the page can be at @place, and the APIC is still there. */
static bool goes_nowhere(uint32_t msr, uint64_t place)
{
	const uint32_t id = apic_read(APIC_ID);
	uint64_t value = place | HV_MSR_PAGE_ENABLE;
	bool good = TRY(wrmsr(msr, value)) == NO_TRAP && rdmsr(msr) == value;

	good &= apic_read(APIC_ID) == id;
	wrmsr(msr, 0);
	return good;
}

/* TLFS: SYNIC-05 TIME-09 HC-76 */
static void nowhere(void)
{
	static const uint64_t places[] = {
		POOL_END, 0xf8000000, 0xfec00000, 0xfee00000, 0xfffff000,
		1ull << 52, HV_MSR_PAGE_MASK,
	};
	unsigned wrong = 0, lost = 0;
	page_t *page = page_alloc();

	for (unsigned i = 0; i < ARRAY_SIZE(places); i++)
		for (unsigned j = 0; j < ARRAY_SIZE(overlays); j++) {
			uint32_t msr = overlays[j].msr;
			bool refused = msr == HV_X64_MSR_HYPERCALL &&
				       places[i] >= 1ull << 52;

			wrong += goes_nowhere(msr, places[i]) == refused;
		}
	check_eq(wrong, 0, "pages may be where there is no memory");
	for (unsigned i = 0; i < ARRAY_SIZE(overlays); i++) {
		show(overlays[i].msr, page);
		lost += page[overlays[i].word] != overlays[i].mark;
		wrmsr(overlays[i].msr, 0);
	}
	check_eq(lost, 0, "and cover memory again afterwards");
}

/* TLFS: SYNIC-14 */
static void low_vectors(void)
{
	unsigned wrong = 0;

	for (unsigned sint = 0; sint < HV_SYNIC_SINT_COUNT; sint++)
		for (uint64_t v = 0; v < HV_SYNIC_FIRST_VALID_VECTOR; v++) {
			wrmsr(SINT(sint), HV_SYNIC_SINT_MASKED | v);
			wrong += TRY(wrmsr(SINT(sint), v)) != TRAP_GP;
			wrong += rdmsr(SINT(sint)) !=
				 (HV_SYNIC_SINT_MASKED | v);
		}
	check_eq(wrong, 0, "a SINT takes no vector below 16 unless masked");
}

/* TLFS: TIME-54 */
static void low_timers(void)
{
	unsigned wrong = 0;

	if (!has_access(HV_ACCESS_SYNTHETIC_TIMER_REGS)) {
		skip("a timer does not run with a vector below 16",
		     "not offered");
		return;
	}
	for (uint64_t v = 0; v < HV_SYNIC_FIRST_VALID_VECTOR; v++) {
		wrmsr(STIMER_COUNT(0), 1);
		wrmsr(STIMER_CONFIG(0), HV_STIMER_ENABLE | HV_STIMER_DIRECT |
		      v << 4);
		wrong += rdmsr(STIMER_CONFIG(0)) & HV_STIMER_ENABLE;
		wrmsr(STIMER_COUNT(0), 0);
		wrmsr(STIMER_CONFIG(0), 0);
	}
	check_eq(wrong, 0, "a timer does not run with a vector below 16");
}

/* The code of the page, elsewhere, for when the page is not there. */
static void *copy_of_page(void)
{
	void *copy = page_alloc();

	hypercall_enable();
	memcpy(copy, hypercall_page, PAGE_SIZE);
	return copy;
}

/* TLFS: HC-15 OSID-02 OSID-03 */
static void not_enabled(void)
{
	void *copy = copy_of_page(), *page = hypercall_page;
	uint64_t status = 0;

	wrmsr(HV_X64_MSR_HYPERCALL, 0);
	hypercall_page = copy;
	check_eq(TRY(hypercall(UNKNOWN_CALL, 0, 0)), TRAP_UD,
		 "a call with the page disabled is #UD");
	wrmsr(HV_X64_MSR_GUEST_OS_ID, 0);
	show(HV_X64_MSR_HYPERCALL, page);
	check_eq(TRY(hypercall(UNKNOWN_CALL, 0, 0)), TRAP_UD,
		 "without an identity too");
	wrmsr(HV_X64_MSR_GUEST_OS_ID, GUEST_OS_ID);
	show(HV_X64_MSR_HYPERCALL, page);
	check(TRY(status = hypercall(UNKNOWN_CALL, 0, 0)) == TRAP_UD ||
	      status == HV_STATUS_INVALID_HYPERCALL_CODE,
	      "a copy of the page is refused or works");
	hypercall_page = page;
	check_eq(hypercall(UNKNOWN_CALL, 0, 0),
		 HV_STATUS_INVALID_HYPERCALL_CODE, "the page itself works");
}

static bool is_fine(uint16_t status)
{
	return status == HV_STATUS_SUCCESS ||
	       status == HV_STATUS_INSUFFICIENT_BUFFERS ||
	       status == HV_STATUS_INVALID_PORT_ID ||
	       status == HV_STATUS_INVALID_CONNECTION_ID;
}

/* TLFS: IPC-01 IPC-10 */
static void to_everybody(void)
{
	static const uint64_t payload[30];
	unsigned taken = 0, wrong = 0;
	uint16_t status;

	for (uint32_t id = 0; id < IDS_TRIED; id++) {
		status = post_message(id, 1, payload, sizeof(payload));
		taken += status == HV_STATUS_SUCCESS;
		wrong += !is_fine(status);
	}
	report(taken && taken < 16 && !wrong,
	       "few connections take messages, the others refuse",
	       "%u and %u", taken, wrong);
	for (uint32_t bit = 24; bit < 32; bit++)
		wrong += post_message(1u << bit | MESSAGE_ID, 1, payload, 8) !=
			 HV_STATUS_INVALID_CONNECTION_ID;
	check_eq(wrong, 0, "connection ids have 24 bits");
}

/* Input that another processor changes all the time. */
static struct {
	struct hv_input_post_message in;
	uint8_t payload[240];
} racy __attribute__((aligned(PAGE_SIZE)));

static void change(void)
{
	volatile uint32_t *words = (void *)&racy;

	for (uint32_t i = 0;; i++) {
		words[0] = i & 1 ? MESSAGE_ID : UINT32_MAX;
		words[2] = i & 2 ? 1 : UINT32_MAX;
		words[3] = i & 4 ? 240 : UINT32_MAX;
	}
}

/* TLFS: HC-11 */
static void changing_input(void)
{
	unsigned wrong = 0, good = 0;
	uint16_t status;

	start_cpus(change);
	for (unsigned i = 0; i < CALLS; i++) {
		status = (uint16_t)hypercall(HVCALL_POST_MESSAGE,
					     (uintptr_t)&racy, 0);
		good += status == HV_STATUS_SUCCESS ||
			status == HV_STATUS_INSUFFICIENT_BUFFERS;
		wrong += !is_fine(status) &&
			 status != HV_STATUS_INVALID_PARAMETER;
	}
	report(good && good < CALLS && !wrong,
	       "input that changes is taken or refused", "%u good, %u wrong",
	       good, wrong);
}

void test_main(void)
{
	random_seed(option_number("seed", 1));
	wrmsr(HV_X64_MSR_GUEST_OS_ID, GUEST_OS_ID);
	over_each_other();
	nowhere();
	low_vectors();
	low_timers();
	not_enabled();
	to_everybody();
	if (option_number("cpus", 1) == 2)
		changing_input();
}
