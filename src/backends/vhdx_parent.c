/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parent locators: [MS-VHDX] 2.6.2.6. */
#include <string.h>

#include "backends/vhdx_internal.h"

#define PAIRS_MAX	64	/* five are known */

struct item {
	const uint8_t *bytes;
	uint32_t len;
	unsigned pairs;
};

void vhdx_locator_finish(struct vhdx_locator *l)
{
	g_clear_pointer(&l->paths, g_ptr_array_unref);
}

static bool pair_at(const struct item *i, unsigned n,
		    struct vhdx_locator_entry *e)
{
	memcpy(e, i->bytes + sizeof(struct vhdx_locator_header) +
		  n * sizeof(*e), sizeof(*e));
	return e->key_length && e->value_length && e->key_offset <= i->len &&
	       e->key_length <= i->len - e->key_offset &&
	       e->value_offset <= i->len &&
	       e->value_length <= i->len - e->value_offset;
}

/* The value of @key; NULL: it is not there, or no text. */
static char *value_of(const struct item *i, const char *key)
{
	struct vhdx_locator_entry e;

	for (unsigned n = 0; n < i->pairs; n++) {
		g_autofree char *text = NULL;

		if (!pair_at(i, n, &e) || e.key_length != 2 * strlen(key))
			continue;
		text = block_utf16_read(i->bytes + e.key_offset,
					e.key_length / 2, false);
		if (text && !strcmp(text, key))
			return block_utf16_read(i->bytes + e.value_offset,
						e.value_length / 2, false);
	}
	return NULL;
}

static void add_path(struct vhdx_locator *l, const struct item *i,
		     const char *key, const char *path)
{
	g_autofree char *name = value_of(i, key);

	if (name)
		block_parent_add(l->paths, block_parent_path(name, path));
}

static bool linkage(const struct item *i, const char *key, struct guid *g)
{
	g_autofree char *text = value_of(i, key);

	return text && guid_parse(text, g);
}

const char *vhdx_locator_read(struct vhdx_locator *l, const uint8_t *item,
			      uint32_t len, const char *path)
{
	static const struct guid type = VHDX_LOCATOR_TYPE;
	struct item i = { .bytes = item, .len = len };
	struct vhdx_locator_header h;

	if (len < sizeof(h))
		return "is not complete";
	memcpy(&h, item, sizeof(h));
	if (!guid_equal(&h.type, &type))
		return "is of another kind than that of a VHDX parent";
	i.pairs = h.count;
	if (i.pairs > PAIRS_MAX || i.pairs * sizeof(struct vhdx_locator_entry) >
				   len - sizeof(h))
		return "has more entries than there can be";
	*l = (struct vhdx_locator){
		.paths = g_ptr_array_new_with_free_func(g_free),
	};
	if (!linkage(&i, VHDX_PARENT_LINKAGE, &l->linkage[0]))
		return "has no id of the parent";
	linkage(&i, VHDX_PARENT_LINKAGE2, &l->linkage[1]);
	add_path(l, &i, VHDX_RELATIVE_PATH, path);
	add_path(l, &i, VHDX_VOLUME_PATH, path);
	add_path(l, &i, VHDX_ABSOLUTE_PATH, path);
	return NULL;
}

bool vhdx_locator_has(const struct vhdx_locator *l, const struct guid *id)
{
	static const struct guid none;

	return !guid_equal(id, &none) && (guid_equal(id, &l->linkage[0]) ||
					  guid_equal(id, &l->linkage[1]));
}

/*
 * Making them.
 */
static void put_text(GByteArray *a, const char *text, uint32_t *at,
		     uint16_t *len)
{
	g_autofree gunichar2 *utf16 = NULL;
	size_t units;

	utf16 = block_utf16_make(text, false, &units);
	*at = a->len;
	*len = (uint16_t)(units * 2);
	g_byte_array_append(a, (const guint8 *)utf16, *len);
}

static char *linkage_text(const struct guid *g)
{
	char text[GUID_TEXT_SIZE];

	return g_strdup_printf("{%s}", guid_text(g, text));
}

uint8_t *vhdx_locator_make(const struct guid linkage[2], const char *way,
			   uint32_t *len)
{
	static const struct guid none;
	g_autofree char *first = linkage_text(&linkage[0]);
	g_autofree char *second = linkage_text(&linkage[1]);
	const char *const pairs[][2] = {
		{ VHDX_PARENT_LINKAGE, first },
		{ VHDX_RELATIVE_PATH, way },
		{ VHDX_PARENT_LINKAGE2, second },
	};
	struct vhdx_locator_entry e[G_N_ELEMENTS(pairs)] = { 0 };
	const struct vhdx_locator_header h = {
		.type = VHDX_LOCATOR_TYPE,
		.count = guid_equal(&linkage[1], &none) ? 2 : 3,
	};
	GByteArray *a = g_byte_array_new();

	g_byte_array_append(a, (const guint8 *)&h, sizeof(h));
	g_byte_array_append(a, (const guint8 *)e, h.count * sizeof(*e));
	for (unsigned i = 0; i < h.count; i++) {
		put_text(a, pairs[i][0], &e[i].key_offset, &e[i].key_length);
		put_text(a, pairs[i][1], &e[i].value_offset,
			 &e[i].value_length);
	}
	memcpy(a->data + sizeof(h), e, h.count * sizeof(*e));
	*len = a->len;
	return g_byte_array_free(a, FALSE);
}
