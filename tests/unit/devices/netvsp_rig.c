/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>

#include "netvsp_rig.h"

int setup(void **state)
{
	*state = netvsc_new(NETVSC_QUEUES);
	return 0;
}

int setup_started(void **state)
{
	struct netvsc *c = netvsc_new(NETVSC_QUEUES);

	netvsc_start(c, NVSP_PROTOCOL_VERSION_61, 1514,
		     NVSP_CAPABILITY_IEEE8021Q | NVSP_CAPABILITY_RSC);
	*state = c;
	return 0;
}

int teardown(void **state)
{
	netvsc_free(*state);
	return 0;
}

void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

/* One's complement sum of big-endian 16-bit words, a word at a time. */
unsigned plain_sum(const uint8_t *p, size_t len, unsigned sum)
{
	for (size_t i = 0; i < len; i++) {
		sum += i % 2 ? p[i] : (unsigned)p[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

unsigned plain_pseudo(const struct made *f, int version, unsigned proto,
		      size_t len)
{
	unsigned sum = version == 4 ? plain_sum(f->bytes + f->l3 + 12, 8, 0) :
				      plain_sum(f->bytes + f->l3 + 8, 32, 0);
	uint8_t tail[4];

	put16(tail, proto);
	put16(tail + 2, (unsigned)len);
	return plain_sum(tail, 4, sum);
}

struct made *make_frame(int version, unsigned proto, size_t payload)
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

size_t csum_at(const struct made *f, unsigned proto)
{
	return f->l4 + (proto == IPPROTO_TCP ? 16 : 6);
}

/* Whether the transport's checksum in @bytes is right. */
bool is_right(const uint8_t *bytes, const struct made *f, int version,
	      unsigned proto)
{
	size_t len = f->len - f->l4;

	return plain_sum(bytes + f->l4, len,
			 plain_pseudo(f, version, proto, len)) == 0xffff;
}

/* Finish what a frame that was sent has left to do, as a plain host would. */
void finish(struct net_mem_frame *s)
{
	unsigned sum = plain_sum(s->bytes + s->hdr.csum_start,
				 s->len - s->hdr.csum_start, 0);

	assert_int_equal(s->hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	put16(s->bytes + s->hdr.csum_start + s->hdr.csum_offset, ~sum & 0xffff);
}

uint32_t send_frame(struct netvsc *c, const struct made *f,
		    const struct ppi *ppi, unsigned ppis)
{
	static uint8_t msg[NET_FRAME_MAX + 512];
	size_t len = netvsc_wrap(msg, ppi, ppis, f->bytes, f->len);

	return netvsc_send(c, 0, NVSP_CHANNEL_DATA, msg, len);
}

void open_subchannels(struct netvsc *c, uint32_t count)
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

void come(struct netvsc *c, const struct made *f,
	  const struct virtio_net_hdr *hdr)
{
	net_mem_receive(c->cable, hdr, f->bytes, f->len);
	c->cable->net.user.readable(c->cable->net.user.user);
}

void set_cable(struct netvsc *c, bool up)
{
	c->cable->net.link_up = up;
	c->cable->net.user.link(c->cable->net.user.user, up);
}

const uint32_t is_down[1] = { RNDIS_STATUS_MEDIA_DISCONNECT };

void assert_indicated(struct netvsc *c, const uint32_t *want, unsigned count)
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

bool is_connected(struct netvsc *c)
{
	g_autoptr(GByteArray) b = g_byte_array_new();
	uint32_t not ;

	assert_int_equal(netvsc_query(c, 0x00010114, NULL, 0, b),
			 RNDIS_STATUS_SUCCESS);
	memcpy(&not, b->data, sizeof(not ));
	return !not ;
}

uint64_t rig_now = 1;

uint64_t rig_clock(void)
{
	return rig_now;
}
