/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sets of VPs through every call that takes one, compared with a reading of
 * them bit by bit.
 *
 * Input: a struct input, then the call's block.
 */
#include "core/util.h"
#include "hv/hv_internal.h"
#include "hv_host.h"

#define IN		UINT64_C(0x3000)
#define REGISTERS	112	/* bytes of a fast call */
#define VECTOR		0x40

struct input {
	uint8_t call;
	uint8_t machine;
	uint8_t fast;
	uint16_t header;	/* size of the variable one, in words */
} __attribute__((packed));

/* Calls, and which word of their block is the set's first. */
static const struct form {
	uint64_t control;
	unsigned at, elements;
} forms[] = {
	{ HVCALL_SEND_IPI_EX, 1, 0 },
	{ HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE_EX, 2, 0 },
	{ HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST_EX | UINT64_C(1) << 32, 2, 1 },
};

static struct hv_host machines[] = {
	{ .config.vp_count = 1 },
	{ .config.vp_count = 3 },
	{ .config.vp_count = HV_VP_MAX },
};

static void start(struct hv_host *h)
{
	hv_host_init(h, h->config.vp_count);
	hv_host_wrmsr(h, 0, HV_X64_MSR_GUEST_OS_ID, 1);
	hv_host_wrmsr(h, 0, HV_X64_MSR_HYPERCALL, 0x1000 | HV_MSR_PAGE_ENABLE);
}

/* The VPs of @set; false if it is none. */
static bool read_set(const struct hv_host *h, const uint64_t *set,
		     unsigned words, uint64_t *vps)
{
	unsigned next = 0;

	*vps = 0;
	if (set[0] == HV_GENERIC_SET_ALL)
		for (unsigned vp = 0; vp < h->config.vp_count; vp++)
			*vps |= BIT64(vp);
	if (set[0] != HV_GENERIC_SET_SPARSE_4K)
		return set[0] == HV_GENERIC_SET_ALL;
	for (unsigned bit = 0; bit < 64 * 64; bit++) {
		unsigned bank = bit / 64;

		if (!(set[1] & BIT64(bank)) || next >= words)
			continue;
		if (bit < h->config.vp_count && set[2 + next] & BIT64(bit % 64))
			*vps |= BIT64(bit);
		next += bit % 64 == 63;
	}
	return words == (unsigned)__builtin_popcountll(set[1]);
}

/* Who got something by the call; each of them once. */
static uint64_t reached(struct hv_host *h)
{
	uint64_t vps = h->flushes ? h->flushed : 0;

	g_assert(h->flushes <= 1);
	h->flushes = 0;
	for (unsigned i = 0; i < HV_VP_MAX; i++) {
		g_assert(h->vp[i].interrupts[VECTOR] <= 1);
		if (h->vp[i].interrupts[VECTOR])
			vps |= BIT64(i);
		h->vp[i].interrupts[VECTOR] = 0;
	}
	return vps;
}

static uint64_t call(struct hv_host *h, uint64_t control, const uint64_t *block)
{
	struct hv_call c = {
		.rcx = control, .rdx = IN,
		.long_mode = true, .protected_mode = true,
	};

	memcpy(h->ram + IN, block, GMEM_PAGE_SIZE);
	if (control & HV_HYPERCALL_FAST) {
		c.rdx = block[0];
		c.r8 = block[1];
		memcpy(c.xmm, block + 2, sizeof(c.xmm));
	}
	g_assert(hv_hypercall(h->hv, 0, &c));
	return c.rax;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t block[2 * GMEM_PAGE_SIZE / 8] = { 0 }, result, vps;
	struct input in = { 0 };
	const struct form *f;
	struct hv_host *h;
	size_t need;
	bool good;

	if (size < sizeof(in))
		return 0;
	memcpy(&in, data, sizeof(in));
	memcpy(block, data + sizeof(in),
	       MIN(size - sizeof(in), GMEM_PAGE_SIZE));
	f = &forms[in.call % G_N_ELEMENTS(forms)];
	h = &machines[in.machine % G_N_ELEMENTS(machines)];
	in.header &= 0x3ff;
	in.fast &= 1;
	/* All that is no set is right. */
	block[0] = f->at == 1 ? VECTOR : 0;
	if (f->at == 2)
		block[1] = 0;
	if (!h->hv)
		start(h);

	result = call(h, f->control | (uint64_t)in.header << 17 |
			 (in.fast ? HV_HYPERCALL_FAST : 0), block);
	need = (f->at + 2u + in.header + f->elements) * 8;
	good = need <= (in.fast ? REGISTERS : GMEM_PAGE_SIZE) &&
	       read_set(h, block + f->at, in.header, &vps);
	g_assert(good == ((uint16_t)result == HV_STATUS_SUCCESS));
	g_assert(reached(h) == (good ? vps : 0));
	g_assert(result >> 32 == (good ? f->elements : 0));
	return 0;
}
