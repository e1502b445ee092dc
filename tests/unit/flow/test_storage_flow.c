/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk from the ring to the file: bus, channel, storvsp, SCSI and io_uring
 * together, in the order that docs/architecture.md shows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "backends/block_file.h"
#include "core/trace.h"
#include "devices/storvsp/storvsp.h"
#include "devices/storvsp/storvsp_proto.h"
#include "fake_guest.h"

#define RING_PAGES	32
#define DISK_BLOCKS	64u
#define BLOCK		4096u
#define MANY		200	/* requests */
#define WARM		20	/* of them, first; arrays may grow */
#define DEPTH		16	/* of them at a time */

static struct {
	struct guest *g;
	struct storvsp *sv;
	struct guest_channel ch;
	gpa_t data;		/* DEPTH pages */
	char *path;
	GString *events;
	struct loop_note done;
} t;

struct request {
	struct vmdata_gpa_direct head;
	struct gpa_range range;
	uint64_t pfn;
	struct vstor_packet packet;
} __attribute__((packed));

static void record(const char *line)
{
	g_string_append_len(t.events, line, (gssize)strcspn(line, " "));
	g_string_append_c(t.events, ' ');
}

/* Block n holds the byte n. */
static void make_file(void)
{
	int fd = g_file_open_tmp("kvmbus-flow-XXXXXX", &t.path, NULL);
	uint8_t block[BLOCK];

	assert_true(fd >= 0);
	for (unsigned n = 0; n < DISK_BLOCKS; n++) {
		memset(block, (int)n, sizeof(block));
		assert_int_equal(write(fd, block, sizeof(block)),
				 sizeof(block));
	}
	close(fd);
}

/* The next answer; the file takes its time. */
static struct vstor_packet receive(uint64_t *trans_id)
{
	static struct guest_packet p;
	struct vstor_packet reply;

	while (!guest_channel_recv(&t.ch, &p))
		loop_turn(t.g->main, true);
	assert_int_equal(p.desc.type, VM_PKT_COMP);
	assert_int_equal(p.len, sizeof(reply));
	memcpy(&reply, p.payload, sizeof(reply));
	*trans_id = p.desc.trans_id;
	return reply;
}

static void control(uint32_t operation)
{
	const struct vstor_packet p = {
		.operation = operation, .flags = 1,
		.version.major_minor = VMSTOR_WIN10,
	};
	uint64_t id;

	assert_int_equal(guest_channel_send(&t.ch, 1, &p, sizeof(p)), 0);
	assert_int_equal(receive(&id).status, 0);
}

static int setup(void **state)
{
	const struct guid instance = GUID(1, 2, 3, 4, 5);
	const struct scsi_identity id = { .serial = "S" };
	struct block_file_options options = { .direct = true };
	struct guest_offer *offers = g_new0(struct guest_offer, 1);

	make_file();
	options.path = t.path;
	t.g = guest_new(1);
	t.sv = storvsp_new(t.g->main, &t.g->gm, &instance, 0);
	assert_int_equal(storvsp_attach(
		t.sv, 0, scsi_disk_new(block_file_open(t.g->main, &options,
						       NULL),
				       &id, STORVSP_TRANSFER_MAX)), 0);
	assert_int_equal(vmbus_offer(t.g->bus, storvsp_device(t.sv)), 0);
	assert_true(guest_connect(t.g, VERSION_WIN10_V5_3));
	guest_request_offers(t.g, offers);
	assert_int_equal(offers->count, 1);
	guest_channel_init(&t.ch, t.g, &offers->offer[0], 2 * RING_PAGES,
			   RING_PAGES);
	g_free(offers);
	assert_true(guest_channel_open(&t.ch));
	control(VSTOR_OPERATION_BEGIN_INITIALIZATION);
	control(VSTOR_OPERATION_QUERY_PROTOCOL_VERSION);
	control(VSTOR_OPERATION_QUERY_PROPERTIES);
	control(VSTOR_OPERATION_END_INITIALIZATION);
	t.data = guest_pages(t.g, DEPTH);
	guest_run(t.g);
	guest_channel_signalled(&t.ch);
	t.events = g_string_new(NULL);
	trace_sink = record;
	return 0;
}

static void drained(struct loop_note *note)
{
}

static int teardown(void **state)
{
	trace_mask = 0;
	trace_sink = NULL;
	t.done.run = drained;
	vmbus_reset(t.g->bus, &t.done);
	guest_run(t.g);
	storvsp_free(t.sv);
	guest_free(t.g);
	g_string_free(t.events, TRUE);
	g_unlink(t.path);
	g_free(t.path);
	return 0;
}

/* READ(10) of @block to the page of slot @slot; whether the host must know. */
static bool queue_read(unsigned block, unsigned slot)
{
	const uint32_t lba = block * (BLOCK / 512);
	const uint8_t cdb[10] = {
		0x28, [4] = (uint8_t)(lba >> 8), [5] = (uint8_t)lba,
		[8] = BLOCK / 512,
	};
	struct request r = {
		.head.range_cnt = 1, .range = { BLOCK, 0 },
		.pfn = t.data / GMEM_PAGE_SIZE + slot,
		.packet = {
			.operation = VSTOR_OPERATION_EXECUTE_SRB, .flags = 1,
			.vm_srb = {
				.cdb_length = sizeof(cdb), .data_in = READ_TYPE,
				.data_transfer_length = BLOCK,
			},
		},
	};
	const size_t header = offsetof(struct request, packet);
	const struct vmpacket_descriptor desc = {
		.type = VM_PKT_DATA_USING_GPA_DIRECT,
		.offset8 = (uint16_t)((sizeof(desc) + header) / 8),
		.len8 = (uint16_t)((sizeof(desc) + sizeof(r)) / 8),
		.flags = VMBUS_DATA_PACKET_FLAG_COMPLETION_REQUESTED,
		.trans_id = slot + 1,
	};
	bool ring;

	memcpy(r.packet.vm_srb.cdb, cdb, sizeof(cdb));
	assert_int_equal(guest_ring_write(&t.ch.tx, &desc, &r, sizeof(r),
					  &ring), 0);
	return ring;
}

/* The answer of any slot: that its page is @block[slot]'s. */
static unsigned finish_read(const unsigned *block)
{
	uint64_t id;
	const struct vstor_packet reply = receive(&id);
	const uint8_t *page;

	assert_in_range(id, 1, DEPTH);
	assert_int_equal(reply.vm_srb.srb_status, SRB_STATUS_SUCCESS);
	assert_int_equal(reply.vm_srb.data_transfer_length, BLOCK);
	page = t.g->ram + t.data + (id - 1) * BLOCK;
	for (unsigned i = 0; i < BLOCK; i++)
		assert_int_equal(page[i], block[id - 1]);
	return (unsigned)id - 1;
}

static void a_read_goes_down_and_up_once(void **state)
{
	const unsigned block[DEPTH] = { 7 };

	trace_enable("all");
	assert_true(queue_read(7, 0));
	guest_channel_ring(&t.ch);
	finish_read(block);
	assert_true(guest_channel_signalled(&t.ch));
	assert_string_equal(t.events->str,
			    "vmbus.doorbell storvsp.submit block.submit "
			    "block.done storvsp.done vmbus.complete ");
}

/* Part of ASan's runtime; absent without it. */
int __sanitizer_install_malloc_and_free_hooks(
	void (*on_malloc)(const volatile void *p, size_t size),
	void (*on_free)(const volatile void *p)) __attribute__((weak));

static unsigned allocations;

static void count_malloc(const volatile void *p, size_t size)
{
	allocations++;
}

static void ignore_free(const volatile void *p)
{
}

static void requests_under_load_allocate_nothing(void **state)
{
	unsigned block[DEPTH], sent = 0, slot;

	if (!__sanitizer_install_malloc_and_free_hooks)
		skip();
	__sanitizer_install_malloc_and_free_hooks(count_malloc, ignore_free);
	for (; sent < DEPTH; sent++) {
		block[sent] = sent;
		if (queue_read(sent, sent))
			guest_channel_ring(&t.ch);
	}
	for (unsigned n = 0; n < MANY; n++) {
		if (n == WARM)
			allocations = 0;
		slot = finish_read(block);
		block[slot] = sent++ % DISK_BLOCKS;
		if (queue_read(block[slot], slot))
			guest_channel_ring(&t.ch);
	}
	assert_int_equal(allocations, 0);
	for (unsigned n = 0; n < DEPTH; n++)
		finish_read(block);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_read_goes_down_and_up_once,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			requests_under_load_allocate_nothing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
