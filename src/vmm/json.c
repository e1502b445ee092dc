/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdbool.h>
#include <stdio.h>

#include "vmm/json.h"

void json_print_text(const char *text)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);

	putchar('"');
	for (const char *p = valid; *p; p++) {
		if (*p == '"' || *p == '\\')
			printf("\\%c", *p);
		else if ((unsigned char)*p < 0x20)
			printf("\\u%04x", (unsigned)*p);
		else
			putchar(*p);
	}
	putchar('"');
}

/* Names are strings, whatever the key is. */
static void print_entry(GVariant *entry)
{
	g_autoptr(GVariant) key = g_variant_get_child_value(entry, 0);
	g_autoptr(GVariant) value = g_variant_get_child_value(entry, 1);
	g_autofree char *number = NULL;

	if (g_variant_is_of_type(key, G_VARIANT_TYPE_STRING)) {
		json_print_text(g_variant_get_string(key, NULL));
	} else {
		number = g_variant_print(key, FALSE);
		json_print_text(number);
	}
	printf(": ");
	json_print_variant(value);
}

static void print_children(GVariant *value)
{
	bool dictionary = g_variant_is_of_type(value,
					       G_VARIANT_TYPE_DICTIONARY);

	putchar(dictionary ? '{' : '[');
	for (gsize i = 0; i < g_variant_n_children(value); i++) {
		g_autoptr(GVariant) child = g_variant_get_child_value(value, i);

		if (i)
			printf(", ");
		if (dictionary)
			print_entry(child);
		else
			json_print_variant(child);
	}
	putchar(dictionary ? '}' : ']');
}

static void print_number(GVariant *value)
{
	g_autofree char *text = g_variant_print(value, FALSE);

	printf("%s", text);
}

void json_print_variant(GVariant *value)
{
	g_autoptr(GVariant) inner = NULL;

	switch (g_variant_classify(value)) {
	case G_VARIANT_CLASS_STRING:
	case G_VARIANT_CLASS_OBJECT_PATH:
	case G_VARIANT_CLASS_SIGNATURE:
		json_print_text(g_variant_get_string(value, NULL));
		break;
	case G_VARIANT_CLASS_VARIANT:
		inner = g_variant_get_variant(value);
		json_print_variant(inner);
		break;
	case G_VARIANT_CLASS_ARRAY:
	case G_VARIANT_CLASS_TUPLE:
		print_children(value);
		break;
	case G_VARIANT_CLASS_BYTE:
		printf("%u", g_variant_get_byte(value));
		break;
	default:
		print_number(value);
	}
}
