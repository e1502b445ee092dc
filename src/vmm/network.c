/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "backends/net_capture.h"
#include "backends/net_nat.h"
#include "devices/netvsp/netvsp.h"
#include "vmm/iothread.h"
#include "vmm/net_modes.h"
#include "vmm/network.h"

#define QUEUES_DEFAULT_MAX	8	/* as Hyper-V has it */

struct nic {
	struct iothread *io;
	struct net_cable cable;
	struct netvsp *nv;
};

/* {6b766d62-7573-4000-8001-00000000000n}, n being the NIC. */
static struct guid instance_of(unsigned nic)
{
	struct guid g = GUID(0x6b766d62, 0x7573, 0x4000, 0x8001, 0);

	g.b[15] = (uint8_t)nic;
	return g;
}

static void capture_stopped(const char *path, const char *why)
{
	fprintf(stderr, "kvmbus: %s is captured to no more: %s\n", path, why);
}

/* The interface in a capture is called as the NIC's place. */
static void capture(struct net_capture *c, unsigned index,
		    struct net_cable *cable)
{
	g_autofree char *name = g_strdup_printf("nic%u", index);

	net_capture_wrap(c, name, cable);
}

static bool open_nic(struct nic *n, struct net_capture *c, unsigned index,
		     const struct options *o, const struct gmem *gm,
		     GError **error)
{
	const struct nic_options *nic = o->nics->pdata[index];
	struct netvsp_options options = {
		.instance = instance_of(index),
		.max_queues = nic->queues ?:
			      MIN(o->cpus, QUEUES_DEFAULT_MAX),
	};

	memcpy(options.mac, nic->mac, sizeof(options.mac));
	n->io = iothread_new(error);
	if (!n->io)
		return false;
	n->cable.count = options.max_queues;
	if (!nic->mode->open(iothread_loop(n->io), o, nic, &n->cable, error))
		return false;
	if (c)
		capture(c, index, &n->cable);
	n->nv = netvsp_new(iothread_loop(n->io), gm, &options, &n->cable);
	return true;
}

/* Each connection of a guest behind NAT is a descriptor of ours. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
	    limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* The user does not know the ports that were picked. */
static void announce(const struct net_forward *f)
{
	char addr[INET_ADDRSTRLEN];

	if (!f->any_port)
		return;
	inet_ntop(AF_INET, &f->host, addr, sizeof(addr));
	fprintf(stderr, "kvmbus: %s:%u%s leads to port %u of the guest\n",
		addr, f->host_port, f->udp ? "/udp" : "", f->guest_port);
}

bool network_open(struct network *n, const struct options *o,
		  const struct gmem *gm, GError **error)
{
	n->nic = g_new0(struct nic, NIC_MAX);
	raise_descriptor_limit();
	if (o->capture) {
		n->capture = net_capture_open(o->capture, capture_stopped,
					      error);
		if (!n->capture)
			return false;
	}
	for (unsigned i = 0; i < o->nics->len; i++)
		if (!open_nic(&n->nic[i], n->capture, i, o, gm, error))
			return false;
	for (unsigned i = 0; i < o->forwards->len; i++)
		announce(&g_array_index(o->forwards, struct net_forward, i));
	return true;
}

void network_offer(struct network *n, struct vmbus *bus)
{
	for (unsigned i = 0; i < NIC_MAX; i++)
		if (n->nic[i].nv)
			vmbus_offer(bus, netvsp_device(n->nic[i].nv));
}

bool network_start(struct network *n, GError **error)
{
	for (unsigned i = 0; i < NIC_MAX; i++)
		if (n->nic[i].io && !iothread_start(n->nic[i].io, error))
			return false;
	return true;
}

void network_close(struct network *n)
{
	if (!n->nic)
		return;

	for (unsigned i = 0; i < NIC_MAX; i++) {
		struct nic *nic = &n->nic[i];

		/* The loop goes last, but runs no more when its users go. */
		iothread_stop(nic->io);
		netvsp_free(nic->nv);
		net_cable_close(&nic->cable);
		iothread_free(nic->io);
	}
	g_clear_pointer(&n->capture, net_capture_close);
	g_clear_pointer(&n->nic, g_free);
}
