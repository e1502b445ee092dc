/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of storvsp share: storvsp.c has slots and requests,
 * storvsp_setup.c what comes before them.
 */
#ifndef DEVICES_STORVSP_INTERNAL_H
#define DEVICES_STORVSP_INTERNAL_H

#include <glib.h>

#include "devices/storvsp/storvsp.h"
#include "devices/storvsp/storvsp_proto.h"

#define QUEUE_DEPTH	512	/* requests under way in one channel */
/*
 * Those of a LUN that is not alone, so that one that is slow leaves some to the
 * others.  Linux has 316 under way at most, by the size of its ring.
 */
#define LUN_DEPTH	(QUEUE_DEPTH / 4 * 3)
#define IOV_MAX_COUNT	(STORVSP_TRANSFER_MAX / 4096 + 2)

enum init_state {
	INIT_BEGIN, INIT_VERSION, INIT_PROPERTIES, INIT_END, INIT_READY,
};

struct storvsp_channel;

struct storvsp_slot {
	struct scsi_lun *lun;		/* NULL: empty */
	unsigned in_flight;
	struct storvsp_detach *detach;	/* it is leaving */
	struct storvsp_hold *hold;	/* its requests wait ... */
	bool settling;			/* ... and those before have ended */
	struct storvsp_request *held, **held_end;
	bool unseen;			/* the guest has not seen it go */
};

struct storvsp_request {
	struct scsi_request scsi;
	struct storvsp_channel *sc;
	struct storvsp_slot *slot;	/* that it is a request of, or NULL */
	struct storvsp_request *next;	/* in the pool, or held */
	uint64_t trans_id;
	size_t packet_len;		/* as the guest sent it */
	struct vstor_packet packet;
	struct iovec *iov;		/* IOV_MAX_COUNT of them */
};

struct storvsp_channel {
	struct storvsp *sv;
	struct vmbus_channel *ch;
	struct storvsp_request *free;
	unsigned in_flight;
	unsigned of_lun[STORVSP_LUN_MAX];	/* of these */
	bool closing;
	struct storvsp_request pool[QUEUE_DEPTH];
	/* Apart, so that what is never used never takes memory. */
	struct iovec iov[QUEUE_DEPTH][IOV_MAX_COUNT];
};

struct storvsp {
	struct vmbus_device vmbus;
	unsigned max_subchannels;
	enum init_state state;
	bool has_subchannels;
	uint16_t version;
	struct vmbus_channel *primary;	/* NULL: not open */
	bool must_enumerate;		/* the guest is to be told */
	struct storvsp_slot slot[STORVSP_LUN_MAX];
};

/* Do what @p, which is no SRB, asks for; the answer is in it, too. */
enum vstor_status storvsp_control(struct storvsp_channel *sc,
				  struct vstor_packet *p);
void storvsp_reset_luns(struct storvsp *sv, unsigned first, unsigned count);

#endif
