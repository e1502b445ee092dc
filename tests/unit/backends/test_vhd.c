/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/block_error.h"
#include "backends/block_mem.h"
#include "backends/vhd.h"
#include "backends/vhd_parent.h"
#include "block_shadow.h"
#include "core/error.h"
#include "core/util.h"

#define KIB		1024u
#define BLOCK		(64u * KIB)
#define DISK_SIZE	(19 * BLOCK + 9 * KIB)
#define BAT		1536u		/* where ours begins */
#define NAME		"disk.vhd"

static struct loop *loop;
static struct block_backend *mem, *slow, *bb;
static char *dir;

static int setup(void **state)
{
	loop = loop_new(NULL);
	assert_non_null(loop);
	return 0;
}

static int teardown(void **state)
{
	block_close(bb);
	bb = NULL;
	loop_free(loop);
	return 0;
}

static const struct block_file_options options = { .path = NAME };

/* A new dynamic disk in memory, not opened. */
static void create(enum vhd_type type, uint64_t size)
{
	const struct vhd_create_options o = {
		.type = type, .size = size, .block_size = BLOCK,
	};

	mem = block_mem_new(loop, 512, 512);
	slow = NULL;
	assert_true(vhd_create(mem, NAME, &o, NULL));
}

static void open_disk(void)
{
	g_autoptr(GError) error = NULL;

	slow = block_error_new(loop, mem);
	bb = vhd_open(loop, slow, &options, &error);
	if (!bb)
		fail_msg("%s", error->message);
}

/* Close the disk and open what is in its file. */
static void open_again(void)
{
	struct block_backend *old = mem;

	mem = block_mem_new(loop, old->size, 512);
	memcpy(block_mem_bytes(mem), block_mem_bytes(old), old->size);
	block_close(bb);
	open_disk();
}

static void random_requests_are_what_the_file_has(void **state)
{
	struct shadow s;

	for (uint32_t seed = 0; seed < 10; seed++) {
		create(seed % 2 ? VHD_DYNAMIC : VHD_FIXED, DISK_SIZE);
		open_disk();
		assert_int_equal(bb->size, DISK_SIZE);
		shadow_init(&s, loop, bb, 3 * BLOCK, seed);
		for (unsigned i = 0; i < 5; i++) {
			shadow_run(&s, 400);
			shadow_verify(&s);
			open_again();
			s.bb = bb;
			shadow_verify(&s);
		}
		shadow_finish(&s);
		block_close(bb);
		bb = NULL;
	}
}

/* One request, to its end. */
static void done(struct block_request *rq)
{
	rq->done = NULL;
}

static uint8_t buf[16 * BLOCK];

static int request(enum block_op op, uint64_t offset, uint64_t len, bool fua)
{
	struct iovec iov = { buf, len };
	struct block_request rq = {
		.op = op, .fua = fua, .offset = offset, .len = len,
		.iov = &iov, .iovcnt = 1, .done = done,
	};

	block_submit(bb, &rq);
	while (rq.done)
		loop_turn(loop, true);
	return rq.result;
}

static uint32_t bat_entry(unsigned n)
{
	uint32_t entry;

	memcpy(&entry, block_mem_bytes(mem) + BAT + 4 * n, sizeof(entry));
	return be32toh(entry);
}

static void only_what_is_written_takes_space(void **state)
{
	create(VHD_DYNAMIC, DISK_SIZE);
	open_disk();
	assert_true(mem->size < 4 * KIB);
	assert_int_equal(request(BLOCK_READ, 0, sizeof(buf), false), 0);
	assert_int_equal(request(BLOCK_WRITE_ZEROES, 0, DISK_SIZE, false), 0);
	assert_true(mem->size < 4 * KIB);
	assert_int_equal(request(BLOCK_WRITE, 5 * BLOCK, 512, false), 0);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(bat_entry(i) == VHD_UNUSED, i != 5);
	/* Data is where drives like it. */
	assert_int_equal((bat_entry(5) + 1) % 8, 0);
}

/* A footer at the end of the file, at each time. */
static bool footer_is_at_end(void)
{
	return !vhd_footer_check((void *)(block_mem_bytes(mem) + mem->size -
					  512));
}

static void the_file_ends_with_a_footer_always(void **state)
{
	create(VHD_DYNAMIC, DISK_SIZE);
	open_disk();
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(request(BLOCK_WRITE, i * BLOCK, 512, false),
				 0);
		assert_true(footer_is_at_end());
	}
}

static void writes_of_a_new_block_share_its_metadata(void **state)
{
	enum { N = 16 };
	struct block_request rq[N];
	struct iovec iov = { buf, 512 };
	unsigned before;

	create(VHD_DYNAMIC, DISK_SIZE);
	open_disk();
	before = block_mem_count(mem, BLOCK_WRITE);
	for (unsigned i = 0; i < N; i++) {
		rq[i] = (struct block_request){
			.op = BLOCK_WRITE, .offset = i * 512, .len = 512,
			.iov = &iov, .iovcnt = 1, .done = done,
		};
		block_submit(bb, &rq[i]);
	}
	while (loop_turn(loop, false))
		;
	for (unsigned i = 0; i < N; i++)
		assert_true(!rq[i].done && !rq[i].result);
	/* Footer, bitmap, BAT; and the first one may go ahead. */
	assert_true(block_mem_count(mem, BLOCK_WRITE) - before <= N + 3);
}

/* As opened, nobody knows which sectors of a block are there. */
static void a_write_does_not_wait_for_the_bitmap(void **state)
{
	struct iovec iov = { buf, 512 };
	struct block_request rq = {
		.op = BLOCK_WRITE, .offset = 512, .len = 512, .iov = &iov,
		.iovcnt = 1, .done = done,
	};
	unsigned reads, writes;

	create(VHD_DYNAMIC, DISK_SIZE);
	open_disk();
	assert_int_equal(request(BLOCK_WRITE, 0, 512, false), 0);
	open_again();
	reads = block_mem_count(mem, BLOCK_READ);
	writes = block_mem_count(mem, BLOCK_WRITE);
	block_submit(bb, &rq);
	assert_int_equal(block_mem_count(mem, BLOCK_READ), reads + 1);
	assert_int_equal(block_mem_count(mem, BLOCK_WRITE), writes + 1);
	while (rq.done)
		loop_turn(loop, true);
	/* All of a block without a parent is there. */
	assert_int_equal(block_mem_count(mem, BLOCK_WRITE), writes + 1);
}

/* Neither the write nor a read that waits beside it may be told it is well. */
static void a_bitmap_that_cannot_be_read_fails_what_needs_it(void **state)
{
	const struct block_error_rule rule = {
		.ops = 1u << BLOCK_READ, .error = -EIO,
	};
	struct iovec iov = { buf, 512 };
	struct block_request rq[2] = {
		{ .op = BLOCK_WRITE, .len = 512 },
		{ .op = BLOCK_READ, .offset = 1024, .len = 512 },
	};

	create(VHD_DYNAMIC, DISK_SIZE);
	open_disk();
	assert_int_equal(request(BLOCK_WRITE, 0, 512, false), 0);
	for (unsigned first = 0; first < 2; first++) {
		open_again();
		block_error_set(slow, &rule);
		for (unsigned i = 0; i < 2; i++) {
			struct block_request *r = &rq[(first + i) % 2];

			r->iov = &iov;
			r->iovcnt = 1;
			r->done = done;
			block_submit(bb, r);
		}
		while (rq[0].done || rq[1].done)
			loop_turn(loop, true);
		assert_int_equal(rq[0].result, -EIO);
		assert_int_equal(rq[1].result, -EIO);
		block_error_set(slow, NULL);
		memset(buf, 'n', 512);
		assert_int_equal(request(BLOCK_WRITE, 0, 512, false), 0);
		buf[0] = 0;
		assert_int_equal(request(BLOCK_READ, 0, 512, false), 0);
		assert_int_equal(buf[0], 'n');
	}
}

static void fua_makes_the_way_to_the_data_stable(void **state)
{
	unsigned before;

	create(VHD_DYNAMIC, DISK_SIZE);
	open_disk();
	assert_int_equal(request(BLOCK_WRITE, 0, 512, false), 0);
	before = block_mem_count(mem, BLOCK_FLUSH);
	assert_int_equal(request(BLOCK_WRITE, 512, 512, true), 0);
	assert_int_equal(block_mem_count(mem, BLOCK_FLUSH), before + 1);
	assert_int_equal(request(BLOCK_WRITE, 512, 512, true), 0);
	assert_int_equal(block_mem_count(mem, BLOCK_FLUSH), before + 1);
	assert_int_equal(request(BLOCK_WRITE, BLOCK, 512, false), 0);
	assert_int_equal(request(BLOCK_FLUSH, 0, 0, false), 0);
	assert_int_equal(request(BLOCK_WRITE, BLOCK, 512, true), 0);
	assert_int_equal(block_mem_count(mem, BLOCK_FLUSH), before + 2);
}

/*
 * Fail the n-th request to the file, for each n until nothing fails: what was
 * written before has to be there, and writing again has to help.
 */
static void whatever_fails_can_be_done_again(void **state)
{
	static const unsigned ops[] = {
		1u << BLOCK_WRITE, 1u << BLOCK_GROW, 1u << BLOCK_FLUSH,
		1u << BLOCK_READ,
	};

	for (unsigned i = 0; i < 4 * 8; i++) {
		const struct block_error_rule rule = {
			.ops = ops[i % 4], .error = -ENOSPC, .after = i / 4,
		};
		int result;

		create(VHD_DYNAMIC, DISK_SIZE);
		open_disk();
		memset(buf, 'a', sizeof(buf));
		assert_int_equal(request(BLOCK_WRITE, 0, 512, false), 0);
		block_error_set(slow, &rule);
		memset(buf, 'b', sizeof(buf));
		result = request(BLOCK_WRITE, BLOCK / 2, 12 * BLOCK, false);
		block_error_set(slow, NULL);
		assert_true(result == 0 || result == -ENOSPC);
		assert_int_equal(request(BLOCK_WRITE, BLOCK / 2, 4 * BLOCK,
					 false), 0);
		open_again();
		assert_int_equal(request(BLOCK_READ, 0, 4 * BLOCK, false), 0);
		assert_int_equal(buf[0], 'a');
		assert_int_equal(buf[512], 0);
		assert_int_equal(buf[BLOCK / 2 - 1], 0);
		for (unsigned n = BLOCK / 2; n < 4 * BLOCK; n++)
			assert_int_equal(buf[n], 'b');
		block_close(bb);
		bb = NULL;
	}
}

/*
 * Damage.
 */
static void expect_refused(const char *id)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *tag = g_strdup_printf("[%s]", id);

	bb = vhd_open(loop, mem, &options, &error);
	if (bb)
		fail_msg("opened, not %s", id);
	assert_int_equal(error->code, EX_DATAERR);
	assert_non_null(strstr(error->message, NAME));
	if (!strstr(error->message, tag))
		fail_msg("no %s in: %s", tag, error->message);
}

static struct vhd_footer *end_footer(void)
{
	return (void *)(block_mem_bytes(mem) + mem->size - 512);
}

static struct vhd_header *header(void)
{
	return (void *)(block_mem_bytes(mem) + 512);
}

#define FOOTER_WITH(field, value) do {					\
	create(VHD_FIXED, DISK_SIZE);					\
	end_footer()->field = value;					\
	vhd_footer_seal(end_footer());					\
	expect_refused("vhd.footer");					\
} while (0)

static void a_footer_is_checked(void **state)
{
	create(VHD_FIXED, DISK_SIZE);
	end_footer()->reserved[0] ^= 1;
	expect_refused("vhd.footer");
	create(VHD_FIXED, DISK_SIZE);
	end_footer()->cookie[7] = 'y';
	expect_refused("vhd.footer");
	FOOTER_WITH(version, htobe32(0x20000));
	FOOTER_WITH(disk_type, htobe32(1));
	FOOTER_WITH(disk_type, htobe32(5));
	FOOTER_WITH(current_size, 0);
	FOOTER_WITH(current_size, htobe64(DISK_SIZE + 1));
	create(VHD_FIXED, DISK_SIZE);
	end_footer()->current_size = htobe64(DISK_SIZE + 512);
	vhd_footer_seal(end_footer());
	expect_refused("vhd.truncated");
	create(VHD_DYNAMIC, DISK_SIZE);
	end_footer()->current_size = htobe64(VHD_SIZE_MAX + 512);
	*(struct vhd_footer *)block_mem_bytes(mem) = *end_footer();
	vhd_footer_seal(end_footer());
	expect_refused("vhd.footer");
}

#define HEADER_WITH(id, field, value) do {				\
	create(VHD_DYNAMIC, DISK_SIZE);					\
	header()->field = value;					\
	vhd_header_seal(header());					\
	expect_refused(id);						\
} while (0)

static void a_header_is_checked(void **state)
{
	create(VHD_DYNAMIC, DISK_SIZE);
	header()->reserved2[0] ^= 1;
	expect_refused("vhd.header");
	HEADER_WITH("vhd.header", cookie[0], 'x');
	HEADER_WITH("vhd.header", version, 0);
	HEADER_WITH("vhd.header", block_size, 0);
	HEADER_WITH("vhd.header", block_size, htobe32(BLOCK / 2));
	HEADER_WITH("vhd.header", block_size, htobe32(BLOCK * 3));
	HEADER_WITH("vhd.header", block_size, htobe32(128u << 20));
	HEADER_WITH("vhd.header", max_table_entries, htobe32(19));
	HEADER_WITH("vhd.header", table_offset, htobe64(BAT + 1));
	HEADER_WITH("vhd.truncated", max_table_entries, UINT32_MAX);
	HEADER_WITH("vhd.truncated", table_offset, htobe64(4 * KIB));
	HEADER_WITH("vhd.truncated", table_offset,
		    htobe64(UINT64_MAX - 511));
	for (unsigned i = 0; i < 3; i++) {
		static const uint64_t bad[] = { 513, 4 * KIB, UINT64_MAX };

		create(VHD_DYNAMIC, DISK_SIZE);
		end_footer()->data_offset = htobe64(bad[i]);
		vhd_footer_seal(end_footer());
		expect_refused("vhd.header");
	}
}

static void set_entry(unsigned n, uint32_t sector)
{
	uint32_t entry = htobe32(sector);

	memcpy(block_mem_bytes(mem) + BAT + 4 * n, &entry, sizeof(entry));
}

static void a_block_has_to_be_in_the_file(void **state)
{
	uint32_t last;

	create(VHD_DYNAMIC, DISK_SIZE);
	open_disk();
	assert_int_equal(request(BLOCK_WRITE, 0, 512, false), 0);
	open_again();
	last = (uint32_t)((mem->size - BLOCK) / 512) - 1;
	for (unsigned i = 0; i < 4; i++) {
		const uint32_t bad[] = { 0, 3, last + 1, VHD_UNUSED - 1 };

		struct block_backend *good = mem;

		mem = block_mem_new(loop, good->size, 512);
		memcpy(block_mem_bytes(mem), block_mem_bytes(good), mem->size);
		set_entry(1, bad[i]);
		block_close(bb);
		expect_refused("vhd.bat");
		create(VHD_DYNAMIC, DISK_SIZE);
		open_disk();
		assert_int_equal(request(BLOCK_WRITE, 0, 512, false), 0);
		open_again();
	}
}

/* A disk with blocks 0 and 1 in its file, of which the latter comes first. */
static void create_two_blocks(void)
{
	create(VHD_DYNAMIC, DISK_SIZE);
	open_disk();
	assert_int_equal(request(BLOCK_WRITE, BLOCK, 512, false), 0);
	assert_int_equal(request(BLOCK_WRITE, 0, 512, false), 0);
	open_again();
	slow = NULL;
}

/* For writing it is refused; who only reads it sees what there is. */
static void expect_overlap(void)
{
	struct block_backend *damaged = mem;

	mem = block_mem_new(loop, damaged->size, 512);
	memcpy(block_mem_bytes(mem), block_mem_bytes(damaged), mem->size);
	block_close(bb);
	damaged = mem;
	mem = block_mem_new(loop, damaged->size, 512);
	memcpy(block_mem_bytes(mem), block_mem_bytes(damaged), mem->size);
	mem->read_only = true;
	open_disk();
	assert_int_equal(request(BLOCK_READ, 0, 2 * BLOCK, false), 0);
	block_close(bb);
	mem = damaged;
	expect_refused("vhd.overlap");
}

static void blocks_that_share_a_place_are_not_written(void **state)
{
	const uint32_t len = BLOCK / 512 + 1;

	create_two_blocks();
	set_entry(0, bat_entry(1));
	expect_overlap();
	for (uint32_t by = 1; by < len; by++) {
		create_two_blocks();
		set_entry(1, bat_entry(0) + by);
		expect_overlap();
		create_two_blocks();
		set_entry(1, bat_entry(0) - by);
		expect_overlap();
	}
	/* Side by side there is room for all. */
	create_two_blocks();
	set_entry(2, bat_entry(0) + len);
	open_again();
}

static void a_block_is_not_on_what_leads_to_it(void **state)
{
	uint64_t inside;

	create_two_blocks();
	inside = bat_entry(1) * 512ull + 2048;
	memcpy(block_mem_bytes(mem) + inside, header(), sizeof(*header()));
	end_footer()->data_offset = htobe64(inside);
	vhd_footer_seal(end_footer());
	expect_overlap();
	create_two_blocks();
	inside = bat_entry(1) * 512ull + 2048;
	header()->locator[7] = (struct vhd_locator){
		.platform_code = htobe32(VHD_W2RU),
		.data_length = htobe32(20), .data_offset = htobe64(inside),
	};
	vhd_header_seal(header());
	expect_overlap();
}

/* Every length of file that is whole sectors is refused, or is the disk. */
static void every_truncation_is_noticed(void **state)
{
	g_autofree uint8_t *whole = NULL;
	uint64_t size;

	create(VHD_DYNAMIC, 2 * BLOCK);
	open_disk();
	memset(buf, 'd', sizeof(buf));
	assert_int_equal(request(BLOCK_WRITE, 0, 2 * BLOCK, false), 0);
	size = mem->size;
	whole = g_memdup2(block_mem_bytes(mem), size);
	block_close(bb);
	for (uint64_t len = 512; len < size; len += 512) {
		g_autoptr(GError) error = NULL;

		mem = block_mem_new(loop, len, 512);
		memcpy(block_mem_bytes(mem), whole, len);
		bb = vhd_open(loop, mem, &options, &error);
		if (bb) {
			assert_int_equal(request(BLOCK_READ, 0, 2 * BLOCK,
						 false), 0);
			assert_int_equal(buf[0], 'd');
			assert_int_equal(buf[2 * BLOCK - 1], 'd');
			assert_true(footer_is_at_end());
			block_close(bb);
			bb = NULL;
		} else {
			assert_int_equal(error->code, EX_DATAERR);
		}
	}
}

static void the_copy_helps_where_the_footer_is_lost(void **state)
{
	create(VHD_DYNAMIC, DISK_SIZE);
	open_disk();
	memset(buf, 'd', sizeof(buf));
	assert_int_equal(request(BLOCK_WRITE, BLOCK, 512, false), 0);
	memset(end_footer(), 0, 512);
	open_again();
	assert_int_equal(request(BLOCK_READ, BLOCK, 512, false), 0);
	assert_int_equal(buf[0], 'd');
	assert_true(footer_is_at_end());
}

/* What a write left in free room that the BAT never got to know of. */
static void old_data_does_not_show_in_new_blocks(void **state)
{
	create(VHD_DYNAMIC, DISK_SIZE);
	open_disk();
	memset(buf, 'o', sizeof(buf));
	assert_int_equal(request(BLOCK_WRITE, 0, 2 * BLOCK, false), 0);
	set_entry(1, VHD_UNUSED);
	open_again();
	assert_int_equal(request(BLOCK_WRITE, 5 * BLOCK, 512, false), 0);
	assert_int_equal(request(BLOCK_READ, 5 * BLOCK, BLOCK, false), 0);
	for (unsigned i = 512; i < BLOCK; i++)
		assert_int_equal(buf[i], 0);
}

static void read_only_files_are_not_touched(void **state)
{
	create(VHD_DYNAMIC, DISK_SIZE);
	memset(end_footer(), 0, 512);
	mem->read_only = true;		/* then memory aborts on writes */
	open_disk();
	assert_true(bb->read_only);
	assert_int_equal(request(BLOCK_READ, 0, DISK_SIZE % sizeof(buf),
				 false), 0);
}

/*
 * Chains, in files.
 */
static struct block_backend *open_path(const char *name, bool read_only,
				       GError **error)
{
	g_autofree char *path = g_build_filename(dir, name, NULL);
	const struct block_file_options o = {
		.path = path, .read_only = read_only,
	};
	struct block_backend *file = block_file_open(loop, &o, error);

	return file ? vhd_open(loop, file, &o, error) : NULL;
}

static void create_path(const char *name, enum vhd_type type,
			const char *parent)
{
	g_autofree char *path = g_build_filename(dir, name, NULL);
	g_autofree char *parent_path = parent ?
		g_build_filename(dir, parent, NULL) : NULL;
	const struct vhd_create_options o = {
		.type = type, .block_size = BLOCK, .parent = parent_path,
		.size = parent ? 0 : DISK_SIZE,
	};
	const struct block_file_options f = { .path = path };
	g_autoptr(GError) error = NULL;
	struct block_backend *file;

	assert_true(g_file_set_contents(path, (char *)buf, 512, NULL));
	file = block_file_open(loop, &f, NULL);
	assert_non_null(file);
	if (!vhd_create(file, path, &o, &error))
		fail_msg("%s", error->message);
	block_close(file);
}

static int setup_files(void **state)
{
	dir = g_dir_make_tmp("vhd-XXXXXX", NULL);
	assert_non_null(dir);
	return setup(state);
}

static int teardown_files(void **state)
{
	g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
	const char *name;

	teardown(state);
	while ((name = g_dir_read_name(d))) {
		g_autofree char *path = g_build_filename(dir, name, NULL);

		unlink(path);
	}
	rmdir(dir);
	g_clear_pointer(&dir, g_free);
	return 0;
}

static int open_header(const char *name, struct vhd_header *h)
{
	g_autofree char *path = g_build_filename(dir, name, NULL);
	int fd = open(path, O_RDWR);

	assert_int_equal(pread(fd, h, sizeof(*h), 512), sizeof(*h));
	return fd;
}

static void close_header(int fd, struct vhd_header *h)
{
	vhd_header_seal(h);
	assert_int_equal(pwrite(fd, h, sizeof(*h), 512), sizeof(*h));
	close(fd);
}

static void differences_are_kept_from_their_parents(void **state)
{
	struct shadow s;
	struct block_backend *b;

	create_path("a.vhd", VHD_DYNAMIC, NULL);
	b = open_path("a.vhd", false, NULL);
	shadow_init(&s, loop, b, 2 * BLOCK, 1);
	shadow_run(&s, 100);
	block_close(b);
	create_path("b.vhd", VHD_DIFFERENCING, "a.vhd");
	b = open_path("b.vhd", false, NULL);
	assert_non_null(b);
	s.bb = b;
	shadow_verify(&s);
	shadow_run(&s, 200);
	shadow_verify(&s);
	block_close(b);
	create_path("c.vhd", VHD_DIFFERENCING, "b.vhd");
	b = open_path("c.vhd", false, NULL);
	assert_non_null(b);
	for (unsigned i = 0; i < 4; i++) {
		s.bb = b;
		shadow_verify(&s);
		shadow_run(&s, 300);
		shadow_verify(&s);
		block_close(b);
		b = open_path("c.vhd", false, NULL);
		assert_non_null(b);
	}
	block_close(b);
	shadow_finish(&s);
}

static void expect_no_chain(const char *name, int status, const char *text)
{
	g_autoptr(GError) error = NULL;
	struct block_backend *b = open_path(name, false, &error);

	assert_null(b);
	assert_int_equal(error->code, status);
	if (!strstr(error->message, text))
		fail_msg("no %s in: %s", text, error->message);
}

static void move(const char *from, const char *to)
{
	g_autofree char *a = g_build_filename(dir, from, NULL);
	g_autofree char *b = g_build_filename(dir, to, NULL);

	assert_int_equal(rename(a, b), 0);
}

static void the_parent_has_to_be_the_right_one(void **state)
{
	const time_t then = VHD_EPOCH + 1000;
	struct timespec times[2] = { { .tv_sec = then }, { .tv_sec = then } };
	g_autofree char *parent = g_build_filename(dir, "a.vhd", NULL);
	struct vhd_header h;
	int fd;

	create_path("a.vhd", VHD_FIXED, NULL);
	create_path("b.vhd", VHD_DIFFERENCING, "a.vhd");
	move("a.vhd", "x");
	expect_no_chain("b.vhd", EX_DATAERR, "[disk.parent-missing]");
	expect_no_chain("b.vhd", EX_DATAERR, "a.vhd");
	create_path("a.vhd", VHD_FIXED, NULL);
	expect_no_chain("b.vhd", EX_DATAERR, "[vhd.parent-id]");
	move("x", "a.vhd");
	fd = open_header("b.vhd", &h);
	h.parent_timestamp = htobe32(1000);
	close_header(fd, &h);
	expect_no_chain("b.vhd", EX_DATAERR, "[vhd.parent-changed]");
	expect_no_chain("b.vhd", EX_DATAERR, "touch -d @946685800 ");
	assert_int_equal(utimensat(AT_FDCWD, parent, times, 0), 0);
	bb = open_path("b.vhd", false, NULL);
	assert_non_null(bb);
	/* It is read, so that nobody may write it. */
	expect_no_chain("a.vhd", EX_TEMPFAIL, "[disk.locked]");
}

/* A locator as Windows writes it, in the sector at @at. */
static void put_locator(struct vhd_locator *l, uint32_t code, const char *text,
			uint32_t len, uint64_t at)
{
	memset(block_mem_bytes(mem) + at, 0, 512);
	memcpy(block_mem_bytes(mem) + at, text, len);
	*l = (struct vhd_locator){
		.platform_code = htobe32(code), .data_space = htobe32(512),
		.data_length = htobe32(len), .data_offset = htobe64(at),
	};
}

#define PUT16(n, code, text, at)					\
	put_locator(&h.locator[n], code, (const char *)u"" text,	\
		    sizeof(u"" text) - 2, at)

static void windows_paths_are_looked_for_beside_the_child(void **state)
{
	static const char *const want[] = {
		"/d/../base/p.vhd", "/x y/p.vhd", "/d/q.vhd", "/d/r.vhd",
	};
	g_autoptr(GPtrArray) paths = NULL;
	struct vhd_header h = { 0 };

	mem = block_mem_new(loop, 8 * KIB, 512);
	PUT16(0, VHD_W2KU, "C:\\vm\\q.vhd", 0);
	put_locator(&h.locator[1], VHD_MACX, "file:///x%20y/p.vhd", 19, 512);
	PUT16(2, VHD_W2RU, "..\\base\\p.vhd", 1024);
	PUT16(3, VHD_W2KU, "\\\\host\\share\\q.vhd", 1536);
	memcpy(h.parent_name, "\0r\0.\0v\0h\0d", 10);
	paths = vhd_parent_paths(mem, &h, "/d/child.vhd");
	assert_int_equal(paths->len, G_N_ELEMENTS(want));
	for (unsigned i = 0; i < paths->len; i++)
		assert_string_equal(paths->pdata[i], want[i]);
	block_close(mem);
}

static void locators_that_point_nowhere_are_none(void **state)
{
	static const struct { uint32_t len; uint64_t at; } bad[] = {
		{ 0, 0 }, { 4097, 0 }, { 20, 1 }, { 20, 8 * KIB },
		{ 600, 8 * KIB - 512 }, { 20, UINT64_MAX - 511 },
	};

	mem = block_mem_new(loop, 8 * KIB, 512);
	memset(block_mem_bytes(mem), 'x', mem->size);
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GPtrArray) paths = NULL;
		struct vhd_header h = { .locator[0] = {
			.platform_code = htobe32(VHD_W2RU),
			.data_length = htobe32(bad[i].len),
			.data_offset = htobe64(bad[i].at),
		} };

		paths = vhd_parent_paths(mem, &h, "/d/child.vhd");
		assert_int_equal(paths->len, 0);
	}
	block_close(mem);
}

static void a_chain_that_bites_its_tail_is_refused(void **state)
{
	g_autoptr(GError) error = NULL;
	struct vhd_footer f;
	struct vhd_header h;
	int fd;

	create_path("a.vhd", VHD_DYNAMIC, NULL);
	create_path("b.vhd", VHD_DIFFERENCING, "a.vhd");
	/* Its parent is itself, by id and by the only name. */
	fd = open_header("b.vhd", &h);
	assert_int_equal(pread(fd, &f, sizeof(f), 0), sizeof(f));
	memcpy(h.parent_unique_id, f.unique_id, 16);
	h.parent_timestamp = 0;
	h.locator[0].platform_code = h.locator[1].platform_code = 0;
	h.parent_name[0] = htobe16('b');
	close_header(fd, &h);
	assert_null(open_path("b.vhd", true, &error));
	assert_non_null(strstr(error->message, "[disk.parent-loop]"));
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
#define FILES(f) cmocka_unit_test_setup_teardown(f, setup_files, teardown_files)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(random_requests_are_what_the_file_has),
		TEST(only_what_is_written_takes_space),
		TEST(the_file_ends_with_a_footer_always),
		TEST(writes_of_a_new_block_share_its_metadata),
		TEST(a_write_does_not_wait_for_the_bitmap),
		TEST(a_bitmap_that_cannot_be_read_fails_what_needs_it),
		TEST(fua_makes_the_way_to_the_data_stable),
		TEST(whatever_fails_can_be_done_again),
		TEST(a_footer_is_checked),
		TEST(a_header_is_checked),
		TEST(a_block_has_to_be_in_the_file),
		TEST(blocks_that_share_a_place_are_not_written),
		TEST(a_block_is_not_on_what_leads_to_it),
		TEST(every_truncation_is_noticed),
		TEST(the_copy_helps_where_the_footer_is_lost),
		TEST(old_data_does_not_show_in_new_blocks),
		TEST(read_only_files_are_not_touched),
		TEST(windows_paths_are_looked_for_beside_the_child),
		TEST(locators_that_point_nowhere_are_none),
		FILES(differences_are_kept_from_their_parents),
		FILES(the_parent_has_to_be_the_right_one),
		FILES(a_chain_that_bites_its_tail_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
