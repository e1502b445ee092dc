/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames for the guest.
 *
 *	free suballocations -> net_recv() fills them -> is it for this guest?
 *	-> RNDIS headers before it -> a range in the packet of its queue
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
#define VLAN_SIZE	4

struct rx_header {
	struct rndis_message_header h;
	struct rndis_packet p;
	struct ppi ppi[4];
} __attribute__((packed));

/*
 * Buffers.
 */
static uint32_t control_buffers(const struct recv_buf *b)
{
	return MIN(RX_CONTROL_BUFFERS, b->count / 4);
}

static void put_buffer(struct recv_buf *b, uint32_t n)
{
	b->state[n] = BUFFER_FREE;
	if (n < control_buffers(b)) {
		b->next[n] = b->free_control;
		b->free_control = n;
	} else {
		b->next[n] = b->free;
		b->free = n;
		b->free_count++;
	}
}

/* Bytes of a frame that fit into a suballocation. */
static uint32_t room_of(const struct recv_buf *b)
{
	return b->size - RX_DATA_OFFSET - RX_TAIL;
}

bool rx_buffer_set(struct netvsp *nv, struct vmbus_loan *loan, uint16_t id)
{
	struct recv_buf *b = &nv->recv;
	uint32_t size = RX_DATA_OFFSET + VLAN_SIZE + nv->mtu + RX_TAIL;
	uint32_t count = (uint32_t)(loan->pages * GMEM_PAGE_SIZE / size);

	/* FreeBSD takes multiples of 64 only. */
	if (count >= 64)
		count -= count % 64;
	if (count < 4)
		return false;
	*b = (struct recv_buf){
		.loan = loan, .id = id, .size = size, .count = count,
		.free = NO_BUFFER, .free_control = NO_BUFFER,
		.next = g_new(uint32_t, count), .state = g_new(uint8_t, count),
	};
	while (count--)
		put_buffer(b, count);
	rx_update_offloads(nv);
	return true;
}

void rx_buffer_drop(struct netvsp *nv)
{
	struct recv_buf *b = &nv->recv;

	for (unsigned i = 0; i < NETVSP_QUEUES_MAX; i++)
		if (nv->queue[i])
			nv->queue[i]->rx.count = 0;
	g_clear_pointer(&b->loan, vmbus_return);
	g_clear_pointer(&b->next, g_free);
	g_clear_pointer(&b->state, g_free);
	*b = (struct recv_buf){ 0 };
}

static uint8_t *iov_end(const struct iovec *iov)
{
	return (uint8_t *)iov->iov_base + iov->iov_len;
}

/* Append [off, off + len) of suballocation @n. */
static int map_buffer(const struct recv_buf *b, uint32_t n, uint32_t off,
		      uint32_t len, struct iovec *iov, int used)
{
	uint64_t at = (uint64_t)n * b->size + off;

	while (len) {
		uint32_t in_page = at % GMEM_PAGE_SIZE;
		uint32_t step = MIN(len, (uint32_t)GMEM_PAGE_SIZE - in_page);
		uint8_t *p = b->loan->page[at / GMEM_PAGE_SIZE] + in_page;

		if (used && !in_page && p == iov_end(&iov[used - 1]))
			iov[used - 1].iov_len += step;
		else
			iov[used++] = (struct iovec){ p, step };
		at += step;
		len -= step;
	}
	return used;
}

static void write_buffer(const struct recv_buf *b, uint32_t n,
			 const void *src, uint32_t len)
{
	struct iovec iov[4];
	int used = map_buffer(b, n, 0, len, iov, 0);

	frame_write(iov, used, 0, src, len);
}

bool rx_completed(struct netvsp *nv, uint64_t trans_id)
{
	struct recv_buf *b = &nv->recv;
	uint32_t n, next;

	if (!trans_id || trans_id > b->count ||
	    b->state[trans_id - 1] != BUFFER_HEAD)
		return false;
	for (n = (uint32_t)trans_id - 1; n != NO_BUFFER; n = next) {
		next = b->next[n];
		put_buffer(b, n);
	}
	return true;
}

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
	nv->recv.state[q->rx.trans_id - 1] = BUFFER_HEAD;
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
	uint32_t n = b->free_control;

	if (!b->loan || n == NO_BUFFER)
		return false;
	write_buffer(b, n, msg, (uint32_t)MIN(len, b->size - RX_TAIL));
	t.trans_id = n + 1;
	t.ranges[0].byte_offset = n * b->size;
	t.ranges[0].byte_count = (uint32_t)len;
	if (vmbus_send_pages(primary(nv)->ch, &t, &m, NVSP_MESSAGE_SIZE))
		return false;
	b->free_control = b->next[n];
	b->next[n] = NO_BUFFER;
	b->state[n] = BUFFER_HEAD;
	return true;
}

static void add_range(struct queue *q, uint32_t n, uint32_t len)
{
	struct recv_buf *b = &q->nv->recv;
	struct vmbus_transfer *t = &q->rx;

	if (t->count)
		b->next[t->ranges[t->count - 1].byte_offset / b->size] = n;
	else
		t->trans_id = n + 1;
	b->next[n] = NO_BUFFER;
	b->state[n] = BUFFER_LINKED;
	t->ranges[t->count].byte_offset = n * b->size;
	t->ranges[t->count].byte_count = len;
	t->count++;
}

/*
 * Frames.
 */
static bool rsc_is_on(const struct netvsp *nv)
{
	const struct recv_buf *b = &nv->recv;
	uint32_t need = b->loan ? NET_FRAME_MAX / room_of(b) + 1 : 0;

	return (nv->offloads.rsc4 || nv->offloads.rsc6) &&
	       nv->version >= NVSP_PROTOCOL_VERSION_61 &&
	       nv->capabilities & NVSP_CAPABILITY_RSC &&
	       need && need <= VMBUS_RANGES_MAX && b->count >= 4 * need;
}

void rx_update_offloads(struct netvsp *nv)
{
	unsigned offloads = NET_OFFLOAD_CSUM;

	if (rsc_is_on(nv) && nv->offloads.rsc4)
		offloads |= NET_OFFLOAD_TSO4;
	if (rsc_is_on(nv) && nv->offloads.rsc6)
		offloads |= NET_OFFLOAD_TSO6;
	for (unsigned i = 0; i < nv->lines; i++)
		net_set_offloads(nv->line[i].nb, offloads);
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
static void add_buffers(const struct recv_buf *b, struct rx_frame *f,
			unsigned count)
{
	uint32_t n = b->free;

	if (f->buffers)
		n = b->next[f->buffer[f->buffers - 1]];
	for (; f->buffers < count; n = b->next[n]) {
		f->buffer[f->buffers++] = n;
		f->net.iovcnt = map_buffer(b, n, RX_DATA_OFFSET, room_of(b),
					   f->iov, f->net.iovcnt);
	}
}

/*
 * Where a frame may go: as many buffers as the last ones took, for most are
 * small and each piece of memory costs.  The largest finds its buffers, too.
 */
static bool prepare(struct netvsp *nv, struct rx_frame *f)
{
	const struct recv_buf *b = &nv->recv;

	f->most = rsc_is_on(nv) ? NET_FRAME_MAX / room_of(b) + 1 : 1;
	if (b->free_count < f->most)
		return false;
	f->buffers = 0;
	f->ppis = 0;
	f->skip = 0;
	f->net = (struct net_frame){ .iov = f->iov };
	add_buffers(b, f, CLAMP(nv->rx_expected, 1, f->most));
	if (f->buffers < f->most)
		f->iov[f->net.iovcnt++] = (struct iovec){
			nv->spill, (f->most - f->buffers) * room_of(b)
		};
	return true;
}

static unsigned parts_of(const struct recv_buf *b, const struct rx_frame *f)
{
	return (unsigned)((f->net.len + room_of(b) - 1) / room_of(b));
}

/* It has come.  What is in the spill goes to where it belongs. */
static void take_in(struct netvsp *nv, struct rx_frame *f)
{
	const struct recv_buf *b = &nv->recv;
	size_t before = (size_t)f->buffers * room_of(b);
	unsigned parts = parts_of(b, f);

	nv->rx_expected = MAX(parts, nv->rx_expected / 2);
	if (parts <= f->buffers)
		return;
	f->net.iovcnt--;
	add_buffers(b, f, parts);
	frame_write(f->iov, f->net.iovcnt, before, nv->spill,
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
	write_buffer(&nv->recv, n, &r, RNDIS_PACKET_SIZE + ppi_len);
	return r.h.msg_len;
}

/* Part @i of @count: one of the frame's own PPIs, and which part it is. */
static void deliver_part(struct queue *q, struct rx_frame *f, unsigned i,
			 unsigned count)
{
	struct recv_buf *b = &q->nv->recv;
	uint32_t room = room_of(b), at = i * room, n = f->buffer[i];
	uint32_t skip = i ? 0 : f->skip;
	uint32_t len = MIN(room, (uint32_t)f->net.len - at) - skip;
	struct ppi ppi[4];
	unsigned ppis = i ? 0 : f->ppis;

	memcpy(ppi, f->ppi, ppis * sizeof(ppi[0]));
	if (count > 1) {
		const struct rndis_packet_id id = {
			.version = RNDIS_PKTID_VERSION,
			.flags = (uint8_t)(RNDIS_PKTID_VALID |
					   (i ? 0 : RNDIS_PKTID_FIRST) |
					   (i + 1 == count ? RNDIS_PKTID_LAST :
							     0)),
		};

		ppi[ppis].head = (struct rndis_per_packet_info){
			sizeof(struct ppi), RNDIS_PKTINFO_ID,
			sizeof(ppi->head),
		};
		memcpy(&ppi[ppis++].value, &id, sizeof(id));
	}
	b->free = b->next[n];
	b->free_count--;
	add_range(q, n, write_headers(q->nv, ppi, ppis, n, skip, len));
}

/*
 * All parts of a frame come in one packet, so one that might not hold the next
 * frame is sent.  False if the ring is full.
 */
static bool deliver(struct netvsp *nv, struct rx_frame *f)
{
	unsigned parts = parts_of(&nv->recv, f);
	uint32_t hash;
	struct queue *q = rss_queue(nv, &f->h, &hash);

	if (hash)
		tell(f, RNDIS_PKTINFO_HASH, hash);
	for (unsigned i = 0; i < parts; i++)
		deliver_part(q, f, i, parts);
	stats_count(&nv->rx, f->h.bytes, f->net.len);
	return q->rx.count + f->most <= VMBUS_RANGES_MAX || rx_flush(q);
}

static bool flush_all(struct netvsp *nv)
{
	bool all = true;

	for (unsigned i = 0; i < NETVSP_QUEUES_MAX; i++)
		if (nv->queue[i])
			all &= rx_flush(nv->queue[i]);
	return all;
}

/* The guest wants frames. */
static bool is_listening(const struct netvsp *nv)
{
	return nv->recv.loan && nv->rndis == RNDIS_UP && nv->filter &&
	       !nv->unplugged;
}

/* The line whose turn it is, of those with frames; NULL if none has any. */
static struct line *next_line(struct netvsp *nv)
{
	for (unsigned i = 0; i < nv->lines; i++) {
		struct line *line = &nv->line[(nv->turn + i) % nv->lines];

		if (!line->idle)
			return line;
	}
	return NULL;
}

/* What comes while nobody listens is not kept for later. */
static void discard(struct line *line)
{
	uint8_t *spill = line->nv->spill;
	const struct iovec iov = { spill, sizeof(line->nv->spill) };
	struct net_frame frame = { .iov = &iov, .iovcnt = 1 };

	line->idle = !net_recv(line->nb, &frame);
}

/* A frame, if there is one.  False if there is no room. */
static bool receive(struct line *line)
{
	struct netvsp *nv = line->nv;
	struct rx_frame *f = &nv->receiving;

	if (!is_listening(nv)) {
		discard(line);
		return true;
	}
	if (!prepare(nv, f)) {
		/* The guest may have given some back, behind frames. */
		tx_shed_all(nv);
		return false;
	}
	line->idle = !net_recv(line->nb, &f->net);
	if (line->idle)
		return true;
	take_in(nv, f);
	f->h.len = MIN(f->net.len, FRAME_HEADER_MAX);
	frame_read(f->iov, f->net.iovcnt, 0, f->h.bytes, f->h.len);
	frame_parse(&f->h);
	if (f->h.len < ETH_ADDRESSES + 2 || !is_wanted(nv, f->h.bytes))
		return true;
	checksum(nv, f);
	strip_tag(nv, f);
	return deliver(nv, f);
}

void rx_run(struct netvsp *nv)
{
	unsigned budget = RX_BUDGET;
	struct line *line;

	/* What does not fit stays until its queue has room: see ready(). */
	if (!flush_all(nv))
		return;
	while ((line = next_line(nv))) {
		if (!budget--) {
			/* One line must not keep the others waiting. */
			nv->turn++;
			loop_post(nv->vmbus.loop, &nv->rx_note);
			break;
		}
		if (!receive(line))
			break;
	}
	flush_all(nv);
}
