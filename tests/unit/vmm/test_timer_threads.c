/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A vCPU's timer, set by others. */
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>
#include <cmocka.h>
#include <glib.h>

#include "vmm/vcpu_timer.h"

#define SIGNAL		SIGUSR1
#define TOO_LONG	60		/* s: who waits for ever is killed */
#define NEVER		UINT64_MAX
#define MS		10000u		/* reference time */
#define HOUR		(3600000u * (uint64_t)MS)
#define ROUNDS		2000u

static struct vcpu_timer timer;
static volatile sig_atomic_t signals;

static void on_signal(int signal)
{
	signals++;
}

static int set_up(void **state)
{
	const struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGNAL, &sa, NULL);
	alarm(TOO_LONG);
	signals = 0;
	vcpu_timer_init(&timer);
	return 0;
}

static int tear_down(void **state)
{
	vcpu_timer_stop(&timer);
	vcpu_timer_finish(&timer);
	alarm(0);
	return 0;
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static void wait_for_a_signal(void)
{
	while (!signals)
		usleep(100);
	signals = 0;
}

static void a_deadline_signals_and_is_due_once(void **state)
{
	assert_true(vcpu_timer_start(&timer, SIGNAL, 0));
	assert_false(vcpu_timer_is_due(&timer, NEVER - 1));
	vcpu_timer_set(&timer, 2 * MS, MS);
	wait_for_a_signal();
	assert_true(vcpu_timer_is_due(&timer, 2 * MS));
	assert_false(vcpu_timer_is_due(&timer, 3 * MS));
}

static void a_signal_that_is_early_comes_again(void **state)
{
	assert_true(vcpu_timer_start(&timer, SIGNAL, 0));
	vcpu_timer_set(&timer, MS, 0);
	wait_for_a_signal();
	assert_false(vcpu_timer_is_due(&timer, MS - 1));
	wait_for_a_signal();
	assert_true(vcpu_timer_is_due(&timer, MS));
}

static void the_last_one_counts(void **state)
{
	assert_true(vcpu_timer_start(&timer, SIGNAL, 0));
	vcpu_timer_set(&timer, MS, 0);
	vcpu_timer_set(&timer, NEVER, 0);
	usleep(20000);
	signals = 0;		/* of the first, should it have been slow */
	assert_false(vcpu_timer_is_due(&timer, HOUR));
	vcpu_timer_set(&timer, HOUR, 0);
	usleep(20000);
	assert_int_equal(signals, 0);
	vcpu_timer_set(&timer, 0, HOUR);
	wait_for_a_signal();
	assert_true(vcpu_timer_is_due(&timer, HOUR));
}

static void a_deadline_outlives_no_thread_and_awaits_the_next(void **state)
{
	vcpu_timer_set(&timer, MS, 0);
	usleep(5000);
	assert_int_equal(signals, 0);
	assert_true(vcpu_timer_start(&timer, SIGNAL, 0));
	wait_for_a_signal();
	assert_true(vcpu_timer_is_due(&timer, MS));
	vcpu_timer_stop(&timer);
	vcpu_timer_set(&timer, MS, 0);
	usleep(5000);
	assert_int_equal(signals, 0);
}

static void a_nap_signals_but_nothing_is_due(void **state)
{
	assert_true(vcpu_timer_start(&timer, SIGNAL, 0));
	vcpu_timer_set(&timer, HOUR, 0);
	vcpu_timer_nap(&timer, MS, 0);
	/* Who sets another deadline meanwhile does not make it longer. */
	vcpu_timer_set(&timer, NEVER, 0);
	wait_for_a_signal();
	assert_false(vcpu_timer_is_due(&timer, MS));
	vcpu_timer_nap(&timer, HOUR, 0);
	vcpu_timer_set(&timer, MS, 0);
	wait_for_a_signal();
	assert_true(vcpu_timer_is_due(&timer, MS));
}

static bool done;
static unsigned expired;

static void *vcpu(void *arg)
{
	g_assert(vcpu_timer_start(&timer, SIGNAL, 0));
	while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE)) {
		if (vcpu_timer_is_due(&timer, 1))
			__atomic_fetch_add(&expired, 1, __ATOMIC_RELEASE);
		sched_yield();
	}
	vcpu_timer_stop(&timer);
	return NULL;
}

/* And nobody uses one that is not there, before, between and after. */
static void any_thread_may_set_it(void **state)
{
	pthread_t thread;

	expired = 0;
	done = false;
	pthread_create(&thread, NULL, vcpu, NULL);
	for (unsigned n = 1; n <= ROUNDS; n++) {
		vcpu_timer_set(&timer, HOUR, 0);
		vcpu_timer_set(&timer, 1, 0);
		while (__atomic_load_n(&expired, __ATOMIC_ACQUIRE) != n)
			sched_yield();
	}
	__atomic_store_n(&done, true, __ATOMIC_RELEASE);
	for (unsigned n = 0; n < ROUNDS; n++)
		vcpu_timer_set(&timer, n % 2 ? NEVER : HOUR, 0);
	pthread_join(thread, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_deadline_signals_and_is_due_once),
		TEST(a_signal_that_is_early_comes_again),
		TEST(the_last_one_counts),
		TEST(a_deadline_outlives_no_thread_and_awaits_the_next),
		TEST(a_nap_signals_but_nothing_is_due),
		TEST(any_thread_may_set_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
