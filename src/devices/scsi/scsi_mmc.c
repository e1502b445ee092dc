/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "devices/scsi/scsi_dvd.h"

#define PROFILE_CD_ROM		0x08
#define PROFILE_DVD_ROM		0x10
#define DATA_TRACK		0x14	/* position by ADR 1; data, no copy */
#define LEAD_OUT		0xaa
#define PREGAP			150	/* frames in front of block 0 */
#define FRAMES			75	/* in a second */

/* When a feature is current. */
enum when { NEVER, WITH_MEDIUM, ALWAYS };

static const struct feature {
	uint16_t code;
	uint8_t flags;		/* version << 2 | persistent << 1 */
	uint8_t when;
	uint8_t len;
	uint8_t data[8];
} features[] = {
	/* Its profiles; that of the medium is current with it. */
	{ 0x0000, 0x02, ALWAYS, 8,
	  { 0, PROFILE_DVD_ROM, 0, 0, 0, PROFILE_CD_ROM, 0, 0 } },
	{ 0x0001, 0x0a, ALWAYS, 8, { 0, 0, 0, 1 } },	/* core: SCSI */
	{ 0x0002, 0x06, ALWAYS, 4, { 0 } },	/* morphing: polled */
	/* Removable medium: tray; load, eject, lock. */
	{ 0x0003, 0x06, ALWAYS, 4, { 0x39 } },
	/* Random readable, by 16 blocks; there is a mode page 01. */
	{ 0x0010, 0x00, WITH_MEDIUM, 8,
	  { 0, 0, SCSI_DVD_BLOCK >> 8, 0, 0, 16, 1 } },
	{ 0x001e, 0x08, NEVER, 4, { 0 } },	/* CD read */
	{ 0x001f, 0x04, WITH_MEDIUM, 4, { 0 } },	/* DVD read */
	{ 0x0100, 0x02, ALWAYS, 0, { 0 } },	/* power management */
	{ 0x0105, 0x06, ALWAYS, 4, { 0 } },	/* timeout */
};

#define FEATURES_MAX	(8 + G_N_ELEMENTS(features) * 12)

/* What the request type of GET CONFIGURATION asks for. */
enum { ALL_FEATURES, CURRENT_FEATURES, ONE_FEATURE };

static bool is_current(const struct feature *f, const struct scsi_lun *lun)
{
	return f->when == ALWAYS || (f->when == WITH_MEDIUM && lun->medium);
}

static bool is_wanted(const struct feature *f, const struct scsi_lun *lun,
		      unsigned type, unsigned first)
{
	if (type == ONE_FEATURE)
		return f->code == first;
	return f->code >= first &&
	       (type == ALL_FEATURES || is_current(f, lun));
}

static unsigned fill_feature(const struct feature *f,
			     const struct scsi_lun *lun, uint8_t *p)
{
	put16(p, f->code);
	p[2] = f->flags | (is_current(f, lun) ? 1 : 0);
	p[3] = f->len;
	memcpy(p + 4, f->data, f->len);
	if (!f->code && lun->medium)
		p[6] = 1;		/* the first profile is current */
	return 4u + f->len;
}

void scsi_get_configuration(struct scsi_request *rq)
{
	const struct scsi_lun *lun = rq->lun;
	unsigned type = rq->cdb[1] & 3, first = get16(rq->cdb + 2);
	uint8_t data[FEATURES_MAX] = { 0 };
	unsigned len = 8;

	if (type > ONE_FEATURE) {
		scsi_finish(rq, SENSE_INVALID_FIELD);
		return;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(features); i++)
		if (is_wanted(&features[i], lun, type, first))
			len += fill_feature(&features[i], lun, data + len);
	put32(data, len - 4);
	put16(data + 6, lun->medium ? PROFILE_DVD_ROM : 0);
	scsi_finish_data(rq, data, len, get16(rq->cdb + 7));
}

/* 32 bits are for 8 TiB; what is beyond counts as their end. */
static uint32_t blocks32(const struct scsi_lun *lun)
{
	return (uint32_t)MIN(lun_blocks(lun), UINT32_MAX);
}

/* Minute, second, frame; minutes end at 255. */
static void put_msf(uint8_t *p, uint32_t lba)
{
	const uint64_t max = 256u * 60 * FRAMES - 1;
	uint32_t frames = (uint32_t)MIN((uint64_t)lba + PREGAP, max);

	p[0] = (uint8_t)(frames / FRAMES / 60);
	p[1] = (uint8_t)(frames / FRAMES % 60);
	p[2] = (uint8_t)(frames % FRAMES);
}

static void put_address(uint8_t *p, uint32_t lba, bool msf)
{
	if (msf)
		put_msf(p + 1, lba);
	else
		put32(p, lba);
}

/* A descriptor of 8 bytes: where a track begins. */
static uint8_t *put_track(uint8_t *p, uint8_t track, uint32_t lba, bool msf)
{
	p[1] = DATA_TRACK;
	p[2] = track;
	put_address(p + 4, lba, msf);
	return p + 8;
}

/* A descriptor of 11 bytes, as in the lead-in; the caller fills its last 3. */
static uint8_t *put_point(uint8_t *p, uint8_t point)
{
	p[0] = 1;			/* session */
	p[1] = DATA_TRACK;
	p[3] = point;
	return p + 8;
}

/* The first and last track of the disc, and its end; then the track. */
static uint8_t *put_points(uint8_t *p, uint32_t end)
{
	p = put_point(p, 0xa0);
	p[0] = 1;
	p = put_point(p + 3, 0xa1);
	p[0] = 1;
	p = put_point(p + 3, 0xa2);
	put_msf(p, end);
	p = put_point(p + 3, 1);
	put_msf(p, 0);
	return p + 3;
}

/* READ TOC/PMA/ATIP: of tracks, of the last session, or all points. */
void scsi_read_toc(struct scsi_request *rq)
{
	/* Drives of old had the format in the last byte. */
	unsigned format = (rq->cdb[2] & 0x0f) ?: rq->cdb[9] >> 6;
	bool msf = rq->cdb[1] & 2;
	uint8_t first = rq->cdb[6], data[4 + 4 * 11] = { 0 }, *p = data + 4;
	uint32_t end = blocks32(rq->lun);

	if (format > 2 || (format == 0 && first > 1 && first != LEAD_OUT) ||
	    (format == 2 && first > 1)) {
		scsi_finish(rq, SENSE_INVALID_FIELD);
		return;
	}
	if (format == 0 && first <= 1)
		p = put_track(p, 1, 0, msf);
	if (format == 0)
		p = put_track(p, LEAD_OUT, end, msf);
	else if (format == 1)
		p = put_track(p, 1, 0, msf);
	else
		p = put_points(p, end);
	put16(data, (uint16_t)(p - data - 2));
	data[2] = data[3] = 1;		/* first and last of them */
	scsi_finish_data(rq, data, (uint32_t)(p - data), get16(rq->cdb + 7));
}

void scsi_read_disc_information(struct scsi_request *rq)
{
	static const uint8_t data[34] = {
		[1] = sizeof(data) - 2,
		[2] = 0x0e,		/* disc and last session complete */
		[3] = 1,		/* first track, sessions, ... */
		[4] = 1, [5] = 1, [6] = 1,	/* ... last session's tracks */
		[7] = 0x20,		/* for all uses */
		[16] = 0xff, [17] = 0xff, [18] = 0xff, [19] = 0xff,
		[20] = 0xff, [21] = 0xff, [22] = 0xff, [23] = 0xff,
	};

	if (rq->cdb[1] & 7)		/* standard information only */
		scsi_finish(rq, SENSE_INVALID_FIELD);
	else
		scsi_finish_data(rq, data, sizeof(data), get16(rq->cdb + 7));
}

/* How READ TRACK INFORMATION names a track; an open one there is not. */
enum { BY_BLOCK, BY_TRACK, BY_SESSION };

void scsi_read_track_information(struct scsi_request *rq)
{
	uint32_t number = get32(rq->cdb + 2), blocks = blocks32(rq->lun);
	unsigned by = rq->cdb[1] & 7;
	uint8_t data[36] = {
		[1] = sizeof(data) - 2,
		[2] = 1, [3] = 1,	/* track, session */
		[5] = DATA_TRACK & 0x0f,
		[6] = 1,		/* mode 1 */
	};

	if (by == BY_BLOCK && number >= blocks) {
		scsi_finish(rq, SENSE_LBA_OUT_OF_RANGE);
		return;
	}
	if (by > BY_SESSION || (by != BY_BLOCK && number != 1)) {
		scsi_finish(rq, SENSE_INVALID_FIELD);
		return;
	}
	put32(data + 24, blocks);
	scsi_finish_data(rq, data, sizeof(data), get16(rq->cdb + 7));
}

/* Formats of READ DVD STRUCTURE. */
#define DVD_PHYSICAL		0x00
#define DVD_COPYRIGHT		0x01
#define DVD_MANUFACTURING	0x04
#define DVD_LIST		0xff
#define DVD_DATA		2048
#define DVD_FIRST_SECTOR	0x030000u	/* of the data area */
#define DVD_LAST_SECTOR		0xffffffu	/* that has a number */

static unsigned fill_physical(const struct scsi_lun *lun, uint8_t *p)
{
	p[0] = 0x01;		/* DVD-ROM, version 1 */
	p[1] = 0x0f;		/* 120 mm; no speed is asked for */
	p[2] = 0x01;		/* one layer, embossed */
	put32(p + 4, DVD_FIRST_SECTOR);
	put32(p + 8, MIN(DVD_FIRST_SECTOR - 1 + lun_blocks(lun),
			 DVD_LAST_SECTOR));
	return DVD_DATA;
}

static unsigned fill_list(uint8_t *p)
{
	static const struct { uint8_t format; uint16_t len; } formats[] = {
		{ DVD_PHYSICAL, 4 + DVD_DATA },
		{ DVD_COPYRIGHT, 4 + 4 },
		{ DVD_MANUFACTURING, 4 + DVD_DATA },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(formats); i++, p += 4) {
		p[0] = formats[i].format;
		p[1] = 0x40;		/* can be read */
		put16(p + 2, formats[i].len);
	}
	return sizeof(formats) / sizeof(formats[0]) * 4;
}

void scsi_read_dvd_structure(struct scsi_request *rq)
{
	uint8_t data[4 + DVD_DATA] = { 0 };
	unsigned len;

	if (rq->cdb[1] & 0x0f || rq->cdb[6]) {	/* a DVD, its layer 0 */
		scsi_finish(rq, SENSE_INVALID_FIELD);
		return;
	}
	switch (rq->cdb[7]) {
	case DVD_PHYSICAL:
		len = fill_physical(rq->lun, data + 4);
		break;
	case DVD_COPYRIGHT:		/* none, for all regions */
		len = 4;
		break;
	case DVD_MANUFACTURING:
		len = DVD_DATA;
		break;
	case DVD_LIST:
		len = fill_list(data + 4);
		break;
	default:
		scsi_finish(rq, SENSE_INVALID_FIELD);
		return;
	}
	put16(data, (uint16_t)(len + 2));
	scsi_finish_data(rq, data, 4 + len, get16(rq->cdb + 8));
}
