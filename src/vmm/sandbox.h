/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sandbox - what the process gives up before the guest runs. */
#ifndef VMM_SANDBOX_H
#define VMM_SANDBOX_H

#include <glib.h>
#include <stdbool.h>

/*
 * Drop every capability, for good, and the way to new ones (no_new_privs).
 * All files are open by now.  Before threads are started.
 */
bool sandbox_enter(GError **error);

#endif
