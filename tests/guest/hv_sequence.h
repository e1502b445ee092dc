/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hv_sequence - bytes as inputs to a hypervisor, for a fuzzer or a random
 * number generator.
 */
#ifndef TESTS_HV_SEQUENCE_H
#define TESTS_HV_SEQUENCE_H

#include <stddef.h>
#include <stdint.h>

struct hv_step {
	uint8_t what;		/* see hv_sequence.c */
	uint8_t who;		/* bit 0: VP, 4:1: SINT, 7:5: sender */
	uint8_t which;		/* MSR, page */
	uint8_t how;		/* to make a value of @value */
	uint32_t value;
} __attribute__((packed));

/*
 * Let src/hv and the model take all the steps in @data.  Where they differ, the
 * difference and the steps that led to it, to be freed; else NULL.
 */
char *hv_sequence_run(const uint8_t *data, size_t size);

#endif
