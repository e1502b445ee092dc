/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the two halves of block_nbd share: block_nbd.c makes commands of
 * requests, block_nbd_link.c has the connection.
 *
 *	             lost                   connected
 *	  serving ---------> connecting --------------> replaying
 *	     ^                ^  ^   |                   |  |
 *	     |        a second|  |   | no server         |  |
 *	     |           later|  |   v                   |  |
 *	     |               waiting      lost           |  |
 *	     |                   |  ^--------------------+  |
 *	     +----------------------------------------------+
 *	                    all that is kept is there again
 *
 * Beside that, @failed: patience is at its end, and requests fail at once
 * until it is serving again.
 */
#ifndef BACKENDS_BLOCK_NBD_INTERNAL_H
#define BACKENDS_BLOCK_NBD_INTERNAL_H

#include "backends/block_nbd.h"
#include "backends/nbd_attempt.h"
#include "backends/nbd_command.h"

/* A connection.  It outlives its use until the ring has let go of it. */
struct nbd_link {
	struct nbd_handle *h;
	struct block_nbd *n;
	struct loop_poll poll;
	bool polled;		/* the loop has it */
};

struct block_nbd {
	struct block_backend bb;
	struct block_nbd_options options;	/* strings are our own */
	struct nbd_export export;
	struct loop *loop;
	struct block_jobs jobs;
	uint32_t chunk;			/* bytes of data in a command */
	uint8_t *zeroes;		/* a chunk, when first needed */

	struct block_part *waiting, **waiting_end;	/* not sent yet */
	GQueue again;		/* struct nbd_command, to be sent again */
	GQueue sent, over;	/* likewise; answered, but not looked at */
	GQueue kept;		/* writes that a server may forget */
	GQueue idle;		/* for the next ones */
	uint64_t answered;	/* writes, to number them */
	uint64_t held;		/* bytes in copies */
	bool flushing;		/* a flush of ours is under way */
	int flush_error;	/* that the next flush reports */

	struct nbd_link *link;		/* NULL: there is no connection */
	bool lost;			/* it is not to be used any more */
	GPtrArray *old_links;		/* those the ring still has */
	struct nbd_attempt *attempt;	/* to connect; NULL: none */
	struct nbd_command *replayed;	/* of the kept; NULL: all are there */
	bool replay_over;		/* it is answered */
	struct loop_timer retry;
	struct loop_timer patience;	/* set while anything is asked */
	struct loop_note look;		/* something happened in submit() */
	const char *said;		/* to the user */
	bool stalled;		/* a connection was given up for its silence */
	bool hurried;		/* what is under way need not wait for a server */
	bool failed;
	bool alone;		/* without the loop, for now or for good */
	bool left;		/* for good, or soon */
	struct loop_note leave;		/* nothing of ours is in the loop */
	struct block_leave *leaver;
};

/* block_nbd_link.c */
void nbd_link_init(struct block_nbd *n);
void nbd_link_finish(struct block_nbd *n);
/* There is a connection, the first or another one. */
void nbd_link_up(struct block_nbd *n, struct nbd_handle *h);
/* Look at what has happened, and send what can be sent. */
void nbd_link_settle(struct block_nbd *n);
/* Wait for what may happen next; without the loop, for one thing. */
void nbd_link_watch(struct block_nbd *n);
void nbd_link_step(struct block_nbd *n, int64_t deadline);
/* Nobody waits for the answers to what is under way. */
void nbd_link_hurry(struct block_nbd *n);
/* See block_backend_ops. */
void nbd_link_leave(struct block_nbd *n, struct block_leave *l);
/* Something is asked, or has been answered. */
void nbd_link_be_patient(struct block_nbd *n);

/* block_nbd.c */
/* Hand @c to the server; the answer is in settle()'s lists. */
void nbd_command_send(struct block_nbd *n, struct nbd_command *c);
/* The server has answered. */
void nbd_command_end(struct block_nbd *n, struct nbd_command *c);
/* Send what waits, if there is a connection, and room. */
void nbd_pump(struct block_nbd *n);
/* Answer all that is to be sent, and nothing more, with -ENOTCONN. */
void nbd_fail_all(struct block_nbd *n);

static inline bool nbd_is_serving(const struct block_nbd *n)
{
	return n->link && !n->lost && !n->replayed;
}

#endif
