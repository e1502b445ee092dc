/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * paging - a walk of a guest's page tables as its processor would do it.  TLFS
 * 9.4.6.
 *
 * Any bytes may be page tables; a walk is at most five tables long, and each of
 * them is in RAM.  Protection keys are not looked at.
 */
#ifndef HV_PAGING_H
#define HV_PAGING_H

#include <stdbool.h>
#include <stdint.h>

#include "core/gmem.h"
#include "hv/tlfs.h"

/* What of a VP's state it depends on. */
struct paging {
	uint64_t cr0, cr3, cr4, efer, rflags, pat;
	bool user;		/* CPL 3 */
	unsigned gpa_bits;	/* address bits that a table entry has */
};

struct translation {
	enum hv_translate_gva_result_code code;
	gpa_t gpa;		/* of success, or what is not in RAM */
	uint8_t cache_type;	/* HV_CACHE_TYPE_*, of success */
	/* The exception that an access would be: 0 (none), #GP or #PF. */
	uint8_t exception;
	uint32_t error_code;
};

/*
 * Translate @gva for the accesses that @flags (HV_TRANSLATE_GVA_*) ask for;
 * with SET_PAGE_TABLE_BITS, accessed and dirty bits are set on the way.
 */
struct translation paging_translate(const struct paging *p,
				    const struct gmem *gm, uint64_t gva,
				    uint64_t flags);

#endif
