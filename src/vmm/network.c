/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "backends/net_capture.h"
#include "backends/net_nat.h"
#include "core/error.h"
#include "core/util.h"
#include "devices/netvsp/netvsp.h"
#include "vmm/iothread.h"
#include "vmm/net_modes.h"
#include "vmm/network.h"

#define QUEUES_DEFAULT_MAX	8	/* as Hyper-V has it */

struct nic {
	struct iothread *io[NET_QUEUES_MAX];	/* the cable's queues in turn */
	unsigned ios;				/* 0: there is no such NIC */
	struct net_cable cable;
	struct netvsp *nv;
	const struct nic_options *options;
	struct nic_options *own;	/* the same, of one that came later */
	struct loop_note link_note;
	int link;			/* atomic: network_set_link() to set_link() */
	/* On its way out: removed(arg) when it is. */
	struct loop_note withdrawn;
	void (*removed)(void *arg);
	void *arg;
};

/*
 * {6b766d62-7573-4000-8001-gggg0000000n}, n being the NIC.  Who comes to a
 * place that was left is another one (g), or the guest might still have its
 * predecessor by that name.
 */
static struct guid instance_of(unsigned nic, uint16_t generation)
{
	struct guid g = GUID(0x6b766d62, 0x7573, 0x4000, 0x8001, 0);

	g.b[10] = (uint8_t)(generation >> 8);
	g.b[11] = (uint8_t)generation;
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

static void set_link(struct loop_note *note)
{
	struct nic *nic = container_of(note, struct nic, link_note);

	netvsp_set_link(nic->nv, __atomic_load_n(&nic->link,
						 __ATOMIC_ACQUIRE));
}

/*
 * One for each of @count queues, but not more threads than processors: they
 * would take turns there, each with less to do at once.
 */
static bool make_loops(struct nic *nic, unsigned count,
		       struct loop *loops[NET_QUEUES_MAX], GError **error)
{
	unsigned threads = g_get_num_processors();

	for (; nic->ios < MIN(count, threads); nic->ios++) {
		struct iothread *io = iothread_new(error);

		if (!io)
			return false;
		iothread_set_batch(io);
		nic->io[nic->ios] = io;
	}
	for (unsigned i = 0; i < count; i++)
		loops[i] = iothread_loop(nic->io[i % nic->ios]);
	return true;
}

static void free_loops(struct nic *nic, unsigned left)
{
	while (nic->ios > left)
		iothread_free(nic->io[--nic->ios]);
}

/* The loops go last, but none runs any more when their users go. */
static void close_nic(struct nic *nic)
{
	for (unsigned i = 0; i < nic->ios; i++)
		iothread_stop(nic->io[i]);
	netvsp_free(nic->nv);
	net_cable_close(&nic->cable);
	free_loops(nic, 0);
	if (nic->own)
		nic_options_free(nic->own);
	*nic = (struct nic){ 0 };
}

static void withdrawn(struct loop_note *note)
{
	struct nic *nic = container_of(note, struct nic, withdrawn);
	void (*removed)(void *arg) = nic->removed;
	void *arg = nic->arg;

	close_nic(nic);
	removed(arg);
}

/* What was opened goes by close_nic(), also if the rest could not be. */
static bool open_nic(struct network *n, unsigned index,
		     const struct nic_options *options, GError **error)
{
	const struct options *o = n->options;
	struct nic *nic = &n->nic[index];
	struct netvsp_options nv = {
		.instance = instance_of(index, n->generation[index]++),
		.max_queues = options->queues ?:
			      MIN(o->cpus, QUEUES_DEFAULT_MAX),
	};
	struct loop *loops[NET_QUEUES_MAX];

	memcpy(nv.mac, options->mac, sizeof(nv.mac));
	nic->options = options;
	nic->link_note.run = set_link;
	nic->withdrawn.run = withdrawn;
	nic->cable.count = options->mode->queues ? nv.max_queues : 1;
	if (!make_loops(nic, nic->cable.count, loops, error) ||
	    !options->mode->open(loops, o, options, &nic->cable, error))
		return false;
	/* A device may have one queue where more were asked for. */
	free_loops(nic, nic->cable.count);
	if (n->capture)
		capture(n->capture, index, &nic->cable);
	nic->nv = netvsp_new(loops, n->gm, &nv, &nic->cable);
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
	char addr[INET6_ADDRSTRLEN];

	inet_ntop(f->ip6 ? AF_INET6 : AF_INET, &f->host6, addr, sizeof(addr));
	fprintf(stderr, "kvmbus: %s%s%s:%u%s leads to port %u of the guest\n",
		f->ip6 ? "[" : "", addr, f->ip6 ? "]" : "", f->host_port,
		f->udp ? "/udp" : "", f->guest_port);
}

bool network_open(struct network *n, const struct options *o,
		  const struct gmem *gm, GError **error)
{
	n->options = o;
	n->gm = gm;
	n->nic = g_new0(struct nic, NIC_MAX);
	raise_descriptor_limit();
	if (o->capture) {
		n->capture = net_capture_open(o->capture, capture_stopped,
					      error);
		if (!n->capture)
			return false;
	}
	for (unsigned i = 0; i < o->nics->len; i++)
		if (!open_nic(n, i, o->nics->pdata[i], error))
			return false;
	for (unsigned i = 0; i < o->forwards->len; i++) {
		struct net_forward *f = &g_array_index(o->forwards,
						       struct net_forward, i);

		if (f->any_port)
			announce(f);
		/* It is known now, also to a NIC that comes later. */
		f->any_port = false;
	}
	return true;
}

void network_offer(struct network *n, struct vmbus *bus)
{
	n->bus = bus;
	for (unsigned i = 0; i < NIC_MAX; i++)
		if (n->nic[i].nv)
			vmbus_offer(bus, netvsp_device(n->nic[i].nv));
}

static bool start_loops(struct nic *nic, GError **error)
{
	for (unsigned i = 0; i < nic->ios; i++)
		if (!iothread_start(nic->io[i], error))
			return false;
	return true;
}

bool network_start(struct network *n, GError **error)
{
	for (unsigned i = 0; i < NIC_MAX; i++)
		if (!start_loops(&n->nic[i], error))
			return false;
	return true;
}

void network_close(struct network *n)
{
	if (!n->nic)
		return;

	for (unsigned i = 0; i < NIC_MAX; i++)
		close_nic(&n->nic[i]);
	g_clear_pointer(&n->capture, net_capture_close);
	g_clear_pointer(&n->nic, g_free);
}

/*
 * While the machine runs.
 */
static int free_place(const struct network *n, GError **error)
{
	for (unsigned i = 0; i < NIC_MAX; i++)
		if (!n->nic[i].ios)
			return (int)i;
	user_error_set(error, EX_UNAVAILABLE, "net.full",
		       "there is no place for another NIC",
		       "a machine has up to 8", "remove one first");
	return -1;
}

static bool refuse_twin(const struct network *n,
			const struct nic_options *options, GError **error)
{
	for (unsigned i = 0; i < NIC_MAX; i++) {
		g_autofree char *why = NULL;

		if (!n->nic[i].ios || memcmp(n->nic[i].options->mac,
					     options->mac,
					     sizeof(options->mac)))
			continue;
		why = g_strdup_printf("NIC %u has the same mac=", i);
		user_error_set(error, EX_USAGE, "net.twin",
			       "two NICs cannot have one address", why,
			       "another one, or leave mac= out");
		return false;
	}
	return true;
}

/* Forwards whose NIC was removed go to the next one that can have them. */
static bool has_forwards(const struct network *n)
{
	for (unsigned i = 0; i < NIC_MAX; i++)
		if (n->nic[i].ios && n->nic[i].options->forwards)
			return true;
	return false;
}

static bool start_nic(struct network *n, struct nic *nic, GError **error)
{
	if (!start_loops(nic, error))
		return false;
	if (!vmbus_offer(n->bus, netvsp_device(nic->nv)))
		return true;
	user_error_set(error, EX_UNAVAILABLE, "net.channels",
		       "the NIC cannot be offered",
		       "the guest holds all channels", "remove others first");
	return false;
}

int network_add(struct network *n, const char *value, GError **error)
{
	int index = free_place(n, error);
	struct nic_options *options;
	struct nic *nic;

	if (index < 0)
		return -1;
	options = nic_options_new(n->options, (unsigned)index, value, error);
	if (!options)
		return -1;
	nic = &n->nic[index];
	if (!refuse_twin(n, options, error)) {
		nic_options_free(options);
		return -1;
	}
	options->forwards = options->mode->forwards && !has_forwards(n);
	nic->own = options;
	if (open_nic(n, (unsigned)index, options, error) &&
	    start_nic(n, nic, error))
		return index;
	close_nic(nic);
	return -1;
}

/* NULL with an error for the user. */
static struct nic *find_nic(struct network *n, unsigned index, GError **error)
{
	g_autofree char *what = NULL;

	if (index < NIC_MAX && n->nic[index].ios && !n->nic[index].removed)
		return &n->nic[index];
	what = g_strdup_printf("there is no NIC %u", index);
	user_error_set(error, EX_USAGE, "net.no-such-nic", what,
		       "the numbers are those of the --net options, from 0 on",
		       "one of those, or what AddNic answered");
	return NULL;
}

bool network_remove(struct network *n, unsigned index,
		    void (*removed)(void *arg), void *arg, GError **error)
{
	struct nic *nic = find_nic(n, index, error);

	if (!nic)
		return false;
	nic->removed = removed;
	nic->arg = arg;
	vmbus_withdraw(n->bus, netvsp_device(nic->nv), &nic->withdrawn);
	return true;
}

bool network_set_link(struct network *n, unsigned index, bool up,
		      GError **error)
{
	struct nic *nic = find_nic(n, index, error);

	if (!nic)
		return false;
	__atomic_store_n(&nic->link, up, __ATOMIC_RELEASE);
	loop_post(iothread_loop(nic->io[0]), &nic->link_note);
	return true;
}
