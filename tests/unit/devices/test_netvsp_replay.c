/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What real guests did, packet by packet: replay/KERNEL.txt has a Debian
 * kernel with two processors from loading hv_netvsc to removing it, on a tap
 * device; between those ARP, ICMP, UDP, and TCP with 6000 bytes each way, by
 * IPv4 and by IPv6.
 *
 *	> CHANNEL open|close
 *	> CHANNEL nvsp|told BYTES	a message; told: it wants no answer
 *	> CHANNEL control|data BYTES	an RNDIS message, in pages or a section
 *	< CHANNEL answer|nvsp BYTES	what it heard
 *	< CHANNEL control|data BYTES	RNDIS messages, without what lies between
 *					headers and payload
 *	= in|out HEADER BYTES		frames on the cable, as virtio has them
 *
 * The device must say the same again, and in the same order wherever the guest
 * sees one.
 */
#include <stdio.h>

#include "netvsp_rig.h"

#define LINE_MAX_BYTES 8192
/* Linux' own sizes, and its own numbers of them. */
#define RECV_PAGES 4096u
#define SEND_PAGES 256u

struct replay {
	struct netvsc *c;
	uint8_t *recv, *send;
	GPtrArray *said, *again; /* lines that are not the guest's */
};

static void say(struct replay *r, const char *where, const void *head,
		size_t head_len, const void *bytes, size_t len)
{
	GString *line = g_string_new(where);

	for (size_t i = 0; i < head_len; i++)
		g_string_append_printf(line, "%02x", ((uint8_t *)head)[i]);
	for (size_t i = 0; i < len; i++)
		g_string_append_printf(line, "%02x", ((uint8_t *)bytes)[i]);
	g_ptr_array_add(r->again, g_string_free(line, FALSE));
}

static size_t bytes_of(const char *hex, uint8_t *out)
{
	unsigned byte;
	size_t len = 0;

	for (; sscanf(hex, "%2x", &byte) == 1; hex += 2) {
		assert_true(len < LINE_MAX_BYTES);
		out[len++] = (uint8_t)byte;
	}
	return len;
}

/*
 * What the device has done.
 */
static void say_answers(struct replay *r, struct vmbus_channel *ch)
{
	struct fake_answer *a;

	while ((a = fake_answer(ch))) {
		g_autofree char *where = g_strdup_printf(
			"< %u %s ", ch->index, a->trans_id ? "answer" : "nvsp");

		say(r, where, NULL, 0, a->payload, a->len);
		g_free(a);
	}
}

static void say_range(struct replay *r, unsigned channel, const uint8_t *at,
		      size_t len)
{
	g_autofree char *control = g_strdup_printf("< %u control ", channel);
	g_autofree char *data = g_strdup_printf("< %u data ", channel);
	struct rndis_message_header h;
	struct rndis_packet p;

	memcpy(&h, at, sizeof(h));
	assert_int_equal(h.msg_len, len);
	if (h.msg_type != RNDIS_MSG_PACKET) {
		say(r, control, NULL, 0, at, len);
		return;
	}
	memcpy(&p, at + sizeof(h), sizeof(p));
	say(r, data, at, RNDIS_PACKET_SIZE + p.per_pkt_info_len,
	    at + sizeof(h) + p.data_offset, p.data_len);
}

static void say_transfers(struct replay *r, struct vmbus_channel *ch)
{
	struct fake_transfer *t;

	while ((t = fake_transfer(ch))) {
		for (unsigned i = 0; i < t->t.count; i++)
			say_range(r, ch->index,
				  r->recv + t->t.ranges[i].byte_offset,
				  t->t.ranges[i].byte_count);
		fake_complete(ch, t->t.trans_id);
		g_free(t);
	}
}

static void say_sent(struct replay *r)
{
	struct net_mem_frame *f;

	while ((f = net_mem_sent(r->c->cable))) {
		g_autofree char *where = g_strdup_printf(
			"= out %u %u %u %u %u %u ", f->hdr.flags,
			f->hdr.gso_type, f->hdr.hdr_len, f->hdr.gso_size,
			f->hdr.csum_start, f->hdr.csum_offset);

		say(r, where, NULL, 0, f->bytes, f->len);
		g_free(f);
	}
}

/* Twice: answers to a stream may come with the next look at its ring. */
static void take(struct replay *r)
{
	for (unsigned i = 0; i < 2 * NETVSC_QUEUES; i++) {
		struct vmbus_channel *ch = r->c->ch[i % NETVSC_QUEUES];

		if (!ch)
			continue;
		fake_kick(ch);
		say_answers(r, ch);
		say_transfers(r, ch);
	}
	say_sent(r);
}

/*
 * What the guest does.
 */
static void send_nvsp(struct replay *r, struct vmbus_channel *ch, bool told,
		      const uint8_t *bytes, size_t len)
{
	struct nvsp_message m = { 0 };
	struct fake_packet *p;

	memcpy(&m, bytes, MIN(len, sizeof(m)));
	if (m.msg_type == NVSP_MSG1_TYPE_SEND_RECV_BUF)
		fake_lend(ch, m.send_buf.gpadl_handle, r->recv, RECV_PAGES);
	if (m.msg_type == NVSP_MSG1_TYPE_SEND_SEND_BUF)
		fake_lend(ch, m.send_buf.gpadl_handle, r->send, SEND_PAGES);
	fake_send(ch, ++r->c->trans_id, NULL, 0, bytes, len);
	if (!told)
		return;
	p = g_queue_peek_tail(&ch->packets);
	p->desc.flags = 0;
}

static void send_control(struct replay *r, struct vmbus_channel *ch,
			 const uint8_t *bytes, size_t len)
{
	const struct nvsp_message m = {
		.msg_type = NVSP_MSG1_TYPE_SEND_RNDIS_PKT,
		.rndis_pkt = { NVSP_CHANNEL_CONTROL, NVSP_NO_SECTION, 0 },
	};
	const struct {
		struct vmdata_gpa_direct h;
		struct gpa_range range;
		uint64_t pfn;
	} __attribute__((packed)) head = {
		{ .range_cnt = 1 },
		{ .byte_count = (uint32_t)len },
		NETVSC_FREE_GPA / GMEM_PAGE_SIZE,
	};

	assert_true(len <= GMEM_PAGE_SIZE);
	memcpy(r->c->ram + NETVSC_FREE_GPA, bytes, len);
	fake_send(ch, ++r->c->trans_id, &head, sizeof(head), &m, sizeof(m));
}

static void send_data(struct replay *r, struct vmbus_channel *ch,
		      const uint8_t *bytes, size_t len)
{
	const struct nvsp_message m = {
		.msg_type = NVSP_MSG1_TYPE_SEND_RNDIS_PKT,
		.rndis_pkt = { NVSP_CHANNEL_DATA, 0, (uint32_t)len },
	};

	assert_true(len <= SEND_SECTION_SIZE);
	memcpy(r->send, bytes, len);
	fake_send(ch, ++r->c->trans_id, NULL, 0, &m, sizeof(m));
}

static void close_channel(struct replay *r, unsigned index)
{
	fake_close(r->c->ch[index]);
	fake_free(r->c->ch[index]);
	r->c->ch[index] = NULL;
}

static void do_guest(struct replay *r, const char *line)
{
	uint8_t bytes[LINE_MAX_BYTES];
	unsigned index, at = 0;
	char what[16];
	size_t len;

	assert_int_equal(sscanf(line, "> %u %15s %n", &index, what, &at), 2);
	assert_true(index < NETVSC_QUEUES);
	len = bytes_of(line + at, bytes);
	if (!strcmp(what, "open")) {
		assert_true(!index || index <= r->c->ch[0]->subchannels);
		r->c->ch[index] = fake_open(netvsp_device(r->c->nv), index);
	} else if (!strcmp(what, "close")) {
		close_channel(r, index);
	} else if (!strcmp(what, "control")) {
		send_control(r, r->c->ch[index], bytes, len);
	} else if (!strcmp(what, "data")) {
		send_data(r, r->c->ch[index], bytes, len);
	} else {
		send_nvsp(r, r->c->ch[index], !strcmp(what, "told"), bytes,
			  len);
	}
}

static void do_cable(struct replay *r, const char *line)
{
	const struct net_user *u = &r->c->cable->net.user;
	struct virtio_net_hdr h = { 0 };
	uint8_t bytes[LINE_MAX_BYTES];
	unsigned at = 0;

	assert_int_equal(sscanf(line, "= in %hhu %hhu %hu %hu %hu %hu %n",
				&h.flags, &h.gso_type, &h.hdr_len, &h.gso_size,
				&h.csum_start, &h.csum_offset, &at),
			 6);
	net_mem_receive(r->c->cable, &h, bytes, bytes_of(line + at, bytes));
	u->readable(u->user);
}

static void do_line(struct replay *r, const char *line)
{
	if (*line == '>')
		do_guest(r, line);
	else if (g_str_has_prefix(line, "= in "))
		do_cable(r, line);
	else
		g_ptr_array_add(r->said, g_strdup(line));
	take(r);
}

/*
 * What was said, and what is said again.
 */
static unsigned compare(const struct replay *r, const char *where)
{
	unsigned i, k = 0, n = 0;

	for (i = 0; i < r->said->len; i++) {
		if (!g_str_has_prefix(r->said->pdata[i], where))
			continue;
		while (k < r->again->len &&
		       !g_str_has_prefix(r->again->pdata[k], where))
			k++;
		assert_true(k < r->again->len);
		assert_string_equal(r->again->pdata[k++], r->said->pdata[i]);
		n++;
	}
	return n;
}

static void expect_life(void **state, const char *name)
{
	static const char *const ways[] = {
		"< 0 answer", "< 0 nvsp", "< 0 control", "< 0 data",
		"< 1 answer", "< 1 data", "= out",
	};
	g_autofree char *path = g_build_filename(REPLAY_DIR, name, NULL);
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	struct replay *r = *state;
	unsigned n = 0;

	assert_true(g_file_get_contents(path, &text, NULL, NULL));
	lines = g_strsplit(g_strchomp(text), "\n", -1);
	for (unsigned i = 0; lines[i]; i++)
		do_line(r, lines[i]);
	for (size_t i = 0; i < G_N_ELEMENTS(ways); i++)
		n += compare(r, ways[i]);
	assert_int_equal(n, r->said->len);
	assert_int_equal(n, r->again->len);
}

static void linux_6_1_comes_and_goes(void **state)
{
	expect_life(state, "linux-6.1.txt");
}

static void linux_6_12_comes_and_goes(void **state)
{
	expect_life(state, "linux-6.12.txt");
}

static int setup_replay(void **state)
{
	struct replay *r = g_new0(struct replay, 1);

	r->c = netvsc_new(2);
	r->recv = g_malloc0(RECV_PAGES * GMEM_PAGE_SIZE);
	r->send = g_malloc0(SEND_PAGES * GMEM_PAGE_SIZE);
	r->said = g_ptr_array_new_with_free_func(g_free);
	r->again = g_ptr_array_new_with_free_func(g_free);
	/* The file opens it. */
	close_channel(r, 0);
	*state = r;
	return 0;
}

static int teardown_replay(void **state)
{
	struct replay *r = *state;

	netvsc_free(r->c);
	g_ptr_array_unref(r->said);
	g_ptr_array_unref(r->again);
	g_free(r->recv);
	g_free(r->send);
	g_free(r);
	return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup_replay, teardown_replay)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(linux_6_1_comes_and_goes),
		T(linux_6_12_comes_and_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
