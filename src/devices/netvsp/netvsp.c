/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 *	ready -> nvsp_handle             the guest sets the NIC up
 *	      -> rndis_handle -> oid     it asks and sets
 *	      -> tx_packet ... tx_flush -> net_send
 *	      -> rx_completed -> rx_run  it has room again
 *	readable -> rx_run -> net_recv ... rx_flush
 *
 * A turn takes what there is and hands it on at its end, in both ways.
 */
#include "devices/netvsp/netvsp_internal.h"

void queue_answer(struct queue *q, const struct vmpacket_descriptor *desc,
		  const struct nvsp_message *m)
{
	size_t size = q->nv->version >= NVSP_PROTOCOL_VERSION_61 ?
			      NVSP_MESSAGE_SIZE_61 : NVSP_MESSAGE_SIZE;

	if (desc->flags & VMBUS_DATA_PACKET_FLAG_COMPLETION_REQUESTED)
		vmbus_complete(q->ch, desc->trans_id, m, size);
}

static void handle(struct queue *q, struct vmbus_packet *pkt)
{
	struct nvsp_message m = { 0 };

	if (pkt->desc.type == VM_PKT_COMP) {
		if (!rx_completed(q->nv, pkt->desc.trans_id))
			trace(TRACE_NETVSP, "netvsp.stray trans=%#"
			      G_GINT64_MODIFIER "x", pkt->desc.trans_id);
		return;
	}
	if (pkt->payload.left < sizeof(m.msg_type) ||
	    (pkt->desc.type != VM_PKT_DATA_INBAND &&
	     pkt->desc.type != VM_PKT_DATA_USING_GPA_DIRECT)) {
		trace(TRACE_NETVSP, "netvsp.drop type=%u", pkt->desc.type);
		return;
	}
	reader_copy(&pkt->payload, &m, MIN(pkt->payload.left, sizeof(m)));
	if (m.msg_type == NVSP_MSG1_TYPE_SEND_RNDIS_PKT)
		tx_packet(q, pkt, &m);
	else
		nvsp_handle(q, &pkt->desc, &m);
}

static void netvsp_ready(struct vmbus_device *dev, struct vmbus_channel *ch)
{
	struct netvsp *nv = container_of(dev, struct netvsp, vmbus);
	struct queue *q = vmbus_channel_data(ch);
	struct vmbus_packet pkt;
	bool some = false;

	/* Of a sub-channel whose primary channel has closed before it. */
	if (!primary(nv))
		return;
	/* What the back end has no room for yet waits in the ring. */
	while (!q->tx.blocked && vmbus_recv(ch, &pkt) > 0) {
		handle(q, &pkt);
		some = true;
	}
	if (!q->tx.blocked)
		tx_flush(q);
	tx_looked(q, some);
	rndis_send_responses(nv);
	nvsp_send_table(nv);
	rx_run(nv);
}

/* To what it is when the guest's driver comes. */
void netvsp_reset(struct netvsp *nv)
{
	nv->version = 0;
	nv->configured = nv->table_due = false;
	nv->mtu = MTU_DEFAULT;
	nv->capabilities = 0;
	nv->subchannels = 0;
	nv->rndis = RNDIS_DOWN;
	nv->filter = 0;
	nv->groups = 0;
	memcpy(nv->mac, nv->permanent_mac, sizeof(nv->mac));
	nv->rss = (struct rss){ 0 };
	memset(nv->flow, 0, sizeof(nv->flow));
	oid_default_offloads(nv);
	link_begin(nv);
}

static int netvsp_open(struct vmbus_device *dev, struct vmbus_channel *ch)
{
	struct netvsp *nv = container_of(dev, struct netvsp, vmbus);
	unsigned index = vmbus_channel_index(ch);
	struct queue *q;

	if (index > nv->subchannels && index)
		return -EINVAL;
	if (!index)
		netvsp_reset(nv);
	q = g_new0(struct queue, 1);
	q->nv = nv;
	q->ch = ch;
	q->index = index;
	q->line = &nv->line[index % nv->lines];
	q->tx.patience.expired = tx_out_of_patience;
	nv->queue[index] = q;
	vmbus_channel_set_data(ch, q);
	if (index)
		nvsp_send_table(nv);
	return 0;
}

static void drop_buffers(struct netvsp *nv)
{
	rx_buffer_drop(nv);
	tx_shed_all(nv);
	g_clear_pointer(&nv->send, vmbus_return);
	g_queue_clear_full(&nv->responses, (GDestroyNotify)g_bytes_unref);
}

static void netvsp_close(struct vmbus_device *dev, struct vmbus_channel *ch)
{
	struct netvsp *nv = container_of(dev, struct netvsp, vmbus);
	struct queue *q = vmbus_channel_data(ch);

	/* Sub-channels go with it; until they have gone they do nothing. */
	if (!q->index) {
		drop_buffers(nv);
		netvsp_reset(nv);
		for (unsigned i = 0; i < nv->lines; i++)
			net_forget(nv->line[i].nb);
		loop_post(nv->vmbus.loop, &nv->rx_note);
	}
	tx_shed(q);
	nv->queue[q->index] = NULL;
	g_free(q);
	vmbus_closed(ch);
}

static const struct vmbus_device_ops netvsp_ops = {
	.name = "netvsp",
	.open = netvsp_open,
	.ready = netvsp_ready,
	.close = netvsp_close,
};

/*
 * The cable's side.
 */
static void readable(void *user)
{
	struct line *line = user;

	line->idle = false;
	rx_run(line->nv);
}

static void writable(void *user)
{
	struct line *line = user;

	for (unsigned i = 0; i < NETVSP_QUEUES_MAX; i++) {
		struct queue *q = line->nv->queue[i];

		if (!q || q->line != line)
			continue;
		q->tx.shedding = false;
		if (q->tx.blocked)
			tx_flush(q);
	}
}

/* Each line says so; the first one's word counts. */
static void link_changed(void *user, bool up)
{
	struct line *line = user;

	link_update(line->nv);
}

void netvsp_set_link(struct netvsp *nv, bool up)
{
	nv->unplugged = !up;
	if (!up)
		tx_shed_all(nv);
	link_update(nv);
}

static void receive_more(struct loop_note *note)
{
	rx_run(container_of(note, struct netvsp, rx_note));
}

static void plug_in(struct netvsp *nv, const struct net_cable *cable)
{
	nv->lines = cable->count;
	for (unsigned i = 0; i < nv->lines; i++) {
		struct line *line = &nv->line[i];

		*line = (struct line){ nv, cable->queue[i], false };
		line->nb->user = (struct net_user){
			readable, writable, link_changed, line
		};
	}
	nv->nb = nv->line[0].nb;
}

struct netvsp *netvsp_new(struct loop *loop, const struct gmem *gm,
			  const struct netvsp_options *options,
			  const struct net_cable *cable)
{
	struct netvsp *nv = g_new0(struct netvsp, 1);

	nv->vmbus = (struct vmbus_device){
		.ops = &netvsp_ops,
		/* f8615163-df3e-46c5-913f-f2d2f965ed0e */
		.if_type = GUID(0xf8615163, 0xdf3e, 0x46c5, 0x913f,
				UINT64_C(0xf2d2f965ed0e)),
		.if_instance = options->instance,
		.loop = loop,
		.gm = gm,
	};
	memcpy(nv->permanent_mac, options->mac, sizeof(nv->permanent_mac));
	memcpy(nv->changed_mac, options->mac, sizeof(nv->changed_mac));
	nv->max_queues = CLAMP(options->max_queues, 1, NETVSP_QUEUES_MAX);
	plug_in(nv, cable);
	g_queue_init(&nv->responses);
	nv->rx_note.run = receive_more;
	nv->link_quiet.expired = link_was_quiet;
	netvsp_reset(nv);
	return nv;
}

void netvsp_free(struct netvsp *nv)
{
	g_free(nv);
}

struct vmbus_device *netvsp_device(struct netvsp *nv)
{
	return &nv->vmbus;
}
