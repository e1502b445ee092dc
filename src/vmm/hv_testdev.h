/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hv_testdev - the far end of the SynIC for hypervisor unit tests: what a
 * guest sends to it comes back, to the VP and SINT of the guest's choice.
 *
 * A 32-bit OUT to port 0x3000 is a command:
 *
 *	 31     24 23     16 15      8 7       0
 *	 connection  control     vp      sint
 *
 *	1, 2, 3	create or destroy a route to the SINT, or raise it
 *	4, 5	create or destroy a connection whose messages are posted to
 *		the SINT; one waits if its slot is busy, the next must retry
 *	6, 7	create or destroy a connection that signals the SINT's event
 *		flags from that of the connection's number on
 *
 * The port that a connection leads to has its number.  A connection may be made
 * to a VP that is not there; who uses it learns that.  What makes no sense (no
 * such SINT, an id that is taken, no route) is ignored.
 */
#ifndef VMM_HV_TESTDEV_H
#define VMM_HV_TESTDEV_H

#include "core/autoptr.h"
#include "devices/chipset/ioports.h"
#include "hv/hv.h"

#define HV_TESTDEV_PORT	0x3000

struct hv_testdev;

/* All borrowed; of @ops only sint_raise is used, with @host. */
struct hv_testdev *hv_testdev_new(struct hv *hv, const struct hv_host_ops *ops,
				  void *host);
void hv_testdev_free(struct hv_testdev *t);
AUTOPTR_DEFINE(hv_testdev, hv_testdev_free)

/* For ioports_add(). */
struct ioport *hv_testdev_port(struct hv_testdev *t);

/* No route and no connection is left.  All VPs are stopped. */
void hv_testdev_reset(struct hv_testdev *t);

#endif
