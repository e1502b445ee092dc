/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connection ids and the ports that they lead to.  TLFS 11.6.
 *
 * A port is entered under the read lock, so that nobody is inside it once
 * hv_disconnect() has had the write lock.  Writers go first: guests that signal
 * without end cannot keep one waiting.
 */
#include <errno.h>

#include "core/trace.h"
#include "hv/hv_internal.h"

/* One of the two. */
struct port {
	struct hv_event_port *event;
	struct hv_message_port *message;
};

void ports_init(struct hv *hv)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(
		&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&hv->ports_lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	hv->ports = g_hash_table_new_full(NULL, NULL, NULL, g_free);
}

void ports_finish(struct hv *hv)
{
	g_hash_table_unref(hv->ports);
	pthread_rwlock_destroy(&hv->ports_lock);
}

static int add(struct hv *hv, uint32_t id, struct port port)
{
	gpointer key = GUINT_TO_POINTER(id);
	bool taken;

	g_assert(id <= HV_CONNECTION_ID_MAX);
	pthread_rwlock_wrlock(&hv->ports_lock);
	taken = g_hash_table_contains(hv->ports, key);
	if (!taken)
		g_hash_table_insert(hv->ports, key,
				    g_memdup2(&port, sizeof(port)));
	pthread_rwlock_unlock(&hv->ports_lock);
	return taken ? -EEXIST : 0;
}

int hv_connect_event(struct hv *hv, uint32_t id, struct hv_event_port *port)
{
	return add(hv, id, (struct port){ .event = port });
}

int hv_connect_message(struct hv *hv, uint32_t id,
		       struct hv_message_port *port)
{
	return add(hv, id, (struct port){ .message = port });
}

void hv_disconnect(struct hv *hv, uint32_t id)
{
	pthread_rwlock_wrlock(&hv->ports_lock);
	g_hash_table_remove(hv->ports, GUINT_TO_POINTER(id));
	pthread_rwlock_unlock(&hv->ports_lock);
}

/* What the user of a port has answered. */
static enum hv_status status_of(int error)
{
	switch (error) {
	case 0:
		return HV_STATUS_SUCCESS;
	case -EAGAIN:
		return HV_STATUS_INSUFFICIENT_BUFFERS;
	case -ENXIO:
		return HV_STATUS_INVALID_SYNIC_STATE;
	case -ENODEV:
		return HV_STATUS_INVALID_VP_INDEX;
	default:
		return HV_STATUS_INVALID_PARAMETER;
	}
}

static enum hv_status signal_port(const struct port *port, uint16_t flag)
{
	if (!port)
		return HV_STATUS_INVALID_CONNECTION_ID;
	if (!port->event)
		return HV_STATUS_INVALID_PORT_ID;
	if (flag >= HV_EVENT_FLAG_COUNT)
		return HV_STATUS_INVALID_PARAMETER;
	return status_of(port->event->signal(port->event, flag));
}

enum hv_status ports_signal(struct hv *hv, uint32_t id, uint16_t flag)
{
	enum hv_status status;

	trace(TRACE_HV, "hv.signal_event connection=%#x flag=%u", id, flag);
	pthread_rwlock_rdlock(&hv->ports_lock);
	status = signal_port(g_hash_table_lookup(hv->ports,
						 GUINT_TO_POINTER(id)), flag);
	pthread_rwlock_unlock(&hv->ports_lock);
	return status;
}

static enum hv_status post_to_port(const struct port *port, uint32_t type,
				   const void *payload, size_t len)
{
	if (!port)
		return HV_STATUS_INVALID_CONNECTION_ID;
	if (!port->message)
		return HV_STATUS_INVALID_PORT_ID;
	return status_of(port->message->post(port->message, type, payload,
					     len));
}

enum hv_status ports_post(struct hv *hv, uint32_t id, uint32_t type,
			  const void *payload, size_t len)
{
	enum hv_status status;

	trace(TRACE_HV, "hv.post_message connection=%#x type=%u len=%zu", id,
	      type, len);
	pthread_rwlock_rdlock(&hv->ports_lock);
	status = post_to_port(g_hash_table_lookup(hv->ports,
						  GUINT_TO_POINTER(id)),
			      type, payload, len);
	pthread_rwlock_unlock(&hv->ports_lock);
	return status;
}
