/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/block_file_lock.h"
#include "backends/process.h"
#include "core/autoptr.h"
#include "core/error.h"

/*
 * Readers and a writer lock all bytes that a file can have.  Those who share
 * it lock as readers do, but leave the last half, where no file has data: of
 * that each of them locks a byte of its own, as a writer does.
 */
#define SHARERS		(INT64_C(1) << 62)
#define STARTER		(SHARERS + (INT64_C(1) << 61))	/* beside 60 bits */
#define RETRY_US	20000

/* @len 0: to the end. */
static int try_lock(int fd, short type, off_t start, off_t len)
{
	struct flock lock = {
		.l_type = type, .l_whence = SEEK_SET, .l_start = start,
		.l_len = len,
	};

	return fcntl(fd, F_OFD_SETLK, &lock);
}

static int try_lock_shared(int fd, const char *name)
{
	g_autofree char *digest = g_compute_checksum_for_string(
		G_CHECKSUM_SHA256, name, -1);
	uint64_t hash;

	digest[15] = '\0';	/* 60 bits */
	hash = g_ascii_strtoull(digest, NULL, 16);
	if (try_lock(fd, F_RDLCK, 0, SHARERS) < 0)
		return -1;
	return try_lock(fd, F_WRLCK, SHARERS + (off_t)hash, 1);
}

/* A file, and what its locks are like; "": whatever they are. */
struct wanted {
	struct stat st;
	char lock[64];
};

/* Whether descriptor @fd of process @pid is of such a file. */
static bool holds_lock(const char *pid, const char *fd, const void *arg)
{
	const struct wanted *w = arg;
	g_autofree char *link = g_build_filename("/proc", pid, "fd", fd, NULL);
	g_autofree char *info = g_build_filename("/proc", pid, "fdinfo", fd,
						 NULL);
	g_autofree char *text = NULL;
	struct stat other;

	return stat(link, &other) == 0 && other.st_dev == w->st.st_dev &&
	       other.st_ino == w->st.st_ino &&
	       g_file_get_contents(info, &text, NULL, NULL) &&
	       strstr(text, "\nlock:") && strstr(text, w->lock);
}

/*
 * Who has the file of @fd locked.  /proc/locks does not know the process of
 * our kind of lock, so look at the files that processes have open: those that
 * this user may see.
 */
static char *describe_holder(int fd)
{
	g_autofree char *holder = NULL;
	struct wanted w = { 0 };

	if (fstat(fd, &w.st) == 0)
		holder = process_with_fd(holds_lock, &w);
	return g_strdup_printf("%s has locked it", holder ?:
			       "another process, perhaps another kvmbus,");
}

static bool fail(int fd, const char *path, const char *advice, GError **error)
{
	g_autofree char *what = NULL, *why = NULL;

	what = g_strdup_printf("cannot use disk %s", path);
	if (errno != EAGAIN && errno != EACCES) {
		user_error_set(error, EX_OSERR, "disk.lock", what,
			       g_strerror(errno), NULL);
		return false;
	}
	why = describe_holder(fd);
	user_error_set(error, EX_TEMPFAIL, "disk.locked", what, why, advice);
	return false;
}

bool block_file_lock(int fd, const char *path, bool read_only,
		     GError **error)
{
	if (try_lock(fd, read_only ? F_RDLCK : F_WRLCK, 0, 0) == 0)
		return true;
	return fail(fd, path, read_only ? "stop the machine that writes it" :
		    "stop that machine; several may use it only when all "
		    "have ro=on, or all have shared=NAME", error);
}

bool block_file_lock_shared(int fd, const char *path, const char *name,
			    GError **error)
{
	if (try_lock_shared(fd, name) == 0)
		return true;
	return fail(fd, path, "stop that machine; all have to have "
		    "shared=NAME, each with another NAME", error);
}

static void fail_to_start(int fd, const char *path, unsigned seconds,
			  GError **error)
{
	g_autofree char *holder = NULL, *what = NULL, *why = NULL;
	int number = errno;
	struct wanted w = { 0 };

	what = g_strdup_printf("cannot share disk %s", path);
	if (fd < 0 || (number != EAGAIN && number != EACCES)) {
		user_error_set(error, EX_OSERR, "disk.lock", what,
			       g_strerror(number), NULL);
		return;
	}
	snprintf(w.lock, sizeof(w.lock), " %" PRId64 " %" PRId64 "\n",
		 STARTER, STARTER);
	if (fstat(fd, &w.st) == 0)
		holder = process_with_fd(holds_lock, &w);
	why = g_strdup_printf("%s has been starting with it for %u seconds",
			      holder ?: "another machine", seconds);
	user_error_set(error, EX_TEMPFAIL, "disk.starting", what, why,
		       "let that one go on, or end it, and start this one "
		       "again");
}

/* To wait in the kernel has no end of its own. */
int block_file_lock_start(const char *path, unsigned seconds, GError **error)
{
	gint64 end = g_get_monotonic_time() + seconds * G_USEC_PER_SEC;
	autofd fd = open(path, O_RDWR | O_CLOEXEC);

	while (fd >= 0 && try_lock(fd, F_WRLCK, STARTER, 1) < 0) {
		if ((errno != EAGAIN && errno != EACCES) ||
		    g_get_monotonic_time() >= end) {
			fail_to_start(fd, path, seconds, error);
			return -1;
		}
		g_usleep(RETRY_US);
	}
	if (fd < 0)
		fail_to_start(fd, path, seconds, error);
	return autofd_steal(&fd);
}

void block_file_unlock(int fd)
{
	try_lock(fd, F_UNLCK, 0, 0);
}
