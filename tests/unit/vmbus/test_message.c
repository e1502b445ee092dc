/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rig.h"

static const struct vmbus_channel_message_header request_offers = {
	.msgtype = CHANNELMSG_REQUESTOFFERS,
};
static const struct vmbus_channel_message_header unload = {
	.msgtype = CHANNELMSG_UNLOAD,
};

static int post_contact(struct guest *g, uint32_t id, uint32_t version,
			uint32_t vp)
{
	const struct vmbus_channel_initiate_contact c = {
		.header.msgtype = CHANNELMSG_INITIATE_CONTACT,
		.vmbus_version_requested = version, .target_vcpu = vp,
		.msg_sint = VMBUS_MESSAGE_SINT,
	};

	return guest_post_on(g, id, &c, sizeof(c));
}

static void there_are_two_ports_and_no_more(void **state)
{
	struct rig *r = *state;

	assert_non_null(vmbus_message_port(r->g->bus, 1));
	assert_non_null(vmbus_message_port(r->g->bus, 4));
	for (uint32_t id = 0; id < 100; id++)
		assert_int_equal(!vmbus_message_port(r->g->bus, id),
				 id != 1 && id != 4);
}

static void messages_of_another_type_or_size_are_invalid(void **state)
{
	struct rig *r = *state;
	struct hv_message_port *p = vmbus_message_port(r->g->bus, 1);
	uint8_t bytes[HV_MESSAGE_PAYLOAD_MAX + 1] = { 0 };

	assert_int_equal(p->post(p, 0, bytes, 8), -EINVAL);
	assert_int_equal(p->post(p, 2, bytes, 8), -EINVAL);
	assert_int_equal(p->post(p, 0x80000010, bytes, 8), -EINVAL);
	assert_int_equal(p->post(p, 1, bytes, sizeof(bytes)), -EINVAL);
	assert_int_equal(p->post(p, 1, bytes, sizeof(bytes) - 1), 0);
	assert_int_equal(p->post(p, 1, bytes, 0), 0);
}

/* TLFS: IPC-13 SYNIC-48 */
static void each_port_has_sixteen_buffers(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(guest_post_on(r->g, 1, &unload,
					       sizeof(unload)), 0);
	assert_int_equal(guest_post_on(r->g, 1, &unload, sizeof(unload)),
			 -EAGAIN);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(guest_post_on(r->g, 4, &unload,
					       sizeof(unload)), 0);
	assert_int_equal(guest_post_on(r->g, 4, &unload, sizeof(unload)),
			 -EAGAIN);
	guest_run(r->g);
	assert_int_equal(guest_post_on(r->g, 1, &unload, sizeof(unload)), 0);
	assert_int_equal(guest_post_on(r->g, 4, &unload, sizeof(unload)), 0);
	guest_run(r->g);
	for (unsigned i = 0; i < 34; i++)
		assert_true(guest_expect(r->g, CHANNELMSG_UNLOAD_RESPONSE,
					 NULL, 8));
	rig_silent(r);
}

static void answers_come_in_the_order_of_the_questions(void **state)
{
	struct rig *r = *state;

	rig_connect(r, VERSION_WIN10_V5_3);
	r->g->deaf = true;
	for (uint32_t id = 1; id <= 10; id++)
		guest_send_gpadl(r->g, 1, id, guest_pages(r->g, 2), 2);
	r->g->deaf = false;
	guest_run(r->g);
	for (uint32_t id = 1; id <= 10; id++) {
		struct vmbus_channel_gpadl_created c;

		assert_true(GUEST_EXPECT(r->g, CHANNELMSG_GPADL_CREATED, &c));
		assert_int_equal(c.gpadl, id);
	}
	rig_silent(r);
}

/* A guest that does not take its answers is not listened to, and loses none. */
static void a_deaf_guest_is_held_up(void **state)
{
	struct rig *r = *state;
	unsigned taken = 0, answers = 0;

	rig_connect(r, VERSION_WIN10_V5_3);
	r->g->deaf = true;
	while (guest_post(r->g, &unload, sizeof(unload)) == 0)
		taken++;
	/* One in the slot, those that wait, and those that are not read. */
	assert_in_range(taken, ANSWERS_MAX + PORT_BUFFERS,
			ANSWERS_MAX + PORT_BUFFERS + 1);
	r->g->deaf = false;
	guest_run(r->g);
	while (guest_expect(r->g, CHANNELMSG_UNLOAD_RESPONSE, NULL, 8))
		answers++;
	assert_int_equal(answers, taken);
	rig_silent(r);
}

static void ask_deaf(struct rig *r)
{
	assert_int_equal(guest_post(r->g, &unload, sizeof(unload)), 0);
	guest_run(r->g);
}

/* A guest that empties its slot, but does not say so. */
/* TLFS: SYNIC-36 */
static void another_answer_has_the_one_that_waits_tried(void **state)
{
	struct rig *r = *state;
	struct guest_sint *s = &r->g->sint[0][VMBUS_MESSAGE_SINT];

	rig_connect(r, VERSION_WIN10_V5_3);
	r->g->deaf = true;
	ask_deaf(r);
	ask_deaf(r);
	assert_true(s->full);
	s->full = false;
	guest_run(r->g);
	assert_false(s->full);
	ask_deaf(r);
	assert_true(s->full);
}

static void messages_wait_while_the_page_is_off(void **state)
{
	struct rig *r = *state;

	guest_sint_off(r->g, 0, VMBUS_MESSAGE_SINT, true);
	assert_int_equal(post_contact(r->g, 1, VERSION_WIN10, 0), 0);
	guest_post_on(r->g, 1, &request_offers, sizeof(request_offers));
	guest_run(r->g);
	rig_silent(r);
	guest_sint_off(r->g, 0, VMBUS_MESSAGE_SINT, false);
	guest_run(r->g);
	assert_true(guest_expect(r->g, CHANNELMSG_VERSION_RESPONSE, NULL, 16));
	assert_true(guest_expect(r->g, CHANNELMSG_OFFERCHANNEL, NULL, 196));
	assert_true(guest_expect(r->g, CHANNELMSG_OFFERCHANNEL, NULL, 196));
	assert_true(guest_expect(r->g, CHANNELMSG_ALLOFFERS_DELIVERED, NULL,
				 8));
	rig_silent(r);
}

/*
 * A kernel crashed with VP 1's messages unread and both ports full; the next
 * one runs on VP 0.
 */
static void a_new_kernel_is_heard_over_the_noise_of_the_old(void **state)
{
	struct rig *r = *state;

	assert_int_equal(post_contact(r->g, 4, VERSION_WIN10_V5_3, 1), 0);
	guest_run(r->g);
	assert_true(guest_expect(r->g, CHANNELMSG_VERSION_RESPONSE, NULL, 16));
	guest_sint_off(r->g, 1, VMBUS_MESSAGE_SINT, true);
	while (guest_post_on(r->g, 1, &unload, sizeof(unload)) == 0 ||
	       guest_post_on(r->g, 4, &unload, sizeof(unload)) == 0)
		guest_run(r->g);

	assert_int_equal(post_contact(r->g, 4, VERSION_WIN10_V5_3, 0), 0);
	guest_run(r->g);
	assert_true(guest_expect(r->g, CHANNELMSG_VERSION_RESPONSE, NULL, 16));
	rig_silent(r);
	/* And nothing of the old comes later. */
	guest_sint_off(r->g, 1, VMBUS_MESSAGE_SINT, false);
	guest_run(r->g);
	rig_silent(r);
}

/* A message that is too short to be a contact makes nothing void. */
static void a_truncated_contact_is_not_one(void **state)
{
	struct rig *r = *state;
	const struct vmbus_channel_initiate_contact c = {
		.header.msgtype = CHANNELMSG_INITIATE_CONTACT,
	};

	guest_post_on(r->g, 1, &unload, sizeof(unload));
	guest_post_on(r->g, 1, &c, sizeof(c) - 1);
	guest_run(r->g);
	assert_true(guest_expect(r->g, CHANNELMSG_UNLOAD_RESPONSE, NULL, 8));
	rig_silent(r);
	guest_post_on(r->g, 1, &unload, sizeof(unload));
	guest_post_on(r->g, 1, &c, sizeof(c));
	guest_run(r->g);
	assert_true(guest_expect(r->g, CHANNELMSG_VERSION_RESPONSE, NULL, 16));
	rig_silent(r);
}

/* TLFS: SYNIC-44 */
static void a_reset_forgets_messages_in_both_directions(void **state)
{
	struct rig *r = *state;

	rig_connect(r, VERSION_WIN10_V5_3);
	r->g->deaf = true;
	for (unsigned i = 0; i < 5; i++)
		guest_post(r->g, &unload, sizeof(unload));
	guest_post_on(r->g, 1, &unload, sizeof(unload));
	vmbus_reset(r->g->bus, &r->done);
	guest_run(r->g);
	assert_int_equal(r->done_count, 1);
	assert_null(r->g->sint[0][VMBUS_MESSAGE_SINT].note);
	r->g->deaf = false;
	guest_run(r->g);
	/* What was in the slot had left us before. */
	assert_true(guest_expect(r->g, CHANNELMSG_UNLOAD_RESPONSE, NULL, 8));
	rig_silent(r);
	assert_true(guest_connect(r->g, VERSION_WIN10));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(there_are_two_ports_and_no_more),
		RIG_TEST(messages_of_another_type_or_size_are_invalid),
		RIG_TEST(each_port_has_sixteen_buffers),
		RIG_TEST(answers_come_in_the_order_of_the_questions),
		RIG_TEST(a_deaf_guest_is_held_up),
		RIG_TEST(another_answer_has_the_one_that_waits_tried),
		RIG_TEST(messages_wait_while_the_page_is_off),
		RIG_TEST(a_new_kernel_is_heard_over_the_noise_of_the_old),
		RIG_TEST(a_truncated_contact_is_not_one),
		RIG_TEST(a_reset_forgets_messages_in_both_directions),
	};

	return RIG_RUN(tests);
}
