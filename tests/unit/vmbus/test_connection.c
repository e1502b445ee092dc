/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rig.h"

static const uint32_t known[] = {
	VERSION_WS2008, VERSION_WIN7, VERSION_WIN8, VERSION_WIN8_1,
	VERSION_WIN10, VERSION_WIN10_V4_1, VERSION_WIN10_V5,
	VERSION_WIN10_V5_1, VERSION_WIN10_V5_2, VERSION_WIN10_V5_3,
};

static struct vmbus_channel_initiate_contact contact(uint32_t version)
{
	return (struct vmbus_channel_initiate_contact){
		.header.msgtype = CHANNELMSG_INITIATE_CONTACT,
		.vmbus_version_requested = version,
		.msg_sint = VMBUS_MESSAGE_SINT,
	};
}

/* Post on @id; the answer, and the VP it came to. */
static struct vmbus_channel_version_response
ask(struct rig *r, uint32_t id, const struct vmbus_channel_initiate_contact *c,
    uint32_t *vp)
{
	struct vmbus_channel_version_response v;
	const struct guest_message *m;

	assert_int_equal(guest_post_on(r->g, id, c, sizeof(*c)), 0);
	guest_run(r->g);
	m = g_queue_peek_head(&r->g->messages);
	assert_non_null(m);
	assert_int_equal(m->sint, VMBUS_MESSAGE_SINT);
	*vp = m->vp;
	assert_true(GUEST_EXPECT(r->g, CHANNELMSG_VERSION_RESPONSE, &v));
	rig_silent(r);
	return v;
}

static void post_header(struct rig *r, uint32_t type)
{
	const struct vmbus_channel_message_header h = { .msgtype = type };

	GUEST_POST(r->g, &h);
}

static void all_versions_up_to_5_3_are_agreed_on(void **state)
{
	struct rig *r = *state;

	for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
		struct vmbus_channel_initiate_contact c = contact(known[i]);
		struct vmbus_channel_version_response v;
		uint32_t vp;

		if (known[i] < VERSION_WIN10_V5)
			c.interrupt_page = guest_pages(r->g, 1);
		v = ask(r, 1, &c, &vp);
		assert_int_equal(v.version_supported, 1);
		assert_int_equal(v.connection_state, 0);
		/* The version before 5.0, then where to post. */
		assert_int_equal(v.msg_conn_id,
				 known[i] < VERSION_WIN10_V5 ? known[i] : 4);
	}
}

static void other_versions_are_refused(void **state)
{
	struct rig *r = *state;
	static const uint32_t unknown[] = {
		0, 12, 14, 1 << 16, 1 << 16 | 2, 2 << 16, 3 << 16 | 1,
		4 << 16 | 2, 5 << 16 | 4, VERSION_V6_0, 7 << 16, UINT32_MAX,
	};

	for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++) {
		const struct vmbus_channel_initiate_contact c =
			contact(unknown[i]);
		struct vmbus_channel_version_response v;
		uint32_t vp;

		v = ask(r, 1, &c, &vp);
		assert_int_equal(v.version_supported, 0);
		assert_int_equal(vp, 0);
		v = ask(r, 4, &c, &vp);
		assert_int_equal(v.version_supported, 0);
	}
}

static void from_3_0_the_guest_names_the_vp_of_messages(void **state)
{
	struct rig *r = *state;

	for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
		struct vmbus_channel_initiate_contact c = contact(known[i]);
		bool named = known[i] >= VERSION_WIN8_1;
		uint32_t vp;

		if (known[i] < VERSION_WIN10_V5)
			c.interrupt_page = guest_pages(r->g, 1);
		c.target_vcpu = 2;
		assert_true(ask(r, 1, &c, &vp).version_supported);
		assert_int_equal(vp, named ? 2 : 0);
		/* One that is not there is told so at VP 0. */
		c.target_vcpu = GUEST_VPS;
		assert_int_equal(ask(r, 1, &c, &vp).version_supported, !named);
		assert_int_equal(vp, 0);
		c.target_vcpu = UINT32_MAX;
		assert_int_equal(ask(r, 1, &c, &vp).version_supported, !named);
	}
}

static void only_sint_2_of_vtl_0_is_served(void **state)
{
	struct rig *r = *state;
	uint32_t vp;

	for (size_t i = 6; i < G_N_ELEMENTS(known); i++) {
		struct vmbus_channel_initiate_contact c = contact(known[i]);

		c.msg_sint = 3;
		assert_false(ask(r, 4, &c, &vp).version_supported);
		/* By the old way there is no choice: the byte is not read. */
		assert_true(ask(r, 1, &c, &vp).version_supported);
		c = contact(known[i]);
		c.msg_vtl = 2;
		assert_int_equal(ask(r, 4, &c, &vp).version_supported,
				 known[i] < VERSION_WIN10_V5_1);
	}
}

static void before_2_4_an_interrupt_page_is_needed(void **state)
{
	struct rig *r = *state;
	struct vmbus_channel_initiate_contact c = contact(VERSION_WIN7);
	uint32_t vp;

	c.interrupt_page = 0x5000;
	assert_true(ask(r, 1, &c, &vp).version_supported);
	c.interrupt_page = 0x5008;
	assert_false(ask(r, 1, &c, &vp).version_supported);
	c.interrupt_page = GUEST_RAM;
	assert_false(ask(r, 1, &c, &vp).version_supported);
	c.interrupt_page = UINT64_MAX - GMEM_PAGE_SIZE + 1;
	assert_false(ask(r, 1, &c, &vp).version_supported);
	c.vmbus_version_requested = VERSION_WIN8;
	assert_true(ask(r, 1, &c, &vp).version_supported);
}

static void offers_come_once_for_each_connection(void **state)
{
	struct rig *r = *state;

	rig_connect(r, VERSION_WIN10_V5_3);
	post_header(r, CHANNELMSG_REQUESTOFFERS);
	rig_silent(r);
	rig_connect(r, VERSION_WIN10);
}

static void an_offer_is_as_the_device_says(void **state)
{
	struct rig *r = *state;
	const struct vmbus_channel_offer_channel *o = &r->offers.offer[1];
	uint8_t zero[16] = { 0 };

	rig_connect(r, VERSION_WIN10_V5_3);
	assert_true(guid_equal(&o->offer.if_type, &r->echo[1].vmbus.if_type));
	assert_true(guid_equal(&o->offer.if_instance,
			       &r->echo[1].vmbus.if_instance));
	assert_memory_equal(&o->offer.reserved1, zero, sizeof(zero));
	assert_int_equal(o->offer.user_def[0], 1);
	assert_int_equal(o->offer.sub_channel_index, 0);
	assert_int_equal(o->child_relid, 2);
	assert_int_equal(o->monitorid, 0xff);
	assert_int_equal(o->monitor_allocated, 0);
	assert_int_equal(o->is_dedicated_interrupt, 1);
	assert_int_not_equal(o->connection_id, r->offers.offer[0].connection_id);
	/* Apart from the ids that the bus itself listens on. */
	assert_true(o->connection_id > 4);
}

static void without_a_connection_only_contact_and_unload_count(void **state)
{
	struct rig *r = *state;

	for (uint32_t type = 0; type < 40; type++) {
		uint8_t m[HV_MESSAGE_PAYLOAD_MAX] = { (uint8_t)type };

		if (type == CHANNELMSG_UNLOAD ||
		    type == CHANNELMSG_INITIATE_CONTACT)
			continue;
		guest_post(r->g, m, sizeof(m));
		rig_silent(r);
	}
	post_header(r, CHANNELMSG_UNLOAD);
	assert_true(guest_expect(r->g, CHANNELMSG_UNLOAD_RESPONSE, NULL, 8));
}

/* Messages that a guest sends, at their full length. */
static const struct {
	uint32_t type;
	size_t len;
} from_guest[] = {
	{ CHANNELMSG_REQUESTOFFERS, 8 },
	{ CHANNELMSG_OPENCHANNEL, 148 },
	{ CHANNELMSG_CLOSECHANNEL, 12 },
	{ CHANNELMSG_GPADL_HEADER, 20 },
	{ CHANNELMSG_GPADL_BODY, 16 },
	{ CHANNELMSG_GPADL_TEARDOWN, 16 },
	{ CHANNELMSG_RELID_RELEASED, 12 },
	{ CHANNELMSG_INITIATE_CONTACT, 40 },
	{ CHANNELMSG_UNLOAD, 8 },
	{ CHANNELMSG_OPEN_RESERVED, 28 },
	{ CHANNELMSG_CLOSE_RESERVED, 20 },
	{ CHANNELMSG_TL_CONNECT_REQUEST, 40 },
	{ CHANNELMSG_MODIFYCHANNEL, 16 },
};

/* All of them are about channel 1, which is open, or nothing. */
static void truncated_messages_are_dropped(void **state)
{
	struct rig *r = *state;
	struct guest_channel *c = rig_open(r, VERSION_WIN10_V5_3);
	struct guest_packet p;

	for (size_t i = 0; i < G_N_ELEMENTS(from_guest); i++) {
		for (size_t len = 0; len < from_guest[i].len; len++) {
			uint8_t m[HV_MESSAGE_PAYLOAD_MAX] = { 0 };

			m[0] = (uint8_t)from_guest[i].type;
			m[8] = (uint8_t)c->relid;
			assert_int_equal(guest_post(r->g, m, len), 0);
			rig_silent(r);
		}
	}
	/* And nothing has changed. */
	assert_int_equal(guest_channel_send(c, 7, "12345678", 8), 0);
	guest_run(r->g);
	assert_true(guest_channel_recv(c, &p));
}

static void messages_of_later_versions_are_dropped(void **state)
{
	struct rig *r = *state;
	static const struct {
		uint32_t type, since;
	} c[] = {
		{ CHANNELMSG_OPEN_RESERVED, VERSION_WIN10 },
		{ CHANNELMSG_CLOSE_RESERVED, VERSION_WIN10 },
		{ CHANNELMSG_TL_CONNECT_REQUEST, VERSION_WIN10_V4_1 },
		{ CHANNELMSG_MODIFYCHANNEL, VERSION_WIN10_V5_3 },
	};

	for (size_t v = 0; v < G_N_ELEMENTS(known); v++) {
		rig_connect(r, known[v]);
		for (size_t i = 0; i < G_N_ELEMENTS(c); i++) {
			uint8_t m[HV_MESSAGE_PAYLOAD_MAX] = { 0 };

			m[0] = (uint8_t)c[i].type;
			m[8] = 1;
			guest_post(r->g, m, 40);
			assert_int_equal(g_queue_get_length(&r->g->messages),
					 known[v] >= c[i].since);
			g_free(guest_take(r->g));
		}
	}
}

static void messages_that_no_guest_may_send_are_dropped(void **state)
{
	struct rig *r = *state;
	static const uint32_t host_only[] = {
		CHANNELMSG_INVALID, CHANNELMSG_OFFERCHANNEL,
		CHANNELMSG_RESCIND_CHANNELOFFER,
		CHANNELMSG_ALLOFFERS_DELIVERED, CHANNELMSG_OPENCHANNEL_RESULT,
		CHANNELMSG_GPADL_CREATED, CHANNELMSG_GPADL_TORNDOWN,
		CHANNELMSG_VERSION_RESPONSE, CHANNELMSG_UNLOAD_RESPONSE,
		CHANNELMSG_CLOSE_RESERVED_RESPONSE,
		CHANNELMSG_TL_CONNECT_RESULT,
		CHANNELMSG_MODIFYCHANNEL_RESPONSE,
		CHANNELMSG_MODIFY_CONNECTION,
		CHANNELMSG_MODIFY_CONNECTION_RESPONSE, CHANNELMSG_PAUSE,
		CHANNELMSG_PAUSE_RESPONSE, CHANNELMSG_RESUME,
		CHANNELMSG_COUNT, CHANNELMSG_COUNT + 1, 0x80000000, UINT32_MAX,
	};

	rig_connect(r, VERSION_WIN10_V5_3);
	for (size_t i = 0; i < G_N_ELEMENTS(host_only); i++) {
		uint8_t m[HV_MESSAGE_PAYLOAD_MAX] = { 0 };

		memcpy(m, &host_only[i], 4);
		guest_post(r->g, m, sizeof(m));
		rig_silent(r);
	}
}

static void nobody_listens_to_sockets(void **state)
{
	struct rig *r = *state;
	struct vmbus_channel_tl_connect_request in = {
		.header.msgtype = CHANNELMSG_TL_CONNECT_REQUEST,
		.guest_endpoint_id = { { 1, 2, 3 } },
		.host_service_id = { { 4, 5, 6 } },
	};
	struct vmbus_channel_tl_connect_result out;

	rig_connect(r, VERSION_WIN10_V4_1);
	GUEST_POST(r->g, &in);
	assert_true(GUEST_EXPECT(r->g, CHANNELMSG_TL_CONNECT_RESULT, &out));
	assert_true(guid_equal(&in.guest_endpoint_id, &out.guest_endpoint_id));
	assert_true(guid_equal(&in.host_service_id, &out.host_service_id));
	assert_int_equal(out.status, VMBUS_STATUS_REFUSED);
}

static void unload_closes_everything_first(void **state)
{
	struct rig *r = *state;

	rig_open(r, VERSION_WIN10_V5_3);
	r->echo[0].close_late = true;
	post_header(r, CHANNELMSG_UNLOAD);
	assert_string_equal(r->echo[0].log->str, "open0 close0 ");
	rig_silent(r);
	echo_finish_close(&r->echo[0]);
	guest_run(r->g);
	assert_true(guest_expect(r->g, CHANNELMSG_UNLOAD_RESPONSE, NULL, 8));
	rig_silent(r);
	assert_int_equal(g_hash_table_size(r->g->bus->gpadls), 0);
	/* And the connection is over. */
	post_header(r, CHANNELMSG_REQUESTOFFERS);
	rig_silent(r);
}

static void what_the_guest_says_during_unload_waits(void **state)
{
	struct rig *r = *state;
	const struct vmbus_channel_initiate_contact c =
		contact(VERSION_WIN10_V5_2);

	rig_open(r, VERSION_WIN10_V5_3);
	r->echo[0].close_late = true;
	post_header(r, CHANNELMSG_UNLOAD);
	GUEST_POST(r->g, &c);
	post_header(r, CHANNELMSG_REQUESTOFFERS);
	rig_silent(r);
	echo_finish_close(&r->echo[0]);
	guest_run(r->g);
	assert_true(guest_expect(r->g, CHANNELMSG_UNLOAD_RESPONSE, NULL, 8));
	assert_true(guest_expect(r->g, CHANNELMSG_VERSION_RESPONSE, NULL, 16));
	assert_true(guest_expect(r->g, CHANNELMSG_OFFERCHANNEL, NULL, 196));
	assert_true(guest_expect(r->g, CHANNELMSG_OFFERCHANNEL, NULL, 196));
	assert_true(guest_expect(r->g, CHANNELMSG_ALLOFFERS_DELIVERED, NULL,
				 8));
}

static void unload_is_answered_where_contact_was_made(void **state)
{
	struct rig *r = *state;
	struct vmbus_channel_initiate_contact c = contact(VERSION_WIN10_V5_3);
	const struct guest_message *m;
	uint32_t vp;

	c.target_vcpu = 2;
	assert_true(ask(r, 4, &c, &vp).version_supported);
	post_header(r, CHANNELMSG_UNLOAD);
	m = g_queue_peek_head(&r->g->messages);
	assert_int_equal(m->vp, 2);
	assert_true(guest_expect(r->g, CHANNELMSG_UNLOAD_RESPONSE, NULL, 8));
}

/* kexec without unload: the old kernel's channels are closed first. */
static void a_new_contact_resets_the_connection(void **state)
{
	struct rig *r = *state;
	const struct vmbus_channel_initiate_contact c =
		contact(VERSION_WIN10_V5_3);

	for (unsigned i = 0; i < 3; i++) {
		rig_open(r, VERSION_WIN10_V5_3);
		guest_gpadl(r->g, 1, 77, guest_pages(r->g, 100), 100);
		r->echo[0].close_late = true;
		GUEST_POST(r->g, &c);
		rig_silent(r);
		echo_finish_close(&r->echo[0]);
		guest_run(r->g);
		assert_true(guest_expect(r->g, CHANNELMSG_VERSION_RESPONSE,
					 NULL, 16));
		rig_silent(r);
		assert_int_equal(g_hash_table_size(r->g->bus->gpadls), 0);
	}
}

/* A refused one, too, ends the connection that was. */
static void a_refused_contact_disconnects(void **state)
{
	struct rig *r = *state;
	const struct vmbus_channel_initiate_contact c = contact(VERSION_V6_0);
	uint32_t vp;

	rig_open(r, VERSION_WIN10_V5_3);
	assert_false(ask(r, 4, &c, &vp).version_supported);
	assert_string_equal(r->echo[0].log->str, "open0 close0 closed0 ");
	post_header(r, CHANNELMSG_REQUESTOFFERS);
	rig_silent(r);
}

/* UEFI unloads nothing when it is reset in mid-flight by its OS's loader. */
static void contacts_in_a_storm_end_with_one_that_is_answered(void **state)
{
	struct rig *r = *state;
	const struct vmbus_channel_initiate_contact c =
		contact(VERSION_WIN10_V5_3);

	rig_open(r, VERSION_WIN10_V5_3);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(guest_post_on(r->g, 4, &c, sizeof(c)), 0);
	guest_run(r->g);
	assert_true(guest_expect(r->g, CHANNELMSG_VERSION_RESPONSE, NULL, 16));
	rig_silent(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(all_versions_up_to_5_3_are_agreed_on),
		RIG_TEST(other_versions_are_refused),
		RIG_TEST(from_3_0_the_guest_names_the_vp_of_messages),
		RIG_TEST(only_sint_2_of_vtl_0_is_served),
		RIG_TEST(before_2_4_an_interrupt_page_is_needed),
		RIG_TEST(offers_come_once_for_each_connection),
		RIG_TEST(an_offer_is_as_the_device_says),
		RIG_TEST(without_a_connection_only_contact_and_unload_count),
		RIG_TEST(truncated_messages_are_dropped),
		RIG_TEST(messages_of_later_versions_are_dropped),
		RIG_TEST(messages_that_no_guest_may_send_are_dropped),
		RIG_TEST(nobody_listens_to_sockets),
		RIG_TEST(unload_closes_everything_first),
		RIG_TEST(what_the_guest_says_during_unload_waits),
		RIG_TEST(unload_is_answered_where_contact_was_made),
		RIG_TEST(a_new_contact_resets_the_connection),
		RIG_TEST(a_refused_contact_disconnects),
		RIG_TEST(contacts_in_a_storm_end_with_one_that_is_answered),
	};

	return RIG_RUN(tests);
}
