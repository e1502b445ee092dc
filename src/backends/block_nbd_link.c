/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <poll.h>
#include <stdio.h>

#include "backends/block_nbd_internal.h"
#include "core/trace.h"
#include "core/util.h"

#define NS_PER_S	UINT64_C(1000000000)
#define RETRY_NS	NS_PER_S	/* between two attempts */
#define CONNECT_MS	10000		/* for one of them */
#define GOODBYE_US	1000000		/* for a server to let go */

static void say(struct block_nbd *n, const char *what)
{
	if (n->said == what)
		return;
	n->said = what;
	trace(TRACE_BLOCK, "nbd.state %s", what);
	fprintf(stderr, "kvmbus: disk %s: %s\n", n->options.server.name, what);
}

static bool is_busy(const struct block_nbd *n)
{
	return n->waiting || n->again.length || n->sent.length ||
	       n->over.length || n->replayed;
}

void nbd_link_be_patient(struct block_nbd *n)
{
	if (!n->options.reconnect || n->alone || !n->loop)
		return;
	if (is_busy(n))
		loop_timer_set(n->loop, &n->patience, loop_now(n->loop) +
			       n->options.reconnect * NS_PER_S);
	else
		loop_timer_clear(n->loop, &n->patience);
}

/*
 * Without a connection.
 */
/* NULL, or why the server at the other end of @h is another one. */
static const char *mismatch(const struct block_nbd *n, struct nbd_handle *h)
{
	const struct nbd_export *had = &n->export;
	struct nbd_export e;

	nbd_export_read(h, &e);
	if (e.size != had->size)
		return "the server has come back with another size, and is "
		       "left alone";
	if (e.read_only && !n->options.read_only)
		return "the server has come back read-only, and is left alone";
	if (e.block_min > n->bb.block_size || e.len_max < n->chunk ||
	    e.can_flush != had->can_flush || e.can_fua != had->can_fua ||
	    e.can_zero < had->can_zero)
		return "the server has come back and can do other things, and "
		       "is left alone";
	return NULL;
}

static void connected(void *user, struct nbd_handle *h, const GError *error)
{
	struct block_nbd *n = user;
	const char *why = h ? mismatch(n, h) : NULL;

	n->attempt = NULL;
	if (n->left) {
		libnbd.close(h);
		return;
	}
	if (h && !why) {
		nbd_link_up(n, h);
		nbd_link_watch(n);
		return;
	}
	if (why)
		say(n, why);
	libnbd.close(h);
	loop_timer_set(n->loop, &n->retry, loop_now(n->loop) + RETRY_NS);
}

static void try_again(struct block_nbd *n)
{
	n->attempt = nbd_attempt_new(n->loop, &n->options.server, CONNECT_MS,
				     connected, n);
}

static void retry_expired(struct loop_timer *t)
{
	try_again(container_of(t, struct block_nbd, retry));
}

static void link_free(void *p)
{
	struct nbd_link *link = p;

	libnbd.close(link->h);
	g_free(link);
}

static void leave_when_unpolled(struct block_nbd *n);

static void link_removed(struct loop_poll *p)
{
	struct nbd_link *link = container_of(p, struct nbd_link, poll);
	struct block_nbd *n = link->n;

	g_ptr_array_remove_fast(n->old_links, link);
	if (n->left)
		leave_when_unpolled(n);
}

/*
 * What was under way is to be sent again.  The library is closed at once: it
 * must not touch the memory of a request that ends.
 */
static void give_up(struct block_nbd *n)
{
	struct nbd_link *link = n->link;
	struct nbd_command *c;

	n->link = NULL;
	n->lost = n->replay_over = false;
	n->replayed = NULL;
	while ((c = nbd_command_first(&n->sent)))
		nbd_command_move(c, &n->again);
	libnbd.close(link->h);
	link->h = NULL;
	if (!link->polled) {
		g_free(link);
		return;
	}
	g_ptr_array_add(n->old_links, link);
	if (!n->alone)
		loop_poll_remove(&link->poll, link_removed);
}

static void link_lost(struct block_nbd *n)
{
	give_up(n);
	if (!n->options.reconnect) {
		say(n, "the server is gone, and requests fail");
		n->failed = true;
		return;
	}
	say(n, "the server is gone, and looked for");
	if (!n->alone)
		try_again(n);
}

static void patience_expired(struct loop_timer *t)
{
	struct block_nbd *n = container_of(t, struct block_nbd, patience);

	if (n->link && !n->stalled) {
		n->stalled = true;
		link_lost(n);
		nbd_link_be_patient(n);
		return;
	}
	if (n->link)
		link_lost(n);
	say(n, "the server does not answer, and requests fail until it does");
	n->failed = true;
	nbd_fail_all(n);
}

/*
 * With one.
 */
static bool is_lost(int result)
{
	return result == -ENOTCONN || result == -ESHUTDOWN;
}

/* Send @c of the kept ones again, or go on if there are no more. */
static void replay(struct block_nbd *n, struct nbd_command *c)
{
	n->replayed = c;
	if (c) {
		nbd_command_send(n, c);
		return;
	}
	if (n->said)
		say(n, "the server is there again");
	n->said = NULL;
	n->failed = false;
}

/*
 * One after the other, since one may write over another.  If the server cannot
 * do what it could before, the next flush tells.
 */
static void replay_go_on(struct block_nbd *n)
{
	struct nbd_command *c = n->replayed;

	g_assert(c);
	n->replay_over = false;
	if (is_lost(c->result)) {
		n->lost = true;
		return;
	}
	if (c->result)
		n->flush_error = c->result;
	nbd_link_be_patient(n);
	replay(n, c->link.next ? c->link.next->data : NULL);
}

static void look_at_answers(struct block_nbd *n)
{
	struct nbd_command *c;

	while ((c = nbd_command_first(&n->over))) {
		if (is_lost(c->result)) {
			n->lost = true;
			nbd_command_move(c, &n->again);
			continue;
		}
		nbd_command_move(c, NULL);
		n->stalled = false;
		nbd_command_end(n, c);
		nbd_link_be_patient(n);
	}
}

static bool is_dead(const struct nbd_link *link)
{
	return libnbd.aio_is_dead(link->h) || libnbd.aio_is_closed(link->h);
}

void nbd_link_settle(struct block_nbd *n)
{
	do {
		look_at_answers(n);
		while (n->replay_over)
			replay_go_on(n);
		if (n->link && (n->lost || is_dead(n->link)))
			link_lost(n);
		if (n->failed || (n->hurried && !n->link))
			nbd_fail_all(n);
		nbd_pump(n);
	} while (n->over.length || n->lost);
	n->hurried = n->hurried && is_busy(n);
}

void nbd_link_hurry(struct block_nbd *n)
{
	n->hurried = is_busy(n);
	if (n->hurried)
		loop_post(n->loop, &n->look);
}

/* Bits of poll(2) that the library wants to hear of. */
static unsigned wanted(const struct nbd_link *link)
{
	unsigned direction = libnbd.aio_get_direction(link->h);

	return (direction & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0u) |
	       (direction & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0u);
}

static void link_ready(struct loop_poll *p, unsigned events)
{
	struct nbd_link *link = container_of(p, struct nbd_link, poll);
	unsigned want = wanted(link);

	/* An end of the connection is found by whatever it does next. */
	if (events & (POLLERR | POLLHUP))
		events |= want;
	if (events & want & POLLIN)
		libnbd.aio_notify_read(link->h);
	else if (events & want & POLLOUT)
		libnbd.aio_notify_write(link->h);
	nbd_link_settle(link->n);
	nbd_link_watch(link->n);
}

static void look(struct loop_note *note)
{
	struct block_nbd *n = container_of(note, struct block_nbd, look);

	if (n->left)
		return;
	nbd_link_settle(n);
	nbd_link_watch(n);
}

void nbd_link_watch(struct block_nbd *n)
{
	struct nbd_link *link = n->link;

	if (n->alone)
		return;
	if (!n->patience.due_ns)
		nbd_link_be_patient(n);
	if (n->over.length || n->lost || n->replay_over ||
	    (n->failed && (n->waiting || n->again.length)))
		loop_post(n->loop, &n->look);
	if (!link)
		return;
	if (!link->polled) {
		loop_poll_add(n->loop, &link->poll,
			      libnbd.aio_get_fd(link->h));
		link->polled = true;
	}
	loop_poll_set(&link->poll, wanted(link));
}

void nbd_link_up(struct block_nbd *n, struct nbd_handle *h)
{
	struct nbd_link *link = g_new0(struct nbd_link, 1);

	link->h = h;
	link->n = n;
	link->poll.ready = link_ready;
	n->link = link;
	replay(n, nbd_command_first(&n->kept));
	nbd_link_settle(n);
}

/*
 * Leaving the loop: the polls leave the ring first.  Notes run in their order,
 * and so the one that is posted last finds that none of the others is left.
 */
static void gone(struct loop_note *note)
{
	struct block_nbd *n = container_of(note, struct block_nbd, leave);

	n->leaver->left(n->leaver);
}

static void leave_when_unpolled(struct block_nbd *n)
{
	if (!n->old_links->len && (!n->link || !n->link->polled))
		loop_post(n->loop, &n->leave);
}

static void link_unpolled(struct loop_poll *p)
{
	struct nbd_link *link = container_of(p, struct nbd_link, poll);

	link->polled = false;
	leave_when_unpolled(link->n);
}

void nbd_link_leave(struct block_nbd *n, struct block_leave *l)
{
	n->left = n->alone = true;
	n->leaver = l;
	n->leave.run = gone;
	loop_timer_clear(n->loop, &n->retry);
	loop_timer_clear(n->loop, &n->patience);
	if (nbd_attempt_cancel(n->attempt))
		n->attempt = NULL;
	if (n->link && n->link->polled)
		loop_poll_remove(&n->link->poll, link_unpolled);
	leave_when_unpolled(n);
}

/*
 * Without the loop.
 */
static void connect_now(struct block_nbd *n)
{
	autoptr(nbd_handle) h = nbd_connect(&n->options.server, CONNECT_MS,
					    NULL);

	if (h && !mismatch(n, h))
		nbd_link_up(n, g_steal_pointer(&h));
	else
		g_usleep(RETRY_NS / 1000);
}

void nbd_link_step(struct block_nbd *n, int64_t deadline)
{
	bool forever = !n->options.reconnect;
	int64_t left = deadline - g_get_monotonic_time();

	g_clear_pointer(&n->attempt, nbd_attempt_abandon);
	if (!forever && left <= 0) {
		if (n->link)
			give_up(n);
		n->failed = true;
	} else if (n->link) {
		libnbd.poll(n->link->h, forever ? -1 : (int)(left / 1000));
	} else if (!forever) {
		connect_now(n);
	}
	nbd_link_settle(n);
}

/*
 * A server that ends with its only client needs to hear that this is so.
 */
static void say_goodbye(struct nbd_handle *h)
{
	int64_t end = g_get_monotonic_time() + GOODBYE_US, left;

	if (libnbd.aio_disconnect(h, 0) < 0)
		return;
	while (!libnbd.aio_is_closed(h) && !libnbd.aio_is_dead(h) &&
	       (left = end - g_get_monotonic_time()) > 0)
		if (libnbd.poll(h, (int)(left / 1000)) < 0)
			break;
}

void nbd_link_init(struct block_nbd *n)
{
	n->old_links = g_ptr_array_new_with_free_func(link_free);
	n->retry.expired = retry_expired;
	n->patience.expired = patience_expired;
	n->look.run = look;
}

void nbd_link_finish(struct block_nbd *n)
{
	if (n->loop) {
		loop_timer_clear(n->loop, &n->retry);
		loop_timer_clear(n->loop, &n->patience);
	}
	nbd_attempt_abandon(n->attempt);
	if (n->link) {
		say_goodbye(n->link->h);
		link_free(n->link);
	}
	g_ptr_array_unref(n->old_links);
}
