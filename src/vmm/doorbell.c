/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <unistd.h>

#include "core/trace.h"
#include "core/util.h"
#include "vmm/doorbell.h"

struct doorbell {
	struct loop_event event;
	struct hv_event_port port;
	const struct kvm *kvm;
	struct hv *hv;
	uint32_t id;
	struct vmbus_channel *ch;
};

static void event_ready(struct loop_event *ev)
{
	vmbus_channel_doorbell(container_of(ev, struct doorbell, event)->ch);
}

/* Any flag will do: a channel has its connection to itself. */
static int port_signal(struct hv_event_port *port, uint16_t flag)
{
	struct doorbell *d = container_of(port, struct doorbell, port);
	uint64_t one = 1;

	if (write(d->event.fd, &one, sizeof(one)) < 0)
		trace(TRACE_KVM, "kvm.doorbell_lost id=%u", d->id);
	return 0;
}

static void event_removed(struct loop_event *ev)
{
	g_free(container_of(ev, struct doorbell, event));
}

int doorbell_connect(const struct kvm *kvm, struct hv *hv, uint32_t id,
		     struct vmbus_channel *ch, void **cookie)
{
	struct doorbell *d = g_new0(struct doorbell, 1);
	int ret;

	d->event.ready = event_ready;
	d->port.signal = port_signal;
	d->kvm = kvm;
	d->hv = hv;
	d->id = id;
	d->ch = ch;
	ret = loop_event_add(vmbus_channel_loop(ch), &d->event);
	if (ret) {
		g_free(d);
		return ret;
	}
	ret = hv_connect_event(hv, id, &d->port);
	if (ret) {
		loop_event_remove(&d->event, event_removed);
		return ret;
	}
	/* KVM has room for a thousand; the rest work, if slower. */
	ret = kvm_doorbell(kvm, id, d->event.fd, true);
	if (ret)
		trace(TRACE_KVM, "kvm.doorbell id=%u error=%d", id, -ret);
	*cookie = d;
	return 0;
}

void doorbell_disconnect(void *cookie)
{
	struct doorbell *d = cookie;

	kvm_doorbell(d->kvm, d->id, d->event.fd, false);
	hv_disconnect(d->hv, d->id);
	loop_event_remove(&d->event, event_removed);
}
