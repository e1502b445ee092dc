/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <glib.h>

#include "vmm/crash.h"

#define LINUX_6_12	UINT64_C(0x8100060c00000000)
#define WINDOWS_2022	UINT64_C(0x0001040a00004f7c)

static void described_as(const struct hv_crash *crash, const char *want)
{
	g_autofree char *got = crash_describe(crash);

	assert_string_equal(got, want);
}

/* TLFS: CRASH-10 */
static void a_panic_is_told_by_its_parameters(void **state)
{
	const struct hv_crash crash = {
		.guest_os_id = LINUX_6_12,
		.p = { 0, 0x8100060c, UINT64_C(0xffffffff81000000), 4,
		       UINT64_MAX },
	};

	assert_false(crash_is_bugcheck(&crash));
	described_as(&crash, "p0=0 p1=0x8100060c p2=0xffffffff81000000 p3=0x4 "
			     "p4=0xffffffffffffffff");
}

/* TLFS: CRASH-05 */
static void its_text_follows_without_the_last_newline(void **state)
{
	const struct hv_crash crash = {
		.guest_os_id = LINUX_6_12,
		.p = { 0, 0, 0, 0x1000, 30 },
		.message = "Kernel panic\n- not syncing\n\n",
	};

	described_as(&crash, "p0=0 p1=0 p2=0 p3=0x1000 p4=0x1e\n"
			     "Kernel panic\n- not syncing");
}

/* TLFS: OSID-05 */
static void windows_has_a_bugcheck(void **state)
{
	const struct hv_crash crash = {
		.guest_os_id = WINDOWS_2022,
		.p = { 0x7b, UINT64_C(0xffffd0002018c878),
		       UINT64_C(0xffffffffc0000034), 0, 1 },
	};

	assert_true(crash_is_bugcheck(&crash));
	described_as(&crash, "bugcheck 0x7b (0xffffd0002018c878, "
			     "0xffffffffc0000034, 0, 0x1) "
			     "in Windows 10.0.20348");
}

/* Vendor 1, OS 4, and closed source: all three. */
static void only_windows_has_a_bugcheck(void **state)
{
	static const uint64_t others[] = {
		0, LINUX_6_12, WINDOWS_2022 | UINT64_C(1) << 63,
		UINT64_C(0x0001030a00004f7c), UINT64_C(0x0002040a00004f7c),
	};

	for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
		assert_false(crash_is_bugcheck(
			&(struct hv_crash){ .guest_os_id = others[i] }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_panic_is_told_by_its_parameters),
		cmocka_unit_test(its_text_follows_without_the_last_newline),
		cmocka_unit_test(windows_has_a_bugcheck),
		cmocka_unit_test(only_windows_has_a_bugcheck),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
