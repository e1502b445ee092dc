/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hyperv - the guest's side of the hypervisor interface. */
#ifndef MICRO_HYPERV_H
#define MICRO_HYPERV_H

#include "guest.h"
#include "hv/tlfs.h"

#define GUEST_OS_ID	0x8100000000000000ull	/* open source, Linux */

#define STIMER_CONFIG(n)	(HV_X64_MSR_STIMER0_CONFIG + 2 * (n))
#define STIMER_COUNT(n)		(HV_X64_MSR_STIMER0_COUNT + 2 * (n))
#define SINT(n)			(HV_X64_MSR_SINT0 + (n))

/* Whether a register of CPUID 0x40000003 has all @bits. */
bool has_access(uint32_t bits);		/* EAX */
bool has_feature(uint32_t bits);	/* EDX */

/* Set GUEST_OS_ID and the hypercall page.  Done once, it does nothing. */
void hypercall_enable(void);
void hypercall_enable_as(uint64_t guest_os_id);
extern void *hypercall_page;

#ifdef __x86_64__
/* Reference time by the page, with its sequence not 0. */
uint64_t tsc_page_time(const volatile struct hv_reference_tsc_page *page);
#endif

/*
 * Call: @control, and the input and output addresses, or the input itself if
 * the call is fast.
 */
uint64_t hypercall(uint64_t control, uint64_t input, uint64_t output);

uint16_t post_message(uint32_t connection, uint32_t type, const void *payload,
		      uint32_t len);
uint16_t signal_event(uint32_t connection);

/*
 * Counts for the runner, which compares them with those of the VMM: calls
 * that must have left to it.
 */
extern unsigned hypercall_exits;

/*
 * Message and flag pages of this processor, and the SynIC on.  Once on each
 * processor; the pages are those of this_synic().
 */
void synic_enable(void);

struct synic {
	volatile uint8_t *messages;	/* SIM */
	volatile uint64_t *flags;	/* SIEF */
};
struct synic *this_synic(void);

/* A SINT with a vector, or masked if @vector is 0. */
void sint_set(unsigned sint, uint8_t vector);

struct message {
	struct hv_message_header header;
	uint8_t payload[HV_MESSAGE_SIZE - sizeof(struct hv_message_header)];
};

/* The type of the message in @sint's slot; HVMSG_NONE if it is free. */
uint32_t message_type(unsigned sint);
/* Whether the message in the slot says that more are waiting. */
bool message_pending(unsigned sint);
/* Take the message in the slot, and write EOM if more are pending. */
bool message_take(unsigned sint, struct message *m);
/* The same, waiting for up to @ms. */
bool message_wait(unsigned sint, struct message *m, unsigned ms);

#endif
