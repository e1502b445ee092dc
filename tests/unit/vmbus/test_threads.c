/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The data plane against a guest on threads of its own: each has a channel,
 * the devices share a loop, and the main loop moves the channels to and fro.
 *
 * A guest looks at its ring after an interrupt only, and waits for room by
 * pending_send_sz only; so one wake-up that is lost stops the test.
 */
#include <sched.h>

#include "rig.h"

#define GUESTS		2
#define PACKETS		250000u
#define PATIENCE_US	(20 * G_USEC_PER_SEC)
#define SIZE_MAX_WORDS	24

struct talker {
	struct guest_channel c;
	pthread_t thread;
	unsigned sent, received;
	const char *failure;		/* NULL: none */
	bool over;			/* atomic */
};

/* What packet @n holds: its length in words, and each of them. */
static unsigned words_of(unsigned n)
{
	return 1 + n * 2654435761u % SIZE_MAX_WORDS;
}

static uint64_t word_of(unsigned n, unsigned i)
{
	return (uint64_t)n << 32 | (n ^ i * 0x9e3779b9u);
}

static int send_next(struct talker *t)
{
	uint64_t body[SIZE_MAX_WORDS];
	unsigned words = words_of(t->sent);

	for (unsigned i = 0; i < words; i++)
		body[i] = word_of(t->sent, i);
	return guest_channel_send(&t->c, t->sent + 1, body, words * 8);
}

static bool check_answer(const struct talker *t, const struct guest_packet *p)
{
	if (p->desc.trans_id != t->received + 1 ||
	    p->len != words_of(t->received) * 8)
		return false;
	for (unsigned i = 0; i < p->len / 8; i++) {
		uint64_t word;

		memcpy(&word, p->payload + i * 8, 8);
		if (word != word_of(t->received, i))
			return false;
	}
	return true;
}

/* As an interrupt handler: mask, take all, unmask, look again. */
static bool receive_all(struct talker *t)
{
	struct guest_ring *rx = &t->c.rx;
	struct guest_packet p;
	bool more = true;

	while (more) {
		__atomic_store_n(&rx->ctrl->interrupt_mask, 1,
				 __ATOMIC_SEQ_CST);
		while (guest_channel_recv(&t->c, &p)) {
			if (!check_answer(t, &p))
				return false;
			t->received++;
		}
		__atomic_store_n(&rx->ctrl->interrupt_mask, 0,
				 __ATOMIC_SEQ_CST);
		more = __atomic_load_n(&rx->ctrl->write_index,
				       __ATOMIC_SEQ_CST) != rx->index;
	}
	return true;
}

/* An interrupt on any VP: the channel may be moving. */
static bool interrupted(struct talker *t)
{
	bool any = false;

	for (t->c.target_vp = 0; t->c.target_vp < GUEST_VPS; t->c.target_vp++)
		any |= guest_channel_signalled(&t->c);
	return any;
}

static bool wait_for_interrupt(struct talker *t)
{
	gint64 end = g_get_monotonic_time() + PATIENCE_US;

	while (!interrupted(t)) {
		if (g_get_monotonic_time() > end)
			return false;
		sched_yield();
	}
	return true;
}

/* Send until there is no room, even now that the host knows that we wait. */
static void send_all(struct talker *t)
{
	uint32_t *pending = &t->c.tx.ctrl->pending_send_sz;

	while (t->sent < PACKETS) {
		if (send_next(t)) {
			__atomic_store_n(pending, 2048, __ATOMIC_SEQ_CST);
				if (send_next(t))
				return;
			__atomic_store_n(pending, 0, __ATOMIC_SEQ_CST);
		}
		t->sent++;
	}
}

static void *talk(void *arg)
{
	struct talker *t = arg;

	while (t->received < PACKETS && !t->failure) {
		send_all(t);
		if (!wait_for_interrupt(t))
			t->failure = "no interrupt came";
		else if (!receive_all(t))
			t->failure = "an answer is wrong";
	}
	__atomic_store_n(&t->over, true, __ATOMIC_RELEASE);
	return NULL;
}

static void *run_devices(void *loop)
{
	loop_run(loop);
	return NULL;
}

struct threads_rig {
	struct guest *g;
	struct echo echo[GUESTS];
	struct talker talker[GUESTS];
	struct guest_offer offers;
	pthread_t devices;
	struct loop_note done;
	unsigned done_count;
};

static void reset_done(struct loop_note *note)
{
	container_of(note, struct threads_rig, done)->done_count++;
}

static void start(struct threads_rig *r)
{
	r->g = guest_new_threaded();
	r->done.run = reset_done;
	for (uint8_t i = 0; i < GUESTS; i++) {
		echo_init(&r->echo[i], r->g->dev, &r->g->gm, i);
		assert_int_equal(vmbus_offer(r->g->bus, &r->echo[i].vmbus), 0);
	}
	pthread_create(&r->devices, NULL, run_devices, r->g->dev);
	assert_true(guest_connect(r->g, VERSION_WIN10_V5_3));
	guest_request_offers(r->g, &r->offers);
}

static void open_all(struct threads_rig *r, uint32_t data_pages)
{
	for (unsigned i = 0; i < GUESTS; i++) {
		struct talker *t = &r->talker[i];

		*t = (struct talker){ 0 };
		guest_channel_init(&t->c, r->g, &r->offers.offer[i],
				   2 * (data_pages + 1), data_pages + 1);
		assert_true(guest_channel_open(&t->c));
	}
	for (unsigned i = 0; i < GUESTS; i++)
		pthread_create(&r->talker[i].thread, NULL, talk,
			       &r->talker[i]);
}

static bool is_over(const struct threads_rig *r)
{
	for (unsigned i = 0; i < GUESTS; i++)
		if (!__atomic_load_n(&r->talker[i].over, __ATOMIC_ACQUIRE))
			return false;
	return true;
}

static void move(struct threads_rig *r, unsigned i, uint32_t vp)
{
	struct vmbus_channel_modifychannel_response res;
	const struct vmbus_channel_modifychannel m = {
		.header.msgtype = CHANNELMSG_MODIFYCHANNEL,
		.child_relid = r->talker[i].c.relid, .target_vp = vp,
	};

	assert_int_equal(GUEST_POST(r->g, &m), 0);
	assert_true(GUEST_EXPECT(r->g, CHANNELMSG_MODIFYCHANNEL_RESPONSE,
				 &res));
	assert_int_equal(res.status, 0);
}

static void check_and_close(struct threads_rig *r)
{
	for (unsigned i = 0; i < GUESTS; i++) {
		struct talker *t = &r->talker[i];

		pthread_join(t->thread, NULL);
		assert_null(t->failure);
		assert_int_equal(t->received, PACKETS);
		guest_channel_close(&t->c);
	}
}

static void stop(struct threads_rig *r)
{
	vmbus_reset(r->g->bus, &r->done);
	while (!r->done_count)
		loop_turn(r->g->main, true);
	loop_stop(r->g->dev);
	pthread_join(r->devices, NULL);
	guest_free(r->g);
	for (unsigned i = 0; i < GUESTS; i++)
		echo_finish(&r->echo[i]);
}

/* Small rings, so that all waits for room happen; some answers come late. */
static void nothing_is_lost_between_threads(void **state)
{
	struct threads_rig r = { 0 };

	start(&r);
	r.echo[1].later = true;
	r.echo[1].depth = 100;
	open_all(&r, 2);
	check_and_close(&r);
	stop(&r);
}

static void nothing_is_lost_while_channels_move(void **state)
{
	struct threads_rig r = { 0 };
	uint32_t vp = 0;

	start(&r);
	r.echo[0].later = true;
	open_all(&r, 4);
	while (!is_over(&r)) {
		for (unsigned i = 0; i < GUESTS; i++)
			move(&r, i, vp % GUEST_VPS);
		vp++;
		g_usleep(100);
	}
	check_and_close(&r);
	stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_lost_between_threads),
		cmocka_unit_test(nothing_is_lost_while_channels_move),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
