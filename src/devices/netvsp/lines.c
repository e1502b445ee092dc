/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Turns of lines, and how one asks another for something.
 *
 *	ready(), readable() ... -> line_begin() ... line_end()
 *	a control message -> lines_stop() -> what all read is changed
 *		-> line_ask(): due, a note -> line_begin() -> catch_up()
 */
#include "devices/netvsp/netvsp_internal.h"

void line_shed(struct line *line)
{
	for (struct queue *q = line_next(line, NULL); q; q = line_next(line, q))
		tx_shed(q);
}

static void settle(struct line *line)
{
	for (struct queue *q = line_next(line, NULL); q; q = line_next(line, q))
		tx_flush(q);
}

/* Before anything else happens on a line: what others want of it. */
static void catch_up(struct line *line)
{
	unsigned due;

	if (!__atomic_load_n(&line->due, __ATOMIC_RELAXED))
		return;
	due = __atomic_exchange_n(&line->due, 0, __ATOMIC_RELAXED);
	if (due & LINE_FORGET)
		net_forget(line->nb);
	if (due & LINE_OFFLOADS)
		net_set_offloads(line->nb, line->nv->rx_offloads);
	if (due & LINE_SETTLE)
		settle(line);
	if (due & LINE_SHED)
		line_shed(line);
}

void line_begin(struct line *line)
{
	/*
	 * A mutex favours who had it last: without the gate, a line with much
	 * to do would let nobody in between two turns.
	 */
	if (__atomic_load_n(&line->wanted, __ATOMIC_RELAXED)) {
		pthread_mutex_lock(&line->gate);
		pthread_mutex_unlock(&line->gate);
	}
	pthread_mutex_lock(&line->turn);
	catch_up(line);
}

void line_end(struct line *line)
{
	rx_hand_over(line);
	pthread_mutex_unlock(&line->turn);
}

static void stop(struct line *line)
{
	pthread_mutex_lock(&line->gate);
	__atomic_store_n(&line->wanted, true, __ATOMIC_RELAXED);
	pthread_mutex_lock(&line->turn);
	__atomic_store_n(&line->wanted, false, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&line->gate);
}

void lines_stop(struct netvsp *nv, unsigned first)
{
	for (unsigned i = first; i < nv->lines; i++)
		stop(nv->line[i]);
}

void lines_go(struct netvsp *nv, unsigned first)
{
	for (unsigned i = first; i < nv->lines; i++)
		pthread_mutex_unlock(&nv->line[i]->turn);
}

void line_ask(struct line *line, unsigned due)
{
	__atomic_fetch_or(&line->due, due, __ATOMIC_RELAXED);
	loop_post(line->loop, &line->note);
}

void lines_ask(struct netvsp *nv, unsigned due)
{
	for (unsigned i = 1; i < nv->lines; i++)
		line_ask(nv->line[i], due);
}

void lines_shed(struct netvsp *nv)
{
	line_shed(nv->line[0]);
	for (unsigned i = 0; i < nv->max_queues; i++)
		if (nv->queue[i] && nv->queue[i]->line->index)
			tx_drop(nv->queue[i]);
	lines_ask(nv, LINE_SETTLE);
}

void line_starves(struct line *line)
{
	struct netvsp *nv = line->nv;

	for (unsigned i = 0; i < nv->lines; i++)
		if (nv->line[i] != line)
			line_ask(nv->line[i], LINE_SHED);
}

bool others_starve(const struct line *line)
{
	const struct netvsp *nv = line->nv;

	for (unsigned i = 0; i < nv->lines; i++)
		if (nv->line[i] != line &&
		    __atomic_load_n(&nv->line[i]->starving, __ATOMIC_RELAXED))
			return true;
	return false;
}

void line_init(struct line *line, struct netvsp *nv, unsigned index,
	       struct loop *loop, struct net_backend *nb)
{
	line->nv = nv;
	line->index = index;
	line->loop = loop;
	line->nb = nb;
	pthread_mutex_init(&line->turn, NULL);
	pthread_mutex_init(&line->gate, NULL);
	pthread_mutex_init(&line->lock, NULL);
}

void line_finish(struct line *line)
{
	pthread_mutex_destroy(&line->turn);
	pthread_mutex_destroy(&line->gate);
	pthread_mutex_destroy(&line->lock);
}
