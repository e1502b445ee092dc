/* SPDX-License-Identifier: GPL-2.0-or-later */
/* crash - what a guest said when it crashed, for a person. */
#ifndef VMM_CRASH_H
#define VMM_CRASH_H

#include <stdbool.h>

#include "hv/hv.h"

/* Whether the guest is Windows, whose parameters are those of a bugcheck. */
bool crash_is_bugcheck(const struct hv_crash *crash);
/* The parameters and the text; the caller frees it. */
char *crash_describe(const struct hv_crash *crash);

#endif
