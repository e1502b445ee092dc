/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_queue - frames that nobody has asked for yet, up to a number of bytes.
 *
 * For sources that push.  One allocation, made at the start; pages of it that
 * were never needed cost nothing.
 */
#ifndef BACKENDS_NET_QUEUE_H
#define BACKENDS_NET_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct net_queue {
	uint8_t *bytes;
	size_t size;		/* of bytes */
	size_t head, tail;	/* the first frame; where the next one goes */
	size_t used;		/* of the size, with what a wrap leaves unused */
};

/* @size holds at least one frame of NET_FRAME_MAX. */
void net_queue_init(struct net_queue *q, size_t size);
void net_queue_finish(struct net_queue *q);

/* Copy a frame of up to NET_FRAME_MAX bytes in.  False if there is no room. */
bool net_queue_push(struct net_queue *q, const void *frame, size_t len);
/* The first frame, or NULL; it is the queue's until the next call. */
const void *net_queue_pop(struct net_queue *q, size_t *len);
/* The same, and it stays. */
const void *net_queue_peek(struct net_queue *q, size_t *len);

#endif
