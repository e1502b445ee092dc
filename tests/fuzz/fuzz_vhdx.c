/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VHDX files of any kind: opened, their log replayed, read, written, mended,
 * resized, merged, closed.
 *
 * The input is a list of steps.  Some change bytes of a good file, in places
 * that structures are in, before it is opened, and checksums are made right
 * again; the others are requests.  The file in memory aborts on a range that
 * nobody has checked.  Some of the disks are children of one in another file.
 * Who only reads a disk has to see what it is when its log is replayed.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backends/block_mem.h"
#include "backends/block_merge.h"
#include "backends/block_now.h"
#include "backends/crc32c.h"
#include "backends/vhdx.h"
#include "core/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MIB		(UINT64_C(1) << 20)
#define DISK_SIZE	(6 * MIB)
#define KEPT		(6 * MIB)	/* of a good file, before zeroes */
#define REQUESTS	8
#define CHUNK		(64u << 10)

/* Beside a count of changes, and what is done to the disk. */
enum flags { DIRTY = 1, MEND = 16, ENLARGE = 32, CHILD = 128 };
#define MERGE		(MEND | ENLARGE | CHILD)	/* all of these */
#define COMPARE		(MEND | ENLARGE)		/* only these */

#define GROW	255	/* as a step, while nothing is under way */

enum kind { CHANGE, READ_SOME, WRITE_SOME, ZERO, FLUSH, TURN, KINDS };

struct step {
	uint8_t kind, place;
	uint16_t offset;
	uint64_t value;
};

static const struct block_file_options options = { .path = "fuzz" };
static struct loop *loop;
static uint8_t buf[2 * MIB];
static unsigned busy;
static char *parent;		/* the path of the disk that children have */

static void fix(uint8_t *p, size_t len)
{
	uint32_t crc;

	memset(p + 4, 0, 4);
	crc = crc32c(0, p, len);
	memcpy(p + 4, &crc, 4);
}

static void fix_entry(uint8_t *entry)
{
	uint32_t length;

	memcpy(&length, entry + 8, 4);
	if (length >= 4096 && length <= MIB / 2)
		fix(entry, length);
}

/* Some bytes of one structure, then its checksum. */
static void change(struct block_backend *file, const struct step *s)
{
	static const struct {
		uint32_t at, checked;	/* bytes that a checksum covers */
		bool entry;		/* of the log */
	} places[] = {
		{ 0, 0 }, { 64 << 10, 4096 }, { 128 << 10, 4096 },
		{ 192 << 10, 65536 }, { 256 << 10, 65536 },
		{ MIB, 0, true }, { MIB + MIB / 2, 0, true },
		{ 2 * MIB, 0 }, { 2 * MIB + 65536, 0 }, { 3 * MIB, 0 },
		/* Of a child: the entry of its bitmap block, and that. */
		{ 3 * MIB + 32768, 0 }, { 4 * MIB, 0 },
	};
	unsigned n = s->place % G_N_ELEMENTS(places);
	uint8_t *p;

	/* A file without blocks ends behind its BAT. */
	if (places[n].at >= file->size)
		return;
	p = block_mem_part(file, places[n].at, MIB / 2);
	memcpy(p + s->offset % 512 + (s->offset & 1024 ? 4096 : 0), &s->value,
	       s->offset & 512 ? 8 : 1);
	if (places[n].checked)
		fix(p, places[n].checked);
	else if (places[n].entry)
		fix_entry(p);
}

static void settle(void)
{
	while (busy)
		loop_turn(loop, true);
	while (loop_turn(loop, false))
		;
}

static void done(struct block_request *rq)
{
	if (!rq->backend)
		abort();
	rq->backend = NULL;
	busy--;
}

/* @rq and @v are in use until it is done. */
static void submit(struct block_backend *bb, struct block_request *rq,
		   struct iovec *v, const struct step *s)
{
	static const enum block_op ops[KINDS] = {
		[READ_SOME] = BLOCK_READ, [WRITE_SOME] = BLOCK_WRITE,
		[ZERO] = BLOCK_WRITE_ZEROES, [FLUSH] = BLOCK_FLUSH,
	};
	uint64_t unit = bb->block_size, units = bb->size / unit;
	uint64_t at = s->value % units * unit;
	/* Mostly short ones; some touch several blocks. */
	uint64_t n = s->offset & 7 ? s->offset >> 3 & 63 : s->offset >> 3;
	uint64_t len = MIN((n + 1) * unit, bb->size - at);

	len = MIN(len, sizeof(buf));
	*v = (struct iovec){ buf, len };
	*rq = (struct block_request){
		.op = ops[s->kind], .offset = at, .len = len, .iov = v,
		.iovcnt = 1, .fua = s->place & 1, .done = done, .backend = bb,
	};
	busy++;
	block_submit(bb, rq);
}

static void use(struct block_backend *bb, struct reader *in)
{
	static struct block_request rq[REQUESTS];
	static struct iovec part[REQUESTS];
	unsigned n = 0, i;
	struct step s;

	memset(rq, 0, sizeof(rq));
	while (READ(in, &s)) {
		if (s.kind == GROW) {
			settle();
			block_extend(bb, bb->size +
				     (s.offset % 64 ?: 200u << 10) * MIB);
			continue;
		}
		s.kind %= KINDS;
		if (s.kind == TURN || s.kind == CHANGE ||
		    (bb->read_only && (s.kind == WRITE_SOME ||
				       s.kind == ZERO)))
			loop_turn(loop, false);
		else if (!rq[i = n++ % REQUESTS].backend)
			submit(bb, &rq[i], &part[i], &s);
	}
	settle();
	for (n = 0; n < REQUESTS; n++)
		if (rq[n].backend)
			abort();
}

/* The path of a disk, in a file without a name, that has something. */
static char *make_parent(void)
{
	static const struct vhdx_create_options o = {
		.size = DISK_SIZE - 512, .block_size = 1 << 20,
	};
	int fd = memfd_create("parent", MFD_CLOEXEC);
	char *path = g_strdup_printf("/proc/self/fd/%d", fd);
	const struct block_file_options f = { .path = path };
	struct block_request rq = { 0 };
	struct block_backend *bb;
	struct iovec v;

	if (ftruncate(fd, (off_t)MIB) < 0)
		abort();
	bb = block_file_open(loop, &f, NULL);
	if (!bb || vhdx_format(bb, &o))
		abort();
	bb = vhdx_open(loop, bb, &f, NULL);
	memset(buf, 'p', sizeof(buf));
	submit(bb, &rq, &v, &(struct step){ .kind = WRITE_SOME,
					    .offset = 65528 });
	settle();
	block_close(bb);
	return path;
}

static void format(struct block_backend *mem, bool child)
{
	struct vhdx_create_options o = {
		.size = DISK_SIZE, .block_size = 1 << 20,
	};

	if (child && !parent)
		parent = make_parent();
	if (child && !vhdx_create_options_adopt(&o, options.path, parent, NULL))
		abort();
	if (vhdx_format(mem, &o))
		abort();
	vhdx_create_options_finish(&o);
}

/* A good file, perhaps with a log that is not empty. */
static struct block_backend *make_good(unsigned flags)
{
	struct block_backend *mem = block_mem_new(loop, MIB, 512), *copy, *bb;
	struct block_request rq = { 0 };
	struct iovec v;

	format(mem, flags & CHILD);
	if (!(flags & DIRTY))
		return mem;
	bb = vhdx_open(loop, mem, &options, NULL);
	submit(bb, &rq, &v, &(struct step){ .kind = WRITE_SOME, .place = 1 });
	settle();
	copy = block_mem_new(loop, mem->size, 512);
	memcpy(block_mem_bytes(copy), block_mem_bytes(mem), mem->size);
	block_close(bb);
	return copy;
}

struct good {
	struct block_backend *file;
	bool data[KEPT / CHUNK];	/* chunks that are not all zero */
};

static const struct good *get_good(unsigned flags)
{
	static struct good good[(DIRTY | CHILD) + 1];
	struct good *g = &good[flags];

	if (g->file)
		return g;
	g->file = make_good(flags);
	for (unsigned n = 0; n < MIN(g->file->size / CHUNK,
				     G_N_ELEMENTS(g->data)); n++) {
		const uint8_t *p = block_mem_part(g->file, n * CHUNK, CHUNK);

		g->data[n] = *p || memcmp(p, p + 1, CHUNK - 1) != 0;
	}
	return g;
}

/* Most of a file is zero, as it begins. */
static struct block_backend *make_file(unsigned flags)
{
	const struct good *g = get_good(flags & (DIRTY | CHILD));
	struct block_backend *file = block_mem_new(loop, g->file->size, 512);

	for (unsigned n = 0; n < G_N_ELEMENTS(g->data); n++)
		if (g->data[n])
			memcpy(block_mem_part(file, n * CHUNK, CHUNK),
			       block_mem_part(g->file, n * CHUNK, CHUNK),
			       CHUNK);
	return file;
}

/* What "kvmbus disk" does to it. */
static void mend(struct block_backend *bb)
{
	struct vhdx_survey s;

	block_next_data(bb, 0);
	if (!vhdx_survey(bb, &s))
		vhdx_repair(bb, &s);
	vhdx_survey_finish(&s);
}

static void resize(struct block_backend *bb, uint8_t how)
{
	if (how & ENLARGE)
		vhdx_resize(bb, bb->size + (how & 64 ? 256 << 10 : 3) * MIB);
	else if (how & 64)
		vhdx_resize(bb, bb->size / 2 / 4096 * 4096);
}

/* The file that the input asks for. */
static struct block_backend *change_file(unsigned flags, struct reader *in)
{
	struct block_backend *file = make_file(flags);
	struct step s;

	for (unsigned n = flags >> 1 & 7; n && READ(in, &s); n--)
		change(file, &s);
	return file;
}

/* What cannot be written can be read, unless more is wrong with it. */
static struct block_backend *open_file(unsigned flags, struct reader *in)
{
	struct reader again = *in;
	struct block_backend *bb, *file = change_file(flags, in);

	if (flags & MEND)
		return vhdx_open_damaged(file, "fuzz", NULL);
	bb = vhdx_open(loop, file, &options, NULL);
	if (bb)
		return bb;
	file = change_file(flags, &again);
	file->read_only = true;
	return vhdx_open(loop, file, &options, NULL);
}

static int read_part(struct block_backend *bb, uint64_t at, uint64_t len,
		     uint8_t *to)
{
	struct iovec v = { to, len };
	struct block_request rq = {
		.op = BLOCK_READ, .offset = at, .len = len, .iov = &v,
		.iovcnt = 1, .done = done, .backend = bb,
	};

	busy++;
	block_submit(bb, &rq);
	settle();
	return rq.result;
}

static void compare_disks(struct block_backend *a, struct block_backend *b)
{
	static uint8_t other[sizeof(buf)];

	if (a->size != b->size || a->block_size != b->block_size)
		abort();
	for (uint64_t at = 0; at < MIN(a->size, DISK_SIZE);
	     at += sizeof(buf)) {
		uint64_t len = MIN(sizeof(buf), a->size - at);
		int ret = read_part(a, at, len, buf);

		if (ret != read_part(b, at, len, other) ||
		    (!ret && memcmp(buf, other, len)))
			abort();
	}
}

/* A log that is replayed in memory, and one that is replayed. */
static void compare(unsigned flags, struct reader *in)
{
	struct reader again = *in;
	struct block_backend *file = change_file(flags, in), *bb, *written;

	file->read_only = true;
	bb = vhdx_open(loop, file, &options, NULL);
	written = vhdx_open(loop, change_file(flags, &again), &options, NULL);
	if (bb && written)
		compare_disks(bb, written);
	else if (written)
		abort();
	if (bb)
		use(bb, in);
	block_close(bb);
	block_close(written);
}

/* It stays as it is for the next input. */
static struct block_backend *copy_parent(struct block_merge *m, bool read_only,
					 GError **error)
{
	const struct block_file_options o = {
		.path = parent, .read_only = true,
	};
	struct block_backend *file = block_file_open(NULL, &o, error);
	struct block_backend *mem = block_mem_new(loop, file->size, 512);

	if (block_read_now(file, 0, block_mem_bytes(mem), file->size))
		abort();
	block_close(file);
	m->parent_path = parent;
	return mem;
}

static void merge(struct block_backend *file)
{
	struct block_merge m = {
		.loop = loop, .file = file, .path = options.path,
		.open_parent = copy_parent,
	};
	g_autoptr(GError) error = NULL;

	if ((vhdx_merge(&m, &error) == 1) != (error != NULL))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader in = { data, size };
	struct block_backend *bb;
	uint8_t first;

	if (!READ(&in, &first))
		return 0;
	if (!loop)
		loop = loop_new(NULL);
	if ((first & MERGE) == MERGE) {
		merge(change_file(first, &in));
		return 0;
	}
	if ((first & MERGE) == COMPARE) {
		compare(first, &in);
		return 0;
	}
	bb = open_file(first, &in);
	if (bb && first & MEND) {
		mend(bb);
	} else if (bb) {
		use(bb, &in);
		if (!bb->read_only)
			resize(bb, first);
	}
	block_close(bb);
	return 0;
}
