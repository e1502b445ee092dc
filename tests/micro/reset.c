/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A reset by the route in "how=": the machine starts again as on the first day,
 * but for its memory and its clock.  "disk=1": with a disk in use.
 */
#include "storage.h"

#define MAGIC		0x6b766d6275736b70ull
#define RESETS		3
#define REQUESTS	20
#define TIMER_VECTOR	0x80

#define PORT_KEYBOARD	0x64
#define KEYBOARD_RESET	0xfe
#define PORT_92		0x92
#define PORT_92_RESET	1
#define PORT_ACPI	0x433
#define PORT_CF9	0xcf9
#define CF9_HARD	2
#define CF9_GO		4

/* In a page that no image covers. */
static struct kept {
	uint64_t magic;
	uint64_t time;
	uint64_t resets;
	uint64_t covered;		/* page behind SIM */
} *const kept = (struct kept *)KEEP;

static void triple_fault(void)
{
	static const struct {
		uint16_t limit;
		uintptr_t base;
	} __attribute__((packed)) none;

	asm volatile("lidt %0; ud2" : : "m"(none));
}

/* TLFS: BOOT-01 */
static void reset(void)
{
	if (option_is("how", "acpi")) {
		outb(PORT_ACPI, 1);
	} else if (option_is("how", "cf9")) {
		outb(PORT_CF9, CF9_HARD);
		outb(PORT_CF9, CF9_HARD | CF9_GO);
	} else if (option_is("how", "keyboard")) {
		outb(PORT_KEYBOARD, KEYBOARD_RESET);
	} else if (option_is("how", "port92")) {
		outb(PORT_92, inb(PORT_92) | PORT_92_RESET);
	} else if (option_is("how", "msr")) {
		wrmsr(HV_X64_MSR_RESET, 1);
	} else if (option_is("how", "triple-fault")) {
		triple_fault();
	} else if (option_is("how", "panic")) {
		wrmsr(HV_X64_MSR_CRASH_CTL, HV_CRASH_CTL_CRASH_NOTIFY);
	}
}

/* Read a sector, and leave more requests behind that nobody waits for. */
static void use_disk(void)
{
	struct channel offers[4], *ch = NULL;
	uint32_t *data = page_alloc();
	unsigned n;

	vmbus_prepare();
	if (vmbus_connect(VERSION_WIN10_V5_3)) {
		n = vmbus_offers(offers, 4);
		ch = storage_find(offers, n < 4 ? n : 4);
	}
	if (!ch) {
		report(false, "the disk can be used", "%s", "no controller");
		return;
	}
	check(channel_open(ch, 4) && storage_begin(ch) &&
	      storage_sector(ch, 9, data, false) && data[3] == 9,
	      "the disk can be used");
	for (n = 0; n < REQUESTS; n++)
		storage_submit(ch, n + 100, page_alloc(), n & 1);
}

/* Use all that a reset must undo. */
static void make_a_mess(void)
{
	uint64_t *covered = page_alloc();

	covered[7] = MAGIC;
	kept->covered = (uintptr_t)covered;
	if (option_is("disk", "1")) {
		use_disk();
	} else {
		hypercall_enable();
		synic_enable();
	}
	wrmsr(HV_X64_MSR_SIMP, (uintptr_t)covered | HV_MSR_PAGE_ENABLE);
	sint_set(2, 0x91);
	wrmsr(HV_X64_MSR_CRASH_P0, 1);
	if (has_access(HV_ACCESS_PARTITION_REFERENCE_TSC))
		wrmsr(HV_X64_MSR_REFERENCE_TSC,
		      (uintptr_t)page_alloc() | HV_MSR_PAGE_ENABLE);
	wrmsr(STIMER_COUNT(0), MS);
	wrmsr(STIMER_CONFIG(0), HV_STIMER_ENABLE | HV_STIMER_PERIODIC |
	      HV_STIMER_DIRECT | TIMER_VECTOR << 4);
	check(WAIT(irqs(TIMER_VECTOR) > 1, 5000), "the guest uses its timer");
}

static void other_cpu(void)
{
	synic_enable();
	sint_set(3, 0x92);
	reset();
}

/* TLFS: BOOT-02 */
static void check_registers(void)
{
	static const struct {
		uint32_t msr;
		uint64_t value;
	} table[] = {
		{ HV_X64_MSR_GUEST_OS_ID, 0 },
		{ HV_X64_MSR_HYPERCALL, 0 },
		{ HV_X64_MSR_SCONTROL, 0 },
		{ HV_X64_MSR_SIEFP, 0 },
		{ HV_X64_MSR_SIMP, 0 },
		{ SINT(2), HV_SYNIC_SINT_MASKED },
		{ SINT(3), HV_SYNIC_SINT_MASKED },
		{ STIMER_CONFIG(0), 0 },
		{ STIMER_COUNT(0), 0 },
		{ HV_X64_MSR_CRASH_P0, 0 },
	};

	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (rdmsr(table[i].msr) != table[i].value) {
			report(false, "registers have their reset values",
			       "%#x has %#llx", table[i].msr,
			       (unsigned long long)rdmsr(table[i].msr));
			return;
		}
	if (has_access(HV_ACCESS_PARTITION_REFERENCE_TSC))
		check_eq(rdmsr(HV_X64_MSR_REFERENCE_TSC), 0,
			 "REFERENCE_TSC has its reset value");
	report(true, "registers have their reset values", "%s", "");
}

/* TLFS: BOOT-09 */
static void check_restart(void)
{
	const uint64_t *covered = (uint64_t *)(uintptr_t)kept->covered;
	uint32_t before = irqs(TIMER_VECTOR);

	check(ref_time() > kept->time, "reference time goes on");
	check_registers();
	check_eq(covered[7], MAGIC, "memory under overlays is as it was");
	delay(5 * MS);
	check_eq(irqs(TIMER_VECTOR), before, "the timer is off");
}

void test_main(void)
{
	if (kept->magic == MAGIC)
		check_restart();
	else
		*kept = (struct kept){ .magic = MAGIC };
	if (kept->resets == RESETS)
		return;

	kept->resets++;
	make_a_mess();
	kept->time = ref_time();
	fence();
	if (option_number("cpus", 1) > 1)
		start_cpus(other_cpu);
	else
		reset();
	delay(5000 * MS);
	report(false, "the machine restarts", "%s", "it still runs");
	kept->magic = 0;
}
