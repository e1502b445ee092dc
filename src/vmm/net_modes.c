/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "backends/net_nat.h"
#include "backends/net_socket.h"
#include "backends/net_tap.h"
#include "core/error.h"
#include "vmm/net_modes.h"

static bool one_queue(struct net_cable *cable, struct net_backend *nb)
{
	cable->queue[0] = nb;
	cable->count = nb ? 1 : 0;
	return nb;
}

static void forward_stuck(const struct net_forward *f, const char *why)
{
	fprintf(stderr, "kvmbus: port %u%s leads to where the guest was: %s; "
		"it is tried again\n", f->host_port, f->udp ? "/udp" : "",
		why);
}

static struct net_nat_options nat_options(const struct options *o,
					  const struct nic_options *nic)
{
	return (struct net_nat_options){
		.host_metadata = o->host_metadata,
		.forwards = (struct net_forward *)(void *)o->forwards->data,
		.forward_count = nic->forwards ? o->forwards->len : 0,
		.stuck = forward_stuck,
	};
}

static bool open_nat(struct loop *const *loops, const struct options *o,
		     const struct nic_options *nic, struct net_cable *cable,
		     GError **error)
{
	const struct net_nat_options options = nat_options(o, nic);

	return one_queue(cable, net_nat_open(loops[0], &options, error));
}

static bool open_isolated(struct loop *const *loops, const struct options *o,
			  const struct nic_options *nic,
			  struct net_cable *cable, GError **error)
{
	struct net_nat_options options = nat_options(o, nic);

	options.isolated = true;
	for (unsigned i = 0; i < options.forward_count; i++) {
		if (!options.forwards[i].udp)
			continue;
		user_error_set(error, EX_USAGE, "net.isolated-udp",
			       "--net isolated forwards no UDP",
			       "libslirp lets no answer out",
			       "TCP, or --net nat");
		return one_queue(cable, NULL);
	}
	return one_queue(cable, net_nat_open(loops[0], &options, error));
}

static bool open_tap(struct loop *const *loops, const struct options *o,
		     const struct nic_options *nic, struct net_cable *cable,
		     GError **error)
{
	return net_tap_open(loops, nic->argument, cable->count, cable, error);
}

static void passt_lost(const char *path)
{
	if (path)
		fprintf(stderr, "kvmbus: passt at %s has gone; it is looked "
			"for each second\n", path);
	else
		fprintf(stderr, "kvmbus: passt has ended; its NIC has no link "
			"any more\n");
}

static bool open_passt(struct loop *const *loops, const struct options *o,
		       const struct nic_options *nic, struct net_cable *cable,
		       GError **error)
{
	return one_queue(cable, net_passt_open(loops[0], nic->argument,
					       passt_lost, error));
}

static bool open_socket(struct loop *const *loops, const struct options *o,
			const struct nic_options *nic,
			struct net_cable *cable, GError **error)
{
	return one_queue(cable, net_socket_open(loops[0], nic->argument,
						error));
}

const struct net_mode net_modes[] = {
	{ .name = "nat", .forwards = true, .open = open_nat,
	  .help = "the host's network, by address translation" },
	{ .name = "isolated", .forwards = true, .open = open_isolated,
	  .help = "the same, but nothing outside is reached" },
	{ .name = "tap", .argument = "NAME", .queues = true, .open = open_tap,
	  .help = "a tap device of the host" },
	{ .name = "passt", .argument = "PATH", .argument_optional = true,
	  .open = open_passt,
	  .help = "passt, started or at a socket" },
	{ .name = "socket", .argument = "PATH", .open = open_socket,
	  .help = "another machine with the same" },
	{ 0 }
};

const struct net_mode *net_mode_find(const char *name, size_t len)
{
	for (const struct net_mode *m = net_modes; m->name; m++)
		if (strlen(m->name) == len && !memcmp(m->name, name, len))
			return m;
	return NULL;
}

char *net_mode_form(const struct net_mode *mode)
{
	if (!mode->argument)
		return g_strdup(mode->name);
	return g_strdup_printf(mode->argument_optional ? "%s[:%s]" : "%s:%s",
			       mode->name, mode->argument);
}
