/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The data plane of a channel, on its loop.
 *
 *	doorbell -> drain -> device.ready -> vmbus_recv ...
 *	... vmbus_complete -> (end of the turn) flush -> SINT
 *
 * While requests are under way the guest is not asked to ring: each completion
 * looks at the ring again, and a timer does if none comes soon.  The first look
 * that finds nothing asks for doorbells, so a request never waits longer than
 * POLL_NS for a slow one before it.
 *
 * Answers that find no room wait in the channel.  Until they are out no packet
 * is taken, so what waits is bounded by what the device has in hand.
 */
#include <errno.h>
#include <string.h>

#include "core/trace.h"
#include "vmbus/vmbus_internal.h"

/* A packet that did not fit. */
struct answer {
	struct vmpacket_descriptor desc;
	size_t len;
	uint8_t payload[];
};

static void channel_break(struct vmbus_channel *ch, const char *why)
{
	trace(TRACE_VMBUS, "vmbus.broken relid=%u dev=%s why=%s", ch->relid,
	      ch->dev->ops->name, why);
	ch->broken = true;
}

/* Guests before 2.4 look for channels in a page of theirs. */
static void signal_guest(struct vmbus_channel *ch)
{
	uint64_t *bits = (void *)ch->bus->interrupt_page;

	if (!ch->sint)
		return;
	if (!ch->interrupt_page) {
		ch->sint->signal(ch->sint, (uint16_t)ch->relid);
		return;
	}
	__atomic_fetch_or(&bits[ch->relid / 64], BIT64(ch->relid % 64),
			  __ATOMIC_ACQ_REL);
	ch->sint->signal(ch->sint, 0);
}

static bool is_live(const struct vmbus_channel *ch)
{
	return ch->open && !ch->broken;
}

/* True if the packet is dealt with, one way or the other. */
static bool try_send(struct vmbus_channel *ch,
		     const struct vmpacket_descriptor *desc,
		     const void *payload, size_t len)
{
	int ret = ring_send(&ch->out, desc, payload, len);

	if (ret == -EAGAIN) {
		/* The guest rings when there is room, if it knows how to. */
		loop_timer_set(ch->loop, &ch->room,
			       loop_now(ch->loop) + ROOM_POLL_NS);
		return false;
	}
	if (ret)
		channel_break(ch, "downstream ring");
	return true;
}

static void send_waiting(struct vmbus_channel *ch)
{
	struct answer *a;

	while (is_live(ch) && (a = g_queue_peek_head(&ch->waiting)) &&
	       try_send(ch, &a->desc, a->payload, a->len)) {
		g_queue_pop_head(&ch->waiting);
		g_free(a);
	}
}

static void publish(struct vmbus_channel *ch)
{
	bool sent = ring_send_publish(&ch->out);
	bool room = ring_recv_publish(&ch->in);

	if (sent || room)
		signal_guest(ch);
}

/* The device has been called: decide how to learn of more. */
static void settle(struct vmbus_channel *ch)
{
	bool took_some = ch->budget < PACKET_BUDGET;

	/* Room will come with a doorbell or the timer. */
	if (!g_queue_is_empty(&ch->waiting))
		return;
	if (!ch->budget) {
		loop_post(ch->loop, &ch->again_note);
		return;
	}
	/* A device that has its hands full is asked again as it completes. */
	if (!ch->emptied && ch->busy)
		return;
	if (!ch->emptied || (ch->busy && took_some)) {
		loop_timer_set(ch->loop, &ch->poll,
			       loop_now(ch->loop) + POLL_NS);
		return;
	}
	/*
	 * What the guest adds before it sees the mask fall comes without a
	 * doorbell, so look again.
	 */
	ring_set_mask(&ch->in, false);
	if (ring_has_more(&ch->in))
		loop_post(ch->loop, &ch->again_note);
}

static void drain(struct vmbus_channel *ch)
{
	if (!is_live(ch))
		return;

	loop_timer_clear(ch->loop, &ch->poll);
	loop_timer_clear(ch->loop, &ch->room);
	send_waiting(ch);
	ring_set_mask(&ch->in, true);
	ch->budget = PACKET_BUDGET;
	ch->emptied = false;
	ch->draining = true;
	ch->dev->ops->ready(ch->dev, ch);
	ch->draining = false;
	if (!is_live(ch))
		return;
	publish(ch);
	settle(ch);
}

void vmbus_channel_doorbell(struct vmbus_channel *ch)
{
	trace(TRACE_VMBUS, "vmbus.doorbell relid=%u", ch->relid);
	drain(ch);
}

static void again(struct loop_note *note)
{
	drain(container_of(note, struct vmbus_channel, again_note));
}

/* The end of a turn that has completed something. */
static void flush(struct loop_note *note)
{
	struct vmbus_channel *ch =
		container_of(note, struct vmbus_channel, flush_note);

	if (is_live(ch)) {
		publish(ch);
		drain(ch);
	}
}

/* drain() itself publishes and looks again at the end of its turn. */
static void flush_later(struct vmbus_channel *ch)
{
	if (!ch->draining)
		loop_post(ch->loop, &ch->flush_note);
}

static void poll_expired(struct loop_timer *t)
{
	drain(container_of(t, struct vmbus_channel, poll));
}

static void room_expired(struct loop_timer *t)
{
	drain(container_of(t, struct vmbus_channel, room));
}

int vmbus_recv(struct vmbus_channel *ch, struct vmbus_packet *pkt)
{
	struct reader all;
	int len;

	if (!is_live(ch))
		return ch->broken ? -EPROTO : 0;
	if (!ch->budget || !g_queue_is_empty(&ch->waiting))
		return 0;
	len = ring_recv(&ch->in, ch->packet);
	if (len < 0) {
		channel_break(ch, "upstream ring");
		return len;
	}
	if (len == 0) {
		ch->emptied = true;
		return 0;
	}

	ch->budget--;
	/* ring_recv() has checked offset8 and len8 against each other. */
	all = (struct reader){ .p = ch->packet, .left = (size_t)len };
	READ(&all, &pkt->desc);
	reader_split(&all, pkt->desc.offset8 * 8u - sizeof(pkt->desc),
		     &pkt->header);
	pkt->payload = all;
	return 1;
}

static struct vmpacket_descriptor descriptor(enum vmbus_packet_type type,
					     uint64_t trans_id, size_t len)
{
	return (struct vmpacket_descriptor){
		.type = (uint16_t)type,
		.offset8 = sizeof(struct vmpacket_descriptor) / 8,
		.len8 = (uint16_t)((sizeof(struct vmpacket_descriptor) + len +
				    7) / 8),
		.trans_id = trans_id,
	};
}

void vmbus_complete(struct vmbus_channel *ch, uint64_t trans_id,
		    const void *payload, size_t len)
{
	const struct vmpacket_descriptor desc =
		descriptor(VM_PKT_COMP, trans_id, len);
	struct answer *a;

	if (!is_live(ch))
		return;
	trace(TRACE_VMBUS, "vmbus.complete relid=%u trans=%#"
	      G_GINT64_MODIFIER "x", ch->relid, trans_id);
	flush_later(ch);
	/* Answers keep their order: do not overtake one that waits. */
	if (g_queue_is_empty(&ch->waiting) &&
	    try_send(ch, &desc, payload, len))
		return;

	a = g_malloc(sizeof(*a) + len);
	a->desc = desc;
	a->len = len;
	memcpy(a->payload, payload, len);
	g_queue_push_tail(&ch->waiting, a);
}

/* What nobody asked for must not overtake an answer, nor wait with them. */
static int send_own(struct vmbus_channel *ch,
		    const struct vmpacket_descriptor *desc, const void *body,
		    size_t len)
{
	if (!is_live(ch))
		return -EPROTO;
	if (!g_queue_is_empty(&ch->waiting) || !try_send(ch, desc, body, len))
		return -EAGAIN;
	flush_later(ch);
	return ch->broken ? -EPROTO : 0;
}

int vmbus_send(struct vmbus_channel *ch, const void *payload, size_t len)
{
	const struct vmpacket_descriptor desc =
		descriptor(VM_PKT_DATA_INBAND, 0, len);

	return send_own(ch, &desc, payload, len);
}

int vmbus_send_pages(struct vmbus_channel *ch, const struct vmbus_transfer *t,
		     const void *payload, size_t len)
{
	const size_t ranges = t->count * sizeof(t->ranges[0]);
	const size_t head = sizeof(struct vmtransfer_pages) + ranges;
	uint8_t body[sizeof(struct vmtransfer_pages) + sizeof(t->ranges) +
		     VMBUS_TRANSFER_PAYLOAD_MAX];
	struct vmpacket_descriptor desc =
		descriptor(VM_PKT_DATA_USING_XFER_PAGES, t->trans_id,
			   head + len);
	const struct vmtransfer_pages pages = {
		.xfer_pageset_id = t->pageset, .range_cnt = t->count,
	};

	g_assert(t->count <= VMBUS_RANGES_MAX &&
		 len <= VMBUS_TRANSFER_PAYLOAD_MAX);
	desc.offset8 = (uint16_t)((sizeof(desc) + head) / 8);
	desc.flags = VMBUS_DATA_PACKET_FLAG_COMPLETION_REQUESTED;
	memcpy(body, &pages, sizeof(pages));
	memcpy(body + sizeof(pages), t->ranges, ranges);
	memcpy(body + head, payload, len);
	return send_own(ch, &desc, body, head + len);
}

/* The last request may end without an answer: look at the ring all the same. */
void vmbus_channel_set_busy(struct vmbus_channel *ch, bool busy)
{
	if (ch->busy && !busy && is_live(ch))
		flush_later(ch);
	ch->busy = busy;
}

unsigned vmbus_channel_index(const struct vmbus_channel *ch)
{
	return ch->index;
}

void vmbus_channel_set_data(struct vmbus_channel *ch, void *data)
{
	ch->data = data;
}

void *vmbus_channel_data(const struct vmbus_channel *ch)
{
	return ch->data;
}

struct loop *vmbus_channel_loop(const struct vmbus_channel *ch)
{
	return ch->loop;
}

void vmbus_offer_subchannels(struct vmbus_channel *ch, unsigned count)
{
	__atomic_store_n(&ch->subchannels_wanted, count, __ATOMIC_RELEASE);
	loop_post(ch->bus->loop, &ch->subchannels_note);
}

static struct hv_sint *target_sint(const struct vmbus_channel *ch)
{
	const struct vmbus *bus = ch->bus;

	if (ch->target_vp == VMBUS_TARGET_VP_NONE)
		return NULL;
	return bus->ops->sint(bus->host, ch->target_vp, VMBUS_MESSAGE_SINT);
}

static void free_rings(struct vmbus_channel *ch)
{
	struct answer *a;

	while ((a = g_queue_pop_head(&ch->waiting)))
		g_free(a);
	g_clear_pointer(&ch->page_table, g_free);
	g_clear_pointer(&ch->packet, g_free);
}

static int open_rings(struct vmbus_channel *ch)
{
	const struct gmem *gm = ch->bus->gm;
	uint32_t pages, split = ch->downstream_page;
	const uint64_t *pfn = gpadl_ring_pfns(ch->ring_gpadl, &pages);
	int ret;

	/* gpadl_check() has bounded @pages by what the guest really sent. */
	ch->page_table = g_new0(uint8_t *, pages);
	ch->packet = g_malloc(VMBUS_PACKET_MAX);
	ret = ring_init_receive(&ch->in, gm, pfn, split, ch->page_table);
	if (ret)
		return ret;
	return ring_init_send(&ch->out, gm, pfn + split, pages - split,
			      ch->page_table + split);
}

static int start(struct vmbus_channel *ch)
{
	const struct vmbus *bus = ch->bus;
	int ret = open_rings(ch);

	if (ret)
		return ret;
	ch->broken = ch->busy = false;
	ch->data = NULL;
	ch->sint = target_sint(ch);
	ret = bus->ops->doorbell_connect(bus->host, ch->connection_id, ch,
					 &ch->doorbell);
	if (ret)
		return ret;
	ret = ch->dev->ops->open(ch->dev, ch);
	if (ret) {
		bus->ops->doorbell_disconnect(bus->host, ch->doorbell);
		return ret;
	}
	ch->open = true;
	/* The guest may have filled the ring before it opened the channel. */
	loop_post(ch->loop, &ch->again_note);
	return 0;
}

static void open_run(struct loop_note *note)
{
	struct vmbus_channel *ch =
		container_of(note, struct vmbus_channel, open_note);

	ch->result = start(ch);
	trace(TRACE_VMBUS, "vmbus.open relid=%u dev=%s error=%d", ch->relid,
	      ch->dev->ops->name, -ch->result);
	if (ch->result)
		free_rings(ch);
	loop_post(ch->bus->loop, &ch->opened_note);
}

static void close_run(struct loop_note *note)
{
	struct vmbus_channel *ch =
		container_of(note, struct vmbus_channel, close_note);

	ch->open = false;
	loop_timer_clear(ch->loop, &ch->poll);
	loop_timer_clear(ch->loop, &ch->room);
	ch->bus->ops->doorbell_disconnect(ch->bus->host, ch->doorbell);
	ch->dev->ops->close(ch->dev, ch);
}

void vmbus_closed(struct vmbus_channel *ch)
{
	trace(TRACE_VMBUS, "vmbus.closed relid=%u dev=%s", ch->relid,
	      ch->dev->ops->name);
	free_rings(ch);
	loop_post(ch->loop, &ch->fence_note);
}

/* Behind all notes of the channel that were posted while it was open. */
static void fence_run(struct loop_note *note)
{
	struct vmbus_channel *ch =
		container_of(note, struct vmbus_channel, fence_note);

	loop_post(ch->bus->loop, &ch->closed_note);
}

static void modify_run(struct loop_note *note)
{
	struct vmbus_channel *ch =
		container_of(note, struct vmbus_channel, modify_note);
	bool was_off = !ch->sint;

	ch->sint = target_sint(ch);
	/* What was sent with interrupts off is news to the guest. */
	if (was_off)
		signal_guest(ch);
	loop_post(ch->bus->loop, &ch->modified_note);
}

void channel_finish(struct vmbus_channel *ch)
{
	free_rings(ch);
}

static void closed_run(struct loop_note *note)
{
	struct vmbus_channel *ch =
		container_of(note, struct vmbus_channel, closed_note);

	bus_channel_closed(ch->bus, ch);
}

void channel_init(struct vmbus_channel *ch)
{
	g_queue_init(&ch->waiting);
	ch->poll.expired = poll_expired;
	ch->room.expired = room_expired;
	ch->open_note.run = open_run;
	ch->close_note.run = close_run;
	ch->modify_note.run = modify_run;
	ch->again_note.run = again;
	ch->flush_note.run = flush;
	ch->fence_note.run = fence_run;
	ch->opened_note.run = channel_opened;
	ch->closed_note.run = closed_run;
	ch->modified_note.run = channel_modified;
	ch->subchannels_note.run = channel_subchannels;
	ch->returned_note.run = gpadls_returned;
}
