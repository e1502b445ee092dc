/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Crashes of the host.  A file that keeps a record of what is done to it is
 * written through a VHDX; then, for each instant, a file is made as a crash
 * could have left it: all that a flush has covered, and of what came later
 * some, in parts.  It has to open and to have all that was flushed.
 */
#include "vhdx_rig.h"

#include "core/util.h"

#define CELL		(64u << 10)
#define CELLS		160u		/* 10 MiB */
#define SECTOR		512u
#define STEPS		60u
#define LARGE_SIZE	(300u * UINT64_C(1024) * MIB)	/* for a longer BAT */

/* What was done to the file, in order. */
struct record {
	enum block_op op;
	uint64_t offset, len;
	uint8_t *bytes;
	unsigned covers;	/* BLOCK_FLUSH: records that are stable */
};

struct recorder {
	struct block_backend bb;
	struct loop *loop;
	struct loop_note note;
	GQueue queue;
	GArray *records;
	struct block_backend *mem;
};

/* What was written to a cell, and when: counts of records. */
struct version {
	uint8_t value;
	unsigned begun, flushed;
};

static struct rig rig;
static struct recorder recorder;
static GArray *versions[CELLS];

static void act(struct recorder *r, const struct block_request *rq)
{
	struct record record = {
		.op = rq->op, .offset = rq->offset, .len = rq->len,
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
		g_array_append_val(r->records, record);
	r->mem->ops->perform(r->mem, (struct block_request *)rq);
	r->bb.size = r->mem->size;
}

static void recorder_run(struct loop_note *note)
{
	struct recorder *r = container_of(note, struct recorder, note);
	struct block_request *rq;

	/* One at a time, so that they and flushes mix. */
	rq = g_queue_pop_head(&r->queue);
	if (!g_queue_is_empty(&r->queue))
		loop_post(r->loop, &r->note);
	act(r, rq);
	rq->result = 0;
	rq->done(rq);
}

static void recorder_submit(struct block_backend *bb, struct block_request *rq)
{
	struct recorder *r = container_of(bb, struct recorder, bb);

	rq->result = (int)r->records->len;
	g_queue_push_tail(&r->queue, rq);
	loop_post(r->loop, &r->note);
}

static int recorder_perform(struct block_backend *bb, struct block_request *rq)
{
	struct recorder *r = container_of(bb, struct recorder, bb);

	rq->result = (int)r->records->len;
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

static int setup(void **state)
{
	const struct vhdx_create_options o = {
		.size = CELLS * CELL, .block_size = MIB,
	};

	rig = (struct rig){ .loop = loop_new(NULL) };
	rig.buf = g_malloc(RIG_BUFFER);
	recorder = (struct recorder){
		.loop = rig.loop, .note.run = recorder_run,
		.mem = block_mem_new(rig.loop, MIB, 512),
		.records = g_array_new(FALSE, FALSE, sizeof(struct record)),
	};
	recorder.bb = *recorder.mem;
	recorder.bb.ops = &recorder_ops;
	for (unsigned i = 0; i < CELLS; i++) {
		struct version none = { 0 };

		versions[i] = g_array_new(FALSE, FALSE, sizeof(none));
		g_array_append_val(versions[i], none);
	}
	assert_int_equal(vhdx_format(&recorder.bb, &o), 0);
	return 0;
}

static int teardown(void **state)
{
	for (unsigned i = 0; i < recorder.records->len; i++)
		g_free(g_array_index(recorder.records, struct record,
				     i).bytes);
	g_array_unref(recorder.records);
	for (unsigned i = 0; i < CELLS; i++)
		g_array_unref(versions[i]);
	block_close(recorder.mem);
	g_free(rig.buf);
	loop_free(rig.loop);
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

/* Two requests at a time, in halves of the disk; now and then a flush. */
static void use_disk(GRand *rand)
{
	for (unsigned n = 0; n < STEPS; n++) {
		struct rig_request r[2];

		for (unsigned half = 0; half < 2; half++) {
			unsigned first = half * CELLS / 2 + (unsigned)
				g_rand_int_range(rand, 0, CELLS / 2 - 16);
			unsigned count = (unsigned)g_rand_int_range(rand, 1,
								    5);
			bool zero = g_rand_int_range(rand, 0, 3) == 0;

			if (zero) {
				first &= ~15u;
				count = 16;
			}
			write_cells(rand, first, count, zero, &r[half],
				    rig.buf + half * RIG_BUFFER / 2);
		}
		rig_settle(&rig);
		assert_int_equal(r[0].rq.result | r[1].rq.result, 0);
		if (g_rand_int_range(rand, 0, 3) == 0)
			flush_all();
	}
}

static void redo(struct block_backend *mem, const struct record *r,
		 GRand *torn)
{
	uint64_t end = r->op == BLOCK_WRITE_ZEROES ? 0 : r->offset + r->len;
	uint8_t *to;

	if (r->op == BLOCK_GROW && r->offset < mem->size)
		mem->ops->perform(mem, &(struct block_request){
			.op = BLOCK_GROW, .offset = r->offset,
		});
	/* So does a write behind the end. */
	if (end > mem->size)
		mem->ops->perform(mem, &(struct block_request){
			.op = BLOCK_GROW, .offset = end,
		});
	to = block_mem_bytes(mem) + r->offset;
	for (uint64_t at = 0; at < r->len && r->offset < mem->size;
	     at += SECTOR) {
		if (torn && g_rand_boolean(torn))
			continue;
		if (r->op == BLOCK_WRITE)
			memcpy(to + at, r->bytes + at, SECTOR);
		else if (r->op == BLOCK_WRITE_ZEROES)
			memset(to + at, 0, SECTOR);
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

/* @how: of what no flush has covered, all, nothing, or parts. */
static void crash(struct block_backend *base, unsigned from, unsigned when,
		  unsigned how, GRand *rand)
{
	struct block_backend *mem = block_mem_new(rig.loop, base->size, 512);
	const struct record *r = (const void *)recorder.records->data;
	g_autoptr(GError) error = NULL;
	unsigned stable = from;

	memcpy(block_mem_bytes(mem), block_mem_bytes(base), base->size);
	for (unsigned i = from; i < when; i++)
		if (r[i].op == BLOCK_FLUSH && r[i].covers > stable)
			stable = r[i].covers;
	for (unsigned i = from; i < when; i++)
		if (i < stable || how == 0)
			redo(mem, &r[i], NULL);
		else if (how > 1 && g_rand_boolean(rand))
			redo(mem, &r[i], how == 3 ? rand : NULL);
	rig.bb = vhdx_open(rig.loop, mem, "crashed", &error);
	if (!rig.bb)
		fail_msg("crash at %u: %s", when, error->message);
	check_disk(when);
	block_close(rig.bb);
}

static void what_was_flushed_survives_each_crash(void **state)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(3);
	struct block_backend *base;
	const struct record *r;
	unsigned from;

	from = recorder.records->len;
	base = block_mem_new(rig.loop, recorder.mem->size, 512);
	memcpy(block_mem_bytes(base), block_mem_bytes(recorder.mem),
	       base->size);
	rig.bb = vhdx_open(rig.loop, &recorder.bb, "recorded", NULL);
	assert_non_null(rig.bb);
	use_disk(rand);
	block_close(rig.bb);
	r = (const void *)recorder.records->data;
	for (unsigned when = from; when <= recorder.records->len; when++)
		crash(base, from, when, when % 4, rand);
	/* It was worth it: entries in the log, and space used again. */
	assert_true(recorder.records->len - from > 3 * STEPS);
	assert_true(r[from].op == BLOCK_WRITE);
	block_close(base);
}

static void a_disk_has_its_old_size_or_its_new_one(void **state)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(5);
	struct block_backend *base;
	unsigned from;

	rig.bb = vhdx_open(rig.loop, &recorder.bb, "recorded", NULL);
	use_disk(rand);
	flush_all();
	block_close(rig.bb);
	from = recorder.records->len;
	base = block_mem_new(rig.loop, recorder.mem->size, 512);
	memcpy(block_mem_bytes(base), block_mem_bytes(recorder.mem),
	       base->size);
	rig.bb = vhdx_open(NULL, &recorder.bb, "recorded", NULL);
	assert_int_equal(vhdx_resize(rig.bb, LARGE_SIZE), 0);
	block_close(rig.bb);
	for (unsigned when = from; when <= recorder.records->len; when++)
		for (unsigned how = 0; how < 4; how++)
			crash(base, from, when, how, rand);
	rig.bb = vhdx_open(rig.loop, &recorder.bb, "recorded", NULL);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
