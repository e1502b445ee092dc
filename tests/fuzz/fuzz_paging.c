/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as page tables, walked in any mode.
 *
 * Input: a struct input, then memory from address 0 on.
 */
#include <glib.h>
#include <string.h>

#include "core/util.h"
#include "hv/paging.h"
#include "hv/x86.h"

#define PAGES	4
#define MARK	HV_TRANSLATE_GVA_SET_PAGE_TABLE_BITS
#define MARKS	UINT64_C(0x60)	/* accessed, dirty */

struct input {
	struct paging paging;
	uint64_t gva;
	uint8_t flags;
};

#define WORDS	(PAGES * GMEM_PAGE_SIZE / 8)

static uint64_t ram[WORDS], before[WORDS];

/* A walk may set those bits, if it was asked to, and no others. */
static void check_ram(uint64_t flags)
{
	const uint64_t may = flags & MARK ? MARKS | MARKS << 32 : 0;

	for (size_t i = 0; i < G_N_ELEMENTS(ram); i++) {
		g_assert((ram[i] & before[i]) == before[i]);
		g_assert(((ram[i] ^ before[i]) & ~may) == 0);
	}
}

static void check(const struct paging *p, const struct translation *t)
{
	g_assert(t->code <= HV_TRANSLATE_GVA_GPA_UNMAPPED);
	switch (t->code) {
	case HV_TRANSLATE_GVA_SUCCESS:
		g_assert(!t->exception);
		g_assert(t->cache_type < 7);
		break;
	case HV_TRANSLATE_GVA_GPA_UNMAPPED:
		g_assert(!t->exception && t->gpa >= sizeof(ram));
		break;
	default:
		g_assert(t->exception == TRAP_PF || t->exception == TRAP_GP);
		g_assert((t->error_code & ~0x1fu) == 0);
		g_assert(p->cr0 & CR0_PG);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct gmem_region region = { 0, sizeof(ram), (uint8_t *)ram };
	const struct gmem gm = { &region, 1 };
	struct translation t;
	struct input in;

	if (size < sizeof(in))
		return 0;
	memcpy(&in, data, sizeof(in));
	data += sizeof(in);
	size -= sizeof(in);
	in.paging.user = in.flags & 0x80;
	in.paging.gpa_bits = 36 + in.paging.gpa_bits % 17;
	in.flags &= 0x1f;
	memset(ram, 0, sizeof(ram));
	memcpy(ram, data, MIN(size, sizeof(ram)));
	memcpy(before, ram, sizeof(ram));

	t = paging_translate(&in.paging, &gm, in.gva, in.flags);
	check(&in.paging, &t);
	check_ram(in.flags);
	return 0;
}
