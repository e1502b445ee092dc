/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All processors do to the hypervisor whatever there is to do, at random but
 * repeatable, all at once: "calls=N" in all, "seed=N".  Afterwards each timer
 * and SINT of each of them must deliver, and the host must answer each.
 */
#include "random.h"
#include "storm.h"
#include "vmbus.h"

#define CALLS		20000
#define LONG		20000		/* ms */
#define SINT_VECTOR(n)	(0x40 + (n))
#define TIMER_VECTOR(n)	(0x60 + (n))

static uint32_t cpus;
static uint32_t calls_each;
static volatile uint32_t stormed;	/* processors that are through */
static volatile uint32_t turn;		/* who makes contact */

/* How many processors have found that it is so. */
static uint32_t refused, by_vector, by_message, answered;

static void count(uint32_t *good, bool is_so)
{
	__atomic_add_fetch(good, is_so, __ATOMIC_SEQ_CST);
}

static void storm(void)
{
	uint32_t traps = 0;

	irq_on();
	for (uint32_t i = 0; i < calls_each; i++)
		traps += TRY(deed()) != NO_TRAP;
	count(&refused, traps);
}

/* Take the messages that have waited, until there are none. */
static void settle(void)
{
	struct message m;

	wrmsr(HV_X64_MSR_EOM, 0);
	while (message_wait(VMBUS_MESSAGE_SINT, &m, 100))
		;
}

/* All of ours off; then wait for the others, and take what still comes. */
static void calm(void)
{
	for (unsigned n = 0; n < HV_STIMER_COUNT; n++) {
		TRY(wrmsr(STIMER_COUNT(n), 0));
		TRY(wrmsr(STIMER_CONFIG(n), 0));
	}
	for (unsigned n = 0; n < HV_SYNIC_SINT_COUNT; n++)
		sint_set(n, 0);
	TRY(wrmsr(HV_X64_MSR_VP_ASSIST_PAGE, 0));
	apic_write(APIC_TPR, 0);
	__atomic_add_fetch(&stormed, 1, __ATOMIC_SEQ_CST);
	while (stormed != cpus)
		pause();
	if (this_cpu()->index == 0)
		hypercall_enable();
	synic_enable();
	memset((void *)this_synic()->messages, 0, PAGE_SIZE);
	settle();
}

static void arm(unsigned n, uint64_t config)
{
	wrmsr(STIMER_COUNT(n), ref_time() + MS);
	wrmsr(STIMER_CONFIG(n), HV_STIMER_ENABLE | config);
}

static bool timers_by_vector(void)
{
	for (unsigned n = 0; n < HV_STIMER_COUNT; n++) {
		uint32_t before = irqs(TIMER_VECTOR(n));

		arm(n, HV_STIMER_DIRECT | TIMER_VECTOR(n) << 4);
		if (!WAIT(irqs(TIMER_VECTOR(n)) != before, LONG))
			return false;
	}
	return true;
}

/* All four, so that three of them wait for the slot. */
static bool fills(unsigned sint)
{
	uint32_t before = irqs(SINT_VECTOR(sint));
	struct message m;

	sint_set(sint, SINT_VECTOR(sint));
	for (unsigned n = 0; n < HV_STIMER_COUNT; n++)
		arm(n, (uint64_t)sint << 16);
	for (unsigned n = 0; n < HV_STIMER_COUNT; n++)
		if (!WAIT(irqs(SINT_VECTOR(sint)) - before > n, LONG) ||
		    !message_take(sint, &m) ||
		    m.header.message_type != HVMSG_TIMER_EXPIRED)
			return false;
	return true;
}

static bool timers_by_message(void)
{
	for (unsigned sint = 1; sint < HV_SYNIC_SINT_COUNT; sint++)
		if (!fills(sint))
			return false;
	return true;
}

/* Make contact with the host in our own name, when it is our turn. */
static bool is_answered(void)
{
	const uint8_t vector = SINT_VECTOR(VMBUS_MESSAGE_SINT);
	uint32_t self = this_cpu()->index, before;
	struct message m;
	bool good;

	while (turn != self)
		pause();
	settle();
	sint_set(VMBUS_MESSAGE_SINT, vector);
	before = irqs(vector);
	good = vmbus_contact(VERSION_WIN10_V5_3,
			     (uint32_t)rdmsr(HV_X64_MSR_VP_INDEX)) &&
	       WAIT(irqs(vector) != before, LONG) &&
	       message_take(VMBUS_MESSAGE_SINT, &m) &&
	       m.payload[0] == CHANNELMSG_VERSION_RESPONSE;
	return good;
}

static void each_cpu(void)
{
	random_seed(option_number("seed", 1));
	storm();
	calm();
	if (has_feature(HV_DIRECT_SYNTHETIC_TIMERS))
		count(&by_vector, timers_by_vector());
	if (has_access(HV_ACCESS_SYNTHETIC_TIMER_REGS))
		count(&by_message, timers_by_message());
	count(&answered, is_answered());
	turn = this_cpu()->index + 1;
}

void test_main(void)
{
	uint32_t calls = option_number("calls", CALLS);

	cpus = option_number("cpus", 1);
	calls_each = calls / cpus;
	deeds_prepare();
	if (cpus > 1)
		start_cpus(each_cpu);
	each_cpu();
	while (turn != cpus)
		pause();
	print("# %u calls on %u processors\n", calls, cpus);
	check_eq(refused, cpus, "each processor was refused something");
	if (has_feature(HV_DIRECT_SYNTHETIC_TIMERS))
		check_eq(by_vector, cpus,
			 "afterwards all timers of all processors interrupt");
	if (has_access(HV_ACCESS_SYNTHETIC_TIMER_REGS))
		check_eq(by_message, cpus, "and send messages to all SINTs");
	check_eq(answered, cpus,
		 "and the host's messages reach all processors");
}
