/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * State shared between the files of src/vmbus.
 *
 * struct vmbus, and of struct vmbus_channel what is marked so, belong to the
 * main loop; the rest of a channel belongs to its own loop, which may not be
 * that of its device's other channels.  Each side asks the other by posting one
 * of the channel's notes, and does not touch what it handed over until the
 * answer comes.
 */
#ifndef VMBUS_VMBUS_INTERNAL_H
#define VMBUS_VMBUS_INTERNAL_H

#include <glib.h>
#include <pthread.h>

#include "core/util.h"
#include "vmbus/bus.h"
#include "vmbus/gpadl.h"
#include "vmbus/ring.h"

/* Messages of the guest that wait, for each port.  TLFS 11.6. */
#define PORT_BUFFERS		16
/* Our answers that wait before we take no more of the guest's messages. */
#define ANSWERS_MAX		64
/* What a guest can make us keep. */
#define GPADLS_MAX		8192
#define GPADLS_FILLING_MAX	64	/* headers whose bodies are to come */
#define GPADL_WORDS_MAX		(1u << 20)	/* PFNs: 4 GiB lent at once */

/* Packets that one turn of a channel may take. */
#define PACKET_BUDGET		256
/* How long a busy channel, just fed, waits before it looks for more. */
#define POLL_NS			50000u
/* How long to wait for room in a ring whose guest may not tell us. */
#define ROOM_POLL_NS		1000000u

/*
 *	CLOSED --OPENCHANNEL--> OPENING --> OPEN --CLOSECHANNEL--> CLOSING --+
 *	  ^                        |                                         |
 *	  +------------------------+-----------------------------------------+
 */
enum channel_state { CH_CLOSED, CH_OPENING, CH_OPEN, CH_CLOSING };

struct vmbus_channel {
	/* Fixed. */
	struct vmbus *bus;
	struct vmbus_device *dev;
	struct loop *loop;
	unsigned index;			/* 0: primary */
	uint32_t relid;
	uint32_t connection_id;

	/* The main loop's. */
	enum channel_state state;
	bool offered;			/* the guest knows of it */
	bool rescinded;			/* and has been told to forget it */
	bool close_wanted;		/* as soon as it is open */
	bool modifying;
	uint32_t openid;
	struct gpadl *ring_gpadl;
	unsigned subchannels_wanted;	/* set by the loop, see the note */

	/* Handed to the loop with open_note, and back with opened_note. */
	uint32_t downstream_page;
	uint32_t target_vp;
	int result;

	struct loop_note open_note, close_note, modify_note, again_note,
		flush_note, fence_note;			/* run on the loop */
	struct loop_note opened_note, closed_note, modified_note,
		subchannels_note, returned_note;	/* on the main loop */

	/* The loop's. */
	bool open;
	bool broken;
	bool busy;
	bool draining;			/* inside the device's ready() */
	bool emptied;			/* it has taken all there was */
	bool interrupt_page;		/* of a guest before 2.4 */
	struct hv_sint *sint;		/* NULL: interrupts disabled */
	void *doorbell;			/* cookie */
	void *data;			/* the device's */
	struct ring in, out;
	uint8_t **page_table;
	uint8_t *packet;
	unsigned budget;
	GQueue waiting;			/* struct answer, oldest first */
	struct loop_timer poll;
	struct loop_timer room;		/* for guests that do not ring then */
};

/* What has to wait until all channels are closed. */
enum bus_pending {
	PENDING_NONE, PENDING_CONTACT, PENDING_UNLOAD, PENDING_RESET,
};

struct message {
	uint32_t connection_id;
	size_t len;
	uint8_t payload[HV_MESSAGE_PAYLOAD_MAX];
};

struct message_port {
	struct hv_message_port port;
	struct vmbus *bus;
	uint32_t connection_id;
	unsigned waiting;		/* under the inbox's lock */
};

struct vmbus {
	const struct gmem *gm;
	struct loop *loop;
	const struct vmbus_host_ops *ops;
	void *host;

	/* From vCPUs. */
	struct message_port port[2];
	struct hv_event_port shared_event;
	pthread_mutex_t inbox_lock;
	GQueue inbox;			/* struct message */
	struct loop_note inbox_note;
	struct loop_note shared_event_note;

	/* To the guest. */
	GQueue outbox;			/* struct outgoing */
	struct hv_sint_note slot_note;	/* on a vCPU: the slot is free */
	struct loop_note outbox_note;
	struct hv_sint *posting;	/* whose slot we wait for */

	/* The connection. */
	bool connected;
	bool offers_requested;
	uint32_t version;
	uint32_t contact_vp;		/* where messages go to */
	uint8_t *interrupt_page;	/* a guest's before 2.4, or NULL */

	GPtrArray *channels;		/* by relid; NULL: free */
	/* Changed by the main loop, under the lock; devices may look. */
	pthread_mutex_t gpadls_lock;
	GHashTable *gpadls;		/* relid << 32 | id -> struct gpadl */
	GPtrArray *filling;		/* those of them that are */
	uint32_t gpadl_words;

	GHashTable *withdrawals;	/* device -> struct loop_note */
	enum bus_pending pending;
	struct message contact;		/* PENDING_CONTACT */
	struct loop_note *reset_done;
};

/* bus.c */
struct vmbus_channel *bus_channel(const struct vmbus *bus, uint32_t relid);
/* Begin to close everything, then do @what. */
void bus_release(struct vmbus *bus, enum bus_pending what);
/* A channel has come to rest. */
void bus_channel_closed(struct vmbus *bus, struct vmbus_channel *ch);
/* NULL if relids have run out. */
struct vmbus_channel *bus_add_channel(struct vmbus *bus,
				      struct vmbus_device *dev, unsigned index);
void bus_send_offer(struct vmbus *bus, struct vmbus_channel *ch);
/* Take the offer back, and close the channel. */
void bus_rescind(struct vmbus *bus, struct vmbus_channel *ch);
void bus_free_channel(struct vmbus *bus, struct vmbus_channel *ch);

/* message.c */
void messages_init(struct vmbus *bus);
void messages_finish(struct vmbus *bus);
/* Queue a message to the guest; @len is the exact size that it sees. */
void message_send(struct vmbus *bus, const void *msg, size_t len);
/* The same, to another place than where it made contact. */
void message_send_to(struct vmbus *bus, struct hv_sint *sint, const void *msg,
		     size_t len);
/* Forget what waits for the guest; in either direction. */
void messages_drop_answers(struct vmbus *bus);
void messages_drop(struct vmbus *bus);
/* Look at the inbox again: what held it up is over. */
void messages_resume(struct vmbus *bus);

/* connection.c: one message of the guest, our copy. */
void connection_message(struct vmbus *bus, const struct message *m);
/* All channels are closed: the pending contact. */
void connection_contact(struct vmbus *bus);
void connection_unloaded(struct vmbus *bus);

/* gpadls.c */
void gpadl_handle_header(struct vmbus *bus, struct reader *msg);
void gpadl_handle_body(struct vmbus *bus, struct reader *msg);
void gpadl_handle_teardown(struct vmbus *bus, struct reader *msg);
struct gpadl *gpadl_lookup(const struct vmbus *bus, uint32_t relid,
			   uint32_t id);
/* The channel does not use its ring any more. */
void gpadl_release_ring(struct vmbus *bus, struct vmbus_channel *ch);
/* Answer those that still fill: the channel goes. */
void gpadls_fail_filling(struct vmbus *bus, const struct vmbus_channel *ch);
void gpadls_drop(struct vmbus *bus, const struct vmbus_channel *ch);
/* On the main loop, posted by vmbus_return(). */
void gpadls_returned(struct loop_note *note);

/* channel.c */
void channel_init(struct vmbus_channel *ch);
void channel_finish(struct vmbus_channel *ch);

/* channels.c: messages that open, close and move channels */
void channel_handle_open(struct vmbus *bus, struct reader *msg);
void channel_handle_close(struct vmbus *bus, struct reader *msg);
void channel_handle_modify(struct vmbus *bus, struct reader *msg);
void channel_handle_released(struct vmbus *bus, struct reader *msg);
void channel_handle_open_reserved(struct vmbus *bus, struct reader *msg);
void channel_handle_close_reserved(struct vmbus *bus, struct reader *msg);
/* Close it if it is open, or will be. */
void channel_close(struct vmbus_channel *ch);
/* On the main loop, posted by channel.c. */
void channel_opened(struct loop_note *note);
void channel_modified(struct loop_note *note);
void channel_subchannels(struct loop_note *note);

#endif
