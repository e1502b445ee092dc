/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>

#include "backends/vhd.h"
#include "backends/vhd_fixed.h"
#include "core/util.h"

struct vhd_fixed {
	struct block_backend bb;
	struct block_backend *file;
};

static void fixed_submit(struct block_backend *bb, struct block_request *rq)
{
	block_submit(container_of(bb, struct vhd_fixed, bb)->file, rq);
}

static uint64_t fixed_next_data(struct block_backend *bb, uint64_t at)
{
	struct vhd_fixed *f = container_of(bb, struct vhd_fixed, bb);

	return MIN(block_next_data(f->file, at), bb->size);
}

static int fixed_extend(struct block_backend *bb, uint64_t size)
{
	struct vhd_fixed *f = container_of(bb, struct vhd_fixed, bb);
	struct vhd_facts facts;
	g_autoptr(GError) error = NULL;
	int ret;

	if (!f->file->growable || bb->read_only)
		return -EOPNOTSUPP;
	if (!vhd_read_facts(f->file, "", &facts, &error))
		return -EIO;
	ret = vhd_fixed_grow(f->file, &facts, size);
	if (!ret)
		bb->size = size;
	return ret;
}

static void fixed_hurry(struct block_backend *bb)
{
	block_hurry(container_of(bb, struct vhd_fixed, bb)->file);
}

static void fixed_again(struct block_backend *bb)
{
	block_again(container_of(bb, struct vhd_fixed, bb)->file);
}

static void fixed_leave(struct block_backend *bb, struct block_leave *l)
{
	block_leave(container_of(bb, struct vhd_fixed, bb)->file, l);
}

static void fixed_close(struct block_backend *bb)
{
	struct vhd_fixed *f = container_of(bb, struct vhd_fixed, bb);

	block_close(f->file);
	g_free(f);
}

static const struct block_backend_ops fixed_ops = {
	.name = "vhd-fixed",
	.submit = fixed_submit,
	.next_data = fixed_next_data,
	.extend = fixed_extend,
	.hurry = fixed_hurry,
	.again = fixed_again,
	.leave = fixed_leave,
	.close = fixed_close,
};

struct block_backend *vhd_fixed_new(struct block_backend *file, uint64_t size)
{
	struct vhd_fixed *f = g_new0(struct vhd_fixed, 1);

	f->bb = *file;
	f->bb.ops = &fixed_ops;
	f->bb.size = size;
	f->bb.growable = false;
	f->file = file;
	return &f->bb;
}
