/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * doorbell - the guest's HvSignalEvent, brought to a channel's loop.
 *
 * Two ways lead to the same eventfd: the fast one stays in the kernel (the
 * hypercall page's OUT is caught by an ioeventfd); a call that the page did
 * not take so ends in hv's event port, which writes the eventfd.
 */
#ifndef VMM_DOORBELL_H
#define VMM_DOORBELL_H

#include "hv/hv.h"
#include "vmbus/bus.h"
#include "vmm/kvm.h"

/* vmbus_host_ops.doorbell_connect and disconnect, on @ch's loop. */
int doorbell_connect(const struct kvm *kvm, struct hv *hv, uint32_t id,
		     struct vmbus_channel *ch, void **cookie);
void doorbell_disconnect(void *cookie);

#endif
