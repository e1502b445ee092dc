/* SPDX-License-Identifier: GPL-2.0-or-later */
/* net_copy - frames into one piece of memory, and back. */
#ifndef BACKENDS_NET_COPY_H
#define BACKENDS_NET_COPY_H

#include <glib.h>
#include <string.h>

#include "backend/net.h"

/* Bytes that recv() may fill of @f. */
static inline size_t net_room(const struct net_frame *f)
{
	size_t room = 0;

	for (int i = 0; i < f->iovcnt; i++)
		room += f->iov[i].iov_len;
	return room;
}

/* At most @size bytes of @f, which it returns the number of. */
static inline size_t net_gather(const struct net_frame *f, uint8_t *to,
				size_t size)
{
	size_t done = 0;

	for (int i = 0; i < f->iovcnt && done < size; i++) {
		size_t n = MIN(f->iov[i].iov_len, size - done);

		memcpy(to + done, f->iov[i].iov_base, n);
		done += n;
	}
	return done;
}

/* @len bytes become @f's, and leave nothing to be done.  False without room. */
static inline bool net_scatter(struct net_frame *f, const uint8_t *from,
			       size_t len)
{
	size_t done = 0;

	for (int i = 0; i < f->iovcnt && done < len; i++) {
		size_t n = MIN(f->iov[i].iov_len, len - done);

		memcpy(f->iov[i].iov_base, from + done, n);
		done += n;
	}
	memset(&f->hdr, 0, sizeof(f->hdr));
	f->len = len;
	return done == len;
}

#endif
