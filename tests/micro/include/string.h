/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a guest has of the C library: lib/string.c. */
#ifndef MICRO_STRING_H
#define MICRO_STRING_H

#include <stddef.h>

void *memset(void *dst, int byte, size_t len);
void *memcpy(void *restrict dst, const void *restrict src, size_t len);
int memcmp(const void *a, const void *b, size_t len);
size_t strlen(const char *s);
int strncmp(const char *a, const char *b, size_t len);

#endif
