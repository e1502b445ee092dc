/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "core/loop.h"
#include "core/util.h"

static GString *events;
static uint64_t fake_now;

static uint64_t fake_clock(void)
{
	return fake_now;
}

static int setup(void **state)
{
	events = g_string_new(NULL);
	fake_now = 1000;
	*state = loop_new(NULL);
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	loop_free(*state);
	g_string_free(events, TRUE);
	return 0;
}

struct named {
	struct loop_note note;
	struct loop_timer timer;
	struct loop_event event;
	struct loop *loop;
	struct named *then;
	const char *name;
};

static void note_run(struct loop_note *note)
{
	struct named *n = container_of(note, struct named, note);

	g_string_append_printf(events, "%s ", n->name);
	if (n->then)
		loop_post(n->loop, &n->then->note);
}

static void timer_expired(struct loop_timer *t)
{
	struct named *n = container_of(t, struct named, timer);

	g_string_append_printf(events, "%s ", n->name);
	if (n->then)
		loop_post(n->loop, &n->then->note);
}

static void notes_run_in_order_and_once(void **state)
{
	struct loop *l = *state;
	struct named a = { .name = "a", .note.run = note_run };
	struct named b = { .name = "b", .note.run = note_run };

	loop_post(l, &a.note);
	loop_post(l, &b.note);
	loop_post(l, &a.note);
	assert_true(loop_turn(l, true));
	assert_string_equal(events->str, "a b ");
	assert_false(loop_turn(l, false));
}

static void a_note_posted_by_a_note_waits_for_the_next_turn(void **state)
{
	struct loop *l = *state;
	struct named b = { .name = "b", .note.run = note_run };
	struct named a = { .name = "a", .note.run = note_run,
			   .then = &b, .loop = l };

	loop_post(l, &a.note);
	loop_turn(l, true);
	assert_string_equal(events->str, "a ");
	loop_turn(l, true);	/* and does not wait */
	assert_string_equal(events->str, "a b ");
}

static void timers_fire_by_the_clock_before_the_notes_they_post(void **state)
{
	struct loop *l = *state;
	struct named n = { .name = "note", .note.run = note_run };
	struct named late = { .name = "late", .timer.expired = timer_expired,
			      .then = &n, .loop = l };
	struct named soon = { .name = "soon", .timer.expired = timer_expired };

	loop_set_clock(l, fake_clock);
	loop_timer_set(l, &late.timer, 3000);
	loop_timer_set(l, &soon.timer, 2000);
	loop_turn(l, false);
	assert_string_equal(events->str, "");
	fake_now = 3000;
	loop_turn(l, false);
	assert_string_equal(events->str, "soon late note ");
	assert_int_equal(loop_now(l), 3000);
}

static void a_cleared_or_moved_timer_does_not_fire_at_its_old_time(void **state)
{
	struct loop *l = *state;
	struct named a = { .name = "a", .timer.expired = timer_expired };
	struct named b = { .name = "b", .timer.expired = timer_expired };

	loop_set_clock(l, fake_clock);
	loop_timer_set(l, &a.timer, 1500);
	loop_timer_set(l, &b.timer, 1500);
	loop_timer_clear(l, &a.timer);
	loop_timer_clear(l, &a.timer);
	loop_timer_set(l, &b.timer, 2500);
	fake_now = 2000;
	loop_turn(l, false);
	assert_string_equal(events->str, "");
	fake_now = 2500;
	loop_turn(l, false);
	assert_string_equal(events->str, "b ");
}

static void a_real_timer_ends_the_wait(void **state)
{
	struct loop *l = *state;
	struct named a = { .name = "a", .timer.expired = timer_expired };

	loop_timer_set(l, &a.timer, loop_now(l) + 1000000);
	while (!loop_turn(l, true))
		;
	assert_string_equal(events->str, "a ");
}

struct read_op {
	struct loop_op op;
	int res;
};

static void read_done(struct loop_op *op, int res)
{
	container_of(op, struct read_op, op)->res = res;
	g_string_append(events, "read ");
}

static void more_operations_than_the_queue_holds_all_complete(void **state)
{
	struct loop *l = *state;
	static struct read_op reads[1000];
	static char bytes[G_N_ELEMENTS(reads)];
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	size_t done = 0;

	loop_turn(l, false);
	for (size_t i = 0; i < G_N_ELEMENTS(reads); i++) {
		bytes[i] = 1;
		reads[i].op.done = read_done;
		io_uring_prep_read(loop_sqe(l, &reads[i].op), fd, &bytes[i], 1,
				   0);
	}
	while (done < G_N_ELEMENTS(reads)) {
		loop_turn(l, true);
		done = events->len / strlen("read ");
	}
	for (size_t i = 0; i < G_N_ELEMENTS(reads); i++) {
		assert_int_equal(reads[i].res, 1);
		assert_int_equal(bytes[i], 0);
	}
	close(fd);
}

static void event_ready(struct loop_event *ev)
{
	struct named *n = container_of(ev, struct named, event);

	g_string_append_printf(events, "%s ", n->name);
}

static void event_removed(struct loop_event *ev)
{
	assert_int_equal(ev->fd, -1);
	g_string_append(events, "removed ");
}

static void signal_event(struct named *n)
{
	uint64_t one = 1;

	assert_int_equal(write(n->event.fd, &one, sizeof(one)), sizeof(one));
}

static void an_event_is_seen_each_time_until_it_is_removed(void **state)
{
	struct loop *l = *state;
	struct named a = { .name = "ring", .event.ready = event_ready };

	assert_int_equal(loop_event_add(l, &a.event), 0);
	loop_turn(l, false);
	for (int i = 0; i < 3; i++) {
		signal_event(&a);
		loop_turn(l, true);
	}
	assert_string_equal(events->str, "ring ring ring ");
	g_string_truncate(events, 0);

	signal_event(&a);
	loop_event_remove(&a.event, event_removed);
	while (!strstr(events->str, "removed "))
		loop_turn(l, true);
	assert_string_equal(events->str, "removed ");
}

#define POSTS	20000

struct counter {
	struct loop_note note;
	struct loop *loop;
	unsigned asked;		/* atomic, by the posting thread */
	unsigned seen;		/* by the loop */
};

static void counter_run(struct loop_note *note)
{
	struct counter *c = container_of(note, struct counter, note);

	c->seen = __atomic_load_n(&c->asked, __ATOMIC_ACQUIRE);
	if (c->seen == POSTS)
		loop_stop(c->loop);
}

static void *poster(void *arg)
{
	struct counter *c = arg;

	for (unsigned i = 0; i < POSTS; i++) {
		__atomic_fetch_add(&c->asked, 1, __ATOMIC_RELEASE);
		loop_post(c->loop, &c->note);
	}
	return NULL;
}

static void no_post_from_another_thread_is_lost(void **state)
{
	struct counter c = { .note.run = counter_run, .loop = *state };
	pthread_t thread;

	pthread_create(&thread, NULL, poster, &c);
	loop_run(*state);
	pthread_join(thread, NULL);
	assert_int_equal(c.seen, POSTS);
}

struct letter {
	struct loop_note note;
	struct loop *loop;
	unsigned word[2];	/* of two threads */
	unsigned written;	/* atomic, and no order meant */
	unsigned sum;
};

static void letter_run(struct loop_note *note)
{
	struct letter *l = container_of(note, struct letter, note);

	l->sum = l->word[0] + l->word[1];
}

static void *write_letter(void *arg)
{
	struct letter *l = arg;
	unsigned i = __atomic_load_n(&l->written, __ATOMIC_RELAXED);

	l->word[i] = i + 1;
	loop_post(l->loop, &l->note);
	__atomic_store_n(&l->written, i + 1, __ATOMIC_RELAXED);
	return NULL;
}

/* Also by TSan, which sees no other order between the threads. */
static void who_finds_a_note_posted_is_heard_as_well(void **state)
{
	struct letter l = { .note.run = letter_run, .loop = *state };
	pthread_t thread[2];

	for (unsigned i = 0; i < 2; i++) {
		pthread_create(&thread[i], NULL, write_letter, &l);
		while (__atomic_load_n(&l.written, __ATOMIC_RELAXED) == i)
			sched_yield();
	}
	loop_turn(*state, false);
	assert_int_equal(l.sum, 3);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(notes_run_in_order_and_once),
		T(a_note_posted_by_a_note_waits_for_the_next_turn),
		T(timers_fire_by_the_clock_before_the_notes_they_post),
		T(a_cleared_or_moved_timer_does_not_fire_at_its_old_time),
		T(a_real_timer_ends_the_wait),
		T(more_operations_than_the_queue_holds_all_complete),
		T(an_event_is_seen_each_time_until_it_is_removed),
		T(no_post_from_another_thread_is_lost),
		T(who_finds_a_note_posted_is_heard_as_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
