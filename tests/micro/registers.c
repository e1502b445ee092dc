/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Registers of processors by hypercall, translation of addresses, and starting
 * a processor in a context of ours.  "cpus=N" says how many there are.
 */
#include "hyperv.h"

#define LONG		20000		/* ms */
#define TURNS		200
#define UNKNOWN_NAME	0x00bad000u
#define HV_X64_REGISTER_RBX	(HV_X64_REGISTER_RAX + 3)
#define RBX_OF_OTHER	0x1122334455667788ull
#define NOT_MAPPED	(3ull << 39)
#define RACES		20
#define CR0_OF_RESET	0x60000010u
#define MSR_PAT		0x277
#define MSR_EFER	0xc0000080

#define PTE_PRESENT_WRITE	3ull
#define PTE_ACCESSED	0x20ull
#define PTE_DIRTY	0x40ull

static struct buffer {
	struct {
		struct hv_input_vp_registers header;
		union {
			uint32_t name[64];
			struct hv_register_assoc element[64];
		};
	} in __attribute__((aligned(PAGE_SIZE)));
	union hv_register_value out[64] __attribute__((aligned(PAGE_SIZE)));
} buffers[2];

static struct buffer *buffer(uint32_t vp)
{
	struct buffer *b = &buffers[this_cpu()->index];

	b->in.header = (struct hv_input_vp_registers){
		.partition_id = HV_PARTITION_ID_SELF, .vp_index = vp,
	};
	return b;
}

/* The result value. */
static uint64_t get_list(uint32_t vp, const uint32_t *names, unsigned count)
{
	struct buffer *b = buffer(vp);

	memcpy(b->in.name, names, count * sizeof(*names));
	return hypercall(HVCALL_GET_VP_REGISTERS | (uint64_t)count << 32,
			 (uintptr_t)&b->in, (uintptr_t)b->out);
}

static uint16_t get(uint32_t vp, uint32_t name, union hv_register_value *value)
{
	uint64_t result = get_list(vp, &name, 1);

	*value = buffers[this_cpu()->index].out[0];
	return (uint16_t)result;
}

static uint64_t word(uint32_t vp, uint32_t name)
{
	union hv_register_value value = { { ~0ull, 0 } };

	get(vp, name, &value);
	return value.word[0];
}

static uint16_t set(uint32_t vp, uint32_t name, uint64_t low, uint64_t high)
{
	struct buffer *b = buffer(vp);

	b->in.element[0] = (struct hv_register_assoc){
		.name = name, .value.word = { low, high },
	};
	return (uint16_t)hypercall(HVCALL_SET_VP_REGISTERS | 1ull << 32,
				   (uintptr_t)&b->in, 0);
}

static uint64_t read_cr(unsigned n)
{
	uint64_t value;

	if (n == 0)
		asm volatile("mov %%cr0, %0" : "=r"(value));
	else if (n == 3)
		asm volatile("mov %%cr3, %0" : "=r"(value));
	else
		asm volatile("mov %%cr4, %0" : "=r"(value));
	return value;
}

/* TLFS: VP-32 VP-33 VP-43 */
static void my_own(void)
{
	const uint32_t self = HV_VP_INDEX_SELF;
	union hv_register_value v;
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) gdtr;
	uint16_t tr;
	uint64_t sp;

	asm volatile("sgdt %0" : "=m"(gdtr));
	asm volatile("str %0" : "=r"(tr));
	asm volatile("mov %%rsp, %0" : "=r"(sp));
	check_eq(word(self, HV_X64_REGISTER_CR0), read_cr(0), "CR0 is mine");
	check_eq(word(self, HV_X64_REGISTER_CR3), read_cr(3), "CR3 is mine");
	check_eq(word(self, HV_X64_REGISTER_CR4), read_cr(4), "CR4 is mine");
	check(sp - word(self, HV_X64_REGISTER_RSP) < 512, "RSP is mine");
	check(word(self, HV_X64_REGISTER_RIP) - (uintptr_t)hypercall_page <
	      PAGE_SIZE, "RIP is in the hypercall page");
	check_eq(word(self, HV_X64_REGISTER_EFER), rdmsr(MSR_EFER),
		 "EFER is mine");
	check_eq(word(self, HV_X64_REGISTER_PAT), rdmsr(MSR_PAT),
		 "PAT is mine");
	get(self, HV_X64_REGISTER_CS, &v);
	check(v.segment.selector == CODE64 &&
	      v.segment.attributes & HV_X64_SEGMENT_LONG, "CS is mine");
	get(self, HV_X64_REGISTER_TR, &v);
	check_eq(v.segment.selector, tr, "TR is mine");
	get(self, HV_X64_REGISTER_GDTR, &v);
	check(v.table.base == gdtr.base && v.table.limit == gdtr.limit,
	      "GDTR is mine");
	check_eq(word(self, HV_REGISTER_VP_INDEX), rdmsr(HV_X64_MSR_VP_INDEX),
		 "the VP index is a register, too");
	check_eq(get(self, HV_X64_REGISTER_XFEM, &v), 0, "XFEM can be read");
	check_eq(get(self, HV_X64_REGISTER_DR7, &v), 0, "DR7 can be read");
}

/* TLFS: VP-34 VP-39 */
static void mine_can_be_set(void)
{
	const uint32_t self = HV_VP_INDEX_SELF;
	uint64_t value, rflags;

	check_eq(set(self, HV_X64_REGISTER_CR2, 0x123456, 0), 0,
		 "CR2 can be set");
	asm volatile("mov %%cr2, %0" : "=r"(value));
	check_eq(value, 0x123456, "and is set");
	check_eq(set(self, HV_X64_REGISTER_DR0, 0x654321, 0), 0,
		 "DR0 can be set");
	asm volatile("mov %%dr0, %0" : "=r"(value));
	check_eq(value, 0x654321, "and is set");
	check_eq(set(self, HV_X64_REGISTER_LSTAR, 0x5000, 0), 0,
		 "LSTAR can be set");
	check_eq(rdmsr(0xc0000082), 0x5000, "and is set");
	value = word(self, HV_X64_REGISTER_APIC_BASE);
	check(!set(self, HV_X64_REGISTER_APIC_BASE, value & ~0x800ull, 0) &&
	      !set(self, HV_X64_REGISTER_CR2, 0, 0),
	      "APIC_BASE can be set");
	check_eq(rdmsr(0x1b), value & ~0x800ull, "and stays so");
	wrmsr(0x1b, value);
	rflags = word(self, HV_X64_REGISTER_RFLAGS);
	irq_off();
	check_eq(set(self, HV_X64_REGISTER_RFLAGS, rflags | 1 << 18, 0), 0,
		 "RFLAGS can be set");
	asm volatile("pushf; pop %0" : "=r"(value));
	irq_restore(rflags);
	check(value & 1 << 18, "and are set");
	check_eq(set(self, HV_REGISTER_VP_ASSIST_PAGE, 0x7000, 0), 0,
		 "VP_ASSIST_PAGE can be set");
	check_eq(rdmsr(HV_X64_MSR_VP_ASSIST_PAGE), 0x7000, "and is set");
	check_eq(hypercall(HVCALL_SWITCH_VIRTUAL_ADDRESS_SPACE |
			   HV_HYPERCALL_FAST, read_cr(3), 0), 0,
		 "the address space can be switched");
	check_eq(hypercall(HVCALL_SWITCH_VIRTUAL_ADDRESS_SPACE |
			   HV_HYPERCALL_FAST, read_cr(3) | 1ull << 63, 0),
		 HV_STATUS_INVALID_PARAMETER, "but to what CR3 can be");
}

/* TLFS: VP-37 */
static void what_cannot_be(void)
{
	const uint32_t self = HV_VP_INDEX_SELF;
	static const uint32_t names[] = {
		HV_REGISTER_VP_INDEX, HV_X64_REGISTER_CR3, UNKNOWN_NAME,
		HV_X64_REGISTER_CR3,
	};

	check_eq(get_list(self, names, 4),
		 2ull << 32 | HV_STATUS_INVALID_PARAMETER,
		 "a list is done up to an unknown name");
	check_eq(set(self, HV_X64_REGISTER_CR0, 1ull << 31, 0),
		 HV_STATUS_INVALID_REGISTER_VALUE,
		 "paging without protection cannot be");
	check_eq(set(self, HV_X64_REGISTER_RIP, 1ull << 63, 0),
		 HV_STATUS_INVALID_REGISTER_VALUE,
		 "RIP is an address that can be");
	check_eq(set(self, HV_X64_REGISTER_XFEM, 0, 0),
		 HV_STATUS_INVALID_REGISTER_VALUE, "XFEM has x87");
	check_eq(set(self, HV_X64_REGISTER_PAT, 2, 0),
		 HV_STATUS_INVALID_REGISTER_VALUE, "PAT has types that are");
}

static uint32_t translate(uint64_t gva, uint64_t flags,
			  struct hv_output_translate_virtual_address *out)
{
	static struct {
		struct hv_input_translate_virtual_address in;
		struct hv_output_translate_virtual_address out;
	} call __attribute__((aligned(PAGE_SIZE)));

	call.in = (struct hv_input_translate_virtual_address){
		.partition_id = HV_PARTITION_ID_SELF,
		.vp_index = HV_VP_INDEX_SELF, .control_flags = flags,
		.gva_page = gva / PAGE_SIZE,
	};
	if (hypercall(HVCALL_TRANSLATE_VIRTUAL_ADDRESS, (uintptr_t)&call.in,
		      (uintptr_t)&call.out))
		return ~0u;
	*out = call.out;
	return call.out.result.result_code;
}

/* TLFS: MMU-29 MMU-34 */
static void translations(void)
{
	struct hv_output_translate_virtual_address out;
	uint64_t *pml4 = (uint64_t *)(uintptr_t)(read_cr(3) & ~0xfffull);
	uint64_t *pdpt = page_alloc(), *pd = page_alloc(), *pt = page_alloc();
	uint64_t page = (uintptr_t)page_alloc(), gva = 2ull << 39;

	check(translate(page, HV_TRANSLATE_GVA_VALIDATE_READ, &out) ==
	      HV_TRANSLATE_GVA_SUCCESS && out.gpa_page == page / PAGE_SIZE &&
	      out.result.cache_type == HV_CACHE_TYPE_WRITE_BACK &&
	      !out.result.overlay_page, "my memory is where it is");
	check(translate((uintptr_t)hypercall_page,
			HV_TRANSLATE_GVA_VALIDATE_EXECUTE, &out) == 0 &&
	      out.result.overlay_page, "the hypercall page is an overlay");
	check_eq(translate(NOT_MAPPED, HV_TRANSLATE_GVA_VALIDATE_READ, &out),
		 HV_TRANSLATE_GVA_PAGE_NOT_PRESENT,
		 "what is not mapped is not there");
	pml4[2] = (uintptr_t)pdpt | PTE_PRESENT_WRITE;
	pdpt[0] = (uintptr_t)pd | PTE_PRESENT_WRITE;
	pd[0] = (uintptr_t)pt | PTE_PRESENT_WRITE;
	pt[0] = page | PTE_PRESENT_WRITE;
	check(translate(gva, HV_TRANSLATE_GVA_VALIDATE_WRITE |
			HV_TRANSLATE_GVA_SET_PAGE_TABLE_BITS, &out) == 0 &&
	      out.gpa_page == page / PAGE_SIZE, "a new mapping is seen");
	check_eq(pt[0], page | PTE_PRESENT_WRITE | PTE_ACCESSED | PTE_DIRTY,
		 "and its bits set");
	*(volatile uint64_t *)(uintptr_t)gva = 77;
	check_eq(*(uint64_t *)(uintptr_t)page, 77, "as a processor sees it");
}

/*
 * The other processor.
 */
static volatile uint64_t started_rsp, started_cr3, went, turns;
static volatile bool reads;

static void spin(void)
{
	asm volatile("mov %0, %%rbx\n"
		     ".globl spin_here\n"
		     "spin_here: pause\n"
		     "jmp spin_here\n" : : "r"(RBX_OF_OTHER) : "rbx");
	__builtin_unreachable();
}
extern char spin_here[];

/* Where others are sent. */
static _Noreturn void go_on(void)
{
	went++;
	while (!reads)
		pause();
	for (unsigned i = 0; i < TURNS; i++)
		turns += word(0, HV_X64_REGISTER_CR3) == read_cr(3) &&
			 word(0, HV_REGISTER_VP_INDEX) == 0;
	went++;
	for (;;)
		asm volatile("hlt");
}

/* It has no frame to return to. */
static _Noreturn void started(void)
{
	uint64_t sp;

	asm volatile("mov %%rsp, %0" : "=r"(sp));
	started_cr3 = read_cr(3);
	__atomic_store_n(&started_rsp, sp, __ATOMIC_RELEASE);
	this_cpu()->index = 1;
	spin();
	__builtin_unreachable();
}

static struct hv_x64_segment_register mine(uint32_t name)
{
	union hv_register_value v;

	get(HV_VP_INDEX_SELF, name, &v);
	return v.segment;
}

static struct hv_x64_table_register my_table(uint32_t name)
{
	union hv_register_value v;

	get(HV_VP_INDEX_SELF, name, &v);
	return v.table;
}

static struct hv_input_start_virtual_processor start_input
	__attribute__((aligned(PAGE_SIZE)));

static void make_context(void)
{
	const uint32_t self = HV_VP_INDEX_SELF;

	start_input = (struct hv_input_start_virtual_processor){
		.partition_id = HV_PARTITION_ID_SELF, .vp_index = 1,
		.context = {
			.rip = (uintptr_t)started,
			.rsp = (uintptr_t)nth_cpu(2) - 8, .rflags = 2,
			.cs = mine(HV_X64_REGISTER_CS),
			.ds = mine(HV_X64_REGISTER_DS),
			.es = mine(HV_X64_REGISTER_ES),
			.fs = mine(HV_X64_REGISTER_FS),
			.gs = mine(HV_X64_REGISTER_GS),
			.ss = mine(HV_X64_REGISTER_SS),
			.tr = mine(HV_X64_REGISTER_TR),
			.ldtr = mine(HV_X64_REGISTER_LDTR),
			.idtr = my_table(HV_X64_REGISTER_IDTR),
			.gdtr = my_table(HV_X64_REGISTER_GDTR),
			.efer = word(self, HV_X64_REGISTER_EFER),
			.cr0 = word(self, HV_X64_REGISTER_CR0),
			.cr3 = word(self, HV_X64_REGISTER_CR3),
			.cr4 = word(self, HV_X64_REGISTER_CR4),
			.pat = word(self, HV_X64_REGISTER_PAT),
		},
	};
}

static uint64_t start(void)
{
	return hypercall(HVCALL_START_VIRTUAL_PROCESSOR,
			 (uintptr_t)&start_input, 0);
}

/* TLFS: VP-45 VP-46 VP-47 */
static void other_starts(void)
{
	union hv_register_value v;

	check(get(1, HV_X64_REGISTER_CR0, &v) == 0 &&
	      v.word[0] == CR0_OF_RESET,
	      "registers of a processor that waits can be read");
	check_eq(set(1, HV_X64_REGISTER_RIP, 0x1000, 0),
		 HV_STATUS_INVALID_VP_STATE, "and not be set");
	make_context();
	start_input.context.cr0 &= ~1ull;
	check_eq(start(), HV_STATUS_INVALID_REGISTER_VALUE,
		 "nothing starts in real mode");
	make_context();
	start_input.context.cr4 |= 1ull << 63;
	check_eq(start(), HV_STATUS_INVALID_REGISTER_VALUE,
		 "or with a CR4 that cannot be");
	make_context();
	start_input.context.rip = 1ull << 62;
	check_eq(start(), HV_STATUS_INVALID_REGISTER_VALUE,
		 "or at an address that cannot be");
	make_context();
	check_eq(start(), 0, "a processor is started");
	check(WAIT(started_rsp, LONG), "and runs");
	check_eq(started_cr3, read_cr(3), "in long mode, with my tables");
	check((uintptr_t)nth_cpu(2) - started_rsp < 128, "on its stack");
	check_eq(start(), HV_STATUS_INVALID_VP_STATE, "once");
	start_input.vp_index = 0;
	check_eq(start(), HV_STATUS_INVALID_VP_STATE, "and I run, too");
}

static bool is_spinning(void)
{
	return word(1, HV_X64_REGISTER_RIP) - (uintptr_t)spin_here < 8;
}

static void other_is_read_and_set(void)
{
	uint64_t good = 0;

	check(WAIT(is_spinning(), LONG), "RIP of a processor that runs is read");
	check_eq(word(1, HV_X64_REGISTER_RBX), RBX_OF_OTHER, "and RBX");
	check_eq(word(1, HV_REGISTER_VP_INDEX), 1, "and its VP index");
	check_eq(set(1, HV_REGISTER_SCONTROL, 1, 0), 0, "SCONTROL is set");
	check_eq(word(1, HV_REGISTER_SCONTROL), 1, "for it");
	check_eq(rdmsr(HV_X64_MSR_SCONTROL), 0, "and not for me");
	check_eq(set(1, HV_X64_REGISTER_RIP, (uintptr_t)go_on, 0), 0,
		 "RIP is set");
	check(WAIT(went == 1, LONG), "and it goes on there");
	reads = true;
	for (unsigned i = 0; i < TURNS; i++)
		good += word(1, HV_X64_REGISTER_CR3) == read_cr(3);
	check(WAIT(went == 2, LONG), "those that read each other all go on");
	check(good == TURNS && turns == TURNS, "and read what is so");
	check_eq(word(1, HV_X64_REGISTER_CR3), read_cr(3),
		 "a processor that is halted is read");
}

/* Real-mode code: lock incw %cs:SIPIS; cli; hlt. */
#define SIPIS		0xff0
#define ICR_INIT	0x4500
#define ICR_STARTUP	(0x4600 | LOW_PAGE / PAGE_SIZE)

static const uint8_t sipi_code[] = {
	0xf0, 0x2e, 0xff, 0x06, SIPIS & 0xff, SIPIS >> 8, 0xfa, 0xf4,
};

static void send_other(uint32_t icr)
{
	apic_write(APIC_ICR_HIGH, 1 << 24);
	apic_write(APIC_ICR, icr);
}

/* How often it has started in either way. */
static uint64_t starts(void)
{
	return *(volatile uint16_t *)(LOW_PAGE + SIPIS) +
	       (__atomic_load_n(&started_rsp, __ATOMIC_ACQUIRE) != 0);
}

static bool is_started_once(bool sipi_first)
{
	uint64_t before, status;

	started_rsp = 0;
	before = starts();
	send_other(ICR_INIT);
	if (sipi_first)
		send_other(ICR_STARTUP);
	status = start();
	if (!sipi_first)
		send_other(ICR_STARTUP);
	return (!status || (sipi_first &&
			    status == HV_STATUS_INVALID_VP_STATE)) &&
	       WAIT(starts() == before + 1, LONG) &&
	       !status == (started_rsp != 0);
}

/* TLFS: VP-46 */
static void other_starts_anew(void)
{
	unsigned good = 0;

	memcpy((void *)LOW_PAGE, sipi_code, sizeof(sipi_code));
	make_context();
	for (unsigned i = 0; i < RACES; i++)
		good += is_started_once(i & 1);
	check_eq(good, RACES, "after INIT, SIPI or the call starts it, not both");
}

static void init_leaves_synthetic_registers(void)
{
	check_eq(word(1, HV_REGISTER_SCONTROL), 1,
		 "INIT does not reset synthetic registers");
}

/* TLFS: VSM-08 */
static void trust_level(void)
{
	check_eq(word(HV_VP_INDEX_SELF, HV_REGISTER_VSM_VP_STATUS),
		 HV_VSM_VP_ENABLED_VTL_0, "I run in VTL 0, and that is all");
}

void test_main(void)
{
	hypercall_enable();
	my_own();
	mine_can_be_set();
	what_cannot_be();
	translations();
	trust_level();
	if (option_number("cpus", 1) < 2)
		return;
	other_starts();
	other_is_read_and_set();
	other_starts_anew();
	init_leaves_synthetic_registers();
}
