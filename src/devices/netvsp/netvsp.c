/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 *	ready -> nvsp_handle             the guest sets the NIC up
 *	      -> rndis_handle -> oid     it asks and sets
 *	      -> tx_packet ... tx_flush -> net_send
 *	      -> rx_completed -> rx_run  it has room again
 *	readable -> rx_run -> net_recv ... rx_flush
 *
 * A turn takes what there is and hands it on at its end, in both ways, to
 * other lines as well: see struct line.
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
		if (!rx_completed(q, pkt->desc.trans_id))
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

/* What is due to the guest otherwise, and what there is for it. */
static void go_on(struct line *line)
{
	if (!line->index) {
		rndis_send_responses(line->nv);
		nvsp_send_table(line->nv);
	}
	rx_run(line);
}

static void look_at_ring(struct queue *q)
{
	struct vmbus_packet pkt;
	bool some = false;

	/* What the back end has no room for yet waits in the ring. */
	while (!q->tx.blocked && vmbus_recv(q->ch, &pkt) > 0) {
		handle(q, &pkt);
		some = true;
	}
	if (!q->tx.blocked)
		tx_flush(q);
	/* Who starves has asked before this one's hands were full. */
	if (q->tx.blocked && others_starve(q->line))
		tx_shed(q);
	tx_looked(q, some);
	go_on(q->line);
}

static void netvsp_ready(struct vmbus_device *dev, struct vmbus_channel *ch)
{
	struct netvsp *nv = container_of(dev, struct netvsp, vmbus);
	struct queue *q = vmbus_channel_data(ch);

	line_begin(q->line);
	/* Not a sub-channel whose primary channel has closed before it. */
	if (nv->queue[q->index] == q)
		look_at_ring(q);
	line_end(q->line);
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

static struct queue *queue_new(struct netvsp *nv, struct vmbus_channel *ch)
{
	struct queue *q = g_new0(struct queue, 1);

	q->nv = nv;
	q->ch = ch;
	q->index = vmbus_channel_index(ch);
	q->line = nv->line[q->index % nv->lines];
	q->tx.patience.expired = tx_out_of_patience;
	pthread_mutex_init(&q->lock, NULL);
	return q;
}

static void queue_free(struct queue *q)
{
	pthread_mutex_destroy(&q->lock);
	g_free(q);
}

/* A sub-channel of the last driver's that was on its way, and closes soon. */
static void leave_queue(struct queue *q)
{
	rx_queue_gone(q);
	tx_shed(q);
}

static int open_queue(struct netvsp *nv, struct vmbus_channel *ch)
{
	unsigned index = vmbus_channel_index(ch);
	struct queue *q;

	if (index > nv->subchannels && index)
		return -EINVAL;
	if (!index)
		netvsp_reset(nv);
	if (nv->queue[index])
		leave_queue(nv->queue[index]);
	q = queue_new(nv, ch);
	nv->queue[index] = q;
	vmbus_channel_set_data(ch, q);
	if (index && !q->line->index)
		nvsp_send_table(nv);
	else if (index)
		line_ask(nv->line[0], 0);
	return 0;
}

static int netvsp_open(struct vmbus_device *dev, struct vmbus_channel *ch)
{
	struct netvsp *nv = container_of(dev, struct netvsp, vmbus);
	int ret;

	lines_stop(nv, 0);
	ret = open_queue(nv, ch);
	lines_go(nv, 0);
	return ret;
}

static void drop_buffers(struct netvsp *nv)
{
	rx_buffer_drop(nv);
	lines_shed(nv);
	g_clear_pointer(&nv->send, vmbus_return);
	g_queue_clear_full(&nv->responses, (GDestroyNotify)g_bytes_unref);
}

/* Sub-channels go with it; until they have gone they do nothing. */
static void driver_gone(struct netvsp *nv)
{
	drop_buffers(nv);
	netvsp_reset(nv);
	memset(nv->queue, 0, sizeof(nv->queue));
	net_forget(nv->line[0]->nb);
	lines_ask(nv, LINE_FORGET);
	line_ask(nv->line[0], 0);
}

static void close_queue(struct queue *q)
{
	struct netvsp *nv = q->nv;

	if (nv->queue[q->index] == q) {
		if (!q->index)
			driver_gone(nv);
		else
			rx_queue_gone(q);
		nv->queue[q->index] = NULL;
	}
	tx_shed(q);
}

static void netvsp_close(struct vmbus_device *dev, struct vmbus_channel *ch)
{
	struct netvsp *nv = container_of(dev, struct netvsp, vmbus);
	struct queue *q = vmbus_channel_data(ch);

	lines_stop(nv, 0);
	close_queue(q);
	lines_go(nv, 0);
	queue_free(q);
	vmbus_closed(ch);
}

static struct loop *netvsp_loop(const struct vmbus_device *dev, unsigned index)
{
	const struct netvsp *nv = container_of(dev, struct netvsp, vmbus);

	return nv->line[index % nv->lines]->loop;
}

static const struct vmbus_device_ops netvsp_ops = {
	.name = "netvsp",
	.open = netvsp_open,
	.ready = netvsp_ready,
	.close = netvsp_close,
	.loop = netvsp_loop,
};

/*
 * The cable's side.
 */
static void readable(void *user)
{
	struct line *line = user;

	line_begin(line);
	line->idle = false;
	rx_run(line);
	line_end(line);
}

static void writable(void *user)
{
	struct line *line = user;

	line_begin(line);
	for (struct queue *q = line_next(line, NULL); q;
	     q = line_next(line, q)) {
		q->tx.shedding = false;
		if (q->tx.blocked)
			tx_flush(q);
	}
	line_end(line);
}

/* Each line says so; the first one's word counts. */
static void link_changed(void *user, bool up)
{
	struct line *line = user;

	if (line->index)
		return;
	line_begin(line);
	link_update(line->nv);
	line_end(line);
}

void netvsp_set_link(struct netvsp *nv, bool up)
{
	lines_stop(nv, 0);
	nv->unplugged = !up;
	if (!up)
		lines_shed(nv);
	link_update(nv);
	lines_go(nv, 0);
}

static void take_turn(struct loop_note *note)
{
	struct line *line = container_of(note, struct line, note);

	line_begin(line);
	go_on(line);
	line_end(line);
}

static void plug_in(struct netvsp *nv, struct loop *const *loops,
		    const struct net_cable *cable)
{
	nv->lines = cable->count;
	for (unsigned i = 0; i < nv->lines; i++) {
		struct line *line = g_aligned_alloc0(1, sizeof(*line),
						     _Alignof(struct line));

		line_init(line, nv, i, loops[i], cable->queue[i]);
		line->note.run = take_turn;
		line->nb->user = (struct net_user){
			readable, writable, link_changed, line
		};
		nv->line[i] = line;
	}
	nv->nb = nv->line[0]->nb;
}

struct netvsp *netvsp_new(struct loop *const *loops, const struct gmem *gm,
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
		.loop = loops[0],
		.gm = gm,
	};
	memcpy(nv->permanent_mac, options->mac, sizeof(nv->permanent_mac));
	memcpy(nv->changed_mac, options->mac, sizeof(nv->changed_mac));
	nv->max_queues = CLAMP(options->max_queues, 1, NETVSP_QUEUES_MAX);
	plug_in(nv, loops, cable);
	g_queue_init(&nv->responses);
	nv->link_quiet.expired = link_was_quiet;
	netvsp_reset(nv);
	return nv;
}

void netvsp_free(struct netvsp *nv)
{
	if (!nv)
		return;

	for (unsigned i = 0; i < nv->lines; i++) {
		line_finish(nv->line[i]);
		g_aligned_free(nv->line[i]);
	}
	g_free(nv);
}

struct vmbus_device *netvsp_device(struct netvsp *nv)
{
	return &nv->vmbus;
}
