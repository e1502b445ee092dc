/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log of a file that was not closed: [MS-VHDX] 2.3.
 *
 * Entries are looked for at every sector of the log.  One counts if all of
 * it, by its checksum and every signature and number in it, is there.  Entries
 * that follow one another are a sequence; it is one if it has the entry that
 * its last one names as tail.  That with the highest number is written to
 * the file, from the tail on; or beside it, where that is not to be written.
 */
#include <errno.h>
#include <string.h>

#include "backends/block_now.h"
#include "backends/block_patch.h"
#include "backends/crc32c.h"
#include "backends/vhdx_internal.h"
#include "core/error.h"

#define LOG_MAX		(UINT64_C(64) << 20)	/* of what we keep in memory */
#define FILE_MAX	(UINT64_C(128) << 40)

struct found {
	uint64_t sequence;	/* 0: no entry begins here */
	uint32_t length, tail;	/* in sectors */
};

struct replay {
	struct vhdx *v;
	struct block_backend *to;	/* its file, or a patch of that */
	uint8_t *log;
	uint32_t sectors;
	struct found *found;
};

static const uint8_t *sector_at(const struct replay *r, uint32_t n)
{
	return r->log + (size_t)(n % r->sectors) * VHDX_SECTOR;
}

static struct vhdx_log_entry_header header_at(const struct replay *r,
					      uint32_t at)
{
	struct vhdx_log_entry_header h;

	memcpy(&h, sector_at(r, at), sizeof(h));
	return h;
}

static struct vhdx_log_descriptor descriptor_at(const struct replay *r,
						uint32_t at, uint32_t n)
{
	size_t offset = sizeof(struct vhdx_log_entry_header) +
			(size_t)n * sizeof(struct vhdx_log_descriptor);
	struct vhdx_log_descriptor d;

	memcpy(&d, sector_at(r, at + (uint32_t)(offset / VHDX_SECTOR)) +
		   offset % VHDX_SECTOR, sizeof(d));
	return d;
}

/* Sectors of an entry's header and descriptors. */
static uint32_t descriptor_sectors(const struct vhdx_log_entry_header *h)
{
	size_t bytes = sizeof(*h) + (size_t)h->descriptor_count *
				    sizeof(struct vhdx_log_descriptor);

	return (uint32_t)((bytes + VHDX_SECTOR - 1) / VHDX_SECTOR);
}

static bool header_good(const struct replay *r,
			const struct vhdx_log_entry_header *h)
{
	uint32_t room = h->entry_length - (uint32_t)sizeof(*h);

	return h->signature == VHDX_LOG_ENTRY_SIGNATURE &&
	       guid_equal(&h->log_guid, &r->v->header.log_guid) &&
	       h->entry_length && h->sequence_number &&
	       h->entry_length % VHDX_SECTOR == 0 &&
	       h->entry_length / VHDX_SECTOR <= r->sectors &&
	       h->tail % VHDX_SECTOR == 0 &&
	       h->tail / VHDX_SECTOR < r->sectors &&
	       h->last_file_offset <= FILE_MAX &&
	       h->descriptor_count <= room /
				      sizeof(struct vhdx_log_descriptor);
}

/* What it wants to write is behind the headers, and not the log. */
static bool descriptor_good(const struct replay *r,
			    const struct vhdx_log_entry_header *h,
			    const struct vhdx_log_descriptor *d)
{
	const struct vhdx_region *log = &r->v->layout.log;
	bool data = d->signature == VHDX_LOG_DATA_DESCRIPTOR;
	uint64_t len = data ? VHDX_SECTOR : d->leading_bytes;
	uint64_t end = MAX(h->last_file_offset, r->v->file->size);

	return (data || d->signature == VHDX_LOG_ZERO_DESCRIPTOR) &&
	       d->sequence_number == h->sequence_number &&
	       (d->file_offset | len) % VHDX_SECTOR == 0 &&
	       d->file_offset >= VHDX_REGION1_OFFSET &&
	       d->file_offset <= end && len <= end - d->file_offset &&
	       (d->file_offset >= log->offset + log->length ||
		d->file_offset + len <= log->offset);
}

static bool data_good(const struct vhdx_log_data_sector *s, uint64_t sequence)
{
	return s->signature == VHDX_LOG_DATA_SIGNATURE &&
	       s->sequence_high == (uint32_t)(sequence >> 32) &&
	       s->sequence_low == (uint32_t)sequence;
}

static bool entry_good(const struct replay *r, uint32_t at,
		       const struct vhdx_log_entry_header *h)
{
	uint32_t first = descriptor_sectors(h), data = 0;
	uint32_t length = h->entry_length / VHDX_SECTOR;
	uint32_t crc = vhdx_checksum(sector_at(r, at), VHDX_SECTOR);

	for (uint32_t i = 0; i < h->descriptor_count; i++) {
		struct vhdx_log_descriptor d = descriptor_at(r, at, i);

		if (!descriptor_good(r, h, &d))
			return false;
		data += d.signature == VHDX_LOG_DATA_DESCRIPTOR;
	}
	if (length != first + data)
		return false;
	for (uint32_t i = 1; i < length; i++) {
		const uint8_t *s = sector_at(r, at + i);

		if (i >= first && !data_good((const void *)s,
					     h->sequence_number))
			return false;
		crc = crc32c(crc, s, VHDX_SECTOR);
	}
	return crc == h->checksum;
}

static void find_entries(struct replay *r)
{
	for (uint32_t at = 0; at < r->sectors; at++) {
		struct vhdx_log_entry_header h = header_at(r, at);

		if (!header_good(r, &h) || !entry_good(r, at, &h))
			continue;
		r->found[at] = (struct found){
			.sequence = h.sequence_number,
			.length = h.entry_length / VHDX_SECTOR,
			.tail = h.tail / VHDX_SECTOR,
		};
	}
}

/*
 * The last entry of what begins at @start; @has_tail: whether the entry that
 * it names as tail is part of that.
 */
static uint32_t follow(const struct replay *r, uint32_t start, bool *has_tail)
{
	uint32_t at = start, next, length = r->found[start].length;

	for (;; at = next) {
		next = (at + r->found[at].length) % r->sectors;
		if (r->found[next].sequence != r->found[at].sequence + 1 ||
		    r->found[next].length > r->sectors - length)
			break;
		length += r->found[next].length;
	}
	*has_tail = false;
	for (uint32_t e = start; !*has_tail; ) {
		*has_tail = e == r->found[at].tail;
		if (e == at)
			break;
		e = (e + r->found[e].length) % r->sectors;
	}
	return at;
}

/* The last entry of the active sequence; false: there is none. */
static bool find_head(const struct replay *r, uint32_t *head)
{
	uint64_t best = 0;

	for (uint32_t start = 0; start < r->sectors; start++) {
		bool has_tail;
		uint32_t at;

		if (!r->found[start].sequence)
			continue;
		at = follow(r, start, &has_tail);
		if (has_tail && r->found[at].sequence > best) {
			best = r->found[at].sequence;
			*head = at;
		}
	}
	return best != 0;
}

static int apply_data(const struct replay *r, uint32_t sector,
		      const struct vhdx_log_descriptor *d)
{
	const struct vhdx_log_data_sector *s = (const void *)
					       sector_at(r, sector);
	uint8_t bytes[VHDX_SECTOR];

	memcpy(bytes, &d->leading_bytes, 8);
	memcpy(bytes + 8, s->data, sizeof(s->data));
	memcpy(bytes + VHDX_SECTOR - 4, &d->trailing_bytes, 4);
	return block_write_now(r->to, d->file_offset, bytes, sizeof(bytes));
}

static int apply_entry(const struct replay *r, uint32_t at)
{
	struct vhdx_log_entry_header h = header_at(r, at);
	struct block_backend *file = r->to;
	uint32_t sector = at + descriptor_sectors(&h);
	int ret = 0;

	/* Something that was flushed is not there any more. */
	if (file->size < h.flushed_file_offset)
		return -ENODATA;
	if (file->size < h.last_file_offset)
		ret = block_grow_now(file, (h.last_file_offset +
					    VHDX_MIB - 1) & ~(VHDX_MIB - 1));
	for (uint32_t i = 0; i < h.descriptor_count && !ret; i++) {
		struct vhdx_log_descriptor d = descriptor_at(r, at, i);

		if (d.signature == VHDX_LOG_DATA_DESCRIPTOR)
			ret = apply_data(r, sector++, &d);
		else if (d.leading_bytes)
			ret = block_zero_now(file, d.file_offset,
					     d.leading_bytes);
	}
	return ret;
}

static int apply(const struct replay *r, uint32_t head)
{
	uint32_t at = r->found[head].tail;
	int ret;

	while (!(ret = apply_entry(r, at)) && at != head)
		at = (at + r->found[at].length) % r->sectors;
	return ret ? ret : block_flush_now(r->to);
}

static bool is_aside(const struct replay *r)
{
	return r->to != r->v->file;
}

static bool failed(const struct replay *r, int result, const char *path,
		   GError **error)
{
	if (result == -ENODATA)
		return vhdx_fail(error, path, "vhdx.truncated",
				 "it is shorter than its log says",
				 "a complete copy of it");
	if (result == -ENOBUFS)
		return vhdx_fail(error, path, "vhdx.log-changes",
				 "it was not closed, and its log has more "
				 "changes than are kept in memory",
				 "write them to their places: "
				 "kvmbus disk check --replay");
	return vhdx_fail(error, path, "vhdx.replay", g_strerror(-result),
			 is_aside(r) ? "make it readable" :
			 "make it readable and writable, with room");
}

static bool replay_log(struct replay *r, const char *path, GError **error)
{
	uint32_t head;
	int ret = block_read_now(r->v->file, r->v->layout.log.offset, r->log,
				 r->v->layout.log.length);

	if (!ret) {
		find_entries(r);
		if (!find_head(r, &head))
			return vhdx_fail(error, path, "vhdx.log-damaged",
					 "it was not closed, and its log has "
					 "no entry that is whole", NULL);
		ret = apply(r, head);
	}
	if (!ret && !is_aside(r))
		ret = vhdx_header_end_log(r->v);
	return !ret || failed(r, ret, path, error);
}

static bool replay_to(struct block_backend *to, struct vhdx *v,
		      const char *path, GError **error)
{
	struct replay r = {
		.v = v, .to = to,
		.sectors = (uint32_t)(v->layout.log.length / VHDX_SECTOR),
	};
	bool ok;

	r.log = g_malloc(v->layout.log.length);
	r.found = g_new0(struct found, r.sectors);
	ok = replay_log(&r, path, error);
	g_free(r.log);
	g_free(r.found);
	return ok;
}

static bool replay_aside(struct vhdx *v, const char *path, GError **error)
{
	struct block_backend *patch = block_patch_new(v->loop, v->file);

	v->aside = replay_to(patch, v, path, error);
	if (v->aside)
		v->file = patch;
	else
		block_patch_release(patch);
	return v->aside;
}

bool vhdx_replay(struct vhdx *v, const char *path, GError **error)
{
	if (v->layout.log.length > LOG_MAX)
		return vhdx_fail(error, path, "vhdx.log-size",
				 "it was not closed, and its log has more "
				 "than 64 MiB",
				 "let the program that wrote it close it");
	if (v->looking || v->file->read_only)
		return replay_aside(v, path, error);
	v->replayed = replay_to(v->file, v, path, error);
	return v->replayed;
}
