/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Machines that share a disk: each a LUN of its own, all with one file. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backend/reservations.h"
#include "backends/block_error.h"
#include "backends/block_mem.h"
#include "core/error.h"
#include "core/util.h"
#include "devices/scsi/scsi.h"

#define MACHINES	3
#define DISK_SIZE	(UINT64_C(1) << 20)
#define A		0
#define B		1
#define C		2

/* Types, and service actions of PERSISTENT RESERVE OUT. */
enum { WE = 1, EA = 3, WE_RO = 5, EA_RO = 6, WE_AR = 7, EA_AR = 8 };
enum { REGISTER, RESERVE, RELEASE, CLEAR, PREEMPT, ABORT, IGNORE_KEY, MOVE };

/* Statuses; 0x060000 and more: sense key, code and qualifier. */
#define GOOD			SCSI_GOOD
#define CONFLICT		SCSI_RESERVATION_CONFLICT
#define REGISTRATIONS_PREEMPTED	0x062a05
#define RESERVATIONS_PREEMPTED	0x062a03
#define RESERVATIONS_RELEASED	0x062a04
#define INVALID_FIELD		0x052400
#define INVALID_PARAMETER	0x052600
#define INVALID_RELEASE		0x052604
#define PARAMETER_LENGTH	0x051a00
#define INVALID_OPCODE		0x052000
#define TARGET_FAILURE		0x044400

struct machine {
	struct block_backend *disk;
	struct scsi_lun *lun;
	struct scsi_request rq;
	struct iovec iov;
	uint8_t buf[4096];
	bool under_way;
};

static struct loop *loop;
static char *folder, *disk, *file;
static struct machine machines[MACHINES];
static unsigned action_type;	/* that out() puts into the CDB */

static void start(unsigned n)
{
	const struct scsi_identity id = { .serial = "S" };
	const char name[] = { (char)('a' + n), '\0' };
	struct machine *m = &machines[n];
	g_autoptr(GError) error = NULL;
	struct reservations *r = reservations_open(disk, name, &error);

	if (!r)
		fail_msg("%s", error->message);
	m->disk = block_error_new(loop, block_mem_new(loop, DISK_SIZE, 512));
	m->lun = scsi_disk_new(m->disk, &id, DISK_SIZE);
	scsi_lun_share(m->lun, loop, r);
}

static void stop(unsigned n)
{
	scsi_lun_free(machines[n].lun);
	machines[n].lun = NULL;
}

static int setup(void **state)
{
	loop = loop_new(NULL);
	folder = g_dir_make_tmp("reserve-XXXXXX", NULL);
	disk = g_build_filename(folder, "disk", NULL);
	file = g_build_filename(folder, "disk.pr", NULL);
	for (unsigned n = 0; n < MACHINES; n++)
		start(n);
	return 0;
}

static int teardown(void **state)
{
	for (unsigned n = 0; n < MACHINES; n++)
		stop(n);
	loop_free(loop);
	unlink(file);
	rmdir(folder);
	g_free(folder);
	g_free(disk);
	g_free(file);
	return 0;
}

static void done(struct scsi_request *rq)
{
	container_of(rq, struct machine, rq)->under_way = false;
}

static void submit(unsigned n, const uint8_t *cdb, size_t len,
		   enum scsi_direction dir, size_t data_len)
{
	struct machine *m = &machines[n];

	m->under_way = true;
	m->iov = (struct iovec){ m->buf, data_len };
	m->rq = (struct scsi_request){
		.cdb_len = (uint8_t)len, .dir = dir, .data = &m->iov,
		.data_cnt = data_len != 0, .data_len = (uint32_t)data_len,
		.done = done,
	};
	memcpy(m->rq.cdb, cdb, len);
	scsi_submit(m->lun, &m->rq);
}

static unsigned result(unsigned n)
{
	struct machine *m = &machines[n];

	while (m->under_way)
		loop_turn(loop, true);
	if (m->rq.status != SCSI_CHECK_CONDITION)
		return m->rq.status;
	return (unsigned)(m->rq.sense[2] << 16 | m->rq.sense[12] << 8 |
			  m->rq.sense[13]);
}

#define CDB(...)	(const uint8_t[]){ __VA_ARGS__ }, \
			sizeof((const uint8_t[]){ __VA_ARGS__ })

static unsigned ready(unsigned n)
{
	submit(n, CDB(0, 0, 0, 0, 0, 0), SCSI_DATA_NONE, 0);
	return result(n);
}

static unsigned read_disk(unsigned n)
{
	submit(n, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), SCSI_DATA_IN, 512);
	return result(n);
}

static void begin_write(unsigned n)
{
	submit(n, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), SCSI_DATA_OUT, 512);
}

static unsigned write_disk(unsigned n)
{
	begin_write(n);
	return result(n);
}

static void put_key(uint8_t *p, uint64_t key)
{
	for (unsigned i = 0; i < 8; i++)
		p[i] = (uint8_t)(key >> (56 - 8 * i));
}

static void begin_out(unsigned n, unsigned action, uint64_t key,
		      uint64_t action_key, uint8_t flags)
{
	uint8_t *p = machines[n].buf;

	memset(p, 0, 24);
	put_key(p, key);
	put_key(p + 8, action_key);
	p[20] = flags;
	submit(n, CDB(0x5f, (uint8_t)action, (uint8_t)action_type, 0, 0, 0, 0,
		      0, 24, 0), SCSI_DATA_OUT, 24);
}

static unsigned out(unsigned n, unsigned action, uint64_t key,
		    uint64_t action_key)
{
	begin_out(n, action, key, action_key, 0);
	return result(n);
}

static unsigned typed(unsigned n, unsigned action, unsigned type, uint64_t key,
		      uint64_t action_key)
{
	unsigned r;

	action_type = type;
	r = out(n, action, key, action_key);
	action_type = 0;
	return r;
}

static void enroll(unsigned n, uint64_t key)
{
	assert_int_equal(out(n, IGNORE_KEY, 0, key), GOOD);
}

/* PERSISTENT RESERVE IN: the answer is in the machine's buffer. */
static uint32_t in(unsigned n, uint8_t action)
{
	memset(machines[n].buf, 0xee, sizeof(machines[n].buf));
	submit(n, CDB(0x5e, action, 0, 0, 0, 0, 0, 0x10, 0, 0), SCSI_DATA_IN,
	       4096);
	assert_int_equal(result(n), GOOD);
	return machines[n].rq.transferred;
}

static uint32_t word(unsigned n, unsigned at)
{
	const uint8_t *p = machines[n].buf + at;

	return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

static unsigned generation(unsigned n)
{
	in(n, 0);
	return word(n, 0);
}

/* Type and key of the reservation, as @n reads them. */
static void expect_reservation(unsigned n, unsigned type, uint64_t key)
{
	uint32_t len = in(n, 1);

	assert_int_equal(len, type ? 24 : 8);
	assert_int_equal(word(n, 4), type ? 16 : 0);
	if (!type)
		return;
	assert_int_equal(machines[n].buf[21], type);
	assert_int_equal((uint64_t)word(n, 8) << 32 | word(n, 12), key);
}

static void registering_needs_the_key_that_is_there(void **state)
{
	assert_int_equal(out(A, REGISTER, 7, 1), CONFLICT);
	assert_int_equal(out(A, REGISTER, 0, 0), GOOD);
	assert_int_equal(generation(A), 0);
	assert_int_equal(out(A, REGISTER, 0, 1), GOOD);
	assert_int_equal(out(A, REGISTER, 0, 2), CONFLICT);
	assert_int_equal(out(A, REGISTER, 1, 2), GOOD);
	assert_int_equal(out(A, IGNORE_KEY, 99, 3), GOOD);
	assert_int_equal(generation(B), 3);
	assert_int_equal(in(B, 0), 16);
	assert_int_equal(word(B, 12), 3);
	assert_int_equal(out(A, REGISTER, 3, 0), GOOD);
	assert_int_equal(in(B, 0), 8);
}

static void only_who_is_registered_may_reserve(void **state)
{
	assert_int_equal(typed(A, RESERVE, WE, 0, 0), CONFLICT);
	enroll(A, 1);
	enroll(B, 2);
	assert_int_equal(typed(A, RESERVE, WE, 2, 0), CONFLICT);
	assert_int_equal(typed(A, RESERVE, WE, 1, 0), GOOD);
	assert_int_equal(typed(A, RESERVE, WE, 1, 0), GOOD);
	assert_int_equal(typed(A, RESERVE, EA, 1, 0), CONFLICT);
	assert_int_equal(typed(B, RESERVE, WE, 2, 0), CONFLICT);
	expect_reservation(B, WE, 1);
	assert_int_equal(generation(A), 2);
}

static void types_that_do_not_exist_are_refused(void **state)
{
	enroll(A, 1);
	for (unsigned type = 0; type < 256; type++) {
		bool good = type == WE || type == EA ||
			    (type >= WE_RO && type <= EA_AR);

		assert_int_equal(typed(A, RESERVE, type, 1, 0),
				 good ? GOOD : INVALID_FIELD);
		if (good)
			assert_int_equal(typed(A, RELEASE, type, 1, 0), GOOD);
	}
}

/* Reads and writes of: the holder, one who is registered, one who is not. */
static void each_type_keeps_out_whom_it_should(void **state)
{
	static const struct {
		unsigned type;
		bool reads[3], writes[3];
	} t[] = {
		{ WE, { 1, 1, 1 }, { 1, 0, 0 } },
		{ EA, { 1, 0, 0 }, { 1, 0, 0 } },
		{ WE_RO, { 1, 1, 1 }, { 1, 1, 0 } },
		{ EA_RO, { 1, 1, 0 }, { 1, 1, 0 } },
		{ WE_AR, { 1, 1, 1 }, { 1, 1, 0 } },
		{ EA_AR, { 1, 1, 0 }, { 1, 1, 0 } },
	};

	enroll(A, 1);
	enroll(B, 2);
	for (unsigned i = 0; i < G_N_ELEMENTS(t); i++) {
		assert_int_equal(typed(A, RESERVE, t[i].type, 1, 0), GOOD);
		for (unsigned n = 0; n < MACHINES; n++) {
			assert_int_equal(read_disk(n), t[i].reads[n] ?
						       GOOD : CONFLICT);
			assert_int_equal(write_disk(n), t[i].writes[n] ?
							GOOD : CONFLICT);
			assert_int_equal(ready(n), GOOD);
		}
		assert_int_equal(typed(A, RELEASE, t[i].type, 1, 0), GOOD);
		ready(B);	/* it may have been told */
		assert_int_equal(write_disk(C), GOOD);
	}
}

/* Under EA of another: what may be done at all, and what not. */
static void commands_conflict_by_what_they_do(void **state)
{
	static const struct {
		uint8_t cdb[16], len;
		bool allowed;
	} t[] = {
		{ { 0x00 }, 6, true },		/* TEST UNIT READY */
		{ { 0x03 }, 6, true },		/* REQUEST SENSE */
		{ { 0x08 }, 6, false },		/* READ(6) */
		{ { 0x0a }, 6, false },		/* WRITE(6) */
		{ { 0x12 }, 6, true },		/* INQUIRY */
		{ { 0x15 }, 6, false },		/* MODE SELECT(6) */
		{ { 0x16 }, 6, false },		/* RESERVE(6) */
		{ { 0x17 }, 6, true },		/* RELEASE(6) */
		{ { 0x1a, 0, 8 }, 6, true },	/* MODE SENSE(6) */
		{ { 0x1b, 0, 0, 0, 0 }, 6, false },	/* stop */
		{ { 0x1b, 0, 0, 0, 1 }, 6, true },	/* start */
		{ { 0x1b, 0, 0, 0, 0x11 }, 6, false },	/* power condition */
		{ { 0x1d }, 6, false },		/* SEND DIAGNOSTIC */
		{ { 0x1e, 0, 0, 0, 0 }, 6, true },	/* allow removal */
		{ { 0x1e, 0, 0, 0, 1 }, 6, false },	/* prevent it */
		{ { 0x25 }, 10, true },		/* READ CAPACITY */
		{ { 0x28 }, 10, false },
		{ { 0x2a }, 10, false },
		{ { 0x2f }, 10, false },	/* VERIFY */
		{ { 0x35 }, 10, false },	/* SYNCHRONIZE CACHE */
		{ { 0x41 }, 10, false },	/* WRITE SAME */
		{ { 0x42 }, 10, false },	/* UNMAP */
		{ { 0x55 }, 10, false },
		{ { 0x5a, 0, 8 }, 10, true },
		{ { 0x5e }, 10, true },		/* PERSISTENT RESERVE IN */
		{ { 0x88 }, 16, false },
		{ { 0x8a }, 16, false },
		{ { 0x8f }, 16, false },
		{ { 0x91 }, 16, false },
		{ { 0x93 }, 16, false },
		{ { 0x9e, 0x10 }, 16, true },	/* READ CAPACITY(16) */
		{ { 0xa8 }, 12, false },
		{ { 0xaa }, 12, false },
	};

	enroll(A, 1);
	assert_int_equal(typed(A, RESERVE, EA, 1, 0), GOOD);
	for (unsigned i = 0; i < G_N_ELEMENTS(t); i++) {
		submit(B, t[i].cdb, t[i].len, SCSI_DATA_NONE, 0);
		if ((result(B) == CONFLICT) == t[i].allowed)
			fail_msg("command %02x", t[i].cdb[0]);
	}
}

static void releasing_is_for_the_holder_and_its_type(void **state)
{
	enroll(A, 1);
	enroll(B, 2);
	assert_int_equal(typed(A, RELEASE, WE, 1, 0), GOOD);
	assert_int_equal(typed(A, RESERVE, WE, 1, 0), GOOD);
	assert_int_equal(typed(A, RELEASE, EA, 1, 0), INVALID_RELEASE);
	assert_int_equal(typed(B, RELEASE, WE, 2, 0), GOOD);
	expect_reservation(C, WE, 1);
	assert_int_equal(typed(A, RELEASE, WE, 1, 0), GOOD);
	expect_reservation(C, 0, 0);
	assert_int_equal(ready(B), GOOD);
}

static void registrants_are_told_of_a_release(void **state)
{
	enroll(A, 1);
	enroll(B, 2);
	assert_int_equal(typed(A, RESERVE, EA_RO, 1, 0), GOOD);
	assert_int_equal(typed(A, RELEASE, EA_RO, 1, 0), GOOD);
	assert_int_equal(ready(A), GOOD);
	assert_int_equal(ready(C), GOOD);
	/* INQUIRY does not take it away. */
	submit(B, CDB(0x12, 0, 0, 0, 36, 0), SCSI_DATA_IN, 36);
	assert_int_equal(result(B), GOOD);
	assert_int_equal(ready(B), RESERVATIONS_RELEASED);
	assert_int_equal(ready(B), GOOD);
}

static void the_holder_that_unregisters_releases(void **state)
{
	enroll(A, 1);
	enroll(B, 2);
	assert_int_equal(typed(A, RESERVE, WE_RO, 1, 0), GOOD);
	assert_int_equal(out(A, REGISTER, 1, 0), GOOD);
	expect_reservation(C, 0, 0);
	assert_int_equal(ready(B), RESERVATIONS_RELEASED);
}

static void what_all_hold_ends_with_the_last_of_them(void **state)
{
	enroll(A, 1);
	enroll(B, 2);
	assert_int_equal(typed(A, RESERVE, WE_AR, 1, 0), GOOD);
	assert_int_equal(typed(B, RESERVE, WE_AR, 2, 0), GOOD);
	assert_int_equal(out(A, REGISTER, 1, 0), GOOD);
	expect_reservation(C, WE_AR, 0);
	assert_int_equal(write_disk(A), CONFLICT);
	assert_int_equal(write_disk(B), GOOD);
	assert_int_equal(out(B, REGISTER, 2, 0), GOOD);
	expect_reservation(C, 0, 0);
}

static void clear_removes_all_and_tells_the_others(void **state)
{
	enroll(A, 1);
	enroll(B, 2);
	assert_int_equal(typed(A, RESERVE, EA, 1, 0), GOOD);
	assert_int_equal(out(C, CLEAR, 0, 0), CONFLICT);
	assert_int_equal(out(B, CLEAR, 2, 0), GOOD);
	assert_int_equal(ready(A), RESERVATIONS_PREEMPTED);
	assert_int_equal(ready(B), GOOD);
	assert_int_equal(in(A, 0), 8);
	assert_int_equal(word(A, 0), 3);
	expect_reservation(A, 0, 0);
}

static void preempting_the_holder_takes_the_reservation(void **state)
{
	enroll(A, 1);
	enroll(B, 2);
	enroll(C, 3);
	assert_int_equal(typed(A, RESERVE, WE_RO, 1, 0), GOOD);
	assert_int_equal(typed(B, PREEMPT, 0, 2, 1), INVALID_FIELD);
	assert_int_equal(typed(B, PREEMPT, EA, 2, 1), GOOD);
	expect_reservation(B, EA, 2);
	assert_int_equal(ready(A), REGISTRATIONS_PREEMPTED);
	assert_int_equal(write_disk(A), CONFLICT);
	/* Others learn that the type is another one. */
	assert_int_equal(ready(C), RESERVATIONS_RELEASED);
	assert_int_equal(generation(B), 4);
}

static void preempting_another_key_only_removes_it(void **state)
{
	enroll(A, 1);
	enroll(B, 2);
	enroll(C, 2);
	assert_int_equal(typed(A, RESERVE, WE_RO, 1, 0), GOOD);
	assert_int_equal(typed(A, PREEMPT, 0, 1, 9), CONFLICT);
	assert_int_equal(typed(A, PREEMPT, 0, 1, 0), INVALID_PARAMETER);
	assert_int_equal(typed(A, PREEMPT, 0, 1, 2), GOOD);
	expect_reservation(A, WE_RO, 1);
	assert_int_equal(ready(B), REGISTRATIONS_PREEMPTED);
	assert_int_equal(ready(C), REGISTRATIONS_PREEMPTED);
	assert_int_equal(write_disk(B), CONFLICT);
	assert_int_equal(in(A, 0), 16);
}

static void preempting_all_registrants_needs_no_key(void **state)
{
	enroll(A, 1);
	enroll(B, 2);
	enroll(C, 3);
	assert_int_equal(typed(A, RESERVE, EA_AR, 1, 0), GOOD);
	assert_int_equal(typed(B, PREEMPT, 0, 2, 3), GOOD);
	expect_reservation(A, EA_AR, 0);
	assert_int_equal(ready(C), REGISTRATIONS_PREEMPTED);
	assert_int_equal(typed(B, PREEMPT, WE, 2, 0), GOOD);
	expect_reservation(B, WE, 2);
	assert_int_equal(ready(A), REGISTRATIONS_PREEMPTED);
}

static void aborting_waits_for_what_the_other_writes(void **state)
{
	enroll(A, 1);
	enroll(B, 2);
	assert_int_equal(typed(A, RESERVE, WE_RO, 1, 0), GOOD);
	block_error_hold(machines[B].disk, true);
	begin_write(B);
	action_type = WE;
	begin_out(A, ABORT, 1, 2, 0);
	action_type = 0;
	for (unsigned i = 0; i < 20; i++)
		loop_turn(loop, true);
	assert_true(machines[A].under_way);
	block_error_hold(machines[B].disk, false);
	assert_int_equal(result(A), GOOD);
	assert_false(machines[B].under_way);
	assert_int_equal(ready(B), REGISTRATIONS_PREEMPTED);
	assert_int_equal(write_disk(B), CONFLICT);
}

static void aborting_waits_for_nobody_who_may_go_on(void **state)
{
	enroll(A, 1);
	enroll(B, 2);
	block_error_hold(machines[B].disk, true);
	begin_write(B);
	assert_int_equal(out(A, ABORT, 1, 2), GOOD);
	assert_true(machines[B].under_way);
	block_error_hold(machines[B].disk, false);
	assert_int_equal(result(B), GOOD);
}

static void whose_channel_closes_does_not_wait(void **state)
{
	enroll(A, 1);
	enroll(B, 2);
	assert_int_equal(typed(A, RESERVE, EA_RO, 1, 0), GOOD);
	block_error_hold(machines[B].disk, true);
	begin_write(B);
	begin_out(A, ABORT, 1, 2, 0);
	scsi_lun_hurry(machines[A].lun);
	assert_true(machines[A].under_way);
	assert_int_equal(result(A), GOOD);
	block_error_hold(machines[B].disk, false);
	result(B);
}

static void parameters_are_checked(void **state)
{
	begin_out(A, REGISTER, 0, 1, 0x08);	/* SPEC_I_PT */
	assert_int_equal(result(A), INVALID_PARAMETER);
	begin_out(A, REGISTER, 0, 1, 0x04);	/* ALL_TG_PT: there is one */
	assert_int_equal(result(A), GOOD);
	assert_int_equal(out(A, MOVE, 1, 1), PARAMETER_LENGTH);
	for (unsigned action = MOVE + 1; action < 32; action++)
		assert_int_equal(out(A, action, 1, 1), INVALID_FIELD);
	for (uint8_t len = 0; len < 48; len++) {
		memset(machines[A].buf, 0, 48);
		submit(A, CDB(0x5f, IGNORE_KEY, 0, 0, 0, 0, 0, 0, len, 0),
		       SCSI_DATA_OUT, len);
		assert_int_equal(result(A), len == 24 ? GOOD :
						        PARAMETER_LENGTH);
	}
	submit(A, CDB(0x5f, IGNORE_KEY, 0, 0, 0, 0, 0, 0, 24, 0),
	       SCSI_DATA_OUT, 23);
	assert_int_equal(result(A), PARAMETER_LENGTH);
	submit(A, CDB(0x5e, 4, 0, 0, 0, 0, 0, 0, 255, 0), SCSI_DATA_IN, 255);
	assert_int_equal(result(A), INVALID_FIELD);
}

static void full_status_names_holder_and_ports(void **state)
{
	const uint8_t *p = machines[C].buf + 8;

	enroll(A, 1);
	enroll(B, 2);
	assert_int_equal(typed(B, RESERVE, WE, 2, 0), GOOD);
	assert_int_equal(in(C, 3), 8 + 2 * 48);
	assert_int_equal(word(C, 4), 2 * 48);
	assert_int_equal(p[7], 1);
	assert_int_equal(p[12], 0);
	assert_int_equal(p[48 + 7], 2);
	assert_int_equal(p[48 + 12], 1);
	assert_int_equal(p[48 + 13], WE);
	assert_int_equal(p[19], 1);
	assert_int_equal(p[23], 24);
	assert_int_equal(p[24], 0x06);
	assert_int_equal(p[28] >> 4, 3);
	assert_memory_not_equal(p + 28, p + 48 + 28, 8);
}

/*
 * REGISTER AND MOVE: by @n to the port with @id.
 */
struct moved {
	uint64_t key, action_key;
	const uint8_t *id;
	uint8_t flags, target_port, protocol, length;
};

#define APTPL	0x01
#define UNREG	0x02

static unsigned move(unsigned n, const struct moved *m)
{
	uint8_t *p = machines[n].buf;

	memset(p, 0, 48);
	put_key(p, m->key);
	put_key(p + 8, m->action_key);
	p[17] = m->flags;
	p[19] = m->target_port;
	p[23] = m->length;
	p[24] = m->protocol;
	memcpy(p + 28, m->id, 8);
	submit(n, CDB(0x5f, MOVE, 0, 0, 0, 0, 0, 0, 48, 0), SCSI_DATA_OUT, 48);
	return result(n);
}

/* A and B are registered, and A has reserved; @id becomes that of port @n. */
static void prepare_move(unsigned n, uint8_t *id)
{
	enroll(A, 1);
	enroll(B, 2);
	enroll(C, 3);
	assert_int_equal(in(A, 3), 8 + 3 * 48);
	memcpy(id, machines[A].buf + 8 + n * 48 + 28, 8);
	assert_int_equal(out(C, REGISTER, 3, 0), GOOD);
	assert_int_equal(typed(A, RESERVE, WE, 1, 0), GOOD);
}

static void the_holder_moves_the_reservation(void **state)
{
	uint8_t id[8];
	struct moved m = { 1, 7, id, 0, 1, 0x06, 24 };
	unsigned before;

	/* C has a place, but is not registered. */
	prepare_move(C, id);
	before = generation(A);
	assert_int_equal(move(A, &m), GOOD);
	assert_int_equal(machines[A].rq.transferred, 48);
	assert_int_equal(generation(A), before + 1);
	expect_reservation(A, WE, 7);
	assert_int_equal(write_disk(C), GOOD);
	assert_int_equal(write_disk(A), CONFLICT);
	assert_int_equal(in(A, 0), 8 + 3 * 8);
	/* And on, without its own registration. */
	assert_int_equal(in(C, 3), 8 + 3 * 48);
	memcpy(id, machines[C].buf + 8 + B * 48 + 28, 8);
	m = (struct moved){ 7, 9, id, UNREG, 1, 0x06, 24 };
	assert_int_equal(move(C, &m), GOOD);
	expect_reservation(A, WE, 9);
	assert_int_equal(write_disk(B), GOOD);
	assert_int_equal(write_disk(C), CONFLICT);
	assert_int_equal(in(A, 0), 8 + 2 * 8);
	assert_int_equal(ready(A), GOOD);
	assert_int_equal(ready(C), GOOD);
}

static void only_what_can_be_moved_is(void **state)
{
	static const uint8_t zero[8], nobody[8] = { 0x30, 1 };
	uint8_t id[8], own[8];
	const struct moved good = { 1, 7, id, 0, 1, 0x06, 24 };
	struct { struct moved m; unsigned result; } bad[] = {
		{ { 2, 7, id, 0, 1, 0x06, 24 }, CONFLICT },
		{ { 1, 0, id, 0, 1, 0x06, 24 }, INVALID_PARAMETER },
		{ { 1, 7, zero, 0, 1, 0x06, 24 }, INVALID_PARAMETER },
		{ { 1, 7, nobody, 0, 1, 0x06, 24 }, INVALID_PARAMETER },
		{ { 1, 7, own, 0, 1, 0x06, 24 }, INVALID_PARAMETER },
		{ { 1, 7, id, 0, 2, 0x06, 24 }, INVALID_PARAMETER },
		{ { 1, 7, id, 0, 1, 0x05, 24 }, INVALID_PARAMETER },
		{ { 1, 7, id, 0, 1, 0x06, 20 }, PARAMETER_LENGTH },
	};

	prepare_move(B, id);
	assert_int_equal(in(A, 3), 8 + 2 * 48);
	memcpy(own, machines[A].buf + 8 + 28, 8);
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		assert_int_equal(move(A, &bad[i].m), bad[i].result);
	assert_int_equal(move(B, &(struct moved){ 2, 7, id, 0, 1, 0x06, 24 }),
			 CONFLICT);
	assert_int_equal(move(C, &good), CONFLICT);
	expect_reservation(A, WE, 1);
	assert_int_equal(typed(A, RELEASE, WE, 1, 0), GOOD);
	assert_int_equal(move(A, &good), INVALID_FIELD);
	assert_int_equal(typed(A, RESERVE, WE_AR, 1, 0), GOOD);
	assert_int_equal(move(A, &good), CONFLICT);
}

static void capabilities_are_told(void **state)
{
	static const uint8_t want[8] = { 0, 8, 0x05, 0x80, 0xea, 0x01 };

	assert_int_equal(in(A, 2), 8);
	assert_memory_equal(machines[A].buf, want, 8);
	begin_out(A, REGISTER, 0, 1, 0x01);
	assert_int_equal(result(A), GOOD);
	in(B, 2);
	assert_int_equal(machines[B].buf[3], 0x81);
}

static void what_was_to_be_kept_outlives_all_machines(void **state)
{
	for (unsigned keep = 0; keep < 2; keep++) {
		begin_out(A, IGNORE_KEY, 0, 1, (uint8_t)keep);
		assert_int_equal(result(A), GOOD);
		assert_int_equal(typed(A, RESERVE, EA, 1, 0), GOOD);
		/* One that goes and comes finds it as it was. */
		stop(C);
		start(C);
		assert_int_equal(read_disk(C), CONFLICT);
		for (unsigned n = 0; n < MACHINES; n++)
			stop(n);
		for (unsigned n = MACHINES; n--;)
			start(n);
		assert_int_equal(read_disk(C), keep ? CONFLICT : GOOD);
		assert_int_equal(in(C, 0), keep ? 16 : 8);
		/* And is who it was. */
		assert_int_equal(out(A, REGISTER, keep, 1), GOOD);
		assert_int_equal(read_disk(A), GOOD);
		assert_int_equal(out(A, CLEAR, 1, 0), GOOD);
	}
}

static unsigned reserve6(unsigned n, uint8_t opcode)
{
	submit(n, CDB(opcode, 0, 0, 0, 0, 0), SCSI_DATA_NONE, 0);
	return result(n);
}

static void reserve6_keeps_out_all_others(void **state)
{
	assert_int_equal(reserve6(A, 0x16), GOOD);
	assert_int_equal(reserve6(A, 0x16), GOOD);
	assert_int_equal(reserve6(B, 0x16), CONFLICT);
	assert_int_equal(read_disk(B), CONFLICT);
	assert_int_equal(ready(B), CONFLICT);
	assert_int_equal(reserve6(B, 0x17), GOOD);
	assert_int_equal(read_disk(A), GOOD);
	assert_int_equal(out(B, REGISTER, 0, 1), CONFLICT);
	assert_int_equal(out(A, REGISTER, 0, 1), CONFLICT);
	assert_int_equal(reserve6(A, 0x17), GOOD);
	assert_int_equal(read_disk(B), GOOD);
	enroll(B, 1);
	assert_int_equal(reserve6(A, 0x16), CONFLICT);
}

static void reserve6_ends_with_its_machine_or_a_reset(void **state)
{
	assert_int_equal(reserve6(A, 0x16), GOOD);
	scsi_lun_reset(machines[B].lun);
	assert_int_equal(read_disk(B), CONFLICT);
	scsi_lun_reset(machines[A].lun);
	assert_int_equal(read_disk(B), GOOD);
	assert_int_equal(reserve6(A, 0x16), GOOD);
	stop(A);
	assert_int_equal(read_disk(B), GOOD);
	start(A);
	assert_int_equal(reserve6(B, 0x16), GOOD);
}

static void a_file_that_is_damaged_fails_closed(void **state)
{
	static const uint8_t junk[4096] = { 1, 2, 3 };
	int fd = open(file, O_RDWR);

	enroll(A, 1);
	assert_int_equal(pwrite(fd, junk, sizeof(junk), 0), sizeof(junk));
	assert_int_equal(read_disk(A), TARGET_FAILURE);
	assert_int_equal(write_disk(B), TARGET_FAILURE);
	assert_int_equal(out(A, CLEAR, 1, 0), TARGET_FAILURE);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(write_disk(B), TARGET_FAILURE);
	close(fd);
}

static void while_another_changes_it_the_state_is_busy(void **state)
{
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1,
	};
	int fd = open(file, O_RDWR);

	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	assert_int_equal(out(A, REGISTER, 0, 1), SCSI_BUSY);
	assert_int_equal(write_disk(A), GOOD);
	close(fd);
	assert_int_equal(out(A, REGISTER, 0, 1), GOOD);
}

static void a_disk_that_is_not_shared_has_none_of_it(void **state)
{
	const struct scsi_identity id = { .serial = "S" };

	stop(A);
	machines[A].lun = scsi_disk_new(block_mem_new(loop, DISK_SIZE, 512),
					&id, DISK_SIZE);
	assert_int_equal(out(A, REGISTER, 0, 1), INVALID_OPCODE);
	submit(A, CDB(0x5e, 0, 0, 0, 0, 0, 0, 0, 255, 0), SCSI_DATA_IN, 255);
	assert_int_equal(result(A), INVALID_OPCODE);
	assert_int_equal(reserve6(A, 0x16), GOOD);
	assert_int_equal(reserve6(A, 0x17), GOOD);
}

static void all_machines_see_one_disk(void **state)
{
	uint8_t id[MACHINES][64];

	for (unsigned n = 0; n < MACHINES; n++) {
		submit(n, CDB(0x12, 1, 0x83, 0, 64, 0), SCSI_DATA_IN, 64);
		assert_int_equal(result(n), GOOD);
		memcpy(id[n], machines[n].buf, sizeof(id[n]));
		assert_memory_equal(id[n], id[0], machines[n].rq.transferred);
	}
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(registering_needs_the_key_that_is_there),
		TEST(only_who_is_registered_may_reserve),
		TEST(types_that_do_not_exist_are_refused),
		TEST(each_type_keeps_out_whom_it_should),
		TEST(commands_conflict_by_what_they_do),
		TEST(releasing_is_for_the_holder_and_its_type),
		TEST(registrants_are_told_of_a_release),
		TEST(the_holder_that_unregisters_releases),
		TEST(what_all_hold_ends_with_the_last_of_them),
		TEST(clear_removes_all_and_tells_the_others),
		TEST(preempting_the_holder_takes_the_reservation),
		TEST(preempting_another_key_only_removes_it),
		TEST(preempting_all_registrants_needs_no_key),
		TEST(aborting_waits_for_what_the_other_writes),
		TEST(aborting_waits_for_nobody_who_may_go_on),
		TEST(whose_channel_closes_does_not_wait),
		TEST(parameters_are_checked),
		TEST(full_status_names_holder_and_ports),
		TEST(the_holder_moves_the_reservation),
		TEST(only_what_can_be_moved_is),
		TEST(capabilities_are_told),
		TEST(what_was_to_be_kept_outlives_all_machines),
		TEST(reserve6_keeps_out_all_others),
		TEST(reserve6_ends_with_its_machine_or_a_reset),
		TEST(a_file_that_is_damaged_fails_closed),
		TEST(while_another_changes_it_the_state_is_busy),
		TEST(a_disk_that_is_not_shared_has_none_of_it),
		TEST(all_machines_see_one_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
