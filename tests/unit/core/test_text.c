/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What people read: errors, GUIDs, traces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "core/error.h"
#include "core/guid.h"
#include "core/trace.h"

static void an_error_is_what_why_and_try(void **state)
{
	g_autoptr(GError) e = NULL;

	user_error_set(&e, EX_NOINPUT, "disk.missing", "cannot open x.img",
		       "no such file", "first\nsecond");
	assert_true(g_error_matches(e, USER_ERROR, EX_NOINPUT));
	assert_string_equal(e->message,
		"cannot open x.img\n"
		"     why: no such file                                     "
		" [disk.missing]\n"
		"     try: first\n"
		"          second");
}

static void an_error_without_advice_has_two_lines(void **state)
{
	g_autoptr(GError) e = NULL;

	user_error_set(&e, EX_DATAERR, "a.b", "what", "why", NULL);
	assert_null(strstr(e->message, "try"));
	user_error_set(NULL, EX_DATAERR, "a.b", "what", "why", NULL);
}

static void a_guid_is_printed_as_windows_prints_it(void **state)
{
	const struct guid g = GUID(0xba6163d9, 0x04a1, 0x4d29, 0xb605,
				   0x72e2ffb1dc7f);
	static const uint8_t bytes[] = {
		0xd9, 0x63, 0x61, 0xba, 0xa1, 0x04, 0x29, 0x4d,
		0xb6, 0x05, 0x72, 0xe2, 0xff, 0xb1, 0xdc, 0x7f,
	};
	char text[GUID_TEXT_SIZE];

	assert_memory_equal(&g, bytes, sizeof(bytes));
	assert_string_equal(guid_text(&g, text),
			    "ba6163d9-04a1-4d29-b605-72e2ffb1dc7f");
}

static char last_line[64];

static void keep_line(const char *line)
{
	g_strlcpy(last_line, line, sizeof(last_line));
}

static void only_areas_that_are_on_are_traced(void **state)
{
	trace_sink = keep_line;
	assert_true(trace_enable("vmbus"));
	assert_false(trace_enable("nonsense"));
	trace(TRACE_HV, "hv.event n=%d", 1);
	assert_string_equal(last_line, "");
	trace(TRACE_VMBUS, "vmbus.event n=%d", 2);
	assert_string_equal(last_line, "vmbus.event n=2");
	assert_true(trace_enable("all"));
	trace(TRACE_HV, "hv.event n=%d", 3);
	assert_string_equal(last_line, "hv.event n=3");
	for (unsigned i = 0; i < TRACE_AREA_COUNT; i++)
		assert_true(trace_enable(trace_area_name(i)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_error_is_what_why_and_try),
		cmocka_unit_test(an_error_without_advice_has_two_lines),
		cmocka_unit_test(a_guid_is_printed_as_windows_prints_it),
		cmocka_unit_test(only_areas_that_are_on_are_traced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
