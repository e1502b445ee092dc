/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nbd_attempt - connecting to an NBD server while a loop goes on.
 *
 * It has a thread of its own: resolving a name blocks, and nobody can say for
 * how long.
 */
#ifndef BACKENDS_NBD_ATTEMPT_H
#define BACKENDS_NBD_ATTEMPT_H

#include "backends/nbd_connect.h"
#include "core/loop.h"

struct nbd_attempt;

/*
 * Call @done once on @loop, with a handle that passes, or with NULL and why.
 * @server's strings are copied.
 */
struct nbd_attempt *nbd_attempt_new(struct loop *loop,
				    const struct nbd_server *server,
				    unsigned limit_ms,
				    void (*done)(void *user,
						 struct nbd_handle *h,
						 const GError *error),
				    void *user);
/*
 * On the loop, while it turns: done() is not called, and true; or false, since
 * it is about to be called with what is there already.  NULL is fine.
 */
bool nbd_attempt_cancel(struct nbd_attempt *a);
/*
 * done() has not been called, and will not be.  After the loop's last turn.
 * Does not wait for the thread, which may still be asking for a name.
 */
void nbd_attempt_abandon(struct nbd_attempt *a);

#endif
