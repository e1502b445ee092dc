/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loop - one thread, its io_uring, timers and mail.
 *
 * Whatever belongs to a loop is touched by that loop's thread only and needs
 * no lock.  loop_post() and loop_stop() alone may come from other threads.
 *
 * One turn: submit everything that was prepared and wait, in a single system
 * call; then run what is due: completions, timers, and last the notes, also
 * those that were posted by the turn's completions and timers.  A note posted
 * by a note runs on the next turn, which then does not wait.  Callbacks never
 * nest: none runs inside a loop_*() call other than loop_run() and loop_turn().
 */
#ifndef CORE_LOOP_H
#define CORE_LOOP_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct loop;
struct io_uring_sqe;

/* An operation in the ring: embed it; it must live until done() is called. */
struct loop_op {
	/* @res: the operation's result, negative errno on failure. */
	void (*done)(struct loop_op *op, int res);
};

/* Mail from any thread: embed one per kind.  Posted twice, it runs once. */
struct loop_note {
	void (*run)(struct loop_note *note);
	struct loop_note *next;	/* belongs to the loop */
	int posted;		/* likewise; zero to begin with */
};

struct loop_timer {
	void (*expired)(struct loop_timer *t);
	uint64_t due_ns;	/* belongs to the loop; 0 when not set */
};

/* An eventfd that others (kernel or threads) signal. */
struct loop_event {
	void (*ready)(struct loop_event *ev);
	int fd;			/* the eventfd, from loop_event_add() */
	struct loop *loop;	/* these belong to the loop */
	struct loop_op poll;
	struct loop_op cancel;
	int in_ring;
	void (*removed)(struct loop_event *ev);
};

/* A descriptor that one waits for. */
struct loop_poll {
	/* @events: of poll(2), those asked for, POLLERR and POLLHUP. */
	void (*ready)(struct loop_poll *p, unsigned events);
	struct loop *loop;	/* these belong to the loop */
	int fd;
	unsigned wanted;	/* events; 0: nothing is waited for */
	unsigned armed;		/* those that the ring looks for */
	struct loop_op poll;
	struct loop_op change;
	int in_ring;
	void (*removed)(struct loop_poll *p);
};

/*
 * NULL with @error set if the kernel refuses io_uring.  Call it, and
 * loop_free(), on any thread; the thread that runs the first turn owns it.
 */
struct loop *loop_new(GError **error);
void loop_free(struct loop *l);

/* Turns until loop_stop(). */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);		/* any thread */

/*
 * One turn.  With @wait, sleep until there is something to do.  Return whether
 * anything was done.
 */
bool loop_turn(struct loop *l, bool wait);

/* Run @note on @l's thread, in the order of posting.  Any thread. */
void loop_post(struct loop *l, struct loop_note *note);

/* Monotonic, nanoseconds; constant within a turn's callback. */
uint64_t loop_now(const struct loop *l);
/* Replace the clock (tests); timers then fire by it on the next turn. */
void loop_set_clock(struct loop *l, uint64_t (*now_ns)(void));

/* (Re)arm: call expired() once loop_now() is at least @due_ns (not 0). */
void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t due_ns);
void loop_timer_clear(struct loop *l, struct loop_timer *t);

/*
 * Prepare an operation: fill in the returned SQE with io_uring_prep_*(), but
 * leave its user data alone.  Never NULL: a full queue is submitted first.
 * It is handed to the kernel at the end of the turn.
 */
struct io_uring_sqe *loop_sqe(struct loop *l, struct loop_op *op);

/*
 * Make @ev->fd and call ready() whenever it was signalled, once for several
 * signals that came together.  Nobody reads it.  Return 0 or -errno.
 */
int loop_event_add(struct loop *l, struct loop_event *ev);
/* Stop; @removed is called on a later turn, then @ev may be freed. */
void loop_event_remove(struct loop_event *ev,
		       void (*removed)(struct loop_event *ev));

/* Prepare @p for @fd, which is borrowed.  Nothing is waited for yet. */
void loop_poll_add(struct loop *l, struct loop_poll *p, int fd);
/*
 * Call ready() once when one of @events (POLLIN, POLLOUT) holds, on a later
 * turn also if it does so already.  @events takes the place of what was waited
 * for; 0 stops that.
 */
void loop_poll_set(struct loop_poll *p, unsigned events);
/*
 * Stop for good.  The descriptor may be closed at once; its file may stay open
 * until @removed is called on a later turn, when @p may be freed.
 */
void loop_poll_remove(struct loop_poll *p,
		      void (*removed)(struct loop_poll *p));

#endif
