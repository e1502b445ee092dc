/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storvsp_rig.h"

static void expect_rejected(const struct vstor_packet *p)
{
	const struct vstor_packet reply = execute(p);

	expect_srb(&reply, SRB_STATUS_INVALID_REQUEST,
		   VSTOR_STATUS_INVALID_DEVICE_REQUEST, 0);
}

static void initialization_goes_step_by_step(void **state)
{
	static const uint32_t ops[] = {
		VSTOR_OPERATION_BEGIN_INITIALIZATION,
		VSTOR_OPERATION_QUERY_PROTOCOL_VERSION,
		VSTOR_OPERATION_QUERY_PROPERTIES,
		VSTOR_OPERATION_END_INITIALIZATION,
	};

	for (unsigned step = 0; step <= 4; step++) {
		for (uint32_t op = 0; op < 20; op++) {
			bool ready = step == 4 &&
				     (op == VSTOR_OPERATION_EXECUTE_SRB ||
				      op == VSTOR_OPERATION_CREATE_SUB_CHANNELS ||
				      (op >= VSTOR_OPERATION_RESET_LUN &&
				       op <= VSTOR_OPERATION_RESET_BUS));

			if ((step < 4 && op == ops[step]) || ready)
				continue;
			assert_int_equal(control(op),
					 VSTOR_STATUS_INVALID_DEVICE_STATE);
		}
		if (step == 1)
			assert_int_equal(query_version(VMSTOR_WIN8), 0);
		else if (step < 4)
			assert_int_equal(control(ops[step]), 0);
	}
	assert_int_equal(control(VSTOR_OPERATION_RESET_LUN), 0);
	assert_int_equal(control(VSTOR_OPERATION_RESET_ADAPTER), 0);
	assert_int_equal(control(VSTOR_OPERATION_RESET_BUS), 0);
}

static void an_unknown_version_leaves_room_for_another_try(void **state)
{
	static const uint16_t known[] = {
		VMSTOR_WIN10, VMSTOR_WIN8_1, VMSTOR_WIN8, VMSTOR_WIN7,
		VMSTOR_WIN6,
	};

	assert_int_equal(control(VSTOR_OPERATION_BEGIN_INITIALIZATION), 0);
	assert_int_equal(query_version(0), VSTOR_STATUS_REVISION_MISMATCH);
	assert_int_equal(query_version(0x0603), VSTOR_STATUS_REVISION_MISMATCH);
	assert_int_equal(query_version(0xffff), VSTOR_STATUS_REVISION_MISMATCH);
	for (unsigned i = 0; i < G_N_ELEMENTS(known); i++) {
		if (i) {
			close_channel(t.ch);
			t.ch = fake_open(storvsp_device(t.sv), 0);
			control(VSTOR_OPERATION_BEGIN_INITIALIZATION);
		}
		assert_int_equal(query_version(known[i]), 0);
	}
}

static void properties_promise_subchannels_to_those_who_know_them(void **state)
{
	static const struct { uint16_t version; unsigned count; } cases[] = {
		{ VMSTOR_WIN7, 0 }, { VMSTOR_WIN8, SUBCHANNELS },
		{ VMSTOR_WIN10, SUBCHANNELS },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct vstor_packet p = {
			.operation = VSTOR_OPERATION_QUERY_PROPERTIES,
		};
		struct vmstorage_channel_properties *pr =
			&p.channel_properties;

		close_channel(t.ch);
		t.ch = fake_open(storvsp_device(t.sv), 0);
		control(VSTOR_OPERATION_BEGIN_INITIALIZATION);
		query_version(cases[i].version);
		p = exchange_on(t.ch, &p, sizeof(p));
		assert_int_equal(pr->max_channel_cnt, cases[i].count);
		assert_int_equal(pr->flags, cases[i].count ? 1 : 0);
		assert_int_equal(pr->max_transfer_bytes, STORVSP_TRANSFER_MAX);
	}
}

static void subchannels_are_offered_once_and_as_many_as_accepted(void **state)
{
	struct vstor_packet p = {
		.operation = VSTOR_OPERATION_CREATE_SUB_CHANNELS,
	};

	assert_int_equal(exchange_on(t.ch, &p, 64).status,
			 VSTOR_STATUS_INVALID_PARAMETER);
	p.sub_channel_count = SUBCHANNELS + 1;
	assert_int_equal(exchange_on(t.ch, &p, 64).status,
			 VSTOR_STATUS_INVALID_PARAMETER);
	assert_int_equal(t.ch->subchannels, 0);
	p.sub_channel_count = SUBCHANNELS;
	assert_int_equal(exchange_on(t.ch, &p, 64).status, 0);
	assert_int_equal(t.ch->subchannels, SUBCHANNELS);
	assert_int_equal(exchange_on(t.ch, &p, 64).status,
			 VSTOR_STATUS_INVALID_PARAMETER);
}

static void a_subchannel_carries_requests_and_nothing_else(void **state)
{
	struct vmbus_channel *sub = fake_open(storvsp_device(t.sv), 1);
	struct vstor_packet p = srb(CDB6("\0"), UNKNOWN_TYPE, 0);

	p = exchange_on(sub, &p, sizeof(p));
	expect_srb(&p, SRB_STATUS_SUCCESS, 0, 0);
	for (uint32_t op = 0; op < 20; op++) {
		p = (struct vstor_packet){ .operation = op };
		if (op != VSTOR_OPERATION_EXECUTE_SRB)
			assert_int_equal(exchange_on(sub, &p, 64).status,
					 VSTOR_STATUS_INVALID_DEVICE_STATE);
	}
	/* Once the first channel is opened anew, it has to be set up first. */
	close_channel(t.ch);
	t.ch = fake_open(storvsp_device(t.sv), 0);
	p = srb(CDB6("\0"), UNKNOWN_TYPE, 0);
	assert_int_equal(exchange_on(sub, &p, 64).status,
			 VSTOR_STATUS_INVALID_DEVICE_STATE);
	close_channel(sub);
}

static void packets_are_answered_in_their_own_size(void **state)
{
	const struct vstor_packet p = srb(CDB6("\0"), UNKNOWN_TYPE, 0);
	uint8_t large[FAKE_PAYLOAD_MAX] = { 0 };

	for (size_t len = 0; len < VSTOR_PACKET_MIN; len++) {
		fake_send(t.ch, 1, NULL, 0, &p, len);
		fake_kick(t.ch);
		assert_null(fake_answer(t.ch));
	}
	for (size_t len = VSTOR_PACKET_MIN; len <= sizeof(p); len++)
		assert_int_equal(exchange_on(t.ch, &p, len).status, 0);
	memcpy(large, &p, sizeof(p));
	for (size_t len = sizeof(p); len <= sizeof(large); len++)
		assert_int_equal(exchange_on(t.ch, (void *)large, len).status,
				 0);
	/* Whoever uses id 0 wants no answer; nothing is lost by it. */
	for (unsigned i = 0; i < 2 * QUEUE_DEPTH; i++)
		fake_send(t.ch, 0, NULL, 0, &p, sizeof(p));
	fake_kick(t.ch);
	assert_null(fake_answer(t.ch));
	assert_int_equal(exchange_on(t.ch, &p, sizeof(p)).status, 0);
}

static void packets_of_other_kinds_are_dropped(void **state)
{
	const struct vstor_packet p = srb(CDB6("\0"), UNKNOWN_TYPE, 0);
	static const uint16_t types[] = { 0, VM_PKT_DATA_USING_XFER_PAGES,
					  VM_PKT_COMP, 0xffff };

	for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
		struct fake_packet *sent;

		fake_send(t.ch, 1, NULL, 0, &p, sizeof(p));
		sent = g_queue_peek_tail(&t.ch->packets);
		sent->desc.type = types[i];
		fake_kick(t.ch);
		assert_null(fake_answer(t.ch));
	}
}

static void data_moves_between_the_disk_and_the_pages_named(void **state)
{
	struct vstor_packet p = srb(WRITE10("\x0c"), WRITE_TYPE, 12 * 512);

	/* 6 KiB from 100 before a page's end, over pages out of order. */
	set_range(12 * 512, 3996, 5);
	header.pfn[1] = (HIGH_GPA + RAM_SIZE / 2) / 4096 - 1;
	header.pfn[2] = 3;
	memset(t.ram + 5 * 4096 + 3996, 'a', 100);
	memset(t.ram + RAM_SIZE - 4096, 'b', 4096);
	memset(t.ram + 3 * 4096, 'c', 12 * 512 - 4196);
	p = execute(&p);
	expect_srb(&p, SRB_STATUS_SUCCESS, 0, 12 * 512);
	assert_int_equal(block_mem_bytes(t.mem)[99], 'a');
	assert_int_equal(block_mem_bytes(t.mem)[100], 'b');
	assert_int_equal(block_mem_bytes(t.mem)[4195], 'b');
	assert_int_equal(block_mem_bytes(t.mem)[4196], 'c');
	assert_int_equal(block_mem_bytes(t.mem)[12 * 512 - 1], 'c');
	assert_int_equal(block_mem_bytes(t.mem)[12 * 512], 0);

	memset(t.ram, 0, RAM_SIZE);
	p = srb(READ10("\x0c"), READ_TYPE, 12 * 512);
	p = execute(&p);
	expect_srb(&p, SRB_STATUS_SUCCESS, 0, 12 * 512);
	assert_int_equal(t.ram[5 * 4096 + 3995], 0);
	assert_int_equal(t.ram[5 * 4096 + 3996], 'a');
	assert_int_equal(t.ram[RAM_SIZE - 1], 'b');
	assert_int_equal(t.ram[3 * 4096 + 12 * 512 - 4196 - 1], 'c');
	assert_int_equal(t.ram[3 * 4096 + 12 * 512 - 4196], 0);
}

static void the_largest_transfer_works_from_any_offset(void **state)
{
	struct vstor_packet p = srb("\x28\0\0\0\0\0\0\x08\0\0", 10, READ_TYPE,
				    STORVSP_TRANSFER_MAX);

	for (uint32_t offset = 0; offset < 4096; offset += 4095) {
		struct vstor_packet reply;

		set_range(STORVSP_TRANSFER_MAX, offset, 1);
		/* No two pages are neighbours. */
		for (unsigned i = 0; i < 257; i++)
			header.pfn[i] = 1 + (i * 2) % 511;
		reply = execute(&p);
		expect_srb(&reply, SRB_STATUS_SUCCESS, 0, STORVSP_TRANSFER_MAX);
	}
	p.vm_srb.data_transfer_length++;
	set_range(STORVSP_TRANSFER_MAX + 1, 0, 1);
	expect_rejected(&p);
	p.vm_srb.data_transfer_length = UINT32_MAX;
	expect_rejected(&p);
}

static void a_range_must_cover_the_transfer_with_ram(void **state)
{
	const struct vstor_packet p = srb(READ10("\x10"), READ_TYPE, 8192);
	static const uint64_t bad[] = {
		RAM_SIZE / 2 / 4096, HIGH_GPA / 4096 - 1,
		(HIGH_GPA + RAM_SIZE / 2) / 4096, UINT64_MAX / 4096,
		UINT64_MAX / 4096 + 1, UINT64_MAX,
	};
	size_t full;

	set_range(8192, 100, 1);
	full = header_len;
	for (header_len = 1; header_len < full; header_len++)
		expect_rejected(&p);
	header.head.range_cnt = 0;
	expect_rejected(&p);
	header.head.range_cnt = 2;
	expect_rejected(&p);
	header.head.range_cnt = UINT32_MAX;
	expect_rejected(&p);
	header.head.range_cnt = 1;
	header.range.byte_count = 8191;
	expect_rejected(&p);
	header.range.byte_count = UINT32_MAX;	/* more than asked: fine */
	header.range.byte_offset = 4096;
	expect_rejected(&p);
	header.range.byte_offset = UINT32_MAX;
	expect_rejected(&p);
	header.range.byte_offset = 0;
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		for (unsigned at = 0; at < 2; at++) {
			header.pfn[0] = header.pfn[1] = 1;
			header.pfn[at] = bad[i];
			expect_rejected(&p);
		}
	}
	/* Data, but no pages at all. */
	header_len = 0;
	expect_rejected(&p);
	assert_int_equal(block_mem_count(t.mem, BLOCK_READ), 0);
}

static void fields_of_a_request_are_checked(void **state)
{
	struct vstor_packet p = srb(CDB6("\0"), UNKNOWN_TYPE, 0);

	p.vm_srb.cdb_length = 0;
	expect_rejected(&p);
	p.vm_srb.cdb_length = 17;
	expect_rejected(&p);
	p.vm_srb.cdb_length = 255;
	expect_rejected(&p);
	p.vm_srb.cdb_length = 16;
	p = execute(&p);
	expect_srb(&p, SRB_STATUS_SUCCESS, 0, 0);
	p = srb(CDB6("\0"), 3, 0);
	expect_rejected(&p);
	p = srb(CDB6("\0"), 255, 0);
	expect_rejected(&p);
}

static void sense_goes_with_the_answer_cut_to_what_was_asked(void **state)
{
	for (unsigned room = 0; room < 256; room++) {
		struct vstor_packet p = srb(CDB6("\xff"), UNKNOWN_TYPE, 0);
		unsigned len = MIN(room, 18);

		p.vm_srb.sense_info_length = (uint8_t)room;
		p = execute(&p);
		expect_srb(&p, SRB_STATUS_ERROR |
			   (len ? SRB_STATUS_AUTOSENSE_VALID : 0),
			   VSTOR_STATUS_IO_DEVICE_ERROR, 0);
		assert_int_equal(p.vm_srb.scsi_status, 2);
		assert_int_equal(p.vm_srb.sense_info_length, len);
		if (len > 13)
			assert_int_equal(p.vm_srb.sense_data[12], 0x20);
		for (unsigned i = len; i < VMSCSI_SENSE_MAX; i++)
			assert_int_equal(p.vm_srb.sense_data[i], 0);
	}
}

/* The first page of RAM, as stale as a guest's buffer can be. */
static void stale_buffer(uint32_t len)
{
	set_range(len, 0, 1);
	memset(t.ram + 4096, 0xee, 4096);
}

static void an_absent_lun_says_so_in_its_inquiry(void **state)
{
	static const struct { uint8_t path, target, lun; } absent[] = {
		{ 0, 0, 0 }, { 0, 0, 2 }, { 0, 0, 63 }, { 0, 0, 64 },
		{ 0, 0, 255 }, { 0, 1, 1 }, { 1, 0, 1 }, { 255, 255, 1 },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(absent); i++) {
		struct vstor_packet p = srb("\x12\0\0\0\x24\0", 6, READ_TYPE,
					    36);
		bool target = !absent[i].path && !absent[i].target;
		uint8_t error = target ? SRB_STATUS_INVALID_LUN :
					 SRB_STATUS_INVALID_TARGET_ID;

		stale_buffer(36);
		p.vm_srb.path_id = absent[i].path;
		p.vm_srb.target_id = absent[i].target;
		p.vm_srb.lun = absent[i].lun;
		p = execute(&p);
		expect_srb(&p, SRB_STATUS_SUCCESS, 0, 36);
		assert_int_equal(t.ram[4096], 0x7f);
		assert_int_equal(t.ram[4096 + 36], 0xee);

		/* Linux takes these for successes: let it read zeroes. */
		stale_buffer(36);
		p = srb("\x12\x01\x83\0\x24\0", 6, READ_TYPE, 36);
		p.vm_srb.path_id = absent[i].path;
		p.vm_srb.target_id = absent[i].target;
		p.vm_srb.lun = absent[i].lun;
		p = execute(&p);
		expect_srb(&p, error, VSTOR_STATUS_DEVICE_DOES_NOT_EXIST, 0);
		assert_int_equal(t.ram[4096], 0);
		assert_int_equal(t.ram[4096 + 35], 0);
		assert_int_equal(t.ram[4096 + 36], 0xee);

		header_len = 0;
		p = srb(CDB6("\0"), UNKNOWN_TYPE, 0);
		p.vm_srb.path_id = absent[i].path;
		p.vm_srb.target_id = absent[i].target;
		p.vm_srb.lun = absent[i].lun;
		p = execute(&p);
		expect_srb(&p, error, VSTOR_STATUS_DEVICE_DOES_NOT_EXIST, 0);
	}
}

static void failures_that_linux_ignores_leave_zeroes(void **state)
{
	struct vstor_packet p = srb("\x12\x01\x89\0\x24\0", 6, READ_TYPE, 36);

	stale_buffer(36);
	p = execute(&p);
	expect_srb(&p, SRB_STATUS_ERROR | SRB_STATUS_AUTOSENSE_VALID,
		   VSTOR_STATUS_IO_DEVICE_ERROR, 0);
	assert_int_equal(t.ram[4096], 0);
	assert_int_equal(t.ram[4096 + 35], 0);
	assert_int_equal(t.ram[4096 + 36], 0xee);
	stale_buffer(4);
	p = srb("\x1a\0\x1c\0\x04\0", 6, READ_TYPE, 4);
	execute(&p);
	assert_int_equal(t.ram[4096], 0);
	stale_buffer(8);
	p = srb("\x5a\0\x1c\0\0\0\0\0\x08\0", 10, READ_TYPE, 8);
	execute(&p);
	assert_int_equal(t.ram[4096 + 7], 0);
	/* Nobody's buffer is touched by what fails otherwise. */
	stale_buffer(512);
	p = srb("\x28\0\xff\0\0\0\0\0\x01\0", 10, READ_TYPE, 512);
	execute(&p);
	assert_int_equal(t.ram[4096], 0xee);
}

static void report_luns_lists_the_disks_of_target_0(void **state)
{
	struct vstor_packet p = srb("\xa0\0\0\0\0\0\0\0\x02\0\0\0", 12,
				    READ_TYPE, 512);
	struct vstor_packet reply;

	stale_buffer(512);
	p.vm_srb.lun = 0;	/* although there is none */
	reply = execute(&p);
	expect_srb(&reply, SRB_STATUS_SUCCESS, 0, 16);
	assert_memory_equal(t.ram + 4096, "\0\0\0\x08\0\0\0\0\0\x01\0\0\0\0\0",
			    16);
	assert_int_equal(t.ram[4096 + 16], 0xee);

	/* Never more than was allowed. */
	stale_buffer(512);
	p.vm_srb.cdb[8] = 0;
	p.vm_srb.cdb[9] = 8;
	reply = execute(&p);
	expect_srb(&reply, SRB_STATUS_SUCCESS, 0, 8);
	assert_int_equal(t.ram[4096 + 3], 8);
	assert_int_equal(t.ram[4096 + 8], 0xee);

	stale_buffer(512);
	p.vm_srb.cdb[8] = 2;
	p.vm_srb.target_id = 1;
	reply = execute(&p);
	expect_srb(&reply, SRB_STATUS_SUCCESS, 0, 8);
	assert_int_equal(t.ram[4096 + 3], 0);
}

static void errors_of_the_disk_arrive_with_sense(void **state)
{
	const struct block_error_rule rule = { .ops = ~0u, .error = -5 };
	struct vstor_packet p = srb(READ10("\x01"), READ_TYPE, 512);

	block_error_set(t.error, &rule);
	set_range(512, 0, 1);
	p = execute(&p);
	expect_srb(&p, SRB_STATUS_ERROR | SRB_STATUS_AUTOSENSE_VALID,
		   VSTOR_STATUS_IO_DEVICE_ERROR, 0);
	assert_int_equal(p.vm_srb.sense_data[2], 3);
	assert_int_equal(p.vm_srb.sense_data[12], 0x11);
}

static unsigned count_answers(void)
{
	struct fake_answer *a;
	unsigned n = 0;

	while ((a = fake_answer(t.ch))) {
		struct vstor_packet p;

		memcpy(&p, a->payload, sizeof(p));
		assert_int_equal(p.vm_srb.srb_status, SRB_STATUS_SUCCESS);
		assert_int_equal(a->trans_id, 1000 + n++ % QUEUE_DEPTH);
		g_free(a);
	}
	return n;
}

static void what_the_pool_cannot_take_waits_in_the_ring(void **state)
{
	const struct vstor_packet p = srb(READ10("\x01"), READ_TYPE, 512);

	set_range(512, 0, 1);
	block_error_hold(t.error, true);
	for (unsigned i = 0; i < 2 * QUEUE_DEPTH; i++)
		send_srb(t.ch, 1000 + i % QUEUE_DEPTH, &p);
	fake_kick(t.ch);
	fake_kick(t.ch);
	settle();
	assert_int_equal(count_answers(), 0);
	assert_true(t.ch->busy);
	assert_int_equal(g_queue_get_length(&t.ch->packets), QUEUE_DEPTH);

	block_error_hold(t.error, false);
	settle();
	assert_int_equal(count_answers(), QUEUE_DEPTH);
	assert_false(t.ch->busy);
	fake_kick(t.ch);
	settle();
	assert_int_equal(count_answers(), QUEUE_DEPTH);
	assert_int_equal(g_queue_get_length(&t.ch->packets), 0);
}

/* The answers that there are now; those with @srb_status and @status. */
static unsigned count_answers_with(uint8_t srb_status, uint8_t status)
{
	struct fake_answer *a;
	struct vstor_packet p;
	unsigned n = 0;

	while ((a = fake_answer(t.ch))) {
		memcpy(&p, a->payload, sizeof(p));
		n += p.vm_srb.srb_status == srb_status &&
		     p.vm_srb.scsi_status == status;
		g_free(a);
	}
	return n;
}

/* LUN 1, which does not answer, gets all that there is room for. */
static void fill_slow_disk(void)
{
	const struct vstor_packet p = srb(READ10("\x01"), READ_TYPE, 512);

	set_range(512, 0, 1);
	block_error_hold(t.error, true);
	for (unsigned i = 0; i < QUEUE_DEPTH; i++)
		send_srb(t.ch, 1 + i, &p);
	fake_kick(t.ch);
	fake_kick(t.ch);
	settle();
}

/* LUN 2, which the guest knows already. */
static void attach_other(void)
{
	const struct scsi_identity id = { .serial = "fast" };
	struct block_backend *mem = block_mem_new(t.loop, DISK_SIZE, 512);
	const struct vstor_packet p = srb(CDB6("\0"), UNKNOWN_TYPE, 0);

	storvsp_attach(t.sv, 2, scsi_disk_new(mem, &id, STORVSP_TRANSFER_MAX));
	settle();
	g_free(fake_answer(t.ch));	/* to enumerate */
	execute(&p);
}

static void a_slow_disk_leaves_some_requests_to_others(void **state)
{
	struct vstor_packet p = srb(READ10("\x01"), READ_TYPE, 512);

	attach_other();
	for (unsigned i = 0; i < 3; i++) {
		fill_slow_disk();
		assert_int_equal(count_answers_with(SRB_STATUS_BUSY,
						    SCSI_TASK_SET_FULL),
				 QUEUE_DEPTH - LUN_DEPTH);
		p.vm_srb.lun = 2;
		send_srb(t.ch, 1, &p);
		fake_kick(t.ch);
		settle();
		assert_int_equal(count_answers_with(SRB_STATUS_SUCCESS,
						    SCSI_GOOD), 1);
		block_error_hold(t.error, false);
		settle();
		assert_int_equal(count_answers_with(SRB_STATUS_SUCCESS,
						    SCSI_GOOD), LUN_DEPTH);
	}
}

/* Linux would believe in what is in its buffer. */
static void an_inquiry_of_a_busy_disk_is_answered(void **state)
{
	struct vstor_packet p = srb(CDB6("\x12"), READ_TYPE, 36);

	attach_other();
	fill_slow_disk();
	assert_int_equal(count_answers_with(SRB_STATUS_BUSY,
					    SCSI_TASK_SET_FULL),
			 QUEUE_DEPTH - LUN_DEPTH);
	set_range(36, 0, 1);
	p.vm_srb.cdb[4] = 36;
	send_srb(t.ch, 1, &p);
	fake_kick(t.ch);
	settle();
	assert_int_equal(count_answers_with(SRB_STATUS_SUCCESS, SCSI_GOOD), 1);
	block_error_hold(t.error, false);
	settle();
	assert_int_equal(count_answers_with(SRB_STATUS_SUCCESS, SCSI_GOOD),
			 LUN_DEPTH);
}

/* Each one keeps the pages that it came with. */
static void requests_under_way_do_not_share_their_pages(void **state)
{
	struct vstor_packet p = srb(READ10("\x01"), READ_TYPE, 512);

	block_error_hold(t.error, true);
	for (unsigned i = 0; i < QUEUE_DEPTH; i++) {
		memset(block_mem_bytes(t.mem) + i * 512, (int)(i % 251), 512);
		p.vm_srb.cdb[4] = (uint8_t)(i >> 8);
		p.vm_srb.cdb[5] = (uint8_t)i;
		set_range(512, 512 * (i % 8), 1 + i / 8);
		send_srb(t.ch, 1000 + i, &p);
	}
	fake_kick(t.ch);
	block_error_hold(t.error, false);
	settle();
	assert_int_equal(count_answers(), QUEUE_DEPTH);
	for (unsigned i = 0; i < 512 * QUEUE_DEPTH; i++)
		assert_int_equal(t.ram[4096 + i], i / 512 % 251);
}

/* Each error path gives back what it took from the pool. */
static void nothing_that_fails_leaks_from_the_pool(void **state)
{
	struct vstor_packet bad[5] = {
		srb(CDB6("\xff"), UNKNOWN_TYPE, 0),
		srb(CDB6("\0"), UNKNOWN_TYPE, 0),
		srb(CDB6("\0"), 9, 0),
		srb(READ10("\x01"), READ_TYPE, 512),
		srb("\xa0\0\0\0\0\0\0\0\x02\0\0\0", 12, READ_TYPE, 512),
	};
	unsigned n = 0;

	bad[1].vm_srb.lun = 200;
	header_len = 0;
	for (unsigned i = 0; i < 5; i++)
		for (unsigned k = 0; k <= QUEUE_DEPTH; k++)
			send_srb(t.ch, ++n, &bad[i]);
	fake_kick(t.ch);
	settle();
	assert_int_equal(g_queue_get_length(&t.ch->answers), n);
	assert_false(t.ch->busy);
	g_queue_clear_full(&t.ch->answers, g_free);
}

static void closing_waits_for_requests_under_way(void **state)
{
	const struct vstor_packet p = srb(READ10("\x01"), READ_TYPE, 512);

	set_range(512, 0, 1);
	block_error_hold(t.error, true);
	for (unsigned i = 0; i < 3; i++)
		send_srb(t.ch, 1 + i, &p);
	fake_kick(t.ch);
	send_srb(t.ch, 9, &p);
	fake_close(t.ch);
	settle();
	assert_false(t.ch->closed);
	block_error_hold(t.error, false);
	settle();
	assert_true(t.ch->closed);
	assert_null(fake_answer(t.ch));
	fake_free(t.ch);

	/* And it can be opened again, from the beginning. */
	t.ch = fake_open(storvsp_device(t.sv), 0);
	assert_int_equal(control(VSTOR_OPERATION_END_INITIALIZATION),
			 VSTOR_STATUS_INVALID_DEVICE_STATE);
	initialize();
	assert_int_equal(block_mem_count(t.mem, BLOCK_READ), 3);
}

static void closing_does_not_wait_for_a_slow_disk(void **state)
{
	const struct block_limits limits = { .ops = 1 };
	const struct scsi_identity id = { .serial = "slow" };
	struct block_backend *mem = block_mem_new(t.loop, DISK_SIZE, 512);
	struct vstor_packet p = srb(READ10("\x01"), READ_TYPE, 512);

	storvsp_attach(t.sv, 2,
		       scsi_disk_new(block_limit_new(t.loop, mem, &limits),
				     &id, STORVSP_TRANSFER_MAX));
	g_free(fake_answer(t.ch));	/* to enumerate */
	p.vm_srb.lun = 2;
	set_range(512, 0, 1);
	for (unsigned i = 0; i < LUN_DEPTH; i++)
		send_srb(t.ch, 1 + i, &p);
	fake_kick(t.ch);
	settle();
	assert_int_equal(g_queue_get_length(&t.ch->answers), 1);
	fake_close(t.ch);
	settle();
	assert_true(t.ch->closed);
	assert_int_equal(block_mem_count(mem, BLOCK_READ), LUN_DEPTH);
	g_queue_clear_full(&t.ch->answers, g_free);
	fake_free(t.ch);
	t.ch = fake_open(storvsp_device(t.sv), 0);
}

static void an_idle_channel_closes_at_once(void **state)
{
	fake_close(t.ch);
	assert_true(t.ch->closed);
	fake_free(t.ch);
	t.ch = fake_open(storvsp_device(t.sv), 0);
}

static void disks_have_their_places(void **state)
{
	const struct scsi_identity id = { 0 };
	struct scsi_lun *lun = scsi_disk_new(block_mem_new(t.loop, 512, 512),
					     &id, 512);

	assert_int_equal(storvsp_attach(t.sv, 1, lun), -EEXIST);
	assert_int_equal(storvsp_attach(t.sv, STORVSP_LUN_MAX, lun), -EINVAL);
	assert_int_equal(storvsp_attach(t.sv, STORVSP_LUN_MAX - 1, lun), 0);
}

/* The drive of LUN 2 has a disc, and the guest has locked it. */
static void lock(struct scsi_lun *drive)
{
	struct vstor_packet p = srb("\x1e\0\0\0\1\0", 6, UNKNOWN_TYPE, 0);
	struct block_backend *bb = block_mem_new(t.loop, 2048, 512);

	if (scsi_dvd_insert(drive, bb))
		block_close(bb);
	p.vm_srb.lun = 2;
	execute(&p);		/* it may meet an attention */
	execute(&p);
	assert_int_equal(scsi_dvd_eject(drive, false), -EBUSY);
}

static void resets_reach_the_luns_that_they_are_for(void **state)
{
	static const struct { uint32_t operation; uint8_t lun; int eject; }
	cases[] = {
		{ VSTOR_OPERATION_RESET_LUN, 1, -EBUSY },
		{ VSTOR_OPERATION_RESET_LUN, 63, -EBUSY },
		{ VSTOR_OPERATION_RESET_LUN, 255, -EBUSY },
		{ VSTOR_OPERATION_RESET_LUN, 2, 0 },
		{ VSTOR_OPERATION_RESET_BUS, 1, 0 },
		{ VSTOR_OPERATION_RESET_ADAPTER, 1, 0 },
	};
	const struct scsi_identity id = { 0 };
	struct scsi_lun *drive = scsi_dvd_new(NULL, &id,
					      STORVSP_TRANSFER_MAX);

	assert_null(storvsp_lun(t.sv, 2));
	assert_int_equal(storvsp_attach(t.sv, 2, drive), 0);
	g_free(fake_answer(t.ch));	/* to enumerate */
	assert_ptr_equal(storvsp_lun(t.sv, 2), drive);
	assert_null(storvsp_lun(t.sv, STORVSP_LUN_MAX));
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		const struct vstor_packet p = {
			.operation = cases[i].operation, .flags = 1,
			.vm_srb.lun = cases[i].lun,
		};

		lock(drive);
		assert_int_equal(exchange_on(t.ch, &p, sizeof(p)).status, 0);
		assert_int_equal(scsi_dvd_eject(drive, false), cases[i].eject);
	}
	/* A driver that comes anew finds nothing locked. */
	lock(drive);
	close_channel(t.ch);
	t.ch = fake_open(storvsp_device(t.sv), 0);
	assert_int_equal(scsi_dvd_eject(drive, false), 0);
}

#define FRESH(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
#define READY(f)	cmocka_unit_test_setup_teardown(f, setup_ready, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FRESH(initialization_goes_step_by_step),
		FRESH(an_unknown_version_leaves_room_for_another_try),
		FRESH(properties_promise_subchannels_to_those_who_know_them),
		READY(subchannels_are_offered_once_and_as_many_as_accepted),
		READY(a_subchannel_carries_requests_and_nothing_else),
		READY(packets_are_answered_in_their_own_size),
		READY(packets_of_other_kinds_are_dropped),
		READY(data_moves_between_the_disk_and_the_pages_named),
		READY(the_largest_transfer_works_from_any_offset),
		READY(a_range_must_cover_the_transfer_with_ram),
		READY(fields_of_a_request_are_checked),
		READY(sense_goes_with_the_answer_cut_to_what_was_asked),
		READY(an_absent_lun_says_so_in_its_inquiry),
		READY(failures_that_linux_ignores_leave_zeroes),
		READY(report_luns_lists_the_disks_of_target_0),
		READY(errors_of_the_disk_arrive_with_sense),
		READY(what_the_pool_cannot_take_waits_in_the_ring),
		READY(a_slow_disk_leaves_some_requests_to_others),
		READY(an_inquiry_of_a_busy_disk_is_answered),
		READY(requests_under_way_do_not_share_their_pages),
		READY(nothing_that_fails_leaks_from_the_pool),
		READY(closing_waits_for_requests_under_way),
		READY(closing_does_not_wait_for_a_slow_disk),
		READY(an_idle_channel_closes_at_once),
		FRESH(disks_have_their_places),
		READY(resets_reach_the_luns_that_they_are_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
