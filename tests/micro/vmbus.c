/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMBus from the first message to a sector of a disk, and back.  The disk is
 * the runner's: each 32-bit word of sector n is n.
 */
#include "storage.h"

#define OFFERS_MAX	16
#define RING_PAGES	16		/* so that the GPADL takes two messages */
#define DOORBELLS	200
#define NOBODY		0x654321
#define ABSENT_LUN	9

static struct channel offers[OFFERS_MAX];
static unsigned offer_count;

/* TLFS: IPC-02 */
static void versions(void)
{
	static const struct {
		uint32_t version;
		bool agreed;
		const char *sentence;
	} table[] = {
		{ 0x7fff0000, false, "a version of the future is refused" },
		{ 0, false, "version 0 is refused" },
		{ VERSION_WIN10_V5_3, true, "version 5.3 is agreed on" },
		{ VERSION_WIN10_V5_2, true, "version 5.2 is agreed on" },
		{ VERSION_WIN10_V5_1, true, "version 5.1 is agreed on" },
		{ VERSION_WIN10_V5, true, "version 5.0 is agreed on" },
		{ VERSION_WIN10_V4_1, true, "version 4.1 is agreed on" },
		{ VERSION_WIN10, true, "version 4.0 is agreed on" },
		{ VERSION_WIN8_1, true, "version 3.0 is agreed on" },
		{ VERSION_WIN8, true, "version 2.4 is agreed on" },
	};

	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		check(vmbus_connect(table[i].version) == table[i].agreed,
		      table[i].sentence);
}

static void ask(uint32_t type)
{
	const struct vmbus_channel_initiate_contact m = {
		.header.msgtype = type,
		.vmbus_version_requested = VERSION_WIN10,
	};

	vmbus_post(&m, type == CHANNELMSG_INITIATE_CONTACT ? sizeof(m) :
							     sizeof(m.header));
}

/* TLFS: IPC-17 SYNIC-16 SYNIC-25 SYNIC-29 */
static void interrupts(void)
{
	uint32_t before = irqs(VMBUS_VECTOR);
	struct message m;

	ask(CHANNELMSG_INITIATE_CONTACT);
	check(WAIT(irqs(VMBUS_VECTOR) != before, VMBUS_WAIT),
	      "a message interrupts with the SINT's vector");
	check(vmbus_expect(CHANNELMSG_VERSION_RESPONSE, &m),
	      "and is in its slot");
	check_eq(m.header.payload_size, 16, "with its exact size");
	check_eq(m.header.origination_id, VMBUS_MESSAGE_PORT_ID,
		 "and the id of its port");
	wrmsr(SINT(VMBUS_MESSAGE_SINT), HV_SYNIC_SINT_MASKED | VMBUS_VECTOR);
	before = irqs(VMBUS_VECTOR);
	ask(CHANNELMSG_INITIATE_CONTACT);
	check(vmbus_expect(CHANNELMSG_VERSION_RESPONSE, &m),
	      "with the SINT masked a message is there to be polled");
	delay(5 * MS);
	check_eq(irqs(VMBUS_VECTOR), before, "and does not interrupt");
	sint_set(VMBUS_MESSAGE_SINT, VMBUS_VECTOR);
}

/* A disk's offer and the end of offers: two messages at least. */
/* TLFS: SYNIC-31 SYNIC-32 */
static void pending(void)
{
	uint32_t before = irqs(VMBUS_VECTOR);
	struct message m;

	vmbus_connect(VERSION_WIN10_V5_3);
	WAIT(irqs(VMBUS_VECTOR) != before, VMBUS_WAIT);
	before = irqs(VMBUS_VECTOR);
	ask(CHANNELMSG_REQUESTOFFERS);
	check(WAIT(message_pending(VMBUS_MESSAGE_SINT), VMBUS_WAIT),
	      "a busy slot says that a message is pending");
	WAIT(irqs(VMBUS_VECTOR) != before, VMBUS_WAIT);
	check_eq(irqs(VMBUS_VECTOR) - before, 1,
		 "the message that waits does not interrupt");
	check(message_take(VMBUS_MESSAGE_SINT, &m), "the first can be taken");
	check(WAIT(irqs(VMBUS_VECTOR) - before == 2, VMBUS_WAIT),
	      "after EOM the next comes, with its interrupt");
	while (message_wait(VMBUS_MESSAGE_SINT, &m, VMBUS_WAIT) &&
	       m.payload[0] == CHANNELMSG_OFFERCHANNEL)
		;
	check_eq(m.payload[0], CHANNELMSG_ALLOFFERS_DELIVERED,
		 "the last of all is the end of offers");
}

static struct channel *connect(const char *sentence)
{
	struct channel *ch;

	if (!vmbus_connect(VERSION_WIN10_V5_3))
		bail("cannot connect");
	offer_count = vmbus_offers(offers, OFFERS_MAX);
	ch = storage_find(offers, offer_count);
	report(ch, sentence, "%u offers", offer_count);
	if (!ch)
		bail("nothing to go on with");
	return ch;
}

static bool sector_is(const uint32_t *data, uint32_t word)
{
	for (unsigned i = 0; i < SECTOR_SIZE / sizeof(*data); i++)
		if (data[i] != word)
			return false;
	return true;
}

static void disk(struct channel *ch)
{
	uint32_t *data = page_alloc();
	uint32_t before = vmbus_events;
	struct scsi inquiry = {
		.cdb = { 0x12, 0, 0, 0, 36 }, .cdb_len = 6,
		.data = data, .len = 36,
	};

	check(storage_scsi(ch, &inquiry) && inquiry.srb_status == 1 &&
	      !memcmp((uint8_t *)data + 8, "Msft    Virtual Disk", 20),
	      "INQUIRY names the disk");
	check(WAIT(vmbus_events != before, VMBUS_WAIT),
	      "a completion interrupts by an event flag");
	inquiry.lun = ABSENT_LUN;
	check(storage_scsi(ch, &inquiry) && inquiry.srb_status == 1 &&
	      *(uint8_t *)data == 0x7f, "INQUIRY of a LUN that is not there");
	check(storage_sector(ch, 3, data, false) && sector_is(data, 3),
	      "READ(10) reads a sector");
	memset(data, 0x5a, SECTOR_SIZE);
	check(storage_sector(ch, 5, data, true), "WRITE(10) writes a sector");
	memset(data, 0, SECTOR_SIZE);
	check(storage_sector(ch, 5, data, false) &&
	      sector_is(data, 0x5a5a5a5a), "and it reads back");
	memset(data, 0, SECTOR_SIZE);
	check(storage_sector(ch, 6, data, false) && sector_is(data, 6),
	      "its neighbour is as it was");
	check(!storage_sector(ch, 1u << 30, data, false),
	      "a sector beyond the disk fails");
}

/* The runner compares hypercall_exits with what really left. */
/* TLFS: IPC-24 */
static void doorbells(struct channel *ch)
{
	static struct hv_input_signal_event in
		__attribute__((aligned(16)));
	unsigned n = 0;

	in.connection_id = ch->connection_id;
	for (unsigned i = 0; i < DOORBELLS; i++)
		n += signal_event(ch->connection_id) == HV_STATUS_SUCCESS;
	check_eq(n, DOORBELLS, "HvSignalEvent on the channel succeeds");
	hypercall_exits++;
	check_eq(hypercall(HVCALL_SIGNAL_EVENT, (uintptr_t)&in, 0),
		 HV_STATUS_SUCCESS, "and with its input in memory");
}

/* TLFS: IPC-21 */
static void closed(struct channel *ch)
{
	check(channel_close(ch), "the channel closes and its GPADL goes");
	check_eq(signal_event(ch->connection_id),
		 HV_STATUS_INVALID_CONNECTION_ID,
		 "a closed channel has no connection");
	check_eq(signal_event(NOBODY), HV_STATUS_INVALID_CONNECTION_ID,
		 "HvSignalEvent knows its connections");
}

static void open_and_read(struct channel *ch, const char *sentence)
{
	uint32_t *data = page_alloc();

	check(channel_open(ch, RING_PAGES) && storage_begin(ch) &&
	      storage_sector(ch, 7, data, false) && sector_is(data, 7),
	      sentence);
}

/* More bytes through the rings than they have. */
static void wrap_around(struct channel *ch)
{
	uint32_t *data = page_alloc();
	unsigned i;

	for (i = 0; i < 600; i++)
		if (!storage_sector(ch, i % 256 + 16, data, false) ||
		    !sector_is(data, i % 256 + 16))
			break;
	check_eq(i, 600, "600 reads go round the rings");
}

/* Another processor, for events only. */
static volatile uint32_t other_vp, other_ready;

static void serve_events(void)
{
	if (this_cpu()->index != 1)
		return;

	synic_enable();
	sint_set(VMBUS_MESSAGE_SINT, VMBUS_VECTOR);
	other_vp = (uint32_t)rdmsr(HV_X64_MSR_VP_INDEX);
	__atomic_store_n(&other_ready, 1, __ATOMIC_RELEASE);
	for (;;)
		irq_wait();
}

static bool reads_interrupt(struct channel *ch, uint32_t cpu)
{
	uint32_t before = nth_cpu(cpu)->irqs[VMBUS_VECTOR];
	uint32_t other = nth_cpu(!cpu)->irqs[VMBUS_VECTOR];
	uint32_t *data = page_alloc();

	return storage_sector(ch, 8, data, false) && sector_is(data, 8) &&
	       WAIT(nth_cpu(cpu)->irqs[VMBUS_VECTOR] != before, VMBUS_WAIT) &&
	       nth_cpu(!cpu)->irqs[VMBUS_VECTOR] == other;
}

/* The channel's events go to the processor that the guest names. */
static void targets(struct channel *ch)
{
	if (option_number("cpus", 1) < 2)
		return;

	start_cpus(serve_events);
	if (!WAIT(other_ready, VMBUS_WAIT))
		bail("the other processor does not start");
	check(channel_close(ch), "the channel closes once more");
	ch->target_vp = other_vp;
	check(channel_open(ch, RING_PAGES) && storage_begin(ch),
	      "it opens for another processor");
	check(reads_interrupt(ch, 1), "which then takes its interrupts, alone");
	check(channel_move(ch, 0), "the channel moves back");
	check(reads_interrupt(ch, 0), "and so do its interrupts");
}

void test_main(void)
{
	struct channel *ch;

	vmbus_prepare();
	versions();
	interrupts();
	pending();
	ch = connect("the disk's controller is offered");
	check(channel_open(ch, RING_PAGES), "its channel opens");
	check(storage_begin(ch), "the controller agrees on version 6.2");
	disk(ch);
	doorbells(ch);
	wrap_around(ch);
	closed(ch);
	open_and_read(ch, "the channel opens again and reads");
	check(vmbus_unload(), "unload with an open channel is answered");
	ch = connect("all is offered again after unload");
	open_and_read(ch, "and the disk reads");
	ch = connect("contact again without unload offers all");
	open_and_read(ch, "and the disk reads again");
	targets(ch);
	print("# exits: hypercalls=%u doorbells=2\n", hypercall_exits);
}
