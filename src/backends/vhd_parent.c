/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "backends/block_now.h"
#include "backends/vhd_parent.h"

#define LOCATOR_MAX	4096u	/* bytes of a path; longer ones are no paths */

/* UTF-16 units in the file's byte order, to a string; NULL if it is none. */
static char *from_utf16(const void *data, size_t units, bool big_endian)
{
	g_autofree gunichar2 *text = g_new0(gunichar2, units + 1);

	memcpy(text, data, units * sizeof(*text));
	for (size_t i = 0; i < units; i++)
		text[i] = big_endian ? be16toh(text[i]) : le16toh(text[i]);
	return g_utf16_to_utf8(text, -1, NULL, NULL, NULL);
}

/* A path of Windows as one of this host, beside @child's file. */
static char *from_windows(const char *name, const char *child)
{
	g_autofree char *dir = g_path_get_dirname(child);
	g_autofree char *unix_name = g_strdelimit(g_strdup(name), "\\", '/');
	const char *p = unix_name;

	/* Drives and shares of another host mean nothing here. */
	if (g_ascii_isalpha(p[0]) && p[1] == ':')
		p = strrchr(p, '/') ? strrchr(p, '/') + 1 : p + 2;
	else if (p[0] == '/')
		p = strrchr(p, '/') + 1;
	while (p[0] == '.' && p[1] == '/')
		p += 2;
	return *p ? g_build_filename(dir, p, NULL) : NULL;
}

static void add_path(GPtrArray *paths, char *path)
{
	if (!path || g_ptr_array_find_with_equal_func(paths, path, g_str_equal,
						      NULL))
		g_free(path);
	else
		g_ptr_array_add(paths, path);
}

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
			add_path(paths, g_filename_from_uri((char *)data, NULL,
							    NULL));
			continue;
		}
		name = from_utf16(data, len / 2, false);
		if (name)
			add_path(paths, from_windows(name, child));
	}
}

GPtrArray *vhd_parent_paths(struct block_backend *file,
			    const struct vhd_header *h, const char *path)
{
	GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *name = from_utf16(h->parent_name,
					   sizeof(h->parent_name) / 2, true);

	add_locators(paths, file, h, path, VHD_W2RU);
	add_locators(paths, file, h, path, VHD_MACX);
	add_locators(paths, file, h, path, VHD_W2KU);
	if (name)
		add_path(paths, from_windows(name, path));
	return paths;
}

/*
 * Making locators.
 */

/* The way from the folder of @path to @parent, both absolute. */
static char *relative_path(const char *path, const char *parent)
{
	g_auto(GStrv) from = g_strsplit(path, "/", -1);
	g_auto(GStrv) to = g_strsplit(parent, "/", -1);
	g_autoptr(GString) way = g_string_new(NULL);
	unsigned same = 0;

	/* The last of each is a file's name. */
	while (from[same + 1] && to[same + 1] && !strcmp(from[same], to[same]))
		same++;
	for (unsigned i = same; from[i + 1]; i++)
		g_string_append(way, "../");
	if (!way->len)
		g_string_append(way, "./");
	for (unsigned i = same; to[i]; i++)
		g_string_append_printf(way, "%s%s", to[i],
				       to[i + 1] ? "/" : "");
	return g_string_free(g_steal_pointer(&way), FALSE);
}

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

/* UTF-16 in the byte order that is asked for; @units of it, without its end. */
static gunichar2 *to_utf16(const char *text, bool big_endian, size_t *units)
{
	glong len = 0;
	gunichar2 *to = g_utf8_to_utf16(text, -1, NULL, &len, NULL);

	*units = (size_t)len;
	for (glong i = 0; i < len; i++)
		to[i] = big_endian ? htobe16(to[i]) : htole16(to[i]);
	return to;
}

int vhd_parent_locate(struct block_backend *file, struct vhd_header *h,
		      const char *path, const char *parent, uint64_t *at)
{
	g_autofree char *here = g_canonicalize_filename(path, NULL);
	g_autofree char *there = g_canonicalize_filename(parent, NULL);
	g_autofree char *way = g_strdelimit(relative_path(here, there), "/",
					    '\\');
	g_autofree char *name = g_path_get_basename(there);
	g_autofree char *uri = g_filename_to_uri(there, NULL, NULL);
	g_autofree gunichar2 *way16 = NULL, *name16 = NULL;
	size_t way_len, name_len;
	int result;

	way16 = to_utf16(way, false, &way_len);
	name16 = to_utf16(name, true, &name_len);
	if (!way16 || !name16 || !uri || way_len * 2 > LOCATOR_MAX ||
	    strlen(uri) > LOCATOR_MAX || name_len > 255)
		return -EINVAL;
	memcpy(h->parent_name, name16, name_len * 2);
	result = write_locator(file, &h->locator[0], VHD_W2RU, way16,
			       way_len * 2, at);
	return result ? result : write_locator(file, &h->locator[1], VHD_MACX,
					       uri, strlen(uri), at);
}
