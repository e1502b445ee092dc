/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a differencing disk has, into its parent: backends/block_merge.h. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "backends/block_merge.h"
#include "backends/block_parent.h"
#include "backends/vhd_parent.h"
#include "backends/vhdx.h"
#include "core/error.h"
#include "core/util.h"
#include "vmm/disk_internal.h"
#include "vmm/disk_progress.h"
#include "vmm/disk_report.h"
#include "vmm/signals.h"

struct commit {
	struct block_merge merge;
	const struct disk_args *args;
	enum block_format format;
	GPtrArray *paths;	/* that the parent may have */
	struct disk_progress progress;
	struct signals signals;
	int signal;		/* that ended it; 0 */
};

static bool fail(const struct commit *c, int status, const char *id,
		 const char *why, const char *advice, GError **error)
{
	g_autofree char *what = g_strdup_printf("cannot commit %s",
						c->args->file);

	return disk_fail(error, status, id, what, why, advice);
}

/*
 * Which file the parent is.
 */
static bool find_vhd(struct commit *c, GError **error)
{
	struct vhd_facts f;

	if (!vhd_read_facts(c->merge.file, c->args->file, &f, error))
		return false;
	if (f.type == VHD_DIFFERENCING)
		c->paths = vhd_parent_paths(c->merge.file, &f.header,
					    c->args->file);
	return true;
}

static bool find_vhdx(struct commit *c, GError **error)
{
	struct vhdx_facts f;

	if (!vhdx_read_facts(c->merge.file, c->args->file, &f, error))
		return false;
	c->paths = g_steal_pointer(&f.parent_paths);
	vhdx_facts_finish(&f);
	return true;
}

static bool find_parent(struct commit *c, GError **error)
{
	bool ok = true;

	c->format = block_format_of(c->merge.file);
	if (c->format == BLOCK_FORMAT_VHD)
		ok = find_vhd(c, error);
	else if (c->format == BLOCK_FORMAT_VHDX)
		ok = find_vhdx(c, error);
	return ok && (c->paths ||
		      fail(c, EX_USAGE, "disk.no-parent",
			   "it has all of its data, and no parent",
			   "use it as it is", error));
}

static struct block_backend *open_parent(struct block_merge *m, bool read_only,
					 GError **error)
{
	const struct commit *c = container_of(m, struct commit, merge);
	const struct block_chain child = {
		.loop = m->loop, .options.path = m->path,
		.write_parent = !read_only,
	};
	struct block_chain parent;
	struct block_backend *file = block_parent_open(&child, c->paths,
						       &parent, error);

	if (file)
		m->parent_path = parent.options.path;
	return file;
}

/*
 * The work.
 */
static void progress(struct block_merge *m, uint64_t copied)
{
	struct commit *c = container_of(m, struct commit, merge);

	if (!c->progress.total)
		disk_progress_begin(&c->progress, "commit", m->total);
	disk_progress_show(&c->progress, copied);
}

static void signalled(struct signals *signals, int signal)
{
	struct commit *c = container_of(signals, struct commit, signals);

	c->signal = signal;
	c->merge.stop = -EINTR;
}

static bool told(const struct commit *c, int result, GError **error)
{
	g_autofree char *advice = NULL;

	if (result == -EINTR && c->signal)
		return fail(c, 128 + c->signal, "disk.interrupted",
			    "a signal ended it; nothing is lost", "once more",
			    error);
	advice = g_strdup_printf(
		"%s; then once more: nothing is lost",
		result == -ENOSPC ? "room on the host's disk" :
		"kvmbus disk check, for both; the host's disk, by dmesg");
	return fail(c, EX_IOERR, result == -ENOSPC ? "disk.full" : "disk.io",
		    g_strerror(-result), advice, error);
}

static int run(struct commit *c, GError **error)
{
	int result;

	c->merge.progress = progress;
	signals_catch(&c->signals, c->merge.loop);
	result = c->format == BLOCK_FORMAT_VHD ? vhd_merge(&c->merge, error) :
						 vhdx_merge(&c->merge, error);
	signals_finish(&c->signals);
	c->merge.file = NULL;
	if (c->progress.total)
		disk_progress_end(&c->progress, !result);
	return result;
}

/*
 * Children of a VHD know it by the time of its last change, and what this one
 * shows has not changed.
 */
static bool run_in_time(struct commit *c, GError **error)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };
	struct stat st;
	bool known = stat(c->args->file, &st) == 0;
	int result = run(c, error);

	times[1] = st.st_mtim;
	if (known && c->format == BLOCK_FORMAT_VHD)
		utimensat(AT_FDCWD, c->args->file, times, 0);
	return result < 0 ? told(c, result, error) : !result;
}

static void report(const struct commit *c)
{
	struct report r;

	report_begin(&r, c->args->json);
	report_text(&r, "file", c->args->file);
	report_text(&r, "parent", c->merge.parent_path);
	report_bytes(&r, "committed", c->merge.total);
	report_end(&r);
}

static bool commit(struct commit *c, GError **error)
{
	const struct block_file_options o = { .path = c->args->file };

	c->merge.loop = loop_new(error);
	if (!c->merge.loop)
		return false;
	c->merge.file = block_file_open(c->merge.loop, &o, error);
	if (!c->merge.file || !find_parent(c, error) ||
	    !run_in_time(c, error))
		return false;
	report(c);
	return true;
}

int disk_commit(const struct disk_args *a, GError **error)
{
	struct commit c = {
		.args = a, .merge.path = a->file,
		.merge.open_parent = open_parent,
		.signals.received = signalled,
	};
	bool ok = commit(&c, error);

	block_close(c.merge.file);
	loop_free(c.merge.loop);
	g_clear_pointer(&c.paths, g_ptr_array_unref);
	return ok ? 0 : (*error)->code;
}
