/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/machine.h"
#include "vmm/machine_methods.h"

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

const struct control_method machine_methods[] = {
	{ "GetState", "", "state:s", get_state },
	{ "Pause", "", "", pause_machine },
	{ "PowerOff", "", "", power_off },
	{ "Reset", "", "", reset },
	{ "Resume", "", "", resume },
	{ 0 },
};
