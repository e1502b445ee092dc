/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a differencing disk and its parent read when the one is in the other. */
#include "merge_rig.h"

/*
 * What is read.
 */
static void both_read_what_the_child_had(enum block_format f)
{
	for (uint32_t seed = 0; seed < 6; seed++) {
		make_chain(f, seed, SIZE);
		merge_files(TOP);
		check_merged();
	}
}

static void a_vhdx_and_its_parent_read_what_it_had(void **state)
{
	both_read_what_the_child_had(BLOCK_FORMAT_VHDX);
}

static void a_vhd_and_its_parent_read_what_it_had(void **state)
{
	both_read_what_the_child_had(BLOCK_FORMAT_VHD);
}

/* A page has bits of 16 MiB.  The first sector and the count of runs. */
static void bits_of_a_block_may_have_several_pages(void **state)
{
	static const uint32_t runs[][2] = {
		{ 0, 1 }, { 32767, 2 }, { 40000, 7 }, { 65535, 3 },
		{ 67000, 1 },
	};
	struct block_backend *bb;

	format = BLOCK_FORMAT_VHDX;
	vhdx_block = 32 * MIB;
	for (enum disk disk = BASE; disk <= TOP; disk++)
		make(disk, 33 * MIB);
	bb = open_disk(TOP);
	memset(buf, 1, MIB);
	for (size_t i = 0; i < G_N_ELEMENTS(runs); i++)
		request(bb, BLOCK_WRITE, runs[i][0] * SECTOR,
			runs[i][1] * SECTOR);
	block_close(bb);
	merge_files(TOP);
	bb = try_open(MIDDLE, true, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(runs); i++) {
		uint32_t before = runs[i][0] != 0, end = before + runs[i][1];

		request(bb, BLOCK_READ, (runs[i][0] - before) * SECTOR,
			(end + 1) * SECTOR);
		for (uint32_t n = 0; n <= end; n++)
			assert_int_equal(buf[n * SECTOR],
					 n >= before && n < end);
	}
	block_close(bb);
}

static void an_empty_child_is_as_large_as_a_new_one(void **state)
{
	struct stat fresh, emptied;

	for (unsigned f = BLOCK_FORMAT_VHD; f <= BLOCK_FORMAT_VHDX; f++) {
		make_chain((enum block_format)f, 1, SIZE);
		make(TOP, SIZE);
		fstat(fd[TOP], &fresh);
		make_chain((enum block_format)f, 1, SIZE);
		merge_files(TOP);
		fstat(fd[TOP], &emptied);
		assert_int_equal(fresh.st_size, emptied.st_size);
	}
}

/* And can be used as such. */
static void an_empty_child_takes_writes_again(void **state)
{
	for (unsigned f = BLOCK_FORMAT_VHD; f <= BLOCK_FORMAT_VHDX; f++) {
		make_chain((enum block_format)f, 7, SIZE);
		for (unsigned i = 0; i < 3; i++) {
			merge_files(TOP);
			compare_disk(TOP);
			use(TOP, 12);
			compare_disk(TOP);
		}
	}
}

static void a_parent_grows_with_its_child(void **state)
{
	make_chain(BLOCK_FORMAT_VHDX, 3, SIZE + MIB / 2);
	merge_files(TOP);
	check_merged();
	make_chain(BLOCK_FORMAT_VHD, 3, SIZE);
	memset(shadow, 0, 2 * SIZE);
	make(BASE, SIZE);
	use(BASE, 12);
	make(MIDDLE, SIZE + MIB / 2);
	use(MIDDLE, 12);
	merge_files(MIDDLE);
	compare_disk(MIDDLE);
	compare_disk(BASE);
}

static void a_vhd_with_a_parent_does_not_grow(void **state)
{
	g_autoptr(GError) error = NULL;
	struct block_merge m;

	make_chain(BLOCK_FORMAT_VHD, 3, SIZE + MIB / 2);
	m = merge_of_files(TOP);
	assert_int_equal(merge(&m, &error), 1);
	assert_non_null(strstr(error->message, "larger than its parent"));
	compare_disk(TOP);
}

static void a_larger_parent_keeps_its_end(void **state)
{
	g_autofree uint8_t *end = g_malloc(MIB);

	for (unsigned f = BLOCK_FORMAT_VHD; f <= BLOCK_FORMAT_VHDX; f++) {
		struct block_backend *bb;

		make_chain((enum block_format)f, 5, SIZE - MIB - SECTOR);
		bb = try_open(MIDDLE, true, NULL);
		request(bb, BLOCK_READ, top_size, MIB);
		memcpy(end, buf, MIB);
		block_close(bb);
		merge_files(TOP);
		bb = open_disk(MIDDLE);
		assert_int_equal(bb->size, SIZE);
		request(bb, BLOCK_READ, top_size, MIB);
		assert_memory_equal(buf, end, MIB);
		block_close(bb);
	}
}

static void other_children_lose_their_parent(void **state)
{
	for (unsigned f = BLOCK_FORMAT_VHD; f <= BLOCK_FORMAT_VHDX; f++) {
		g_autoptr(GError) error = NULL;

		make_chain((enum block_format)f, 11, SIZE);
		make(SIBLING, SIZE);
		block_close(open_disk(SIBLING));
		merge_files(TOP);
		/* It is later than when the sibling was made. */
		if (format == BLOCK_FORMAT_VHD)
			set_changed(MIDDLE, CHANGED);
		assert_null(try_open(SIBLING, false, &error));
		assert_non_null(strstr(error->message, "since"));
	}
}

static void a_child_that_is_empty_takes_its_parent_from_nobody(void **state)
{
	for (unsigned f = BLOCK_FORMAT_VHD; f <= BLOCK_FORMAT_VHDX; f++) {
		make_chain((enum block_format)f, 11, SIZE);
		make(SIBLING, SIZE);
		make(TOP, SIZE);
		merge_files(TOP);
		block_close(open_disk(TOP));
		block_close(open_disk(SIBLING));
	}
}

/* By its time, or by its DataWriteGuid. */
static void an_empty_child_knows_its_parent_from_a_changed_one(void **state)
{
	for (unsigned f = BLOCK_FORMAT_VHD; f <= BLOCK_FORMAT_VHDX; f++) {
		g_autoptr(GError) error = NULL;

		make_chain((enum block_format)f, 15, SIZE);
		merge_files(TOP);
		use(MIDDLE, 1);
		set_changed(MIDDLE, CHANGED);
		assert_null(try_open(TOP, false, &error));
		assert_non_null(strstr(error->message, "since"));
	}
}

/* What the middle shows does not change when its parent gets what it has. */
static void a_grandchild_keeps_its_parent(void **state)
{
	make_chain(BLOCK_FORMAT_VHDX, 13, SIZE);
	merge_files(MIDDLE);
	compare_disk(TOP);
	merge_files(TOP);
	check_merged();
}

/*
 * What fails.
 */
static void stop_early(struct block_merge *m, uint64_t copied)
{
	if (copied > m->total / 2)
		m->stop = -EINTR;
}

static void what_is_stopped_goes_on(void **state)
{
	for (unsigned f = BLOCK_FORMAT_VHD; f <= BLOCK_FORMAT_VHDX; f++) {
		struct block_merge m;

		make_chain((enum block_format)f, 17, SIZE);
		m = merge_of_files(TOP);
		m.progress = stop_early;
		assert_int_equal(merge(&m, NULL), -EINTR);
		compare_disk(TOP);
		merge_files(TOP);
		check_merged();
	}
}

/* The @after-th write to the file of @disk finds no room. */
static int merge_without_room(enum disk disk, unsigned after)
{
	const struct block_error_rule full = {
		.ops = 1u << BLOCK_WRITE | 1u << BLOCK_WRITE_ZEROES |
		       1u << BLOCK_GROW,
		.error = -ENOSPC, .after = after,
	};
	struct block_merge m = merge_of_files(TOP);
	int result;

	if (disk == TOP) {
		m.file = block_error_new(loop, m.file);
		block_error_set(m.file, &full);
	} else {
		rule = &full;
	}
	result = merge(&m, NULL);
	rule = NULL;
	return result;
}

static void without_room_nothing_is_lost(enum block_format f, enum disk disk)
{
	unsigned after = 0;
	int result;

	make_chain(f, 19, SIZE);
	do {
		result = merge_without_room(disk, after++);
		compare_disk(TOP);
		use(TOP, 6);
	} while (result);
	assert_true(after > 5);
	merge_files(TOP);
	check_merged();
}

static void a_disk_without_room_loses_nothing(void **state)
{
	for (unsigned f = BLOCK_FORMAT_VHD; f <= BLOCK_FORMAT_VHDX; f++) {
		without_room_nothing_is_lost((enum block_format)f, TOP);
		without_room_nothing_is_lost((enum block_format)f, MIDDLE);
	}
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_vhdx_and_its_parent_read_what_it_had),
		TEST(a_vhd_and_its_parent_read_what_it_had),
		TEST(bits_of_a_block_may_have_several_pages),
		TEST(an_empty_child_is_as_large_as_a_new_one),
		TEST(an_empty_child_takes_writes_again),
		TEST(a_parent_grows_with_its_child),
		TEST(a_vhd_with_a_parent_does_not_grow),
		TEST(a_larger_parent_keeps_its_end),
		TEST(other_children_lose_their_parent),
		TEST(a_child_that_is_empty_takes_its_parent_from_nobody),
		TEST(an_empty_child_knows_its_parent_from_a_changed_one),
		TEST(a_grandchild_keeps_its_parent),
		TEST(what_is_stopped_goes_on),
		TEST(a_disk_without_room_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
