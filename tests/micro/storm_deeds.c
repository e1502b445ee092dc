/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hypercall page comes and goes under those who call it.  Memory below it
 * is RETs, and callers have the address of a RET in RAX, one of two things that
 * the page's code pushes.  The other is RFLAGS, which is the address of a RET,
 * too: wherever the page ends, the call does.
 */
#include "random.h"
#include "storm.h"
#include "vmbus.h"

#define RET		0xc3
#define ENDBR64_SIZE	4
#define CALLED_PAGES	4
#define FLAGS_MIN	0x200		/* IF is set, */
#define FLAGS_END	0x1000		/* and IOPL is 0 */

#define FIRST_VECTOR	32		/* below are exceptions */
#define LAST_VECTOR	254		/* above is the spurious one */

/* Calls and registers that would end us, or a processor. */
#define SWITCH_ADDRESS_SPACE	0x01
#define SET_VP_REGISTERS	0x51
#define SEND_IPI		0x0b
#define SEND_IPI_EX		0x15
#define MSR_REENLIGHTENMENT	0x40000106
#define MSR_UNHALTED_TIMER	0x40000114

static uint8_t *called;			/* pages, all RET */
static uint8_t *volatile shown;		/* the one that is covered now */

/* One that may interrupt, or one that is refused. */
static uint64_t vector(void)
{
	return below(16) ? FIRST_VECTOR +
			   below(LAST_VECTOR - FIRST_VECTOR + 1) : below(16);
}

/* What a call may read. */
static uint64_t *input_page(void)
{
	static uint64_t pages[CPU_MAX][PAGE_SIZE / sizeof(uint64_t)]
		__attribute__((aligned(PAGE_SIZE)));

	return pages[this_cpu()->index];
}

/*
 * A para-virtual KVM that finds the page changed emulates what is there, and
 * does not know ENDBR64.
 */
static void call(uint64_t control, uint64_t input, uint64_t output)
{
	register uint64_t r8 asm("r8") = output;
	const uint8_t *page = shown + ENDBR64_SIZE;

	asm volatile("lea 1f(%%rip), %%rax\n\t"
		     "call *%[page]\n\t"
		     "jmp 2f\n"
		     "1: ret\n"
		     "2:"
		     : "+c"(control), "+d"(input), "+r"(r8)
		     : [page] "r"(page)
		     : "rax", "memory", "cc");
}

static uint16_t any_code(void)
{
	static const uint16_t codes[] = {
		0x02, 0x03, 0x08, SEND_IPI, 0x13, 0x14, SEND_IPI_EX, 0x46,
		0x50, 0x52, 0x57, 0x58, 0x5c, 0x5d, 0x5d, 0x7e, 0x94, 0x99,
		0x9a, 0x8001, 0x8002,
	};

	return below(2) ? codes[below(ARRAY_SIZE(codes))] :
			  (uint16_t)below(0x120);
}

/* The rest of a control word: mostly right. */
static uint64_t any_control(void)
{
	uint64_t control = below(2) ? HV_HYPERCALL_FAST : 0;

	if (below(4) == 0)
		control |= (uint64_t)below(4) << 17 |
			   (uint64_t)below(20) << 32 |
			   (uint64_t)below(20) << 48;
	if (below(16) == 0)
		control |= 1ull << (27 + below(37));
	return control;
}

static void any_call(void)
{
	uint64_t control = any_control(), *page = input_page();
	uint16_t code = any_code();
	/* The vector of an IPI is what its input begins with. */
	bool ipi = code == SEND_IPI || code == SEND_IPI_EX;

	if (code == SET_VP_REGISTERS || code == SWITCH_ADDRESS_SPACE)
		return;
	for (unsigned i = 0; i < 4; i++)
		page[below(32)] = below(2) ? number() : random64();
	page[0] = ipi ? vector() : number();
	call(control | code,
	     control & HV_HYPERCALL_FAST ? page[0] :
	     ipi || below(4)		 ? (uintptr_t)page :
					   page_address() + 8 * below(512),
	     page_address() + 8 * below(512));
}

static uint64_t timer_config(void)
{
	return below(16) | vector() << 4 | (uint64_t)below(2) << 12 |
	       (uint64_t)below(16) << 16;
}

/* Periods and deadlines that come, and some that do not. */
static uint64_t timer_count(void)
{
	switch (below(4)) {
	case 0:
		return number();
	case 1:
		return MS + below(20 * MS);
	default:
		return ref_time() + below(5 * MS);
	}
}

static void set_timer(void)
{
	unsigned n = below(HV_STIMER_COUNT);

	wrmsr(STIMER_COUNT(n), timer_count());
	wrmsr(STIMER_CONFIG(n), timer_config());
}

/* A new vector can cost the host milliseconds, so this is seldom. */
static void set_sint(void)
{
	if (below(16))
		return;
	if (below(16) == 0)
		wrmsr(HV_X64_MSR_SCONTROL, below(4) ? 1 : 0);
	else
		wrmsr(SINT(below(HV_SYNIC_SINT_COUNT)),
		      vector() | (uint64_t)below(8) << 16);
}

/* Over memory, each other, devices or nothing; or away. */
static void move_page(void)
{
	static const uint32_t pages[] = {
		HV_X64_MSR_SIMP, HV_X64_MSR_SIEFP, HV_X64_MSR_VP_ASSIST_PAGE,
		HV_X64_MSR_REFERENCE_TSC, HV_X64_MSR_HYPERCALL,
	};

	wrmsr(pages[below(ARRAY_SIZE(pages))],
	      page_address() | (below(4) ? HV_MSR_PAGE_ENABLE : 0));
}

static void any_msr(void)
{
	uint32_t msr = 0x40000000 + (below(2) ? below(0x120) :
						below(0x40) + 0x70);

	switch (msr) {
	case HV_X64_MSR_RESET:
	case HV_X64_MSR_ICR:
	case HV_X64_MSR_GUEST_IDLE:
	case HV_X64_MSR_CRASH_CTL:
	case MSR_REENLIGHTENMENT:
	case MSR_UNHALTED_TIMER:
		break;
	case HV_X64_MSR_HYPERCALL:
	case HV_X64_MSR_REFERENCE_TSC:
	case HV_X64_MSR_VP_ASSIST_PAGE:
	case HV_X64_MSR_SIEFP:
	case HV_X64_MSR_SIMP:
		move_page();
		break;
	case HV_X64_MSR_SCONTROL:
	case SINT(0) ... SINT(HV_SYNIC_SINT_COUNT - 1):
		set_sint();
		break;
	case STIMER_CONFIG(0) ... STIMER_COUNT(HV_STIMER_COUNT - 1):
		set_timer();
		break;
	default:
		if (below(2))
			wrmsr(msr, below(2) ? number() : random64());
		else
			rdmsr(msr);
	}
}

/* The hypercall page, to where it is called. */
static void show_called(void)
{
	uint8_t *page = called + below(CALLED_PAGES) * PAGE_SIZE;

	wrmsr(HV_X64_MSR_GUEST_OS_ID, GUEST_OS_ID + below(4));
	wrmsr(HV_X64_MSR_HYPERCALL, (uintptr_t)page | HV_MSR_PAGE_ENABLE);
	shown = page;
}

static void post(void)
{
	uint64_t *page = input_page();
	uint32_t *words = (uint32_t *)page;

	page[0] = below(4) ? below(8) : number();
	words[2] = below(8) ? VMBUS_MESSAGE_TYPE : number();
	words[3] = below(8) ? below(241) : number();
	words[4] = below(CHANNELMSG_COUNT);
	words[5] = 0;
	words[6] = below(4) ? VERSION_WIN10_V4_1 : number();
	words[7] = below(16);
	call(HVCALL_POST_MESSAGE, (uintptr_t)page, 0);
}

static void signal(void)
{
	call(HVCALL_SIGNAL_EVENT | HV_HYPERCALL_FAST, number(), 0);
}

/* Of any processor, and of one that is not there. */
static struct hv_input_vp_registers *registers_of_any(void)
{
	struct hv_input_vp_registers *in = (void *)input_page();

	*in = (struct hv_input_vp_registers){
		.partition_id = HV_PARTITION_ID_SELF,
		.vp_index = below(8) ? below(option_number("cpus", 1) + 1) :
				       HV_VP_INDEX_SELF,
	};
	return in;
}

static void look(void)
{
	static const uint32_t names[] = {
		HV_REGISTER_VP_INDEX, HV_X64_REGISTER_RIP, HV_X64_REGISTER_CR3,
		HV_X64_REGISTER_DR7, HV_X64_REGISTER_PAT, HV_REGISTER_SINT0,
		HV_X64_REGISTER_XFEM, HV_REGISTER_VP_RUNTIME, 0,
	};
	struct hv_input_vp_registers *in = registers_of_any();
	uint32_t *name = (uint32_t *)(in + 1);
	uint64_t count = 1 + below(8);

	for (unsigned i = 0; i < count; i++)
		name[i] = names[below(ARRAY_SIZE(names))];
	call(HVCALL_GET_VP_REGISTERS | count << 32, (uintptr_t)in,
	     page_address() + 8 * below(512));
}

/* Registers that nobody needs. */
static void meddle(void)
{
	struct hv_input_vp_registers *in = registers_of_any();
	struct hv_register_assoc *element = (void *)(in + 1);
	uint64_t count = 1 + below(3);

	for (unsigned i = 0; i < count; i++)
		element[i] = (struct hv_register_assoc){
			.name = below(4) ? HV_X64_REGISTER_DR0 + below(4) :
					   HV_X64_REGISTER_CR2,
			.value.word[0] = random64(),
		};
	call(HVCALL_SET_VP_REGISTERS | count << 32, (uintptr_t)in, 0);
}

static void translate(void)
{
	struct hv_input_translate_virtual_address *in = (void *)input_page();

	*in = (struct hv_input_translate_virtual_address){
		.partition_id = HV_PARTITION_ID_SELF,
		.vp_index = below(option_number("cpus", 1)),
		.control_flags = 1 + below(31),
		.gva_page = below(4) ? below(1u << 22) : random64(),
	};
	call(below(2) ? HVCALL_TRANSLATE_VIRTUAL_ADDRESS :
			HVCALL_TRANSLATE_VIRTUAL_ADDRESS_EX,
	     (uintptr_t)in, page_address() + 8 * below(512));
}

/* Free a message slot and say so, if the SIM is where one can. */
static void take(void)
{
	uint64_t sim = rdmsr(HV_X64_MSR_SIMP) & HV_MSR_PAGE_MASK;

	if (sim - FREE_RAM < FREE_PAGES * PAGE_SIZE)
		*(volatile uint32_t *)(sim + HV_MESSAGE_SIZE *
				       below(HV_SYNIC_SINT_COUNT)) = 0;
	wrmsr(HV_X64_MSR_EOM, 0);
}

/* Memory, or whatever lies over it. */
static void scribble(void)
{
	volatile uint64_t *page = (void *)(uintptr_t)(
		FREE_RAM + below(FREE_PAGES) * PAGE_SIZE);

	page[below(512)] = random64();
}

void deeds_prepare(void)
{
	called = page_alloc();
	for (unsigned i = 1; i < CALLED_PAGES; i++)
		page_alloc();
	memset(called, RET, CALLED_PAGES * PAGE_SIZE);
	memset((void *)FLAGS_MIN, RET, FLAGS_END - FLAGS_MIN);
	show_called();
}

void deed(void)
{
	static void (*const deeds[])(void) = {
		any_call, any_call, any_msr, any_msr, move_page, show_called,
		set_sint, set_timer, post, post, signal, take, scribble,
		look, meddle, translate,
	};

	deeds[below(ARRAY_SIZE(deeds))]();
}
