/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <endian.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "backends/image_kind.h"
#include "backends/vhd_parent.h"
#include "backends/vhdx.h"
#include "vmm/disk_internal.h"
#include "vmm/disk_report.h"

static const char *type_name(enum vhd_type type)
{
	switch (type) {
	case VHD_FIXED:
		return "fixed";
	case VHD_DYNAMIC:
		return "dynamic";
	default:
		return "differencing";
	}
}

/* VHDs keep ids in the order of their text. */
static void report_id(struct report *r, const uint8_t id[16])
{
	g_autoptr(GString) text = g_string_new(NULL);

	for (unsigned i = 0; i < 16; i++)
		g_string_append_printf(text, "%s%02x",
				       i == 4 || i == 6 || i == 8 || i == 10 ?
				       "-" : "", id[i]);
	report_text(r, "id", text->str);
}

static void report_geometry(struct report *r, const struct vhd_footer *f)
{
	g_autofree char *text = g_strdup_printf(
		"%u/%u/%u", be16toh(f->cylinders), f->heads,
		f->sectors_per_track);

	report_text(r, "geometry", text);
}

static void report_file(struct report *r, const char *path)
{
	struct stat st;

	report_text(r, "file", path);
	if (stat(path, &st) < 0)
		return;
	report_bytes(r, "file-size", (uint64_t)st.st_size);
	report_bytes(r, "allocated", (uint64_t)st.st_blocks * 512);
}

static bool report_image(struct report *r, const char *path, unsigned depth,
			 GError **error);

/* What is known of the parent, also if it is not there. */
static bool report_parent(struct report *r, struct block_backend *file,
			  const char *path, const struct vhd_header *h,
			  unsigned depth, GError **error)
{
	g_autoptr(GPtrArray) paths = vhd_parent_paths(file, h, path);
	bool ok = true;

	report_open(r, "parent");
	for (unsigned i = 0; i < paths->len; i++) {
		if (!g_file_test(paths->pdata[i], G_FILE_TEST_EXISTS))
			continue;
		if (depth < VHD_CHAIN_MAX)
			ok = report_image(r, paths->pdata[i], depth + 1, error);
		report_close(r);
		return ok;
	}
	report_text(r, "missing", paths->len ? paths->pdata[0] : "no name");
	report_id(r, h->parent_unique_id);
	report_close(r);
	return true;
}

static bool report_vhd(struct report *r, struct block_backend *file,
		       const char *path, unsigned depth, GError **error)
{
	struct vhd_facts f;

	if (!vhd_read_facts(file, path, &f, error))
		return false;
	report_text(r, "type", type_name(f.type));
	report_bytes(r, "size", f.size);
	report_number(r, "sector-size", VHD_SECTOR, " bytes");
	report_id(r, f.footer.unique_id);
	report_geometry(r, &f.footer);
	if (f.type == VHD_FIXED)
		return true;
	report_bytes(r, "block-size", be32toh(f.header.block_size));
	if (f.footer_missing)
		report_text(r, "damage", "the footer at the end is missing");
	return f.type != VHD_DIFFERENCING ||
	       report_parent(r, file, path, &f.header, depth, error);
}

/* @file passes. */
static bool report_vhdx(struct report *r, struct block_backend *file,
			const char *path, GError **error)
{
	autoptr(block_backend) bb = vhdx_open(NULL, file, path, error);
	char text[GUID_TEXT_SIZE];
	struct vhdx_facts f;

	if (!bb)
		return false;
	vhdx_get_facts(bb, &f);
	report_text(r, "type", f.fixed ? "fixed" : "dynamic");
	report_bytes(r, "size", bb->size);
	report_number(r, "sector-size", bb->block_size, " bytes");
	report_number(r, "physical-sector-size", bb->physical_block_size,
		      " bytes");
	report_bytes(r, "block-size", f.block_size);
	report_bytes(r, "log-size", f.log_size);
	report_text(r, "id", guid_text(&f.disk_id, text));
	report_text(r, "file-write-guid", guid_text(&f.file_write_guid, text));
	report_text(r, "data-write-guid", guid_text(&f.data_write_guid, text));
	return true;
}

static bool report_foreign(struct report *r, const char *path,
			   const struct image_kind *kind, GError **error)
{
	const struct block_file_options o = { .path = path, .read_only = true };
	autoptr(block_backend) bb = block_open(NULL, &o, false, error);

	report_file(r, path);
	report_text(r, "format", kind->name);
	if (bb)
		report_bytes(r, "size", bb->size);
	return bb != NULL;
}

static bool report_image(struct report *r, const char *path, unsigned depth,
			 GError **error)
{
	const struct image_kind *kind = image_kind_of_file(path, NULL);
	const struct block_file_options o = { .path = path, .read_only = true };
	autoptr(block_backend) file = NULL;
	enum block_format format;

	if (kind)
		return report_foreign(r, path, kind, error);
	file = block_open_bytes(NULL, &o, error);
	if (!file)
		return false;
	format = block_format_of(file);
	report_file(r, path);
	report_text(r, "format", block_format_name(format));
	switch (format) {
	case BLOCK_FORMAT_VHD:
		return report_vhd(r, file, path, depth, error);
	case BLOCK_FORMAT_VHDX:
		return report_vhdx(r, g_steal_pointer(&file), path, error);
	case BLOCK_FORMAT_RAW:
		break;
	}
	report_bytes(r, "size", file->size);
	report_number(r, "sector-size", file->block_size, " bytes");
	return true;
}

int disk_info(const struct disk_args *a, GError **error)
{
	struct report r;
	bool ok;

	report_begin(&r, a->json);
	ok = report_image(&r, a->file, 1, error);
	report_end(&r);
	return ok ? 0 : (*error)->code;
}
