/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hypercall page, executed: this program is an x86 guest too, in 64-bit
 * and in compatibility mode, and the SIGSEGV that OUT gets it is its exit.
 */
#include <signal.h>
#include <ucontext.h>

#include "hv_test.h"

#define HYPERCALL_GPA	UINT64_C(0x3000)
#define FAST_SIGNAL	UINT64_C(0x1005d)
#define HIGH		UINT64_C(0xabcdef0100000000)

#define OUT_IMM_EAX	0xe7
#define OUT_DX_EAX	0xef
#define USER_CS64	0x33
#define FLAGS		UINT64_C(0xcd5)	/* CF PF AF ZF SF DF OF */
#define SOME_FLAGS	UINT64_C(0x451)

struct regs {
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, r8, flags;
};

void call64(const void *page, struct regs *r);
void call32(uint64_t stub, uint64_t stack, struct regs *r);

/* clang-format off */
asm(	".text\n"
	"load:\n"	/* from the struct at R12 */
	"	push 56(%r12)\n"
	"	popf\n"
	"	mov 0(%r12), %rax\n"
	"	mov 8(%r12), %rbx\n"
	"	mov 16(%r12), %rcx\n"
	"	mov 24(%r12), %rdx\n"
	"	mov 32(%r12), %rsi\n"
	"	mov 40(%r12), %rdi\n"
	"	mov 48(%r12), %r8\n"
	"	ret\n"
	"call64:\n"
	"	push %rbx\n"
	"	push %r12\n"
	"	push %r13\n"
	"	mov %rdi, %r13\n"
	"	mov %rsi, %r12\n"
	"	call load\n"
	"	call *%r13\n"
	"store:\n"
	"	pushf\n"
	"	pop 56(%r12)\n"
	"	cld\n"
	"	mov %rax, 0(%r12)\n"
	"	mov %rbx, 8(%r12)\n"
	"	mov %rcx, 16(%r12)\n"
	"	mov %rdx, 24(%r12)\n"
	"	mov %rsi, 32(%r12)\n"
	"	mov %rdi, 40(%r12)\n"
	"	mov %r8, 48(%r12)\n"
	"	pop %r13\n"
	"	pop %r12\n"
	"	pop %rbx\n"
	"	ret\n"
	"call32:\n"
	"	push %rbx\n"
	"	push %r12\n"
	"	push %r13\n"
	"	mov %rsp, saved_rsp(%rip)\n"
	"	mov %rdx, saved_regs(%rip)\n"
	"	mov %rdx, %r12\n"
	"	mov %rdi, %r13\n"
	"	mov %rsi, %rsp\n"
	"	call load\n"
	"	pushq $0x23\n"		/* the kernel's 32-bit CS */
	"	push %r13\n"
	"	lretq\n"
	".globl call32_back\n"
	"call32_back:\n"
	"	mov saved_rsp(%rip), %rsp\n"
	"	mov saved_regs(%rip), %r12\n"
	"	jmp store\n"
	".bss\n"
	"saved_rsp: .zero 8\n"
	"saved_regs: .zero 8\n"
	".text\n");
/* clang-format on */
extern const char call32_back[];

/* Low memory, which 32-bit code can reach: the page, a stub, a stack. */
static uint8_t *low;
#define LOW_STUB	4096
#define LOW_STACK_TOP	(4 * 4096)
#define LOW_SIZE	(4 * 4096)

/* What the last OUT was, and what it is answered. */
static struct {
	unsigned count;
	uint8_t opcode;
	uint16_t port;
	struct regs regs;
	bool answer_rdx;
	bool kernel;		/* an ioeventfd takes it: no register changes */
	unsigned again;		/* slices that are not the last */
	uint64_t rax, rdx;
} out;

static struct regs regs_of(const greg_t *g)
{
	return (struct regs){
		.rax = (uint64_t)g[REG_RAX], .rbx = (uint64_t)g[REG_RBX],
		.rcx = (uint64_t)g[REG_RCX], .rdx = (uint64_t)g[REG_RDX],
		.rsi = (uint64_t)g[REG_RSI], .rdi = (uint64_t)g[REG_RDI],
		.r8 = (uint64_t)g[REG_R8],
		.flags = (uint64_t)g[REG_EFL] & FLAGS,
	};
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
	greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
	const uint8_t *ip = (const uint8_t *)g[REG_RIP];

	if (ip < low || ip >= low + GMEM_PAGE_SIZE ||
	    (*ip != OUT_IMM_EAX && *ip != OUT_DX_EAX))
		_exit(99);
	out.count++;
	out.opcode = *ip;
	out.port = *ip == OUT_IMM_EAX ? ip[1] : (uint16_t)g[REG_RDX];
	out.regs = regs_of(g);
	if (out.count <= out.again) {
		/* As a call that goes on: where it is stands in RCX. */
		g[REG_RCX]++;
		return;
	}
	g[REG_RIP] += *ip == OUT_IMM_EAX ? HV_CALL_OUT_SIZE : 1;
	if (!out.kernel)
		g[REG_RAX] = (greg_t)out.rax;
	if (out.answer_rdx)
		g[REG_RDX] = (greg_t)out.rdx;
}

static int map_page(void **state)
{
	hv_host_init(&h, VP_COUNT);
	wr(0, HV_X64_MSR_GUEST_OS_ID, OS_ID);
	wr(0, HV_X64_MSR_HYPERCALL, HYPERCALL_GPA | ENABLE);
	low = mmap(NULL, LOW_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	assert_true(low != MAP_FAILED);
	memcpy(low, h.ram + HYPERCALL_GPA, PAGE);
	memset(&out, 0, sizeof(out));
	return 0;
}

static int unmap_page(void **state)
{
	munmap(low, LOW_SIZE);
	hv_host_finish(&h);
	return 0;
}

static uint32_t low32(const void *p)
{
	return (uint32_t)(uintptr_t)p;
}

/* Call the page from 64-bit code, or as the stub at @stub has it. */
static void run(uint64_t stub, struct regs *r)
{
	static uint8_t alternate[65536];
	const stack_t ss = { .ss_sp = alternate, .ss_size = sizeof(alternate) };
	const struct sigaction action = {
		.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK,
	};
	struct sigaction old_action;
	stack_t old_stack;

	sigaltstack(&ss, &old_stack);
	sigaction(SIGSEGV, &action, &old_action);
	if (stub)
		call32(stub, (uintptr_t)low + LOW_STACK_TOP, r);
	else
		call64(low, r);
	sigaction(SIGSEGV, &old_action, NULL);
	sigaltstack(&old_stack, NULL);
	r->flags &= FLAGS;
}

/* call page; ljmp 0x33:over; over (64-bit): jmp *call32_back */
static void compat_call(struct regs *r)
{
	uint8_t *stub = low + LOW_STUB;
	uint32_t to_page = low32(low) - low32(stub + 5);
	uint32_t over = low32(stub + 12);
	const uint16_t cs = USER_CS64;
	const char *back = call32_back;

	stub[0] = 0xe8;
	memcpy(stub + 1, &to_page, 4);
	stub[5] = 0xea;
	memcpy(stub + 6, &over, 4);
	memcpy(stub + 10, &cs, 2);
	memcpy(stub + 12, "\xff\x25\0\0\0\0", 6);
	memcpy(stub + 18, &back, 8);
	run((uintptr_t)stub, r);
}

/* What the caller's are. */
static uint64_t flags;

static struct regs some_regs(uint64_t rcx, uint64_t rdx)
{
	return (struct regs){
		.rax = HIGH | 1, .rbx = HIGH | 2, .rcx = rcx, .rdx = rdx,
		.rsi = HIGH | 5, .rdi = HIGH | 6, .r8 = HIGH | 7,
		.flags = flags,
	};
}

static void assert_regs(const struct regs *a, const struct regs *b)
{
	assert_true(a->rax == b->rax);
	assert_true(a->rbx == b->rbx);
	assert_true(a->rcx == b->rcx);
	assert_true(a->rdx == b->rdx);
	assert_true(a->rsi == b->rsi);
	assert_true(a->rdi == b->rdi);
	assert_true(a->r8 == b->r8);
	assert_true(a->flags == b->flags);
}

/* The call port sees the caller's parameters, and only RAX changes. */
static void leaves_by_call_port(uint64_t rcx, uint64_t rdx)
{
	struct regs r = some_regs(rcx, rdx), want = r;

	out.count = 0;
	out.rax = 0x5555;
	run(0, &r);
	assert_int_equal(out.count, 1);
	assert_int_equal(out.opcode, OUT_IMM_EAX);
	assert_int_equal(out.port, HV_HOST_CALL_PORT);
	want.rax = out.regs.rax;	/* is the result's only */
	assert_regs(&out.regs, &want);
	want.rax = 0x5555;
	assert_regs(&r, &want);
}

/* TLFS: HC-17 HC-84 */
static void an_ordinary_call_leaves_by_the_call_port(void **state)
{
	leaves_by_call_port(0x5c, 0x1000);
	leaves_by_call_port(0x5d, 0x1000);
	leaves_by_call_port(0, 0);
	leaves_by_call_port(UINT64_MAX, UINT64_MAX);
	leaves_by_call_port(0x7ffe, 1);
}

static void a_doorbell_with_more_to_say_does_too(void **state)
{
	/* Reserved bits, rep counts, and the code of another call. */
	for (unsigned bit = 0; bit < 64; bit++)
		leaves_by_call_port(FAST_SIGNAL ^ BIT64(bit), 7);
	/* A flag number or reserved bits of the input. */
	for (unsigned bit = 32; bit < 64; bit++)
		leaves_by_call_port(FAST_SIGNAL, BIT64(bit) | 7);
}

static void goes_on(uint64_t rcx)
{
	struct regs r = some_regs(rcx, 5), want = r;

	out.count = 0;
	out.again = 3;
	out.rax = 0x5555;
	run(0, &r);
	out.again = 0;
	assert_int_equal(out.count, 4);
	assert_int_equal(out.opcode, OUT_IMM_EAX);
	assert_int_equal(out.port, HV_HOST_CALL_PORT);
	assert_true(out.regs.rax == want.rax);
	want.rax = 0x5555;
	want.rcx += 3;
	assert_regs(&r, &want);
}

/* TLFS: HC-04 HC-17 */
static void a_call_that_is_not_done_is_made_again(void **state)
{
	goes_on(0x1234);
	/* It may look like a doorbell by then. */
	goes_on(FAST_SIGNAL - 1);
}

static void rings_doorbell(uint32_t id, bool kernel, uint64_t status)
{
	struct regs r = some_regs(FAST_SIGNAL, id), want = r;

	out.count = 0;
	out.kernel = kernel;
	out.rax = status << 32 | id;	/* as hv_doorbell() answers */
	run(0, &r);
	out.kernel = false;
	assert_int_equal(out.count, 1);
	assert_int_equal(out.opcode, OUT_DX_EAX);
	assert_int_equal(out.port, HV_HOST_DOORBELL_PORT);
	assert_true(out.regs.rax == id);
	want.rax = status;
	assert_regs(&r, &want);
}

static void a_doorbell_writes_its_id_to_the_doorbell_port(void **state)
{
	rings_doorbell(0x123456, true, 0);
	rings_doorbell(0, true, 0);
	rings_doorbell(UINT32_MAX, true, 0);
}

static void a_doorbell_that_nobody_takes_has_its_status(void **state)
{
	rings_doorbell(0x123456, false, HV_STATUS_SUCCESS);
	rings_doorbell(0x123456, false, HV_STATUS_INVALID_CONNECTION_ID);
	rings_doorbell(UINT32_MAX, false, 0xffff);
}

/* Results are in EDX:EAX, and no other register changes. */
static void compat_leaves_by_call_port(uint32_t ecx, uint32_t edx)
{
	struct regs r = {
		.rax = 0x11111111, .rbx = 0x22222222, .rcx = ecx, .rdx = edx,
		.rsi = 0x55555555, .rdi = 0x66666666, .flags = flags,
	};
	struct regs want = r;

	out.count = 0;
	out.rax = 0x12345678;
	out.rdx = 0x9abcdef0;
	out.answer_rdx = true;
	compat_call(&r);
	out.answer_rdx = false;
	assert_int_equal(out.count, 1);
	assert_int_equal(out.opcode, OUT_IMM_EAX);
	assert_int_equal(out.port, HV_HOST_CALL_PORT);
	want.r8 = out.regs.r8;	/* 32-bit code has none */
	assert_regs(&out.regs, &want);
	want.rax = 0x12345678;
	want.rdx = 0x9abcdef0;
	want.r8 = r.r8;
	assert_regs(&r, &want);
}

static void all_calls_of_32_bit_code_leave_by_the_call_port(void **state)
{
	compat_leaves_by_call_port(0, 0);
	/* Input that looks like a doorbell to 64-bit code. */
	compat_leaves_by_call_port(FAST_SIGNAL, 0);
	compat_leaves_by_call_port(FAST_SIGNAL, 0x123456);
	compat_leaves_by_call_port(UINT32_MAX, UINT32_MAX);
}

/* TLFS: HC-04 */
static void one_of_32_bit_code_too(void **state)
{
	out.again = 2;
	out.answer_rdx = true;
	compat_call(&(struct regs){ .rcx = 5 });
	assert_int_equal(out.count, 3);
}

/* TLFS: HC-62 */
static void no_flag_changes(void **state)
{
	static const uint64_t sets[] = { 0, SOME_FLAGS, FLAGS ^ SOME_FLAGS,
					 FLAGS };

	for (size_t i = 0; i < G_N_ELEMENTS(sets); i++) {
		flags = sets[i];
		leaves_by_call_port(0x1234, 5);
		leaves_by_call_port(FAST_SIGNAL, HIGH);
		goes_on(0x1234);
		rings_doorbell(5, true, 0);
		rings_doorbell(5, false, HV_STATUS_INVALID_CONNECTION_ID);
		compat_leaves_by_call_port(FAST_SIGNAL, 5);
	}
	flags = 0;
}

/* TLFS: HC-86 HC-88 */
static void the_page_starts_with_endbr64_and_ends_in_traps(void **state)
{
	assert_memory_equal(low, "\xf3\x0f\x1e\xfa", 4);
	for (unsigned i = 0x38; i < PAGE; i++)
		assert_int_equal(low[i], 0xcc);
	/* No VMCALL or VMMCALL: a kernel with KVM_HYPERV takes those. */
	assert_null(memmem(low, PAGE, "\x0f\x01", 2));
}

/* 16-bit code goes the way of 32-bit code: no operand is longer there. */
static void nothing_before_the_mode_check_depends_on_the_mode(void **state)
{
	static const uint8_t start[] = {
		0xf3, 0x0f, 0x1e, 0xfa, 0x50, 0x9c, 0x31, 0xc0, 0x40, 0x90,
		0x75, 0x27,
	};
	const uint8_t *slow = low + sizeof(start) + 0x27;

	assert_memory_equal(low, start, sizeof(start));
	/* Two pops, the OUT, and a return, of any mode. */
	assert_memory_equal(slow, "\x9d\x58", 2);
	assert_int_equal(slow[2], OUT_IMM_EAX);
	assert_int_equal(slow[4], 0xc3);
}

#undef TEST
#define TEST(f)	cmocka_unit_test_setup_teardown(f, map_page, unmap_page)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_ordinary_call_leaves_by_the_call_port),
		TEST(a_doorbell_with_more_to_say_does_too),
		TEST(a_call_that_is_not_done_is_made_again),
		TEST(a_doorbell_writes_its_id_to_the_doorbell_port),
		TEST(a_doorbell_that_nobody_takes_has_its_status),
		TEST(all_calls_of_32_bit_code_leave_by_the_call_port),
		TEST(one_of_32_bit_code_too),
		TEST(no_flag_changes),
		TEST(the_page_starts_with_endbr64_and_ends_in_traps),
		TEST(nothing_before_the_mode_check_depends_on_the_mode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
