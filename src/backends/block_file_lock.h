/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Locks that keep two machines from writing one image. */
#ifndef BACKENDS_BLOCK_FILE_LOCK_H
#define BACKENDS_BLOCK_FILE_LOCK_H

#include <glib.h>
#include <stdbool.h>

/*
 * Take the lock of a reader or of the only writer on the open file @fd; it
 * goes with the last copy of @fd.  False with an error that names the holder.
 */
bool block_file_lock(int fd, const char *path, bool read_only,
		     GError **error);
/* The same for one of many writers, each of which has another @name. */
bool block_file_lock_shared(int fd, const char *path, const char *name,
			    GError **error);
/*
 * Wait until no other of them starts, for who is one already: the descriptor
 * holds that, and is closed then.  -1 with an error, which after @seconds names
 * the process that has been starting all the time.
 */
int block_file_lock_start(const char *path, unsigned seconds, GError **error);
/*
 * Give it back now: io_uring may have the file for a moment after its last
 * request is done, and who opens it next would find it locked.
 */
void block_file_unlock(int fd);

#endif
