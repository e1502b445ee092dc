/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nat_sockets - the descriptors that libslirp waits for, behind one.
 *
 * libslirp says anew before each wait what it wants of which descriptor.  The
 * kernel is told what has changed.
 */
#ifndef BACKENDS_NAT_SOCKETS_H
#define BACKENDS_NAT_SOCKETS_H

#include <glib.h>
#include <stdbool.h>

struct nat_sockets {
	int fd;			/* readable when one of them is ready */
	GArray *watches;	/* struct watch, by descriptor */
	unsigned open;		/* those between opened() and closed() */
	int high_from;		/* from here on few descriptors are left */
	unsigned high;		/* how many of the open ones are there */
};

/* 0 or -errno. */
int nat_sockets_init(struct nat_sockets *s);
void nat_sockets_finish(struct nat_sockets *s);

/* Descriptors come and go; -1 is none.  closed() is called before close(). */
void nat_sockets_opened(struct nat_sockets *s, int fd);
void nat_sockets_closed(struct nat_sockets *s, int fd);
bool nat_sockets_is_open(const struct nat_sockets *s, int fd);

/* No more are to be opened for the guest; for others that is so sooner. */
bool nat_sockets_full(const struct nat_sockets *s);

/* @fd is a port's: it is not waited for while there is no room for others. */
void nat_sockets_listens(struct nat_sockets *s, int fd);

/* While @muted, @fd is not waited for, whatever want() says. */
void nat_sockets_mute(struct nat_sockets *s, int fd, bool muted);

/*
 * Look which are ready for what is wanted: any?  Nobody waits.  Then ready()
 * has SLIRP_POLL_*.
 */
bool nat_sockets_look(struct nat_sockets *s);
int nat_sockets_ready(const struct nat_sockets *s, int fd);

/*
 * After begin(), want() says what is waited for: SLIRP_POLL_*.  end() has the
 * kernel know.
 */
void nat_sockets_begin(struct nat_sockets *s);
void nat_sockets_want(struct nat_sockets *s, int fd, int events);
void nat_sockets_end(struct nat_sockets *s);

#endif
