/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hv_test.h"

#define SINT	2
#define VECTOR	0xf3

static struct hv_sint *sint;

/* A sender with a queue, as VMBus has it. */
struct sender {
	struct hv_sint_note note;
	unsigned runs;
	unsigned left;		/* messages to post */
	uint32_t type;		/* of the next */
	bool forget_self;
	bool guest_races;	/* and empties the slot meanwhile */
};

static GString *order;

static void post_all(struct sender *s)
{
	while (s->left && sint->post(sint, s->type, "x", 1, &s->note) == 0) {
		s->left--;
		s->type++;
	}
}

static void note_run(struct hv_sint_note *note)
{
	struct sender *s = container_of(note, struct sender, note);

	assert_int_equal(note->queued, 0);
	s->runs++;
	g_string_append_printf(order, "%x ", s->type);
	if (s->forget_self)
		sint->forget(sint, note);
	post_all(s);
	if (s->guest_races)
		memset(hv_host_slot(&h, 1, SINT), 0, 4);
}

static struct sender sender(uint32_t type, unsigned left)
{
	return (struct sender){
		.note.run = note_run, .type = type, .left = left,
	};
}

static int synic_on(void **state)
{
	hv_host_init(&h, VP_COUNT);
	hv_host_synic_on(&h, 1);
	wr(1, sint_msr(SINT), VECTOR);
	sint = hv_get_sint(h.hv, 1, SINT);
	order = g_string_new(NULL);
	return 0;
}

static int done(void **state)
{
	g_string_free(order, TRUE);
	return tear_down(state);
}

#undef TEST
#define TEST(f)	cmocka_unit_test_setup_teardown(f, synic_on, done)

static unsigned raised(void)
{
	return h.vp[1].raised[SINT];
}

static uint32_t take_type(void)
{
	struct hv_host_message m;

	return hv_host_take_message(&h, 1, SINT, &m) ? m.header.message_type :
						       HVMSG_NONE;
}

static void eom(void)
{
	wr(1, HV_X64_MSR_EOM, 0);
}

static uint8_t slot_flags(void)
{
	return hv_host_slot(&h, 1, SINT)[5];
}

/* TLFS: MSG-01 MSG-02 MSG-03 IPC-17 GEN-02 SYNIC-08 SYNIC-29 */
static void a_message_has_the_layout_that_guests_read(void **state)
{
	uint8_t payload[HV_MESSAGE_PAYLOAD_MAX];
	struct sender s = sender(1, 0);
	const uint8_t *slot = h.ram + hv_host_simp(1) + 512;

	s.note.port_id = 0x050607;
	for (unsigned i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i + 1);
	assert_int_equal(sint->post(sint, 0x01020304, payload, 240, &s.note),
			 0);
	assert_memory_equal(slot, "\x04\x03\x02\x01\xf0\0\0\0"
			    "\x07\x06\x05\0\0\0\0\0", 16);
	assert_memory_equal(slot + 16, payload, 240);
	assert_int_equal(slot[256], 0);
	assert_int_equal(raised(), 1);
}

/* TLFS: MSG-02 SYNIC-27 */
static void only_the_payload_is_written(void **state)
{
	uint8_t *slot = hv_host_slot(&h, 1, SINT);
	struct sender s = sender(1, 0);

	memset(slot + 4, 0xee, 252);
	assert_int_equal(sint->post(sint, 1, "ab", 2, &s.note), 0);
	assert_memory_equal(slot + 4, "\2\0\0\0\0\0\0\0\0\0\0\0ab\xee", 15);
	take_type();
	assert_int_equal(sint->post(sint, 1, "", 0, &s.note), 0);
	assert_int_equal(slot[4], 0);
}

/* TLFS: MSG-02 */
static void a_payload_that_is_too_long_is_refused(void **state)
{
	static const uint8_t payload[241];
	struct sender s = sender(1, 0);

	assert_int_equal(sint->post(sint, 1, payload, 241, &s.note), -EINVAL);
	assert_int_equal(hv_host_message_type(&h, 1, SINT), 0);
	assert_int_equal(s.note.queued, 0);
}

/* TLFS: SYNIC-31 SYNIC-32 SYNIC-33 */
static void a_busy_slot_is_left_alone_and_asked_for(void **state)
{
	struct sender s = sender(1, 2);

	post_all(&s);
	assert_int_equal(s.left, 1);
	assert_int_equal(raised(), 1);
	assert_int_equal(hv_host_message_type(&h, 1, SINT), 1);
	assert_int_equal(slot_flags(), HV_MESSAGE_FLAG_PENDING);
	/* EOM before the slot is free does nothing. */
	eom();
	assert_int_equal(s.runs, 0);
	assert_int_equal(take_type(), 1);
	assert_int_equal(s.runs, 1);
	assert_int_equal(raised(), 2);
	assert_int_equal(slot_flags(), 0);
	assert_int_equal(take_type(), 2);
	assert_int_equal(s.runs, 1);
	assert_int_equal(take_type(), 0);
}

/* TLFS: SYNIC-42 */
static void many_messages_come_in_order(void **state)
{
	struct sender s = sender(1, 100);

	post_all(&s);
	for (uint32_t type = 1; type <= 100; type++)
		assert_int_equal(take_type(), type);
	assert_int_equal(s.left, 0);
	assert_int_equal(raised(), 100);
	assert_int_equal(take_type(), 0);
}

static void a_note_waits_once(void **state)
{
	struct sender s = sender(1, 3);

	post_all(&s);
	assert_int_equal(sint->post(sint, 9, "x", 1, &s.note), -EAGAIN);
	assert_int_equal(sint->post(sint, 9, "x", 1, &s.note), -EAGAIN);
	s.left = 0;
	take_type();
	eom();
	assert_int_equal(s.runs, 1);
}

/* A, who has much to say, does not keep B from it. */
static void senders_take_turns(void **state)
{
	struct sender a = sender(0xa0, 4), b = sender(0xb0, 2);
	static const uint32_t want[] = { 0xa0, 0xa1, 0xb0, 0xa2, 0xb1, 0xa3 };

	post_all(&a);
	post_all(&b);
	for (size_t i = 0; i < G_N_ELEMENTS(want); i++)
		assert_int_equal(take_type(), want[i]);
	assert_int_equal(take_type(), 0);
}

/* As guests do that forget the rest, or end with EOI. */
static void empty_the_slot(void)
{
	uint32_t *type = (uint32_t *)(void *)hv_host_slot(&h, 1, SINT);

	__atomic_store_n(type, 0, __ATOMIC_SEQ_CST);
}

/*
 * The one that came first is delivered first; and says that more wait, for the
 * guest may be about to look at the flags.
 */
/* TLFS: SYNIC-33 SYNIC-36 */
static void another_message_has_those_that_wait_delivered(void **state)
{
	struct sender a = sender(0xa0, 2), b = sender(0xb0, 1);

	post_all(&a);
	assert_int_equal(slot_flags(), HV_MESSAGE_FLAG_PENDING);
	empty_the_slot();
	post_all(&b);
	assert_int_equal(b.left, 1);
	assert_int_equal(h.vp[1].deadline, h.now);
	hv_host_set_time(&h, h.now);
	assert_int_equal(hv_host_message_type(&h, 1, SINT), 0xa1);
	assert_int_equal(raised(), 2);
	assert_int_equal(slot_flags(), HV_MESSAGE_FLAG_PENDING);
	assert_int_equal(take_type(), 0xa1);
	assert_int_equal(take_type(), 0xb0);
	assert_int_equal(slot_flags(), 0);
	assert_int_equal(h.vp[1].deadline, UINT64_MAX);
}

/* A sender with a queue of its own tries again when that grows. */
/* TLFS: SYNIC-36 */
static void who_waits_may_post_again(void **state)
{
	struct sender s = sender(1, 2);

	post_all(&s);
	post_all(&s);
	assert_int_equal(s.left, 1);
	empty_the_slot();
	post_all(&s);
	assert_int_equal(s.left, 0);
	assert_int_equal(s.note.queued, 0);
	assert_int_equal(h.vp[1].deadline, UINT64_MAX);
	assert_int_equal(slot_flags(), 0);
	assert_int_equal(take_type(), 2);
	assert_int_equal(s.runs, 0);
}

#define MS	10000u	/* reference time */

/* TLFS: SYNIC-36 SYNIC-37 */
static void what_waits_is_tried_after_some_time(void **state)
{
	struct sender s = sender(1, 3);

	post_all(&s);
	assert_int_equal(h.vp[1].deadline, h.now + MS);
	empty_the_slot();
	hv_host_set_time(&h, h.now + MS - 1);
	assert_int_equal(s.runs, 0);
	hv_host_set_time(&h, h.now + 1);
	assert_int_equal(hv_host_message_type(&h, 1, SINT), 2);
	assert_int_equal(raised(), 2);
	empty_the_slot();
	hv_host_set_time(&h, h.now + MS);
	assert_int_equal(hv_host_message_type(&h, 1, SINT), 3);
	assert_int_equal(raised(), 3);
	assert_int_equal(h.vp[1].deadline, UINT64_MAX);
}

/* A guest that takes nothing costs a wake-up a second in the end. */
static void tries_become_rare_but_do_not_end(void **state)
{
	struct sender s = sender(1, 3);

	post_all(&s);
	for (unsigned ms = 1; ms < 1000; ms *= 2) {
		assert_int_equal(h.vp[1].deadline, h.now + ms * MS);
		hv_host_set_time(&h, h.vp[1].deadline);
	}
	for (unsigned n = 0; n < 100; n++) {
		assert_int_equal(h.vp[1].deadline, h.now + 1000 * MS);
		hv_host_set_time(&h, h.vp[1].deadline);
	}
	assert_int_equal(s.runs, 0);
	empty_the_slot();
	hv_host_set_time(&h, h.vp[1].deadline);
	assert_int_equal(hv_host_message_type(&h, 1, SINT), 2);
	assert_int_equal(h.vp[1].deadline, h.now + MS);
}

static void there_is_nothing_to_wake_up_for(const struct sender *s)
{
	assert_int_equal(s->note.queued, 1);
	assert_int_equal(h.vp[1].deadline, UINT64_MAX);
}

/* No timer runs for what no time can change, nor for nothing. */
static void nothing_is_tried_in_vain(void **state)
{
	struct sender s = sender(1, 2);
	uint64_t simp = hv_host_simp(1) | ENABLE;

	hv_host_set_time(&h, 1);
	assert_int_equal(h.vp[1].timer_sets, 0);
	post_all(&s);
	wr(1, HV_X64_MSR_SCONTROL, 0);
	there_is_nothing_to_wake_up_for(&s);
	wr(1, HV_X64_MSR_SCONTROL, 1);
	assert_int_equal(h.vp[1].deadline, h.now + MS);
	wr(1, HV_X64_MSR_SIMP, simp & ~ENABLE);
	there_is_nothing_to_wake_up_for(&s);
	wr(1, HV_X64_MSR_SIMP, simp);
	assert_int_equal(h.vp[1].deadline, h.now + MS);
	assert_int_equal(take_type(), 1);
	assert_int_equal(h.vp[1].deadline, UINT64_MAX);
	s.left = 1;
	post_all(&s);
	assert_int_equal(h.vp[1].deadline, h.now + MS);
	sint->forget(sint, &s.note);
	assert_int_equal(h.vp[1].deadline, UINT64_MAX);
	post_all(&s);
	hv_reset(h.hv);
	there_is_nothing_to_wake_up_for(&s);
}

static void a_note_can_be_forgotten(void **state)
{
	struct sender a = sender(0xa0, 2), b = sender(0xb0, 1),
		      c = sender(0xc0, 1);

	post_all(&a);
	post_all(&b);
	post_all(&c);
	sint->forget(sint, &b.note);
	assert_int_equal(b.note.queued, 0);
	sint->forget(sint, &b.note);
	take_type();
	take_type();
	take_type();
	assert_string_equal(order->str, "a1 c0 ");
	assert_int_equal(b.runs, 0);
}

static void a_note_may_forget_itself(void **state)
{
	struct sender s = sender(1, 2);

	s.forget_self = true;
	post_all(&s);
	assert_int_equal(take_type(), 1);
	assert_int_equal(take_type(), 2);
}

/* The VP goes on in the end, however fast another one empties the slot. */
static void a_note_runs_once_for_each_eom(void **state)
{
	struct sender s = sender(1, 1000000);

	post_all(&s);
	s.guest_races = true;
	assert_int_equal(take_type(), 1);
	assert_int_equal(s.runs, 1);
	eom();
	assert_int_equal(s.runs, 2);
}

/* What runs and posts nothing leaves the slot to the next. */
static void all_are_asked_while_the_slot_is_free(void **state)
{
	struct sender a = sender(0xa0, 1), b = sender(0xb0, 1),
		      c = sender(0xc0, 1);

	post_all(&a);
	post_all(&b);
	post_all(&c);
	b.left = 0;
	assert_int_equal(take_type(), 0xa0);
	assert_string_equal(order->str, "b0 c0 ");
	assert_int_equal(take_type(), 0xc0);
}

static void messages_wait_while(uint32_t msr, uint64_t off, uint64_t on)
{
	struct sender s = sender(1, 2);

	wr(1, msr, off);
	post_all(&s);
	assert_int_equal(s.left, 2);
	assert_int_equal(raised(), 0);
	eom();
	assert_int_equal(s.runs, 0);
	wr(1, msr, on);
	assert_int_equal(s.runs, 1);
	assert_int_equal(take_type(), 1);
	assert_int_equal(take_type(), 2);
	assert_int_equal(raised(), 2);
}

static void messages_wait_while_the_synic_is_off(void **state)
{
	messages_wait_while(HV_X64_MSR_SCONTROL, 0, 1);
}

static void messages_wait_while_the_page_is_off(void **state)
{
	messages_wait_while(HV_X64_MSR_SIMP, hv_host_simp(1),
			    hv_host_simp(1) | ENABLE);
}

static void waits_over(uint32_t msr, uint64_t on)
{
	struct sender s = sender(1, 2);

	post_all(&s);
	wr(1, msr, on & ~ENABLE);
	wr(1, HV_X64_MSR_EOM, 0);
	assert_int_equal(s.runs, 0);
	wr(1, msr, on);
	assert_int_equal(s.runs, 0);
	assert_int_equal(take_type(), 1);
	assert_int_equal(take_type(), 2);
	assert_int_equal(s.runs, 1);
}

/* TLFS: SYNIC-50 */
static void what_waits_stays_while_things_are_off(void **state)
{
	waits_over(HV_X64_MSR_SCONTROL, 1);
	waits_over(HV_X64_MSR_SIMP, hv_host_simp(1) | ENABLE);
}

/* An old message is in the slot of a page that is turned on again. */
static void a_stale_message_asks_for_eom_too(void **state)
{
	struct sender a = sender(0xa0, 1), b = sender(0xb0, 1);

	post_all(&a);
	wr(1, HV_X64_MSR_SIMP, 0);
	post_all(&b);
	wr(1, HV_X64_MSR_SIMP, hv_host_simp(1) | ENABLE);
	assert_int_equal(slot_flags(), HV_MESSAGE_FLAG_PENDING);
	assert_int_equal(b.runs, 0);
	assert_int_equal(take_type(), 0xa0);
	assert_int_equal(take_type(), 0xb0);
}

/* TLFS: SYNIC-16 SYNIC-17 SYNIC-40 */
static void a_masked_sint_has_messages_without_interrupts(void **state)
{
	struct sender s = sender(1, 2);

	wr(1, sint_msr(SINT), VECTOR | HV_SYNIC_SINT_MASKED);
	post_all(&s);
	assert_int_equal(take_type(), 1);
	wr(1, sint_msr(SINT), VECTOR | HV_SYNIC_SINT_POLLING);
	assert_int_equal(take_type(), 2);
	assert_int_equal(raised(), 0);
}

/* TLFS: SYNIC-39 */
static void eom_serves_all_sints_of_its_vp_only(void **state)
{
	struct sender s = sender(1, 2);
	struct hv_sint *other = hv_get_sint(h.hv, 1, 15);

	post_all(&s);
	assert_int_equal(other->post(other, 7, "x", 1, &s.note), 0);
	memset(hv_host_slot(&h, 1, SINT), 0, 4);
	wr(0, HV_X64_MSR_EOM, 0);
	wr(2, HV_X64_MSR_EOM, 0);
	assert_int_equal(s.runs, 0);
	eom();
	assert_int_equal(s.runs, 1);
	assert_int_equal(hv_host_message_type(&h, 1, 15), 7);
}

/* The guest writes to its slots what it likes. */
/* TLFS: BOOT-12 */
static void garbage_in_the_page_does_no_harm(void **state)
{
	struct sender s = sender(1, 1);

	memset(h.ram + hv_host_simp(1), 0xff, PAGE);
	post_all(&s);
	assert_int_equal(s.left, 1);
	eom();
	assert_int_equal(s.runs, 0);
	memset(h.ram + hv_host_simp(1), 0, PAGE);
	eom();
	assert_int_equal(s.left, 0);
	assert_int_equal(take_type(), 1);
}

/* What waits goes to the next kernel, which turns things on again. */
static void notes_outlive_a_reset(void **state)
{
	struct sender s = sender(1, 2);

	post_all(&s);
	hv_reset(h.hv);
	assert_int_equal(s.runs, 0);
	hv_host_synic_on(&h, 1);
	assert_int_equal(s.runs, 1);
	assert_int_equal(take_type(), 2);
	assert_int_equal(take_type(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_message_has_the_layout_that_guests_read),
		TEST(only_the_payload_is_written),
		TEST(a_payload_that_is_too_long_is_refused),
		TEST(a_busy_slot_is_left_alone_and_asked_for),
		TEST(many_messages_come_in_order),
		TEST(a_note_waits_once),
		TEST(senders_take_turns),
		TEST(another_message_has_those_that_wait_delivered),
		TEST(who_waits_may_post_again),
		TEST(what_waits_is_tried_after_some_time),
		TEST(tries_become_rare_but_do_not_end),
		TEST(nothing_is_tried_in_vain),
		TEST(a_note_can_be_forgotten),
		TEST(a_note_may_forget_itself),
		TEST(a_note_runs_once_for_each_eom),
		TEST(all_are_asked_while_the_slot_is_free),
		TEST(messages_wait_while_the_synic_is_off),
		TEST(messages_wait_while_the_page_is_off),
		TEST(what_waits_stays_while_things_are_off),
		TEST(a_stale_message_asks_for_eom_too),
		TEST(a_masked_sint_has_messages_without_interrupts),
		TEST(eom_serves_all_sints_of_its_vp_only),
		TEST(garbage_in_the_page_does_no_harm),
		TEST(notes_outlive_a_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
