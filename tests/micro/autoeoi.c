/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SINTs with AutoEOI: their interrupts are over when they are taken, and this
 * guest never writes EOI for them.  TLFS 11.8.5.
 *
 * Timers with a past deadline make a SINT's interrupt at a moment of choice.
 */
#include "hyperv.h"

#define LOW		2		/* SINTs, each with its own timer */
#define HIGH		5
#define ORDINARY	7
#define LOW_VECTOR	0x60
#define HIGH_VECTOR	0xd0
#define ORDINARY_VECTOR	0x90
#define TURNS		100
#define LONG		5000		/* ms that nothing takes on any host */

#define IPI_SELF	0x44000		/* fixed, edge, to this processor */
#define IPI_VECTOR	0x31		/* lower than all the others */

static uint8_t order[8];
static volatile unsigned taken;

static void note(uint8_t vector)
{
	if (taken < sizeof(order))
		order[taken] = vector;
	taken++;
}

static void low(void)
{
	note(LOW_VECTOR);
}

static void high(void)
{
	note(HIGH_VECTOR);
}

static void ordinary(void)
{
	note(ORDINARY_VECTOR);
}

static void ipi(void)
{
	note(IPI_VECTOR);
}

/* A message for @sint, now or at @deadline. */
static void raise_at(unsigned sint, uint64_t deadline)
{
	unsigned timer = sint == LOW ? 0 : sint == HIGH ? 1 : 2;
	struct message m;

	message_take(sint, &m);
	wrmsr(STIMER_COUNT(timer), deadline);
	wrmsr(STIMER_CONFIG(timer), HV_STIMER_ENABLE | (uint64_t)sint << 16);
}

static void raise(unsigned sint)
{
	raise_at(sint, 1);
}

/* @turns interrupts, each taken at once. */
static unsigned take_each(unsigned sint, uint8_t vector, unsigned turns)
{
	unsigned n = 0;

	while (n < turns) {
		uint32_t before = irqs(vector);

		raise(sint);
		if (!WAIT(irqs(vector) != before, LONG))
			break;
		n++;
	}
	return n;
}

/* TLFS: SYNIC-18 SYNIC-19 */
static void again_and_again(void)
{
	check_eq(take_each(LOW, LOW_VECTOR, TURNS), TURNS,
		 "each interrupt is taken, without EOI of the one before");
	check_eq(take_each(HIGH, HIGH_VECTOR, TURNS), TURNS,
		 "with another vector, too");
	check_eq(take_each(LOW, LOW_VECTOR, 1), 1,
		 "the higher one does not keep the lower one from coming");
}

static void mixed(void)
{
	unsigned n;

	for (n = 0; n < TURNS; n++)
		if (!take_each(LOW, LOW_VECTOR, 1) ||
		    !take_each(ORDINARY, ORDINARY_VECTOR, 1) ||
		    !take_each(HIGH, HIGH_VECTOR, 1))
			break;
	check_eq(n, TURNS, "SINTs with and without AutoEOI take turns");
}

static void send_ipi(void)
{
	apic_write(APIC_ICR, IPI_SELF | IPI_VECTOR);
}

static void interrupts_off(void)
{
	uint32_t before = irqs(LOW_VECTOR);

	irq_off();
	raise(LOW);
	delay(5 * MS);
	check_eq(irqs(LOW_VECTOR) - before, 0, "with IF clear, none is taken");
	irq_on();
	check(WAIT(irqs(LOW_VECTOR) - before == 1, LONG),
	      "it is taken when IF is set");
	delay(2 * MS);
	check_eq(irqs(LOW_VECTOR) - before, 1, "and only once");
}

/* What waits is taken by priority, whatever its kind. */
static void by_priority(void)
{
	static const uint8_t want[] = { HIGH_VECTOR, ORDINARY_VECTOR,
					LOW_VECTOR, IPI_VECTOR };

	irq_off();
	taken = 0;
	send_ipi();
	raise(LOW);
	raise(ORDINARY);
	raise(HIGH);
	delay(2 * MS);
	irq_on();
	WAIT(taken == sizeof(want), LONG);
	report(taken == sizeof(want) && !memcmp(order, want, sizeof(want)),
	       "the highest vector comes first", "%u: %#x %#x %#x %#x", taken,
	       order[0], order[1], order[2], order[3]);
}

static void asleep(void)
{
	unsigned n = 0;

	irq_off();
	for (; n < TURNS; n++) {
		uint32_t before = irqs(LOW_VECTOR);
		uint64_t start = ref_time();

		raise_at(LOW, ref_time() + MS / 2);
		while (irqs(LOW_VECTOR) == before &&
		       ref_time() - start < (uint64_t)LONG * MS)
			irq_wait();
		if (irqs(LOW_VECTOR) == before)
			break;
	}
	irq_on();
	check_eq(n, TURNS, "a processor that sleeps is woken each time");
}

/* The moment between STI and HLT must not lose one that is there already. */
static void before_sleep(void)
{
	unsigned n = 0;

	irq_off();
	for (; n < TURNS; n++) {
		uint32_t before = irqs(LOW_VECTOR);

		raise(LOW);
		irq_wait();
		if (irqs(LOW_VECTOR) == before)
			break;
	}
	irq_on();
	check_eq(n, TURNS, "one that waits ends STI and HLT at once");
}

/* TLFS: SYNIC-17 */
static void polling(void)
{
	uint32_t before = irqs(LOW_VECTOR);
	struct message m;

	wrmsr(SINT(LOW), LOW_VECTOR | HV_SYNIC_SINT_AUTO_EOI |
	      HV_SYNIC_SINT_POLLING);
	raise(LOW);
	check(message_wait(LOW, &m, LONG), "a polling SINT has its message");
	delay(2 * MS);
	check_eq(irqs(LOW_VECTOR) - before, 0, "and does not interrupt");
}

static bool in_service(uint8_t vector)
{
	return apic_read(APIC_ISR + vector / 32 * 0x10) >> vector % 32 & 1;
}

static bool before_change, after_change;

static void change(unsigned sint, uint8_t vector, uint64_t flags)
{
	before_change = in_service(vector);
	wrmsr(SINT(sint), vector | flags);
	after_change = in_service(vector);
}

/* The last EOI of this vector. */
static void turn_on(void)
{
	change(ORDINARY, ORDINARY_VECTOR, HV_SYNIC_SINT_AUTO_EOI);
	apic_write(APIC_EOI, 0);
	irq_without_eoi(ORDINARY_VECTOR);
}

static void turn_off(void)
{
	change(LOW, LOW_VECTOR, 0);
}

/* What is in flight goes on by the rule that it began with. */
/* TLFS: SYNIC-20 */
static void turned_on_in_flight(void)
{
	irq_handle(ORDINARY_VECTOR, turn_on);
	check_eq(take_each(ORDINARY, ORDINARY_VECTOR, 1), 1,
		 "AutoEOI is turned on while an interrupt is served");
	if (before_change)
		check(after_change, "which does not end that one");
	else
		skip("which does not end that one",
		     "this KVM has no interrupts in service");
	check(!in_service(ORDINARY_VECTOR), "EOI does");
	irq_handle(ORDINARY_VECTOR, NULL);
	check_eq(take_each(ORDINARY, ORDINARY_VECTOR, TURNS), TURNS,
		 "those that follow need none");
}

/* TLFS: SYNIC-20 */
static void turned_off_in_flight(void)
{
	irq_handle(LOW_VECTOR, turn_off);
	check_eq(take_each(LOW, LOW_VECTOR, 1), 1,
		 "AutoEOI is turned off while an interrupt is served");
	check(!before_change && !after_change, "that one was over before");
	irq_handle(LOW_VECTOR, NULL);
	check_eq(take_each(LOW, LOW_VECTOR, 1), 1, "the next comes");
	apic_write(APIC_EOI, 0);
}

/* Without AutoEOI the vector needs its EOI again. */
static void turned_off(void)
{
	unsigned n = 0;

	wrmsr(SINT(LOW), LOW_VECTOR);
	for (; n < TURNS && take_each(LOW, LOW_VECTOR, 1); n++)
		apic_write(APIC_EOI, 0);
	check_eq(n, TURNS, "without AutoEOI each interrupt comes after EOI");
}

static void set(unsigned sint, uint8_t vector, uint64_t flags,
		void (*handler)(void))
{
	irq_handle(vector, handler);
	if (flags & HV_SYNIC_SINT_AUTO_EOI)
		irq_without_eoi(vector);
	wrmsr(SINT(sint), vector | flags);
}

static volatile unsigned other_turns;

/* The same on another processor, at the same time. */
static void other_cpu(void)
{
	synic_enable();
	wrmsr(SINT(LOW), LOW_VECTOR | HV_SYNIC_SINT_AUTO_EOI);
	irq_on();
	other_turns = take_each(LOW, LOW_VECTOR, TURNS);
	irq_off();
}

void test_main(void)
{
	synic_enable();
	irq_handle(IPI_VECTOR, ipi);
	set(LOW, LOW_VECTOR, HV_SYNIC_SINT_AUTO_EOI, low);
	set(HIGH, HIGH_VECTOR, HV_SYNIC_SINT_AUTO_EOI, high);
	set(ORDINARY, ORDINARY_VECTOR, 0, ordinary);
	if (option_number("cpus", 1) > 1)
		start_cpus(other_cpu);
	again_and_again();
	if (option_number("cpus", 1) > 1)
		check(WAIT(other_turns == TURNS, LONG),
		      "each processor has its own");
	mixed();
	interrupts_off();
	by_priority();
	before_sleep();
	asleep();
	polling();
	set(LOW, LOW_VECTOR, HV_SYNIC_SINT_AUTO_EOI, low);
	turned_on_in_flight();
	turned_off_in_flight();
	turned_off();
}
