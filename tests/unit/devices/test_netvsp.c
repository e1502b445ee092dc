/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Setting up, control, the link, and several channels. */
#include <netinet/in.h>

#include "netvsp_rig.h"

static const uint32_t versions[] = {
	NVSP_PROTOCOL_VERSION_1, NVSP_PROTOCOL_VERSION_2,
	NVSP_PROTOCOL_VERSION_4, NVSP_PROTOCOL_VERSION_5,
	NVSP_PROTOCOL_VERSION_6, NVSP_PROTOCOL_VERSION_61,
};

/*
 * Setting up.
 */
static void every_version_can_be_agreed_on(void **state)
{
	for (size_t i = 0; i < G_N_ELEMENTS(versions); i++) {
		struct netvsc *c = netvsc_new(1);

		assert_true(netvsc_init(c, versions[i]));
		assert_int_equal(c->answer.init_complete.negotiated_protocol_ver,
				 versions[i]);
		/* Guests look at the size, and have room for no more. */
		assert_int_equal(c->answer_len,
				 versions[i] == NVSP_PROTOCOL_VERSION_61 ?
					 40 : 32);
		assert_true(netvsc_buffers(c));
		assert_int_equal(c->answer.send_buf_complete.section_size,
				 6144);
		netvsc_free(c);
	}
}

static void an_unknown_version_is_refused_and_another_may_follow(void **state)
{
	struct netvsc *c = *state;

	assert_false(netvsc_init(c, 0x00070000));
	assert_false(netvsc_init(c, 0));
	assert_true(netvsc_init(c, NVSP_PROTOCOL_VERSION_5));
	assert_false(netvsc_init(c, NVSP_PROTOCOL_VERSION_61));
	assert_int_equal(c->nv->version, NVSP_PROTOCOL_VERSION_5);
}

static void nothing_works_before_a_version(void **state)
{
	struct netvsc *c = *state;
	uint8_t msg[64] = { RNDIS_MSG_INIT, 0, 0, 0, 24 };

	assert_false(netvsc_buffers(c));
	assert_int_equal(netvsc_send(c, 0, NVSP_CHANNEL_CONTROL, msg, 24),
			 NVSP_STAT_FAIL);
	assert_null(c->nv->recv.loan);
}

static void the_receive_buffer_is_cut_as_guests_expect(void **state)
{
	struct netvsc *c = *state;

	assert_true(netvsc_init(c, NVSP_PROTOCOL_VERSION_5));
	netvsc_config(c, 1514, 0);
	assert_true(netvsc_buffers(c));
	assert_int_equal(c->nv->recv.size, 1806);
	/* FreeBSD wants a multiple of 64. */
	assert_int_equal(c->nv->recv.count,
			 NETVSC_RECV_PAGES * 4096 / 1806 / 64 * 64);
	assert_false(netvsc_buffers(c));
}

static void an_mtu_out_of_range_is_the_standards(void **state)
{
	static const uint32_t mtus[][2] = {
		{ 0, 1514 }, { 1500, 1514 }, { 1514, 1514 }, { 9014, 9014 },
		{ 9216, 9216 }, { 9217, 1514 }, { UINT32_MAX, 1514 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(mtus); i++) {
		struct netvsc *c = netvsc_new(1);
		g_autoptr(GByteArray) b = g_byte_array_new();
		uint32_t size;

		netvsc_start(c, NVSP_PROTOCOL_VERSION_5, mtus[i][0], 0);
		assert_int_equal(netvsc_query(c, OID_FRAME_SIZE, NULL, 0, b),
				 RNDIS_STATUS_SUCCESS);
		memcpy(&size, b->data, 4);
		assert_int_equal(size, mtus[i][1] - 14);
		netvsc_free(c);
	}
}

static void a_list_that_is_none_makes_no_buffer(void **state)
{
	struct netvsc *c = *state;
	const struct nvsp_message m = {
		.msg_type = NVSP_MSG1_TYPE_SEND_RECV_BUF,
		.send_buf = { 99, 1 },
	};

	assert_true(netvsc_init(c, NVSP_PROTOCOL_VERSION_5));
	assert_true(netvsc_message(c, &m));
	assert_int_equal(c->answer.recv_buf_complete.status, NVSP_STAT_FAIL);
	assert_true(netvsc_buffers(c));
}

static void revoked_buffers_are_given_back(void **state)
{
	struct netvsc *c = *state;
	struct nvsp_message m = { .msg_type = NVSP_MSG1_TYPE_REVOKE_RECV_BUF };

	assert_int_equal(c->ch[0]->loans, 2);
	netvsc_tell(c, &m);
	m.msg_type = NVSP_MSG1_TYPE_REVOKE_SEND_BUF;
	netvsc_tell(c, &m);
	assert_int_equal(c->ch[0]->loans, 0);
	assert_true(netvsc_buffers(c));
}

static void messages_that_are_not_offered_fail(void **state)
{
	static const uint32_t types[] = { 0, 3, 99, 109, 124, 126, 128, 129,
					  130, 131, 134, 135, 136, 1000 };
	struct netvsc *c = *state;

	for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
		const struct nvsp_message m = { .msg_type = types[i] };

		assert_true(netvsc_message(c, &m));
		assert_int_not_equal(c->answer.status, NVSP_STAT_SUCCESS);
	}
}

static void short_packets_are_dropped(void **state)
{
	struct netvsc *c = *state;
	uint32_t type = NVSP_MSG_TYPE_INIT;

	for (size_t len = 0; len < 4; len++)
		fake_send(c->ch[0], 9, NULL, 0, &type, len);
	fake_kick(c->ch[0]);
	assert_null(fake_answer(c->ch[0]));
}

/*
 * RNDIS control.
 */
static void what_linux_asks_is_answered_in_its_sizes(void **state)
{
	static const struct { uint32_t oid, size; } asked[] = {
		{ OID_FRAME_SIZE, 4 }, { 0x01010101, 6 }, { OID_MAC, 6 },
		{ 0x00020216, 512 }, { 0x00010114, 4 }, { 0x00010107, 4 },
		{ 0x00010203, 18 }, { 0xfc01020b, 156 }, { 0x00010207, 40 },
		{ 0x0101010a, 28 },
	};
	struct netvsc *c = *state;

	for (size_t i = 0; i < G_N_ELEMENTS(asked); i++) {
		g_autoptr(GByteArray) b = g_byte_array_new();

		assert_int_equal(netvsc_query(c, asked[i].oid, NULL, 0, b),
				 RNDIS_STATUS_SUCCESS);
		assert_int_equal(b->len, asked[i].size);
	}
}

/* All that is said to be supported can be asked or set; nothing else can. */
static void the_supported_list_is_true(void **state)
{
	struct netvsc *c = *state;
	g_autoptr(GByteArray) list = g_byte_array_new();
	uint32_t oid;

	assert_int_equal(netvsc_query(c, 0x00010101, NULL, 0, list),
			 RNDIS_STATUS_SUCCESS);
	assert_true(list->len > 40 * 4);
	for (guint i = 0; i < list->len; i += 4) {
		memcpy(&oid, list->data + i, 4);
		if (netvsc_query(c, oid, NULL, 0, NULL) ==
		    RNDIS_STATUS_NOT_SUPPORTED)
			assert_int_not_equal(netvsc_set(c, oid, NULL, 0),
					     RNDIS_STATUS_NOT_SUPPORTED);
	}
	assert_int_equal(netvsc_query(c, 0x0001ffff, NULL, 0, NULL),
			 RNDIS_STATUS_NOT_SUPPORTED);
	assert_int_equal(netvsc_set(c, 0x0001ffff, NULL, 0),
			 RNDIS_STATUS_NOT_SUPPORTED);
}

static void offloads_come_in_the_revision_asked_for(void **state)
{
	static const struct { uint8_t revision; uint16_t size; } r[] = {
		{ 3, 156 }, { 2, 144 }, { 1, 112 },
	};
	struct netvsc *c = *state;

	for (size_t i = 0; i < G_N_ELEMENTS(r); i++) {
		const struct ndis_object_header asked = {
			NDIS_OBJECT_TYPE_OFFLOAD, r[i].revision, r[i].size,
		};
		g_autoptr(GByteArray) b = g_byte_array_new();
		struct ndis_object_header got;

		assert_int_equal(netvsc_query(c, OID_OFFLOAD_HW, &asked,
					      sizeof(asked), b),
				 RNDIS_STATUS_SUCCESS);
		assert_int_equal(b->len, r[i].size);
		memcpy(&got, b->data, sizeof(got));
		assert_memory_equal(&got, &asked, sizeof(got));
	}
}

static struct ndis_offload offered(struct netvsc *c, unsigned offloads)
{
	g_autoptr(GByteArray) b = g_byte_array_new();
	struct ndis_offload o;

	c->cable->net.offloads = offloads;
	assert_int_equal(netvsc_query(c, OID_OFFLOAD_HW, NULL, 0, b),
			 RNDIS_STATUS_SUCCESS);
	memcpy(&o, b->data, sizeof(o));
	return o;
}

static void what_the_cable_cannot_do_is_not_offered(void **state)
{
	struct ndis_offload o = offered(*state, 0);

	assert_int_equal(o.csum.ip4_tx_flags | o.csum.ip6_tx_flags |
			 o.lsov1.enc | o.lsov2.ip4_enc | o.lsov2.ip6_enc, 0);
	o = offered(*state, NET_OFFLOAD_TSO4);
	assert_int_equal(o.lsov1.enc, NDIS_ENCAPSULATION_IEEE_802_3);
	assert_int_equal(o.lsov2.ip4_enc, NDIS_ENCAPSULATION_IEEE_802_3);
	assert_int_equal(o.lsov2.ip6_enc, 0);
}

static GByteArray *parameter(const char *name, const char *value)
{
	GByteArray *b = g_byte_array_new();
	uint32_t head[5] = {
		20, (uint32_t)strlen(name) * 2, 2,
		20 + (uint32_t)strlen(name) * 2, (uint32_t)strlen(value) * 2,
	};

	g_byte_array_append(b, (void *)head, sizeof(head));
	for (const char *s = name; *s; s++)
		g_byte_array_append(b, (const guint8[]){ (guint8)*s, 0 }, 2);
	for (const char *s = value; *s; s++)
		g_byte_array_append(b, (const guint8[]){ (guint8)*s, 0 }, 2);
	return b;
}

static void a_guest_may_change_its_address(void **state)
{
	static const char *const bad[] = { "", "02aabbccdde", "02aabbccddeeff",
					   "03aabbccddee", "02aabbccddxx" };
	struct netvsc *c = *state;
	g_autoptr(GByteArray) good = parameter("NetworkAddress",
					       "02AAbbccddEE");
	g_autoptr(GByteArray) b = g_byte_array_new();
	uint32_t far[5] = { 20, 4, 2, 0xfffffff0, 64 };

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GByteArray) p = parameter("NetworkAddress", bad[i]);

		assert_int_equal(netvsc_set(c, OID_PARAMETER, p->data, p->len),
				 RNDIS_STATUS_INVALID_DATA);
	}
	assert_int_equal(netvsc_set(c, OID_PARAMETER, far, sizeof(far)),
			 RNDIS_STATUS_INVALID_DATA);
	assert_int_equal(netvsc_set(c, OID_PARAMETER, good->data, good->len),
			 RNDIS_STATUS_SUCCESS);
	netvsc_query(c, OID_MAC, NULL, 0, b);
	assert_memory_equal(b->data, "\x02\xaa\xbb\xcc\xdd\xee", 6);
}

static void control_messages_that_make_no_sense_are_refused(void **state)
{
	struct netvsc *c = *state;
	uint32_t m[8] = { RNDIS_MSG_QUERY };

	for (uint32_t len = 0; len < sizeof(m); len++) {
		m[1] = len;
		assert_int_equal(netvsc_send(c, 0, NVSP_CHANNEL_CONTROL, m,
					     MIN(len, 27)),
				 NVSP_STAT_INVALID_RNDIS_PKT);
	}
	m[0] = 0x1234;
	m[1] = sizeof(m);
	assert_int_equal(netvsc_send(c, 0, NVSP_CHANNEL_CONTROL, m, sizeof(m)),
			 NVSP_STAT_INVALID_RNDIS_PKT);
	assert_null(fake_transfer(c->ch[0]));
}

/* What a query brings along and points to outside of itself is nothing. */
static void information_lies_inside_its_message(void **state)
{
	static const uint32_t where[][2] = {
		{ 4, UINT32_MAX }, { UINT32_MAX, 20 }, { 4, 21 }, { 5, 20 },
		{ 4, 1 << 20 },
	};
	struct netvsc *c = *state;

	for (size_t i = 0; i < G_N_ELEMENTS(where); i++) {
		uint32_t rq[6] = { 1, OID_FILTER, where[i][0], where[i][1] };
		GByteArray *b = netvsc_control(c, RNDIS_MSG_SET, rq,
					       sizeof(rq));
		struct rndis_complete s;

		assert_non_null(b);
		memcpy(&s, b->data, sizeof(s));
		assert_int_equal(s.status, RNDIS_STATUS_BUFFER_TOO_SHORT);
		g_byte_array_unref(b);
	}
}

static void a_keepalive_and_a_reset_are_answered(void **state)
{
	struct netvsc *c = *state;
	uint32_t id = 77;
	GByteArray *b = netvsc_control(c, RNDIS_MSG_KEEPALIVE, &id, sizeof(id));
	uint32_t want[2] = { 77, RNDIS_STATUS_SUCCESS };

	assert_int_equal(b->len, sizeof(want));
	assert_memory_equal(b->data, want, sizeof(want));
	g_byte_array_unref(b);
	b = netvsc_control(c, RNDIS_MSG_RESET, &id, sizeof(id));
	want[0] = RNDIS_STATUS_SUCCESS;
	want[1] = 1;
	assert_memory_equal(b->data, want, sizeof(want));
	g_byte_array_unref(b);
}

static void answers_wait_for_buffers_in_bounds(void **state)
{
	struct netvsc *c = *state;
	struct rndis_message_header h = { RNDIS_MSG_KEEPALIVE, 12 };
	uint8_t m[12] = { 0 };
	struct fake_transfer *t;
	unsigned got = 0;

	memcpy(m, &h, sizeof(h));
	for (int i = 0; i < 100; i++)
		netvsc_send(c, 0, NVSP_CHANNEL_CONTROL, m, sizeof(m));
	assert_int_equal(c->ch[0]->transfers.length, RX_CONTROL_BUFFERS);
	assert_int_equal(c->nv->responses.length, RESPONSES_MAX);
	while ((t = fake_transfer(c->ch[0]))) {
		fake_complete(c->ch[0], t->t.trans_id);
		fake_kick(c->ch[0]);
		g_free(t);
		got++;
	}
	assert_int_equal(got, RX_CONTROL_BUFFERS + RESPONSES_MAX);
}

static const uint32_t is_up[] = { RNDIS_STATUS_LINK_SPEED_CHANGE,
				  RNDIS_STATUS_MEDIA_CONNECT };
static const uint32_t is_other[] = { RNDIS_STATUS_LINK_SPEED_CHANGE,
				     RNDIS_STATUS_NETWORK_CHANGE };

static void pass(struct netvsc *c, uint64_t ns)
{
	rig_now += ns;
	loop_turn(c->loop, false);
}

static void a_link_is_indicated_and_then_not_for_two_seconds(void **state)
{
	struct netvsc *c = *state;

	loop_set_clock(c->loop, rig_clock);
	set_cable(c, false);
	assert_indicated(c, is_down, 1);
	set_cable(c, true);
	pass(c, 1999999999);
	assert_indicated(c, NULL, 0);
	pass(c, 1);
	assert_indicated(c, is_up, 2);
	/* What is as it was told is no news; ... */
	set_cable(c, true);
	pass(c, 2000000000);
	assert_indicated(c, NULL, 0);
	set_cable(c, false);
	assert_indicated(c, is_down, 1);
	set_cable(c, true);
	set_cable(c, false);
	pass(c, 2000000000);
	assert_indicated(c, NULL, 0);
	/* ... but what was away may be something else. */
	set_cable(c, true);
	assert_indicated(c, is_up, 2);
	set_cable(c, false);
	set_cable(c, true);
	pass(c, 2000000000);
	assert_indicated(c, is_other, 2);
}

static void a_driver_that_begins_asks_for_the_link(void **state)
{
	struct netvsc *c = *state;

	c->cable->net.link_up = false;
	netvsc_start(c, NVSP_PROTOCOL_VERSION_61, 1514, 0);
	set_cable(c, false);
	assert_indicated(c, NULL, 0);
	set_cable(c, true);
	assert_indicated(c, is_up, 2);
}

/*
 * Several channels.
 */
static void the_send_table_follows_the_last_channel(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct fake_answer *a = NULL;
	struct nvsp_send_table t;

	open_subchannels(c, 100);
	assert_int_equal(c->ch[0]->subchannels, NETVSC_QUEUES - 1);
	a = fake_answer(c->ch[0]);
	assert_non_null(a);
	/* Linux before 6.1 has another place for larger ones. */
	assert_int_equal(a->len, 76);
	memcpy(&t, a->payload, sizeof(t));
	assert_int_equal(t.msg_type, NVSP_MSG5_TYPE_SEND_INDIRECTION_TABLE);
	assert_int_equal(t.count, 16);
	assert_int_equal(t.offset, 12);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(t.table[i], i % NETVSC_QUEUES);
	assert_true(netvsc_message(c, &(struct nvsp_message){
		.msg_type = NVSP_MSG5_TYPE_SUBCHANNEL,
		.subchannel = { NVSP_SUBCHANNEL_ALLOCATE, 1 } }));
	assert_int_equal(c->answer.subchannel_complete.status, NVSP_STAT_FAIL);
}

static void each_channel_sends(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 10);
	uint8_t msg[512];
	size_t len = netvsc_wrap(msg, NULL, 0, f->bytes, f->len);

	open_subchannels(c, 3);
	g_free(fake_answer(c->ch[0]));
	for (unsigned i = 0; i < NETVSC_QUEUES; i++) {
		assert_int_equal(netvsc_send(c, i, NVSP_CHANNEL_DATA, msg, len),
				 NVSP_STAT_SUCCESS);
		g_free(net_mem_sent(c->cable));
	}
	/* Control is the primary channel's. */
	assert_int_equal(netvsc_send(c, 1, NVSP_CHANNEL_CONTROL, msg, len),
			 NVSP_STAT_FAIL);
}

static void a_new_driver_begins_anew(void **state)
{
	struct netvsc *c = *state;

	fake_close(c->ch[0]);
	fake_free(c->ch[0]);
	c->ch[0] = fake_open(netvsp_device(c->nv), 0);
	fake_lend(c->ch[0], 7, c->ram, NETVSC_RECV_PAGES);
	fake_lend(c->ch[0], 8, c->ram + NETVSC_SEND_GPA, NETVSC_SEND_PAGES);
	netvsc_start(c, NVSP_PROTOCOL_VERSION_2, 9014, 0);
	assert_int_equal(c->nv->mtu, 9014);
	assert_false(c->nv->capabilities);
}

static void the_cable_learns_that_a_driver_has_gone(void **state)
{
	struct netvsc *c = *state;

	open_subchannels(c, 1);
	g_free(fake_answer(c->ch[0]));
	fake_close(c->ch[1]);
	assert_int_equal(c->cable->forgotten, 0);
	fake_close(c->ch[0]);
	assert_int_equal(c->cable->forgotten, 1);
	for (unsigned i = 0; i < 2; i++) {
		fake_free(c->ch[i]);
		c->ch[i] = NULL;
	}
}

/*
 * As Linux does for another MTU (netvsc_detach(), netvsc_attach()): it asks
 * for the address again, keeps its own and does not say so.
 */
static void a_changed_address_outlives_its_channels(void **state)
{
	static const uint8_t mine[6] = { 2, 0xaa, 0xbb, 0xcc, 0xdd, 0xee };
	const uint32_t filter = NDIS_PACKET_TYPE_DIRECTED;
	struct netvsc *c = *state;
	g_autoptr(GByteArray) p = parameter("NetworkAddress", "02aabbccddee");
	g_autoptr(GByteArray) b = g_byte_array_new();
	g_autoptr(GPtrArray) all = NULL;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 10);

	assert_int_equal(netvsc_set(c, OID_PARAMETER, p->data, p->len),
			 RNDIS_STATUS_SUCCESS);
	a_new_driver_begins_anew(state);
	netvsc_set(c, OID_FILTER, &filter, sizeof(filter));
	/* Another driver that begins with what it is told is right, too. */
	netvsc_query(c, OID_MAC, NULL, 0, b);
	assert_memory_equal(b->data, netvsc_mac, sizeof(netvsc_mac));
	memcpy(f->bytes, mine, sizeof(mine));
	come(c, f, NULL);
	memcpy(f->bytes, netvsc_mac, sizeof(netvsc_mac));
	come(c, f, NULL);
	f->bytes[5] ^= 1;
	come(c, f, NULL);
	all = netvsc_received(c, 0);
	assert_int_equal(all->len, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_version_can_be_agreed_on),
		TEST(an_unknown_version_is_refused_and_another_may_follow),
		TEST(nothing_works_before_a_version),
		TEST(the_receive_buffer_is_cut_as_guests_expect),
		cmocka_unit_test(an_mtu_out_of_range_is_the_standards),
		TEST(a_list_that_is_none_makes_no_buffer),
		STARTED(revoked_buffers_are_given_back),
		STARTED(messages_that_are_not_offered_fail),
		STARTED(short_packets_are_dropped),
		STARTED(what_linux_asks_is_answered_in_its_sizes),
		STARTED(the_supported_list_is_true),
		STARTED(offloads_come_in_the_revision_asked_for),
		STARTED(what_the_cable_cannot_do_is_not_offered),
		STARTED(a_guest_may_change_its_address),
		STARTED(control_messages_that_make_no_sense_are_refused),
		STARTED(information_lies_inside_its_message),
		STARTED(a_keepalive_and_a_reset_are_answered),
		STARTED(answers_wait_for_buffers_in_bounds),
		STARTED(a_link_is_indicated_and_then_not_for_two_seconds),
		TEST(a_driver_that_begins_asks_for_the_link),
		STARTED(the_send_table_follows_the_last_channel),
		STARTED(each_channel_sends),
		STARTED(a_new_driver_begins_anew),
		STARTED(the_cable_learns_that_a_driver_has_gone),
		STARTED(a_changed_address_outlives_its_channels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
