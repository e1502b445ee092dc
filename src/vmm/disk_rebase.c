/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Another path for the same parent. */
#include <string.h>

#include "backends/vhdx.h"
#include "core/error.h"
#include "vmm/disk_internal.h"
#include "vmm/disk_report.h"

static bool fail(const struct disk_args *a, int status, const char *id,
		 const char *why, const char *advice, GError **error)
{
	g_autofree char *what = g_strdup_printf("cannot rebase %s", a->file);

	return disk_fail(error, status, id, what, why, advice);
}

static bool rebase_vhd(const struct disk_args *a, struct block_backend *file,
		       int *result, GError **error)
{
	struct vhd_facts facts;

	if (!vhd_read_facts(file, a->file, &facts, error))
		return false;
	if (facts.footer_missing)
		return fail(a, EX_DATAERR, "disk.damaged",
			    "its footer is missing",
			    "kvmbus disk check --repair", error);
	if (facts.type != VHD_DIFFERENCING)
		return fail(a, EX_USAGE, "vhd.no-parent",
			    "it has all of its data, and no parent",
			    "use it as it is", error);
	*result = vhd_rebase(file, &facts, a->file, a->parent, error);
	return *result <= 0;
}

static bool rebase(const struct disk_args *a, struct block_backend *file,
		   GError **error)
{
	int result = 0;

	switch (block_format_of(file)) {
	case BLOCK_FORMAT_VHD:
		if (!rebase_vhd(a, file, &result, error))
			return false;
		break;
	case BLOCK_FORMAT_VHDX:
		result = vhdx_rebase(file, a->file, a->parent, error);
		if (result > 0)
			return false;
		break;
	case BLOCK_FORMAT_RAW:
		return fail(a, EX_USAGE, "disk.no-parent",
			    "a raw disk has no parent", "use it as it is",
			    error);
	}
	return !result || fail(a, EX_IOERR, "disk.io", g_strerror(-result),
			       "room on the host's disk", error);
}

static void report(const struct disk_args *a)
{
	struct report r;

	report_begin(&r, true);
	report_text(&r, "file", a->file);
	report_text(&r, "parent", a->parent);
	report_end(&r);
}

int disk_rebase(const struct disk_args *a, GError **error)
{
	const struct block_file_options o = { .path = a->file };
	struct block_backend *file;
	bool ok;

	if (!a->parent) {
		fail(a, EX_USAGE, "usage", "nothing says where its parent is",
		     "kvmbus disk rebase FILE --parent FILE", error);
		return EX_USAGE;
	}
	file = block_file_open(NULL, &o, error);
	ok = file && rebase(a, file, error);
	block_close(file);
	if (ok && a->json)
		report(a);
	return ok ? 0 : (*error)->code;
}
