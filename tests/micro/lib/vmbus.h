/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmbus - a guest's VMBus driver, as small as it can be: one thing at a time,
 * answers are waited for.  Everything is the boot processor's.
 */
#ifndef MICRO_VMBUS_H
#define MICRO_VMBUS_H

#include "hyperv.h"
#include "vmbus/proto.h"

#define VMBUS_VECTOR	0xf3
#define VMBUS_WAIT	10000		/* ms for any answer */
#define PFN(address)	((uintptr_t)(address) / PAGE_SIZE)

/* Hypercall page, SynIC and VMBUS_MESSAGE_SINT; once. */
void vmbus_prepare(void);

/* How often a channel has had its event flag set, by an interrupt. */
extern volatile uint32_t vmbus_events;

/* Post a message to the host, again while it has no room. */
uint16_t vmbus_post(const void *message, uint32_t len);

/* The next message of the host, if it is a @type; the rest is the test's. */
bool vmbus_expect(uint32_t type, struct message *m);

/* Ask for @version; answers will be messages to @vp. */
bool vmbus_contact(uint32_t version, uint32_t vp);
/* The same for ourselves.  Whether the host agrees. */
bool vmbus_connect(uint32_t version);
/* Whether the host says that all is undone. */
bool vmbus_unload(void);

struct ring {
	volatile struct hv_ring_buffer *control;
	uint8_t *data;
	uint32_t size;			/* of data */
};

struct channel {
	uint32_t relid, connection_id, gpadl;
	struct guid type, instance;
	uint16_t subchannel;
	struct ring out, in;
	uint32_t target_vp;		/* that takes its events */
};

/* All offers; how many, of which up to @max are stored. */
unsigned vmbus_offers(struct channel *channels, unsigned max);

/* Lend @pages from @start on to the host. */
bool vmbus_gpadl_create(const struct channel *ch, uint32_t handle,
			const void *start, uint32_t pages);
bool vmbus_gpadl_teardown(const struct channel *ch, uint32_t handle);

/* With rings of @pages each, or again with those it had; close undoes it. */
bool channel_open(struct channel *ch, uint32_t pages);
bool channel_close(struct channel *ch);
/* Let @vp take the events from now on. */
bool channel_move(struct channel *ch, uint32_t vp);

/*
 * A packet: @head behind the descriptor, such as ranges, then @payload.  Rings
 * the doorbell if the ring was empty and the host wants it.
 */
struct packet {
	uint16_t type, flags;
	uint64_t trans_id;
	const void *head, *payload;
	uint32_t head_len, payload_len;
};
bool channel_send(struct channel *ch, const struct packet *p);

/* The next packet's descriptor and up to @max bytes behind it. */
bool channel_recv(struct channel *ch, struct vmpacket_descriptor *d, void *data,
		  uint32_t max);

#endif
