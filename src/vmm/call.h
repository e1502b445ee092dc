/* SPDX-License-Identifier: GPL-2.0-or-later */
/* call - kvmbus call: ask something of a machine that runs with --control. */
#ifndef VMM_CALL_H
#define VMM_CALL_H

#include <glib.h>

/*
 * @argv: PATH, METHOD and what follows.  The exit status; other than 0, an
 * error says why.
 */
int call_command(int argc, char **argv, GError **error);

/* To stdout, for kvmbus help. */
void call_help(void);

#endif
