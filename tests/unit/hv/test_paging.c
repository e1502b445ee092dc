/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Page tables of every mode, as a processor would walk them. */
#include <pthread.h>

#include "hv/paging.h"
#include "hv/x86.h"
#include "hv_test.h"

#define READ		HV_TRANSLATE_GVA_VALIDATE_READ
#define WRITE		HV_TRANSLATE_GVA_VALIDATE_WRITE
#define EXECUTE		HV_TRANSLATE_GVA_VALIDATE_EXECUTE
#define EXEMPT		HV_TRANSLATE_GVA_PRIVILEGE_EXEMPT
#define MARK		HV_TRANSLATE_GVA_SET_PAGE_TABLE_BITS
#define OK		HV_TRANSLATE_GVA_SUCCESS
#define NOT_PRESENT	HV_TRANSLATE_GVA_PAGE_NOT_PRESENT
#define VIOLATION	HV_TRANSLATE_GVA_PRIVILEGE_VIOLATION
#define BAD_FLAGS	HV_TRANSLATE_GVA_INVALID_PAGE_TABLE_FLAGS
#define UNMAPPED	HV_TRANSLATE_GVA_GPA_UNMAPPED

#define P		UINT64_C(1)
#define W		UINT64_C(2)
#define U		UINT64_C(4)
#define A		UINT64_C(0x20)
#define D		UINT64_C(0x40)
#define LARGE		UINT64_C(0x80)
#define NX		BIT64(63)
#define ALL		(P | W | U)

/* Tables, from the root on; entry n of each is where GVA leads. */
#define TABLE(n)	(0x10000 + (gpa_t)(n) * PAGE)
#define GVA		UINT64_C(0x00400000c0301abc)
#define GVA_32		UINT64_C(0xc0301abc)
#define PAGE_GPA	UINT64_C(0xabcd000)
#define GPA_BITS	40
#define PAT		UINT64_C(0x0007040600070406)

static struct paging p;
static unsigned levels;		/* tables on the way */
static unsigned shifts[5];	/* of each, what an entry spans */

static void modes(uint64_t cr4, uint64_t efer, unsigned count,
		  const unsigned *spans)
{
	p = (struct paging){
		.cr0 = CR0_PE | CR0_PG | CR0_WP, .cr3 = TABLE(0), .cr4 = cr4,
		.efer = efer, .pat = PAT, .gpa_bits = GPA_BITS,
	};
	levels = count;
	memcpy(shifts, spans, count * sizeof(*spans));
}

static size_t entry_size(void)
{
	return levels == 2 ? 4 : 8;
}

static gpa_t entry_at(unsigned level)
{
	const unsigned bits = levels == 2 ? 10 : 9;
	const uint64_t gva = levels < 4 ? GVA_32 : GVA;

	return TABLE(level) + (gva >> shifts[level] & (BIT64(bits) - 1)) *
				      entry_size();
}

static void put(unsigned level, uint64_t entry)
{
	memcpy(h.ram + entry_at(level), &entry, entry_size());
}

static uint64_t entry(unsigned level)
{
	uint64_t value = 0;

	memcpy(&value, h.ram + entry_at(level), entry_size());
	return value;
}

/* The entries of PAE's first table have no rights. */
static uint64_t rights(unsigned level)
{
	return levels == 3 && level == 0 ? P : ALL;
}

/* Down to a page of 4 KiB that all may do all with. */
static void map(void)
{
	for (unsigned i = 0; i + 1 < levels; i++)
		put(i, TABLE(i + 1) | rights(i));
	put(levels - 1, PAGE_GPA | ALL);
}

static void use_32(void)
{
	modes(CR4_PSE, 0, 2, (const unsigned[]){ 22, 12 });
	map();
}

static void use_pae(void)
{
	modes(CR4_PAE, EFER_NXE, 3, (const unsigned[]){ 30, 21, 12 });
	map();
}

static void use_4(void)
{
	modes(CR4_PAE, EFER_LMA | EFER_LME | EFER_NXE, 4,
	      (const unsigned[]){ 39, 30, 21, 12 });
	map();
}

static void use_5(void)
{
	modes(CR4_PAE | CR4_LA57, EFER_LMA | EFER_LME | EFER_NXE, 5,
	      (const unsigned[]){ 48, 39, 30, 21, 12 });
	map();
}

static void (*const all[])(void) = { use_32, use_pae, use_4, use_5 };

static uint64_t gva(void)
{
	if (levels < 4)
		return GVA_32;
	return levels == 4 ? GVA & (BIT64(47) - 1) : GVA;
}

static struct translation go(uint64_t flags)
{
	return paging_translate(&p, &h.gmem, gva(), flags);
}

static enum hv_translate_gva_result_code code(uint64_t flags)
{
	return go(flags).code;
}

#define EACH_MODE							\
	for (size_t m_ = 0; m_ < G_N_ELEMENTS(all) && (all[m_](), 1); m_++)

/* TLFS: MMU-29 */
static void every_mode_leads_to_the_page(void **state)
{
	EACH_MODE {
		const struct translation t = go(READ | WRITE | EXECUTE);

		assert_int_equal(t.code, OK);
		assert_int_equal(t.gpa, PAGE_GPA | 0xabc);
		assert_int_equal(t.cache_type, HV_CACHE_TYPE_WRITE_BACK);
		assert_int_equal(t.exception, 0);
	}
}

/* TLFS: MMU-31 */
static void what_is_not_present_ends_the_walk_at_each_level(void **state)
{
	EACH_MODE {
		for (unsigned i = 0; i < levels; i++) {
			map();
			put(i, UINT64_MAX & ~P);
			assert_int_equal(code(READ), NOT_PRESENT);
		}
	}
}

/* TLFS: MMU-31 MMU-34 */
static void tables_that_are_not_in_ram_are_told(void **state)
{
	EACH_MODE {
		for (unsigned i = 0; i + 1 < levels; i++) {
			struct translation t;

			map();
			put(i, HV_HOST_RAM | rights(i));
			t = go(READ);
			assert_int_equal(t.code, UNMAPPED);
			assert_int_equal(t.gpa / PAGE, HV_HOST_RAM / PAGE);
			assert_int_equal(t.exception, 0);
		}
		p.cr3 = HV_HOST_RAM;
		assert_int_equal(code(READ), UNMAPPED);
	}
}

static void a_page_itself_may_be_anywhere(void **state)
{
	EACH_MODE {
		put(levels - 1, UINT64_C(0xfee00000) | ALL);
		assert_int_equal(code(READ), OK);
		assert_int_equal(go(READ).gpa, 0xfee00abc);
	}
}

/* Large pages at @level, with the address bits of @mask. */
static void large(unsigned level, uint64_t mask)
{
	map();
	put(level, UINT64_C(0xff80000000) & mask);
	put(level, entry(level) | ALL | LARGE);
	assert_int_equal(code(READ), OK);
	assert_int_equal(go(READ).gpa, (UINT64_C(0xff80000000) & mask) |
				       (gva() & ~mask));
}

static void large_pages_end_the_walk(void **state)
{
	use_5();
	large(2, ~(BIT64(30) - 1));
	large(3, ~(BIT64(21) - 1));
	use_4();
	large(1, ~(BIT64(30) - 1));
	large(2, ~(BIT64(21) - 1));
	use_pae();
	large(1, ~(BIT64(21) - 1));
	use_32();
	put(0, UINT64_C(0x80000000) | ALL | LARGE | 0xff << 13);
	assert_int_equal(go(READ).gpa, UINT64_C(0xff80301abc));
	/* Without PSE the bit means nothing. */
	p.cr4 = 0;
	put(0, TABLE(1) | ALL | LARGE);
	assert_int_equal(go(READ).gpa, PAGE_GPA | 0xabc);
}

/* Bits that @level's entry, with @base, must not have. */
static void reserved(unsigned level, uint64_t base, uint64_t bits)
{
	map();
	put(level, base);
	assert_int_not_equal(code(READ), BAD_FLAGS);
	for (unsigned bit = 0; bit < entry_size() * 8; bit++) {
		if (base & BIT64(bit))
			continue;
		put(level, base | BIT64(bit));
		assert_int_equal(code(READ) == BAD_FLAGS, bits >> bit & 1);
	}
}

#define TOO_HIGH	(BIT64(52) - BIT64(GPA_BITS))

/* TLFS: MMU-31 */
static void reserved_bits_end_the_walk(void **state)
{
	use_5();
	reserved(0, TABLE(1) | ALL, TOO_HIGH | LARGE);
	reserved(1, TABLE(2) | ALL, TOO_HIGH | LARGE);
	reserved(2, LARGE | ALL, TOO_HIGH | 0x3fffe000);
	reserved(3, LARGE | ALL, TOO_HIGH | 0x1fe000);
	reserved(4, ALL, TOO_HIGH);
	p.efer &= ~EFER_NXE;
	reserved(4, ALL, TOO_HIGH | NX);
	use_pae();
	reserved(0, TABLE(1) | P, TOO_HIGH | 0x1e6 | UINT64_C(0xfff) << 52);
	reserved(1, LARGE | ALL, TOO_HIGH | 0x1fe000 | UINT64_C(0x7ff) << 52);
	reserved(2, ALL, TOO_HIGH | UINT64_C(0x7ff) << 52);
	use_32();
	reserved(0, LARGE | ALL, BIT64(21));
	reserved(1, ALL, 0);
}

/* Whether @level, without @bit, lets it through: 0 or 1. */
static void assert_allowed(uint64_t flags, bool allowed)
{
	assert_int_equal(code(flags), allowed ? OK : VIOLATION);
}

/* TLFS: MMU-31 */
static void each_level_can_forbid_writes(void **state)
{
	EACH_MODE {
		for (unsigned i = levels == 3; i < levels; i++) {
			map();
			put(i, entry(i) & ~W);
			p.user = true;
			assert_allowed(READ | EXECUTE, true);
			assert_allowed(WRITE, false);
			assert_allowed(WRITE | EXEMPT, false);
			p.cr0 &= ~CR0_WP;
			assert_allowed(WRITE, false);
			assert_allowed(WRITE | EXEMPT, true);
			p.user = false;
			assert_allowed(WRITE, true);
			p.cr0 |= CR0_WP;
		}
	}
}

/* TLFS: MMU-31 */
static void each_level_can_forbid_users(void **state)
{
	EACH_MODE {
		for (unsigned i = levels == 3; i < levels; i++) {
			map();
			put(i, entry(i) & ~U);
			p.user = false;
			assert_allowed(READ | WRITE | EXECUTE, true);
			p.user = true;
			assert_allowed(READ, false);
			assert_allowed(READ | EXEMPT, true);
		}
	}
}

static void each_level_can_forbid_fetches(void **state)
{
	EACH_MODE {
		for (unsigned i = levels == 3; levels > 2 && i < levels; i++) {
			map();
			put(i, entry(i) | NX);
			assert_allowed(READ | WRITE, true);
			assert_allowed(EXECUTE, false);
		}
	}
}

static void smep_and_smap_keep_supervisors_out(void **state)
{
	EACH_MODE {
		p.cr4 |= CR4_SMEP;
		assert_allowed(READ | WRITE, true);
		assert_allowed(EXECUTE, false);
		p.cr4 |= CR4_SMAP;
		assert_allowed(READ, false);
		p.rflags = RFLAGS_AC;
		assert_allowed(READ | WRITE, true);
		assert_allowed(EXECUTE, false);
		p.rflags = 0;
		p.user = true;
		assert_allowed(READ | WRITE | EXECUTE, true);
		p.user = false;
		put(levels - 1, PAGE_GPA | P | W);
		assert_allowed(READ | WRITE | EXECUTE, true);
	}
}

/* TLFS: MMU-33 */
static void accessed_and_dirty_are_set_if_asked_for(void **state)
{
	EACH_MODE {
		const unsigned last = levels - 1;

		go(READ | WRITE);
		assert_int_equal(entry(last), PAGE_GPA | ALL);
		go(READ | MARK);
		assert_int_equal(entry(last), PAGE_GPA | ALL | A);
		go(WRITE | MARK);
		assert_int_equal(entry(last), PAGE_GPA | ALL | A | D);
		for (unsigned i = 0; i < last; i++)
			assert_int_equal(entry(i) & (A | D),
					 rights(i) == ALL ? A : 0);
	}
}

/* TLFS: MMU-33 */
static void bits_of_a_walk_that_is_aborted_stay(void **state)
{
	EACH_MODE {
		put(levels - 1, PAGE_GPA | P | U);
		assert_int_equal(code(WRITE | MARK), VIOLATION);
		assert_int_equal(entry(levels - 1), PAGE_GPA | P | U);
		assert_int_equal(entry(levels - 2) & A, A);
	}
}

/* TLFS: MMU-31 */
static void addresses_are_those_of_the_mode(void **state)
{
	const uint64_t bad[] = { BIT64(32), UINT64_MAX, BIT64(47), BIT64(56) };
	const uint64_t good[] = { UINT32_MAX, UINT32_MAX, BIT64(47) - 1,
				  BIT64(56) - 1 };

	EACH_MODE {
		struct translation t;

		t = paging_translate(&p, &h.gmem, bad[m_], READ);
		assert_int_equal(t.code, NOT_PRESENT);
		if (m_ != 1)
			assert_int_equal(t.exception, TRAP_GP);
		t = paging_translate(&p, &h.gmem, good[m_], READ);
		assert_int_equal(t.exception, TRAP_PF);
	}
	use_4();
	put(0, 0);
	p.cr3 = TABLE(0);
	assert_int_equal(paging_translate(&p, &h.gmem, UINT64_MAX, READ)
				 .exception, TRAP_PF);
}

/* TLFS: MMU-32 */
static void without_paging_all_is_where_it_is(void **state)
{
	struct translation t;

	use_4();
	p.cr0 &= ~CR0_PG;
	t = paging_translate(&p, &h.gmem, UINT64_MAX, READ | WRITE | EXECUTE);
	assert_int_equal(t.code, OK);
	assert_true(t.gpa == UINT64_MAX);
	assert_int_equal(t.cache_type, HV_CACHE_TYPE_WRITE_BACK);
	p.cr0 |= CR0_CD;
	t = paging_translate(&p, &h.gmem, 0, READ);
	assert_int_equal(t.cache_type, HV_CACHE_TYPE_UNCACHED);
}

/* TLFS: MMU-34 */
static void the_cache_type_is_that_of_pat(void **state)
{
	static const uint8_t types[] = { 6, 4, 7, 0, 1, 5, 6, 4 };

	p.pat = 0;
	EACH_MODE {
		p.pat = 0;
		for (unsigned i = 0; i < 8; i++)
			p.pat |= (uint64_t)types[i] << i * 8;
		for (unsigned i = 0; i < 8; i++) {
			put(levels - 1, PAGE_GPA | ALL | (i & 3) << 3 |
						(i & 4) << 5);
			assert_int_equal(go(READ).cache_type,
					 types[i] == 7 ? 0 : types[i]);
		}
		if (levels > 2) {
			put(levels - 2, ALL | LARGE | BIT64(12));
			assert_int_equal(go(READ).cache_type, types[4]);
		}
		p.cr0 |= CR0_CD;
		assert_int_equal(go(READ).cache_type, 0);
	}
}

/* TLFS: MMU-37 */
static void a_fault_has_its_error_code(void **state)
{
	use_4();
	put(3, 0);
	assert_int_equal(go(READ).exception, TRAP_PF);
	assert_int_equal(go(READ).error_code, 0);
	assert_int_equal(go(WRITE).error_code, 2);
	assert_int_equal(go(EXECUTE).error_code, 0x10);
	p.user = true;
	assert_int_equal(go(READ).error_code, 4);
	assert_int_equal(go(READ | EXEMPT).error_code, 0);
	put(3, PAGE_GPA | P);
	assert_int_equal(go(WRITE).error_code, 7);
	put(3, PAGE_GPA | P | BIT64(51));
	assert_int_equal(go(READ).error_code, 0xd);
	p.efer &= ~EFER_NXE;
	put(3, 0);
	assert_int_equal(go(EXECUTE).error_code, 4);
	p.cr4 |= CR4_SMEP;
	assert_int_equal(go(EXECUTE).error_code, 0x14);
}

/*
 * A guest's processor that works on the entry, too: it alone writes this bit.
 */
#define AVAILABLE	(UINT64_C(1) << 9)
#define TURNS		2000000

static unsigned lost;
static bool changed;

static void *change_entry(void *at)
{
	for (uint64_t i = 0; i < TURNS; i++) {
		const uint64_t old = __atomic_fetch_xor(
			(uint64_t *)at, AVAILABLE, __ATOMIC_SEQ_CST);

		lost += !(old & AVAILABLE) != !(i & 1);
		__atomic_fetch_and((uint64_t *)at, ~(A | D),
				   __ATOMIC_SEQ_CST);
	}
	__atomic_store_n(&changed, true, __ATOMIC_RELEASE);
	return NULL;
}

/* TLFS: MMU-33 */
static void bits_are_set_without_losing_what_the_guest_writes(void **state)
{
	pthread_t thread;

	use_4();
	pthread_create(&thread, NULL, change_entry, h.ram + entry_at(3));
	while (!__atomic_load_n(&changed, __ATOMIC_ACQUIRE))
		go(WRITE | MARK);
	pthread_join(thread, NULL);
	assert_int_equal(lost, 0);
	assert_int_equal(entry(3) & ~(A | D), PAGE_GPA | ALL);
}

static void tables_that_lead_to_themselves_end(void **state)
{
	EACH_MODE {
		for (unsigned i = 0; i < PAGE / 8; i++)
			*(uint64_t *)(void *)(h.ram + TABLE(0) + i * 8) =
				levels == 2 ? (TABLE(0) | ALL) |
						      (TABLE(0) | ALL) << 32 :
					      TABLE(0) | ALL;
		if (levels == 3)	/* whose first one has no rights */
			assert_int_equal(code(READ), BAD_FLAGS);
		else
			assert_int_equal(code(READ), OK);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_mode_leads_to_the_page),
		TEST(what_is_not_present_ends_the_walk_at_each_level),
		TEST(tables_that_are_not_in_ram_are_told),
		TEST(a_page_itself_may_be_anywhere),
		TEST(large_pages_end_the_walk),
		TEST(reserved_bits_end_the_walk),
		TEST(each_level_can_forbid_writes),
		TEST(each_level_can_forbid_users),
		TEST(each_level_can_forbid_fetches),
		TEST(smep_and_smap_keep_supervisors_out),
		TEST(accessed_and_dirty_are_set_if_asked_for),
		TEST(bits_of_a_walk_that_is_aborted_stay),
		TEST(bits_are_set_without_losing_what_the_guest_writes),
		TEST(addresses_are_those_of_the_mode),
		TEST(without_paging_all_is_where_it_is),
		TEST(the_cache_type_is_that_of_pat),
		TEST(a_fault_has_its_error_code),
		TEST(tables_that_lead_to_themselves_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
