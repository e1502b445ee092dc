/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages that lend pages to channels and take them back. */
#include "core/trace.h"
#include "vmbus/vmbus_internal.h"

static gpointer key_of(uint32_t relid, uint32_t id)
{
	return (gpointer)(uintptr_t)((uint64_t)relid << 32 | id);
}

struct gpadl *gpadl_lookup(const struct vmbus *bus, uint32_t relid,
			   uint32_t id)
{
	return g_hash_table_lookup(bus->gpadls, key_of(relid, id));
}

static void send_created(struct vmbus *bus, uint32_t relid, uint32_t id,
			 bool ok)
{
	const struct vmbus_channel_gpadl_created r = {
		.header.msgtype = CHANNELMSG_GPADL_CREATED,
		.child_relid = relid, .gpadl = id,
		.creation_status = ok ? VMBUS_STATUS_SUCCESS :
					VMBUS_STATUS_UNSUCCESSFUL,
	};

	trace(TRACE_VMBUS, "vmbus.gpadl id=%#x relid=%u ok=%d", id, relid, ok);
	message_send(bus, &r, sizeof(r));
}

static void send_torndown(struct vmbus *bus, uint32_t id)
{
	const struct vmbus_channel_gpadl_torndown r = {
		.header.msgtype = CHANNELMSG_GPADL_TORNDOWN, .gpadl = id,
	};

	message_send(bus, &r, sizeof(r));
}

static bool is_lent(struct vmbus *bus, const struct gpadl *g)
{
	bool lent;

	pthread_mutex_lock(&bus->gpadls_lock);
	lent = g->loans != 0;
	pthread_mutex_unlock(&bus->gpadls_lock);
	return lent;
}

static void remember(struct vmbus *bus, struct gpadl *g)
{
	bus->gpadl_words += g->words;
	pthread_mutex_lock(&bus->gpadls_lock);
	g_hash_table_insert(bus->gpadls, key_of(g->relid, g->id), g);
	pthread_mutex_unlock(&bus->gpadls_lock);
	g_ptr_array_add(bus->filling, g);
}

static void forget(struct vmbus *bus, struct gpadl *g)
{
	bus->gpadl_words -= g->words;
	g_ptr_array_remove_fast(bus->filling, g);
	pthread_mutex_lock(&bus->gpadls_lock);
	g_hash_table_remove(bus->gpadls, key_of(g->relid, g->id));
	pthread_mutex_unlock(&bus->gpadls_lock);
}

/* All of it has come: is it any good? */
static void finish(struct vmbus *bus, struct gpadl *g)
{
	uint32_t relid = g->relid, id = g->id;
	bool ok = gpadl_check(g, bus->gm) == 0;

	g_ptr_array_remove_fast(bus->filling, g);
	if (ok) {
		pthread_mutex_lock(&bus->gpadls_lock);
		g->complete = true;
		pthread_mutex_unlock(&bus->gpadls_lock);
		send_created(bus, relid, id, true);
	} else {
		forget(bus, g);
		send_created(bus, relid, id, false);
	}
}

/* A body names its list only, so those that fill must differ by their ids. */
static struct gpadl *find_filling(const struct vmbus *bus, uint32_t id)
{
	for (guint i = 0; i < bus->filling->len; i++) {
		struct gpadl *g = bus->filling->pdata[i];

		if (g->id == id)
			return g;
	}
	return NULL;
}

static bool may_create(const struct vmbus *bus,
		       const struct vmbus_channel_gpadl_header *h)
{
	const struct vmbus_channel *ch = bus_channel(bus, h->child_relid);

	return ch && ch->offered &&
	       !gpadl_lookup(bus, h->child_relid, h->gpadl) &&
	       !find_filling(bus, h->gpadl) &&
	       bus->filling->len < GPADLS_FILLING_MAX &&
	       g_hash_table_size(bus->gpadls) < GPADLS_MAX &&
	       h->range_buflen / 8u <= GPADL_WORDS_MAX - bus->gpadl_words;
}

void gpadl_handle_header(struct vmbus *bus, struct reader *msg)
{
	struct vmbus_channel_gpadl_header h;
	const struct vmbus_channel *ch;
	struct gpadl *g;

	if (!READ(msg, &h))
		return;
	ch = bus_channel(bus, h.child_relid);
	if (ch && ch->rescinded) {
		/* The guest has yet to learn; nothing is kept. */
		send_created(bus, h.child_relid, h.gpadl, true);
		return;
	}
	if (!may_create(bus, &h) ||
	    gpadl_new(h.gpadl, h.child_relid, h.range_buflen, h.rangecount,
		      msg, &g)) {
		send_created(bus, h.child_relid, h.gpadl, false);
		return;
	}
	remember(bus, g);
	if (gpadl_is_filled(g))
		finish(bus, g);
}

void gpadl_handle_body(struct vmbus *bus, struct reader *msg)
{
	struct vmbus_channel_gpadl_body b;
	struct gpadl *g;

	if (!READ(msg, &b))
		return;
	g = find_filling(bus, b.gpadl);
	if (!g)
		return;
	gpadl_append(g, msg);
	if (gpadl_is_filled(g))
		finish(bus, g);
}

void gpadl_handle_teardown(struct vmbus *bus, struct reader *msg)
{
	struct vmbus_channel_gpadl_teardown t;
	const struct vmbus_channel *ch;
	struct gpadl *g;

	if (!READ(msg, &t))
		return;
	g = gpadl_lookup(bus, t.child_relid, t.gpadl);
	ch = bus_channel(bus, t.child_relid);
	if (!g) {
		if (ch && ch->rescinded)
			send_torndown(bus, t.gpadl);
		return;
	}
	if (!g->complete)
		return;
	if (g->in_use) {
		/* Answered when the channel has closed; not before. */
		g->teardown = ch->state == CH_CLOSING || ch->close_wanted;
		return;
	}
	if (is_lent(bus, g)) {
		/* Answered when the device has given it back. */
		g->teardown = true;
		return;
	}
	forget(bus, g);
	send_torndown(bus, t.gpadl);
}

void gpadl_release_ring(struct vmbus *bus, struct vmbus_channel *ch)
{
	struct gpadl *g = ch->ring_gpadl;

	ch->ring_gpadl = NULL;
	if (!g)
		return;
	g->in_use = false;
	if (!g->teardown || is_lent(bus, g))
		return;
	send_torndown(bus, g->id);
	forget(bus, g);
}

static struct gpadl *find_returned(struct vmbus *bus, uint32_t relid)
{
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, bus->gpadls);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct gpadl *g = value;

		if (g->relid == relid && g->teardown && !g->in_use &&
		    !is_lent(bus, g))
			return g;
	}
	return NULL;
}

void gpadls_returned(struct loop_note *note)
{
	struct vmbus_channel *ch =
		container_of(note, struct vmbus_channel, returned_note);
	struct gpadl *g;

	while ((g = find_returned(ch->bus, ch->relid))) {
		send_torndown(ch->bus, g->id);
		forget(ch->bus, g);
	}
}

void gpadls_fail_filling(struct vmbus *bus, const struct vmbus_channel *ch)
{
	for (guint i = bus->filling->len; i-- > 0;) {
		struct gpadl *g = bus->filling->pdata[i];

		if (g->relid != ch->relid)
			continue;
		send_created(bus, g->relid, g->id, false);
		forget(bus, g);
	}
}

void gpadls_drop(struct vmbus *bus, const struct vmbus_channel *ch)
{
	GHashTableIter iter;
	gpointer value;

	pthread_mutex_lock(&bus->gpadls_lock);
	g_hash_table_iter_init(&iter, bus->gpadls);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct gpadl *g = value;

		if (g->relid != ch->relid)
			continue;
		bus->gpadl_words -= g->words;
		g_ptr_array_remove_fast(bus->filling, g);
		g_hash_table_iter_remove(&iter);
	}
	pthread_mutex_unlock(&bus->gpadls_lock);
}

/*
 * A device's side, on its loop.
 */
struct vmbus_loan *vmbus_borrow(struct vmbus_channel *ch, uint32_t gpadl,
				uint32_t max)
{
	struct vmbus *bus = ch->bus;
	struct vmbus_loan *loan = NULL;
	const uint64_t *pfn;
	uint32_t pages;
	struct gpadl *g;

	pthread_mutex_lock(&bus->gpadls_lock);
	g = gpadl_lookup(bus, ch->relid, gpadl);
	if (g && (pfn = gpadl_ring_pfns(g, &pages)) &&
	    pages <= max) {
		loan = g_malloc(sizeof(*loan) + pages * sizeof(loan->page[0]));
		loan->ch = ch;
		loan->gpadl = gpadl;
		loan->pages = pages;
		/* gpadl_check() has found them to be RAM. */
		for (uint32_t i = 0; i < pages; i++)
			loan->page[i] = gmem_ptr(bus->gm,
						 pfn[i] * GMEM_PAGE_SIZE,
						 GMEM_PAGE_SIZE);
		g->loans++;
	}
	pthread_mutex_unlock(&bus->gpadls_lock);
	return loan;
}

void vmbus_return(struct vmbus_loan *loan)
{
	struct vmbus_channel *ch = loan->ch;
	struct vmbus *bus = ch->bus;

	pthread_mutex_lock(&bus->gpadls_lock);
	gpadl_lookup(bus, ch->relid, loan->gpadl)->loans--;
	pthread_mutex_unlock(&bus->gpadls_lock);
	loop_post(bus->loop, &ch->returned_note);
	g_free(loan);
}
