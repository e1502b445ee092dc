/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames of the guest's.
 *
 *	packet -> source: a section of the send buffer, then pages it names
 *	       -> RNDIS messages in it, one behind the other
 *	       -> frames: iovecs over the source
 *
 * A frame that leaves something to do, or gets a VLAN tag, has a private copy
 * of its headers, changed and checked there.  Nothing else is copied.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>

#include "core/bytes.h"
#include "devices/netvsp/netvsp_internal.h"

#define ETH_ADDRESSES	12
#define ETH_SIZE	14
#define TCP_SIZE_MIN	20
#define TCP_CSUM	16
#define UDP_CSUM	6
#define PPI_MAX		512	/* bytes */
#define TX_BULK		16384u	/* bytes */
#define TX_DEBT_MAX	32768u	/* bytes; less than TX_BATCH answers */
#define TX_FRAME_COST	2048u	/* bytes that could be sent instead of one */

/* What an RNDIS packet asks for beside being sent. */
struct wishes {
	uint32_t csum;
	uint32_t lso;
	uint32_t vlan;
	bool has_csum, has_lso, has_vlan;
};

struct source {
	struct iovec iov[TX_SOURCE_MAX];
	int iovcnt;
};

/*
 * The bytes of a packet.
 */
static bool add_section(struct netvsp *nv, const struct nvsp_message *m,
			struct source *s)
{
	uint64_t off = (uint64_t)m->rndis_pkt.section_index * SEND_SECTION_SIZE;
	uint32_t left = m->rndis_pkt.section_size;

	if (m->rndis_pkt.section_index == NVSP_NO_SECTION)
		return true;
	if (!nv->send || left > SEND_SECTION_SIZE ||
	    off + left > nv->send->pages * GMEM_PAGE_SIZE)
		return false;
	while (left) {
		uint32_t at = off % GMEM_PAGE_SIZE;
		uint32_t n = MIN(left, (uint32_t)GMEM_PAGE_SIZE - at);

		s->iov[s->iovcnt++] = (struct iovec){
			nv->send->page[off / GMEM_PAGE_SIZE] + at, n
		};
		off += n;
		left -= n;
	}
	return true;
}

static bool add_range(const struct gmem *gm, struct reader *r,
		      struct source *s)
{
	struct gpa_range range;
	uint32_t left, off, n;
	uint64_t pfn;

	if (!READ(r, &range) || range.byte_offset >= GMEM_PAGE_SIZE ||
	    range.byte_count > TX_SIZE_MAX)
		return false;
	off = range.byte_offset;
	for (left = range.byte_count; left; left -= n, off = 0) {
		n = MIN(left, (uint32_t)GMEM_PAGE_SIZE - off);
		if (!READ(r, &pfn) || pfn > UINT64_MAX / GMEM_PAGE_SIZE)
			return false;
		s->iovcnt = gmem_map(gm, pfn * GMEM_PAGE_SIZE + off, n, s->iov,
				     s->iovcnt, TX_SOURCE_MAX);
		if (s->iovcnt < 0)
			return false;
	}
	return true;
}

static bool add_ranges(struct netvsp *nv, struct vmbus_packet *pkt,
		       struct source *s)
{
	struct vmdata_gpa_direct h;

	if (pkt->desc.type != VM_PKT_DATA_USING_GPA_DIRECT)
		return true;
	if (!READ(&pkt->header, &h))
		return false;
	for (uint32_t i = 0; i < h.range_cnt; i++)
		if (!add_range(nv->vmbus.gm, &pkt->header, s))
			return false;
	return true;
}

/*
 * One RNDIS packet.
 */

/* Every step goes forward by the size of a header at least. */
static bool read_wishes(struct reader r, struct wishes *w)
{
	struct rndis_per_packet_info ppi;
	struct reader all, data;
	uint32_t value;

	*w = (struct wishes){ 0 };
	while (r.left) {
		all = r;
		if (!READ(&r, &ppi) || ppi.size < sizeof(ppi) ||
		    ppi.ppi_offset > ppi.size ||
		    !reader_split(&all, ppi.size, &data))
			return false;
		r = all;
		data.p += ppi.ppi_offset;
		data.left -= ppi.ppi_offset;
		if (!READ(&data, &value))
			continue;
		if (ppi.type == RNDIS_PKTINFO_CSUM) {
			w->csum = value;
			w->has_csum = true;
		} else if (ppi.type == RNDIS_PKTINFO_LSO) {
			w->lso = value;
			w->has_lso = true;
		} else if (ppi.type == RNDIS_PKTINFO_8021Q) {
			w->vlan = value;
			w->has_vlan = true;
		}
	}
	return true;
}

static void insert_tag(struct frame_header *h, uint32_t vlan)
{
	uint8_t *tag = h->bytes + ETH_ADDRESSES;

	memmove(tag + VLAN_SIZE, tag, h->len - ETH_ADDRESSES);
	put16(tag, 0x8100);
	put16(tag + 2, VLAN_PRI(vlan) << 13 | VLAN_CFI(vlan) << 12 |
		       VLAN_ID(vlan));
	h->len += VLAN_SIZE;
}

/* Guests leave out what depends on how long a segment becomes. */
static void complete_ip(struct frame_header *h, size_t frame_len)
{
	uint8_t *ip = h->bytes + h->l3;
	struct iovec iov = { ip, h->l4 - h->l3 };
	uint16_t sum;

	if (h->ip_version == 6) {
		put16(ip + 4, (uint32_t)(frame_len - h->l3 - 40));
		return;
	}
	put16(ip + 2, (uint32_t)(frame_len - h->l3));
	put16(ip + 10, 0);
	sum = frame_fold(frame_sum(&iov, 1, 0, iov.iov_len));
	memcpy(ip + 10, &sum, sizeof(sum));
}

static bool has_tcp(const struct frame_header *h, size_t *size)
{
	if (!h->l4 || h->protocol != IPPROTO_TCP ||
	    h->l4 + TCP_SIZE_MIN > (int)h->len)
		return false;
	*size = (h->bytes[h->l4 + 12] >> 4) * 4u;
	return *size >= TCP_SIZE_MIN && h->l4 + *size <= h->len;
}

/* To be cut into segments: false if it cannot be. */
static bool want_segments(struct frame_header *h, uint32_t lso, size_t len,
			  unsigned offloads, struct virtio_net_hdr *v)
{
	uint32_t mss = LSO_MSS(lso);
	size_t tcp_size;
	uint16_t sum;

	if (!has_tcp(h, &tcp_size) || !mss || mss > UINT16_MAX ||
	    len - h->l3 > UINT16_MAX || h->l4 + tcp_size >= len ||
	    !(offloads & (h->ip_version == 4 ? NET_OFFLOAD_TSO4 :
					       NET_OFFLOAD_TSO6)))
		return false;
	complete_ip(h, len);
	/* The guest's pseudo header has no length in it; ours must. */
	sum = (uint16_t)~frame_fold(
		frame_pseudo_sum(h, (uint32_t)(len - h->l4)));
	memcpy(h->bytes + h->l4 + TCP_CSUM, &sum, sizeof(sum));
	*v = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = h->ip_version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4 :
						 VIRTIO_NET_HDR_GSO_TCPV6,
		.hdr_len = (uint16_t)(h->l4 + tcp_size),
		.gso_size = (uint16_t)mss,
		.csum_start = h->l4,
		.csum_offset = TCP_CSUM,
	};
	return true;
}

static bool want_checksum(struct frame_header *h, uint32_t csum,
			  unsigned offloads, struct virtio_net_hdr *v)
{
	uint16_t offset = csum & CSUM_TX_TCP ? TCP_CSUM : UDP_CSUM;

	if (csum & CSUM_TX_IP_HEADER && h->ip_version == 4) {
		struct iovec iov = { h->bytes + h->l3,
				     (h->bytes[h->l3] & 15) * 4u };
		uint16_t sum;

		put16(h->bytes + h->l3 + 10, 0);
		sum = frame_fold(frame_sum(&iov, 1, 0, iov.iov_len));
		memcpy(h->bytes + h->l3 + 10, &sum, sizeof(sum));
	}
	if (!(csum & (CSUM_TX_TCP | CSUM_TX_UDP)))
		return true;
	if (!(offloads & NET_OFFLOAD_CSUM) || !h->l4 ||
	    h->protocol != (csum & CSUM_TX_TCP ? IPPROTO_TCP : IPPROTO_UDP) ||
	    h->l4 + offset + 2u > h->len)
		return false;
	v->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	v->csum_start = h->l4;
	v->csum_offset = offset;
	return true;
}

/*
 * Carry out @w on a copy of the headers.  What the cable was not said to take
 * (@offloads) is refused, whatever the guest has been offered.
 */
static bool prepare(struct frame_header *h, const struct wishes *w, size_t len,
		    unsigned offloads, struct virtio_net_hdr *v)
{
	if (w->has_vlan) {
		insert_tag(h, w->vlan);
		len += VLAN_SIZE;
	}
	frame_parse(h);
	if (w->has_lso)
		return want_segments(h, w->lso, len, offloads, v);
	return !w->has_csum || want_checksum(h, w->csum, offloads, v);
}

/* A frame that is not cut into segments may be as long as the cable takes. */
static bool is_sendable(const struct queue *q, const struct wishes *w,
			size_t len)
{
	size_t max = MIN(q->nv->mtu, (size_t)q->line->nb->mtu_max + ETH_SIZE);

	return len >= ETH_SIZE && (w->has_lso || len <= max + VLAN_SIZE);
}

/* @data: the frame in the source.  False if it makes no sense. */
static bool add_frame(struct queue *q, const struct wishes *w,
		      const struct iovec *data, int datacnt)
{
	struct tx *tx = &q->tx;
	struct frame_header *h = &tx->header[tx->frames];
	struct net_frame *f = &tx->frame[tx->frames];
	size_t len = frame_size(data, datacnt), copied;
	struct iovec *iov = &tx->iov[tx->iovs];
	int n = 0;

	if (!is_sendable(q, w, len))
		return false;
	*f = (struct net_frame){ .iov = iov };
	if (!w->has_csum && !w->has_lso && !w->has_vlan) {
		memcpy(iov, data, datacnt * sizeof(*iov));
		n = datacnt;
	} else {
		copied = MIN(len, FRAME_HEADER_MAX - VLAN_SIZE);
		h->len = copied;
		frame_read(data, datacnt, 0, h->bytes, copied);
		if (!prepare(h, w, len, q->line->nb->offloads, &f->hdr))
			return false;
		flow_sent(q, h);
		iov[n++] = (struct iovec){ h->bytes, h->len };
		n = frame_slice(data, datacnt, copied, len - copied, iov, n,
				TX_SOURCE_MAX + 1);
	}
	f->iovcnt = n;
	f->len = frame_size(iov, n);
	frame_read(iov, n, 0, tx->to[tx->frames], sizeof(tx->to[0]));
	tx->iovs += (unsigned)n;
	tx->frames++;
	return true;
}

/* The RNDIS message at @at; *@size is how far it goes. */
static bool add_message(struct queue *q, const struct source *s, size_t at,
			size_t left, uint32_t *size)
{
	struct {
		struct rndis_message_header h;
		struct rndis_packet p;
	} __attribute__((packed)) m;
	uint8_t info[PPI_MAX];
	struct iovec data[TX_SOURCE_MAX];
	struct wishes w;
	size_t room;
	int n;

	if (!frame_read(s->iov, s->iovcnt, at, &m, sizeof(m)) ||
	    m.h.msg_type != RNDIS_MSG_PACKET || m.h.msg_len < sizeof(m) ||
	    m.h.msg_len > left)
		return false;
	*size = m.h.msg_len;
	room = m.h.msg_len - RNDIS_HEADER_SIZE;
	if (!m.p.data_len || m.p.data_offset > room ||
	    m.p.data_len > room - m.p.data_offset ||
	    m.p.per_pkt_info_len > sizeof(info) ||
	    m.p.per_pkt_info_offset > room ||
	    m.p.per_pkt_info_len > room - m.p.per_pkt_info_offset)
		return false;
	at += RNDIS_HEADER_SIZE;
	frame_read(s->iov, s->iovcnt, at + m.p.per_pkt_info_offset, info,
		   m.p.per_pkt_info_len);
	if (!read_wishes((struct reader){ info, m.p.per_pkt_info_len }, &w))
		return false;
	n = frame_slice(s->iov, s->iovcnt, at + m.p.data_offset, m.p.data_len,
			data, 0, TX_SOURCE_MAX);
	return n > 0 && add_frame(q, &w, data, n);
}

static enum nvsp_status add_messages(struct queue *q, const struct source *s)
{
	size_t left = frame_size(s->iov, s->iovcnt), at = 0;
	uint32_t size;

	for (int i = 0; left && i < TX_FRAMES_PER_MESSAGE; i++) {
		if (!add_message(q, s, at, left, &size)) {
			q->line->stats.tx_errors++;
			return NVSP_STAT_INVALID_RNDIS_PKT;
		}
		at += size;
		left -= size;
	}
	return left ? NVSP_STAT_INVALID_RNDIS_PKT : NVSP_STAT_SUCCESS;
}

static enum nvsp_status control(struct netvsp *nv, const struct source *s)
{
	uint8_t msg[CONTROL_SIZE_MAX];
	size_t len = frame_size(s->iov, s->iovcnt);
	enum nvsp_status status;

	if (len > sizeof(msg) || !frame_read(s->iov, s->iovcnt, 0, msg, len))
		return NVSP_STAT_INVALID_RNDIS_PKT;
	lines_stop(nv, 1);
	status = rndis_handle(nv, (struct reader){ msg, len });
	lines_go(nv, 1);
	return status;
}

/*
 * Batches.
 */
static void owe(struct queue *q, uint64_t trans_id, enum nvsp_status status)
{
	q->tx.answer[q->tx.owed].trans_id = trans_id;
	q->tx.answer[q->tx.owed].status = status;
	q->tx.owed++;
	q->tx.debt += TX_FRAME_COST;
}

static void pay(struct queue *q)
{
	struct nvsp_message m = {
		.msg_type = NVSP_MSG1_TYPE_SEND_RNDIS_PKT_COMPLETE,
	};
	const struct vmpacket_descriptor wanted = {
		.flags = VMBUS_DATA_PACKET_FLAG_COMPLETION_REQUESTED,
	};

	for (unsigned i = 0; i < q->tx.owed; i++) {
		struct vmpacket_descriptor desc = wanted;

		desc.trans_id = q->tx.answer[i].trans_id;
		m.status = q->tx.answer[i].status;
		queue_answer(q, &desc, &m);
	}
	q->tx.owed = 0;
	q->tx.debt = 0;
}

void tx_pay(struct queue *q)
{
	if (!q->tx.frames)
		pay(q);
}

static void set_blocked(struct queue *q, bool blocked)
{
	struct loop *loop = q->line->loop;

	if (q->tx.blocked == blocked)
		return;
	q->tx.blocked = blocked;
	if (blocked)
		loop_timer_set(loop, &q->tx.patience,
			       loop_now(loop) + TX_PATIENCE_NS);
	else
		loop_timer_clear(loop, &q->tx.patience);
	vmbus_channel_set_busy(q->ch, blocked);
}

/*
 * A guest that sends much and is sent nothing is not asked to ring for each
 * frame: the channel looks at its ring now and then, until it finds nothing.
 * One that waits for an answer to each frame would have to wait for the look.
 * Nor is it interrupted for each look's answers, as long as another look comes.
 */
void tx_looked(struct queue *q, bool some)
{
	if (!some)
		q->tx.bulk = 0;
	q->tx.looking = q->tx.bulk >= TX_BULK;
	if (!q->tx.looking)
		tx_pay(q);
	vmbus_channel_set_busy(q->ch, q->tx.blocked || q->tx.looking);
}

/* A guest goes on sending without, but not for ever. */
static bool can_owe(const struct tx *tx)
{
	return tx->looking && tx->debt < TX_DEBT_MAX;
}

static void hand_over(struct queue *q)
{
	struct tx *tx = &q->tx;
	unsigned end = tx->sent;

	if (tx->sent < tx->frames && !q->nv->unplugged)
		end += net_send(q->line->nb, tx->frame + tx->sent,
				tx->frames - tx->sent);
	for (; tx->sent < end; tx->sent++) {
		tx->bulk += tx->frame[tx->sent].len + TX_FRAME_COST;
		tx->debt += tx->frame[tx->sent].len;
		stats_count(&q->line->stats.tx, tx->to[tx->sent],
			    tx->frame[tx->sent].len);
	}
}

/* All that have not left. */
static void lose_frames(struct queue *q)
{
	struct tx *tx = &q->tx;

	q->line->stats.tx_lost += tx->frames - tx->sent;
	tx->frames = tx->sent = tx->iovs = 0;
}

bool tx_flush(struct queue *q)
{
	struct tx *tx = &q->tx;

	hand_over(q);
	if (tx->sent < tx->frames && !tx->shedding && !q->nv->unplugged) {
		set_blocked(q, true);
		return false;
	}
	if (tx->frames && tx->sent == tx->frames)
		tx->shedding = false;
	lose_frames(q);
	if (!can_owe(tx))
		pay(q);
	set_blocked(q, false);
	return true;
}

void tx_shed(struct queue *q)
{
	q->tx.shedding = q->tx.sent < q->tx.frames;
	q->tx.looking = false;
	tx_flush(q);
}

void tx_drop(struct queue *q)
{
	q->tx.shedding |= q->tx.sent < q->tx.frames;
	q->tx.looking = false;
	lose_frames(q);
}

void tx_out_of_patience(struct loop_timer *t)
{
	struct queue *q = container_of(t, struct queue, tx.patience);

	trace(TRACE_NETVSP, "netvsp.shed queue=%u", q->index);
	line_begin(q->line);
	tx_shed(q);
	line_end(q->line);
}

/* Room for whatever a packet can make of itself. */
static bool has_room(const struct tx *tx)
{
	return tx->frames + TX_FRAMES_PER_MESSAGE <= TX_BATCH &&
	       tx->owed < TX_BATCH &&
	       tx->iovs + TX_SOURCE_MAX + 2 * TX_FRAMES_PER_MESSAGE <=
		       TX_IOV_MAX;
}

void tx_packet(struct queue *q, struct vmbus_packet *pkt,
	       const struct nvsp_message *m)
{
	struct source s = { .iovcnt = 0 };
	enum nvsp_status status = NVSP_STAT_FAIL;
	struct netvsp *nv = q->nv;

	if (add_section(nv, m, &s) && add_ranges(nv, pkt, &s)) {
		if (m->rndis_pkt.channel_type != NVSP_CHANNEL_CONTROL)
			status = nv->rndis == RNDIS_UP ?
					 add_messages(q, &s) :
					 NVSP_STAT_INVALID_RNDIS_PKT;
		else if (!q->index && nv->version)
			status = control(nv, &s);
	}
	if (status != NVSP_STAT_SUCCESS)
		trace(TRACE_NETVSP, "netvsp.bad queue=%u status=%u", q->index,
		      status);
	if (pkt->desc.flags & VMBUS_DATA_PACKET_FLAG_COMPLETION_REQUESTED)
		owe(q, pkt->desc.trans_id, status);
	if (!has_room(&q->tx))
		tx_flush(q);
}
