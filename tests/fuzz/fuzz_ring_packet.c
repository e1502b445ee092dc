/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A ring whose guest writes to it between any two accesses of ours, and in the
 * middle of each copy.
 *
 * The ring's source is compiled into this file with its accesses to shared
 * memory replaced: each takes a byte of input first, and that byte may be the
 * beginning of a write by the guest.  So the same input always does the same.
 *
 * Input: direction and pages, first index; then steps, and what the guest does
 * meanwhile.
 */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "core/reader.h"
#include "vmbus/ring.h"

static uint32_t shared_load(const uint32_t *p);
static void shared_store(uint32_t *p, uint32_t value);
static void shared_copy(void *to, const void *from, size_t len);

#define __atomic_load_n(p, order)	shared_load(p)
#define __atomic_store_n(p, v, order)	shared_store(p, v)
#define memcpy(to, from, len)		shared_copy(to, from, len)
#include "../../src/vmbus/ring.c"
#undef __atomic_load_n
#undef __atomic_store_n
#undef memcpy

#define PAGES_MAX	6
#define CANARY		0xc5
#define STEPS_MAX	4096

static struct reader input;
static uint8_t *page[PAGES_MAX];	/* each with its red zones */
static uint32_t page_count;
static struct ring ring;

static uint8_t canary[GMEM_PAGE_SIZE];

static uint8_t next_byte(void)
{
	uint8_t b = 0;

	READ(&input, &b);
	return b;
}

/* Bytes of the control page that either side may write. */
#define CTRL_USED	(offsetof(struct hv_ring_buffer, feature_bits) + 4)

/*
 * The guest's turn: mostly nothing.  Else a word somewhere: one of the fields,
 * or data, near our index as a rule, for the descriptor is there.
 */
static void guest_acts(void)
{
	uint8_t b = next_byte();
	uint32_t value, at;

	if (!(b & 1) || !READ(&input, &value))
		return;
	if (b & 2) {
		((uint32_t *)(void *)page[0])[(b >> 2) % (CTRL_USED / 4)] =
			value;
		return;
	}
	if (!ring.size)
		return;
	at = (ring.index + (b >> 2) * 4u) % ring.size;
	memcpy(page[1 + at / GMEM_PAGE_SIZE] + at % GMEM_PAGE_SIZE, &value, 4);
}

static uint32_t shared_load(const uint32_t *p)
{
	guest_acts();
	return *p;
}

static void shared_store(uint32_t *p, uint32_t value)
{
	*p = value;
	guest_acts();
}

static void shared_copy(void *to, const void *from, size_t len)
{
	size_t half = len / 2;

	guest_acts();
	memcpy(to, from, half);
	guest_acts();
	memcpy((uint8_t *)to + half, (const uint8_t *)from + half, len - half);
}

static void check_ring(void)
{
	g_assert(ring.size == (page_count - 1) * GMEM_PAGE_SIZE);
	g_assert(ring.index < ring.size && ring.index % 8 == 0);
	g_assert(ring.published < ring.size && ring.published % 8 == 0);
	g_assert(!memcmp(page[0] + CTRL_USED, canary,
			 GMEM_PAGE_SIZE - CTRL_USED));
}

/* What was received is consistent, whatever the guest has done meanwhile. */
static void receive(void)
{
	static uint8_t buf[VMBUS_PACKET_MAX];
	uint32_t before = ring.index;
	struct vmpacket_descriptor d;
	int len = ring_recv(&ring, buf);

	if (len <= 0) {
		g_assert(len == 0 || len == -EPROTO);
		g_assert(ring.index == before);
		return;
	}
	memcpy(&d, buf, sizeof(d));
	g_assert(len <= VMBUS_PACKET_MAX && len == d.len8 * 8);
	g_assert(d.offset8 >= 2 && d.offset8 <= d.len8);
	g_assert((before + (uint32_t)len + 8) % ring.size == ring.index);
}

static void send_packet(void)
{
	static const uint8_t payload[VMBUS_PACKET_MAX];
	size_t len = next_byte() * (next_byte() % 32u);
	const struct vmpacket_descriptor d = {
		.type = VM_PKT_COMP, .offset8 = 2,
		.len8 = (uint16_t)(2 + (len + 7) / 8),
	};
	uint32_t before = ring.index;
	int ret = ring_send(&ring, &d, payload, len);

	g_assert(ret == 0 || ret == -EAGAIN || ret == -EPROTO);
	g_assert(ret == 0 || ring.index == before);
	g_assert(ret || (before + d.len8 * 8u + 8) % ring.size == ring.index);
}

static void receive_steps(void)
{
	for (unsigned i = 0; i < STEPS_MAX && input.left; i++) {
		switch (next_byte() % 4) {
		case 0:
			receive();
			break;
		case 1:
			ring_recv_publish(&ring);
			g_assert(ring.published == ring.index);
			break;
		case 2:
			ring_set_mask(&ring, next_byte() & 1);
			break;
		case 3:
			ring_has_more(&ring);
			break;
		}
		check_ring();
	}
}

static void send_steps(void)
{
	for (unsigned i = 0; i < STEPS_MAX && input.left; i++) {
		if (next_byte() % 4) {
			send_packet();
		} else {
			ring_send_publish(&ring);
			g_assert(ring.published == ring.index);
		}
		check_ring();
	}
}

/* The guest's pages, each an allocation of its own, in one region. */
static void make_pages(uint32_t count)
{
	page_count = count;
	for (uint32_t i = 0; i < count; i++)
		page[i] = g_aligned_alloc0(1, GMEM_PAGE_SIZE, GMEM_PAGE_SIZE);
	memset(canary, CANARY, sizeof(canary));
	memcpy(page[0] + CTRL_USED, canary, GMEM_PAGE_SIZE - CTRL_USED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gmem_region region[PAGES_MAX];
	const struct gmem gm = { region, PAGES_MAX };
	uint8_t *table[PAGES_MAX];
	uint64_t pfn[PAGES_MAX];
	uint8_t what;
	uint16_t index;
	bool sends;

	input = (struct reader){ data, size };
	ring = (struct ring){ 0 };
	if (!READ(&input, &what) || !READ(&input, &index))
		return 0;
	sends = what & 1;
	make_pages(2 + (what >> 1) % (PAGES_MAX - 1));
	for (uint32_t i = 0; i < PAGES_MAX; i++) {
		pfn[i] = 2 * i;
		region[i] = (struct gmem_region){
			2 * i * GMEM_PAGE_SIZE, GMEM_PAGE_SIZE,
			i < page_count ? page[i] : NULL,
		};
	}
	((struct hv_ring_buffer *)(void *)page[0])->read_index = index;
	((struct hv_ring_buffer *)(void *)page[0])->write_index = index;
	if (sends && !ring_init_send(&ring, &gm, pfn, page_count, table))
		send_steps();
	else if (!sends &&
		 !ring_init_receive(&ring, &gm, pfn, page_count, table))
		receive_steps();
	for (uint32_t i = 0; i < page_count; i++)
		g_aligned_free(page[i]);
	return 0;
}
