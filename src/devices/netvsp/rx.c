/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames for the guest.
 *
 *	free suballocations -> net_recv() fills them -> is it for this guest?
 *	-> RNDIS headers before it -> which channel: of this line, or another
 *	-> [-> that one's inbox ->] a range in the packet of its queue
 *	-> rx_flush(): the guest has them, until it answers the packet
 *
 * A suballocation holds 252 bytes of headers and a frame; one that is larger,
 * many segments that are still one, goes on in others (RSC).  Packets to the
 * guest are known by the number of their first suballocation, plus one.
 */
#include <errno.h>
#include <netinet/in.h>

#include "devices/netvsp/netvsp_internal.h"

#define ETH_ADDRESSES	12

struct rx_header {
	struct rndis_message_header h;
	struct rndis_packet p;
	struct ppi ppi[4];
} __attribute__((packed));

/*
 * Packets.
 */
bool rx_flush(struct queue *q)
{
	const struct netvsp *nv = q->nv;
	struct nvsp_message m = {
		.msg_type = NVSP_MSG1_TYPE_SEND_RNDIS_PKT,
		.rndis_pkt.channel_type = NVSP_CHANNEL_DATA,
		.rndis_pkt.section_index = NVSP_NO_SECTION,
	};
	int ret;

	if (!q->rx.count)
		return true;
	q->rx.pageset = nv->recv.id;
	ret = vmbus_send_pages(q->ch, &q->rx, &m, NVSP_MESSAGE_SIZE);
	if (ret == -EAGAIN)
		return false;
	rx_sent(q, (uint32_t)q->rx.trans_id - 1);
	q->rx.count = 0;
	q->tx.bulk = 0;
	tx_pay(q);
	return true;
}

bool rx_send_control(struct netvsp *nv, const void *msg, size_t len)
{
	struct recv_buf *b = &nv->recv;
	struct nvsp_message m = {
		.msg_type = NVSP_MSG1_TYPE_SEND_RNDIS_PKT,
		.rndis_pkt.channel_type = NVSP_CHANNEL_CONTROL,
		.rndis_pkt.section_index = NVSP_NO_SECTION,
	};
	struct vmbus_transfer t = { .pageset = b->id, .count = 1 };
	uint32_t n = b->free_control.first;

	if (!b->free_control.count)
		return false;
	rx_write(b, n, msg, (uint32_t)MIN(len, b->size - RX_TAIL));
	t.trans_id = n + 1;
	t.ranges[0].byte_offset = n * b->size;
	t.ranges[0].byte_count = (uint32_t)len;
	if (vmbus_send_pages(primary(nv)->ch, &t, &m, NVSP_MESSAGE_SIZE))
		return false;
	chain_take(b, &b->free_control);
	b->buffer[n].next = NO_BUFFER;
	rx_sent(primary(nv), n);
	return true;
}

/* Suballocation @n, filled. */
static void add_range(struct queue *q, uint32_t n)
{
	struct recv_buf *b = &q->nv->recv;
	struct vmbus_transfer *t = &q->rx;

	if (t->count)
		b->buffer[t->ranges[t->count - 1].byte_offset / b->size].next =
			n;
	else
		t->trans_id = n + 1;
	b->buffer[n].next = NO_BUFFER;
	t->ranges[t->count].byte_offset = n * b->size;
	t->ranges[t->count].byte_count = b->buffer[n].len;
	t->count++;
}

/* Parts of the first frame of @c. */
static unsigned parts_in(const struct recv_buf *b, const struct chain *c)
{
	uint32_t n = c->first;
	unsigned parts = 1;

	for (; b->buffer[n].more; n = b->buffer[n].next)
		parts++;
	return parts;
}

/* What other lines have received, then the rest.  False if the ring is full. */
static bool flush_queue(struct queue *q)
{
	struct recv_buf *b = &q->nv->recv;

	rx_collect(q);
	while (q->arrived.count) {
		unsigned parts = parts_in(b, &q->arrived);

		if (q->rx.count + parts > VMBUS_RANGES_MAX && !rx_flush(q))
			return false;
		while (parts--)
			add_range(q, chain_take(b, &q->arrived));
	}
	return rx_flush(q);
}

/*
 * Frames.
 */
static bool rsc_is_on(const struct netvsp *nv)
{
	const struct recv_buf *b = &nv->recv;
	uint32_t need = b->loan ? NET_FRAME_MAX / rx_room(b) + 1 : 0;

	return (nv->offloads.rsc4 || nv->offloads.rsc6) &&
	       nv->version >= NVSP_PROTOCOL_VERSION_61 &&
	       nv->capabilities & NVSP_CAPABILITY_RSC &&
	       need && need <= VMBUS_RANGES_MAX &&
	       b->count / nv->lines >= 4 * need;
}

void rx_update_offloads(struct netvsp *nv)
{
	unsigned offloads = NET_OFFLOAD_CSUM;

	if (rsc_is_on(nv) && nv->offloads.rsc4)
		offloads |= NET_OFFLOAD_TSO4;
	if (rsc_is_on(nv) && nv->offloads.rsc6)
		offloads |= NET_OFFLOAD_TSO6;
	nv->rx_offloads = offloads;
	net_set_offloads(nv->line[0]->nb, offloads);
	lines_ask(nv, LINE_OFFLOADS);
}

/*
 * Linux changes the address once, opens the channels anew for another MTU, and
 * goes on with that address without a word.
 */
static bool is_mine(const struct netvsp *nv, const uint8_t *mac)
{
	return !memcmp(mac, nv->mac, sizeof(nv->mac)) ||
	       !memcmp(mac, nv->changed_mac, sizeof(nv->changed_mac));
}

/* A guest that never names its groups sorts them out by itself. */
static bool is_member(const struct netvsp *nv, const uint8_t *group)
{
	for (unsigned i = 0; i < nv->groups; i++)
		if (!memcmp(nv->group[i], group, sizeof(nv->group[i])))
			return true;
	return !nv->groups;
}

static bool is_wanted(const struct netvsp *nv, const uint8_t *to)
{
	uint32_t filter = nv->filter;

	if (filter & NDIS_PACKET_TYPE_PROMISCUOUS)
		return true;
	switch (frame_cast(to)) {
	case FRAME_BROADCAST:
		return filter & NDIS_PACKET_TYPE_BROADCAST;
	case FRAME_MULTICAST:
		return filter & NDIS_PACKET_TYPE_ALL_MULTICAST ||
		       (filter & NDIS_PACKET_TYPE_MULTICAST &&
			is_member(nv, to));
	default:
		return filter & NDIS_PACKET_TYPE_DIRECTED && is_mine(nv, to);
	}
}

/* The first @count free buffers are where it may go. */
static void add_buffers(const struct line *line, struct rx_frame *f,
			unsigned count)
{
	const struct recv_buf *b = &line->nv->recv;
	uint32_t n = line->free.first;

	if (f->buffers)
		n = b->buffer[f->buffer[f->buffers - 1]].next;
	for (; f->buffers < count; n = b->buffer[n].next) {
		f->buffer[f->buffers++] = n;
		f->net.iovcnt = rx_map(b, n, RX_DATA_OFFSET, rx_room(b),
				       f->iov, f->net.iovcnt);
	}
}

/*
 * Where a frame may go: as many buffers as the last ones took, for most are
 * small and each piece of memory costs.  The largest finds its buffers, too.
 */
static bool prepare(struct line *line, struct rx_frame *f)
{
	const struct netvsp *nv = line->nv;
	const struct recv_buf *b = &nv->recv;

	f->most = rsc_is_on(nv) ? NET_FRAME_MAX / rx_room(b) + 1 : 1;
	if (!rx_has_free(line, f->most))
		return false;
	f->buffers = 0;
	f->ppis = 0;
	f->skip = 0;
	f->net = (struct net_frame){ .iov = f->iov };
	add_buffers(line, f, CLAMP(line->expected, 1, f->most));
	if (f->buffers < f->most)
		f->iov[f->net.iovcnt++] = (struct iovec){
			line->spill, (f->most - f->buffers) * rx_room(b)
		};
	return true;
}

static unsigned parts_of(const struct recv_buf *b, const struct rx_frame *f)
{
	return (unsigned)((f->net.len + rx_room(b) - 1) / rx_room(b));
}

/* It has come.  What is in the spill goes to where it belongs. */
static void take_in(struct line *line, struct rx_frame *f)
{
	const struct recv_buf *b = &line->nv->recv;
	size_t before = (size_t)f->buffers * rx_room(b);
	unsigned parts = parts_of(b, f);

	line->expected = MAX(parts, line->expected / 2);
	if (parts <= f->buffers)
		return;
	f->net.iovcnt--;
	add_buffers(line, f, parts);
	frame_write(f->iov, f->net.iovcnt, before, line->spill,
		    f->net.len - before);
}

static void tell(struct rx_frame *f, uint32_t type, uint32_t value)
{
	f->ppi[f->ppis++] = (struct ppi){
		{ sizeof(struct ppi), type, sizeof(f->ppi->head) }, value,
	};
}

/*
 * A guest may pass a frame on, or check for itself what it is not told, also
 * a frame of many segments: leave no checksum for others to do.
 */
static void finish_checksum(struct rx_frame *f)
{
	const struct virtio_net_hdr *v = &f->net.hdr;
	size_t len = f->net.len - v->csum_start;
	uint16_t sum = frame_fold(frame_sum(f->iov, f->net.iovcnt,
					    v->csum_start, len));

	if (!sum && f->h.protocol == IPPROTO_UDP)
		sum = UINT16_MAX;
	frame_write(f->iov, f->net.iovcnt, v->csum_start + v->csum_offset,
		    &sum, sizeof(sum));
}

static void checksum(const struct netvsp *nv, struct rx_frame *f)
{
	const struct offloads *o = &nv->offloads;
	bool v4 = f->h.ip_version == 4;

	if (f->net.hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		finish_checksum(f);
	else if (!(f->net.hdr.flags & VIRTIO_NET_HDR_F_DATA_VALID))
		return;
	if (!f->h.l4)
		return;
	if (f->h.protocol == IPPROTO_TCP && (v4 ? o->rx_tcp4 : o->rx_tcp6))
		tell(f, RNDIS_PKTINFO_CSUM, CSUM_RX_TCP_OK);
	else if (f->h.protocol == IPPROTO_UDP &&
		 (v4 ? o->rx_udp4 : o->rx_udp6))
		tell(f, RNDIS_PKTINFO_CSUM, CSUM_RX_UDP_OK);
}

/* The tag goes into a PPI, and the addresses to where it was. */
static void strip_tag(const struct netvsp *nv, struct rx_frame *f)
{
	uint32_t tci;

	if (!f->h.tagged || !(nv->capabilities & NVSP_CAPABILITY_IEEE8021Q))
		return;
	tci = (uint32_t)f->h.bytes[14] << 8 | f->h.bytes[15];
	tell(f, RNDIS_PKTINFO_8021Q,
	     tci >> 13 | (tci >> 12 & 1) << 3 | (tci & 0xfff) << 4);
	frame_write(f->iov, f->net.iovcnt, VLAN_SIZE, f->h.bytes,
		    ETH_ADDRESSES);
	f->skip = VLAN_SIZE;
}

/* Headers of the part of @len bytes that begins at @skip of buffer @n. */
static uint32_t write_headers(const struct netvsp *nv, const struct ppi *ppi,
			      unsigned ppis, uint32_t n, uint32_t skip,
			      uint32_t len)
{
	uint32_t ppi_len = ppis * sizeof(*ppi);
	struct rx_header r = {
		.h = { RNDIS_MSG_PACKET, RX_DATA_OFFSET + skip + len },
		.p.data_offset = RX_DATA_OFFSET + skip - RNDIS_HEADER_SIZE,
		.p.data_len = len,
		.p.per_pkt_info_offset = ppis ? sizeof(r.p) : 0,
		.p.per_pkt_info_len = ppi_len,
	};

	memcpy(r.ppi, ppi, ppi_len);
	rx_write(&nv->recv, n, &r, RNDIS_PACKET_SIZE + ppi_len);
	return r.h.msg_len;
}

static struct rndis_packet_id part_id(unsigned i, unsigned count)
{
	return (struct rndis_packet_id){
		.version = RNDIS_PKTID_VERSION,
		.flags = (uint8_t)(RNDIS_PKTID_VALID |
				   (i ? 0 : RNDIS_PKTID_FIRST) |
				   (i + 1 == count ? RNDIS_PKTID_LAST : 0)),
	};
}

/* Part @i of @count: one of the frame's own PPIs, and which part it is. */
static void fill_part(const struct netvsp *nv, const struct rx_frame *f,
		      unsigned i, unsigned count)
{
	const struct recv_buf *b = &nv->recv;
	uint32_t room = rx_room(b), at = i * room, n = f->buffer[i];
	uint32_t skip = i ? 0 : f->skip;
	uint32_t len = MIN(room, (uint32_t)f->net.len - at) - skip;
	struct ppi ppi[4];
	unsigned ppis = i ? 0 : f->ppis;

	memcpy(ppi, f->ppi, ppis * sizeof(ppi[0]));
	if (count > 1) {
		const struct rndis_packet_id id = part_id(i, count);

		ppi[ppis].head = (struct rndis_per_packet_info){
			sizeof(struct ppi), RNDIS_PKTINFO_ID,
			sizeof(ppi->head),
		};
		memcpy(&ppi[ppis++].value, &id, sizeof(id));
	}
	b->buffer[n].more = i + 1 < count;
	b->buffer[n].len = (uint16_t)write_headers(nv, ppi, ppis, n, skip, len);
}

/* A part goes into its queue's packet, or on the way to that queue. */
static void pass_on(struct line *line, struct queue *q)
{
	struct recv_buf *b = &line->nv->recv;
	uint32_t n = chain_take(b, &line->free);

	if (q->line == line) {
		add_range(q, n);
		return;
	}
	chain_add(b, &line->out[q->index], n);
	line->out_set |= BIT64(q->index);
}

/*
 * All parts of a frame come in one packet, so one that might not hold the next
 * frame is sent.  False if the ring is full.
 */
static bool deliver(struct line *line, struct rx_frame *f)
{
	struct netvsp *nv = line->nv;
	unsigned parts = parts_of(&nv->recv, f);
	uint32_t hash;
	struct queue *q = rss_queue(nv, &f->h, &hash);

	if (hash)
		tell(f, RNDIS_PKTINFO_HASH, hash);
	for (unsigned i = 0; i < parts; i++) {
		fill_part(nv, f, i, parts);
		pass_on(line, q);
	}
	stats_count(&line->stats.rx, f->h.bytes, f->net.len);
	return q->line != line || q->rx.count + f->most <= VMBUS_RANGES_MAX ||
	       rx_flush(q);
}

static bool flush_all(struct line *line)
{
	struct queue *q;
	bool all = true;

	for (q = line_next(line, NULL); q; q = line_next(line, q))
		all &= flush_queue(q);
	return all;
}

/* The guest wants frames. */
static bool is_listening(const struct netvsp *nv)
{
	return nv->recv.loan && nv->rndis == RNDIS_UP && nv->filter &&
	       !nv->unplugged;
}

/* What comes while nobody listens is not kept for later. */
static void discard(struct line *line)
{
	const struct iovec iov = { line->spill, sizeof(line->spill) };
	struct net_frame frame = { .iov = &iov, .iovcnt = 1 };

	line->idle = !net_recv(line->nb, &frame);
}

/* A frame, if there is one.  False if there is no room. */
static bool receive(struct line *line)
{
	struct netvsp *nv = line->nv;
	struct rx_frame *f = &line->receiving;

	if (!is_listening(nv)) {
		discard(line);
		return true;
	}
	if (!prepare(line, f))
		return false;
	line->idle = !net_recv(line->nb, &f->net);
	if (line->idle)
		return true;
	take_in(line, f);
	f->h.len = MIN(f->net.len, FRAME_HEADER_MAX);
	frame_read(f->iov, f->net.iovcnt, 0, f->h.bytes, f->h.len);
	frame_parse(&f->h);
	if (f->h.len < ETH_ADDRESSES + 2 || !is_wanted(nv, f->h.bytes))
		return true;
	checksum(nv, f);
	strip_tag(nv, f);
	return deliver(line, f);
}

void rx_run(struct line *line)
{
	unsigned budget = RX_BUDGET;

	/* What does not fit stays until its queue has room: see ready(). */
	if (!flush_all(line))
		return;
	while (!line->idle) {
		if (!budget--) {
			line_ask(line, 0);
			break;
		}
		if (!receive(line))
			break;
	}
	flush_all(line);
}
