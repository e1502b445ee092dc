/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <liburing.h>
#include <poll.h>

#include "core/loop.h"
#include "core/util.h"

static void poll_arm(struct loop_poll *p)
{
	struct io_uring_sqe *sqe = loop_sqe(p->loop, &p->poll);

	io_uring_prep_poll_add(sqe, p->fd, p->wanted);
	p->armed = p->wanted;
	p->in_ring++;
}

/*
 * The poll may end before the kernel reads this.  Then the update fails, and
 * polled() waits again for what is still wanted.
 */
static void poll_change(struct loop_poll *p)
{
	struct io_uring_sqe *sqe = loop_sqe(p->loop, &p->change);

	io_uring_prep_poll_update(sqe, (uintptr_t)&p->poll, 0, p->wanted,
				  IORING_POLL_UPDATE_EVENTS);
	p->armed = p->wanted;
	p->in_ring++;
}

/* Whether @p was removed.  Then nobody may touch it any more. */
static bool has_left(struct loop_poll *p)
{
	p->in_ring--;
	if (!p->removed)
		return false;
	if (!p->in_ring)
		p->removed(p);
	return true;
}

static void changed(struct loop_op *op, int res)
{
	has_left(container_of(op, struct loop_poll, change));
}

static void polled(struct loop_op *op, int res)
{
	struct loop_poll *p = container_of(op, struct loop_poll, poll);
	unsigned events = res < 0 ? POLLERR : (unsigned)res;

	p->armed = 0;
	if (has_left(p) || !p->wanted)
		return;
	events &= p->wanted | POLLERR | POLLHUP;
	if (!events) {
		poll_arm(p);
		return;
	}
	p->wanted = 0;
	p->ready(p, events);
}

void loop_poll_add(struct loop *l, struct loop_poll *p, int fd)
{
	p->loop = l;
	p->fd = fd;
	p->wanted = p->armed = 0;
	p->poll.done = polled;
	p->change.done = changed;
	p->in_ring = 0;
	p->removed = NULL;
}

/* To wait for less the ring need not be told: polled() looks. */
void loop_poll_set(struct loop_poll *p, unsigned events)
{
	p->wanted = events;
	if (!(events & ~p->armed))
		return;
	if (p->armed)
		poll_change(p);
	else
		poll_arm(p);
}

void loop_poll_remove(struct loop_poll *p,
		      void (*removed)(struct loop_poll *p))
{
	struct io_uring_sqe *sqe = loop_sqe(p->loop, &p->change);

	p->removed = removed;
	p->in_ring++;
	io_uring_prep_cancel(sqe, &p->poll, 0);
}
