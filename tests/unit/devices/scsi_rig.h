/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A LUN on a memory disk behind an error injector, one command at a time. */
#ifndef TESTS_SCSI_RIG_H
#define TESTS_SCSI_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "backends/block_error.h"
#include "backends/block_mem.h"
#include "core/util.h"
#include "devices/scsi/scsi.h"

#define MAX_TRANSFER	(256u << 10)

struct rig {
	struct loop *loop;
	struct block_backend *mem, *error;
	struct scsi_lun *lun;
	struct scsi_request rq;
	unsigned done;
};

static struct rig rig;

static void rig_done(struct scsi_request *rq)
{
	rig.done++;
}

/* Who the LUN is. */
static struct scsi_identity rig_identity(const char *serial)
{
	struct scsi_identity id = { .unique_id = "\x01\x02\x03 unique id" };

	g_strlcpy(id.serial, serial, sizeof(id.serial));
	return id;
}

/* A backend for a LUN, as rig.error and rig.mem. */
static struct block_backend *rig_backend(uint64_t size, uint32_t block)
{
	rig.mem = block_mem_new(rig.loop, size, block);
	rig.error = block_error_new(rig.loop, rig.mem);
	return rig.error;
}

static void rig_start(void)
{
	rig = (struct rig){ .loop = loop_new(NULL) };
	assert_non_null(rig.loop);
}

static int teardown(void **state)
{
	scsi_lun_free(rig.lun);
	loop_free(rig.loop);
	return 0;
}

static void submit(const uint8_t *cdb, size_t cdb_len, enum scsi_direction dir,
		   struct iovec *iov, int count)
{
	rig.done = 0;
	rig.rq = (struct scsi_request){
		.cdb_len = (uint8_t)cdb_len, .dir = dir, .data = iov,
		.data_cnt = count, .done = rig_done,
	};
	memcpy(rig.rq.cdb, cdb, cdb_len);
	for (int i = 0; i < count; i++)
		rig.rq.data_len += (uint32_t)iov[i].iov_len;
	scsi_submit(rig.lun, &rig.rq);
}

static void wait_done(void)
{
	while (!rig.done)
		loop_turn(rig.loop, true);
	loop_turn(rig.loop, false);
	assert_int_equal(rig.done, 1);
}

/* Run a command with one buffer, or none; the SCSI status. */
static int command(const uint8_t *cdb, size_t cdb_len, enum scsi_direction dir,
		   void *data, size_t len)
{
	struct iovec iov = { data, len };

	submit(cdb, cdb_len, dir, &iov, len ? 1 : 0);
	wait_done();
	return rig.rq.status;
}

/* The same for commands written out byte by byte. */
#define CDB(...)	(const uint8_t[]){ __VA_ARGS__ }, \
			sizeof((const uint8_t[]){ __VA_ARGS__ })
#define NO_DATA		SCSI_DATA_NONE, NULL, 0
#define IN(buf, len)	SCSI_DATA_IN, (buf), (len)
#define OUT(buf, len)	SCSI_DATA_OUT, (buf), (len)

static void expect_good(int status, uint32_t transferred)
{
	assert_int_equal(status, SCSI_GOOD);
	assert_int_equal(rig.rq.sense_len, 0);
	assert_int_equal(rig.rq.transferred, transferred);
}

/* @sense: key << 16 | asc << 8 | ascq */
static void expect_sense(int status, uint32_t sense)
{
	const uint8_t *s = rig.rq.sense;

	assert_int_equal(status, SCSI_CHECK_CONDITION);
	assert_int_equal(rig.rq.sense_len, SCSI_SENSE_MAX);
	assert_int_equal(s[0], 0x70);
	assert_int_equal(s[7], SCSI_SENSE_MAX - 8);
	assert_int_equal(s[2] << 16 | s[12] << 8 | s[13], sense);
	assert_int_equal(rig.rq.transferred, 0);
}

static inline uint64_t be(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | *p++;
	return v;
}

/* Watches requests on their way. */
static const struct block_backend_ops *real_ops;
static struct block_request last;

static void spy_submit(struct block_backend *bb, struct block_request *rq)
{
	last = *rq;
	real_ops->submit(bb, rq);
}

static void spy(void)
{
	static struct block_backend_ops ops;

	real_ops = rig.error->ops;
	ops = *real_ops;
	ops.submit = spy_submit;
	rig.error->ops = &ops;
}

#define MEDIUM_WRITE_ERROR	0x030c00
#define MEDIUM_READ_ERROR	0x031100
#define PARAMETER_LENGTH	0x051a00
#define INVALID_OPCODE		0x052000
#define LBA_OUT_OF_RANGE	0x052100
#define INVALID_FIELD		0x052400
#define INVALID_PARAMETER	0x052600
#define WRITE_PROTECTED		0x072700
#define NO_SPACE		0x072707

#endif
