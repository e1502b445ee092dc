/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Crashes of the host.  A file that keeps a record of what is done to it is
 * written through a VHDX; then, for each instant, a file is made as a crash
 * could have left it.  It has to open and to have all that was flushed.
 */
#include "vhdx_rig.h"

#include <unistd.h>

#include "block_recorder.h"

#define CELL		(64u << 10)
#define CELLS		160u		/* 10 MiB */
#define PARENT_CELLS	130u		/* what a parent has of them */
#define SECTOR		512u
#define STEPS		60u
#define LARGE_SIZE	(300u * UINT64_C(1024) * MIB)	/* for a longer BAT */
#define CHILD_STEPS	15u	/* then few blocks are partial any more */
#define CHILDREN	3u

/* What was written to a cell, and when: counts of records. */
struct version {
	uint8_t value;
	unsigned begun, flushed;
};

static struct rig rig;
static struct recorder recorder;
static GArray *versions[CELLS];
static char *parent;		/* its file; NULL: the disk has none */

static void set_version(unsigned cell, uint8_t value)
{
	const struct version v = { .value = value };

	versions[cell] = g_array_new(FALSE, FALSE, sizeof(v));
	g_array_append_val(versions[cell], v);
}

static void make_recorder(void)
{
	rig = (struct rig){ .loop = loop_new(NULL) };
	rig.buf = g_malloc(RIG_BUFFER);
	recorder_init(&recorder, rig.loop, block_mem_new(rig.loop, MIB, SECTOR),
		      records_new(), g_rand_new_with_seed(5));
}

static int setup(void **state)
{
	const struct vhdx_create_options o = {
		.size = CELLS * CELL, .block_size = MIB,
	};

	make_recorder();
	for (unsigned i = 0; i < CELLS; i++)
		set_version(i, 0);
	assert_int_equal(vhdx_format(&recorder.bb, &o), 0);
	return 0;
}

/* A parent, a bit smaller, that has something everywhere. */
static void make_parent(void)
{
	const struct vhdx_create_options o = {
		.size = PARENT_CELLS * CELL, .block_size = MIB,
	};
	const struct block_file_options f = { .path = parent };

	assert_true(vhdx_create(parent, &o, NULL));
	rig.bb = vhdx_open(rig.loop, block_file_open(rig.loop, &f, NULL), &f,
			   NULL);
	for (unsigned i = 0; i < PARENT_CELLS; i++) {
		memset(rig.buf, (int)i + 1, CELL);
		assert_int_equal(rig_do(&rig, BLOCK_WRITE, i * CELL, CELL), 0);
	}
	block_close(rig.bb);
}

static int setup_child(void **state)
{
	struct vhdx_create_options o = {
		.size = CELLS * CELL, .block_size = MIB,
	};
	int fd = g_file_open_tmp("vhdx-parent-XXXXXX", &parent, NULL);

	assert_true(fd >= 0);
	close(fd);
	unlink(parent);
	make_recorder();
	make_parent();
	for (unsigned i = 0; i < CELLS; i++)
		set_version(i, i < PARENT_CELLS ? (uint8_t)(i + 1) : 0);
	assert_true(vhdx_create_options_adopt(&o, "crashed", parent, NULL));
	assert_int_equal(vhdx_format(&recorder.bb, &o), 0);
	vhdx_create_options_finish(&o);
	return 0;
}

static int teardown(void **state)
{
	g_array_unref(recorder.records);
	g_rand_free(recorder.rand);
	for (unsigned i = 0; i < CELLS; i++)
		g_array_unref(versions[i]);
	block_close(recorder.mem);
	g_free(rig.buf);
	loop_free(rig.loop);
	if (parent)
		unlink(parent);
	g_clear_pointer(&parent, g_free);
	return 0;
}

static void write_cells(GRand *rand, unsigned first, unsigned count,
			bool zero, struct rig_request *r, uint8_t *buf)
{
	struct version v = {
		.value = zero ? 0 : (uint8_t)g_rand_int_range(rand, 1, 256),
		.begun = recorder.records->len,
		.flushed = UINT_MAX,
	};

	memset(buf, v.value, count * CELL);
	for (unsigned i = first; i < first + count; i++)
		g_array_append_val(versions[i], v);
	rig_start(&rig, r, zero ? BLOCK_WRITE_ZEROES : BLOCK_WRITE,
		  first * CELL, count * CELL, buf);
}

static void flush_all(void)
{
	assert_int_equal(rig_do(&rig, BLOCK_FLUSH, 0, 0), 0);
	for (unsigned i = 0; i < CELLS; i++) {
		struct version *v = &g_array_index(versions[i], struct version,
						   versions[i]->len - 1);

		if (v->flushed == UINT_MAX)
			v->flushed = recorder.records->len;
	}
}

/*
 * Two requests at a time, in halves of the disk; now and then a flush, also
 * one that may come before they have ended, and so promises nothing of them.
 * One of @zeroes requests is for zeroes.
 */
static void use_disk(GRand *rand, unsigned steps, int zeroes)
{
	for (unsigned n = 0; n < steps; n++) {
		struct rig_request r[2], flush;

		for (unsigned half = 0; half < 2; half++) {
			unsigned first = half * CELLS / 2 + (unsigned)
				g_rand_int_range(rand, 0, CELLS / 2 - 16);
			unsigned count = (unsigned)g_rand_int_range(rand, 1,
								    5);
			bool zero = g_rand_int_range(rand, 0, zeroes) == 0;

			if (zero) {
				first &= ~15u;
				count = 16;
			}
			write_cells(rand, first, count, zero, &r[half],
				    rig.buf + half * RIG_BUFFER / 2);
		}
		if (g_rand_boolean(rand))
			rig_start(&rig, &flush, BLOCK_FLUSH, 0, 0, NULL);
		rig_settle(&rig);
		assert_int_equal(r[0].rq.result | r[1].rq.result, 0);
		if (g_rand_int_range(rand, 0, 3) == 0)
			flush_all();
	}
}

/* Whether a sector may have @value after a crash at @when. */
static bool is_possible(unsigned cell, uint8_t value, unsigned when)
{
	for (unsigned i = versions[cell]->len; i--; ) {
		const struct version *v = &g_array_index(versions[cell],
							 struct version, i);

		if (v->begun <= when && v->value == value)
			return true;
		if (v->flushed <= when)
			return false;
	}
	return false;
}

static void check_size(void)
{
	uint64_t size = rig.bb->size;

	if (size == CELLS * CELL)
		return;
	assert_int_equal(size, LARGE_SIZE);
	for (uint64_t at = CELLS * CELL; at < size; at += size / 7 & -MIB) {
		assert_int_equal(rig_do(&rig, BLOCK_READ, at, CELL), 0);
		for (unsigned i = 0; i < CELL; i++)
			assert_int_equal(rig.buf[i], 0);
	}
}

static void check_disk(unsigned when)
{
	check_size();
	for (unsigned cell = 0; cell < CELLS; cell++) {
		assert_int_equal(rig_do(&rig, BLOCK_READ, cell * CELL, CELL),
				 0);
		for (unsigned i = 0; i < CELL; i += SECTOR) {
			const uint8_t *sector = rig.buf + i;

			if (memcmp(sector, sector + 1, SECTOR - 1) ||
			    !is_possible(cell, *sector, when))
				fail_msg("cell %u byte %u is %u, crash at %u",
					 cell, i, *sector, when);
		}
	}
}

static void open_and_check(struct block_backend *mem, unsigned when)
{
	g_autoptr(GError) error = NULL;

	rig.bb = rig_open(&rig, mem, "crashed", &error);
	if (!rig.bb)
		fail_msg("crash at %u: %s", when, error->message);
	check_disk(when);
	block_close(rig.bb);
}

/* First by someone who does not write; one of three, since it takes time. */
static void check_file(struct block_backend *mem, unsigned when)
{
	struct block_backend *copy;

	if (when % 3 == 0) {
		copy = copy_of_mem(rig.loop, mem);
		copy->read_only = true;
		open_and_check(copy, when);
	}
	open_and_check(mem, when);
}

static void crash(struct block_backend *base, unsigned from, unsigned when,
		  enum crash_how how, GRand *rand)
{
	const struct crash c = {
		.loop = rig.loop, .records = recorder.records, .from = from,
		.when = when, .how = how, .rand = rand,
	};

	check_file(crash_file(&c, base), when);
}

static void survive(unsigned seed, unsigned steps, int zeroes)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
	struct block_backend *base;
	const struct record *r;
	unsigned from;

	from = recorder.records->len;
	base = copy_of_mem(rig.loop, recorder.mem);
	rig.bb = rig_open(&rig, &recorder.bb, "recorded", NULL);
	assert_non_null(rig.bb);
	use_disk(rand, steps, zeroes);
	block_close(rig.bb);
	r = (const void *)recorder.records->data;
	for (unsigned when = from; when <= recorder.records->len; when++)
		crash(base, from, when, when % CRASH_HOWS, rand);
	/* It was worth it: entries in the log, and space used again. */
	assert_true(recorder.records->len - from > 3 * steps);
	assert_true(r[from].op == BLOCK_WRITE);
	block_close(base);
}

static void what_was_flushed_survives_each_crash(void **state)
{
	survive(3, STEPS, 3);
}

static void what_shows_through_is_never_in_the_wrong_place(void **state)
{
	for (unsigned i = 0; i < CHILDREN; i++) {
		survive(i, CHILD_STEPS, 8);
		teardown(NULL);
		setup_child(NULL);
	}
}

/* The parent has two names, and goes by either. */
static void a_child_has_its_old_parent_or_its_new_one(void **state)
{
	g_autofree char *other = g_strconcat(parent, ".moved", NULL);
	g_autoptr(GRand) rand = g_rand_new_with_seed(9);
	unsigned from = recorder.records->len;
	struct block_backend *base;

	base = copy_of_mem(rig.loop, recorder.mem);
	assert_int_equal(link(parent, other), 0);
	assert_int_equal(vhdx_rebase(&recorder.bb, "crashed", other, NULL), 0);
	for (unsigned when = from; when <= recorder.records->len; when++)
		for (unsigned how = 0; how < CRASH_HOWS; how++)
			crash(base, from, when, how, rand);
	unlink(parent);
	crash(base, from, recorder.records->len, CRASH_ALL, rand);
	unlink(other);
	block_close(base);
}

static void a_disk_has_its_old_size_or_its_new_one(void **state)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(5);
	struct block_backend *base;
	unsigned from;

	rig.bb = rig_open(&rig, &recorder.bb, "recorded", NULL);
	use_disk(rand, STEPS, 3);
	flush_all();
	block_close(rig.bb);
	from = recorder.records->len;
	base = copy_of_mem(rig.loop, recorder.mem);
	rig.bb = rig_open(&rig, &recorder.bb, "recorded", NULL);
	assert_int_equal(vhdx_resize(rig.bb, LARGE_SIZE), 0);
	block_close(rig.bb);
	for (unsigned when = from; when <= recorder.records->len; when++)
		for (unsigned how = 0; how < CRASH_HOWS; how++)
			crash(base, from, when, how, rand);
	rig.bb = rig_open(&rig, &recorder.bb, "recorded", NULL);
	assert_int_equal(rig.bb->size, LARGE_SIZE);
	block_close(rig.bb);
	block_close(base);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_flushed_survives_each_crash),
		TEST(a_disk_has_its_old_size_or_its_new_one),
		cmocka_unit_test_setup_teardown(
			what_shows_through_is_never_in_the_wrong_place,
			setup_child, teardown),
		cmocka_unit_test_setup_teardown(
			a_child_has_its_old_parent_or_its_new_one,
			setup_child, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
