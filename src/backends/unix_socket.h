/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unix_socket - stream sockets that have a name in the file system.
 *
 * Their descriptors do not block and are closed by exec.
 */
#ifndef BACKENDS_UNIX_SOCKET_H
#define BACKENDS_UNIX_SOCKET_H

#include <sys/types.h>

/* A descriptor, or -errno: -ENOENT, -ECONNREFUSED: nobody listens. */
int unix_socket_connect(const char *path);

/*
 * Listen with @mode, less the umask, as the file's.  A socket that is there is
 * taken for one that nobody listens at, which the caller has found out, and
 * removed.  A descriptor, or -errno.
 */
int unix_socket_listen(const char *path, mode_t mode, int backlog);

/*
 * Two who look for each other at once must not both listen: the folder of
 * @path is locked, until the descriptor is closed, while one looks.  -EAGAIN
 * if it is by somebody else.
 */
int unix_socket_lock(const char *path);

#endif
