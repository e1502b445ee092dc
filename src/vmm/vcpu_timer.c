/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/vcpu_timer.h"

#define NEVER		UINT64_MAX
#define NS_PER_S	1000000000u
#define NS_PER_REF	100u		/* reference time unit */
#define REF_WAIT_MAX	UINT64_C(10000000000000000)	/* 31 years */

void vcpu_timer_init(struct vcpu_timer *t)
{
	*t = (struct vcpu_timer){ .deadline = NEVER, .nap = NEVER };
	pthread_mutex_init(&t->lock, NULL);
}

void vcpu_timer_finish(struct vcpu_timer *t)
{
	pthread_mutex_destroy(&t->lock);
}

/* With the lock. */
static void arm(const struct vcpu_timer *t, uint64_t now)
{
	uint64_t first = MIN(t->deadline, t->nap);
	struct itimerspec its = { 0 };
	struct timespec ts;
	uint64_t ns;

	if (!t->started)
		return;
	if (first != NEVER) {
		clock_gettime(CLOCK_MONOTONIC, &ts);
		ns = first > now ? first - now : 0;
		ns = MIN(ns, REF_WAIT_MAX) * NS_PER_REF;
		ns += (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
		its.it_value.tv_sec = (time_t)(ns / NS_PER_S);
		its.it_value.tv_nsec = (long)(ns % NS_PER_S);
	}
	timer_settime(t->timer, TIMER_ABSTIME, &its, NULL);
}

bool vcpu_timer_start(struct vcpu_timer *t, int signal, uint64_t now)
{
	struct sigevent ev = {
		.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = signal,
	};

	ev._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	pthread_mutex_lock(&t->lock);
	t->started = timer_create(CLOCK_MONOTONIC, &ev, &t->timer) == 0;
	arm(t, now);
	pthread_mutex_unlock(&t->lock);
	return t->started;
}

void vcpu_timer_stop(struct vcpu_timer *t)
{
	pthread_mutex_lock(&t->lock);
	if (t->started)
		timer_delete(t->timer);
	t->started = false;
	pthread_mutex_unlock(&t->lock);
}

void vcpu_timer_set(struct vcpu_timer *t, uint64_t deadline, uint64_t now)
{
	pthread_mutex_lock(&t->lock);
	t->deadline = deadline;
	arm(t, now);
	pthread_mutex_unlock(&t->lock);
}

void vcpu_timer_nap(struct vcpu_timer *t, uint64_t until, uint64_t now)
{
	pthread_mutex_lock(&t->lock);
	t->nap = until;
	arm(t, now);
	pthread_mutex_unlock(&t->lock);
}

/* If it is early, the two clocks differ by a rounding: wait for the rest. */
bool vcpu_timer_is_due(struct vcpu_timer *t, uint64_t now)
{
	bool due;

	pthread_mutex_lock(&t->lock);
	t->nap = NEVER;
	due = t->deadline <= now;
	if (due)
		t->deadline = NEVER;
	else if (t->deadline != NEVER)
		arm(t, now);
	pthread_mutex_unlock(&t->lock);
	return due;
}
