/* SPDX-License-Identifier: GPL-2.0-or-later */
/* process - who else uses something, for the user to know. */
#ifndef BACKENDS_PROCESS_H
#define BACKENDS_PROCESS_H

#include <stdbool.h>

/*
 * "process 812 (xrdp)" or "this machine", the first one with a descriptor that
 * @is() true of; NULL if there is none.  Other users' processes are not seen.
 */
char *process_with_fd(bool (*is)(const char *pid, const char *fd,
				 const void *arg),
		      const void *arg);

#endif
