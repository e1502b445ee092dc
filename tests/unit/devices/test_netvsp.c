/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <netinet/in.h>

#include "fake_netvsc.h"

#define OID_FRAME_SIZE		0x00010106
#define OID_FILTER		0x0001010e
#define OID_GROUPS		0x01010103
#define OID_RSS			0x00010204
#define OID_PARAMETER		0x0001021b
#define OID_MAC			0x01010102
#define OID_OFFLOAD		0xfc01020c
#define OID_OFFLOAD_HW		0xfc01020d

static const uint32_t versions[] = {
	NVSP_PROTOCOL_VERSION_1, NVSP_PROTOCOL_VERSION_2,
	NVSP_PROTOCOL_VERSION_4, NVSP_PROTOCOL_VERSION_5,
	NVSP_PROTOCOL_VERSION_6, NVSP_PROTOCOL_VERSION_61,
};

static int setup(void **state)
{
	*state = netvsc_new(NETVSC_QUEUES);
	return 0;
}

static int setup_started(void **state)
{
	struct netvsc *c = netvsc_new(NETVSC_QUEUES);

	netvsc_start(c, NVSP_PROTOCOL_VERSION_61, 1514,
		     NVSP_CAPABILITY_IEEE8021Q | NVSP_CAPABILITY_RSC);
	*state = c;
	return 0;
}

static int teardown(void **state)
{
	netvsc_free(*state);
	return 0;
}

/*
 * Frames, and what is true of them, said the slow and plain way.
 */
struct made {
	size_t len;
	size_t l3, l4, payload;
	uint8_t bytes[NET_FRAME_MAX];
};

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

/* One's complement sum of big-endian 16-bit words, a word at a time. */
static unsigned plain_sum(const uint8_t *p, size_t len, unsigned sum)
{
	for (size_t i = 0; i < len; i++) {
		sum += i % 2 ? p[i] : (unsigned)p[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

static unsigned plain_pseudo(const struct made *f, int version,
			     unsigned proto, size_t len)
{
	unsigned sum = version == 4 ? plain_sum(f->bytes + f->l3 + 12, 8, 0) :
				      plain_sum(f->bytes + f->l3 + 8, 32, 0);
	uint8_t tail[4];

	put16(tail, proto);
	put16(tail + 2, (unsigned)len);
	return plain_sum(tail, 4, sum);
}

static struct made *make_frame(int version, unsigned proto, size_t payload)
{
	struct made *f = g_new0(struct made, 1);
	size_t l4_size = proto == IPPROTO_TCP ? 20 : 8;
	uint8_t *p = f->bytes;

	memcpy(p, netvsc_mac, 6);
	memcpy(p + 6, "\x02\x99\x88\x77\x66\x55", 6);
	put16(p + 12, version == 4 ? 0x0800 : 0x86dd);
	f->l3 = 14;
	f->l4 = f->l3 + (version == 4 ? 20 : 40);
	f->payload = f->l4 + l4_size;
	f->len = f->payload + payload;
	p += f->l3;
	if (version == 4) {
		p[0] = 0x45;
		put16(p + 2, (unsigned)(f->len - f->l3));
		p[8] = 64;
		p[9] = (uint8_t)proto;
		memcpy(p + 12, "\x0a\x00\x02\x0f\x0a\x00\x02\x02", 8);
		put16(p + 10, ~plain_sum(p, 20, 0) & 0xffff);
	} else {
		p[0] = 0x60;
		put16(p + 4, (unsigned)(f->len - f->l4));
		p[6] = (uint8_t)proto;
		p[7] = 64;
		for (int i = 0; i < 32; i++)
			p[8 + i] = (uint8_t)(i * 3 + 1);
	}
	p = f->bytes + f->l4;
	put16(p, 1234);
	put16(p + 2, 80);
	if (proto == IPPROTO_TCP)
		p[12] = 0x50;
	else
		put16(p + 4, (unsigned)(l4_size + payload));
	for (size_t i = 0; i < payload; i++)
		f->bytes[f->payload + i] = (uint8_t)(i * 7 + (i >> 8));
	return f;
}

static size_t csum_at(const struct made *f, unsigned proto)
{
	return f->l4 + (proto == IPPROTO_TCP ? 16 : 6);
}

/* Whether the transport's checksum in @bytes is right. */
static bool is_right(const uint8_t *bytes, const struct made *f, int version,
		     unsigned proto)
{
	size_t len = f->len - f->l4;

	return plain_sum(bytes + f->l4, len,
			 plain_pseudo(f, version, proto, len)) == 0xffff;
}

/* Finish what a frame that was sent has left to do, as a plain host would. */
static void finish(struct net_mem_frame *s)
{
	unsigned sum = plain_sum(s->bytes + s->hdr.csum_start,
				 s->len - s->hdr.csum_start, 0);

	assert_int_equal(s->hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	put16(s->bytes + s->hdr.csum_start + s->hdr.csum_offset,
	      ~sum & 0xffff);
}

static uint32_t send_frame(struct netvsc *c, const struct made *f,
			   const struct ppi *ppi, unsigned ppis)
{
	static uint8_t msg[NET_FRAME_MAX + 512];
	size_t len = netvsc_wrap(msg, ppi, ppis, f->bytes, f->len);

	return netvsc_send(c, 0, NVSP_CHANNEL_DATA, msg, len);
}

static void open_subchannels(struct netvsc *c, uint32_t count)
{
	const struct nvsp_message m = {
		.msg_type = NVSP_MSG5_TYPE_SUBCHANNEL,
		.subchannel = { NVSP_SUBCHANNEL_ALLOCATE, count },
	};

	assert_true(netvsc_message(c, &m));
	assert_int_equal(c->answer.subchannel_complete.status,
			 NVSP_STAT_SUCCESS);
	assert_int_equal(c->ch[0]->subchannels,
			 c->answer.subchannel_complete.num_subchannels);
	for (unsigned i = 1; i <= c->ch[0]->subchannels; i++)
		c->ch[i] = fake_open(netvsp_device(c->nv), i);
}

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

static void what_the_cable_cannot_do_is_not_offered(void **state)
{
	struct netvsc *c = *state;
	g_autoptr(GByteArray) b = g_byte_array_new();
	struct ndis_offload o;

	c->cable->net.offloads = 0;
	assert_int_equal(netvsc_query(c, OID_OFFLOAD_HW, NULL, 0, b),
			 RNDIS_STATUS_SUCCESS);
	memcpy(&o, b->data, sizeof(o));
	assert_int_equal(o.csum.ip4_tx_flags | o.csum.ip6_tx_flags |
			 o.lsov2.ip4_enc | o.lsov2.ip6_enc, 0);
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

static uint64_t now = 1;

static uint64_t fake_clock(void)
{
	return now;
}

static void set_cable(struct netvsc *c, bool up)
{
	c->cable->net.link_up = up;
	c->cable->net.user.link(c->cable->net.user.user, up);
}

/* The @count statuses of @want have been indicated, and no more. */
static void assert_indicated(struct netvsc *c, const uint32_t *want,
			     unsigned count)
{
	struct fake_transfer *t;
	unsigned i;

	for (i = 0; (t = fake_transfer(c->ch[0])); i++) {
		const uint8_t *at = c->ram + t->t.ranges[0].byte_offset;
		struct rndis_message_header h;
		struct rndis_indicate in;
		uint32_t speed;

		memcpy(&h, at, sizeof(h));
		memcpy(&in, at + sizeof(h), sizeof(in));
		memcpy(&speed, at + sizeof(h) + sizeof(in), sizeof(speed));
		assert_int_equal(h.msg_type, RNDIS_MSG_INDICATE);
		assert_true(i < count);
		assert_int_equal(in.status, want[i]);
		if (in.status == RNDIS_STATUS_LINK_SPEED_CHANGE)
			assert_int_equal(speed, 100000000);
		fake_complete(c->ch[0], t->t.trans_id);
		g_free(t);
	}
	assert_int_equal(i, count);
	fake_kick(c->ch[0]);
}

static const uint32_t is_down[] = { RNDIS_STATUS_MEDIA_DISCONNECT };
static const uint32_t is_up[] = { RNDIS_STATUS_LINK_SPEED_CHANGE,
				  RNDIS_STATUS_MEDIA_CONNECT };
static const uint32_t is_other[] = { RNDIS_STATUS_LINK_SPEED_CHANGE,
				     RNDIS_STATUS_NETWORK_CHANGE };

static void pass(struct netvsc *c, uint64_t ns)
{
	now += ns;
	loop_turn(c->loop, false);
}

static void a_link_is_indicated_and_then_not_for_two_seconds(void **state)
{
	struct netvsc *c = *state;

	loop_set_clock(c->loop, fake_clock);
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

static bool is_connected(struct netvsc *c)
{
	g_autoptr(GByteArray) b = g_byte_array_new();
	uint32_t not;

	assert_int_equal(netvsc_query(c, 0x00010114, NULL, 0, b),
			 RNDIS_STATUS_SUCCESS);
	memcpy(&not, b->data, sizeof(not));
	return !not;
}

/*
 * Sending.
 */
static void a_plain_frame_goes_out_as_it_is(void **state)
{
	struct netvsc *c = *state;

	for (size_t len = 1; len <= 1472; len += 49) {
		g_autofree struct made *f = make_frame(4, IPPROTO_UDP, len);
		g_autofree struct net_mem_frame *s = NULL;

		assert_int_equal(send_frame(c, f, NULL, 0), NVSP_STAT_SUCCESS);
		s = net_mem_sent(c->cable);
		assert_non_null(s);
		assert_int_equal(s->len, f->len);
		assert_memory_equal(s->bytes, f->bytes, f->len);
		assert_int_equal(s->hdr.flags, 0);
		assert_int_equal(s->hdr.gso_type, 0);
	}
}

static void a_checksum_is_left_to_the_cable(void **state)
{
	static const struct { int version; unsigned proto, want; } kinds[] = {
		{ 4, IPPROTO_TCP, CSUM_TX_IPV4 | CSUM_TX_TCP },
		{ 4, IPPROTO_UDP, CSUM_TX_IPV4 | CSUM_TX_UDP },
		{ 6, IPPROTO_TCP, CSUM_TX_IPV6 | CSUM_TX_TCP },
		{ 6, IPPROTO_UDP, CSUM_TX_IPV6 | CSUM_TX_UDP },
	};
	struct netvsc *c = *state;

	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
		int v = kinds[i].version;
		unsigned proto = kinds[i].proto;
		g_autofree struct made *f = make_frame(v, proto, 301);
		struct ppi ppi = netvsc_ppi(RNDIS_PKTINFO_CSUM,
					    kinds[i].want |
					    CSUM_TX_IP_HEADER);
		g_autofree struct net_mem_frame *s = NULL;

		/* As guests do: the sum of the pseudo header is there. */
		put16(f->bytes + csum_at(f, proto),
		      plain_pseudo(f, v, proto, f->len - f->l4));
		if (v == 4)
			put16(f->bytes + f->l3 + 10, 0xbad);
		assert_int_equal(send_frame(c, f, &ppi, 1), NVSP_STAT_SUCCESS);
		s = net_mem_sent(c->cable);
		assert_non_null(s);
		assert_int_equal(s->len, f->len);
		finish(s);
		assert_true(is_right(s->bytes, f, v, proto));
		if (v == 4)
			assert_int_equal(plain_sum(s->bytes + f->l3, 20, 0),
					 0xffff);
		assert_memory_equal(s->bytes + f->payload,
				    f->bytes + f->payload, 301);
	}
}

static void a_large_frame_leaves_with_what_cutting_it_needs(void **state)
{
	struct netvsc *c = *state;

	for (int v = 4; v <= 6; v += 2) {
		g_autofree struct made *f = make_frame(v, IPPROTO_TCP, 5000);
		struct ppi ppi = netvsc_ppi(RNDIS_PKTINFO_LSO,
					    1400 | (uint32_t)f->l4 << 20 |
					    1u << 30 | (v == 6 ? 1u << 31 : 0));
		g_autofree struct net_mem_frame *s = NULL;

		/* Linux leaves out the lengths, and IPv4's checksum. */
		put16(f->bytes + f->l3 + (v == 4 ? 2 : 4), 0);
		if (v == 4)
			put16(f->bytes + f->l3 + 10, 0);
		put16(f->bytes + csum_at(f, IPPROTO_TCP),
		      plain_pseudo(f, v, IPPROTO_TCP, 0));
		assert_int_equal(send_frame(c, f, &ppi, 1), NVSP_STAT_SUCCESS);
		s = net_mem_sent(c->cable);
		assert_non_null(s);
		assert_int_equal(s->hdr.gso_type, v == 4 ?
				 VIRTIO_NET_HDR_GSO_TCPV4 :
				 VIRTIO_NET_HDR_GSO_TCPV6);
		assert_int_equal(s->hdr.gso_size, 1400);
		assert_int_equal(s->hdr.hdr_len, f->payload);
		assert_int_equal(get16(s->bytes + f->l3 + (v == 4 ? 2 : 4)),
				 f->len - (v == 4 ? f->l3 : f->l4));
		if (v == 4)
			assert_int_equal(plain_sum(s->bytes + f->l3, 20, 0),
					 0xffff);
		finish(s);
		assert_true(is_right(s->bytes, f, v, IPPROTO_TCP));
	}
}

static void a_tag_is_inserted(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 1472);
	struct ppi ppi[2] = {
		netvsc_ppi(RNDIS_PKTINFO_8021Q, 5 | 1 << 3 | 0xabc << 4),
		netvsc_ppi(RNDIS_PKTINFO_CSUM, CSUM_TX_IPV4 | CSUM_TX_UDP),
	};
	g_autofree struct net_mem_frame *s = NULL;

	assert_int_equal(send_frame(c, f, ppi, 2), NVSP_STAT_SUCCESS);
	s = net_mem_sent(c->cable);
	assert_non_null(s);
	assert_int_equal(s->len, f->len + 4);
	assert_memory_equal(s->bytes, f->bytes, 12);
	assert_memory_equal(s->bytes + 12, "\x81\x00\xba\xbc", 4);
	assert_memory_equal(s->bytes + 16, f->bytes + 12, 2);
	assert_int_equal(s->hdr.csum_start, f->l4 + 4);
	assert_memory_equal(s->bytes + f->payload + 4, f->bytes + f->payload,
			    1472);
}

static void several_frames_may_come_in_one_message(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 100);
	static uint8_t msg[9 * 256];

	for (unsigned n = 1; n <= 9; n++) {
		size_t len = 0;

		for (unsigned i = 0; i < n; i++)
			len += netvsc_wrap(msg + len, NULL, 0, f->bytes,
					   f->len);
		assert_int_equal(netvsc_send(c, 0, NVSP_CHANNEL_DATA, msg, len),
				 n <= 8 ? NVSP_STAT_SUCCESS :
					  NVSP_STAT_INVALID_RNDIS_PKT);
		for (unsigned i = 0; i < MIN(n, 8); i++) {
			g_autofree struct net_mem_frame *s =
				net_mem_sent(c->cable);

			assert_non_null(s);
			assert_memory_equal(s->bytes, f->bytes, f->len);
		}
		assert_null(net_mem_sent(c->cable));
	}
}

/* Headers in the section, the rest in pages of the guest's. */
static void a_frame_may_lie_in_pages(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(6, IPPROTO_UDP, 1300);
	static uint8_t msg[4096];
	size_t len = netvsc_wrap(msg, NULL, 0, f->bytes, f->len);
	size_t split = RNDIS_PACKET_SIZE + 33;
	uint64_t pfn = NETVSC_FREE_GPA / GMEM_PAGE_SIZE;
	const struct nvsp_message m = {
		.msg_type = NVSP_MSG1_TYPE_SEND_RNDIS_PKT,
		.rndis_pkt = { 0, 3, (uint32_t)split },
	};
	struct {
		struct vmdata_gpa_direct h;
		struct gpa_range r0;
		uint64_t pfn0[2];
		struct gpa_range r1;
		uint64_t pfn1;
	} __attribute__((packed)) head = {
		.h.range_cnt = 2,
		.r0 = { .byte_count = 500, .byte_offset = 4000 },
		.pfn0 = { pfn + 3, pfn + 1 },
		.r1 = { .byte_count = (uint32_t)(len - split - 500),
			.byte_offset = 7 },
		.pfn1 = pfn,
	};
	uint8_t *free_pages = c->ram + NETVSC_FREE_GPA;
	g_autofree struct net_mem_frame *s = NULL;
	g_autofree struct fake_answer *a = NULL;

	memcpy(c->ram + NETVSC_SEND_GPA + 3 * 6144, msg, split);
	memcpy(free_pages + 3 * 4096 + 4000, msg + split, 96);
	memcpy(free_pages + 4096, msg + split + 96, 404);
	memcpy(free_pages + 7, msg + split + 500, len - split - 500);
	fake_send(c->ch[0], 5, &head, sizeof(head), &m, sizeof(m));
	fake_kick(c->ch[0]);
	a = fake_answer(c->ch[0]);
	assert_non_null(a);
	s = net_mem_sent(c->cable);
	assert_non_null(s);
	assert_int_equal(s->len, f->len);
	assert_memory_equal(s->bytes, f->bytes, f->len);
}

static void a_full_cable_holds_the_ring_up(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 100);
	struct fake_answer *a;

	c->cable->room = 0;
	assert_int_equal(send_frame(c, f, NULL, 0), NVSP_STAT_NONE);
	assert_true(c->ch[0]->busy);
	/* The next stays where it is. */
	assert_int_equal(send_frame(c, f, NULL, 0), NVSP_STAT_NONE);
	assert_int_equal(c->ch[0]->packets.length, 1);
	c->cable->room = 100;
	c->cable->net.user.writable(c->cable->net.user.user);
	assert_false(c->ch[0]->busy);
	fake_kick(c->ch[0]);
	for (int i = 0; i < 2; i++) {
		a = fake_answer(c->ch[0]);
		assert_non_null(a);
		g_free(a);
		g_free(net_mem_sent(c->cable));
	}
	assert_int_equal(c->ch[0]->packets.length, 0);
}

/* Whatever the peer does, a guest is not held up by it for ever. */
static void a_cable_that_stays_full_loses_frames(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 100);
	uint8_t query[28] = { RNDIS_MSG_KEEPALIVE, 0, 0, 0, 12 };
	struct fake_answer *a;

	loop_set_clock(c->loop, fake_clock);
	c->cable->room = 0;
	assert_int_equal(send_frame(c, f, NULL, 0), NVSP_STAT_NONE);
	assert_int_equal(netvsc_send(c, 0, NVSP_CHANNEL_CONTROL, query,
				     sizeof(query)), NVSP_STAT_NONE);
	now += TX_PATIENCE_NS - 1;
	loop_turn(c->loop, false);
	fake_kick(c->ch[0]);
	assert_null(fake_answer(c->ch[0]));
	now++;
	loop_turn(c->loop, false);
	assert_false(c->ch[0]->busy);
	fake_kick(c->ch[0]);
	for (int i = 0; i < 2; i++) {
		a = fake_answer(c->ch[0]);
		assert_non_null(a);
		g_free(a);
	}
	g_free(fake_transfer(c->ch[0]));
	/* The next is not even waited for, ... */
	assert_int_equal(send_frame(c, f, NULL, 0), NVSP_STAT_SUCCESS);
	assert_int_equal(c->nv->tx_lost, 2);
	/* ... until the cable takes frames again. */
	c->cable->room = 1;
	c->cable->net.user.writable(c->cable->net.user.user);
	assert_int_equal(send_frame(c, f, NULL, 0), NVSP_STAT_SUCCESS);
	assert_int_equal(send_frame(c, f, NULL, 0), NVSP_STAT_NONE);
	assert_int_equal(c->nv->tx_lost, 2);
	g_free(net_mem_sent(c->cable));
}

/* Two guests that wait for each other's buffers would never go on. */
static void who_sends_much_and_gets_nothing_need_not_ring(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *small = make_frame(4, IPPROTO_UDP, 64);
	g_autoptr(GPtrArray) all = NULL;

	for (unsigned n = 1; n <= 8; n++) {
		send_frame(c, small, NULL, 0);
		g_free(net_mem_sent(c->cable));
		assert_int_equal(c->ch[0]->busy, n == 8);
	}
	fake_kick(c->ch[0]);
	assert_false(c->ch[0]->busy);
	for (unsigned n = 0; n < 20; n++) {
		send_frame(c, small, NULL, 0);
		g_free(net_mem_sent(c->cable));
		assert_false(c->ch[0]->busy);
		net_mem_receive(c->cable, NULL, small->bytes, small->len);
		c->cable->net.user.readable(c->cable->net.user.user);
	}
	all = netvsc_received(c, 0);
	assert_int_equal(all->len, 20);
}

static void buffers_come_back_past_frames_that_wait(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 64);
	unsigned count = c->nv->recv.free_count;
	g_autoptr(GPtrArray) all = NULL;
	struct fake_transfer *t;

	c->cable->room = 0;
	assert_int_equal(send_frame(c, f, NULL, 0), NVSP_STAT_NONE);
	for (unsigned i = 0; i < count + 1; i++)
		net_mem_receive(c->cable, NULL, f->bytes, f->len);
	while ((t = fake_transfer(c->ch[0]))) {
		fake_complete(c->ch[0], t->t.trans_id);
		g_free(t);
	}
	c->cable->net.user.readable(c->cable->net.user.user);
	while (loop_turn(c->loop, false))
		;
	while ((t = fake_transfer(c->ch[0]))) {
		fake_complete(c->ch[0], t->t.trans_id);
		g_free(t);
	}
	fake_kick(c->ch[0]);
	g_free(fake_answer(c->ch[0]));
	all = netvsc_received(c, 0);
	assert_int_equal(all->len, 1);
	assert_int_equal(c->nv->recv.free_count, count);
	assert_int_equal(c->nv->tx_lost, 1);
}

/* The guest's pages may be anything's from then on. */
static void no_frame_outlives_its_send_buffer(void **state)
{
	const struct nvsp_message revoke = {
		.msg_type = NVSP_MSG1_TYPE_REVOKE_SEND_BUF,
	};
	const struct nvsp_message lend = {
		.msg_type = NVSP_MSG1_TYPE_SEND_SEND_BUF,
		.send_buf = { NETVSC_SEND_GPADL, 0 },
	};
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 100);
	uint8_t msg[512];
	size_t len = netvsc_wrap(msg, NULL, 0, f->bytes, f->len);
	const struct nvsp_message m = {
		.msg_type = NVSP_MSG1_TYPE_SEND_RNDIS_PKT,
		.rndis_pkt = { NVSP_CHANNEL_DATA, 0, (uint32_t)len },
	};

	open_subchannels(c, 1);
	g_free(fake_answer(c->ch[0]));
	/* What comes before it in the ring leaves, ... */
	memcpy(c->ram + NETVSC_SEND_GPA, msg, len);
	fake_send(c->ch[0], 5, NULL, 0, &m, sizeof(m));
	fake_send(c->ch[0], 6, NULL, 0, &revoke, sizeof(revoke));
	fake_kick(c->ch[0]);
	g_free(fake_answer(c->ch[0]));
	g_free(fake_answer(c->ch[0]));
	assert_int_equal(c->cable->sent.length, 1);
	g_free(net_mem_sent(c->cable));
	/* ... unless it cannot; the same if the NIC is closed. */
	assert_true(netvsc_message(c, &lend));
	c->cable->room = 0;
	assert_int_equal(netvsc_send(c, 1, NVSP_CHANNEL_DATA, msg, len),
			 NVSP_STAT_NONE);
	fake_close(c->ch[0]);
	c->cable->room = 100;
	c->cable->net.user.writable(c->cable->net.user.user);
	assert_null(net_mem_sent(c->cable));
	fake_free(c->ch[0]);
	c->ch[0] = NULL;
}

static void frames_that_make_no_sense_are_not_sent(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_TCP, 100);
	static const struct { unsigned word; uint32_t value; } bad[] = {
		{ 0, 2 }, { 0, 0 }, { 1, 7 }, { 1, 43 }, { 1, UINT32_MAX },
		{ 1, 1 << 16 }, { 2, UINT32_MAX }, { 2, 1 << 12 },
		{ 3, 0 }, { 3, UINT32_MAX }, { 3, 2000 },
		{ 7, UINT32_MAX }, { 8, UINT32_MAX }, { 8, 513 }, { 8, 5 },
		{ 11, 0 }, { 11, 11 }, { 11, UINT32_MAX }, { 11, 500 },
		{ 13, 17 }, { 13, UINT32_MAX },
	};
	struct ppi ppi = netvsc_ppi(RNDIS_PKTINFO_CSUM,
				    CSUM_TX_IPV4 | CSUM_TX_TCP);
	uint8_t msg[512];
	size_t len = netvsc_wrap(msg, &ppi, 1, f->bytes, f->len);

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		uint8_t m[512];

		memcpy(m, msg, len);
		memcpy(m + bad[i].word * 4, &bad[i].value, 4);
		assert_int_equal(netvsc_send(c, 0, NVSP_CHANNEL_DATA, m, len),
				 NVSP_STAT_INVALID_RNDIS_PKT);
		assert_null(net_mem_sent(c->cable));
	}
	assert_int_equal(netvsc_send(c, 0, NVSP_CHANNEL_DATA, msg, len),
			 NVSP_STAT_SUCCESS);
	g_free(net_mem_sent(c->cable));
}

static void wishes_that_cannot_be_are_refused(void **state)
{
	struct netvsc *c = *state;
	static const struct ppi bad[] = {
		{ { 16, RNDIS_PKTINFO_LSO, 12 }, 0 },		/* MSS 0 */
		{ { 16, RNDIS_PKTINFO_LSO, 12 }, 0xfffff },
		{ { 16, RNDIS_PKTINFO_CSUM, 12 }, CSUM_TX_UDP },
	};
	g_autofree struct made *tcp = make_frame(4, IPPROTO_TCP, 100);
	g_autofree struct made *long_one = make_frame(4, IPPROTO_UDP, 1480);

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		assert_int_equal(send_frame(c, tcp, &bad[i], 1),
				 NVSP_STAT_INVALID_RNDIS_PKT);
	assert_int_equal(send_frame(c, long_one, NULL, 0),
			 NVSP_STAT_INVALID_RNDIS_PKT);
	/* No TCP header to be seen; one that goes on behind the frame. */
	tcp->bytes[tcp->l4 + 12] = 0x40;
	assert_int_equal(send_frame(c, tcp, &(struct ppi){
				{ 16, RNDIS_PKTINFO_LSO, 12 }, 1400 }, 1),
			 NVSP_STAT_INVALID_RNDIS_PKT);
	tcp->bytes[tcp->l4 + 12] = 0xf0;
	tcp->len = tcp->payload + 10;
	assert_int_equal(send_frame(c, tcp, &(struct ppi){
				{ 16, RNDIS_PKTINFO_LSO, 12 }, 1400 }, 1),
			 NVSP_STAT_INVALID_RNDIS_PKT);
	assert_null(net_mem_sent(c->cable));
}

/* Guests that ask for what they were not offered do not get it. */
static void what_the_cable_cannot_do_never_reaches_it(void **state)
{
	struct netvsc *c = *state;
	const struct ppi lso = netvsc_ppi(RNDIS_PKTINFO_LSO, 1400 | 1u << 30);
	const struct ppi csum = netvsc_ppi(RNDIS_PKTINFO_CSUM, CSUM_TX_TCP);
	const struct { int version; unsigned lacks; const struct ppi *ppi; }
	asked[] = {
		{ 4, NET_OFFLOAD_TSO4, &lso }, { 6, NET_OFFLOAD_TSO6, &lso },
		{ 4, NET_OFFLOAD_CSUM, &csum }, { 6, NET_OFFLOAD_CSUM, &csum },
	};
	unsigned all = c->cable->net.offloads;

	for (size_t i = 0; i < G_N_ELEMENTS(asked); i++) {
		g_autofree struct made *f = make_frame(asked[i].version,
						       IPPROTO_TCP, 1400);

		c->cable->net.offloads = all & ~asked[i].lacks;
		assert_int_equal(send_frame(c, f, asked[i].ppi, 1),
				 NVSP_STAT_INVALID_RNDIS_PKT);
		assert_null(net_mem_sent(c->cable));
		c->cable->net.offloads = asked[i].lacks;
		assert_int_equal(send_frame(c, f, asked[i].ppi, 1),
				 NVSP_STAT_SUCCESS);
		g_free(net_mem_sent(c->cable));
	}
}

static void a_frame_is_as_long_as_the_cable_takes(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 1472);
	static const struct { uint32_t mtu_max; size_t len; bool ok; } cases[] = {
		{ 65535, 13, false }, { 65535, 14, true },
		{ 65535, 1518, true }, { 65535, 1519, false },
		{ 1400, 1418, true }, { 1400, 1419, false },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		c->cable->net.mtu_max = cases[i].mtu_max;
		f->len = cases[i].len;
		assert_int_equal(send_frame(c, f, NULL, 0), cases[i].ok ?
				 NVSP_STAT_SUCCESS :
				 NVSP_STAT_INVALID_RNDIS_PKT);
		g_free(net_mem_sent(c->cable));
	}
}

static void sections_and_ranges_have_bounds(void **state)
{
	struct netvsc *c = *state;
	static const uint32_t sections[][2] = {
		{ NETVSC_SEND_PAGES * 4096 / 6144, 6144 },
		{ 0, 6145 }, { UINT32_MAX - 1, 100 }, { 0, UINT32_MAX },
	};
	struct {
		struct vmdata_gpa_direct h;
		struct gpa_range r;
		uint64_t pfn;
	} __attribute__((packed)) head = {
		.h.range_cnt = 1, .r = { .byte_count = 100 },
	};
	static const struct {
		uint32_t count, bytes, offset;
		uint64_t pfn;
	} ranges[] = {
		{ 2, 100, 0, 1 }, { UINT32_MAX, 100, 0, 1 },
		{ 1, 100, 4096, 1 }, { 1, 4097, 0, 1 },
		{ 1, UINT32_MAX, 0, 1 }, { 1, 100, 0, UINT64_MAX },
		{ 1, 100, 0, NETVSC_RAM / 4096 },
	};
	struct nvsp_message m = {
		.msg_type = NVSP_MSG1_TYPE_SEND_RNDIS_PKT,
	};
	struct nvsp_message *got;
	struct fake_answer *a;

	for (size_t i = 0; i < G_N_ELEMENTS(sections); i++) {
		m.rndis_pkt.section_index = sections[i][0];
		m.rndis_pkt.section_size = sections[i][1];
		assert_true(netvsc_message(c, &m));
		assert_int_equal(c->answer.status, NVSP_STAT_FAIL);
	}
	m.rndis_pkt.section_index = NVSP_NO_SECTION;
	for (size_t i = 0; i < G_N_ELEMENTS(ranges); i++) {
		head.h.range_cnt = ranges[i].count;
		head.r.byte_count = ranges[i].bytes;
		head.r.byte_offset = ranges[i].offset;
		head.pfn = ranges[i].pfn;
		fake_send(c->ch[0], 5, &head, sizeof(head), &m, sizeof(m));
		fake_kick(c->ch[0]);
		a = fake_answer(c->ch[0]);
		assert_non_null(a);
		got = (void *)a->payload;
		assert_int_equal(got->status, NVSP_STAT_FAIL);
		g_free(a);
	}
}

/*
 * Receiving.
 */
static void come(struct netvsc *c, const struct made *f,
		 const struct virtio_net_hdr *hdr)
{
	net_mem_receive(c->cable, hdr, f->bytes, f->len);
	c->cable->net.user.readable(c->cable->net.user.user);
}

static void a_frame_arrives_as_it_is(void **state)
{
	struct netvsc *c = *state;
	uint32_t free_count = c->nv->recv.free_count;

	for (size_t len = 1; len <= 1472; len += 49) {
		g_autofree struct made *f = make_frame(4, IPPROTO_UDP, len);
		g_autoptr(GPtrArray) all = NULL;
		struct netvsc_frame *got;

		come(c, f, NULL);
		all = netvsc_received(c, 0);
		assert_int_equal(all->len, 1);
		got = all->pdata[0];
		assert_int_equal(got->len, f->len);
		assert_memory_equal(got->bytes, f->bytes, f->len);
		assert_false(got->has_csum || got->has_vlan || got->has_id);
		assert_int_equal(c->nv->recv.free_count, free_count);
	}
}

static void a_burst_comes_in_few_packets(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 64);
	g_autoptr(GPtrArray) all = NULL;

	for (int i = 0; i < 100; i++) {
		f->bytes[f->payload] = (uint8_t)i;
		net_mem_receive(c->cable, NULL, f->bytes, f->len);
	}
	c->cable->net.user.readable(c->cable->net.user.user);
	/* Room for a frame of many segments is kept in each. */
	assert_true(c->ch[0]->transfers.length <= 100 / 16);
	all = netvsc_received(c, 0);
	assert_int_equal(all->len, 100);
	for (int i = 0; i < 100; i++)
		assert_int_equal(((struct netvsc_frame *)
				  all->pdata[i])->bytes[f->payload], i);
}

static void a_checksum_that_was_left_is_finished(void **state)
{
	struct netvsc *c = *state;

	for (unsigned kind = 0; kind < 4; kind++) {
		int v = kind & 1 ? 6 : 4;
		unsigned proto = kind & 2 ? IPPROTO_UDP : IPPROTO_TCP;
		g_autofree struct made *f = make_frame(v, proto, 1237);
		const struct virtio_net_hdr hdr = {
			.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			.csum_start = (uint16_t)f->l4,
			.csum_offset = proto == IPPROTO_TCP ? 16 : 6,
		};
		g_autoptr(GPtrArray) all = NULL;
		struct netvsc_frame *got;

		put16(f->bytes + csum_at(f, proto),
		      plain_pseudo(f, v, proto, f->len - f->l4));
		come(c, f, &hdr);
		all = netvsc_received(c, 0);
		assert_int_equal(all->len, 1);
		got = all->pdata[0];
		assert_true(is_right(got->bytes, f, v, proto));
		assert_true(got->has_csum);
		assert_int_equal(got->csum, proto == IPPROTO_TCP ?
				 CSUM_RX_TCP_OK : CSUM_RX_UDP_OK);
	}
}

static void a_guest_that_checks_itself_is_told_nothing(void **state)
{
	struct netvsc *c = *state;
	const struct ndis_offload_parameters p = {
		.header = { NDIS_OBJECT_TYPE_DEFAULT, 3, sizeof(p) },
		.tcp4_csum = NDIS_CSUM_TX,
	};
	const struct virtio_net_hdr hdr = {
		.flags = VIRTIO_NET_HDR_F_DATA_VALID,
	};
	g_autofree struct made *f = make_frame(4, IPPROTO_TCP, 10);
	g_autoptr(GPtrArray) all = NULL;
	struct fake_transfer *t;

	come(c, f, &hdr);
	all = netvsc_received(c, 0);
	assert_true(((struct netvsc_frame *)all->pdata[0])->has_csum);
	g_ptr_array_set_size(all, 0);
	/* The answer, and behind it the indication of what is on now. */
	netvsc_set(c, OID_OFFLOAD, &p, sizeof(p));
	t = fake_transfer(c->ch[0]);
	assert_non_null(t);
	g_free(t);
	come(c, f, &hdr);
	g_ptr_array_unref(g_steal_pointer(&all));
	all = netvsc_received(c, 0);
	assert_int_equal(all->len, 1);
	assert_false(((struct netvsc_frame *)all->pdata[0])->has_csum);
}

static void a_tag_comes_beside_the_frame(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 1472);
	g_autofree struct made *tagged = g_memdup2(f, sizeof(*f));
	g_autoptr(GPtrArray) all = NULL;
	struct netvsc_frame *got;

	memcpy(tagged->bytes + 12, "\x81\x00\xba\xbc", 4);
	memcpy(tagged->bytes + 16, f->bytes + 12, f->len - 12);
	tagged->len += 4;
	come(c, tagged, NULL);
	all = netvsc_received(c, 0);
	assert_int_equal(all->len, 1);
	got = all->pdata[0];
	assert_int_equal(got->len, f->len);
	assert_memory_equal(got->bytes, f->bytes, f->len);
	assert_true(got->has_vlan);
	assert_int_equal(got->vlan, 5 | 1 << 3 | 0xabc << 4);
}

static void the_filter_decides(void **state)
{
	static const struct { uint32_t filter; bool me, all, group, other; }
	cases[] = {
		{ 0, 0, 0, 0, 0 },
		{ NDIS_PACKET_TYPE_DIRECTED, 1, 0, 0, 0 },
		{ NDIS_PACKET_TYPE_BROADCAST, 0, 1, 0, 0 },
		{ NDIS_PACKET_TYPE_MULTICAST, 0, 0, 1, 0 },
		{ NDIS_PACKET_TYPE_ALL_MULTICAST, 0, 0, 1, 0 },
		{ 0xd, 1, 1, 1, 0 },
		{ NDIS_PACKET_TYPE_PROMISCUOUS, 1, 1, 1, 1 },
	};
	static const char *const to[] = {
		"\x02\x01\x02\x03\x04\x05", "\xff\xff\xff\xff\xff\xff",
		"\x01\x00\x5e\x00\x00\x01", "\x02\x01\x02\x03\x04\x06",
	};
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 10);

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		const bool want[] = { cases[i].me, cases[i].all,
				      cases[i].group, cases[i].other };

		netvsc_set(c, OID_FILTER, &cases[i].filter, 4);
		for (size_t k = 0; k < G_N_ELEMENTS(to); k++) {
			GPtrArray *all;

			memcpy(f->bytes, to[k], 6);
			come(c, f, NULL);
			all = netvsc_received(c, 0);
			assert_int_equal(all->len, want[k]);
			g_ptr_array_unref(all);
		}
	}
}

static void what_comes_while_nobody_listens_is_not_for_later(void **state)
{
	const uint32_t off = 0, on = NDIS_PACKET_TYPE_PROMISCUOUS;
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 10);
	g_autoptr(GPtrArray) all = NULL;

	/* Also what had come before, and found no room. */
	c->ch[0]->full = true;
	come(c, f, NULL);
	come(c, f, NULL);
	c->ch[0]->full = false;
	netvsc_set(c, OID_FILTER, &off, sizeof(off));
	g_ptr_array_unref(netvsc_received(c, 0));
	for (int i = 0; i < 2 * RX_BUDGET; i++)
		net_mem_receive(c->cable, NULL, f->bytes, f->len);
	c->cable->net.user.readable(c->cable->net.user.user);
	while (loop_turn(c->loop, false))
		;
	assert_int_equal(c->cable->incoming.length, 0);
	netvsc_set(c, OID_FILTER, &on, sizeof(on));
	f->bytes[f->payload] ^= 1;
	come(c, f, NULL);
	all = netvsc_received(c, 0);
	assert_int_equal(all->len, 1);
	assert_memory_equal(((struct netvsc_frame *)all->pdata[0])->bytes,
			    f->bytes, f->len);
}

static void what_comes_while_there_is_no_driver_is_not_for_later(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 10);

	/* Left by a guest that had no buffers. */
	for (unsigned i = c->nv->recv.free_count + 1; i; i--)
		net_mem_receive(c->cable, NULL, f->bytes, f->len);
	c->cable->net.user.readable(c->cable->net.user.user);
	while (loop_turn(c->loop, false))
		;
	assert_int_equal(c->cable->incoming.length, 1);
	fake_close(c->ch[0]);
	fake_free(c->ch[0]);
	c->ch[0] = NULL;
	while (loop_turn(c->loop, false))
		;
	assert_int_equal(c->cable->incoming.length, 0);
	come(c, f, NULL);
	assert_int_equal(c->cable->incoming.length, 0);
}

static void no_frame_passes_a_cable_that_is_out(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 10);
	g_autoptr(GPtrArray) all = NULL;

	c->cable->room = 0;
	assert_int_equal(send_frame(c, f, NULL, 0), NVSP_STAT_NONE);
	c->cable->room = 100;
	netvsp_set_link(c->nv, false);
	assert_false(c->ch[0]->busy);
	g_free(fake_answer(c->ch[0]));
	assert_indicated(c, is_down, 1);
	assert_false(is_connected(c));
	assert_int_equal(send_frame(c, f, NULL, 0), NVSP_STAT_SUCCESS);
	assert_null(net_mem_sent(c->cable));
	assert_int_equal(c->nv->tx_lost, 2);
	come(c, f, NULL);
	assert_int_equal(c->ch[0]->transfers.length, 0);
	/* Nor by what happens at its other end. */
	set_cable(c, false);
	set_cable(c, true);
	assert_false(is_connected(c));
	netvsp_set_link(c->nv, true);
	assert_true(is_connected(c));
	assert_int_equal(send_frame(c, f, NULL, 0), NVSP_STAT_SUCCESS);
	g_free(net_mem_sent(c->cable));
	come(c, f, NULL);
	all = netvsc_received(c, 0);
	assert_int_equal(all->len, 1);
}

static void groups_that_were_named_are_received(void **state)
{
	static const uint8_t groups[GROUPS_MAX + 1][6] = {
		{ 1, 0, 0x5e, 0, 0, 1 }, { 0x33, 0x33, 0, 0, 0, 1 },
	};
	static const struct { uint32_t filter; bool in, out; } cases[] = {
		{ NDIS_PACKET_TYPE_MULTICAST, 1, 0 },
		{ NDIS_PACKET_TYPE_ALL_MULTICAST, 1, 1 },
		{ NDIS_PACKET_TYPE_DIRECTED, 0, 0 },
	};
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 10);
	g_autoptr(GByteArray) b = g_byte_array_new();

	assert_int_equal(netvsc_set(c, OID_GROUPS, groups, 7),
			 RNDIS_STATUS_INVALID_LENGTH);
	assert_int_equal(netvsc_set(c, OID_GROUPS, groups, sizeof(groups)),
			 RNDIS_STATUS_MULTICAST_FULL);
	assert_int_equal(netvsc_set(c, OID_GROUPS, groups,
				    sizeof(groups) - 6),
			 RNDIS_STATUS_SUCCESS);
	assert_int_equal(netvsc_set(c, OID_GROUPS, groups, 12),
			 RNDIS_STATUS_SUCCESS);
	netvsc_query(c, OID_GROUPS, NULL, 0, b);
	assert_int_equal(b->len, 12);
	assert_memory_equal(b->data, groups, 12);
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		netvsc_set(c, OID_FILTER, &cases[i].filter, 4);
		for (unsigned k = 0; k < 3; k++) {
			GPtrArray *all;

			memcpy(f->bytes, k < 2 ? groups[k] :
					 (const uint8_t *)"\1\0\x5e\0\0\2", 6);
			come(c, f, NULL);
			all = netvsc_received(c, 0);
			assert_int_equal(all->len, k < 2 ? cases[i].in :
							   cases[i].out);
			g_ptr_array_unref(all);
		}
	}
}

static uint64_t counter(struct netvsc *c, uint32_t oid)
{
	g_autoptr(GByteArray) b = g_byte_array_new();
	uint64_t value;

	assert_int_equal(netvsc_query(c, oid, NULL, 0, b),
			 RNDIS_STATUS_SUCCESS);
	assert_int_equal(b->len, sizeof(value));
	memcpy(&value, b->data, sizeof(value));
	return value;
}

static void frames_are_counted_by_who_they_are_for(void **state)
{
	static const char *const to[] = {
		"\x02\x01\x02\x03\x04\x05", "\x01\x00\x5e\x00\x00\x01",
		"\xff\xff\xff\xff\xff\xff",
	};
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 10);
	g_autoptr(GByteArray) b = g_byte_array_new();
	struct ndis_statistics s;

	for (unsigned k = 0; k < 3; k++) {
		memcpy(f->bytes, to[k], 6);
		for (unsigned i = 0; i <= k; i++) {
			send_frame(c, f, NULL, 0);
			g_free(net_mem_sent(c->cable));
		}
		for (unsigned i = 0; i <= k + 3; i++)
			come(c, f, NULL);
		g_ptr_array_unref(netvsc_received(c, 0));
	}
	c->cable->room = 0;
	netvsp_set_link(c->nv, false);
	send_frame(c, f, NULL, 0);
	netvsp_set_link(c->nv, true);
	assert_indicated(c, is_down, 1);
	for (unsigned k = 0; k < 3; k++) {
		assert_int_equal(counter(c, 0x00020201 + 2 * k),
				 (k + 1) * f->len);
		assert_int_equal(counter(c, 0x00020202 + 2 * k), k + 1);
		assert_int_equal(counter(c, 0x00020207 + 2 * k),
				 (k + 4) * f->len);
		assert_int_equal(counter(c, 0x00020208 + 2 * k), k + 4);
	}
	assert_int_equal(counter(c, 0x00020101), 6);
	assert_int_equal(counter(c, 0x00020102), 15);
	assert_int_equal(counter(c, 0x0002021c), 1);
	netvsc_query(c, 0x00020106, NULL, 0, b);
	assert_int_equal(b->len, sizeof(s));
	memcpy(&s, b->data, sizeof(s));
	assert_int_equal(s.header.size, sizeof(s));
	assert_int_equal(s.in_bytes, 15 * f->len);
	assert_int_equal(s.out_bytes, 6 * f->len);
	assert_int_equal(s.out_discards, 1);
	for (unsigned k = 0; k < 3; k++) {
		assert_int_equal(s.in_frames[k], k + 4);
		assert_int_equal(s.out_frames[k], k + 1);
		assert_int_equal(s.in_bytes_by_cast[k], (k + 4) * f->len);
		assert_int_equal(s.out_bytes_by_cast[k], (k + 1) * f->len);
	}
}

static void set_rsc(struct netvsc *c, bool on)
{
	assert_int_equal(netvsc_set_rsc(c, on), RNDIS_STATUS_SUCCESS);
}

static void a_large_frame_comes_in_parts_of_one_packet(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_TCP, 60000);
	const struct virtio_net_hdr hdr = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 1448,
		.hdr_len = (uint16_t)f->payload,
		.csum_start = (uint16_t)f->l4, .csum_offset = 16,
	};
	g_autoptr(GPtrArray) all = NULL;
	size_t at = 0;

	assert_int_equal(c->cable->offloads, NET_OFFLOAD_CSUM);
	set_rsc(c, true);
	assert_int_equal(c->cable->offloads, NET_OFFLOAD_CSUM |
			 NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6);
	put16(f->bytes + csum_at(f, IPPROTO_TCP),
	      plain_pseudo(f, 4, IPPROTO_TCP, f->len - f->l4));
	come(c, f, &hdr);
	put16(f->bytes + csum_at(f, IPPROTO_TCP),
	      ~plain_sum(f->bytes + f->l4, f->len - f->l4, 0) & 0xffff);
	assert_true(is_right(f->bytes, f, 4, IPPROTO_TCP));
	all = netvsc_received(c, 0);
	assert_true(all->len > 1);
	for (guint i = 0; i < all->len; i++) {
		struct netvsc_frame *got = all->pdata[i];

		assert_true(got->has_id);
		assert_int_equal(got->id.flags, RNDIS_PKTID_VALID |
				 (i ? 0 : RNDIS_PKTID_FIRST) |
				 (i + 1 < all->len ? 0 : RNDIS_PKTID_LAST));
		assert_int_equal(got->has_csum, i == 0);
		assert_int_equal(got->trans_id,
				 ((struct netvsc_frame *)
				  all->pdata[0])->trans_id);
		assert_memory_equal(got->bytes, f->bytes + at, got->len);
		at += got->len;
	}
	assert_int_equal(at, f->len);
	set_rsc(c, false);
	assert_int_equal(c->cable->offloads, NET_OFFLOAD_CSUM);
}

static void see_whole(struct netvsc *c, const struct made *f)
{
	g_autoptr(GPtrArray) all = netvsc_received(c, 0);
	size_t at = 0;

	for (guint i = 0; i < all->len; i++) {
		struct netvsc_frame *got = all->pdata[i];

		assert_memory_equal(got->bytes, f->bytes + at, got->len);
		at += got->len;
	}
	assert_int_equal(at, f->len);
}

/* Each piece is work for the kernel: a small frame needs no room of a large. */
static void room_is_offered_as_it_was_needed(void **state)
{
	static const struct { size_t size; int least, most; } frames[] = {
		{ 64, 2, 2 }, { 64, 2, 2 }, { 65000, 43, 44 },
		{ 65000, 43, 44 }, { 64, 2, 44 }, { 20000, 14, 44 },
		{ 3000, 3, 44 }, { NET_FRAME_MAX - 66, 43, 44 },
		{ 64, 2, 44 }, { 64, 2, 44 }, { 64, 2, 44 }, { 64, 2, 44 },
		{ 64, 2, 44 }, { 64, 2, 2 }, { 1500, 3, 3 },
	};
	struct netvsc *c = *state;
	uint32_t free_count;

	set_rsc(c, true);
	free_count = c->nv->recv.free_count;
	for (size_t i = 0; i < G_N_ELEMENTS(frames); i++) {
		g_autofree struct made *f = make_frame(4, IPPROTO_TCP,
						       frames[i].size);

		come(c, f, NULL);
		/* Of the next. */
		assert_in_range(c->cable->pieces, frames[i].least,
				frames[i].most);
		see_whole(c, f);
		assert_int_equal(c->nv->recv.free_count, free_count);
	}
}

/* Memory stays bounded, and nothing is lost by it. */
static void a_guest_that_gives_nothing_back_gets_no_more(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 64);
	unsigned count = c->nv->recv.count, packets, got = 0;

	for (unsigned i = 0; i < 2 * count; i++)
		net_mem_receive(c->cable, NULL, f->bytes, f->len);
	c->cable->net.user.readable(c->cable->net.user.user);
	while (loop_turn(c->loop, false))
		;
	packets = c->ch[0]->transfers.length;
	assert_int_equal(c->nv->recv.free_count, 0);
	assert_int_equal(c->cable->incoming.length,
			 2 * count - (count - RX_CONTROL_BUFFERS));
	/* It can still be spoken to. */
	assert_int_not_equal(c->nv->recv.free_control, NO_BUFFER);
	while (packets) {
		GPtrArray *all = netvsc_received(c, 0);

		got += all->len;
		g_ptr_array_unref(all);
		while (loop_turn(c->loop, false))
			;
		packets = c->ch[0]->transfers.length;
	}
	assert_int_equal(got, 2 * count);
}

static void what_was_never_sent_cannot_be_given_back(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 64);
	uint32_t free_count = c->nv->recv.free_count;
	g_autofree struct fake_transfer *t = NULL;

	for (uint64_t id = 0; id < 3000; id++)
		fake_complete(c->ch[0], id);
	fake_complete(c->ch[0], UINT64_MAX);
	fake_kick(c->ch[0]);
	assert_int_equal(c->nv->recv.free_count, free_count);
	for (int i = 0; i < 3; i++)
		net_mem_receive(c->cable, NULL, f->bytes, f->len);
	c->cable->net.user.readable(c->cable->net.user.user);
	t = fake_transfer(c->ch[0]);
	assert_int_equal(t->t.count, 3);
	/* Its second part, and all of it twice. */
	fake_complete(c->ch[0], t->t.ranges[1].byte_offset / 1806 + 1);
	fake_kick(c->ch[0]);
	assert_int_equal(c->nv->recv.free_count, free_count - 3);
	fake_complete(c->ch[0], t->t.trans_id);
	fake_complete(c->ch[0], t->t.trans_id);
	fake_kick(c->ch[0]);
	assert_int_equal(c->nv->recv.free_count, free_count);
}

static void a_full_ring_loses_nothing(void **state)
{
	struct netvsc *c = *state;
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 64);
	g_autoptr(GPtrArray) all = NULL;

	c->ch[0]->full = true;
	for (int i = 0; i < 100; i++)
		net_mem_receive(c->cable, NULL, f->bytes, f->len);
	c->cable->net.user.readable(c->cable->net.user.user);
	assert_int_equal(c->ch[0]->transfers.length, 0);
	c->ch[0]->full = false;
	fake_kick(c->ch[0]);
	all = netvsc_received(c, 0);
	assert_int_equal(all->len, 100);
}

static void nothing_is_received_into_a_revoked_buffer(void **state)
{
	struct netvsc *c = *state;
	const struct nvsp_message m = {
		.msg_type = NVSP_MSG1_TYPE_REVOKE_RECV_BUF,
	};
	g_autofree struct made *f = make_frame(4, IPPROTO_UDP, 64);

	c->ch[0]->full = true;
	come(c, f, NULL);
	netvsc_tell(c, &m);
	c->ch[0]->full = false;
	come(c, f, NULL);
	fake_kick(c->ch[0]);
	assert_int_equal(c->ch[0]->transfers.length, 0);
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

static const uint8_t ms_key[NDIS_RSS_KEY_SIZE] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
	0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
	0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
	0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

/* The verification suite that Microsoft publishes for RSS. */
static void the_hash_is_microsofts(void **state)
{
	static const uint8_t v4[12] = { 66, 9, 149, 187, 161, 142, 100, 80,
					2794 >> 8, 2794 & 255, 1766 >> 8,
					1766 & 255 };

	assert_int_equal(rss_toeplitz(ms_key, v4, 12), 0x51ccc178);
	assert_int_equal(rss_toeplitz(ms_key, v4, 8), 0x323e8fc2);
}

struct rss_object {
	struct ndis_rss_parameters p;
	uint32_t table[NDIS_RSS_TABLE_ENTRIES];
	uint8_t key[NDIS_RSS_KEY_SIZE];
} __attribute__((packed));

static struct rss_object rss_object(unsigned queues)
{
	struct rss_object o = {
		.p = { .header = { 0x89, 2, sizeof(o.p) },
		       .hash_info = NDIS_HASH_TOEPLITZ | NDIS_HASH_IPV4 |
				    NDIS_HASH_TCP_IPV4,
		       .table_size = sizeof(o.table),
		       .table_offset = offsetof(struct rss_object, table),
		       .key_size = sizeof(o.key),
		       .key_offset = offsetof(struct rss_object, key) },
	};

	for (unsigned i = 0; i < NDIS_RSS_TABLE_ENTRIES; i++)
		o.table[i] = i % queues;
	memcpy(o.key, ms_key, sizeof(o.key));
	return o;
}

static void frames_are_spread_by_their_hash(void **state)
{
	struct netvsc *c = *state;
	const struct rss_object o = rss_object(NETVSC_QUEUES);
	g_autofree struct made *f = make_frame(4, IPPROTO_TCP, 10);
	g_autoptr(GPtrArray) all = NULL;
	struct netvsc_frame *got;

	open_subchannels(c, 3);
	g_free(fake_answer(c->ch[0]));
	assert_int_equal(netvsc_set(c, OID_RSS, &o, sizeof(o)),
			 RNDIS_STATUS_SUCCESS);
	memcpy(f->bytes + f->l3 + 12,
	       (const uint8_t[]){ 66, 9, 149, 187, 161, 142, 100, 80 }, 8);
	put16(f->bytes + f->l4, 2794);
	put16(f->bytes + f->l4 + 2, 1766);
	come(c, f, NULL);
	all = netvsc_received(c, 0x51ccc178 % 128 % NETVSC_QUEUES);
	assert_int_equal(all->len, 1);
	got = all->pdata[0];
	assert_true(got->has_hash);
	assert_int_equal(got->hash, 0x51ccc178);
}

static void rss_settings_that_make_no_sense_are_refused(void **state)
{
	struct netvsc *c = *state;
	struct rss_object o;

	open_subchannels(c, 1);
	g_free(fake_answer(c->ch[0]));
	for (int i = 0; i < 7; i++) {
		o = rss_object(2);
		if (i == 0)
			o.table[5] = 2;
		else if (i == 1)
			o.p.key_size = 39;
		else if (i == 2)
			o.p.key_offset = UINT32_MAX;
		else if (i == 3)
			o.p.table_offset = sizeof(o);
		else if (i == 4)
			o.p.table_size = 3;
		else if (i == 5)
			o.p.table_size = UINT16_MAX;
		else
			o.table[127] = UINT32_MAX;
		assert_int_equal(netvsc_set(c, OID_RSS, &o, sizeof(o)),
				 RNDIS_STATUS_INVALID_DATA);
		assert_false(c->nv->rss.on);
	}
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define STARTED(name) \
	cmocka_unit_test_setup_teardown(name, setup_started, teardown)

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
		STARTED(a_plain_frame_goes_out_as_it_is),
		STARTED(a_checksum_is_left_to_the_cable),
		STARTED(a_large_frame_leaves_with_what_cutting_it_needs),
		STARTED(a_tag_is_inserted),
		STARTED(several_frames_may_come_in_one_message),
		STARTED(a_frame_may_lie_in_pages),
		STARTED(a_full_cable_holds_the_ring_up),
		STARTED(a_cable_that_stays_full_loses_frames),
		STARTED(who_sends_much_and_gets_nothing_need_not_ring),
		STARTED(buffers_come_back_past_frames_that_wait),
		STARTED(no_frame_outlives_its_send_buffer),
		STARTED(frames_that_make_no_sense_are_not_sent),
		STARTED(wishes_that_cannot_be_are_refused),
		STARTED(what_the_cable_cannot_do_never_reaches_it),
		STARTED(a_frame_is_as_long_as_the_cable_takes),
		STARTED(sections_and_ranges_have_bounds),
		STARTED(a_frame_arrives_as_it_is),
		STARTED(a_burst_comes_in_few_packets),
		STARTED(a_checksum_that_was_left_is_finished),
		STARTED(a_guest_that_checks_itself_is_told_nothing),
		STARTED(a_tag_comes_beside_the_frame),
		STARTED(the_filter_decides),
		STARTED(no_frame_passes_a_cable_that_is_out),
		STARTED(groups_that_were_named_are_received),
		STARTED(frames_are_counted_by_who_they_are_for),
		STARTED(what_comes_while_nobody_listens_is_not_for_later),
		STARTED(what_comes_while_there_is_no_driver_is_not_for_later),
		STARTED(a_large_frame_comes_in_parts_of_one_packet),
		STARTED(room_is_offered_as_it_was_needed),
		STARTED(a_guest_that_gives_nothing_back_gets_no_more),
		STARTED(what_was_never_sent_cannot_be_given_back),
		STARTED(a_full_ring_loses_nothing),
		STARTED(nothing_is_received_into_a_revoked_buffer),
		STARTED(the_send_table_follows_the_last_channel),
		cmocka_unit_test(the_hash_is_microsofts),
		STARTED(frames_are_spread_by_their_hash),
		STARTED(rss_settings_that_make_no_sense_are_refused),
		STARTED(each_channel_sends),
		STARTED(a_new_driver_begins_anew),
		STARTED(the_cable_learns_that_a_driver_has_gone),
		STARTED(a_changed_address_outlives_its_channels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
