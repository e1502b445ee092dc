/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/block_file_lock.h"
#include "backends/process.h"
#include "core/error.h"

static int try_lock(int fd, bool read_only)
{
	struct flock lock = {
		.l_type = read_only ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET,
	};

	return fcntl(fd, F_OFD_SETLK, &lock);
}

/* Whether descriptor @fd of process @pid is the file @arg and has a lock. */
static bool holds_lock(const char *pid, const char *fd, const void *arg)
{
	const struct stat *st = arg;
	g_autofree char *link = g_build_filename("/proc", pid, "fd", fd, NULL);
	g_autofree char *info = g_build_filename("/proc", pid, "fdinfo", fd,
						 NULL);
	g_autofree char *text = NULL;
	struct stat other;

	return stat(link, &other) == 0 && other.st_dev == st->st_dev &&
	       other.st_ino == st->st_ino &&
	       g_file_get_contents(info, &text, NULL, NULL) &&
	       strstr(text, "\nlock:");
}

/*
 * Who has the file of @fd locked.  /proc/locks does not know the process of
 * our kind of lock, so look at the files that processes have open: those that
 * this user may see.
 */
static char *describe_holder(int fd)
{
	g_autofree char *holder = NULL;
	struct stat st;

	if (fstat(fd, &st) == 0)
		holder = process_with_fd(holds_lock, &st);
	return g_strdup_printf("%s has locked it", holder ?:
			       "another process, perhaps another kvmbus,");
}

bool block_file_lock(int fd, const char *path, bool read_only,
		     GError **error)
{
	g_autofree char *what = NULL, *why = NULL;

	if (try_lock(fd, read_only) == 0)
		return true;
	what = g_strdup_printf("cannot use disk %s", path);
	if (errno != EAGAIN && errno != EACCES) {
		user_error_set(error, EX_OSERR, "disk.lock", what,
			       g_strerror(errno), NULL);
		return false;
	}
	why = describe_holder(fd);
	user_error_set(error, EX_TEMPFAIL, "disk.locked", what, why,
		       read_only ? "stop the machine that writes it" :
		       "stop that machine; several may use it only when all "
		       "have ro=on");
	return false;
}
