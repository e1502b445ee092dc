/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reservations - who may use a disk that several machines share.
 *
 * The state of persistent reservations (SPC-3, 5.6) is in a file beside the
 * disk; each machine is one initiator port with a place in it.  It is changed
 * under a lock, as a whole: a process that dies at any instant leaves the old
 * state or the new one.  Nothing here blocks; who finds the lock taken gets
 * -EAGAIN.  A file that makes no sense is -EUCLEAN.
 */
#ifndef BACKEND_RESERVATIONS_H
#define BACKEND_RESERVATIONS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/loop.h"

#define PR_INITIATORS_MAX	64
#define PR_NAME_MAX		63	/* bytes of a machine's name */

/* Reservation types; the last two are held by all who are registered. */
enum pr_type {
	PR_NONE			= 0,
	PR_WRITE_EXCLUSIVE	= 1,
	PR_EXCLUSIVE_ACCESS	= 3,
	PR_WRITE_EXCLUSIVE_RO	= 5,	/* registrants only */
	PR_EXCLUSIVE_ACCESS_RO	= 6,
	PR_WRITE_EXCLUSIVE_AR	= 7,
	PR_EXCLUSIVE_ACCESS_AR	= 8,
};

/* These are stored as they are. */
struct pr_initiator {
	uint8_t id[8];		/* SAS address of its port; zero: a free place */
	uint64_t key;		/* 0: not registered */
	uint32_t attentions;	/* unit attentions that it was meant to see */
	uint16_t attention;	/* the last one's asc << 8 | ascq */
	uint16_t zero;
};

struct pr_state {
	uint32_t generation;
	uint8_t aptpl;		/* it survives when nobody uses the disk */
	uint8_t type;		/* enum pr_type */
	uint8_t holder;		/* a place, with types that have one holder */
	uint8_t reserved6;	/* 1 + place of who did RESERVE(6); 0: nobody */
	struct pr_initiator initiator[PR_INITIATORS_MAX];
};

struct reservations;

/*
 * Those of the disk @disk, in @disk.pr, which is made if it is not there, for
 * the machine @name.  Waits for others that are about to open it.  When nobody
 * else has it open, what was not to be kept (aptpl) is gone.  NULL with an
 * error for the user.
 */
struct reservations *reservations_open(const char *disk, const char *name,
				       GError **error);
void reservations_close(struct reservations *r);

/* This machine's place, and what is the same for all machines. */
unsigned reservations_self(const struct reservations *r);
const uint8_t *reservations_disk_id(const struct reservations *r);

/* The state as of the last call that looked at the file. */
const struct pr_state *reservations_state(const struct reservations *r);
/* Look at the file: 0 or -errno. */
int reservations_refresh(struct reservations *r);

/*
 * Take the lock and give the state to be changed; NULL with *@result set.
 * Then exactly one of commit() and abandon().
 */
struct pr_state *reservations_begin(struct reservations *r, int *result);
int reservations_commit(struct reservations *r);
void reservations_abandon(struct reservations *r);
/* What was committed is on stable storage at op->done(). */
void reservations_sync(struct reservations *r, struct loop *loop,
		       struct loop_op *op);

/* Whether the machine with that place is running. */
bool reservations_is_alive(const struct reservations *r, unsigned place);

/*
 * A write begins, and is over.  enter() looks at the file after the others can
 * see that this machine writes.  0 or -errno.
 */
int reservations_enter(struct reservations *r);
void reservations_leave(struct reservations *r);
/* Whether the machine with that place has writes under way. */
bool reservations_is_writing(const struct reservations *r, unsigned place);

#endif
