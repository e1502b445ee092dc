/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a LUN tells of itself: INQUIRY, vital product data, mode pages. */
#include <string.h>

#include "devices/scsi/scsi_internal.h"

#define VENDOR		"Msft    "
#define REVISION	"1.0 "
#define PAGE_MAX	256

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

static const struct scsi_vpd_page serial = { 0x80, vpd_serial };
static const struct scsi_vpd_page identification = { 0x83,
						     vpd_identification };

/* The page after @v, in the order of their codes; the first one after NULL. */
static const struct scsi_vpd_page *next_vpd(const struct scsi_lun *lun,
					    const struct scsi_vpd_page *v)
{
	if (!v && lun->id.serial[0])
		return &serial;
	if (!v || v == &serial)
		return &identification;
	v = v == &identification ? lun->type->vpd : v + 1;
	return v->fill ? v : NULL;
}

static unsigned vpd_pages(const struct scsi_lun *lun, uint8_t *p)
{
	const struct scsi_vpd_page *v = NULL;
	unsigned n = 1;			/* this one, 0x00 */

	while ((v = next_vpd(lun, v)))
		p[n++] = v->code;
	return n;
}

static void inquiry_vpd(struct scsi_request *rq)
{
	static const struct scsi_vpd_page pages = { 0x00, vpd_pages };
	const struct scsi_lun *lun = rq->lun;
	const struct scsi_vpd_page *v = &pages;
	uint8_t data[PAGE_MAX] = { lun->type->peripheral, rq->cdb[2] };
	unsigned len;

	if (rq->cdb[2])
		for (v = NULL; (v = next_vpd(lun, v));)
			if (v->code == rq->cdb[2])
				break;
	if (!v) {
		scsi_finish(rq, SENSE_INVALID_FIELD);
		return;
	}
	len = v->fill(lun, data + 4);
	put16(data + 2, (uint16_t)len);
	scsi_finish_data(rq, data, 4 + len, get16(rq->cdb + 3));
}

void scsi_inquiry(struct scsi_request *rq)
{
	const struct scsi_type *type = rq->lun->type;
	uint8_t data[36] = {
		[0] = type->peripheral,
		[1] = type->removable ? 0x80 : 0,
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
	memcpy(data + 16, type->product, 16);
	memcpy(data + 32, REVISION, 4);
	scsi_finish_data(rq, data, sizeof(data), get16(rq->cdb + 3));
}

#define MODE_ALL		0x3f
#define MODE_CHANGEABLE		1
#define MODE_SAVED		3

/* A page as it is, or which of its bits can be changed: none. */
static unsigned fill_mode(const struct scsi_lun *lun,
			  const struct scsi_mode_page *m, uint8_t *p,
			  bool changeable)
{
	memset(p, 0, m->len);
	p[0] = m->code;
	p[1] = (uint8_t)(m->len - 2);
	if (!changeable)
		m->fill(lun, p);
	return m->len;
}

/* The pages that are asked for; 0 if there are none. */
static unsigned fill_modes(const struct scsi_lun *lun, uint8_t *p,
			   unsigned code, bool changeable)
{
	unsigned len = 0;

	for (const struct scsi_mode_page *m = lun->type->mode; m->fill; m++)
		if (code == m->code || code == MODE_ALL)
			len += fill_mode(lun, m, p + len, changeable);
	return len;
}

void scsi_mode_sense(struct scsi_request *rq)
{
	const struct scsi_lun *lun = rq->lun;
	bool ten = rq->cdb[0] == 0x5a;
	unsigned page = rq->cdb[2] & 0x3f, control = rq->cdb[2] >> 6;
	unsigned header = ten ? 8 : 4, len;
	uint8_t data[PAGE_MAX] = { 0 };
	uint8_t parameter = lun->type->mode_parameter(lun);

	len = fill_modes(lun, data + header, page,
			 control == MODE_CHANGEABLE);
	if (control == MODE_SAVED || rq->cdb[3] || !len) {
		scsi_finish(rq, SENSE_INVALID_FIELD);
		return;
	}
	len += header;
	if (ten) {
		put16(data, (uint16_t)(len - 2));
		data[3] = parameter;
	} else {
		data[0] = (uint8_t)(len - 1);
		data[2] = parameter;
	}
	scsi_finish_data(rq, data, len, ten ? get16(rq->cdb + 7) : rq->cdb[4]);
}

/* Whether the pages say what MODE SENSE does. */
static bool changes_nothing(const struct scsi_lun *lun, const uint8_t *p,
			    uint32_t len)
{
	uint8_t ours[PAGE_MAX];

	while (len) {
		uint32_t page_len;

		if (len < 2 || (p[0] & 0x3f) == MODE_ALL)
			return false;
		page_len = fill_modes(lun, ours, p[0] & 0x3f, false);
		if (page_len != p[1] + 2u || page_len > len ||
		    memcmp(p + 2, ours + 2, page_len - 2))
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
	else if (!changes_nothing(rq->lun, data + header + descriptors,
				  len - header - descriptors))
		scsi_finish(rq, SENSE_PARAM_FIELD);
	else
		scsi_finish(rq, SENSE_NONE);
}
