/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disks that become larger while they are used.  What they have to read as is
 * known by cells: pieces of one value each, most of them never written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "backends/block_error.h"
#include "backends/block_hold.h"
#include "backends/block_limit.h"
#include "backends/block_mem.h"
#include "backends/block_overlay.h"
#include "backends/vhd.h"
#include "backends/vhdx.h"

#define KIB	UINT64_C(1024)
#define MIB	(1024 * KIB)
#define GIB	(1024 * MIB)
#define CELL	(16 * KIB)
#define NEAR	64		/* cells of each place that is used */

enum kind { VHD, VHD_WITHOUT_GAPS, VHDX, VHDX_WITHOUT_GAPS };

/* In steps; the last tables do not fit where the first were. */
static const struct {
	enum kind kind;
	uint64_t size[4];
} disks[] = {
	{ VHD, { 19 * 64 * KIB + 16 * KIB, 21 * 64 * KIB, 40 * MIB, GIB } },
	{ VHD_WITHOUT_GAPS, { MIB, MIB + 512, 2 * MIB, 9 * MIB } },
	{ VHDX, { 10 * MIB + CELL, 12 * MIB, GIB, 300 * GIB } },
	{ VHDX_WITHOUT_GAPS, { 5 * MIB, 6 * MIB, 7 * MIB + CELL, 17 * MIB } },
};

static struct {
	struct loop *loop;
	struct block_backend *mem, *error, *bb;
	enum kind kind;
	GHashTable *cells;	/* number -> value */
	GRand *rand;
	uint64_t places[4];	/* bytes, around which cells are used */
	unsigned place_count;
	uint8_t *buf;
} t;

static int set_up(void **state)
{
	memset(&t, 0, sizeof(t));
	t.loop = loop_new(NULL);
	t.rand = g_rand_new_with_seed(7);
	t.buf = g_malloc(CELL);
	return 0;
}

static void forget(void)
{
	g_clear_pointer(&t.bb, block_close);
	g_clear_pointer(&t.cells, g_hash_table_unref);
}

static int tear_down(void **state)
{
	forget();
	g_rand_free(t.rand);
	g_free(t.buf);
	loop_free(t.loop);
	return 0;
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static void open_file(void)
{
	const struct block_file_options o = { .path = "disk" };
	g_autoptr(GError) error = NULL;

	t.error = block_error_new(t.loop, t.mem);
	t.bb = t.kind >= VHDX ? vhdx_open(t.loop, t.error, &o, &error) :
				vhd_open(t.loop, t.error, &o, &error);
	if (!t.bb)
		fail_msg("%s", error->message);
}

static void create(enum kind kind, uint64_t size)
{
	const struct vhd_create_options vhd = {
		.type = kind == VHD ? VHD_DYNAMIC : VHD_FIXED, .size = size,
		.block_size = 64 * KIB,
	};
	const struct vhdx_create_options vhdx = {
		.fixed = kind == VHDX_WITHOUT_GAPS, .size = size,
		.block_size = MIB,
	};

	t.kind = kind;
	t.cells = g_hash_table_new(NULL, NULL);
	t.mem = block_mem_new(t.loop, kind >= VHDX ? MIB : 512, 512);
	if (kind >= VHDX)
		assert_int_equal(vhdx_format(t.mem, &vhdx), 0);
	else
		assert_true(vhd_create(t.mem, "disk", &vhd, NULL));
	open_file();
	t.places[0] = 0;
	t.place_count = 1;
}

/* As after a crash of the machine, or its end. */
static void open_again(void)
{
	struct block_backend *old = t.mem;

	t.mem = block_mem_new(t.loop, old->size, 512);
	for (uint64_t at = 0; at < old->size; at += 512) {
		const uint8_t *from = block_mem_part(old, at, 512);
		static const uint8_t none[512];

		if (memcmp(from, none, 512) != 0)
			memcpy(block_mem_part(t.mem, at, 512), from, 512);
	}
	block_close(t.bb);
	open_file();
}

struct single {
	struct block_request rq;
	struct iovec iov;
	bool over;
};

static void done(struct block_request *rq)
{
	((struct single *)rq)->over = true;
}

static int request(enum block_op op, uint64_t offset, uint64_t len)
{
	struct single s = { .iov = { t.buf, len } };

	s.rq = (struct block_request){
		.op = op, .offset = offset, .len = len, .iov = &s.iov,
		.iovcnt = 1, .done = done,
	};
	block_submit(t.bb, &s.rq);
	while (!s.over)
		loop_turn(t.loop, true);
	return s.rq.result;
}

static uint64_t cell_len(uint64_t cell)
{
	return MIN(CELL, t.bb->size - cell * CELL);
}

/* One that is near a place where something was, or will be. */
static uint64_t any_cell(void)
{
	uint64_t place = t.places[g_rand_int_range(t.rand, 0,
						   (gint32)t.place_count)];
	uint64_t cell = place / CELL +
			(uint64_t)g_rand_int_range(t.rand, 0, NEAR);

	cell -= MIN(cell, NEAR / 2);
	return MIN(cell, (t.bb->size - 1) / CELL);
}

static void write_cell(uint64_t cell)
{
	int value = g_rand_int_range(t.rand, 1, 256);

	memset(t.buf, value, CELL);
	assert_int_equal(request(BLOCK_WRITE, cell * CELL, cell_len(cell)), 0);
	g_hash_table_insert(t.cells, GSIZE_TO_POINTER(cell),
			    GINT_TO_POINTER(value));
}

static void zero_cell(uint64_t cell)
{
	assert_int_equal(request(BLOCK_WRITE_ZEROES, cell * CELL,
				 cell_len(cell)), 0);
	g_hash_table_remove(t.cells, GSIZE_TO_POINTER(cell));
}

/* What a cell has beyond the old end of the disk is still zero. */
static void check_cell(uint64_t cell, uint64_t len)
{
	int value = GPOINTER_TO_INT(g_hash_table_lookup(
		t.cells, GSIZE_TO_POINTER(cell)));

	assert_int_equal(request(BLOCK_READ, cell * CELL, len), 0);
	for (uint64_t i = 0; i < len; i++)
		if (t.buf[i] != value)
			fail_msg("cell %" G_GUINT64_FORMAT ": %u at %"
				 G_GUINT64_FORMAT ", not %d", cell, t.buf[i],
				 i, value);
}

static void check_all(void)
{
	for (unsigned p = 0; p < t.place_count; p++) {
		uint64_t cell = t.places[p] / CELL;

		cell -= MIN(cell, NEAR / 2);
		for (unsigned i = 0; i < NEAR; i++, cell++)
			if (cell * CELL < t.bb->size)
				check_cell(cell, cell_len(cell));
	}
}

static void use(unsigned steps)
{
	for (unsigned i = 0; i < steps; i++) {
		uint64_t cell = any_cell();

		if (g_rand_int_range(t.rand, 0, 4))
			write_cell(cell);
		else
			zero_cell(cell);
	}
}

static int flush(void)
{
	return request(BLOCK_FLUSH, 0, 0);
}

/* The last cell of the disk may have been a short one: whole from now on. */
static int extend(uint64_t size)
{
	uint64_t had = t.bb->size, last = had / CELL;
	int ret;

	if (had % CELL)
		zero_cell(last);
	assert_int_equal(flush(), 0);
	ret = block_extend(t.bb, size);
	if (ret)
		return ret;
	assert_int_equal(t.bb->size, size);
	t.places[t.place_count++] = had;
	return 0;
}

static void expect_no_damage(void)
{
	struct vhdx_survey s;

	if (t.kind < VHDX)
		return;
	assert_int_equal(vhdx_survey(t.bb, &s), 0);
	assert_int_equal(s.outside, 0);
	assert_int_equal(s.shared, 0);
	assert_false(s.damaged_header || s.damaged_regions || s.replayed);
	vhdx_survey_finish(&s);
}

static void a_disk_in_use_grows_again_and_again(void **state)
{
	for (unsigned d = 0; d < G_N_ELEMENTS(disks); d++) {
		create(disks[d].kind, disks[d].size[0]);
		for (unsigned i = 1; i < 4; i++) {
			use(60);
			assert_int_equal(extend(disks[d].size[i]), 0);
			check_all();
			use(60);
			check_all();
		}
		use(200);
		assert_int_equal(flush(), 0);
		open_again();
		check_all();
		assert_int_equal(t.bb->size, disks[d].size[3]);
		forget();
	}
}

static void what_was_closed_is_whole(void **state)
{
	for (unsigned d = 0; d < G_N_ELEMENTS(disks); d++) {
		create(disks[d].kind, disks[d].size[0]);
		use(60);
		for (unsigned i = 1; i < 4; i++)
			assert_int_equal(extend(disks[d].size[i]), 0);
		use(60);
		assert_int_equal(flush(), 0);
		open_again();
		check_all();
		/* Closed well, by now: nothing of it is written any more. */
		open_again();
		expect_no_damage();
		check_all();
		forget();
	}
}

/* The host fails at any of the steps, and works again afterwards. */
static void whatever_fails_loses_nothing(void **state)
{
	for (unsigned d = 0; d < G_N_ELEMENTS(disks); d++) {
		int ret = -1;

		for (unsigned after = 0; ret; after++) {
			const struct block_error_rule rule = {
				.ops = UINT32_MAX, .error = -EIO,
				.after = after,
			};

			assert_in_range(after, 0, 1000);
			create(disks[d].kind, disks[d].size[0]);
			use(40);
			t.places[t.place_count++] = t.bb->size;
			if (t.bb->size % CELL)
				zero_cell(t.bb->size / CELL);
			assert_int_equal(flush(), 0);
			block_error_set(t.error, &rule);
			ret = block_extend(t.bb, disks[d].size[3]);
			block_error_set(t.error, NULL);
			assert_true(t.bb->size == disks[d].size[3] ||
				    (ret && t.bb->size == disks[d].size[0]));
			check_all();
			use(40);
			assert_int_equal(flush(), 0);
			check_all();
			open_again();
			check_all();
			use(20);
			check_all();
			forget();
		}
	}
}

static void sizes_that_cannot_be_are_refused(void **state)
{
	static const struct {
		enum kind kind;
		uint64_t size;
	} wrong[] = {
		{ VHD, 4 * MIB + 100 }, { VHD, UINT64_C(2041) * GIB },
		{ VHD, MIB }, { VHD_WITHOUT_GAPS, 4 * MIB + 1 },
		{ VHD_WITHOUT_GAPS, MIB }, { VHDX, 4 * MIB + 100 },
		{ VHDX, 65 * 1024 * GIB }, { VHDX, MIB },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
		create(wrong[i].kind, 3 * MIB);
		use(20);
		assert_int_equal(extend(wrong[i].size), -EINVAL);
		assert_int_equal(t.bb->size, 3 * MIB);
		check_all();
		use(20);
		check_all();
		forget();
	}
}

static void what_is_above_or_below_decides_with_it(void **state)
{
	const struct block_limits limits = { .ops = 1000000 };
	struct block_hold_watch watch = { 0 };
	struct block_backend *limited, *held, *overlay;

	create(VHDX, 3 * MIB);
	limited = block_limit_new(t.loop, t.bb, &limits);
	held = block_hold_new(t.loop, limited, &watch);
	assert_int_equal(block_extend(held, 4 * MIB), 0);
	assert_int_equal(limited->size, 4 * MIB);
	assert_int_equal(held->size, 4 * MIB);
	overlay = block_overlay_new(t.loop, held,
				    block_mem_new(t.loop, 4 * MIB, 512), 0);
	assert_int_equal(block_extend(overlay, 5 * MIB), -EOPNOTSUPP);
	block_close(overlay);
	t.bb = NULL;
	forget();
	for (unsigned d = 0; d < G_N_ELEMENTS(disks); d++) {
		if (disks[d].kind == VHD)
			continue;
		create(disks[d].kind, 3 * MIB);
		/* As that of a server, or of a disk that is shared. */
		t.error->growable = false;
		assert_int_equal(block_extend(t.bb, 4 * MIB), -EOPNOTSUPP);
		forget();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_disk_in_use_grows_again_and_again),
		TEST(what_was_closed_is_whole),
		TEST(whatever_fails_loses_nothing),
		TEST(sizes_that_cannot_be_are_refused),
		TEST(what_is_above_or_below_decides_with_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
