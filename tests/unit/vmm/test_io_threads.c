/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>

#include "core/util.h"
#include "vmm/iothread.h"

struct question {
	struct loop_note note;
	sem_t answered;
	int policy;
};

static void answer(struct loop_note *note)
{
	struct question *q = container_of(note, struct question, note);

	q->policy = sched_getscheduler(0);
	sem_post(&q->answered);
}

/* Of a thread that is started by this one. */
static int policy_of(bool batch)
{
	struct question q = { .note.run = answer };
	struct iothread *io = iothread_new(NULL);

	sem_init(&q.answered, 0, 0);
	if (batch)
		iothread_set_batch(io);
	loop_post(iothread_loop(io), &q.note);
	assert_true(iothread_start(io, NULL));
	while (sem_wait(&q.answered))
		;
	iothread_stop(io);
	iothread_free(io);
	sem_destroy(&q.answered);
	return q.policy;
}

static void a_thread_for_crowds_takes_no_processor(void **state)
{
	assert_int_equal(policy_of(true), SCHED_BATCH);
}

static void others_are_as_their_process(void **state)
{
	assert_int_equal(policy_of(false), sched_getscheduler(0));
}

static void *start_idle(void *policy)
{
	const struct sched_param param = { 0 };

	pthread_setschedparam(pthread_self(), SCHED_IDLE, &param);
	*(int *)policy = policy_of(true);
	return NULL;
}

static void what_the_user_chose_is_kept(void **state)
{
	pthread_t thread;
	int policy;

	assert_int_equal(pthread_create(&thread, NULL, start_idle, &policy), 0);
	pthread_join(thread, NULL);
	assert_int_equal(policy, SCHED_IDLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_for_crowds_takes_no_processor),
		cmocka_unit_test(others_are_as_their_process),
		cmocka_unit_test(what_the_user_chose_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
