/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>

#include "core/error.h"
#include "vmm/call.h"
#include "vmm/disk.h"
#include "vmm/doctor.h"
#include "vmm/machine.h"
#include "vmm/options.h"
#include "vmm/sandbox.h"

static int run(const struct options *o, GError **error)
{
	autoptr(machine) m = machine_new(o, error);

	if (!m || !sandbox_enter(error))
		return (*error)->code;
	return machine_run(m, error);
}

static int dispatch(const struct options *o, int argc, char **argv,
		    GError **error)
{
	switch (o->command) {
	case COMMAND_RUN:
		return run(o, error);
	case COMMAND_CALL:
		return call_command(argc - 2, argv + 2, error);
	case COMMAND_DISK:
		return disk_command(argc - 2, argv + 2, error);
	case COMMAND_DOCTOR:
		return o->show_hv ? doctor_hv(o, error) : doctor();
	case COMMAND_VERSION:
		printf("kvmbus %s\n", KVMBUS_VERSION);
		return 0;
	case COMMAND_HELP:
		break;
	}
	options_help();
	return 0;
}

int main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	autoptr(options) o = options_parse(argc, argv, &error);
	int status = o ? dispatch(o, argc, argv, &error) : EX_USAGE;

	if (error)
		fprintf(stderr, "kvmbus: %s\n", error->message);
	return status;
}
