/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening: nothing in the file is believed before it has been checked. */
#include <endian.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "backends/block_now.h"
#include "backends/block_parent.h"
#include "backends/vhd.h"
#include "backends/vhd_fixed.h"
#include "backends/vhd_internal.h"
#include "backends/vhd_parent.h"
#include "core/autoptr.h"
#include "core/error.h"

#define SLACK_MAX	(64u << 20)	/* that is made zero to be used */

AUTOPTR_DEFINE(block_backend, block_close)

#define fail	vhd_fail

bool vhd_fail(GError **error, const char *path, const char *id,
	      const char *advice, const char *format, ...)
{
	g_autofree char *what = g_strdup_printf("cannot use disk %s", path);
	g_autofree char *why = NULL;
	va_list args;

	va_start(args, format);
	why = g_strdup_vprintf(format, args);
	va_end(args);
	user_error_set(error, EX_DATAERR, id, what, why, advice);
	return false;
}

bool vhd_read_failed(GError **error, const char *path, int result)
{
	return fail(error, path, "vhd.read",
		    "the host's disk, by dmesg; or a copy of the file",
		    "it cannot be read: %s", g_strerror(-result));
}

bool vhd_probe(struct block_backend *file)
{
	uint8_t first[VHD_SECTOR], last[VHD_SECTOR];

	if (file->block_size != VHD_SECTOR || file->size < VHD_SECTOR ||
	    block_read_now(file, 0, first, sizeof(first)) < 0 ||
	    block_read_now(file, file->size - sizeof(last), last,
			   sizeof(last)) < 0)
		return false;
	return !memcmp(first, VHD_COOKIE, 8) || !memcmp(last, VHD_COOKIE, 8);
}

/*
 * The footer at the end, or else the copy at the start, which says nothing
 * that changes as the file grows.
 */
static bool read_footer(struct block_backend *file, const char *path,
			struct vhd_facts *facts, GError **error)
{
	struct vhd_footer copy;
	const char *wrong;
	int result = block_read_now(file, file->size - VHD_SECTOR,
				    &facts->footer, VHD_SECTOR);

	if (!result)
		result = block_read_now(file, 0, &copy, VHD_SECTOR);
	if (result)
		return vhd_read_failed(error, path, result);
	wrong = vhd_footer_check(&facts->footer);
	if (!wrong)
		return true;
	if (vhd_footer_check(&copy) || copy.disk_type == htobe32(VHD_FIXED))
		return fail(error, path, "vhd.footer",
			    "another copy of it; this one is damaged",
			    "the footer at its end %s", wrong);
	facts->footer = copy;
	facts->footer_missing = true;
	return true;
}

static bool read_header(struct block_backend *file, const char *path,
			struct vhd_facts *facts, GError **error)
{
	uint64_t at = be64toh(facts->footer.data_offset);
	struct vhd_header *h = &facts->header;
	uint64_t table, bytes;
	const char *wrong;
	int result;

	if (at % VHD_SECTOR || at > file->size ||
	    sizeof(*h) > file->size - at)
		return fail(error, path, "vhd.header", "another copy of it",
			    "its footer points to a header that is not there");
	result = block_read_now(file, at, h, sizeof(*h));
	if (result)
		return vhd_read_failed(error, path, result);
	wrong = vhd_header_check(h, &facts->footer);
	if (wrong)
		return fail(error, path, "vhd.header", "another copy of it",
			    "its header %s", wrong);
	table = be64toh(h->table_offset);
	bytes = vhd_table_size(be32toh(h->max_table_entries));
	if (table > file->size || bytes > file->size - table)
		return fail(error, path, "vhd.truncated",
			    "a complete copy of it",
			    "the file ends before its block table does");
	return true;
}

bool vhd_read_facts(struct block_backend *file, const char *path,
		    struct vhd_facts *facts, GError **error)
{
	*facts = (struct vhd_facts){ 0 };
	if (file->block_size != VHD_SECTOR)
		return fail(error, path, "vhd.sectors", "a file on it",
			    "a VHD has sectors of 512 bytes, the device %u",
			    file->block_size);
	if (!read_footer(file, path, facts, error))
		return false;
	facts->type = (enum vhd_type)be32toh(facts->footer.disk_type);
	facts->size = be64toh(facts->footer.current_size);
	if (facts->type != VHD_FIXED)
		return read_header(file, path, facts, error);
	if (facts->size > file->size - VHD_SECTOR)
		return fail(error, path, "vhd.truncated",
			    "a complete copy of it",
			    "the file is shorter than the disk");
	return true;
}

/*
 * The free end of the file.
 */

/* What is in front of the blocks ends here, as far as it makes sense. */
static uint64_t end_of_header(const struct vhd *v,
			      const struct vhd_header *h)
{
	uint64_t end = MAX(v->table + vhd_table_size(v->blocks),
			   be64toh(v->footer.data_offset) + sizeof(*h));

	for (unsigned i = 0; i < VHD_LOCATORS; i++) {
		uint64_t at = be64toh(h->locator[i].data_offset);
		uint64_t len = be32toh(h->locator[i].data_length);

		if (h->locator[i].platform_code && at < v->file->size &&
		    len < v->file->size - at)
			end = MAX(end, at + len);
	}
	return (end + VHD_SECTOR - 1) / VHD_SECTOR * VHD_SECTOR;
}

static int write_footer(struct vhd *v)
{
	uint64_t size = MAX(v->file->size, v->end + VHD_SECTOR);
	int result = 0;

	if (size > v->file->size)
		result = block_grow_now(v->file, size);
	if (!result)
		result = block_write_now(v->file, v->file->size - VHD_SECTOR,
					 &v->footer, sizeof(v->footer));
	return result ? result : block_flush_now(v->file);
}

/*
 * New blocks may find something of old in the room between the last one and
 * the footer, if the machine that wrote it was stopped hard.
 */
static int clean_room(struct vhd *v)
{
	int result;

	v->room = v->file->size - VHD_SECTOR;
	if (v->end >= v->room)
		return 0;
	if (v->room - v->end > SLACK_MAX) {
		v->end = v->room;
		return 0;
	}
	result = block_zero_now(v->file, v->end, v->room - v->end);
	return result ? result : block_flush_now(v->file);
}

static bool prepare_to_write(struct vhd *v, const char *path, bool no_footer,
			     GError **error)
{
	int result = 0;

	if (!v->file->growable)
		return fail(error, path, "vhd.device",
			    "use it read-only: --disk FILE,ro=on",
			    "a dynamic disk grows, and a device does not");
	/* A block that is over the footer leaves no room for one, either. */
	if (no_footer || v->end > v->file->size - VHD_SECTOR)
		result = write_footer(v);
	if (!result)
		result = clean_room(v);
	if (!result)
		return true;
	return fail(error, path, "vhd.write", "use it read-only",
		    "its free end cannot be written: %s", g_strerror(-result));
}

/*
 * Chains of disks.
 */
struct opening {
	struct block_chain chain;
	struct vhd_facts facts;
};

static struct block_backend *open_one(struct opening *o,
				      struct block_backend *file,
				      GError **error);

static bool is_parent(const struct vhd_header *h, const struct vhd_footer *p)
{
	return !memcmp(h->parent_unique_id, p->unique_id,
		       sizeof(p->unique_id));
}

/*
 * The time of the last change is the parent's, by its footer or its file: what
 * has been written to it since would show through in the wrong places.
 */
static bool is_unchanged(const struct vhd_header *h,
			 const struct vhd_footer *p, const char *path)
{
	uint32_t time = be32toh(h->parent_timestamp);
	struct stat st;

	return !time || h->parent_timestamp == p->timestamp ||
	       (stat(path, &st) == 0 && (int64_t)st.st_mtim.tv_sec ==
					(int64_t)time + VHD_EPOCH);
}

bool vhd_parent_check(const struct vhd_facts *child, const char *child_path,
		      const struct vhd_facts *parent, const char *path,
		      GError **error)
{
	const struct vhd_header *h = &child->header;
	g_autofree char *advice = NULL;

	if (!is_parent(h, &parent->footer))
		return fail(error, child_path, "vhd.parent-id",
			    "put the disk there that it was made from, or say "
			    "where it is: kvmbus disk rebase",
			    "%s is not its parent: it has another id", path);
	if (is_unchanged(h, &parent->footer, path))
		return true;
	advice = g_strdup_printf("if it was only copied: touch -d @%" PRId64
				 " %s", (int64_t)be32toh(h->parent_timestamp) +
				 VHD_EPOCH, path);
	return fail(error, child_path, "vhd.parent-changed", advice,
		    "its parent %s has been changed since", path);
}

static struct block_backend *open_parent(const struct opening *o,
					 struct block_backend *file,
					 GError **error)
{
	g_autoptr(GPtrArray) paths = vhd_parent_paths(file, &o->facts.header,
						      o->chain.options.path);
	autoptr(block_backend) bb = NULL;
	struct opening parent = { 0 };

	file = block_parent_open(&o->chain, paths, &parent.chain, error);
	if (!file)
		return NULL;
	bb = open_one(&parent, file, error);
	if (!bb || !vhd_parent_check(&o->facts, o->chain.options.path,
				     &parent.facts, parent.chain.options.path,
				     error))
		return NULL;
	return g_steal_pointer(&bb);
}

static struct block_backend *open_dynamic(struct opening *o,
					  struct block_backend *file,
					  GError **error)
{
	const struct vhd_header *h = &o->facts.header;
	struct vhd *v = g_new0(struct vhd, 1);
	autoptr(block_backend) bb = &v->bb;

	v->bb = *file;
	v->file = file;
	v->footer = o->facts.footer;
	v->block_size = be32toh(h->block_size);
	v->bitmap_size = vhd_bitmap_size(v->block_size);
	v->bb.size = o->facts.size;
	v->bb.growable = false;
	v->table = be64toh(h->table_offset);
	v->blocks = vhd_blocks(&o->facts);
	v->end = end_of_header(v, h);
	vhd_init(v, o->chain.loop);
	if (!vhd_table_read(v, &o->facts, o->chain.options.path, error))
		return NULL;
	if (o->facts.type == VHD_DIFFERENCING) {
		v->parent = open_parent(o, file, error);
		if (!v->parent)
			return NULL;
	}
	if (!v->bb.read_only &&
	    !prepare_to_write(v, o->chain.options.path, o->facts.footer_missing,
			      error))
		return NULL;
	return g_steal_pointer(&bb);
}

static struct block_backend *open_one(struct opening *o,
				      struct block_backend *file,
				      GError **error)
{
	autoptr(block_backend) passed = file;

	if (!vhd_read_facts(file, o->chain.options.path, &o->facts, error))
		return NULL;
	passed = NULL;
	if (o->facts.type == VHD_FIXED)
		return vhd_fixed_new(file, o->facts.size);
	return open_dynamic(o, file, error);
}

struct block_backend *vhd_open(struct loop *loop, struct block_backend *file,
			       const struct block_file_options *options,
			       GError **error)
{
	struct opening o = { .chain = { .loop = loop, .options = *options } };

	return open_one(&o, file, error);
}
