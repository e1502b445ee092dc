/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Synthetic storage and its SCSI disks, from packets of any kind.
 *
 * The input is a list of steps: a kind, then what that kind takes.  Besides
 * memory errors it looks for requests that are answered twice or never; the
 * memory disk aborts on a range that nobody has checked.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backends/block_error.h"
#include "backends/block_mem.h"
#include "core/reader.h"
#include "core/util.h"
#include "devices/storvsp/storvsp.h"
#include "devices/storvsp/storvsp_proto.h"
#include "fake_channel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RAM_SIZE	(UINT64_C(16) * 4096)
#define DISK_SIZE	(UINT64_C(64) << 10)
#define PAGES		4
#define WRITABLE_LUN	0
#define READ_ONLY_LUN	1
#define PLUGGED_LUN	2	/* comes and goes */

enum step { SEND, SEND_DATA, MEMORY, KICK, TURN, HOLD, RELEASE, FAIL, REOPEN,
	    PLUG, UNPLUG, STEPS };

struct rig {
	struct loop *loop;
	struct gmem_region region;
	struct gmem gm;
	struct block_backend *disk;
	struct storvsp *sv;
	struct vmbus_channel *ch;
	struct storvsp_detach detach;
	bool leaving;
	unsigned expected;	/* answers, since the channel was opened */
};

static void settle(struct rig *r)
{
	while (loop_turn(r->loop, false))
		;
}

static void send_packet(struct rig *r, const struct vstor_packet *p,
			size_t len, const void *header, size_t header_len)
{
	static const uint64_t id = 5;

	fake_send(r->ch, id, header, header_len, p, len);
	if (len >= VSTOR_PACKET_MIN)
		r->expected++;
}

static void initialize(struct rig *r)
{
	static const uint32_t ops[] = {
		VSTOR_OPERATION_BEGIN_INITIALIZATION,
		VSTOR_OPERATION_QUERY_PROTOCOL_VERSION,
		VSTOR_OPERATION_QUERY_PROPERTIES,
		VSTOR_OPERATION_END_INITIALIZATION,
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(ops); i++) {
		const struct vstor_packet p = {
			.operation = ops[i],
			.version.major_minor = VMSTOR_WIN10,
		};

		send_packet(r, &p, sizeof(p), NULL, 0);
	}
}

static const struct scsi_identity id = { .serial = "fuzz" };

static struct block_backend *attach(struct rig *r, unsigned lun, bool read_only)
{
	struct block_backend *mem = block_mem_new(r->loop, DISK_SIZE, 512);
	struct block_backend *disk;

	mem->read_only = read_only;
	disk = block_error_new(r->loop, mem);
	if (storvsp_attach(r->sv, lun, scsi_disk_new(disk, &id, 1 << 20)))
		abort();
	return disk;
}

/* Not while the old one leaves, as its user does it. */
static void plug(struct rig *r)
{
	struct block_backend *mem = block_mem_new(r->loop, DISK_SIZE, 512);
	struct scsi_lun *lun = scsi_disk_new(mem, &id, 1 << 20);

	if (r->leaving || storvsp_attach(r->sv, PLUGGED_LUN, lun))
		scsi_lun_free(lun);
}

static void unplugged(struct storvsp_detach *d)
{
	struct rig *r = container_of(d, struct rig, detach);

	if (!r->leaving)
		abort();
	r->leaving = false;
	scsi_lun_free(d->lun);
}

static void unplug(struct rig *r)
{
	if (r->leaving)
		return;
	r->detach = (struct storvsp_detach){ .done = unplugged };
	r->leaving = true;
	if (storvsp_detach(r->sv, PLUGGED_LUN, &r->detach))
		r->leaving = false;
}

static void start(struct rig *r)
{
	static const struct guid instance = GUID(1, 2, 3, 4, 5);

	r->region = (struct gmem_region){ 0, RAM_SIZE, g_malloc0(RAM_SIZE) };
	r->gm = (struct gmem){ &r->region, 1 };
	r->sv = storvsp_new(r->loop, &r->gm, &instance, 2);
	r->disk = attach(r, WRITABLE_LUN, false);
	attach(r, READ_ONLY_LUN, true);
	r->ch = fake_open(storvsp_device(r->sv), 0);
	r->expected = 0;
}

/* What the device says by itself has no id. */
static unsigned answers(const struct rig *r)
{
	unsigned n = 0;

	for (const GList *l = r->ch->answers.head; l; l = l->next)
		n += ((const struct fake_answer *)l->data)->trans_id != 0;
	return n;
}

/* Let everything end, and count. */
static void finish_channel(struct rig *r)
{
	block_error_hold(r->disk, false);
	do {
		fake_kick(r->ch);
		settle(r);
	} while (!g_queue_is_empty(&r->ch->packets));
	if (answers(r) != r->expected || r->ch->busy || r->leaving)
		abort();
	r->expected = 0;
}

static void close_channel(struct rig *r)
{
	fake_close(r->ch);
	block_error_hold(r->disk, false);
	settle(r);
	fake_free(r->ch);
}

static void stop(struct rig *r)
{
	finish_channel(r);
	close_channel(r);
	storvsp_free(r->sv);
	g_free(r->region.hva);
}

/* One step of an input: as much of each thing as there is. */
struct input {
	uint8_t kind, a, b, c;
};

static void send_step(struct rig *r, struct reader *in, const struct input *s)
{
	struct vstor_packet p = { 0 };
	struct {
		struct vmdata_gpa_direct head;
		struct gpa_range range;
		uint64_t pfn[PAGES];
	} header = { 0 };
	uint8_t raw[12 + 36];

	if (!READ(in, &raw))
		return;
	memcpy(&p, raw, sizeof(raw));
	/* Most of the time the dull fields are right. */
	if (s->a & 1)
		p.operation = VSTOR_OPERATION_EXECUTE_SRB;
	if (s->a & 2)
		p.vm_srb.path_id = p.vm_srb.target_id = 0;
	if (s->a & 4)
		p.vm_srb.lun %= PLUGGED_LUN + 1;
	if (s->a & 8)
		p.vm_srb.data_transfer_length &= PAGES * 4096 - 1;
	if (s->a & 16)
		p.vm_srb.cdb_length = 16;
	if (s->a & 32)
		p.vm_srb.data_in &= 1;
	if (s->kind == SEND) {
		send_packet(r, &p, s->b % (sizeof(p) + 1), NULL, 0);
		return;
	}
	header.head.range_cnt = s->b < 250 ? 1 : s->b - 250;
	header.range.byte_count = (uint32_t)s->c << 7;
	header.range.byte_offset = s->b < 128 ? s->b : s->b * 17u;
	for (unsigned i = 0; i < PAGES; i++)
		header.pfn[i] = (s->c + i * s->a) % (RAM_SIZE / 4096 + (s->b > 200));
	send_packet(r, &p, sizeof(p), &header,
		    sizeof(header) - (s->b % 16 == 15 ? s->c % 40 : 0));
}

static void perform(struct rig *r, struct reader *in, const struct input *s)
{
	const struct block_error_rule rule = {
		.ops = s->a, .error = s->b & 1 ? -ENOSPC : -EIO, .after = s->c,
	};
	uint8_t bytes[64];

	switch (s->kind) {
	case SEND:
	case SEND_DATA:
		send_step(r, in, s);
		break;
	case MEMORY:
		if (READ(in, &bytes))
			memcpy(r->region.hva + s->a % 16 * 4096 + s->b * 8,
			       bytes, sizeof(bytes));
		break;
	case KICK:
		fake_kick(r->ch);
		break;
	case TURN:
		loop_turn(r->loop, false);
		break;
	case HOLD:
	case RELEASE:
		block_error_hold(r->disk, s->kind == HOLD);
		break;
	case FAIL:
		block_error_set(r->disk, &rule);
		break;
	case PLUG:
		plug(r);
		break;
	case UNPLUG:
		unplug(r);
		break;
	case REOPEN:
		if (s->a & 1)
			finish_channel(r);
		close_channel(r);
		r->expected = 0;
		r->ch = fake_open(storvsp_device(r->sv), 0);
		if (s->b & 1)
			initialize(r);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct rig r;
	struct reader in = { data, size };
	struct input s;

	if (!r.loop)
		r.loop = loop_new(NULL);
	start(&r);
	initialize(&r);
	while (READ(&in, &s)) {
		s.kind %= STEPS;
		perform(&r, &in, &s);
	}
	stop(&r);
	return 0;
}
