/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Synthetic timers: when they expire, and how they tell.  TLFS 12.3. */
#include "hyperv.h"

#define VECTOR		0x80
#define SINT_USED	3
#define SINT_VECTOR	0x90
#define LONG		5000		/* ms that nothing takes on any host */
#define SOON		(100 * MS)	/* time enough for a few instructions */

#define PAUSE		(1000 * MS)	/* as run.py has it */

#define DIRECT		(HV_STIMER_DIRECT | VECTOR << 4)
#define MESSAGE		((uint64_t)SINT_USED << 16)

static volatile uint64_t taken_at;

static void taken(void)
{
	taken_at = ref_time();
}

static void stop(unsigned n)
{
	wrmsr(STIMER_COUNT(n), 0);
	wrmsr(STIMER_CONFIG(n), 0);
}

/* TLFS: TIME-33 TIME-35 TIME-36 */
static void one_shot(void)
{
	uint32_t before = irqs(VECTOR);
	uint64_t deadline = ref_time() + SOON;

	wrmsr(STIMER_COUNT(0), deadline);
	wrmsr(STIMER_CONFIG(0), HV_STIMER_ENABLE | DIRECT);
	check_eq(rdmsr(STIMER_CONFIG(0)), HV_STIMER_ENABLE | DIRECT,
		 "a timer that runs reads as enabled");
	check(WAIT(irqs(VECTOR) != before, LONG),
	      "a one-shot timer interrupts");
	check(taken_at >= deadline, "not early");
	check_eq(rdmsr(STIMER_CONFIG(0)) & HV_STIMER_ENABLE, 0,
		 "expired, it is disabled");
	delay(5 * MS);
	check_eq(irqs(VECTOR) - before, 1, "and interrupts once");
	stop(0);
}

/* TLFS: TIME-34 */
static void past(void)
{
	uint32_t before = irqs(VECTOR);

	wrmsr(STIMER_COUNT(1), 1);
	wrmsr(STIMER_CONFIG(1), HV_STIMER_ENABLE | DIRECT);
	check(WAIT(irqs(VECTOR) != before, LONG),
	      "a deadline in the past expires at once");
	check_eq(rdmsr(STIMER_CONFIG(1)) & HV_STIMER_ENABLE, 0,
		 "and disables its timer");
	stop(1);
}

/* TLFS: TIME-40 TIME-42 */
static void auto_enable(void)
{
	uint32_t before = irqs(VECTOR);

	wrmsr(STIMER_CONFIG(0), HV_STIMER_AUTO_ENABLE | DIRECT);
	check_eq(rdmsr(STIMER_CONFIG(0)) & HV_STIMER_ENABLE, 0,
		 "auto-enable does not enable without a count");
	wrmsr(STIMER_COUNT(0), ref_time() + 5 * MS);
	check(WAIT(irqs(VECTOR) != before, LONG),
	      "a count enables a timer with auto-enable");
	before = irqs(VECTOR);
	wrmsr(STIMER_COUNT(0), ref_time() + 5 * MS);
	check(WAIT(irqs(VECTOR) != before, LONG), "and does so again");
	/* As Linux does it: enabled first, with no count yet. */
	stop(0);
	before = irqs(VECTOR);
	wrmsr(STIMER_CONFIG(0), HV_STIMER_ENABLE | HV_STIMER_AUTO_ENABLE |
	      DIRECT);
	delay(5 * MS);
	check_eq(irqs(VECTOR) - before, 0, "a count of zero never expires");
	wrmsr(STIMER_COUNT(0), ref_time() + 5 * MS);
	check(WAIT(irqs(VECTOR) != before, LONG), "the count after it does");
	stop(0);
}

/* TLFS: TIME-41 TIME-47 */
static void stopped(void)
{
	uint32_t before = irqs(VECTOR);

	wrmsr(STIMER_CONFIG(0), HV_STIMER_AUTO_ENABLE | DIRECT);
	wrmsr(STIMER_COUNT(0), ref_time() + SOON);
	wrmsr(STIMER_COUNT(0), 0);
	check_eq(rdmsr(STIMER_CONFIG(0)) & HV_STIMER_ENABLE, 0,
		 "a count of zero disables");
	wrmsr(STIMER_COUNT(0), ref_time() + SOON);
	wrmsr(STIMER_CONFIG(0), 0);
	delay(SOON + 10 * MS);
	check_eq(irqs(VECTOR) - before, 0, "a disabled timer does not expire");
	/* A count again moves the deadline of a timer that runs. */
	wrmsr(STIMER_CONFIG(0), HV_STIMER_AUTO_ENABLE | DIRECT);
	wrmsr(STIMER_COUNT(0), ref_time() + 10000000ull * 3600);
	wrmsr(STIMER_COUNT(0), ref_time() + 5 * MS);
	check(WAIT(irqs(VECTOR) != before, LONG),
	      "a new count moves the deadline");
	stop(0);
}

/* TLFS: TIME-37 TIME-38 */
static void periodic(void)
{
	uint32_t before = irqs(VECTOR), count;
	uint64_t start = ref_time(), elapsed;

	wrmsr(STIMER_COUNT(2), 5 * MS);
	wrmsr(STIMER_CONFIG(2), HV_STIMER_ENABLE | HV_STIMER_PERIODIC | DIRECT);
	check(WAIT(irqs(VECTOR) - before >= 4, LONG),
	      "a periodic timer interrupts again and again");
	check(rdmsr(STIMER_CONFIG(2)) & HV_STIMER_ENABLE,
	      "and stays enabled");
	wrmsr(STIMER_CONFIG(2), 0);
	count = irqs(VECTOR) - before;
	elapsed = ref_time() - start;
	report(count <= elapsed / (5 * MS),
	       "and not more often than its period", "%u times in %llu",
	       count, (unsigned long long)elapsed);
	before = irqs(VECTOR);
	delay(15 * MS);
	check(irqs(VECTOR) - before <= 1, "until it is disabled");
	stop(2);
}

/* 100 ns: no host can do that, but it must not keep the guest from running. */
static void short_period(void)
{
	unsigned long flags = irq_save();
	uint64_t start = ref_time();

	wrmsr(STIMER_COUNT(2), 1);
	wrmsr(STIMER_CONFIG(2), HV_STIMER_ENABLE | HV_STIMER_PERIODIC | DIRECT);
	for (unsigned i = 0; i < 1000; i++)
		pause();
	stop(2);
	check(ref_time() > start, "a tiny period leaves the guest time to run");
	irq_restore(flags);
}

static void sleeping(void)
{
	uint32_t before = irqs(VECTOR);

	irq_off();
	wrmsr(STIMER_CONFIG(0), HV_STIMER_AUTO_ENABLE | DIRECT);
	wrmsr(STIMER_COUNT(0), ref_time() + 10 * MS);
	while (irqs(VECTOR) == before)
		irq_wait();
	irq_on();
	check(taken_at != 0, "a timer wakes a processor that sleeps");
	stop(0);
}

static void check_message(const struct message *m, unsigned timer,
			  uint64_t deadline)
{
	struct hv_timer_message_payload p;

	memcpy(&p, m->payload, sizeof(p));
	check_eq(m->header.message_type, HVMSG_TIMER_EXPIRED,
		 "the message is of a timer");
	check_eq(m->header.payload_size, sizeof(p),
		 "the message has its size");
	check_eq(p.timer_index, timer, "the message names the timer");
	check_eq(p.expiration_time, deadline, "the message has the deadline");
	check(p.delivery_time >= deadline, "it was not sent early");
}

/* TLFS: TIME-49 */
static void message(void)
{
	uint32_t before = irqs(SINT_VECTOR);
	uint64_t deadline = ref_time() + 10 * MS;
	struct message m;

	sint_set(SINT_USED, SINT_VECTOR);
	wrmsr(STIMER_COUNT(3), deadline);
	wrmsr(STIMER_CONFIG(3), HV_STIMER_ENABLE | MESSAGE);
	check(WAIT(irqs(SINT_VECTOR) != before, LONG),
	      "a timer with a SINT interrupts by it");
	if (!message_take(SINT_USED, &m)) {
		report(false, "there is a message", "%s", "the slot is empty");
		return;
	}
	check_message(&m, 3, deadline);
	stop(3);
}

/* Two timers and one slot: the second message waits for the first. */
/* TLFS: TIME-51 SYNIC-31 SYNIC-32 */
static void busy_slot(void)
{
	uint32_t before = irqs(SINT_VECTOR);
	uint64_t deadline = ref_time() + 10 * MS;
	struct message m;

	for (unsigned n = 0; n < 2; n++) {
		wrmsr(STIMER_COUNT(n), deadline);
		wrmsr(STIMER_CONFIG(n), HV_STIMER_ENABLE | MESSAGE);
	}
	check(WAIT(message_pending(SINT_USED), LONG),
	      "the first message says that another is pending");
	WAIT(irqs(SINT_VECTOR) != before, LONG);
	check_eq(irqs(SINT_VECTOR) - before, 1,
		 "while the slot is busy there is no second interrupt");
	check(message_take(SINT_USED, &m), "the first can be taken");
	check(WAIT(irqs(SINT_VECTOR) - before == 2, LONG),
	      "the second message comes after EOM, with its interrupt");
	check(message_take(SINT_USED, &m) &&
	      !(m.header.message_flags & HV_MESSAGE_FLAG_PENDING),
	      "and nothing is pending then");
	check(message_type(SINT_USED) == HVMSG_NONE, "nor in the slot");
	stop(0);
	stop(1);
}

/* TLFS: SYNIC-16 */
static void masked(void)
{
	uint32_t before = irqs(SINT_VECTOR);
	struct message m;

	wrmsr(SINT(SINT_USED), HV_SYNIC_SINT_MASKED | SINT_VECTOR);
	wrmsr(STIMER_COUNT(0), ref_time() + 5 * MS);
	wrmsr(STIMER_CONFIG(0), HV_STIMER_ENABLE | MESSAGE);
	check(message_wait(SINT_USED, &m, LONG),
	      "a masked SINT has the message");
	check_eq(irqs(SINT_VECTOR) - before, 0, "without an interrupt");
	stop(0);
}

/* TLFS: SYNIC-30 */
static void apic_off(void)
{
	uint32_t before = irqs(SINT_VECTOR), spurious;
	struct message m;

	sint_set(SINT_USED, SINT_VECTOR);
	spurious = apic_read(APIC_SPURIOUS);
	apic_write(APIC_SPURIOUS, spurious & 0xff);
	wrmsr(STIMER_COUNT(0), 1);
	wrmsr(STIMER_CONFIG(0), HV_STIMER_ENABLE | MESSAGE);
	delay(5 * MS);
	apic_write(APIC_SPURIOUS, spurious);
	check(message_take(SINT_USED, &m),
	      "with the APIC off, a SINT has its message");
	delay(5 * MS);
	check_eq(irqs(SINT_VECTOR) - before, 0, "and its interrupt is lost");
	stop(0);
}

/* TLFS: TIME-44 */
static void sint_0(void)
{
	wrmsr(STIMER_COUNT(0), ref_time() + 5 * MS);
	wrmsr(STIMER_CONFIG(0), HV_STIMER_ENABLE);
	check_eq(rdmsr(STIMER_CONFIG(0)) & HV_STIMER_ENABLE, 0,
		 "SINT 0 cannot be used by a timer");
	stop(0);
}

/* TLFS: TIME-29 */
static void all_four(void)
{
	uint32_t before[HV_STIMER_COUNT];
	uint64_t deadline = ref_time() + 20 * MS;
	unsigned n;

	for (n = 0; n < HV_STIMER_COUNT; n++) {
		before[n] = irqs((uint8_t)(VECTOR + 1 + n));
		wrmsr(STIMER_COUNT(n), deadline);
		wrmsr(STIMER_CONFIG(n), HV_STIMER_ENABLE | HV_STIMER_DIRECT |
		      (VECTOR + 1 + n) << 4);
	}
	for (n = 0; n < HV_STIMER_COUNT; n++)
		if (!WAIT(irqs((uint8_t)(VECTOR + 1 + n)) - before[n] == 1,
			  LONG))
			break;
	check_eq(n, HV_STIMER_COUNT, "four timers with one deadline all expire");
	for (n = 0; n < HV_STIMER_COUNT; n++)
		stop(n);
}

/* The longest time between two looks at the clock, until a message is there. */
static uint64_t longest_gap(struct message *m)
{
	uint64_t start = ref_time(), last = start, longest = 0;
	bool there;

	do {
		uint64_t now;

		there = message_take(SINT_USED, m);
		now = ref_time();
		if (now - last > longest)
			longest = now - last;
		last = now;
	} while (!there && last - start < LONG * MS);
	return longest;
}

/* Whoever runs this stops the machine once, soon after it has read the line. */
/* TLFS: TIME-59 */
static void paused(void)
{
	uint32_t before = irqs(SINT_VECTOR), expired = 0;
	uint64_t deadline, gap, end;
	struct message m = { 0 };

	sint_set(SINT_USED, SINT_VECTOR);
	print("# pause\n");
	end = ref_time() + LONG * MS;
	do {
		deadline = ref_time() + PAUSE / 2;
		wrmsr(STIMER_COUNT(0), deadline);
		wrmsr(STIMER_CONFIG(0), HV_STIMER_ENABLE | MESSAGE);
		gap = longest_gap(&m);
		expired++;
	} while (gap < PAUSE && ref_time() < end);
	check(gap >= PAUSE, "the machine is paused while a timer runs");
	check_message(&m, 0, deadline);
	check(WAIT(irqs(SINT_VECTOR) - before == expired, LONG),
	      "a timer that expired in a pause is heard of after it, once");
	stop(0);
}

void test_main(void)
{
	if (!has_access(HV_ACCESS_SYNTHETIC_TIMER_REGS)) {
		check_eq(TRY(wrmsr(STIMER_COUNT(0), 0)), TRAP_GP,
			 "timers that are not offered are #GP");
		return;
	}
	irq_handle(VECTOR, taken);
	if (option_is("pause", "yes")) {
		synic_enable();
		paused();
		return;
	}
	one_shot();
	past();
	auto_enable();
	stopped();
	periodic();
	short_period();
	sleeping();
	synic_enable();
	message();
	busy_slot();
	masked();
	apic_off();
	sint_0();
	all_four();
}
