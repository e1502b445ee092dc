/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What most tests of the bus begin with: a guest and two echo devices, with
 * one loop for all or two.
 */
#ifndef VMBUS_TEST_RIG_H
#define VMBUS_TEST_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "core/util.h"
#include "echo_device.h"
#include "fake_guest.h"
#include "vmbus/vmbus_internal.h"

#define RIG_RING_PAGES	8

struct rig {
	struct guest *g;
	struct echo echo[2];
	struct guest_offer offers;
	struct guest_channel ch[2];
	struct loop_note done;		/* for withdraw and reset */
	unsigned done_count;
};

static unsigned rig_loops;

static inline void rig_done(struct loop_note *note)
{
	container_of(note, struct rig, done)->done_count++;
}

static inline int rig_setup(void **state)
{
	struct rig *r = g_new0(struct rig, 1);

	r->g = guest_new(rig_loops);
	r->done.run = rig_done;
	for (uint8_t i = 0; i < G_N_ELEMENTS(r->echo); i++) {
		echo_init(&r->echo[i], r->g->dev, &r->g->gm, i);
		assert_int_equal(vmbus_offer(r->g->bus, &r->echo[i].vmbus), 0);
	}
	*state = r;
	return 0;
}

/* Every test ends with a reset that must come to rest. */
static inline int rig_teardown(void **state)
{
	struct rig *r = *state;
	struct loop_note last = { .run = r->done.run };

	for (size_t i = 0; i < G_N_ELEMENTS(r->echo); i++) {
		r->echo[i].hold = false;
		r->echo[i].close_late = false;
	}
	r->done_count = 0;
	r->done = last;
	vmbus_reset(r->g->bus, &r->done);
	guest_run(r->g);
	for (size_t i = 0; i < G_N_ELEMENTS(r->echo); i++) {
		echo_release(&r->echo[i], UINT32_MAX);
		echo_finish_close(&r->echo[i]);
	}
	guest_run(r->g);
	assert_int_equal(r->done_count, 1);
	assert_int_equal(g_hash_table_size(r->g->bus->gpadls), 0);
	assert_int_equal(r->g->bus->gpadl_words, 0);
	assert_int_equal(r->g->bus->filling->len, 0);
	guest_free(r->g);
	for (size_t i = 0; i < G_N_ELEMENTS(r->echo); i++)
		echo_finish(&r->echo[i]);
	g_free(r);
	return 0;
}

/* Connected, with the offers known. */
static inline void rig_connect(struct rig *r, uint32_t version)
{
	assert_true(guest_connect(r->g, version));
	guest_request_offers(r->g, &r->offers);
	assert_int_equal(r->offers.count, G_N_ELEMENTS(r->echo));
	for (size_t i = 0; i < G_N_ELEMENTS(r->ch); i++)
		guest_channel_init(&r->ch[i], r->g, &r->offers.offer[i],
				   2 * RIG_RING_PAGES, RIG_RING_PAGES);
}

/* And the first channel open. */
static inline struct guest_channel *rig_open(struct rig *r, uint32_t version)
{
	rig_connect(r, version);
	assert_true(guest_channel_open(&r->ch[0]));
	guest_run(r->g);
	return &r->ch[0];
}

/* No message is left. */
static inline void rig_silent(struct rig *r)
{
	assert_int_equal(g_queue_get_length(&r->g->messages), 0);
}

#define RIG_TEST(f)	cmocka_unit_test_setup_teardown(f, rig_setup, \
							rig_teardown)

/* Run @tests with one loop, then with two that turn alternately. */
#define RIG_RUN(tests)							\
	({								\
		int failed_;						\
									\
		rig_loops = 1;						\
		failed_ = cmocka_run_group_tests_name("one loop", tests, \
						      NULL, NULL);	\
		rig_loops = 2;						\
		failed_ + cmocka_run_group_tests_name("two loops", tests, \
						      NULL, NULL);	\
	})

#endif
