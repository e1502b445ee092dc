/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "vmbus/ring.h"

#define RING_TRAILER	sizeof(uint64_t)
/*
 * The part of a ring that counts as room when nobody says how much is wanted:
 * small enough to come soon, large enough not to signal for every packet.
 */
#define ROOM_PART	4

/*
 * Whoever stores an index, a mask or a wish looks next at what the other side
 * has stored; the two must not change places, or both miss each other.
 */
static uint32_t load(const uint32_t *p)
{
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

static void store(uint32_t *p, uint32_t v)
{
	__atomic_store_n(p, v, __ATOMIC_SEQ_CST);
}

/* Where the guest says its end is, or false if that is no place in a ring. */
static bool guest_index(const struct ring *r, const uint32_t *p, uint32_t *out)
{
	*out = load(p);
	return *out < r->size && *out % 8 == 0;
}

static uint32_t distance(const struct ring *r, uint32_t from, uint32_t to)
{
	return to >= from ? to - from : r->size - from + to;
}

static uint32_t advance(const struct ring *r, uint32_t at, uint32_t by)
{
	return by >= r->size - at ? by - (r->size - at) : at + by;
}

/* Bytes from @at to the end of its page or of @len, whichever is nearer. */
static uint8_t *chunk(const struct ring *r, uint32_t at, size_t len, size_t *n)
{
	uint32_t in_page = at % GMEM_PAGE_SIZE;

	*n = MIN(len, GMEM_PAGE_SIZE - in_page);
	return r->page[at / GMEM_PAGE_SIZE] + in_page;
}

static void copy_out(const struct ring *r, uint32_t at, uint8_t *dst,
		     size_t len)
{
	size_t n;

	for (; len; len -= n, dst += n) {
		const uint8_t *from = chunk(r, at, len, &n);

		memcpy(dst, from, n);
		at = advance(r, at, (uint32_t)n);
	}
}

static uint32_t copy_in(struct ring *r, uint32_t at, const void *src,
			size_t len)
{
	const uint8_t *from = src;
	size_t n;

	for (; len; len -= n, from += n) {
		uint8_t *to = chunk(r, at, len, &n);

		memcpy(to, from, n);
		at = advance(r, at, (uint32_t)n);
	}
	return at;
}

static int ring_init(struct ring *r, const struct gmem *gm,
		     const uint64_t *pfn, uint32_t pages, uint8_t **page_table)
{
	if (pages < 2)
		return -EPROTO;

	for (uint32_t i = 0; i < pages; i++) {
		if (pfn[i] > UINT64_MAX / GMEM_PAGE_SIZE)
			return -EFAULT;
		page_table[i] = gmem_ptr(gm, pfn[i] * GMEM_PAGE_SIZE,
					 GMEM_PAGE_SIZE);
		if (!page_table[i])
			return -EFAULT;
	}
	*r = (struct ring){
		.ctrl = (void *)page_table[0],
		.page = page_table + 1,
		.size = (pages - 1) * (uint32_t)GMEM_PAGE_SIZE,
	};
	return 0;
}

int ring_init_receive(struct ring *r, const struct gmem *gm,
		      const uint64_t *pfn, uint32_t pages,
		      uint8_t **page_table)
{
	int ret = ring_init(r, gm, pfn, pages, page_table);

	if (ret)
		return ret;
	if (!guest_index(r, &r->ctrl->read_index, &r->index))
		return -EPROTO;
	r->published = r->index;
	return 0;
}

int ring_init_send(struct ring *r, const struct gmem *gm, const uint64_t *pfn,
		   uint32_t pages, uint8_t **page_table)
{
	int ret = ring_init(r, gm, pfn, pages, page_table);

	if (ret)
		return ret;
	if (!guest_index(r, &r->ctrl->write_index, &r->index))
		return -EPROTO;
	r->published = r->index;
	store(&r->ctrl->feature_bits, RING_FEAT_PENDING_SEND_SZ);
	return 0;
}

int ring_recv(struct ring *r, uint8_t *buf)
{
	struct vmpacket_descriptor d;
	uint32_t write, avail;
	size_t len;

	if (!guest_index(r, &r->ctrl->write_index, &write))
		return -EPROTO;
	avail = distance(r, r->index, write);
	if (avail == 0)
		return 0;
	if (avail < sizeof(d) + RING_TRAILER)
		return -EPROTO;

	copy_out(r, r->index, (uint8_t *)&d, sizeof(d));
	len = d.len8 * 8u;
	if (d.offset8 * 8u < sizeof(d) || d.offset8 > d.len8 ||
	    len > avail - RING_TRAILER || len > VMBUS_PACKET_MAX)
		return -EPROTO;

	/* The rest only: the guest may have changed the header by now. */
	memcpy(buf, &d, sizeof(d));
	copy_out(r, advance(r, r->index, sizeof(d)), buf + sizeof(d),
		 len - sizeof(d));
	r->index = advance(r, r->index, (uint32_t)(len + RING_TRAILER));
	return (int)len;
}

/*
 * How much room the guest waits for, 0 if it does not.  One that does not know
 * how to say so finds its ring full and tries again later: spare it the wait.
 */
static uint32_t room_wanted(const struct ring *r)
{
	uint32_t pending = load(&r->ctrl->pending_send_sz);

	if (!pending &&
	    !(load(&r->ctrl->feature_bits) & RING_FEAT_PENDING_SEND_SZ))
		return r->size / ROOM_PART;
	return pending;
}

bool ring_recv_publish(struct ring *r)
{
	uint32_t wanted, write, room_before, room;

	if (r->published == r->index)
		return false;
	store(&r->ctrl->read_index, r->index);
	wanted = room_wanted(r);
	if (!guest_index(r, &r->ctrl->write_index, &write)) {
		r->published = r->index;
		return false;	/* ring_recv() will say so */
	}
	room = r->size - distance(r, r->index, write);
	room_before = r->size - distance(r, r->published, write);
	r->published = r->index;
	return wanted && room > wanted && room_before <= wanted;
}

void ring_set_mask(struct ring *r, bool masked)
{
	store(&r->ctrl->interrupt_mask, masked);
}

bool ring_has_more(const struct ring *r)
{
	return load(&r->ctrl->write_index) != r->index;
}

/* Whether @need bytes fit; a ring that is full would look empty. */
static int check_room(const struct ring *r, size_t need)
{
	uint32_t read;

	if (!guest_index(r, &r->ctrl->read_index, &read))
		return -EPROTO;
	return need < r->size - distance(r, read, r->index) ? 0 : -EAGAIN;
}

int ring_send(struct ring *r, const struct vmpacket_descriptor *desc,
	      const void *payload, size_t len)
{
	static const uint8_t zero[8];
	size_t padded = (len + 7) & ~(size_t)7;
	size_t need = sizeof(*desc) + padded + RING_TRAILER;
	uint64_t trailer = (uint64_t)r->index << 32;
	int ret = check_room(r, need);
	uint32_t at;

	if (ret == -EAGAIN) {
		/* Ask to be told, then look again: room may just have come. */
		store(&r->ctrl->pending_send_sz,
		      MAX((uint32_t)need, r->size / ROOM_PART));
		r->waits = true;
		ret = check_room(r, need);
	}
	if (ret)
		return ret;
	if (r->waits) {
		r->waits = false;
		store(&r->ctrl->pending_send_sz, 0);
	}

	at = copy_in(r, r->index, desc, sizeof(*desc));
	at = copy_in(r, at, payload, len);
	at = copy_in(r, at, zero, padded - len);
	r->index = copy_in(r, at, &trailer, sizeof(trailer));
	return 0;
}

bool ring_send_publish(struct ring *r)
{
	uint32_t before = r->published;

	if (before == r->index)
		return false;
	store(&r->ctrl->write_index, r->index);
	r->published = r->index;
	/* Decide on what the guest saw before our packets, after they show. */
	return load(&r->ctrl->read_index) == before &&
	       !load(&r->ctrl->interrupt_mask);
}
