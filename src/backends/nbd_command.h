/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nbd_command - what is asked of an NBD server, and the lists that it is on.
 */
#ifndef BACKENDS_NBD_COMMAND_H
#define BACKENDS_NBD_COMMAND_H

#include "backends/block_job.h"

struct block_nbd;

struct nbd_command {
	struct block_nbd *n;
	struct block_part *part;	/* NULL: nobody waits for it */
	enum block_op op;
	bool fua;
	uint64_t offset, len;
	uint8_t *bytes;		/* of it; borrowed unless they are @copy */
	uint8_t *copy;		/* NULL: none */
	/*
	 * How many writes had been answered: up to this one, or of a flush,
	 * when it was sent.  A flush covers those up to its own number.
	 */
	uint64_t number;
	int result;		/* 0 or -errno */
	GQueue *in;		/* that has it; NULL: none */
	GList link;
};

/* To the end of @queue; NULL: to no list. */
static inline void nbd_command_move(struct nbd_command *c, GQueue *queue)
{
	if (c->in)
		g_queue_unlink(c->in, &c->link);
	c->in = queue;
	if (queue)
		g_queue_push_tail_link(queue, &c->link);
}

static inline struct nbd_command *nbd_command_first(GQueue *queue)
{
	return g_queue_peek_head(queue);
}

#endif
