/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupts from one processor to many, by HvSendSyntheticClusterIpi.
 * "cpus=N" says how many there are.
 */
#include "hypercall_user.h"

#define LONG		20000		/* ms */
#define ROUNDS		500

static struct cpu *volatile cpu_of_vp[CPU_MAX];
static unsigned cpus;

static void each_cpu(void)
{
	cpu_of_vp[rdmsr(HV_X64_MSR_VP_INDEX) % CPU_MAX] = this_cpu();
	for (;;)
		irq_wait();
}

static bool all_are_here(void)
{
	for (unsigned i = 0; i < cpus; i++)
		if (!cpu_of_vp[i])
			return false;
	return true;
}

static uint64_t everyone(void)
{
	return ~0ull >> (64 - cpus);
}

/* The VPs that have taken @vector @times. */
static uint64_t took(uint8_t vector, uint32_t times)
{
	uint64_t vps = 0;

	for (unsigned i = 0; i < cpus; i++)
		if (cpu_of_vp[i]->irqs[vector] == times)
			vps |= 1ull << i;
	return vps;
}

static bool all_took(uint8_t vector, uint32_t times)
{
	return WAIT(took(vector, times) == everyone(), LONG);
}

static uint64_t send(uint64_t vps, uint32_t vector)
{
	return hypercall(HVCALL_SEND_IPI | HV_HYPERCALL_FAST, vector, vps);
}

/* TLFS: VIC-35 VP-05 */
static void one_by_one(void)
{
	unsigned right = 0;

	for (unsigned i = 0; i < cpus; i++) {
		uint64_t sent = ~0ull >> (63 - i) & everyone();

		if (send(1ull << i, 0x40))
			break;
		right += WAIT(took(0x40, 1) == sent, LONG);
	}
	check_eq(right, cpus, "an IPI to one VP is for no other");
}

/* TLFS: VIC-12 */
static void to_myself(void)
{
	uint32_t before = irqs(0x41), after;

	send(1, 0x41);
	after = irqs(0x41);
	check_eq(after, before + 1, "an IPI to oneself is taken at once");
}

struct set {
	struct hv_input_send_ipi_ex fixed;
	uint64_t bank[2];
};

static struct set set_of(uint32_t vector, uint64_t format, uint64_t banks)
{
	return (struct set){
		.fixed = { .vector = vector,
			   .vpset = { format, banks } },
		.bank = { everyone(), ~0ull },
	};
}

static uint64_t send_set(const struct set *set, unsigned banks)
{
	struct set *page = page_alloc();

	*page = *set;
	return hypercall(HVCALL_SEND_IPI_EX | banks << 17, (uintptr_t)page, 0);
}

/* TLFS: VIC-38 VP-65 VP-67 HC-72 */
static void sets(void)
{
	struct set set = set_of(0x42, HV_GENERIC_SET_ALL, 0);
	struct fast_registers f = { 0 };

	check_eq(send_set(&set, 0), 0, "the set of all is taken");
	check(all_took(0x42, 1), "and is all");
	set = set_of(0x43, HV_GENERIC_SET_SPARSE_4K, 1 | 1ull << 63);
	check_eq(send_set(&set, 2), 0, "a set of two banks is taken");
	check(all_took(0x43, 1), "and its first bank is the first VPs");
	check_eq(send_set(&set, 1), HV_STATUS_INVALID_HYPERCALL_INPUT,
		 "a set with a bank too few is not");

	enable_sse();
	set = set_of(0x44, HV_GENERIC_SET_SPARSE_4K, 1);
	memcpy(&f, &set, sizeof(set));
	check_eq(call_fast(HVCALL_SEND_IPI_EX | HV_HYPERCALL_FAST | 1 << 17,
			   &f), 0, "a set in XMM registers is taken");
	check(all_took(0x44, 1), "and is the same set");
}

/* TLFS: VIC-36 VIC-39 */
static void refusals(void)
{
	check_eq(send(everyone(), 15), HV_STATUS_INVALID_PARAMETER,
		 "vector 15 is refused");
	check_eq(send(everyone(), 256), HV_STATUS_INVALID_PARAMETER,
		 "vector 256 is refused");
	check_eq(send(0, 0x45), 0, "an IPI to nobody is sent");
	check_eq(took(0x45, 0), everyone(), "and nobody has it");
}

static void storm(void)
{
	unsigned round = 0;

	while (round < ROUNDS && !send(everyone(), 0x46) &&
	       all_took(0x46, round + 1))
		round++;
	check_eq(round, ROUNDS, "of many IPIs to all none is lost");
}

void test_main(void)
{
	cpus = option_number("cpus", 1);
	hypercall_enable();
	cpu_of_vp[0] = this_cpu();
	if (cpus > 1)
		start_cpus(each_cpu);
	if (!WAIT(all_are_here(), LONG))
		bail("processors do not start");
	one_by_one();
	to_myself();
	sets();
	refusals();
	storm();
}
