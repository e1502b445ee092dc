/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * frame - headers and checksums of Ethernet frames.
 *
 * A frame is iovecs over a guest's memory, which may change at any time, so
 * its headers are copied once and all decisions fall on the copy.
 */
#ifndef DEVICES_NETVSP_FRAME_H
#define DEVICES_NETVSP_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define FRAME_HEADER_MAX	256	/* bytes looked at */

struct frame_header {
	uint8_t bytes[FRAME_HEADER_MAX];
	size_t len;			/* of them, as far as the frame goes */
	/* By frame_parse(); offsets from the frame's start. */
	uint16_t l3;			/* 0: neither IPv4 nor IPv6 */
	uint16_t l4;			/* 0: not found, or a later fragment */
	uint8_t ip_version;		/* 4, 6 or 0 */
	uint8_t protocol;		/* of the transport, if l4 */
	bool tagged;			/* has a VLAN tag at offset 12 */
};

/* Who a frame is for, by its first six bytes. */
enum frame_cast {
	FRAME_DIRECTED, FRAME_MULTICAST, FRAME_BROADCAST, FRAME_CASTS,
};
enum frame_cast frame_cast(const uint8_t *to);

/* Find the headers in @h->bytes. */
void frame_parse(struct frame_header *h);

/* Bytes of @iov. */
size_t frame_size(const struct iovec *iov, int iovcnt);
/* Copy; false, with nothing done, unless @iov has all of it. */
bool frame_read(const struct iovec *iov, int iovcnt, size_t off, void *dst,
		size_t len);
bool frame_write(const struct iovec *iov, int iovcnt, size_t off,
		 const void *src, size_t len);
/*
 * Append [off, off + len) of @iov to @out.  The new count, or -1 if @iov does
 * not have it or @max entries do not hold it.
 */
int frame_slice(const struct iovec *iov, int iovcnt, size_t off, size_t len,
		struct iovec *out, int used, int max);

/* The Internet checksum's sum of @len bytes from @off on, not folded. */
uint64_t frame_sum(const struct iovec *iov, int iovcnt, size_t off,
		   size_t len);
/* Fold, and complement: as it is stored. */
uint16_t frame_fold(uint64_t sum);
/* The sum of the pseudo header of @h's transport, for @len bytes of it. */
uint64_t frame_pseudo_sum(const struct frame_header *h, uint32_t len);

#endif
