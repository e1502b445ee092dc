/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <endian.h>
#include <string.h>
#include <sys/stat.h>

#include "backends/block_parent.h"
#include "core/error.h"

/*
 * Names.
 */
char *block_utf16_read(const void *data, size_t units, bool big_endian)
{
	g_autofree gunichar2 *text = g_new0(gunichar2, units + 1);

	memcpy(text, data, units * sizeof(*text));
	for (size_t i = 0; i < units; i++)
		text[i] = big_endian ? be16toh(text[i]) : le16toh(text[i]);
	return g_utf16_to_utf8(text, -1, NULL, NULL, NULL);
}

gunichar2 *block_utf16_make(const char *text, bool big_endian, size_t *units)
{
	glong len = 0;
	gunichar2 *to = g_utf8_to_utf16(text, -1, NULL, &len, NULL);

	*units = (size_t)len;
	for (glong i = 0; i < len; i++)
		to[i] = big_endian ? htobe16(to[i]) : htole16(to[i]);
	return to;
}

char *block_parent_path(const char *name, const char *child)
{
	g_autofree char *dir = g_path_get_dirname(child);
	g_autofree char *unix_name = g_strdelimit(g_strdup(name), "\\", '/');
	const char *p = unix_name;

	if (g_str_has_prefix(p, "//?/") && !strchr(p + 4, '/'))
		p += 4;
	/* Drives and shares of another host mean nothing here. */
	if (g_ascii_isalpha(p[0]) && p[1] == ':')
		p = strrchr(p, '/') ? strrchr(p, '/') + 1 : p + 2;
	else if (p[0] == '/')
		p = strrchr(p, '/') + 1;
	while (p[0] == '.' && p[1] == '/')
		p += 2;
	return *p ? g_build_filename(dir, p, NULL) : NULL;
}

void block_parent_add(GPtrArray *paths, char *path)
{
	if (!path || g_ptr_array_find_with_equal_func(paths, path, g_str_equal,
						      NULL))
		g_free(path);
	else
		g_ptr_array_add(paths, path);
}

/* Both are absolute. */
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

char *block_parent_way(const char *child, const char *parent)
{
	g_autofree char *here = g_canonicalize_filename(child, NULL);
	g_autofree char *there = g_canonicalize_filename(parent, NULL);

	return g_strdelimit(relative_path(here, there), "/", '\\');
}

/*
 * Chains.
 */
static struct block_backend *fail(const struct block_chain *c, const char *id,
				  const char *why, const char *advice,
				  GError **error)
{
	g_autofree char *what = g_strdup_printf("cannot use disk %s",
						c->options.path);

	user_error_set(error, EX_DATAERR, id, what, why, advice);
	return NULL;
}

/* "top, middle, bottom": @c and those that led to it. */
static char *chain_names(const struct block_chain *c)
{
	g_autoptr(GString) names = g_string_new(c->options.path);

	while ((c = c->child)) {
		g_string_prepend(names, ", ");
		g_string_prepend(names, c->options.path);
	}
	return g_string_free(g_steal_pointer(&names), FALSE);
}

/* Whether the file at @path is one of the chain that ends with @c. */
static bool is_above(const struct block_chain *c, const char *path)
{
	struct stat st, other;

	if (stat(path, &st) < 0)
		return false;
	for (; c; c = c->child)
		if (stat(c->options.path, &other) == 0 &&
		    other.st_dev == st.st_dev && other.st_ino == st.st_ino)
			return true;
	return false;
}

static unsigned chain_length(const struct block_chain *c)
{
	unsigned n = 0;

	for (; c; c = c->child)
		n++;
	return n;
}

const char *block_parent_there(const GPtrArray *paths)
{
	for (unsigned i = 0; i < paths->len; i++)
		if (g_file_test(paths->pdata[i], G_FILE_TEST_EXISTS))
			return paths->pdata[i];
	return NULL;
}

static struct block_backend *missing(const struct block_chain *child,
				     const GPtrArray *paths, GError **error)
{
	g_autoptr(GString) names = g_string_new(NULL);
	g_autofree char *why = NULL, *advice = NULL;

	for (unsigned i = 0; i < paths->len; i++)
		g_string_append_printf(names, "%s%s", i ? ", " : "",
				       (char *)paths->pdata[i]);
	why = g_strdup_printf("it needs its parent, and there is no %s",
			      names->len ? names->str : "name of it");
	advice = g_strdup_printf("put the parent beside it, or say where it "
				 "is: kvmbus disk rebase %s --parent FILE",
				 child->options.path);
	return fail(child, "disk.parent-missing", why, advice, error);
}

struct block_backend *block_parent_open(const struct block_chain *child,
					const GPtrArray *paths,
					struct block_chain *parent,
					GError **error)
{
	const char *path = block_parent_there(paths);
	g_autofree char *names = chain_names(child), *why = NULL;

	if (!path)
		return missing(child, paths, error);
	if (is_above(child, path)) {
		why = g_strdup_printf("its parent %s is a child of itself: %s",
				      path, names);
		return fail(child, "disk.parent-loop", why,
			    "put the disk there that it was made from", error);
	}
	if (chain_length(child) >= BLOCK_CHAIN_MAX) {
		why = g_strdup_printf("more than %d disks are between it and "
				      "the one that was asked for",
				      BLOCK_CHAIN_MAX - 2);
		return fail(child, "disk.chain", why,
			    "make one disk of them: kvmbus disk convert", error);
	}
	*parent = (struct block_chain){
		.loop = child->loop, .child = child,
		.options = {
			.path = path, .read_only = !child->write_parent,
			.direct = child->options.direct,
		},
	};
	return block_file_open(child->loop, &parent->options, error);
}
