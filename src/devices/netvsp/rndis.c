/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RNDIS control messages.  Answers go to the guest in buffers that are kept
 * for them; those that find none wait, a bounded number of them.
 */
#include "devices/netvsp/netvsp_internal.h"

#define RNDIS_MAJOR		1
#define RNDIS_MINOR		0
#define RNDIS_CONNECTIONLESS	1
#define RNDIS_MAX_TRANSFER	0xefffffffu
#define RNDIS_ALIGNMENT		3	/* 1 << 3 bytes */

static void send_message(struct netvsp *nv, uint32_t type, const void *body,
			 size_t body_len, const void *data, size_t len)
{
	const struct rndis_message_header h = {
		type, (uint32_t)(sizeof(h) + body_len + len),
	};
	GByteArray *m;

	if (g_queue_get_length(&nv->responses) == RESPONSES_MAX) {
		trace(TRACE_NETVSP, "netvsp.lost type=%#x", type);
		return;
	}
	m = g_byte_array_sized_new(h.msg_len);
	g_byte_array_append(m, (const guint8 *)&h, sizeof(h));
	g_byte_array_append(m, body, (guint)body_len);
	if (len)
		g_byte_array_append(m, data, (guint)len);
	g_queue_push_tail(&nv->responses, g_byte_array_free_to_bytes(m));
	rndis_send_responses(nv);
}

void rndis_send_responses(struct netvsp *nv)
{
	GBytes *b;

	while ((b = g_queue_peek_head(&nv->responses))) {
		gsize len;
		const void *msg = g_bytes_get_data(b, &len);

		if (!primary(nv) || !rx_send_control(nv, msg, len))
			return;
		g_bytes_unref(g_queue_pop_head(&nv->responses));
	}
}

void rndis_indicate(struct netvsp *nv, enum rndis_status status,
		    const void *data, uint32_t len)
{
	const struct rndis_indicate i = {
		.status = status, .status_buflen = len,
		.status_buf_offset = len ? sizeof(i) : 0,
	};

	send_message(nv, RNDIS_MSG_INDICATE, &i, sizeof(i), data, len);
}

static bool init(struct netvsp *nv, struct reader r)
{
	struct rndis_init i;
	struct rndis_init_complete c = {
		.status = RNDIS_STATUS_SUCCESS,
		.major_ver = RNDIS_MAJOR, .minor_ver = RNDIS_MINOR,
		.device_flags = RNDIS_CONNECTIONLESS,
		.max_pkt_per_msg = TX_FRAMES_PER_MESSAGE,
		.max_xfer_size = RNDIS_MAX_TRANSFER,
		.pkt_alignment_factor = RNDIS_ALIGNMENT,
	};

	if (!READ(&r, &i))
		return false;
	c.req_id = i.req_id;
	if (i.major_ver != RNDIS_MAJOR)
		c.status = RNDIS_STATUS_NOT_SUPPORTED;
	else
		nv->rndis = RNDIS_UP;
	link_begin(nv);
	send_message(nv, RNDIS_MSG_INIT | RNDIS_MSG_COMPLETION, &c, sizeof(c),
		     NULL, 0);
	return true;
}

static bool halt(struct netvsp *nv, struct reader r)
{
	nv->rndis = RNDIS_DOWN;
	nv->filter = 0;
	return true;
}

/* What a request brings along; empty if it names nothing inside of itself. */
static struct reader info_of(struct reader all, const struct rndis_request *rq)
{
	const struct reader none = { NULL, 0 };
	struct reader skipped, info;

	if (!reader_split(&all, rq->info_buf_offset, &skipped) ||
	    !reader_split(&all, rq->info_buflen, &info))
		return none;
	return info;
}

static bool query(struct netvsp *nv, struct reader r)
{
	g_autoptr(GByteArray) out = g_byte_array_new();
	struct rndis_query_complete c = { 0 };
	const struct reader all = r;
	struct rndis_request rq;

	if (!READ(&r, &rq))
		return false;
	c.req_id = rq.req_id;
	c.status = oid_query(nv, rq.oid, info_of(all, &rq), out);
	trace(TRACE_NETVSP, "netvsp.query oid=%#x status=%#x len=%u", rq.oid,
	      c.status, out->len);
	if (c.status == RNDIS_STATUS_SUCCESS && out->len) {
		c.info_buflen = out->len;
		c.info_buf_offset = sizeof(c);
	}
	send_message(nv, RNDIS_MSG_QUERY | RNDIS_MSG_COMPLETION, &c, sizeof(c),
		     out->data, c.info_buflen);
	return true;
}

static bool set(struct netvsp *nv, struct reader r)
{
	struct rndis_complete c = { 0 };
	const struct reader all = r;
	struct rndis_request rq;

	if (!READ(&r, &rq))
		return false;
	c.req_id = rq.req_id;
	c.status = oid_set(nv, rq.oid, info_of(all, &rq));
	trace(TRACE_NETVSP, "netvsp.set oid=%#x status=%#x", rq.oid, c.status);
	send_message(nv, RNDIS_MSG_SET | RNDIS_MSG_COMPLETION, &c, sizeof(c),
		     NULL, 0);
	oid_indicate(nv);
	return true;
}

static bool reset(struct netvsp *nv, struct reader r)
{
	const struct rndis_reset_complete c = {
		.status = RNDIS_STATUS_SUCCESS, .addressing_reset = 1,
	};

	nv->filter = 0;
	send_message(nv, RNDIS_MSG_RESET | RNDIS_MSG_COMPLETION, &c, sizeof(c),
		     NULL, 0);
	return true;
}

static bool keepalive(struct netvsp *nv, struct reader r)
{
	struct rndis_complete c = { .status = RNDIS_STATUS_SUCCESS };
	uint32_t id;

	if (!READ(&r, &id))
		return false;
	c.req_id = id;
	send_message(nv, RNDIS_MSG_KEEPALIVE | RNDIS_MSG_COMPLETION, &c,
		     sizeof(c), NULL, 0);
	return true;
}

static const struct {
	uint32_t type;
	bool before_init;
	bool (*handle)(struct netvsp *nv, struct reader r);
} messages[] = {
	{ RNDIS_MSG_INIT, true, init },
	{ RNDIS_MSG_HALT, true, halt },
	{ RNDIS_MSG_QUERY, false, query },
	{ RNDIS_MSG_SET, false, set },
	{ RNDIS_MSG_RESET, false, reset },
	{ RNDIS_MSG_KEEPALIVE, false, keepalive },
};

enum nvsp_status rndis_handle(struct netvsp *nv, struct reader msg)
{
	struct rndis_message_header h;
	struct reader body;

	if (!READ(&msg, &h) || h.msg_len < sizeof(h) ||
	    !reader_split(&msg, h.msg_len - sizeof(h), &body))
		return NVSP_STAT_INVALID_RNDIS_PKT;
	for (size_t i = 0; i < G_N_ELEMENTS(messages); i++)
		if (messages[i].type == h.msg_type &&
		    (messages[i].before_init || nv->rndis == RNDIS_UP) &&
		    messages[i].handle(nv, body))
			return NVSP_STAT_SUCCESS;
	trace(TRACE_NETVSP, "netvsp.rndis refused type=%#x", h.msg_type);
	return NVSP_STAT_INVALID_RNDIS_PKT;
}
