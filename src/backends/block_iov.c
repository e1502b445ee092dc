/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "backends/block_iov.h"

/* A walk over the pieces of some bytes of an iovec. */
struct walk {
	const struct iovec *iov, *end;
	uint64_t skip;		/* bytes of *iov, or of several */
	size_t left;
};

static struct iovec next_piece(struct walk *w)
{
	struct iovec piece;

	while (w->iov < w->end && w->skip >= w->iov->iov_len)
		w->skip -= w->iov++->iov_len;
	if (w->iov == w->end || !w->left)
		return (struct iovec){ 0 };
	piece = (struct iovec){
		.iov_base = (uint8_t *)w->iov->iov_base + w->skip,
		.iov_len = w->iov->iov_len - w->skip,
	};
	if (piece.iov_len > w->left)
		piece.iov_len = w->left;
	w->left -= piece.iov_len;
	w->skip = 0;
	w->iov++;
	return piece;
}

#define FOR_EACH_PIECE(p, iov, iovcnt, skip, len)			\
	for (struct walk w_ = { iov, (iov) + (iovcnt), skip, len };	\
	     p = next_piece(&w_), p.iov_len;)

void block_iov_gather(void *buf, const struct iovec *iov, int iovcnt,
		      uint64_t skip, size_t len)
{
	uint8_t *to = buf;
	struct iovec p;

	FOR_EACH_PIECE(p, iov, iovcnt, skip, len) {
		memcpy(to, p.iov_base, p.iov_len);
		to += p.iov_len;
	}
}

void block_iov_scatter(const struct iovec *iov, int iovcnt, uint64_t skip,
		       const void *buf, size_t len)
{
	const uint8_t *from = buf;
	struct iovec p;

	FOR_EACH_PIECE(p, iov, iovcnt, skip, len) {
		memcpy(p.iov_base, from, p.iov_len);
		from += p.iov_len;
	}
}

void block_iov_zero(const struct iovec *iov, int iovcnt, uint64_t skip,
		    size_t len)
{
	struct iovec p;

	FOR_EACH_PIECE(p, iov, iovcnt, skip, len)
		memset(p.iov_base, 0, p.iov_len);
}

int block_iov_slice(struct iovec *out, const struct iovec *iov, int iovcnt,
		    uint64_t skip, size_t len)
{
	struct iovec p;
	int n = 0;

	FOR_EACH_PIECE(p, iov, iovcnt, skip, len)
		out[n++] = p;
	return n;
}
