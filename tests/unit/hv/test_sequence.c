/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * src/hv beside its model.  Each call of hv_pair compares all that can be seen
 * of both: MSRs, interrupts, memory, deadlines, who waits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "hv_pair.h"
#include "hv_sequence.h"

#define SEQUENCES	300
#define STEPS		400

#define ENABLE		HV_MSR_PAGE_ENABLE
#define PLACE(n)	(HV_MODEL_GPA + (n) * HV_MODEL_PAGE)
#define SINT		5
#define SINT_MSR	(HV_X64_MSR_SINT0 + SINT)
#define CONFIG(n)	(HV_X64_MSR_STIMER0_CONFIG + 2 * (n))
#define COUNT(n)	(HV_X64_MSR_STIMER0_COUNT + 2 * (n))
#define EN		HV_STIMER_ENABLE
#define TO_SINT		((uint64_t)SINT << 16)
#define DIRECT		(HV_STIMER_DIRECT | 0xed << 4)

static struct hv_pair p;

static int set_up(void **state)
{
	hv_pair_init(&p);
	for (unsigned n = 0; n < HV_MODEL_PAGES; n++)
		hv_pair_store(&p, n * HV_MODEL_PAGE, &(char){ 'a' + n }, 1);
	return 0;
}

static int tear_down(void **state)
{
	hv_pair_finish(&p);
	return 0;
}

#define TEST(f)		cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static void assert_same(void)
{
	hv_pair_reset_and_check(&p);
	if (p.difference)
		fail_msg("%s", p.difference);
}

static void wr(unsigned vp, uint32_t msr, uint64_t value)
{
	hv_pair_write(&p, vp, msr, value);
}

static void synic_on(unsigned vp)
{
	wr(vp, HV_X64_MSR_SIMP, PLACE(2 * vp) | ENABLE);
	wr(vp, HV_X64_MSR_SIEFP, PLACE(2 * vp + 1) | ENABLE);
	wr(vp, SINT_MSR, 0x51);
	wr(vp, HV_X64_MSR_SCONTROL, HV_SYNIC_CONTROL_ENABLE);
}

/* The type of the message of VP 0, which is none then; EOM if others wait. */
static uint32_t take(void)
{
	unsigned at = SINT * HV_MESSAGE_SIZE;
	uint8_t *slot = p.h.ram + PLACE(0) + at;
	uint32_t type;

	memcpy(&type, slot, sizeof(type));
	hv_pair_store(&p, at, &(uint32_t){ 0 }, sizeof(type));
	if (slot[5] & HV_MESSAGE_FLAG_PENDING)
		wr(0, HV_X64_MSR_EOM, 0);
	return type;
}

static const struct {
	unsigned vp;
	uint32_t msr;
} pages[] = {
	{ 0, HV_X64_MSR_SIMP }, { 0, HV_X64_MSR_SIEFP },
	{ 0, HV_X64_MSR_VP_ASSIST_PAGE }, { 1, HV_X64_MSR_SIMP },
	{ 0, HV_X64_MSR_REFERENCE_TSC }, { 0, HV_X64_MSR_HYPERCALL },
};

static void place_all(unsigned first, unsigned step, uint64_t value)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(pages); i++) {
		unsigned n = (first + i * step) % G_N_ELEMENTS(pages);

		wr(pages[n].vp, pages[n].msr, value);
		hv_pair_store(&p, 2 * HV_MODEL_PAGE + 8 + 8 * n,
			      "page", 4);
	}
}

/*
 * Both orders, from each of them on; a page is written to while it is seen.
 */
/* TLFS: GPA-09 GPA-10 GPA-11 SYNIC-10 SYNIC-11 SYNIC-12 TIME-20 */
static void pages_on_one_place_are_uncovered_in_turn(void **state)
{
	wr(0, HV_X64_MSR_GUEST_OS_ID, 1);
	for (unsigned first = 0; first < G_N_ELEMENTS(pages); first++) {
		place_all(0, 1, PLACE(2) | ENABLE);
		place_all(first, 5, first % 2 ? 0 : PLACE(3) | ENABLE);
		place_all(first, 1, PLACE(2) | ENABLE);
		place_all(first, 1, 0);
	}
	assert_int_equal(p.h.ram[PLACE(2)], 'c');
	assert_same();
}

/* TLFS: SYNIC-05 TIME-09 */
static void pages_outside_ram_are_nowhere_and_can_come_back(void **state)
{
	for (unsigned n = 0; n < G_N_ELEMENTS(pages) - 1; n++) {
		wr(pages[n].vp, pages[n].msr, PLACE(2) | ENABLE);
		wr(pages[n].vp, pages[n].msr, ~UINT64_C(0));
		wr(pages[n].vp, pages[n].msr, PLACE(HV_MODEL_PAGES) | ENABLE);
		wr(pages[n].vp, pages[n].msr, PLACE(2) | ENABLE);
	}
	assert_same();
}

/* What is done with the hypercall page's lock is not the model's. */
static bool walks(uint32_t msr)
{
	return msr != HV_X64_MSR_HYPERCALL;
}

/* TLFS: SYNIC-01 SYNIC-03 SYNIC-04 SYNIC-15 SYNIC-41 TIME-04 TIME-30 TIME-32 */
static void each_bit_of_each_register_is_kept_or_refused(void **state)
{
	for (size_t i = 0; i < hv_pair_msr_count; i++)
		for (unsigned bit = 0; bit < 64 && walks(hv_pair_msr[i]);
		     bit++) {
			wr(1, hv_pair_msr[i], UINT64_C(1) << bit);
			wr(1, hv_pair_msr[i], ~(UINT64_C(1) << bit));
		}
	assert_same();
}

/* TLFS: SYNIC-13 SYNIC-14 */
static void each_vector_of_a_sint_is_taken_or_refused(void **state)
{
	synic_on(0);
	for (uint64_t vector = 0; vector < 256; vector++)
		for (uint64_t flags = 0; flags < 8; flags++) {
			wr(0, SINT_MSR, vector | flags << 16);
			hv_pair_signal(&p, 0, SINT, (uint16_t)(vector * 8));
		}
	assert_same();
}

/* TLFS: SYNIC-45 TIME-49 TIME-50 TIME-51 TIME-52 */
static void timers_of_one_sint_have_their_messages_one_by_one(void **state)
{
	synic_on(0);
	for (unsigned n = 0; n < HV_STIMER_COUNT; n++) {
		wr(0, CONFIG(n), TO_SINT | EN | (n % 2 ? 0 :
						 HV_STIMER_PERIODIC));
		wr(0, COUNT(n), 5000);
	}
	for (unsigned n = 0; n < 4; n++) {
		hv_pair_set_time(&p, p.m.now + 7001);
		hv_pair_early_timer(&p, 0);
	}
	/* One is in the slot; however often they expired, one of each waits. */
	for (unsigned n = 0; n < 1 + HV_STIMER_COUNT; n++)
		assert_int_equal(take(), HVMSG_TIMER_EXPIRED);
	assert_int_equal(take(), HVMSG_NONE);
	assert_same();
}

/* TLFS: TIME-33 TIME-36 TIME-37 TIME-38 TIME-53 */
static void time_goes_on_tick_by_tick(void **state)
{
	wr(0, CONFIG(0), DIRECT | EN);
	wr(0, COUNT(0), 50);
	wr(0, CONFIG(1), DIRECT | EN | HV_STIMER_PERIODIC);
	wr(0, COUNT(1), 70);
	wr(1, CONFIG(2), TO_SINT | EN | HV_STIMER_PERIODIC);
	wr(1, COUNT(2), 2100);
	for (unsigned n = 0; n < 5000; n++)
		hv_pair_set_time(&p, p.m.now + 1);
	assert_same();
}

/* TLFS: SYNIC-16 SYNIC-39 SYNIC-40 SYNIC-42 SYNIC-50 */
static void messages_wait_whatever_is_off(void **state)
{
	static const struct {
		uint32_t msr;
		uint64_t off, on;
	} way[] = {
		{ HV_X64_MSR_SCONTROL, 0, HV_SYNIC_CONTROL_ENABLE },
		{ HV_X64_MSR_SIMP, 0, PLACE(0) | ENABLE },
		{ HV_X64_MSR_SIMP, PLACE(0), PLACE(0) | ENABLE },
		{ SINT_MSR, HV_SYNIC_SINT_MASKED, 0x51 },
	};

	synic_on(0);
	for (unsigned i = 0; i < G_N_ELEMENTS(way); i++) {
		wr(0, way[i].msr, way[i].off);
		for (unsigned n = 0; n < 6; n++)
			hv_pair_post(&p, 0, SINT, n % HV_MODEL_SENDERS);
		wr(0, HV_X64_MSR_EOM, 0);
		wr(0, way[i].msr, way[i].on);
		for (unsigned n = 0; n < 6; n++)
			assert_int_not_equal(take(), HVMSG_NONE);
		assert_int_equal(take(), HVMSG_NONE);
	}
	assert_same();
}

static void assert_says(const char *difference)
{
	hv_pair_early_timer(&p, 0);
	assert_non_null(p.difference);
	assert_string_equal(p.difference, difference);
	g_clear_pointer(&p.difference, g_free);
}

/* Of the comparing itself: it misses nothing. */
static void what_differs_is_said(void **state)
{
	p.h.ram[PLACE(3) + 7]++;
	assert_says("page 3 byte 0x7: model 0, hv 0x1");
	p.h.ram[PLACE(3) + 7]--;
	p.h.vp[1].raised[15]++;
	assert_says("VP 1 SINT 15 interrupts: model 0, hv 0x1");
	p.h.vp[1].raised[15]--;
	p.h.vp[0].interrupts[255]++;
	assert_says("VP 0 vector 255 interrupts: model 0, hv 0x1");
	p.h.vp[0].interrupts[255]--;
	p.m.vp[1].timer[3].count = 5;
	assert_says("VP 1 MSR 0x400000b7: model 0x5, hv 0");
	p.m.vp[1].timer[3].count = 0;
	p.h.ram[5]++;
	hv_pair_reset_and_check(&p);
	assert_string_equal(p.difference, "RAM at 0 was written to");
}

/* The same numbers everywhere: a failure comes again. */
static uint32_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) +
		 UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 32);
}

/*
 * TLFS: SYNIC-07 SYNIC-09 SYNIC-17 SYNIC-27 SYNIC-31 SYNIC-32 SYNIC-49 SYNIC-52
 * TIME-31 TIME-34 TIME-35 TIME-40 TIME-41 TIME-42 TIME-44 TIME-45 TIME-54
 */
static void random_sequences_do_as_the_model(void **state)
{
	for (uint64_t seed = 1; seed <= SEQUENCES; seed++) {
		uint32_t words[STEPS * sizeof(struct hv_step) / 4];
		g_autofree char *text = NULL;
		uint64_t random = seed;

		for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
			words[i] = next_random(&random);
		text = hv_sequence_run((const uint8_t *)words, sizeof(words));
		if (text)
			fail_msg("seed %u\n%s", (unsigned)seed, text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pages_on_one_place_are_uncovered_in_turn),
		TEST(pages_outside_ram_are_nowhere_and_can_come_back),
		TEST(each_bit_of_each_register_is_kept_or_refused),
		TEST(each_vector_of_a_sint_is_taken_or_refused),
		TEST(timers_of_one_sint_have_their_messages_one_by_one),
		TEST(time_goes_on_tick_by_tick),
		TEST(messages_wait_whatever_is_off),
		TEST(what_differs_is_said),
		cmocka_unit_test(random_sequences_do_as_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
