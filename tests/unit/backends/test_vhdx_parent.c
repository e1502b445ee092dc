/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Differencing VHDX disks, and a second reader of what is in their files. */
#include "vhdx_rig.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "backends/block_error.h"
#include "backends/block_file.h"
#include "backends/block_parent.h"
#include "backends/vhdx_proto.h"
#include "core/error.h"

#define METADATA	(2 * MIB)
#define BAT		(3 * MIB)
#define SIZE		(12 * MIB)

static struct rig rig;
static char *dir;

static char *in_dir(const char *name)
{
	return g_build_filename(dir, name, NULL);
}

static int setup(void **state)
{
	rig = (struct rig){ .loop = loop_new(NULL) };
	rig.buf = g_aligned_alloc0(1, RIG_BUFFER, 4096);
	rig.shadow = g_malloc0(2 * SIZE);
	dir = g_dir_make_tmp("vhdx-XXXXXX", NULL);
	assert_non_null(dir);
	return 0;
}

static int teardown(void **state)
{
	g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
	const char *name;

	block_close(rig.bb);
	while ((name = g_dir_read_name(d))) {
		g_autofree char *path = in_dir(name);

		unlink(path);
	}
	rmdir(dir);
	g_clear_pointer(&dir, g_free);
	g_free(rig.shadow);
	g_aligned_free(rig.buf);
	loop_free(rig.loop);
	return 0;
}

static struct block_backend *try_open(const char *name, bool read_only,
				      GError **error)
{
	g_autofree char *path = in_dir(name);
	const struct block_file_options o = {
		.path = path, .read_only = read_only,
	};
	struct block_backend *file = block_file_open(rig.loop, &o, error);

	return file ? vhdx_open(rig.loop, file, &o, error) : NULL;
}

static void open_disk(const char *name, bool read_only)
{
	g_autoptr(GError) error = NULL;

	rig.bb = try_open(name, read_only, &error);
	if (!rig.bb)
		fail_msg("%s", error->message);
}

static void close_disk(void)
{
	block_close(rig.bb);
	rig.bb = NULL;
}

static void create(const char *name, uint64_t size, uint32_t sector,
		   const char *parent)
{
	struct vhdx_create_options o = {
		.size = size, .block_size = MIB, .sector_size = sector,
	};
	g_autofree char *path = in_dir(name);
	g_autofree char *below = parent ? in_dir(parent) : NULL;
	g_autoptr(GError) error = NULL;

	if (below && !vhdx_create_options_adopt(&o, path, below, &error))
		fail_msg("%s", error->message);
	if (!vhdx_create(path, &o, &error))
		fail_msg("%s", error->message);
	vhdx_create_options_finish(&o);
}

static void use(const char *name, unsigned requests, guint32 seed)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(seed);

	open_disk(name, false);
	rig_compare(&rig);
	while (requests--)
		rig_random(&rig, rand);
	close_disk();
}

/*
 * The second reader: files as they are, from the specification.
 */
struct model {
	uint8_t *bytes;
	gsize len;
	uint64_t size, ratio, block;
	uint32_t sector;
	struct model *parent;
};

static struct model load(const char *name, uint64_t size, uint32_t sector,
			 struct model *parent)
{
	struct model m = {
		.size = size, .sector = sector, .parent = parent, .block = MIB,
		.ratio = (UINT64_C(1) << 23) * sector / MIB,
	};
	g_autofree char *path = in_dir(name);

	assert_true(g_file_get_contents(path, (char **)&m.bytes, &m.len,
					NULL));
	return m;
}

static uint64_t model_entry(const struct model *m, uint64_t n)
{
	uint64_t entry;

	memcpy(&entry, m->bytes + BAT + n * 8, 8);
	assert_int_equal(entry & 0xffff8, 0);
	if ((entry & 7) >= 6)
		assert_true((entry >> 20 << 20) + MIB <= m->len);
	return entry;
}

static uint64_t payload_entry(const struct model *m, uint64_t block)
{
	return model_entry(m, block + block / m->ratio);
}

/* Where sector @n of the disk is; NULL: it is zero. */
static const uint8_t *model_sector(const struct model *m, uint64_t n)
{
	uint64_t at = n * m->sector, block = at / m->block;
	uint64_t entry = payload_entry(m, block), chunk = block / m->ratio;
	uint64_t bit = n % (UINT64_C(1) << 23), bits;
	bool here = (entry & 7) == 6;

	if (at >= m->size)
		return NULL;
	if ((entry & 7) == 7) {
		bits = model_entry(m, (chunk + 1) * (m->ratio + 1) - 1);
		assert_int_equal(bits & 7, 6);
		here = m->bytes[(bits >> 20 << 20) + bit / 8] >> bit % 8 & 1;
	}
	if (here)
		return m->bytes + (entry >> 20 << 20) + at % m->block;
	if ((entry & 7) == 0 || (entry & 7) == 7)
		return m->parent ? model_sector(m->parent, n) : NULL;
	return NULL;
}

static void model_compare(const struct model *m)
{
	static const uint8_t zeroes[4096];

	for (uint64_t n = 0; n < m->size / m->sector; n++) {
		const uint8_t *there = model_sector(m, n);

		assert_memory_equal(there ? there : zeroes,
				    rig.shadow + n * m->sector, m->sector);
	}
}

/*
 * What is read.
 */
static void agree(uint32_t sector, uint64_t child_size)
{
	struct model a, b, c;
	g_autofree char *before = NULL, *after = NULL, *path = in_dir("a");
	gsize len;

	memset(rig.shadow, 0, 2 * SIZE);
	create("a", SIZE, sector, NULL);
	use("a", 60, 1);
	if (child_size < SIZE)
		memset(rig.shadow + child_size, 0, SIZE - child_size);
	assert_true(g_file_get_contents(path, &before, &len, NULL));
	create("b", child_size, 0, "a");
	for (unsigned i = 2; i < 5; i++)
		use("b", 50, i);
	assert_true(g_file_get_contents(path, &after, NULL, NULL));
	assert_memory_equal(before, after, len);
	a = load("a", SIZE, sector, NULL);
	b = load("b", child_size, sector, &a);
	model_compare(&b);
	create("c", 0, 0, "b");
	use("c", 50, 5);
	c = load("c", child_size, sector, &b);
	model_compare(&c);
	open_disk("c", true);
	rig_compare(&rig);
	close_disk();
	g_free(a.bytes);
	g_free(b.bytes);
	g_free(c.bytes);
	for (unsigned i = 0; i < 3; i++) {
		g_autofree char *gone = in_dir((const char *[]){ "a", "b",
								 "c" }[i]);
		unlink(gone);
	}
}

static void random_requests_differ_where_they_should(void **state)
{
	agree(512, SIZE);
	agree(4096, SIZE);
}

static void also_if_the_parent_is_larger_or_smaller(void **state)
{
	agree(512, SIZE - MIB / 2 - 512);
	agree(512, 2 * SIZE - 512);
	agree(4096, SIZE + MIB / 2);
}

static uint64_t state_of(const char *name, uint64_t block)
{
	struct model m = load(name, SIZE, 512, NULL);
	uint64_t state = payload_entry(&m, block) & 7;

	g_free(m.bytes);
	return state;
}

static void fill(const char *name, int value)
{
	memset(rig.shadow, value, SIZE);
	memset(rig.buf, value, RIG_BUFFER);
	open_disk(name, false);
	for (uint64_t at = 0; at < SIZE; at += RIG_BUFFER)
		assert_int_equal(rig_do(&rig, BLOCK_WRITE, at, RIG_BUFFER),
				 0);
	close_disk();
}

static void put(uint64_t at, uint64_t len, int value)
{
	memset(rig.buf, value, len);
	memset(rig.shadow + at, value, len);
	assert_int_equal(rig_do(&rig, value ? BLOCK_WRITE : BLOCK_WRITE_ZEROES,
				at, len), 0);
}

static void a_block_is_as_present_as_it_has_been_written(void **state)
{
	create("a", SIZE, 512, NULL);
	fill("a", 'a');
	create("b", 2 * SIZE, 512, "a");
	open_disk("b", false);
	put(0, MIB, 'b');			/* a whole one */
	for (unsigned i = 0; i < 16; i++)	/* by and by */
		put(MIB + i * MIB / 16, MIB / 16, 'c');
	put(2 * MIB + 512, 1024, 'd');
	put(3 * MIB, MIB, 0);
	put(4 * MIB + 4096, 4096, 0);
	put(5 * MIB, 512, 'e');			/* and given back */
	put(5 * MIB, MIB, 0);
	put(6 * MIB, MIB, 0);			/* and written again */
	put(6 * MIB + 512, 512, 'f');
	put(SIZE, MIB, 0);			/* nothing is below */
	put(SIZE + MIB, 512, 'g');
	rig_compare(&rig);
	close_disk();
	assert_int_equal(state_of("b", 0), PAYLOAD_BLOCK_FULLY_PRESENT);
	assert_int_equal(state_of("b", 1), PAYLOAD_BLOCK_FULLY_PRESENT);
	assert_int_equal(state_of("b", 2), PAYLOAD_BLOCK_PARTIALLY_PRESENT);
	assert_int_equal(state_of("b", 3), PAYLOAD_BLOCK_ZERO);
	assert_int_equal(state_of("b", 4), PAYLOAD_BLOCK_PARTIALLY_PRESENT);
	assert_int_equal(state_of("b", 5), PAYLOAD_BLOCK_ZERO);
	assert_int_equal(state_of("b", 6), PAYLOAD_BLOCK_FULLY_PRESENT);
	assert_int_equal(state_of("b", 12), PAYLOAD_BLOCK_NOT_PRESENT);
	assert_int_equal(state_of("b", 13), PAYLOAD_BLOCK_FULLY_PRESENT);
	open_disk("b", true);
	rig_compare(&rig);
}

/*
 * A child in memory, whose file can be made to fail.
 */
static struct block_backend *mem, *file;

static void open_memory(void)
{
	struct vhdx_create_options o = { .block_size = MIB };
	g_autofree char *path = in_dir("child"), *parent = in_dir("a");

	create("a", SIZE, 512, NULL);
	fill("a", 'a');
	assert_true(vhdx_create_options_adopt(&o, path, parent, NULL));
	mem = block_mem_new(rig.loop, MIB, 512);
	file = block_error_new(rig.loop, mem);
	assert_int_equal(vhdx_format(file, &o), 0);
	vhdx_create_options_finish(&o);
}

static void start_memory(void)
{
	g_autofree char *path = in_dir("child");

	rig.bb = rig_open(&rig, file, path, NULL);
	assert_non_null(rig.bb);
}

static void what_fails_shows_nothing_and_can_be_done_again(void **state)
{
	for (unsigned i = 0; i < 4 * 6; i++) {
		const struct block_error_rule rule = {
			.ops = 1u << (i % 4), .error = -EIO, .after = i / 4,
		};
		g_autofree char *a = in_dir("a");
		int ret;

		open_memory();
		start_memory();
		block_error_set(file, &rule);
		memset(rig.buf, 'b', MIB / 2);
		ret = rig_do(&rig, BLOCK_WRITE, MIB + 512, MIB / 2);
		assert_true(ret == 0 || ret == -EIO);
		rig_do(&rig, BLOCK_FLUSH, 0, 0);
		block_error_set(file, NULL);
		assert_int_equal(rig_do(&rig, BLOCK_READ, MIB, 1024), 0);
		assert_int_equal(rig.buf[0], 'a');
		assert_int_equal(rig.buf[512], ret ? 'a' : 'b');
		put(MIB + 512, MIB / 2, 'c');
		assert_int_equal(rig_do(&rig, BLOCK_FLUSH, 0, 0), 0);
		rig_compare(&rig);
		close_disk();
		unlink(a);
	}
}

static void bits_of_old_do_not_hide_the_parent(void **state)
{
	const uint64_t entry = 4 * MIB | SB_BLOCK_PRESENT;

	open_memory();
	mem->ops->perform(mem, &(struct block_request){
		.op = BLOCK_GROW, .offset = 5 * MIB,
	});
	file->size = mem->size;
	memset(block_mem_bytes(mem) + 4 * MIB, 0xff, MIB);
	memcpy(block_mem_bytes(mem) + BAT + 4096 * 8, &entry, 8);
	start_memory();
	put(MIB + 4096, 4096, 'b');
	rig_compare(&rig);
}

/* @len bytes at @at of block 1 are written while all of it is unmapped. */
static void write_what_goes(uint64_t at, uint64_t len)
{
	g_autofree char *a = in_dir("a");
	struct rig_request w, z;

	open_memory();
	start_memory();
	put(MIB, 512, 'b');
	assert_int_equal(rig_do(&rig, BLOCK_FLUSH, 0, 0), 0);
	block_error_hold(file, true);
	memset(rig.buf, 'w', len);
	rig_start(&rig, &w, BLOCK_WRITE, MIB + at, len, rig.buf);
	rig_start(&rig, &z, BLOCK_WRITE_ZEROES, MIB, MIB, NULL);
	while (loop_turn(rig.loop, false))
		;
	block_error_hold(file, false);
	rig_settle(&rig);
	assert_int_equal(w.rq.result | z.rq.result, 0);
	memset(rig.shadow + MIB, 0, MIB);
	put(MIB + 16384, 512, 'x');
	rig_compare(&rig);
	close_disk();
	unlink(a);
}

static void a_block_that_goes_while_it_is_written_does_not_come_back(
	void **state)
{
	write_what_goes(8192 + 512, 4096);
	write_what_goes(0, MIB);
}

/*
 * Which parent.
 */
static void expect_no(const char *name, const char *id, const char *text)
{
	g_autoptr(GError) error = NULL;

	rig.bb = try_open(name, true, &error);
	assert_null(rig.bb);
	if (!strstr(error->message, id) || !strstr(error->message, text))
		fail_msg("no '%s', '%s' in: %s", id, text, error->message);
}

static void move(const char *from, const char *to)
{
	g_autofree char *a = in_dir(from), *b = in_dir(to);

	assert_int_equal(rename(a, b), 0);
}

static void the_parent_has_to_be_the_right_one(void **state)
{
	g_autoptr(GError) error = NULL;

	create("a", SIZE, 512, NULL);
	create("b", 0, 0, "a");
	move("a", "x");
	expect_no("b", "[disk.parent-missing]", "/a");
	expect_no("b", "[disk.parent-missing]", "kvmbus disk rebase");
	create("a", SIZE, 512, NULL);
	expect_no("b", "[vhdx.parent-id]", "/a is {");
	move("x", "a");
	open_disk("b", false);
	/* It is read by any number, and so written by nobody. */
	assert_null(try_open("a", false, &error));
	assert_non_null(strstr(error->message, "[disk.locked]"));
	create("c", 0, 0, "a");
	block_close(try_open("c", false, NULL));
	close_disk();
	open_disk("a", false);
	put(0, 512, 'w');
	close_disk();
	expect_no("b", "[vhdx.parent-id]", "written since");
}

/* Make @name's first pages those of @from: the same locator and ids. */
static void become(const char *name, const char *from)
{
	g_autofree char *to = in_dir(name), *source = in_dir(from);
	g_autofree char *bytes = NULL;
	gsize len;

	assert_true(g_file_get_contents(source, &bytes, &len, NULL));
	assert_true(g_file_set_contents(to, bytes, (gssize)len, NULL));
}

static void chains_have_an_end(void **state)
{
	g_autofree char *a = in_dir("a");
	char name[8] = "a", next[8];

	create("a", SIZE, 512, NULL);
	create("b", 0, 0, "a");
	create("c", 0, 0, "b");
	/* b's parent is itself, and then c, by way of a link. */
	become("a", "b");
	expect_no("a", "[disk.parent-loop]", "/a");
	unlink(a);
	assert_int_equal(symlink("c", a), 0);
	expect_no("c", "[disk.parent-loop]", "/c, ");
	unlink(a);
	create("a", SIZE, 512, NULL);
	for (unsigned i = 1; i <= BLOCK_CHAIN_MAX; i++) {
		g_autofree char *gone = NULL;

		snprintf(next, sizeof(next), "n%u", i);
		gone = in_dir(next);
		unlink(gone);
		if (i == BLOCK_CHAIN_MAX)
			break;
		create(next, 0, 0, name);
		strcpy(name, next);
	}
	open_disk(name, false);
	put(512, 512, 'x');
	rig_compare(&rig);
	close_disk();
	/* One more than can be: the top stands in for its child. */
	create("top", 0, 0, name);
	expect_no("top", "[disk.chain]", "between");
}

static void sectors_have_to_be_those_of_the_parent(void **state)
{
	const uint32_t sector = 4096;
	g_autofree char *path = in_dir("b"), *bytes = NULL;
	gsize len;

	create("a", SIZE, 512, NULL);
	create("b", 0, 0, "a");
	assert_true(g_file_get_contents(path, &bytes, &len, NULL));
	memcpy(bytes + METADATA + 65536 + 32, &sector, 4);
	assert_true(g_file_set_contents(path, bytes, (gssize)len, NULL));
	expect_no("b", "[vhdx.parent-sectors]", "4096");
}

/*
 * Locators.
 */
static void locators_that_make_no_sense_are_refused(void **state)
{
	static const struct {
		unsigned at, len;
		uint64_t value;
		const char *id;
	} cases[] = {
		{ 0, 1, 0, "[vhdx.locator]" },		/* the type */
		{ 18, 2, 0, "[vhdx.locator]" },		/* pairs */
		{ 18, 2, 65, "[vhdx.locator]" },
		{ 18, 2, UINT16_MAX, "[vhdx.locator]" },
		{ 20, 4, UINT32_MAX, "[vhdx.locator]" },	/* a key */
		{ 20, 4, 0, "[vhdx.locator]" },
		{ 24, 4, UINT32_MAX - 10, "[vhdx.locator]" },	/* a value */
		{ 28, 2, 0, "[vhdx.locator]" },
		{ 28, 2, 2, "[vhdx.locator]" },
		{ 30, 2, 0, "[vhdx.locator]" },
		{ 30, 2, 74, "[vhdx.locator]" },	/* no brace */
		{ 30, 2, 78, "[vhdx.locator]" },	/* and more */
		{ 36, 4, UINT32_MAX, "[disk.parent-missing]" },
		{ 42, 2, UINT16_MAX, "[disk.parent-missing]" },
	};
	g_autofree char *path = in_dir("b"), *bytes = NULL;
	gsize len;

	create("a", SIZE, 512, NULL);
	create("b", 0, 0, "a");
	assert_true(g_file_get_contents(path, &bytes, &len, NULL));
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *bad = g_memdup2(bytes, len);

		memcpy(bad + METADATA + 65536 + 40 + cases[i].at,
		       &cases[i].value, cases[i].len);
		assert_true(g_file_set_contents(path, bad, (gssize)len, NULL));
		expect_no("b", cases[i].id, "/b");
	}
	/* The item itself: cut within its header, and too long. */
	for (unsigned i = 0; i < 2; i++) {
		const uint32_t length[] = { 19, 2 << 20 };
		g_autofree char *bad = g_memdup2(bytes, len);

		memcpy(bad + METADATA + 32 + 5 * 32 + 20, &length[i], 4);
		assert_true(g_file_set_contents(path, bad, (gssize)len, NULL));
		expect_no("b", i ? "[vhdx.metadata]" : "[vhdx.locator]", "/b");
	}
	/* It has a parent, and no item says which. */
	bytes[METADATA + 10] = 5;
	assert_true(g_file_set_contents(path, bytes, (gssize)len, NULL));
	expect_no("b", "[vhdx.metadata]", "nothing names that");
}

static void paths_of_windows_mean_files_beside_the_child(void **state)
{
	static const struct {
		const char *name, *path;
	} cases[] = {
		{ "..\\x\\p.avhdx", "/d/../x/p.avhdx" },
		{ ".\\p.vhdx", "/d/p.vhdx" },
		{ "\\\\?\\Volume{26A21BDA-A627-11D7-9931-806E6F6E6963}\\x\\p",
		  "/d/p" },
		{ "\\\\?\\d:\\x\\p.vhdx", "/d/p.vhdx" },
		{ "\\\\?\\d:p", "/d/p" },
		{ "\\\\?\\UNC\\server\\share\\p.vhdx", "/d/p.vhdx" },
		{ "\\\\server\\share\\p.vhdx", "/d/p.vhdx" },
		{ "\\\\?\\", NULL }, { "d:\\", NULL }, { ".\\", NULL },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *path = block_parent_path(cases[i].name,
							  "/d/child.avhdx");

		if (!cases[i].path)
			assert_null(path);
		else
			assert_string_equal(path, cases[i].path);
	}
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(random_requests_differ_where_they_should),
		TEST(also_if_the_parent_is_larger_or_smaller),
		TEST(a_block_is_as_present_as_it_has_been_written),
		TEST(what_fails_shows_nothing_and_can_be_done_again),
		TEST(bits_of_old_do_not_hide_the_parent),
		TEST(a_block_that_goes_while_it_is_written_does_not_come_back),
		TEST(the_parent_has_to_be_the_right_one),
		TEST(chains_have_an_end),
		TEST(sectors_have_to_be_those_of_the_parent),
		TEST(locators_that_make_no_sense_are_refused),
		TEST(paths_of_windows_mean_files_beside_the_child),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
