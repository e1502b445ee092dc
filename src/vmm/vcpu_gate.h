/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu_gate - what others want of a vCPU before it goes on in its guest.
 *
 *	asks:	mark all -> wait for all	-> none uses an old translation
 *		run_on				-> its thread has done the errand
 *		hold all -> wait for all	-> none runs, up to release
 *	vCPU:	enter: errands? run them, enter again
 *		       held? rest, enter again
 *		       stale? flush
 *		-> KVM_RUN -> leave
 *
 * One that is outside of the guest does it before it is in again; one that is
 * inside is signalled.  A flush waits only until that is out, an errand until
 * it is done; who waits is outside itself, and does what others ask meanwhile,
 * so those that wait for each other do not wait.
 */
#ifndef VMM_VCPU_GATE_H
#define VMM_VCPU_GATE_H

#include <pthread.h>
#include <stdbool.h>

struct vcpu_errand;

struct vcpu_gate {
	pthread_mutex_t lock;
	pthread_cond_t moved;	/* it has left, or an errand come or gone */
	pthread_t thread;	/* that is inside */
	unsigned visits;
	bool inside, stale, closed;
	bool held, resting;	/* resting: where it is held */
	struct vcpu_errand *first, **last;	/* to be run on its thread */
};

void vcpu_gate_init(struct vcpu_gate *g);
void vcpu_gate_finish(struct vcpu_gate *g);

enum vcpu_gate_pass {
	GATE_PASSED,
	GATE_STALE,		/* passed; flush first */
	GATE_ERRANDS,		/* not passed: vcpu_gate_run() */
	GATE_HELD,		/* not passed, but held; it may have to stop */
};

/* Around KVM_RUN, on the vCPU's thread. */
enum vcpu_gate_pass vcpu_gate_enter(struct vcpu_gate *g);
void vcpu_gate_leave(struct vcpu_gate *g);
/*
 * Run the first errand that is waiting, on the vCPU's thread.  What is known of
 * the vCPU before may be old for the next one: its sender knows of this one's end.
 */
void vcpu_gate_run(struct vcpu_gate *g);
/* It will not enter any more, nor run errands. */
void vcpu_gate_close(struct vcpu_gate *g);

/*
 * Any thread: what is cached is stale.  @signal makes KVM_RUN return.  The
 * result is for vcpu_gate_wait().
 */
unsigned vcpu_gate_mark(struct vcpu_gate *g, int signal);
/* Not on a thread that is inside. */
void vcpu_gate_wait(struct vcpu_gate *g, unsigned visit);

/*
 * Any thread: it does not pass any more, and rests in vcpu_gate_enter() but for
 * errands.  @signal makes KVM_RUN return.
 */
void vcpu_gate_hold(struct vcpu_gate *g, int signal);
/* Not on a thread that is held: wait until it rests or @g is closed. */
void vcpu_gate_wait_held(struct vcpu_gate *g);
void vcpu_gate_release(struct vcpu_gate *g);

/*
 * On the thread of vCPU @from, which is outside: have @run(@arg) done on that
 * of @g.  @run does not wait for others.  False: @g is closed.
 */
bool vcpu_gate_run_on(struct vcpu_gate *g, int signal, struct vcpu_gate *from,
		      void (*run)(void *arg), void *arg);

#endif
