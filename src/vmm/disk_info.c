/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <endian.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "backends/block_parent.h"
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
static char *vhd_id(const uint8_t id[16])
{
	g_autoptr(GString) text = g_string_new(NULL);

	for (unsigned i = 0; i < 16; i++)
		g_string_append_printf(text, "%s%02x",
				       i == 4 || i == 6 || i == 8 || i == 10 ?
				       "-" : "", id[i]);
	return g_string_free(g_steal_pointer(&text), FALSE);
}

static void report_guid(struct report *r, const char *name,
			const struct guid *id)
{
	char text[GUID_TEXT_SIZE];

	report_text(r, name, guid_text(id, text));
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
static bool report_parent(struct report *r, const GPtrArray *paths,
			  const char *id, unsigned depth, GError **error)
{
	const char *path = block_parent_there(paths);
	bool ok = true;

	report_open(r, "parent");
	if (path && depth < BLOCK_CHAIN_MAX) {
		ok = report_image(r, path, depth + 1, error);
	} else if (!path) {
		report_text(r, "missing", paths->len ? paths->pdata[0] :
			    "no name");
		report_text(r, "id", id);
	}
	report_close(r);
	return ok;
}

static bool report_vhd(struct report *r, struct block_backend *file,
		       const char *path, unsigned depth, GError **error)
{
	g_autoptr(GPtrArray) paths = NULL;
	g_autofree char *id = NULL, *parent = NULL;
	struct vhd_facts f;

	if (!vhd_read_facts(file, path, &f, error))
		return false;
	report_text(r, "type", type_name(f.type));
	report_bytes(r, "size", f.size);
	report_number(r, "sector-size", VHD_SECTOR, " bytes");
	id = vhd_id(f.footer.unique_id);
	report_text(r, "id", id);
	report_geometry(r, &f.footer);
	if (f.type == VHD_FIXED)
		return true;
	report_bytes(r, "block-size", be32toh(f.header.block_size));
	if (f.footer_missing)
		report_text(r, "damage", "the footer at the end is missing");
	if (f.type != VHD_DIFFERENCING)
		return true;
	paths = vhd_parent_paths(file, &f.header, path);
	parent = vhd_id(f.header.parent_unique_id);
	return report_parent(r, paths, parent, depth, error);
}

static bool report_vhdx(struct report *r, struct block_backend *file,
			const char *path, unsigned depth, GError **error)
{
	char parent[GUID_TEXT_SIZE];
	struct vhdx_facts f;
	bool ok = true;

	if (!vhdx_read_facts(file, path, &f, error))
		return false;
	report_text(r, "type", f.differencing ? "differencing" :
			       f.fixed ? "fixed" : "dynamic");
	report_bytes(r, "size", f.size);
	report_number(r, "sector-size", f.sector_size, " bytes");
	report_number(r, "physical-sector-size", f.physical_sector_size,
		      " bytes");
	report_bytes(r, "block-size", f.block_size);
	report_bytes(r, "log-size", f.log_size);
	report_text(r, "log", f.dirty ? "to be replayed" : "empty");
	report_guid(r, "id", &f.disk_id);
	report_guid(r, "file-write-guid", &f.file_write_guid);
	report_guid(r, "data-write-guid", &f.data_write_guid);
	if (f.differencing)
		ok = report_parent(r, f.parent_paths,
				   guid_text(&f.parent, parent), depth, error);
	vhdx_facts_finish(&f);
	return ok;
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
		return report_vhdx(r, file, path, depth, error);
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
