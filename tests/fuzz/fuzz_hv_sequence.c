/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What guests and devices do to the SynIC, the timers and the overlay pages,
 * in any order; after each step src/hv has to be where the model is.
 *
 * Input: steps of 8 bytes, struct hv_step.
 */
#include <stdio.h>
#include <stdlib.h>

#include "hv_sequence.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = hv_sequence_run(data, size);

	if (text) {
		fprintf(stderr, "%s\n", text);
		abort();
	}
	return 0;
}
