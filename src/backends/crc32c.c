/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>

#include "backends/crc32c.h"

#define POLYNOMIAL	0x82f63b78u	/* reflected */

static void make_table(uint32_t table[256])
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? c >> 1 ^ POLYNOMIAL : c >> 1;
		table[i] = c;
	}
}

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
	static uint32_t table[256];
	static gsize made;
	const uint8_t *p = data;

	if (g_once_init_enter(&made)) {
		make_table(table);
		g_once_init_leave(&made, 1);
	}
	crc = ~crc;
	while (len--)
		crc = crc >> 8 ^ table[(crc ^ *p++) & 0xff];
	return ~crc;
}
