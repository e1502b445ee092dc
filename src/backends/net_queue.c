/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <string.h>

#include "backend/net.h"
#include "backends/net_queue.h"

/* Before each frame.  One with WRAP has none behind it: go on at 0. */
struct entry {
	uint32_t len;
};

#define WRAP		UINT32_MAX
#define ENTRY_ALIGN	sizeof(struct entry)

static size_t space_of(size_t len)
{
	return sizeof(struct entry) +
	       (len + ENTRY_ALIGN - 1) / ENTRY_ALIGN * ENTRY_ALIGN;
}

void net_queue_init(struct net_queue *q, size_t size)
{
	g_assert(size >= space_of(NET_FRAME_MAX) && size % ENTRY_ALIGN == 0);
	*q = (struct net_queue){ .bytes = g_malloc(size), .size = size };
}

void net_queue_finish(struct net_queue *q)
{
	g_free(q->bytes);
}

static void put_entry(struct net_queue *q, size_t at, uint32_t len)
{
	const struct entry e = { .len = len };

	memcpy(q->bytes + at, &e, sizeof(e));
}

/* Frames are in one piece, so the rest of the memory may have to be skipped. */
static bool wrap_for(struct net_queue *q, size_t space)
{
	size_t rest = q->size - q->tail;

	if (rest >= space)
		return true;
	if (q->size - q->used < rest + space)
		return false;
	if (rest)
		put_entry(q, q->tail, WRAP);
	q->used += rest;
	q->tail = 0;
	return true;
}

bool net_queue_push(struct net_queue *q, const void *frame, size_t len)
{
	size_t space = space_of(len);

	g_assert(len <= NET_FRAME_MAX);
	if (q->used == 0)
		q->head = q->tail = 0;
	if (q->size - q->used < space || !wrap_for(q, space))
		return false;
	put_entry(q, q->tail, (uint32_t)len);
	memcpy(q->bytes + q->tail + sizeof(struct entry), frame, len);
	q->tail += space;
	q->used += space;
	return true;
}

static uint32_t entry_at(const struct net_queue *q, size_t at)
{
	struct entry e;

	memcpy(&e, q->bytes + at, sizeof(e));
	return e.len;
}

const void *net_queue_peek(struct net_queue *q, size_t *len)
{
	if (!q->used)
		return NULL;
	if (q->head == q->size || entry_at(q, q->head) == WRAP) {
		q->used -= q->size - q->head;
		q->head = 0;
	}
	*len = entry_at(q, q->head);
	return q->bytes + q->head + sizeof(struct entry);
}

const void *net_queue_pop(struct net_queue *q, size_t *len)
{
	const void *frame = net_queue_peek(q, len);

	if (!frame)
		return NULL;
	q->head += space_of(*len);
	q->used -= space_of(*len);
	return frame;
}
