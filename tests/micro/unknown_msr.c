/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MSRs that nobody knows.  "how=" is what the option --unknown-msr says; those
 * of a hypervisor's range are #GP whatever it is.
 */
#include "hyperv.h"

#define UNKNOWN_MSR	0x00c0ffeeu

static void ignored(void)
{
	uint64_t value = 1;

	check_eq(TRY(value = rdmsr(UNKNOWN_MSR)), NO_TRAP,
		 "an unknown MSR can be read");
	check_eq(value, 0, "and reads as zero");
	check_eq(TRY(wrmsr(UNKNOWN_MSR, 5)), NO_TRAP, "it can be written");
	check_eq(rdmsr(UNKNOWN_MSR), 0, "and that is forgotten");
}

/* TLFS: EXEC-13 */
static void faults(void)
{
	check_eq(TRY(rdmsr(UNKNOWN_MSR)), TRAP_GP,
		 "reading an unknown MSR is #GP");
	check_eq(TRY(wrmsr(UNKNOWN_MSR, 5)), TRAP_GP,
		 "writing an unknown MSR is #GP");
}

static void hypervisor_range(void)
{
	static const uint32_t msrs[] = {
		0x40000004, 0x400001ff,		/* synthetic ones */
		0x40000200, 0x40001002, 0x4000109f,	/* and behind them */
	};

	for (unsigned i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++) {
		check_eq(TRY(rdmsr(msrs[i])), TRAP_GP,
			 "reading one of a hypervisor's is #GP");
		check_eq(TRY(wrmsr(msrs[i], 0)), TRAP_GP,
			 "writing one of a hypervisor's is #GP");
	}
}

void test_main(void)
{
	if (option_is("how", "gp"))
		faults();
	else
		ignored();
	hypervisor_range();
}
