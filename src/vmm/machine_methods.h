/* SPDX-License-Identifier: GPL-2.0-or-later */
/* machine_methods - the calls that a machine takes: docs/control.md. */
#ifndef VMM_MACHINE_METHODS_H
#define VMM_MACHINE_METHODS_H

#include "vmm/control.h"

/* The host of each is a struct machine; a nameless one ends them. */
extern const struct control_method machine_methods[];

#endif
