/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two machines that share a disk: the file of its reservations, of any kind,
 * then commands of any kind.
 *
 * The input is a kind of file, its bytes, and steps.  A file that was taken
 * for good stays so whatever the commands do.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/reservations.h"
#include "backends/block_mem.h"
#include "backends/crc32c.h"
#include "core/reader.h"
#include "core/util.h"
#include "devices/scsi/scsi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MACHINES	2
#define DISK_SIZE	(UINT64_C(64) << 10)
#define SLOT		4096
#define STATE_AT	16	/* in its slot, behind sequence and checksum */

enum file_kind { NO_FILE, ANY_STATE, ANY_BYTES, FILE_KINDS };

struct step {
	uint8_t machine, opcode, cdb[15];
	uint8_t data[48];
};

/* In memory, where it costs nothing to make a state stable. */
static char folder[] = "/dev/shm/fuzz-reservations-XXXXXX";
static char *disk, *file;

static void remove_folder(void)
{
	rmdir(folder);
}

static void make_folder(void)
{
	if (disk)
		return;
	if (!mkdtemp(folder))
		abort();
	atexit(remove_folder);
	disk = g_build_filename(folder, "disk", NULL);
	file = g_build_filename(folder, "disk.pr", NULL);
}

/* A state of any kind in a file that is good otherwise. */
static void make_state(struct reader *in)
{
	uint8_t bytes[3 * SLOT] = { "kvmbus pr 1" };
	size_t len = STATE_AT + sizeof(struct pr_state);
	uint32_t crc;

	reader_copy(in, bytes + SLOT + STATE_AT,
		    MIN(in->left, sizeof(struct pr_state)));
	crc = crc32c(0, bytes + SLOT, len);
	memcpy(bytes + SLOT + 8, &crc, sizeof(crc));
	g_file_set_contents_full(file, (char *)bytes, sizeof(bytes),
				 G_FILE_SET_CONTENTS_NONE, 0600, NULL);
}

static void make_file(struct reader *in)
{
	static uint8_t bytes[3 * SLOT];
	uint16_t len = 0;
	uint8_t kind = 0;

	READ(in, &kind);
	switch (kind % FILE_KINDS) {
	case ANY_STATE:
		make_state(in);
		break;
	case ANY_BYTES:
		READ(in, &len);
		len = (uint16_t)MIN(MIN(len, in->left), sizeof(bytes));
		reader_copy(in, bytes, len);
		g_file_set_contents_full(file, (char *)bytes, len,
					 G_FILE_SET_CONTENTS_NONE, 0600, NULL);
		break;
	}
}

static struct scsi_lun *join(struct loop *loop, const char *name)
{
	const struct scsi_identity id = { .serial = "S" };
	g_autoptr(GError) error = NULL;
	struct reservations *r = reservations_open(disk, name, &error);
	struct scsi_lun *lun;

	if (!r)
		return NULL;
	lun = scsi_disk_new(block_mem_new(loop, DISK_SIZE, 512), &id,
			    DISK_SIZE);
	scsi_lun_share(lun, loop, r);
	return lun;
}

static void done(struct scsi_request *rq)
{
	rq->done = NULL;
}

#define TARGET_FAILURE	0x04	/* sense key: the file makes no sense */

static void perform(struct loop *loop, struct scsi_lun *lun,
		    const struct step *s)
{
	static uint8_t buf[8192];
	struct iovec iov = { buf, sizeof(s->data) };
	struct scsi_request rq = {
		.cdb_len = SCSI_CDB_MAX, .dir = SCSI_DATA_OUT, .data = &iov,
		.data_cnt = 1, .done = done,
	};

	memcpy(buf, s->data, sizeof(s->data));
	rq.cdb[0] = s->opcode;
	memcpy(rq.cdb + 1, s->cdb, sizeof(s->cdb));
	if (s->machine & 2) {
		rq.dir = SCSI_DATA_IN;
		iov.iov_len = sizeof(buf);
	}
	if (s->machine & 4)
		scsi_lun_reset(lun);
	rq.data_len = (uint32_t)iov.iov_len;
	scsi_submit(lun, &rq);
	while (rq.done)
		loop_turn(loop, true);
	if (rq.status == SCSI_CHECK_CONDITION &&
	    rq.sense[2] == TARGET_FAILURE)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct loop *loop;
	struct reader in = { data, size };
	struct scsi_lun *lun[MACHINES];
	struct step s;

	if (!loop)
		loop = loop_new(NULL);
	make_folder();
	make_file(&in);
	lun[0] = join(loop, "a");
	lun[1] = lun[0] ? join(loop, "b") : NULL;
	while (lun[1] && READ(&in, &s))
		perform(loop, lun[s.machine % MACHINES], &s);
	scsi_lun_free(lun[0]);
	scsi_lun_free(lun[1]);
	unlink(file);
	return 0;
}
