/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * echo_device - a VMBus device that answers each request with its own payload.
 *
 * At once; at the end of the turn; or, held, when the test says so.  It can refuse to open, close
 * late, take no more than so many packets in hand, and send packets of its own.
 */
#ifndef TESTS_ECHO_DEVICE_H
#define TESTS_ECHO_DEVICE_H

#include <glib.h>

#include "vmbus/channel.h"

struct echo {
	struct vmbus_device vmbus;
	GString *log;		/* "open0 close0 closed0 error0 ", by index */
	int open_fails;		/* with this -errno, if not 0 */
	bool hold;		/* answer when told to */
	bool later;		/* answer at the end of the turn */
	bool mute;		/* never answer, as if no answer was wanted */
	bool close_late;	/* finish closing when told to */
	bool sips;		/* one packet for each call, though not busy */
	unsigned depth;		/* packets in hand at once; 0: any number */
	unsigned subchannels;	/* to be offered for a packet "sub" */
	struct loop *sub_loop;	/* where those live; NULL: where the others do */
	unsigned received;
	unsigned readies;	/* calls of ready() */
	uint16_t last_type;
	size_t last_header;	/* bytes behind the descriptor */
	GQueue held;		/* struct echo_request, owned */
	struct loop_note later_note;
	GPtrArray *channels;	/* struct echo_channel, owned */
	unsigned to_send;	/* packets of its own that did not fit yet */
	int sent;		/* what vmbus_send() said last */
};

/* @number makes the instance; sub-channels 0 of it. */
void echo_init(struct echo *e, struct loop *loop, const struct gmem *gm,
	       uint8_t number);
void echo_finish(struct echo *e);

/* Answer the @count oldest of the packets that are held. */
void echo_release(struct echo *e, unsigned count);
/* Finish what close_late has put off. */
void echo_finish_close(struct echo *e);
/* Send @count 8-byte packets on the primary channel, some of them later. */
void echo_send(struct echo *e, unsigned count);

#endif
