/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * drive - requests to an image as a disk's channel makes them, without a guest.
 *
 *	drive IMAGE read|write COUNT DEPTH LENGTH STEP [overlay]
 *
 * Requests of LENGTH bytes, DEPTH at a time, begin every STEP bytes and start
 * over at the disk's end; a write is followed by others, a flush ends all.
 * Prints the milliseconds that opening took, the KiB of memory that came with
 * it, and the seconds and processor seconds of the requests.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "backends/block_open.h"
#include "backends/block_overlay.h"
#include "core/util.h"

struct drive;

struct slot {
	struct drive *drive;
	struct block_request rq;
	struct iovec iov;
};

struct drive {
	struct loop *loop;
	struct block_backend *bb;
	enum block_op op;
	uint64_t count, length, step;
	uint64_t started, at;
	unsigned busy;
	struct slot *slots;
};

static void slot_next(struct slot *s);

static void done(struct block_request *rq)
{
	struct slot *s = container_of(rq, struct slot, rq);

	if (rq->result) {
		fprintf(stderr, "drive: %s\n", g_strerror(-rq->result));
		exit(1);
	}
	s->drive->busy--;
	slot_next(s);
}

static void submit(struct slot *s, enum block_op op, uint64_t at,
		   uint64_t len)
{
	s->rq = (struct block_request){
		.op = op, .offset = at, .len = len, .iov = &s->iov,
		.iovcnt = len ? 1 : 0, .done = done,
	};
	s->drive->busy++;
	block_submit(s->drive->bb, &s->rq);
}

static void slot_next(struct slot *s)
{
	struct drive *d = s->drive;
	uint64_t at = d->at;

	if (d->started == d->count)
		return;
	d->started++;
	d->at += d->step;
	if (d->at + d->length > d->bb->size)
		d->at %= d->step;
	submit(s, d->op, at, d->length);
}

static void wait(struct drive *d)
{
	while (d->busy)
		loop_turn(d->loop, true);
}

static void run(struct drive *d, unsigned depth)
{
	d->slots = g_new0(struct slot, depth);
	for (unsigned i = 0; i < depth; i++) {
		struct slot *s = &d->slots[i];

		s->drive = d;
		s->iov.iov_base = g_aligned_alloc(1, d->length, 4096);
		s->iov.iov_len = d->length;
		memset(s->iov.iov_base, 'x', d->length);
		slot_next(s);
	}
	wait(d);
	submit(&d->slots[0], BLOCK_FLUSH, 0, 0);
	wait(d);
	for (unsigned i = 0; i < depth; i++)
		g_aligned_free(d->slots[i].iov.iov_base);
	g_free(d->slots);
}

static long resident_kib(void)
{
	g_autofree char *text = NULL;
	unsigned long size, resident = 0;

	if (g_file_get_contents("/proc/self/statm", &text, NULL, NULL) &&
	    sscanf(text, "%lu %lu", &size, &resident) != 2)
		resident = 0;
	return (long)resident * sysconf(_SC_PAGESIZE) / 1024;
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void open_disk(struct drive *d, const char *path, bool overlay)
{
	const struct block_file_options o = {
		.path = path, .direct = true,
		.read_only = overlay || d->op == BLOCK_READ,
	};
	g_autoptr(GError) error = NULL;

	d->bb = block_open(d->loop, &o, false, &error);
	if (d->bb && overlay)
		d->bb = block_overlay_open(d->loop, d->bb, 0, &error);
	if (!d->bb) {
		fprintf(stderr, "drive: %s\n", error->message);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	struct drive d = { 0 };
	int64_t begin, opened, end;
	double cpu;
	long kib;

	if (argc < 7)
		return 2;
	d.op = !strcmp(argv[2], "write") ? BLOCK_WRITE : BLOCK_READ;
	d.count = g_ascii_strtoull(argv[3], NULL, 0);
	d.length = g_ascii_strtoull(argv[5], NULL, 0);
	d.step = g_ascii_strtoull(argv[6], NULL, 0);
	d.loop = loop_new(NULL);
	kib = resident_kib();
	begin = g_get_monotonic_time();
	open_disk(&d, argv[1], argc > 7);
	opened = g_get_monotonic_time();
	kib = resident_kib() - kib;
	cpu = cpu_seconds();
	run(&d, (unsigned)strtoul(argv[4], NULL, 0));
	end = g_get_monotonic_time();
	printf("%.3f %ld %.6f %.6f\n", (double)(opened - begin) / 1e3, kib,
	       (double)(end - opened) / 1e6, cpu_seconds() - cpu);
	block_close(d.bb);
	loop_free(d.loop);
	return 0;
}
