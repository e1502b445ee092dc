/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
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

/* With it, since connections of before may still have the port. */
int nat_port_listen(int fd)
{
	const int on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	return listen(fd, SOMAXCONN) < 0 ? -errno : 0;
}

socklen_t nat_port_sockaddr(const struct net_forward *f,
			    struct sockaddr_storage *addr)
{
	struct sockaddr_in *in = (struct sockaddr_in *)addr;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)addr;

	memset(addr, 0, sizeof(*addr));
	if (f->ip6) {
		in6->sin6_family = AF_INET6;
		in6->sin6_addr = f->host6;
		in6->sin6_port = htons(f->host_port);
		return sizeof(*in6);
	}
	in->sin_family = AF_INET;
	in->sin_addr = f->host;
	in->sin_port = htons(f->host_port);
	return sizeof(*in);
}

uint16_t nat_port_pick(const struct net_forward *f)
{
	struct net_forward any = *f;
	struct sockaddr_storage addr;
	socklen_t len;
	autofd fd = socket(f->ip6 ? AF_INET6 : AF_INET, SOCK_CLOEXEC |
			   (f->udp ? SOCK_DGRAM : SOCK_STREAM), 0);

	any.host_port = 0;
	len = nat_port_sockaddr(&any, &addr);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len) < 0 ||
	    getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		return 0;
	/* The port is at the same place in both. */
	return ntohs(((struct sockaddr_in *)&addr)->sin_port);
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

const char *nat_port_reason(int err)
{
	return err == NAT_PORT_UNKNOWN ? "libslirp does not wait for it" :
					 g_strerror(err);
}

void nat_port_error(const struct net_forward *f, int err, GError **error)
{
	char addr[INET6_ADDRSTRLEN];
	g_autofree char *what = NULL;

	inet_ntop(f->ip6 ? AF_INET6 : AF_INET, &f->host6, addr, sizeof(addr));
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
	case EAFNOSUPPORT:
	case EADDRNOTAVAIL:
		user_error_set(error, EX_UNAVAILABLE, "net.port-address", what,
			       "no interface of this host has the address",
			       f->ip6 ? "an address of `ip address`, or [::] "
					"for all" :
					"an address of `ip address`, or "
					"0.0.0.0 for all");
		break;
	case EINVAL:
		user_error_set(error, EX_UNAVAILABLE, "net.port-address", what,
			       "it is a link-local address, or one of IPv4",
			       "another address of `ip address`, or [::] for "
			       "all");
		break;
	case NAT_PORT_UNKNOWN:
		user_error_set(error, EX_OSERR, "net.port", what,
			       nat_port_reason(err),
			       "another version of libslirp, or --net passt");
		break;
	default:
		user_error_set(error, EX_OSERR, "net.port", what,
			       nat_port_reason(err), "another port");
	}
}
