/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nat_refuse - what a guest hears that asks for a forbidden place.
 *
 * A connection is reset, for every system gives up then; to anything else the
 * gateway answers that it is prohibited (RFC 1812 5.2.7.1, RFC 4443 3.1).
 */
#ifndef BACKENDS_NAT_REFUSE_H
#define BACKENDS_NAT_REFUSE_H

#include "backends/nat_filter.h"

#define NAT_REFUSAL_MAX	(14 + 1280)	/* bytes */

/*
 * The answer to a frame that nat_filter() refused: its length, or 0 if none is
 * due.
 */
size_t nat_refuse(const uint8_t *frame, const struct nat_packet *packet,
		  uint8_t answer[NAT_REFUSAL_MAX]);

#endif
