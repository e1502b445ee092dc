/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is wrong with an image, one line each. */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/block_now.h"
#include "core/error.h"
#include "vmm/disk_internal.h"
#include "vmm/disk_report.h"

struct check {
	struct block_backend *file;
	const struct disk_args *args;
	struct vhd_facts facts;
	unsigned lost;		/* blocks whose data cannot be right */
	unsigned blocks;	/* that are used */
	bool no_footer, no_copy;
	bool mended;
};

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Entries that are outside of the file, or share a part of it with others. */
static void count_lost(struct check *c, uint32_t *entries, uint32_t count)
{
	uint32_t block = be32toh(c->facts.header.block_size);
	uint64_t len = vhd_bitmap_size(block) + (uint64_t)block, end = 0;

	for (uint32_t i = 0; i < count; i++)
		entries[i] = be32toh(entries[i]);
	qsort(entries, count, sizeof(*entries), by_value);
	for (uint32_t i = 0; i < count && entries[i] != VHD_UNUSED; i++) {
		uint64_t at = (uint64_t)entries[i] * VHD_SECTOR;

		c->blocks++;
		if (at < end || at > c->file->size ||
		    len > c->file->size - at)
			c->lost++;
		end = at + len;
	}
}

static bool check_table(struct check *c, GError **error)
{
	uint32_t block = be32toh(c->facts.header.block_size);
	uint32_t count = (uint32_t)((c->facts.size + block - 1) / block);
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
	count_lost(c, entries, count);
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

/* To open one is to check it, and to write it is to replay its log. */
static bool check_vhdx(const struct disk_args *a, GError **error)
{
	const struct block_file_options o = {
		.path = a->file, .read_only = true,
	};
	autoptr(block_backend) bb = block_open(NULL, &o, false, error);

	return bb != NULL;
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

static void report(const struct check *c, enum block_format format)
{
	struct report r;

	report_begin(&r, c->args->json);
	report_text(&r, "file", c->args->file);
	report_text(&r, "format", block_format_name(format));
	if (format == BLOCK_FORMAT_VHD)
		report_text(&r, "footers", footer_state(c));
	if (c->facts.header.block_size) {
		report_number(&r, "blocks", c->blocks, "");
		report_number(&r, "lost-blocks", c->lost, "");
	}
	report_end(&r);
}

static bool verdict(const struct check *c, GError **error)
{
	g_autofree char *what = g_strdup_printf("%s is damaged",
						c->args->file);
	g_autofree char *why = NULL;

	if (c->lost) {
		why = g_strdup_printf("%u of its blocks are outside of the "
				      "file, or share it with others", c->lost);
		return disk_fail(error, EX_DATAERR, "disk.damaged", what, why,
				 "a backup; nothing here can bring them back");
	}
	if ((c->no_footer || c->no_copy) && !c->mended)
		return disk_fail(error, EX_DATAERR, "disk.damaged", what,
				 footer_state(c), "kvmbus disk check --repair");
	return true;
}

int disk_check(const struct disk_args *a, GError **error)
{
	const struct block_file_options o = {
		.path = a->file, .read_only = !a->repair,
	};
	autoptr(block_backend) file = block_file_open(NULL, &o, error);
	struct check c = { .file = file, .args = a };
	enum block_format format;

	if (!file)
		return (*error)->code;
	format = block_format_of(file);
	if (format == BLOCK_FORMAT_VHD && !check_vhd(&c, error))
		return (*error)->code;
	if (format == BLOCK_FORMAT_VHDX && !check_vhdx(a, error))
		return (*error)->code;
	report(&c, format);
	return verdict(&c, error) ? 0 : (*error)->code;
}
