/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ring - one direction of a VMBus channel.
 *
 * The guest can write every byte of a ring at any time, indices included.  We
 * keep our own index privately, load the guest's once per step, and copy a
 * packet out before looking inside it.
 */
#ifndef VMBUS_RING_H
#define VMBUS_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/gmem.h"
#include "vmbus/proto.h"

/* The largest packet that is taken: descriptor, headers and payload. */
#define VMBUS_PACKET_MAX	16384

struct ring {
	struct hv_ring_buffer *ctrl;
	uint8_t **page;		/* data pages, borrowed */
	uint32_t size;		/* bytes in the data pages */
	uint32_t index;		/* our end: what is taken or written so far */
	uint32_t published;	/* our end as the guest knows it */
	bool waits;		/* for room; the guest has been asked */
};

/*
 * Take @pages pages of @pfn as a ring; the first is the control page.  Our end
 * begins where the guest's memory says it is.  @page_table has room for
 * @pages.  0, -EPROTO, or -EFAULT if a page is not RAM.
 */
int ring_init_receive(struct ring *r, const struct gmem *gm,
		      const uint64_t *pfn, uint32_t pages,
		      uint8_t **page_table);
int ring_init_send(struct ring *r, const struct gmem *gm, const uint64_t *pfn,
		   uint32_t pages, uint8_t **page_table);

/*
 * Copy the next packet to @buf of VMBUS_PACKET_MAX bytes.  Its length, 0 if
 * the ring is empty, or -EPROTO if the guest broke the ring.
 */
int ring_recv(struct ring *r, uint8_t *buf);

/*
 * Let the guest have the space of what was received.  True if it waits for
 * that much room and must be signalled.
 */
bool ring_recv_publish(struct ring *r);

/* Ask the guest to ring when it sends (or not to). */
void ring_set_mask(struct ring *r, bool masked);

/* Whether something has come since, now that the guest knows the mask. */
bool ring_has_more(const struct ring *r);

/*
 * Append one packet; the guest does not see it yet.  0; -EAGAIN if there is
 * no room (the guest has been asked to signal when there is); -EPROTO if it
 * broke the ring.
 */
int ring_send(struct ring *r, const struct vmpacket_descriptor *desc,
	      const void *payload, size_t len);

/* Show it all that was appended.  True if it must be signalled. */
bool ring_send_publish(struct ring *r);

#endif
