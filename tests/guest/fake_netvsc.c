/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fake_netvsc.h"

const uint8_t netvsc_mac[6] = { 0x02, 1, 2, 3, 4, 5 };

#define FILTER_ALL	0x2f
#define OID_OFFLOAD	0xfc01020c

struct netvsc *netvsc_new(unsigned queues)
{
	return netvsc_new_lines(queues, 1);
}

static struct netvsc *new_netvsc(struct loop *const *loops, unsigned queues,
				 const struct net_cable *cable)
{
	struct netvsc *c = g_new0(struct netvsc, 1);
	struct netvsp_options options = {
		.instance = GUID(1, 2, 3, 4, 5), .max_queues = queues,
	};

	memcpy(options.mac, netvsc_mac, sizeof(options.mac));
	memcpy(c->loops, loops, cable->count * sizeof(*loops));
	c->loop = loops[0];
	c->ram = g_malloc0(NETVSC_RAM);
	c->region = (struct gmem_region){ 0, NETVSC_RAM, c->ram };
	c->gm = (struct gmem){ &c->region, 1 };
	c->nv = netvsp_new(loops, &c->gm, &options, cable);
	c->ch[0] = fake_open(netvsp_device(c->nv), 0);
	fake_lend(c->ch[0], NETVSC_RECV_GPADL, c->ram + NETVSC_RECV_GPA,
		  NETVSC_RECV_PAGES);
	fake_lend(c->ch[0], NETVSC_SEND_GPADL, c->ram + NETVSC_SEND_GPA,
		  NETVSC_SEND_PAGES);
	return c;
}

struct netvsc *netvsc_new_lines(unsigned queues, unsigned lines)
{
	struct net_mem *line[NETVSC_QUEUES] = { NULL };
	struct loop *loops[NETVSC_QUEUES] = { NULL };
	struct net_cable cable = { .count = lines };
	struct netvsc *c;

	for (unsigned i = 0; i < lines; i++) {
		loops[i] = loop_new(NULL);
		line[i] = net_mem_new();
		cable.queue[i] = &line[i]->net;
	}
	c = new_netvsc(loops, queues, &cable);
	memcpy(c->line, line, sizeof(line));
	c->cable = line[0];
	return c;
}

struct netvsc *netvsc_new_on(struct loop *loop, unsigned queues,
			     const struct net_cable *cable)
{
	return new_netvsc(&loop, queues, cable);
}

bool netvsc_turn(struct netvsc *c)
{
	bool any = false;

	for (unsigned i = 0; i < NETVSC_QUEUES && c->loops[i]; i++)
		any |= loop_turn(c->loops[i], false);
	return any;
}

uint64_t netvsc_lost(const struct netvsc *c)
{
	return stats_sum(c->nv).tx_lost;
}

void netvsc_free(struct netvsc *c)
{
	for (unsigned i = NETVSC_QUEUES; i-- > 0;) {
		if (!c->ch[i])
			continue;
		fake_close(c->ch[i]);
		fake_free(c->ch[i]);
	}
	while (netvsc_turn(c))
		;
	netvsp_free(c->nv);
	for (unsigned i = 0; i < NETVSC_QUEUES && c->line[i]; i++)
		net_close(&c->line[i]->net);
	for (unsigned i = 0; i < NETVSC_QUEUES; i++)
		loop_free(c->loops[i]);
	g_free(c->ram);
	g_free(c);
}

bool netvsc_message(struct netvsc *c, const struct nvsp_message *m)
{
	struct fake_answer *a;

	fake_send(c->ch[0], ++c->trans_id, NULL, 0, m, sizeof(*m));
	fake_kick(c->ch[0]);
	a = fake_answer(c->ch[0]);
	if (!a)
		return false;
	g_assert_cmpuint(a->trans_id, ==, c->trans_id);
	c->answer = (struct nvsp_message){ 0 };
	c->answer_len = a->len;
	memcpy(&c->answer, a->payload, MIN(a->len, sizeof(c->answer)));
	g_free(a);
	return true;
}

void netvsc_tell(struct netvsc *c, const struct nvsp_message *m)
{
	struct fake_packet *p;

	fake_send(c->ch[0], 0, NULL, 0, m, sizeof(*m));
	p = g_queue_peek_tail(&c->ch[0]->packets);
	p->desc.flags = 0;
	fake_kick(c->ch[0]);
	g_assert_null(fake_answer(c->ch[0]));
}

bool netvsc_init(struct netvsc *c, uint32_t version)
{
	const struct nvsp_message m = {
		.msg_type = NVSP_MSG_TYPE_INIT,
		.init = { version, version },
	};

	g_assert_true(netvsc_message(c, &m));
	g_assert_cmpuint(c->answer.msg_type, ==, NVSP_MSG_TYPE_INIT_COMPLETE);
	return c->answer.init_complete.status == NVSP_STAT_SUCCESS;
}

void netvsc_config(struct netvsc *c, uint32_t mtu, uint64_t capabilities)
{
	struct nvsp_message m = {
		.msg_type = NVSP_MSG2_TYPE_SEND_NDIS_CONFIG,
		.ndis_config = { .mtu = mtu, .capabilities = capabilities },
	};

	netvsc_tell(c, &m);
	m = (struct nvsp_message){
		.msg_type = NVSP_MSG1_TYPE_SEND_NDIS_VER,
		.ndis_version = { 6, 30 },
	};
	netvsc_tell(c, &m);
}

bool netvsc_buffers(struct netvsc *c)
{
	struct nvsp_message m = {
		.msg_type = NVSP_MSG1_TYPE_SEND_RECV_BUF,
		.send_buf = { NETVSC_RECV_GPADL, NETVSC_RECV_ID },
	};

	g_assert_true(netvsc_message(c, &m));
	if (c->answer.recv_buf_complete.status != NVSP_STAT_SUCCESS)
		return false;
	m = (struct nvsp_message){
		.msg_type = NVSP_MSG1_TYPE_SEND_SEND_BUF,
		.send_buf = { NETVSC_SEND_GPADL, 0 },
	};
	g_assert_true(netvsc_message(c, &m));
	return c->answer.send_buf_complete.status == NVSP_STAT_SUCCESS;
}

void netvsc_start(struct netvsc *c, uint32_t version, uint32_t mtu,
		  uint64_t capabilities)
{
	const struct rndis_init init = { .major_ver = 1 };
	const uint32_t filter = FILTER_ALL;
	GByteArray *b;

	g_assert_true(netvsc_init(c, version));
	if (version >= NVSP_PROTOCOL_VERSION_2)
		netvsc_config(c, mtu, capabilities);
	g_assert_true(netvsc_buffers(c));
	b = netvsc_control(c, RNDIS_MSG_INIT, &init, sizeof(init));
	g_assert_nonnull(b);
	g_byte_array_unref(b);
	g_assert_cmpuint(netvsc_set(c, 0x0001010e, &filter, sizeof(filter)),
			 ==, RNDIS_STATUS_SUCCESS);
}

uint32_t netvsc_send(struct netvsc *c, unsigned queue, uint32_t channel_type,
		     const void *rndis, size_t len)
{
	const struct nvsp_message m = {
		.msg_type = NVSP_MSG1_TYPE_SEND_RNDIS_PKT,
		.rndis_pkt = { channel_type, 0, (uint32_t)len },
	};
	struct nvsp_message answer;
	struct fake_answer *a;

	g_assert_cmpuint(len, <=, SEND_SECTION_SIZE);
	memcpy(c->ram + NETVSC_SEND_GPA, rndis, len);
	fake_send(c->ch[queue], ++c->trans_id, NULL, 0, &m, sizeof(m));
	fake_kick(c->ch[queue]);
	/* Of a frame in a stream it may come with the next look at the ring. */
	if (g_queue_is_empty(&c->ch[queue]->answers))
		fake_kick(c->ch[queue]);
	a = fake_answer(c->ch[queue]);
	if (!a)
		return NVSP_STAT_NONE;
	g_assert_cmpuint(a->trans_id, ==, c->trans_id);
	memcpy(&answer, a->payload, MIN(a->len, sizeof(answer)));
	g_assert_cmpuint(answer.msg_type, ==,
			 NVSP_MSG1_TYPE_SEND_RNDIS_PKT_COMPLETE);
	g_free(a);
	return answer.status;
}

static void check_sent_on(struct net_mem *line)
{
	struct net_mem_frame *f;

	while ((f = net_mem_sent(line))) {
		const struct virtio_net_hdr *h = &f->hdr;

		g_assert(f->len && f->len <= NET_FRAME_MAX);
		if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
			g_assert(h->csum_start + h->csum_offset + 2u <= f->len);
		if (h->gso_type != VIRTIO_NET_HDR_GSO_NONE)
			g_assert(h->gso_size && h->hdr_len < f->len);
		g_free(f);
	}
}

void netvsc_check_sent(struct netvsc *c)
{
	for (unsigned i = 0; i < NETVSC_QUEUES && c->line[i]; i++)
		check_sent_on(c->line[i]);
}

struct ppi netvsc_ppi(uint32_t type, uint32_t value)
{
	return (struct ppi){
		{ sizeof(struct ppi), type, sizeof(struct rndis_per_packet_info)
		}, value,
	};
}

size_t netvsc_wrap(uint8_t *out, const struct ppi *ppi, unsigned ppis,
		   const void *frame, size_t len)
{
	const uint32_t info = ppis * sizeof(*ppi);
	const struct rndis_message_header h = {
		RNDIS_MSG_PACKET,
		(uint32_t)(RNDIS_PACKET_SIZE + info + len + 7) & ~7u,
	};
	const struct rndis_packet p = {
		.data_offset = sizeof(p) + info, .data_len = (uint32_t)len,
		.per_pkt_info_offset = ppis ? sizeof(p) : 0,
		.per_pkt_info_len = info,
	};

	memset(out, 0, h.msg_len);
	memcpy(out, &h, sizeof(h));
	memcpy(out + sizeof(h), &p, sizeof(p));
	if (ppis)
		memcpy(out + RNDIS_PACKET_SIZE, ppi, info);
	memcpy(out + RNDIS_PACKET_SIZE + info, frame, len);
	return h.msg_len;
}

GByteArray *netvsc_control(struct netvsc *c, uint32_t type, const void *body,
			   size_t len)
{
	const struct rndis_message_header h = {
		type, (uint32_t)(sizeof(h) + len),
	};
	uint8_t msg[SEND_SECTION_SIZE];
	struct rndis_message_header answer;
	struct nvsp_message nvsp;
	struct fake_transfer *t;
	const uint8_t *at;
	GByteArray *b;

	memcpy(msg, &h, sizeof(h));
	memcpy(msg + sizeof(h), body, len);
	if (netvsc_send(c, 0, NVSP_CHANNEL_CONTROL, msg, h.msg_len) !=
	    NVSP_STAT_SUCCESS)
		return NULL;
	t = fake_transfer(c->ch[0]);
	if (!t)
		return NULL;
	memcpy(&nvsp, t->payload, MIN(t->len, sizeof(nvsp)));
	g_assert_cmpuint(nvsp.rndis_pkt.channel_type, ==, NVSP_CHANNEL_CONTROL);
	g_assert_cmpuint(t->t.pageset, ==, NETVSC_RECV_ID);
	at = c->ram + NETVSC_RECV_GPA + t->t.ranges[0].byte_offset;
	memcpy(&answer, at, sizeof(answer));
	g_assert_cmpuint(answer.msg_len, ==, t->t.ranges[0].byte_count);
	b = g_byte_array_new();
	g_byte_array_append(b, at + sizeof(answer),
			    answer.msg_len - (guint)sizeof(answer));
	fake_complete(c->ch[0], t->t.trans_id);
	fake_kick(c->ch[0]);
	g_free(t);
	return b;
}

static void request(struct netvsc *c, uint32_t oid, const void *in, size_t len,
		    uint8_t *out)
{
	const struct rndis_request rq = {
		.req_id = ++c->request_id, .oid = oid,
		.info_buflen = (uint32_t)len, .info_buf_offset = sizeof(rq),
	};

	memcpy(out, &rq, sizeof(rq));
	if (len)
		memcpy(out + sizeof(rq), in, len);
}

uint32_t netvsc_query(struct netvsc *c, uint32_t oid, const void *in,
		      size_t in_len, GByteArray *out)
{
	uint8_t body[SEND_SECTION_SIZE];
	struct rndis_query_complete q;
	GByteArray *b;

	request(c, oid, in, in_len, body);
	b = netvsc_control(c, RNDIS_MSG_QUERY, body,
			   sizeof(struct rndis_request) + in_len);
	g_assert_nonnull(b);
	g_assert_cmpuint(b->len, >=, sizeof(q));
	memcpy(&q, b->data, sizeof(q));
	g_assert_cmpuint(q.req_id, ==, c->request_id);
	g_assert_cmpuint(b->len, ==, sizeof(q) + q.info_buflen);
	if (out)
		g_byte_array_append(out, b->data + q.info_buf_offset,
				    q.info_buflen);
	g_byte_array_unref(b);
	return q.status;
}

uint32_t netvsc_set(struct netvsc *c, uint32_t oid, const void *in, size_t len)
{
	uint8_t body[SEND_SECTION_SIZE];
	struct rndis_complete s;
	GByteArray *b;

	request(c, oid, in, len, body);
	b = netvsc_control(c, RNDIS_MSG_SET, body,
			   sizeof(struct rndis_request) + len);
	g_assert_nonnull(b);
	g_assert_cmpuint(b->len, ==, sizeof(s));
	memcpy(&s, b->data, sizeof(s));
	g_assert_cmpuint(s.req_id, ==, c->request_id);
	g_byte_array_unref(b);
	return s.status;
}

uint32_t netvsc_set_rsc(struct netvsc *c, bool on)
{
	const uint8_t s = on ? NDIS_OFFLOAD_ON : NDIS_OFFLOAD_OFF;
	const struct ndis_offload_parameters p = {
		.header = { NDIS_OBJECT_TYPE_DEFAULT, 3, sizeof(p) },
		.rsc_ip4 = s, .rsc_ip6 = s,
	};
	uint32_t status = netvsc_set(c, OID_OFFLOAD, &p, sizeof(p));

	g_free(fake_transfer(c->ch[0]));	/* the indication */
	return status;
}

static void read_ppi(struct netvsc_frame *f, const struct ppi *p)
{
	g_assert_cmpuint(p->head.size, ==, sizeof(*p));
	switch (p->head.type) {
	case RNDIS_PKTINFO_CSUM:
		f->csum = p->value;
		f->has_csum = true;
		break;
	case RNDIS_PKTINFO_8021Q:
		f->vlan = p->value;
		f->has_vlan = true;
		break;
	case RNDIS_PKTINFO_HASH:
		f->hash = p->value;
		f->has_hash = true;
		break;
	case RNDIS_PKTINFO_ID:
		memcpy(&f->id, &p->value, sizeof(f->id));
		f->has_id = true;
		break;
	default:
		g_assert_not_reached();
	}
}

static struct netvsc_frame *read_range(struct netvsc *c,
				       const struct vmtransfer_page_range *r)
{
	const uint8_t *at = c->ram + NETVSC_RECV_GPA + r->byte_offset;
	struct netvsc_frame *f = g_new0(struct netvsc_frame, 1);
	struct rndis_message_header h;
	struct rndis_packet p;
	struct ppi ppi;

	memcpy(&h, at, sizeof(h));
	memcpy(&p, at + sizeof(h), sizeof(p));
	g_assert_cmpuint(h.msg_type, ==, RNDIS_MSG_PACKET);
	g_assert_cmpuint(h.msg_len, ==, r->byte_count);
	g_assert_cmpuint(RNDIS_HEADER_SIZE + p.data_offset + p.data_len, ==,
			 h.msg_len);
	g_assert_cmpuint(r->byte_count, <=, c->nv->recv.size - 36);
	for (uint32_t i = 0; i < p.per_pkt_info_len; i += sizeof(ppi)) {
		memcpy(&ppi, at + sizeof(h) + p.per_pkt_info_offset + i,
		       sizeof(ppi));
		read_ppi(f, &ppi);
	}
	f->len = p.data_len;
	memcpy(f->bytes, at + sizeof(h) + p.data_offset, p.data_len);
	return f;
}

GPtrArray *netvsc_received(struct netvsc *c, unsigned queue)
{
	GPtrArray *all = g_ptr_array_new_with_free_func(g_free);
	struct fake_transfer *t;

	while ((t = fake_transfer(c->ch[queue]))) {
		g_assert_cmpuint(t->t.pageset, ==, NETVSC_RECV_ID);
		for (unsigned i = 0; i < t->t.count; i++) {
			struct netvsc_frame *f =
				read_range(c, &t->t.ranges[i]);

			f->trans_id = t->t.trans_id;
			g_ptr_array_add(all, f);
		}
		fake_complete(c->ch[queue], t->t.trans_id);
		g_free(t);
	}
	fake_kick(c->ch[queue]);
	return all;
}
