/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The connection: which message goes where, versions, offers, unload.
 *
 *	            INITIATE_CONTACT                REQUESTOFFERS
 *	DISCONNECTED ------------> CONNECTED ----------------------> OFFERED
 *	      ^                       |                                 |
 *	      +------- UNLOAD, a new INITIATE_CONTACT, reset -----------+
 *
 * Leaving closes all channels first; messages that come meanwhile wait.
 */
#include <string.h>

#include "core/trace.h"
#include "vmbus/vmbus_internal.h"

static const uint32_t versions[] = {
	VERSION_WS2008, VERSION_WIN7, VERSION_WIN8, VERSION_WIN8_1,
	VERSION_WIN10, VERSION_WIN10_V4_1, VERSION_WIN10_V5,
	VERSION_WIN10_V5_1, VERSION_WIN10_V5_2, VERSION_WIN10_V5_3,
};

static bool is_offered(uint32_t version)
{
	for (size_t i = 0; i < G_N_ELEMENTS(versions); i++)
		if (versions[i] == version)
			return true;
	return false;
}

static void send_version_response(struct vmbus *bus, bool supported,
				  uint32_t value)
{
	const struct vmbus_channel_version_response r = {
		.header.msgtype = CHANNELMSG_VERSION_RESPONSE,
		.version_supported = supported,
		.msg_conn_id = value,
	};

	message_send(bus, &r, sizeof(r));
}

static bool has_vp(const struct vmbus *bus, uint32_t vp)
{
	return bus->ops->sint(bus->host, vp, VMBUS_MESSAGE_SINT) != NULL;
}

/*
 * Whether the guest may connect as it asked to.  From 5.0 on it may name the
 * SINT and (5.1) the VTL; we serve SINT 2 of VTL 0.
 */
static bool is_acceptable(const struct vmbus *bus, uint32_t connection_id,
			  const struct vmbus_channel_initiate_contact *c)
{
	uint32_t v = c->vmbus_version_requested;

	if (!is_offered(v))
		return false;
	if (v >= VERSION_WIN8_1 && !has_vp(bus, c->target_vcpu))
		return false;
	if (v >= VERSION_WIN10_V5 &&
	    connection_id == VMBUS_MESSAGE_CONNECTION_ID_4 &&
	    c->msg_sint != VMBUS_MESSAGE_SINT)
		return false;
	if (v >= VERSION_WIN10_V5_1 && c->msg_vtl)
		return false;
	return true;
}

/* The page that guests before 2.4 find signalled channels in. */
static bool find_interrupt_page(struct vmbus *bus,
				const struct vmbus_channel_initiate_contact *c)
{
	bus->interrupt_page = NULL;
	if (c->vmbus_version_requested >= VERSION_WIN8)
		return true;
	if (c->interrupt_page % GMEM_PAGE_SIZE)
		return false;
	bus->interrupt_page = gmem_ptr(bus->gm, c->interrupt_page,
				       GMEM_PAGE_SIZE);
	return bus->interrupt_page != NULL;
}

void connection_contact(struct vmbus *bus)
{
	struct reader r = { bus->contact.payload, bus->contact.len };
	struct vmbus_channel_initiate_contact c;
	uint32_t version;
	bool ok;

	if (!READ(&r, &c))
		return;
	version = c.vmbus_version_requested;
	ok = is_acceptable(bus, bus->contact.connection_id, &c) &&
	     find_interrupt_page(bus, &c);
	trace(TRACE_VMBUS, "vmbus.contact version=%u.%u vp=%u ok=%d",
	      version >> 16, version & 0xffff, c.target_vcpu, ok);
	messages_drop_answers(bus);
	bus->contact_vp = 0;
	if (!ok) {
		send_version_response(bus, false, 0);
		return;
	}
	/* The guest's VP exists; and VP 0 always does. */
	if (version >= VERSION_WIN8_1)
		bus->contact_vp = c.target_vcpu;
	bus->version = version;
	bus->connected = true;
	send_version_response(bus, true, version < VERSION_WIN10_V5 ?
			      version : VMBUS_MESSAGE_CONNECTION_ID_4);
}

static void handle_contact(struct vmbus *bus, struct reader *msg)
{
	bus_release(bus, PENDING_CONTACT);
}

void connection_unloaded(struct vmbus *bus)
{
	const struct vmbus_channel_message_header r = {
		.msgtype = CHANNELMSG_UNLOAD_RESPONSE,
	};

	trace(TRACE_VMBUS, "vmbus.unloaded");
	message_send(bus, &r, sizeof(r));
}

static void handle_unload(struct vmbus *bus, struct reader *msg)
{
	bus_release(bus, PENDING_UNLOAD);
}

static void handle_request_offers(struct vmbus *bus, struct reader *msg)
{
	const struct vmbus_channel_message_header end = {
		.msgtype = CHANNELMSG_ALLOFFERS_DELIVERED,
	};

	/* Before this there are neither sub-channels nor rescinded ones. */
	if (bus->offers_requested)
		return;
	bus->offers_requested = true;
	for (guint i = 0; i < bus->channels->len; i++) {
		struct vmbus_channel *ch = bus->channels->pdata[i];

		if (ch)
			bus_send_offer(bus, ch);
	}
	message_send(bus, &end, sizeof(end));
}

static void handle_tl_connect(struct vmbus *bus, struct reader *msg)
{
	struct vmbus_channel_tl_connect_request in;
	struct vmbus_channel_tl_connect_result out = {
		.header.msgtype = CHANNELMSG_TL_CONNECT_RESULT,
		.status = VMBUS_STATUS_REFUSED,
	};

	/* Nobody listens.  Before 4.1 there is no way to say so. */
	if (!READ(msg, &in) || bus->version < VERSION_WIN10_V4_1)
		return;
	out.guest_endpoint_id = in.guest_endpoint_id;
	out.host_service_id = in.host_service_id;
	message_send(bus, &out, sizeof(out));
}

/*
 * What a guest may send, from which version on.  A message that is shorter
 * than its handler needs is dropped there: no reply could say to what.
 */
static const struct {
	uint32_t min_version;
	bool unconnected;	/* also without a connection */
	void (*handle)(struct vmbus *bus, struct reader *msg);
} handlers[CHANNELMSG_COUNT] = {
	[CHANNELMSG_REQUESTOFFERS] = { 0, false, handle_request_offers },
	[CHANNELMSG_OPENCHANNEL] = { 0, false, channel_handle_open },
	[CHANNELMSG_CLOSECHANNEL] = { 0, false, channel_handle_close },
	[CHANNELMSG_GPADL_HEADER] = { 0, false, gpadl_handle_header },
	[CHANNELMSG_GPADL_BODY] = { 0, false, gpadl_handle_body },
	[CHANNELMSG_GPADL_TEARDOWN] = { 0, false, gpadl_handle_teardown },
	[CHANNELMSG_RELID_RELEASED] = { 0, false, channel_handle_released },
	[CHANNELMSG_INITIATE_CONTACT] = { 0, true, handle_contact },
	[CHANNELMSG_UNLOAD] = { 0, true, handle_unload },
	[CHANNELMSG_OPEN_RESERVED] = { VERSION_WIN10, false,
				       channel_handle_open_reserved },
	[CHANNELMSG_CLOSE_RESERVED] = { VERSION_WIN10, false,
					channel_handle_close_reserved },
	[CHANNELMSG_TL_CONNECT_REQUEST] = { VERSION_WIN10, false,
					    handle_tl_connect },
	[CHANNELMSG_MODIFYCHANNEL] = { VERSION_WIN10_V4_1, false,
				       channel_handle_modify },
};

/* With its bytes: recorded, they are tests (tests/unit/vmbus/replay). */
static void trace_message(const struct message *m, uint32_t type)
{
	g_autoptr(GString) hex = NULL;

	if (!(trace_mask & 1u << TRACE_VMBUS))
		return;
	hex = g_string_new(NULL);
	for (size_t i = 0; i < m->len; i++)
		g_string_append_printf(hex, "%02x", m->payload[i]);
	trace(TRACE_VMBUS, "vmbus.message type=%u connection=%u bytes=%s",
	      type, m->connection_id, hex->str);
}

void connection_message(struct vmbus *bus, const struct message *m)
{
	struct reader r = { m->payload, m->len }, all = r;
	struct vmbus_channel_message_header h;

	if (!READ(&r, &h)) {
		trace(TRACE_VMBUS, "vmbus.drop len=%zu", m->len);
		return;
	}
	trace_message(m, h.msgtype);
	if (h.msgtype >= CHANNELMSG_COUNT || !handlers[h.msgtype].handle ||
	    (!bus->connected && !handlers[h.msgtype].unconnected) ||
	    bus->version < handlers[h.msgtype].min_version) {
		trace(TRACE_VMBUS, "vmbus.drop type=%u", h.msgtype);
		return;
	}
	if (h.msgtype == CHANNELMSG_INITIATE_CONTACT) {
		if (m->len < sizeof(struct vmbus_channel_initiate_contact))
			return;
		bus->contact = *m;
	}
	handlers[h.msgtype].handle(bus, &all);
}
