/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vhdx_rig.h"

#include <errno.h>

#include "backends/block_error.h"
#include "backends/block_now.h"
#include "backends/crc32c.h"
#include "backends/vhdx_proto.h"
#include "core/error.h"

#define DISK_SIZE	(20 * MIB)
#define METADATA	(2 * MIB)
#define BAT		(3 * MIB)

static struct rig rig;
static struct block_backend *mem, *file;

/* A new disk of 1 MiB blocks in memory, not open. */
static void format(uint32_t sector, bool fixed)
{
	const struct vhdx_create_options o = {
		.size = DISK_SIZE, .block_size = MIB, .sector_size = sector,
		.fixed = fixed,
	};

	mem = block_mem_new(rig.loop, MIB, 512);
	file = block_error_new(rig.loop, mem);
	assert_int_equal(vhdx_format(file, &o), 0);
}

static void open_disk(void)
{
	g_autoptr(GError) error = NULL;

	rig.bb = rig_open(&rig, file, "disk", &error);
	if (!rig.bb)
		fail_msg("%s", error->message);
}

/* Close it, and have its file again. */
static void close_disk(void)
{
	struct block_backend *copy = block_mem_new(rig.loop, mem->size, 512);

	/* Closing writes to the old file; so look at it from within. */
	memcpy(block_mem_bytes(copy), block_mem_bytes(mem), mem->size);
	block_close(rig.bb);
	rig.bb = NULL;
	mem = copy;
	file = block_error_new(rig.loop, mem);
}

static int setup(void **state)
{
	rig = (struct rig){ .loop = loop_new(NULL) };
	rig.buf = g_malloc0(RIG_BUFFER);
	rig.shadow = g_malloc0(DISK_SIZE);
	mem = file = NULL;
	return 0;
}

static int teardown(void **state)
{
	if (rig.bb)
		block_close(rig.bb);
	g_free(rig.shadow);
	g_free(rig.buf);
	loop_free(rig.loop);
	return 0;
}

/* Crash (or close) and open, again and again. */
static void agree_with_shadow(uint32_t sector, bool fixed)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(sector + fixed);

	format(sector, fixed);
	for (unsigned n = 0; n < 5; n++) {
		open_disk();
		assert_int_equal(rig.bb->block_size, sector);
		assert_int_equal(rig.bb->size, DISK_SIZE);
		rig_compare(&rig);
		for (unsigned i = 0; i < 60; i++)
			rig_random(&rig, rand);
		assert_int_equal(rig_do(&rig, BLOCK_FLUSH, 0, 0), 0);
		close_disk();
	}
	block_close(file);
}

static void random_requests_leave_what_they_should(void **state)
{
	agree_with_shadow(512, false);
}

static void also_with_large_sectors_and_in_fixed_disks(void **state)
{
	memset(rig.shadow, 0, DISK_SIZE);
	agree_with_shadow(4096, false);
	memset(rig.shadow, 0, DISK_SIZE);
	agree_with_shadow(512, true);
}

static void a_disk_that_is_only_read_is_not_written(void **state)
{
	unsigned before;

	format(512, false);
	before = block_mem_count(mem, BLOCK_WRITE);
	open_disk();
	rig_compare(&rig);
	assert_int_equal(rig_do(&rig, BLOCK_FLUSH, 0, 0), 0);
	assert_int_equal(block_mem_count(mem, BLOCK_WRITE), before);
}

static void space_of_unmapped_blocks_is_used_again(void **state)
{
	uint64_t size;

	format(512, false);
	open_disk();
	assert_int_equal(rig_do(&rig, BLOCK_WRITE, 0, MIB), 0);
	size = file->size;
	for (unsigned i = 0; i < 100; i++) {
		memset(rig.buf, 'x', MIB);
		assert_int_equal(rig_do(&rig, BLOCK_WRITE, i % 7 * MIB,
					MIB / 2), 0);
		/* The other half is zeroes, whoever had it before. */
		assert_int_equal(rig_do(&rig, BLOCK_READ, i % 7 * MIB + MIB /
					2, MIB / 2), 0);
		for (unsigned n = 0; n < MIB / 2; n++)
			assert_int_equal(rig.buf[n], 0);
		assert_int_equal(rig_do(&rig, BLOCK_WRITE_ZEROES, i % 7 * MIB,
					MIB), 0);
		assert_int_equal(rig_do(&rig, BLOCK_FLUSH, 0, 0), 0);
	}
	assert_int_equal(file->size, size);
}

static void a_long_request_lets_others_have_their_turn(void **state)
{
	const struct vhdx_create_options o = {
		.size = MIB << 15, .block_size = MIB,
	};
	struct rig_request r;

	mem = file = block_mem_new(rig.loop, MIB, 512);
	assert_int_equal(vhdx_format(file, &o), 0);
	open_disk();
	/* The first time, pages of the BAT are loaded. */
	for (unsigned i = 0; i < 2; i++) {
		unsigned turns = 0;

		rig_start(&rig, &r, BLOCK_WRITE_ZEROES, 0, o.size, rig.buf);
		for (; rig.running; turns++)
			loop_turn(rig.loop, true);
		assert_int_equal(r.rq.result, 0);
		assert_true(turns >= 7);
	}
}

static void a_disk_with_many_changes_is_resized_at_once(void **state)
{
	const struct vhdx_create_options o = {
		.size = MIB << 16, .block_size = MIB,
	};

	mem = file = block_mem_new(rig.loop, MIB, 512);
	assert_int_equal(vhdx_format(file, &o), 0);
	open_disk();
	/* A block in each page of the BAT, as many as one commit has. */
	for (unsigned i = 0; i < 126; i++)
		assert_int_equal(rig_do(&rig, BLOCK_WRITE, i * 512 * MIB, 512),
				 0);
	assert_int_equal(vhdx_resize(rig.bb, o.size + MIB), 0);
}

static void what_the_host_fails_at_is_told_and_tried_again(void **state)
{
	static const struct {
		enum block_op fails;
		int error;
		enum block_op op;
	} cases[] = {
		{ BLOCK_READ, -EIO, BLOCK_READ },	/* the BAT */
		{ BLOCK_WRITE, -EIO, BLOCK_WRITE },	/* the log begins */
		{ BLOCK_GROW, -ENOSPC, BLOCK_WRITE },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		const struct block_error_rule rule = {
			.ops = 1u << cases[i].fails, .error = cases[i].error,
		};

		format(512, false);
		open_disk();
		block_error_set(file, &rule);
		assert_int_equal(rig_do(&rig, cases[i].op, 0, 4096),
				 cases[i].error);
		assert_int_equal(rig_do(&rig, cases[i].op, MIB, 4096),
				 cases[i].error);
		block_error_set(file, NULL);
		assert_int_equal(rig_do(&rig, cases[i].op, 0, 4096), 0);
		assert_int_equal(rig_do(&rig, BLOCK_FLUSH, 0, 0), 0);
		block_close(rig.bb);
		rig.bb = NULL;
	}
}

/* Whichever step of the commit fails: the flush says so, the next works. */
static void a_commit_that_fails_loses_nothing(void **state)
{
	for (unsigned op = BLOCK_WRITE; op <= BLOCK_FLUSH; op++) {
		for (unsigned after = 0; after < 2; after++) {
			const struct block_error_rule rule = {
				.ops = 1u << op, .error = -EIO, .after = after,
			};
			int ret;

			format(512, false);
			open_disk();
			memset(rig.buf, 'y', 4096);
			assert_int_equal(rig_do(&rig, BLOCK_WRITE, 0, 4096),
					 0);
			block_error_set(file, &rule);
			ret = rig_do(&rig, BLOCK_FLUSH, 0, 0);
			/* Pages that are not in place are in the log. */
			assert_int_equal(ret, op == BLOCK_WRITE && after ?
					 0 : -EIO);
			block_error_set(file, NULL);
			memset(rig.buf, 'z', 4096);
			assert_int_equal(rig_do(&rig, BLOCK_WRITE, MIB, 4096),
					 0);
			assert_int_equal(rig_do(&rig, BLOCK_FLUSH, 0, 0), 0);
			close_disk();	/* as a crash would */
			open_disk();
			assert_int_equal(rig_do(&rig, BLOCK_READ, 0, 4096),
					 0);
			assert_int_equal(rig.buf[4095], 'y');
			assert_int_equal(rig_do(&rig, BLOCK_READ, MIB, 4096),
					 0);
			assert_int_equal(rig.buf[4095], 'z');
			block_close(rig.bb);
			rig.bb = NULL;
		}
	}
}

/* Of some the state, of others the place. */
static void entries_that_make_no_sense_are_read_errors(void **state)
{
	static const uint64_t entries[] = {
		4, 5, 7 | 4 * MIB, 6, 6 | MIB, 6 | METADATA, 6 | BAT,
		6 | UINT64_C(1) << 40, 6 | (UINT64_MAX & ~(MIB - 1)),
	};

	format(512, false);
	memcpy(block_mem_bytes(mem) + BAT, entries, 2 * sizeof(*entries));
	open_disk();
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(rig_do(&rig, BLOCK_WRITE, i * MIB, 512),
				 -EIO);
		assert_int_equal(rig_do(&rig, BLOCK_WRITE_ZEROES, i * MIB,
					MIB), -EIO);
	}
	block_close(rig.bb);
	format(512, false);
	memcpy(block_mem_bytes(mem) + BAT, entries, sizeof(entries));
	mem->read_only = file->read_only = true;
	open_disk();
	for (unsigned i = 0; i < G_N_ELEMENTS(entries); i++)
		assert_int_equal(rig_do(&rig, BLOCK_READ, i * MIB, 512), -EIO);
}

/*
 * Files that are refused.
 */
static void fix_checksum(uint64_t at, size_t len)
{
	uint8_t *p = block_mem_bytes(mem) + at;
	uint32_t crc;

	memset(p + 4, 0, 4);
	crc = crc32c(0, p, len);
	memcpy(p + 4, &crc, 4);
}

static void expect_refusal(const char *id)
{
	g_autoptr(GError) error = NULL;

	assert_null(rig_open(&rig, file, "some-disk", &error));
	assert_int_equal(error->domain, USER_ERROR);
	assert_non_null(strstr(error->message, "some-disk"));
	if (!strstr(error->message, id))
		fail_msg("no '%s' in: %s", id, error->message);
}

static void what_is_damaged_is_refused_by_name(void **state)
{
	static const struct {
		uint64_t at, value;
		unsigned len;
		const char *id;
	} cases[] = {
		{ 64 << 10, 0, 1, "[vhdx.header]" },
		{ (64 << 10) + 66, 2, 2, "[vhdx.version]" },
		{ (64 << 10) + 68, MIB + 4096, 4, "[vhdx.log]" },
		{ (64 << 10) + 68, 0, 4, "[vhdx.log]" },
		{ (64 << 10) + 72, 0, 8, "[vhdx.log]" },
		{ (64 << 10) + 72, UINT64_MAX & ~(MIB - 1), 8, "[vhdx.log]" },
		{ (64 << 10) + 48, 1, 1, "[vhdx.log-damaged]" },
		{ 192 << 10, 0, 1, "[vhdx.region-table]" },
		{ (192 << 10) + 8, 2048, 4, "[vhdx.region-table]" },
		{ (192 << 10) + 8, 1, 4, "[vhdx.region]" },
		{ (192 << 10) + 16, 0, 1, "[vhdx.unknown-region]" },
		{ (192 << 10) + 32, MIB, 8, "[vhdx.region]" },
		{ (192 << 10) + 32, METADATA, 8, "[vhdx.region]" },
		{ (192 << 10) + 32, BAT + 1, 8, "[vhdx.region]" },
		{ (192 << 10) + 40, 64 * MIB, 4, "[vhdx.region]" },
		{ METADATA, 0, 1, "[vhdx.metadata]" },
		{ METADATA + 10, 2048, 2, "[vhdx.metadata]" },
		{ METADATA + 10, 4, 2, "[vhdx.metadata]" },
		{ METADATA + 32, 0, 1, "[vhdx.unknown-metadata]" },
		{ METADATA + 48, 0, 4, "[vhdx.metadata]" },
		{ METADATA + 48, MIB - 4, 4, "[vhdx.metadata]" },
		{ METADATA + 52, 4, 4, "[vhdx.metadata]" },
		{ METADATA + 65536, MIB / 2, 4, "[vhdx.metadata]" },
		{ METADATA + 65536, 3 * MIB, 4, "[vhdx.metadata]" },
		{ METADATA + 65536, 512 * MIB, 4, "[vhdx.metadata]" },
		{ METADATA + 65544, 0, 8, "[vhdx.metadata]" },
		{ METADATA + 65544, 513, 8, "[vhdx.metadata]" },
		{ METADATA + 65544, (UINT64_C(64) << 40) + 512, 8,
		  "[vhdx.metadata]" },
		{ METADATA + 65544, UINT64_C(1) << 40, 8, "[vhdx.metadata]" },
		{ METADATA + 65568, 1024, 4, "[vhdx.metadata]" },
		{ METADATA + 65572, 0, 4, "[vhdx.metadata]" },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		uint8_t *b;

		format(512, false);
		b = block_mem_bytes(mem);
		/* In both of what there are two of. */
		memcpy(b + cases[i].at, &cases[i].value, cases[i].len);
		if (cases[i].at < 192 << 10)
			memcpy(b + (128 << 10), b + (64 << 10), 4096);
		else if (cases[i].at < 256 << 10)
			memcpy(b + (256 << 10), b + (192 << 10), 65536);
		if (cases[i].value || cases[i].len > 1 ||
		    cases[i].at % 65536) {
			fix_checksum(64 << 10, 4096);
			fix_checksum(128 << 10, 4096);
			fix_checksum(192 << 10, 65536);
			fix_checksum(256 << 10, 65536);
		}
		expect_refusal(cases[i].id);
	}
}

static void one_of_two_copies_is_enough(void **state)
{
	static const uint64_t places[] = {
		64 << 10, 128 << 10, 192 << 10, 256 << 10,
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
		format(512, false);
		block_mem_bytes(mem)[places[i] + 20] ^= 1;
		open_disk();
		assert_int_equal(rig_do(&rig, BLOCK_WRITE, 0, 512), 0);
		block_close(rig.bb);
		rig.bb = NULL;
	}
}

/* These are the first of the BAT. */
static void with_entries(const uint64_t *entries, unsigned n)
{
	format(512, false);
	memcpy(block_mem_bytes(mem) + BAT, entries, n * sizeof(*entries));
	assert_int_equal(block_grow_now(file, 8 * MIB), 0);
}

/* Structures are at 0 to 3 MiB, and the file ends at 8. */
static void blocks_that_share_a_place_are_not_written(void **state)
{
	static const uint64_t bad[][3] = {
		{ 6 | 4 * MIB, 6 | 5 * MIB, 6 | 4 * MIB },
		{ 6 | 4 * MIB, 7 | 4 * MIB }, { 6 }, { 6 | MIB },
		{ 6 | METADATA }, { 6 | BAT }, { 0, 6 | 8 * MIB },
		{ 6 | (UINT64_MAX & ~(MIB - 1)) },
	};
	static const uint64_t good[] = {
		6 | 7 * MIB, 4 * MIB, 3 | 4 * MIB, 6 | 4 * MIB,
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		with_entries(bad[i], 3);
		expect_refusal("[vhdx.overlap]");
		with_entries(bad[i], 3);
		mem->read_only = file->read_only = true;
		open_disk();
		assert_int_equal(rig_do(&rig, BLOCK_READ, 3 * MIB, MIB), 0);
		block_close(rig.bb);
		rig.bb = NULL;
	}
	with_entries(good, 4);
	open_disk();
}

static void every_truncation_is_refused(void **state)
{
	for (uint64_t size = 512; size < 4 * MIB; size += 64 << 10) {
		struct block_backend *cut = block_mem_new(rig.loop, size, 512);

		format(512, false);
		memcpy(block_mem_bytes(cut), block_mem_bytes(mem), size);
		block_close(file);
		file = cut;
		expect_refusal("[vhdx.");
	}
}

static void sizes_that_cannot_be_are_not_made(void **state)
{
	static const struct vhdx_create_options cases[] = {
		{ .size = 0 }, { .size = 513 },
		{ .size = (UINT64_C(64) << 40) + 512 },
		{ .size = 4096, .block_size = 3 << 20 },
		{ .size = 4096, .block_size = 1 << 19 },
		{ .size = 4096, .sector_size = 2048 },
		{ .size = 4608, .sector_size = 4096 },
	};

	mem = block_mem_new(rig.loop, MIB, 512);
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
		assert_int_equal(vhdx_format(mem, &cases[i]), -EINVAL);
	block_close(mem);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(random_requests_leave_what_they_should),
		TEST(also_with_large_sectors_and_in_fixed_disks),
		TEST(a_disk_that_is_only_read_is_not_written),
		TEST(space_of_unmapped_blocks_is_used_again),
		TEST(a_long_request_lets_others_have_their_turn),
		TEST(a_disk_with_many_changes_is_resized_at_once),
		TEST(what_the_host_fails_at_is_told_and_tried_again),
		TEST(a_commit_that_fails_loses_nothing),
		TEST(entries_that_make_no_sense_are_read_errors),
		TEST(what_is_damaged_is_refused_by_name),
		TEST(one_of_two_copies_is_enough),
		TEST(blocks_that_share_a_place_are_not_written),
		TEST(every_truncation_is_refused),
		TEST(sizes_that_cannot_be_are_not_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
