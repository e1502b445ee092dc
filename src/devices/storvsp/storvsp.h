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

/* Before the offer.  @lun passes to @sv.  -EEXIST, or -EINVAL for a number
 * beyond STORVSP_LUN_MAX. */
int storvsp_attach(struct storvsp *sv, unsigned number, struct scsi_lun *lun);

/* The LUN of that number, or NULL.  On @sv's loop. */
struct scsi_lun *storvsp_lun(const struct storvsp *sv, unsigned number);

/* To be offered with vmbus_offer(). */
struct vmbus_device *storvsp_device(struct storvsp *sv);

#endif
