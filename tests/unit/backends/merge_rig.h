/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Differencing disks that go into their parents.  The chain is base, middle,
 * top, in files without a name, and memory says what the top reads.
 */
#ifndef TESTS_MERGE_RIG_H
#define TESTS_MERGE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/block_error.h"
#include "backends/block_mem.h"
#include "backends/block_merge.h"
#include "backends/block_now.h"
#include "backends/block_open.h"
#include "backends/vhd.h"
#include "backends/vhdx.h"
#include "core/util.h"

#define MIB		(UINT64_C(1) << 20)
#define SIZE		(3 * MIB)	/* of the base and the middle */
#define SECTOR		512u
#define CHUNK		(64u << 10)
#define VHD_BLOCK	(256u << 10)
/* Seconds: when disks were made, and when the parent was changed last. */
#define MADE		(VHD_EPOCH + 1000000)
#define CHANGED		(VHD_EPOCH + 2000000)

/* The sibling is another child of the middle. */
enum disk { BASE, MIDDLE, TOP, SIBLING, DISKS };

static struct loop *loop;
static enum block_format format;
static int fd[DISKS];		/* files without a name */
static char *path[DISKS];
static uint8_t *shadow;		/* of the top */
static uint64_t top_size;
static uint8_t *buf;
static GRand *rand_;
static unsigned busy;
static uint32_t vhdx_block;
static struct block_backend *instead;	/* of the parent's file */
static const struct block_error_rule *rule;	/* for that */

/*
 * Disks.
 */
static inline struct block_backend *open_file(enum disk disk)
{
	const struct block_file_options o = { .path = path[disk] };
	struct block_backend *file = block_file_open(loop, &o, NULL);

	assert_non_null(file);
	return file;
}

static inline struct block_backend *try_open(enum disk disk, bool read_only,
					     GError **error)
{
	const struct block_file_options o = {
		.path = path[disk], .read_only = read_only,
	};

	return block_open(loop, &o, false, error);
}

static inline struct block_backend *open_disk(enum disk disk)
{
	g_autoptr(GError) error = NULL;
	struct block_backend *bb = try_open(disk, false, &error);

	if (!bb)
		fail_msg("%s", error->message);
	return bb;
}

static inline enum disk below(enum disk disk)
{
	return disk == SIBLING ? MIDDLE : disk - 1;
}

static inline void done(struct block_request *rq)
{
	assert_int_equal(rq->result, 0);
	busy--;
}

static inline void request(struct block_backend *bb, enum block_op op,
			   uint64_t at, uint64_t len)
{
	struct iovec iov = { buf, len };
	struct block_request rq = {
		.op = op, .offset = at, .len = len, .iov = &iov, .iovcnt = 1,
		.done = done,
	};

	busy++;
	block_submit(bb, &rq);
	while (busy)
		loop_turn(loop, true);
}

static inline void make_vhdx(enum disk disk, uint64_t size)
{
	struct vhdx_create_options o = {
		.size = size, .block_size = vhdx_block,
	};
	struct block_backend *file = open_file(disk);

	if (disk != BASE)
		assert_true(vhdx_create_options_adopt(&o, path[disk],
						      path[below(disk)], NULL));
	assert_int_equal(vhdx_format(file, &o), 0);
	vhdx_create_options_finish(&o);
	block_close(file);
}

static inline void make_vhd(enum disk disk, uint64_t size)
{
	const struct vhd_create_options o = {
		.type = disk == BASE ? VHD_DYNAMIC : VHD_DIFFERENCING,
		.size = size, .block_size = VHD_BLOCK,
		.parent = disk == BASE ? NULL : path[below(disk)],
	};
	struct block_backend *file = open_file(disk);
	struct vhd_facts f;

	assert_true(vhd_create(file, path[disk], &o, NULL));
	assert_true(vhd_read_facts(file, path[disk], &f, NULL));
	/* Not the time of this run, when parents are changed. */
	f.footer.timestamp = 1;
	vhd_footer_seal(&f.footer);
	assert_int_equal(block_write_now(file, 0, &f.footer, SECTOR), 0);
	assert_int_equal(block_write_now(file, file->size - SECTOR, &f.footer,
					 SECTOR), 0);
	block_close(file);
}

static inline void set_changed(enum disk disk, time_t seconds)
{
	struct timespec times[2] = {
		{ .tv_nsec = UTIME_OMIT }, { .tv_sec = seconds },
	};

	assert_int_equal(futimens(fd[disk], times), 0);
}

static inline void make(enum disk disk, uint64_t size)
{
	assert_int_equal(ftruncate(fd[disk], 0), 0);
	assert_int_equal(ftruncate(fd[disk], SECTOR), 0);
	if (format == BLOCK_FORMAT_VHDX)
		make_vhdx(disk, size);
	else
		make_vhd(disk, size);
	set_changed(disk, MADE);
}

/* Some pieces of data and of zeroes, up to the size of the disk. */
static inline void use(enum disk disk, unsigned requests)
{
	struct block_backend *bb = open_disk(disk);

	for (unsigned i = 0; i < requests; i++) {
		uint64_t len = SECTOR * (uint64_t)g_rand_int_range(rand_, 1,
								   100);
		uint64_t at = SECTOR * (uint64_t)g_rand_int_range(
				rand_, 0, (gint32)(bb->size / SECTOR));
		int value = g_rand_int_range(rand_, 0, 256);

		if (i == 1)
			at = 0, len = MIB, value = 0;
		if (i == 2)
			at = MIB, len = MIB;
		len = MIN(len, bb->size - at);
		memset(buf, value, len);
		memset(shadow + at, value, len);
		request(bb, value ? BLOCK_WRITE : BLOCK_WRITE_ZEROES, at, len);
	}
	block_close(bb);
	set_changed(disk, MADE);
}

static inline void compare(struct block_backend *bb)
{
	for (uint64_t at = 0; at < bb->size; at += MIB) {
		uint64_t len = MIN(MIB, bb->size - at);

		memset(buf, 0xee, len);
		request(bb, BLOCK_READ, at, len);
		assert_memory_equal(buf, shadow + at, len);
	}
}

/* To open a parent for writing is to change it. */
static inline void compare_disk(enum disk disk)
{
	struct block_backend *bb = disk == TOP ? open_disk(disk) :
				   try_open(disk, true, NULL);

	assert_non_null(bb);
	compare(bb);
	block_close(bb);
}

/* A chain whose middle and top have something of their own. */
static inline void make_chain(enum block_format f, uint32_t seed, uint64_t size)
{
	format = f;
	top_size = size;
	g_clear_pointer(&rand_, g_rand_free);
	rand_ = g_rand_new_with_seed(seed);
	memset(shadow, 0, 2 * SIZE);
	make(BASE, SIZE);
	use(BASE, 12);
	make(MIDDLE, SIZE);
	use(MIDDLE, 12);
	make(TOP, top_size);
	if (top_size < SIZE)
		memset(shadow + top_size, 0, SIZE - top_size);
	use(TOP, 12);
}

static inline enum disk disk_of(const char *name)
{
	enum disk disk = BASE;

	while (path[disk] != name)
		disk++;
	return disk;
}

static inline struct block_backend *open_parent(struct block_merge *m,
						bool read_only, GError **error)
{
	enum disk parent = below(disk_of(m->path));
	const struct block_file_options o = {
		.path = path[parent], .read_only = read_only,
	};

	struct block_backend *file;

	m->parent_path = path[parent];
	if (!read_only && instead)
		return g_steal_pointer(&instead);
	file = block_file_open(loop, &o, error);
	if (read_only || !rule)
		return file;
	file = block_error_new(loop, file);
	block_error_set(file, rule);
	return file;
}

static inline struct block_merge merge_of_files(enum disk child)
{
	return (struct block_merge){
		.loop = loop, .file = open_file(child), .path = path[child],
		.open_parent = open_parent,
	};
}

static inline int merge(struct block_merge *m, GError **error)
{
	return format == BLOCK_FORMAT_VHDX ? vhdx_merge(m, error) :
					     vhd_merge(m, error);
}

static inline void merge_files(enum disk child)
{
	g_autoptr(GError) error = NULL;
	struct block_merge m = merge_of_files(child);

	if (merge(&m, &error))
		fail_msg("%s", error ? error->message : "no error");
}

/* The top is empty: its parent stays as it is. */
static inline void check_merged(void)
{
	struct block_merge m;
	struct stat before, after;

	compare_disk(TOP);
	fstat(fd[MIDDLE], &before);
	m = merge_of_files(TOP);
	assert_int_equal(merge(&m, NULL), 0);
	assert_int_equal(m.total, 0);
	fstat(fd[MIDDLE], &after);
	if (format == BLOCK_FORMAT_VHD)
		assert_memory_equal(&before.st_mtim, &after.st_mtim,
				    sizeof(before.st_mtim));
	compare_disk(TOP);
	if (top_size >= SIZE)
		compare_disk(MIDDLE);
}

static inline int setup(void **state)
{
	loop = loop_new(NULL);
	vhdx_block = MIB;
	buf = g_aligned_alloc(1, 2 * SIZE, 4096);
	shadow = g_malloc0(2 * SIZE);
	for (unsigned i = 0; i < DISKS; i++) {
		fd[i] = memfd_create("disk", MFD_CLOEXEC);
		path[i] = g_strdup_printf("/proc/self/fd/%d", fd[i]);
	}
	return 0;
}

static inline int teardown(void **state)
{
	for (unsigned i = 0; i < DISKS; i++) {
		close(fd[i]);
		g_free(path[i]);
	}
	g_clear_pointer(&rand_, g_rand_free);
	g_free(shadow);
	g_aligned_free(buf);
	loop_free(loop);
	return 0;
}

#endif
