/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <stdio.h>
#include <string.h>

#include "backends/port_holder.h"
#include "backends/process.h"

#define LISTENS	0x0a	/* TCP_LISTEN in /proc/net/tcp */
#define UNBOUND	0x07	/* TCP_CLOSE, what a UDP socket without peer is in */

/* The inode of the socket that a line of /proc/net/... is about, or 0. */
static unsigned long inode_of_line(const char *line, uint16_t port, bool udp)
{
	unsigned line_port, state;
	unsigned long inode;

	if (sscanf(line, "%*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*x:%*x "
		   "%*x:%*x %*x %*u %*d %lu", &line_port, &state,
		   &inode) != 3)
		return 0;
	return line_port == port && state == (udp ? UNBOUND : LISTENS) ? inode :
									 0;
}

static unsigned long inode_in(const char *path, uint16_t port, bool udp)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	unsigned long inode = 0;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return 0;
	lines = g_strsplit(text, "\n", -1);
	for (unsigned i = 0; lines[i] && !inode; i++)
		inode = inode_of_line(lines[i], port, udp);
	return inode;
}

static bool is_socket(const char *pid, const char *fd, const void *arg)
{
	g_autofree char *link = g_build_filename("/proc", pid, "fd", fd, NULL);
	g_autofree char *target = g_file_read_link(link, NULL);

	return target && !strcmp(target, arg);
}

char *port_holder(uint16_t port, bool udp)
{
	unsigned long inode =
		inode_in(udp ? "/proc/net/udp" : "/proc/net/tcp", port, udp) ?:
		inode_in(udp ? "/proc/net/udp6" : "/proc/net/tcp6", port, udp);
	g_autofree char *socket = g_strdup_printf("socket:[%lu]", inode);

	return inode ? process_with_fd(is_socket, socket) : NULL;
}
