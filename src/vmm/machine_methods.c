/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/machine.h"
#include "vmm/machine_methods.h"
#include "vmm/network.h"

static void get_state(void *host, struct control_call *call)
{
	const char *state = machine_is_paused(host) ? "paused" : "running";

	control_return(call, g_variant_new("(s)", state));
}

static void pause_machine(void *host, struct control_call *call)
{
	machine_pause(host);
	control_return(call, NULL);
}

static void resume(void *host, struct control_call *call)
{
	machine_resume(host);
	control_return(call, NULL);
}

static void reset(void *host, struct control_call *call)
{
	machine_reset(host);
	control_return(call, NULL);
}

static void power_off(void *host, struct control_call *call)
{
	machine_power_off(host);
	control_return(call, NULL);
}

static void add_nic(void *host, struct control_call *call)
{
	GError *error = NULL;
	const char *net;
	int nic;

	g_variant_get(control_args(call), "(&s)", &net);
	nic = network_add(machine_network(host), net, &error);
	if (nic < 0)
		control_fail(call, error);
	else
		control_return(call, g_variant_new("(u)", (guint32)nic));
}

static void nic_removed(void *call)
{
	control_return(call, NULL);
}

static void remove_nic(void *host, struct control_call *call)
{
	GError *error = NULL;
	guint32 nic;

	g_variant_get(control_args(call), "(u)", &nic);
	if (!network_remove(machine_network(host), nic, nic_removed, call,
			    &error))
		control_fail(call, error);
}

static void set_link(void *host, struct control_call *call)
{
	GError *error = NULL;
	gboolean up;
	guint32 nic;

	g_variant_get(control_args(call), "(ub)", &nic, &up);
	if (network_set_link(machine_network(host), nic, up, &error))
		control_return(call, NULL);
	else
		control_fail(call, error);
}

static void disc_changed(void *call, GError *error)
{
	if (error)
		control_fail(call, error);
	else
		control_return(call, NULL);
}

static void insert_medium(void *host, struct control_call *call)
{
	struct disc_change change = { .done = disc_changed, .arg = call };

	g_variant_get(control_args(call), "(uu&s)", &change.controller,
		      &change.lun, &change.file);
	machine_change_disc(host, &change);
}

static void eject_medium(void *host, struct control_call *call)
{
	struct disc_change change = { .done = disc_changed, .arg = call };
	gboolean force;

	g_variant_get(control_args(call), "(uub)", &change.controller,
		      &change.lun, &force);
	change.force = force;
	machine_change_disc(host, &change);
}

const struct control_method machine_methods[] = {
	{ "AddNic", "net:s", "nic:u", add_nic },
	{ "EjectMedium", "controller:u lun:u force:b", "", eject_medium },
	{ "GetState", "", "state:s", get_state },
	{ "InsertMedium", "controller:u lun:u file:s", "", insert_medium },
	{ "Pause", "", "", pause_machine },
	{ "PowerOff", "", "", power_off },
	{ "RemoveNic", "nic:u", "", remove_nic },
	{ "Reset", "", "", reset },
	{ "Resume", "", "", resume },
	{ "SetLink", "nic:u up:b", "", set_link },
	{ 0 },
};
