/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is in a dynamic VHD after its machine was stopped hard: of the requests
 * to the file, those before the last flush are in it, and any of those behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "backends/vhd.h"
#include "block_recorder.h"

#define BLOCK		(64u << 10)
#define DISK_SIZE	(24 * BLOCK)
#define SECTORS		(DISK_SIZE / 512)
#define WRITES		60
#define LARGE_SIZE	(200 * BLOCK)
#define NAME		"disk.vhd"

/* What sectors have to be at least, from a place in the log on. */
struct promise {
	unsigned from;
	uint8_t version[SECTORS];
};

static struct loop *loop;
static struct recorder recorder;
static GRand *order;		/* of requests to the file */
static GArray *log_of_file;	/* struct record */
static GArray *promises;	/* struct promise */
static struct block_backend *start;	/* the file, before the log */
static uint8_t latest[SECTORS];
static unsigned busy;

/* From now on, of @mem, which passes. */
static struct block_backend *record(struct block_backend *mem)
{
	block_close(recorder.mem);
	recorder_init(&recorder, loop, mem, log_of_file, order);
	return &recorder.bb;
}

static struct block_backend *new_file(void)
{
	const struct vhd_create_options o = {
		.type = VHD_DYNAMIC, .size = DISK_SIZE, .block_size = BLOCK,
	};
	struct block_backend *mem = block_mem_new(loop, 512, 512);

	assert_true(vhd_create(mem, NAME, &o, NULL));
	return mem;
}

static const struct block_file_options options = { .path = NAME };

static void done(struct block_request *rq)
{
	assert_int_equal(rq->result, 0);
	busy--;
}

static void request(struct block_backend *bb, enum block_op op, bool fua,
		    uint64_t offset, void *buf, uint64_t len)
{
	struct iovec iov = { buf, len };
	struct block_request rq = {
		.op = op, .fua = fua, .offset = offset, .len = len,
		.iov = &iov, .iovcnt = 1, .done = done,
	};

	busy++;
	block_submit(bb, &rq);
	while (busy)
		loop_turn(loop, true);
}

static void promise(const uint8_t *version)
{
	struct promise p = { .from = log_of_file->len };

	memcpy(p.version, version, sizeof(p.version));
	g_array_append_val(promises, p);
}

/* Write versions of sectors, with a flush or FUA now and then. */
static void live(GRand *r, struct block_backend *bb)
{
	static uint8_t buf[64 * 512];
	uint8_t promised[SECTORS] = { 0 };

	memset(latest, 0, sizeof(latest));
	promise(promised);
	for (unsigned i = 0; i < WRITES; i++) {
		uint32_t n = (uint32_t)g_rand_int_range(r, 1, 65);
		uint32_t at = (uint32_t)g_rand_int_range(
				r, 0, (gint32)(SECTORS - n));
		bool fua = g_rand_int_range(r, 0, 6) == 0;

		memset(buf, (int)i + 1, n * 512);
		request(bb, BLOCK_WRITE, fua, at * 512, buf, n * 512);
		memset(latest + at, (int)i + 1, n);
		if (fua) {
			memset(promised + at, (int)i + 1, n);
			promise(promised);
		} else if (g_rand_int_range(r, 0, 6) == 0) {
			request(bb, BLOCK_FLUSH, false, 0, NULL, 0);
			memcpy(promised, latest, sizeof(promised));
			promise(promised);
		}
	}
}

/*
 * The first @n entries, those behind the last flush only if @r says so.  The
 * format does not know of sectors that are torn.
 */
static struct block_backend *crashed(unsigned n, GRand *r)
{
	const struct crash c = {
		.loop = loop, .records = log_of_file, .when = n, .rand = r,
		.how = r ? CRASH_PARTS : CRASH_ALL,
	};

	return crash_file(&c, start);
}

static void check(unsigned n, GRand *r)
{
	static uint8_t disk[DISK_SIZE];
	const struct promise *p = NULL;
	g_autoptr(GError) error = NULL;
	struct block_backend *bb;

	for (unsigned i = 0; i < promises->len; i++)
		if (g_array_index(promises, struct promise, i).from <= n)
			p = &g_array_index(promises, struct promise, i);
	bb = vhd_open(loop, crashed(n, r), &options, &error);
	if (!bb)
		fail_msg("after %u requests: %s", n, error->message);
	request(bb, BLOCK_READ, false, 0, disk, DISK_SIZE);
	for (unsigned i = 0; i < SECTORS; i++) {
		assert_in_range(disk[i * 512], p->version[i], latest[i]);
		assert_int_equal(disk[i * 512], disk[i * 512 + 511]);
	}
	block_close(bb);
}

static void begin(void)
{
	loop = loop_new(NULL);
	assert_non_null(loop);
	order = g_rand_new_with_seed(7);
	log_of_file = records_new();
	promises = g_array_new(FALSE, FALSE, sizeof(struct promise));
}

/* What is recorded from now on begins with what @mem has. */
static void begin_log(struct block_backend *mem)
{
	block_close(start);
	start = copy_of_mem(loop, mem);
	g_array_set_size(log_of_file, 0);
}

static void end(void)
{
	g_array_unref(promises);
	g_array_unref(log_of_file);
	g_clear_pointer(&start, block_close);
	g_clear_pointer(&recorder.mem, block_close);
	g_rand_free(order);
	loop_free(loop);
}

static void nothing_that_was_promised_is_lost(void **state)
{
	for (uint32_t seed = 0; seed < 2; seed++) {
		g_autoptr(GRand) r = g_rand_new_with_seed(seed);
		struct block_backend *mem, *bb;

		begin();
		mem = new_file();
		begin_log(mem);
		bb = vhd_open(loop, record(mem), &options, NULL);
		assert_non_null(bb);
		live(r, bb);
		block_close(bb);
		for (unsigned n = 0; n <= log_of_file->len; n++) {
			check(n, NULL);
			check(n, r);
			check(n, r);
		}
		end();
	}
}

/* The disk has @version, and behind it nothing. */
static void check_resized(struct block_backend *bb, const uint8_t *version)
{
	static uint8_t disk[DISK_SIZE];

	assert_true(bb->size == DISK_SIZE || bb->size == LARGE_SIZE);
	request(bb, BLOCK_READ, false, 0, disk, DISK_SIZE);
	for (unsigned i = 0; i < SECTORS; i++)
		assert_int_equal(disk[i * 512], version[i]);
	if (bb->size == DISK_SIZE)
		return;
	request(bb, BLOCK_READ, false, LARGE_SIZE - DISK_SIZE, disk,
		DISK_SIZE);
	for (unsigned i = 0; i < DISK_SIZE; i++)
		assert_int_equal(disk[i], 0);
}

/* A table of one sector has no room for so many blocks. */
static void a_disk_has_its_old_size_or_its_new_one(void **state)
{
	g_autoptr(GRand) r = g_rand_new_with_seed(9);
	struct block_backend *file, *bb;
	struct vhd_facts facts;

	begin();
	file = new_file();
	bb = vhd_open(loop, record(file), &options, NULL);
	live(r, bb);
	request(bb, BLOCK_FLUSH, false, 0, NULL, 0);
	begin_log(file);
	block_close(bb);
	file = record(crashed(0, NULL));
	assert_true(vhd_read_facts(file, NAME, &facts, NULL));
	assert_int_equal(vhd_resize(file, &facts, LARGE_SIZE), 0);
	assert_int_equal(vhd_resize(file, &facts, DISK_SIZE - 512), -EINVAL);
	for (unsigned n = 0; n <= log_of_file->len; n++) {
		for (unsigned how = 0; how < 20; how++) {
			bb = vhd_open(loop, crashed(n, how ? r : NULL),
				      &options, NULL);
			assert_non_null(bb);
			check_resized(bb, latest);
			block_close(bb);
		}
	}
	bb = vhd_open(loop, file, &options, NULL);
	assert_int_equal(bb->size, LARGE_SIZE);
	block_close(bb);
	end();
}

/* A disk of zeroes at a path that is to be freed. */
static char *make_parent(void)
{
	const struct vhd_create_options o = {
		.type = VHD_DYNAMIC, .size = DISK_SIZE, .block_size = BLOCK,
	};
	struct block_file_options f = { 0 };
	struct block_backend *file;
	char *path;
	int fd = g_file_open_tmp("vhd-parent-XXXXXX", &path, NULL);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 512), 0);
	close(fd);
	f.path = path;
	file = block_file_open(loop, &f, NULL);
	assert_true(vhd_create(file, path, &o, NULL));
	block_close(file);
	return path;
}

static struct block_backend *new_child(const char *parent)
{
	const struct vhd_create_options o = {
		.type = VHD_DIFFERENCING, .block_size = BLOCK,
		.parent = parent,
	};
	struct block_backend *mem = block_mem_new(loop, 512, 512);

	assert_true(vhd_create(mem, NAME, &o, NULL));
	return mem;
}

static void check_child(unsigned n, GRand *r)
{
	g_autoptr(GError) error = NULL;
	struct block_backend *bb = vhd_open(loop, crashed(n, r), &options,
					    &error);

	if (!bb)
		fail_msg("after %u requests: %s", n, error->message);
	check_resized(bb, latest);
	block_close(bb);
}

/* The parent has two names, and goes by either. */
static void a_child_has_its_old_parent_or_its_new_one(void **state)
{
	g_autoptr(GRand) r = g_rand_new_with_seed(11);
	g_autofree char *parent = NULL, *other = NULL;
	struct block_backend *file, *bb;
	struct vhd_facts facts;

	begin();
	parent = make_parent();
	other = g_strconcat(parent, ".moved", NULL);
	file = new_child(parent);
	bb = vhd_open(loop, record(file), &options, NULL);
	live(r, bb);
	request(bb, BLOCK_FLUSH, false, 0, NULL, 0);
	begin_log(file);
	block_close(bb);
	file = record(crashed(0, NULL));
	assert_true(vhd_read_facts(file, NAME, &facts, NULL));
	assert_int_equal(link(parent, other), 0);
	assert_int_equal(vhd_rebase(file, &facts, NAME, other, NULL), 0);
	block_close(file);
	for (unsigned n = 0; n <= log_of_file->len; n++)
		for (unsigned how = 0; how < 20; how++)
			check_child(n, how ? r : NULL);
	assert_int_equal(unlink(parent), 0);
	check_child(log_of_file->len, NULL);
	unlink(other);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_that_was_promised_is_lost),
		cmocka_unit_test(a_disk_has_its_old_size_or_its_new_one),
		cmocka_unit_test(a_child_has_its_old_parent_or_its_new_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
