/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A controller with a disk as LUN 1, and the guest's end of its channel. */
#ifndef TESTS_STORVSP_RIG_H
#define TESTS_STORVSP_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "backends/block_error.h"
#include "backends/block_limit.h"
#include "backends/block_mem.h"
#include "devices/storvsp/storvsp.h"
#include "devices/storvsp/storvsp_proto.h"
#include "fake_channel.h"

#define RAM_SIZE	(UINT64_C(4) << 20)
#define DISK_SIZE	(UINT64_C(1) << 20)
#define QUEUE_DEPTH	512
#define LUN_DEPTH	384
#define PAGES_MAX	300
#define SUBCHANNELS	3

static struct {
	struct loop *loop;
	uint8_t *ram;
	struct gmem_region region[2];
	struct gmem gm;
	struct block_backend *mem, *error;
	struct storvsp *sv;
	struct vmbus_channel *ch;
} t;

/* What comes with a request; length 0 makes it in-band. */
struct gpa_header {
	struct vmdata_gpa_direct head;
	struct gpa_range range;
	uint64_t pfn[PAGES_MAX];
};

static struct gpa_header header;
static size_t header_len;

/* Two regions that do not touch, so that there is a hole to point at. */
#define HIGH_GPA	(UINT64_C(1) << 32)

static int setup(void **state)
{
	const struct guid instance = GUID(1, 2, 3, 4, 5);
	const struct scsi_identity id = { .serial = "S" };

	t.loop = loop_new(NULL);
	t.ram = g_malloc0(RAM_SIZE);
	t.region[0] = (struct gmem_region){ 0, RAM_SIZE / 2, t.ram };
	t.region[1] = (struct gmem_region){ HIGH_GPA, RAM_SIZE / 2,
					    t.ram + RAM_SIZE / 2 };
	t.gm = (struct gmem){ t.region, 2 };
	t.mem = block_mem_new(t.loop, DISK_SIZE, 512);
	t.error = block_error_new(t.loop, t.mem);
	t.sv = storvsp_new(t.loop, &t.gm, &instance, SUBCHANNELS);
	assert_int_equal(storvsp_attach(t.sv, 1,
					scsi_disk_new(t.error, &id,
						      STORVSP_TRANSFER_MAX)),
			 0);
	t.ch = fake_open(storvsp_device(t.sv), 0);
	header_len = 0;
	return 0;
}

static void settle(void)
{
	while (loop_turn(t.loop, false))
		;
}

static void close_channel(struct vmbus_channel *ch)
{
	fake_close(ch);
	settle();
	fake_free(ch);
}

static int teardown(void **state)
{
	close_channel(t.ch);
	storvsp_free(t.sv);
	loop_free(t.loop);
	g_free(t.ram);
	return 0;
}

/* Send @p and return the answer's; asserts that there is exactly one. */
static struct vstor_packet exchange_on(struct vmbus_channel *ch,
				       const struct vstor_packet *p, size_t len)
{
	struct vstor_packet reply = { 0 };
	struct fake_answer *a;

	fake_send(ch, 7, NULL, 0, p, len);
	fake_kick(ch);
	settle();
	a = fake_answer(ch);
	assert_non_null(a);
	assert_int_equal(a->trans_id, 7);
	assert_int_equal(a->len, MIN(len, sizeof(reply)));
	memcpy(&reply, a->payload, a->len);
	assert_int_equal(reply.operation, VSTOR_OPERATION_COMPLETE_IO);
	g_free(a);
	assert_null(fake_answer(ch));
	return reply;
}

static uint32_t control(uint32_t operation)
{
	const struct vstor_packet p = { .operation = operation, .flags = 1 };

	return exchange_on(t.ch, &p, sizeof(p)).status;
}

static uint32_t query_version(uint16_t version)
{
	const struct vstor_packet p = {
		.operation = VSTOR_OPERATION_QUERY_PROTOCOL_VERSION,
		.version.major_minor = version,
	};
	struct vstor_packet reply = exchange_on(t.ch, &p, sizeof(p));

	assert_int_equal(reply.version.major_minor, version);
	return reply.status;
}

static void initialize(void)
{
	assert_int_equal(control(VSTOR_OPERATION_BEGIN_INITIALIZATION), 0);
	assert_int_equal(query_version(VMSTOR_WIN10), 0);
	assert_int_equal(control(VSTOR_OPERATION_QUERY_PROPERTIES), 0);
	assert_int_equal(control(VSTOR_OPERATION_END_INITIALIZATION), 0);
}

static int setup_ready(void **state)
{
	setup(state);
	initialize();
	return 0;
}

/*
 * Requests.
 */
/* One range that begins @offset into @first and goes on page by page. */
static void set_range(uint32_t bytes, uint32_t offset, uint64_t first)
{
	unsigned pages = (unsigned)((offset + bytes + 4095) / 4096);

	header = (struct gpa_header){
		.head.range_cnt = 1, .range = { bytes, offset },
	};
	for (unsigned i = 0; i < pages && i < PAGES_MAX; i++)
		header.pfn[i] = first + i;
	header_len = offsetof(struct gpa_header, pfn) + 8 * pages;
}

static struct vstor_packet srb(const char *cdb, uint8_t cdb_len,
			       enum vstor_data_in dir, uint32_t len)
{
	struct vstor_packet p = {
		.operation = VSTOR_OPERATION_EXECUTE_SRB, .flags = 1,
		.vm_srb = {
			.length = sizeof(p.vm_srb), .lun = 1,
			.cdb_length = cdb_len, .sense_info_length = 20,
			.data_in = (uint8_t)dir, .data_transfer_length = len,
		},
	};

	memcpy(p.vm_srb.cdb, cdb, cdb_len);
	return p;
}

#define CDB6(s)		s "\0\0\0\0\0\0", 6
#define READ10(blocks)	"\x28\0\0\0\0\0\0\0" blocks "\0", 10
#define WRITE10(blocks)	"\x2a\0\0\0\0\0\0\0" blocks "\0", 10

static void send_srb(struct vmbus_channel *ch, uint64_t id,
		     const struct vstor_packet *p)
{
	fake_send(ch, id, header_len ? &header : NULL, header_len, p,
		  sizeof(*p));
}

static struct vstor_packet execute(const struct vstor_packet *p)
{
	struct vstor_packet reply;
	struct fake_answer *a;

	send_srb(t.ch, 0x1234567800000009, p);
	fake_kick(t.ch);
	settle();
	a = fake_answer(t.ch);
	assert_non_null(a);
	assert_int_equal(a->trans_id, 0x1234567800000009);
	assert_int_equal(a->len, sizeof(reply));
	memcpy(&reply, a->payload, sizeof(reply));
	g_free(a);
	assert_null(fake_answer(t.ch));
	assert_int_equal(reply.operation, VSTOR_OPERATION_COMPLETE_IO);
	assert_false(t.ch->busy);
	return reply;
}

static void expect_srb(const struct vstor_packet *reply, uint8_t srb_status,
		       uint32_t status, uint32_t len)
{
	assert_int_equal(reply->vm_srb.srb_status, srb_status);
	assert_int_equal(reply->status, status);
	assert_int_equal(reply->vm_srb.data_transfer_length, len);
}

#endif
