/* SPDX-License-Identifier: GPL-2.0-or-later */
/* storage - SCSI commands through a channel of the synthetic controller. */
#ifndef MICRO_STORAGE_H
#define MICRO_STORAGE_H

#include "vmbus.h"

#define SECTOR_SIZE	512

/* The controller's first channel among @n offers; NULL: there is none. */
struct channel *storage_find(struct channel *channels, unsigned n);

/* Say hello.  The channel is open. */
bool storage_begin(struct channel *ch);

struct scsi {
	uint8_t lun;
	uint8_t cdb[16], cdb_len;
	void *data;			/* within one page; NULL: none */
	uint32_t len;
	bool write;
	/* The answer. */
	uint8_t srb_status, scsi_status;
	uint32_t transferred;
};
/* Whether there was an answer. */
bool storage_scsi(struct channel *ch, struct scsi *s);

/* READ(10) or WRITE(10) of one sector of LUN 0.  Whether it succeeded. */
bool storage_sector(struct channel *ch, uint32_t lba, void *data, bool write);
/* The same without waiting; nobody takes the answer. */
bool storage_submit(struct channel *ch, uint32_t lba, void *data, bool write);

#endif
