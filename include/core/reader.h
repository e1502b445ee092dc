/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reader - consume untrusted bytes, front to back, each byte at most once.
 *
 * A reader covers bytes that are already ours: a private copy of what the
 * guest wrote.  Nothing here looks at guest memory, so a value that passed a
 * check cannot change after it.
 *
 * Every step yields exactly what was asked for, or returns false and leaves
 * the reader where it was.
 */
#ifndef CORE_READER_H
#define CORE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct reader {
	const uint8_t *p;
	size_t left;
};

/* Copy the next @len bytes to @dst. */
static inline bool reader_copy(struct reader *r, void *dst, size_t len)
{
	if (len > r->left)
		return false;

	memcpy(dst, r->p, len);
	r->p += len;
	r->left -= len;
	return true;
}

/* Split the next @len bytes off into a reader of their own. */
static inline bool reader_split(struct reader *r, size_t len,
				struct reader *front)
{
	if (len > r->left)
		return false;

	*front = (struct reader){ .p = r->p, .left = len };
	r->p += len;
	r->left -= len;
	return true;
}

/* Read one object: the size is the type's, so it cannot be passed wrongly. */
#define READ(r, obj)	reader_copy((r), (obj), sizeof(*(obj)))

#endif
