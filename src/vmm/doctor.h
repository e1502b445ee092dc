/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doctor - what this host can and cannot do for kvmbus, and how to fix it. */
#ifndef VMM_DOCTOR_H
#define VMM_DOCTOR_H

#include <glib.h>
#include <stdio.h>

#include "hv/profile.h"
#include "vmm/options.h"

/* Print it to stdout; the exit status: 0, or why machines cannot run. */
int doctor(void);

/* Print what a guest will find of the hypervisor interface; exit status. */
int doctor_hv(const struct options *o, GError **error);
/* The same of an @hv with @profile. */
void doctor_print_hv(FILE *out, const struct hv *hv,
		     const struct hv_profile *profile);

#endif
