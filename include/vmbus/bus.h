/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bus - the control plane of one virtual machine's VMBus.
 *
 * Owned by one loop (the main one); channels' data planes run on the loops that
 * their devices name, and the two halves meet by loop_post() only.  No
 * descriptors, threads or clocks of its own.
 */
#ifndef VMBUS_BUS_H
#define VMBUS_BUS_H

#include "core/autoptr.h"
#include "core/gmem.h"
#include "core/loop.h"
#include "hv/ports.h"
#include "vmbus/channel.h"

struct vmbus;

struct vmbus_host_ops {
	/*
	 * The SINT of a VP, borrowed for the life of the bus; NULL if there is
	 * no such VP or SINT.  Any thread.
	 */
	struct hv_sint *(*sint)(void *host, uint32_t vp, unsigned sint);
	/*
	 * From now on, HvSignalEvent on @connection_id leads to
	 * vmbus_channel_doorbell(@ch) on @ch's loop.  On @ch's loop, while it
	 * opens.  0 and a cookie for disconnect, or -errno.
	 */
	int (*doorbell_connect)(void *host, uint32_t connection_id,
				struct vmbus_channel *ch, void **cookie);
	/* On @ch's loop.  After it returns the doorbell is not called. */
	void (*doorbell_disconnect)(void *host, void *cookie);
};

/* @gm, @main_loop, @ops and @host are borrowed. */
struct vmbus *vmbus_new(const struct gmem *gm, struct loop *main_loop,
			const struct vmbus_host_ops *ops, void *host);
/* All devices are withdrawn or the loops have stopped. */
void vmbus_free(struct vmbus *bus);
AUTOPTR_DEFINE(vmbus, vmbus_free)

/*
 * Where the guest's messages go in: connect it to VMBUS_MESSAGE_CONNECTION_ID
 * and VMBUS_MESSAGE_CONNECTION_ID_4.  Its post() may come from any thread.
 */
struct hv_message_port *vmbus_message_port(struct vmbus *bus,
					   uint32_t connection_id);

/*
 * The event port of VMBUS_EVENT_CONNECTION_ID, shared by all channels of
 * guests before 2.4.
 */
struct hv_event_port *vmbus_shared_event_port(struct vmbus *bus);

/*
 * Add a device (borrowed until its removal is done); a connected guest gets
 * the offer at once.  -EEXIST if the instance is known, -ENOSPC if relids have
 * run out.  Relids and connection ids follow the order of offering.
 */
int vmbus_offer(struct vmbus *bus, struct vmbus_device *dev);

/*
 * Withdraw @dev: rescind its channels, wait for its close(), then run @done on
 * the main loop; the device is the caller's again.
 */
void vmbus_withdraw(struct vmbus *bus, struct vmbus_device *dev,
		    struct loop_note *done);

/*
 * The machine was reset, VPs are stopped: drop the connection, close all
 * channels, forget queued messages; then run @done on the main loop.
 */
void vmbus_reset(struct vmbus *bus, struct loop_note *done);

/* On @ch's loop: the guest has rung, or memory may hold new packets. */
void vmbus_channel_doorbell(struct vmbus_channel *ch);
/* Where @ch lives.  Any thread. */
struct loop *vmbus_channel_loop(const struct vmbus_channel *ch);

#endif
