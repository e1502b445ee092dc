/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HvRetargetDeviceInterrupt: another vector and other VPs for an interrupt of
 * an assigned device.  No devices are assigned.  TLFS 10.5.4.
 */
#include "hv/hypercall.h"

#define FLAGS	(HV_DEVICE_INTERRUPT_TARGET_MULTICAST |			\
		 HV_DEVICE_INTERRUPT_TARGET_PROCESSOR_SET)

enum hv_status retarget_device_interrupt(struct call *c)
{
	const struct hv_input_retarget *in = c->input;

	if (in->partition_id != HV_PARTITION_ID_SELF)
		return HV_STATUS_ACCESS_DENIED;
	if (in->source != HV_INTERRUPT_SOURCE_MSI || in->rsvdz4 ||
	    in->rsvdz8 || in->flags & ~FLAGS)
		return HV_STATUS_INVALID_PARAMETER;
	return HV_STATUS_INVALID_DEVICE_ID;
}
