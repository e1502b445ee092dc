/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "vmbus/ring.h"

#define RAM_PAGES	16
#define PAGE		GMEM_PAGE_SIZE

/*
 * A ring over pages that are not neighbours; and, seen flat, what is in its
 * data pages.
 */
struct env {
	uint8_t *ram;
	struct gmem_region region;
	struct gmem gm;
	uint64_t pfn[RAM_PAGES];
	uint8_t *table[RAM_PAGES];
	struct ring r;
	struct hv_ring_buffer *ctrl;
};

static int setup(void **state)
{
	struct env *e = g_new0(struct env, 1);

	e->ram = g_aligned_alloc0(RAM_PAGES, PAGE, PAGE);
	e->region = (struct gmem_region){ 0, RAM_PAGES * PAGE, e->ram };
	e->gm = (struct gmem){ &e->region, 1 };
	/* Pages 0, 7, 14, 5, 12, ...: each of the 16 once. */
	for (unsigned i = 0; i < RAM_PAGES; i++)
		e->pfn[i] = i * 7 % RAM_PAGES;
	e->ctrl = (void *)e->ram;
	e->ctrl->feature_bits = RING_FEAT_PENDING_SEND_SZ;
	*state = e;
	return 0;
}

static int teardown(void **state)
{
	struct env *e = *state;

	g_aligned_free(e->ram);
	g_free(e);
	return 0;
}

static uint8_t *byte_at(struct env *e, uint32_t at)
{
	return e->ram + e->pfn[1 + at / PAGE] * PAGE + at % PAGE;
}

static void poke(struct env *e, uint32_t at, const void *from, size_t len)
{
	for (size_t i = 0; i < len; i++)
		*byte_at(e, (uint32_t)((at + i) % e->r.size)) =
			((const uint8_t *)from)[i];
}

static void peek(struct env *e, uint32_t at, void *to, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)to)[i] = *byte_at(e, (uint32_t)((at + i) %
							    e->r.size));
}

static void receive_init(struct env *e, uint32_t pages, uint32_t index)
{
	e->ctrl->read_index = e->ctrl->write_index = index;
	assert_int_equal(ring_init_receive(&e->r, &e->gm, e->pfn, pages,
					   e->table), 0);
}

static void send_init(struct env *e, uint32_t pages, uint32_t index)
{
	e->ctrl->read_index = e->ctrl->write_index = index;
	assert_int_equal(ring_init_send(&e->r, &e->gm, e->pfn, pages,
					e->table), 0);
}

/* The guest sends a packet whose body is @len bytes of @fill. */
static void guest_sends(struct env *e, size_t len, uint8_t fill)
{
	const struct vmpacket_descriptor d = {
		.type = VM_PKT_DATA_INBAND, .offset8 = 2,
		.len8 = (uint16_t)(2 + len / 8), .trans_id = fill,
	};
	g_autofree uint8_t *body = g_malloc(len + 1);
	uint32_t at = e->ctrl->write_index;

	memset(body, fill, len);
	poke(e, at, &d, sizeof(d));
	poke(e, at + sizeof(d), body, len);
	e->ctrl->write_index = (uint32_t)((at + sizeof(d) + len + 8) %
					  e->r.size);
}

/* As if one packet of @d were there, and @avail bytes in all. */
static int recv_one(struct env *e, struct vmpacket_descriptor d,
		    uint32_t avail)
{
	static uint8_t buf[VMBUS_PACKET_MAX];

	receive_init(e, RAM_PAGES, 0);
	poke(e, 0, &d, sizeof(d));
	e->ctrl->write_index = avail;
	return ring_recv(&e->r, buf);
}

static void what_the_guest_sends_is_received(void **state)
{
	struct env *e = *state;
	static uint8_t buf[VMBUS_PACKET_MAX];
	struct vmpacket_descriptor d;

	receive_init(e, 3, 0);
	assert_int_equal(ring_recv(&e->r, buf), 0);
	guest_sends(e, 24, 0xa1);
	guest_sends(e, 0, 0xa2);
	assert_int_equal(ring_recv(&e->r, buf), 40);
	memcpy(&d, buf, sizeof(d));
	assert_int_equal(d.trans_id, 0xa1);
	for (unsigned i = 16; i < 40; i++)
		assert_int_equal(buf[i], 0xa1);
	assert_int_equal(ring_recv(&e->r, buf), 16);
	assert_int_equal(ring_recv(&e->r, buf), 0);
}

/* The wrap falls into descriptor, body and trailer in turn. */
static void packets_wrap_at_every_place(void **state)
{
	struct env *e = *state;
	static uint8_t buf[VMBUS_PACKET_MAX];
	uint32_t size = 2 * PAGE;

	for (uint32_t start = size - 64; start < size; start += 8) {
		receive_init(e, 3, start);
		guest_sends(e, 24, (uint8_t)start);
		assert_int_equal(ring_recv(&e->r, buf), 40);
		for (unsigned i = 16; i < 40; i++)
			assert_int_equal(buf[i], (uint8_t)start);
		assert_int_equal(ring_recv(&e->r, buf), 0);
		ring_recv_publish(&e->r);
		assert_int_equal(e->ctrl->read_index, (start + 48) % size);
	}
}

static void the_space_is_given_back_when_it_is_published(void **state)
{
	struct env *e = *state;
	static uint8_t buf[VMBUS_PACKET_MAX];

	receive_init(e, 3, 8);
	guest_sends(e, 8, 1);
	ring_recv(&e->r, buf);
	assert_int_equal(e->ctrl->read_index, 8);
	assert_false(ring_recv_publish(&e->r));
	assert_int_equal(e->ctrl->read_index, 40);
}

/* The guest's idea of what we have read does not move us. */
static void our_index_is_our_own(void **state)
{
	struct env *e = *state;
	static uint8_t buf[VMBUS_PACKET_MAX];

	receive_init(e, 3, 0);
	guest_sends(e, 8, 1);
	e->ctrl->read_index = 0x77777777;
	assert_int_equal(ring_recv(&e->r, buf), 24);
	ring_recv_publish(&e->r);
	assert_int_equal(e->ctrl->read_index, 32);
}

static void an_index_outside_breaks_the_ring(void **state)
{
	struct env *e = *state;
	static uint8_t buf[VMBUS_PACKET_MAX];
	const uint32_t bad[] = { 2 * PAGE, 2 * PAGE + 8, 4, 1, UINT32_MAX,
				 0x80000000, UINT32_MAX - 7 };

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		receive_init(e, 3, 0);
		e->ctrl->write_index = bad[i];
		assert_int_equal(ring_recv(&e->r, buf), -EPROTO);
	}
	/* Last good value: full up to 8 bytes, with a packet that fits. */
	receive_init(e, 3, 0);
	guest_sends(e, 2 * PAGE - 8 - 24, 1);
	assert_int_equal(e->ctrl->write_index, 2 * PAGE - 8);
	assert_int_equal(ring_recv(&e->r, buf), 2 * PAGE - 16);
}

static void a_ring_that_begins_with_a_bad_index_is_refused(void **state)
{
	struct env *e = *state;

	e->ctrl->read_index = 2 * PAGE;
	assert_int_equal(ring_init_receive(&e->r, &e->gm, e->pfn, 3, e->table),
			 -EPROTO);
	e->ctrl->write_index = 4;
	assert_int_equal(ring_init_send(&e->r, &e->gm, e->pfn, 3, e->table),
			 -EPROTO);
}

static void a_ring_needs_pages_of_ram(void **state)
{
	struct env *e = *state;

	assert_int_equal(ring_init_receive(&e->r, &e->gm, e->pfn, 1,
					   e->table), -EPROTO);
	e->pfn[2] = RAM_PAGES;
	assert_int_equal(ring_init_receive(&e->r, &e->gm, e->pfn, 3,
					   e->table), -EFAULT);
	assert_int_equal(ring_init_send(&e->r, &e->gm, e->pfn, 3, e->table),
			 -EFAULT);
	/* Times the page size this would be page 0. */
	e->pfn[2] = UINT64_C(1) << 52;
	assert_int_equal(ring_init_receive(&e->r, &e->gm, e->pfn, 3,
					   e->table), -EFAULT);
}

static void a_packet_must_be_there_as_a_whole(void **state)
{
	struct env *e = *state;
	const struct vmpacket_descriptor d = { VM_PKT_DATA_INBAND, 2, 5 };

	for (uint32_t avail = 8; avail < 48; avail += 8)
		assert_int_equal(recv_one(e, d, avail), -EPROTO);
	assert_int_equal(recv_one(e, d, 48), 40);
	assert_int_equal(recv_one(e, d, 56), 40);
}

static void a_descriptor_that_contradicts_itself_breaks_the_ring(void **state)
{
	struct env *e = *state;
	static const struct { uint16_t offset8, len8; int result; } c[] = {
		{ 0, 4, -EPROTO }, { 1, 4, -EPROTO }, { 2, 4, 32 },
		{ 4, 4, 32 }, { 5, 4, -EPROTO }, { 2, 2, 16 },
		{ 2, 1, -EPROTO }, { 1, 1, -EPROTO }, { 0, 0, -EPROTO },
		{ 0xffff, 0xffff, -EPROTO }, { 2, 0xffff, -EPROTO },
		{ 0xffff, 4, -EPROTO },
		{ 2, VMBUS_PACKET_MAX / 8, VMBUS_PACKET_MAX },
		{ 2, VMBUS_PACKET_MAX / 8 + 1, -EPROTO },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(c); i++)
		assert_int_equal(recv_one(e, (struct vmpacket_descriptor){
				6, c[i].offset8, c[i].len8 },
				8 * PAGE), c[i].result);
}

/* @pending as the guest writes it, against 64 bytes that come free. */
static bool signals_for(struct env *e, uint32_t pending, uint32_t used)
{
	static uint8_t buf[VMBUS_PACKET_MAX];
	bool signal;

	receive_init(e, 2, 0);
	guest_sends(e, 40, 1);
	if (used > 64)
		guest_sends(e, used - 64 - 24, 2);
	e->ctrl->pending_send_sz = pending;
	assert_int_equal(ring_recv(&e->r, buf), 56);
	signal = ring_recv_publish(&e->r);
	e->ctrl->pending_send_sz = 0;
	return signal;
}

/* Room goes from 1096 - 64 to 1096. */
static void a_guest_that_waits_is_told_when_room_crosses_its_mark(void **state)
{
	struct env *e = *state;
	uint32_t used = 3064, before = PAGE - 3064, after = before + 64;

	assert_false(signals_for(e, 0, used));
	assert_false(signals_for(e, before - 8, used));	/* had that much */
	assert_true(signals_for(e, before, used));
	assert_true(signals_for(e, before + 8, used));
	assert_true(signals_for(e, after - 8, used));
	assert_false(signals_for(e, after, used));	/* has no more than */
	assert_false(signals_for(e, after + 8, used));
	assert_false(signals_for(e, UINT32_MAX, used));
	/* UEFI asks for all of it less one. */
	assert_true(signals_for(e, PAGE - 1, 64));
	assert_false(signals_for(e, 7, 4088));
}

static void a_guest_that_cannot_ask_is_told_when_a_part_is_free(void **state)
{
	struct env *e = *state;

	e->ctrl->feature_bits = 0;
	assert_false(signals_for(e, 0, 64));
	assert_true(signals_for(e, 0, 3072 + 8));
	assert_true(signals_for(e, 0, 3072 + 56));
	assert_false(signals_for(e, 0, 3072 + 64));
	/* What it asks for all the same is honoured. */
	assert_false(signals_for(e, PAGE / 2, 3072 + 8));
}

static void publishing_twice_signals_once(void **state)
{
	struct env *e = *state;
	static uint8_t buf[VMBUS_PACKET_MAX];

	receive_init(e, 2, 0);
	assert_false(ring_recv_publish(&e->r));
	guest_sends(e, 40, 1);
	e->ctrl->pending_send_sz = PAGE - 8;
	ring_recv(&e->r, buf);
	assert_true(ring_recv_publish(&e->r));
	assert_false(ring_recv_publish(&e->r));
}

static void a_bad_write_index_does_not_signal(void **state)
{
	struct env *e = *state;
	static uint8_t buf[VMBUS_PACKET_MAX];

	receive_init(e, 2, 0);
	guest_sends(e, 40, 1);
	e->ctrl->pending_send_sz = PAGE - 8;
	ring_recv(&e->r, buf);
	e->ctrl->write_index = 3;
	assert_false(ring_recv_publish(&e->r));
	assert_true(ring_has_more(&e->r));
	assert_int_equal(ring_recv(&e->r, buf), -EPROTO);
}

static void the_mask_is_written_and_more_is_seen(void **state)
{
	struct env *e = *state;

	receive_init(e, 2, 16);
	ring_set_mask(&e->r, true);
	assert_int_equal(e->ctrl->interrupt_mask, 1);
	assert_false(ring_has_more(&e->r));
	ring_set_mask(&e->r, false);
	assert_int_equal(e->ctrl->interrupt_mask, 0);
	guest_sends(e, 8, 1);
	assert_true(ring_has_more(&e->r));
}

static int send_bytes(struct env *e, size_t len)
{
	const struct vmpacket_descriptor d = {
		.type = VM_PKT_COMP, .offset8 = 2,
		.len8 = (uint16_t)(2 + (len + 7) / 8), .trans_id = 0x1234,
	};
	g_autofree uint8_t *body = g_malloc(len + 1);

	memset(body, 0x5a, len);
	return ring_send(&e->r, &d, body, len);
}

/* Descriptor, body padded with zeroes, trailer; at each place of the wrap. */
static void a_sent_packet_has_its_wire_form(void **state)
{
	struct env *e = *state;
	uint32_t size = 2 * PAGE;

	for (uint32_t start = size - 64; start < size; start += 8) {
		uint8_t got[48], want[48] = { 0 };
		const struct vmpacket_descriptor d = {
			VM_PKT_COMP, 2, 5, 0, 0x1234
		};
		uint64_t trailer = (uint64_t)start << 32;

		send_init(e, 3, start);
		memset(byte_at(e, 0), 0xee, PAGE);
		memcpy(want, &d, sizeof(d));
		memset(want + 16, 0x5a, 19);
		memcpy(want + 40, &trailer, 8);
		assert_int_equal(send_bytes(e, 19), 0);
		assert_int_equal(e->ctrl->write_index, start);
		ring_send_publish(&e->r);
		assert_int_equal(e->ctrl->write_index, (start + 48) % size);
		peek(e, start, got, sizeof(got));
		assert_memory_equal(got, want, sizeof(got));
	}
}

static void we_say_that_we_know_how_to_wait(void **state)
{
	struct env *e = *state;

	e->ctrl->feature_bits = 0;
	send_init(e, 2, 0);
	assert_int_equal(e->ctrl->feature_bits, RING_FEAT_PENDING_SEND_SZ);
}

/* A page of data has room for 4088 bytes: full must not look like empty. */
static void a_ring_is_never_filled_to_the_last_byte(void **state)
{
	struct env *e = *state;

	for (uint32_t start = 0; start < PAGE; start += 1024) {
		send_init(e, 2, start);
		assert_int_equal(send_bytes(e, PAGE - 24), -EAGAIN);
		assert_int_equal(send_bytes(e, PAGE - 24 - 8), 0);
		assert_int_equal(send_bytes(e, 0), -EAGAIN);
		e->ctrl->pending_send_sz = 0;
	}
}

static void without_room_we_ask_for_it_and_take_it_back(void **state)
{
	struct env *e = *state;

	send_init(e, 2, 0);
	while (send_bytes(e, 200) == 0)
		assert_int_equal(e->ctrl->pending_send_sz, 0);
	ring_send_publish(&e->r);
	/* A part of the ring at once, or the packet if that is more. */
	assert_int_equal(e->ctrl->pending_send_sz, PAGE / 4);
	assert_int_equal(send_bytes(e, 2000), -EAGAIN);
	assert_int_equal(e->ctrl->pending_send_sz, 2024);
	e->ctrl->read_index = 224;
	assert_int_equal(send_bytes(e, 100), 0);
	assert_int_equal(e->ctrl->pending_send_sz, 0);
}

/* What the guest writes there is not ours to clear. */
static void only_our_own_wish_for_room_is_taken_back(void **state)
{
	struct env *e = *state;

	send_init(e, 2, 0);
	e->ctrl->pending_send_sz = 77;
	assert_int_equal(send_bytes(e, 8), 0);
	assert_int_equal(e->ctrl->pending_send_sz, 77);
}

static void a_bad_read_index_breaks_sending(void **state)
{
	struct env *e = *state;
	const uint32_t bad[] = { PAGE, PAGE + 8, 4, UINT32_MAX };

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		send_init(e, 2, 0);
		e->ctrl->read_index = bad[i];
		assert_int_equal(send_bytes(e, 8), -EPROTO);
		ring_send_publish(&e->r);
		assert_int_equal(e->ctrl->write_index, 0);
	}
}

static void only_a_ring_that_was_empty_and_unmasked_signals(void **state)
{
	struct env *e = *state;

	send_init(e, 2, 64);
	assert_false(ring_send_publish(&e->r));	/* nothing to show */
	send_bytes(e, 8);
	send_bytes(e, 8);
	assert_true(ring_send_publish(&e->r));
	assert_false(ring_send_publish(&e->r));
	send_bytes(e, 8);
	assert_false(ring_send_publish(&e->r));	/* it was not empty */
	e->ctrl->read_index = e->ctrl->write_index;
	e->ctrl->interrupt_mask = 1;
	send_bytes(e, 8);
	assert_false(ring_send_publish(&e->r));
	e->ctrl->interrupt_mask = 0;
	e->ctrl->read_index = e->ctrl->write_index;
	send_bytes(e, 8);
	assert_true(ring_send_publish(&e->r));
}

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_the_guest_sends_is_received),
		T(packets_wrap_at_every_place),
		T(the_space_is_given_back_when_it_is_published),
		T(our_index_is_our_own),
		T(an_index_outside_breaks_the_ring),
		T(a_ring_that_begins_with_a_bad_index_is_refused),
		T(a_ring_needs_pages_of_ram),
		T(a_packet_must_be_there_as_a_whole),
		T(a_descriptor_that_contradicts_itself_breaks_the_ring),
		T(a_guest_that_waits_is_told_when_room_crosses_its_mark),
		T(a_guest_that_cannot_ask_is_told_when_a_part_is_free),
		T(publishing_twice_signals_once),
		T(a_bad_write_index_does_not_signal),
		T(the_mask_is_written_and_more_is_seen),
		T(a_sent_packet_has_its_wire_form),
		T(we_say_that_we_know_how_to_wait),
		T(a_ring_is_never_filled_to_the_last_byte),
		T(without_room_we_ask_for_it_and_take_it_back),
		T(only_our_own_wish_for_room_is_taken_back),
		T(a_bad_read_index_breaks_sending),
		T(only_a_ring_that_was_empty_and_unmasked_signals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
