/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * channel - what a VMBus device sees of the bus.
 *
 * The bus calls the device through struct vmbus_device_ops; the device calls
 * the bus through the functions below.  Both happen on the channel's loop, and
 * on no other thread.  A device's sub-channels share its ops, and its loop
 * unless it names others; then open(), ready() and close() of two channels may
 * come at once.
 */
#ifndef VMBUS_CHANNEL_H
#define VMBUS_CHANNEL_H

#include <stdbool.h>

#include "core/gmem.h"
#include "core/guid.h"
#include "core/loop.h"
#include "core/reader.h"
#include "vmbus/proto.h"

struct vmbus_channel;
struct vmbus_device;

struct vmbus_device_ops {
	const char *name;
	/*
	 * The guest opens @ch: 0, or -errno to refuse.  The device may keep
	 * state of its own per channel with vmbus_channel_set_data().
	 */
	int (*open)(struct vmbus_device *dev, struct vmbus_channel *ch);
	/* There are packets: receive until vmbus_recv() says 0. */
	void (*ready)(struct vmbus_device *dev, struct vmbus_channel *ch);
	/*
	 * Stop: nothing more is received.  Call vmbus_closed() as soon as no
	 * request of @ch uses guest memory any more, now or later.  Until then
	 * vmbus_complete() and vmbus_send() are allowed and do nothing.
	 */
	void (*close)(struct vmbus_device *dev, struct vmbus_channel *ch);
	/*
	 * Where the @index-th sub-channel lives, always the same; that of the
	 * primary one is dev->loop.  On the main loop.  NULL: all of them there.
	 */
	struct loop *(*loop)(const struct vmbus_device *dev, unsigned index);
};

/* Base of every VMBus device: embed it, and get back with container_of(). */
struct vmbus_device {
	const struct vmbus_device_ops *ops;
	struct guid if_type;
	struct guid if_instance;	/* unique, stable over reboots */
	uint16_t flags;			/* VMBUS_CHANNEL_* */
	uint8_t user_def[MAX_USER_DEFINED_BYTES];
	struct loop *loop;		/* its primary channel's, see ops */
	const struct gmem *gm;
};

/* One packet, in the channel's own buffer until the next vmbus_recv(). */
struct vmbus_packet {
	struct vmpacket_descriptor desc;
	struct reader header;	/* what follows the descriptor, by type */
	struct reader payload;
};

/*
 * For use in ready().  1 with @pkt filled in; 0 if there is no more for now
 * (ready() will be called again); -EPROTO if the guest broke the ring, which
 * then stays silent until the channel is reopened.
 */
int vmbus_recv(struct vmbus_channel *ch, struct vmbus_packet *pkt);

/*
 * Answer the request @trans_id.  A packet that is no request has no answer, or
 * a device whose guest made both rings of the same pages would go on for ever.
 * Never fails: an answer that finds the ring full waits in the channel for
 * room.  The device bounds how many requests it has taken and not answered.
 * The guest is signalled at the end of the turn, once for all.
 */
void vmbus_complete(struct vmbus_channel *ch, uint64_t trans_id,
		    const void *payload, size_t len);

/*
 * Send a packet of our own (in-band, trans_id 0, no completion asked).
 * 0; -EAGAIN if it does not fit now, then ready() is called when it may;
 * -EPROTO if the ring is broken or the channel not open (in open() it is not).
 */
int vmbus_send(struct vmbus_channel *ch, const void *payload, size_t len);

/* A packet of ours about parts of pages that the guest has lent. */
#define VMBUS_RANGES_MAX		64
#define VMBUS_TRANSFER_PAYLOAD_MAX	64	/* bytes */
struct vmbus_transfer {
	uint64_t trans_id;		/* the guest answers it, by VM_PKT_COMP */
	uint16_t pageset;		/* id by which the guest knows the pages */
	uint16_t count;			/* of ranges, VMBUS_RANGES_MAX at most */
	struct vmtransfer_page_range ranges[VMBUS_RANGES_MAX];
};

/* As vmbus_send(). */
int vmbus_send_pages(struct vmbus_channel *ch, const struct vmbus_transfer *t,
		     const void *payload, size_t len);

/* Pages of the guest's for a buffer that it shares with the device. */
struct vmbus_loan {
	struct vmbus_channel *ch;	/* whose it is */
	uint32_t gpadl;
	uint32_t pages;
	uint8_t *page[];		/* GMEM_PAGE_SIZE bytes each */
};

/*
 * Borrow the GPADL @gpadl, one range of whole pages that the guest has made
 * for @ch.  NULL if there is none such, or if it has more than @max pages.
 * The guest is not told that it has the pages back before vmbus_return(),
 * which comes before vmbus_closed().
 */
struct vmbus_loan *vmbus_borrow(struct vmbus_channel *ch, uint32_t gpadl,
				uint32_t max);
void vmbus_return(struct vmbus_loan *loan);

/* See vmbus_device_ops.close.  @ch is not to be used after this. */
void vmbus_closed(struct vmbus_channel *ch);

/*
 * Tell whether requests are under way, or more are likely: while they are, the
 * channel polls its ring instead of asking the guest for doorbells, until it has
 * looked and found nothing.  A device that has its hands
 * full may leave packets in the ring if it is busy; ready() is called again
 * after a completion and when it is busy no more.
 */
void vmbus_channel_set_busy(struct vmbus_channel *ch, bool busy);

/* 0: the primary channel; n: its n-th sub-channel. */
unsigned vmbus_channel_index(const struct vmbus_channel *ch);
void vmbus_channel_set_data(struct vmbus_channel *ch, void *data);
void *vmbus_channel_data(const struct vmbus_channel *ch);

/*
 * Offer sub-channels 1 to @count of the device of primary channel @ch, and
 * withdraw them by themselves when @ch closes.  May be called once per open.
 * Asynchronous; the offers follow what was completed before.
 */
void vmbus_offer_subchannels(struct vmbus_channel *ch, unsigned count);

#endif
