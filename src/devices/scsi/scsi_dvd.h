/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the files of the DVD drive. */
#ifndef DEVICES_SCSI_SCSI_DVD_H
#define DEVICES_SCSI_SCSI_DVD_H

#include "core/util.h"
#include "devices/scsi/scsi_internal.h"

/* Who holds the medium: the two states of PREVENT ALLOW MEDIUM REMOVAL. */
#define LOCK_PREVENT	1	/* nobody may take it out */
#define LOCK_PERSISTENT	2	/* the user has to ask the guest */

/*
 * What the guest has not heard of yet, by its code in the answer to GET EVENT
 * STATUS NOTIFICATION.
 */
#define EVENT_EJECT_REQUEST	1
#define EVENT_NEW_MEDIA		2
#define EVENT_MEDIA_REMOVAL	3

struct scsi_dvd {
	struct scsi_lun lun;
	bool tray_open;		/* only without a medium */
	unsigned locks;		/* LOCK_* */
	unsigned events;	/* 1 << EVENT_* */
};

static inline struct scsi_dvd *dvd_of(struct scsi_lun *lun)
{
	return container_of(lun, struct scsi_dvd, lun);
}

/*
 * What the drive and its disc are, in MMC's many ways.  The disc is a DVD-ROM
 * of one session with one track.
 */
void scsi_get_configuration(struct scsi_request *rq);
void scsi_read_toc(struct scsi_request *rq);
void scsi_read_disc_information(struct scsi_request *rq);
void scsi_read_track_information(struct scsi_request *rq);
void scsi_read_dvd_structure(struct scsi_request *rq);

#endif
