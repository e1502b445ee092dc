/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <signal.h>
#include <stddef.h>

#include "vmm/vcpu_gate.h"

enum errand_state { WAITING, DONE, REFUSED };

/* On the stack of who waits for it. */
struct vcpu_errand {
	void (*run)(void *arg);
	void *arg;
	struct vcpu_gate *from;		/* its lock is that of @state */
	enum errand_state state;
	struct vcpu_errand *next;
};

void vcpu_gate_init(struct vcpu_gate *g)
{
	*g = (struct vcpu_gate){ .last = &g->first };
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->moved, NULL);
}

void vcpu_gate_finish(struct vcpu_gate *g)
{
	pthread_cond_destroy(&g->moved);
	pthread_mutex_destroy(&g->lock);
}

/* With the lock. */
static void rest(struct vcpu_gate *g)
{
	g->resting = true;
	pthread_cond_broadcast(&g->moved);
	while (g->held && !g->first)
		pthread_cond_wait(&g->moved, &g->lock);
	g->resting = false;
}

enum vcpu_gate_pass vcpu_gate_enter(struct vcpu_gate *g)
{
	enum vcpu_gate_pass pass = GATE_ERRANDS;

	pthread_mutex_lock(&g->lock);
	if (g->held && !g->first) {
		rest(g);
		pass = GATE_HELD;
	} else if (!g->first) {
		g->thread = pthread_self();
		g->inside = true;
		g->visits++;
		pass = g->stale ? GATE_STALE : GATE_PASSED;
		g->stale = false;
	}
	pthread_mutex_unlock(&g->lock);
	return pass;
}

void vcpu_gate_leave(struct vcpu_gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->inside = false;
	pthread_cond_broadcast(&g->moved);
	pthread_mutex_unlock(&g->lock);
}

/* With the lock, or the thread that is inside could be gone by then. */
static void call_out(const struct vcpu_gate *g, int signal)
{
	if (g->inside)
		pthread_kill(g->thread, signal);
}

unsigned vcpu_gate_mark(struct vcpu_gate *g, int signal)
{
	unsigned visit;

	pthread_mutex_lock(&g->lock);
	g->stale = true;
	visit = g->visits;
	call_out(g, signal);
	pthread_mutex_unlock(&g->lock);
	return visit;
}

void vcpu_gate_wait(struct vcpu_gate *g, unsigned visit)
{
	pthread_mutex_lock(&g->lock);
	while (g->inside && g->visits == visit)
		pthread_cond_wait(&g->moved, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

void vcpu_gate_hold(struct vcpu_gate *g, int signal)
{
	pthread_mutex_lock(&g->lock);
	g->held = true;
	call_out(g, signal);
	pthread_mutex_unlock(&g->lock);
}

void vcpu_gate_wait_held(struct vcpu_gate *g)
{
	pthread_mutex_lock(&g->lock);
	while (!g->resting && !g->closed)
		pthread_cond_wait(&g->moved, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

void vcpu_gate_release(struct vcpu_gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->held = false;
	pthread_cond_broadcast(&g->moved);
	pthread_mutex_unlock(&g->lock);
}

static bool post(struct vcpu_gate *g, int signal, struct vcpu_errand *e)
{
	bool open;

	pthread_mutex_lock(&g->lock);
	open = !g->closed;
	if (open) {
		*g->last = e;
		g->last = &e->next;
		call_out(g, signal);
		pthread_cond_broadcast(&g->moved);
	}
	pthread_mutex_unlock(&g->lock);
	return open;
}

static struct vcpu_errand *take(struct vcpu_gate *g)
{
	struct vcpu_errand *e;

	pthread_mutex_lock(&g->lock);
	e = g->first;
	if (e)
		g->first = e->next;
	if (!g->first)
		g->last = &g->first;
	pthread_mutex_unlock(&g->lock);
	return e;
}

/* After this it is gone. */
static void end(struct vcpu_errand *e, enum errand_state state)
{
	struct vcpu_gate *from = e->from;

	pthread_mutex_lock(&from->lock);
	e->state = state;
	pthread_cond_broadcast(&from->moved);
	pthread_mutex_unlock(&from->lock);
}

void vcpu_gate_run(struct vcpu_gate *g)
{
	struct vcpu_errand *e = take(g);

	if (e) {
		e->run(e->arg);
		end(e, DONE);
	}
}

void vcpu_gate_close(struct vcpu_gate *g)
{
	struct vcpu_errand *e;

	pthread_mutex_lock(&g->lock);
	g->closed = true;
	pthread_cond_broadcast(&g->moved);
	pthread_mutex_unlock(&g->lock);
	while ((e = take(g)))
		end(e, REFUSED);
}

bool vcpu_gate_run_on(struct vcpu_gate *g, int signal, struct vcpu_gate *from,
		      void (*run)(void *arg), void *arg)
{
	struct vcpu_errand e = { .run = run, .arg = arg, .from = from };

	if (!post(g, signal, &e))
		return false;
	pthread_mutex_lock(&from->lock);
	while (e.state == WAITING) {
		if (!from->first) {
			pthread_cond_wait(&from->moved, &from->lock);
			continue;
		}
		pthread_mutex_unlock(&from->lock);
		vcpu_gate_run(from);
		pthread_mutex_lock(&from->lock);
	}
	pthread_mutex_unlock(&from->lock);
	return e.state == DONE;
}
