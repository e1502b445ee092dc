/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Other people's programs, for images that are not ours. */
#ifndef TESTS_RUN_COMMAND_H
#define TESTS_RUN_COMMAND_H

#include <glib.h>
#include <stdarg.h>
#include <stdbool.h>

/* Whether the program is there, and ends well. */
G_GNUC_PRINTF(1, 2)
static inline bool run(const char *format, ...)
{
	g_autofree char *command = NULL;
	int status = -1;
	va_list ap;

	va_start(ap, format);
	command = g_strdup_vprintf(format, ap);
	va_end(ap);
	return g_spawn_command_line_sync(command, NULL, NULL, &status, NULL) &&
	       status == 0;
}

#endif
