/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a hypercall is: a row of the table in calls.c, and a call under way, as
 * its handler sees it.  TLFS 3.2, 3.7.
 *
 * An input block is the fixed part, a variable header, and the list of a rep
 * call; an output block is the fixed part, or the list of results.
 */
#ifndef HV_HYPERCALL_H
#define HV_HYPERCALL_H

#include "hv/hv_internal.h"

struct call {
	struct hv *hv;
	struct hv_vp *vp;		/* the caller */
	/*
	 * Our copy, aligned to 8 bytes: the fixed part, then @header_size
	 * bytes of variable header, as many as the guest says.
	 */
	const void *input;
	size_t header_size;
	void *output;			/* zeroed */
	/* Of a rep call: the element to do, its result, how many there are. */
	unsigned rep, count;
	const void *element;
	void *result;
};

struct hypercall {
	uint16_t code;
	bool rep;
	bool variable;			/* takes a variable header */
	uint16_t input, output;		/* bytes of the fixed parts */
	uint16_t element, result;	/* and of each of the lists */
	/* All of these; CPUID 0x40000003.EBX and, for some, EAX. */
	uint32_t privilege, access;
	/*
	 * Do it; of a rep call, element @rep only.  If one action did more of
	 * the list, leave @rep at the last element done.
	 */
	enum hv_status (*handler)(struct call *c);
};

/* The row of @code in hv->calls, or why the guest may not call it. */
enum hv_status calls_find(const struct hv *hv, uint16_t code,
			  const struct hypercall **row);

/* vpset.c: sets of VPs, bit n for VP n; who is not there is left out. */
uint64_t vps_all(const struct hv *hv);
uint64_t vps_of_mask(const struct hv *hv, uint64_t mask);
/* @set is the input's last fixed part; its banks are the variable header. */
enum hv_status vps_of_set(const struct call *c, const struct hv_vpset *set,
			  uint64_t *vps);

/* Of the VTLs that an input may name there is one, the caller's. */
static inline bool is_own_vtl(uint8_t input_vtl)
{
	return !(input_vtl & HV_INPUT_VTL_RSVD) &&
	       (!(input_vtl & HV_INPUT_VTL_USE_TARGET) ||
		!(input_vtl & HV_INPUT_VTL_TARGET));
}

/* flush.c */
enum hv_status flush_space(struct call *c);
enum hv_status flush_space_ex(struct call *c);
enum hv_status flush_list(struct call *c);
enum hv_status flush_list_ex(struct call *c);

/* vp.c */
enum hv_status get_vp_index(struct call *c);
/* The VP that an input means. */
enum hv_status find_vp(const struct call *c, uint64_t partition_id,
		       uint32_t index, uint32_t *vp);

/* registers.c */
enum hv_status get_vp_registers(struct call *c);
enum hv_status set_vp_registers(struct call *c);
enum hv_status switch_address_space(struct call *c);
/* Whether its reserved bits are clear and its limit can be. */
bool segment_is_valid(const struct hv_x64_segment_register *s);
bool pat_is_valid(uint64_t pat);

/* start.c */
enum hv_status start_virtual_processor(struct call *c);

/* translate.c */
enum hv_status translate_virtual_address(struct call *c);
enum hv_status translate_virtual_address_ex(struct call *c);

/* retarget.c */
enum hv_status retarget_device_interrupt(struct call *c);

/* ipi.c */
enum hv_status send_ipi(struct call *c);
enum hv_status send_ipi_ex(struct call *c);

#endif
