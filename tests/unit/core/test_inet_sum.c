/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <glib.h>

#include "core/bytes.h"
#include "core/inet_sum.h"

/* As RFC 1071 has it: words of 16 bits, with what is carried added again. */
static unsigned plain(const uint8_t *p, size_t len)
{
	unsigned sum = 0;

	for (size_t i = 0; i < len; i++) {
		sum += i % 2 ? p[i] : (unsigned)p[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

static void sums_are_those_of_words(void **state)
{
	g_autofree uint8_t *bytes = g_malloc(200);

	for (unsigned i = 0; i < 200; i++)
		bytes[i] = (uint8_t)(i * i * 31 + 1);
	for (size_t from = 0; from < 9; from++) {
		for (size_t len = 0; len <= 200 - from; len++) {
			const uint8_t *p = bytes + from;
			uint16_t sum = inet_sum_fold(inet_sum(p, len));

			assert_int_equal(GUINT16_FROM_BE(sum), plain(p, len));
		}
	}
}

static void nothing_is_carried_away(void **state)
{
	g_autofree uint8_t *bytes = g_malloc(65536);

	memset(bytes, 0xff, 65536);
	assert_int_equal(inet_sum_fold(inet_sum(bytes, 65536)), 0xffff);
	bytes[1]++;
	assert_int_equal(GUINT16_FROM_BE(inet_sum_fold(inet_sum(bytes, 65536))),
			 plain(bytes, 65536));
}

static void a_checksum_is_never_zero(void **state)
{
	uint8_t bytes[] = { 0x12, 0x34, 0, 0, 0xed, 0xcb };

	inet_sum_put(bytes + 2, inet_sum(bytes, sizeof(bytes)));
	assert_int_equal(get16(bytes + 2), 0xffff);
	bytes[1] = 0x30;
	put16(bytes + 2, 0);
	inet_sum_put(bytes + 2, inet_sum(bytes, sizeof(bytes)));
	assert_int_equal(get16(bytes + 2), 4);
	assert_int_equal(inet_sum_fold(inet_sum(bytes, sizeof(bytes))), 0xffff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_are_those_of_words),
		cmocka_unit_test(nothing_is_carried_away),
		cmocka_unit_test(a_checksum_is_never_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
