/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/error.h"
#include "core/loop.h"
#include "core/util.h"

#define LOOP_ENTRIES	256
#define NS_PER_S	1000000000u

struct loop {
	struct io_uring ring;
	bool enabled;		/* by the first turn, whose thread owns it */
	bool stopping;		/* atomic: loop_stop() to loop_run() */
	uint64_t now;
	uint64_t (*clock)(void);
	GPtrArray *timers;	/* struct loop_timer, those that are set */
	struct loop_event wake;	/* others want our attention */

	pthread_mutex_t lock;	/* of the notes, and of awake */
	struct loop_note *notes;
	struct loop_note **notes_end;
	bool awake;		/* will look at the notes before it waits */
};

static uint64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void wake_ready(struct loop_event *ev)
{
	/* Being awake is all that was asked for. */
}

/*
 * The ring is created disabled so that the thread of the first turn, not the
 * one that called loop_new(), becomes its single issuer.  Kernels before 6.1
 * do not know the flags; they get a plain ring.
 */
static int ring_init(struct io_uring *ring)
{
	int ret = io_uring_queue_init(LOOP_ENTRIES, ring,
				      IORING_SETUP_R_DISABLED |
				      IORING_SETUP_SINGLE_ISSUER |
				      IORING_SETUP_DEFER_TASKRUN);

	if (ret == -EINVAL)
		ret = io_uring_queue_init(LOOP_ENTRIES, ring,
					  IORING_SETUP_R_DISABLED);
	return ret;
}

struct loop *loop_new(GError **error)
{
	struct loop *l = g_new0(struct loop, 1);
	int ret = ring_init(&l->ring);

	if (ret < 0) {
		user_error_set(error, EX_UNAVAILABLE, "host.io-uring",
			       "cannot use io_uring", g_strerror(-ret),
			       "allow it: sysctl kernel.io_uring_disabled=0, "
			       "and in a container's seccomp profile");
		g_free(l);
		return NULL;
	}
	l->clock = monotonic_ns;
	l->now = l->clock();
	l->timers = g_ptr_array_new();
	l->notes_end = &l->notes;
	l->awake = true;
	pthread_mutex_init(&l->lock, NULL);
	l->wake.ready = wake_ready;
	ret = loop_event_add(l, &l->wake);
	if (ret < 0) {
		user_error_set(error, EX_OSERR, "host.descriptors",
			       "cannot create an event descriptor",
			       g_strerror(-ret), "raise the limit: ulimit -n");
		loop_free(l);
		return NULL;
	}
	return l;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;

	io_uring_queue_exit(&l->ring);
	if (l->wake.fd >= 0)
		close(l->wake.fd);
	g_ptr_array_unref(l->timers);
	pthread_mutex_destroy(&l->lock);
	g_free(l);
}

uint64_t loop_now(const struct loop *l)
{
	return l->now;
}

void loop_set_clock(struct loop *l, uint64_t (*now_ns)(void))
{
	l->clock = now_ns;
	l->now = now_ns();
}

static void wake_up(struct loop *l)
{
	uint64_t one = 1;

	/* Cannot fail: the counter will not reach 2^64 - 1. */
	if (write(l->wake.fd, &one, sizeof(one)) < 0)
		g_assert_not_reached();
}

void loop_post(struct loop *l, struct loop_note *note)
{
	bool wake = false;

	/* Pairs with the exchange in run_notes(), see there. */
	if (__atomic_exchange_n(&note->posted, 1, __ATOMIC_ACQ_REL))
		return;

	pthread_mutex_lock(&l->lock);
	note->next = NULL;
	*l->notes_end = note;
	l->notes_end = &note->next;
	if (!l->awake) {
		l->awake = true;
		wake = true;
	}
	pthread_mutex_unlock(&l->lock);
	if (wake)
		wake_up(l);
}

void loop_stop(struct loop *l)
{
	__atomic_store_n(&l->stopping, true, __ATOMIC_RELEASE);
	wake_up(l);
}

void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t due_ns)
{
	g_assert(due_ns);
	if (!t->due_ns)
		g_ptr_array_add(l->timers, t);
	t->due_ns = due_ns;
}

void loop_timer_clear(struct loop *l, struct loop_timer *t)
{
	if (!t->due_ns)
		return;

	t->due_ns = 0;
	g_ptr_array_remove_fast(l->timers, t);
}

static struct loop_timer *next_timer(const struct loop *l)
{
	struct loop_timer *next = NULL;

	for (unsigned i = 0; i < l->timers->len; i++) {
		struct loop_timer *t = g_ptr_array_index(l->timers, i);

		if (!next || t->due_ns < next->due_ns)
			next = t;
	}
	return next;
}

struct io_uring_sqe *loop_sqe(struct loop *l, struct loop_op *op)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&l->ring)))
		io_uring_submit(&l->ring);
	io_uring_sqe_set_data(sqe, op);
	return sqe;
}

/*
 * A multishot poll reports each signal of the eventfd by itself: the counter
 * is never read, and nothing is re-armed between two signals.
 */
static void event_arm(struct loop_event *ev)
{
	struct io_uring_sqe *sqe = loop_sqe(ev->loop, &ev->poll);

	io_uring_prep_poll_multishot(sqe, ev->fd, POLLIN);
}

static void event_polled(struct loop_op *op, int res)
{
	struct loop_event *ev = container_of(op, struct loop_event, poll);

	if (res >= 0 && !ev->removed)
		ev->ready(ev);
}

/* Both the poll and its cancellation have to be out of the ring. */
static void event_leave(struct loop_event *ev)
{
	if (--ev->in_ring)
		return;

	close(ev->fd);
	ev->fd = -1;
	ev->removed(ev);
}

/* The multishot poll has ended: by loop_event_remove(), or by the kernel. */
static void event_ended(struct loop_event *ev)
{
	if (ev->removed)
		event_leave(ev);
	else
		event_arm(ev);
}

static void event_cancelled(struct loop_op *op, int res)
{
	event_leave(container_of(op, struct loop_event, cancel));
}

int loop_event_add(struct loop *l, struct loop_event *ev)
{
	ev->fd = eventfd(0, EFD_CLOEXEC);
	if (ev->fd < 0)
		return -errno;

	ev->loop = l;
	ev->poll.done = event_polled;
	ev->cancel.done = event_cancelled;
	ev->removed = NULL;
	event_arm(ev);
	return 0;
}

void loop_event_remove(struct loop_event *ev,
		       void (*removed)(struct loop_event *ev))
{
	struct io_uring_sqe *sqe = loop_sqe(ev->loop, &ev->cancel);

	ev->removed = removed;
	ev->in_ring = 2;
	io_uring_prep_cancel(sqe, &ev->poll, 0);
}

static bool must_not_wait(struct loop *l)
{
	bool notes;

	pthread_mutex_lock(&l->lock);
	notes = l->notes != NULL;
	l->awake = notes;
	pthread_mutex_unlock(&l->lock);
	return notes;
}

/* What completions and timers post from now on needs no waking up. */
static void be_awake(struct loop *l)
{
	pthread_mutex_lock(&l->lock);
	l->awake = true;
	pthread_mutex_unlock(&l->lock);
}

/* Submit, and wait for a completion or the next timer. */
static void submit_and_wait(struct loop *l)
{
	const struct loop_timer *t = next_timer(l);
	struct __kernel_timespec ts;
	struct io_uring_cqe *cqe;
	uint64_t left, now;

	if (!t) {
		io_uring_submit_and_wait(&l->ring, 1);
		return;
	}
	now = l->clock();
	left = t->due_ns > now ? t->due_ns - now : 0;
	ts.tv_sec = (int64_t)(left / NS_PER_S);
	ts.tv_nsec = left % NS_PER_S;
	io_uring_submit_and_wait_timeout(&l->ring, &cqe, 1, &ts, NULL);
}

static bool run_completions(struct loop *l)
{
	struct io_uring_cqe *cqe;
	bool any = false;

	while (io_uring_peek_cqe(&l->ring, &cqe) == 0) {
		struct loop_op *op = io_uring_cqe_get_data(cqe);
		/* Asked before done(), which may free the operation. */
		bool event_over = op->done == event_polled &&
				  !(cqe->flags & IORING_CQE_F_MORE);
		int res = cqe->res;

		io_uring_cqe_seen(&l->ring, cqe);
		any = true;
		op->done(op, res);
		if (event_over)
			event_ended(container_of(op, struct loop_event, poll));
	}
	return any;
}

static bool run_timers(struct loop *l)
{
	struct loop_timer *t;
	bool any = false;

	while ((t = next_timer(l)) && t->due_ns <= l->now) {
		loop_timer_clear(l, t);
		t->expired(t);
		any = true;
	}
	return any;
}

static bool run_notes(struct loop *l)
{
	struct loop_note *note, *next;

	pthread_mutex_lock(&l->lock);
	note = l->notes;
	l->notes = NULL;
	l->notes_end = &l->notes;
	pthread_mutex_unlock(&l->lock);

	if (!note)
		return false;
	for (; note; note = next) {
		next = note->next;
		/*
		 * Before run(), which may post it again or free it.  Whoever
		 * finds it posted until here, in loop_post(), relies on run()
		 * to see what he did before; after a mere store it might not.
		 */
		__atomic_exchange_n(&note->posted, 0, __ATOMIC_ACQ_REL);
		note->run(note);
	}
	return true;
}

bool loop_turn(struct loop *l, bool wait)
{
	bool any;

	if (!l->enabled) {
		/* Debian 12's liburing does not export its function for it. */
		syscall(__NR_io_uring_register, l->ring.ring_fd,
			IORING_REGISTER_ENABLE_RINGS, NULL, 0);
		l->enabled = true;
	}
	if (must_not_wait(l) || !wait)
		io_uring_submit_and_get_events(&l->ring);
	else
		submit_and_wait(l);

	be_awake(l);
	l->now = l->clock();
	any = run_completions(l);
	any |= run_timers(l);
	any |= run_notes(l);
	return any;
}

void loop_run(struct loop *l)
{
	while (!__atomic_exchange_n(&l->stopping, false, __ATOMIC_ACQ_REL))
		loop_turn(l, true);
}
