/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hypercalls with any registers, in any mode, on memory that the input filled:
 * those there are, and calls of each form that touch all they are given.
 *
 * Input: records of one call each; what is left over fills the page that most
 * calls point to.
 */
#include "core/util.h"
#include "hv/hypercall.h"
#include "hv_host.h"

#define EVENT_ID	2
#define MESSAGE_ID	1
#define INPUT		UINT64_C(0x3000)
#define CALLS_MAX	16

struct record {
	uint64_t control, in, out;
	/* Bits 0 long, 1 real, 3:2 CPL, 4 doorbell, 5 our calls, 6 slow. */
	uint8_t mode;
} __attribute__((packed));

static int on_signal(struct hv_event_port *port, uint16_t flag)
{
	g_assert(flag < HV_EVENT_FLAG_COUNT);
	return 0;
}

static int on_post(struct hv_message_port *port, uint32_t type,
		   const void *payload, size_t len)
{
	const uint8_t *p = payload;
	uint8_t sum = 0;

	g_assert(type && type < HVMSG_FROM_HYPERVISOR);
	g_assert(len <= HV_MESSAGE_PAYLOAD_MAX);
	for (size_t i = 0; i < len; i++)
		sum ^= p[i];
	return sum % 3 == 0 ? 0 : sum % 3 == 1 ? -EAGAIN : -EINVAL;
}

static struct hv_event_port event_port = { on_signal };
static struct hv_message_port message_port = { on_post };

/*
 * Calls of ours: code n has the sizes of row n.
 */
#define FAILS	0x40	/* input of this sum is refused */

static struct hv_host h;
static bool slow;
static unsigned last_rep;

static enum hv_status touch(struct call *c, size_t in, size_t element,
			    size_t out, size_t result)
{
	const uint8_t *input = c->input, *e = c->element;
	uint8_t sum = 0;

	for (size_t i = 0; i < in + c->header_size; i++)
		sum ^= input[i];
	for (size_t i = 0; i < element; i++)
		sum ^= e[i];
	for (size_t i = 0; i < out; i++)
		g_assert(((uint8_t *)c->output)[i] == 0);
	memset(c->output, sum, out);
	for (size_t i = 0; i < result; i++)
		g_assert(((uint8_t *)c->result)[i] == 0);
	if (c->count)
		g_assert(c->rep < c->count);
	if (result)
		memset(c->result, sum, result);
	last_rep = c->rep;
	h.now += slow ? 1000 : 1;
	return sum == FAILS ? HV_STATUS_INVALID_PARAMETER : HV_STATUS_SUCCESS;
}

static enum hv_status simple(struct call *c)
{
	return touch(c, 20, 0, 80, 0);
}

static enum hv_status list(struct call *c)
{
	return touch(c, 8, 8, 0, 16);
}

static enum hv_status headers(struct call *c)
{
	return touch(c, 20, 0, 0, 0);
}

static enum hv_status headers_list(struct call *c)
{
	return touch(c, 20, 4, 0, 4);
}

static enum hv_status bare_list(struct call *c)
{
	return touch(c, 0, 0, 0, 0);
}

static const struct hypercall ours[] = {
	{ 0, .input = 20, .output = 80, .handler = simple },
	{ 1, .rep = true, .input = 8, .element = 8, .result = 16,
	  .handler = list },
	{ 2, .variable = true, .input = 20, .handler = headers },
	{ 3, .rep = true, .variable = true, .input = 20, .element = 4,
	  .result = 4, .handler = headers_list },
	{ 4, .rep = true, .handler = bare_list },
};

static void choose_calls(const struct record *r)
{
	slow = r->mode & 64;
	if (r->mode & 32) {
		h.hv->calls = ours;
		h.hv->call_count = G_N_ELEMENTS(ours);
	} else {
		calls_init(h.hv);
	}
}

static void check_result(const struct hv_call *c, uint64_t control)
{
	uint64_t value = c->long_mode ? c->rax : c->rdx << 32 | c->rax;
	unsigned count = HV_HYPERCALL_REP_COUNT(control);

	g_assert(c->protected_mode && c->cpl == 0);
	if (c->again) {
		value = c->long_mode ? c->rcx : value;
		g_assert(HV_HYPERCALL_REP_START(value) == last_rep + 1);
		g_assert(HV_HYPERCALL_REP_START(value) < count);
		return;
	}
	g_assert((value & ~UINT64_C(0xfff0000ffff)) == 0);
	g_assert(value >> 32 <= count);
	if (count && value == 0)
		g_assert_not_reached();
}

static void call(const struct record *r)
{
	struct hv_call c = {
		.long_mode = r->mode & 1,
		.protected_mode = !(r->mode & 2),
		.cpl = r->mode >> 2 & 3,
	}, before;

	if (c.long_mode) {
		c.rcx = r->control;
		c.rdx = r->in;
		c.r8 = r->out;
	} else {
		c.rdx = r->control >> 32;
		c.rax = (uint32_t)r->control;
		c.rbx = r->in >> 32;
		c.rcx = (uint32_t)r->in;
		c.rdi = r->out >> 32;
		c.rsi = (uint32_t)r->out;
	}
	if (hv_call_wants_xmm(h.hv, &c))
		memset(c.xmm, (uint8_t)r->in, sizeof(c.xmm));
	before = c;
	if (!hv_hypercall(h.hv, 0, &c)) {
		g_assert(!memcmp(&c, &before, sizeof(c)));
		return;
	}
	check_result(&c, r->control);
	g_assert(c.rbx == before.rbx && c.rsi == before.rsi &&
		 c.rdi == before.rdi);
	if (!(r->control & HV_HYPERCALL_FAST) || !c.long_mode)
		g_assert(c.r8 == before.r8 && !c.xmm_dirty);
}

/* Calls can set registers: each input starts with those of a new machine. */
static void start(void)
{
	if (!h.hv) {
		hv_host_init(&h, 2);
		hv_connect_event(h.hv, EVENT_ID, &event_port);
		hv_connect_message(h.hv, MESSAGE_ID, &message_port);
	}
	hv_reset(h.hv);
	h.register_count = 0;
	hv_host_wrmsr(&h, 0, HV_X64_MSR_GUEST_OS_ID, 1);
	hv_host_wrmsr(&h, 0, HV_X64_MSR_HYPERCALL,
		      0x1000 | HV_MSR_PAGE_ENABLE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct record records[CALLS_MAX];
	unsigned count = 0;

	start();
	if (size && *data < CALLS_MAX) {
		count = *data++;
		size--;
	}
	count = (unsigned)MIN(count, size / sizeof(records[0]));
	memcpy(records, data, count * sizeof(records[0]));
	data += count * sizeof(records[0]);
	size -= count * sizeof(records[0]);
	memset(h.ram + INPUT, 0, GMEM_PAGE_SIZE);
	memcpy(h.ram + INPUT, data, MIN(size, GMEM_PAGE_SIZE));

	for (unsigned i = 0; i < count; i++) {
		choose_calls(&records[i]);
		if (records[i].mode & 16)
			hv_doorbell(h.hv, 0, (uint32_t)records[i].in);
		else
			call(&records[i]);
	}
	return 0;
}
