/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Disks in formats, whose own requests in their file are kept as well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "backends/block_error.h"
#include "backends/block_hold.h"
#include "backends/block_limit.h"
#include "backends/block_mem.h"
#include "backends/vhd.h"
#include "backends/vhdx.h"

#define MIB		(UINT64_C(1) << 20)
#define DISK_SIZE	(16 * MIB)
#define LEN		4096u
#define MANY		32u
#define OPS(op)		(1u << (op))
#define WRITES		(OPS(BLOCK_WRITE) | OPS(BLOCK_WRITE_ZEROES) | \
			 OPS(BLOCK_GROW))

struct single {
	struct block_request rq;
	struct iovec iov;
	bool over;
};

static struct loop *loop;
static struct block_backend *mem, *error, *bb;
static struct single singles[MANY];
static unsigned submitted, done;
static uint8_t buf[LEN];
static int holds;
static unsigned told;

static void changed(struct block_hold_watch *w, int why)
{
	holds = why;
	told++;
}

static struct block_hold_watch watch = { .changed = changed };
static const struct block_file_options options = { .path = "disk" };

static struct block_backend *make_vhd(struct block_backend *file,
				      enum vhd_type type)
{
	const struct vhd_create_options o = {
		.type = type, .size = DISK_SIZE,
	};

	assert_true(vhd_create(mem, "disk", &o, NULL));
	error->size = file->size = mem->size;
	return vhd_open(loop, file, &options, NULL);
}

static struct block_backend *make_vhdx(struct block_backend *file)
{
	const struct vhdx_create_options o = {
		.size = DISK_SIZE, .block_size = MIB,
	};

	assert_int_equal(vhdx_format(file, &o), 0);
	return vhdx_open(loop, file, &options, NULL);
}

/* All that can be between the two. */
static void start(const char *format)
{
	const struct block_limits limits = { .ops = 1000 * 1000 };
	struct block_backend *file;

	mem = block_mem_new(loop, format[3] == 'x' ? MIB : 512, 512);
	error = block_error_new(loop, mem);
	file = block_hold_file(loop, error, &watch);
	if (!strcmp(format, "vhdx"))
		bb = make_vhdx(file);
	else
		bb = make_vhd(file, strcmp(format, "vhd") ? VHD_FIXED :
							    VHD_DYNAMIC);
	assert_non_null(bb);
	bb = block_limit_new(loop, bb, &limits);
	bb = block_hold_new(loop, bb, &watch);
	submitted = done = told = 0;
	holds = 0;
}

static void finish(void)
{
	assert_int_equal(done, submitted);
	assert_int_equal(watch.rushed, 0);
	block_close(bb);
}

static int setup(void **state)
{
	loop = loop_new(NULL);
	memset(buf, 7, sizeof(buf));
	return 0;
}

static int teardown(void **state)
{
	loop_free(loop);
	return 0;
}

static void request_done(struct block_request *rq)
{
	struct single *s = (void *)rq;

	assert_false(s->over);
	s->over = true;
	done++;
}

static struct single *submit(enum block_op op, uint64_t offset)
{
	struct single *s = &singles[submitted++];

	*s = (struct single){
		.rq = { .op = op, .done = request_done },
		.iov = { buf, sizeof(buf) },
	};
	if (op != BLOCK_FLUSH) {
		s->rq.offset = offset;
		s->rq.len = LEN;
		s->rq.iov = &s->iov;
		s->rq.iovcnt = 1;
	}
	block_submit(bb, &s->rq);
	return s;
}

static void settle(void)
{
	while (loop_turn(loop, false))
		;
}

static void fail_with(int result, unsigned ops, uint64_t offset, uint64_t len)
{
	const struct block_error_rule rule = {
		.ops = ops, .error = result, .offset = offset, .len = len,
	};

	block_error_set(error, &rule);
}

/* There is no space but for what is there already. */
static void expect_pause_and_mend(void)
{
	unsigned before = done;

	settle();
	assert_int_equal(holds, -ENOSPC);
	assert_int_equal(done, before);
	block_again(bb);
	settle();
	assert_int_equal(holds, -ENOSPC);
	assert_int_equal(done, before);
	block_error_set(error, NULL);
	block_again(bb);
	settle();
	assert_int_equal(holds, 0);
	assert_int_equal(done, submitted);
	for (unsigned i = 0; i < submitted; i++)
		assert_int_equal(singles[i].rq.result, 0);
}

static void what_the_log_fails_at_waits(void **state)
{
	start("vhdx");
	submit(BLOCK_WRITE, 0);
	settle();
	fail_with(-ENOSPC, WRITES, MIB, MIB);
	submit(BLOCK_FLUSH, 0);
	expect_pause_and_mend();
	/* The page of the BAT, behind the log. */
	submit(BLOCK_WRITE, MIB);
	settle();
	fail_with(-ENOSPC, WRITES, 3 * MIB, MIB);
	submit(BLOCK_FLUSH, 0);
	expect_pause_and_mend();
	finish();
}

static void what_a_format_fails_at_waits(void **state)
{
	static const char *const formats[] = { "vhdx", "vhd", "fixed" };

	for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++) {
		start(formats[i]);
		fail_with(-ENOSPC, WRITES, 0, 0);
		submit(BLOCK_WRITE, 0);
		expect_pause_and_mend();
		fail_with(-ENOSPC, OPS(BLOCK_WRITE), 0, 0);
		submit(BLOCK_WRITE, 5 * MIB);
		submit(BLOCK_WRITE, 5 * MIB + LEN);
		expect_pause_and_mend();
		finish();
	}
}

static void space_that_cannot_be_had_waits(void **state)
{
	uint64_t size;

	start("vhdx");
	size = mem->size;
	fail_with(-ENOSPC, OPS(BLOCK_GROW), 0, 0);
	submit(BLOCK_WRITE, 0);
	submit(BLOCK_WRITE, MIB);
	expect_pause_and_mend();
	assert_true(mem->size > size);
	finish();
}

static void what_is_read_waits(void **state)
{
	start("vhdx");
	submit(BLOCK_WRITE, 0);
	settle();
	fail_with(-ENOSPC, OPS(BLOCK_READ), 0, 0);
	submit(BLOCK_READ, 0);
	memset(buf, 0, sizeof(buf));
	expect_pause_and_mend();
	assert_int_equal(buf[LEN - 1], 7);
	finish();
}

static void a_flush_of_the_file_that_fails_is_told(void **state)
{
	const struct single *flush;

	start("vhdx");
	submit(BLOCK_WRITE, 0);
	settle();
	fail_with(-EIO, OPS(BLOCK_FLUSH), 0, 0);
	flush = submit(BLOCK_FLUSH, 0);
	settle();
	assert_int_equal(flush->rq.result, -EIO);
	assert_int_equal(told, 0);
	block_error_set(error, NULL);
	finish();
}

/* Whatever was to come behind what failed fails, too, and is not kept. */
static void a_hurry_is_one_to_the_end(void **state)
{
	start("vhdx");
	submit(BLOCK_WRITE, 0);
	submit(BLOCK_WRITE, MIB);
	submit(BLOCK_FLUSH, 0);
	settle();
	assert_int_equal(done, 3);
	fail_with(-ENOSPC, WRITES, 0, 0);
	submit(BLOCK_WRITE, 0);
	submit(BLOCK_WRITE, 7 * MIB);
	submit(BLOCK_WRITE, 8 * MIB);
	submit(BLOCK_FLUSH, 0);
	settle();
	assert_int_equal(holds, -ENOSPC);
	block_hurry(bb);
	settle();
	assert_int_equal(done, submitted);
	assert_int_equal(holds, 0);
	assert_int_equal(singles[3].rq.result, -ENOSPC);
	assert_int_equal(singles[5].rq.result, -ENOSPC);
	/* Whoever comes then waits as before. */
	submit(BLOCK_WRITE, 0);
	settle();
	assert_int_equal(holds, -ENOSPC);
	block_error_set(error, NULL);
	block_again(bb);
	settle();
	finish();
}

/* Nothing is kept of a request whose later steps fail after the hurry. */
static void a_hurry_goes_for_what_comes_of_it(void **state)
{
	start("vhdx");
	block_error_hold(error, true);
	submit(BLOCK_WRITE, 0);
	submit(BLOCK_FLUSH, 0);
	block_hurry(bb);
	fail_with(-ENOSPC, WRITES, 4 * MIB, UINT64_C(1) << 40);
	block_error_hold(error, false);
	settle();
	assert_int_equal(done, submitted);
	assert_int_equal(singles[0].rq.result, -ENOSPC);
	assert_int_equal(told, 0);
	block_error_set(error, NULL);
	finish();
}

static void a_request_that_is_rushed_is_not_kept(void **state)
{
	struct single *s;

	start("vhdx");
	submit(BLOCK_WRITE, 0);
	settle();
	fail_with(-ENOSPC, WRITES, MIB, MIB);
	s = &singles[submitted++];
	*s = (struct single){
		.rq = { .op = BLOCK_FLUSH, .rushed = true,
			.done = request_done },
	};
	block_submit(bb, &s->rq);
	settle();
	assert_int_equal(s->rq.result, -ENOSPC);
	assert_int_equal(told, 0);
	s->rq.result = 0;
	submit(BLOCK_FLUSH, 0);
	expect_pause_and_mend();
	finish();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_the_log_fails_at_waits),
		TEST(what_a_format_fails_at_waits),
		TEST(space_that_cannot_be_had_waits),
		TEST(what_is_read_waits),
		TEST(a_flush_of_the_file_that_fails_is_told),
		TEST(a_hurry_is_one_to_the_end),
		TEST(a_hurry_goes_for_what_comes_of_it),
		TEST(a_request_that_is_rushed_is_not_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
