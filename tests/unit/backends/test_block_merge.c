/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Differencing disks that go into their parents.  The chain is base, middle,
 * top, and memory says what the top reads.
 *
 * Crashes of the host: the files of the top and of its parent keep one record
 * of what is done to them; then, for each instant, files are made as a crash
 * could have left them: what a flush of the file has covered, and of what came
 * later some, in parts.
 */
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

/* What was done to a file, in order. */
struct record {
	enum disk disk;
	enum block_op op;
	uint64_t offset, len;
	uint8_t *bytes;
	unsigned covers;	/* BLOCK_FLUSH: records that are stable */
};

struct recorder {
	struct block_backend bb;
	enum disk disk;
	struct loop_note note;
	GQueue queue;
	struct block_backend *mem;
};

static struct loop *loop;
static enum block_format format;
static int fd[DISKS];		/* files without a name */
static char *path[DISKS];
static uint8_t *shadow;		/* of the top */
static uint64_t top_size;
static uint8_t *buf;
static GRand *rand_;
static GArray *records;
static unsigned busy;
static uint32_t vhdx_block;
static struct block_backend *instead;	/* of the parent's file */
static const struct block_error_rule *rule;	/* for that */

/*
 * Disks.
 */
static struct block_backend *open_file(enum disk disk)
{
	const struct block_file_options o = { .path = path[disk] };
	struct block_backend *file = block_file_open(loop, &o, NULL);

	assert_non_null(file);
	return file;
}

static struct block_backend *try_open(enum disk disk, bool read_only,
				      GError **error)
{
	const struct block_file_options o = {
		.path = path[disk], .read_only = read_only,
	};

	return block_open(loop, &o, false, error);
}

static struct block_backend *open_disk(enum disk disk)
{
	g_autoptr(GError) error = NULL;
	struct block_backend *bb = try_open(disk, false, &error);

	if (!bb)
		fail_msg("%s", error->message);
	return bb;
}

static enum disk below(enum disk disk)
{
	return disk == SIBLING ? MIDDLE : disk - 1;
}

static void done(struct block_request *rq)
{
	assert_int_equal(rq->result, 0);
	busy--;
}

static void request(struct block_backend *bb, enum block_op op, uint64_t at,
		    uint64_t len)
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

static void make_vhdx(enum disk disk, uint64_t size)
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

static void make_vhd(enum disk disk, uint64_t size)
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

static void set_changed(enum disk disk, time_t seconds)
{
	struct timespec times[2] = {
		{ .tv_nsec = UTIME_OMIT }, { .tv_sec = seconds },
	};

	assert_int_equal(futimens(fd[disk], times), 0);
}

static void make(enum disk disk, uint64_t size)
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
static void use(enum disk disk, unsigned requests)
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

static void compare(struct block_backend *bb)
{
	for (uint64_t at = 0; at < bb->size; at += MIB) {
		uint64_t len = MIN(MIB, bb->size - at);

		memset(buf, 0xee, len);
		request(bb, BLOCK_READ, at, len);
		assert_memory_equal(buf, shadow + at, len);
	}
}

/* To open a parent for writing is to change it. */
static void compare_disk(enum disk disk)
{
	struct block_backend *bb = disk == TOP ? open_disk(disk) :
				   try_open(disk, true, NULL);

	assert_non_null(bb);
	compare(bb);
	block_close(bb);
}

/* A chain whose middle and top have something of their own. */
static void make_chain(enum block_format f, uint32_t seed, uint64_t size)
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

static enum disk disk_of(const char *name)
{
	enum disk disk = BASE;

	while (path[disk] != name)
		disk++;
	return disk;
}

static struct block_backend *open_parent(struct block_merge *m, bool read_only,
					 GError **error)
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

static struct block_merge merge_of_files(enum disk child)
{
	return (struct block_merge){
		.loop = loop, .file = open_file(child), .path = path[child],
		.open_parent = open_parent,
	};
}

static int merge(struct block_merge *m, GError **error)
{
	return format == BLOCK_FORMAT_VHDX ? vhdx_merge(m, error) :
					     vhd_merge(m, error);
}

static void merge_files(enum disk child)
{
	g_autoptr(GError) error = NULL;
	struct block_merge m = merge_of_files(child);

	if (merge(&m, &error))
		fail_msg("%s", error ? error->message : "no error");
}

/* The top is empty: its parent stays as it is. */
static void check_merged(void)
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

static int setup(void **state)
{
	loop = loop_new(NULL);
	vhdx_block = MIB;
	buf = g_aligned_alloc(1, 2 * SIZE, 4096);
	shadow = g_malloc0(2 * SIZE);
	for (unsigned i = 0; i < DISKS; i++) {
		fd[i] = memfd_create("disk", MFD_CLOEXEC);
		path[i] = g_strdup_printf("/proc/self/fd/%d", fd[i]);
	}
	records = g_array_new(FALSE, FALSE, sizeof(struct record));
	return 0;
}

static void forget_records(void)
{
	for (unsigned i = 0; i < records->len; i++)
		g_free(g_array_index(records, struct record, i).bytes);
	g_array_set_size(records, 0);
}

static int teardown(void **state)
{
	for (unsigned i = 0; i < DISKS; i++) {
		close(fd[i]);
		g_free(path[i]);
	}
	forget_records();
	g_array_unref(records);
	g_clear_pointer(&rand_, g_rand_free);
	g_free(shadow);
	g_aligned_free(buf);
	loop_free(loop);
	return 0;
}

/*
 * What is read.
 */
static void both_read_what_the_child_had(enum block_format f)
{
	for (uint32_t seed = 0; seed < 6; seed++) {
		make_chain(f, seed, SIZE);
		merge_files(TOP);
		check_merged();
	}
}

static void a_vhdx_and_its_parent_read_what_it_had(void **state)
{
	both_read_what_the_child_had(BLOCK_FORMAT_VHDX);
}

static void a_vhd_and_its_parent_read_what_it_had(void **state)
{
	both_read_what_the_child_had(BLOCK_FORMAT_VHD);
}

/* A page has bits of 16 MiB.  The first sector and the count of runs. */
static void bits_of_a_block_may_have_several_pages(void **state)
{
	static const uint32_t runs[][2] = {
		{ 0, 1 }, { 32767, 2 }, { 40000, 7 }, { 65535, 3 }, { 67000, 1 },
	};
	struct block_backend *bb;

	format = BLOCK_FORMAT_VHDX;
	vhdx_block = 32 * MIB;
	for (enum disk disk = BASE; disk <= TOP; disk++)
		make(disk, 33 * MIB);
	bb = open_disk(TOP);
	memset(buf, 1, MIB);
	for (size_t i = 0; i < G_N_ELEMENTS(runs); i++)
		request(bb, BLOCK_WRITE, runs[i][0] * SECTOR,
			runs[i][1] * SECTOR);
	block_close(bb);
	merge_files(TOP);
	bb = try_open(MIDDLE, true, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(runs); i++) {
		uint32_t before = runs[i][0] != 0, end = before + runs[i][1];

		request(bb, BLOCK_READ, (runs[i][0] - before) * SECTOR,
			(end + 1) * SECTOR);
		for (uint32_t n = 0; n <= end; n++)
			assert_int_equal(buf[n * SECTOR],
					 n >= before && n < end);
	}
	block_close(bb);
}

static void an_empty_child_is_as_large_as_a_new_one(void **state)
{
	struct stat fresh, emptied;

	for (unsigned f = BLOCK_FORMAT_VHD; f <= BLOCK_FORMAT_VHDX; f++) {
		make_chain((enum block_format)f, 1, SIZE);
		make(TOP, SIZE);
		fstat(fd[TOP], &fresh);
		make_chain((enum block_format)f, 1, SIZE);
		merge_files(TOP);
		fstat(fd[TOP], &emptied);
		assert_int_equal(fresh.st_size, emptied.st_size);
	}
}

/* And can be used as such. */
static void an_empty_child_takes_writes_again(void **state)
{
	for (unsigned f = BLOCK_FORMAT_VHD; f <= BLOCK_FORMAT_VHDX; f++) {
		make_chain((enum block_format)f, 7, SIZE);
		for (unsigned i = 0; i < 3; i++) {
			merge_files(TOP);
			compare_disk(TOP);
			use(TOP, 12);
			compare_disk(TOP);
		}
	}
}

static void a_parent_grows_with_its_child(void **state)
{
	make_chain(BLOCK_FORMAT_VHDX, 3, SIZE + MIB / 2);
	merge_files(TOP);
	check_merged();
	make_chain(BLOCK_FORMAT_VHD, 3, SIZE);
	memset(shadow, 0, 2 * SIZE);
	make(BASE, SIZE);
	use(BASE, 12);
	make(MIDDLE, SIZE + MIB / 2);
	use(MIDDLE, 12);
	merge_files(MIDDLE);
	compare_disk(MIDDLE);
	compare_disk(BASE);
}

static void a_vhd_with_a_parent_does_not_grow(void **state)
{
	g_autoptr(GError) error = NULL;
	struct block_merge m;

	make_chain(BLOCK_FORMAT_VHD, 3, SIZE + MIB / 2);
	m = merge_of_files(TOP);
	assert_int_equal(merge(&m, &error), 1);
	assert_non_null(strstr(error->message, "larger than its parent"));
	compare_disk(TOP);
}

static void a_larger_parent_keeps_its_end(void **state)
{
	g_autofree uint8_t *end = g_malloc(MIB);

	for (unsigned f = BLOCK_FORMAT_VHD; f <= BLOCK_FORMAT_VHDX; f++) {
		struct block_backend *bb;

		make_chain((enum block_format)f, 5, SIZE - MIB - SECTOR);
		bb = try_open(MIDDLE, true, NULL);
		request(bb, BLOCK_READ, top_size, MIB);
		memcpy(end, buf, MIB);
		block_close(bb);
		merge_files(TOP);
		bb = open_disk(MIDDLE);
		assert_int_equal(bb->size, SIZE);
		request(bb, BLOCK_READ, top_size, MIB);
		assert_memory_equal(buf, end, MIB);
		block_close(bb);
	}
}

static void other_children_lose_their_parent(void **state)
{
	for (unsigned f = BLOCK_FORMAT_VHD; f <= BLOCK_FORMAT_VHDX; f++) {
		g_autoptr(GError) error = NULL;

		make_chain((enum block_format)f, 11, SIZE);
		make(SIBLING, SIZE);
		block_close(open_disk(SIBLING));
		merge_files(TOP);
		/* It is later than when the sibling was made. */
		if (format == BLOCK_FORMAT_VHD)
			set_changed(MIDDLE, CHANGED);
		assert_null(try_open(SIBLING, false, &error));
		assert_non_null(strstr(error->message, "since"));
	}
}

static void a_child_that_is_empty_takes_its_parent_from_nobody(void **state)
{
	for (unsigned f = BLOCK_FORMAT_VHD; f <= BLOCK_FORMAT_VHDX; f++) {
		make_chain((enum block_format)f, 11, SIZE);
		make(SIBLING, SIZE);
		make(TOP, SIZE);
		merge_files(TOP);
		block_close(open_disk(TOP));
		block_close(open_disk(SIBLING));
	}
}

/* By its time, or by its DataWriteGuid. */
static void an_empty_child_knows_its_parent_from_a_changed_one(void **state)
{
	for (unsigned f = BLOCK_FORMAT_VHD; f <= BLOCK_FORMAT_VHDX; f++) {
		g_autoptr(GError) error = NULL;

		make_chain((enum block_format)f, 15, SIZE);
		merge_files(TOP);
		use(MIDDLE, 1);
		set_changed(MIDDLE, CHANGED);
		assert_null(try_open(TOP, false, &error));
		assert_non_null(strstr(error->message, "since"));
	}
}

/* What the middle shows does not change when its parent gets what it has. */
static void a_grandchild_keeps_its_parent(void **state)
{
	make_chain(BLOCK_FORMAT_VHDX, 13, SIZE);
	merge_files(MIDDLE);
	compare_disk(TOP);
	merge_files(TOP);
	check_merged();
}

/*
 * What fails.
 */
static void stop_early(struct block_merge *m, uint64_t copied)
{
	if (copied > m->total / 2)
		m->stop = -EINTR;
}

static void what_is_stopped_goes_on(void **state)
{
	for (unsigned f = BLOCK_FORMAT_VHD; f <= BLOCK_FORMAT_VHDX; f++) {
		struct block_merge m;

		make_chain((enum block_format)f, 17, SIZE);
		m = merge_of_files(TOP);
		m.progress = stop_early;
		assert_int_equal(merge(&m, NULL), -EINTR);
		compare_disk(TOP);
		merge_files(TOP);
		check_merged();
	}
}

/* The @after-th write to the file of @disk finds no room. */
static int merge_without_room(enum disk disk, unsigned after)
{
	const struct block_error_rule full = {
		.ops = 1u << BLOCK_WRITE | 1u << BLOCK_WRITE_ZEROES |
		       1u << BLOCK_GROW,
		.error = -ENOSPC, .after = after,
	};
	struct block_merge m = merge_of_files(TOP);
	int result;

	if (disk == TOP) {
		m.file = block_error_new(loop, m.file);
		block_error_set(m.file, &full);
	} else {
		rule = &full;
	}
	result = merge(&m, NULL);
	rule = NULL;
	return result;
}

static void without_room_nothing_is_lost(enum block_format f, enum disk disk)
{
	unsigned after = 0;
	int result;

	make_chain(f, 19, SIZE);
	do {
		result = merge_without_room(disk, after++);
		compare_disk(TOP);
		use(TOP, 6);
	} while (result);
	assert_true(after > 5);
	merge_files(TOP);
	check_merged();
}

static void a_disk_without_room_loses_nothing(void **state)
{
	for (unsigned f = BLOCK_FORMAT_VHD; f <= BLOCK_FORMAT_VHDX; f++) {
		without_room_nothing_is_lost((enum block_format)f, TOP);
		without_room_nothing_is_lost((enum block_format)f, MIDDLE);
	}
}

/*
 * Crashes.
 */
static bool is_change(enum block_op op)
{
	return op != BLOCK_READ && op != BLOCK_FLUSH;
}

static void act(struct recorder *r, struct block_request *rq)
{
	struct record record = {
		.disk = r->disk, .op = rq->op, .offset = rq->offset,
		.len = rq->len,
		/* Set when it was submitted. */
		.covers = (unsigned)rq->result,
	};

	if (rq->op == BLOCK_WRITE) {
		uint8_t *to = record.bytes = g_malloc(rq->len);

		for (int i = 0; i < rq->iovcnt; i++) {
			memcpy(to, rq->iov[i].iov_base, rq->iov[i].iov_len);
			to += rq->iov[i].iov_len;
		}
	}
	if (rq->op != BLOCK_READ)
		g_array_append_val(records, record);
	if (is_change(rq->op) && r->disk == MIDDLE)
		set_changed(MIDDLE, CHANGED);
	r->mem->ops->perform(r->mem, rq);
	r->bb.size = r->mem->size;
}

/* One at a time and in any order. */
static void recorder_run(struct loop_note *note)
{
	struct recorder *r = container_of(note, struct recorder, note);
	struct block_request *rq;

	rq = g_queue_pop_nth(&r->queue, (guint)
			     g_rand_int_range(rand_, 0,
					      (gint32)r->queue.length));
	if (!g_queue_is_empty(&r->queue))
		loop_post(loop, &r->note);
	act(r, rq);
	rq->result = 0;
	rq->done(rq);
}

static void recorder_submit(struct block_backend *bb, struct block_request *rq)
{
	struct recorder *r = container_of(bb, struct recorder, bb);

	rq->result = (int)records->len;
	g_queue_push_tail(&r->queue, rq);
	loop_post(loop, &r->note);
}

static int recorder_perform(struct block_backend *bb, struct block_request *rq)
{
	struct recorder *r = container_of(bb, struct recorder, bb);

	rq->result = (int)records->len;
	act(r, rq);
	return 0;
}

static void recorder_close(struct block_backend *bb)
{
}

static const struct block_backend_ops recorder_ops = {
	.name = "recorder", .submit = recorder_submit,
	.perform = recorder_perform, .close = recorder_close,
};

static struct block_backend *load(enum disk disk)
{
	struct stat st;
	struct block_backend *mem;

	assert_int_equal(fstat(fd[disk], &st), 0);
	mem = block_mem_new(loop, (uint64_t)st.st_size, SECTOR);
	assert_int_equal(pread(fd[disk], block_mem_bytes(mem),
			       (size_t)st.st_size, 0), st.st_size);
	return mem;
}

static void store(enum disk disk, struct block_backend *mem)
{
	const uint8_t *bytes = block_mem_bytes(mem);

	assert_int_equal(ftruncate(fd[disk], 0), 0);
	assert_int_equal(ftruncate(fd[disk], (off_t)mem->size), 0);
	for (uint64_t at = 0; at < mem->size; at += CHUNK) {
		size_t len = MIN(CHUNK, mem->size - at);

		/* Most of it is zero. */
		if (bytes[at] || memcmp(bytes + at, bytes + at + 1, len - 1))
			assert_int_equal(pwrite(fd[disk], bytes + at, len,
						(off_t)at), len);
	}
}

static void recorder_init(struct recorder *r, enum disk disk)
{
	*r = (struct recorder){
		.disk = disk, .mem = load(disk), .note.run = recorder_run,
	};
	r->bb = *r->mem;
	r->bb.ops = &recorder_ops;
}

static void redo(struct block_backend *mem, const struct record *r, GRand *torn)
{
	uint64_t end = r->op == BLOCK_WRITE ? r->offset + r->len : 0;
	uint8_t *to;

	/* A write behind the end makes a file longer. */
	if (r->op == BLOCK_GROW || end > mem->size)
		mem->ops->perform(mem, &(struct block_request){
			.op = BLOCK_GROW,
			.offset = r->op == BLOCK_GROW ? r->offset : end,
		});
	to = block_mem_bytes(mem) + r->offset;
	for (uint64_t at = 0; at < r->len && r->offset + at < mem->size;
	     at += SECTOR) {
		if (torn && g_rand_boolean(torn))
			continue;
		if (r->op == BLOCK_WRITE)
			memcpy(to + at, r->bytes + at, SECTOR);
		else if (r->op == BLOCK_WRITE_ZEROES)
			memset(to + at, 0, SECTOR);
	}
}

/* @how: of what no flush has covered, all, nothing, or parts. */
static void restore(enum disk disk, struct block_backend *base, unsigned when,
		    unsigned how)
{
	const struct record *r = (const void *)records->data;
	struct block_backend *mem = block_mem_new(loop, base->size, SECTOR);
	unsigned stable = 0;

	memcpy(block_mem_bytes(mem), block_mem_bytes(base), base->size);
	for (unsigned i = 0; i < when; i++)
		if (r[i].disk == disk && r[i].op == BLOCK_FLUSH)
			stable = MAX(stable, r[i].covers);
	for (unsigned i = 0; i < when; i++) {
		if (r[i].disk != disk || !is_change(r[i].op))
			continue;
		if (i < stable || how == 0)
			redo(mem, &r[i], NULL);
		else if (how > 1 && g_rand_boolean(rand_))
			redo(mem, &r[i], how == 3 ? rand_ : NULL);
	}
	store(disk, mem);
	block_close(mem);
}

/* When the middle was changed: it is not known while it may be changing. */
static time_t time_at(unsigned when, time_t before)
{
	const struct record *r = (const void *)records->data;
	unsigned first = 0, last = 0;

	for (unsigned i = 0; i < records->len; i++) {
		if (r[i].disk != MIDDLE)
			continue;
		last = i;
		if (is_change(r[i].op) && !first)
			first = i;
	}
	return when <= first ? before : when > last ? CHANGED : CHANGED / 2;
}

static void crash(struct block_backend *const base[DISKS], unsigned when,
		  unsigned how, time_t before)
{
	restore(MIDDLE, base[MIDDLE], when, how);
	restore(TOP, base[TOP], when, how);
	if (format == BLOCK_FORMAT_VHD)
		set_changed(MIDDLE, time_at(when, before));
	compare_disk(TOP);
	merge_files(TOP);
	check_merged();
}

static void record_merge(struct recorder *r)
{
	struct block_merge m = {
		.loop = loop, .file = &r[TOP].bb, .path = path[TOP],
		.open_parent = open_parent,
	};

	recorder_init(&r[MIDDLE], MIDDLE);
	recorder_init(&r[TOP], TOP);
	forget_records();
	instead = &r[MIDDLE].bb;
	assert_int_equal(merge(&m, NULL), 0);
	assert_true(m.total > 2 * MIB);
	assert_true(records->len > 50);
}

static void survive(enum block_format f, uint32_t seed, uint64_t size)
{
	struct recorder r[DISKS];
	struct block_backend *base[DISKS];
	struct stat st;

	make_chain(f, seed, size);
	fstat(fd[MIDDLE], &st);
	base[MIDDLE] = load(MIDDLE);
	base[TOP] = load(TOP);
	record_merge(r);
	for (unsigned when = 0; when <= records->len; when++)
		crash(base, when, when % 4, st.st_mtim.tv_sec);
	block_close(base[MIDDLE]);
	block_close(base[TOP]);
	block_close(r[MIDDLE].mem);
	block_close(r[TOP].mem);
}

static void a_vhdx_reads_the_same_after_each_crash(void **state)
{
	survive(BLOCK_FORMAT_VHDX, 23, SIZE);
	survive(BLOCK_FORMAT_VHDX, 24, SIZE + MIB / 2);
}

static void a_vhd_reads_the_same_after_each_crash(void **state)
{
	survive(BLOCK_FORMAT_VHD, 25, SIZE);
	survive(BLOCK_FORMAT_VHD, 26, SIZE - MIB / 2);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_vhdx_and_its_parent_read_what_it_had),
		TEST(a_vhd_and_its_parent_read_what_it_had),
		TEST(bits_of_a_block_may_have_several_pages),
		TEST(an_empty_child_is_as_large_as_a_new_one),
		TEST(an_empty_child_takes_writes_again),
		TEST(a_parent_grows_with_its_child),
		TEST(a_vhd_with_a_parent_does_not_grow),
		TEST(a_larger_parent_keeps_its_end),
		TEST(other_children_lose_their_parent),
		TEST(a_child_that_is_empty_takes_its_parent_from_nobody),
		TEST(an_empty_child_knows_its_parent_from_a_changed_one),
		TEST(a_grandchild_keeps_its_parent),
		TEST(what_is_stopped_goes_on),
		TEST(a_disk_without_room_loses_nothing),
		TEST(a_vhdx_reads_the_same_after_each_crash),
		TEST(a_vhd_reads_the_same_after_each_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
