/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Crashes of the host while a disk goes into its parent.  The files of both
 * keep one record of what is done to them; then, for each instant, files are
 * made as a crash could have left them: what a flush of the file has covered,
 * and of what came later some, in parts.
 */
#include "merge_rig.h"

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

static GArray *records;

static void forget_records(void)
{
	for (unsigned i = 0; i < records->len; i++)
		g_free(g_array_index(records, struct record, i).bytes);
	g_array_set_size(records, 0);
}

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

static int setup_records(void **state)
{
	records = g_array_new(FALSE, FALSE, sizeof(struct record));
	return setup(state);
}

static int forget_all(void **state)
{
	forget_records();
	g_array_unref(records);
	return teardown(state);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup_records, forget_all)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_vhdx_reads_the_same_after_each_crash),
		TEST(a_vhd_reads_the_same_after_each_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
