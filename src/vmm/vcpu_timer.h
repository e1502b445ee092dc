/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu_timer - a vCPU's timer: a POSIX timer that signals the vCPU's thread, so
 * that what is due is handled where the VP's state lives.
 *
 * Times are reference time; UINT64_MAX is never.  @now is the present one.
 */
#ifndef VMM_VCPU_TIMER_H
#define VMM_VCPU_TIMER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct vcpu_timer {
	pthread_mutex_t lock;
	bool started;
	timer_t timer;
	uint64_t deadline;
	uint64_t nap;
};

void vcpu_timer_init(struct vcpu_timer *t);
void vcpu_timer_finish(struct vcpu_timer *t);

/* On the vCPU's thread, which @signal is for.  False: errno. */
bool vcpu_timer_start(struct vcpu_timer *t, int signal, uint64_t now);
void vcpu_timer_stop(struct vcpu_timer *t);

/* Any thread, before the start and after the stop, too. */
void vcpu_timer_set(struct vcpu_timer *t, uint64_t deadline, uint64_t now);

/* On the vCPU's thread: besides, a signal at @until, of which nothing is due. */
void vcpu_timer_nap(struct vcpu_timer *t, uint64_t until, uint64_t now);

/*
 * On the vCPU's thread, after a signal or when one may be lost: whether the
 * deadline has come.  Then there is none any more.
 */
bool vcpu_timer_is_due(struct vcpu_timer *t, uint64_t now);

#endif
