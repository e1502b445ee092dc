/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "core/autoptr.h"
#include "core/error.h"
#include "vmm/layout.h"
#include "vmm/memory.h"

#define MIB	(UINT64_C(1) << 20)
#define PAGE	GMEM_PAGE_SIZE

static struct memory m;

static int setup(void **state)
{
	return memory_init(&m, 16 * MIB, 4, NULL) ? 0 : -1;
}

static int teardown(void **state)
{
	memory_finish(&m);
	memory_finish(&m);
	return 0;
}

/* As the guest does it. */
static void fill(gpa_t gpa, char c)
{
	memset(gmem_ptr(&m.guest, gpa, PAGE), c, PAGE);
}

static char at(gpa_t gpa)
{
	char c;

	assert_int_equal(gmem_read(&m.guest, gpa, &c, 1), 0);
	return c;
}

/* TLFS: BOOT-07 */
static void memory_starts_as_zeros(void **state)
{
	const uint64_t *word = gmem_ptr(&m.gmem, 0, 16 * MIB);

	for (size_t i = 0; i < 16 * MIB / sizeof(*word); i++)
		assert_true(word[i] == 0);
}

/* TLFS: GEN-03 GPA-09 */
static void an_overlay_covers_ram_and_gives_it_back(void **state)
{
	fill(PAGE, 'a');
	fill(2 * PAGE, 'r');
	fill(3 * PAGE, 'b');
	m.overlay[PAGE] = 'o';
	assert_int_equal(memory_overlay_show(&m, 2 * PAGE, 1, true), 0);
	assert_int_equal(at(PAGE), 'a');
	assert_int_equal(at(2 * PAGE), 'o');
	assert_int_equal(at(3 * PAGE), 'b');

	fill(2 * PAGE, 'w');
	assert_int_equal(m.overlay[PAGE], 'w');
	memory_overlay_hide(&m, 2 * PAGE);
	assert_int_equal(at(2 * PAGE), 'r');
	assert_int_equal(m.overlay[PAGE], 'w');
}

/* TLFS: GPA-16 HC-53 */
static void devices_reach_what_an_overlay_covers(void **state)
{
	char c = 0;

	fill(PAGE, 'r');
	m.overlay[0] = 'o';
	for (unsigned writable = 0; writable < 2; writable++) {
		assert_int_equal(memory_overlay_show(&m, PAGE, 0, writable), 0);
		assert_int_equal(gmem_read(&m.gmem, PAGE, &c, 1), 0);
		assert_int_equal(c, 'r');
		assert_int_equal(gmem_write(&m.gmem, PAGE, "dd", 2), 0);
		assert_int_equal(at(PAGE), 'o');
		memory_overlay_hide(&m, PAGE);
		assert_int_equal(at(PAGE), 'd');
		fill(PAGE, 'r');
	}
}

/* As KVM does it: the kernel refuses, and no signal comes. */
static int write_from_kernel(gpa_t gpa)
{
	autofd zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	assert_true(zero >= 0);
	return read(zero, gmem_ptr(&m.guest, gpa, 1), 1) < 0 ? -errno : 0;
}

/* TLFS: HC-80 GPA-14 */
static void what_is_not_writable_stays_as_it_is(void **state)
{
	m.overlay[0] = 'o';
	assert_int_equal(memory_overlay_show(&m, PAGE, 0, false), 0);
	assert_int_equal(write_from_kernel(PAGE), -EFAULT);
	assert_int_equal(write_from_kernel(2 * PAGE - 1), -EFAULT);
	assert_int_equal(write_from_kernel(PAGE - 1), 0);
	assert_int_equal(write_from_kernel(2 * PAGE), 0);
	assert_int_equal(at(PAGE), 'o');
	assert_int_equal(memory_overlay_show(&m, PAGE, 1, true), 0);
	assert_int_equal(write_from_kernel(PAGE), 0);
	assert_int_equal(memory_overlay_show(&m, PAGE, 0, false), 0);
	memory_overlay_hide(&m, PAGE);
	assert_int_equal(write_from_kernel(PAGE), 0);
}

static void one_overlay_can_replace_another(void **state)
{
	fill(PAGE, 'r');
	m.overlay[0] = 'x';
	m.overlay[3 * PAGE] = 'y';
	assert_int_equal(memory_overlay_show(&m, PAGE, 0, true), 0);
	assert_int_equal(memory_overlay_show(&m, PAGE, 3, true), 0);
	assert_int_equal(at(PAGE), 'y');
	memory_overlay_hide(&m, PAGE);
	assert_int_equal(at(PAGE), 'r');
}

static void an_overlay_needs_ram_below_it(void **state)
{
	assert_int_equal(memory_overlay_show(&m, 16 * MIB, 0, true), -EFAULT);
	assert_int_equal(memory_overlay_show(&m, UINT64_MAX & ~(PAGE - 1), 0,
					     true),
			 -EFAULT);
	assert_int_equal(memory_overlay_show(&m, 16 * MIB - PAGE, 0, true), 0);
	memory_overlay_hide(&m, 16 * MIB);
	memory_overlay_hide(&m, 16 * MIB - PAGE);
}

static void memory_cannot_shrink(void **state)
{
	assert_int_equal(ftruncate(m.fd, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(fcntl(m.fd, F_GET_SEALS),
			 F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
}

static void what_does_not_fit_below_the_hole_goes_above_4_gib(void **state)
{
	struct memory big;
	uint64_t size = LAYOUT_LOW_RAM_MAX + 64 * MIB;

	assert_true(memory_init(&big, size, 1, NULL));
	assert_int_equal(big.gmem.count, 2);
	assert_int_equal(big.region[0].size, LAYOUT_LOW_RAM_MAX);
	assert_int_equal(big.region[1].gpa, LAYOUT_HIGH_RAM);
	assert_int_equal(big.region[1].size, 64 * MIB);
	assert_int_equal(big.guest.count, 2);
	assert_null(gmem_ptr(&big.gmem, LAYOUT_LOW_RAM_MAX, 1));
	*(char *)gmem_ptr(&big.guest, LAYOUT_HIGH_RAM, 1) = 'h';
	assert_int_equal(memory_overlay_show(&big, LAYOUT_HIGH_RAM, 0, true), 0);
	memory_overlay_hide(&big, LAYOUT_HIGH_RAM);
	assert_int_equal(*(char *)gmem_ptr(&big.gmem, LAYOUT_HIGH_RAM, 1),
			 'h');
	assert_int_equal(*(char *)gmem_ptr(&big.guest, LAYOUT_HIGH_RAM, 1),
			 'h');
	memory_finish(&big);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(memory_starts_as_zeros),
		T(an_overlay_covers_ram_and_gives_it_back),
		T(devices_reach_what_an_overlay_covers),
		T(what_is_not_writable_stays_as_it_is),
		T(one_overlay_can_replace_another),
		T(an_overlay_needs_ram_below_it),
		T(memory_cannot_shrink),
		T(what_does_not_fit_below_the_hole_goes_above_4_gib),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
