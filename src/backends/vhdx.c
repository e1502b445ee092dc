/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

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

static void vhdx_free(struct vhdx *v)
{
	vhdx_io_finish(v);
	vhdx_log_finish(v);
	vhdx_space_finish(&v->space);
	vhdx_cache_finish(&v->cache);
	block_close(v->file);
	g_free(v);
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
	.close = vhdx_close,
};

static bool open_file(struct vhdx *v, const char *path, GError **error)
{
	if (!vhdx_headers_read(v, path, error))
		return false;
	if (!vhdx_log_is_empty(v) && !vhdx_replay(v, path, error))
		return false;
	return vhdx_regions_read(v, path, error) &&
	       vhdx_metadata_read(v, path, error);
}

void vhdx_get_facts(struct block_backend *bb, struct vhdx_facts *facts)
{
	const struct vhdx *v = container_of(bb, struct vhdx, bb);

	*facts = (struct vhdx_facts){
		.fixed = v->layout.leave_allocated,
		.block_size = v->layout.block_size,
		.log_size = v->layout.log.length,
		.disk_id = v->layout.disk_id,
		.file_write_guid = v->header.file_write_guid,
		.data_write_guid = v->header.data_write_guid,
	};
}

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

struct block_backend *vhdx_open(struct loop *loop, struct block_backend *file,
				const char *path, GError **error)
{
	struct vhdx *v = g_new0(struct vhdx, 1);

	v->file = file;
	v->loop = loop;
	v->note.run = vhdx_go_on;
	vhdx_cache_init(&v->cache);
	vhdx_log_init(v);
	g_queue_init(&v->waiting);
	vhdx_space_init(v);
	if (!open_file(v, path, error)) {
		vhdx_free(v);
		return NULL;
	}
	/* The log may have made the file longer. */
	v->space.end = MAX(v->space.end, (v->file->size + VHDX_MIB - 1) &
					 ~(VHDX_MIB - 1));
	describe(v);
	return &v->bb;
}
