/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ways a guest ends.  "how=" says which; the runner knows what to expect. */
#include "hyperv.h"

#define WINDOWS_ID	0x0001040a00004f7cull	/* 10.0, build 20348 */
#define CRASH_TEXT	"Kernel panic - not syncing: micro guest"

/* TLFS: CRASH-04 CRASH-05 CRASH-11 */
static void panic(bool with_message)
{
	char *text = page_alloc();
	uint64_t ctl = HV_CRASH_CTL_CRASH_NOTIFY;

	memcpy(text, CRASH_TEXT, sizeof(CRASH_TEXT) - 1);
	for (uint32_t i = 0; i < 3; i++)
		wrmsr(HV_X64_MSR_CRASH_P0 + i, 0xabc0 + i);
	if (with_message) {
		wrmsr(HV_X64_MSR_CRASH_P0 + 3, (uintptr_t)text);
		wrmsr(HV_X64_MSR_CRASH_P0 + 4, sizeof(CRASH_TEXT) - 1);
		ctl |= HV_CRASH_CTL_CRASH_NOTIFY_MSG;
	}
	wrmsr(HV_X64_MSR_CRASH_CTL, ctl);
	report(false, "a crash is the end", "%s", "the guest still runs");
}

/* As Windows does, whose parameters are a code and its four. */
static void bugcheck(void)
{
	wrmsr(HV_X64_MSR_GUEST_OS_ID, WINDOWS_ID);
	for (uint32_t i = 0; i < 5; i++)
		wrmsr(HV_X64_MSR_CRASH_P0 + i, 0x7b + i);
	wrmsr(HV_X64_MSR_CRASH_CTL, HV_CRASH_CTL_CRASH_NOTIFY);
}

static void triple_fault(void)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none;

	asm volatile("lidt %0; ud2" : : "m"(none));
}

/* The stack is where no exception can be written to. */
static void stack_on_page(void)
{
	hypercall_enable();
	asm volatile("mov %0, %%rsp; push %%rax"
		     : : "r"((char *)hypercall_page + PAGE_SIZE));
}

/* No interrupt will come. */
static void idle(void)
{
	irq_off();
	for (;;)
		rdmsr(HV_X64_MSR_GUEST_IDLE);
}

void test_main(void)
{
	check(true, "the guest runs");
	if (option_is("how", "panic"))
		panic(true);
	else if (option_is("how", "bare-panic"))
		panic(false);
	else if (option_is("how", "bugcheck"))
		bugcheck();
	else if (option_is("how", "triple-fault"))
		triple_fault();
	else if (option_is("how", "stack-on-page"))
		stack_on_page();
	else if (option_is("how", "sleep"))
		for (;;)
			irq_wait();
	else if (option_is("how", "idle"))
		idle();
	else if (option_is("how", "spin"))
		for (;;)
			pause();
	/* The rest is a power-off by ACPI. */
}
