/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The channel that a received frame goes to. */
#include "netvsp_rig.h"

#include <netinet/in.h>

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
				    NDIS_HASH_TCP_IPV4 | NDIS_HASH_IPV6 |
				    NDIS_HASH_TCP_IPV6,
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

/* Whose the only frame is that has come. */
static unsigned channel_of_frame(struct netvsc *c)
{
	unsigned found = NETVSC_QUEUES;

	for (unsigned i = 0; i < NETVSC_QUEUES; i++) {
		g_autoptr(GPtrArray) all = c->ch[i] ? netvsc_received(c, i) :
						      NULL;

		if (!all || !all->len)
			continue;
		assert_int_equal(all->len, 1);
		assert_int_equal(found, NETVSC_QUEUES);
		found = i;
	}
	assert_int_not_equal(found, NETVSC_QUEUES);
	return found;
}

static void set_table(struct netvsc *c, const struct rss_object *o)
{
	assert_int_equal(netvsc_set(c, OID_RSS, o, sizeof(*o)),
			 RNDIS_STATUS_SUCCESS);
}

/* The guest sends @f on @channel, its checksum left to do as Linux has it. */
static void send_on(struct netvsc *c, unsigned channel, const struct made *f,
		    unsigned proto)
{
	const struct ppi ppi = netvsc_ppi(
		RNDIS_PKTINFO_CSUM, proto == IPPROTO_TCP ? CSUM_TX_TCP :
							   CSUM_TX_UDP);
	uint8_t msg[512];
	size_t len = netvsc_wrap(msg, &ppi, 1, f->bytes, f->len);

	assert_int_equal(netvsc_send(c, channel, NVSP_CHANNEL_DATA, msg, len),
			 NVSP_STAT_SUCCESS);
	g_free(net_mem_sent(c->cable));
}

/* What the other end says to @f. */
static struct made *answer_to(const struct made *f, int version)
{
	size_t size = version == 4 ? 4 : 16;
	size_t at = f->l3 + (version == 4 ? 12u : 8u);
	struct made *a = g_memdup2(f, sizeof(*f));

	memcpy(a->bytes + at, f->bytes + at + size, size);
	memcpy(a->bytes + at + size, f->bytes + at, size);
	memcpy(a->bytes + f->l4, f->bytes + f->l4 + 2, 2);
	memcpy(a->bytes + f->l4 + 2, f->bytes + f->l4, 2);
	memcpy(a->bytes, netvsc_mac, sizeof(netvsc_mac));
	return a;
}

static void started_with_channels(struct netvsc *c)
{
	open_subchannels(c, NETVSC_QUEUES - 1);
	g_free(fake_answer(c->ch[0]));
}

static void an_answer_comes_where_its_question_went(void **state)
{
	static const struct {
		int version;
		unsigned proto;
	} kinds[] = { { 4, IPPROTO_TCP }, { 6, IPPROTO_TCP },
		      { 4, IPPROTO_UDP }, { 6, IPPROTO_UDP } };
	struct netvsc *c = *state;
	const struct rss_object o = rss_object(NETVSC_QUEUES);

	started_with_channels(c);
	set_table(c, &o);
	for (unsigned k = 0; k < G_N_ELEMENTS(kinds); k++) {
		g_autofree struct made *f = make_frame(kinds[k].version,
						       kinds[k].proto, 10);
		g_autofree struct made *a = answer_to(f, kinds[k].version);

		/* The flow moves, and its answers with it. */
		for (unsigned i = 0; i < NETVSC_QUEUES; i++) {
			send_on(c, i, f, kinds[k].proto);
			come(c, a, NULL);
			assert_int_equal(channel_of_frame(c), i);
		}
	}
}

static void other_flows_go_by_the_table(void **state)
{
	struct netvsc *c = *state;
	const struct rss_object o = rss_object(NETVSC_QUEUES);
	g_autofree struct made *f = make_frame(4, IPPROTO_TCP, 10);
	g_autofree struct made *a = answer_to(f, 4);
	unsigned before, by_table = 0;

	started_with_channels(c);
	set_table(c, &o);
	for (unsigned port = 1; port <= 16; port++) {
		put16(a->bytes + f->l4, port);
		come(c, a, NULL);
		before = channel_of_frame(c);
		send_on(c, (before + 1) % NETVSC_QUEUES, f, IPPROTO_TCP);
		come(c, a, NULL);
		by_table += channel_of_frame(c) == before;
	}
	/* One or two may share the entry of what was sent. */
	assert_in_range(by_table, 14, 16);
}

/* Somebody wanted it so. */
static void a_table_that_is_not_in_turn_is_obeyed(void **state)
{
	struct netvsc *c = *state;
	struct rss_object o = rss_object(NETVSC_QUEUES);
	g_autofree struct made *f = make_frame(4, IPPROTO_TCP, 10);
	g_autofree struct made *a = answer_to(f, 4);

	started_with_channels(c);
	set_table(c, &o);
	send_on(c, 1, f, IPPROTO_TCP);
	for (unsigned i = 0; i < NDIS_RSS_TABLE_ENTRIES; i++)
		o.table[i] = NETVSC_QUEUES - 1;
	set_table(c, &o);
	for (unsigned i = 0; i < NETVSC_QUEUES; i++) {
		send_on(c, i, f, IPPROTO_TCP);
		come(c, a, NULL);
		assert_int_equal(channel_of_frame(c), NETVSC_QUEUES - 1);
	}
}

static void a_channel_that_has_closed_gets_no_answers(void **state)
{
	struct netvsc *c = *state;
	const struct rss_object o = rss_object(NETVSC_QUEUES);
	g_autofree struct made *f = make_frame(4, IPPROTO_TCP, 10);
	g_autofree struct made *a = answer_to(f, 4);

	started_with_channels(c);
	set_table(c, &o);
	send_on(c, NETVSC_QUEUES - 1, f, IPPROTO_TCP);
	fake_close(c->ch[NETVSC_QUEUES - 1]);
	fake_free(c->ch[NETVSC_QUEUES - 1]);
	c->ch[NETVSC_QUEUES - 1] = NULL;
	come(c, a, NULL);
	assert_in_range(channel_of_frame(c), 0, NETVSC_QUEUES - 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_hash_is_microsofts),
		STARTED(frames_are_spread_by_their_hash),
		STARTED(rss_settings_that_make_no_sense_are_refused),
		STARTED(an_answer_comes_where_its_question_went),
		STARTED(other_flows_go_by_the_table),
		STARTED(a_table_that_is_not_in_turn_is_obeyed),
		STARTED(a_channel_that_has_closed_gets_no_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
