/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The devices of --machine unit-test: each control of the SynIC's test device,
 * fw_cfg, and the exit port.  "machine=unit-test" says that they are there;
 * "memory=N" has MiB, "code=N" is what to end by, "reset=1" does all twice.
 */
#include "hv/ports.h"
#include "hyperv.h"

#define TESTDEV		0x3000
#define FW_CFG		0x510
#define DEBUG_EXIT	0xf4
#define RESET		0x433

enum { ROUTE = 1, NO_ROUTE, RAISE, MESSAGE, NO_MESSAGE, EVENT, NO_EVENT };

#define SINT_USED	5
#define VECTOR		0x95
#define MESSAGE_ID	0x11
#define EVENT_ID	0x61
#define NO_VP		0xff
#define TYPE		0x12345678
#define LONG		5000		/* ms */
#define STORM		2000		/* turns */

#define FW_CFG_SIGNATURE	0x00
#define FW_CFG_RAM_SIZE		0x03
#define FW_CFG_NB_CPUS		0x05

static void command(unsigned control, unsigned vp, unsigned id)
{
	outl(TESTDEV, id << 24 | control << 16 | vp << 8 | SINT_USED);
}

static uint64_t fw_cfg(uint16_t key, unsigned bytes)
{
	uint64_t value = 0;

	outw(FW_CFG, key);
	for (unsigned i = 0; i < bytes; i++)
		value |= (uint64_t)inb(FW_CFG + 1) << 8 * i;
	return value;
}

static uint16_t post(uint32_t payload)
{
	return post_message(MESSAGE_ID, TYPE, &payload, sizeof(payload));
}

static bool arrives(uint32_t payload)
{
	struct message m;

	return message_wait(SINT_USED, &m, LONG) &&
	       m.header.message_type == TYPE &&
	       m.header.origination_id == MESSAGE_ID &&
	       m.header.payload_size == sizeof(payload) &&
	       !memcmp(m.payload, &payload, sizeof(payload));
}

static void absent(void)
{
	check_eq(fw_cfg(FW_CFG_SIGNATURE, 4), UINT32_MAX,
		 "an ordinary machine has no fw_cfg");
	command(MESSAGE, 0, MESSAGE_ID);
	check_eq(post(1), HV_STATUS_INVALID_CONNECTION_ID,
		 "nor a test device");
	outl(DEBUG_EXIT, 0);
	check(true, "nor an exit port");
}

static void configuration(void)
{
	check_eq(fw_cfg(FW_CFG_SIGNATURE, 4), 0x554d4551, "fw_cfg is there");
	check_eq(fw_cfg(FW_CFG_NB_CPUS, 2), option_number("cpus", 1),
		 "it has the count of processors");
	check_eq(fw_cfg(FW_CFG_RAM_SIZE, 8),
		 (uint64_t)option_number("memory", 64) << 20,
		 "it has the size of memory");
}

static void routes(void)
{
	uint32_t before = irqs(VECTOR);

	command(RAISE, 0, 0);
	delay(5 * MS);
	check_eq(irqs(VECTOR) - before, 0,
		 "a SINT without a route is not raised");
	command(ROUTE, 0, 0);
	command(RAISE, 0, 0);
	check(WAIT(irqs(VECTOR) - before == 1, LONG),
	      "a SINT with a route is");
	command(NO_ROUTE, 0, 0);
	command(RAISE, 0, 0);
	delay(5 * MS);
	check_eq(irqs(VECTOR) - before, 1, "until the route is destroyed");
}

/* TLFS: IPC-13 IPC-16 IPC-17 SYNIC-29 SYNIC-31 SYNIC-32 */
static void messages(void)
{
	uint32_t before = irqs(VECTOR);

	command(MESSAGE, 0, MESSAGE_ID);
	check_eq(post(1), HV_STATUS_SUCCESS, "a message is taken");
	check_eq(post(2), HV_STATUS_SUCCESS,
		 "another is, while the first is in the slot");
	check_eq(post(3), HV_STATUS_INSUFFICIENT_BUFFERS, "a third is not");
	check(WAIT(irqs(VECTOR) != before, LONG), "the first interrupts");
	delay(5 * MS);
	check_eq(irqs(VECTOR) - before, 1, "and no other does");
	check(arrives(1), "it comes back");
	check(arrives(2), "the second comes after EOM");
	check(WAIT(irqs(VECTOR) - before == 2, LONG), "and interrupts too");
	command(NO_MESSAGE, 0, MESSAGE_ID);
}

static volatile uint32_t *slot_type(void)
{
	return (volatile uint32_t *)(this_synic()->messages +
				     SINT_USED * HV_MESSAGE_SIZE);
}

static void empty_slot(void)
{
	*slot_type() = HVMSG_NONE;
}

/* By EOI, as 11.4 has it, and by no word at all. */
/* TLFS: SYNIC-36 SYNIC-37 */
static void without_eom(void)
{
	uint32_t before = irqs(VECTOR);

	command(MESSAGE, 0, MESSAGE_ID);
	irq_off();
	irq_handle(VECTOR, empty_slot);
	post(1);
	post(2);
	irq_on();
	check(WAIT(irqs(VECTOR) - before == 2, LONG),
	      "the second comes after EOI, without EOM");
	irq_handle(VECTOR, NULL);
	sint_set(SINT_USED, 0);
	post(3);
	post(4);
	empty_slot();
	check(WAIT(*slot_type() != HVMSG_NONE, LONG),
	      "or by itself, to a guest that polls");
	check(arrives(4), "and it is the one that waited");
	sint_set(SINT_USED, VECTOR);
	command(NO_MESSAGE, 0, MESSAGE_ID);
}

/* TLFS: SYNIC-52 */
static void events(void)
{
	volatile uint64_t *flag = this_synic()->flags +
		SINT_USED * HV_EVENT_FLAG_COUNT / 64 + EVENT_ID / 64;
	uint32_t before = irqs(VECTOR);

	*flag = 0;
	command(EVENT, 0, EVENT_ID);
	check_eq(signal_event(EVENT_ID), HV_STATUS_SUCCESS,
		 "an event is taken");
	check_eq(*flag, 1ull << EVENT_ID % 64,
		 "it sets the flag that its connection is named by");
	check(WAIT(irqs(VECTOR) - before == 1, LONG), "and interrupts");
	check_eq(signal_event(EVENT_ID), HV_STATUS_SUCCESS,
		 "so it is again, with the flag still set");
	delay(5 * MS);
	check_eq(irqs(VECTOR) - before, 1, "but there is no interrupt then");
	command(NO_EVENT, 0, EVENT_ID);
}

static uint16_t post_to(uint32_t id)
{
	return post_message(id, TYPE, "", 1);
}

/* TLFS: IPC-14 IPC-15 IPC-22 SYNIC-02 */
static void receivers(void)
{
	const uint64_t control = rdmsr(HV_X64_MSR_SCONTROL);

	command(MESSAGE, 0, MESSAGE_ID);
	command(EVENT, 0, EVENT_ID);
	wrmsr(HV_X64_MSR_SCONTROL, control & ~HV_SYNIC_CONTROL_ENABLE);
	check_eq(post(1), HV_STATUS_INVALID_SYNIC_STATE,
		 "who posts to a SynIC that is off is told");
	check_eq(signal_event(EVENT_ID), HV_STATUS_INVALID_SYNIC_STATE,
		 "and so is who signals");
	wrmsr(HV_X64_MSR_SCONTROL, control);
	check_eq(message_type(SINT_USED), HVMSG_NONE,
		 "none of it comes when it is on");
	command(NO_MESSAGE, 0, MESSAGE_ID);
	command(NO_EVENT, 0, EVENT_ID);
	command(MESSAGE, NO_VP, MESSAGE_ID);
	check_eq(post(1), HV_STATUS_INVALID_VP_INDEX,
		 "a connection to no processor says so");
	command(NO_MESSAGE, 0, MESSAGE_ID);
}

/* TLFS: IPC-10 IPC-11 IPC-21 */
static void statuses(void)
{
	command(MESSAGE, 0, MESSAGE_ID);
	command(EVENT, 0, EVENT_ID);
	check_eq(post_to(EVENT_ID), HV_STATUS_INVALID_PORT_ID,
		 "a connection for events takes no message");
	check_eq(signal_event(MESSAGE_ID), HV_STATUS_INVALID_PORT_ID,
		 "one for messages takes no event");
	command(NO_MESSAGE, 0, MESSAGE_ID);
	command(NO_EVENT, 0, EVENT_ID);
	check_eq(post_to(MESSAGE_ID), HV_STATUS_INVALID_CONNECTION_ID,
		 "a connection that is destroyed takes no message");
	check_eq(signal_event(EVENT_ID), HV_STATUS_INVALID_CONNECTION_ID,
		 "nor an event");
}

/*
 * Controls, SINTs and VPs that are and that are not, and connections used while
 * others destroy them.  VMBus has some of the ids.
 */
static void storm(uint32_t n)
{
	for (unsigned i = 0; i < STORM; i++) {
		uint32_t id;

		n = n * 1664525 + 1013904223;
		id = n >> 24 & 0x1f;
		outl(TESTDEV, id << 24 | (n >> 12) % 9 << 16 | (n & 0x31f));
		signal_event(id);
		post_message(id, TYPE, &n, sizeof(n));
		memset((void *)this_synic()->messages, 0, PAGE_SIZE);
		wrmsr(HV_X64_MSR_EOM, 0);
	}
}

/* The other processor's SINT, from this one. */
static volatile bool ready, stormy;

static void other_cpu(void)
{
	synic_enable();
	sint_set(SINT_USED, VECTOR);
	irq_on();
	ready = true;
	while (!stormy)
		pause();
	storm(2);
	ready = false;
}

static void other(void)
{
	volatile uint32_t *taken = &nth_cpu(1)->irqs[VECTOR];

	start_cpus(other_cpu);
	check(WAIT(ready, LONG), "another processor is up");
	command(ROUTE, 1, 0);
	command(RAISE, 1, 0);
	check(WAIT(*taken == 1, LONG), "its SINT is raised");
	command(EVENT, 1, EVENT_ID);
	signal_event(EVENT_ID);
	check(WAIT(*taken == 2, LONG), "events reach it");
	command(MESSAGE, 1, MESSAGE_ID);
	post(1);
	check(WAIT(*taken == 3, LONG), "messages reach it");
	command(NO_EVENT, 1, EVENT_ID);
	command(NO_MESSAGE, 1, MESSAGE_ID);
}

/* The first time, leave a route and connections behind, and start again. */
static void again(void)
{
	bool *started = (bool *)KEEP;

	check_eq(signal_event(EVENT_ID), HV_STATUS_INVALID_CONNECTION_ID,
		 "a machine starts without connections");
	check_eq(inb(FW_CFG + 1), 0, "and with no item selected");
	command(RAISE, 0, 0);
	delay(5 * MS);
	check_eq(irqs(VECTOR), 0, "and without routes");
	if (*started)
		return;
	*started = true;
	command(ROUTE, 0, 0);
	command(EVENT, 0, EVENT_ID);
	command(MESSAGE, 0, MESSAGE_ID);
	post(1);
	post(2);
	outw(FW_CFG, FW_CFG_SIGNATURE);
	outb(RESET, 1);
}

void test_main(void)
{
	hypercall_enable();
	if (!option_is("machine", "unit-test")) {
		absent();
		return;
	}
	synic_enable();
	sint_set(SINT_USED, VECTOR);
	if (option("reset"))
		again();
	configuration();
	routes();
	messages();
	without_eom();
	events();
	statuses();
	receivers();
	if (option_number("cpus", 1) > 1)
		other();
	stormy = true;
	storm(1);
	check(WAIT(!ready, 10 * LONG), "a storm of commands passes");
	events();
	if (option("code"))
		finish_with(option_number("code", 0));
}
