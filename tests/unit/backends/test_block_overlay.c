/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/block_error.h"
#include "backends/block_mem.h"
#include "backends/block_overlay.h"
#include "block_shadow.h"
#include "core/error.h"

#define CLUSTER		4096u
#define DISK_SIZE	(40 * CLUSTER + 1536)	/* the last is a short one */

static struct loop *loop;
static struct block_backend *base, *top, *slow, *bb;
static uint8_t buf[4 * CLUSTER];
static unsigned under_way;

struct single {
	struct block_request rq;
	struct iovec iov;
};

/* A base of which every sector is different. */
static void fill_base(void)
{
	for (unsigned i = 0; i < DISK_SIZE; i++)
		block_mem_bytes(base)[i] = (uint8_t)(1 + i / 512 % 255);
}

static void start(uint64_t limit)
{
	base = block_mem_new(loop, DISK_SIZE, 512);
	base->read_only = true;
	top = block_mem_new(loop, DISK_SIZE, 512);
	slow = block_error_new(loop, top);
	fill_base();
	bb = block_overlay_new(loop, base, slow, limit);
}

static int setup(void **state)
{
	loop = loop_new(NULL);
	assert_non_null(loop);
	start(0);
	return 0;
}

static int teardown(void **state)
{
	block_close(bb);
	loop_free(loop);
	return 0;
}

static void done(struct block_request *rq)
{
	under_way--;
}

static void submit(struct single *s, enum block_op op, uint64_t offset,
		   uint64_t len)
{
	s->iov = (struct iovec){ buf, len };
	s->rq = (struct block_request){
		.op = op, .offset = offset, .len = len, .iov = &s->iov,
		.iovcnt = 1, .done = done,
	};
	under_way++;
	block_submit(bb, &s->rq);
}

static void settle(void)
{
	while (under_way)
		loop_turn(loop, true);
}

static int request(enum block_op op, uint64_t offset, uint64_t len)
{
	struct single s;

	submit(&s, op, offset, len);
	settle();
	return s.rq.result;
}

static unsigned count(struct block_backend *of, enum block_op op)
{
	return block_mem_count(of, op);
}

/* Sector @sector reads as @byte; 0x100: as the base has it. */
static void expect_sector(unsigned sector, unsigned byte)
{
	if (byte == 0x100)
		byte = 1 + sector % 255;
	assert_int_equal(request(BLOCK_READ, sector * 512, 512), 0);
	for (unsigned i = 0; i < 512; i++)
		assert_int_equal(buf[i], byte);
}

static void random_requests_leave_the_base_as_it_was(void **state)
{
	g_autofree uint8_t *before = g_memdup2(block_mem_bytes(base),
					       DISK_SIZE);
	struct shadow s;

	for (unsigned seed = 0; seed < 20; seed++) {
		shadow_init(&s, loop, bb, 5 * CLUSTER, seed);
		memcpy(s.bytes, before, DISK_SIZE);
		shadow_run(&s, 3000);
		shadow_verify(&s);
		assert_memory_equal(block_mem_bytes(base), before, DISK_SIZE);
		shadow_finish(&s);
		block_close(bb);
		start(0);
	}
}

static void a_part_of_a_cluster_brings_its_rest_along(void **state)
{
	memset(buf, 0, sizeof(buf));
	assert_int_equal(request(BLOCK_WRITE, 3 * 512, 512), 0);
	assert_int_equal(count(base, BLOCK_READ), 2);
	expect_sector(2, 0x100);
	expect_sector(3, 0);
	expect_sector(4, 0x100);
	/* All of it is in the top now. */
	assert_int_equal(count(base, BLOCK_READ), 2);
	expect_sector(8, 0x100);
	assert_int_equal(count(base, BLOCK_READ), 3);
}

static void a_whole_cluster_is_written_without_a_read(void **state)
{
	assert_int_equal(request(BLOCK_WRITE, CLUSTER, 2 * CLUSTER), 0);
	/* The disk's end ends a cluster, too. */
	assert_int_equal(request(BLOCK_WRITE, 40 * CLUSTER, 1536), 0);
	assert_int_equal(count(base, BLOCK_READ), 0);
	assert_int_equal(count(top, BLOCK_WRITE), 2);
}

static void writes_of_one_cluster_wait_for_each_other(void **state)
{
	struct single a, b, c;

	memset(buf, 'w', sizeof(buf));
	block_error_hold(slow, true);
	submit(&a, BLOCK_WRITE, 0, 512);
	submit(&b, BLOCK_WRITE, 512, 512);
	submit(&c, BLOCK_WRITE, CLUSTER, CLUSTER);
	while (loop_turn(loop, false))
		;
	/* The second has not even read: only the first one's rest is here. */
	assert_int_equal(count(base, BLOCK_READ), 1);
	block_error_hold(slow, false);
	settle();
	expect_sector(0, 'w');
	expect_sector(1, 'w');
	expect_sector(2, 0x100);
	expect_sector(8, 'w');
}

static void while_it_is_written_a_cluster_reads_as_before(void **state)
{
	struct single write, read;

	memset(buf, 'w', sizeof(buf));
	block_error_hold(slow, true);
	submit(&write, BLOCK_WRITE, 0, CLUSTER);
	submit(&read, BLOCK_READ, 0, 512);
	while (under_way > 1)
		loop_turn(loop, true);
	assert_int_equal(buf[0], 1);
	block_error_hold(slow, false);
	settle();
}

static void what_fails_leaves_what_was_there(void **state)
{
	const struct block_error_rule full = {
		.ops = 1u << BLOCK_WRITE, .error = -ENOSPC,
	};

	memset(buf, 'w', sizeof(buf));
	block_error_set(slow, &full);
	assert_int_equal(request(BLOCK_WRITE, 512, CLUSTER), -ENOSPC);
	expect_sector(1, 0x100);
	block_error_set(slow, NULL);
	/* And the clusters can be written again. */
	memset(buf, 'w', sizeof(buf));
	assert_int_equal(request(BLOCK_WRITE, 512, CLUSTER), 0);
	expect_sector(0, 0x100);
	expect_sector(1, 'w');
	expect_sector(8, 'w');
	expect_sector(9, 0x100);
}

static void a_base_that_cannot_be_read_fails_the_write(void **state)
{
	struct block_backend *bad;
	const struct block_error_rule rule = {
		.ops = 1u << BLOCK_READ, .error = -EIO,
	};

	block_close(bb);
	base = block_mem_new(loop, DISK_SIZE, 512);
	top = block_mem_new(loop, DISK_SIZE, 512);
	bad = block_error_new(loop, base);
	block_error_set(bad, &rule);
	bb = block_overlay_new(loop, bad, top, 0);
	assert_int_equal(request(BLOCK_WRITE, 512, 512), -EIO);
	assert_int_equal(count(top, BLOCK_WRITE), 0);
	assert_int_equal(request(BLOCK_WRITE, 0, CLUSTER), 0);
}

static void flushes_and_fua_cost_nothing(void **state)
{
	assert_int_equal(request(BLOCK_FLUSH, 0, 0), 0);
	assert_int_equal(count(top, BLOCK_FLUSH), 0);
	assert_int_equal(count(base, BLOCK_FLUSH), 0);
}

static void the_limit_counts_what_takes_space(void **state)
{
	block_close(bb);
	start(3 * CLUSTER);
	memset(buf, 'w', sizeof(buf));
	assert_int_equal(request(BLOCK_WRITE, 0, 2 * CLUSTER), 0);
	assert_int_equal(request(BLOCK_WRITE, 2 * CLUSTER, 2 * CLUSTER),
			 -ENOSPC);
	expect_sector(16, 0x100);
	memset(buf, 'w', sizeof(buf));
	/* What is there already can be written. */
	assert_int_equal(request(BLOCK_WRITE, CLUSTER, 2 * CLUSTER), 0);
	assert_int_equal(request(BLOCK_WRITE, 512, CLUSTER), 0);
	assert_int_equal(request(BLOCK_WRITE, 3 * CLUSTER, 512), -ENOSPC);
	/* Zeroes take none, and free some. */
	assert_int_equal(request(BLOCK_WRITE_ZEROES, 8 * CLUSTER,
				 4 * CLUSTER), 0);
	assert_int_equal(request(BLOCK_WRITE_ZEROES, 0, CLUSTER), 0);
	expect_sector(0, 0);
	expect_sector(64, 0);
	memset(buf, 'w', sizeof(buf));
	assert_int_equal(request(BLOCK_WRITE, 3 * CLUSTER, 512), 0);
	assert_int_equal(request(BLOCK_WRITE, 0, 512), -ENOSPC);
	assert_int_equal(request(BLOCK_WRITE_ZEROES, 5 * CLUSTER, 512),
			 -ENOSPC);
}

static void a_disk_in_the_users_folder_leaves_no_file(void **state)
{
	g_autofree char *dir = g_dir_make_tmp("overlay-XXXXXX", NULL);
	g_autoptr(GError) error = NULL;
	g_autoptr(GDir) d = NULL;

	block_close(bb);
	g_setenv("TMPDIR", dir, TRUE);
	base = block_mem_new(loop, DISK_SIZE, 512);
	fill_base();
	bb = block_overlay_open(loop, base, 0, &error);
	assert_non_null(bb);
	d = g_dir_open(dir, 0, NULL);
	assert_null(g_dir_read_name(d));
	memset(buf, 'w', sizeof(buf));
	assert_int_equal(request(BLOCK_WRITE, 512, 512), 0);
	expect_sector(1, 'w');
	expect_sector(2, 0x100);
	block_close(bb);
	g_setenv("TMPDIR", "/proc/no-such", TRUE);
	base = block_mem_new(loop, DISK_SIZE, 512);
	bb = block_overlay_open(loop, base, 0, &error);
	assert_null(bb);
	assert_int_equal(error->code, EX_CANTCREAT);
	assert_non_null(strstr(error->message, "[disk.ephemeral]"));
	g_unsetenv("TMPDIR");
	rmdir(dir);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(random_requests_leave_the_base_as_it_was),
		TEST(a_part_of_a_cluster_brings_its_rest_along),
		TEST(a_whole_cluster_is_written_without_a_read),
		TEST(writes_of_one_cluster_wait_for_each_other),
		TEST(while_it_is_written_a_cluster_reads_as_before),
		TEST(what_fails_leaves_what_was_there),
		TEST(a_base_that_cannot_be_read_fails_the_write),
		TEST(flushes_and_fua_cost_nothing),
		TEST(the_limit_counts_what_takes_space),
		TEST(a_disk_in_the_users_folder_leaves_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
