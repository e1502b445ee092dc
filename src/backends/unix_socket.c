/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "backends/unix_socket.h"
#include "core/autoptr.h"

static int new_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static int set_address(struct sockaddr_un *addr, const char *path)
{
	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(addr->sun_path))
		return -ENAMETOOLONG;
	g_strlcpy(addr->sun_path, path, sizeof(addr->sun_path));
	return 0;
}

int unix_socket_connect(const char *path)
{
	autofd fd = new_socket();
	struct sockaddr_un addr;
	int ret = set_address(&addr, path);

	if (ret < 0)
		return ret;
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	return autofd_steal(&fd);
}

int unix_socket_listen(const char *path, mode_t mode, int backlog)
{
	autofd fd = new_socket();
	struct sockaddr_un addr;
	struct stat st;
	int ret = set_address(&addr, path);

	if (ret < 0)
		return ret;
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(path);
	/* The file gets the mode that the socket has. */
	if (fd < 0 || fchmod(fd, mode) < 0 ||
	    bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(fd, backlog) < 0)
		return -errno;
	return autofd_steal(&fd);
}

int unix_socket_lock(const char *path)
{
	g_autofree char *folder = g_path_get_dirname(path);
	autofd fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	return autofd_steal(&fd);
}
