/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hyperv.h"
#include "narrow.h"
#include "statuses.h"

static narrow_call *call;

/* EDX:EAX control, EBX:ECX and EDI:ESI input and output, EDX:EAX result. */
/* TLFS: HC-20 HC-22 HC-23 HC-24 HC-58 HC-60 HC-61 HC-62 */
static bool narrow_is(uint64_t control, uint64_t input, uint64_t output,
		      uint64_t result)
{
	uint32_t regs[NARROW_REGISTERS] = {
		[EAX] = (uint32_t)control, [EDX] = (uint32_t)(control >> 32),
		[ECX] = (uint32_t)input, [EBX] = (uint32_t)(input >> 32),
		[ESI] = (uint32_t)output, [EDI] = (uint32_t)(output >> 32),
		[EBP] = 0x12345678, [EFLAGS] = (uint32_t)next_flags(),
	}, want[NARROW_REGISTERS];

	memcpy(want, regs, sizeof(want));
	want[EAX] = (uint32_t)result;
	want[EDX] = (uint32_t)(result >> 32);
	call(regs);
	if (regs[EAX] != want[EAX] || regs[EDX] != want[EDX])
		print("# the result is %#x:%x\n", regs[EDX], regs[EAX]);
	return !memcmp(regs, want, sizeof(want));
}

/* TLFS: HC-20 HC-70 */
static void output(void)
{
	static uint64_t out[2] __attribute__((aligned(16)));

	if (!(cpuid(HV_CPUID_FEATURES).ebx & HV_ENABLE_EXTENDED_HYPERCALLS)) {
		skip("output is written to EDI:ESI", "no call has any");
		return;
	}
	out[0] = out[1] = UINT64_MAX;
	check(narrow_is(HVEXTCALL_QUERY_CAPABILITIES, 1, (uintptr_t)out,
			HV_STATUS_SUCCESS) && !out[0] && out[1] == UINT64_MAX,
	      "output is written to EDI:ESI");
	check(narrow_is(HVEXTCALL_QUERY_CAPABILITIES, 0, (uintptr_t)out + 4,
			HV_STATUS_INVALID_ALIGNMENT) &&
	      narrow_is(HVEXTCALL_QUERY_CAPABILITIES, 0,
			1ull << 32 | (uintptr_t)out,
			HV_STATUS_INVALID_ALIGNMENT),
	      "and aligned to 8 bytes in memory");
	check(narrow_is(HVEXTCALL_QUERY_CAPABILITIES | HV_HYPERCALL_FAST, 0, 0,
			HV_STATUS_INVALID_HYPERCALL_INPUT),
	      "but never to registers");
}

void narrow_conventions(narrow_call *c)
{
	call = c;
	statuses(narrow_is);
	output();
}
