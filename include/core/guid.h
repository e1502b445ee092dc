/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guid - 16 bytes in the mixed-endian layout that the guest sees.
 *
 * GUID(0xba6163d9, 0x04a1, 0x4d29, 0xb605, 0x72e2ffb1dc7f) is
 * {ba6163d9-04a1-4d29-b605-72e2ffb1dc7f}: the first three fields are stored
 * little-endian, the rest in the order they are written.
 */
#ifndef CORE_GUID_H
#define CORE_GUID_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct guid {
	uint8_t b[16];
};

#define GUID_BYTE(v, n)	((uint8_t)((uint64_t)(v) >> (8 * (n))))
#define GUID(d1, d2, d3, d4, d5) {{					\
	GUID_BYTE(d1, 0), GUID_BYTE(d1, 1), GUID_BYTE(d1, 2),		\
	GUID_BYTE(d1, 3), GUID_BYTE(d2, 0), GUID_BYTE(d2, 1),		\
	GUID_BYTE(d3, 0), GUID_BYTE(d3, 1),				\
	GUID_BYTE(d4, 1), GUID_BYTE(d4, 0),				\
	GUID_BYTE(d5, 5), GUID_BYTE(d5, 4), GUID_BYTE(d5, 3),		\
	GUID_BYTE(d5, 2), GUID_BYTE(d5, 1), GUID_BYTE(d5, 0) }}

static inline bool guid_equal(const struct guid *a, const struct guid *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/* Room for the text form with its end: 36 characters and a NUL. */
#define GUID_TEXT_SIZE	37

/* Write "ba6163d9-04a1-4d29-b605-72e2ffb1dc7f" to @text; return @text. */
const char *guid_text(const struct guid *g, char text[GUID_TEXT_SIZE]);
/* The same way back, in braces or not, of any case; false: it is none. */
bool guid_parse(const char *text, struct guid *g);

#endif
