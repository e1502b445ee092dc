/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "backends/block_now.h"
#include "backends/block_patch.h"
#include "backends/vhdx_internal.h"
#include "core/error.h"
#include "core/trace.h"
#include "core/util.h"

#define BLOCK_ADVICE	"restore a copy; what can be read: qemu-img convert"

bool vhdx_fail(GError **error, const char *path, const char *id,
	       const char *why, const char *advice)
{
	g_autofree char *what = g_strdup_printf("cannot use VHDX disk %s",
						path);

	user_error_set(error, EX_DATAERR, id, what, why,
		       advice ? advice : BLOCK_ADVICE);
	return false;
}

bool vhdx_probe(const uint8_t *start)
{
	return !memcmp(start, VHDX_FILE_SIGNATURE, 8);
}

static bool is_vhdx(struct block_backend *file)
{
	uint8_t start[VHDX_SECTOR];

	return file->size >= sizeof(start) &&
	       !block_read_now(file, 0, start, sizeof(start)) &&
	       vhdx_probe(start);
}

void vhdx_free(struct vhdx *v)
{
	vhdx_io_finish(v);
	vhdx_step_finish(v);
	vhdx_log_finish(v);
	vhdx_space_finish(&v->space);
	vhdx_cache_finish(&v->cache);
	block_close(v->parent);
	block_close(v->file);
	g_free(v);
}

/* Parents are files, which neither wait nor have anything to leave. */
static void vhdx_hurry(struct block_backend *bb)
{
	block_hurry(container_of(bb, struct vhdx, bb)->file);
}

static void vhdx_again(struct block_backend *bb)
{
	block_again(container_of(bb, struct vhdx, bb)->file);
}

static void vhdx_leave(struct block_backend *bb, struct block_leave *l)
{
	block_leave(container_of(bb, struct vhdx, bb)->file, l);
}

/* What cannot be written now is in the log, for who opens the file next. */
static void vhdx_close(struct block_backend *bb)
{
	struct vhdx *v = container_of(bb, struct vhdx, bb);
	int ret = vhdx_commit_all(v);

	if (!ret && v->log.begun)
		ret = vhdx_space_give_back(v);
	if (ret)
		trace(TRACE_BLOCK, "vhdx.close result=%d", ret);
	vhdx_free(v);
}

static const struct block_backend_ops vhdx_ops = {
	.name = "vhdx",
	.submit = vhdx_submit,
	.next_data = vhdx_next_data,
	.extend = vhdx_extend,
	.hurry = vhdx_hurry,
	.again = vhdx_again,
	.leave = vhdx_leave,
	.close = vhdx_close,
};

static void describe(struct vhdx *v)
{
	const struct vhdx_layout *l = &v->layout;

	v->bb = (struct block_backend){
		.ops = &vhdx_ops,
		.size = l->size,
		.block_size = l->sector,
		.physical_block_size = MAX(l->sector, l->physical_sector),
		.discard_granularity = v->file->discard_granularity,
		.read_only = v->file->read_only,
		.rotational = v->file->rotational,
	};
}

/*
 * Opening.
 */
struct vhdx *vhdx_new(struct loop *loop, struct block_backend *file)
{
	struct vhdx *v = g_new0(struct vhdx, 1);

	v->file = file;
	v->loop = loop;
	v->note.run = vhdx_go_on;
	vhdx_cache_init(&v->cache);
	vhdx_log_init(v);
	g_queue_init(&v->waiting);
	vhdx_space_init(v);
	return v;
}

bool vhdx_read_file(struct vhdx *v, struct vhdx_locator *locator,
		    const char *path, GError **error)
{
	if (!is_vhdx(v->file))
		return vhdx_fail(error, path, "vhdx.kind", "it is none",
				 "the parent of a VHDX has to be one");
	if (!vhdx_headers_read(v, path, error))
		return false;
	if (!vhdx_log_is_empty(v) && !vhdx_replay(v, path, error))
		return false;
	return vhdx_regions_read(v, path, error) &&
	       vhdx_metadata_read(v, locator, path, error);
}

static struct vhdx *open_one(const struct block_chain *at,
			     struct block_backend *file, GError **error);

bool vhdx_parent_fits(const struct vhdx *v, const struct vhdx_locator *l,
		      const char *path, const struct vhdx *parent,
		      const char *parent_path, GError **error)
{
	char is[GUID_TEXT_SIZE], wanted[GUID_TEXT_SIZE];
	g_autofree char *why = NULL;

	if (!vhdx_locator_has(l, &parent->header.data_write_guid)) {
		why = g_strdup_printf(
			"its parent is {%s}, but %s is {%s}: another disk, or "
			"written since", guid_text(&l->linkage[0], wanted),
			parent_path,
			guid_text(&parent->header.data_write_guid, is));
		return vhdx_fail(error, path, "vhdx.parent-id", why,
				 "put the disk there that it was made from, or "
				 "say where it is: kvmbus disk rebase");
	}
	if (parent->layout.sector == v->layout.sector)
		return true;
	why = g_strdup_printf("it has sectors of %u bytes, its parent %s of %u",
			      v->layout.sector, parent_path,
			      parent->layout.sector);
	return vhdx_fail(error, path, "vhdx.parent-sectors", why, NULL);
}

static bool open_parent(struct vhdx *v, const struct block_chain *at,
			const struct vhdx_locator *l, GError **error)
{
	struct block_chain below;
	struct block_backend *file = block_parent_open(at, l->paths, &below,
						       error);
	struct vhdx *parent = file ? open_one(&below, file, error) : NULL;

	if (!parent)
		return false;
	v->parent = &parent->bb;
	return vhdx_parent_fits(v, l, at->options.path, parent,
				below.options.path, error);
}

bool vhdx_load(struct vhdx *v, const struct block_chain *at, GError **error)
{
	struct vhdx_locator locator = { 0 };
	bool ok = vhdx_read_file(v, &locator, at->options.path, error) &&
		  (!v->layout.has_parent ||
		   open_parent(v, at, &locator, error));

	vhdx_locator_finish(&locator);
	if (!ok)
		return false;
	/* The log may have made the file longer. */
	v->space.end = MAX(v->space.end, (v->file->size + VHDX_MIB - 1) &
					 ~(VHDX_MIB - 1));
	describe(v);
	return true;
}

static struct vhdx *open_one(const struct block_chain *at,
			     struct block_backend *file, GError **error)
{
	struct vhdx *v = vhdx_new(at->loop, file);

	if (vhdx_load(v, at, error))
		return v;
	vhdx_free(v);
	return NULL;
}

/*
 * Machines that share a disk cannot share its log, and there is nothing that
 * needs one: each block is in the file.  That the disk is written is said once,
 * by each when it starts.
 */
static bool share(struct vhdx *v, const char *path, GError **error)
{
	int ret;

	if (!vhdx_may_share(v, path, error))
		return false;
	vhdx_new_guid(&v->header.file_write_guid);
	vhdx_new_guid(&v->header.data_write_guid);
	ret = vhdx_header_end_log(v);
	v->shared = true;
	return !ret || vhdx_fail(error, path, "vhdx.write", g_strerror(-ret),
				 "make it writable");
}

static bool may_write(struct vhdx *v, const struct block_file_options *o,
		      GError **error)
{
	if (v->bb.read_only)
		return true;
	return o->shared ? share(v, o->path, error) :
			   vhdx_may_write(v, o->path, error);
}

struct block_backend *vhdx_open(struct loop *loop, struct block_backend *file,
				const struct block_file_options *options,
				GError **error)
{
	const struct block_chain top = { .loop = loop, .options = *options };
	struct vhdx *v = open_one(&top, file, error);

	if (!v)
		return NULL;
	if (!may_write(v, options, error)) {
		vhdx_free(v);
		return NULL;
	}
	return &v->bb;
}

struct block_backend *vhdx_open_damaged(struct block_backend *file,
					const char *path, GError **error)
{
	const struct block_chain top = { .options = { .path = path } };
	struct vhdx *v = open_one(&top, file, error);

	return v ? &v->bb : NULL;
}

/* Of a file that is the caller's. */
static void free_borrower(struct vhdx *v)
{
	if (v->aside)
		block_patch_release(v->file);
	v->file = NULL;
	vhdx_free(v);
}

bool vhdx_read_facts(struct block_backend *file, const char *path,
		     struct vhdx_facts *facts, GError **error)
{
	struct vhdx *v = vhdx_new(NULL, file);
	const struct vhdx_layout *l = &v->layout;
	struct vhdx_locator locator = { 0 };
	bool ok;

	v->looking = true;
	ok = vhdx_read_file(v, &locator, path, error);
	*facts = (struct vhdx_facts){
		.fixed = l->leave_allocated, .differencing = l->has_parent,
		.dirty = !vhdx_log_is_empty(v),
		.size = l->size, .block_size = l->block_size,
		.sector_size = l->sector,
		.physical_sector_size = MAX(l->sector, l->physical_sector),
		.log_size = l->log.length, .disk_id = l->disk_id,
		.file_write_guid = v->header.file_write_guid,
		.data_write_guid = v->header.data_write_guid,
		.parent = locator.linkage[0],
		.parent_paths = g_steal_pointer(&locator.paths),
	};
	free_borrower(v);
	if (!ok)
		vhdx_facts_finish(facts);
	return ok;
}

void vhdx_facts_finish(struct vhdx_facts *facts)
{
	g_clear_pointer(&facts->parent_paths, g_ptr_array_unref);
}

bool vhdx_way_is_text(const char *way, const char *parent, GError **error)
{
	return g_utf8_validate(way, -1, NULL) ||
	       vhdx_fail(error, parent, "vhdx.name", "its name is not UTF-8, "
			 "and a child could not say it", "another name");
}

static int enter_parent(struct vhdx *v, const struct vhdx_locator *l,
			const char *way)
{
	uint32_t len;
	g_autofree uint8_t *item = vhdx_locator_make(l->linkage, way, &len);
	int ret = vhdx_begin_now(v, false);

	if (!ret)
		ret = vhdx_metadata_set_locator(v, item, len);
	return ret ? ret : vhdx_commit_all(v);
}

/* A parent at @path for @v. */
static bool try_parent(struct vhdx *v, const struct vhdx_locator *l,
		       const struct block_chain *child, const char *path,
		       GError **error)
{
	g_autoptr(GPtrArray) paths = g_ptr_array_new();
	const struct vhdx_locator at = {
		.linkage = { l->linkage[0], l->linkage[1] }, .paths = paths,
	};

	if (!v->layout.has_parent)
		return vhdx_fail(error, child->options.path, "vhdx.no-parent",
				 "it has all of its data, and no parent",
				 "use it as it is");
	g_ptr_array_add(paths, (char *)path);
	return open_parent(v, child, &at, error);
}

int vhdx_rebase(struct block_backend *file, const char *path,
		const char *parent, GError **error)
{
	const struct block_chain top = { .options = { .path = path } };
	g_autofree char *way = block_parent_way(path, parent);
	struct vhdx *v = vhdx_new(NULL, file);
	struct vhdx_locator locator = { 0 };
	bool ok = vhdx_way_is_text(way, parent, error) &&
		  vhdx_read_file(v, &locator, path, error) &&
		  try_parent(v, &locator, &top, parent, error);
	int ret = ok ? enter_parent(v, &locator, way) : 0;

	vhdx_locator_finish(&locator);
	free_borrower(v);
	return ok ? ret : 1;
}

/*
 * New children.
 */
bool vhdx_create_options_adopt(struct vhdx_create_options *o, const char *path,
			       const char *parent, GError **error)
{
	const struct block_file_options options = {
		.path = parent, .read_only = true,
	};
	const struct block_chain top = { .options = options };
	struct block_backend *file = block_file_open(NULL, &options, error);
	struct vhdx *v = file ? open_one(&top, file, error) : NULL;

	if (!v)
		return false;
	if (!o->size)
		o->size = v->layout.size;
	o->sector_size = v->layout.sector;
	o->physical_sector = v->layout.physical_sector;
	o->id = v->layout.disk_id;
	o->parent = v->header.data_write_guid;
	o->way = block_parent_way(path, parent);
	vhdx_free(v);
	return vhdx_way_is_text(o->way, parent, error);
}

void vhdx_create_options_finish(struct vhdx_create_options *o)
{
	g_clear_pointer(&o->way, g_free);
}
