/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storage.h"

#define STORVSP_VERSION_WIN10	0x0602

enum operation {
	COMPLETE_IO			= 1,
	EXECUTE_SRB			= 3,
	BEGIN_INITIALIZATION		= 7,
	END_INITIALIZATION		= 8,
	QUERY_PROTOCOL_VERSION		= 9,
	QUERY_PROPERTIES		= 10,
};
#define REQUEST_COMPLETION	1
#define DATA_IN			1
#define DATA_OUT		0
#define DATA_NONE		2
#define SRB_STATUS_SUCCESS	1

struct vstor {
	uint32_t operation, flags, status;
	union {
		struct {
			uint16_t version, revision;
		} protocol;
		struct {
			uint16_t length;
			uint8_t srb_status, scsi_status, port, path, target,
				lun, cdb_length, sense_length, data_in,
				reserved;
			uint32_t transfer_length;
			uint8_t cdb[16], reserved2[20];
		} srb;
		uint8_t bytes[52];
	};
} __attribute__((packed));
_Static_assert(sizeof(struct vstor) == 64, "wire format");

static uint64_t last_id = 0x100;

struct channel *storage_find(struct channel *channels, unsigned n)
{
	static const struct guid type = GUID(0xba6163d9, 0x04a1, 0x4d29,
					     0xb605, 0x72e2ffb1dc7f);

	for (unsigned i = 0; i < n; i++)
		if (!memcmp(&channels[i].type, &type, sizeof(type)) &&
		    channels[i].subchannel == 0)
			return &channels[i];
	return NULL;
}

/* Send @v, with the ranges of @head. */
static bool submit(struct channel *ch, struct vstor *v, const void *head,
		   uint32_t head_len)
{
	const struct packet p = {
		.type = head_len ? VM_PKT_DATA_USING_GPA_DIRECT :
				   VM_PKT_DATA_INBAND,
		.flags = VMBUS_DATA_PACKET_FLAG_COMPLETION_REQUESTED,
		.trans_id = ++last_id,
		.head = head, .head_len = head_len,
		.payload = v, .payload_len = sizeof(*v),
	};

	v->flags = REQUEST_COMPLETION;
	return channel_send(ch, &p);
}

/* Wait for the answer to what was sent last; it takes the place of @v. */
static bool completed(struct channel *ch, struct vstor *v)
{
	struct vmpacket_descriptor d;

	return WAIT(channel_recv(ch, &d, v, sizeof(*v)), VMBUS_WAIT) &&
	       d.type == VM_PKT_COMP && d.trans_id == last_id &&
	       d.len8 * 8u == sizeof(d) + sizeof(*v) &&
	       v->operation == COMPLETE_IO;
}

static bool step(struct channel *ch, enum operation operation, uint16_t version)
{
	struct vstor v = { .operation = operation };

	v.protocol.version = version;
	return submit(ch, &v, NULL, 0) && completed(ch, &v) && v.status == 0;
}

bool storage_begin(struct channel *ch)
{
	return step(ch, BEGIN_INITIALIZATION, 0) &&
	       step(ch, QUERY_PROTOCOL_VERSION, STORVSP_VERSION_WIN10) &&
	       step(ch, QUERY_PROPERTIES, 0) &&
	       step(ch, END_INITIALIZATION, 0);
}

static bool submit_scsi(struct channel *ch, const struct scsi *s,
			struct vstor *v)
{
	const struct {
		struct vmdata_gpa_direct gpa;
		struct gpa_range range;
		uint64_t pfn;
	} __attribute__((packed)) head = {
		.gpa.range_cnt = 1,
		.range = { s->len, (uint32_t)((uintptr_t)s->data % PAGE_SIZE) },
		.pfn = PFN(s->data),
	};

	*v = (struct vstor){ .operation = EXECUTE_SRB };
	v->srb.length = sizeof(*v) - offsetof(struct vstor, srb);
	v->srb.lun = s->lun;
	v->srb.cdb_length = s->cdb_len;
	v->srb.sense_length = 20;
	v->srb.data_in = !s->data ? DATA_NONE : s->write ? DATA_OUT : DATA_IN;
	v->srb.transfer_length = s->len;
	memcpy(v->srb.cdb, s->cdb, sizeof(v->srb.cdb));
	return submit(ch, v, &head, s->data ? sizeof(head) : 0);
}

bool storage_scsi(struct channel *ch, struct scsi *s)
{
	struct vstor v;

	if (!submit_scsi(ch, s, &v) || !completed(ch, &v))
		return false;
	s->srb_status = v.srb.srb_status;
	s->scsi_status = v.srb.scsi_status;
	s->transferred = v.srb.transfer_length;
	return true;
}

static struct scsi sector_command(uint32_t lba, void *data, bool write)
{
	return (struct scsi){
		.cdb = { write ? 0x2a : 0x28, 0, (uint8_t)(lba >> 24),
			 (uint8_t)(lba >> 16), (uint8_t)(lba >> 8),
			 (uint8_t)lba, 0, 0, 1 },
		.cdb_len = 10, .data = data, .len = SECTOR_SIZE,
		.write = write,
	};
}

bool storage_sector(struct channel *ch, uint32_t lba, void *data, bool write)
{
	struct scsi s = sector_command(lba, data, write);

	return storage_scsi(ch, &s) && s.srb_status == SRB_STATUS_SUCCESS &&
	       s.scsi_status == 0 && s.transferred == SECTOR_SIZE;
}

bool storage_submit(struct channel *ch, uint32_t lba, void *data, bool write)
{
	const struct scsi s = sector_command(lba, data, write);
	struct vstor v;

	return submit_scsi(ch, &s, &v);
}
