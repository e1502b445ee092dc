/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <stdio.h>

#include "core/guid.h"

const char *guid_text(const struct guid *g, char text[GUID_TEXT_SIZE])
{
	const uint8_t *b = g->b;

	snprintf(text, GUID_TEXT_SIZE,
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
		 "%02x%02x%02x%02x%02x%02x",
		 b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9],
		 b[10], b[11], b[12], b[13], b[14], b[15]);
	return text;
}

/* Places of the bytes in the order of the text. */
static const uint8_t order[16] = {
	3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15,
};

bool guid_parse(const char *text, struct guid *g)
{
	bool braces = *text == '{';

	text += braces;
	for (unsigned i = 0; i < 16; i++, text += 2) {
		if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-')
			return false;
		if (!g_ascii_isxdigit(text[0]) || !g_ascii_isxdigit(text[1]))
			return false;
		g->b[order[i]] = (uint8_t)(g_ascii_xdigit_value(text[0]) << 4 |
					   g_ascii_xdigit_value(text[1]));
	}
	return !strcmp(text, braces ? "}" : "");
}
