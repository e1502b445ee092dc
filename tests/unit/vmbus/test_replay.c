/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What real guests said, message by message: replay/KERNEL.txt has what a
 * Debian kernel with 256 MiB posted from loading hv_vmbus and hv_storvsc to
 * removing them, as "--trace vmbus" shows it.
 */
#include <stdio.h>
#include <sys/mman.h>

#include "rig.h"

#define REAL_RAM	(UINT64_C(256) << 20)

static int setup(void **state)
{
	struct rig *r;

	rig_loops = 1;
	if (rig_setup(state))
		return -1;
	r = *state;
	/* As much RAM as the real guests had: their pages are all over it. */
	r->g->region.size = REAL_RAM;
	r->g->region.hva = mmap(NULL, REAL_RAM, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
				-1, 0);
	return r->g->region.hva == MAP_FAILED ? -1 : 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;
	void *ram = r->g->region.hva;
	int ret = rig_teardown(state);

	munmap(ram, REAL_RAM);
	return ret;
}

/* Post the messages of a file, one after the other. */
static void replay(struct guest *g, const char *name)
{
	g_autofree char *path = g_build_filename(REPLAY_DIR, name, NULL);
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;

	assert_true(g_file_get_contents(path, &text, NULL, NULL));
	lines = g_strsplit(g_strchomp(text), "\n", -1);
	for (unsigned i = 0; lines[i]; i++) {
		uint8_t msg[HV_MESSAGE_PAYLOAD_MAX];
		unsigned connection, byte, at, len = 0;

		assert_int_equal(sscanf(lines[i], "%u %n", &connection, &at),
				 1);
		for (; sscanf(lines[i] + at, "%2x", &byte) == 1; at += 2)
			msg[len++] = (uint8_t)byte;
		assert_int_equal(guest_post_on(g, connection, msg, len), 0);
		guest_run(g);
	}
}

static void expect_version(struct guest *g)
{
	struct vmbus_channel_version_response r;

	assert_true(GUEST_EXPECT(g, CHANNELMSG_VERSION_RESPONSE, &r));
	assert_int_equal(r.version_supported, 1);
	assert_int_equal(r.msg_conn_id, VMBUS_MESSAGE_CONNECTION_ID_4);
}

static void expect_life(void **state, const char *name)
{
	struct rig *r = *state;
	struct guest *g = r->g;
	struct vmbus_channel_offer_channel offer;
	struct vmbus_channel_gpadl_created created;
	struct vmbus_channel_open_result opened;
	struct vmbus_channel_gpadl_torndown torn;

	replay(g, name);
	expect_version(g);
	for (size_t i = 0; i < G_N_ELEMENTS(r->echo); i++)
		assert_true(GUEST_EXPECT(g, CHANNELMSG_OFFERCHANNEL, &offer));
	assert_true(guest_expect(g, CHANNELMSG_ALLOFFERS_DELIVERED, NULL, 8));
	assert_true(GUEST_EXPECT(g, CHANNELMSG_GPADL_CREATED, &created));
	assert_int_equal(created.creation_status, VMBUS_STATUS_SUCCESS);
	assert_true(GUEST_EXPECT(g, CHANNELMSG_OPENCHANNEL_RESULT, &opened));
	assert_int_equal(opened.status, VMBUS_STATUS_SUCCESS);
	assert_int_equal(opened.openid, created.child_relid);
	assert_true(GUEST_EXPECT(g, CHANNELMSG_GPADL_TORNDOWN, &torn));
	assert_int_equal(torn.gpadl, created.gpadl);
	assert_true(guest_expect(g, CHANNELMSG_UNLOAD_RESPONSE, NULL, 8));
	assert_null(guest_take(g));
	assert_non_null(strstr(r->echo[0].log->str, "open0"));
	assert_non_null(strstr(r->echo[0].log->str, "closed0"));
}

static void linux_6_1_comes_and_goes(void **state)
{
	expect_life(state, "linux-6.1.txt");
}

static void linux_6_12_comes_and_goes(void **state)
{
	expect_life(state, "linux-6.12.txt");
}

static void both_can_come_one_after_the_other(void **state)
{
	expect_life(state, "linux-6.1.txt");
	expect_life(state, "linux-6.12.txt");
}

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(linux_6_1_comes_and_goes),
		T(linux_6_12_comes_and_goes),
		T(both_can_come_one_after_the_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
