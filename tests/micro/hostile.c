/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that means no good, at random but repeatable: "what=" is messages,
 * hypercalls, msr or rings; "seed=N".  The machine must live, and answer a
 * guest that is sane again.
 */
#include "random.h"
#include "storage.h"

#define MESSAGES	3000
#define HYPERCALLS	3000
#define MSR_ACCESSES	4000
#define RING_ROUNDS	12
#define RING_PAGES	4

static void drain(unsigned ms)
{
	struct message m;

	while (message_wait(VMBUS_MESSAGE_SINT, &m, ms))
		;
}

/* Few ids, so that they meet again. */
static uint32_t some_gpadl(void)
{
	return 0xe1e10 + below(3);
}

/* A GPADL that might be accepted; returns the length. */
static uint32_t likely_gpadl(uint32_t *words)
{
	uint64_t pfn[26];
	uint32_t n = 2 + below(25);
	bool good = below(4);

	words[0] = CHANNELMSG_GPADL_HEADER;
	words[3] = some_gpadl();
	/* Now and then more pages than come, or fewer. */
	words[4] = 1u << 16 | (8 + (below(8) ? n : below(60)) * 8);
	words[5] = n * PAGE_SIZE;
	words[6] = 0;
	for (uint32_t i = 0; i < n; i++)
		pfn[i] = (good ? FREE_RAM + below(FREE_PAGES) * PAGE_SIZE :
				 page_address()) / PAGE_SIZE;
	memcpy(&words[7], pfn, n * sizeof(pfn[0]));
	return 28 + n * 8;
}

/* A message that would be right at the right time; returns the length. */
static uint32_t likely_message(uint32_t *words, uint32_t type)
{
	words[0] = type;
	words[2] = below(8) ? 1 : number();
	switch (type) {
	case CHANNELMSG_INITIATE_CONTACT:
		words[2] = VERSION_WIN10_V5_3;
		words[3] = 0;
		words[4] = 2;
		return 40;
	case CHANNELMSG_GPADL_HEADER:
		return likely_gpadl(words);
	case CHANNELMSG_OPENCHANNEL:
		words[4] = some_gpadl();
		words[5] = below(8) ? 0 : number();
		words[6] = below(8) ? 1 + below(4) : number();
		return 148;
	case CHANNELMSG_GPADL_TEARDOWN:
	case CHANNELMSG_GPADL_BODY:
		words[3] = some_gpadl();
		return 16 + below(29) * 8;
	default:
		return 12;
	}
}

static uint32_t any_message(uint32_t *words)
{
	static const uint8_t likely[] = {
		CHANNELMSG_INITIATE_CONTACT, CHANNELMSG_REQUESTOFFERS,
		CHANNELMSG_REQUESTOFFERS, CHANNELMSG_GPADL_HEADER,
		CHANNELMSG_GPADL_HEADER, CHANNELMSG_GPADL_HEADER,
		CHANNELMSG_GPADL_HEADER, CHANNELMSG_OPENCHANNEL,
		CHANNELMSG_OPENCHANNEL, CHANNELMSG_OPENCHANNEL,
		CHANNELMSG_CLOSECHANNEL, CHANNELMSG_GPADL_TEARDOWN,
		CHANNELMSG_GPADL_TEARDOWN, CHANNELMSG_GPADL_BODY,
		CHANNELMSG_MODIFYCHANNEL, CHANNELMSG_RELID_RELEASED,
	};

	for (unsigned i = 0; i < 60; i++)
		words[i] = i < 16 ? number() : 0;
	words[1] = 0;
	if (below(4))
		return likely_message(words, likely[below(sizeof(likely))]);
	words[0] = below(32);
	return below(241);
}

static void sane_again(void)
{
	struct channel offers[4];
	uint32_t *data = page_alloc();
	struct channel *ch;
	unsigned n;

	drain(100);
	check(vmbus_connect(VERSION_WIN10_V5_3), "a sane guest can connect");
	n = vmbus_offers(offers, 4);
	ch = storage_find(offers, n < 4 ? n : 4);
	if (!ch) {
		report(false, "there is the disk", "%u offers", n);
		return;
	}
	data[9] = 0x600d;
	check(channel_open(ch, RING_PAGES) && storage_begin(ch) &&
	      storage_sector(ch, 1, data, true), "and write to its disk");
	data[9] = 0;
	check(storage_sector(ch, 1, data, false) && data[9] == 0x600d,
	      "and read it");
}

static void messages(void)
{
	static uint32_t words[64] __attribute__((aligned(8)));
	unsigned taken = 0;
	struct message m;

	for (unsigned i = 0; i < MESSAGES; i++) {
		uint32_t len = any_message(words);

		taken += post_message(below(8) ? 1 : number(),
				      below(16) ? 1 : number(), words, len) ==
			 HV_STATUS_SUCCESS;
		if (below(4) == 0)
			signal_event(number());
		/* Now and then leave the host with its answers. */
		if (below(32))
			while (message_take(VMBUS_MESSAGE_SINT, &m))
				;
	}
	report(taken > MESSAGES / 8, "many messages are taken", "%u", taken);
	sane_again();
}

/* TLFS: HC-39 */
static void hypercalls(void)
{
	static uint64_t input[512] __attribute__((aligned(PAGE_SIZE)));
	unsigned good = 0;

	for (unsigned i = 0; i < 512; i++)
		input[i] = random64();
	for (unsigned i = 0; i < HYPERCALLS; i++) {
		static const uint16_t codes[] = { 0x5c, 0x5d, 0x5d, 2, 3, 0xb,
						  0x8001, 0x69, 0x50 };
		uint64_t control = codes[below(sizeof(codes) / 2)];
		uint64_t in = below(2) ? (uintptr_t)input + below(PAGE_SIZE) :
					 page_address() + below(PAGE_SIZE);

		if (below(4) == 0)
			control |= (uint64_t)number() << below(48);
		if (below(2))
			control |= HV_HYPERCALL_FAST;
		input[below(512)] = (uint64_t)number() << 32 | number();
		good += hypercall(control, below(2) ? in : number(),
				  page_address()) == HV_STATUS_SUCCESS;
	}
	print("# %u calls succeeded\n", good);
	check_eq(hypercall(0x7ffe, 0, 0), HV_STATUS_INVALID_HYPERCALL_CODE,
		 "hypercalls still work");
	sane_again();
}

static bool ends_us(uint32_t msr, uint64_t value)
{
	return (msr == HV_X64_MSR_RESET && value & 1) ||
	       (msr == HV_X64_MSR_CRASH_CTL &&
		value & HV_CRASH_CTL_CRASH_NOTIFY);
}

static uint64_t msr_value(uint32_t msr)
{
	bool is_page = msr < HV_X64_MSR_SINT0;

	switch (below(4)) {
	case 0:
		return page_address() | below(2);
	case 1:
		return number() & (is_page ? ~HV_MSR_PAGE_ENABLE : ~0ull);
	case 2:
		return is_page ? 0 : below(0x100000);	/* timers, SINTs */
	default:
		return is_page ? page_address() | 1 : random64();
	}
}

/* With interrupts off: they would have any vector. */
static void registers(void)
{
	unsigned faults = 0;
	uint64_t time;

	irq_off();
	for (unsigned i = 0; i < MSR_ACCESSES; i++) {
		uint32_t msr = 0x40000000 + (below(2) ? below(0x200) :
							0x80 + below(0x40));
		uint64_t value = msr_value(msr);

		if (below(4) == 0)
			faults += TRY(value = rdmsr(msr)) != NO_TRAP;
		else if (!ends_us(msr, value))
			faults += TRY(wrmsr(msr, value)) != NO_TRAP;
	}
	report(faults > MSR_ACCESSES / 16 && faults < MSR_ACCESSES,
	       "some accesses fault and some do not", "%u faults", faults);
	for (unsigned n = 0; n < HV_STIMER_COUNT; n++) {
		TRY(wrmsr(STIMER_COUNT(n), 0));
		TRY(wrmsr(STIMER_CONFIG(n), 0));
	}
	for (unsigned n = 0; n < HV_SYNIC_SINT_COUNT; n++)
		sint_set(n, 0);
	wrmsr(HV_X64_MSR_SIMP, 0);
	wrmsr(HV_X64_MSR_SIEFP, 0);
	wrmsr(HV_X64_MSR_SCONTROL, 0);
	time = ref_time();
	check(time < ref_time(), "the clock still runs");
}

/* Something like EXECUTE_SRB: a struct vstor_packet by its words. */
static void any_request(uint32_t *words)
{
	static const uint8_t commands[] = {
		0x00, 0x08, 0x0a, 0x12, 0x1a, 0x1b, 0x25, 0x28, 0x2a, 0x2f,
		0x35, 0x41, 0x42, 0x5a, 0x88, 0x8a, 0x91, 0x93, 0x9e, 0xa0,
		0xa8, 0xaa,
	};
	uint8_t cdb[16];

	for (unsigned i = 0; i < 16; i++)
		words[i] = number();
	words[0] = below(8) ? 3 : below(16);
	if (below(8) == 0)
		return;
	words[3] = 52;				/* length */
	words[4] = below(8) ? 0 : number();	/* address: LUN 0 */
	words[5] = 10 | 20 << 8 | below(3) << 16;
	words[6] = below(8) ? below(9) * SECTOR_SIZE : number();
	for (unsigned i = 0; i < sizeof(cdb); i++)
		cdb[i] = (uint8_t)(below(4) ? 0 : number());
	cdb[0] = commands[below(sizeof(commands))];
	if (below(2))
		cdb[8] = (uint8_t)(words[6] / SECTOR_SIZE);
	memcpy(&words[7], cdb, sizeof(cdb));
}

/* Into free memory or none. */
static void any_packet(struct channel *ch)
{
	uint32_t request[16], head[16] = { 0 };
	uint64_t pfn = page_address() / PAGE_SIZE;
	bool likely = below(4);
	const struct packet p = {
		.type = likely ? VM_PKT_DATA_USING_GPA_DIRECT :
				 (uint16_t)below(16),
		.flags = likely ? 1 : (uint16_t)below(4),
		.trans_id = number(),
		.head = head, .head_len = below(16) ? 24 : 8 * below(8),
		.payload = request,
		.payload_len = below(16) ? sizeof(request) : below(65),
	};

	any_request(request);
	head[1] = below(16) ? 1 : number();
	head[2] = below(4) ? PAGE_SIZE : number();
	head[3] = below(8) ? 0 : number();
	memcpy(&head[4], &pfn, sizeof(pfn));
	channel_send(ch, &p);
}

static void ring_round(struct channel *ch)
{
	volatile struct hv_ring_buffer *out = ch->out.control;
	volatile struct hv_ring_buffer *in = ch->in.control;

	for (unsigned i = 0; i < 40; i++) {
		any_packet(ch);
		if (below(4))
			in->read_index = in->write_index;
		if (below(32) == 0)
			in->read_index = number();
		if (below(16) == 0)
			in->interrupt_mask = number();
		if (below(16) == 0)
			out->pending_send_sz = number();
	}
	/* Then nonsense in place of packets, and indices that are wrong. */
	if (below(2))
		for (uint32_t i = 0; i < ch->out.size; i += 4)
			*(uint32_t *)(ch->out.data + i) = number();
	out->write_index = below(2) ? number() : below(ch->out.size) & ~7u;
	signal_event(ch->connection_id);
	out->write_index = number();
	signal_event(ch->connection_id);
}

static void rings(void)
{
	struct channel offers[4];
	struct channel *ch;
	unsigned i;

	for (i = 0; i < RING_ROUNDS; i++) {
		unsigned n;

		if (!vmbus_connect(VERSION_WIN10_V5_3))
			break;
		n = vmbus_offers(offers, 4);
		ch = storage_find(offers, n < 4 ? n : 4);
		if (!ch || !channel_open(ch, RING_PAGES))
			break;
		if (below(4))
			storage_begin(ch);
		ring_round(ch);
		if (below(2) && !channel_close(ch))
			break;
	}
	check_eq(i, RING_ROUNDS, "after each broken ring a channel opens");
	sane_again();
}

void test_main(void)
{
	random_seed(option_number("seed", 1));
	if (option_is("what", "msr")) {
		registers();
		return;
	}
	vmbus_prepare();
	if (option_is("what", "hypercalls"))
		hypercalls();
	else if (option_is("what", "rings"))
		rings();
	else
		messages();
}
