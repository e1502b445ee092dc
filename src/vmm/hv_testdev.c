/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands come under the lock of the port bus, and take hv's locks below it.
 * Messages and notes come from any vCPU and take the connection's own lock
 * only; so a command may wait for one that is inside.
 */
#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include <string.h>

#include "core/util.h"
#include "vmm/hv_testdev.h"

#define CONNECTIONS	256	/* their ids have 8 bits */

enum control {
	ROUTE_CREATE = 1,
	ROUTE_DESTROY,
	ROUTE_RAISE,
	MESSAGE_CREATE,
	MESSAGE_DESTROY,
	EVENT_CREATE,
	EVENT_DESTROY,
};

struct command {
	uint8_t sint, vp, control, connection;
};

struct connection {
	struct hv_event_port event;
	struct hv_message_port message;
	struct hv_sint *sint;		/* NULL: there is no such VP */
	uint8_t id;
	bool is_event;

	struct hv_sint_note note;
	pthread_mutex_t lock;		/* of the message that waits */
	bool waits;
	uint32_t type;
	size_t len;
	uint8_t payload[HV_MESSAGE_PAYLOAD_MAX];
};

struct hv_testdev {
	struct ioport io;
	struct hv *hv;
	const struct hv_host_ops *ops;
	void *host;
	uint16_t routes[HV_VP_MAX];	/* bit n: SINT n */
	struct connection *connection[CONNECTIONS];
};

static int event_signal(struct hv_event_port *port, uint16_t flag)
{
	struct connection *c = container_of(port, struct connection, event);

	if (!c->sint)
		return -ENODEV;
	return c->sint->signal(c->sint, (uint16_t)(c->id + flag));
}

static int post(struct connection *c)
{
	return c->sint->post(c->sint, c->type, c->payload, c->len, &c->note);
}

static int message_post(struct hv_message_port *port, uint32_t type,
			const void *payload, size_t len)
{
	struct connection *c = container_of(port, struct connection, message);
	int ret = -EAGAIN;

	if (!c->sint)
		return -ENODEV;
	if (!c->sint->takes_messages(c->sint))
		return -ENXIO;
	pthread_mutex_lock(&c->lock);
	if (!c->waits) {
		c->type = type;
		c->len = len;
		memcpy(c->payload, payload, len);
		c->waits = post(c) == -EAGAIN;
		ret = 0;
	}
	pthread_mutex_unlock(&c->lock);
	return ret;
}

static void slot_freed(struct hv_sint_note *note)
{
	struct connection *c = container_of(note, struct connection, note);

	pthread_mutex_lock(&c->lock);
	c->waits = post(c) == -EAGAIN;
	pthread_mutex_unlock(&c->lock);
}

static void connection_free(struct connection *c)
{
	pthread_mutex_destroy(&c->lock);
	g_free(c);
}

static void create(struct hv_testdev *t, const struct command *cmd,
		   bool is_event)
{
	struct connection *c;
	int ret;

	if (cmd->sint >= HV_SYNIC_SINT_COUNT)
		return;

	c = g_new0(struct connection, 1);
	c->event.signal = event_signal;
	c->message.post = message_post;
	c->note.run = slot_freed;
	c->note.port_id = cmd->connection;
	c->sint = hv_get_sint(t->hv, cmd->vp, cmd->sint);
	c->id = cmd->connection;
	c->is_event = is_event;
	pthread_mutex_init(&c->lock, NULL);
	ret = is_event ? hv_connect_event(t->hv, c->id, &c->event) :
			 hv_connect_message(t->hv, c->id, &c->message);
	if (ret)
		connection_free(c);	/* the id is taken, maybe by VMBus */
	else
		t->connection[c->id] = c;
}

static void destroy(struct hv_testdev *t, uint8_t id, bool is_event)
{
	struct connection *c = t->connection[id];

	if (!c || c->is_event != is_event)
		return;

	t->connection[id] = NULL;
	hv_disconnect(t->hv, id);
	if (c->sint)
		c->sint->forget(c->sint, &c->note);
	connection_free(c);
}

static void set_route(struct hv_testdev *t, const struct command *cmd, bool on)
{
	uint16_t bit = (uint16_t)(1u << cmd->sint);

	if (on)
		t->routes[cmd->vp] |= bit;
	else
		t->routes[cmd->vp] &= (uint16_t)~bit;
}

static void route(struct hv_testdev *t, const struct command *cmd)
{
	if (!hv_get_sint(t->hv, cmd->vp, cmd->sint))
		return;
	if (cmd->control != ROUTE_RAISE)
		set_route(t, cmd, cmd->control == ROUTE_CREATE);
	else if (t->routes[cmd->vp] >> cmd->sint & 1)
		t->ops->sint_raise(t->host, cmd->vp, cmd->sint);
}

static void testdev_write(struct ioport *io, uint16_t port, unsigned size,
			  uint32_t value)
{
	struct hv_testdev *t = container_of(io, struct hv_testdev, io);
	const struct command cmd = {
		.sint = (uint8_t)value,
		.vp = (uint8_t)(value >> 8),
		.control = (uint8_t)(value >> 16),
		.connection = (uint8_t)(value >> 24),
	};

	if (size != 4)
		return;
	switch (cmd.control) {
	case ROUTE_CREATE:
	case ROUTE_DESTROY:
	case ROUTE_RAISE:
		route(t, &cmd);
		break;
	case MESSAGE_CREATE:
	case EVENT_CREATE:
		create(t, &cmd, cmd.control == EVENT_CREATE);
		break;
	case MESSAGE_DESTROY:
	case EVENT_DESTROY:
		destroy(t, cmd.connection, cmd.control == EVENT_DESTROY);
		break;
	default:
		break;
	}
}

struct hv_testdev *hv_testdev_new(struct hv *hv, const struct hv_host_ops *ops,
				  void *host)
{
	struct hv_testdev *t = g_new0(struct hv_testdev, 1);

	t->io.first = t->io.last = HV_TESTDEV_PORT;
	t->io.write = testdev_write;
	t->hv = hv;
	t->ops = ops;
	t->host = host;
	return t;
}

struct ioport *hv_testdev_port(struct hv_testdev *t)
{
	return &t->io;
}

void hv_testdev_reset(struct hv_testdev *t)
{
	memset(t->routes, 0, sizeof(t->routes));
	for (unsigned id = 0; id < CONNECTIONS; id++)
		if (t->connection[id])
			destroy(t, (uint8_t)id, t->connection[id]->is_event);
}

void hv_testdev_free(struct hv_testdev *t)
{
	if (!t)
		return;

	hv_testdev_reset(t);
	g_free(t);
}
