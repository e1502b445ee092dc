/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "backends/block_now.h"
#include "backends/block_parent.h"
#include "backends/vhd_internal.h"
#include "backends/vhd_parent.h"

#define LOCATOR_MAX	4096u	/* bytes of a path; longer ones are no paths */

/* What a locator points to; NULL if that is not there. */
static uint8_t *read_locator(struct block_backend *file,
			     const struct vhd_locator *l, uint32_t *len)
{
	uint64_t offset = be64toh(l->data_offset);
	uint64_t room = (uint64_t)LOCATOR_MAX;
	uint8_t *data;

	*len = be32toh(l->data_length);
	if (!*len || *len > LOCATOR_MAX || offset % VHD_SECTOR ||
	    offset > file->size)
		return NULL;
	room = MIN(room, file->size - offset);
	if (*len > room)
		return NULL;
	data = g_malloc0(LOCATOR_MAX + 1);
	if (block_read_now(file, offset, data, room) < 0)
		g_clear_pointer(&data, g_free);
	return data;
}

static void add_locators(GPtrArray *paths, struct block_backend *file,
			 const struct vhd_header *h, const char *child,
			 uint32_t code)
{
	for (unsigned i = 0; i < VHD_LOCATORS; i++) {
		const struct vhd_locator *l = &h->locator[i];
		g_autofree uint8_t *data = NULL;
		g_autofree char *name = NULL;
		uint32_t len;

		if (be32toh(l->platform_code) != code)
			continue;
		data = read_locator(file, l, &len);
		if (!data)
			continue;
		data[len] = 0;
		if (code == VHD_MACX) {
			block_parent_add(paths, g_filename_from_uri(
				(char *)data, NULL, NULL));
			continue;
		}
		name = block_utf16_read(data, len / 2, false);
		if (name)
			block_parent_add(paths, block_parent_path(name, child));
	}
}

GPtrArray *vhd_parent_paths(struct block_backend *file,
			    const struct vhd_header *h, const char *path)
{
	GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *name = block_utf16_read(h->parent_name,
					   sizeof(h->parent_name) / 2, true);

	add_locators(paths, file, h, path, VHD_W2RU);
	add_locators(paths, file, h, path, VHD_MACX);
	add_locators(paths, file, h, path, VHD_W2KU);
	if (name)
		block_parent_add(paths, block_parent_path(name, path));
	return paths;
}

/*
 * Making locators.
 */

static int write_locator(struct block_backend *file, struct vhd_locator *l,
			 uint32_t code, const void *data, size_t len,
			 uint64_t *at)
{
	size_t space = (len + VHD_SECTOR - 1) / VHD_SECTOR * VHD_SECTOR;
	g_autofree uint8_t *buf = g_malloc0(space);
	int result = 0;

	memcpy(buf, data, len);
	if (*at + space > file->size)
		result = block_grow_now(file, *at + space);
	if (!result)
		result = block_write_now(file, *at, buf, space);
	*l = (struct vhd_locator){
		.platform_code = htobe32(code),
		.data_space = htobe32((uint32_t)space),
		.data_length = htobe32((uint32_t)len),
		.data_offset = htobe64(*at),
	};
	*at += space;
	return result;
}

int vhd_parent_locate(struct block_backend *file, struct vhd_header *h,
		      const char *path, const char *parent, uint64_t *at)
{
	g_autofree char *there = g_canonicalize_filename(parent, NULL);
	g_autofree char *way = block_parent_way(path, parent);
	g_autofree char *name = g_path_get_basename(there);
	g_autofree char *uri = g_filename_to_uri(there, NULL, NULL);
	g_autofree gunichar2 *way16 = NULL, *name16 = NULL;
	size_t way_len, name_len;
	int result;

	way16 = block_utf16_make(way, false, &way_len);
	name16 = block_utf16_make(name, true, &name_len);
	if (!way16 || !name16 || !uri || way_len * 2 > LOCATOR_MAX ||
	    strlen(uri) > LOCATOR_MAX || name_len > 255)
		return -EINVAL;
	memcpy(h->parent_name, name16, name_len * 2);
	result = write_locator(file, &h->locator[0], VHD_W2RU, way16,
			       way_len * 2, at);
	return result ? result : write_locator(file, &h->locator[1], VHD_MACX,
					       uri, strlen(uri), at);
}

/*
 * A new header behind what the file has; the old one is used until the footer
 * points to this.
 */
static int enter_parent(struct block_backend *file,
			const struct vhd_facts *facts, const char *path,
			const char *parent)
{
	struct vhd_header h = facts->header;
	struct vhd_footer f = facts->footer;
	uint64_t at = file->size;
	int result;

	memset(h.parent_name, 0, sizeof(h.parent_name));
	memset(h.locator, 0, sizeof(h.locator));
	result = vhd_parent_locate(file, &h, path, parent, &at);
	vhd_header_seal(&h);
	if (!result)
		result = block_grow_now(file, at + sizeof(h) + VHD_SECTOR);
	if (!result)
		result = block_write_now(file, at, &h, sizeof(h));
	f.data_offset = htobe64(at);
	vhd_footer_seal(&f);
	return result ? result : vhd_enter_footer(file, &f);
}

int vhd_rebase(struct block_backend *file, const struct vhd_facts *facts,
	       const char *path, const char *parent, GError **error)
{
	const struct block_file_options o = {
		.path = parent, .read_only = true,
	};
	struct block_backend *bb = block_file_open(NULL, &o, error);
	struct vhd_facts there;
	bool ok = bb && vhd_read_facts(bb, parent, &there, error) &&
		  vhd_parent_check(facts, path, &there, parent, error);
	int result = ok ? enter_parent(file, facts, path, parent) : 0;

	block_close(bb);
	return ok ? result : 1;
}
