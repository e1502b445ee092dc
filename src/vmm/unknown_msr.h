/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unknown_msr - MSRs that neither KVM nor src/hv knows.
 *
 * They read as zero and writes are forgotten, as guests expect of registers
 * that are a processor model's own; the first access to each says so on stderr.
 */
#ifndef VMM_UNKNOWN_MSR_H
#define VMM_UNKNOWN_MSR_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define UNKNOWN_MSR_TOLD_MAX	64

struct unknown_msr {
	pthread_mutex_t lock;
	uint32_t told[UNKNOWN_MSR_TOLD_MAX];
	unsigned count;
};

void unknown_msr_init(struct unknown_msr *u);
void unknown_msr_finish(struct unknown_msr *u);

/*
 * Any thread.  Whether this access is the first one to @msr, and one of the
 * first UNKNOWN_MSR_TOLD_MAX such: then it is worth a line.
 */
bool unknown_msr_is_new(struct unknown_msr *u, uint32_t msr);

#endif
