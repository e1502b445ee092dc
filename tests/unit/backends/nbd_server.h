/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nbd_server - an NBD server that fails when it is told to, on a thread, with
 * the protocol as its specification has it: fixed newstyle, simple replies.
 *
 * It has two copies of the disk: what reads see, and what a crash leaves, which
 * is what was flushed.
 */
#ifndef TESTS_NBD_SERVER_H
#define TESTS_NBD_SERVER_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum nbd_fault {
	NBD_WORKS,
	NBD_DROPS_BEFORE,	/* the connection, the request not done */
	NBD_DROPS_AFTER,	/* done, but not answered */
	NBD_DROPS_INSIDE,	/* half of the answer is sent */
	NBD_SAYS_SHUTDOWN,
	NBD_IS_SILENT,		/* until the client gives up */
	NBD_FAILS,		/* this request, with EIO */
};

struct nbd_server_options {
	const char *path;	/* of its socket */
	uint64_t size;
	uint32_t block_min;	/* 0: it does not say */
	uint32_t block_max;
	uint16_t flags;		/* of transmission, beside HAS_FLAGS */
	bool crashes;		/* who drops a connection forgets */
	bool late_flushes;	/* are answered behind the next request */
};

#define NBD_READ_ONLY	0x02
#define NBD_FLUSH	0x04
#define NBD_FUA		0x08
#define NBD_TRIM	0x20
#define NBD_ZEROES	0x40
#define NBD_ALL		(NBD_FLUSH | NBD_FUA | NBD_TRIM | NBD_ZEROES)

struct nbd_test_server;

struct nbd_test_server *nbd_server_new(const struct nbd_server_options *o);
void nbd_server_free(struct nbd_test_server *s);

/* Nobody listens any more, and connections end; and the other way round. */
void nbd_server_stop(struct nbd_test_server *s);
void nbd_server_start(struct nbd_test_server *s);
/* What the next connections are told. */
void nbd_server_change(struct nbd_test_server *s, uint64_t size,
		       uint16_t flags);
/* Do @fault at the request after @after others, once. */
void nbd_server_fault(struct nbd_test_server *s, enum nbd_fault fault,
		      unsigned after);
/* Whether that has happened. */
bool nbd_server_has_failed(struct nbd_test_server *s);
/* Requests of NBD_CMD_* @type since the start; connections. */
unsigned nbd_server_count(struct nbd_test_server *s, unsigned type);
unsigned nbd_server_connections(struct nbd_test_server *s);
/* With nothing under way. */
const uint8_t *nbd_server_bytes(struct nbd_test_server *s);
const uint8_t *nbd_server_stable(struct nbd_test_server *s);

#endif
