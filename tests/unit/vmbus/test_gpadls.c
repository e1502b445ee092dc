/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rig.h"

#define HEADER_PFNS	26
#define BODY_PFNS	28

struct header_msg {
	struct vmbus_channel_gpadl_header h;
	uint64_t word[27];
} __attribute__((packed));

struct body_msg {
	struct vmbus_channel_gpadl_body b;
	uint64_t word[28];
} __attribute__((packed));

/* One range of @pages pages from @gpa, with as much as fits. */
static struct header_msg header(uint32_t relid, uint32_t id, gpa_t gpa,
				uint32_t pages)
{
	struct header_msg m = {
		.h.header.msgtype = CHANNELMSG_GPADL_HEADER,
		.h.child_relid = relid, .h.gpadl = id,
		.h.range_buflen = (uint16_t)(8 * (pages + 1)),
		.h.rangecount = 1,
		.word[0] = pages * GMEM_PAGE_SIZE,
	};

	for (uint32_t i = 0; i < MIN(pages, (uint32_t)HEADER_PFNS); i++)
		m.word[1 + i] = gpa / GMEM_PAGE_SIZE + i;
	return m;
}

static struct body_msg body(uint32_t id, gpa_t gpa)
{
	struct body_msg m = {
		.b.header.msgtype = CHANNELMSG_GPADL_BODY, .b.gpadl = id,
	};

	for (uint32_t i = 0; i < BODY_PFNS; i++)
		m.word[i] = gpa / GMEM_PAGE_SIZE + i;
	return m;
}

static void expect_created(struct rig *r, uint32_t relid, uint32_t id, bool ok)
{
	struct vmbus_channel_gpadl_created c;

	assert_true(GUEST_EXPECT(r->g, CHANNELMSG_GPADL_CREATED, &c));
	assert_int_equal(c.child_relid, relid);
	assert_int_equal(c.gpadl, id);
	assert_int_equal(c.creation_status,
			 ok ? VMBUS_STATUS_SUCCESS : VMBUS_STATUS_UNSUCCESSFUL);
}

static void expect_torndown(struct rig *r, uint32_t id)
{
	struct vmbus_channel_gpadl_torndown t;

	assert_true(GUEST_EXPECT(r->g, CHANNELMSG_GPADL_TORNDOWN, &t));
	assert_int_equal(t.gpadl, id);
}

/* Around the borders of one, two and three messages; and the largest. */
static void lists_of_every_length_can_be_made_and_torn_down(void **state)
{
	struct rig *r = *state;
	static const uint32_t pages[] = { 1, 25, 26, 27, 53, 54, 55, 8190 };
	gpa_t gpa = guest_pages(r->g, 8190);

	rig_connect(r, VERSION_WIN10_V5_3);
	for (size_t i = 0; i < G_N_ELEMENTS(pages); i++) {
		assert_true(guest_gpadl(r->g, 1, 5, gpa, pages[i]));
		guest_send_teardown(r->g, 1, 5);
		expect_torndown(r, 5);
		rig_silent(r);
	}
}

/* UEFI's messages are always 240 bytes long. */
static void padding_behind_a_list_is_ignored(void **state)
{
	struct rig *r = *state;
	gpa_t gpa = guest_pages(r->g, 54);
	struct header_msg h;
	struct body_msg b;

	rig_connect(r, VERSION_WIN8_1);
	h = header(1, 5, gpa, 3);
	h.word[4] = UINT64_MAX;
	GUEST_POST(r->g, &h);
	expect_created(r, 1, 5, true);
	h = header(1, 6, gpa, HEADER_PFNS + 1);
	GUEST_POST(r->g, &h);
	b = body(6, gpa);
	b.word[1] = UINT64_MAX;
	b.b.msgnumber = 12345;
	GUEST_POST(r->g, &b);
	expect_created(r, 1, 6, true);
	rig_silent(r);
}

static void the_answer_comes_after_the_last_body(void **state)
{
	struct rig *r = *state;
	gpa_t gpa = guest_pages(r->g, 100);
	struct header_msg h;
	struct body_msg b;

	rig_connect(r, VERSION_WIN10_V5_3);
	h = header(1, 5, gpa, HEADER_PFNS + BODY_PFNS + 1);
	GUEST_POST(r->g, &h);
	rig_silent(r);
	b = body(5, gpa);
	GUEST_POST(r->g, &b);
	rig_silent(r);
	GUEST_POST(r->g, &b);
	expect_created(r, 1, 5, true);
	/* One more belongs to nothing. */
	GUEST_POST(r->g, &b);
	rig_silent(r);
}

static void a_bad_list_is_refused_and_its_id_is_free_again(void **state)
{
	struct rig *r = *state;
	gpa_t gpa = guest_pages(r->g, 2);
	struct header_msg h;

	rig_connect(r, VERSION_WIN10_V5_3);
	h = header(1, 5, gpa, 2);
	h.word[2] = GUEST_RAM / GMEM_PAGE_SIZE;
	GUEST_POST(r->g, &h);
	expect_created(r, 1, 5, false);
	h = header(1, 5, gpa, 2);
	h.h.rangecount = 0;
	GUEST_POST(r->g, &h);
	expect_created(r, 1, 5, false);
	h = header(1, 5, gpa, 2);
	h.h.range_buflen = 23;
	GUEST_POST(r->g, &h);
	expect_created(r, 1, 5, false);
	assert_true(guest_gpadl(r->g, 1, 5, gpa, 2));
}

static void a_list_of_no_channel_is_refused(void **state)
{
	struct rig *r = *state;
	static const uint32_t relids[] = { 0, 3, 2047, 2048, UINT32_MAX };
	gpa_t gpa = guest_pages(r->g, 1);

	rig_connect(r, VERSION_WIN10_V5_3);
	for (size_t i = 0; i < G_N_ELEMENTS(relids); i++)
		assert_false(guest_gpadl(r->g, relids[i], 5, gpa, 1));
	assert_true(guest_gpadl(r->g, 2, 5, gpa, 1));
}

/* Connected, but the guest has not asked what there is. */
static void a_list_of_a_channel_not_offered_is_refused(void **state)
{
	struct rig *r = *state;

	assert_true(guest_connect(r->g, VERSION_WIN10_V5_3));
	assert_false(guest_gpadl(r->g, 1, 5, guest_pages(r->g, 1), 1));
}

static void an_id_is_used_once_for_a_channel(void **state)
{
	struct rig *r = *state;
	gpa_t gpa = guest_pages(r->g, 1);

	rig_connect(r, VERSION_WIN10_V5_3);
	assert_true(guest_gpadl(r->g, 1, 5, gpa, 1));
	assert_false(guest_gpadl(r->g, 1, 5, gpa, 1));
	assert_true(guest_gpadl(r->g, 2, 5, gpa, 1));
	guest_send_teardown(r->g, 1, 5);
	expect_torndown(r, 5);
	/* The other channel's is another list. */
	guest_send_teardown(r->g, 2, 5);
	expect_torndown(r, 5);
	guest_send_teardown(r->g, 2, 5);
	rig_silent(r);
}

/* Bodies carry no channel, so two that fill at once need two ids. */
static void ids_of_lists_that_fill_differ(void **state)
{
	struct rig *r = *state;
	gpa_t gpa = guest_pages(r->g, 100);
	struct header_msg h;
	struct body_msg b;

	rig_connect(r, VERSION_WIN10_V5_3);
	h = header(1, 5, gpa, HEADER_PFNS + 1);
	GUEST_POST(r->g, &h);
	h = header(2, 5, gpa, HEADER_PFNS + 1);
	GUEST_POST(r->g, &h);
	expect_created(r, 2, 5, false);
	b = body(5, gpa);
	GUEST_POST(r->g, &b);
	expect_created(r, 1, 5, true);
	GUEST_POST(r->g, &h);
	GUEST_POST(r->g, &b);
	expect_created(r, 2, 5, true);
}

static void two_lists_may_fill_in_turns(void **state)
{
	struct rig *r = *state;
	gpa_t gpa = guest_pages(r->g, 100);
	struct header_msg h;
	struct body_msg b;

	rig_connect(r, VERSION_WIN10_V5_3);
	for (uint32_t id = 5; id < 7; id++) {
		h = header(id - 4, id, gpa, HEADER_PFNS + BODY_PFNS + 1);
		GUEST_POST(r->g, &h);
	}
	for (unsigned i = 0; i < 2; i++)
		for (uint32_t id = 5; id < 7; id++) {
			b = body(id, gpa);
			GUEST_POST(r->g, &b);
		}
	expect_created(r, 1, 5, true);
	expect_created(r, 2, 6, true);
}

static void a_list_that_fills_cannot_be_torn_down(void **state)
{
	struct rig *r = *state;
	gpa_t gpa = guest_pages(r->g, 100);
	struct header_msg h;
	struct body_msg b;

	rig_connect(r, VERSION_WIN10_V5_3);
	h = header(1, 5, gpa, HEADER_PFNS + 1);
	GUEST_POST(r->g, &h);
	guest_send_teardown(r->g, 1, 5);
	rig_silent(r);
	b = body(5, gpa);
	GUEST_POST(r->g, &b);
	expect_created(r, 1, 5, true);
}

static void lists_that_fill_are_limited(void **state)
{
	struct rig *r = *state;
	gpa_t gpa = guest_pages(r->g, 100);
	struct header_msg h;
	struct body_msg b;

	rig_connect(r, VERSION_WIN10_V5_3);
	for (uint32_t id = 1; id <= GPADLS_FILLING_MAX; id++) {
		h = header(1, id, gpa, HEADER_PFNS + 1);
		GUEST_POST(r->g, &h);
		rig_silent(r);
	}
	h = header(1, 1000, gpa, HEADER_PFNS + 1);
	GUEST_POST(r->g, &h);
	expect_created(r, 1, 1000, false);
	b = body(7, gpa);
	GUEST_POST(r->g, &b);
	expect_created(r, 1, 7, true);
	GUEST_POST(r->g, &h);
	rig_silent(r);
}

static void lent_pages_are_limited(void **state)
{
	struct rig *r = *state;
	/* As large as one list can say it is, with nothing behind it yet. */
	struct header_msg h = header(1, 0, 0, 8190);
	unsigned words = h.h.range_buflen / 8u, max = GPADL_WORDS_MAX / words;
	gpa_t gpa = guest_pages(r->g, 8190);

	rig_connect(r, VERSION_WIN10_V5_3);
	for (uint32_t id = 1; id <= max; id++)
		assert_true(guest_gpadl(r->g, 1, id, gpa, 8190));
	assert_true(r->g->bus->gpadl_words <= GPADL_WORDS_MAX);
	assert_false(guest_gpadl(r->g, 1, 9999, gpa, 8190));
	guest_send_teardown(r->g, 1, 1);
	expect_torndown(r, 1);
	assert_true(guest_gpadl(r->g, 1, 9999, gpa, 8190));
}

static void the_number_of_lists_is_limited(void **state)
{
	struct rig *r = *state;
	gpa_t gpa = guest_pages(r->g, 1);

	rig_connect(r, VERSION_WIN10_V5_3);
	for (uint32_t id = 1; id <= GPADLS_MAX; id++)
		assert_true(guest_gpadl(r->g, 1 + id % 2, id, gpa, 1));
	assert_false(guest_gpadl(r->g, 1, UINT32_MAX, gpa, 1));
	guest_send_teardown(r->g, 1, 2);
	expect_torndown(r, 2);
	assert_true(guest_gpadl(r->g, 1, UINT32_MAX, gpa, 1));
}

static void the_ring_of_an_open_channel_stays(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);
	struct guest_packet p;

	guest_send_teardown(r->g, c->relid, c->gpadl);
	rig_silent(r);
	guest_channel_send(c, 1, "12345678", 8);
	guest_run(r->g);
	assert_true(guest_channel_recv(c, &p));
	guest_channel_close(c);
}

static void teardown_waits_for_the_device(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);

	assert_true(guest_gpadl(r->g, c->relid, 5, guest_pages(r->g, 1), 1));
	r->echo[0].hold = true;
	guest_channel_send(c, 1, "12345678", 8);
	guest_run(r->g);
	guest_channel_send_close(c);
	guest_send_teardown(r->g, c->relid, c->gpadl);
	guest_send_teardown(r->g, c->relid, c->gpadl);	/* once is enough */
	rig_silent(r);
	/* Other lists of the channel are free to go. */
	guest_send_teardown(r->g, c->relid, 5);
	expect_torndown(r, 5);
	echo_release(&r->echo[0], 1);
	guest_run(r->g);
	expect_torndown(r, c->gpadl);
	rig_silent(r);
}

static void the_guest_gets_back_what_a_device_has_returned(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);
	struct vmbus_channel *ch = bus_channel(r->g->bus, c->relid);
	gpa_t gpa = guest_pages(r->g, 3);
	struct vmbus_loan *loan[2];

	assert_true(guest_gpadl(r->g, c->relid, 5, gpa, 3));
	assert_null(vmbus_borrow(ch, 5, 2));
	assert_null(vmbus_borrow(ch, 6, 3));
	for (int i = 0; i < 2; i++)
		assert_non_null(loan[i] = vmbus_borrow(ch, 5, 3));
	assert_int_equal(loan[0]->pages, 3);
	for (int i = 0; i < 3; i++)
		assert_ptr_equal(loan[0]->page[i],
				 r->g->ram + gpa + i * GMEM_PAGE_SIZE);

	guest_send_teardown(r->g, c->relid, 5);
	rig_silent(r);
	vmbus_return(loan[0]);
	rig_silent(r);
	vmbus_return(loan[1]);
	guest_run(r->g);
	expect_torndown(r, 5);
	assert_null(vmbus_borrow(ch, 5, 3));
}

static void what_is_not_whole_pages_is_not_lent(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);
	struct vmbus_channel *ch = bus_channel(r->g->bus, c->relid);
	struct {
		struct vmbus_channel_gpadl_header h;
		struct gpa_range range;
		uint64_t pfn;
	} __attribute__((packed)) m = {
		.h.header.msgtype = CHANNELMSG_GPADL_HEADER,
		.h.child_relid = c->relid, .h.gpadl = 5,
		.h.range_buflen = 16, .h.rangecount = 1,
		.range = { .byte_count = 100 }, .pfn = 1,
	};

	guest_post(r->g, &m, sizeof(m));
	expect_created(r, c->relid, 5, true);
	assert_null(vmbus_borrow(ch, 5, 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(lists_of_every_length_can_be_made_and_torn_down),
		RIG_TEST(padding_behind_a_list_is_ignored),
		RIG_TEST(the_answer_comes_after_the_last_body),
		RIG_TEST(a_bad_list_is_refused_and_its_id_is_free_again),
		RIG_TEST(a_list_of_no_channel_is_refused),
		RIG_TEST(a_list_of_a_channel_not_offered_is_refused),
		RIG_TEST(an_id_is_used_once_for_a_channel),
		RIG_TEST(ids_of_lists_that_fill_differ),
		RIG_TEST(two_lists_may_fill_in_turns),
		RIG_TEST(a_list_that_fills_cannot_be_torn_down),
		RIG_TEST(lists_that_fill_are_limited),
		RIG_TEST(lent_pages_are_limited),
		RIG_TEST(the_number_of_lists_is_limited),
		RIG_TEST(the_ring_of_an_open_channel_stays),
		RIG_TEST(teardown_waits_for_the_device),
		RIG_TEST(the_guest_gets_back_what_a_device_has_returned),
		RIG_TEST(what_is_not_whole_pages_is_not_lent),
	};

	return RIG_RUN(tests);
}
