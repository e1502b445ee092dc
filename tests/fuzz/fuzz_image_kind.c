/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The start of an image in a format of others, of any length. */
#include <glib.h>

#include "backends/image_kind.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct image_kind *k = image_kind_of(data, size);

	/* Less of it is never less suspicious. */
	if (k && size && !image_kind_names_files(k, data, size - 1))
		g_assert(!image_kind_names_files(k, data, size));
	return 0;
}
