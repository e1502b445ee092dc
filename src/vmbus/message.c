/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages in both directions.
 *
 * The guest's come from vCPU threads into a bounded inbox and are taken one by
 * one on the main loop; none is taken while something must come to rest first,
 * or while too many of our answers wait.  Ours go out in order, one at a time,
 * as the guest frees the slot.
 *
 * INITIATE_CONTACT makes all before it void, in both directions: a kernel that
 * took the place of another must not wait for messages that nobody reads.
 */
#include <errno.h>
#include <string.h>

#include "core/trace.h"
#include "vmbus/vmbus_internal.h"

struct outgoing {
	struct hv_sint *sint;
	size_t len;
	uint8_t payload[];
};

static bool is_contact(const struct message *m)
{
	struct vmbus_channel_initiate_contact c;
	struct reader r = { m->payload, m->len };

	return READ(&r, &c) &&
	       c.header.msgtype == CHANNELMSG_INITIATE_CONTACT;
}

/* With the inbox's lock held. */
static void clear_inbox(struct vmbus *bus)
{
	g_queue_clear_full(&bus->inbox, g_free);
	for (size_t i = 0; i < G_N_ELEMENTS(bus->port); i++)
		bus->port[i].waiting = 0;
}

/* On a vCPU's thread. */
static int port_post(struct hv_message_port *port, uint32_t type,
		     const void *payload, size_t len)
{
	struct message_port *p = container_of(port, struct message_port, port);
	struct vmbus *bus = p->bus;
	struct message *m;

	if (type != VMBUS_MESSAGE_TYPE || len > sizeof(m->payload))
		return -EINVAL;
	m = g_new0(struct message, 1);
	m->connection_id = p->connection_id;
	m->len = len;
	memcpy(m->payload, payload, len);

	pthread_mutex_lock(&bus->inbox_lock);
	if (is_contact(m))
		clear_inbox(bus);
	if (p->waiting == PORT_BUFFERS) {
		pthread_mutex_unlock(&bus->inbox_lock);
		g_free(m);
		return -EAGAIN;
	}
	p->waiting++;
	g_queue_push_tail(&bus->inbox, m);
	pthread_mutex_unlock(&bus->inbox_lock);
	loop_post(bus->loop, &bus->inbox_note);
	return 0;
}

/* The next message that may be handled now, or NULL. */
static struct message *take(struct vmbus *bus)
{
	bool has_room = g_queue_get_length(&bus->outbox) < ANSWERS_MAX;
	struct message *m;

	if (bus->pending != PENDING_NONE)
		return NULL;
	pthread_mutex_lock(&bus->inbox_lock);
	m = g_queue_peek_head(&bus->inbox);
	if (m && (has_room || is_contact(m)))
		g_queue_pop_head(&bus->inbox);
	else
		m = NULL;
	for (size_t i = 0; m && i < G_N_ELEMENTS(bus->port); i++)
		if (bus->port[i].connection_id == m->connection_id)
			bus->port[i].waiting--;
	pthread_mutex_unlock(&bus->inbox_lock);
	return m;
}

static void inbox_run(struct loop_note *note)
{
	struct vmbus *bus = container_of(note, struct vmbus, inbox_note);
	struct message *m;

	while ((m = take(bus))) {
		connection_message(bus, m);
		g_free(m);
	}
}

void messages_resume(struct vmbus *bus)
{
	loop_post(bus->loop, &bus->inbox_note);
}

static void outbox_run(struct loop_note *note)
{
	struct vmbus *bus = container_of(note, struct vmbus, outbox_note);
	struct outgoing *o;

	while ((o = g_queue_peek_head(&bus->outbox))) {
		bus->posting = o->sint;
		if (o->sint->post(o->sint, VMBUS_MESSAGE_TYPE, o->payload,
				  o->len, &bus->slot_note) == -EAGAIN)
			return;
		g_free(g_queue_pop_head(&bus->outbox));
	}
	bus->posting = NULL;
	messages_resume(bus);
}

/* On a vCPU's thread. */
static void slot_free(struct hv_sint_note *note)
{
	struct vmbus *bus = container_of(note, struct vmbus, slot_note);

	loop_post(bus->loop, &bus->outbox_note);
}

void message_send_to(struct vmbus *bus, struct hv_sint *sint, const void *msg,
		     size_t len)
{
	struct outgoing *o = g_malloc(sizeof(*o) + len);

	g_assert(sint && len <= HV_MESSAGE_PAYLOAD_MAX);
	o->sint = sint;
	o->len = len;
	memcpy(o->payload, msg, len);
	trace(TRACE_VMBUS, "vmbus.send type=%u len=%zu", o->payload[0], len);
	g_queue_push_tail(&bus->outbox, o);
	loop_post(bus->loop, &bus->outbox_note);
}

/* The VP has been found to exist when the guest made contact. */
void message_send(struct vmbus *bus, const void *msg, size_t len)
{
	message_send_to(bus, bus->ops->sint(bus->host, bus->contact_vp,
					    VMBUS_MESSAGE_SINT), msg, len);
}

void messages_drop_answers(struct vmbus *bus)
{
	if (bus->posting)
		bus->posting->forget(bus->posting, &bus->slot_note);
	bus->posting = NULL;
	g_queue_clear_full(&bus->outbox, g_free);
}

void messages_drop(struct vmbus *bus)
{
	messages_drop_answers(bus);
	pthread_mutex_lock(&bus->inbox_lock);
	clear_inbox(bus);
	pthread_mutex_unlock(&bus->inbox_lock);
}

void messages_init(struct vmbus *bus)
{
	static const uint32_t ids[] = { VMBUS_MESSAGE_CONNECTION_ID,
					VMBUS_MESSAGE_CONNECTION_ID_4 };

	static_assert(G_N_ELEMENTS(ids) == G_N_ELEMENTS(bus->port), "ports");
	for (size_t i = 0; i < G_N_ELEMENTS(ids); i++)
		bus->port[i] = (struct message_port){
			.port.post = port_post, .bus = bus,
			.connection_id = ids[i],
		};
	pthread_mutex_init(&bus->inbox_lock, NULL);
	g_queue_init(&bus->inbox);
	g_queue_init(&bus->outbox);
	bus->inbox_note.run = inbox_run;
	bus->outbox_note.run = outbox_run;
	bus->slot_note.run = slot_free;
	bus->slot_note.port_id = VMBUS_MESSAGE_PORT_ID;
}

void messages_finish(struct vmbus *bus)
{
	messages_drop(bus);
	pthread_mutex_destroy(&bus->inbox_lock);
}

struct hv_message_port *vmbus_message_port(struct vmbus *bus,
					   uint32_t connection_id)
{
	for (size_t i = 0; i < G_N_ELEMENTS(bus->port); i++)
		if (bus->port[i].connection_id == connection_id)
			return &bus->port[i].port;
	return NULL;
}
