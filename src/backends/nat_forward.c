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
#include "core/trace.h"

#define PICK_TRIES	8

void nat_forwards_init(struct nat_forwards *f, Slirp *slirp,
		       struct nat_sockets *sockets)
{
	f->slirp = slirp;
	f->sockets = sockets;
	f->count = 0;
	f->guest.s_addr = htonl(NAT_GUEST);
	f->guest6 = in6addr_any;
}

/* The socket that listens at @addr, among those that libslirp waits for. */
struct listener {
	struct sockaddr_storage addr;
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

static int match_listener(int fd, int events, void *opaque)
{
	struct listener *l = opaque;
	struct sockaddr_storage addr = { 0 };
	socklen_t len = sizeof(addr);
	int listens = 0;
	socklen_t size = sizeof(listens);

	if (getsockname(fd, (struct sockaddr *)&addr, &len) == 0 &&
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 &&
	    listens && is_same(&addr, &l->addr))
		l->fd = fd;
	return fd;
}

static int find_listener(struct nat_forwards *f,
			 const struct sockaddr_storage *addr)
{
	struct listener l = { .addr = *addr, .fd = -1 };
	uint32_t timeout = 0;

	slirp_pollfds_fill(f->slirp, &timeout, match_listener, &l);
	g_assert(l.fd >= 0);
	return l.fd;
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

/* Take the port.  0 or -errno. */
static int take(struct nat_forwards *f, struct nat_forward *one)
{
	struct sockaddr_storage host, guest;
	socklen_t host_len = nat_port_sockaddr(&one->spec, &host);
	socklen_t guest_len = guest_of(f, &one->spec, &guest);

	if (slirp_add_hostxfwd(f->slirp, (struct sockaddr *)&host, host_len,
			       (struct sockaddr *)&guest, guest_len,
			       flags_of(&one->spec)) < 0)
		return -errno;
	one->fd = one->spec.udp ? -1 : find_listener(f, &host);
	if (one->fd >= 0)
		refuse(f, one);
	return 0;
}

/* A number that was free may be taken before it is ours. */
bool nat_forwards_add(struct nat_forwards *f, struct net_forward *spec,
		      GError **error)
{
	struct nat_forward *one = &f->forward[f->count];
	int ret, tries = spec->any_port ? PICK_TRIES : 1;

	g_assert(f->count < NET_FORWARDS_MAX);
	do {
		if (spec->any_port)
			spec->host_port = nat_port_pick(spec);
		one->spec = *spec;
		ret = spec->host_port ? take(f, one) : -errno;
	} while (ret == -EADDRINUSE && --tries);
	if (ret < 0)
		nat_port_error(spec, -ret, error);
	else
		f->count++;
	return ret == 0;
}

void nat_forwards_open(struct nat_forwards *f, unsigned index, bool open)
{
	struct nat_forward *one = &f->forward[index];

	/* One whose port is lost for now has it when it is back. */
	one->open = open;
	if (one->fd < 0)
		return;
	if (!open || nat_port_listen(one->fd) < 0) {
		refuse(f, one);
		return;
	}
	nat_sockets_mute(f->sockets, one->fd, false);
}

static void give_back(struct nat_forwards *f, struct nat_forward *one)
{
	struct sockaddr_storage host;
	socklen_t len = nat_port_sockaddr(&one->spec, &host);

	slirp_remove_hostxfwd(f->slirp, (struct sockaddr *)&host, len,
			      flags_of(&one->spec));
	one->fd = -1;
}

/*
 * Of UDP, a second socket of the port would keep libslirp from taking it, so
 * there it is free for a moment.
 */
static void move(struct nat_forwards *f, unsigned index)
{
	struct nat_forward *one = &f->forward[index];
	autofd keep = one->fd < 0 ? -1 :
				    fcntl(one->fd, F_DUPFD_CLOEXEC, 0);
	bool was_open = one->open;
	int ret;

	if (keep >= 0)
		nat_port_yield(keep);
	give_back(f, one);
	ret = take(f, one);
	if (ret < 0)
		trace(TRACE_NET, "nat.lost port=%u: %s", one->spec.host_port,
		      g_strerror(-ret));
	else if (was_open)
		nat_forwards_open(f, index, true);
}

static void move_all(struct nat_forwards *f, bool ip6)
{
	for (unsigned i = 0; i < f->count; i++)
		if (f->forward[i].spec.ip6 == ip6)
			move(f, i);
}

void nat_forwards_lead_to(struct nat_forwards *f, struct in_addr addr)
{
	if (addr.s_addr == f->guest.s_addr)
		return;
	f->guest = addr;
	move_all(f, false);
}

void nat_forwards_lead_to6(struct nat_forwards *f, const struct in6_addr *addr)
{
	if (!memcmp(addr, &f->guest6, sizeof(*addr)))
		return;
	f->guest6 = *addr;
	move_all(f, true);
}
