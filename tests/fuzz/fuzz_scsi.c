/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SCSI commands of any kind to a disk and to a DVD drive, whose medium comes
 * and goes meanwhile.
 *
 * The input is a list of steps: a kind, then what that kind takes.  Besides
 * memory errors it looks for requests that end twice or never, and for answers
 * that say more than they can; the memory disk aborts on a range that nobody
 * has checked.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backends/block_error.h"
#include "backends/block_mem.h"
#include "core/reader.h"
#include "core/util.h"
#include "devices/scsi/scsi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DISK_SIZE	(UINT64_C(64) << 10)
#define DATA_MAX	8192u
#define REQUESTS	8

enum step { COMMAND, TURN, HOLD, RELEASE, FAIL, INSERT, EJECT, RESET, STEPS };

struct input {
	uint8_t kind, a, b, c;
};

struct request {
	struct scsi_request scsi;
	bool busy;
	uint8_t *data;
	struct iovec iov[2];
};

static struct {
	struct loop *loop;
	struct scsi_lun *disk, *drive;
	GPtrArray *backends;	/* that are open */
	const struct block_backend_ops *error_ops;
	struct block_backend_ops ops;
	struct request requests[REQUESTS];
} rig;

static void settle(void)
{
	while (loop_turn(rig.loop, false))
		;
}

static void closed(struct block_backend *bb)
{
	if (!g_ptr_array_remove(rig.backends, bb))
		abort();
	rig.error_ops->close(bb);
}

static struct block_backend *new_backend(unsigned blocks)
{
	struct block_backend *bb = block_error_new(
		rig.loop, block_mem_new(rig.loop, blocks * 2048u, 512));

	rig.error_ops = bb->ops;
	rig.ops = *bb->ops;
	rig.ops.close = closed;
	bb->ops = &rig.ops;
	g_ptr_array_add(rig.backends, bb);
	return bb;
}

static void start(void)
{
	static const struct scsi_identity id = { .serial = "fuzz" };

	if (!rig.loop) {
		rig.loop = loop_new(NULL);
		rig.backends = g_ptr_array_new();
	}
	rig.disk = scsi_disk_new(new_backend(DISK_SIZE / 2048), &id, 1 << 20);
	rig.drive = scsi_dvd_new(NULL, &id, 1 << 20);
}

static void hold_all(bool hold)
{
	for (unsigned i = 0; i < rig.backends->len; i++)
		block_error_hold(rig.backends->pdata[i], hold);
}

static void done(struct scsi_request *rq)
{
	struct request *r = container_of(rq, struct request, scsi);
	bool failed = rq->status == SCSI_CHECK_CONDITION;

	if (!r->busy || (!failed && rq->status != SCSI_GOOD) ||
	    rq->transferred > rq->data_len || (failed && rq->transferred) ||
	    rq->sense_len != (failed ? SCSI_SENSE_MAX : 0))
		abort();
	g_free(r->data);
	r->busy = false;
}

static struct request *free_request(void)
{
	for (unsigned i = 0; i < REQUESTS; i++)
		if (!rig.requests[i].busy)
			return &rig.requests[i];
	return NULL;
}

/* The buffer is two pieces, and ends where it says. */
static void give_data(struct request *r, const struct input *s,
		      const uint8_t *cdb)
{
	uint32_t len = s->a & 8 ? s->c * 512u : s->c, first;

	len = MIN(len, DATA_MAX);
	first = len / 3;
	r->data = g_malloc0(len ?: 1);
	for (uint32_t i = 0; i < len && s->a & 16; i++)
		r->data[i] = cdb[i % SCSI_CDB_MAX];
	r->iov[0] = (struct iovec){ r->data, first };
	r->iov[1] = (struct iovec){ r->data + first, len - first };
	r->scsi.data = r->iov;
	r->scsi.data_cnt = len ? 2 : 0;
	r->scsi.data_len = len;
}

static void command(struct reader *in, const struct input *s)
{
	static const uint8_t sizes[8] = { 6, 10, 10, 16, 16, 12, 16, 16 };
	uint8_t cdb[SCSI_CDB_MAX];
	struct request *r;

	if (!READ(in, &cdb))
		return;
	r = free_request();
	if (!r) {
		hold_all(false);
		settle();
		r = free_request();
	}
	r->busy = true;
	r->scsi = (struct scsi_request){
		.dir = (enum scsi_direction)((s->a >> 1 & 3) % 3),
		.cdb_len = s->b ? s->b % SCSI_CDB_MAX + 1 :
				  sizes[cdb[0] >> 5],
		.done = done,
	};
	memcpy(r->scsi.cdb, cdb, r->scsi.cdb_len);
	give_data(r, s, cdb);
	scsi_submit(s->a & 1 ? rig.drive : rig.disk, &r->scsi);
}

static void perform(struct reader *in, const struct input *s)
{
	const struct block_error_rule rule = {
		.ops = s->a, .error = s->b & 1 ? -ENOSPC : -EIO, .after = s->c,
	};
	struct block_backend *bb;

	switch (s->kind) {
	case COMMAND:
		command(in, s);
		break;
	case TURN:
		loop_turn(rig.loop, false);
		break;
	case HOLD:
	case RELEASE:
		hold_all(s->kind == HOLD);
		break;
	case FAIL:
		block_error_set(rig.backends->pdata[s->b %
						    rig.backends->len], &rule);
		break;
	case INSERT:
		bb = new_backend(s->a % 64 + 1u);
		if (scsi_dvd_insert(rig.drive, bb))
			block_close(bb);
		break;
	case EJECT:
		scsi_dvd_eject(rig.drive, s->a & 1);
		break;
	case RESET:
		scsi_lun_reset(s->a & 1 ? rig.drive : rig.disk);
		break;
	}
}

static void stop(void)
{
	hold_all(false);
	settle();
	for (unsigned i = 0; i < REQUESTS; i++)
		if (rig.requests[i].busy)
			abort();
	scsi_lun_free(rig.disk);
	scsi_lun_free(rig.drive);
	if (rig.backends->len)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader in = { data, size };
	struct input s;

	start();
	while (READ(&in, &s)) {
		s.kind %= STEPS;
		perform(&in, &s);
	}
	stop();
	return 0;
}
