/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the ways out of a guest cost: lines "COST name ns", for scripts/bench.
 *
 *	rounds=N	how often each way is taken (100)
 *	connection=N	what HvSignalEvent signals; else a disk's channel
 */
#include "storage.h"

#define OFFERS_MAX	16
#define RING_PAGES	4
#define NOBODY		0x654321
#define NO_SUCH_CALL	0xfffe
#define DEBUG_PORT	0x80		/* nobody is there */
#define NS_PER_UNIT	100u

static uint32_t connection;
static uint64_t status;

static void do_cpuid(void)
{
	cpuid(0);
}

static void do_out(void)
{
	outb(DEBUG_PORT, 0);
}

static void do_msr_read(void)
{
	rdmsr(HV_X64_MSR_TIME_REF_COUNT);
}

static void do_msr_write(void)
{
	wrmsr(HV_X64_MSR_EOM, 0);
}

static void do_hypercall(void)
{
	status = (uint16_t)hypercall(NO_SUCH_CALL, 0, 0);
}

static void do_post(void)
{
	status = post_message(NOBODY, 1, "", 1);
}

static void do_signal(void)
{
	status = signal_event(connection);
}

static void measure(const char *name, void (*way)(void), uint64_t expected)
{
	unsigned rounds = option_number("rounds", 100);
	uint64_t begin, units;

	way();		/* the first time costs more */
	begin = ref_time();
	status = HV_STATUS_SUCCESS;
	for (unsigned i = 0; i < rounds; i++)
		way();
	units = ref_time() - begin;
	report(status == expected, "a way out and back ends as it must",
	       "%s: status %#llx", name, (unsigned long long)status);
	print("COST %s %llu\n", name,
	      (unsigned long long)(units * NS_PER_UNIT / rounds));
}

/* A channel that is open, so that its doorbell has a taker. */
static uint32_t channel_connection(void)
{
	static struct channel offers[OFFERS_MAX];
	struct channel *ch;

	if (!vmbus_connect(VERSION_WIN10))
		bail("no VMBus");
	ch = storage_find(offers, vmbus_offers(offers, OFFERS_MAX));
	if (!ch || !channel_open(ch, RING_PAGES))
		bail("no disk");
	return ch->connection_id;
}

void test_main(void)
{
	vmbus_prepare();
	connection = option_number("connection", 0);
	if (!connection)
		connection = channel_connection();
	measure("cpuid", do_cpuid, HV_STATUS_SUCCESS);
	measure("out", do_out, HV_STATUS_SUCCESS);
	measure("msr-read", do_msr_read, HV_STATUS_SUCCESS);
	measure("msr-write", do_msr_write, HV_STATUS_SUCCESS);
	measure("hypercall", do_hypercall, HV_STATUS_INVALID_HYPERCALL_CODE);
	measure("post-message", do_post, HV_STATUS_INVALID_CONNECTION_ID);
	measure("signal-event", do_signal, HV_STATUS_SUCCESS);
}
