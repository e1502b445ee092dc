/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest - what every micro guest stands on: a console, results, exceptions,
 * interrupts, processors, pages.  A guest has one test_main(); when it returns,
 * the plan is printed and the machine powered off.
 *
 * Results are lines of TAP: "TAP version 13" at each start, "ok - sentence",
 * "not ok - sentence: detail", and "1..N" at the end.
 */
#ifndef MICRO_GUEST_H
#define MICRO_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "layout.h"
#include "x86.h"

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))

/* The guest's tests.  Runs on the boot processor with interrupts on. */
void test_main(void);

/* What "NAME=" has on the command line, or NULL; ends at a space. */
const char *option(const char *name);
/* Whether the command line has NAME=VALUE. */
bool option_is(const char *name, const char *value);
/* The number behind NAME=, or @otherwise. */
unsigned option_number(const char *name, unsigned otherwise);

/* %s %c %d %u %x, with l or ll, # and a width.  Not for two CPUs at once. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One result. */
void report(bool good, const char *sentence, const char *detail, ...)
	__attribute__((format(printf, 3, 4)));
#define check(good, sentence)						\
	report((good), (sentence), "line %d: %s", __LINE__, #good)
#define check_eq(got, want, sentence)					\
	do {								\
		uint64_t got_ = (got), want_ = (want);			\
									\
		report(got_ == want_, (sentence),			\
		       "line %d: %s is %#llx, not %#llx", __LINE__, #got,	\
		       (unsigned long long)got_,			\
		       (unsigned long long)want_);			\
	} while (0)
void skip(const char *sentence, const char *why);

/* End at once, as a failure. */
_Noreturn void bail(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
/* Print the plan, then power off by ACPI. */
_Noreturn void finish(void);
/* Print the plan, then write @code to the exit port of a unit-test machine. */
_Noreturn void finish_with(uint32_t code);

/*
 * Exceptions.  TRY(statement) is the vector of the exception that ended
 * @statement, or NO_TRAP.  It may be nested.  An exception outside is the
 * guest's end.
 */
#define NO_TRAP	256

struct catch {
	void *env[5];			/* of __builtin_setjmp() */
	struct catch *outer;
	unsigned long flags;
	unsigned trap;
};

void catch_begin(struct catch *c);
unsigned catch_end(struct catch *c);

#define TRY(statement)							\
	({								\
		struct catch catch_;					\
									\
		catch_begin(&catch_);					\
		if (!__builtin_setjmp(catch_.env)) {			\
			/* Nothing of it before we can come back. */	\
			asm volatile("" : : : "memory");		\
			statement;					\
		}							\
		catch_end(&catch_);					\
	})

/* Processors.  Each one's stack has this at its low end. */
struct cpu {
	uint32_t index;			/* in order of start; 0 booted */
	struct catch *catch;
	volatile uint32_t irqs[256];	/* interrupts taken, by vector */
};

#ifdef __x86_64__
#define SP_NAME	"rsp"
#else
#define SP_NAME	"esp"
#endif

static inline struct cpu *this_cpu(void)
{
	uintptr_t sp;

	asm volatile("mov %%" SP_NAME ", %0" : "=r"(sp));
	return (struct cpu *)(sp & ~(uintptr_t)(STACK_SIZE - 1));
}

/* The processor that started as number @index. */
static inline struct cpu *nth_cpu(uint32_t index)
{
	extern char stacks[];

	return (struct cpu *)(stacks + index * STACK_SIZE);
}

/* Interrupts taken on this processor. */
static inline uint32_t irqs(uint8_t vector)
{
	return this_cpu()->irqs[vector];
}

/* Call @handler from vector 32 to 254, before EOI.  NULL: only count. */
void irq_handle(uint8_t vector, void (*handler)(void));
/* Write no EOI for @vector from now on, on all processors. */
void irq_without_eoi(uint8_t vector);

/* Local APIC, by its page of registers. */
uint32_t apic_id(void);
uint32_t apic_read(uint32_t reg);
void apic_write(uint32_t reg, uint32_t value);

#define APIC_ID			0x20
#define APIC_TPR		0x80
#define APIC_EOI		0xb0
#define APIC_SPURIOUS		0xf0
#define APIC_ISR		0x100		/* eight words, 0x10 apart */
#define APIC_ICR		0x300
#define APIC_ICR_HIGH		0x310
#define APIC_LVT_TIMER		0x320
#define APIC_TIMER_COUNT	0x380
#define APIC_TIMER_CURRENT	0x390
#define APIC_TIMER_DIVIDE	0x3e0
#define APIC_DIVIDE_BY_1	0xb
#define APIC_LVT_MASKED		0x10000

/*
 * Start the processor with that APIC id, or all others, once; it runs @entry
 * with interrupts off, and halts when it returns.
 */
void start_cpu(uint32_t id, void (*entry)(void));
void start_cpus(void (*entry)(void));
/* How many have come as far as that; the boot processor is not counted. */
extern volatile uint32_t cpus_started;

/* A zeroed page from the pool, for good. */
void *page_alloc(void);

/* Reference time, 100 ns units; roughly, if it is not offered. */
#define MS	10000u
uint64_t ref_time(void);
void delay(uint64_t units);

/* Whether @cond came true within @ms milliseconds. */
#define WAIT(cond, ms)							\
	({								\
		uint64_t start_ = ref_time();				\
		bool met_;						\
									\
		while (!(met_ = (cond)) && ref_time() - start_ <	\
						(uint64_t)(ms) * MS)	\
			pause();					\
		met_;							\
	})

#endif
