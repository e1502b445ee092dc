/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What other threads may do while a VP runs: signal, post, forget, connect,
 * disconnect.  Built with ThreadSanitizer these tests show that nothing is
 * unlocked; built without, that nothing is lost.
 */
#include "hv_test.h"

#define VP		1
#define SINT		2
#define OTHER_SINT	3
#define VECTOR		0xf3
#define MESSAGES	20000u
#define SIGNALS		20000u
#define ROUNDS		2000u

static struct hv_sint *sint;

static int two_vps(void **state)
{
	hv_host_init(&h, VP_COUNT);
	hv_host_synic_on(&h, VP);
	wr(VP, sint_msr(SINT), VECTOR);
	sint = hv_get_sint(h.hv, VP, SINT);
	return 0;
}

#undef TEST
#define TEST(f)	cmocka_unit_test_setup_teardown(f, two_vps, tear_down)

static bool load(const bool *flag)
{
	return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}

static void store(bool *flag, bool value)
{
	__atomic_store_n(flag, value, __ATOMIC_RELEASE);
}

/*
 * A sender on a thread of its own.  Its note wakes it, as a loop is woken by
 * loop_post().
 */
struct sender {
	struct hv_sint_note note;
	bool may_post;
	uint32_t base;
};

static void wake(struct hv_sint_note *note)
{
	store(&container_of(note, struct sender, note)->may_post, true);
}

static void *send(void *arg)
{
	struct sender *s = arg;

	for (uint32_t i = 0; i < MESSAGES; i++) {
		uint32_t type = s->base + i;

		for (;;) {
			store(&s->may_post, false);
			if (!sint->post(sint, type, &type, sizeof(type),
					&s->note))
				break;
			while (!load(&s->may_post))
				sched_yield();
		}
	}
	return NULL;
}

/*
 * The guest takes messages when it is interrupted, and says EOM only when it
 * is asked to: a lost interrupt or a pending flag that is missing hangs this.
 */
static void no_message_is_lost(bool polls)
{
	struct sender s[2] = {
		{ .note.run = wake, .base = 0x10000 },
		{ .note.run = wake, .base = 0x20000 },
	};
	uint32_t next[2] = { s[0].base, s[1].base };
	unsigned seen = 0, taken = 0;
	pthread_t thread[2];

	for (unsigned i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, send, &s[i]);
	while (taken < 2 * MESSAGES) {
		struct hv_host_message m;
		unsigned raised = __atomic_load_n(&h.vp[VP].raised[SINT],
						  __ATOMIC_SEQ_CST);

		if (raised == seen && !polls) {
			sched_yield();
			continue;
		}
		seen = raised;
		while (hv_host_take_message(&h, VP, SINT, &m)) {
			uint32_t type = m.header.message_type;
			unsigned from = type >= s[1].base;

			assert_int_equal(type, next[from]);
			assert_memory_equal(m.payload, &type, sizeof(type));
			next[from]++;
			taken++;
		}
	}
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(hv_host_message_type(&h, VP, SINT), 0);
}

/* TLFS: SYNIC-26 SYNIC-28 SYNIC-34 */
static void no_message_is_lost_to_a_guest_with_interrupts(void **state)
{
	no_message_is_lost(false);
}

/* TLFS: SYNIC-26 SYNIC-28 */
static void no_message_is_lost_to_a_guest_that_polls(void **state)
{
	no_message_is_lost(true);
}

static void *signal_all(void *arg)
{
	unsigned *sent = arg;

	for (unsigned i = 0; i < SIGNALS; i++)
		if (!sint->signal(sint, (uint16_t)(i % HV_EVENT_FLAG_COUNT)))
			(*sent)++;
	return NULL;
}

static bool done;

static void *signal_one_word(void *arg)
{
	unsigned *sent = arg;

	for (unsigned i = 0; i < 50 * SIGNALS; i++)
		*sent += !sint->signal(sint, (uint16_t)(i % 16));
	store(&done, true);
	return NULL;
}

static unsigned take_one_word(void)
{
	unsigned taken = 0;

	for (unsigned flag = 0; flag < 16; flag++)
		taken += hv_host_take_flag(&h, VP, SINT, flag);
	return taken;
}

/*
 * The guest clears flags of a word in which others are being set: each that
 * was clear interrupts once, and is found once.
 */
/* TLFS: SYNIC-51 SYNIC-52 */
static void flags_of_one_word_do_not_disturb_each_other(void **state)
{
	unsigned sent = 0, taken = 0;
	pthread_t thread;

	store(&done, false);
	pthread_create(&thread, NULL, signal_one_word, &sent);
	while (!load(&done))
		taken += take_one_word();
	pthread_join(thread, NULL);
	taken += take_one_word();
	assert_int_equal(sent, 50 * SIGNALS);
	assert_int_equal(taken, h.vp[VP].raised[SINT]);
}

/* Flags keep to the page: they are there wherever it is. */
static void flags_survive_a_page_that_moves(void **state)
{
	const uint64_t places[] = {
		0x10000 | ENABLE, 0x20000 | ENABLE, 0, 0x20000,
		0x10000 | ENABLE,
	};
	unsigned sent = 0, flags = 0;
	pthread_t thread;

	pthread_create(&thread, NULL, signal_all, &sent);
	for (unsigned i = 0; i < ROUNDS; i++) {
		wr(VP, HV_X64_MSR_SIEFP, places[i % G_N_ELEMENTS(places)]);
		wr(VP, sint_msr(SINT), VECTOR | (i % 7 ? 0 : 0x10000));
		wr(VP, HV_X64_MSR_SCONTROL, i % 11 != 0);
	}
	pthread_join(thread, NULL);

	wr(VP, HV_X64_MSR_SIEFP, hv_host_siefp(VP) | ENABLE);
	for (unsigned flag = 0; flag < HV_EVENT_FLAG_COUNT; flag++)
		flags += hv_host_take_flag(&h, VP, SINT, flag);
	assert_true(flags <= sent);
	assert_true(!sent || flags > 0);
	/* RAM at the places has nothing of it. */
	for (unsigned i = 0; i < PAGE; i++)
		assert_int_equal(h.ram[0x10000 + i] | h.ram[0x20000 + i], 0);
}

struct port {
	struct hv_event_port port;
	bool connected;
};

static int entered(struct hv_event_port *port, uint16_t flag)
{
	struct port *p = container_of(port, struct port, port);

	if (!load(&p->connected))
		abort();
	return 0;
}

static void *ring(void *arg)
{
	while (!load(&done))
		hv_doorbell(h.hv, 0, 7);
	return NULL;
}

static void nobody_is_in_a_port_after_disconnect(void **state)
{
	pthread_t thread[2];

	store(&done, false);
	for (unsigned i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, ring, NULL);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct port *p = g_new0(struct port, 1);

		p->port.signal = entered;
		store(&p->connected, true);
		assert_int_equal(hv_connect_event(h.hv, 7, &p->port), 0);
		if (i % 16 == 0)
			sched_yield();
		hv_disconnect(h.hv, 7);
		store(&p->connected, false);
		g_free(p);
	}
	store(&done, true);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
}

static void use_note(struct hv_sint_note *note)
{
	struct sender *s = container_of(note, struct sender, note);

	s->base++;
	sched_yield();
	s->base++;
}

static void *eom_all(void *arg)
{
	struct hv_host_message m;

	while (!load(&done))
		if (!hv_host_take_message(&h, VP, SINT, &m))
			sched_yield();
	return NULL;
}

static void a_forgotten_note_is_nobodys(void **state)
{
	pthread_t thread;

	store(&done, false);
	pthread_create(&thread, NULL, eom_all, NULL);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct sender *s = g_new0(struct sender, 1);

		s->note.run = use_note;
		while (!sint->post(sint, 1, "x", 1, &s->note))
			;
		if (i % 2)
			sched_yield();
		sint->forget(sint, &s->note);
		assert_true(s->base == 0 || s->base == 2);
		g_free(s);
	}
	store(&done, true);
	pthread_join(thread, NULL);
}

static void *write_registers(void *arg)
{
	uint32_t vp = GPOINTER_TO_UINT(arg);

	for (unsigned i = 0; i < ROUNDS; i++) {
		wr(vp, HV_X64_MSR_GUEST_OS_ID, i % 5);
		wr(vp, HV_X64_MSR_HYPERCALL,
		   (i % 3) * PAGE | (i % 2 ? ENABLE : 0));
		wr(vp, HV_X64_MSR_SIMP, (i % 4) * PAGE | (i % 3 ? ENABLE : 0));
		wr(vp, HV_X64_MSR_CRASH_P0, i);
		rd(vp, HV_X64_MSR_REFERENCE_TSC);
	}
	wr(vp, HV_X64_MSR_SIMP, 0);
	return NULL;
}

static void overlays_of_all_vps_may_change_at_once(void **state)
{
	pthread_t thread[VP_COUNT];

	for (uint32_t i = 0; i < VP_COUNT; i++)
		pthread_create(&thread[i], NULL, write_registers,
			       GUINT_TO_POINTER(i));
	for (uint32_t i = 0; i < VP_COUNT; i++)
		pthread_join(thread[i], NULL);
	wr(0, HV_X64_MSR_GUEST_OS_ID, 0);
	for (unsigned i = 0; i < 4 * PAGE; i++)
		assert_int_equal(h.ram[i], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(no_message_is_lost_to_a_guest_with_interrupts),
		TEST(no_message_is_lost_to_a_guest_that_polls),
		TEST(flags_of_one_word_do_not_disturb_each_other),
		TEST(flags_survive_a_page_that_moves),
		TEST(nobody_is_in_a_port_after_disconnect),
		TEST(a_forgotten_note_is_nobodys),
		TEST(overlays_of_all_vps_may_change_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
