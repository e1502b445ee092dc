/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hv_test.h"

#define VP		1
#define SINT		4
#define VECTOR		0xed
#define SINT_VECTOR	0x90
#define CONFIG(n)	(HV_X64_MSR_STIMER0_CONFIG + 2 * (n))
#define COUNT(n)	(HV_X64_MSR_STIMER0_COUNT + 2 * (n))
#define DIRECT		(HV_STIMER_DIRECT | VECTOR << 4)
#define MESSAGE		((uint64_t)SINT << 16)
#define EN		HV_STIMER_ENABLE
#define START		1000000u	/* the time when a test begins */

static int timers(void **state)
{
	hv_host_init(&h, VP_COUNT);
	hv_host_synic_on(&h, VP);
	wr(VP, sint_msr(SINT), SINT_VECTOR);
	h.now = START;
	return 0;
}

#undef TEST
#define TEST(f)	cmocka_unit_test_setup_teardown(f, timers, tear_down)

static void set(unsigned n, uint64_t config, uint64_t count)
{
	wr(VP, COUNT(n), count);
	wr(VP, CONFIG(n), config);
}

static unsigned interrupts(void)
{
	return h.vp[VP].interrupts[VECTOR];
}

static uint64_t deadline(void)
{
	return h.vp[VP].deadline;
}

static bool enabled(unsigned n)
{
	return rd(VP, CONFIG(n)) & EN;
}

/* TLFS: TIME-33 TIME-35 TIME-36 TIME-43 */
static void a_one_shot_expires_once_and_not_early(void **state)
{
	set(0, EN | DIRECT, START + 100);
	assert_true(enabled(0));
	assert_int_equal(deadline(), START + 100);
	h.now = START + 99;
	/* A host that came too early has to hear of it again. */
	h.vp[VP].deadline = UINT64_MAX;
	hv_timer_expired(h.hv, VP);
	assert_int_equal(interrupts(), 0);
	assert_int_equal(deadline(), START + 100);
	hv_host_set_time(&h, START + 100);
	assert_int_equal(interrupts(), 1);
	assert_false(enabled(0));
	assert_true(deadline() == UINT64_MAX);
	hv_host_set_time(&h, START + 1000);
	hv_timer_expired(h.hv, VP);
	assert_int_equal(interrupts(), 1);
	assert_int_equal(rd(VP, COUNT(0)), START + 100);
}

/* TLFS: TIME-34 */
static void a_past_deadline_expires_at_once(void **state)
{
	set(3, EN | DIRECT, 1);
	assert_int_equal(interrupts(), 1);
	assert_false(enabled(3));
	set(3, EN | DIRECT, START);
	assert_int_equal(interrupts(), 2);
	set(3, EN | DIRECT, START + 1);
	assert_int_equal(interrupts(), 2);
}

/* TLFS: TIME-41 TIME-42 */
static void a_count_of_zero_disables_and_never_expires(void **state)
{
	set(0, EN | DIRECT, START + 100);
	wr(VP, COUNT(0), 0);
	assert_false(enabled(0));
	assert_true(deadline() == UINT64_MAX);
	/* As Linux does it: enabled first, the count follows. */
	wr(VP, CONFIG(0), EN | HV_STIMER_AUTO_ENABLE | DIRECT);
	assert_true(enabled(0));
	hv_host_set_time(&h, START + 1000);
	assert_int_equal(interrupts(), 0);
	wr(VP, COUNT(0), START + 2000);
	hv_host_set_time(&h, START + 2000);
	assert_int_equal(interrupts(), 1);
	/* And with auto-enable it is off all the same. */
	wr(VP, COUNT(0), 0);
	assert_false(enabled(0));
}

/* TLFS: TIME-40 */
static void a_count_enables_only_with_auto_enable(void **state)
{
	wr(VP, CONFIG(0), DIRECT);
	wr(VP, COUNT(0), START + 100);
	assert_false(enabled(0));
	wr(VP, CONFIG(0), HV_STIMER_AUTO_ENABLE | DIRECT);
	assert_false(enabled(0));
	assert_true(deadline() == UINT64_MAX);
	wr(VP, COUNT(0), START + 100);
	assert_true(enabled(0));
	hv_host_set_time(&h, START + 100);
	assert_false(enabled(0));
	wr(VP, COUNT(0), START + 200);
	hv_host_set_time(&h, START + 200);
	assert_int_equal(interrupts(), 2);
}

/* TLFS: TIME-47 */
static void a_new_count_moves_the_deadline(void **state)
{
	set(0, EN | DIRECT, START + 1000);
	wr(VP, COUNT(0), START + 10);
	assert_int_equal(deadline(), START + 10);
	assert_true(enabled(0));
	wr(VP, COUNT(0), START + 5000);
	hv_host_set_time(&h, START + 4999);
	assert_int_equal(interrupts(), 0);
	wr(VP, CONFIG(0), DIRECT);
	assert_true(deadline() == UINT64_MAX);
}

/* TLFS: TIME-37 TIME-38 */
static void a_periodic_timer_starts_when_enabled(void **state)
{
	wr(VP, COUNT(0), 5000);
	h.now += 1000;
	wr(VP, CONFIG(0), EN | HV_STIMER_PERIODIC | DIRECT);
	for (unsigned i = 1; i <= 5; i++) {
		assert_int_equal(deadline(), START + 1000 + i * 5000);
		hv_host_set_time(&h, START + 1000 + i * 5000);
		assert_int_equal(interrupts(), i);
		assert_true(enabled(0));
	}
	wr(VP, CONFIG(0), 0);
	assert_true(deadline() == UINT64_MAX);
}

/* TLFS: TIME-39 */
static void missed_periods_are_skipped_in_step(void **state)
{
	set(0, EN | HV_STIMER_PERIODIC | HV_STIMER_LAZY | DIRECT, 10000);
	hv_host_set_time(&h, START + 73100);
	assert_int_equal(interrupts(), 1);
	assert_int_equal(deadline(), START + 80000);
	hv_host_set_time(&h, START + 90000);
	assert_int_equal(interrupts(), 2);
	assert_int_equal(deadline(), START + 100000);
}

static void a_tiny_period_leaves_the_guest_time_to_run(void **state)
{
	set(0, EN | HV_STIMER_PERIODIC | DIRECT, 7);
	hv_host_set_time(&h, START + 7);
	assert_int_equal(interrupts(), 1);
	/* The first multiple of 7 that is not below 2000. */
	assert_int_equal(deadline(), START + 7 + 2002);
}

/* TLFS: TIME-48 */
static void the_last_of_times_is_never_reached(void **state)
{
	set(0, EN | DIRECT, UINT64_MAX);
	set(1, EN | HV_STIMER_PERIODIC | DIRECT, UINT64_MAX);
	set(2, EN | HV_STIMER_PERIODIC | DIRECT, UINT64_MAX - START);
	assert_true(deadline() == UINT64_MAX);
	set(3, EN | HV_STIMER_PERIODIC | DIRECT, UINT64_MAX - START - 1);
	assert_true(deadline() == UINT64_MAX - 1);
	hv_host_set_time(&h, UINT64_MAX - 1);
	assert_int_equal(interrupts(), 1);
	assert_true(deadline() == UINT64_MAX);
}

static void the_host_has_the_first_of_four(void **state)
{
	unsigned sets;

	for (unsigned n = 0; n < 4; n++)
		set(n, EN | DIRECT, START + 400 - n * 100);
	assert_int_equal(deadline(), START + 100);
	sets = h.vp[VP].timer_sets;
	set(0, EN | DIRECT, START + 500);
	assert_int_equal(h.vp[VP].timer_sets, sets);
	hv_host_set_time(&h, START + 100);
	assert_int_equal(deadline(), START + 200);
	hv_host_set_time(&h, START + 300);
	assert_int_equal(interrupts(), 3);
	wr(VP, COUNT(0), 0);
	assert_true(deadline() == UINT64_MAX);
	assert_true(h.vp[0].deadline == UINT64_MAX);
}

/* TLFS: TIME-44 TIME-45 TIME-54 */
static void sint_0_disables(void **state)
{
	set(0, EN, START + 10);
	assert_int_equal(rd(VP, CONFIG(0)), 0);
	set(0, EN | HV_STIMER_PERIODIC, START + 10);
	assert_int_equal(rd(VP, CONFIG(0)), HV_STIMER_PERIODIC);
	wr(VP, CONFIG(0), HV_STIMER_AUTO_ENABLE);
	wr(VP, COUNT(0), START + 10);
	assert_false(enabled(0));
	assert_true(deadline() == UINT64_MAX);
	/* In direct mode no SINT is needed, but a vector. */
	set(0, EN | DIRECT, START + 10);
	assert_true(enabled(0));
	set(0, EN | HV_STIMER_DIRECT | 15 << 4, START + 10);
	assert_false(enabled(0));
	set(0, EN | HV_STIMER_DIRECT | 16 << 4, START + 10);
	assert_true(enabled(0));
}

/* TLFS: TIME-30 TIME-32 */
static void reserved_bits_read_as_zero(void **state)
{
	wr(VP, CONFIG(2), UINT64_MAX & ~EN);
	assert_int_equal(rd(VP, CONFIG(2)), 0xf1ffe);
	wr(VP, COUNT(2), UINT64_MAX);
	assert_true(rd(VP, COUNT(2)) == UINT64_MAX);
}

/* TLFS: TIME-29 TIME-54 */
static void direct_mode_has_its_vector(void **state)
{
	for (unsigned n = 0; n < 4; n++)
		set(n, EN | HV_STIMER_DIRECT | (0x30 + n) << 4, START + 5);
	hv_host_set_time(&h, START + 5);
	for (unsigned n = 0; n < 4; n++)
		assert_int_equal(h.vp[VP].interrupts[0x30 + n], 1);
	assert_int_equal(hv_host_message_type(&h, VP, SINT), 0);
}

static uint8_t flags;	/* of the last message */

static struct hv_timer_message_payload take(void)
{
	struct hv_timer_message_payload p;
	struct hv_host_message m;

	assert_true(hv_host_take_message(&h, VP, SINT, &m));
	assert_int_equal(m.header.message_type, HVMSG_TIMER_EXPIRED);
	assert_int_equal(m.header.payload_size, sizeof(p));
	memcpy(&p, m.payload, sizeof(p));
	assert_int_equal(p.reserved, 0);
	flags = m.header.message_flags;
	return p;
}

static void slot_is_empty(void)
{
	assert_int_equal(hv_host_message_type(&h, VP, SINT), 0);
}

/* TLFS: MSG-17 TIME-49 */
static void a_message_tells_timer_and_times(void **state)
{
	struct hv_timer_message_payload p;

	set(3, EN | MESSAGE, START + 100);
	hv_host_set_time(&h, START + 107);
	assert_int_equal(h.vp[VP].raised[SINT], 1);
	p = take();
	assert_int_equal(p.timer_index, 3);
	assert_int_equal(p.expiration_time, START + 100);
	assert_int_equal(p.delivery_time, START + 107);
	slot_is_empty();
}

/* TLFS: MSG-05 MSG-16 TIME-50 */
static void a_message_has_the_layout_that_guests_read(void **state)
{
	static const uint8_t want[] = {
		0x10, 0, 0, 0x80, 24, 0, 0, 0,	/* type, size, flags */
		0, 0, 0, 0, 0, 0, 0, 0,		/* origin: none */
		2, 0, 0, 0, 0, 0, 0, 0,		/* timer, reserved */
		0x40, 0x42, 0x0f, 0, 0, 0, 0, 0,	/* expected */
		0x45, 0x42, 0x0f, 0, 0, 0, 0, 0,	/* now */
	};

	h.now = START + 5;
	set(2, EN | MESSAGE, START);
	assert_memory_equal(hv_host_slot(&h, VP, SINT), want, sizeof(want));
}

/* TLFS: SYNIC-45 */
static void messages_of_all_four_wait(void **state)
{
	struct hv_sint *sint = hv_get_sint(h.hv, VP, SINT);
	struct hv_sint_note note = { 0 };
	struct hv_host_message m;

	assert_int_equal(sint->post(sint, 1, "x", 1, &note), 0);
	for (unsigned n = 0; n < 4; n++)
		set(n, EN | MESSAGE, START - n);
	assert_true(hv_host_take_message(&h, VP, SINT, &m));
	for (unsigned n = 0; n < 4; n++) {
		struct hv_timer_message_payload p = take();

		assert_int_equal(p.timer_index, n);
		assert_int_equal(p.expiration_time, START - n);
	}
	slot_is_empty();
}

static void expires(unsigned n, uint64_t config)
{
	unsigned before = interrupts();

	h.now = START;
	set(n, EN | config, config & HV_STIMER_PERIODIC ? 5000 : START + 5000);
	hv_host_set_time(&h, START + 4999);
	assert_int_equal(interrupts(), before);
	slot_is_empty();
	hv_host_set_time(&h, START + 5000);
	if (config & HV_STIMER_DIRECT)
		assert_int_equal(interrupts(), before + 1);
	else
		assert_int_equal(take().timer_index, n);
	assert_true(enabled(n) == !!(config & HV_STIMER_PERIODIC));
	wr(VP, CONFIG(n), 0);
}

/* TLFS: TIME-57 */
static void each_timer_can_do_everything(void **state)
{
	for (unsigned n = 0; n < 4; n++) {
		expires(n, DIRECT);
		expires(n, MESSAGE);
		expires(n, HV_STIMER_PERIODIC | DIRECT);
		expires(n, HV_STIMER_PERIODIC | MESSAGE);
	}
}

/* TLFS: TIME-51 MSG-17 */
static void a_message_waits_for_the_slot(void **state)
{
	struct hv_timer_message_payload p;

	set(0, EN | MESSAGE, START + 100);
	set(1, EN | MESSAGE, START + 100);
	hv_host_set_time(&h, START + 100);
	assert_int_equal(h.vp[VP].raised[SINT], 1);
	/* Expired is expired, sent or not. */
	assert_false(enabled(1));
	/* But a message that waits is tried again. */
	assert_int_equal(deadline(), START + 100 + 10000);
	h.now = START + 250;
	assert_int_equal(take().timer_index, 0);
	assert_int_equal(h.vp[VP].raised[SINT], 2);
	p = take();
	assert_int_equal(p.timer_index, 1);
	assert_int_equal(p.expiration_time, START + 100);
	assert_int_equal(p.delivery_time, START + 250);
	assert_int_equal(flags, 0);
	slot_is_empty();
}

/* TLFS: TIME-52 SYNIC-49 */
static void periods_of_a_waiting_message_are_one(void **state)
{
	struct hv_sint *sint = hv_get_sint(h.hv, VP, SINT);
	struct hv_sint_note note = { 0 };
	struct hv_host_message m;

	assert_int_equal(sint->post(sint, 1, "x", 1, &note), 0);
	set(0, EN | HV_STIMER_PERIODIC | MESSAGE, 10000);
	for (unsigned i = 1; i <= 10; i++) {
		hv_host_set_time(&h, START + i * 10000);
		assert_int_equal(deadline(), START + (i + 1) * 10000);
	}
	assert_true(hv_host_take_message(&h, VP, SINT, &m));
	assert_int_equal(m.header.message_type, 1);
	assert_int_equal(take().expiration_time, START + 10000);
	slot_is_empty();
	hv_host_set_time(&h, START + 110000);
	assert_int_equal(take().expiration_time, START + 110000);
}

/* As in another_message_has_those_that_wait_delivered in test_message.c. */
static void a_message_has_a_timer_that_waits_delivered(void **state)
{
	struct hv_sint *sint = hv_get_sint(h.hv, VP, SINT);
	struct hv_sint_note note = { 0 };

	assert_int_equal(sint->post(sint, 1, "x", 1, &note), 0);
	set(2, EN | MESSAGE, START);
	memset(hv_host_slot(&h, VP, SINT), 0, 6);
	assert_int_equal(sint->post(sint, 5, "x", 1, &note), -EAGAIN);
	assert_int_equal(deadline(), START);
	hv_host_set_time(&h, START);
	sint->forget(sint, &note);
	assert_int_equal(take().timer_index, 2);
	assert_int_equal(flags, HV_MESSAGE_FLAG_PENDING);
	slot_is_empty();
}

static void a_written_timer_takes_its_message_back(uint32_t msr,
						   uint64_t value)
{
	set(0, EN | MESSAGE, START);
	set(1, EN | MESSAGE, START);
	wr(VP, msr, value);
	assert_int_equal(take().timer_index, 0);
	slot_is_empty();
	set(0, EN | MESSAGE, START);
	assert_int_equal(take().timer_index, 0);
	assert_int_equal(flags, 0);
}

/* TLFS: TIME-46 */
static void a_stopped_timer_takes_its_message_back(void **state)
{
	a_written_timer_takes_its_message_back(COUNT(1), 0);
	a_written_timer_takes_its_message_back(CONFIG(1), 0);
	a_written_timer_takes_its_message_back(COUNT(1), START + 100);
}

static void a_message_waits_while(uint32_t msr, uint64_t off, uint64_t on)
{
	wr(VP, msr, off);
	set(0, EN | MESSAGE, START);
	assert_false(enabled(0));
	slot_is_empty();
	wr(VP, msr, on);
	assert_int_equal(take().timer_index, 0);
	slot_is_empty();
}

/* TLFS: TIME-53 */
static void a_message_waits_while_things_are_off(void **state)
{
	a_message_waits_while(HV_X64_MSR_SCONTROL, 0, 1);
	a_message_waits_while(HV_X64_MSR_SIMP, 0, hv_host_simp(VP) | ENABLE);
}

static void a_masked_sint_has_the_message(void **state)
{
	wr(VP, sint_msr(SINT), 0x10000);
	set(0, EN | MESSAGE, START);
	assert_int_equal(take().timer_index, 0);
	assert_int_equal(h.vp[VP].raised[SINT], 0);
}

/* TLFS: TIME-31 */
static void reset_stops_all(void **state)
{
	set(0, EN | DIRECT, START + 100);
	set(1, EN | HV_STIMER_PERIODIC | MESSAGE, 10);
	set(2, EN | MESSAGE, START);
	set(3, EN | MESSAGE, START);
	hv_reset(h.hv);
	assert_true(deadline() == UINT64_MAX);
	for (unsigned n = 0; n < 4; n++) {
		assert_int_equal(rd(VP, CONFIG(n)), 0);
		assert_int_equal(rd(VP, COUNT(n)), 0);
	}
	hv_host_synic_on(&h, VP);
	hv_host_set_time(&h, START + 1000);
	slot_is_empty();
	assert_int_equal(interrupts(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_one_shot_expires_once_and_not_early),
		TEST(a_past_deadline_expires_at_once),
		TEST(a_count_of_zero_disables_and_never_expires),
		TEST(a_count_enables_only_with_auto_enable),
		TEST(a_new_count_moves_the_deadline),
		TEST(a_periodic_timer_starts_when_enabled),
		TEST(missed_periods_are_skipped_in_step),
		TEST(a_tiny_period_leaves_the_guest_time_to_run),
		TEST(the_last_of_times_is_never_reached),
		TEST(the_host_has_the_first_of_four),
		TEST(sint_0_disables),
		TEST(reserved_bits_read_as_zero),
		TEST(direct_mode_has_its_vector),
		TEST(a_message_tells_timer_and_times),
		TEST(a_message_has_the_layout_that_guests_read),
		TEST(messages_of_all_four_wait),
		TEST(each_timer_can_do_everything),
		TEST(a_message_waits_for_the_slot),
		TEST(periods_of_a_waiting_message_are_one),
		TEST(a_message_has_a_timer_that_waits_delivered),
		TEST(a_stopped_timer_takes_its_message_back),
		TEST(a_message_waits_while_things_are_off),
		TEST(a_masked_sint_has_the_message),
		TEST(reset_stops_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
