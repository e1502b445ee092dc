/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * clock - the partition's reference time, in 100 ns units.
 *
 * Where the host's TSC is one steady clock for all processors, the guest's TSC
 * is the host's less a constant, and reference time is computed from it with
 * the arithmetic that the guest uses with the reference TSC page: both can
 * never disagree.  Elsewhere it is CLOCK_MONOTONIC, and the guest is not
 * offered the page.  It goes on over a reset of the guest.
 */
#ifndef VMM_CLOCK_H
#define VMM_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct hv;

struct clock {
	uint64_t tsc_hz;	/* 0: the TSC is of no use */
	uint64_t tsc_base;	/* host TSC where the guest's is 0 */
	uint64_t tsc_start;	/* guest TSC where time is 0 */
	uint64_t mono_base;	/* ns of CLOCK_MONOTONIC where time is 0 */
};

/*
 * @vm_fd: a KVM virtual machine, to ask for the TSC's frequency.
 * @fixed_tsc: guests of this KVM see the host's TSC as it is.
 */
void clock_init(struct clock *c, int vm_fd, bool fixed_tsc);
/* @hv: for hv_tsc_to_ref(), if tsc_hz is not 0. */
uint64_t clock_now(const struct clock *c, const struct hv *hv);

/* Whether the kernel itself trusts the TSC enough to keep time by it. */
bool clock_host_tsc_is_steady(void);

#endif
