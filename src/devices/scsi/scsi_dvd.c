/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A DVD drive, and media that come and go.  MMC-6.
 *
 *	            insert                        insert
 *	tray open ----------> medium is there <----------- empty, closed
 *	    ^                      |                            ^
 *	    +----------------------+        load                |
 *	    |       eject, by guest or user                     |
 *	    +---------------------------------------------------+
 *
 * What is ejected is gone: only the user can put a medium in.  A request that
 * is under way then ends by the medium that it began with.
 */
#include <errno.h>

#include "core/trace.h"
#include "devices/scsi/scsi_dvd.h"

#define NOT_READY_TRAY_CLOSED	((struct scsi_sense){ 0x02, 0x3a, 0x01 })
#define NOT_READY_TRAY_OPEN	((struct scsi_sense){ 0x02, 0x3a, 0x02 })
#define NOT_READY_LOCKED	((struct scsi_sense){ 0x02, 0x53, 0x02 })
#define REMOVAL_PREVENTED	((struct scsi_sense){ 0x05, 0x53, 0x02 })
#define MEDIUM_MAY_HAVE_CHANGED	((struct scsi_sense){ 0x06, 0x28, 0x00 })

static struct scsi_sense not_ready(const struct scsi_lun *lun)
{
	const struct scsi_dvd *d = container_of(lun, const struct scsi_dvd,
						lun);

	return d->tray_open ? NOT_READY_TRAY_OPEN : NOT_READY_TRAY_CLOSED;
}

static void reset(struct scsi_lun *lun)
{
	dvd_of(lun)->locks = 0;
}

/* @bb is the medium from now on. */
static void put_in(struct scsi_dvd *d, struct block_backend *bb)
{
	d->lun.medium = scsi_medium_new(bb);
	d->tray_open = false;
	d->events |= 1u << EVENT_NEW_MEDIA;
	trace(TRACE_SCSI, "scsi.insert size=%" G_GUINT64_FORMAT, bb->size);
}

/* A new medium that leaves before anybody has seen it was never there. */
static void take_out(struct scsi_dvd *d)
{
	if (d->lun.medium) {
		d->events = 1u << EVENT_MEDIA_REMOVAL;
		block_hurry(lun_bb(&d->lun));
		scsi_medium_put(d->lun.medium);
		d->lun.medium = NULL;
		trace(TRACE_SCSI, "scsi.eject");
	}
	d->tray_open = true;
}

static void start_stop(struct scsi_request *rq)
{
	struct scsi_dvd *d = dvd_of(rq->lun);
	uint8_t flags = rq->cdb[4];
	bool power = flags & 0xf0, load_eject = flags & 2, start = flags & 1;
	bool eject = !power && load_eject && !start;

	if (eject && d->locks & LOCK_PREVENT) {
		scsi_finish(rq, d->lun.medium ? REMOVAL_PREVENTED :
						NOT_READY_LOCKED);
		return;
	}
	if (eject)
		take_out(d);
	else if (!power && load_eject)
		d->tray_open = false;
	scsi_finish(rq, SENSE_NONE);
}

static void prevent_allow(struct scsi_request *rq)
{
	struct scsi_dvd *d = dvd_of(rq->lun);
	unsigned lock = rq->cdb[4] & 2 ? LOCK_PERSISTENT : LOCK_PREVENT;

	if (rq->cdb[4] & 1)
		d->locks |= lock;
	else
		d->locks &= ~lock;
	scsi_finish(rq, SENSE_NONE);
}

#define POLLED			1	/* there is no other way */
#define CLASS_MEDIA		4
#define NO_EVENT_AVAILABLE	0x80
#define STATUS_TRAY_OPEN	1
#define STATUS_MEDIA_PRESENT	2

/* The oldest event and what it has led to; it is told once. */
static void next_event(struct scsi_dvd *d, uint8_t *event, uint8_t *status)
{
	static const uint8_t order[] = {
		EVENT_MEDIA_REMOVAL, EVENT_NEW_MEDIA, EVENT_EJECT_REQUEST,
	};

	for (size_t i = 0; i < sizeof(order) && !*event; i++)
		if (d->events & 1u << order[i])
			*event = order[i];
	d->events &= ~(1u << *event);
	if (d->tray_open)
		*status |= STATUS_TRAY_OPEN;
	/* The next medium may be there already. */
	if (d->lun.medium && *event != EVENT_MEDIA_REMOVAL)
		*status |= STATUS_MEDIA_PRESENT;
}

static void get_event_status(struct scsi_request *rq)
{
	uint16_t allocation = get16(rq->cdb + 7);
	bool media = rq->cdb[4] & 1u << CLASS_MEDIA;
	uint8_t data[8] = {
		[1] = media ? 6 : 2,
		[2] = media ? CLASS_MEDIA : NO_EVENT_AVAILABLE,
		[3] = 1u << CLASS_MEDIA,	/* those that there are */
	};

	if (!(rq->cdb[1] & POLLED)) {
		scsi_finish(rq, SENSE_INVALID_FIELD);
		return;
	}
	/* What does not get through has not been told. */
	if (media && MIN(allocation, rq->data_len) >= sizeof(data))
		next_event(dvd_of(rq->lun), &data[4], &data[5]);
	scsi_finish_data(rq, data, media ? 8 : 4, allocation);
}

#define DOOR_OPEN	0x10

static void mechanism_status(struct scsi_request *rq)
{
	const uint8_t data[8] = {
		[1] = dvd_of(rq->lun)->tray_open ? DOOR_OPEN : 0,
	};

	scsi_finish_data(rq, data, sizeof(data), get16(rq->cdb + 8));
}

/* A part of the medium that cannot be read is tried once. */
static void mode_error_recovery(const struct scsi_lun *lun, uint8_t *p)
{
}

#define SPEED		(16 * 1350)	/* kB/s: sixteen times a DVD's */

/* MM capabilities; of all their speeds a file has none. */
static void mode_capabilities(const struct scsi_lun *lun, uint8_t *p)
{
	const struct scsi_dvd *d = container_of(lun, const struct scsi_dvd,
						lun);

	p[2] = 0x3b;		/* reads CD-R, CD-RW, DVD-ROM, -R, -RAM */
	p[4] = 0x70;		/* mode 2 form 1 and 2, several sessions */
	p[6] = 0x29 | (d->locks ? 2 : 0);	/* tray, eject, lock; locked */
	put16(p + 8, SPEED);
	put16(p + 14, SPEED);
}

static const struct scsi_mode_page mode[] = {
	{ 0x01, 12, mode_error_recovery },
	{ 0x2a, 22, mode_capabilities },
	{ 0 },
};

static uint8_t mode_parameter(const struct scsi_lun *lun)
{
	return 0;
}

static const struct scsi_vpd_page vpd[] = { { 0 } };

static const struct scsi_command commands[256] = {
	[0x00] = { scsi_good, SCSI_NEEDS_MEDIUM },	/* TEST UNIT READY */
	[0x03] = { scsi_request_sense, SCSI_NEEDS_NOTHING },
	[0x12] = { scsi_inquiry, SCSI_NEEDS_NOTHING },
	[0x15].perform = scsi_mode_select,	/* MODE SELECT(6) */
	[0x1a].perform = scsi_mode_sense,	/* MODE SENSE(6) */
	[0x1b].perform = start_stop,
	[0x1d].perform = scsi_good,		/* SEND DIAGNOSTIC */
	[0x1e].perform = prevent_allow,
	[0x25] = { scsi_read_capacity10, SCSI_NEEDS_MEDIUM },
	[0x28] = { scsi_read, SCSI_NEEDS_MEDIUM },	/* READ(10) */
	[0x2f] = { scsi_verify, SCSI_NEEDS_MEDIUM },	/* VERIFY(10) */
	[0x43] = { scsi_read_toc, SCSI_NEEDS_MEDIUM },
	[0x46] = { scsi_get_configuration, SCSI_NEEDS_NOTHING },
	[0x4a] = { get_event_status, SCSI_NEEDS_NOTHING },
	[0x51] = { scsi_read_disc_information, SCSI_NEEDS_MEDIUM },
	[0x52] = { scsi_read_track_information, SCSI_NEEDS_MEDIUM },
	[0x55].perform = scsi_mode_select,	/* MODE SELECT(10) */
	[0x5a].perform = scsi_mode_sense,	/* MODE SENSE(10) */
	[0x88] = { scsi_read, SCSI_NEEDS_MEDIUM },	/* READ(16) */
	[0xa8] = { scsi_read, SCSI_NEEDS_MEDIUM },	/* READ(12) */
	[0xad] = { scsi_read_dvd_structure, SCSI_NEEDS_MEDIUM },
	[0xbd].perform = mechanism_status,
};

static const struct scsi_type dvd = {
	.peripheral = 5,
	.removable = true,
	.product = "Virtual DVD-ROM ",
	.commands = commands,
	.vpd = vpd,
	.mode = mode,
	.mode_parameter = mode_parameter,
	.not_ready = not_ready,
	.reset = reset,
};

bool scsi_dvd_takes(const struct block_backend *bb)
{
	return bb->size >= SCSI_DVD_BLOCK && bb->size % SCSI_DVD_BLOCK == 0 &&
	       SCSI_DVD_BLOCK % bb->block_size == 0;
}

struct scsi_lun *scsi_dvd_new(struct block_backend *bb,
			      const struct scsi_identity *id,
			      uint32_t max_transfer)
{
	struct scsi_dvd *d = g_new0(struct scsi_dvd, 1);

	scsi_lun_init(&d->lun, &dvd, id, NULL);
	d->lun.block_size = SCSI_DVD_BLOCK;
	d->lun.max_transfer = max_transfer;
	if (bb)
		put_in(d, bb);
	return &d->lun;
}

int scsi_dvd_insert(struct scsi_lun *lun, struct block_backend *bb)
{
	if (lun->type != &dvd)
		return -ENODEV;
	if (lun->medium)
		return -EEXIST;
	put_in(dvd_of(lun), bb);
	lun->attention = MEDIUM_MAY_HAVE_CHANGED;
	return 0;
}

int scsi_dvd_eject(struct scsi_lun *lun, bool force)
{
	struct scsi_dvd *d;

	if (lun->type != &dvd)
		return -ENODEV;
	if (!lun->medium)
		return -ENOMEDIUM;
	d = dvd_of(lun);
	if (d->locks && !force) {
		d->events |= 1u << EVENT_EJECT_REQUEST;
		return -EBUSY;
	}
	take_out(d);
	return 0;
}

bool scsi_dvd_is_empty(const struct scsi_lun *lun)
{
	return lun->type == &dvd && !lun->medium;
}
