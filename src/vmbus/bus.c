/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "core/trace.h"
#include "vmbus/vmbus_internal.h"

/* HvSignalEvent ids of channels, apart from the bus's own small ones. */
#define CONNECTION_ID_BASE	0x2000u

struct vmbus_channel *bus_channel(const struct vmbus *bus, uint32_t relid)
{
	return relid < bus->channels->len ? bus->channels->pdata[relid] : NULL;
}

/* The lowest free relid, or 0. */
static uint32_t free_relid(struct vmbus *bus)
{
	for (uint32_t i = 1; i < bus->channels->len; i++)
		if (!bus->channels->pdata[i])
			return i;
	if (bus->channels->len > VMBUS_RELID_MAX)
		return 0;
	g_ptr_array_add(bus->channels, NULL);
	return bus->channels->len - 1;
}

static struct loop *loop_of(const struct vmbus_device *dev, unsigned index)
{
	return index && dev->ops->loop ? dev->ops->loop(dev, index) : dev->loop;
}

struct vmbus_channel *bus_add_channel(struct vmbus *bus,
				      struct vmbus_device *dev, unsigned index)
{
	uint32_t relid = free_relid(bus);
	struct vmbus_channel *ch;

	if (!relid)
		return NULL;
	ch = g_new0(struct vmbus_channel, 1);
	ch->bus = bus;
	ch->dev = dev;
	ch->loop = loop_of(dev, index);
	ch->index = index;
	ch->relid = relid;
	ch->connection_id = CONNECTION_ID_BASE + relid;
	channel_init(ch);
	bus->channels->pdata[relid] = ch;
	return ch;
}

static void free_channel(gpointer data)
{
	struct vmbus_channel *ch = data;

	if (ch)
		channel_finish(ch);
	g_free(ch);
}

void bus_free_channel(struct vmbus *bus, struct vmbus_channel *ch)
{
	gpadls_drop(bus, ch);
	bus->channels->pdata[ch->relid] = NULL;
	free_channel(ch);
}

void bus_send_offer(struct vmbus *bus, struct vmbus_channel *ch)
{
	struct vmbus_channel_offer_channel o = {
		.header.msgtype = CHANNELMSG_OFFERCHANNEL,
		.offer.if_type = ch->dev->if_type,
		.offer.if_instance = ch->dev->if_instance,
		.offer.chn_flags = ch->dev->flags,
		.offer.sub_channel_index = (uint16_t)ch->index,
		.child_relid = ch->relid,
		.monitorid = UINT8_MAX,		/* none: signal by hypercall */
		.is_dedicated_interrupt = 1,
		.connection_id = ch->connection_id,
	};

	memcpy(o.offer.user_def, ch->dev->user_def, sizeof(o.offer.user_def));
	ch->offered = true;
	trace(TRACE_VMBUS, "vmbus.offer relid=%u dev=%s index=%u", ch->relid,
	      ch->dev->ops->name, ch->index);
	message_send(bus, &o, sizeof(o));
}

int vmbus_offer(struct vmbus *bus, struct vmbus_device *dev)
{
	struct vmbus_channel *ch;

	for (guint i = 0; i < bus->channels->len; i++) {
		ch = bus->channels->pdata[i];
		if (ch && !ch->rescinded &&
		    guid_equal(&ch->dev->if_instance, &dev->if_instance))
			return -EEXIST;
	}
	ch = bus_add_channel(bus, dev, 0);
	if (!ch)
		return -ENOSPC;
	if (bus->offers_requested && bus->pending == PENDING_NONE)
		bus_send_offer(bus, ch);
	return 0;
}

void bus_rescind(struct vmbus *bus, struct vmbus_channel *ch)
{
	const struct vmbus_channel_rescind_offer r = {
		.header.msgtype = CHANNELMSG_RESCIND_CHANNELOFFER,
		.child_relid = ch->relid,
	};

	if (ch->rescinded)
		return;
	ch->rescinded = true;
	channel_close(ch);
	gpadls_fail_filling(bus, ch);
	/* A guest that is leaving forgets it anyway, and frees it so. */
	if (ch->offered && bus->pending == PENDING_NONE)
		message_send(bus, &r, sizeof(r));
	else if (!ch->offered && ch->state == CH_CLOSED)
		bus_free_channel(bus, ch);
}

/* Nothing runs on a loop of the device's for any of @dev's channels. */
static bool is_at_rest(const struct vmbus *bus, const struct vmbus_device *dev)
{
	for (guint i = 0; i < bus->channels->len; i++) {
		const struct vmbus_channel *ch = bus->channels->pdata[i];

		if (ch && ch->state != CH_CLOSED && (!dev || ch->dev == dev))
			return false;
	}
	return true;
}

static void check_withdrawn(struct vmbus *bus, struct vmbus_device *dev)
{
	struct loop_note *done;

	if (!is_at_rest(bus, dev))
		return;
	done = g_hash_table_lookup(bus->withdrawals, dev);
	if (!done)
		return;
	g_hash_table_remove(bus->withdrawals, dev);
	/* The relids stay taken until the guest gives them back. */
	for (guint i = 0; i < bus->channels->len; i++) {
		struct vmbus_channel *ch = bus->channels->pdata[i];

		if (ch && ch->dev == dev)
			ch->dev = NULL;
	}
	loop_post(bus->loop, done);
}

void vmbus_withdraw(struct vmbus *bus, struct vmbus_device *dev,
		    struct loop_note *done)
{
	g_hash_table_insert(bus->withdrawals, dev, done);
	for (guint i = 0; i < bus->channels->len; i++) {
		struct vmbus_channel *ch = bus->channels->pdata[i];

		if (ch && ch->dev == dev)
			bus_rescind(bus, ch);
	}
	check_withdrawn(bus, dev);
}

/* All is closed: go back to what was before the first contact. */
static void forget_connection(struct vmbus *bus)
{
	for (guint i = 0; i < bus->channels->len; i++) {
		struct vmbus_channel *ch = bus->channels->pdata[i];

		if (!ch)
			continue;
		gpadls_drop(bus, ch);
		ch->offered = false;
		if (ch->index || ch->rescinded)
			bus_free_channel(bus, ch);
	}
	bus->connected = false;
	bus->offers_requested = false;
	bus->interrupt_page = NULL;
	bus->version = 0;
}

static void finish_release(struct vmbus *bus)
{
	enum bus_pending what = bus->pending;

	if (!is_at_rest(bus, NULL))
		return;
	forget_connection(bus);
	bus->pending = PENDING_NONE;
	switch (what) {
	case PENDING_CONTACT:
		connection_contact(bus);
		break;
	case PENDING_UNLOAD:
		connection_unloaded(bus);
		break;
	case PENDING_RESET:
		messages_drop(bus);
		loop_post(bus->loop, bus->reset_done);
		break;
	case PENDING_NONE:
		break;
	}
	messages_resume(bus);
}

void bus_release(struct vmbus *bus, enum bus_pending what)
{
	bus->pending = what;
	for (guint i = 0; i < bus->channels->len; i++)
		if (bus->channels->pdata[i])
			channel_close(bus->channels->pdata[i]);
	finish_release(bus);
}

void vmbus_reset(struct vmbus *bus, struct loop_note *done)
{
	bus->reset_done = done;
	messages_drop(bus);
	bus_release(bus, PENDING_RESET);
}

void bus_channel_closed(struct vmbus *bus, struct vmbus_channel *ch)
{
	struct vmbus_device *dev = ch->dev;

	ch->state = CH_CLOSED;
	ch->close_wanted = false;
	gpadl_release_ring(bus, ch);
	if (ch->rescinded && !ch->offered)
		bus_free_channel(bus, ch);
	check_withdrawn(bus, dev);
	if (bus->pending != PENDING_NONE)
		finish_release(bus);
}

/* Guests before 2.4 name the channels in the second half of their page. */
static void shared_event_run(struct loop_note *note)
{
	struct vmbus *bus = container_of(note, struct vmbus,
					 shared_event_note);
	uint32_t *bits;

	if (!bus->interrupt_page)
		return;
	bits = (void *)(bus->interrupt_page + GMEM_PAGE_SIZE / 2);
	for (guint i = 1; i < bus->channels->len; i++) {
		struct vmbus_channel *ch = bus->channels->pdata[i];
		uint32_t bit = 1u << i % 32;

		if ((__atomic_fetch_and(&bits[i / 32], ~bit,
					__ATOMIC_ACQ_REL) & bit) &&
		    ch && ch->state == CH_OPEN)
			loop_post(ch->loop, &ch->again_note);
	}
}

/* On a vCPU's thread. */
static int shared_event_signal(struct hv_event_port *port, uint16_t flag)
{
	struct vmbus *bus = container_of(port, struct vmbus, shared_event);

	loop_post(bus->loop, &bus->shared_event_note);
	return 0;
}

struct hv_event_port *vmbus_shared_event_port(struct vmbus *bus)
{
	return &bus->shared_event;
}

static void free_gpadl(gpointer g)
{
	gpadl_free(g);
}

struct vmbus *vmbus_new(const struct gmem *gm, struct loop *main_loop,
			const struct vmbus_host_ops *ops, void *host)
{
	struct vmbus *bus = g_new0(struct vmbus, 1);

	bus->gm = gm;
	bus->loop = main_loop;
	bus->ops = ops;
	bus->host = host;
	bus->channels = g_ptr_array_new_with_free_func(free_channel);
	g_ptr_array_add(bus->channels, NULL);	/* there is no relid 0 */
	bus->gpadls = g_hash_table_new_full(NULL, NULL, NULL, free_gpadl);
	pthread_mutex_init(&bus->gpadls_lock, NULL);
	bus->filling = g_ptr_array_new();
	bus->withdrawals = g_hash_table_new(NULL, NULL);
	bus->shared_event.signal = shared_event_signal;
	bus->shared_event_note.run = shared_event_run;
	messages_init(bus);
	return bus;
}

void vmbus_free(struct vmbus *bus)
{
	if (!bus)
		return;

	messages_finish(bus);
	g_ptr_array_unref(bus->channels);
	g_ptr_array_unref(bus->filling);
	g_hash_table_unref(bus->gpadls);
	pthread_mutex_destroy(&bus->gpadls_lock);
	g_hash_table_unref(bus->withdrawals);
	g_free(bus);
}
