/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hv/paging.h"
#include "hv/x86.h"

#define PTE_PRESENT	BIT64(0)
#define PTE_WRITABLE	BIT64(1)
#define PTE_USER	BIT64(2)
#define PTE_PWT		BIT64(3)
#define PTE_PCD		BIT64(4)
#define PTE_ACCESSED	BIT64(5)
#define PTE_DIRTY	BIT64(6)
#define PTE_LARGE	BIT64(7)
#define PTE_PAT		BIT64(7)	/* of a page of 4 KiB */
#define PTE_PAT_LARGE	BIT64(12)
#define PTE_NX		BIT64(63)
#define PTE_ADDRESS	(BIT64(52) - GMEM_PAGE_SIZE)

/* Entries of the first table in 32-bit PAE mode have no rights. */
#define PDPTE_RSVD	(UINT64_C(0x1e6) | UINT64_C(0xfff) << 52)
/* 4 MiB pages have bits 39:32 of their address here, and then one reserved. */
#define PSE36_SHIFT	13
#define PSE36_BITS	UINT64_C(0xff)
#define PSE36_RSVD	BIT64(21)

#define PAGE_SHIFT	12
#define PF_PRESENT	1u
#define PF_WRITE	2u
#define PF_USER		4u
#define PF_RSVD		8u
#define PF_FETCH	16u

/* The guest's processors may change an entry under us; not for ever. */
#define TRIES		64

#define WRITE		HV_TRANSLATE_GVA_VALIDATE_WRITE
#define EXECUTE		HV_TRANSLATE_GVA_VALIDATE_EXECUTE
#define DATA		(HV_TRANSLATE_GVA_VALIDATE_READ | WRITE)

enum mode { MODE_32, MODE_PAE, MODE_LONG };

struct walk {
	const struct paging *p;
	const struct gmem *gm;
	uint64_t gva, flags;
	enum mode mode;
	bool user;
	/* Where it is: which table, and how many bits an entry of it spans. */
	gpa_t table;
	unsigned shift;
	/* What all entries up to here allow. */
	uint64_t allowed;
	bool no_execute;
	struct translation t;
};

static enum mode mode_of(const struct paging *p)
{
	if (p->efer & EFER_LMA)
		return MODE_LONG;
	return p->cr4 & CR4_PAE ? MODE_PAE : MODE_32;
}

static size_t entry_size(const struct walk *w)
{
	return w->mode == MODE_32 ? 4 : 8;
}

static bool is_pdpte(const struct walk *w)
{
	return w->mode == MODE_PAE && w->shift == 30;
}

static unsigned index_bits(const struct walk *w)
{
	if (w->mode == MODE_32)
		return 10;
	return is_pdpte(w) ? 2 : 9;
}

static unsigned address_bits(const struct walk *w)
{
	if (w->mode != MODE_LONG)
		return 32;
	return w->p->cr4 & CR4_LA57 ? 57 : 48;
}

/* Whether the walk's mode has such an address. */
static bool is_in_range(const struct walk *w)
{
	const unsigned unused = 64 - address_bits(w);

	if (w->mode != MODE_LONG)
		return w->gva >> 32 == 0;
	return (uint64_t)((int64_t)(w->gva << unused) >> unused) == w->gva;
}

static void begin(struct walk *w)
{
	const uint64_t cr3 = w->p->cr3;

	switch (w->mode) {
	case MODE_32:
		w->table = cr3 & UINT64_C(0xfffff000);
		w->shift = 22;
		break;
	case MODE_PAE:
		w->table = cr3 & UINT64_C(0xffffffe0);
		w->shift = 30;
		break;
	case MODE_LONG:
		w->table = cr3 & PTE_ADDRESS;
		w->shift = w->p->cr4 & CR4_LA57 ? 48 : 39;
		break;
	}
	w->allowed = PTE_WRITABLE | PTE_USER;
}

/* As the bits of a page fault's error code say it. */
static bool fail(struct walk *w, enum hv_translate_gva_result_code code,
		 uint32_t why)
{
	const bool fetch = w->flags & EXECUTE &&
			   (w->p->cr4 & CR4_SMEP ||
			    (w->p->efer & EFER_NXE && w->mode != MODE_32));

	w->t.code = code;
	w->t.exception = TRAP_PF;
	w->t.error_code = why | (w->flags & WRITE ? PF_WRITE : 0) |
			  (w->user ? PF_USER : 0) | (fetch ? PF_FETCH : 0);
	return false;
}

static bool is_leaf(const struct walk *w, uint64_t entry)
{
	if (w->shift == PAGE_SHIFT)
		return true;
	if (w->shift > 30 || is_pdpte(w) ||
	    (w->mode == MODE_32 && !(w->p->cr4 & CR4_PSE)))
		return false;
	return entry & PTE_LARGE;
}

/* Bits of @entry that must be zero where the walk is. */
static uint64_t reserved_bits(const struct walk *w, uint64_t entry)
{
	const bool large = is_leaf(w, entry) && w->shift > PAGE_SHIFT;
	uint64_t bits;

	if (w->mode == MODE_32)
		return large ? PSE36_RSVD : 0;
	bits = PTE_ADDRESS & ~(BIT64(w->p->gpa_bits) - 1);
	if (is_pdpte(w))
		return bits | PDPTE_RSVD;
	if (w->mode == MODE_PAE)
		bits |= UINT64_C(0x7ff) << 52;
	if (!(w->p->efer & EFER_NXE))
		bits |= PTE_NX;
	if (w->shift > 30)
		bits |= PTE_LARGE;
	if (large)
		bits |= (BIT64(w->shift) - 1) & PTE_ADDRESS & ~PTE_PAT_LARGE;
	return bits;
}

static bool may_write(const struct walk *w)
{
	return w->allowed & PTE_WRITABLE ||
	       (!w->user && !(w->p->cr0 & CR0_WP));
}

/* A supervisor's access to a page that users may have. */
static bool may_reach_user_page(const struct walk *w)
{
	if (w->flags & EXECUTE && w->p->cr4 & CR4_SMEP)
		return false;
	return !(w->flags & DATA) || !(w->p->cr4 & CR4_SMAP) ||
	       w->p->rflags & RFLAGS_AC;
}

static bool is_allowed(const struct walk *w)
{
	const bool user_page = w->allowed & PTE_USER;

	if (w->flags & WRITE && !may_write(w))
		return false;
	if (w->flags & EXECUTE && w->no_execute)
		return false;
	return w->user ? user_page : !user_page || may_reach_user_page(w);
}

/* Take in what @entry says.  False: the walk is over. */
static bool check(struct walk *w, uint64_t entry)
{
	if (!(entry & PTE_PRESENT))
		return fail(w, HV_TRANSLATE_GVA_PAGE_NOT_PRESENT, 0);
	if (entry & reserved_bits(w, entry))
		return fail(w, HV_TRANSLATE_GVA_INVALID_PAGE_TABLE_FLAGS,
			    PF_PRESENT | PF_RSVD);
	if (!is_pdpte(w)) {
		w->allowed &= entry;
		w->no_execute |= w->mode != MODE_32 && entry & PTE_NX;
	}
	if (is_leaf(w, entry) && !is_allowed(w))
		return fail(w, HV_TRANSLATE_GVA_PRIVILEGE_VIOLATION,
			    PF_PRESENT);
	return true;
}

static uint64_t load(const struct walk *w, void *at)
{
	return w->mode == MODE_32 ?
		       __atomic_load_n((uint32_t *)at, __ATOMIC_ACQUIRE) :
		       __atomic_load_n((uint64_t *)at, __ATOMIC_ACQUIRE);
}

/* False: the guest, whose locked instructions are the partner, was faster. */
static bool replace(const struct walk *w, void *at, uint64_t old, uint64_t new)
{
	uint32_t old32 = (uint32_t)old;

	if (w->mode == MODE_32)
		return __atomic_compare_exchange_n((uint32_t *)at, &old32,
						   (uint32_t)new, false,
						   __ATOMIC_SEQ_CST,
						   __ATOMIC_SEQ_CST);
	return __atomic_compare_exchange_n((uint64_t *)at, &old, new, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* What a processor would leave in the entry. */
static uint64_t marked(const struct walk *w, uint64_t entry)
{
	if (!(w->flags & HV_TRANSLATE_GVA_SET_PAGE_TABLE_BITS) || is_pdpte(w))
		return entry;
	if (is_leaf(w, entry) && w->flags & WRITE)
		entry |= PTE_DIRTY;
	return entry | PTE_ACCESSED;
}

/* The entry that is next, checked and marked.  False: the walk is over. */
static bool take_entry(struct walk *w, uint64_t *entry)
{
	const size_t size = entry_size(w);
	const uint64_t index = w->gva >> w->shift &
			       (BIT64(index_bits(w)) - 1);
	const gpa_t gpa = w->table + index * size;
	const struct walk before = *w;
	void *at = gmem_ptr(w->gm, gpa, size);

	if (!at) {
		w->t.code = HV_TRANSLATE_GVA_GPA_UNMAPPED;
		w->t.gpa = gpa;
		return false;
	}
	for (unsigned i = 0; i < TRIES; i++) {
		*w = before;
		*entry = load(w, at);
		if (!check(w, *entry))
			return false;
		if (marked(w, *entry) == *entry ||
		    replace(w, at, *entry, marked(w, *entry)))
			return true;
	}
	return fail(w, HV_TRANSLATE_GVA_PAGE_NOT_PRESENT, 0);
}

static uint8_t cache_type(const struct paging *p, unsigned pat)
{
	const uint8_t type = (uint8_t)(p->pat >> pat * 8 & 7);

	if (p->cr0 & CR0_CD || type == 7)	/* UC- */
		return HV_CACHE_TYPE_UNCACHED;
	return type;
}

static void finish(struct walk *w, uint64_t entry)
{
	const uint64_t offset = BIT64(w->shift) - 1;
	const bool large = w->shift > PAGE_SHIFT;
	const uint64_t pat = entry & (large ? PTE_PAT_LARGE : PTE_PAT);
	gpa_t page = entry & PTE_ADDRESS;

	if (w->mode == MODE_32 && large)
		page |= (entry >> PSE36_SHIFT & PSE36_BITS) << 32;
	w->t.code = HV_TRANSLATE_GVA_SUCCESS;
	w->t.gpa = (page & ~offset) | (w->gva & offset);
	w->t.cache_type = cache_type(w->p, (pat ? 4u : 0) |
				     (entry & PTE_PCD ? 2u : 0) |
				     (entry & PTE_PWT ? 1u : 0));
}

static void walk(struct walk *w)
{
	uint64_t entry = 0;

	begin(w);
	while (take_entry(w, &entry)) {
		if (is_leaf(w, entry)) {
			finish(w, entry);
			return;
		}
		w->table = entry & PTE_ADDRESS;
		w->shift -= w->mode == MODE_32 ? 10 : 9;
	}
}

struct translation paging_translate(const struct paging *p,
				    const struct gmem *gm, uint64_t gva,
				    uint64_t flags)
{
	struct walk w = {
		.p = p, .gm = gm, .gva = gva, .flags = flags,
		.mode = mode_of(p),
		.user = p->user && !(flags & HV_TRANSLATE_GVA_PRIVILEGE_EXEMPT),
	};

	if (!(p->cr0 & CR0_PG)) {
		w.t.gpa = gva;
		w.t.cache_type = p->cr0 & CR0_CD ? HV_CACHE_TYPE_UNCACHED :
						   HV_CACHE_TYPE_WRITE_BACK;
	} else if (!is_in_range(&w)) {
		w.t.code = HV_TRANSLATE_GVA_PAGE_NOT_PRESENT;
		w.t.exception = TRAP_GP;
	} else {
		walk(&w);
	}
	return w.t;
}
