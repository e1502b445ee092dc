/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The calling convention.  TLFS chapter 3.
 *
 *	registers -> input value -> row of the table -> sizes of the blocks
 *	-> input, copied once -> handler, element by element -> output, result
 *
 * All that can be refused for its form is refused before the handler runs.  A
 * list is done in slices, so that interrupts do not wait for all of it.
 */
#include <string.h>

#include "core/trace.h"
#include "hv/hypercall.h"

#define BLOCK_ALIGN	8
#define SLICE		500u	/* 50 us of reference time; TLFS 3.3 */

/* TLFS 3.7.2: a fast call's parameters, as one block. */
struct registers {
	uint64_t param[2];
	uint8_t xmm[6][16];
};
static_assert(sizeof(struct registers) == 112, "TLFS 3.7.2");
#define FAST_MAX	sizeof(struct registers)
#define FAST_PLAIN	16	/* bytes of it without XMM */
#define FAST_OUT_ALIGN	16

/* What the input value says, checked against the row of its call. */
struct request {
	uint64_t control;
	const struct hypercall *row;
	size_t header_size;	/* of the variable header */
	size_t list;		/* where it is in the input block */
	size_t in, out;		/* sizes of the blocks */
	unsigned start, count;	/* of the list; 0 for a simple call */
	unsigned done;		/* elements, from the first on */
};

static bool is_fast(const struct request *rq)
{
	return rq->control & HV_HYPERCALL_FAST;
}

static uint64_t pair(uint64_t high, uint64_t low)
{
	return high << 32 | (uint32_t)low;
}

/* TLFS 3.7: whichever registers they came in. */
static uint64_t control_of(const struct hv_call *c)
{
	return c->long_mode ? c->rcx : pair(c->rdx, c->rax);
}

static uint64_t input_of(const struct hv_call *c)
{
	return c->long_mode ? c->rdx : pair(c->rbx, c->rcx);
}

static uint64_t output_of(const struct hv_call *c)
{
	return c->long_mode ? c->r8 : pair(c->rdi, c->rsi);
}

static struct registers registers_of(const struct hv_call *c)
{
	struct registers r = { .param = { input_of(c), output_of(c) } };

	memcpy(r.xmm, c->xmm, sizeof(r.xmm));
	return r;
}

static size_t align_up(size_t n, size_t align)
{
	return (n + align - 1) / align * align;
}

static size_t fast_output_at(const struct request *rq)
{
	return align_up(rq->in, FAST_OUT_ALIGN);
}

/* TLFS 3.8.1: 32-bit code never gets output in registers. */
static bool fits_registers(const struct request *rq, bool long_mode)
{
	if (rq->in > FAST_MAX || (rq->out && !long_mode))
		return false;
	return rq->out <= FAST_MAX - fast_output_at(rq);
}

/* Without nesting, "is nested" is one more reserved bit. */
static bool control_is_valid(const struct request *rq)
{
	const struct hypercall *row = rq->row;

	if (rq->control & (HV_HYPERCALL_RSVD_MASK | HV_HYPERCALL_NESTED) ||
	    (rq->header_size && !row->variable))
		return false;
	return row->rep ? rq->start < rq->count : !rq->start && !rq->count;
}

static enum hv_status decode(const struct hv *hv, const struct hv_call *c,
			     struct request *rq)
{
	const uint64_t control = control_of(c);
	const struct hypercall *row = NULL;
	enum hv_status status;

	*rq = (struct request){ .control = control };
	status = calls_find(hv, HV_HYPERCALL_CODE(control), &row);
	if (status)
		return status;
	rq->row = row;
	rq->header_size = HV_HYPERCALL_VARHEAD(control) * 8;
	rq->count = HV_HYPERCALL_REP_COUNT(control);
	rq->start = HV_HYPERCALL_REP_START(control);
	rq->in = row->input + rq->header_size;
	rq->list = align_up(rq->in, BLOCK_ALIGN);
	if (row->element)
		rq->in = rq->list + (size_t)rq->count * row->element;
	rq->out = row->output + (size_t)rq->count * row->result;
	if (!control_is_valid(rq) ||
	    (is_fast(rq) && !fits_registers(rq, c->long_mode)))
		return HV_STATUS_INVALID_HYPERCALL_INPUT;
	rq->done = rq->start;
	return HV_STATUS_SUCCESS;
}

/* TLFS 3.6: aligned, and within a page; 3.12.3 has a status for no page. */
static bool block_is_valid(const struct hv *hv, gpa_t gpa, size_t size)
{
	if (!size)
		return true;
	return gpa % BLOCK_ALIGN == 0 &&
	       size <= GMEM_PAGE_SIZE - gpa % GMEM_PAGE_SIZE &&
	       gmem_ptr(hv->gm, gpa, size);
}

static enum hv_status get_input(const struct hv *hv, const struct hv_call *c,
				const struct request *rq, void *input)
{
	struct registers r;

	if (is_fast(rq)) {
		r = registers_of(c);
		memcpy(input, &r, rq->in);
		return HV_STATUS_SUCCESS;
	}
	if (!block_is_valid(hv, input_of(c), rq->in) ||
	    !block_is_valid(hv, output_of(c), rq->out) ||
	    gmem_read(hv->gm, input_of(c), input, rq->in))
		return HV_STATUS_INVALID_ALIGNMENT;
	return HV_STATUS_SUCCESS;
}

/* Only what this slice made: results before it are the guest's by now. */
static void put_output(const struct hv *hv, struct hv_call *c,
		       const struct request *rq, const uint8_t *output)
{
	const size_t from = (size_t)rq->start * rq->row->result;
	const size_t to = rq->row->rep ? (size_t)rq->done * rq->row->result :
					 rq->out;
	struct registers r;

	if (to == from)
		return;
	if (!is_fast(rq)) {
		gmem_write(hv->gm, output_of(c) + from, output + from,
			   to - from);
		return;
	}
	r = registers_of(c);
	memcpy((uint8_t *)&r + fast_output_at(rq) + from, output + from,
	       to - from);
	c->rdx = r.param[0];
	c->r8 = r.param[1];
	c->xmm_dirty = memcmp(c->xmm, r.xmm, sizeof(r.xmm)) != 0;
	memcpy(c->xmm, r.xmm, sizeof(r.xmm));
}

/* At least one element, then as many as the slice has time for. */
static enum hv_status run_list(struct call *c, struct request *rq,
			       uint8_t *input, uint8_t *output)
{
	const uint64_t begin = reftime_now(c->hv);

	do {
		enum hv_status status;

		c->rep = rq->done;
		c->element = input + rq->list +
			     (size_t)c->rep * rq->row->element;
		c->result = output + (size_t)c->rep * rq->row->result;
		status = rq->row->handler(c);
		if (status)
			return status;
		rq->done = c->rep + 1;
	} while (rq->done < rq->count && reftime_now(c->hv) - begin < SLICE);
	return HV_STATUS_SUCCESS;
}

static enum hv_status perform(struct hv *hv, struct hv_vp *vp,
			      struct hv_call *call, struct request *rq)
{
	uint64_t input[GMEM_PAGE_SIZE / 8], output[GMEM_PAGE_SIZE / 8];
	struct call c = {
		.hv = hv, .vp = vp, .input = input, .output = output,
		.header_size = rq->header_size, .count = rq->count,
	};
	enum hv_status status = get_input(hv, call, rq, input);

	if (status)
		return status;
	memset(output, 0, rq->out);
	if (rq->row->rep)
		status = run_list(&c, rq, (uint8_t *)input,
				  (uint8_t *)output);
	else
		status = rq->row->handler(&c);
	if (!status || rq->row->rep)
		put_output(hv, call, rq, (uint8_t *)output);
	return status;
}

static void put_value(struct hv_call *c, uint64_t value)
{
	c->rax = value;
	if (!c->long_mode) {
		c->rax = (uint32_t)value;
		c->rdx = value >> 32;
	}
}

/* TLFS 3.8, 3.9: EDX:EAX is the input value until it is the result. */
static void finish(struct hv_call *c, const struct request *rq,
		   enum hv_status status)
{
	const uint64_t control =
		(rq->control & ~HV_HYPERCALL_REP_START_MASK) |
		(uint64_t)rq->done << HV_HYPERCALL_REP_START_SHIFT;

	c->again = !status && rq->done < rq->count;
	if (rq->done > rq->start && c->long_mode)
		c->rcx = control;
	if (!c->again)
		put_value(c, (uint64_t)rq->done <<
			     HV_HYPERCALL_REP_COMP_SHIFT | status);
	else if (!c->long_mode)
		put_value(c, control);
}

bool hv_call_wants_xmm(const struct hv *hv, const struct hv_call *call)
{
	struct request rq;

	return !decode(hv, call, &rq) && is_fast(&rq) &&
	       (rq.out ? fast_output_at(&rq) + rq.out : rq.in) > FAST_PLAIN;
}

/* TLFS 3.7.2.1, 3.8.1.1: what is not offered is #UD. */
static bool lacks_xmm(const struct hv *hv, const struct request *rq)
{
	if (!is_fast(rq))
		return false;
	return (rq->in > FAST_PLAIN &&
		!hv_offers(hv, EDX, HV_XMM_INPUT_AVAILABLE)) ||
	       (rq->out && !hv_offers(hv, EDX, HV_XMM_OUTPUT_AVAILABLE));
}

static bool page_is_enabled(struct hv *hv)
{
	uint64_t msr;

	pthread_mutex_lock(&hv->lock);
	msr = hv->page_msr[PAGE_HYPERCALL];
	pthread_mutex_unlock(&hv->lock);
	return msr & HV_MSR_PAGE_ENABLE;
}

bool hv_hypercall(struct hv *hv, uint32_t vp, struct hv_call *call)
{
	struct request rq;
	enum hv_status status;

	if (!call->protected_mode || call->cpl || !page_is_enabled(hv))
		return false;

	status = decode(hv, call, &rq);
	if (!status) {
		if (lacks_xmm(hv, &rq))
			return false;
		status = perform(hv, &hv->vp[vp], call, &rq);
	}
	finish(call, &rq, status);
	trace(TRACE_HV, "hv.hypercall vp=%u control=%#" G_GINT64_MODIFIER
	      "x status=%#x done=%u", vp, rq.control, status, rq.done);
	return true;
}

uint64_t hv_doorbell(struct hv *hv, uint32_t vp, uint32_t connection_id)
{
	enum hv_status status = HV_STATUS_ACCESS_DENIED;

	if (hv_offers(hv, EBX, HV_SIGNAL_EVENTS))
		status = ports_signal(hv, connection_id, 0);
	return (uint64_t)status << 32 | connection_id;
}
