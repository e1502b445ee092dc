/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * storvsp - synthetic SCSI controller: SCSI commands over a VMBus channel.
 *
 * One controller, its LUNs and all of its channels live on one loop.
 */
#ifndef DEVICES_STORVSP_STORVSP_H
#define DEVICES_STORVSP_STORVSP_H

#include "devices/scsi/scsi.h"
#include "vmbus/channel.h"

#define STORVSP_LUN_MAX		64		/* per controller, target 0 */
#define STORVSP_SUBCHANNEL_MAX	8
/* Bytes of the largest request; what we tell the guest. */
#define STORVSP_TRANSFER_MAX	(1u << 20)

struct storvsp;

/*
 * @instance identifies the controller to the guest, stable over reboots;
 * @max_subchannels: channels beyond the first that the guest may ask for.
 */
struct storvsp *storvsp_new(struct loop *loop, const struct gmem *gm,
			    const struct guid *instance,
			    unsigned max_subchannels);
/* The device is not offered (any more).  Frees its LUNs. */
void storvsp_free(struct storvsp *sv);

/*
 * Before the offer, or on its loop; a guest that is there is told.  @lun passes
 * if 0 is returned.  -EEXIST, or -EINVAL for a number beyond STORVSP_LUN_MAX.
 * -EBUSY: the guest has not seen yet that the LUN that was there is gone, and
 * would take the new one for it.
 */
int storvsp_attach(struct storvsp *sv, unsigned number, struct scsi_lun *lun);

struct storvsp_detach {
	/* No request of the guest's is under way, and all is stable. */
	void (*done)(struct storvsp_detach *d);
	struct scsi_lun *lun;		/* in done(): the caller's now */
	bool failed;			/* in done(): to make it stable */
	struct scsi_request settle;	/* belongs to @sv */
};

/*
 * On its loop: the guest is told, and finds no LUN there any more.  Requests
 * under way end in their own time, then d->done() is called on the loop,
 * possibly from inside.  0, or -ENODEV; -EBUSY: it is leaving.
 */
int storvsp_detach(struct storvsp *sv, unsigned number,
		   struct storvsp_detach *d);

struct storvsp_hold {
	/* No request is under way, and none comes: all is stable. */
	void (*done)(struct storvsp_hold *h);
	bool failed;			/* in done(): to make it stable */
	struct scsi_request settle;	/* belongs to @sv */
};

/*
 * On its loop: requests that come wait, those under way end in their own time,
 * then h->done() is called on the loop, possibly from inside.  The LUN can be
 * changed on any thread then, up to storvsp_release() on the loop; it is not
 * detached meanwhile.  0, -ENODEV or -EBUSY.
 */
int storvsp_hold(struct storvsp *sv, unsigned number, struct storvsp_hold *h);
void storvsp_release(struct storvsp *sv, unsigned number);

/* On its loop, borrowed up to storvsp_detach(); NULL if there is none. */
struct scsi_lun *storvsp_lun(const struct storvsp *sv, unsigned number);
/* On its loop: let the guest look at all LUNs, now that one is different. */
void storvsp_announce(struct storvsp *sv);

/* On its loop: let all LUNs try again what the host failed at. */
void storvsp_again(struct storvsp *sv);

/* To be offered with vmbus_offer(). */
struct vmbus_device *storvsp_device(struct storvsp *sv);

#endif
