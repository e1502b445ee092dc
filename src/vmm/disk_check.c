/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is wrong with an image, one line each. */
#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/block_now.h"
#include "backends/vhdx.h"
#include "core/error.h"
#include "vmm/disk_internal.h"
#include "vmm/disk_report.h"

#define REPAIR	"kvmbus disk check --repair"

struct check {
	struct block_backend *file;
	const struct disk_args *args;
	struct vhd_facts facts;
	unsigned blocks;	/* that are used; of these ... */
	unsigned outside;	/* ... beyond the file's end, */
	unsigned shared;	/* and on others */
	struct vhdx_survey survey;
	bool no_footer, no_copy;
	bool mended;
};

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Entries that are outside of the file, or share a part of it with others. */
static void count_blocks(struct check *c, uint32_t *entries, uint32_t count)
{
	uint32_t block = be32toh(c->facts.header.block_size);
	uint64_t len = vhd_bitmap_size(block) + (uint64_t)block, end = 0;

	for (uint32_t i = 0; i < count; i++)
		entries[i] = be32toh(entries[i]);
	qsort(entries, count, sizeof(*entries), by_value);
	for (uint32_t i = 0; i < count && entries[i] != VHD_UNUSED; i++) {
		uint64_t at = (uint64_t)entries[i] * VHD_SECTOR;

		c->blocks++;
		if (at > c->file->size || len > c->file->size - at)
			c->outside++;
		else if (at < end || vhd_is_on_structure(c->file, &c->facts, at, len))
			c->shared++;
		end = at + len;
	}
}

static bool check_table(struct check *c, GError **error)
{
	uint32_t count = vhd_blocks(&c->facts);
	uint64_t bytes = vhd_table_size(count);
	g_autofree uint32_t *entries = NULL;
	int result;

	entries = g_malloc(bytes);
	result = block_read_now(c->file,
				be64toh(c->facts.header.table_offset),
				entries, bytes);
	if (result)
		return disk_fail(error, EX_IOERR, "vhd.read",
				 "the block table cannot be read",
				 g_strerror(-result), "a copy of the file");
	count_blocks(c, entries, count);
	return true;
}

static int mend(struct check *c)
{
	const struct vhd_footer *f = &c->facts.footer;
	int result = 0;

	if (c->no_copy)
		result = block_write_now(c->file, 0, f, sizeof(*f));
	if (!result && c->no_footer)
		result = block_grow_now(c->file, c->file->size + VHD_SECTOR);
	if (!result && c->no_footer)
		result = block_write_now(c->file, c->file->size - VHD_SECTOR,
					 f, sizeof(*f));
	return result ? result : block_flush_now(c->file);
}

/* The footer and its copy can be made of each other. */
static bool check_copies(struct check *c, GError **error)
{
	struct vhd_footer copy;
	int result;

	c->no_footer = c->facts.footer_missing;
	result = block_read_now(c->file, 0, &copy, sizeof(copy));
	c->no_copy = !result && memcmp(&copy, &c->facts.footer, sizeof(copy));
	if (!result && c->args->repair && (c->no_footer || c->no_copy)) {
		result = mend(c);
		c->mended = !result;
	}
	return !result ||
	       disk_fail(error, EX_IOERR, "disk.io",
			 "the footer cannot be mended", g_strerror(-result),
			 "a copy of the file");
}

static bool check_vhd(struct check *c, GError **error)
{
	if (!vhd_read_facts(c->file, c->args->file, &c->facts, error))
		return false;
	if (c->facts.type == VHD_FIXED)
		return true;
	return check_table(c, error) && check_copies(c, error);
}

static bool check_failed(const char *what, int result, GError **error)
{
	return disk_fail(error, EX_IOERR, "disk.io", what,
			 g_strerror(-result), "a copy of the file");
}

/*
 * To open one is to check it, as it is with what its log has; to write it is to
 * replay that.
 */
static bool check_vhdx(struct check *c, GError **error)
{
	autoptr(block_backend) bb = vhdx_open_damaged(c->file, c->args->file,
						      error);
	int result;

	c->file = NULL;
	if (!bb)
		return false;
	result = vhdx_survey(bb, &c->survey);
	if (result)
		return check_failed("the BAT cannot be read", result, error);
	if (!c->args->repair)
		return true;
	result = vhdx_repair(bb, &c->survey);
	c->mended = !result;
	return !result ||
	       check_failed("the disk cannot be mended", result, error);
}

static const char *footer_state(const struct check *c)
{
	if (!c->no_footer && !c->no_copy)
		return "good";
	if (c->mended)
		return "mended";
	return c->no_footer ? "the one at the end is missing" :
			      "the copy at the start differs";
}

static const char *copies_state(const struct check *c, bool damaged)
{
	return !damaged ? "good" : c->mended ? "mended" :
	       "one of two is damaged";
}

static void report_vhd(struct report *r, const struct check *c)
{
	report_text(r, "footers", footer_state(c));
	if (!c->facts.header.block_size)
		return;
	report_number(r, "blocks", c->blocks, "");
	report_number(r, "lost-blocks", c->outside + c->shared, "");
}

static void report_vhdx(struct report *r, const struct check *c)
{
	const struct vhdx_survey *s = &c->survey;

	report_text(r, "log", s->replayed ? "replayed" :
			      s->aside ? "to be replayed" : "empty");
	report_text(r, "headers", copies_state(c, s->damaged_header));
	report_text(r, "regions", copies_state(c, s->damaged_regions));
	report_number(r, "blocks", s->blocks, "");
	report_number(r, "lost-blocks", s->outside + s->shared, "");
	report_bytes(r, c->mended ? "freed-space" : "lost-space", s->lost);
}

static void report(const struct check *c, enum block_format format)
{
	struct report r;

	report_begin(&r, c->args->json);
	report_text(&r, "file", c->args->file);
	report_text(&r, "format", block_format_name(format));
	if (format == BLOCK_FORMAT_VHD)
		report_vhd(&r, c);
	else if (format == BLOCK_FORMAT_VHDX)
		report_vhdx(&r, c);
	report_end(&r);
}

static bool damaged(const struct check *c, const char *why, const char *advice,
		    GError **error)
{
	g_autofree char *what = g_strdup_printf("%s is damaged",
						c->args->file);

	return disk_fail(error, EX_DATAERR, "disk.damaged", what, why, advice);
}

static bool not_closed(const struct check *c, GError **error)
{
	g_autofree char *what = g_strdup_printf("%s was not closed",
						c->args->file);

	return disk_fail(error, EX_DATAERR, "vhdx.dirty", what,
			 "a part of the disk is in its log only, where not all "
			 "programs look", "kvmbus disk check --replay");
}

static bool verdict(const struct check *c, GError **error)
{
	const struct vhdx_survey *s = &c->survey;
	uint64_t outside = c->outside + s->outside, shared = c->shared +
							     s->shared;
	g_autofree char *why = NULL;

	if (outside || shared) {
		why = g_strdup_printf("of its blocks, %" PRIu64 " are outside "
				      "of the file, and %" PRIu64 " share a "
				      "place with others, or with what leads "
				      "to them", outside, shared);
		return damaged(c, why, "a backup; nothing here can bring them "
			       "back", error);
	}
	if (c->mended)
		return true;
	if (s->aside)
		return not_closed(c, error);
	if (c->no_footer || c->no_copy)
		return damaged(c, footer_state(c), REPAIR, error);
	if (s->damaged_header || s->damaged_regions)
		return damaged(c, s->damaged_header ?
			       "one of its two headers is damaged" :
			       "one of its two region tables is damaged",
			       REPAIR, error);
	return true;
}

static bool run(struct check *c, enum block_format format, GError **error)
{
	if (c->args->replay && format != BLOCK_FORMAT_VHDX)
		return disk_fail(error, EX_USAGE, "usage",
				 "there is nothing to replay",
				 "only a VHDX has a log", "--repair");
	if (format == BLOCK_FORMAT_VHD && !check_vhd(c, error))
		return false;
	if (format == BLOCK_FORMAT_VHDX && !check_vhdx(c, error))
		return false;
	report(c, format);
	return verdict(c, error);
}

int disk_check(const struct disk_args *a, GError **error)
{
	const struct block_file_options o = {
		.path = a->file, .read_only = !a->repair && !a->replay,
	};
	struct check c = {
		.file = block_file_open(NULL, &o, error), .args = a,
	};
	bool ok;

	ok = c.file && run(&c, block_format_of(c.file), error);
	vhdx_survey_finish(&c.survey);
	block_close(c.file);
	return ok ? 0 : (*error)->code;
}
