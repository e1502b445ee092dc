/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A frame of a guest, with a header that says anything of it, is cut.
 *
 * Input: a struct input, then the frame.
 */
#include <glib.h>
#include <string.h>

#include "backends/net_segment.h"
#include "core/util.h"

struct input {
	struct virtio_net_hdr hdr;
	uint8_t piece;		/* bytes of an iovec; 0: all in one */
} __attribute__((packed));

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The frame in pieces that end where the sanitizer sees an overrun. */
static void cut_into_pieces(struct net_frame *f, const uint8_t *data,
			    size_t size, size_t piece)
{
	struct iovec *iov = g_new0(struct iovec, size + 1);
	int n = 0;

	for (size_t at = 0; at < size; at += iov[n++].iov_len) {
		iov[n].iov_len = piece ? MIN(piece, size - at) : size - at;
		iov[n].iov_base = g_memdup2(data + at, iov[n].iov_len);
	}
	f->iov = iov;
	f->iovcnt = n;
	f->len = size;
}

static void check(const struct net_frame *f)
{
	struct net_segmenter s;
	size_t len, left, count, bytes;

	if (!net_segmenter_init(&s, f))
		return;
	count = net_segmenter_count(&s, &bytes);
	for (left = s.left; left; left = s.left) {
		uint8_t *buf = g_malloc(s.max);

		len = net_segmenter_next(&s, buf);
		g_assert(len && len <= s.max && s.left < left);
		g_assert(count-- && len <= bytes);
		bytes -= len;
		g_free(buf);
	}
	g_assert(!count && !bytes);
	g_assert(net_segmenter_next(&s, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct net_frame f = { 0 };
	struct input in;

	if (size < sizeof(in))
		return 0;
	memcpy(&in, data, sizeof(in));
	f.hdr = in.hdr;
	cut_into_pieces(&f, data + sizeof(in), size - sizeof(in), in.piece);
	check(&f);
	net_checksum_finish(&f);
	for (int i = 0; i < f.iovcnt; i++)
		g_free(f.iov[i].iov_base);
	g_free((void *)f.iov);
	return 0;
}
