/* SPDX-License-Identifier: GPL-2.0-or-later */
/* disk - "kvmbus disk": disk images without a machine. */
#ifndef VMM_DISK_H
#define VMM_DISK_H

#include <glib.h>

/* @argv: what follows "disk".  Returns the exit status. */
int disk_command(int argc, char **argv, GError **error);

/* The sub-commands and their options, to stdout. */
void disk_help(void);

#endif
