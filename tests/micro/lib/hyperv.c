/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hyperv.h"

void *hypercall_page;
unsigned hypercall_exits;

static struct synic synics[CPU_MAX];

bool has_access(uint32_t bits)
{
	return (cpuid(HV_CPUID_FEATURES).eax & bits) == bits;
}

bool has_feature(uint32_t bits)
{
	return (cpuid(HV_CPUID_FEATURES).edx & bits) == bits;
}

void hypercall_enable_as(uint64_t guest_os_id)
{
	if (hypercall_page)
		return;

	hypercall_page = page_alloc();
	wrmsr(HV_X64_MSR_GUEST_OS_ID, guest_os_id);
	wrmsr(HV_X64_MSR_HYPERCALL,
	      (uintptr_t)hypercall_page | HV_MSR_PAGE_ENABLE);
}

void hypercall_enable(void)
{
	hypercall_enable_as(GUEST_OS_ID);
}

#ifdef __x86_64__
uint64_t tsc_page_time(const volatile struct hv_reference_tsc_page *page)
{
	uint64_t tsc = rdtsc();

	return (uint64_t)((unsigned __int128)tsc * page->tsc_scale >> 64) +
	       (uint64_t)page->tsc_offset;
}

uint64_t hypercall(uint64_t control, uint64_t input, uint64_t output)
{
	register uint64_t r8 asm("r8") = output;
	uint64_t result;

	asm volatile("call *%[page]"
		     : "=a"(result), "+c"(control), "+d"(input), "+r"(r8)
		     : [page] "m"(hypercall_page)
		     : "memory", "cc", "r9", "r10", "r11");
	return result;
}
#else
uint64_t hypercall(uint64_t control, uint64_t input, uint64_t output)
{
	uint32_t lo = (uint32_t)control, hi = (uint32_t)(control >> 32);

	asm volatile("call *%[page]"
		     : "+a"(lo), "+d"(hi)
		     : "b"((uint32_t)(input >> 32)), "c"((uint32_t)input),
		       "D"((uint32_t)(output >> 32)), "S"((uint32_t)output),
		       [page] "m"(hypercall_page)
		     : "memory", "cc");
	return (uint64_t)hi << 32 | lo;
}
#endif

uint16_t post_message(uint32_t connection, uint32_t type, const void *payload,
		      uint32_t len)
{
	static struct {
		struct hv_input_post_message in;
		uint8_t payload[240];
	} calls[CPU_MAX] __attribute__((aligned(PAGE_SIZE)));
	typeof(calls[0]) *call = &calls[this_cpu()->index];

	call->in = (struct hv_input_post_message){
		.connection_id = connection, .message_type = type,
		.payload_size = len,
	};
	memcpy(call->payload, payload,
	       len < sizeof(call->payload) ? len : sizeof(call->payload));
	hypercall_exits++;
	return (uint16_t)hypercall(HVCALL_POST_MESSAGE, (uintptr_t)call, 0);
}

uint16_t signal_event(uint32_t connection)
{
	return (uint16_t)hypercall(HVCALL_SIGNAL_EVENT | HV_HYPERCALL_FAST,
				   connection, 0);
}

struct synic *this_synic(void)
{
	return &synics[this_cpu()->index];
}

void synic_enable(void)
{
	struct synic *s = this_synic();

	s->messages = page_alloc();
	s->flags = page_alloc();
	wrmsr(HV_X64_MSR_SIMP, (uintptr_t)s->messages | HV_MSR_PAGE_ENABLE);
	wrmsr(HV_X64_MSR_SIEFP, (uintptr_t)s->flags | HV_MSR_PAGE_ENABLE);
	wrmsr(HV_X64_MSR_SCONTROL, 1);
}

void sint_set(unsigned sint, uint8_t vector)
{
	wrmsr(SINT(sint), vector ? vector : HV_SYNIC_SINT_MASKED);
}

static volatile uint8_t *slot_of(unsigned sint)
{
	return this_synic()->messages + sint * HV_MESSAGE_SIZE;
}

uint32_t message_type(unsigned sint)
{
	return __atomic_load_n((volatile uint32_t *)slot_of(sint),
			       __ATOMIC_ACQUIRE);
}

bool message_pending(unsigned sint)
{
	return slot_of(sint)[offsetof(struct hv_message_header,
				      message_flags)] &
	       HV_MESSAGE_FLAG_PENDING;
}

bool message_take(unsigned sint, struct message *m)
{
	volatile uint8_t *slot = slot_of(sint);

	if (message_type(sint) == HVMSG_NONE)
		return false;
	memcpy(m, (const void *)slot, sizeof(*m));
	__atomic_store_n((volatile uint32_t *)slot, HVMSG_NONE,
			 __ATOMIC_SEQ_CST);
	/* The slot is free before we look whether to say so. */
	fence();
	if (message_pending(sint))
		wrmsr(HV_X64_MSR_EOM, 0);
	return true;
}

bool message_wait(unsigned sint, struct message *m, unsigned ms)
{
	return WAIT(message_take(sint, m), ms);
}
