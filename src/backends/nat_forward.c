/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "backends/nat_forward.h"
#include "backends/nat_network.h"
#include "backends/nat_port.h"
#include "core/autoptr.h"

#define PICK_TRIES	8

void nat_forwards_init(struct nat_forwards *f, Slirp *slirp,
		       struct nat_sockets *sockets,
		       void (*stuck)(const struct net_forward *one,
				     const char *why))
{
	*f = (struct nat_forwards){
		.slirp = slirp, .sockets = sockets, .stuck = stuck,
		.guest = { htonl(NAT_GUEST) },
	};
}

/* The socket that is bound to @addr, among those that libslirp waits for. */
struct wanted {
	const struct nat_sockets *sockets;
	struct sockaddr_storage addr;
	int type;		/* SOCK_* */
	int fd;
};

/* A port and an address have no more to them, as they are made here. */
static bool is_same(const struct sockaddr_storage *a,
		    const struct sockaddr_storage *b)
{
	const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)a;
	const struct sockaddr_in6 *b6 = (const struct sockaddr_in6 *)b;

	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family == AF_INET)
		return !memcmp(a, b, sizeof(struct sockaddr_in));
	return !memcmp(&a6->sin6_port, &b6->sin6_port, sizeof(in_port_t)) &&
	       !memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr));
}

/* libslirp tells when flows come and go, but not of its forwards. */
static int match(int fd, int events, void *opaque)
{
	struct wanted *w = opaque;
	struct sockaddr_storage addr = { 0 };
	socklen_t len = sizeof(addr);
	int type = 0;
	socklen_t size = sizeof(type);

	if (!nat_sockets_is_open(w->sockets, fd) &&
	    getsockname(fd, (struct sockaddr *)&addr, &len) == 0 &&
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
	    type == w->type && is_same(&addr, &w->addr))
		w->fd = fd;
	return fd;
}

/* -1 if libslirp waits for no such socket. */
static int find_socket(struct nat_forwards *f, bool udp,
		       const struct sockaddr_storage *addr)
{
	struct wanted w = {
		.sockets = f->sockets, .addr = *addr,
		.type = udp ? SOCK_DGRAM : SOCK_STREAM, .fd = -1,
	};
	uint32_t timeout = 0;

	slirp_pollfds_fill(f->slirp, &timeout, match, &w);
	return w.fd;
}

static void refuse(struct nat_forwards *f, struct nat_forward *one)
{
	one->open = false;
	nat_sockets_mute(f->sockets, one->fd, true);
	nat_port_refuse(one->fd);
}

/* Where in the guest: its address, or none yet, which libslirp then guesses. */
static socklen_t guest_of(const struct nat_forwards *f,
			  const struct net_forward *spec,
			  struct sockaddr_storage *addr)
{
	struct net_forward to = {
		.ip6 = spec->ip6, .host_port = spec->guest_port,
	};

	if (spec->ip6)
		to.host6 = f->guest6;
	else
		to.host = f->guest;
	return nat_port_sockaddr(&to, addr);
}

static int flags_of(const struct net_forward *spec)
{
	return (spec->udp ? SLIRP_HOSTFWD_UDP : 0) |
	       (spec->ip6 ? SLIRP_HOSTFWD_V6ONLY : 0);
}

static void give_back(struct nat_forwards *f, const struct net_forward *spec)
{
	struct sockaddr_storage host;
	socklen_t len = nat_port_sockaddr(spec, &host);

	slirp_remove_hostxfwd(f->slirp, (struct sockaddr *)&host, len,
			      flags_of(spec));
}

/* Take the port, which leads to the guest: its descriptor, or -errno. */
static int take(struct nat_forwards *f, const struct net_forward *spec)
{
	struct sockaddr_storage host, guest;
	socklen_t host_len = nat_port_sockaddr(spec, &host);
	socklen_t guest_len = guest_of(f, spec, &guest);
	int fd;

	if (slirp_add_hostxfwd(f->slirp, (struct sockaddr *)&host, host_len,
			       (struct sockaddr *)&guest, guest_len,
			       flags_of(spec)) < 0)
		return -errno;
	fd = find_socket(f, spec->udp, &host);
	if (fd >= 0)
		return fd;
	give_back(f, spec);
	return -NAT_PORT_UNKNOWN;
}

/* The same with a number that is free, which may be taken before it is ours. */
static int take_any(struct nat_forwards *f, struct net_forward *spec)
{
	int fd, tries = PICK_TRIES;

	do {
		spec->host_port = nat_port_pick(spec);
		fd = spec->host_port ? take(f, spec) : -errno;
	} while (fd == -EADDRINUSE && --tries);
	return fd;
}

bool nat_forwards_add(struct nat_forwards *f, struct net_forward *spec,
		      GError **error)
{
	struct nat_forward *one = &f->forward[f->count];
	int fd;

	g_assert(f->count < NET_FORWARDS_MAX);
	fd = spec->any_port ? take_any(f, spec) : take(f, spec);
	if (fd < 0) {
		nat_port_error(spec, -fd, error);
		return false;
	}
	*one = (struct nat_forward){ .spec = *spec, .fd = fd };
	if (!spec->udp) {
		nat_sockets_listens(f->sockets, fd);
		refuse(f, one);
	}
	f->count++;
	return true;
}

void nat_forwards_open(struct nat_forwards *f, unsigned index, bool open)
{
	struct nat_forward *one = &f->forward[index];

	one->open = open;
	if (!open || nat_port_listen(one->fd) < 0) {
		refuse(f, one);
		return;
	}
	nat_sockets_mute(f->sockets, one->fd, false);
}

/*
 * A forward that leads to the guest is made at any port, and gets the socket of
 * the old one in place of its own: the port is ours all the time, and what
 * fails leaves things as they are.  0 or -errno.
 */
static int move(struct nat_forwards *f, struct nat_forward *one)
{
	struct net_forward any = one->spec;
	autofd keep = fcntl(one->fd, F_DUPFD_CLOEXEC, 0);
	int fd = keep < 0 ? -errno : take_any(f, &any);

	if (fd < 0)
		return fd;
	give_back(f, &one->spec);
	one->fd = dup3(keep, fd, O_CLOEXEC);
	g_assert(one->fd == fd);
	if (!one->spec.udp) {
		nat_sockets_listens(f->sockets, fd);
		nat_sockets_mute(f->sockets, fd, !one->open);
	}
	return 0;
}

void nat_forwards_follow(struct nat_forwards *f)
{
	struct nat_forward *stuck = NULL;
	int ret, err = 0;

	for (unsigned i = 0; i < f->count; i++) {
		struct nat_forward *one = &f->forward[i];

		ret = one->astray ? move(f, one) : 0;
		one->astray = ret < 0;
		if (ret < 0 && !stuck) {
			stuck = one;
			err = -ret;
		}
	}
	if (stuck && f->stuck && !f->told)
		f->stuck(&stuck->spec, nat_port_reason(err));
	f->told = stuck;
}

static void lead_astray(struct nat_forwards *f, bool ip6)
{
	for (unsigned i = 0; i < f->count; i++)
		if (f->forward[i].spec.ip6 == ip6)
			f->forward[i].astray = true;
}

void nat_forwards_lead_to(struct nat_forwards *f, struct in_addr addr)
{
	if (addr.s_addr == f->guest.s_addr)
		return;
	f->guest = addr;
	lead_astray(f, false);
}

void nat_forwards_lead_to6(struct nat_forwards *f, const struct in6_addr *addr)
{
	if (!memcmp(addr, &f->guest6, sizeof(*addr)))
		return;
	f->guest6 = *addr;
	lead_astray(f, true);
}
