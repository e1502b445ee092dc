/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who flushes and runs errands when, on threads that play the guest. */
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <glib.h>

#include "vmm/vcpu_gate.h"

#define SIGNAL		SIGUSR1
#define TOO_LONG	60	/* s: who waits for ever is killed */
#define VCPUS		4
#define ROUNDS		5000

static __thread volatile sig_atomic_t signalled;

static void on_signal(int signal)
{
	signalled = 1;
}

static struct vcpu {
	struct vcpu_gate gate;
	pthread_t thread;
	uint64_t cached;	/* the epoch that its translations are of */
	bool inside, old;	/* it went on with older ones */
} vcpus[VCPUS];

/* Of what there is to translate; and up to where flushes have returned. */
static uint64_t epoch, completed;

static int set_up(void **state)
{
	const struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGNAL, &sa, NULL);
	alarm(TOO_LONG);
	epoch = completed = 0;
	for (unsigned i = 0; i < VCPUS; i++) {
		vcpus[i] = (struct vcpu){ 0 };
		vcpu_gate_init(&vcpus[i].gate);
	}
	return 0;
}

static int tear_down(void **state)
{
	for (unsigned i = 0; i < VCPUS; i++)
		vcpu_gate_finish(&vcpus[i].gate);
	alarm(0);
	return 0;
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static void who_is_marked_outside_flushes_once_when_it_enters(void **state)
{
	struct vcpu_gate *g = &vcpus[0].gate;

	assert_int_equal(vcpu_gate_enter(g), GATE_PASSED);
	vcpu_gate_leave(g);
	vcpu_gate_mark(g, SIGNAL);
	vcpu_gate_wait(g, vcpu_gate_mark(g, SIGNAL));
	assert_false(signalled);
	assert_int_equal(vcpu_gate_enter(g), GATE_STALE);
	vcpu_gate_leave(g);
	assert_int_equal(vcpu_gate_enter(g), GATE_PASSED);
	vcpu_gate_leave(g);
}

static void a_later_visit_is_not_waited_for(void **state)
{
	struct vcpu_gate *g = &vcpus[0].gate;
	unsigned visit;

	vcpu_gate_enter(g);
	visit = vcpu_gate_mark(g, SIGNAL);
	assert_true(signalled);
	signalled = 0;
	vcpu_gate_leave(g);
	assert_int_equal(vcpu_gate_enter(g), GATE_STALE);
	vcpu_gate_wait(g, visit);
	vcpu_gate_leave(g);

	visit = vcpu_gate_mark(g, SIGNAL);
	vcpu_gate_enter(g);
	vcpu_gate_wait(g, visit);
	vcpu_gate_leave(g);
}

/* A thread's first sleep under TSan loses a signal that comes meanwhile. */
static void begin(void)
{
	usleep(1);
}

static void *guest_until_signalled(void *arg)
{
	struct vcpu *v = arg;

	begin();
	vcpu_gate_enter(&v->gate);
	__atomic_store_n(&v->inside, true, __ATOMIC_RELEASE);
	/* In sleep, TSan takes signals as they come. */
	while (!signalled)
		usleep(1);
	__atomic_store_n(&v->inside, false, __ATOMIC_RELEASE);
	vcpu_gate_leave(&v->gate);
	return NULL;
}

static void who_is_inside_is_signalled_and_waited_for(void **state)
{
	struct vcpu *v = &vcpus[0];

	pthread_create(&v->thread, NULL, guest_until_signalled, v);
	while (!__atomic_load_n(&v->inside, __ATOMIC_ACQUIRE))
		sched_yield();
	vcpu_gate_wait(&v->gate, vcpu_gate_mark(&v->gate, SIGNAL));
	assert_false(__atomic_load_n(&v->inside, __ATOMIC_ACQUIRE));
	assert_int_equal(vcpu_gate_enter(&v->gate), GATE_STALE);
	vcpu_gate_leave(&v->gate);
	pthread_join(v->thread, NULL);
}

static void run(struct vcpu *v)
{
	signalled = 0;
	if (vcpu_gate_enter(&v->gate) == GATE_STALE)
		v->cached = __atomic_load_n(&epoch, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < 3 && !signalled; i++) {
		sched_yield();
		v->old |= v->cached <
			  __atomic_load_n(&completed, __ATOMIC_SEQ_CST);
	}
	vcpu_gate_leave(&v->gate);
}

static void raise_completed(uint64_t to)
{
	uint64_t c = __atomic_load_n(&completed, __ATOMIC_SEQ_CST);

	while (c < to &&
	       !__atomic_compare_exchange_n(&completed, &c, to, false,
					    __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST))
		;
}

static void *flusher(void *arg)
{
	struct vcpu *v = arg;
	unsigned visit[VCPUS];

	begin();
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t mine;

		run(v);
		mine = __atomic_add_fetch(&epoch, 1, __ATOMIC_SEQ_CST);
		for (unsigned i = 0; i < VCPUS; i++)
			visit[i] = vcpu_gate_mark(&vcpus[i].gate, SIGNAL);
		for (unsigned i = 0; i < VCPUS; i++)
			vcpu_gate_wait(&vcpus[i].gate, visit[i]);
		raise_completed(mine);
	}
	return NULL;
}

static void vcpus_that_flush_each_other_all_go_on_and_are_never_old(void **state)
{
	for (unsigned i = 0; i < VCPUS; i++)
		pthread_create(&vcpus[i].thread, NULL, flusher, &vcpus[i]);
	for (unsigned i = 0; i < VCPUS; i++)
		pthread_join(vcpus[i].thread, NULL);
	for (unsigned i = 0; i < VCPUS; i++)
		assert_false(vcpus[i].old);
	assert_int_equal(completed, VCPUS * ROUNDS);
}

/*
 * Errands.
 */
static __thread unsigned self;		/* the number of this thread's vCPU */
static unsigned ran[VCPUS];		/* errands on each */
static unsigned live;			/* vCPUs that are not at the end */

static void count(void *arg)
{
	unsigned *on = arg;

	*on = self;
	ran[self]++;
}

/* Have it counted on vCPU @to, and whether it was. */
static bool counted_on(unsigned to, unsigned from)
{
	unsigned on = VCPUS;

	return vcpu_gate_run_on(&vcpus[to].gate, SIGNAL, &vcpus[from].gate,
				count, &on) && on == to;
}

/* In and out of the guest until all others have asked what they want. */
static void serve(struct vcpu *v)
{
	signalled = 0;
	if (vcpu_gate_enter(&v->gate) == GATE_ERRANDS) {
		vcpu_gate_run(&v->gate);
		return;
	}
	while (!signalled && __atomic_load_n(&live, __ATOMIC_ACQUIRE))
		usleep(1);
	vcpu_gate_leave(&v->gate);
}

static void *server(void *arg)
{
	struct vcpu *v = arg;

	begin();
	self = (unsigned)(v - vcpus);
	while (__atomic_load_n(&live, __ATOMIC_ACQUIRE))
		serve(v);
	vcpu_gate_close(&v->gate);
	return NULL;
}

static void an_errand_is_done_on_the_thread_of_its_vcpu(void **state)
{
	self = 0;
	live = 1;
	memset(ran, 0, sizeof(ran));
	pthread_create(&vcpus[1].thread, NULL, server, &vcpus[1]);
	for (unsigned i = 0; i < ROUNDS; i++)
		assert_true(counted_on(1, 0));
	__atomic_store_n(&live, 0, __ATOMIC_RELEASE);
	pthread_join(vcpus[1].thread, NULL);
	assert_int_equal(ran[1], ROUNDS);
}

static void who_is_closed_refuses(void **state)
{
	vcpu_gate_close(&vcpus[1].gate);
	assert_false(counted_on(1, 0));
}

static void *ask_1(void *arg)
{
	bool *done = arg;
	unsigned on;

	begin();
	*done = vcpu_gate_run_on(&vcpus[1].gate, SIGNAL, &vcpus[0].gate, count,
				 &on);
	return NULL;
}

static void wait_for_errand(struct vcpu_gate *g)
{
	while (vcpu_gate_enter(g) != GATE_ERRANDS) {
		vcpu_gate_leave(g);
		sched_yield();
	}
}

static void those_who_wait_for_one_that_closes_are_refused(void **state)
{
	bool done = true;

	pthread_create(&vcpus[0].thread, NULL, ask_1, &done);
	wait_for_errand(&vcpus[1].gate);
	vcpu_gate_close(&vcpus[1].gate);
	pthread_join(vcpus[0].thread, NULL);
	assert_false(done);
}

/* Once there is another one. */
static void count_later(void *arg)
{
	struct vcpu_gate *g = &vcpus[1].gate;
	bool more = false;

	while (!more) {
		pthread_mutex_lock(&g->lock);
		more = g->first;
		pthread_mutex_unlock(&g->lock);
		sched_yield();
	}
	count(arg);
}

static void *ask_1_later(void *arg)
{
	bool *done = arg;
	unsigned on;

	begin();
	*done = vcpu_gate_run_on(&vcpus[1].gate, SIGNAL, &vcpus[2].gate,
				 count_later, &on);
	return NULL;
}

/* What its sender did before it, the vCPU is to see before it. */
static void an_errand_that_comes_during_another_waits(void **state)
{
	bool first = false, second = false;

	self = 1;
	memset(ran, 0, sizeof(ran));
	pthread_create(&vcpus[2].thread, NULL, ask_1_later, &first);
	wait_for_errand(&vcpus[1].gate);
	pthread_create(&vcpus[0].thread, NULL, ask_1, &second);
	vcpu_gate_run(&vcpus[1].gate);
	assert_int_equal(ran[1], 1);
	pthread_join(vcpus[2].thread, NULL);
	assert_true(first);
	assert_int_equal(vcpu_gate_enter(&vcpus[1].gate), GATE_ERRANDS);
	vcpu_gate_run(&vcpus[1].gate);
	pthread_join(vcpus[0].thread, NULL);
	assert_true(second);
	assert_int_equal(ran[1], 2);
}

static void *asker(void *arg)
{
	struct vcpu *v = arg;
	unsigned to;

	begin();
	self = (unsigned)(v - vcpus);
	for (unsigned i = 0; i < ROUNDS; i++) {
		to = (self + 1 + i % (VCPUS - 1)) % VCPUS;
		v->old |= !counted_on(to, self);
	}
	__atomic_fetch_sub(&live, 1, __ATOMIC_ACQ_REL);
	return server(arg);
}

static void vcpus_that_wait_for_each_other_all_go_on(void **state)
{
	unsigned sum = 0;

	live = VCPUS;
	memset(ran, 0, sizeof(ran));
	for (unsigned i = 0; i < VCPUS; i++)
		pthread_create(&vcpus[i].thread, NULL, asker, &vcpus[i]);
	for (unsigned i = 0; i < VCPUS; i++) {
		pthread_join(vcpus[i].thread, NULL);
		assert_false(vcpus[i].old);
		sum += ran[i];
	}
	assert_int_equal(sum, VCPUS * ROUNDS);
}

/*
 * Holding.
 */
static unsigned passes;

/* A guest that counts how often it is entered. */
static void *passer(void *arg)
{
	struct vcpu *v = arg;

	begin();
	self = (unsigned)(v - vcpus);
	while (__atomic_load_n(&live, __ATOMIC_ACQUIRE)) {
		signalled = 0;
		switch (vcpu_gate_enter(&v->gate)) {
		case GATE_ERRANDS:
			vcpu_gate_run(&v->gate);
			break;
		case GATE_HELD:
			break;
		default:
			__atomic_add_fetch(&passes, 1, __ATOMIC_RELAXED);
			vcpu_gate_leave(&v->gate);
		}
	}
	vcpu_gate_close(&v->gate);
	return NULL;
}

static void start_passer(struct vcpu *v)
{
	live = 1;
	passes = 0;
	pthread_create(&v->thread, NULL, passer, v);
}

static void stop_passer(struct vcpu *v)
{
	__atomic_store_n(&live, 0, __ATOMIC_RELEASE);
	vcpu_gate_release(&v->gate);
	pthread_join(v->thread, NULL);
}

static unsigned passes_now(void)
{
	return __atomic_load_n(&passes, __ATOMIC_RELAXED);
}

static void who_is_held_does_not_pass_until_released(void **state)
{
	struct vcpu *v = &vcpus[1];
	unsigned before;

	start_passer(v);
	while (!passes_now())
		sched_yield();
	for (unsigned i = 0; i < 100; i++) {
		vcpu_gate_hold(&v->gate, SIGNAL);
		vcpu_gate_wait_held(&v->gate);
		before = passes_now();
		sched_yield();
		assert_int_equal(passes_now(), before);
		vcpu_gate_release(&v->gate);
		while (passes_now() == before)
			sched_yield();
	}
	stop_passer(v);
}

static void who_is_held_before_it_comes_never_passes(void **state)
{
	struct vcpu *v = &vcpus[1];

	vcpu_gate_hold(&v->gate, SIGNAL);
	start_passer(v);
	vcpu_gate_wait_held(&v->gate);
	stop_passer(v);
	assert_int_equal(passes, 0);
}

static void who_is_held_does_errands(void **state)
{
	struct vcpu *v = &vcpus[1];

	self = 0;
	vcpu_gate_hold(&v->gate, SIGNAL);
	start_passer(v);
	for (unsigned i = 0; i < 100; i++)
		assert_true(counted_on(1, 0));
	vcpu_gate_wait_held(&v->gate);
	assert_int_equal(passes_now(), 0);
	stop_passer(v);
}

static void who_has_closed_is_not_waited_for(void **state)
{
	vcpu_gate_hold(&vcpus[1].gate, SIGNAL);
	vcpu_gate_close(&vcpus[1].gate);
	vcpu_gate_wait_held(&vcpus[1].gate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_is_marked_outside_flushes_once_when_it_enters),
		TEST(a_later_visit_is_not_waited_for),
		TEST(who_is_inside_is_signalled_and_waited_for),
		TEST(vcpus_that_flush_each_other_all_go_on_and_are_never_old),
		TEST(an_errand_is_done_on_the_thread_of_its_vcpu),
		TEST(who_is_closed_refuses),
		TEST(those_who_wait_for_one_that_closes_are_refused),
		TEST(an_errand_that_comes_during_another_waits),
		TEST(vcpus_that_wait_for_each_other_all_go_on),
		TEST(who_is_held_does_not_pass_until_released),
		TEST(who_is_held_before_it_comes_never_passes),
		TEST(who_is_held_does_errands),
		TEST(who_has_closed_is_not_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
