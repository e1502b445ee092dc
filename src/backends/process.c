/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <stdlib.h>
#include <unistd.h>

#include "backends/process.h"

static bool has_fd(const char *pid,
		   bool (*is)(const char *pid, const char *fd,
			      const void *arg),
		   const void *arg)
{
	g_autofree char *path = g_build_filename("/proc", pid, "fd", NULL);
	g_autoptr(GDir) fds = g_dir_open(path, 0, NULL);
	const char *fd;

	while (fds && (fd = g_dir_read_name(fds)))
		if (is(pid, fd, arg))
			return true;
	return false;
}

/* NULL if it has just ended. */
static char *describe(const char *pid)
{
	g_autofree char *path = g_build_filename("/proc", pid, "comm", NULL);
	g_autofree char *name = NULL;

	if (atoi(pid) == (int)getpid())
		return g_strdup("this machine");
	if (!g_file_get_contents(path, &name, NULL, NULL))
		return NULL;
	return g_strdup_printf("process %s (%s)", pid, g_strstrip(name));
}

char *process_with_fd(bool (*is)(const char *pid, const char *fd,
				 const void *arg),
		      const void *arg)
{
	g_autoptr(GDir) processes = g_dir_open("/proc", 0, NULL);
	char *found = NULL;
	const char *pid;

	while (!found && processes && (pid = g_dir_read_name(processes)))
		if (g_ascii_isdigit(*pid) && has_fd(pid, is, arg))
			found = describe(pid);
	return found;
}
