/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <glib.h>
#include <string.h>

#include "backends/image_kind.h"

static uint8_t start[IMAGE_START];

static int clean(void **state)
{
	memset(start, 0, sizeof(start));
	return 0;
}

static const char *driver_of(const char *magic, size_t at, size_t len)
{
	const struct image_kind *k;

	memset(start, 0, sizeof(start));
	memcpy(start + at, magic, len);
	k = image_kind_of(start, at + len);
	/* One byte less is not enough, and a wrong one neither. */
	assert_ptr_not_equal(image_kind_of(start, at + len - 1), k);
	start[at] ^= 0x20;
	assert_null(image_kind_of(start, at + len));
	start[at] ^= 0x20;
	return k ? k->driver : "";
}

static bool names_files(void)
{
	const struct image_kind *k = image_kind_of(start, sizeof(start));

	assert_non_null(k);
	return image_kind_names_files(k, start, sizeof(start));
}

static void formats_are_known_by_their_magic_numbers(void **state)
{
	assert_string_equal(driver_of("QFI\xfb", 0, 4), "qcow2");
	assert_string_equal(driver_of("QFI\xfb\0\0\0\1", 0, 8), "qcow");
	assert_string_equal(driver_of("QED", 0, 4), "qed");
	assert_string_equal(driver_of("KDMV", 0, 4), "vmdk");
	assert_string_equal(driver_of("COWD", 0, 4), "vmdk");
	assert_string_equal(driver_of("# Disk DescriptorFile", 0, 21), "vmdk");
	assert_string_equal(driver_of("\x7f\x10\xda\xbe", 64, 4), "vdi");
	assert_string_equal(driver_of("WithoutFreeSpace", 0, 16), "parallels");
	assert_string_equal(driver_of("WithouFreSpacExt", 0, 16), "parallels");
	assert_null(image_kind_of(start, 0));
}

static void a_qcow2_with_a_backing_file_names_it(void **state)
{
	for (unsigned version = 1; version <= 3; version++) {
		memset(start, 0, sizeof(start));
		memcpy(start, "QFI\xfb", 4);
		start[7] = (uint8_t)version;
		assert_false(names_files());
		for (unsigned i = 8; i < 16; i++) {
			start[i] = 1;
			assert_true(names_files());
			start[i] = 0;
		}
	}
}

static void a_qcow2_with_external_data_names_it(void **state)
{
	memcpy(start, "QFI\xfb", 4);
	start[7] = 3;
	start[79] = 4;
	assert_true(names_files());
	start[79] = (uint8_t)~4;
	assert_false(names_files());
	/* Older ones have other things there. */
	start[79] = 4;
	start[7] = 2;
	assert_false(names_files());
}

static void a_qed_with_a_backing_file_names_it(void **state)
{
	memcpy(start, "QED", 4);
	assert_false(names_files());
	start[16] = 1;
	assert_true(names_files());
	start[16] = 6;
	assert_false(names_files());
}

static void a_vmdk_names_its_parent_and_its_extents(void **state)
{
	static const char hint[] = "parentFileNameHint=";
	const size_t last = 512 + 20 * 512 - strlen(hint);

	memcpy(start, "KDMV", 4);
	start[28] = 1;
	assert_true(names_files());	/* no capacity of its own */
	start[12] = 1;
	assert_false(names_files());
	memcpy(start + last, hint, strlen(hint));
	assert_true(names_files());
	memset(start + last, 0, strlen(hint));
	/* A descriptor that is not wholly here may say anything. */
	start[28] = IMAGE_START / 512 - 20;
	assert_false(names_files());
	start[28]++;
	assert_true(names_files());
	memset(start + 28, 0xff, 8);
	assert_true(names_files());
	memset(start + 28, 0, 8);
	assert_false(names_files());
	memcpy(start, "# Disk DescriptorFile", 21);
	assert_true(names_files());
}

static void an_old_vmdk_names_its_parent(void **state)
{
	memcpy(start, "COWD", 4);
	assert_false(names_files());
	strcpy((char *)start + 1000, "parentFileNameHint");
	assert_true(names_files());
}

static void a_header_that_is_not_whole_may_name_any(void **state)
{
	const struct image_kind *k;

	memcpy(start, "QFI\xfb", 4);
	k = image_kind_of(start, sizeof(start));
	assert_true(image_kind_names_files(k, start, 511));
	assert_false(image_kind_names_files(k, start, 512));
}

static void files_are_looked_at_without_waiting(void **state)
{
	assert_null(image_kind_of_file("/nonexistent", NULL));
	assert_null(image_kind_of_file("/tmp", NULL));
	assert_null(image_kind_of_file("/dev/zero", NULL));
}

#define TEST(f)	cmocka_unit_test_setup(f, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(formats_are_known_by_their_magic_numbers),
		TEST(a_qcow2_with_a_backing_file_names_it),
		TEST(a_qcow2_with_external_data_names_it),
		TEST(a_qed_with_a_backing_file_names_it),
		TEST(a_vmdk_names_its_parent_and_its_extents),
		TEST(an_old_vmdk_names_its_parent),
		TEST(a_header_that_is_not_whole_may_name_any),
		TEST(files_are_looked_at_without_waiting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
