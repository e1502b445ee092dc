/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "backends/block_file_lock.h"
#include "backends/block_hold.h"
#include "backends/block_nbd.h"
#include "backends/block_now.h"
#include "backends/block_open.h"
#include "backends/image_kind.h"
#include "backends/qemu_nbd.h"
#include "backends/vhd.h"
#include "backends/vhdx.h"
#include "core/autoptr.h"
#include "core/error.h"

#define START		4096u	/* bytes where magic numbers may be */
#define ISO_ID_AT	32769	/* in the first volume descriptor */
#define START_SECONDS	10u	/* that one machine waits for another */

bool block_is_iso(const char *path)
{
	autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char id[5];

	return fd >= 0 &&
	       pread(fd, id, sizeof(id), ISO_ID_AT) == sizeof(id) &&
	       !memcmp(id, "CD001", sizeof(id));
}

/*
 * A format of others, where qemu-nbd cannot reach it: in the export of a
 * server.
 */
static struct block_backend *open_raw(struct loop *loop,
				      struct block_backend *file,
				      const struct block_file_options *o,
				      GError **error)
{
	g_autofree char *what = NULL;
	const struct image_kind *kind;
	uint8_t start[START] = { 0 };

	if (block_read_now(file, 0, start, MIN(START, file->size)) < 0)
		return file;
	kind = image_kind_of(start, sizeof(start));
	if (!kind)
		return file;
	what = g_strdup_printf("%s is a %s image", o->path, kind->name);
	user_error_set(error, EX_DATAERR, "image.kind", what,
		       "such images are read from files only",
		       "let the server read it: qemu-nbd -f FORMAT FILE\n"
		       "or, if it is a raw disk that only looks so: "
		       "format=raw");
	block_close(file);
	return NULL;
}

static bool probe_vhdx(struct block_backend *file)
{
	uint8_t start[START];

	return !block_read_now(file, 0, start, file->block_size) &&
	       vhdx_probe(start);
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
	[BLOCK_FORMAT_VHDX] = { "vhdx", probe_vhdx, vhdx_open },
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

static struct block_backend *open_by_qemu(struct loop *loop,
					  const struct block_file_options *o,
					  const struct image_kind *kind,
					  bool names_files, GError **error)
{
	g_autofree char *what = NULL;

	if (!names_files || o->backing)
		return qemu_nbd_open(loop, o, kind->driver, o->backing, error);
	what = g_strdup_printf("%s is a %s image that names other files",
			       o->path, kind->name);
	user_error_set(error, EX_NOPERM, "image.backing", what,
		       "who made it chose which of your files the guest sees",
		       "qemu-img info says which; if they are right: "
		       "--disk FILE,backing=on");
	return NULL;
}

static void refuse_sharing(const struct block_file_options *o, GError **error)
{
	g_autofree char *what = g_strdup_printf("cannot share disk %s",
						o->path);

	user_error_set(error, EX_DATAERR, "disk.shared-format", what,
		       "only raw images, block devices, and fixed VHDs and "
		       "VHDX can be written by several machines",
		       "kvmbus disk convert -O raw FILE NEW");
}

static bool is_fixed_vhdx(struct block_backend *file, const char *path,
			  GError **error)
{
	struct vhdx_facts facts;
	bool fixed = vhdx_read_facts(file, path, &facts, error) && facts.fixed;

	vhdx_facts_finish(&facts);
	return fixed;
}

/* Machines would overwrite each other's tables of blocks. */
static bool is_fixed(struct block_backend *file, enum block_format format,
		     const char *path, GError **error)
{
	struct vhd_facts facts = { 0 };

	switch (format) {
	case BLOCK_FORMAT_VHD:
		return vhd_read_facts(file, path, &facts, error) &&
		       facts.type == VHD_FIXED;
	case BLOCK_FORMAT_VHDX:
		return is_fixed_vhdx(file, path, error);
	case BLOCK_FORMAT_RAW:
		break;
	}
	return true;
}

static bool may_share(struct block_backend *file, enum block_format format,
		      const struct block_file_options *o, GError **error)
{
	if (is_fixed(file, format, o->path, error))
		return true;
	if (!*error)
		refuse_sharing(o, error);
	return false;
}

/* One machine after the other, since its start may write to the file. */
static struct block_backend *open_shared(struct loop *loop,
					 struct block_backend *file,
					 const struct block_file_options *o,
					 GError **error)
{
	enum block_format format = block_format_of(file);
	autofd start = -1;

	if (!may_share(file, format, o, error)) {
		block_close(file);
		return NULL;
	}
	start = block_file_lock_start(o->path, START_SECONDS, error);
	if (start < 0) {
		block_close(file);
		return NULL;
	}
	return formats[format].open(loop, file, o, error);
}

static struct block_backend *open_format(struct loop *loop,
					 struct block_backend *file,
					 const struct block_file_options *o,
					 GError **error)
{
	enum block_format format = block_format_of(file);

	/* A raw disk has no requests but the guest's. */
	if (o->watch && format != BLOCK_FORMAT_RAW)
		file = block_hold_file(loop, file, o->watch);
	return formats[format].open(loop, file, o, error);
}

struct block_backend *block_open(struct loop *loop,
				 const struct block_file_options *options,
				 bool raw, GError **error)
{
	bool uri = nbd_is_uri(options->path), names_files = false;
	const struct image_kind *kind = raw || uri ? NULL :
		image_kind_of_file(options->path, &names_files);
	struct block_backend *file;

	if (options->shared && (kind || uri)) {
		refuse_sharing(options, error);
		return NULL;
	}
	if (kind)
		return open_by_qemu(loop, options, kind, names_files, error);
	file = block_open_bytes(loop, options, error);
	if (!file || raw)
		return file;
	if (options->shared)
		return open_shared(loop, file, options, error);
	return open_format(loop, file, options, error);
}
