/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>

#include "backends/nat_port.h"
#include "backends/port_holder.h"
#include "core/autoptr.h"
#include "core/error.h"

/*
 * Without SO_REUSEADDR on a socket that does not listen, another process that
 * uses it could listen at the same port.
 */
void nat_port_refuse(int fd)
{
	const int off = 0;

	shutdown(fd, SHUT_RD);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &off, sizeof(off));
}

void nat_port_yield(int fd)
{
	const int on = 1;

	shutdown(fd, SHUT_RD);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
}

/* With it, since connections of before may still have the port. */
int nat_port_listen(int fd)
{
	const int on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	return listen(fd, SOMAXCONN) < 0 ? -errno : 0;
}

uint16_t nat_port_pick(const struct net_forward *f)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr = f->host };
	socklen_t len = sizeof(addr);
	autofd fd = socket(AF_INET, SOCK_CLOEXEC |
			   (f->udp ? SOCK_DGRAM : SOCK_STREAM), 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len) < 0 ||
	    getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		return 0;
	return ntohs(addr.sin_port);
}

static void busy_error(const struct net_forward *f, const char *what,
		       GError **error)
{
	g_autofree char *holder = port_holder(f->host_port, f->udp);
	g_autofree char *why = holder ?
		g_strdup_printf("%s has it", holder) :
		g_strdup("a process has it that does not listen there, or is "
			 "another user's");
	g_autofree char *advice = g_strdup_printf(
		"-p 0:%u%s for any free port", f->guest_port,
		f->udp ? "/udp" : "");

	user_error_set(error, EX_UNAVAILABLE, "net.port-busy", what, why,
		       advice);
}

void nat_port_error(const struct net_forward *f, int err, GError **error)
{
	char addr[INET_ADDRSTRLEN];
	g_autofree char *what = NULL;

	inet_ntop(AF_INET, &f->host, addr, sizeof(addr));
	what = g_strdup_printf("%s port %u of %s cannot be taken",
			       f->udp ? "UDP" : "TCP", f->host_port, addr);
	switch (err) {
	case EADDRINUSE:
		busy_error(f, what, error);
		break;
	case EACCES:
		user_error_set(error, EX_NOPERM, "net.port-privileged", what,
			       "ports below 1024 are for those with "
			       "CAP_NET_BIND_SERVICE",
			       "a port from 1024 on, or sysctl "
			       "net.ipv4.ip_unprivileged_port_start");
		break;
	case EADDRNOTAVAIL:
		user_error_set(error, EX_UNAVAILABLE, "net.port-address", what,
			       "no interface of this host has the address",
			       "an address of `ip address`, or 0.0.0.0 for "
			       "all");
		break;
	default:
		user_error_set(error, EX_OSERR, "net.port", what,
			       g_strerror(err), "another port");
	}
}
