/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <glib.h>

#include "backends/block_bitmap.h"

#define BITS	300

/* The same bits, a byte each. */
static bool naive[BITS];

static unsigned naive_set(unsigned first, unsigned end, bool value)
{
	unsigned changed = 0;

	for (unsigned i = first; i < end; i++) {
		changed += naive[i] != value;
		naive[i] = value;
	}
	return changed;
}

static void compare(const uint64_t *map, unsigned first, unsigned end)
{
	unsigned set = end, clear = end, count = 0;

	for (unsigned i = end; i-- > first;) {
		assert_int_equal(block_bitmap_test(map, i), naive[i]);
		if (naive[i])
			set = i;
		else
			clear = i;
		count += naive[i];
	}
	assert_int_equal(block_bitmap_find(map, first, end, true), set);
	assert_int_equal(block_bitmap_find(map, first, end, false), clear);
	assert_int_equal(block_bitmap_count(map, first, end), count);
}

static void ranges_are_what_single_bits_say(void **state)
{
	g_autofree uint64_t *map = block_bitmap_new(BITS);
	g_autoptr(GRand) r = g_rand_new_with_seed(1);

	for (unsigned i = 0; i < 20000; i++) {
		unsigned first = (unsigned)g_rand_int_range(r, 0, BITS);
		unsigned end = (unsigned)g_rand_int_range(r, (gint32)first + 1,
							  BITS + 1);

		if (i % 4 == 0)
			assert_int_equal(block_bitmap_set(map, first, end),
					 naive_set(first, end, true));
		else if (i % 4 == 1)
			assert_int_equal(block_bitmap_clear(map, first, end),
					 naive_set(first, end, false));
		else
			compare(map, first, end);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_are_what_single_bits_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
