/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "core/util.h"
#include "echo_device.h"

struct echo_channel {
	struct echo *e;
	struct vmbus_channel *ch;
	unsigned index;
	unsigned in_hand;
	bool closing;
};

struct echo_request {
	struct echo_channel *ec;
	uint64_t trans_id;
	size_t len;
	uint8_t payload[];
};

static void log_event(struct echo *e, const char *what, unsigned index)
{
	g_string_append_printf(e->log, "%s%u ", what, index);
}

static void finish_channel(struct echo_channel *ec)
{
	struct vmbus_channel *ch = ec->ch;

	log_event(ec->e, "closed", ec->index);
	g_ptr_array_remove(ec->e->channels, ec);
	vmbus_closed(ch);
}

static void update_busy(struct echo_channel *ec)
{
	vmbus_channel_set_busy(ec->ch, ec->in_hand != 0);
}

static void answer(struct echo_request *rq)
{
	struct echo_channel *ec = rq->ec;

	if (!ec->e->mute)
		vmbus_complete(ec->ch, rq->trans_id, rq->payload, rq->len);
	g_free(rq);
	ec->in_hand--;
	update_busy(ec);
	if (ec->closing && !ec->in_hand && !ec->e->close_late)
		finish_channel(ec);
}

static void handle(struct echo_channel *ec, struct vmbus_packet *pkt)
{
	size_t len = pkt->payload.left;
	struct echo_request *rq = g_malloc(sizeof(*rq) + len);
	struct echo *e = ec->e;

	e->received++;
	e->last_type = pkt->desc.type;
	e->last_header = pkt->header.left;
	rq->ec = ec;
	rq->trans_id = pkt->desc.trans_id;
	rq->len = len;
	reader_copy(&pkt->payload, rq->payload, len);
	if (len >= 3 && !memcmp(rq->payload, "sub", 3))
		vmbus_offer_subchannels(ec->ch, e->subchannels);
	ec->in_hand++;
	if (e->hold || e->later) {
		g_queue_push_tail(&e->held, rq);
		update_busy(ec);
		if (!e->hold)
			loop_post(e->vmbus.loop, &e->later_note);
	} else {
		answer(rq);
	}
}

static void send_more(struct echo *e, struct vmbus_channel *ch)
{
	static const uint8_t word[8] = "unasked";

	for (; e->to_send; e->to_send--) {
		e->sent = vmbus_send(ch, word, sizeof(word));
		if (e->sent)
			return;
	}
}

static void echo_ready(struct vmbus_device *dev, struct vmbus_channel *ch)
{
	struct echo *e = container_of(dev, struct echo, vmbus);
	struct echo_channel *ec = vmbus_channel_data(ch);
	struct vmbus_packet pkt;
	int ret = 0;

	e->readies++;
	if (!ec->index)
		send_more(e, ch);
	while ((!e->depth || ec->in_hand < e->depth) &&
	       (ret = vmbus_recv(ch, &pkt)) > 0) {
		/* Its own, if the guest's two rings are the same pages. */
		if (pkt.desc.type == VM_PKT_COMP)
			continue;
		handle(ec, &pkt);
		if (e->sips)
			return;
	}
	if (ret < 0)
		log_event(e, "error", ec->index);
}

static int echo_open(struct vmbus_device *dev, struct vmbus_channel *ch)
{
	struct echo *e = container_of(dev, struct echo, vmbus);
	struct echo_channel *ec;

	if (e->open_fails)
		return e->open_fails;
	ec = g_new0(struct echo_channel, 1);
	ec->e = e;
	ec->ch = ch;
	ec->index = vmbus_channel_index(ch);
	g_ptr_array_add(e->channels, ec);
	vmbus_channel_set_data(ch, ec);
	log_event(e, "open", ec->index);
	return 0;
}

static void echo_close(struct vmbus_device *dev, struct vmbus_channel *ch)
{
	struct echo_channel *ec = vmbus_channel_data(ch);

	log_event(ec->e, "close", ec->index);
	ec->closing = true;
	if (!ec->in_hand && !ec->e->close_late)
		finish_channel(ec);
}

static struct loop *echo_loop(const struct vmbus_device *dev, unsigned index)
{
	const struct echo *e = container_of(dev, struct echo, vmbus);

	return e->sub_loop ?: dev->loop;
}

static const struct vmbus_device_ops echo_ops = {
	.name = "echo",
	.open = echo_open,
	.ready = echo_ready,
	.close = echo_close,
	.loop = echo_loop,
};

static void later_run(struct loop_note *note)
{
	echo_release(container_of(note, struct echo, later_note), UINT32_MAX);
}

void echo_init(struct echo *e, struct loop *loop, const struct gmem *gm,
	       uint8_t number)
{
	*e = (struct echo){
		.vmbus = {
			.ops = &echo_ops,
			.if_type = GUID(0xec40, 0, 0, 0, 0),
			.if_instance = GUID(0xec40, 0, 0, 0, number),
			.loop = loop, .gm = gm,
			.user_def = { number },
		},
		.log = g_string_new(NULL),
		.channels = g_ptr_array_new_with_free_func(g_free),
	};
	g_queue_init(&e->held);
	e->later_note.run = later_run;
}

void echo_finish(struct echo *e)
{
	g_queue_clear_full(&e->held, g_free);
	g_ptr_array_unref(e->channels);
	g_string_free(e->log, TRUE);
}

void echo_release(struct echo *e, unsigned count)
{
	while (count-- && !g_queue_is_empty(&e->held))
		answer(g_queue_pop_head(&e->held));
}

void echo_finish_close(struct echo *e)
{
	e->close_late = false;
	for (guint i = e->channels->len; i-- > 0;) {
		struct echo_channel *ec = e->channels->pdata[i];

		if (ec->closing && !ec->in_hand)
			finish_channel(ec);
	}
}

void echo_send(struct echo *e, unsigned count)
{
	e->to_send += count;
	if (e->channels->len)
		send_more(e, ((struct echo_channel *)
			      e->channels->pdata[0])->ch);
}
