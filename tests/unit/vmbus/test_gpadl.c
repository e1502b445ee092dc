/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "vmbus/gpadl.h"
#include "vmbus/proto.h"

/* RAM is pages 16 to 31; lists are only checked, never followed. */
static const struct gmem_region region = {
	16 * GMEM_PAGE_SIZE, 16 * GMEM_PAGE_SIZE, (uint8_t *)GMEM_PAGE_SIZE,
};
static const struct gmem gm = { &region, 1 };

static uint64_t range(uint32_t count, uint32_t offset)
{
	return (uint64_t)offset << 32 | count;
}

/* What gpadl_check() says to @count words that came at once. */
static int check(uint16_t ranges, const uint64_t *words, uint16_t count)
{
	struct reader r = { (const void *)words, count * 8u };
	autoptr(gpadl) g = NULL;
	int ret = gpadl_new(1, 2, (uint16_t)(count * 8), ranges, &r, &g);

	if (ret)
		return ret;
	assert_true(gpadl_is_filled(g));
	return gpadl_check(g, &gm);
}

static void a_list_of_ram_pages_is_good(void **state)
{
	const uint64_t words[] = { range(8192, 0), 16, 31 };

	assert_int_equal(check(1, words, 3), 0);
}

static void a_page_that_is_not_ram_is_refused(void **state)
{
	const uint64_t bad[] = { 0, 15, 32, UINT64_C(1) << 52, UINT64_MAX,
				 (UINT64_C(1) << 52) + 16 };

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		const uint64_t words[] = { range(8192, 0), 16, bad[i] };

		assert_int_equal(check(1, words, 3), -EFAULT);
	}
}

static void the_pages_must_cover_offset_and_length(void **state)
{
	static const struct {
		uint32_t count, offset;
		int result;
	} c[] = {
		{ 0, 0, -EPROTO }, { 1, 0, 0 }, { 1, 4095, 0 },
		{ 1, 4096, -EPROTO }, { 1, UINT32_MAX, -EPROTO },
		{ 8192, 0, 0 }, { 8193, 0, -EPROTO }, { 8191, 1, 0 },
		{ 8192, 1, -EPROTO }, { UINT32_MAX, 4095, -EPROTO },
		{ UINT32_MAX, 0, -EPROTO },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(c); i++) {
		const uint64_t words[] = { range(c[i].count, c[i].offset),
					   16, 17 };

		assert_int_equal(check(1, words, 3), c[i].result);
	}
}

static void several_ranges_follow_each_other(void **state)
{
	const uint64_t words[] = { range(4096, 0), 16, range(2, 4095), 17, 18,
				   range(100, 100), 31 };

	assert_int_equal(check(3, words, 7), 0);
	/* More words than ranges need are ignored, fewer are an error. */
	assert_int_equal(check(2, words, 7), 0);
	for (uint16_t n = 2; n < 7; n++)
		assert_int_equal(check(3, words, n), -EPROTO);
}

static void no_range_begins_behind_the_last_word(void **state)
{
	const uint64_t words[] = { range(4096, 0), 16, range(3 * 4096, 0), 17,
				   18, 19 };

	assert_int_equal(check(2, words, 6), 0);
	assert_int_equal(check(3, words, 6), -EPROTO);
}

static void more_ranges_than_could_fit_are_refused(void **state)
{
	const uint64_t words[] = { range(4096, 0), 16, range(4096, 0), 17 };

	assert_int_equal(check(2, words, 4), 0);
	assert_int_equal(check(3, words, 4), -EPROTO);
	assert_int_equal(check(UINT16_MAX, words, 4), -EPROTO);
	assert_int_equal(check(0, words, 4), -EPROTO);
}

static void a_length_that_is_not_of_words_is_refused(void **state)
{
	const uint64_t words[] = { range(4096, 0), 16 };
	struct gpadl *g = NULL;

	for (uint16_t len = 0; len < 24; len++) {
		struct reader r = { (const void *)words, sizeof(words) };

		if (len == 16)
			continue;
		assert_int_equal(gpadl_new(1, 2, len, 1, &r, &g), -EPROTO);
	}
	assert_null(g);
}

/* Bytes beyond the declared length are UEFI's padding. */
static void bodies_complete_a_list_and_padding_is_ignored(void **state)
{
	const uint64_t words[] = { range(3 * 4096, 0), 16, 17, 18, 99 };
	struct reader r = { (const void *)words, 16 };
	autoptr(gpadl) g = NULL;

	assert_int_equal(gpadl_new(1, 2, 32, 1, &r, &g), 0);
	assert_false(gpadl_is_filled(g));
	r = (struct reader){ (const void *)&words[2], 7 };
	gpadl_append(g, &r);		/* less than a word is none */
	assert_false(gpadl_is_filled(g));
	r = (struct reader){ (const void *)&words[2], 24 };
	gpadl_append(g, &r);
	assert_true(gpadl_is_filled(g));
	assert_int_equal(gpadl_check(g, &gm), 0);
	assert_memory_equal(g->buffer, words, 32);
}

static const uint64_t *ring_of(uint32_t count, uint32_t offset, bool complete,
			       uint32_t *pages, struct gpadl **out)
{
	const uint64_t words[] = { range(count, offset), 16, 17 };
	struct reader r = { (const void *)words, sizeof(words) };

	gpadl_free(*out);
	assert_int_equal(gpadl_new(1, 2, sizeof(words), 1, &r, out), 0);
	(*out)->complete = complete;
	return gpadl_ring_pfns(*out, pages);
}

static void a_ring_is_one_range_of_whole_pages(void **state)
{
	const uint64_t two[] = { range(4096, 0), 16, range(4096, 0), 17 };
	struct reader r = { (const void *)two, sizeof(two) };
	struct gpadl *g = NULL;
	const uint64_t *pfn;
	uint32_t pages;

	pfn = ring_of(8192, 0, true, &pages, &g);
	assert_non_null(pfn);
	assert_int_equal(pages, 2);
	assert_int_equal(pfn[1], 17);
	assert_null(ring_of(8192, 0, false, &pages, &g));
	assert_null(ring_of(4096, 8, true, &pages, &g));
	assert_null(ring_of(8184, 0, true, &pages, &g));
	gpadl_free(g);
	assert_int_equal(gpadl_new(1, 2, sizeof(two), 2, &r, &g), 0);
	g->complete = true;
	assert_null(gpadl_ring_pfns(g, &pages));
	gpadl_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_of_ram_pages_is_good),
		cmocka_unit_test(a_page_that_is_not_ram_is_refused),
		cmocka_unit_test(the_pages_must_cover_offset_and_length),
		cmocka_unit_test(several_ranges_follow_each_other),
		cmocka_unit_test(no_range_begins_behind_the_last_word),
		cmocka_unit_test(more_ranges_than_could_fit_are_refused),
		cmocka_unit_test(a_length_that_is_not_of_words_is_refused),
		cmocka_unit_test(bodies_complete_a_list_and_padding_is_ignored),
		cmocka_unit_test(a_ring_is_one_range_of_whole_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
