/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest idle: a read sleeps until an interrupt is pending, whether or not it
 * can be taken.  TLFS 7.5.
 */
#include "hyperv.h"

#define VECTOR		0x61
#define HIGH_VECTOR	0x91
#define TIMER_VECTOR	0x81
#define SINT_USED	3
#define SINT_VECTOR	0x71
#define TURNS		300
#define LONG		5000		/* ms that nothing takes on any host */
#define NAP		(20 * MS)

#define IPI_SELF	0x44000		/* fixed, edge, to this processor */
#define IPI_FIXED	0x4000
#define IPI_NMI		0x4400
#define NMI		2

static void idle(void)
{
	rdmsr(HV_X64_MSR_GUEST_IDLE);
}

static void send_self(uint8_t vector)
{
	apic_write(APIC_ICR, IPI_SELF | vector);
}

static void timer_at(uint64_t deadline)
{
	wrmsr(STIMER_COUNT(0), deadline);
	wrmsr(STIMER_CONFIG(0), HV_STIMER_ENABLE | HV_STIMER_DIRECT |
	      TIMER_VECTOR << 4);
}

/* Sleep until a timer's interrupt is there; when that was too early. */
static bool sleep_until(uint64_t deadline)
{
	timer_at(deadline);
	idle();
	return ref_time() >= deadline;
}

/* TLFS: VP-12 */
static void interrupts_on(void)
{
	uint32_t before = irqs(TIMER_VECTOR);

	check(sleep_until(ref_time() + NAP), "it sleeps until a timer expires");
	check_eq(irqs(TIMER_VECTOR) - before, 1,
		 "with IF set, the interrupt is taken at once");
}

/* TLFS: VP-13 */
static void interrupts_off(void)
{
	uint32_t before = irqs(TIMER_VECTOR);
	unsigned long flags;

	irq_off();
	check(sleep_until(ref_time() + NAP),
	      "with IF clear, it sleeps until a timer expires");
	flags = irq_save();
	check_eq(flags & 0x200, 0, "IF is still clear then");
	check_eq(irqs(TIMER_VECTOR) - before, 0, "the interrupt stays pending");
	irq_on();
	check(WAIT(irqs(TIMER_VECTOR) - before == 1, LONG),
	      "and is taken when IF is set");
}

/* What is pending already ends the sleep before it begins. */
/* TLFS: VP-14 */
static void pending(void)
{
	uint32_t before = irqs(VECTOR);
	uint64_t start;

	irq_off();
	send_self(VECTOR);
	start = ref_time();
	for (unsigned i = 0; i < TURNS; i++)
		idle();
	check(ref_time() - start < (uint64_t)LONG * MS,
	      "with an interrupt pending, it does not sleep");
	check_eq(irqs(VECTOR) - before, 0, "nor is that taken");
	irq_on();
	check(WAIT(irqs(VECTOR) - before == 1, LONG), "until IF is set");
}

/* TLFS: VP-13 */
static void masked_by_priority(void)
{
	uint32_t before = irqs(TIMER_VECTOR);

	apic_write(APIC_TPR, 0xf0);
	check(sleep_until(ref_time() + NAP),
	      "it sleeps until an interrupt comes that TPR masks");
	check_eq(irqs(TIMER_VECTOR) - before, 0, "which stays pending");
	check_eq(apic_read(APIC_TPR), 0xf0, "and TPR is as it was");
	apic_write(APIC_TPR, 0);
	check(WAIT(irqs(TIMER_VECTOR) - before == 1, LONG),
	      "until TPR is lower");
}

static volatile bool slept_in_handler;

static void sleep_in_handler(void)
{
	send_self(VECTOR);
	idle();
	slept_in_handler = true;
}

static void in_service(void)
{
	irq_handle(HIGH_VECTOR, sleep_in_handler);
	send_self(HIGH_VECTOR);
	check(WAIT(slept_in_handler, LONG),
	      "with one in service, a lower one ends the sleep");
}

static void apic_timer(void)
{
	unsigned n = 0;

	apic_write(APIC_TIMER_DIVIDE, APIC_DIVIDE_BY_1);
	apic_write(APIC_LVT_TIMER, VECTOR);
	irq_off();
	for (; n < 10; n++) {
		uint32_t before = irqs(VECTOR);

		apic_write(APIC_TIMER_COUNT, 1000000);
		idle();
		irq_on();
		if (!WAIT(irqs(VECTOR) != before, LONG))
			break;
		irq_off();
	}
	irq_on();
	apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED);
	check_eq(n, 10, "the APIC's timer ends it");
}

static void sint(void)
{
	uint32_t before = irqs(SINT_VECTOR);
	struct message m;

	synic_enable();
	sint_set(SINT_USED, SINT_VECTOR);
	irq_off();
	wrmsr(STIMER_COUNT(1), ref_time() + NAP);
	wrmsr(STIMER_CONFIG(1), HV_STIMER_ENABLE | (uint64_t)SINT_USED << 16);
	idle();
	check(message_take(SINT_USED, &m), "a SINT's message ends it");
	check_eq(irqs(SINT_VECTOR) - before, 0, "and is not taken");
	irq_on();
	check(WAIT(irqs(SINT_VECTOR) - before == 1, LONG), "yet");
}

/*
 * Two processors: one sleeps with IF clear until it is told, as a spinlock's
 * waiter does; the other tells and sends an IPI.  A wake-up that is lost is
 * the end of both.
 */
static volatile uint32_t told, heard;
static volatile bool sleeps_for_nmi, nmi_woke, started_anew, restarted;

/* STI alone lets none in before the next instruction. */
static void take_all(void)
{
	irq_on();
	pause();
	irq_off();
}

static void sleeper(void)
{
	for (uint32_t turn = 1; turn <= TURNS; turn++) {
		while (__atomic_load_n(&told, __ATOMIC_ACQUIRE) != turn) {
			idle();
			take_all();
		}
		__atomic_store_n(&heard, turn, __ATOMIC_RELEASE);
	}
	take_all();
	sleeps_for_nmi = true;
	nmi_woke = TRY(while (true) idle()) == NMI;
	while (true)
		idle();
}

/* It does not leave to the VMM here. */
static void after_sipi(void)
{
	started_anew = true;
	irq_on();
	while (!irqs(VECTOR))
		pause();
	irq_off();
	restarted = true;
}

/* TLFS: VP-13 VP-16 */
static void between_processors(void)
{
	uint32_t turn;

	start_cpus(sleeper);
	if (!WAIT(cpus_started == 1, LONG))
		bail("the other processor does not start");
	apic_write(APIC_ICR + 0x10, 1u << 24);
	for (turn = 1; turn <= TURNS; turn++) {
		/* Each time it is somewhere else. */
		delay(turn % 7);
		__atomic_store_n(&told, turn, __ATOMIC_RELEASE);
		apic_write(APIC_ICR, IPI_FIXED | VECTOR);
		if (!WAIT(heard == turn, LONG))
			break;
	}
	check_eq(turn, TURNS + 1, "an IPI always wakes a waiter without IF");
	if (!WAIT(sleeps_for_nmi, LONG))
		return;
	delay(NAP);
	apic_write(APIC_ICR, IPI_NMI);
	check(WAIT(nmi_woke, LONG), "an NMI wakes it, and is taken");
	delay(NAP);
	start_cpus(after_sipi);
	check(WAIT(started_anew, LONG), "INIT and SIPI start it anew");
	apic_write(APIC_ICR + 0x10, 1u << 24);
	apic_write(APIC_ICR, IPI_FIXED | VECTOR);
	check(WAIT(restarted, LONG), "and it takes interrupts again");
}

/* TLFS: PART-14 */
static void refused(void)
{
	check_eq(TRY(idle()), TRAP_GP, "not offered, reading is #GP");
}

void test_main(void)
{
	check_eq(TRY(wrmsr(HV_X64_MSR_GUEST_IDLE, 0)), TRAP_GP,
		 "it cannot be written");
	check_eq(has_feature(HV_GUEST_IDLE_AVAILABLE),
		 has_access(HV_ACCESS_GUEST_IDLE_REG),
		 "it is announced if it may be used");
	if (!has_access(HV_ACCESS_GUEST_IDLE_REG)) {
		refused();
		return;
	}
	if (option_number("cpus", 1) > 1) {
		between_processors();
		return;
	}
	interrupts_on();
	interrupts_off();
	pending();
	masked_by_priority();
	in_service();
	apic_timer();
	sint();
}
