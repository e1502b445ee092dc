/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmbus.h"

#define HEADER_PFNS	26		/* what fits in a message of 240 */
#define BODY_PFNS	28
#define FLAG_WORDS	(2048 / 64)
#define TRAILER		8

volatile uint32_t vmbus_events;

/* Where messages go: as the version says that was asked for last. */
static uint32_t connection = VMBUS_MESSAGE_CONNECTION_ID;

/* The event flags of our SINT: clear them, so that the next one interrupts. */
static void take_events(void)
{
	volatile uint64_t *flags = this_synic()->flags +
				   VMBUS_MESSAGE_SINT * FLAG_WORDS;

	for (unsigned i = 0; i < FLAG_WORDS; i++)
		if (flags[i] && __atomic_exchange_n(&flags[i], 0,
						    __ATOMIC_SEQ_CST))
			vmbus_events++;
}

void vmbus_prepare(void)
{
	hypercall_enable();
	irq_handle(VMBUS_VECTOR, take_events);
	synic_enable();
	sint_set(VMBUS_MESSAGE_SINT, VMBUS_VECTOR);
}

uint16_t vmbus_post(const void *message, uint32_t len)
{
	uint16_t status;

	WAIT((status = post_message(connection, VMBUS_MESSAGE_TYPE, message,
				    len)) != HV_STATUS_INSUFFICIENT_BUFFERS,
	     VMBUS_WAIT);
	return status;
}

bool vmbus_expect(uint32_t type, struct message *m)
{
	const struct vmbus_channel_message_header *h = (void *)m->payload;

	if (!message_wait(VMBUS_MESSAGE_SINT, m, VMBUS_WAIT)) {
		print("# no message in time, instead of %u\n", type);
		return false;
	}
	if (h->msgtype != type)
		print("# message %u instead of %u\n", h->msgtype, type);
	return h->msgtype == type;
}

bool vmbus_contact(uint32_t version, uint32_t vp)
{
	struct vmbus_channel_initiate_contact contact = {
		.header.msgtype = CHANNELMSG_INITIATE_CONTACT,
		.vmbus_version_requested = version,
		.target_vcpu = vp,
	};

	connection = VMBUS_MESSAGE_CONNECTION_ID;
	if (version >= VERSION_WIN10_V5) {
		connection = VMBUS_MESSAGE_CONNECTION_ID_4;
		contact.msg_sint = VMBUS_MESSAGE_SINT;
	}
	return !vmbus_post(&contact, sizeof(contact));
}

bool vmbus_connect(uint32_t version)
{
	const struct vmbus_channel_version_response *r;
	struct message m;

	if (!vmbus_contact(version, 0) ||
	    !vmbus_expect(CHANNELMSG_VERSION_RESPONSE, &m))
		return false;
	r = (void *)m.payload;
	return r->version_supported && !r->connection_state;
}

bool vmbus_unload(void)
{
	const struct vmbus_channel_message_header h = {
		.msgtype = CHANNELMSG_UNLOAD,
	};
	struct message m;

	return !vmbus_post(&h, sizeof(h)) &&
	       vmbus_expect(CHANNELMSG_UNLOAD_RESPONSE, &m);
}

static void store_offer(struct channel *ch, const struct message *m)
{
	const struct vmbus_channel_offer_channel *o = (void *)m->payload;

	*ch = (struct channel){
		.relid = o->child_relid, .connection_id = o->connection_id,
		.type = o->offer.if_type, .instance = o->offer.if_instance,
		.subchannel = o->offer.sub_channel_index,
		.gpadl = 0xe1e10 + o->child_relid,
	};
}

unsigned vmbus_offers(struct channel *channels, unsigned max)
{
	const struct vmbus_channel_message_header h = {
		.msgtype = CHANNELMSG_REQUESTOFFERS,
	};
	const struct vmbus_channel_message_header *got;
	struct message m;
	unsigned n = 0;

	if (vmbus_post(&h, sizeof(h)))
		return 0;
	while (message_wait(VMBUS_MESSAGE_SINT, &m, VMBUS_WAIT)) {
		got = (void *)m.payload;
		if (got->msgtype != CHANNELMSG_OFFERCHANNEL)
			break;
		if (n < max)
			store_offer(&channels[n], &m);
		n++;
	}
	return n;
}

/* Up to @max of the PFNs that are left. */
static uint32_t put_pfns(uint64_t *pfn, uint64_t *next, uint32_t left,
			 uint32_t max)
{
	uint32_t n = left < max ? left : max;

	for (uint32_t i = 0; i < n; i++)
		pfn[i] = (*next)++;
	return n;
}

bool vmbus_gpadl_create(const struct channel *ch, uint32_t handle,
			const void *start, uint32_t pages)
{
	struct {
		struct vmbus_channel_gpadl_header h;
		struct gpa_range range;
		uint64_t pfn[HEADER_PFNS];
	} __attribute__((packed, aligned(8))) head = {
		.h.header.msgtype = CHANNELMSG_GPADL_HEADER,
		.h.child_relid = ch->relid, .h.gpadl = handle,
		.h.range_buflen = (uint16_t)(sizeof(struct gpa_range) +
					     pages * sizeof(uint64_t)),
		.h.rangecount = 1,
		.range.byte_count = pages * PAGE_SIZE,
	};
	struct {
		struct vmbus_channel_gpadl_body b;
		uint64_t pfn[BODY_PFNS];
	} __attribute__((packed, aligned(8))) body = {
		.b.header.msgtype = CHANNELMSG_GPADL_BODY, .b.gpadl = handle,
	};
	const struct vmbus_channel_gpadl_created *created;
	uint64_t pfns[BODY_PFNS], next = PFN(start);
	struct message m;
	uint32_t n;

	n = put_pfns(pfns, &next, pages, HEADER_PFNS);
	memcpy(head.pfn, pfns, n * sizeof(pfns[0]));
	if (vmbus_post(&head, sizeof(head) - (uint32_t)((HEADER_PFNS - n) *
							sizeof(pfns[0]))))
		return false;
	while (pages -= n) {
		body.b.msgnumber++;
		n = put_pfns(pfns, &next, pages, BODY_PFNS);
		memcpy(body.pfn, pfns, n * sizeof(pfns[0]));
		if (vmbus_post(&body, (uint32_t)(sizeof(body.b) +
						 n * sizeof(pfns[0]))))
			return false;
	}
	if (!vmbus_expect(CHANNELMSG_GPADL_CREATED, &m))
		return false;
	created = (void *)m.payload;
	return created->gpadl == handle && created->child_relid == ch->relid &&
	       created->creation_status == VMBUS_STATUS_SUCCESS;
}

bool vmbus_gpadl_teardown(const struct channel *ch, uint32_t handle)
{
	const struct vmbus_channel_gpadl_teardown t = {
		.header.msgtype = CHANNELMSG_GPADL_TEARDOWN,
		.child_relid = ch->relid, .gpadl = handle,
	};
	struct message m;

	return !vmbus_post(&t, sizeof(t)) &&
	       vmbus_expect(CHANNELMSG_GPADL_TORNDOWN, &m) &&
	       ((struct vmbus_channel_gpadl_torndown *)m.payload)->gpadl ==
		       handle;
}

static void make_rings(struct channel *ch, uint32_t pages)
{
	uint8_t *start = page_alloc();

	for (uint32_t i = 1; i < 2 * pages; i++)
		page_alloc();
	ch->out = (struct ring){ (void *)start, start + PAGE_SIZE,
				 (pages - 1) * PAGE_SIZE };
	ch->in = (struct ring){ (void *)(start + pages * PAGE_SIZE),
				start + (pages + 1) * PAGE_SIZE,
				(pages - 1) * PAGE_SIZE };
}

bool channel_open(struct channel *ch, uint32_t pages)
{
	struct vmbus_channel_open_channel o = {
		.header.msgtype = CHANNELMSG_OPENCHANNEL,
		.child_relid = ch->relid, .openid = ch->relid + 77,
		.ringbuffer_gpadlhandle = ch->gpadl,
		.target_vp = ch->target_vp,
		.downstream_ringbuffer_pageoffset = pages,
	};
	const struct vmbus_channel_open_result *r;
	struct message m;

	if (!ch->out.control)
		make_rings(ch, pages);
	memset((void *)ch->out.control, 0, PAGE_SIZE);
	memset((void *)ch->in.control, 0, PAGE_SIZE);
	if (!vmbus_gpadl_create(ch, ch->gpadl, (void *)ch->out.control,
				2 * pages) ||
	    vmbus_post(&o, sizeof(o)) ||
	    !vmbus_expect(CHANNELMSG_OPENCHANNEL_RESULT, &m))
		return false;
	r = (void *)m.payload;
	return r->child_relid == ch->relid && r->openid == o.openid &&
	       r->status == VMBUS_STATUS_SUCCESS;
}

bool channel_close(struct channel *ch)
{
	const struct vmbus_channel_close_channel c = {
		.header.msgtype = CHANNELMSG_CLOSECHANNEL,
		.child_relid = ch->relid,
	};

	return !vmbus_post(&c, sizeof(c)) &&
	       vmbus_gpadl_teardown(ch, ch->gpadl);
}

bool channel_move(struct channel *ch, uint32_t vp)
{
	const struct vmbus_channel_modifychannel c = {
		.header.msgtype = CHANNELMSG_MODIFYCHANNEL,
		.child_relid = ch->relid, .target_vp = vp,
	};
	const struct vmbus_channel_modifychannel_response *r;
	struct message m;

	if (vmbus_post(&c, sizeof(c)) ||
	    !vmbus_expect(CHANNELMSG_MODIFYCHANNEL_RESPONSE, &m))
		return false;
	r = (void *)m.payload;
	return r->child_relid == ch->relid && r->status == 0;
}

static uint32_t ring_put(const struct ring *r, uint32_t at, const void *data,
			 uint32_t len)
{
	uint32_t first = r->size - at < len ? r->size - at : len;

	memcpy(r->data + at, data, first);
	memcpy(r->data, (const uint8_t *)data + first, len - first);
	return (at + len) % r->size;
}

static uint32_t ring_get(const struct ring *r, uint32_t at, void *data,
			 uint32_t len)
{
	uint32_t first = r->size - at < len ? r->size - at : len;

	memcpy(data, r->data + at, first);
	memcpy((uint8_t *)data + first, r->data, len - first);
	return (at + len) % r->size;
}

bool channel_send(struct channel *ch, const struct packet *p)
{
	uint32_t at = ch->out.control->write_index, start = at;
	uint32_t head = (uint32_t)sizeof(struct vmpacket_descriptor) +
			p->head_len;
	uint32_t len = (head + p->payload_len + 7) & ~7u;
	const struct vmpacket_descriptor d = {
		.type = p->type, .flags = p->flags, .trans_id = p->trans_id,
		.offset8 = (uint16_t)(head / 8), .len8 = (uint16_t)(len / 8),
	};
	uint32_t used = (at - ch->out.control->read_index + ch->out.size) %
			ch->out.size;
	const uint64_t trailer = (uint64_t)at << 32, zero = 0;

	if (ch->out.size - used <= len + TRAILER)
		return false;
	at = ring_put(&ch->out, at, &d, sizeof(d));
	at = ring_put(&ch->out, at, p->head, p->head_len);
	at = ring_put(&ch->out, at, p->payload, p->payload_len);
	at = ring_put(&ch->out, at, &zero, len - head - p->payload_len);
	at = ring_put(&ch->out, at, &trailer, sizeof(trailer));
	__atomic_store_n(&ch->out.control->write_index, at, __ATOMIC_SEQ_CST);
	fence();
	if (ch->out.control->interrupt_mask ||
	    ch->out.control->read_index != start)
		return true;
	return signal_event(ch->connection_id) == HV_STATUS_SUCCESS;
}

bool channel_recv(struct channel *ch, struct vmpacket_descriptor *d, void *data,
		  uint32_t max)
{
	uint32_t at = ch->in.control->read_index, len;
	uint32_t end = __atomic_load_n(&ch->in.control->write_index,
				       __ATOMIC_ACQUIRE);

	if (at == end)
		return false;
	ring_get(&ch->in, at, d, sizeof(*d));
	len = d->len8 * 8u;
	ring_get(&ch->in, (at + (uint32_t)sizeof(*d)) % ch->in.size, data,
		 len - sizeof(*d) < max ? len - (uint32_t)sizeof(*d) : max);
	__atomic_store_n(&ch->in.control->read_index,
			 (at + len + TRAILER) % ch->in.size, __ATOMIC_SEQ_CST);
	return true;
}
