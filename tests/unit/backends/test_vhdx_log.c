/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VHDX that was not closed, for who only reads it, and who does not. */
#include "vhdx_rig.h"

#include "backends/block_now.h"
#include "backends/block_patch.h"
#include "backends/crc32c.h"
#include "backends/vhdx_proto.h"
#include "core/error.h"

#define DISK_SIZE	(20 * MIB)
#define LOG		MIB
#define LOG_SIZE	MIB
#define METADATA	(2 * MIB)
#define BAT		(3 * MIB)
#define BLOCK		(4 * MIB)	/* where the file has the first one */

static struct rig rig;
static struct block_backend *file;

static int setup(void **state)
{
	const struct vhdx_create_options o = {
		.size = DISK_SIZE, .block_size = MIB,
	};

	rig = (struct rig){ .loop = loop_new(NULL) };
	rig.buf = g_malloc0(RIG_BUFFER);
	rig.shadow = g_malloc0(DISK_SIZE);
	file = block_mem_new(rig.loop, MIB, 512);
	assert_int_equal(vhdx_format(file, &o), 0);
	return 0;
}

static int teardown(void **state)
{
	block_close(rig.bb);
	block_close(file);
	g_free(rig.shadow);
	g_free(rig.buf);
	loop_free(rig.loop);
	return 0;
}

static struct block_backend *copy_file(void)
{
	struct block_backend *copy = block_mem_new(rig.loop, file->size, 512);

	memcpy(block_mem_bytes(copy), block_mem_bytes(file), file->size);
	return copy;
}

/* @file passes. */
static void open_disk(struct block_backend *f)
{
	g_autoptr(GError) error = NULL;

	rig.bb = rig_open(&rig, f, "disk", &error);
	if (!rig.bb)
		fail_msg("%s", error->message);
}

static void close_disk(void)
{
	g_clear_pointer(&rig.bb, block_close);
}

/* A write to it aborts. */
static void open_to_read(void)
{
	struct block_backend *copy = copy_file();

	copy->read_only = true;
	open_disk(copy);
}

static void expect_refusal(bool read_only, const char *id)
{
	struct block_backend *copy = copy_file();
	g_autoptr(GError) error = NULL;

	copy->read_only = read_only;
	assert_null(rig_open(&rig, copy, "disk", &error));
	assert_int_equal(error->domain, USER_ERROR);
	if (!strstr(error->message, id))
		fail_msg("no '%s' in: %s", id, error->message);
}

/* Use the disk, and leave it as a crash behind a flush does. */
static void use_and_crash(GRand *rand)
{
	struct block_backend *crashed;

	open_disk(file);
	for (unsigned i = 0; i < 40; i++)
		rig_random(&rig, rand);
	assert_int_equal(rig_do(&rig, BLOCK_FLUSH, 0, 0), 0);
	crashed = copy_file();
	close_disk();
	file = crashed;
}

static void what_was_flushed_is_there_for_who_only_reads(void **state)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(11);

	for (unsigned i = 0; i < 6; i++) {
		use_and_crash(rand);
		open_to_read();
		rig_compare(&rig);
		assert_int_equal(rig_do(&rig, BLOCK_FLUSH, 0, 0), 0);
		close_disk();
	}
}

/*
 * A log of our own.
 */
static void fix(uint8_t *p, size_t len)
{
	uint32_t crc;

	memset(p + 4, 0, 4);
	crc = crc32c(0, p, len);
	memcpy(p + 4, &crc, 4);
}

static void set_log_guid(const struct guid *g)
{
	for (uint64_t at = 64 << 10; at <= 128 << 10; at += 64 << 10) {
		struct vhdx_header *h = (void *)block_mem_part(file, at, 4096);

		h->log_guid = *g;
		fix((uint8_t *)h, 4096);
	}
}

/* An entry of @count descriptors, of zeroes all but the last if @data. */
struct own {
	uint64_t at[2];		/* where the first, and the others, write */
	uint32_t count;
	bool data;
	uint64_t flushed, last;	/* sizes of the file; 0: as it is */
};

static void write_descriptors(const struct own *o, uint8_t *to)
{
	for (uint32_t i = 0; i < o->count; i++) {
		bool data = o->data && i == o->count - 1;
		struct vhdx_log_descriptor d = {
			.signature = data ? VHDX_LOG_DATA_DESCRIPTOR :
					    VHDX_LOG_ZERO_DESCRIPTOR,
			.file_offset = o->at[i > 0], .sequence_number = 7,
			.leading_bytes = 4096,
		};

		if (data)
			memset(&d.leading_bytes, 'd', 8);
		if (data)
			memset(&d.trailing_bytes, 'd', 4);
		memcpy(to + i * sizeof(d), &d, sizeof(d));
	}
}

static void write_log(const struct own *o)
{
	static const struct guid guid = { { 1 } };
	uint32_t sectors = (uint32_t)((64 + o->count * UINT64_C(32) + 4095) /
				      4096);
	struct vhdx_log_entry_header h = {
		.signature = VHDX_LOG_ENTRY_SIGNATURE,
		.entry_length = (sectors + o->data) * 4096,
		.sequence_number = 7, .descriptor_count = o->count,
		.log_guid = guid,
		.flushed_file_offset = o->flushed ? o->flushed : file->size,
		.last_file_offset = o->last ? o->last : file->size,
	};
	struct vhdx_log_data_sector s = {
		.signature = VHDX_LOG_DATA_SIGNATURE, .sequence_low = 7,
	};
	uint8_t *p = block_mem_part(file, LOG, LOG_SIZE);

	memset(p, 0, LOG_SIZE);
	memcpy(p, &h, sizeof(h));
	write_descriptors(o, p + sizeof(h));
	memset(s.data, 'd', sizeof(s.data));
	if (o->data)
		memcpy(p + sectors * 4096, &s, sizeof(s));
	fix(p, h.entry_length);
	set_log_guid(&guid);
}

/* A disk whose first block has something. */
static void fill(void)
{
	const uint64_t entry = BLOCK | PAYLOAD_BLOCK_FULLY_PRESENT;

	assert_int_equal(block_grow_now(file, BLOCK + MIB), 0);
	memcpy(block_mem_part(file, BAT, sizeof(entry)), &entry, sizeof(entry));
	memset(block_mem_part(file, BLOCK, MIB), 'f', MIB);
	memset(rig.shadow, 'f', MIB);
}

static void also_payload_is_read_from_the_log(void **state)
{
	const struct own o = {
		.at = { BLOCK + 4096, BLOCK + 12288 }, .count = 3, .data = true,
	};

	fill();
	write_log(&o);
	memset(rig.shadow + 4096, 0, 4096);
	memset(rig.shadow + 12288, 'd', 4096);
	open_to_read();
	rig_compare(&rig);
}

/* What is zero in the log is zero, also where that leads to a block. */
static void the_blocks_are_those_of_the_log(void **state)
{
	const struct own o = { .at = { BAT }, .count = 1 };

	fill();
	write_log(&o);
	memset(rig.shadow, 0, MIB);
	open_to_read();
	rig_compare(&rig);
}

static void a_file_may_be_shorter_than_what_is_read(void **state)
{
	const uint64_t entry = 9 * MIB | PAYLOAD_BLOCK_FULLY_PRESENT;
	struct own o = { .at = { METADATA + 65536 - 4096 }, .count = 1 };

	fill();
	memcpy(block_mem_part(file, BAT, sizeof(entry)), &entry, sizeof(entry));
	write_log(&o);
	open_to_read();
	assert_int_equal(rig_do(&rig, BLOCK_READ, 0, MIB), -EIO);
	close_disk();
	o.last = 9 * MIB + 1;
	write_log(&o);
	memset(rig.shadow, 0, MIB);
	open_to_read();
	rig_compare(&rig);
}

static void the_log_has_a_limit_in_memory_only(void **state)
{
	struct own o = { .at = { BAT, BAT + 8192 }, .count = BLOCK_PATCH_MAX };

	fill();
	memset(rig.shadow, 0, MIB);
	write_log(&o);
	open_to_read();
	rig_compare(&rig);
	close_disk();
	o.count++;
	write_log(&o);
	expect_refusal(true, "[vhdx.log-changes]");
	open_disk(copy_file());
	rig_compare(&rig);
}

static void a_log_that_cannot_be_is_refused_either_way(void **state)
{
	static const struct {
		struct own own;
		const char *id;
	} cases[] = {
		{ { .count = 1, .at = { 188 << 10 } }, "[vhdx.log-damaged]" },
		{ { .count = 1, .at = { LOG + LOG_SIZE - 4096 } },
		  "[vhdx.log-damaged]" },
		{ { .count = 1, .at = { BAT + 512 } }, "[vhdx.log-damaged]" },
		{ { .count = 1, .at = { BLOCK + MIB } }, "[vhdx.log-damaged]" },
		{ { .count = 0, .flushed = BLOCK + MIB + 1 },
		  "[vhdx.truncated]" },
		{ { .count = 0, .last = (UINT64_C(128) << 40) + 1 },
		  "[vhdx.log-damaged]" },
	};

	fill();
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		write_log(&cases[i].own);
		expect_refusal(true, cases[i].id);
		expect_refusal(false, cases[i].id);
	}
}

static void facts_are_those_of_the_log_and_nothing_is_written(void **state)
{
	const struct own size = {
		.at = { BAT, METADATA + 65536 }, .count = 2, .data = true,
	};
	g_autofree uint8_t *before = NULL;
	struct vhdx_facts facts;

	fill();
	write_log(&(struct own){ .at = { BAT }, .count = 1 });
	before = g_memdup2(block_mem_bytes(file), file->size);
	assert_true(vhdx_read_facts(file, "disk", &facts, NULL));
	assert_true(facts.dirty);
	assert_int_equal(facts.size, DISK_SIZE);
	vhdx_facts_finish(&facts);
	assert_memory_equal(before, block_mem_bytes(file), file->size);
	/* No size of a disk is like that. */
	write_log(&size);
	assert_false(vhdx_read_facts(file, "disk", &facts, NULL));
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_flushed_is_there_for_who_only_reads),
		TEST(also_payload_is_read_from_the_log),
		TEST(the_blocks_are_those_of_the_log),
		TEST(a_file_may_be_shorter_than_what_is_read),
		TEST(the_log_has_a_limit_in_memory_only),
		TEST(a_log_that_cannot_be_is_refused_either_way),
		TEST(facts_are_those_of_the_log_and_nothing_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
