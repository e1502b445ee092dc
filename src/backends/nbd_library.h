/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nbd_library - libnbd, which is loaded by the first disk that needs it: the
 * libraries that it needs take twice the memory of all that a machine has
 * otherwise.
 */
#ifndef BACKENDS_NBD_LIBRARY_H
#define BACKENDS_NBD_LIBRARY_H

#include <glib.h>
#include <libnbd.h>
#include <stdbool.h>

#define NBD_LIBRARY(F) \
	F(aio_connect_socket) F(aio_connect_uri) F(aio_disconnect) \
	F(aio_flush) F(aio_get_direction) F(aio_get_fd) F(aio_is_closed) \
	F(aio_is_connecting) F(aio_is_dead) F(aio_is_negotiating) \
	F(aio_is_ready) F(aio_notify_read) F(aio_notify_write) \
	F(aio_opt_go) F(aio_pread) F(aio_pwrite) F(aio_zero) F(can_flush) \
	F(can_fua) F(can_trim) F(can_zero) F(close) F(create) \
	F(get_block_size) F(get_errno) F(get_error) F(get_size) \
	F(is_read_only) F(is_rotational) F(poll) F(set_opt_mode) \
	F(set_pread_initialize) F(set_uri_allow_local_file)

struct nbd_library {
#define F(name) __typeof__(nbd_##name) *name;
	NBD_LIBRARY(F)
#undef F
};

/* Its functions, after nbd_library_load(). */
extern struct nbd_library libnbd;

/* False with an error for the user of @disk if it is not there.  Any thread. */
bool nbd_library_load(const char *disk, GError **error);

#endif
