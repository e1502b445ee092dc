/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Exceptions, interrupts, the APIC, other processors, memory, time. */
#include "guest.h"
#include "hv/tlfs.h"

#define APIC_BASE		0xfee00000u
#define SPURIOUS_VECTOR		0xff
#define APIC_SOFTWARE_ENABLE	0x100
#define ICR_ALL_BUT_SELF	0xc0000
#define ICR_ASSERT		0x4000
#define ICR_INIT		0x500
#define ICR_STARTUP		0x600

#define PIC_1_MASK		0x21
#define PIC_2_MASK		0xa1

/* Near enough where the host has no counter. */
#define TSC_PER_REF		256

#define GATE_INTERRUPT		0x8e
#define GATE_USER		0x60

#define STI			0xfb
#define HLT			0xf4

extern char real_mode_start[], real_mode_end[], trap_stubs[], stacks[];

volatile uint32_t cpus_started;

static void (*irq_handlers[256])(void);
static bool without_eoi[256];
static void (*ap_entry)(void);
static bool has_counter;

/* As pushed by trap_common in boot*.S. */
struct frame {
#ifdef __x86_64__
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rdi, rsi, rbp, rbx, rdx, rcx, rax;
#else
	uint32_t edi, esi, ebp, esp, ebx, edx, ecx, eax;
#endif
	unsigned long vector, error, ip, cs, flags;
};

#ifdef __x86_64__
struct gate {
	uint16_t offset_0, selector, type, offset_16;
	uint32_t offset_32, reserved;
};

static void set_gate(struct gate *g, uintptr_t handler, uint8_t type)
{
	*g = (struct gate){
		.offset_0 = (uint16_t)handler,
		.offset_16 = (uint16_t)(handler >> 16),
		.selector = CODE64, .type = (uint16_t)(type << 8),
	};
}

extern uint16_t gdt[];
extern char tss[];

/* The task state: where the stack is when CPL 3 traps. */
static void load_tss(void)
{
	uint16_t *d = gdt + TSS / sizeof(*d);
	uintptr_t base = (uintptr_t)tss;

	d[0] = 103;
	d[1] = (uint16_t)base;
	d[2] = (uint16_t)(0x8900 | (base >> 16 & 0xff));
	d[3] = (uint16_t)(base >> 24 << 8);
	asm volatile("ltr %0" : : "r"((uint16_t)TSS));
}
#else
struct gate {
	uint16_t offset_0, selector, type, offset_16;
};

static void set_gate(struct gate *g, uintptr_t handler, uint8_t type)
{
	*g = (struct gate){
		.offset_0 = (uint16_t)handler,
		.offset_16 = (uint16_t)(handler >> 16),
		.selector = CODE32, .type = (uint16_t)(type << 8),
	};
}

static void load_tss(void)
{
}
#endif

static struct gate idt[256];

static void load_idt(void)
{
	const struct {
		uint16_t limit;
		uintptr_t base;
	} __attribute__((packed)) p = { sizeof(idt) - 1, (uintptr_t)idt };

	asm volatile("lidt %0" : : "m"(p));
}

/*
 * An emulated processor may forget the shadow of STI (docs/testing.md): then an
 * interrupt comes in front of the HLT that was to wait for it, and HLT would wait
 * for another one.
 */
static void end_wait(struct frame *f)
{
	const uint8_t *ip = (const uint8_t *)f->ip;

	if (ip[-1] == STI && ip[0] == HLT)
		f->ip++;
}

void trap(struct frame *f);

void trap(struct frame *f)
{
	struct cpu *cpu = this_cpu();

	if (f->vector < 32) {
		if (!cpu->catch)
			bail("exception %lu, error %#lx at %#lx, processor %u",
			     f->vector, f->error, f->ip, cpu->index);
		cpu->catch->trap = (unsigned)f->vector;
		__builtin_longjmp(cpu->catch->env, 1);
	}
	end_wait(f);
	cpu->irqs[f->vector]++;
	if (irq_handlers[f->vector])
		irq_handlers[f->vector]();
	if (!without_eoi[f->vector])
		apic_write(APIC_EOI, 0);
}

void catch_begin(struct catch *c)
{
	struct cpu *cpu = this_cpu();

	asm volatile("pushf; pop %0" : "=r"(c->flags));
	c->trap = NO_TRAP;
	c->outer = cpu->catch;
	cpu->catch = c;
}

unsigned catch_end(struct catch *c)
{
	this_cpu()->catch = c->outer;
	irq_restore(c->flags);
	return c->trap;
}

void irq_handle(uint8_t vector, void (*handler)(void))
{
	irq_handlers[vector] = handler;
}

void irq_without_eoi(uint8_t vector)
{
	without_eoi[vector] = true;
}

uint32_t apic_read(uint32_t reg)
{
	return *(volatile uint32_t *)(uintptr_t)(APIC_BASE + reg);
}

void apic_write(uint32_t reg, uint32_t value)
{
	*(volatile uint32_t *)(uintptr_t)(APIC_BASE + reg) = value;
}

uint32_t apic_id(void)
{
	return apic_read(APIC_ID) >> 24;
}

static void apic_enable(void)
{
	apic_write(APIC_SPURIOUS, APIC_SOFTWARE_ENABLE | SPURIOUS_VECTOR);
}

/* QEMU, for one, has a PIC, whose timer's vector would be an exception's. */
static void pic_mask(void)
{
	outb(PIC_1_MASK, 0xff);
	outb(PIC_2_MASK, 0xff);
}

void ap_start(uint32_t index);

/* @index is that of cpus_started before this one came. */
void ap_start(uint32_t index)
{
	this_cpu()->index = index + 1;
	load_idt();
	apic_enable();
	ap_entry();
}

static void start(uint32_t to, void (*entry)(void))
{
	ap_entry = entry;
	apic_write(APIC_ICR, to | ICR_ASSERT | ICR_INIT);
	delay(10 * MS);
	for (unsigned i = 0; i < 2; i++) {
		apic_write(APIC_ICR, to | ICR_ASSERT | ICR_STARTUP |
			   REAL_MODE_CODE / PAGE_SIZE);
		delay(MS / 5);
	}
}

void start_cpu(uint32_t id, void (*entry)(void))
{
	apic_write(APIC_ICR_HIGH, id << 24);
	start(0, entry);
}

void start_cpus(void (*entry)(void))
{
	start(ICR_ALL_BUT_SELF, entry);
}

void *page_alloc(void)
{
	static uintptr_t next = POOL;
	uintptr_t page = __atomic_fetch_add(&next, PAGE_SIZE, __ATOMIC_RELAXED);

	return memset((void *)page, 0, PAGE_SIZE);
}

uint64_t ref_time(void)
{
	return has_counter ? rdmsr(HV_X64_MSR_TIME_REF_COUNT) :
			     rdtsc() / TSC_PER_REF;
}

void delay(uint64_t units)
{
	uint64_t start = ref_time();

	while (ref_time() - start < units)
		pause();
}

void guest_start(void);

void guest_start(void)
{
	for (unsigned i = 0; i < 256; i++)
		set_gate(&idt[i], (uintptr_t)trap_stubs + i * 16,
			 GATE_INTERRUPT | (i == TRAP_BP ? GATE_USER : 0));
	irq_without_eoi(SPURIOUS_VECTOR);
	has_counter = cpuid(HV_CPUID_FEATURES).eax &
		      HV_ACCESS_PARTITION_REFERENCE_COUNTER;
	load_tss();
	load_idt();
	memcpy((void *)REAL_MODE_CODE, real_mode_start,
	       (size_t)(real_mode_end - real_mode_start));
	apic_enable();
	pic_mask();
	irq_on();
	print("TAP version 13\n");
	test_main();
	finish();
}
