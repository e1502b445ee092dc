/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hypercall page from 64-bit code, from a 32-bit segment of long mode, and
 * from CPL 3.  TLFS 3.
 */
#include "hypercall_user.h"
#include "narrow.h"
#include "statuses.h"

#define UNKNOWN_CALL	0x7ffe
#define NOBODY		0x654321	/* a connection id that nobody has */
#define FLAGS_IOPL3	0x3000
#define FLAGS_FIXED	2

narrow_call call_compat;	/* hypercall_user.S */
/* boot64.S */
void call_user(void *rip, void *rsp, uint64_t flags, void *rdi);

/* TLFS: OSID-02 HC-75 */
static void page_before_identity(void)
{
	uintptr_t page = (uintptr_t)page_alloc();

	wrmsr(HV_X64_MSR_HYPERCALL, page | HV_MSR_PAGE_ENABLE);
	check_eq(rdmsr(HV_X64_MSR_HYPERCALL) & HV_MSR_PAGE_ENABLE, 0,
		 "without GUEST_OS_ID the hypercall page stays disabled");
	hypercall_enable();
	check_eq(rdmsr(HV_X64_MSR_HYPERCALL),
		 (uintptr_t)hypercall_page | HV_MSR_PAGE_ENABLE,
		 "with GUEST_OS_ID the hypercall page is enabled");
	check_eq(rdmsr(HV_X64_MSR_GUEST_OS_ID), GUEST_OS_ID,
		 "GUEST_OS_ID reads as written");
}

/* TLFS: HC-83 HC-88 OSID-03 */
static void page_content(void)
{
	static const uint8_t endbr64[] = { 0xf3, 0x0f, 0x1e, 0xfa };
	static uint8_t before[PAGE_SIZE];

	memcpy(before, hypercall_page, PAGE_SIZE);
	check(!memcmp(before, endbr64, sizeof(endbr64)),
	      "the hypercall page starts with ENDBR64");
	hypercall(UNKNOWN_CALL, 0, 0);
	signal_event(NOBODY);
	check(!memcmp(before, hypercall_page, PAGE_SIZE),
	      "calls do not change the hypercall page");
	wrmsr(HV_X64_MSR_GUEST_OS_ID, 0);
	check_eq(rdmsr(HV_X64_MSR_HYPERCALL) & HV_MSR_PAGE_ENABLE, 0,
		 "without an identity again, the page is disabled again");
	wrmsr(HV_X64_MSR_GUEST_OS_ID, GUEST_OS_ID);
	wrmsr(HV_X64_MSR_HYPERCALL,
	      (uintptr_t)hypercall_page | HV_MSR_PAGE_ENABLE);
	check(!memcmp(before, hypercall_page, PAGE_SIZE),
	      "the page has the same content when enabled again");
}

/* TLFS: HC-80 GPA-14 EXEC-10 */
static void page_write(void)
{
	static uint8_t before[PAGE_SIZE];
	volatile uint8_t *page = hypercall_page, *other = page_alloc();
	unsigned wrong = 0;

	memcpy(before, hypercall_page, PAGE_SIZE);
	for (unsigned i = 0; i < PAGE_SIZE; i += PAGE_SIZE / 16 - 1)
		wrong += TRY(page[i] = (uint8_t)~page[i]) != TRAP_GP;
	check_eq(wrong, 0, "a write to the hypercall page is #GP");
	check(!memcmp(before, hypercall_page, PAGE_SIZE),
	      "and does not change it");
	check_eq(hypercall(UNKNOWN_CALL, 0, 0),
		 HV_STATUS_INVALID_HYPERCALL_CODE, "it can be called as before");
	wrmsr(HV_X64_MSR_HYPERCALL, (uintptr_t)other | HV_MSR_PAGE_ENABLE);
	check_eq(TRY(page[0] = 1), NO_TRAP,
		 "where it is no more, memory can be written");
	check_eq(TRY(other[0] = 1), TRAP_GP,
		 "and where it is now, it is #GP");
	wrmsr(HV_X64_MSR_HYPERCALL, (uintptr_t)page | HV_MSR_PAGE_ENABLE);
}

/* TLFS: IPC-10 IPC-12 */
static void messages(void)
{
	static const uint8_t payload[256];

	check_eq(post_message(NOBODY, 1, payload, 8),
		 HV_STATUS_INVALID_CONNECTION_ID,
		 "HvPostMessage knows its connections");
	check_eq(post_message(1, 0, payload, 8), HV_STATUS_INVALID_PARAMETER,
		 "message type 0 is refused");
	check_eq(post_message(1, 0x80000001, payload, 8),
		 HV_STATUS_INVALID_PARAMETER,
		 "message types of the hypervisor are refused");
	check_eq(post_message(1, 1, payload, 241), HV_STATUS_INVALID_PARAMETER,
		 "a payload of 241 bytes is refused");
	check_eq(post_message(1, 1, payload, 240), HV_STATUS_SUCCESS,
		 "a payload of 240 bytes is taken");
}

/* Order of call_all_registers(): RAX RCX RDX RBX RBP RSI RDI R8-R15 RFLAGS. */
/* TLFS: HC-18 HC-19 HC-21 HC-58 HC-60 HC-61 HC-62 */
static bool wide_leaves(uint64_t control, uint64_t input, uint64_t output,
			uint64_t result, uint64_t control_after)
{
	enum { RAX, RCX, RDX, R8 = 7, RFLAGS = 15, REGISTERS };
	uint64_t regs[REGISTERS], want[REGISTERS];

	for (unsigned i = 0; i < RFLAGS; i++)
		regs[i] = 0x1111111122222222ull * (i + 1);
	regs[RFLAGS] = next_flags();
	regs[RCX] = control;
	regs[RDX] = input;
	regs[R8] = output;
	memcpy(want, regs, sizeof(want));
	want[RAX] = result;
	want[RCX] = control_after;
	call_all_registers(regs);
	for (unsigned i = 0; i < REGISTERS; i++)
		if (regs[i] != want[i])
			print("# register %u is %#llx, not %#llx\n", i,
			      (unsigned long long)regs[i],
			      (unsigned long long)want[i]);
	return !memcmp(regs, want, sizeof(want));
}

static bool wide_is(uint64_t control, uint64_t input, uint64_t output,
		    uint64_t result)
{
	return wide_leaves(control, input, output, result, control);
}

struct selectors {
	uint16_t cs, ds, es, fs, gs, ss;
};

static struct selectors selectors(void)
{
	struct selectors s;

	asm volatile("mov %%cs, %0; mov %%ds, %1; mov %%es, %2;"
		     "mov %%fs, %3; mov %%gs, %4; mov %%ss, %5"
		     : "=m"(s.cs), "=m"(s.ds), "=m"(s.es), "=m"(s.fs),
		       "=m"(s.gs), "=m"(s.ss));
	return s;
}

/* TLFS: HC-62 */
static void segments(void)
{
	struct selectors before, after;

	asm volatile("mov %0, %%fs; mov %0, %%gs" : : "r"(DATA));
	before = selectors();
	hypercall(UNKNOWN_CALL, 0, 0);
	signal_event(NOBODY);
	after = selectors();
	check(!memcmp(&before, &after, sizeof(before)),
	      "segments are as they were");
}

/* It takes more than one slice where the host is slow. */
/* TLFS: HC-59 HC-62 */
static void long_list(void)
{
	enum { COUNT = 1020 };
	static struct {
		struct hv_input_get_vp_index in;
		uint32_t id[COUNT];
	} in __attribute__((aligned(PAGE_SIZE))) = {
		.in.partition_id = HV_PARTITION_ID_SELF,
	};
	static uint32_t out[COUNT] __attribute__((aligned(PAGE_SIZE)));
	const uint64_t control = HVCALL_GET_VP_INDEX_FROM_APIC_ID |
				 (uint64_t)COUNT << 32;
	unsigned wrong = 0;

	memset(out, 0xff, sizeof(out));
	check(wide_leaves(control, (uintptr_t)&in, (uintptr_t)out,
			  (uint64_t)COUNT << 32,
			  control | (uint64_t)COUNT << 48),
	      "a long list changes the result and the start index only");
	for (unsigned i = 0; i < COUNT; i++)
		wrong += out[i] != 0;
	check_eq(wrong, 0, "and is done to its end");
}

/* TLFS: HC-44 HC-49 HC-93 HC-96 */
static void output(void)
{
	static uint64_t out[2] __attribute__((aligned(16)));
	struct fast_registers f = { .rdx = 1, .r8 = 2 }, want;

	out[0] = out[1] = UINT64_MAX;
	check_eq(hypercall(HVEXTCALL_QUERY_CAPABILITIES, 0, (uintptr_t)out),
		 HV_STATUS_SUCCESS, "a call without input ignores its address");
	check_eq(out[0], 0, "output is written to memory");
	check_eq(out[1], UINT64_MAX, "and nothing behind it");
	check_eq(hypercall(HVEXTCALL_QUERY_CAPABILITIES, 0,
			   (uintptr_t)out + 4), HV_STATUS_INVALID_ALIGNMENT,
		 "output is aligned to 8 bytes");

	enable_sse();
	for (unsigned i = 0; i < sizeof(f.xmm); i++)
		f.xmm[i] = (uint8_t)(i + 1);
	want = f;
	want.rdx = 0;
	check_eq(call_fast(HVEXTCALL_QUERY_CAPABILITIES | HV_HYPERCALL_FAST,
			   &f), HV_STATUS_SUCCESS, "output may be fast");
	check(!memcmp(&f, &want, sizeof(f)),
	      "fast output of 8 bytes is in RDX, and in no other register");
}

static unsigned from_user(uint64_t iopl)
{
	uint8_t *stack = page_alloc();

	return TRY(call_user(user_hypercall, stack + PAGE_SIZE,
			     FLAGS_FIXED | iopl, hypercall_page));
}

/* TLFS: HC-13 */
void test_main(void)
{
	unsigned trap;

	page_before_identity();
	page_content();
	statuses(wide_is);
	segments();
	long_list();
	messages();
	output();
	narrow_conventions(call_compat);
	check_eq(from_user(FLAGS_IOPL3), TRAP_UD,
		 "a call from CPL 3 with I/O rights is #UD");
	/* A para-virtual KVM does not look at the rights. */
	trap = from_user(0);
	check(trap == TRAP_GP || trap == TRAP_UD,
	      "a call from CPL 3 without I/O rights faults");
	check_eq(hypercall(UNKNOWN_CALL, 0, 0),
		 HV_STATUS_INVALID_HYPERCALL_CODE,
		 "the kernel's next call works");
	page_write();
}
