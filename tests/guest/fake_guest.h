/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fake_guest - a guest of src/vmbus inside a test: RAM, virtual processors
 * with SINTs, and a driver for the bus and its rings.
 *
 * Of vmbus it shares the wire structures and nothing else: ring and packet
 * code are its own, written from the guest's side.  It is also the bus's host,
 * as the machine would be: doorbells and SINTs end here.
 *
 * Functions that begin with guest_ring_ and guest_channel_ may run on a thread
 * of their own; the rest belong to the thread that turns the loops.
 */
#ifndef TESTS_FAKE_GUEST_H
#define TESTS_FAKE_GUEST_H

#include <glib.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/gmem.h"
#include "core/loop.h"
#include "vmbus/bus.h"

#define GUEST_VPS	3
#define GUEST_SINTS	4
#define GUEST_RAM	(UINT64_C(48) << 20)
#define GUEST_RELIDS	(VMBUS_RELID_MAX + 1)

struct guest_message {
	uint32_t vp;
	unsigned sint;
	size_t len;
	uint8_t data[HV_MESSAGE_PAYLOAD_MAX];
};

struct guest_sint {
	struct hv_sint port;
	pthread_mutex_t lock;
	bool off;			/* the slot takes nothing */
	bool full;
	struct guest_message slot;
	struct hv_sint_note *note;	/* waits for the slot */
	uint64_t flags[HV_EVENT_FLAG_COUNT / 64];
	unsigned interrupts;		/* by event flags */
};

/* Where HvSignalEvent on a connection id leads to. */
struct guest_doorbell {
	struct loop_note note;
	struct vmbus_channel *ch;
	struct loop *loop;		/* atomic: of the last @ch; or NULL */
	unsigned rings;
};

struct guest {
	struct loop *main, *dev;	/* may be one */
	struct gmem gm;
	struct gmem_region region;
	uint8_t *ram;
	uint32_t next_page;		/* first that is not allocated */
	struct vmbus *bus;
	struct guest_sint sint[GUEST_VPS][GUEST_SINTS];
	struct guest_doorbell doorbell[GUEST_RELIDS];
	int doorbell_fails;		/* with this -errno, if not 0 */
	GQueue messages;		/* struct guest_message, owned */
	bool deaf;			/* leaves messages in their slots */
	bool threaded;			/* the device loop turns by itself */
	uint32_t version;
	uint32_t connection_id;		/* where to post */
	uint32_t next_gpadl;
};

/* @loops: 1, or 2 for a loop of their own for devices. */
struct guest *guest_new(unsigned loops);
/*
 * Two loops with a real clock, of which the caller's thread runs the one for
 * devices; guest_expect() then waits for its message.
 */
struct guest *guest_new_threaded(void);
void guest_free(struct guest *g);

/* Turn both loops until nothing happens any more; take what messages come. */
void guest_run(struct guest *g);
/* The same for @turns at most; false if that was not enough. */
bool guest_turns(struct guest *g, unsigned turns);
/* Let time pass; then run. */
void guest_later(struct guest *g, uint64_t ns);
void guest_pass(struct guest *g, uint64_t ns);
uint64_t guest_now(void);

/* Pages of RAM that nobody has; their address. */
gpa_t guest_pages(struct guest *g, uint32_t count);

/*
 * Messages.
 */
int guest_post_on(struct guest *g, uint32_t connection_id, const void *msg,
		  size_t len);
/* Post, and run. */
int guest_post(struct guest *g, const void *msg, size_t len);
#define GUEST_POST(g, msg)	guest_post((g), (msg), sizeof(*(msg)))
/* The oldest message, to be freed with g_free(), or NULL. */
struct guest_message *guest_take(struct guest *g);
/*
 * Take the oldest message if it is of @type and exactly @len bytes long;
 * @msg may be NULL.
 */
bool guest_expect(struct guest *g, uint32_t type, void *msg, size_t len);
#define GUEST_EXPECT(g, type, msg)	\
	guest_expect((g), (type), (msg), sizeof(*(msg)))
/* The slot of a SINT: turn it off, or on again. */
void guest_sint_off(struct guest *g, uint32_t vp, unsigned sint, bool off);

/*
 * A driver.
 */
struct guest_offer {
	unsigned count;
	struct vmbus_channel_offer_channel offer[GUEST_RELIDS];
};

/* INITIATE_CONTACT with @version; whether the host agrees. */
bool guest_connect(struct guest *g, uint32_t version);
/* Ask for the offers, up to the message that ends them. */
void guest_request_offers(struct guest *g, struct guest_offer *out);

/* Header and bodies for one range of whole pages; nothing is awaited. */
void guest_send_gpadl(struct guest *g, uint32_t relid, uint32_t id, gpa_t gpa,
		      uint32_t pages);
/* Likewise, and the answer: whether it was made. */
bool guest_gpadl(struct guest *g, uint32_t relid, uint32_t id, gpa_t gpa,
		 uint32_t pages);
void guest_send_teardown(struct guest *g, uint32_t relid, uint32_t id);

/* One direction, seen from the guest.  All its memory is shared. */
struct guest_ring {
	struct hv_ring_buffer *ctrl;
	uint8_t *data;
	uint32_t size;
	uint32_t index;		/* of the reader: what is taken */
};

struct guest_channel {
	struct guest *g;
	uint32_t relid;
	uint32_t connection_id;
	uint32_t gpadl;
	gpa_t gpa;
	uint32_t pages, split;
	uint32_t target_vp;
	struct guest_ring tx, rx;
};

struct guest_packet {
	struct vmpacket_descriptor desc;
	size_t len;		/* of what follows @desc, with its padding */
	uint8_t payload[16384];
};

/* Fresh rings of @split pages up, the rest of @pages down, in new memory. */
void guest_channel_init(struct guest_channel *c, struct guest *g,
			const struct vmbus_channel_offer_channel *offer,
			uint32_t pages, uint32_t split);
/* GPADL and OPENCHANNEL; whether the host opened it. */
bool guest_channel_open(struct guest_channel *c);
void guest_channel_send_open(struct guest_channel *c);
void guest_channel_send_close(struct guest_channel *c);
/* CLOSECHANNEL and teardown of the ring, as Linux does it. */
void guest_channel_close(struct guest_channel *c);

/* Put a packet into the ring.  0, -EAGAIN; @ring: whether the host must know. */
int guest_ring_write(struct guest_ring *r,
		     const struct vmpacket_descriptor *desc,
		     const void *body, size_t len, bool *ring);
/* The next packet; false if there is none.  Its space stays taken. */
bool guest_ring_read(struct guest_ring *r, struct guest_packet *p);
/* Give back the space of what was read; whether the host waits for it. */
bool guest_ring_commit(struct guest_ring *r);

/* Send an in-band packet that wants an answer, and ring if need be. */
int guest_channel_send(struct guest_channel *c, uint64_t trans_id,
		       const void *payload, size_t len);
/* Receive, give back the space, and ring if the host waits for it. */
bool guest_channel_recv(struct guest_channel *c, struct guest_packet *p);
/* HvSignalEvent. */
void guest_channel_ring(struct guest_channel *c);
/* Whether its event flag was set; it is not any more. */
bool guest_channel_signalled(struct guest_channel *c);
/* On a thread of the driver's own: wait for that, @us at most. */
bool guest_channel_wait(struct guest_channel *c, int64_t us);
/*
 * As an interrupt handler: mask, take all, unmask, look again.  False as soon as
 * @take says so.
 */
bool guest_channel_take_all(struct guest_channel *c,
			    bool (*take)(struct guest_channel *c,
					 const struct guest_packet *p));

#endif
