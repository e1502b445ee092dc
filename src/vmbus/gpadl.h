/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gpadl - GPA descriptor list: guest pages lent to one channel.
 *
 *   (none) --HEADER--> FILLING --BODY*--> COMPLETE --TEARDOWN--> (none)
 *
 * A header alone may complete a short list.  Anything the guest sends outside
 * this picture is answered with an error, or dropped, and changes nothing.
 */
#ifndef VMBUS_GPADL_H
#define VMBUS_GPADL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/autoptr.h"
#include "core/gmem.h"
#include "core/reader.h"

struct gpadl {
	uint32_t id;
	uint32_t relid;
	bool complete;
	bool in_use;		/* as the ring of an open channel */
	bool teardown;		/* asked for while in use, or lent */
	unsigned loans;		/* to a device; under the bus's gpadls_lock */
	uint32_t words_seen;	/* of the range buffer, u64 each */
	uint32_t words;
	uint32_t ranges;
	uint64_t buffer[];	/* ranges: struct gpa_range, then its PFNs */
};

/*
 * Decode what follows the header message's fixed part.  0 and a new list, or
 * -EPROTO if the message contradicts itself.
 */
int gpadl_new(uint32_t id, uint32_t relid, uint16_t range_buflen,
	      uint16_t rangecount, struct reader *rest, struct gpadl **out);
void gpadl_free(struct gpadl *g);
AUTOPTR_DEFINE(gpadl, gpadl_free)

/* Take the words of a body message; what exceeds the list is ignored. */
void gpadl_append(struct gpadl *g, struct reader *rest);
static inline bool gpadl_is_filled(const struct gpadl *g)
{
	return g->words_seen == g->words;
}

/* All words are there: 0 if they make sense and name RAM, else -errno. */
int gpadl_check(const struct gpadl *g, const struct gmem *gm);

/*
 * The PFNs of a list that has one page-aligned range of whole pages, as a
 * ring must; NULL if this is not one.
 */
const uint64_t *gpadl_ring_pfns(const struct gpadl *g, uint32_t *pages);

#endif
