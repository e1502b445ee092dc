/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hypercall page from 32-bit protected mode, without paging or (paging=pae)
 * with it, and its refusal in real mode.  TLFS 3.5, 3.7.
 */
#include "hyperv.h"
#include "narrow.h"

#define SIGNAL_FAST	(HVCALL_SIGNAL_EVENT | HV_HYPERCALL_FAST)
#define UNKNOWN_CALL	0x7ffe
#define PRESENT		0x1
#define LARGE_PAGE	0x83
#define CR0_PG		0x80000000
#define CR4_PAE		0x20
#define REAL_MODE_CALL	0xa000		/* where hypercall16.S runs */

/* hypercall16.S */
extern char real_call_start[], real_call_end[], real_call_trap[];
narrow_call call_all_registers;
uint32_t call_real_mode(uint32_t eax, uint32_t ecx);

/*
 * In real mode an exception comes by the table at 0.  All entries lead to the
 * same code, each by another segment: so the code learns the vector from CS.
 */
static void prepare_real_mode(void)
{
	struct {
		uint16_t ip, cs;
	} *vectors = NULL;
	uint32_t trap = REAL_MODE_CALL +
			(uint32_t)(real_call_trap - real_call_start);

	/* The compiler must not know that this is address 0. */
	asm("" : "+r"(vectors));
	for (uint16_t i = 0; i < 32; i++) {
		vectors[i].ip = (uint16_t)(trap - i * 16);
		vectors[i].cs = i;
	}
	memcpy((void *)REAL_MODE_CALL, real_call_start,
	       (size_t)(real_call_end - real_call_start));
	wrmsr(HV_X64_MSR_HYPERCALL, LOW_PAGE | HV_MSR_PAGE_ENABLE);
}

/* The first 4 GiB as they are, by PAE paging, which not every KVM has. */
static void enable_paging(void)
{
	uint64_t *directories = page_alloc();
	uint32_t cr0, cr4;

	for (uint64_t i = 0; i < 4; i++) {
		uint64_t *directory = page_alloc();

		directories[i] = (uintptr_t)directory | PRESENT;
		for (uint64_t j = 0; j < 512; j++)
			directory[j] = (i << 30 | j << 21) | LARGE_PAGE;
	}
	asm volatile("mov %%cr4, %0" : "=r"(cr4));
	asm volatile("mov %0, %%cr4" : : "r"(cr4 | CR4_PAE));
	asm volatile("mov %0, %%cr3" : : "r"(directories));
	asm volatile("mov %%cr0, %0" : "=r"(cr0));
	asm volatile("mov %0, %%cr0; jmp 1f; 1:" : : "r"(cr0 | CR0_PG)
		     : "memory");
}

static void with_paging(void)
{
	if (TRY(enable_paging()) == TRAP_GP)
		skip("calls with paging", "a para-virtual KVM has none");
	else
		narrow_conventions(call_all_registers);
}

/* TLFS: HC-12 EXEC-04 */
static void from_real_mode(void)
{
	prepare_real_mode();
	check_eq(call_real_mode(UNKNOWN_CALL, UNKNOWN_CALL), TRAP_UD,
		 "a call from real mode is #UD");
	check_eq(call_real_mode(SIGNAL_FAST, SIGNAL_FAST), TRAP_UD,
		 "HvSignalEvent from real mode is #UD");
	hypercall_page = (void *)LOW_PAGE;
	check_eq(hypercall(UNKNOWN_CALL, 0, 0),
		 HV_STATUS_INVALID_HYPERCALL_CODE,
		 "back in protected mode the same page works");
}

void test_main(void)
{
	hypercall_enable();
	if (option_is("paging", "pae")) {
		with_paging();
		return;
	}
	narrow_conventions(call_all_registers);
	from_real_mode();
}
