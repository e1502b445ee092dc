/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commits: changed pages, all that there are, become stable through the log.
 *
 *	BEGIN    once: an empty entry, then both headers say that there is a log
 *	DATA     pages are copied; what the file has by now becomes stable
 *	ENTRY    the copies are written to the log ...
 *	STABLE   ... and are stable: this is the instant at which they count
 *	APPLY    they are written to their places
 *	QUIET    requests that may use freed blocks end
 *	CLEAN    freed blocks become holes, and may be used again
 *
 * What APPLY wrote is stable after the next DATA, and so only then is the
 * entry overwritten: each entry is a sequence of its own, and they take turns
 * in the two halves of the log.
 */
#include <errno.h>
#include <string.h>

#include "backends/block_now.h"
#include "backends/crc32c.h"
#include "backends/vhdx_internal.h"
#include "core/util.h"

#define ENTRY_SIZE	(VHDX_SECTOR * (VHDX_COMMIT_PAGES + 1u))

/* The header and descriptors of a full entry fit one sector. */
_Static_assert(sizeof(struct vhdx_log_entry_header) + VHDX_COMMIT_PAGES *
	       sizeof(struct vhdx_log_descriptor) <= VHDX_SECTOR,
	       "descriptors need one sector");
/* And two entries fit the smallest log. */
_Static_assert(2 * ENTRY_SIZE <= VHDX_MIB, "entries fit halves of the log");

enum {
	IDLE, BEGIN_ENTRY, BEGIN_STABLE, BEGIN_HEADER, BEGIN_HEADER_STABLE,
	BEGIN_HEADER2, BEGIN_HEADER2_STABLE,
	REAPPLY, DATA, ENTRY, STABLE, APPLY, QUIET, CLEAN,
};

static void issue(struct vhdx *v);
static void advance(struct vhdx *v, int result);

void vhdx_log_init(struct vhdx *v)
{
	v->log.freed = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	v->freed = g_array_new(FALSE, FALSE, sizeof(uint64_t));
}

void vhdx_log_finish(struct vhdx *v)
{
	g_aligned_free(v->log.copy);
	g_aligned_free(v->log.entry);
	g_array_unref(v->log.freed);
	g_array_unref(v->freed);
}

static void step_done(struct block_request *rq)
{
	advance(container_of(rq, struct vhdx, log.rq), rq->result);
}

/* The step's request, on the loop or, when there is none any more, at once. */
static void do_step(struct vhdx *v, enum block_op op, uint64_t offset,
		    void *bytes, uint64_t len)
{
	struct vhdx_log *log = &v->log;

	log->iov = (struct iovec){ bytes, len };
	log->rq = (struct block_request){
		.op = op, .offset = offset, .len = len, .iov = &log->iov,
		.iovcnt = bytes ? 1 : 0, .done = step_done,
	};
	if (v->closing)
		advance(v, v->file->ops->perform(v->file, &log->rq));
	else
		block_submit(v->file, &log->rq);
}

static void build_data(struct vhdx_log *log, unsigned n, uint64_t sequence)
{
	struct vhdx_log_descriptor *d = (void *)
		(log->entry + sizeof(struct vhdx_log_entry_header));
	struct vhdx_log_data_sector *s = (void *)
		(log->entry + (n + 1) * VHDX_SECTOR);
	const uint8_t *page = log->copy + n * VHDX_SECTOR;

	d += n;
	*d = (struct vhdx_log_descriptor){
		.signature = VHDX_LOG_DATA_DESCRIPTOR,
		.file_offset = log->page[n]->offset,
		.sequence_number = sequence,
	};
	memcpy(&d->leading_bytes, page, 8);
	memcpy(&d->trailing_bytes, page + VHDX_SECTOR - 4, 4);
	s->signature = VHDX_LOG_DATA_SIGNATURE;
	s->sequence_high = (uint32_t)(sequence >> 32);
	memcpy(s->data, page + 8, sizeof(s->data));
	s->sequence_low = (uint32_t)sequence;
}

/* The next entry, with the copies that there are. */
static void write_entry(struct vhdx *v)
{
	struct vhdx_log *log = &v->log;
	uint32_t length = (log->count + 1) * VHDX_SECTOR;
	uint32_t at = log->slot * (uint32_t)(v->layout.log.length / 2);
	struct vhdx_log_entry_header *h = (void *)log->entry;

	memset(log->entry, 0, VHDX_SECTOR);
	*h = (struct vhdx_log_entry_header){
		.signature = VHDX_LOG_ENTRY_SIGNATURE,
		.entry_length = length,
		.tail = at,
		.sequence_number = log->sequence + 1,
		.descriptor_count = log->count,
		.log_guid = v->header.log_guid,
		.flushed_file_offset = log->file_size,
		.last_file_offset = log->file_size,
	};
	for (unsigned n = 0; n < log->count; n++)
		build_data(log, n, log->sequence + 1);
	h->checksum = crc32c(0, log->entry, length);
	do_step(v, BLOCK_WRITE, v->layout.log.offset + at, log->entry, length);
}

static void write_header(struct vhdx *v)
{
	uint64_t at = vhdx_header_next(v);

	memcpy(v->log.copy, &v->header, sizeof(v->header));
	do_step(v, BLOCK_WRITE, at, v->log.copy, sizeof(v->header));
}

static void new_data_guid(struct vhdx *v)
{
	static const struct guid any;

	if (guid_equal(&v->next_data_write, &any))
		vhdx_new_guid(&v->header.data_write_guid);
	else
		v->header.data_write_guid = v->next_data_write;
}

static void begin(struct vhdx *v, bool data)
{
	struct vhdx_log *log = &v->log;

	if (!log->entry) {
		log->copy = g_aligned_alloc(1, ENTRY_SIZE, VHDX_SECTOR);
		log->entry = g_aligned_alloc(1, ENTRY_SIZE, VHDX_SECTOR);
	}
	vhdx_new_guid(&v->header.file_write_guid);
	if (data)
		new_data_guid(v);
	vhdx_new_guid(&v->header.log_guid);
	log->file_size = v->file->size & ~(uint64_t)(VHDX_SECTOR - 1);
	log->step = BEGIN_ENTRY;
	issue(v);
}

int vhdx_begin(struct vhdx *v)
{
	struct vhdx_log *log = &v->log;

	if (log->begun || v->shared)
		return 0;
	if (log->begin_error)
		return log->begin_error;
	if (log->step == IDLE)
		begin(v, true);
	return VHDX_WAIT;
}

int vhdx_begin_now(struct vhdx *v, bool data)
{
	v->closing = true;
	if (!v->log.begun)
		begin(v, data);
	return v->log.begun ? 0 : v->log.result;
}

static void take_pages(struct vhdx *v)
{
	struct vhdx_log *log = &v->log;
	GArray *none = log->freed;

	g_assert(v->cache.dirty.length <= VHDX_COMMIT_PAGES);
	while (v->cache.dirty.length) {
		struct vhdx_page *p = v->cache.dirty.head->data;

		g_queue_unlink(&v->cache.dirty, &p->dirty_link);
		p->dirty = false;
		p->logged = true;
		memcpy(log->copy + log->count * VHDX_SECTOR, p->bytes,
		       VHDX_SECTOR);
		log->page[log->count++] = p;
	}
	log->file_size = v->file->size & ~(uint64_t)(VHDX_SECTOR - 1);
	if (v->freed->len) {
		log->freed = v->freed;
		v->freed = none;
		v->phase ^= 1;
	}
}

/* The commit failed before it counted: as if it had never begun. */
static void give_back(struct vhdx *v)
{
	struct vhdx_log *log = &v->log;

	while (log->count) {
		struct vhdx_page *p = log->page[--log->count];

		p->logged = false;
		/* Again, it is older than what became dirty meanwhile. */
		if (p->dirty)
			g_queue_unlink(&v->cache.dirty, &p->dirty_link);
		p->dirty = true;
		g_queue_push_head_link(&v->cache.dirty, &p->dirty_link);
	}
	g_array_append_vals(v->freed, log->freed->data, log->freed->len);
	g_array_set_size(log->freed, 0);
}

static void end(struct vhdx *v, int result)
{
	struct vhdx_log *log = &v->log;

	if (log->step >= DATA && result)
		give_back(v);
	else if (log->step != IDLE && log->step < REAPPLY)
		log->begin_error = result;
	log->step = IDLE;
	log->result = log->room_error = result;
	log->finished = log->started;
	vhdx_committed(v);
}

static void apply_next(struct vhdx *v)
{
	struct vhdx_log *log = &v->log;

	do_step(v, BLOCK_WRITE, log->page[log->applied]->offset,
		log->copy + log->applied * VHDX_SECTOR, VHDX_SECTOR);
}

/* All pages are in place, or stay in the log until the next commit. */
static void apply_end(struct vhdx *v, int result)
{
	struct vhdx_log *log = &v->log;

	log->applied = 0;
	log->unapplied = result != 0;
	if (result)
		return;
	while (log->count)
		log->page[--log->count]->logged = false;
}

static uint64_t next_freed(const struct vhdx *v)
{
	const GArray *freed = v->log.freed;

	return g_array_index(freed, uint64_t, freed->len - 1);
}

/* What cannot be made zero is not used again. */
static void cleaned(struct vhdx *v, int result)
{
	if (!result)
		vhdx_space_add(v, next_freed(v));
	g_array_set_size(v->log.freed, v->log.freed->len - 1);
}

static void clean_next(struct vhdx *v)
{
	uint32_t size = v->layout.block_size;

	/* Without a loop each step would be a call deeper. */
	while (v->closing && v->log.freed->len > 1)
		cleaned(v, block_zero_now(v->file, next_freed(v), size));
	do_step(v, BLOCK_WRITE_ZEROES, next_freed(v), NULL, size);
}

static void begun(struct vhdx *v)
{
	v->log.begun = true;
	v->log.slot = 1;
	v->log.sequence = 1;
}

static void issue(struct vhdx *v)
{
	switch (v->log.step) {
	case BEGIN_ENTRY:
	case ENTRY:
		write_entry(v);
		break;
	case BEGIN_HEADER:
	case BEGIN_HEADER2:
		write_header(v);
		break;
	case REAPPLY:
	case APPLY:
		apply_next(v);
		break;
	case QUIET:
		vhdx_commit_quiet(v);
		break;
	case CLEAN:
		clean_next(v);
		break;
	default:
		do_step(v, BLOCK_FLUSH, 0, NULL, 0);
		break;
	}
}

/* The step that follows one that has ended well; IDLE: none. */
static int next_step(struct vhdx *v)
{
	struct vhdx_log *log = &v->log;

	switch (log->step) {
	case BEGIN_HEADER2_STABLE:
		begun(v);
		return IDLE;
	case REAPPLY:
		take_pages(v);
		return DATA;
	case DATA:
		return log->count ? ENTRY : IDLE;
	case STABLE:
		log->slot ^= 1;
		log->sequence++;
		return APPLY;
	case APPLY:
		return log->freed->len ? QUIET : IDLE;
	case CLEAN:
		return log->freed->len ? CLEAN : IDLE;
	default:
		return log->step + 1;
	}
}

static void advance(struct vhdx *v, int result)
{
	struct vhdx_log *log = &v->log;

	switch (log->step) {
	case REAPPLY:
	case APPLY:
		if (!result && ++log->applied < log->count) {
			issue(v);
			return;
		}
		apply_end(v, result);
		if (log->step == APPLY)
			result = 0;	/* it counts already */
		break;
	case CLEAN:
		cleaned(v, result);
		result = 0;
		break;
	}
	if (!result)
		log->step = next_step(v);
	if (result || log->step == IDLE)
		end(v, result);
	else
		issue(v);
}

void vhdx_commit_quiet(struct vhdx *v)
{
	if (v->log.step == QUIET && !v->in_flight[v->phase ^ 1])
		advance(v, 0);
}

void vhdx_commit(struct vhdx *v)
{
	struct vhdx_log *log = &v->log;

	if (log->step != IDLE)
		return;
	log->started++;
	if (log->unapplied) {
		log->step = REAPPLY;
	} else {
		take_pages(v);
		log->step = DATA;
	}
	issue(v);
}

int vhdx_commit_all(struct vhdx *v)
{
	struct vhdx_log *log = &v->log;
	bool more;

	v->closing = true;
	if (!log->begun)
		return 0;
	/* The last one has no pages: what was applied becomes stable. */
	do {
		more = v->cache.dirty.length || log->unapplied;
		vhdx_commit(v);
	} while (!log->result && more);
	return log->result ? log->result : vhdx_header_end_log(v);
}
