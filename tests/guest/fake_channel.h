/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fake_channel - channels of one VMBus device without a bus or rings: a test
 * is the guest.  Link it in place of the vmbus library.
 *
 * Packets wait in a queue; fake_kick() calls the device for them.  What the
 * device answers is kept, in order.
 */
#ifndef TESTS_FAKE_CHANNEL_H
#define TESTS_FAKE_CHANNEL_H

#include <glib.h>

#include "vmbus/channel.h"

#define FAKE_PACKET_MAX	16384
#define FAKE_PAYLOAD_MAX	128

struct fake_packet {
	struct vmpacket_descriptor desc;
	size_t header_len, payload_len;
	uint8_t header[FAKE_PACKET_MAX];
	uint8_t payload[FAKE_PAYLOAD_MAX];
};

struct fake_answer {
	uint64_t trans_id;
	size_t len;
	uint8_t payload[FAKE_PAYLOAD_MAX];
};

/* A packet of the device's own about pages that it has borrowed. */
struct fake_transfer {
	struct vmbus_transfer t;
	size_t len;
	uint8_t payload[FAKE_PAYLOAD_MAX];
};

#define FAKE_LISTS_MAX	4

struct vmbus_channel {
	struct vmbus_device *dev;
	unsigned index;
	void *data;
	bool is_open, closing, closed, busy;
	unsigned subchannels;		/* as asked for; 0: not */
	GQueue packets;			/* struct fake_packet, owned */
	GQueue answers;			/* struct fake_answer, owned */
	GQueue transfers;		/* struct fake_transfer, owned */
	bool full;			/* nothing of the device's own fits */
	unsigned loans;			/* that were not returned */
	struct {
		uint32_t gpadl, pages;
		uint8_t *memory;
	} list[FAKE_LISTS_MAX];
	struct fake_packet *current;	/* what vmbus_recv() gave last */
};

/* Open channel @index of @dev; asserts that it can be. */
struct vmbus_channel *fake_open(struct vmbus_device *dev, unsigned index);
/* Start to close it: see ch->closed. */
void fake_close(struct vmbus_channel *ch);
/* It is closed. */
void fake_free(struct vmbus_channel *ch);

/* Queue a packet; NULL @header is an in-band one. */
void fake_send(struct vmbus_channel *ch, uint64_t trans_id,
	       const void *header, size_t header_len,
	       const void *payload, size_t payload_len);
void fake_kick(struct vmbus_channel *ch);
/* Queue an answer to a packet of the device's. */
void fake_complete(struct vmbus_channel *ch, uint64_t trans_id);
/* Make a GPADL of @pages pages at @memory. */
void fake_lend(struct vmbus_channel *ch, uint32_t gpadl, uint8_t *memory,
	       uint32_t pages);
/* The oldest of the device's own, likewise. */
struct fake_transfer *fake_transfer(struct vmbus_channel *ch);
/* The oldest answer, to be freed with g_free(); NULL if there is none. */
struct fake_answer *fake_answer(struct vmbus_channel *ch);

#endif
