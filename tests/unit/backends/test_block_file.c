/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/block_file.h"
#include "backends/block_file_lock.h"
#include "backends/block_now.h"
#include "core/error.h"
#include "core/trace.h"

#define KIB		1024u
#define MIB		(1024u * KIB)
#define DISK_SIZE	(4 * MIB)
#define SLOTS		8		/* requests in flight */
#define SLOT_SIZE	(DISK_SIZE / SLOTS)
#define IOVS		6
#define NOBODY		65534

struct slot {
	struct block_request rq;
	struct iovec iov[IOVS];
	uint8_t *buf;			/* SLOT_SIZE + 2 pages */
	bool busy;
};

static struct loop *loop;
static struct block_backend *bb;
static char *dir, *path;
static struct slot slots[SLOTS];
static bool submitting;

static void done(struct block_request *rq)
{
	struct slot *s = (void *)rq;

	assert_false(submitting);
	assert_true(s->busy);
	s->busy = false;
}

static void submit(struct slot *s, const struct block_request *rq)
{
	s->rq = *rq;
	s->rq.done = done;
	s->busy = submitting = true;
	block_submit(bb, &s->rq);
	submitting = false;
}

static int finish(struct slot *s)
{
	while (s->busy)
		loop_turn(loop, true);
	return s->rq.result;
}

/* One request with one aligned buffer, to its end. */
static int request(enum block_op op, uint64_t offset, size_t len, bool fua)
{
	struct slot *s = &slots[0];

	s->iov[0] = (struct iovec){ s->buf, len };
	submit(s, &(struct block_request){
		.op = op, .fua = fua, .offset = offset, .len = len,
		.iov = s->iov, .iovcnt = 1,
	});
	return finish(s);
}

static void make_file(const char *name, off_t size)
{
	int fd;

	g_free(path);
	path = g_build_filename(dir, name, NULL);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

static struct block_backend *open_as(bool read_only, bool direct,
				     GError **error)
{
	const struct block_file_options o = {
		.path = path, .read_only = read_only, .direct = direct,
	};

	return block_file_open(loop, &o, error);
}

static void open_disk(bool direct)
{
	bb = open_as(false, direct, NULL);
	assert_non_null(bb);
}

static int setup(void **state)
{
	loop = loop_new(NULL);
	dir = g_dir_make_tmp("block-file-XXXXXX", NULL);
	assert_non_null(dir);
	memset(slots, 0, sizeof(slots));
	for (unsigned i = 0; i < SLOTS; i++)
		assert_int_equal(posix_memalign((void **)&slots[i].buf, 4096,
						SLOT_SIZE + 8 * KIB), 0);
	make_file("disk", DISK_SIZE);
	return 0;
}

static int teardown(void **state)
{
	block_close(bb);
	bb = NULL;
	for (unsigned i = 0; i < SLOTS; i++)
		free(slots[i].buf);
	umount2(dir, MNT_DETACH);
	unlink(path);
	rmdir(dir);
	g_clear_pointer(&dir, g_free);
	g_clear_pointer(&path, g_free);
	loop_free(loop);
	return 0;
}

/* Cut @len bytes of the slot's buffer into pieces, misaligned if asked for. */
static int cut(struct slot *s, GRand *r, uint32_t len, bool misaligned)
{
	uint8_t *at = s->buf + (misaligned ? g_rand_int_range(r, 1, 700) : 0);
	uint32_t unit = misaligned ? 1 : 512;
	int n = 0;

	while (len) {
		uint32_t piece = len;

		if (n < IOVS - 1 && len > unit)
			piece = unit * (uint32_t)g_rand_int_range(
					r, 1, (gint32)(len / unit) + 1);
		s->iov[n++] = (struct iovec){ at, piece };
		at += piece;
		len -= piece;
	}
	return n;
}

static void copy(struct slot *s, uint8_t *shadow, bool to_shadow)
{
	for (int i = 0; i < s->rq.iovcnt; i++) {
		if (to_shadow)
			memcpy(shadow, s->iov[i].iov_base, s->iov[i].iov_len);
		else
			assert_memory_equal(shadow, s->iov[i].iov_base,
					    s->iov[i].iov_len);
		shadow += s->iov[i].iov_len;
	}
}

static void start_random(struct slot *s, GRand *r, uint8_t *shadow)
{
	struct block_request rq = {
		.op = (enum block_op)g_rand_int_range(r, 0, 4),
		.fua = g_rand_boolean(r), .iov = s->iov,
	};
	uint32_t at = 512 * (uint32_t)g_rand_int_range(r, 0, SLOT_SIZE / 512);

	rq.len = 512 * (uint64_t)g_rand_int_range(
			r, 1, (gint32)((SLOT_SIZE - at) / 512) + 1);
	rq.offset = (uint64_t)(s - slots) * SLOT_SIZE + at;
	memset(s->buf, g_rand_int_range(r, 1, 255), SLOT_SIZE + 8 * KIB);
	rq.iovcnt = cut(s, r, (uint32_t)rq.len, g_rand_boolean(r));
	submit(s, &rq);
	if (rq.op == BLOCK_WRITE)
		copy(s, shadow + rq.offset, true);
	else if (rq.op == BLOCK_WRITE_ZEROES)
		memset(shadow + rq.offset, 0, rq.len);
}

/* Many requests at a time, each in its own part of the disk. */
static void agree_with_shadow(bool direct)
{
	g_autofree uint8_t *shadow = g_malloc0(DISK_SIZE);
	g_autofree char *contents = NULL;
	g_autoptr(GRand) r = g_rand_new_with_seed(direct ? 1 : 2);
	gsize len;

	open_disk(direct);
	for (unsigned i = 0; i < 400; i++) {
		struct slot *s = &slots[g_rand_int_range(r, 0, SLOTS)];

		assert_int_equal(finish(s), 0);
		if (s->rq.op == BLOCK_READ && s->rq.iovcnt)
			copy(s, shadow + s->rq.offset, false);
		start_random(s, r, shadow);
	}
	for (unsigned i = 0; i < SLOTS; i++)
		assert_int_equal(finish(&slots[i]), 0);
	assert_true(g_file_get_contents(path, &contents, &len, NULL));
	assert_int_equal(len, DISK_SIZE);
	assert_memory_equal(contents, shadow, DISK_SIZE);
}

static void random_requests_leave_what_they_should(void **state)
{
	agree_with_shadow(false);
}

static void the_same_holds_without_the_page_cache(void **state)
{
	agree_with_shadow(true);
}

static unsigned bounces;

static void count_bounces(const char *line)
{
	bounces += strstr(line, "block.bounce") != NULL;
}

/* More misaligned requests than may have a bounce buffer at a time. */
static void many_misaligned_requests_all_get_done(void **state)
{
	enum { N = 100, LEN = 3 * 512 };
	g_autofree struct slot *many = g_new0(struct slot, N);
	g_autofree uint8_t *memory = g_malloc(N * (LEN + 1));
	g_autofree char *contents = NULL;

	open_disk(true);
	bounces = 0;
	trace_sink = count_bounces;
	trace_mask = 1u << TRACE_BLOCK;
	for (unsigned i = 0; i < N; i++) {
		uint8_t *at = memory + i * (LEN + 1) + (i % 2);

		memset(at, (int)i + 1, LEN);
		many[i].iov[0] = (struct iovec){ at, LEN };
		submit(&many[i], &(struct block_request){
			.op = BLOCK_WRITE, .offset = i * LEN, .len = LEN,
			.iov = many[i].iov, .iovcnt = 1,
		});
	}
	assert_true(bounces <= 16);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(finish(&many[i]), 0);
	trace_mask = 0;
	trace_sink = NULL;
	assert_true(g_file_get_contents(path, &contents, NULL, NULL));
	for (unsigned i = 0; i < N * LEN; i++)
		assert_int_equal((uint8_t)contents[i], i / LEN + 1);
}

/* A vector with more entries than the kernel takes. */
static void requests_of_very_many_pieces_work(void **state)
{
	enum { N = 1500 };
	g_autofree struct iovec *iov = g_new0(struct iovec, N);
	struct slot *s = &slots[0];
	g_autofree char *contents = NULL;

	open_disk(false);
	for (unsigned i = 0; i < N; i++) {
		iov[i] = (struct iovec){ s->buf + i * 64, 64 };
		memset(iov[i].iov_base, (int)(i % 251), 64);
	}
	submit(s, &(struct block_request){
		.op = BLOCK_WRITE, .offset = 512, .len = N * 64,
		.iov = iov, .iovcnt = N,
	});
	assert_int_equal(finish(s), 0);
	assert_true(g_file_get_contents(path, &contents, NULL, NULL));
	for (unsigned i = 0; i < N * 64; i++)
		assert_int_equal((uint8_t)contents[512 + i], i / 64 % 251);
}

static long blocks_used(void)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (long)st.st_blocks;
}

static void zeroes_make_holes(void **state)
{
	open_disk(false);
	if (!bb->discard_granularity)
		skip();
	memset(slots[0].buf, 'x', SLOT_SIZE);
	assert_int_equal(request(BLOCK_WRITE, 0, SLOT_SIZE, true), 0);
	assert_true(blocks_used() >= SLOT_SIZE / 512);
	assert_int_equal(request(BLOCK_WRITE_ZEROES, 0, SLOT_SIZE, false), 0);
	assert_true(blocks_used() < SLOT_SIZE / 512);
	assert_int_equal(request(BLOCK_READ, 0, SLOT_SIZE, false), 0);
	for (unsigned i = 0; i < SLOT_SIZE; i++)
		assert_int_equal(slots[0].buf[i], 0);
}

static void a_file_cut_under_us_is_an_error_and_no_more(void **state)
{
	for (unsigned direct = 0; direct < 2; direct++) {
		make_file("disk", DISK_SIZE);
		open_disk(direct);
		assert_int_equal(truncate(path, 64 * KIB), 0);
		assert_int_equal(request(BLOCK_READ, 0, 64 * KIB, false), 0);
		assert_int_equal(request(BLOCK_READ, 60 * KIB, 8 * KIB, false),
				 -EIO);
		assert_int_equal(request(BLOCK_READ, MIB, 512, false), -EIO);
		assert_int_equal(truncate(path, 64 * KIB + 100), 0);
		assert_int_equal(request(BLOCK_READ, 64 * KIB, 512, false),
				 -EIO);
		assert_int_equal(unlink(path), 0);
		assert_int_equal(request(BLOCK_READ, 0, 512, false), 0);
		assert_int_equal(request(BLOCK_FLUSH, 0, 0, false), 0);
		block_close(bb);
		bb = NULL;
	}
}

/* Put a file system of our own on @dir. */
static bool mount_on_dir(const char *type, const char *options)
{
	static bool own_mounts;

	if (!own_mounts && unshare(CLONE_NEWNS) < 0 &&
	    unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return false;
	own_mounts = true;
	mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	unlink(path);
	return mount("none", dir, type, 0, options) == 0;
}

static void a_full_host_disk_is_told_to_the_guest(void **state)
{
	if (!mount_on_dir("tmpfs", "size=768k"))
		skip();
	make_file("disk", DISK_SIZE);
	open_disk(false);
	memset(slots[0].buf, 'x', SLOT_SIZE);
	assert_int_equal(request(BLOCK_WRITE, 0, SLOT_SIZE, false), 0);
	assert_int_equal(request(BLOCK_WRITE, MIB, SLOT_SIZE, false), -ENOSPC);
	assert_int_equal(request(BLOCK_WRITE, 2 * MIB, SLOT_SIZE, false),
			 -ENOSPC);
	/* Room made helps. */
	assert_int_equal(request(BLOCK_WRITE_ZEROES, 0, 2 * MIB, false), 0);
	assert_int_equal(request(BLOCK_WRITE, 2 * MIB, SLOT_SIZE, false), 0);
}

static int grow(uint64_t size)
{
	submit(&slots[0], &(struct block_request){
		.op = BLOCK_GROW, .offset = size,
	});
	return finish(&slots[0]);
}

static void a_file_grows_by_zeroes(void **state)
{
	for (unsigned direct = 0; direct < 2; direct++) {
		uint64_t size = DISK_SIZE + 3 * MIB + 512;
		long before;

		make_file("disk", DISK_SIZE);
		open_disk(direct);
		assert_true(bb->growable);
		before = blocks_used();
		assert_int_equal(grow(size), 0);
		assert_int_equal(bb->size, size);
		assert_true(blocks_used() - before < 64);
		memset(slots[0].buf, 'x', 4 * KIB);
		assert_int_equal(request(BLOCK_READ, size - 512, 512, false),
				 0);
		assert_int_equal(slots[0].buf[511], 0);
		assert_int_equal(request(BLOCK_READ, DISK_SIZE, 4 * KIB,
					 false), 0);
		assert_int_equal(slots[0].buf[0], 0);
		assert_int_equal(request(BLOCK_WRITE, size - 512, 512, true),
				 0);
		assert_int_equal(block_grow_now(bb, size + MIB), 0);
		assert_int_equal(bb->size, size + MIB);
		block_close(bb);
		bb = NULL;
	}
	bb = open_as(true, false, NULL);
	assert_false(bb->growable);
}

static void a_file_that_cannot_grow_keeps_its_size(void **state)
{
	if (!mount_on_dir("tmpfs", "size=64k"))
		skip();
	make_file("disk", DISK_SIZE);
	open_disk(false);
	memset(slots[0].buf, 'x', 64 * KIB);
	assert_int_equal(request(BLOCK_WRITE, 0, 64 * KIB, false), 0);
	assert_int_equal(grow(DISK_SIZE + MIB), -ENOSPC);
	assert_int_equal(bb->size, DISK_SIZE);
}

/* What formats do when they open: no turn of the loop, any alignment. */
static void requests_can_be_done_at_once(void **state)
{
	for (unsigned direct = 0; direct < 2; direct++) {
		g_autofree uint8_t *a = g_malloc(MIB + 512), *b = g_malloc(MIB);

		make_file("disk", DISK_SIZE);
		open_disk(direct);
		for (unsigned i = 0; i < MIB; i++)
			a[i + 1] = (uint8_t)(i / 512 + 1);
		assert_int_equal(block_write_now(bb, 512, a + 1, MIB), 0);
		assert_int_equal(block_read_now(bb, 512, b, MIB), 0);
		assert_memory_equal(a + 1, b, MIB);
		assert_int_equal(block_zero_now(bb, 1024, MIB / 2), 0);
		assert_int_equal(block_flush_now(bb), 0);
		assert_int_equal(request(BLOCK_READ, 512, MIB / 4, false), 0);
		assert_memory_equal(slots[0].buf, a + 1, 512);
		for (unsigned i = 512; i < MIB / 4; i++)
			assert_int_equal(slots[0].buf[i], 0);
		assert_int_equal(block_read_now(bb, DISK_SIZE - 512, b, 1024),
				 -EIO);
		block_close(bb);
		bb = NULL;
	}
}

static void where_there_are_no_holes_zeroes_are_written(void **state)
{
	if (!mount_on_dir("ramfs", NULL))
		skip();
	make_file("disk", DISK_SIZE);
	open_disk(false);
	/* A guest that discards must not fill the host's disk by it. */
	assert_int_equal(bb->discard_granularity, 0);
	memset(slots[0].buf, 'x', SLOT_SIZE);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(request(BLOCK_WRITE, i * SLOT_SIZE, SLOT_SIZE,
					 false), 0);
	assert_int_equal(request(BLOCK_WRITE_ZEROES, 512, 3 * SLOT_SIZE, false),
			 0);
	assert_int_equal(request(BLOCK_READ, 0, SLOT_SIZE, false), 0);
	assert_int_equal(slots[0].buf[511], 'x');
	assert_int_equal(slots[0].buf[512], 0);
	assert_int_equal(request(BLOCK_READ, 3 * SLOT_SIZE, KIB, false), 0);
	assert_int_equal(slots[0].buf[511], 0);
	assert_int_equal(slots[0].buf[512], 'x');
}

/* Opening fails with @status and says @text. */
static void expect_refusal(bool read_only, int status, const char *text)
{
	g_autoptr(GError) error = NULL;

	assert_null(open_as(read_only, true, &error));
	assert_int_equal(error->domain, USER_ERROR);
	assert_int_equal(error->code, status);
	assert_non_null(strstr(error->message, path));
	if (!strstr(error->message, text))
		fail_msg("no '%s' in: %s", text, error->message);
}

static void what_is_no_disk_is_refused_by_name(void **state)
{
	char *disk = g_steal_pointer(&path);

	path = g_build_filename(dir, "nothing", NULL);
	expect_refusal(false, EX_NOINPUT, "[disk.missing]");
	g_free(path);
	path = g_strdup(dir);
	expect_refusal(false, EX_DATAERR, "[disk.directory]");
	expect_refusal(true, EX_DATAERR, "[disk.directory]");
	g_free(path);
	path = g_strdup("/dev/null");
	expect_refusal(false, EX_DATAERR, "[disk.kind]");
	g_free(path);
	path = disk;
	assert_int_equal(truncate(path, 0), 0);
	expect_refusal(false, EX_DATAERR, "[disk.empty]");
	for (unsigned n = 1; n < 1024; n += n == 1 ? 510 : 1) {
		if (n == 512)
			continue;
		assert_int_equal(truncate(path, n), 0);
		expect_refusal(false, EX_DATAERR, "[disk.size]");
	}
	assert_int_equal(truncate(path, 512), 0);
	open_disk(true);
	assert_int_equal(bb->size, 512);
	assert_int_equal(request(BLOCK_READ, 0, 512, false), 0);
}

static void a_fifo_does_not_hang_us(void **state)
{
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	expect_refusal(false, EX_DATAERR, "[disk.kind]");
	expect_refusal(true, EX_DATAERR, "[disk.kind]");
}

static void a_file_that_may_not_be_written_can_still_be_read(void **state)
{
	uid_t user = geteuid();

	assert_int_equal(chmod(path, 0444), 0);
	assert_int_equal(chmod(dir, 0755), 0);
	if (user == 0 && seteuid(NOBODY) < 0)
		skip();
	expect_refusal(false, EX_NOPERM, "[disk.permission]");
	bb = open_as(true, true, NULL);
	assert_int_equal(seteuid(user), 0);
	assert_non_null(bb);
	assert_true(bb->read_only);
}

static void a_read_only_file_system_is_named(void **state)
{
	if (!mount_on_dir("tmpfs", NULL))
		skip();
	make_file("disk", DISK_SIZE);
	assert_int_equal(mount(NULL, dir, NULL, MS_REMOUNT | MS_RDONLY, NULL),
			 0);
	expect_refusal(false, EX_NOPERM, "[disk.read-only]");
	bb = open_as(true, false, NULL);
	assert_non_null(bb);
	assert_int_equal(bb->discard_granularity, 0);
	assert_int_equal(request(BLOCK_READ, 0, 4 * KIB, false), 0);
	assert_int_equal(request(BLOCK_FLUSH, 0, 0, false), 0);
}

static void one_writer_or_many_readers(void **state)
{
	struct block_backend *reader;

	open_disk(false);
	expect_refusal(false, EX_TEMPFAIL, "this machine has locked it");
	expect_refusal(true, EX_TEMPFAIL, "[disk.locked]");
	block_close(bb);
	bb = open_as(true, false, NULL);
	reader = open_as(true, false, NULL);
	assert_non_null(bb);
	assert_non_null(reader);
	expect_refusal(false, EX_TEMPFAIL, "[disk.locked]");
	block_close(reader);
	expect_refusal(false, EX_TEMPFAIL, "[disk.locked]");
	block_close(bb);
	open_disk(false);
}

static struct block_backend *share(const char *name, bool direct,
				   GError **error)
{
	const struct block_file_options o = {
		.path = path, .direct = direct, .shared = name,
	};

	return block_file_open(loop, &o, error);
}

static void expect_not_shared(const char *name, bool direct, const char *text)
{
	g_autoptr(GError) error = NULL;

	assert_null(share(name, direct, &error));
	if (!strstr(error->message, text))
		fail_msg("no '%s' in: %s", text, error->message);
}

static void those_who_share_keep_out_all_others(void **state)
{
	struct block_backend *a = share("a", true, NULL);

	if (!a) {
		print_message("no O_DIRECT here\n");
		skip();
	}
	assert_false(a->growable);
	expect_not_shared("a", true, "[disk.locked]");
	expect_refusal(false, EX_TEMPFAIL, "[disk.locked]");
	expect_refusal(true, EX_TEMPFAIL, "[disk.locked]");
	bb = share("b", true, NULL);
	assert_non_null(bb);
	block_close(a);
	expect_refusal(true, EX_TEMPFAIL, "[disk.locked]");
	block_close(bb);
	bb = open_as(true, false, NULL);
	expect_not_shared("a", true, "another NAME");
	block_close(bb);
	open_disk(false);
	expect_not_shared("a", true, "[disk.locked]");
}

/* It has the lock of one that starts, and is stopped. */
static pid_t start_and_stop(void)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		block_file_lock_start(path, 0, NULL);
		raise(SIGSTOP);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, WUNTRACED), child);
	assert_true(WIFSTOPPED(status));
	return child;
}

static void who_starts_and_does_not_go_on_is_named(void **state)
{
	g_autoptr(GError) error = NULL;
	/* All that share it have a lock; only one of them starts. */
	struct block_backend *a = share("a", true, NULL);
	pid_t child = start_and_stop();
	g_autofree char *text = g_strdup_printf("process %d", child);

	assert_int_equal(block_file_lock_start(path, 1, &error), -1);
	assert_int_equal(error->code, EX_TEMPFAIL);
	assert_non_null(strstr(error->message, "[disk.starting]"));
	assert_non_null(strstr(error->message, "1 seconds"));
	if (!strstr(error->message, text))
		fail_msg("no '%s' in: %s", text, error->message);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	block_close(a);
	open_disk(false);
}

static void *wait_to_start(void *unused)
{
	return GINT_TO_POINTER(block_file_lock_start(path, 60, NULL));
}

static void one_starts_when_the_other_has(void **state)
{
	int first = block_file_lock_start(path, 0, NULL), second;
	GThread *thread;

	assert_true(first >= 0);
	thread = g_thread_new("starts", wait_to_start, NULL);
	close(first);
	second = GPOINTER_TO_INT(g_thread_join(thread));
	assert_true(second >= 0);
	close(second);
	open_disk(false);
}

static void a_cache_between_those_who_share_is_refused(void **state)
{
	expect_not_shared("a", false, "[disk.shared-direct]");
	open_disk(false);
}

static void the_process_that_holds_a_lock_is_named(void **state)
{
	g_autofree char *text = NULL;
	int ready[2], status;
	pid_t child;
	char c;

	assert_int_equal(pipe(ready), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		struct flock lock = { .l_type = F_WRLCK };
		int fd = open(path, O_RDWR);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, "the-holder");
		fcntl(fd, F_OFD_SETLK, &lock);
		if (write(ready[1], "r", 1) == 1)
			pause();
		_exit(0);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	text = g_strdup_printf("process %d (the-holder) has locked it", child);
	expect_refusal(false, EX_TEMPFAIL, text);
	expect_refusal(true, EX_TEMPFAIL, text);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	close(ready[0]);
	close(ready[1]);
	open_disk(false);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(random_requests_leave_what_they_should),
		TEST(the_same_holds_without_the_page_cache),
		TEST(many_misaligned_requests_all_get_done),
		TEST(requests_of_very_many_pieces_work),
		TEST(zeroes_make_holes),
		TEST(a_file_grows_by_zeroes),
		TEST(requests_can_be_done_at_once),
		TEST(a_file_cut_under_us_is_an_error_and_no_more),
		TEST(what_is_no_disk_is_refused_by_name),
		TEST(a_fifo_does_not_hang_us),
		TEST(a_file_that_may_not_be_written_can_still_be_read),
		TEST(one_writer_or_many_readers),
		TEST(those_who_share_keep_out_all_others),
		TEST(who_starts_and_does_not_go_on_is_named),
		TEST(one_starts_when_the_other_has),
		TEST(a_cache_between_those_who_share_is_refused),
		TEST(the_process_that_holds_a_lock_is_named),
		TEST(a_full_host_disk_is_told_to_the_guest),
		TEST(a_file_that_cannot_grow_keeps_its_size),
		TEST(where_there_are_no_holes_zeroes_are_written),
		TEST(a_read_only_file_system_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
