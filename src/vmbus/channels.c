/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages that open, close and move channels; the main loop's half. */
#include "core/trace.h"
#include "vmbus/vmbus_internal.h"

static void send_open_result(struct vmbus_channel *ch, uint32_t openid,
			     bool ok)
{
	const struct vmbus_channel_open_result r = {
		.header.msgtype = CHANNELMSG_OPENCHANNEL_RESULT,
		.child_relid = ch->relid, .openid = openid,
		.status = ok ? VMBUS_STATUS_SUCCESS :
			       VMBUS_STATUS_UNSUCCESSFUL,
	};

	message_send(ch->bus, &r, sizeof(r));
}

static bool is_target(const struct vmbus *bus, uint32_t vp)
{
	return vp == VMBUS_TARGET_VP_NONE ||
	       bus->ops->sint(bus->host, vp, VMBUS_MESSAGE_SINT);
}

/* A list that can be split in two; each ring will say if it has enough. */
static bool is_ring(const struct gpadl *g, uint32_t downstream_page)
{
	uint32_t pages;

	return g && gpadl_ring_pfns(g, &pages) && downstream_page < pages;
}

void channel_handle_open(struct vmbus *bus, struct reader *msg)
{
	struct vmbus_channel_open_channel o;
	struct vmbus_channel *ch;
	struct gpadl *g;
	uint32_t vp;

	if (!READ(msg, &o))
		return;
	ch = bus_channel(bus, o.child_relid);
	if (!ch || !ch->offered || ch->rescinded || ch->state != CH_CLOSED)
		return;
	/* Before 2.4 there was no choice. */
	vp = bus->version >= VERSION_WIN8 ? o.target_vp : bus->contact_vp;
	g = gpadl_lookup(bus, ch->relid, o.ringbuffer_gpadlhandle);
	if (!is_ring(g, o.downstream_ringbuffer_pageoffset) ||
	    !is_target(bus, vp)) {
		send_open_result(ch, o.openid, false);
		return;
	}
	g->in_use = true;
	ch->ring_gpadl = g;
	ch->openid = o.openid;
	ch->downstream_page = o.downstream_ringbuffer_pageoffset;
	ch->target_vp = vp;
	ch->interrupt_page = bus->version < VERSION_WIN8;
	ch->close_wanted = false;
	ch->state = CH_OPENING;
	loop_post(ch->loop, &ch->open_note);
}

static void start_closing(struct vmbus_channel *ch)
{
	ch->state = CH_CLOSING;
	loop_post(ch->loop, &ch->close_note);
}

void channel_opened(struct loop_note *note)
{
	struct vmbus_channel *ch =
		container_of(note, struct vmbus_channel, opened_note);

	if (ch->result) {
		if (!ch->close_wanted)
			send_open_result(ch, ch->openid, false);
		bus_channel_closed(ch->bus, ch);
		return;
	}
	ch->state = CH_OPEN;
	if (ch->close_wanted)
		start_closing(ch);
	else
		send_open_result(ch, ch->openid, true);
}

void channel_close(struct vmbus_channel *ch)
{
	if (ch->state == CH_OPENING)
		ch->close_wanted = true;
	else if (ch->state == CH_OPEN)
		start_closing(ch);
}

/* A device's sub-channels do not outlive its primary channel. */
static void withdraw_subchannels(struct vmbus_channel *primary)
{
	struct vmbus *bus = primary->bus;

	for (guint i = 0; i < bus->channels->len; i++) {
		struct vmbus_channel *ch = bus->channels->pdata[i];

		if (ch && ch->index && ch->dev == primary->dev)
			bus_rescind(bus, ch);
	}
}

void channel_handle_close(struct vmbus *bus, struct reader *msg)
{
	struct vmbus_channel_close_channel c;
	struct vmbus_channel *ch;

	if (!READ(msg, &c))
		return;
	ch = bus_channel(bus, c.child_relid);
	if (!ch || ch->state != CH_OPEN)
		return;
	if (!ch->index)
		withdraw_subchannels(ch);
	channel_close(ch);
}

static void send_modified(struct vmbus_channel *ch, bool ok)
{
	const struct vmbus_channel_modifychannel_response r = {
		.header.msgtype = CHANNELMSG_MODIFYCHANNEL_RESPONSE,
		.child_relid = ch->relid,
		.status = ok ? VMBUS_STATUS_SUCCESS :
			       VMBUS_STATUS_UNSUCCESSFUL,
	};

	if (ch->bus->version >= VERSION_WIN10_V5_3)
		message_send(ch->bus, &r, sizeof(r));
}

void channel_handle_modify(struct vmbus *bus, struct reader *msg)
{
	struct vmbus_channel_modifychannel m;
	struct vmbus_channel *ch;

	if (!READ(msg, &m))
		return;
	ch = bus_channel(bus, m.child_relid);
	if (!ch || !ch->offered)
		return;
	if (ch->state != CH_OPEN || ch->modifying || !is_target(bus,
								m.target_vp)) {
		send_modified(ch, false);
		return;
	}
	ch->modifying = true;
	ch->target_vp = m.target_vp;
	loop_post(ch->loop, &ch->modify_note);
}

/* No interrupt goes to the old VP any more. */
void channel_modified(struct loop_note *note)
{
	struct vmbus_channel *ch =
		container_of(note, struct vmbus_channel, modified_note);

	ch->modifying = false;
	send_modified(ch, true);
}

void channel_handle_released(struct vmbus *bus, struct reader *msg)
{
	struct vmbus_channel_relid_released r;
	struct vmbus_channel *ch;

	if (!READ(msg, &r))
		return;
	ch = bus_channel(bus, r.child_relid);
	if (!ch || !ch->offered)
		return;
	/* Of a channel that is open it makes no sense. */
	if (ch->state == CH_OPEN || ch->state == CH_OPENING)
		return;
	ch->offered = false;
	if (ch->rescinded && ch->state == CH_CLOSED)
		bus_free_channel(bus, ch);
}

/*
 * Reserved channels serve a guest that writes its memory to a disk as it
 * crashes or hibernates, by a VP and SINT of its own choice.  We have none:
 * say so where the guest waits.
 */
void channel_handle_open_reserved(struct vmbus *bus, struct reader *msg)
{
	struct vmbus_channel_open_reserved o;
	struct vmbus_channel_open_result r = {
		.header.msgtype = CHANNELMSG_OPENCHANNEL_RESULT,
		.status = VMBUS_STATUS_UNSUCCESSFUL,
	};
	struct hv_sint *sint;

	if (!READ(msg, &o))
		return;
	r.child_relid = o.child_relid;
	sint = bus->ops->sint(bus->host, o.target_vp, o.target_sint);
	if (sint)
		message_send_to(bus, sint, &r, sizeof(r));
}

void channel_handle_close_reserved(struct vmbus *bus, struct reader *msg)
{
	struct vmbus_channel_close_reserved c;
	struct vmbus_channel_close_reserved_response r = {
		.header.msgtype = CHANNELMSG_CLOSE_RESERVED_RESPONSE,
	};
	struct hv_sint *sint;

	if (!READ(msg, &c))
		return;
	r.child_relid = c.child_relid;
	sint = bus->ops->sint(bus->host, c.target_vp, c.target_sint);
	if (sint)
		message_send_to(bus, sint, &r, sizeof(r));
}

void channel_subchannels(struct loop_note *note)
{
	struct vmbus_channel *primary =
		container_of(note, struct vmbus_channel, subchannels_note);
	unsigned count = __atomic_load_n(&primary->subchannels_wanted,
					 __ATOMIC_ACQUIRE);

	if (primary->state != CH_OPEN || primary->rescinded)
		return;
	for (unsigned i = 1; i <= count; i++) {
		struct vmbus_channel *ch =
			bus_add_channel(primary->bus, primary->dev, i);

		if (!ch)
			return;
		bus_send_offer(primary->bus, ch);
	}
}
