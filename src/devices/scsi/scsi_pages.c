/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a disk tells of itself: INQUIRY, vital product data, mode pages. */
#include <string.h>

#include "devices/scsi/scsi_internal.h"

#define VENDOR		"Msft    "
#define PRODUCT		"Virtual Disk    "
#define REVISION	"1.0 "
#define PAGE_MAX	256

/* A VPD page without its 4-byte header: fill @p, return the length. */
static unsigned vpd_serial(const struct scsi_lun *lun, uint8_t *p)
{
	unsigned len = (unsigned)strlen(lun->id.serial);

	memcpy(p, lun->id.serial, len);
	return len;
}

static unsigned vpd_identification(const struct scsi_lun *lun, uint8_t *p)
{
	uint8_t *t10 = p, *naa = p + 4 + 8 + 16;

	t10[0] = 1;			/* binary, of the LUN, T10 vendor id */
	t10[1] = 1;
	t10[3] = 8 + 16;
	memcpy(t10 + 4, VENDOR, 8);
	memcpy(t10 + 12, lun->id.unique_id, 16);
	naa[0] = 1;			/* binary, NAA */
	naa[1] = 3;
	naa[3] = 16;
	put32(naa + 4, 0x60022480);	/* Microsoft's */
	memcpy(naa + 8, lun->id.unique_id, 12);
	return 4 + 8 + 16 + 4 + 16;
}

static unsigned vpd_block_limits(const struct scsi_lun *lun, uint8_t *p)
{
	const struct block_backend *bb = lun->bb;
	uint32_t granularity = bb->discard_granularity / bb->block_size;
	uint32_t max = lun->max_transfer / bb->block_size;

	p[0] = 1;			/* WSNZ: WRITE SAME of 0 is refused */
	put16(p + 2, (uint16_t)(bb->physical_block_size / bb->block_size));
	put32(p + 4, max);
	put32(p + 8, max);
	if (bb->discard_granularity) {
		put32(p + 16, UINT32_MAX);
		put32(p + 20, UNMAP_DESCRIPTORS_MAX);
		put32(p + 24, granularity);
		put32(p + 28, 0x80000000u);	/* alignment 0 is valid */
	}
	put64(p + 32, WRITE_SAME_MAX_BYTES / bb->block_size);
	return 60;
}

static unsigned vpd_characteristics(const struct scsi_lun *lun, uint8_t *p)
{
	put16(p, lun->bb->rotational ? 0 : 1);	/* 1: does not rotate */
	return 60;
}

static unsigned vpd_provisioning(const struct scsi_lun *lun, uint8_t *p)
{
	/* UNMAP and WRITE SAME unmap, and what is unmapped reads zero. */
	if (lun->bb->discard_granularity) {
		p[1] = 0x80 | 0x40 | 0x20 | 0x04;
		p[2] = 2;		/* thin */
	}
	return 4;
}

static unsigned vpd_pages(const struct scsi_lun *lun, uint8_t *p);

static const struct {
	uint8_t page;
	unsigned (*fill)(const struct scsi_lun *lun, uint8_t *p);
} vpd[] = {
	{ 0x00, vpd_pages },
	{ 0x80, vpd_serial },
	{ 0x83, vpd_identification },
	{ 0xb0, vpd_block_limits },
	{ 0xb1, vpd_characteristics },
	{ 0xb2, vpd_provisioning },
};

static bool has_page(const struct scsi_lun *lun, uint8_t page)
{
	return page != 0x80 || lun->id.serial[0];
}

static unsigned vpd_pages(const struct scsi_lun *lun, uint8_t *p)
{
	unsigned n = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(vpd); i++)
		if (has_page(lun, vpd[i].page))
			p[n++] = vpd[i].page;
	return n;
}

static void inquiry_vpd(struct scsi_request *rq)
{
	uint8_t data[PAGE_MAX] = { 0 };

	for (size_t i = 0; i < G_N_ELEMENTS(vpd); i++) {
		unsigned len;

		if (vpd[i].page != rq->cdb[2] ||
		    !has_page(rq->lun, vpd[i].page))
			continue;
		len = vpd[i].fill(rq->lun, data + 4);
		data[1] = rq->cdb[2];
		put16(data + 2, (uint16_t)len);
		scsi_finish_data(rq, data, 4 + len, get16(rq->cdb + 3));
		return;
	}
	scsi_finish(rq, SENSE_INVALID_FIELD);
}

void scsi_inquiry(struct scsi_request *rq)
{
	uint8_t data[36] = {
		[2] = 5,		/* SPC-3 */
		[3] = 2,		/* response format */
		[4] = sizeof(data) - 5,
		[7] = 0x02,		/* takes several commands at a time */
	};

	if (rq->cdb[1] & 1) {
		inquiry_vpd(rq);
		return;
	}
	if (rq->cdb[2]) {
		scsi_finish(rq, SENSE_INVALID_FIELD);
		return;
	}
	memcpy(data + 8, VENDOR, 8);
	memcpy(data + 16, PRODUCT, 16);
	memcpy(data + 32, REVISION, 4);
	scsi_finish_data(rq, data, sizeof(data), get16(rq->cdb + 3));
}

#define MODE_CACHING		0x08
#define MODE_ALL		0x3f
#define MODE_CHANGEABLE		1
#define MODE_SAVED		3
#define CACHING_LEN		20
#define CACHING_WCE		0x04
#define MODE_WRITE_PROTECT	0x80
#define MODE_DPO_FUA		0x10

/* The host caches writes, so flushes matter; none of it can be changed. */
static unsigned caching_page(uint8_t *p, bool changeable)
{
	memset(p, 0, CACHING_LEN);
	p[0] = MODE_CACHING;
	p[1] = CACHING_LEN - 2;
	if (!changeable)
		p[2] = CACHING_WCE;
	return CACHING_LEN;
}

void scsi_mode_sense(struct scsi_request *rq)
{
	bool ten = rq->cdb[0] == 0x5a;
	unsigned page = rq->cdb[2] & 0x3f, control = rq->cdb[2] >> 6;
	unsigned header = ten ? 8 : 4, len = header;
	uint8_t data[PAGE_MAX] = { 0 };
	uint8_t flags = MODE_DPO_FUA |
			(rq->lun->bb->read_only ? MODE_WRITE_PROTECT : 0);

	if (control == MODE_SAVED || rq->cdb[3] ||
	    (page != MODE_CACHING && page != MODE_ALL)) {
		scsi_finish(rq, SENSE_INVALID_FIELD);
		return;
	}
	len += caching_page(data + len, control == MODE_CHANGEABLE);
	if (ten) {
		put16(data, (uint16_t)(len - 2));
		data[3] = flags;
	} else {
		data[0] = (uint8_t)(len - 1);
		data[2] = flags;
	}
	scsi_finish_data(rq, data, len, ten ? get16(rq->cdb + 7) : rq->cdb[4]);
}

/* Whether the pages say what MODE SENSE does. */
static bool changes_nothing(const uint8_t *p, uint32_t len)
{
	uint8_t ours[CACHING_LEN];

	caching_page(ours, false);
	while (len) {
		uint32_t page_len;

		if (len < 2 || (p[0] & 0x3f) != MODE_CACHING)
			return false;
		page_len = p[1] + 2u;
		if (page_len != CACHING_LEN || page_len > len ||
		    memcmp(p + 2, ours + 2, CACHING_LEN - 2))
			return false;
		p += page_len;
		len -= page_len;
	}
	return true;
}

void scsi_mode_select(struct scsi_request *rq)
{
	bool ten = rq->cdb[0] == 0x55;
	uint32_t want = ten ? get16(rq->cdb + 7) : rq->cdb[4];
	uint32_t header = ten ? 8 : 4, descriptors, len;
	uint8_t data[PAGE_MAX];

	if (!want) {
		scsi_finish(rq, SENSE_NONE);
		return;
	}
	len = scsi_get_data(rq, data, MIN(want, sizeof(data)));
	if (len < header || len < want) {
		scsi_finish(rq, SENSE_PARAM_LENGTH);
		return;
	}
	descriptors = ten ? get16(data + 6) : data[3];
	if (descriptors > len - header)
		scsi_finish(rq, SENSE_PARAM_LENGTH);
	else if (!changes_nothing(data + header + descriptors,
				  len - header - descriptors))
		scsi_finish(rq, SENSE_PARAM_FIELD);
	else
		scsi_finish(rq, SENSE_NONE);
}
