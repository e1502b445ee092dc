/* SPDX-License-Identifier: GPL-2.0-or-later */
/* New images: which format, and the name that is theirs only when whole. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/vhdx.h"
#include "core/error.h"
#include "vmm/disk_internal.h"

#define AZURE_UNIT	(UINT64_C(1) << 20)
#define VHDX_BLOCK_MIN	(UINT64_C(1) << 20)
#define VHDX_BLOCK_MAX	(UINT64_C(256) << 20)

static bool output_failed(GError **error, const char *path, int number)
{
	g_autofree char *what = g_strdup_printf("cannot make %s", path);

	disk_fail(error, EX_CANTCREAT, "disk.create", what,
		  g_strerror(number), "another folder");
	return false;
}

static bool ends_in(const char *path, const char *a, const char *b)
{
	return g_str_has_suffix(path, a) || g_str_has_suffix(path, b);
}

/* The format that -O names, or else the name of the file does. */
static bool name_format(const struct disk_args *a, const char *path,
			enum block_format *format)
{
	const char *name = a->format;

	if (!name && (a->azure || ends_in(path, ".vhd", ".avhd")))
		name = "vhd";
	else if (!name)
		name = ends_in(path, ".vhdx", ".avhdx") ? "vhdx" : "raw";
	for (*format = BLOCK_FORMAT_RAW; *format <= BLOCK_FORMAT_VHDX;
	     (*format)++)
		if (!strcmp(name, block_format_name(*format)))
			return true;
	return false;
}

static bool choose_format(const struct disk_args *a, const char *path,
			  enum block_format *format, GError **error)
{
	g_autofree char *what = g_strdup_printf("cannot make %s", path);

	if (!name_format(a, path, format))
		return disk_fail(error, EX_USAGE, "usage", what,
				 "there is no such format",
				 "-O raw, -O vhd or -O vhdx");
	if (a->azure && *format != BLOCK_FORMAT_VHD)
		return disk_fail(error, EX_USAGE, "usage", what,
				 "only a VHD is for Azure", "-O vhd");
	if (a->parent && *format == BLOCK_FORMAT_RAW)
		return disk_fail(error, EX_USAGE, "usage", what,
				 "a raw disk has no parent",
				 "-O vhd or -O vhdx, as the parent is");
	if (a->parent && a->fixed)
		return disk_fail(error, EX_USAGE, "usage", what,
				 "a disk with a parent has what differs, and "
				 "not room for all", "without --fixed");
	if (a->fixed && *format == BLOCK_FORMAT_RAW)
		return disk_fail(error, EX_USAGE, "usage", what,
				 "a raw disk is as large as it is",
				 "-O vhd or -O vhdx");
	return true;
}

/* An empty file that can be opened. */
static struct block_backend *open_new(const char *temporary, GError **error)
{
	const struct block_file_options f = { .path = temporary };

	if (truncate(temporary, VHD_SECTOR) < 0) {
		output_failed(error, temporary, errno);
		return NULL;
	}
	return block_file_open(NULL, &f, error);
}

static bool make_vhdx(const struct disk_args *a, const char *temporary,
		      uint64_t size, GError **error)
{
	struct vhdx_create_options o = {
		.fixed = a->fixed, .size = size,
		.block_size = (uint32_t)a->block_size,
	};
	autoptr(block_backend) file = NULL;
	int result;

	if (a->parent &&
	    !vhdx_create_options_adopt(&o, temporary, a->parent, error))
		return false;
	file = open_new(temporary, error);
	result = file ? vhdx_format(file, &o) : 0;
	vhdx_create_options_finish(&o);
	return !result ? file != NULL :
	       output_failed(error, temporary, -result);
}

static bool make_vhd(const struct disk_args *a, const char *temporary,
		     uint64_t size, GError **error)
{
	const struct vhd_create_options o = {
		.type = a->parent ? VHD_DIFFERENCING :
			a->fixed ? VHD_FIXED : VHD_DYNAMIC,
		.size = size, .block_size = (uint32_t)a->block_size,
		.parent = a->parent,
	};
	autoptr(block_backend) file = open_new(temporary, error);

	return file && vhd_create(file, temporary, &o, error);
}

static bool make_raw(const char *temporary, uint64_t size, GError **error)
{
	return truncate(temporary, (off_t)size) == 0 ||
	       output_failed(error, temporary, errno);
}

static bool make(const struct disk_output *out, const struct disk_args *a,
		 uint64_t size, GError **error)
{
	switch (out->format) {
	case BLOCK_FORMAT_VHD:
		return make_vhd(a, out->temporary, size, error);
	case BLOCK_FORMAT_VHDX:
		return make_vhdx(a, out->temporary, size, error);
	case BLOCK_FORMAT_RAW:
		break;
	}
	return make_raw(out->temporary, size, error);
}

static bool block_size_ok(const struct disk_args *a, enum block_format format)
{
	bool vhdx = format == BLOCK_FORMAT_VHDX;
	uint64_t min = vhdx ? VHDX_BLOCK_MIN : VHD_BLOCK_MIN;
	uint64_t max = vhdx ? VHDX_BLOCK_MAX : VHD_BLOCK_MAX;

	return !a->block_size ||
	       (a->block_size >= min && a->block_size <= max &&
		!(a->block_size & (a->block_size - 1)));
}

/* A name beside @path that nobody has; an empty file. */
static bool make_temporary(struct disk_output *out, GError **error)
{
	g_autofree char *name = g_strconcat(out->path, ".XXXXXX", NULL);
	mode_t mask = umask(0);
	int fd = mkostemp(name, O_CLOEXEC);

	umask(mask);
	if (fd < 0)
		return output_failed(error, out->path, errno);
	fchmod(fd, 0666 & ~mask);
	close(fd);
	out->temporary = g_steal_pointer(&name);
	return true;
}

bool disk_output_begin(struct disk_output *out, const struct disk_args *a,
		       const char *path, uint64_t size, GError **error)
{
	g_autofree char *what = NULL;

	if (!choose_format(a, path, &out->format, error))
		return false;
	what = g_strdup_printf("cannot make %s", path);
	if (!a->force && access(path, F_OK) == 0)
		return disk_fail(error, EX_CANTCREAT, "disk.exists", what,
				 "there is a file of this name",
				 "another name, or --force to write over it");
	if (!block_size_ok(a, out->format))
		return disk_fail(error, EX_USAGE, "usage", what,
				 "blocks are a power of two, of a VHD from "
				 "64K to 64M, of a VHDX from 1M to 256M",
				 "--block-size 2M");
	if (a->azure)
		size = (size + AZURE_UNIT - 1) / AZURE_UNIT * AZURE_UNIT;
	out->path = g_strdup(path);
	return make_temporary(out, error) && make(out, a, size, error);
}

bool disk_output_commit(struct disk_output *out, GError **error)
{
	if (rename(out->temporary, out->path) < 0)
		return output_failed(error, out->path, errno);
	g_clear_pointer(&out->temporary, g_free);
	return true;
}

void disk_output_finish(struct disk_output *out)
{
	if (out->temporary)
		unlink(out->temporary);
	g_free(out->temporary);
	g_free(out->path);
}

int disk_create(const struct disk_args *a, GError **error)
{
	struct disk_output out = { 0 };
	uint64_t size = 0;
	bool ok = !a->second || disk_parse_size(a->second, &size, error);

	if (ok && !size && !a->parent)
		ok = disk_fail(error, EX_USAGE, "usage", "a size is missing",
			       "only a disk with a parent has that one's",
			       "kvmbus disk create FILE 64G");
	ok = ok && disk_output_begin(&out, a, a->file, size, error) &&
	     disk_output_commit(&out, error);
	disk_output_finish(&out);
	return ok ? 0 : (*error)->code;
}
