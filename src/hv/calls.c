/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hypercalls.  TLFS appendix A.
 *
 * One table, one row a call, for what there is; and one of the privileges that
 * gate what there is not.
 */
#include "hv/hypercall.h"

/* TLFS 11.11.1: the input block always has room for the longest payload. */
struct post_message_input {
	struct hv_input_post_message header;
	uint8_t payload[HV_MESSAGE_PAYLOAD_MAX];
};
static_assert(sizeof(struct post_message_input) == 256, "TLFS 11.11.1");

static enum hv_status post_message(struct call *c)
{
	const struct post_message_input *in = c->input;
	const struct hv_input_post_message *m = &in->header;

	if (m->message_type == HVMSG_NONE ||
	    m->message_type & HVMSG_FROM_HYPERVISOR ||
	    m->payload_size > HV_MESSAGE_PAYLOAD_MAX)
		return HV_STATUS_INVALID_PARAMETER;
	return ports_post(c->hv, m->connection_id, m->message_type,
			  in->payload, m->payload_size);
}

static enum hv_status signal_event(struct call *c)
{
	const struct hv_input_signal_event *in = c->input;

	return ports_signal(c->hv, in->connection_id, in->flag_number);
}

/*
 * Of a long spin the VP has been taken off by coming here; there are no
 * extended capabilities, as the output says that is zero.
 */
static enum hv_status nothing_to_do(struct call *c)
{
	return HV_STATUS_SUCCESS;
}

static const struct hypercall calls[] = {
	{ .code = HVCALL_SWITCH_VIRTUAL_ADDRESS_SPACE,
	  .input = sizeof(struct hv_input_switch_virtual_address_space),
	  .handler = switch_address_space },
	{ .code = HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE,
	  .input = sizeof(struct hv_input_flush), .handler = flush_space },
	{ .code = HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST, .rep = true,
	  .input = sizeof(struct hv_input_flush), .element = sizeof(uint64_t),
	  .handler = flush_list },
	{ .code = HVCALL_NOTIFY_LONG_SPIN_WAIT,
	  .input = sizeof(struct hv_input_notify_long_spin_wait),
	  .handler = nothing_to_do },
	{ .code = HVCALL_SEND_IPI,
	  .input = sizeof(struct hv_input_send_ipi), .handler = send_ipi },
	{ .code = HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE_EX, .variable = true,
	  .input = sizeof(struct hv_input_flush_ex),
	  .handler = flush_space_ex },
	{ .code = HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST_EX, .rep = true,
	  .variable = true, .input = sizeof(struct hv_input_flush_ex),
	  .element = sizeof(uint64_t), .handler = flush_list_ex },
	{ .code = HVCALL_SEND_IPI_EX, .variable = true,
	  .input = sizeof(struct hv_input_send_ipi_ex),
	  .handler = send_ipi_ex },
	{ .code = HVCALL_GET_VP_REGISTERS, .rep = true,
	  .input = sizeof(struct hv_input_vp_registers),
	  .element = sizeof(uint32_t),
	  .result = sizeof(union hv_register_value),
	  .privilege = HV_ACCESS_VP_REGISTERS, .handler = get_vp_registers },
	{ .code = HVCALL_SET_VP_REGISTERS, .rep = true,
	  .input = sizeof(struct hv_input_vp_registers),
	  .element = sizeof(struct hv_register_assoc),
	  .privilege = HV_ACCESS_VP_REGISTERS, .handler = set_vp_registers },
	{ .code = HVCALL_TRANSLATE_VIRTUAL_ADDRESS,
	  .input = sizeof(struct hv_input_translate_virtual_address),
	  .output = sizeof(struct hv_output_translate_virtual_address),
	  .privilege = HV_ACCESS_VP_REGISTERS,
	  .handler = translate_virtual_address },
	{ .code = HVCALL_POST_MESSAGE,
	  .input = sizeof(struct post_message_input),
	  .privilege = HV_POST_MESSAGES, .handler = post_message },
	{ .code = HVCALL_SIGNAL_EVENT,
	  .input = sizeof(struct hv_input_signal_event),
	  .privilege = HV_SIGNAL_EVENTS, .handler = signal_event },
	{ .code = HVCALL_RETARGET_INTERRUPT, .variable = true,
	  .input = sizeof(struct hv_input_retarget),
	  .handler = retarget_device_interrupt },
	{ .code = HVCALL_START_VIRTUAL_PROCESSOR,
	  .input = sizeof(struct hv_input_start_virtual_processor),
	  .privilege = HV_START_VIRTUAL_PROCESSOR,
	  .handler = start_virtual_processor },
	{ .code = HVCALL_GET_VP_INDEX_FROM_APIC_ID, .rep = true,
	  .input = sizeof(struct hv_input_get_vp_index),
	  .element = sizeof(uint32_t), .result = sizeof(uint32_t),
	  .access = HV_ACCESS_VP_INDEX, .handler = get_vp_index },
	{ .code = HVCALL_TRANSLATE_VIRTUAL_ADDRESS_EX,
	  .input = sizeof(struct hv_input_translate_virtual_address),
	  .output = sizeof(struct hv_output_translate_virtual_address_ex),
	  .privilege = HV_ACCESS_VP_REGISTERS,
	  .handler = translate_virtual_address_ex },
	{ .code = HVEXTCALL_QUERY_CAPABILITIES,
	  .output = sizeof(struct hv_output_query_capabilities),
	  .privilege = HV_ENABLE_EXTENDED_HYPERCALLS,
	  .handler = nothing_to_do },
};

/*
 * Codes with a privilege of their own.  What a parent may do to its children
 * needs HV_CREATE_PARTITIONS, and what the root may, HV_CPU_MANAGEMENT.
 */
static const struct {
	uint16_t first, last;
	uint32_t privilege;
} gates[] = {
	{ 0x0004, 0x0004, HV_CPU_MANAGEMENT },	/* LP run time */
	{ 0x0009, 0x0009, HV_CPU_MANAGEMENT },	/* parked VPs */
	{ 0x000a, 0x000a, HV_DEBUGGING },	/* hypervisor debugger */
	{ 0x000c, 0x0012, HV_ACCESS_VSM },
	{ 0x0040, 0x0045, HV_CREATE_PARTITIONS },
	{ 0x0046, 0x0046, HV_ACCESS_PARTITION_ID },
	{ 0x0047, 0x0047, HV_CREATE_PARTITIONS },
	{ 0x0048, 0x004a, HV_ACCESS_MEMORY_POOL },
	{ 0x004b, 0x004f, HV_CREATE_PARTITIONS },	/* GPA, VPs */
	{ 0x0053, 0x0054, HV_CREATE_PARTITIONS },	/* GPA access */
	{ 0x0056, 0x0056, HV_CREATE_PARTITIONS },	/* interrupts */
	{ 0x0058, 0x0058, HV_CREATE_PORT },
	{ 0x005a, 0x005a, HV_CREATE_PORT },
	{ 0x005b, 0x005b, HV_CONNECT_PORT },
	{ 0x005e, 0x005f, HV_CREATE_PARTITIONS },	/* save, restore */
	{ 0x0060, 0x0068, HV_CPU_MANAGEMENT },	/* event log */
	{ 0x0069, 0x006b, HV_DEBUGGING },
	{ 0x006c, 0x006d, HV_ACCESS_STATS },
	{ 0x006e, 0x006e, HV_CREATE_PARTITIONS },	/* GPA */
	{ 0x006f, 0x006f, HV_CONFIGURE_PROFILER },
	{ 0x0070, 0x0070, HV_CREATE_PORT },
	{ 0x0076, 0x007d, HV_CPU_MANAGEMENT },	/* LPs, devices */
	{ 0x0080, 0x008d, HV_CPU_MANAGEMENT },
	{ 0x008e, 0x008e, HV_DEBUGGING },	/* live dump */
	{ 0x008f, 0x008f, HV_CPU_MANAGEMENT },
	{ 0x0090, 0x0092, HV_CREATE_PARTITIONS },	/* GPA, intercepts */
	{ 0x0094, 0x0094, HV_CREATE_PARTITIONS },	/* interrupts */
	{ 0x0095, 0x0095, HV_CREATE_PORT },
	{ 0x0096, 0x0096, HV_CONNECT_PORT },
	{ 0x0097, 0x0097, HV_CPU_MANAGEMENT },	/* SPA list */
	{ 0x00ad, 0x00ad, HV_CREATE_PARTITIONS },	/* intercepts */
	{ 0x00c0, 0x00c2, HV_CREATE_PARTITIONS },	/* direct IPC, VPs */
	{ 0x00c9, 0x00c9, HV_CREATE_PARTITIONS },	/* GPA */
	{ 0x00cc, 0x00cd, HV_ACCESS_VSM },
	{ 0x00d4, 0x00d4, HV_ACCESS_VSM },
	{ 0x00d7, 0x00d8, HV_CPU_MANAGEMENT },	/* SPA access */
	{ 0x00d9, 0x00db, HV_ISOLATION },
	{ 0x00e1, 0x00e5, HV_CREATE_PARTITIONS },	/* VP state */
	{ 0x00f4, 0x00f4, HV_CREATE_PARTITIONS },	/* CPUID */
	{ 0x0101, 0x0101, HV_CREATE_PARTITIONS },	/* properties */
	{ 0x010a, 0x010a, HV_CREATE_PARTITIONS },
	{ 0x0131, 0x0131, HV_ACCESS_STATS },
	{ 0x8001, 0xffff, HV_ENABLE_EXTENDED_HYPERCALLS },
};

void calls_init(struct hv *hv)
{
	hv->calls = calls;
	hv->call_count = G_N_ELEMENTS(calls);
}

static enum hv_status refuse(const struct hv *hv, uint16_t code)
{
	for (size_t i = 0; i < G_N_ELEMENTS(gates); i++)
		if (code >= gates[i].first && code <= gates[i].last &&
		    !hv_offers(hv, EBX, gates[i].privilege))
			return HV_STATUS_ACCESS_DENIED;
	return HV_STATUS_INVALID_HYPERCALL_CODE;
}

enum hv_status calls_find(const struct hv *hv, uint16_t code,
			  const struct hypercall **row)
{
	for (size_t i = 0; i < hv->call_count; i++) {
		if (hv->calls[i].code != code)
			continue;
		if (!hv_offers(hv, EBX, hv->calls[i].privilege) ||
		    !hv_offers(hv, EAX, hv->calls[i].access))
			return HV_STATUS_ACCESS_DENIED;
		*row = &hv->calls[i];
		return HV_STATUS_SUCCESS;
	}
	return refuse(hv, code);
}
