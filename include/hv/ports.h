/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the hypervisor interface and its users meet.  TLFS 11.6.
 *
 * src/hv implements struct hv_sint and calls the ports; src/vmbus does the
 * opposite.  Neither includes more of the other than this file.
 */
#ifndef HV_PORTS_H
#define HV_PORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HV_MESSAGE_PAYLOAD_MAX	240	/* TLFS 11.10 */
#define HV_EVENT_FLAG_COUNT	2048	/* per SINT, TLFS 11.9 */

/* Guest to host: the far end of a connection used with HvSignalEvent. */
struct hv_event_port {
	/*
	 * On a vCPU's thread; must not block.  @flag is relative to the port's
	 * base flag.  0; -EINVAL if the port has not so many flags; -ENXIO if
	 * the receiver takes no events now (its SynIC or flags page is off, or
	 * the SINT masked); -ENODEV if there is no such VP.
	 */
	int (*signal)(struct hv_event_port *port, uint16_t flag);
};

/* Guest to host: the far end of a connection used with HvPostMessage. */
struct hv_message_port {
	/*
	 * On a vCPU's thread; must not block.  @payload is our copy, at most
	 * HV_MESSAGE_PAYLOAD_MAX bytes.  Return 0, -EAGAIN if there is no
	 * room now (the guest tries again), -ENXIO if the receiver takes no
	 * messages now (its SynIC or message page is off), -ENODEV if there is
	 * no such VP, or -EINVAL.
	 */
	int (*post)(struct hv_message_port *port, uint32_t type,
		    const void *payload, size_t len);
};

/* Who posts to a SINT: "the message slot that was busy may be free now." */
struct hv_sint_note {
	/* On a vCPU's thread; must not block.  May call the SINT. */
	void (*run)(struct hv_sint_note *note);
	uint32_t port_id;	/* the origin of its messages */
	struct hv_sint_note *next;	/* these belong to the SINT */
	int queued;
};

/* Host to guest: one synthetic interrupt source of one virtual processor. */
struct hv_sint {
	/*
	 * Set event flag @flag, and interrupt the VP if the flag was clear.
	 * Any thread.  0, -EINVAL for a flag out of range, or -ENXIO while the
	 * guest has the SynIC or the flags page off or the SINT masked (the
	 * flag is lost, as the TLFS says).
	 */
	int (*signal)(struct hv_sint *sint, uint16_t flag);
	/*
	 * Put a message into the SINT's slot and interrupt the VP.  Any
	 * thread.  0; -EAGAIN if the slot is busy, others wait for it, or the
	 * SynIC or message page is off: then @note, one for each SINT, runs
	 * once when the guest has freed the slot or turned things on; -EINVAL
	 * if @len exceeds HV_MESSAGE_PAYLOAD_MAX.  A masked SINT takes messages
	 * without interrupt.
	 */
	int (*post)(struct hv_sint *sint, uint32_t type, const void *payload,
		    size_t len, struct hv_sint_note *note);
	/*
	 * Whether messages may be directed to the VP: its SynIC and message
	 * page are on.  Who posts for a guest asks, and posts nothing if not.
	 * Any thread.
	 */
	bool (*takes_messages)(struct hv_sint *sint);
	/*
	 * Forget @note if it waits; after return it will not run, and it does
	 * not run now, unless it is the caller.  Hold no lock that run() takes.
	 */
	void (*forget)(struct hv_sint *sint, struct hv_sint_note *note);
};

#endif
