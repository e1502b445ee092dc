/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <glib.h>
#include <stdbool.h>
#include <string.h>

#include "core/gmem.h"

/*
 * The host address of @gpa, and in @left how many bytes follow in its region.
 * Subtractions only: no sum of guest values can wrap.
 */
static uint8_t *lookup(const struct gmem *gm, gpa_t gpa, uint64_t *left)
{
	for (size_t i = 0; i < gm->count; i++) {
		const struct gmem_region *r = &gm->region[i];

		if (gpa >= r->gpa && gpa - r->gpa < r->size) {
			*left = r->size - (gpa - r->gpa);
			return r->hva + (gpa - r->gpa);
		}
	}
	return NULL;
}

void *gmem_ptr(const struct gmem *gm, gpa_t gpa, uint64_t len)
{
	uint64_t left;
	uint8_t *p = lookup(gm, gpa, &left);

	return p && len <= left ? p : NULL;
}

/* Whether all of [gpa, gpa + len) is RAM. */
static bool is_ram(const struct gmem *gm, gpa_t gpa, uint64_t len)
{
	uint64_t left;

	while (len) {
		if (!lookup(gm, gpa, &left))
			return false;
		left = MIN(left, len);
		len -= left;
		if (len && gpa > UINT64_MAX - left)
			return false;
		gpa += left;
	}
	return true;
}

int gmem_read(const struct gmem *gm, gpa_t gpa, void *dst, size_t len)
{
	uint8_t *to = dst;
	uint64_t n;

	if (!is_ram(gm, gpa, len))
		return -EFAULT;

	for (; len; len -= n, to += n, gpa += n) {
		const uint8_t *from = lookup(gm, gpa, &n);

		n = MIN(n, len);
		memcpy(to, from, n);
	}
	return 0;
}

int gmem_write(const struct gmem *gm, gpa_t gpa, const void *src, size_t len)
{
	const uint8_t *from = src;
	uint64_t n;

	if (!is_ram(gm, gpa, len))
		return -EFAULT;

	for (; len; len -= n, from += n, gpa += n) {
		uint8_t *to = lookup(gm, gpa, &n);

		n = MIN(n, len);
		memcpy(to, from, n);
	}
	return 0;
}

static bool joins(const struct iovec *last, const uint8_t *p)
{
	return (uint8_t *)last->iov_base + last->iov_len == p;
}

int gmem_map(const struct gmem *gm, gpa_t gpa, size_t len,
	     struct iovec *iov, int used, int max)
{
	uint64_t n;

	if (!is_ram(gm, gpa, len))
		return -EFAULT;

	for (; len; len -= n, gpa += n) {
		uint8_t *p = lookup(gm, gpa, &n);

		n = MIN(n, len);
		if (used && joins(&iov[used - 1], p)) {
			iov[used - 1].iov_len += n;
			continue;
		}
		if (used == max)
			return -E2BIG;
		iov[used++] = (struct iovec){ .iov_base = p, .iov_len = n };
	}
	return used;
}
