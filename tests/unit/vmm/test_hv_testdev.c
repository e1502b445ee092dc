/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <glib.h>

#include "hv_host.h"
#include "vmm/hv_testdev.h"

enum { ROUTE = 1, NO_ROUTE, RAISE, MESSAGE, NO_MESSAGE, EVENT, NO_EVENT };

#define VP_COUNT	4
#define SINT		5
#define VECTOR		0x55
#define INPUT		UINT64_C(0x1000)	/* of HvPostMessage */
#define CALL_PAGE	UINT64_C(0x2000)
#define TYPE		0x12345678

static struct hv_host h;
static struct ioports ports;
static struct hv_testdev *dev;

static int setup(void **state)
{
	hv_host_init(&h, VP_COUNT);
	hv_host_wrmsr(&h, 0, HV_X64_MSR_GUEST_OS_ID, 1);
	hv_host_wrmsr(&h, 0, HV_X64_MSR_HYPERCALL,
		      CALL_PAGE | HV_MSR_PAGE_ENABLE);
	for (uint32_t vp = 0; vp < VP_COUNT; vp++) {
		hv_host_synic_on(&h, vp);
		hv_host_wrmsr(&h, vp, HV_X64_MSR_SINT0 + SINT, VECTOR);
	}
	dev = hv_testdev_new(h.hv, &hv_host_ops, &h);
	ioports_init(&ports);
	ioports_add(&ports, hv_testdev_port(dev));
	return 0;
}

static int teardown(void **state)
{
	hv_testdev_free(dev);
	ioports_finish(&ports);
	hv_host_finish(&h);
	return 0;
}

static uint32_t encode(unsigned control, unsigned vp, unsigned sint,
		       unsigned id)
{
	return id << 24 | control << 16 | vp << 8 | sint;
}

static void command(unsigned control, unsigned vp, unsigned sint, unsigned id)
{
	ioports_write(&ports, 0x3000, 4, encode(control, vp, sint, id));
}

static unsigned call(struct hv_call *c)
{
	c->long_mode = c->protected_mode = true;
	assert_true(hv_hypercall(h.hv, 0, c));
	return (uint16_t)c->rax;
}

static unsigned signal_flag(unsigned id, uint64_t flag)
{
	struct hv_call c = {
		.rcx = HVCALL_SIGNAL_EVENT | HV_HYPERCALL_FAST,
		.rdx = flag << 32 | id,
	};

	return call(&c);
}

static unsigned signal_event(unsigned id)
{
	return signal_flag(id, 0);
}

static unsigned post_message(unsigned id, uint64_t payload)
{
	const struct hv_input_post_message in = {
		.connection_id = id, .message_type = TYPE, .payload_size = 8,
	};
	struct hv_call c = { .rcx = HVCALL_POST_MESSAGE, .rdx = INPUT };

	memcpy(h.ram + INPUT, &in, sizeof(in));
	memcpy(h.ram + INPUT + sizeof(in), &payload, sizeof(payload));
	return call(&c);
}

static void expect_message(uint32_t vp, unsigned id, uint64_t payload)
{
	struct hv_host_message m;
	uint64_t got;

	assert_true(hv_host_take_message(&h, vp, SINT, &m));
	memcpy(&got, m.payload, sizeof(got));
	assert_int_equal(m.header.message_type, TYPE);
	assert_int_equal(m.header.payload_size, 8);
	assert_int_equal(m.header.origination_id, id);
	assert_int_equal(got, payload);
}

static void a_sint_is_raised_while_it_has_a_route(void **state)
{
	command(RAISE, 1, SINT, 0);
	assert_int_equal(h.vp[1].raised[SINT], 0);
	command(ROUTE, 1, SINT, 0);
	command(RAISE, 1, SINT, 0);
	command(RAISE, 1, SINT, 0);
	assert_int_equal(h.vp[1].raised[SINT], 2);
	command(RAISE, 2, SINT, 0);
	command(RAISE, 1, SINT + 1, 0);
	assert_int_equal(h.vp[2].raised[SINT], 0);
	assert_int_equal(h.vp[1].raised[SINT + 1], 0);
	command(NO_ROUTE, 1, SINT, 0);
	command(RAISE, 1, SINT, 0);
	assert_int_equal(h.vp[1].raised[SINT], 2);
}

static void an_event_comes_back_as_the_flag_of_its_connection(void **state)
{
	assert_int_equal(signal_event(0x21), HV_STATUS_INVALID_CONNECTION_ID);
	command(EVENT, 3, SINT, 0x21);
	assert_int_equal(signal_event(0x21), HV_STATUS_SUCCESS);
	assert_int_equal(h.vp[3].raised[SINT], 1);
	assert_int_equal(signal_event(0x21), HV_STATUS_SUCCESS);
	assert_int_equal(h.vp[3].raised[SINT], 1);
	assert_true(hv_host_take_flag(&h, 3, SINT, 0x21));
	command(NO_EVENT, 0, 0, 0x21);
	assert_int_equal(signal_event(0x21), HV_STATUS_INVALID_CONNECTION_ID);
}

/* TLFS: IPC-19 IPC-20 */
static void a_flag_counts_from_that_of_the_connection(void **state)
{
	const unsigned id = 0xfe, last = HV_EVENT_FLAG_COUNT - 1 - id;

	command(EVENT, 3, SINT, id);
	assert_int_equal(signal_flag(id, 3), HV_STATUS_SUCCESS);
	assert_false(hv_host_take_flag(&h, 3, SINT, id));
	assert_true(hv_host_take_flag(&h, 3, SINT, id + 3));
	assert_int_equal(signal_flag(id, last), HV_STATUS_SUCCESS);
	assert_true(hv_host_take_flag(&h, 3, SINT, HV_EVENT_FLAG_COUNT - 1));
	assert_int_equal(signal_flag(id, last + 1),
			 HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(h.vp[3].raised[SINT], 2);
}

/* TLFS: SYNIC-53 IPC-22 */
static void who_signals_learns_that_nobody_takes_it(void **state)
{
	const uint64_t sint = hv_host_rdmsr(&h, 3, HV_X64_MSR_SINT0 + SINT);
	const uint64_t siefp = hv_host_rdmsr(&h, 3, HV_X64_MSR_SIEFP);

	command(EVENT, 3, SINT, 0x21);
	hv_host_wrmsr(&h, 3, HV_X64_MSR_SINT0 + SINT,
		      sint | HV_SYNIC_SINT_MASKED);
	assert_int_equal(signal_event(0x21), HV_STATUS_INVALID_SYNIC_STATE);
	hv_host_wrmsr(&h, 3, HV_X64_MSR_SINT0 + SINT, sint);
	hv_host_wrmsr(&h, 3, HV_X64_MSR_SIEFP, 0);
	assert_int_equal(signal_event(0x21), HV_STATUS_INVALID_SYNIC_STATE);
	hv_host_wrmsr(&h, 3, HV_X64_MSR_SIEFP, siefp);
	hv_host_wrmsr(&h, 3, HV_X64_MSR_SCONTROL, 0);
	assert_int_equal(signal_event(0x21), HV_STATUS_INVALID_SYNIC_STATE);
	hv_host_wrmsr(&h, 3, HV_X64_MSR_SCONTROL, HV_SYNIC_CONTROL_ENABLE);
	assert_int_equal(h.vp[3].raised[SINT], 0);
	assert_int_equal(signal_event(0x21), HV_STATUS_SUCCESS);
	assert_int_equal(h.vp[3].raised[SINT], 1);
}

/*
 * Nothing of it comes later; but what was taken before stays, and the SINT may
 * be masked.
 */
/* TLFS: SYNIC-02 SYNIC-16 SYNIC-50 IPC-15 */
static void who_posts_learns_that_nobody_takes_it(void **state)
{
	const uint64_t sint = hv_host_rdmsr(&h, 3, HV_X64_MSR_SINT0 + SINT);
	const uint64_t simp = hv_host_rdmsr(&h, 3, HV_X64_MSR_SIMP);
	struct hv_host_message m;

	command(MESSAGE, 3, SINT, 0x21);
	assert_int_equal(post_message(0x21, 1), HV_STATUS_SUCCESS);
	assert_int_equal(post_message(0x21, 2), HV_STATUS_SUCCESS);
	hv_host_wrmsr(&h, 3, HV_X64_MSR_SIMP, simp & ~HV_MSR_PAGE_ENABLE);
	assert_int_equal(post_message(0x21, 3), HV_STATUS_INVALID_SYNIC_STATE);
	hv_host_wrmsr(&h, 3, HV_X64_MSR_SIMP, simp);
	hv_host_wrmsr(&h, 3, HV_X64_MSR_SCONTROL, 0);
	assert_int_equal(post_message(0x21, 4), HV_STATUS_INVALID_SYNIC_STATE);
	hv_host_wrmsr(&h, 3, HV_X64_MSR_SCONTROL, HV_SYNIC_CONTROL_ENABLE);
	expect_message(3, 0x21, 1);
	expect_message(3, 0x21, 2);
	assert_false(hv_host_take_message(&h, 3, SINT, &m));
	hv_host_wrmsr(&h, 3, HV_X64_MSR_SINT0 + SINT,
		      sint | HV_SYNIC_SINT_MASKED);
	assert_int_equal(post_message(0x21, 5), HV_STATUS_SUCCESS);
	expect_message(3, 0x21, 5);
}

/* TLFS: IPC-14 */
static void who_uses_a_connection_to_no_vp_learns_that(void **state)
{
	static const unsigned nobody[] = { VP_COUNT, HV_VP_MAX, 0xff };

	for (unsigned i = 0; i < G_N_ELEMENTS(nobody); i++) {
		command(MESSAGE, nobody[i], SINT, 0x21);
		command(EVENT, nobody[i], SINT, 0x22);
		assert_int_equal(post_message(0x21, 1),
				 HV_STATUS_INVALID_VP_INDEX);
		assert_int_equal(signal_event(0x22),
				 HV_STATUS_INVALID_VP_INDEX);
		command(NO_MESSAGE, 0, 0, 0x21);
		command(NO_EVENT, 0, 0, 0x22);
		assert_int_equal(post_message(0x21, 1),
				 HV_STATUS_INVALID_CONNECTION_ID);
	}
}

static void a_message_comes_back(void **state)
{
	assert_int_equal(post_message(0x11, 1),
			 HV_STATUS_INVALID_CONNECTION_ID);
	command(MESSAGE, 2, SINT, 0x11);
	assert_int_equal(post_message(0x11, 0x1122334455667788),
			 HV_STATUS_SUCCESS);
	assert_int_equal(h.vp[2].raised[SINT], 1);
	expect_message(2, 0x11, 0x1122334455667788);
	command(NO_MESSAGE, 0, 0, 0x11);
	assert_int_equal(post_message(0x11, 1),
			 HV_STATUS_INVALID_CONNECTION_ID);
}

static void a_message_waits_for_its_slot_and_the_next_is_refused(void **state)
{
	struct hv_host_message m;

	command(MESSAGE, 2, SINT, 0x11);
	assert_int_equal(post_message(0x11, 1), HV_STATUS_SUCCESS);
	assert_int_equal(post_message(0x11, 2), HV_STATUS_SUCCESS);
	assert_int_equal(post_message(0x11, 3),
			 HV_STATUS_INSUFFICIENT_BUFFERS);
	assert_int_equal(h.vp[2].raised[SINT], 1);
	expect_message(2, 0x11, 1);
	assert_int_equal(h.vp[2].raised[SINT], 2);
	assert_int_equal(post_message(0x11, 4), HV_STATUS_SUCCESS);
	expect_message(2, 0x11, 2);
	expect_message(2, 0x11, 4);
	assert_false(hv_host_take_message(&h, 2, SINT, &m));
}

static void a_message_that_waits_is_lost_with_its_connection(void **state)
{
	struct hv_host_message m;

	command(MESSAGE, 2, SINT, 0x11);
	post_message(0x11, 1);
	post_message(0x11, 2);
	command(NO_MESSAGE, 0, 0, 0x11);
	expect_message(2, 0x11, 1);
	hv_host_wrmsr(&h, 2, HV_X64_MSR_EOM, 0);
	assert_false(hv_host_take_message(&h, 2, SINT, &m));
}

static void connections_are_destroyed_by_their_own_kind_only(void **state)
{
	command(MESSAGE, 0, SINT, 0x11);
	command(EVENT, 0, SINT, 0x21);
	command(NO_EVENT, 0, 0, 0x11);
	command(NO_MESSAGE, 0, 0, 0x21);
	assert_int_equal(post_message(0x11, 1), HV_STATUS_SUCCESS);
	assert_int_equal(signal_event(0x21), HV_STATUS_SUCCESS);
}

static void taken_ids_stay_with_who_has_them(void **state)
{
	static struct hv_event_port others;

	command(EVENT, 1, SINT, 0x21);
	command(EVENT, 2, SINT, 0x21);
	command(MESSAGE, 2, SINT, 0x21);
	assert_int_equal(signal_event(0x21), HV_STATUS_SUCCESS);
	assert_int_equal(h.vp[1].raised[SINT], 1);
	assert_int_equal(h.vp[2].raised[SINT], 0);

	assert_int_equal(hv_connect_event(h.hv, 7, &others), 0);
	command(MESSAGE, 1, SINT, 7);
	command(NO_MESSAGE, 1, SINT, 7);
	assert_int_equal(post_message(7, 1), HV_STATUS_INVALID_PORT_ID);
	hv_disconnect(h.hv, 7);
}

static void commands_for_nobody_do_nothing(void **state)
{
	static const struct {
		unsigned vp, sint;
	} nobody[] = {
		{ VP_COUNT, 16 }, { 0xff, 0xff }, { 0, 16 }, { 0, 0xff },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(nobody); i++) {
		command(ROUTE, nobody[i].vp, nobody[i].sint, 0);
		command(RAISE, nobody[i].vp, nobody[i].sint, 0);
		command(NO_ROUTE, nobody[i].vp, nobody[i].sint, 0);
		command(MESSAGE, nobody[i].vp, nobody[i].sint, 0x31);
		command(EVENT, nobody[i].vp, nobody[i].sint, 0x31);
		assert_int_equal(signal_event(0x31),
				 HV_STATUS_INVALID_CONNECTION_ID);
	}
	for (unsigned control = NO_EVENT + 1; control <= 0xff; control++)
		command(control, 0, SINT, 0x31);
	command(0, 0, SINT, 0x31);
	assert_int_equal(signal_event(0x31), HV_STATUS_INVALID_CONNECTION_ID);
	for (uint32_t vp = 0; vp < HV_VP_MAX; vp++)
		assert_int_equal(h.vp[vp].raised[SINT], 0);
}

static void commands_have_32_bits(void **state)
{
	ioports_write(&ports, 0x3000, 2, encode(EVENT, 0, SINT, 0x21));
	ioports_write(&ports, 0x3000, 1, encode(EVENT, 0, SINT, 0x21));
	ioports_write(&ports, 0x3001, 4, encode(EVENT, 0, SINT, 0x21));
	assert_int_equal(signal_event(0x21), HV_STATUS_INVALID_CONNECTION_ID);
	assert_int_equal(ioports_read(&ports, 0x3000, 4), UINT32_MAX);
}

static void all_ids_can_be_used_and_a_reset_takes_them(void **state)
{
	for (unsigned id = 0; id < 256; id++)
		command(id % 2 ? EVENT : MESSAGE, 1, SINT, id);
	command(ROUTE, 1, SINT, 0);
	for (unsigned id = 0; id < 256; id++)
		assert_int_equal(id % 2 ? signal_event(id) :
					  post_message(id, id),
				 HV_STATUS_SUCCESS);
	hv_testdev_reset(dev);
	for (unsigned id = 0; id < 256; id++)
		assert_int_equal(signal_event(id),
				 HV_STATUS_INVALID_CONNECTION_ID);
	h.vp[1].raised[SINT] = 0;
	command(RAISE, 1, SINT, 0);
	assert_int_equal(h.vp[1].raised[SINT], 0);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_sint_is_raised_while_it_has_a_route),
		TEST(an_event_comes_back_as_the_flag_of_its_connection),
		TEST(a_flag_counts_from_that_of_the_connection),
		TEST(who_signals_learns_that_nobody_takes_it),
		TEST(who_posts_learns_that_nobody_takes_it),
		TEST(who_uses_a_connection_to_no_vp_learns_that),
		TEST(a_message_comes_back),
		TEST(a_message_waits_for_its_slot_and_the_next_is_refused),
		TEST(a_message_that_waits_is_lost_with_its_connection),
		TEST(connections_are_destroyed_by_their_own_kind_only),
		TEST(taken_ids_stay_with_who_has_them),
		TEST(commands_for_nobody_do_nothing),
		TEST(commands_have_32_bits),
		TEST(all_ids_can_be_used_and_a_reset_takes_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
