/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest without manners against its NIC: any NVSP messages in any order,
 * packets of any shape, answers to packets it never got, frames that come
 * meanwhile, a cable that fills up, channels that close and open, all of it
 * also with a cable of several queues, whose loops take turns.
 *
 * No frame may leave that its header is not true of, and what the guest
 * borrowed us must be given back when its channel closes.
 *
 * Input: steps, each an opcode and what it needs.
 */
#include "core/reader.h"
#include "fake_netvsc.h"

#define STEPS_MAX	128
#define LINES		3

enum { START, MESSAGE, PAGES, COMPLETE, ANSWER_ALL, FRAME, ROOM, FULL, SUBOPEN,
       REOPEN, LINK, STORE, LATER, OPS };

static struct netvsc *c;
static uint64_t now;

static uint64_t fake_clock(void)
{
	return now;
}

static void kick_all(void)
{
	for (unsigned i = 0; i < NETVSC_QUEUES; i++) {
		struct fake_answer *a;

		if (!c->ch[i])
			continue;
		fake_kick(c->ch[i]);
		while ((a = fake_answer(c->ch[i])))
			g_free(a);
	}
	netvsc_turn(c);
	netvsc_check_sent(c);
}

static struct net_mem *line(uint8_t b)
{
	return c->line[b % c->nv->lines];
}

static struct vmbus_channel *channel(uint8_t b)
{
	return c->ch[b % NETVSC_QUEUES] ?: c->ch[0];
}

static void message(struct reader *in, bool pages)
{
	uint8_t b = 0, len = 0, head_len = 0, head[256] = { 0 };
	struct nvsp_message m = { 0 };

	READ(in, &b);
	READ(in, &len);
	reader_copy(in, &m, MIN(MIN(len, sizeof(m)), in->left));
	if (!pages) {
		fake_send(channel(b), b, NULL, 0, &m, MIN(len, sizeof(m)));
		return;
	}
	READ(in, &head_len);
	reader_copy(in, head, MIN(head_len, in->left));
	fake_send(channel(b), b, head, head_len, &m, MIN(len, sizeof(m)));
}

static void close_channel(unsigned i)
{
	if (!c->ch[i])
		return;
	fake_close(c->ch[i]);
	fake_free(c->ch[i]);
	c->ch[i] = NULL;
}

static void reopen(void)
{
	for (unsigned i = 0; i < NETVSC_QUEUES; i++)
		close_channel(i);
	c->ch[0] = fake_open(netvsp_device(c->nv), 0);
	fake_lend(c->ch[0], 7, c->ram + NETVSC_RECV_GPA, NETVSC_RECV_PAGES);
	fake_lend(c->ch[0], 8, c->ram + NETVSC_SEND_GPA, NETVSC_SEND_PAGES);
	fake_lend(c->ch[0], 9, c->ram + NETVSC_FREE_GPA, 1);
}

static void set_rsc(void)
{
	const struct ndis_offload_parameters p = {
		.header = { NDIS_OBJECT_TYPE_DEFAULT, 3, sizeof(p) },
		.rsc_ip4 = NDIS_OFFLOAD_ON, .rsc_ip6 = NDIS_OFFLOAD_ON,
	};

	netvsc_set(c, 0xfc01020c, &p, sizeof(p));
}

static void plug_in(unsigned lines)
{
	c = netvsc_new_lines(NETVSC_QUEUES, lines);
	for (unsigned i = 0; i < lines; i++)
		loop_set_clock(c->loops[i], fake_clock);
}

static void start(uint8_t b)
{
	static const uint32_t versions[] = {
		NVSP_PROTOCOL_VERSION_1, NVSP_PROTOCOL_VERSION_5,
		NVSP_PROTOCOL_VERSION_61, NVSP_PROTOCOL_VERSION_61,
	};

	if (b & 32) {
		netvsc_free(c);
		plug_in(b & 64 ? LINES : 1);
	}
	reopen();
	netvsc_start(c, versions[b % 4], b & 4 ? 9014 : 1514, b & 8 ? 0x88 : 0);
	if (b & 16)
		set_rsc();
}

static void open_subchannels(void)
{
	for (unsigned i = 1; i < NETVSC_QUEUES && c->ch[0]->subchannels; i++)
		if (!c->ch[i] && i <= c->ch[0]->subchannels)
			c->ch[i] = fake_open(netvsp_device(c->nv), i);
}

static void complete(struct reader *in)
{
	uint16_t id = 0;
	uint8_t b = 0;

	READ(in, &b);
	READ(in, &id);
	fake_complete(channel(b), id);
}

static void answer_all(void)
{
	struct fake_transfer *t;

	for (unsigned i = 0; i < NETVSC_QUEUES; i++) {
		while (c->ch[i] && (t = fake_transfer(c->ch[i]))) {
			fake_complete(c->ch[i], t->t.trans_id);
			g_free(t);
		}
	}
}

static void frame(struct reader *in)
{
	static uint8_t bytes[UINT16_MAX];
	struct virtio_net_hdr h = { 0 };
	uint8_t flags = 0;
	uint16_t len = 0;

	READ(in, &flags);
	READ(in, &len);
	/* A cable keeps its part of the contract. */
	if (!(flags & 2 && line(flags >> 2)->offloads & NET_OFFLOAD_TSO4))
		len = len % 2048;
	memset(bytes, 0, sizeof(bytes));
	reader_copy(in, bytes, MIN(len, in->left));
	if (flags & 1 && len >= 60) {
		h.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		h.csum_start = 14 + (flags >> 4);
		h.csum_offset = 16;
	}
	net_mem_receive(line(flags >> 2), &h, bytes, len);
	line(flags >> 2)->net.user.readable(line(flags >> 2)->net.user.user);
}

static void store(struct reader *in)
{
	uint8_t bytes[128] = { 0 };
	uint16_t where = 0;

	READ(in, &where);
	reader_copy(in, bytes, MIN(sizeof(bytes), in->left));
	memcpy(c->ram + NETVSC_SEND_GPA + where % 8192, bytes, sizeof(bytes));
}

static uint32_t count_of(const struct chain *chain)
{
	uint32_t n = 0, at = chain->first;

	for (; n < chain->count; at = c->nv->recv.buffer[at].next)
		n++;
	return n;
}

/* Each suballocation is at one place, whoever has it. */
static void check_buffers(void)
{
	const struct recv_buf *b = &c->nv->recv;
	uint32_t all = count_of(&b->free_control);

	for (unsigned i = 0; i < c->nv->lines; i++) {
		all += count_of(&c->nv->line[i]->free);
		all += count_of(&c->nv->line[i]->returned);
	}
	for (unsigned i = 0; i < NETVSC_QUEUES; i++) {
		const struct queue *q = c->nv->queue[i];

		if (q)
			all += q->rx.count + count_of(&q->arrived) +
			       count_of(&q->inbox);
	}
	for (uint32_t n = 0; n < b->count; n++) {
		if (!b->buffer[n].sent_on)
			continue;
		for (uint32_t at = n; at != NO_BUFFER; all++)
			at = b->buffer[at].next;
	}
	g_assert_cmpuint(all, ==, b->count);
}

/* Who has to ring to be looked at waits for no answer. */
static void check_owed(void)
{
	for (unsigned i = 0; i < NETVSC_QUEUES; i++) {
		const struct queue *q = c->nv->queue[i];

		if (q && !c->ch[i]->busy &&
		    !__atomic_load_n(&q->line->due, __ATOMIC_RELAXED))
			g_assert_cmpuint(q->tx.owed, ==, 0);
	}
}

static void step(struct reader *in)
{
	uint8_t op = 0, b = 0;

	READ(in, &op);
	switch (op % OPS) {
	case START:
		READ(in, &b);
		start(b);
		break;
	case MESSAGE:
		message(in, false);
		break;
	case PAGES:
		message(in, true);
		break;
	case COMPLETE:
		complete(in);
		break;
	case ANSWER_ALL:
		answer_all();
		break;
	case FRAME:
		frame(in);
		break;
	case ROOM:
		READ(in, &b);
		line(b >> 2)->room = b & 1 ? b >> 4 : UINT32_MAX;
		line(b >> 2)->net.user.writable(line(b >> 2)->net.user.user);
		break;
	case FULL:
		READ(in, &b);
		channel(b)->full = b & 0x80;
		break;
	case SUBOPEN:
		open_subchannels();
		break;
	case REOPEN:
		reopen();
		break;
	case LINK:
		READ(in, &b);
		c->cable->net.link_up = b & 1;
		c->cable->net.user.link(c->cable->net.user.user, b & 1);
		netvsp_set_link(c->nv, b & 2);
		if (b & 4 && b >> 3 & 3)
			close_channel(b >> 3 & 3);
		break;
	case STORE:
		store(in);
		break;
	case LATER:
		READ(in, &b);
		now += b * UINT64_C(50000000);
		break;
	}
	kick_all();
	check_owed();
	check_buffers();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader in = { data, size };

	now = 1;
	plug_in(1);
	for (unsigned i = 0; i < STEPS_MAX && in.left; i++)
		step(&in);
	netvsc_free(c);
	return 0;
}
