/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "backends/block_nbd.h"
#include "backends/block_now.h"
#include "backends/block_open.h"
#include "backends/vhd.h"
#include "backends/vhdx.h"
#include "core/autoptr.h"
#include "core/error.h"

#define START		4096u	/* bytes where magic numbers may be */
#define ISO_ID_AT	32769	/* in the first volume descriptor */

/* Formats that others read. */
static const struct foreign {
	const char *name;
	unsigned at, len;
	const char *magic;
} foreigners[] = {
	{ "qcow2", 0, 4, "QFI\xfb" },
	{ "QED", 0, 4, "QED" },
	{ "VMDK", 0, 4, "KDMV" },
	{ "VMDK", 0, 4, "COWD" },
	{ "VMDK", 0, 21, "# Disk DescriptorFile" },
	{ "VDI", 64, 4, "\x7f\x10\xda\xbe" },
	{ "Parallels", 0, 16, "WithoutFreeSpace" },
	{ "Parallels", 0, 16, "WithouFreSpacExt" },
};

static const struct foreign *foreign_of(struct block_backend *file)
{
	uint8_t start[START] = { 0 };

	if (block_read_now(file, 0, start, MIN(START, file->size)) < 0)
		return NULL;
	for (size_t i = 0; i < G_N_ELEMENTS(foreigners); i++) {
		const struct foreign *f = &foreigners[i];

		if (!memcmp(start + f->at, f->magic, f->len))
			return f;
	}
	return NULL;
}

bool block_is_iso(const char *path)
{
	autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char id[5];

	return fd >= 0 &&
	       pread(fd, id, sizeof(id), ISO_ID_AT) == sizeof(id) &&
	       !memcmp(id, "CD001", sizeof(id));
}

static void refuse(GError **error, const char *path, const struct foreign *f)
{
	g_autofree char *what = g_strdup_printf(
		"%s is a %s image, and kvmbus cannot read these", path,
		f->name);
	g_autofree char *advice = g_strdup_printf(
		"qemu-img convert -O raw %s %s.raw\n"
		"or, if it is a raw disk that only looks so: format=raw",
		path, path);

	user_error_set(error, EX_DATAERR, "image.kind", what,
		       "its content says so, whatever its name is", advice);
}

static struct block_backend *open_raw(struct loop *loop,
				      struct block_backend *file,
				      const struct block_file_options *o,
				      GError **error)
{
	const struct foreign *f = foreign_of(file);

	if (!f)
		return file;
	refuse(error, o->path, f);
	block_close(file);
	return NULL;
}

static bool probe_vhdx(struct block_backend *file)
{
	uint8_t start[START];

	return !block_read_now(file, 0, start, file->block_size) &&
	       vhdx_probe(start);
}

static struct block_backend *open_vhdx(struct loop *loop,
				       struct block_backend *file,
				       const struct block_file_options *o,
				       GError **error)
{
	return vhdx_open(loop, file, o->path, error);
}

static const struct {
	const char *name;
	bool (*probe)(struct block_backend *file);
	/* @file passes, also on failure. */
	struct block_backend *(*open)(struct loop *loop,
				      struct block_backend *file,
				      const struct block_file_options *options,
				      GError **error);
} formats[] = {
	[BLOCK_FORMAT_RAW] = { "raw", NULL, open_raw },
	[BLOCK_FORMAT_VHD] = { "vhd", vhd_probe, vhd_open },
	[BLOCK_FORMAT_VHDX] = { "vhdx", probe_vhdx, open_vhdx },
};

enum block_format block_format_of(struct block_backend *file)
{
	for (size_t i = 0; i < G_N_ELEMENTS(formats); i++)
		if (formats[i].probe && formats[i].probe(file))
			return (enum block_format)i;
	return BLOCK_FORMAT_RAW;
}

const char *block_format_name(enum block_format format)
{
	return formats[format].name;
}

struct block_backend *block_open_bytes(struct loop *loop,
				       const struct block_file_options *o,
				       GError **error)
{
	const struct block_nbd_options nbd = {
		.server = { .name = o->path, .uri = o->path },
		.read_only = o->read_only, .reconnect = o->reconnect,
	};

	return nbd_is_uri(o->path) ? block_nbd_open(loop, &nbd, error) :
				     block_file_open(loop, o, error);
}

struct block_backend *block_open(struct loop *loop,
				 const struct block_file_options *options,
				 bool raw, GError **error)
{
	struct block_backend *file = block_open_bytes(loop, options, error);

	if (!file || raw)
		return file;
	return formats[block_format_of(file)].open(loop, file, options, error);
}
