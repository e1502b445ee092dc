/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The primary channel is set up in strict order:
 *
 *	BEGIN_INITIALIZATION -> QUERY_PROTOCOL_VERSION -> QUERY_PROPERTIES
 *		-> END_INITIALIZATION -> ready [-> CREATE_SUB_CHANNELS]
 */
#include "core/trace.h"
#include "devices/storvsp/storvsp_internal.h"
static bool is_known_version(uint16_t v)
{
	return v == VMSTOR_WIN6 || v == VMSTOR_WIN7 || v == VMSTOR_WIN8 ||
	       v == VMSTOR_WIN8_1 || v == VMSTOR_WIN10;
}

static enum vstor_status begin(struct storvsp *sv, struct storvsp_channel *sc,
			       struct vstor_packet *p)
{
	sv->state = INIT_VERSION;
	return VSTOR_STATUS_SUCCESS;
}

static enum vstor_status query_version(struct storvsp *sv,
				       struct storvsp_channel *sc,
				       struct vstor_packet *p)
{
	trace(TRACE_STORVSP, "storvsp.version %#x", p->version.major_minor);
	if (!is_known_version(p->version.major_minor))
		return VSTOR_STATUS_REVISION_MISMATCH;
	sv->version = p->version.major_minor;
	sv->state = INIT_PROPERTIES;
	return VSTOR_STATUS_SUCCESS;
}

static enum vstor_status query_properties(struct storvsp *sv,
					  struct storvsp_channel *sc,
					  struct vstor_packet *p)
{
	bool multi = sv->version >= VMSTOR_WIN8 && sv->max_subchannels;

	p->channel_properties = (struct vmstorage_channel_properties){
		.max_channel_cnt = (uint16_t)(multi ? sv->max_subchannels : 0),
		.flags = multi ? STORAGE_CHANNEL_SUPPORTS_MULTI_CHANNEL : 0,
		.max_transfer_bytes = STORVSP_TRANSFER_MAX,
	};
	sv->state = INIT_END;
	return VSTOR_STATUS_SUCCESS;
}

static enum vstor_status end(struct storvsp *sv, struct storvsp_channel *sc,
			     struct vstor_packet *p)
{
	sv->state = INIT_READY;
	return VSTOR_STATUS_SUCCESS;
}

/* Guests wait until exactly as many are offered as were accepted. */
static enum vstor_status create_subchannels(struct storvsp *sv,
					    struct storvsp_channel *sc,
					    struct vstor_packet *p)
{
	if (!p->sub_channel_count || sv->has_subchannels ||
	    p->sub_channel_count > sv->max_subchannels)
		return VSTOR_STATUS_INVALID_PARAMETER;
	sv->has_subchannels = true;
	vmbus_offer_subchannels(sc->ch, p->sub_channel_count);
	return VSTOR_STATUS_SUCCESS;
}

void storvsp_reset_luns(struct storvsp *sv, unsigned first, unsigned count)
{
	for (unsigned i = first; i < STORVSP_LUN_MAX && count--; i++)
		if (sv->slot[i].lun)
			scsi_lun_reset(sv->slot[i].lun);
}

/* Requests end in their own time; there is nothing to abort. */
static enum vstor_status reset(struct storvsp *sv, struct storvsp_channel *sc,
			       struct vstor_packet *p)
{
	storvsp_reset_luns(sv, 0, STORVSP_LUN_MAX);
	return VSTOR_STATUS_SUCCESS;
}

static enum vstor_status reset_lun(struct storvsp *sv,
				   struct storvsp_channel *sc,
				   struct vstor_packet *p)
{
	storvsp_reset_luns(sv, p->vm_srb.lun, 1);
	return VSTOR_STATUS_SUCCESS;
}

static const struct {
	uint32_t operation;
	enum init_state state;	/* in which it is allowed */
	enum vstor_status (*handle)(struct storvsp *sv,
				    struct storvsp_channel *sc,
				    struct vstor_packet *p);
} operations[] = {
	{ VSTOR_OPERATION_BEGIN_INITIALIZATION, INIT_BEGIN, begin },
	{ VSTOR_OPERATION_QUERY_PROTOCOL_VERSION, INIT_VERSION,
	  query_version },
	{ VSTOR_OPERATION_QUERY_PROPERTIES, INIT_PROPERTIES,
	  query_properties },
	{ VSTOR_OPERATION_END_INITIALIZATION, INIT_END, end },
	{ VSTOR_OPERATION_CREATE_SUB_CHANNELS, INIT_READY,
	  create_subchannels },
	{ VSTOR_OPERATION_RESET_LUN, INIT_READY, reset_lun },
	{ VSTOR_OPERATION_RESET_ADAPTER, INIT_READY, reset },
	{ VSTOR_OPERATION_RESET_BUS, INIT_READY, reset },
};

enum vstor_status storvsp_control(struct storvsp_channel *sc,
				  struct vstor_packet *p)
{
	struct storvsp *sv = sc->sv;

	for (size_t i = 0; i < G_N_ELEMENTS(operations); i++) {
		if (operations[i].operation != p->operation)
			continue;
		if (vmbus_channel_index(sc->ch) ||
		    operations[i].state != sv->state)
			return VSTOR_STATUS_INVALID_DEVICE_STATE;
		return operations[i].handle(sv, sc, p);
	}
	return VSTOR_STATUS_INVALID_DEVICE_STATE;
}
