/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The APIC's EOI, ICR and TPR as MSRs.  TLFS 10.2.3. */
#include "hyperv.h"

#define LOW		0x51
#define HIGH		0x91
#define LEVEL		0x71
#define LONG		5000		/* ms that nothing takes on any host */
#define SHORT		(5 * MS)	/* time for what must not happen */

#define ICR_ASSERT	0x4000ull
#define ICR_SELF	0x40000ull
#define ICR_PENDING	0x1000ull
#define ICR_DEST(id)	((uint64_t)(id) << 56)

#define IOAPIC		0xfec00000u
#define IOAPIC_PIN(n)	(0x10 + 2 * (n))
#define IOAPIC_LEVEL	0x8000
#define IOAPIC_MASKED	0x10000

#define COM2		0x2f8
#define COM2_PIN	3
#define UART_IER	1
#define UART_MCR	4
#define IER_EMPTY	2		/* its transmitter is always empty */
#define MCR_OUT2	8		/* gates the wire */

static void eoi(void)
{
	wrmsr(HV_X64_MSR_EOI, 0);
}

static void send(uint8_t vector)
{
	wrmsr(HV_X64_MSR_ICR, ICR_SELF | ICR_ASSERT | vector);
}

/* How often @vector comes in a while. */
static uint32_t more(uint8_t vector)
{
	uint32_t before = irqs(vector);

	delay(SHORT);
	return irqs(vector) - before;
}

/* TLFS: VIC-08 VIC-09 VIC-12 */
static void one_write_sends(void)
{
	uint32_t before = irqs(LOW), after;

	send(LOW);
	after = irqs(LOW);
	check_eq(after - before, 1,
		 "an IPI to oneself is taken before the next instruction");
	check_eq(rdmsr(HV_X64_MSR_ICR) & ~ICR_PENDING,
		 ICR_SELF | ICR_ASSERT | LOW, "ICR reads as it was written");
	check_eq(apic_read(APIC_ICR) & ~ICR_PENDING,
		 ICR_SELF | ICR_ASSERT | LOW, "and is the APIC's register");
	eoi();
}

/* Interrupts are in service until EOI says that they are not. */
/* TLFS: VIC-07 */
static void eoi_ends(void)
{
	uint32_t before = irqs(LOW);

	check_eq(TRY(rdmsr(HV_X64_MSR_EOI)), TRAP_GP, "EOI cannot be read");
	send(LOW);
	send(LOW);
	check_eq(irqs(LOW) - before + more(LOW), 1,
		 "without EOI the same vector waits");
	eoi();
	check(WAIT(irqs(LOW) - before == 2, LONG), "and comes after EOI");
	send(HIGH);
	before = irqs(LOW);
	send(LOW);
	wrmsr(HV_X64_MSR_EOI, 0xffffffff);
	check_eq(more(LOW), 0, "EOI ends the highest one only");
	eoi();
	check(WAIT(irqs(LOW) - before == 1, LONG),
	      "the next EOI ends the other one");
	eoi();
}

static void ioapic_write(uint32_t reg, uint32_t value)
{
	volatile uint32_t *ioapic = (volatile uint32_t *)(uintptr_t)IOAPIC;

	ioapic[0] = reg;
	ioapic[4] = value;
}

/* The IOAPIC hears of it, and sends again what is still asserted. */
static void level_triggered(void)
{
	uint32_t before = irqs(LEVEL);

	ioapic_write(IOAPIC_PIN(COM2_PIN) + 1, apic_id() << 24);
	ioapic_write(IOAPIC_PIN(COM2_PIN), IOAPIC_LEVEL | LEVEL);
	outb(COM2 + UART_MCR, MCR_OUT2);
	outb(COM2 + UART_IER, IER_EMPTY);
	check(WAIT(irqs(LEVEL) - before == 1, LONG),
	      "a level-triggered interrupt comes");
	check_eq(more(LEVEL), 0, "and is in service");
	eoi();
	check(WAIT(irqs(LEVEL) - before == 2, LONG),
	      "after EOI it comes again, for its wire is still high");
	outb(COM2 + UART_IER, 0);
	eoi();
	check_eq(more(LEVEL), 0, "and no more when that is low");
	ioapic_write(IOAPIC_PIN(COM2_PIN), IOAPIC_MASKED);
}

/* TLFS: VIC-10 */
static void tpr_masks(void)
{
	uint32_t before = irqs(LOW);

	wrmsr(HV_X64_MSR_TPR, LOW & 0xf0);
	check_eq(rdmsr(HV_X64_MSR_TPR), LOW & 0xf0, "TPR keeps its 8 bits");
	check_eq(apic_read(APIC_TPR), LOW & 0xf0, "and is the APIC's register");
	send(LOW);
	check_eq(more(LOW), 0, "an interrupt of its class waits");
	send(HIGH);
	check(WAIT(irqs(HIGH) != 0, LONG), "a higher one does not");
	eoi();
	wrmsr(HV_X64_MSR_TPR, 0);
	check(WAIT(irqs(LOW) - before == 1, LONG), "until TPR is lower");
	eoi();
	apic_write(APIC_TPR, 0x30);
	check_eq(rdmsr(HV_X64_MSR_TPR), 0x30, "TPR reads what the APIC has");
	wrmsr(HV_X64_MSR_TPR, 0);
}

/*
 * The first word of the assist page: bit 0 says that the interrupt in service
 * needs no EOI, and is cleared by a guest that knows.  The host may take it
 * back whenever the guest leaves, so handlers look at once, and often.
 */
static uint32_t *assist;
static unsigned saved, stale;

static void assist_on(void)
{
	wrmsr(HV_X64_MSR_VP_ASSIST_PAGE,
	      (uintptr_t)assist | HV_MSR_PAGE_ENABLE);
}

static uint32_t assist_is(void)
{
	return __atomic_load_n(assist, __ATOMIC_SEQ_CST);
}

/* As guests do it. */
static void end(void)
{
	if (__atomic_exchange_n(assist, 0, __ATOMIC_SEQ_CST) & 1)
		saved++;
	else
		eoi();
	stale |= assist_is();
}

/* As those do who do not look. */
static void end_for_real(void)
{
	saved += assist_is();
	eoi();
	stale |= assist_is();
}

static void end_without_page(void)
{
	saved += assist_is();
	wrmsr(HV_X64_MSR_VP_ASSIST_PAGE, 0);
	eoi();
	assist_on();
	stale |= assist_is();
}

/* All come whose predecessor was ended, and most are told to need no EOI. */
static void many(void (*handler)(void), const char *all, const char *most)
{
	uint32_t before = irqs(LOW);

	saved = stale = 0;
	irq_handle(LOW, handler);
	for (unsigned i = 0; i < 100; i++)
		send(LOW);
	irq_handle(LOW, NULL);
	check_eq(irqs(LOW) - before, 100, all);
	check(saved >= 50, most);
	check_eq(stale, 0, "and that goes for one");
}

/* TLFS: VP-58 VIC-13 VIC-15 VIC-16 VIC-17 VIC-18 */
static void eois_are_saved(void)
{
	many(end, "an EOI that is saved is one", "most of them are saved");
	many(end_for_real, "one that is needless is one, too",
	     "most of them are needless");
	many(end_without_page, "so it is if the page goes before",
	     "which is while none is needed");
}

/* TLFS: VIC-14 */
static void an_eoi_is_needed_when_another_waits(void)
{
	uint32_t before = irqs(LOW);

	irq_handle(LOW, end);
	send(HIGH);
	send(LOW);
	check_eq(assist_is(), 0, "with another one waiting EOI is needed");
	check_eq(irqs(LOW) - before, 0, "for that waits");
	eoi();
	check(WAIT(irqs(LOW) - before == 1, LONG), "until EOI");
	irq_handle(LOW, NULL);
}

static void look_at_assist(void)
{
	stale |= assist_is();
}

/* TLFS: VIC-19 */
static void a_level_needs_its_eoi(void)
{
	stale = 0;
	irq_handle(LEVEL, look_at_assist);
	level_triggered();
	check_eq(stale, 0, "and needs its EOI");
	irq_handle(LEVEL, NULL);
}

static void saved_eois(void)
{
	assist = page_alloc();
	assist_on();
	eois_are_saved();
	an_eoi_is_needed_when_another_waits();
	a_level_needs_its_eoi();
	wrmsr(HV_X64_MSR_VP_ASSIST_PAGE, 0);
}

static volatile uint32_t other_took;

static void other_cpu(void)
{
	while (!irqs(LOW))
		irq_wait();
	eoi();
	while (irqs(LOW) < 2)
		irq_wait();
	eoi();
	other_took = irqs(LOW);
}

static void to_another(void)
{
	start_cpus(other_cpu);
	if (!WAIT(cpus_started == 1, LONG))
		bail("the other processor does not start");
	for (unsigned i = 0; i < 2; i++) {
		wrmsr(HV_X64_MSR_ICR, ICR_DEST(1) | ICR_ASSERT | LOW);
		WAIT(nth_cpu(1)->irqs[LOW] == i + 1, LONG);
	}
	check_eq(rdmsr(HV_X64_MSR_ICR) >> 32, 1u << 24,
		 "the high half of ICR is the destination");
	check(WAIT(other_took == 2, LONG), "it takes what is sent to it");
}

static bool is_recommended(void)
{
	return cpuid(HV_CPUID_ENLIGHTENMENT_INFO).eax &
	       HV_RECOMMEND_APIC_MSRS;
}

/* TLFS: PART-08 */
static void refused(void)
{
	for (uint32_t msr = HV_X64_MSR_EOI; msr <= HV_X64_MSR_TPR; msr++) {
		check_eq(TRY(rdmsr(msr)), TRAP_GP, "reading it is #GP");
		check_eq(TRY(wrmsr(msr, 0)), TRAP_GP, "writing it is #GP");
	}
}

void test_main(void)
{
	const uint8_t vectors[] = { LOW, HIGH, LEVEL };

	if (!has_access(HV_ACCESS_INTR_CTRL_REGS)) {
		refused();
		return;
	}
	for (unsigned i = 0; i < sizeof(vectors); i++)
		irq_without_eoi(vectors[i]);
	one_write_sends();
	eoi_ends();
	level_triggered();
	tpr_masks();
	if (is_recommended())
		saved_eois();
	if (option_number("cpus", 1) > 1)
		to_another();
}
