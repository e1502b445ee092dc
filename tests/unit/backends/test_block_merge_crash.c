/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Crashes of the host while a disk goes into its parent.  The files of both
 * keep one record of what is done to them; then, for each instant, files are
 * made as a crash could have left them.
 */
#include "merge_rig.h"

#include "block_recorder.h"

static GArray *records;

static struct block_backend *load(enum disk disk)
{
	struct stat st;
	struct block_backend *mem;

	assert_int_equal(fstat(fd[disk], &st), 0);
	mem = block_mem_new(loop, (uint64_t)st.st_size, SECTOR);
	assert_int_equal(pread(fd[disk], block_mem_bytes(mem),
			       (size_t)st.st_size, 0), st.st_size);
	return mem;
}

static void store(enum disk disk, struct block_backend *mem)
{
	const uint8_t *bytes = block_mem_bytes(mem);

	assert_int_equal(ftruncate(fd[disk], 0), 0);
	assert_int_equal(ftruncate(fd[disk], (off_t)mem->size), 0);
	for (uint64_t at = 0; at < mem->size; at += CHUNK) {
		size_t len = MIN(CHUNK, mem->size - at);

		/* Most of it is zero. */
		if (bytes[at] || memcmp(bytes + at, bytes + at + 1, len - 1))
			assert_int_equal(pwrite(fd[disk], bytes + at, len,
						(off_t)at), len);
	}
}

static void changed(struct recorder *r)
{
	if (r->file == MIDDLE)
		set_changed(MIDDLE, CHANGED);
}

static void record_disk(struct recorder *r, enum disk disk)
{
	recorder_init(r, loop, load(disk), records, rand_);
	r->file = disk;
	r->changed = changed;
}

static void restore(enum disk disk, struct block_backend *base, unsigned when,
		    enum crash_how how)
{
	const struct crash c = {
		.loop = loop, .records = records, .file = disk, .when = when,
		.how = how, .rand = rand_,
	};
	struct block_backend *mem = crash_file(&c, base);

	store(disk, mem);
	block_close(mem);
}

/* When the middle was changed: it is not known while it may be changing. */
static time_t time_at(unsigned when, time_t before)
{
	const struct record *r = (const void *)records->data;
	unsigned first = 0, last = 0;

	for (unsigned i = 0; i < records->len; i++) {
		if (r[i].file != MIDDLE)
			continue;
		last = i;
		if (r[i].op != BLOCK_FLUSH && !first)
			first = i;
	}
	return when <= first ? before : when > last ? CHANGED : CHANGED / 2;
}

static void crash(struct block_backend *const base[DISKS], unsigned when,
		  enum crash_how how, time_t before)
{
	restore(MIDDLE, base[MIDDLE], when, how);
	restore(TOP, base[TOP], when, how);
	if (format == BLOCK_FORMAT_VHD)
		set_changed(MIDDLE, time_at(when, before));
	compare_disk(TOP);
	merge_files(TOP);
	check_merged();
}

static void record_merge(struct recorder *r)
{
	struct block_merge m = {
		.loop = loop, .file = &r[TOP].bb, .path = path[TOP],
		.open_parent = open_parent,
	};

	record_disk(&r[MIDDLE], MIDDLE);
	record_disk(&r[TOP], TOP);
	g_array_set_size(records, 0);
	instead = &r[MIDDLE].bb;
	assert_int_equal(merge(&m, NULL), 0);
	assert_true(m.total > 2 * MIB);
	assert_true(records->len > 50);
}

static void survive(enum block_format f, uint32_t seed, uint64_t size)
{
	struct recorder r[DISKS];
	struct block_backend *base[DISKS];
	struct stat st;

	make_chain(f, seed, size);
	fstat(fd[MIDDLE], &st);
	base[MIDDLE] = load(MIDDLE);
	base[TOP] = load(TOP);
	record_merge(r);
	for (unsigned when = 0; when <= records->len; when++)
		crash(base, when, when % CRASH_HOWS, st.st_mtim.tv_sec);
	block_close(base[MIDDLE]);
	block_close(base[TOP]);
	block_close(r[MIDDLE].mem);
	block_close(r[TOP].mem);
}

static void a_vhdx_reads_the_same_after_each_crash(void **state)
{
	survive(BLOCK_FORMAT_VHDX, 23, SIZE);
	survive(BLOCK_FORMAT_VHDX, 24, SIZE + MIB / 2);
}

static void a_vhd_reads_the_same_after_each_crash(void **state)
{
	survive(BLOCK_FORMAT_VHD, 25, SIZE);
	survive(BLOCK_FORMAT_VHD, 26, SIZE - MIB / 2);
}

static int setup_records(void **state)
{
	records = records_new();
	return setup(state);
}

static int forget_all(void **state)
{
	g_array_unref(records);
	return teardown(state);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup_records, forget_all)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_vhdx_reads_the_same_after_each_crash),
		TEST(a_vhd_reads_the_same_after_each_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
