/* SPDX-License-Identifier: GPL-2.0-or-later */
/* LUNs that come and go while the guest uses the controller. */
#include "core/util.h"
#include "storvsp_rig.h"

#define UNIT_ATTENTION	6

static struct scsi_lun *new_lun(void)
{
	const struct scsi_identity id = { .serial = "N" };

	return scsi_disk_new(block_mem_new(t.loop, DISK_SIZE, 512), &id,
			     STORVSP_TRANSFER_MAX);
}

static int attach(unsigned number)
{
	struct scsi_lun *lun = new_lun();
	int ret = storvsp_attach(t.sv, number, lun);

	if (ret)
		scsi_lun_free(lun);
	return ret;
}

struct detached {
	struct storvsp_detach d;
	unsigned done;
};

static void detach_done(struct storvsp_detach *d)
{
	container_of(d, struct detached, d)->done++;
}

static int detach(unsigned number, struct detached *d)
{
	*d = (struct detached){ .d.done = detach_done };
	return storvsp_detach(t.sv, number, &d->d);
}

/* How often the guest was asked to enumerate; nothing else was said. */
static unsigned asked_to_enumerate(size_t len)
{
	struct fake_answer *a;
	unsigned n = 0;

	settle();
	while ((a = fake_answer(t.ch))) {
		struct vstor_packet p = { 0 };

		assert_int_equal(a->trans_id, 0);
		assert_int_equal(a->len, len);
		memcpy(&p, a->payload, a->len);
		assert_int_equal(p.operation, VSTOR_OPERATION_ENUMERATE_BUS);
		g_free(a);
		n++;
	}
	return n;
}

static struct vstor_packet test_unit_ready(uint8_t lun)
{
	struct vstor_packet p = srb(CDB6("\0"), UNKNOWN_TYPE, 0);

	p.vm_srb.lun = lun;
	return execute(&p);
}

static void expect_there(uint8_t lun)
{
	const struct vstor_packet reply = test_unit_ready(lun);

	expect_srb(&reply, SRB_STATUS_SUCCESS, 0, 0);
}

static void expect_gone(uint8_t lun)
{
	const struct vstor_packet reply = test_unit_ready(lun);

	expect_srb(&reply, SRB_STATUS_INVALID_LUN,
		   VSTOR_STATUS_DEVICE_DOES_NOT_EXIST, 0);
}

static void expect_attention(uint8_t lun, uint8_t asc, uint8_t ascq)
{
	const struct vstor_packet reply = test_unit_ready(lun);
	const uint8_t *sense = reply.vm_srb.sense_data;

	assert_int_equal(reply.vm_srb.scsi_status, SCSI_CHECK_CONDITION);
	assert_int_equal(sense[2], UNIT_ATTENTION);
	assert_int_equal(sense[12], asc);
	assert_int_equal(sense[13], ascq);
}

static void report_luns(void)
{
	const struct vstor_packet p =
		srb("\xa0\0\0\0\0\0\0\0\0\x40\0\0", 12, UNKNOWN_TYPE, 0);
	const struct vstor_packet reply = execute(&p);

	assert_int_equal(reply.vm_srb.srb_status, SRB_STATUS_SUCCESS);
}

static void a_new_lun_is_told_and_there(void **state)
{
	assert_int_equal(attach(5), 0);
	assert_int_equal(asked_to_enumerate(sizeof(struct vstor_packet)), 1);
	expect_there(5);
	expect_attention(1, 0x3f, 0x0e);
	expect_there(1);
	assert_int_equal(attach(5), -EEXIST);
	assert_int_equal(attach(STORVSP_LUN_MAX), -EINVAL);
}

static void who_asks_which_luns_there_are_is_told_no_more(void **state)
{
	assert_int_equal(attach(5), 0);
	assert_int_equal(asked_to_enumerate(sizeof(struct vstor_packet)), 1);
	report_luns();
	expect_there(1);
}

static void a_lun_that_was_removed_is_absent(void **state)
{
	struct detached d;

	assert_int_equal(detach(1, &d), 0);
	settle();
	assert_int_equal(d.done, 1);
	assert_false(d.d.failed);
	assert_int_equal(asked_to_enumerate(sizeof(struct vstor_packet)), 1);
	expect_gone(1);
	assert_int_equal(storvsp_detach(t.sv, 1, &d.d), -ENODEV);
	assert_int_equal(storvsp_detach(t.sv, STORVSP_LUN_MAX, &d.d), -ENODEV);
	assert_null(storvsp_lun(t.sv, 1));
	scsi_lun_free(d.d.lun);
}

static void a_lun_leaves_when_its_requests_have_ended(void **state)
{
	const struct vstor_packet p = srb(READ10("\x08"), READ_TYPE, 4096);
	struct vstor_packet reply;
	struct fake_answer *a;
	struct detached d;

	block_error_hold(t.error, true);
	set_range(4096, 0, 1);
	send_srb(t.ch, 3, &p);
	fake_kick(t.ch);
	assert_int_equal(detach(1, &d), 0);
	assert_int_equal(asked_to_enumerate(sizeof(struct vstor_packet)), 1);
	assert_int_equal(storvsp_detach(t.sv, 1, &d.d), -EBUSY);
	assert_int_equal(attach(1), -EEXIST);
	assert_int_equal(d.done, 0);
	block_error_hold(t.error, false);
	settle();
	a = fake_answer(t.ch);
	assert_int_equal(a->trans_id, 3);
	memcpy(&reply, a->payload, sizeof(reply));
	expect_srb(&reply, SRB_STATUS_SUCCESS, 0, 4096);
	g_free(a);
	assert_int_equal(d.done, 1);
	header_len = 0;
	expect_gone(1);
	scsi_lun_free(d.d.lun);
}

static void while_it_leaves_it_is_absent(void **state)
{
	const struct vstor_packet read = srb(READ10("\x08"), READ_TYPE, 4096);
	const struct vstor_packet tur = srb(CDB6("\0"), UNKNOWN_TYPE, 0);
	struct vstor_packet reply;
	struct fake_answer *a;
	struct detached d;

	block_error_hold(t.error, true);
	set_range(4096, 0, 1);
	send_srb(t.ch, 3, &read);
	fake_kick(t.ch);
	assert_int_equal(detach(1, &d), 0);
	assert_int_equal(asked_to_enumerate(sizeof(struct vstor_packet)), 1);
	header_len = 0;
	send_srb(t.ch, 4, &tur);
	fake_kick(t.ch);
	a = fake_answer(t.ch);
	assert_int_equal(a->trans_id, 4);
	memcpy(&reply, a->payload, sizeof(reply));
	expect_srb(&reply, SRB_STATUS_INVALID_LUN,
		   VSTOR_STATUS_DEVICE_DOES_NOT_EXIST, 0);
	g_free(a);
	block_error_hold(t.error, false);
	settle();
	g_free(fake_answer(t.ch));
	assert_int_equal(d.done, 1);
	scsi_lun_free(d.d.lun);
}

static void what_cannot_be_made_stable_is_said(void **state)
{
	const struct block_error_rule rule = {
		.ops = 1u << BLOCK_FLUSH, .error = -EIO,
	};
	struct detached d;

	block_error_set(t.error, &rule);
	assert_int_equal(detach(1, &d), 0);
	settle();
	assert_int_equal(d.done, 1);
	assert_true(d.d.failed);
	scsi_lun_free(d.d.lun);
}

/* Or it would write what belongs to the old disk to the new one. */
static void a_place_is_free_when_the_guest_has_seen_it_empty(void **state)
{
	struct detached d;

	detach(1, &d);
	settle();
	scsi_lun_free(d.d.lun);
	assert_int_equal(asked_to_enumerate(sizeof(struct vstor_packet)), 1);
	assert_int_equal(attach(1), -EBUSY);
	expect_gone(1);
	assert_int_equal(attach(1), 0);
	assert_int_equal(asked_to_enumerate(sizeof(struct vstor_packet)), 1);

	detach(1, &d);
	settle();
	scsi_lun_free(d.d.lun);
	assert_int_equal(asked_to_enumerate(sizeof(struct vstor_packet)), 1);
	report_luns();
	assert_int_equal(attach(1), 0);
	assert_int_equal(asked_to_enumerate(sizeof(struct vstor_packet)), 1);
}

static void a_guest_that_begins_anew_has_seen_nothing(void **state)
{
	struct detached d;

	detach(1, &d);
	settle();
	scsi_lun_free(d.d.lun);
	close_channel(t.ch);
	t.ch = fake_open(storvsp_device(t.sv), 0);
	assert_int_equal(attach(1), 0);
}

static void what_does_not_fit_is_told_later_and_once(void **state)
{
	t.ch->full = true;
	assert_int_equal(attach(5), 0);
	assert_int_equal(attach(6), 0);
	fake_kick(t.ch);
	assert_int_equal(asked_to_enumerate(0), 0);
	t.ch->full = false;
	fake_kick(t.ch);
	assert_int_equal(asked_to_enumerate(sizeof(struct vstor_packet)), 1);
	fake_kick(t.ch);
	assert_int_equal(asked_to_enumerate(0), 0);
}

static void who_still_sets_up_is_not_told(void **state)
{
	struct detached d;

	assert_int_equal(attach(5), 0);
	assert_int_equal(detach(1, &d), 0);
	settle();
	scsi_lun_free(d.d.lun);
	assert_int_equal(asked_to_enumerate(0), 0);
	initialize();
	expect_there(5);
	expect_gone(1);
}

static void old_versions_have_short_packets(void **state)
{
	assert_int_equal(control(VSTOR_OPERATION_BEGIN_INITIALIZATION), 0);
	assert_int_equal(query_version(VMSTOR_WIN7), 0);
	assert_int_equal(control(VSTOR_OPERATION_QUERY_PROPERTIES), 0);
	assert_int_equal(control(VSTOR_OPERATION_END_INITIALIZATION), 0);
	assert_int_equal(attach(5), 0);
	assert_int_equal(asked_to_enumerate(VSTOR_PACKET_MIN), 1);
}

/* A disk's file has become larger. */
static int double_size(struct block_backend *bb)
{
	bb->size = 2 * DISK_SIZE;
	return 0;
}

static int measure(uint64_t *size)
{
	return scsi_disk_measure(storvsp_lun(t.sv, 1), size);
}

/*
 * Held.
 */
struct held {
	struct storvsp_hold h;
	unsigned done;
};

static void hold_done(struct storvsp_hold *h)
{
	container_of(h, struct held, h)->done++;
}

static int hold(unsigned number, struct held *h)
{
	*h = (struct held){ .h.done = hold_done };
	return storvsp_hold(t.sv, number, &h->h);
}

static unsigned answers(void)
{
	struct fake_answer *a;
	unsigned n = 0;

	settle();
	while ((a = fake_answer(t.ch))) {
		n += a->trans_id != 0;
		g_free(a);
	}
	return n;
}

static void send_read(void)
{
	const struct vstor_packet p = srb(READ10("\x08"), READ_TYPE, 4096);

	set_range(4096, 0, 1);
	send_srb(t.ch, 5, &p);
	fake_kick(t.ch);
	settle();
}

static void a_lun_is_held_when_its_requests_have_ended(void **state)
{
	struct held h, other;
	struct detached d;

	block_error_hold(t.error, true);
	send_read();
	assert_int_equal(hold(1, &h), 0);
	assert_int_equal(hold(1, &other), -EBUSY);
	assert_int_equal(detach(1, &d), -EBUSY);
	send_read();
	assert_int_equal(h.done, 0);
	block_error_hold(t.error, false);
	assert_int_equal(answers(), 1);
	assert_int_equal(h.done, 1);
	assert_false(h.h.failed);
	/* What came since then waits, and all that comes. */
	send_read();
	assert_int_equal(answers(), 0);
	assert_int_equal(block_mem_count(t.mem, BLOCK_READ), 1);
	storvsp_release(t.sv, 1);
	assert_int_equal(answers(), 2);
	assert_int_equal(block_mem_count(t.mem, BLOCK_READ), 3);
	expect_there(1);
	assert_int_equal(hold(2, &h), -ENODEV);
	assert_int_equal(hold(STORVSP_LUN_MAX, &h), -ENODEV);
}

static void who_holds_hears_what_could_not_be_made_stable(void **state)
{
	const struct block_error_rule rule = {
		.ops = 1u << BLOCK_FLUSH, .error = -EIO,
	};
	struct held h;

	block_error_set(t.error, &rule);
	assert_int_equal(hold(1, &h), 0);
	settle();
	assert_int_equal(h.done, 1);
	assert_true(h.h.failed);
	block_error_set(t.error, NULL);
	storvsp_release(t.sv, 1);
	expect_there(1);
}

static void a_channel_closes_while_its_requests_are_held(void **state)
{
	struct held h;

	assert_int_equal(hold(1, &h), 0);
	settle();
	send_read();
	close_channel(t.ch);
	t.ch = fake_open(storvsp_device(t.sv), 0);
	storvsp_release(t.sv, 1);
	settle();
	assert_int_equal(block_mem_count(t.mem, BLOCK_READ), 0);
	initialize();
	header_len = 0;
	expect_there(1);
}

static void a_disk_that_has_grown_is_told_by_the_next_command(void **state)
{
	struct scsi_lun *lun = storvsp_lun(t.sv, 1);

	assert_int_equal(scsi_disk_extend(lun, 2 * DISK_SIZE), -EOPNOTSUPP);
	assert_int_equal(scsi_disk_size(lun), DISK_SIZE);
	scsi_disk_extended(lun, DISK_SIZE);
	expect_there(1);
	scsi_disk_extended(lun, DISK_SIZE / 2);
	expect_attention(1, 0x2a, 0x09);
	expect_there(1);
}

static void another_size_is_told_by_the_next_command(void **state)
{
	static struct block_backend_ops ops;
	uint64_t size = 0;

	ops = *t.error->ops;
	ops.measure = double_size;

	assert_int_equal(measure(&size), -EOPNOTSUPP);
	t.error->ops = &ops;
	attach(5);
	assert_int_equal(asked_to_enumerate(sizeof(struct vstor_packet)), 1);
	assert_int_equal(measure(&size), 0);
	assert_int_equal(size, 2 * DISK_SIZE);
	storvsp_announce(t.sv);
	assert_int_equal(asked_to_enumerate(sizeof(struct vstor_packet)), 1);
	expect_attention(1, 0x2a, 0x09);
	expect_there(1);
	assert_int_equal(measure(&size), 0);
	expect_there(1);
}

#define FRESH(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
#define READY(f)	cmocka_unit_test_setup_teardown(f, setup_ready, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		READY(a_new_lun_is_told_and_there),
		READY(who_asks_which_luns_there_are_is_told_no_more),
		READY(a_lun_that_was_removed_is_absent),
		READY(a_lun_leaves_when_its_requests_have_ended),
		READY(while_it_leaves_it_is_absent),
		READY(what_cannot_be_made_stable_is_said),
		READY(a_place_is_free_when_the_guest_has_seen_it_empty),
		READY(a_guest_that_begins_anew_has_seen_nothing),
		READY(what_does_not_fit_is_told_later_and_once),
		FRESH(who_still_sets_up_is_not_told),
		FRESH(old_versions_have_short_packets),
		READY(a_lun_is_held_when_its_requests_have_ended),
		READY(who_holds_hears_what_could_not_be_made_stable),
		READY(a_channel_closes_while_its_requests_are_held),
		READY(a_disk_that_has_grown_is_told_by_the_next_command),
		READY(another_size_is_told_by_the_next_command),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
