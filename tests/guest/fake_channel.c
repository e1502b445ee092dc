/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "fake_channel.h"

struct vmbus_channel *fake_open(struct vmbus_device *dev, unsigned index)
{
	struct vmbus_channel *ch = g_new0(struct vmbus_channel, 1);

	ch->dev = dev;
	ch->index = index;
	g_queue_init(&ch->packets);
	g_queue_init(&ch->answers);
	g_queue_init(&ch->transfers);
	g_assert_cmpint(dev->ops->open(dev, ch), ==, 0);
	ch->is_open = true;
	return ch;
}

void fake_close(struct vmbus_channel *ch)
{
	g_assert_true(ch->is_open && !ch->closing);
	ch->closing = true;
	ch->dev->ops->close(ch->dev, ch);
}

void fake_free(struct vmbus_channel *ch)
{
	g_assert_true(ch->closed);
	g_assert_cmpuint(ch->loans, ==, 0);
	g_queue_clear_full(&ch->packets, g_free);
	g_queue_clear_full(&ch->answers, g_free);
	g_queue_clear_full(&ch->transfers, g_free);
	g_free(ch->current);
	g_free(ch);
}

void fake_send(struct vmbus_channel *ch, uint64_t trans_id,
	       const void *header, size_t header_len,
	       const void *payload, size_t payload_len)
{
	struct fake_packet *p = g_new0(struct fake_packet, 1);

	g_assert_cmpuint(header_len, <=, sizeof(p->header));
	g_assert_cmpuint(payload_len, <=, sizeof(p->payload));
	p->desc.type = header ? VM_PKT_DATA_USING_GPA_DIRECT :
				VM_PKT_DATA_INBAND;
	p->desc.flags = VMBUS_DATA_PACKET_FLAG_COMPLETION_REQUESTED;
	p->desc.trans_id = trans_id;
	p->header_len = header_len;
	p->payload_len = payload_len;
	if (header)
		memcpy(p->header, header, header_len);
	memcpy(p->payload, payload, payload_len);
	g_queue_push_tail(&ch->packets, p);
}

void fake_complete(struct vmbus_channel *ch, uint64_t trans_id)
{
	struct fake_packet *p = g_new0(struct fake_packet, 1);

	p->desc.type = VM_PKT_COMP;
	p->desc.trans_id = trans_id;
	g_queue_push_tail(&ch->packets, p);
}

void fake_lend(struct vmbus_channel *ch, uint32_t gpadl, uint8_t *memory,
	       uint32_t pages)
{
	for (size_t i = 0; i < FAKE_LISTS_MAX; i++) {
		if (ch->list[i].memory)
			continue;
		ch->list[i].gpadl = gpadl;
		ch->list[i].memory = memory;
		ch->list[i].pages = pages;
		return;
	}
	g_assert_not_reached();
}

void fake_kick(struct vmbus_channel *ch)
{
	if (!ch->closing)
		ch->dev->ops->ready(ch->dev, ch);
}

struct fake_transfer *fake_transfer(struct vmbus_channel *ch)
{
	return g_queue_pop_head(&ch->transfers);
}

struct fake_answer *fake_answer(struct vmbus_channel *ch)
{
	return g_queue_pop_head(&ch->answers);
}

/*
 * What the device calls.
 */
int vmbus_recv(struct vmbus_channel *ch, struct vmbus_packet *pkt)
{
	struct fake_packet *p = g_queue_pop_head(&ch->packets);

	g_assert_true(!ch->closing);
	/* Whoever still looks at the last packet is caught by ASan. */
	g_free(ch->current);
	ch->current = p;
	if (!p)
		return 0;
	*pkt = (struct vmbus_packet){
		.desc = p->desc,
		.header = { p->header, p->header_len },
		.payload = { p->payload, p->payload_len },
	};
	return 1;
}

void vmbus_complete(struct vmbus_channel *ch, uint64_t trans_id,
		    const void *payload, size_t len)
{
	struct fake_answer *a;

	g_assert_false(ch->closed);
	g_assert_cmpuint(len, <=, FAKE_PAYLOAD_MAX);
	if (ch->closing)
		return;
	a = g_new0(struct fake_answer, 1);
	a->trans_id = trans_id;
	a->len = len;
	memcpy(a->payload, payload, len);
	g_queue_push_tail(&ch->answers, a);
}

int vmbus_send(struct vmbus_channel *ch, const void *payload, size_t len)
{
	if (ch->full)
		return -EAGAIN;
	vmbus_complete(ch, 0, payload, len);
	return 0;
}

int vmbus_send_pages(struct vmbus_channel *ch, const struct vmbus_transfer *t,
		     const void *payload, size_t len)
{
	struct fake_transfer *f;

	g_assert_cmpuint(t->count, <=, VMBUS_RANGES_MAX);
	g_assert_cmpuint(len, <=, VMBUS_TRANSFER_PAYLOAD_MAX);
	if (ch->closing)
		return -EPROTO;
	if (ch->full)
		return -EAGAIN;
	f = g_new0(struct fake_transfer, 1);
	f->t = *t;
	f->len = len;
	memcpy(f->payload, payload, len);
	g_queue_push_tail(&ch->transfers, f);
	return 0;
}

struct vmbus_loan *vmbus_borrow(struct vmbus_channel *ch, uint32_t gpadl,
				uint32_t max)
{
	for (size_t i = 0; i < FAKE_LISTS_MAX; i++) {
		uint32_t pages = ch->list[i].pages;
		struct vmbus_loan *loan;

		if (!ch->list[i].memory || ch->list[i].gpadl != gpadl ||
		    pages > max)
			continue;
		loan = g_malloc(sizeof(*loan) + pages * sizeof(loan->page[0]));
		loan->ch = ch;
		loan->gpadl = gpadl;
		loan->pages = pages;
		for (uint32_t n = 0; n < pages; n++)
			loan->page[n] = ch->list[i].memory + n * GMEM_PAGE_SIZE;
		ch->loans++;
		return loan;
	}
	return NULL;
}

void vmbus_return(struct vmbus_loan *loan)
{
	loan->ch->loans--;
	g_free(loan);
}

void vmbus_closed(struct vmbus_channel *ch)
{
	g_assert_true(ch->closing && !ch->closed);
	ch->closed = true;
}

void vmbus_channel_set_busy(struct vmbus_channel *ch, bool busy)
{
	ch->busy = busy;
}

unsigned vmbus_channel_index(const struct vmbus_channel *ch)
{
	return ch->index;
}

void vmbus_channel_set_data(struct vmbus_channel *ch, void *data)
{
	ch->data = data;
}

void *vmbus_channel_data(const struct vmbus_channel *ch)
{
	return ch->data;
}

void vmbus_offer_subchannels(struct vmbus_channel *ch, unsigned count)
{
	g_assert_cmpuint(ch->index, ==, 0);
	g_assert_cmpuint(ch->subchannels, ==, 0);
	ch->subchannels = count;
}
