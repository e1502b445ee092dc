/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One RNDIS message after another, control or data, to a NIC that is up.
 * Frames that leave must be as large as their headers say; each control
 * message has one answer at most, of a type that fits.
 *
 * Input: messages, each a byte (bit 7: data), two of length, and content.
 */
#include "core/reader.h"
#include "fake_netvsc.h"

#define MESSAGES_MAX	32

static struct netvsc *c;

static void check_answers(uint32_t type)
{
	struct fake_transfer *t;
	unsigned answers = 0;

	while ((t = fake_transfer(c->ch[0]))) {
		struct rndis_message_header h;

		memcpy(&h, c->ram + t->t.ranges[0].byte_offset, sizeof(h));
		g_assert(h.msg_len == t->t.ranges[0].byte_count);
		g_assert(h.msg_type == RNDIS_MSG_INDICATE ||
			 h.msg_type == (type | RNDIS_MSG_COMPLETION));
		answers += h.msg_type != RNDIS_MSG_INDICATE;
		fake_complete(c->ch[0], t->t.trans_id);
		g_free(t);
	}
	g_assert(answers <= 1);
	fake_kick(c->ch[0]);
}

static void message(struct reader *in)
{
	uint8_t kind = 0, m[2048] = { 0 };
	uint16_t len = 0;
	uint32_t type;

	READ(in, &kind);
	READ(in, &len);
	len = (uint16_t)MIN(len % sizeof(m), in->left);
	reader_copy(in, m, len);
	memcpy(&type, m, sizeof(type));
	netvsc_send(c, 0, kind & 0x80 ? NVSP_CHANNEL_DATA :
					NVSP_CHANNEL_CONTROL, m, len);
	netvsc_check_sent(c);
	check_answers(type);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader in = { data, size };

	c = netvsc_new(1);
	netvsc_start(c, NVSP_PROTOCOL_VERSION_61, 1514, 0x88);
	for (unsigned i = 0; i < MESSAGES_MAX && in.left; i++)
		message(&in);
	netvsc_free(c);
	return 0;
}
