/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
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
}

static struct sockaddr_in host_of(const struct net_forward *spec)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_addr = spec->host,
		.sin_port = htons(spec->host_port),
	};
}

/* The socket that listens at @addr, among those that libslirp waits for. */
struct listener {
	struct sockaddr_in addr;
	int fd;
};

static int match_listener(int fd, int events, void *opaque)
{
	struct listener *l = opaque;
	struct sockaddr_in addr = { 0 };
	socklen_t len = sizeof(addr);
	int listens = 0;
	socklen_t size = sizeof(listens);

	if (getsockname(fd, (struct sockaddr *)&addr, &len) == 0 &&
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 &&
	    listens && addr.sin_port == l->addr.sin_port &&
	    addr.sin_addr.s_addr == l->addr.sin_addr.s_addr)
		l->fd = fd;
	return fd;
}

static int find_listener(struct nat_forwards *f, const struct net_forward *spec)
{
	struct listener l = { .addr = host_of(spec), .fd = -1 };
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

/* Take the port, for a guest at @addr.  0 or -errno. */
static int take(struct nat_forwards *f, struct nat_forward *one, uint32_t addr)
{
	const struct sockaddr_in host = host_of(&one->spec);
	const struct sockaddr_in guest = {
		.sin_family = AF_INET, .sin_addr = { htonl(addr) },
		.sin_port = htons(one->spec.guest_port),
	};

	if (slirp_add_hostxfwd(f->slirp, (const struct sockaddr *)&host,
			       sizeof(host), (const struct sockaddr *)&guest,
			       sizeof(guest),
			       one->spec.udp ? SLIRP_HOSTFWD_UDP : 0) < 0)
		return -errno;
	one->fd = one->spec.udp ? -1 : find_listener(f, &one->spec);
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
		ret = spec->host_port ? take(f, one, NAT_GUEST) : -errno;
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

	if (one->fd < 0)
		return;
	if (!open || nat_port_listen(one->fd) < 0) {
		refuse(f, one);
		return;
	}
	one->open = true;
	nat_sockets_mute(f->sockets, one->fd, false);
}

static void give_back(struct nat_forwards *f, struct nat_forward *one)
{
	const struct sockaddr_in host = host_of(&one->spec);

	slirp_remove_hostxfwd(f->slirp, (const struct sockaddr *)&host,
			      sizeof(host),
			      one->spec.udp ? SLIRP_HOSTFWD_UDP : 0);
	one->fd = -1;
}

/*
 * Of UDP, a second socket of the port would keep libslirp from taking it, so
 * there it is free for a moment.
 */
static void move(struct nat_forwards *f, unsigned index, uint32_t addr)
{
	struct nat_forward *one = &f->forward[index];
	autofd keep = one->fd < 0 ? -1 :
				    fcntl(one->fd, F_DUPFD_CLOEXEC, 0);
	bool was_open = one->open;
	int ret;

	if (keep >= 0)
		nat_port_yield(keep);
	give_back(f, one);
	ret = take(f, one, addr);
	if (ret < 0)
		trace(TRACE_NET, "nat.lost port=%u: %s", one->spec.host_port,
		      g_strerror(-ret));
	else if (was_open)
		nat_forwards_open(f, index, true);
}

void nat_forwards_lead_to(struct nat_forwards *f, uint32_t addr)
{
	for (unsigned i = 0; i < f->count; i++)
		move(f, i, addr);
}
