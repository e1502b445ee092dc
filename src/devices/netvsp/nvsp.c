/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 *	INIT [-> NDIS_CONFIG] -> NDIS_VER -> RECV_BUF -> SEND_BUF -> RNDIS ...
 *		[-> SUBCHANNEL]
 *
 * INIT may come again until it names a version that we know; NDIS_CONFIG comes
 * once.  Which buffers there are is the guest's business.
 */
#include "devices/netvsp/netvsp_internal.h"

#define MAX_MDL_CHAIN	34	/* what Hyper-V says */

static const uint32_t versions[] = {
	NVSP_PROTOCOL_VERSION_1, NVSP_PROTOCOL_VERSION_2,
	NVSP_PROTOCOL_VERSION_4, NVSP_PROTOCOL_VERSION_5,
	NVSP_PROTOCOL_VERSION_6, NVSP_PROTOCOL_VERSION_61,
};

/* The newest version in [min, max] that we know, or 0. */
static uint32_t choose_version(uint32_t min, uint32_t max)
{
	for (size_t i = G_N_ELEMENTS(versions); i-- > 0;)
		if (versions[i] >= min && versions[i] <= max)
			return versions[i];
	return 0;
}

static void init(struct netvsp *nv, struct nvsp_message *m)
{
	uint32_t version = choose_version(m->init.min_protocol_ver,
					  m->init.max_protocol_ver);

	trace(TRACE_NETVSP, "netvsp.version min=%#x max=%#x chosen=%#x",
	      m->init.min_protocol_ver, m->init.max_protocol_ver, version);
	*m = (struct nvsp_message){ .msg_type = NVSP_MSG_TYPE_INIT_COMPLETE };
	m->init_complete.status = NVSP_STAT_PROTOCOL_UNSUPPORTED;
	if (nv->version || !version)
		return;
	nv->version = version;
	m->init_complete.status = NVSP_STAT_SUCCESS;
	m->init_complete.negotiated_protocol_ver = version;
	m->init_complete.max_mdl_chain_len = MAX_MDL_CHAIN;
}

/* What is not between the two is taken for the standard's. */
static void ndis_config(struct netvsp *nv, struct nvsp_message *m)
{
	uint32_t mtu = m->ndis_config.mtu;

	if (!nv->configured && !nv->recv.loan) {
		nv->configured = true;
		nv->mtu = mtu >= MTU_DEFAULT && mtu <= MTU_MAX ? mtu :
								 MTU_DEFAULT;
		nv->capabilities = m->ndis_config.capabilities;
		trace(TRACE_NETVSP, "netvsp.config mtu=%u caps=%#"
		      G_GINT64_MODIFIER "x", mtu, nv->capabilities);
	}
	*m = (struct nvsp_message){ 0 };
}

static void ndis_version(struct netvsp *nv, struct nvsp_message *m)
{
	trace(TRACE_NETVSP, "netvsp.ndis %u.%u", m->ndis_version.major,
	      m->ndis_version.minor);
	*m = (struct nvsp_message){ 0 };
}

static void recv_buf(struct netvsp *nv, struct nvsp_message *m)
{
	uint16_t id = m->send_buf.id;
	struct vmbus_loan *loan = NULL;
	bool ok;

	if (!nv->recv.loan)
		loan = vmbus_borrow(primary(nv)->ch, m->send_buf.gpadl_handle,
				    RECV_BUF_PAGES_MAX);
	ok = loan && rx_buffer_set(nv, loan, id);
	if (loan && !ok)
		vmbus_return(loan);
	*m = (struct nvsp_message){
		.msg_type = NVSP_MSG1_TYPE_SEND_RECV_BUF_COMPLETE,
	};
	m->recv_buf_complete.status = ok ? NVSP_STAT_SUCCESS : NVSP_STAT_FAIL;
	if (!ok)
		return;
	m->recv_buf_complete.num_sections = 1;
	m->recv_buf_complete.sub_alloc_size = nv->recv.size;
	m->recv_buf_complete.num_sub_allocs = nv->recv.count;
	m->recv_buf_complete.end_offset = nv->recv.size * nv->recv.count;
	trace(TRACE_NETVSP, "netvsp.recv_buf id=%#x count=%u size=%u", id,
	      nv->recv.count, nv->recv.size);
}

static void send_buf(struct netvsp *nv, struct nvsp_message *m)
{
	bool ok = false;

	if (!nv->send) {
		nv->send = vmbus_borrow(primary(nv)->ch,
					m->send_buf.gpadl_handle,
					SEND_BUF_PAGES_MAX);
		ok = nv->send != NULL;
	}
	*m = (struct nvsp_message){
		.msg_type = NVSP_MSG1_TYPE_SEND_SEND_BUF_COMPLETE,
	};
	m->send_buf_complete.status = ok ? NVSP_STAT_SUCCESS : NVSP_STAT_FAIL;
	m->send_buf_complete.section_size = SEND_SECTION_SIZE;
	trace(TRACE_NETVSP, "netvsp.send_buf ok=%d", ok);
}

static void revoke_recv_buf(struct netvsp *nv, struct nvsp_message *m)
{
	rx_buffer_drop(nv);
	*m = (struct nvsp_message){ 0 };
}

static void revoke_send_buf(struct netvsp *nv, struct nvsp_message *m)
{
	lines_shed(nv);
	g_clear_pointer(&nv->send, vmbus_return);
	*m = (struct nvsp_message){ 0 };
}

/* Guests wait until as many are there as were promised. */
static void subchannel(struct netvsp *nv, struct nvsp_message *m)
{
	uint32_t count = m->subchannel.num_subchannels;
	bool ok = m->subchannel.op == NVSP_SUBCHANNEL_ALLOCATE && count &&
		  !nv->subchannels && nv->max_queues > 1;

	count = MIN(count, nv->max_queues - 1);
	*m = (struct nvsp_message){
		.msg_type = NVSP_MSG5_TYPE_SUBCHANNEL,
	};
	m->subchannel_complete.status = ok ? NVSP_STAT_SUCCESS :
					     NVSP_STAT_FAIL;
	if (!ok)
		return;
	m->subchannel_complete.num_subchannels = count;
	nv->subchannels = count;
	nv->table_due = true;
	trace(TRACE_NETVSP, "netvsp.subchannels %u", count);
	vmbus_offer_subchannels(primary(nv)->ch, count);
}

/* There is no virtual function beside us. */
static void data_path(struct netvsp *nv, struct nvsp_message *m)
{
	*m = (struct nvsp_message){ .status = NVSP_STAT_FAIL };
}

static void not_supported(struct netvsp *nv, struct nvsp_message *m)
{
	/* The type of an answer follows that of its question. */
	*m = (struct nvsp_message){
		.msg_type = m->msg_type + 1, .status = NVSP_STAT_FAIL,
	};
}

static void no_packet_direct(struct netvsp *nv, struct nvsp_message *m)
{
	*m = (struct nvsp_message){ .msg_type = NVSP_MSG6_TYPE_PD_API };
}

static const struct {
	uint32_t type;
	uint32_t version;	/* since when; 0: before there is one */
	void (*handle)(struct netvsp *nv, struct nvsp_message *m);
} messages[] = {
	{ NVSP_MSG_TYPE_INIT, 0, init },
	{ NVSP_MSG1_TYPE_SEND_NDIS_VER, NVSP_PROTOCOL_VERSION_1, ndis_version },
	{ NVSP_MSG1_TYPE_SEND_RECV_BUF, NVSP_PROTOCOL_VERSION_1, recv_buf },
	{ NVSP_MSG1_TYPE_REVOKE_RECV_BUF, NVSP_PROTOCOL_VERSION_1,
	  revoke_recv_buf },
	{ NVSP_MSG1_TYPE_SEND_SEND_BUF, NVSP_PROTOCOL_VERSION_1, send_buf },
	{ NVSP_MSG1_TYPE_REVOKE_SEND_BUF, NVSP_PROTOCOL_VERSION_1,
	  revoke_send_buf },
	{ NVSP_MSG2_TYPE_SEND_NDIS_CONFIG, NVSP_PROTOCOL_VERSION_2,
	  ndis_config },
	{ NVSP_MSG4_TYPE_SWITCH_DATA_PATH, NVSP_PROTOCOL_VERSION_4, data_path },
	{ NVSP_MSG5_TYPE_OID_QUERY_EX, NVSP_PROTOCOL_VERSION_5, not_supported },
	{ NVSP_MSG5_TYPE_SUBCHANNEL, NVSP_PROTOCOL_VERSION_5, subchannel },
	{ NVSP_MSG6_TYPE_PD_API, NVSP_PROTOCOL_VERSION_61, no_packet_direct },
};

void nvsp_handle(struct queue *q, const struct vmpacket_descriptor *desc,
		 const struct nvsp_message *m)
{
	struct nvsp_message answer = *m;
	struct netvsp *nv = q->nv;

	for (size_t i = 0; i < G_N_ELEMENTS(messages); i++) {
		if (messages[i].type != m->msg_type || q->index ||
		    nv->version < messages[i].version)
			continue;
		lines_stop(nv, 1);
		messages[i].handle(nv, &answer);
		lines_go(nv, 1);
		queue_answer(q, desc, &answer);
		return;
	}
	trace(TRACE_NETVSP, "netvsp.refuse type=%u", m->msg_type);
	not_supported(nv, &answer);
	queue_answer(q, desc, &answer);
}

/* Which channel to send on, by the guest's own hash: all of them in turn. */
void nvsp_send_table(struct netvsp *nv)
{
	struct nvsp_send_table t = {
		.msg_type = NVSP_MSG5_TYPE_SEND_INDIRECTION_TABLE,
		.count = NVSP_SEND_TABLE_COUNT,
		.offset = offsetof(struct nvsp_send_table, table),
	};
	unsigned channels = MIN(nv->subchannels, NETVSP_QUEUES_MAX - 1) + 1;

	if (!nv->table_due)
		return;
	for (unsigned i = 0; i < channels; i++)
		if (!nv->queue[i])
			return;
	for (unsigned i = 0; i < NVSP_SEND_TABLE_COUNT; i++)
		t.table[i] = i % channels;
	nv->table_due = vmbus_send(primary(nv)->ch, &t, sizeof(t)) == -EAGAIN;
}
