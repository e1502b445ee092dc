/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/trace.h"
#include "hv_test.h"

#define NOTIFY	HV_CRASH_CTL_CRASH_NOTIFY
#define TEXT	HV_CRASH_CTL_CRASH_NOTIFY_MSG
#define P(n)	(HV_X64_MSR_CRASH_P0 + (n))
#define GPA	UINT64_C(0x10ff0)	/* not aligned, and over a page's end */

static void tell(uint64_t gpa, uint64_t len, uint64_t ctl)
{
	wr(0, P(3), gpa);
	wr(0, P(4), len);
	wr(1, HV_X64_MSR_CRASH_CTL, ctl);
}

/* TLFS: CRASH-02 CRASH-04 CRASH-11 */
static void parameters_are_kept_and_told(void **state)
{
	for (unsigned i = 0; i < 5; i++)
		wr(i % VP_COUNT, P(i), UINT64_C(0x1111111111111111) * (i + 1));
	assert_int_equal(h.crashes, 0);
	wr(0, HV_X64_MSR_GUEST_OS_ID, OS_ID);
	wr(2, HV_X64_MSR_CRASH_CTL, NOTIFY);
	assert_int_equal(h.crashes, 1);
	assert_true(h.crash.guest_os_id == OS_ID);
	for (unsigned i = 0; i < 5; i++) {
		uint64_t want = UINT64_C(0x1111111111111111) * (i + 1);

		assert_true(h.crash.p[i] == want);
		assert_true(rd(0, P(i)) == want);
	}
	assert_string_equal(h.crash.message, "");
}

/* TLFS: CRASH-03 CRASH-08 CRASH-09 */
static void control_reads_as_what_can_be_done(void **state)
{
	assert_true(rd(0, HV_X64_MSR_CRASH_CTL) == (NOTIFY | TEXT));
	wr(0, HV_X64_MSR_CRASH_CTL, 0);
	assert_true(rd(0, HV_X64_MSR_CRASH_CTL) == (NOTIFY | TEXT));
	wr(0, HV_X64_MSR_CRASH_CTL, ~NOTIFY);
	assert_int_equal(h.crashes, 0);
	/* Reserved bits do not matter. */
	wr(0, HV_X64_MSR_CRASH_CTL, UINT64_MAX & ~TEXT);
	assert_int_equal(h.crashes, 1);
}

/* TLFS: CRASH-05 CRASH-07 */
static void text_is_read_where_p3_says(void **state)
{
	static const char text[] = "Kernel panic\n- not \"syncing\": ~!\n";

	memcpy(h.ram + GPA, text, sizeof(text));
	tell(GPA, strlen(text), NOTIFY | TEXT);
	assert_string_equal(h.crash.message, text);
	tell(GPA, 6, NOTIFY | TEXT);
	assert_string_equal(h.crash.message, "Kernel");
	tell(GPA, 100, NOTIFY | TEXT);
	assert_string_equal(h.crash.message, text);
	tell(GPA, 0, NOTIFY | TEXT);
	assert_string_equal(h.crash.message, "");
	tell(GPA, 6, NOTIFY);
	assert_string_equal(h.crash.message, "");
}

static void text_has_no_control_characters(void **state)
{
	memcpy(h.ram + GPA, "a\033[2J\tb\x80\xff\x7f\r\n", 11);
	tell(GPA, 11, NOTIFY | TEXT);
	assert_string_equal(h.crash.message, "a?[2J?b????");
	memcpy(h.ram + GPA, "one\ntwo\n\0three", 14);
	tell(GPA, 14, NOTIFY | TEXT);
	assert_string_equal(h.crash.message, "one\ntwo\n");
}

/* TLFS: CRASH-06 */
static void text_is_bounded(void **state)
{
	memset(h.ram + GPA, 'x', 3 * PAGE);
	tell(GPA, 4096, NOTIFY | TEXT);
	assert_int_equal(strlen(h.crash.message), 4096);
	tell(GPA, 4097, NOTIFY | TEXT);
	assert_int_equal(strlen(h.crash.message), 4096);
	tell(GPA, UINT64_MAX, NOTIFY | TEXT);
	assert_int_equal(strlen(h.crash.message), 4096);
}

/* TLFS: CRASH-12 GPA-08 BOOT-11 */
static void text_that_cannot_be_read_is_empty(void **state)
{
	static const uint64_t gpas[] = {
		HV_HOST_RAM - 8, HV_HOST_RAM, BIT64(52), UINT64_MAX,
		UINT64_MAX - 8,
	};

	for (size_t i = 0; i < G_N_ELEMENTS(gpas); i++) {
		h.crashes = 0;
		tell(gpas[i], 16, NOTIFY | TEXT);
		assert_int_equal(h.crashes, 1);
		assert_true(h.crash.p[3] == gpas[i]);
		assert_string_equal(h.crash.message, "");
	}
}

static char *told;

static void keep_line(const char *line)
{
	if (g_str_has_prefix(line, "hv.crash"))
		told = g_strdup(line);
}

static void the_trace_has_all_of_it(void **state)
{
	memcpy(h.ram + GPA, "a \"b\"\nc", 7);
	trace_mask = 1u << TRACE_HV;
	trace_sink = keep_line;
	wr(0, HV_X64_MSR_GUEST_OS_ID, 0x77);
	wr(0, P(0), 0x7b);
	tell(GPA, 7, NOTIFY | TEXT);
	trace_mask = 0;
	trace_sink = NULL;
	assert_string_equal(told, "hv.crash vp=1 os=0x77 p0=0x7b p1=0 p2=0 "
				  "p3=0x10ff0 p4=0x7 text=\"a \\\"b\\\"\\nc\"");
	g_free(told);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(parameters_are_kept_and_told),
		TEST(control_reads_as_what_can_be_done),
		TEST(text_is_read_where_p3_says),
		TEST(text_has_no_control_characters),
		TEST(text_is_bounded),
		TEST(text_that_cannot_be_read_is_empty),
		TEST(the_trace_has_all_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
