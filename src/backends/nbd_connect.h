/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nbd_connect - a connection to an export of an NBD server, negotiated and
 * ready for requests, and what the server says of the export.
 */
#ifndef BACKENDS_NBD_CONNECT_H
#define BACKENDS_NBD_CONNECT_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "backends/nbd_library.h"
#include "core/autoptr.h"

AUTOPTR_DEFINE(nbd_handle, libnbd.close)

/* Where the server is. */
struct nbd_server {
	const char *name;	/* of the disk, for the user */
	const char *uri;	/* NULL: it is at the other end of @fd */
	int fd;			/* passes, also on failure */
};

/* nbd://, nbd+unix:// and their like. */
bool nbd_is_uri(const char *text);

/*
 * Blocks for @limit_ms at most, and for as long as the resolver takes.  NULL
 * with an error for the user.  Any thread.
 */
struct nbd_handle *nbd_connect(const struct nbd_server *server,
			       unsigned limit_ms, GError **error);

struct nbd_export {
	uint64_t size;		/* bytes */
	uint32_t block_min;	/* 1, or a power of two that all is aligned to */
	uint32_t block_good;	/* what the server likes; 0: it does not say */
	uint32_t len_max;	/* bytes of a request with data */
	bool read_only, rotational;
	bool can_flush, can_fua, can_zero, can_trim;
};

void nbd_export_read(struct nbd_handle *h, struct nbd_export *e);

#endif
