/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parts of a request's memory. */
#ifndef BACKENDS_BLOCK_IOV_H
#define BACKENDS_BLOCK_IOV_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/*
 * Copy @len bytes between @buf and what @iov, of @iovcnt entries, has from
 * byte @skip on.
 */
void block_iov_gather(void *buf, const struct iovec *iov, int iovcnt,
		      uint64_t skip, size_t len);
void block_iov_scatter(const struct iovec *iov, int iovcnt, uint64_t skip,
		       const void *buf, size_t len);
/* Make @len bytes of it, from byte @skip on, zero. */
void block_iov_zero(const struct iovec *iov, int iovcnt, uint64_t skip,
		    size_t len);
/*
 * The same bytes as an iovec of its own, into @out.  Returns the number of
 * entries: never more than @iovcnt.
 */
int block_iov_slice(struct iovec *out, const struct iovec *iov, int iovcnt,
		    uint64_t skip, size_t len);

#endif
