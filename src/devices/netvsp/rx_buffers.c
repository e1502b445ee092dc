/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's receive buffer.
 *
 *	| control, line 0's | line 0's share | line 1's ... |
 *
 * A suballocation is filled by its line.  A frame for a channel of another one
 * goes there by the queue's inbox, and what a channel's guest gives back of
 * others' goes to them: in crowds, at the end of a turn.
 *
 *	free -> [out -> inbox -> arrived] -> in a packet of its queue
 *	   ^                                       | the guest has it
 *	   +------ [returned <- back] <- completed -+
 *
 * Whoever holds the chain that a suballocation is in may touch it.
 */
#include "devices/netvsp/netvsp_internal.h"

/* Append @n, which is in no chain. */
void chain_add(struct recv_buf *b, struct chain *c, uint32_t n)
{
	b->buffer[n].next = NO_BUFFER;
	if (c->count++)
		b->buffer[c->last].next = n;
	else
		c->first = n;
	c->last = n;
}

/* The last in is the first out: it is in the caches. */
static void push(struct recv_buf *b, struct chain *c, uint32_t n)
{
	b->buffer[n].next = c->count ? c->first : NO_BUFFER;
	if (!c->count++)
		c->last = n;
	c->first = n;
}

uint32_t chain_take(struct recv_buf *b, struct chain *c)
{
	uint32_t n = c->first;

	c->first = b->buffer[n].next;
	c->count--;
	return n;
}

/* All of @from goes behind @to. */
static void join(struct recv_buf *b, struct chain *to, struct chain *from)
{
	if (!from->count)
		return;
	if (to->count)
		b->buffer[to->last].next = from->first;
	else
		to->first = from->first;
	to->last = from->last;
	to->count += from->count;
	from->count = 0;
}

static struct line *owner_of(const struct netvsp *nv, uint32_t n)
{
	const struct recv_buf *b = &nv->recv;

	return nv->line[MIN((n - b->control) / b->share, nv->lines - 1)];
}

/* To where it is free; all lines are stopped. */
static void put_buffer(struct netvsp *nv, uint32_t n)
{
	struct recv_buf *b = &nv->recv;

	push(b, n < b->control ? &b->free_control : &owner_of(nv, n)->free, n);
}

bool rx_buffer_set(struct netvsp *nv, struct vmbus_loan *loan, uint16_t id)
{
	struct recv_buf *b = &nv->recv;
	uint32_t size = RX_DATA_OFFSET + VLAN_SIZE + nv->mtu + RX_TAIL;
	uint32_t count = (uint32_t)(loan->pages * GMEM_PAGE_SIZE / size);
	uint32_t control = MIN(RX_CONTROL_BUFFERS, count / 4);

	/* FreeBSD takes multiples of 64 only. */
	if (count >= 64)
		count -= count % 64;
	/* A line without any could receive nothing. */
	if (count < 4 || count - control < nv->lines)
		return false;
	*b = (struct recv_buf){
		.loan = loan, .id = id, .size = size, .count = count,
		.control = control, .share = (count - control) / nv->lines,
		.buffer = g_new0(struct buffer, count),
	};
	while (count--)
		put_buffer(nv, count);
	rx_update_offloads(nv);
	return true;
}

static void forget_buffers(struct line *line)
{
	line->free = line->returned = (struct chain){ 0 };
	line->starving = false;
	memset(line->out, 0, sizeof(line->out));
	memset(line->back, 0, sizeof(line->back));
	line->out_set = line->back_set = 0;
}

void rx_buffer_drop(struct netvsp *nv)
{
	struct recv_buf *b = &nv->recv;

	for (unsigned i = 0; i < nv->max_queues; i++) {
		struct queue *q = nv->queue[i];

		if (!q)
			continue;
		q->rx.count = 0;
		q->arrived = q->inbox = (struct chain){ 0 };
	}
	for (unsigned i = 0; i < nv->lines; i++)
		forget_buffers(nv->line[i]);
	g_clear_pointer(&b->loan, vmbus_return);
	g_clear_pointer(&b->buffer, g_free);
	*b = (struct recv_buf){ 0 };
	lines_ask(nv, 0);
}

static void put_chain(struct netvsp *nv, struct chain *c)
{
	while (c->count)
		put_buffer(nv, chain_take(&nv->recv, c));
}

/* All of a packet: the first is @n. */
static void put_packet(struct netvsp *nv, uint32_t n)
{
	uint32_t next;

	for (; n != NO_BUFFER; n = next) {
		next = nv->recv.buffer[n].next;
		nv->recv.buffer[n].sent_on = 0;
		put_buffer(nv, n);
	}
}

void rx_queue_gone(struct queue *q)
{
	struct netvsp *nv = q->nv;
	struct recv_buf *b = &nv->recv;

	if (q->rx.count)
		put_packet(nv, (uint32_t)q->rx.trans_id - 1);
	q->rx.count = 0;
	put_chain(nv, &q->arrived);
	put_chain(nv, &q->inbox);
	for (uint32_t n = 0; n < b->count; n++)
		if (b->buffer[n].sent_on == q->index + 1)
			put_packet(nv, n);
	for (unsigned i = 0; i < nv->lines; i++)
		line_ask(nv->line[i], 0);
}

/*
 * Memory.
 */
uint32_t rx_room(const struct recv_buf *b)
{
	return b->size - RX_DATA_OFFSET - RX_TAIL;
}

static uint8_t *iov_end(const struct iovec *iov)
{
	return (uint8_t *)iov->iov_base + iov->iov_len;
}

int rx_map(const struct recv_buf *b, uint32_t n, uint32_t off, uint32_t len,
	   struct iovec *iov, int used)
{
	uint64_t at = (uint64_t)n * b->size + off;

	while (len) {
		uint32_t in_page = at % GMEM_PAGE_SIZE;
		uint32_t step = MIN(len, (uint32_t)GMEM_PAGE_SIZE - in_page);
		uint8_t *p = b->loan->page[at / GMEM_PAGE_SIZE] + in_page;

		if (used && !in_page && p == iov_end(&iov[used - 1]))
			iov[used - 1].iov_len += step;
		else
			iov[used++] = (struct iovec){ p, step };
		at += step;
		len -= step;
	}
	return used;
}

void rx_write(const struct recv_buf *b, uint32_t n, const void *src,
	      uint32_t len)
{
	struct iovec iov[4];
	int used = rx_map(b, n, 0, len, iov, 0);

	frame_write(iov, used, 0, src, len);
}

/*
 * From line to line.
 */
static void give_back(struct line *line, uint32_t n)
{
	struct recv_buf *b = &line->nv->recv;
	struct line *owner;

	/* It went by the primary channel, so this is line 0. */
	if (n < b->control) {
		push(b, &b->free_control, n);
		return;
	}
	owner = owner_of(line->nv, n);
	if (owner == line) {
		push(b, &line->free, n);
		return;
	}
	chain_add(b, &line->back[owner->index], n);
	line->back_set |= BIT64(owner->index);
}

/*
 * The guest chose the number, so the entry may be another line's and change
 * meanwhile.  What says that it went by @q is written by this loop alone.
 */
bool rx_completed(struct queue *q, uint64_t trans_id)
{
	struct recv_buf *b = &q->nv->recv;
	struct buffer *first;
	uint32_t n, next;

	if (!trans_id || trans_id > b->count)
		return false;
	first = &b->buffer[trans_id - 1];
	if (__atomic_load_n(&first->sent_on, __ATOMIC_RELAXED) != q->index + 1)
		return false;
	__atomic_store_n(&first->sent_on, 0, __ATOMIC_RELAXED);
	for (n = (uint32_t)trans_id - 1; n != NO_BUFFER; n = next) {
		next = b->buffer[n].next;
		give_back(q->line, n);
	}
	return true;
}

void rx_sent(struct queue *q, uint32_t first)
{
	__atomic_store_n(&q->nv->recv.buffer[first].sent_on,
			 (uint8_t)(q->index + 1), __ATOMIC_RELAXED);
}

static void starve(struct line *line, bool starving)
{
	__atomic_store_n(&line->starving, starving, __ATOMIC_RELAXED);
}

bool rx_has_free(struct line *line, unsigned count)
{
	struct recv_buf *b = &line->nv->recv;
	bool news;

	if (line->free.count >= count &&
	    !__atomic_load_n(&line->starving, __ATOMIC_RELAXED))
		return true;
	pthread_mutex_lock(&line->lock);
	join(b, &line->free, &line->returned);
	news = !line->starving;
	/* Known before the lock is free again: who returns some will tell. */
	starve(line, line->free.count < count);
	pthread_mutex_unlock(&line->lock);
	if (line->free.count >= count)
		return true;
	line_shed(line);
	/* Once, or two that starve would keep each other awake. */
	if (news)
		line_starves(line);
	return false;
}

static void return_to(struct line *owner, struct chain *c)
{
	bool waits;

	pthread_mutex_lock(&owner->lock);
	join(&owner->nv->recv, &owner->returned, c);
	waits = owner->starving;
	starve(owner, false);
	pthread_mutex_unlock(&owner->lock);
	if (waits)
		line_ask(owner, 0);
}

static void deliver_to(struct queue *q, struct chain *c)
{
	pthread_mutex_lock(&q->lock);
	join(&q->nv->recv, &q->inbox, c);
	pthread_mutex_unlock(&q->lock);
	line_ask(q->line, 0);
}

void rx_hand_over(struct line *line)
{
	struct netvsp *nv = line->nv;

	for (; line->out_set; line->out_set &= line->out_set - 1) {
		int i = __builtin_ctzll(line->out_set);

		deliver_to(nv->queue[i], &line->out[i]);
	}
	for (; line->back_set; line->back_set &= line->back_set - 1) {
		int i = __builtin_ctzll(line->back_set);

		return_to(nv->line[i], &line->back[i]);
	}
}

void rx_collect(struct queue *q)
{
	if (q->nv->lines == 1)
		return;
	pthread_mutex_lock(&q->lock);
	join(&q->nv->recv, &q->arrived, &q->inbox);
	pthread_mutex_unlock(&q->lock);
}
