/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hyperv.h"
#include "statuses.h"

#define SIGNAL_FAST	(HVCALL_SIGNAL_EVENT | HV_HYPERCALL_FAST)
#define UNKNOWN_CALL	0x7ffe
#define NOBODY		0x654321	/* a connection id that nobody has */
#define NOT_MEMORY	(1ull << 46)	/* no processor's memory is so large */

/* Where no output goes. */
#define GARBAGE		0x55aa000077770000ull

#define FLAGS		0xcd5ul		/* CF PF AF ZF SF DF OF */
#define SOME_FLAGS	0x451ul

struct message_input {
	struct hv_input_post_message in;
	uint8_t payload[240];
};

static struct {
	struct message_input fits, too_long;
	struct hv_input_signal_event signal;
	uint8_t to_end_of_page[PAGE_SIZE - 2 * sizeof(struct message_input) -
			       sizeof(struct hv_input_signal_event)];
} memory __attribute__((aligned(PAGE_SIZE))) = {
	.fits.in = { .connection_id = NOBODY, .message_type = 1,
		     .payload_size = 240 },
	.too_long.in = { .connection_id = NOBODY, .message_type = 1,
			 .payload_size = 241 },
	.signal.connection_id = NOBODY,
};

#define MESSAGE		((uintptr_t)&memory.fits)
#define TOO_LONG	((uintptr_t)&memory.too_long)
#define SIGNAL		((uintptr_t)&memory.signal)

unsigned long next_flags(void)
{
	static unsigned long next = SOME_FLAGS;
	unsigned long flags;

	next ^= FLAGS;
	asm volatile("pushf; pop %0" : "=r"(flags));
	return (flags & ~FLAGS) | next;
}

/* TLFS: HC-25 HC-26 HC-29 HC-31 HC-34 HC-35 HC-38 HC-43 HC-45 HC-47 HC-49 */
void statuses(call_is *is)
{
	const struct {
		uint64_t control, input;
		uint16_t status;
		const char *sentence;
	} table[] = {
		{ UNKNOWN_CALL, MESSAGE, HV_STATUS_INVALID_HYPERCALL_CODE,
		  "an unknown call code has its status" },
		{ 0, MESSAGE, HV_STATUS_INVALID_HYPERCALL_CODE,
		  "call code 0 is unknown" },
		{ HVCALL_NOTIFY_LONG_SPIN_WAIT | HV_HYPERCALL_FAST, 100,
		  HV_STATUS_SUCCESS, "a call that succeeds has 0" },
		{ HVCALL_POST_MESSAGE | 1ull << 27, MESSAGE,
		  HV_STATUS_INVALID_HYPERCALL_INPUT,
		  "control bit 27 must be zero" },
		{ HVCALL_POST_MESSAGE | 1ull << 44, MESSAGE,
		  HV_STATUS_INVALID_HYPERCALL_INPUT,
		  "control bit 44 must be zero" },
		{ SIGNAL_FAST | 1ull << 63, NOBODY,
		  HV_STATUS_INVALID_HYPERCALL_INPUT,
		  "control bit 63 must be zero, for HvSignalEvent too" },
		{ HVCALL_POST_MESSAGE | 1ull << 32, MESSAGE,
		  HV_STATUS_INVALID_HYPERCALL_INPUT,
		  "a simple call takes no rep count" },
		{ HVCALL_POST_MESSAGE | 1ull << 48, MESSAGE,
		  HV_STATUS_INVALID_HYPERCALL_INPUT,
		  "a simple call takes no start index" },
		{ HVCALL_POST_MESSAGE | 1ull << 17, MESSAGE,
		  HV_STATUS_INVALID_HYPERCALL_INPUT,
		  "HvPostMessage takes no variable header" },
		{ HVCALL_POST_MESSAGE | HV_HYPERCALL_FAST, MESSAGE,
		  HV_STATUS_INVALID_HYPERCALL_INPUT,
		  "what does not fit into registers cannot be fast" },
		{ HVCALL_POST_MESSAGE, MESSAGE, HV_STATUS_INVALID_CONNECTION_ID,
		  "a message is read from memory" },
		{ HVCALL_POST_MESSAGE, TOO_LONG, HV_STATUS_INVALID_PARAMETER,
		  "and has 240 bytes at most" },
		{ HVCALL_POST_MESSAGE, MESSAGE + 4, HV_STATUS_INVALID_ALIGNMENT,
		  "input is aligned to 8 bytes" },
		{ HVCALL_POST_MESSAGE, MESSAGE + PAGE_SIZE - 64,
		  HV_STATUS_INVALID_ALIGNMENT, "input does not cross a page" },
		{ HVCALL_POST_MESSAGE, NOT_MEMORY | MESSAGE,
		  HV_STATUS_INVALID_ALIGNMENT, "input is in memory" },
		{ HVCALL_POST_MESSAGE, UINT64_MAX - 7,
		  HV_STATUS_INVALID_ALIGNMENT,
		  "input at the end of the address space is not" },
		{ HVCALL_SIGNAL_EVENT, SIGNAL, HV_STATUS_INVALID_CONNECTION_ID,
		  "HvSignalEvent reads memory, if it is not fast" },
		{ HVCALL_SIGNAL_EVENT, SIGNAL + 1, HV_STATUS_INVALID_ALIGNMENT,
		  "and that is aligned too" },
		{ SIGNAL_FAST, NOBODY, HV_STATUS_INVALID_CONNECTION_ID,
		  "HvSignalEvent knows its connections" },
		{ SIGNAL_FAST, 0, HV_STATUS_INVALID_CONNECTION_ID,
		  "connection 0 is not one" },
		{ SIGNAL_FAST, 0xffffffff, HV_STATUS_INVALID_CONNECTION_ID,
		  "connection ids have 24 bits" },
		{ SIGNAL_FAST, (uint64_t)2047 << 32 | NOBODY,
		  HV_STATUS_INVALID_CONNECTION_ID,
		  "a flag number does not hide an unknown connection" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
		check(is(table[i].control, table[i].input, GARBAGE,
			 table[i].status), table[i].sentence);
}
