/* SPDX-License-Identifier: GPL-2.0-or-later */
/* iothread - a loop with a thread of its own. */
#ifndef VMM_IOTHREAD_H
#define VMM_IOTHREAD_H

#include <glib.h>

#include "core/loop.h"

struct iothread;

/* Make the loop; what is prepared on it before the start is not lost. */
struct iothread *iothread_new(GError **error);
struct loop *iothread_loop(struct iothread *io);
/*
 * Before the start: the thread is to run SCHED_BATCH.  On a free processor that
 * changes nothing.  Elsewhere it does not take the place of who runs, of the
 * vCPU that woke it for the first of many packets, but comes when that sleeps
 * or its time is up, and finds them all.
 */
void iothread_set_batch(struct iothread *io);
/* False with an error if there can be no more threads. */
bool iothread_start(struct iothread *io, GError **error);
/*
 * Stop the loop, but let the thread be there until iothread_stop(): programs
 * that it has started end with it.  NULL is fine.
 */
void iothread_rest(struct iothread *io);
/* Stop the loop between two turns and wait for that.  NULL is fine. */
void iothread_stop(struct iothread *io);
/* It is stopped.  NULL is fine. */
void iothread_free(struct iothread *io);

#endif
