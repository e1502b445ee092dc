/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/trace.h"
#include "hv/hv.h"
#include "vmm/call.h"
#include "vmm/disk.h"
#include "vmm/net_modes.h"
#include "vmm/options_internal.h"

#define MIB		(UINT64_C(1) << 20)
#define MEMORY_DEFAULT	(2048 * MIB)
#define MEMORY_MIN	(2 * MIB)
#define MEMORY_MAX	(UINT64_C(1) << 40)
#define CPUS_DEFAULT	4u

bool usage(GError **error, const char *what, const char *why,
	   const char *advice)
{
	user_error_set(error, EX_USAGE, "usage", what, why, advice);
	return false;
}

bool bad_value(GError **error, const char *option, const char *value,
	       const char *why, const char *advice)
{
	g_autofree char *what = g_strdup_printf("--%s %s is not possible",
						option, value);

	return usage(error, what, why, advice);
}

/* A number with one of @units behind it ("KMGT", each 1024 times the last). */
bool options_parse_size(const char *text, uint64_t *bytes)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *end;
	uint64_t n;

	if (!g_ascii_isdigit(*text))
		return false;
	n = g_ascii_strtoull(text, &end, 10);
	unit = *end ? strchr(units, g_ascii_toupper(*end)) : NULL;
	if (!unit || end[1])
		return false;
	for (const char *u = units; u <= unit; u++) {
		if (n > UINT64_MAX / 1024)
			return false;
		n *= 1024;
	}
	*bytes = n;
	return true;
}

/* "90", "90s", "5m", "2h". */
static bool parse_duration(const char *text, uint64_t *ms)
{
	uint64_t n, unit = 1000;
	char *end;

	if (!g_ascii_isdigit(*text))
		return false;
	n = g_ascii_strtoull(text, &end, 10);
	if (!strcmp(end, "m"))
		unit *= 60;
	else if (!strcmp(end, "h"))
		unit *= 3600;
	else if (*end && strcmp(end, "s"))
		return false;
	if (n == 0 || n > UINT32_MAX)
		return false;
	*ms = n * unit;
	return true;
}

bool parse_count(const char *text, unsigned max, unsigned *out)
{
	guint64 n;

	if (!g_ascii_string_to_unsigned(text, 10, 0, max, &n, NULL))
		return false;
	*out = (unsigned)n;
	return true;
}

bool set_string(char **to, const char *value)
{
	g_free(*to);
	*to = g_strdup(value);
	return true;
}

static bool set_kernel(struct options *o, const char *value, GError **error)
{
	return set_string(&o->kernel, value);
}

static bool set_initrd(struct options *o, const char *value, GError **error)
{
	return set_string(&o->initrd, value);
}

static bool set_append(struct options *o, const char *value, GError **error)
{
	return set_string(&o->append, value);
}

static bool set_console(struct options *o, const char *value, GError **error)
{
	if (strcmp(value, "stdio") && strcmp(value, "off") &&
	    !(g_str_has_prefix(value, "file:") && value[5]) &&
	    !(g_str_has_prefix(value, "unix:") && value[5]))
		return bad_value(error, "console", value,
				 "there is no such place for a console",
				 "stdio, file:F, unix:F or off");
	return set_string(&o->console, value);
}

static bool set_cpus(struct options *o, const char *value, GError **error)
{
	unsigned n;

	if (!parse_count(value, HV_VP_MAX, &n) || n == 0)
		return bad_value(error, "cpus", value,
				 "a machine has 1 to 64 processors", "-c 2");
	o->cpus = n;
	return true;
}

static bool set_memory(struct options *o, const char *value, GError **error)
{
	uint64_t n;

	if (!options_parse_size(value, &n))
		return bad_value(error, "memory", value,
				 "a size is a number and one of K, M, G, T",
				 "-m 2G");
	if (n < MEMORY_MIN || n > MEMORY_MAX || n % MIB)
		return bad_value(error, "memory", value,
				 "memory is whole MiB, from 2M to 1T", "-m 2G");
	o->memory = n;
	return true;
}

static bool set_timeout(struct options *o, const char *value, GError **error)
{
	if (!parse_duration(value, &o->timeout_ms))
		return bad_value(error, "timeout", value,
				 "a time is a number and s, m or h",
				 "--timeout 90s");
	return true;
}

static bool set_on_crash(struct options *o, const char *value, GError **error)
{
	if (!strcmp(value, "fail"))
		o->on_crash = ON_CRASH_FAIL;
	else if (!strcmp(value, "reset"))
		o->on_crash = ON_CRASH_RESET;
	else
		return bad_value(error, "on-crash", value,
				 "a crash can do no such thing",
				 "fail or reset");
	return true;
}

static bool set_machine(struct options *o, const char *value, GError **error)
{
	if (!strcmp(value, "default"))
		o->machine = MACHINE_DEFAULT;
	else if (!strcmp(value, "unit-test"))
		o->machine = MACHINE_UNIT_TEST;
	else
		return bad_value(error, "machine", value,
				 "there is no such machine",
				 "default or unit-test");
	return true;
}

static bool set_trace(struct options *o, const char *value, GError **error)
{
	g_auto(GStrv) areas = g_strsplit(value, ",", -1);

	for (unsigned i = 0; areas[i]; i++)
		if (!trace_enable(areas[i]))
			return bad_value(error, "trace", areas[i],
					 "there is no such area",
					 "hv, vmbus, storvsp, netvsp, scsi, "
					 "block, net, chipset, kvm, or all");
	return true;
}

static bool set_stats(struct options *o, const char *value, GError **error)
{
	o->stats = true;
	return true;
}

static bool set_host_metadata(struct options *o, const char *value,
			      GError **error)
{
	o->host_metadata = true;
	return true;
}

static bool set_capture(struct options *o, const char *value, GError **error)
{
	return set_string(&o->capture, value);
}

static bool set_control(struct options *o, const char *value, GError **error)
{
	return set_string(&o->control, value);
}

bool is_on(const char *value, bool *out)
{
	*out = !strcmp(value, "on");
	return *out || !strcmp(value, "off");
}

static bool set_part(struct options *o, enum hv_part part, const char *option,
		     const char *value, GError **error)
{
	bool on;

	if (!is_on(value, &on))
		return bad_value(error, option, value, "it is a switch",
				 "on or off");
	o->hv_parts[part] = on ? HV_ON : HV_OFF;
	o->show_hv = true;
	return true;
}

static bool set_hv_timers(struct options *o, const char *value, GError **error)
{
	return set_part(o, HV_PART_TIMERS, "hv-timers", value, error);
}

static bool set_hv_idle(struct options *o, const char *value, GError **error)
{
	return set_part(o, HV_PART_IDLE, "hv-idle", value, error);
}

static bool set_hv_apic(struct options *o, const char *value, GError **error)
{
	return set_part(o, HV_PART_APIC, "hv-apic", value, error);
}

static bool set_hv_profile(struct options *o, const char *value, GError **error)
{
	o->show_hv = true;
	return set_string(&o->hv_profile, value);
}

static bool set_unknown_msr(struct options *o, const char *value,
			    GError **error)
{
	o->unknown_msr_gp = !strcmp(value, "gp");
	if (!o->unknown_msr_gp && strcmp(value, "ignore") != 0)
		return bad_value(error, "unknown-msr", value,
				 "an access can be ignored, or a fault",
				 "ignore or gp");
	return true;
}

static bool set_hv(struct options *o, const char *value, GError **error)
{
	o->show_hv = true;
	return true;
}

static bool set_ephemeral(struct options *o, const char *value, GError **error)
{
	o->ephemeral = true;
	return true;
}

char *keyed_parse(const struct keyed *k, const char *value, void *to,
		  GError **error)
{
	g_auto(GStrv) parts = g_strsplit(value, ",", -1);
	g_autoptr(GString) head = g_string_new(parts[0]);

	for (unsigned i = 1; parts[0] && parts[i]; i++) {
		g_auto(GStrv) kv = g_strsplit(parts[i], "=", 2);

		if (!kv[0] || !kv[1] || !g_strv_contains(k->keys, kv[0])) {
			g_string_append_printf(head, ",%s", parts[i]);
		} else if (!k->set(to, kv[0], kv[1])) {
			bad_value(error, k->option, value, parts[i],
				  k->advice);
			return NULL;
		}
	}
	return g_string_free(g_steal_pointer(&head), FALSE);
}

#define RUN_AND_DOCTOR	(1u << COMMAND_RUN | 1u << COMMAND_DOCTOR)

static const struct option {
	char letter;
	const char *name;
	const char *argument;	/* NULL: takes none */
	const char *help;
	bool (*set)(struct options *o, const char *value, GError **error);
	unsigned of;		/* bits of enum command; 0: COMMAND_RUN */
} options[] = {
	{ 0, "kernel", "FILE", "Linux bzImage, or ELF32 multiboot image",
	  set_kernel },
	{ 0, "initrd", "FILE", "initial RAM disk", set_initrd },
	{ 0, "append", "TEXT", "kernel command line", set_append },
	{ 0, "disk", "FILE|URI[,KEY=VALUE...]",
	  "disk image (raw, VHD, VHDX), device, or an NBD server's export\n"
	  "(nbd://HOST/NAME); an ISO is in a DVD drive; may be repeated\n"
	  "ro=on, format=raw, direct=off, ephemeral=on|SIZE,\n"
	  "shared=NAME (of this machine, for a disk of several),\n"
	  "iops=N, bps=SIZE (requests, bytes in a second),\n"
	  "serial=TEXT, controller=0-3, lun=0-63, reconnect=SECONDS,\n"
	  "backing=on (an image may name other files),\n"
	  "on-error=pause (when the host fails at it; needs --control)",
	  set_disk },
	{ 0, "cdrom", "FILE|none[,KEY=VALUE]",
	  "a DVD drive, with that image or device in it; may be repeated\n"
	  "controller=0-3, lun=0-63", set_cdrom },
	{ 'x', "ephemeral", NULL,
	  "leave all disks as they are: what the guest writes is forgotten",
	  set_ephemeral },
	{ 0, "net", "MODE[,KEY=VALUE...]",
	  "a NIC, or off: none (nat); may be repeated\n"
	  "mac=XX:XX:XX:XX:XX:XX, queues=1-64", set_net },
	{ 'p', "publish", "[ADDR:][HOST:]GUEST[/udp]",
	  "let a port of the host lead to one of the guest, by NAT;\n"
	  "ADDR: 127.0.0.1, HOST: as GUEST, 0: any; may be repeated",
	  set_publish },
	{ 0, "allow-host-metadata", NULL,
	  "let the guest ask the cloud that the host is in, by NAT",
	  set_host_metadata },
	{ 0, "capture", "FILE",
	  "record what passes the NICs' cables, as pcapng", set_capture },
	{ 'c', "cpus", "N", "processors, 1 to 64 (min(4, host))", set_cpus },
	{ 'm', "memory", "SIZE", "memory, such as 512M or 8G (2G)",
	  set_memory },
	{ 0, "machine", "KIND",
	  "default, or unit-test: with the devices of test kernels (default)",
	  set_machine },
	{ 0, "console", "WHERE", "COM1: stdio, file:F, unix:F, off (stdio)",
	  set_console },
	{ 0, "control", "PATH", "take calls there, such as pause: kvmbus call",
	  set_control },
	{ 0, "timeout", "TIME", "stop after 90s, 5m or 1h with status 124",
	  set_timeout },
	{ 0, "on-crash", "WHAT",
	  "when the guest crashes: fail (status 120) or reset (fail)",
	  set_on_crash },
	{ 0, "hv", NULL, "decode what a guest finds in CPUID, and its MSRs",
	  set_hv, 1u << COMMAND_DOCTOR },
	{ 0, "hv-profile", "PROFILE",
	  "how much of the interface the guest is shown: full, openvmm,\n"
	  "minimal, or a file (full)", set_hv_profile,
	  RUN_AND_DOCTOR },
	{ 0, "hv-timers", "on|off",
	  "offer synthetic timers (as in the profile; full: off)",
	  set_hv_timers, RUN_AND_DOCTOR },
	{ 0, "hv-idle", "on|off",
	  "offer the guest idle MSR (as in the profile; full: off)",
	  set_hv_idle, RUN_AND_DOCTOR },
	{ 0, "hv-apic", "on|off",
	  "offer EOI, ICR and TPR as MSRs (as in the profile; full: off)",
	  set_hv_apic, RUN_AND_DOCTOR },
	{ 0, "unknown-msr", "WHAT",
	  "MSRs that nobody knows: ignore (read 0) or gp (ignore)",
	  set_unknown_msr },
	{ 0, "trace", "AREA[,AREA...]",
	  "one line on stderr per event: hv, vmbus, storvsp, netvsp,\n"
	  "scsi, block, net, chipset, kvm, all", set_trace },
	{ 0, "stats", NULL, "print counts of exits at the end", set_stats },
};

static const struct {
	const char *name;
	const char *help;
} commands[] = {
	[COMMAND_RUN] = { "run",
			  "boot a machine, its console in this terminal" },
	[COMMAND_CALL] = { "call", "ask something of a machine that runs" },
	[COMMAND_DISK] = { "disk", "look at, make and copy disk images" },
	[COMMAND_DOCTOR] = { "doctor", "say what this host can and cannot do" },
	[COMMAND_HELP] = { "help", "print this" },
	[COMMAND_VERSION] = { "version", "print the version" },
};

static bool is_option_of(const struct option *op, enum command command)
{
	return (op->of ?: 1u << COMMAND_RUN) & 1u << command;
}

static void help_option(const struct option *op)
{
	g_auto(GStrv) lines = g_strsplit(op->help, "\n", -1);
	g_autofree char *flag = g_strdup_printf(
		"%s%.1s%s--%s %s", op->letter ? "-" : "", &op->letter,
		op->letter ? ", " : "", op->name,
		op->argument ? op->argument : "");

	printf("  %-31s %s\n", flag, lines[0]);
	for (unsigned n = 1; lines[n]; n++)
		printf("  %-31s %s\n", "", lines[n]);
}

static void help_options_of(enum command command)
{
	printf("\noptions of %s\n", commands[command].name);
	for (size_t i = 0; i < G_N_ELEMENTS(options); i++)
		if (is_option_of(&options[i], command))
			help_option(&options[i]);
}

static void help_net_modes(void)
{
	printf("\nmodes of --net\n");
	for (const struct net_mode *m = net_modes; m->name; m++) {
		g_autofree char *form = net_mode_form(m);

		printf("  %-14s %s\n", form, m->help);
	}
	printf("  %-14s %s\n", "off", "no NIC");
}

void options_help(void)
{
	printf("kvmbus: virtual machines that find a Hyper-V host\n\n"
	       "usage: kvmbus COMMAND [OPTION...]\n\ncommands\n");
	for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
		printf("  %-9s %s\n", commands[i].name, commands[i].help);
	help_options_of(COMMAND_RUN);
	help_options_of(COMMAND_DOCTOR);
	help_net_modes();
	disk_help();
	call_help();
	printf("\nexit status of run\n"
	       "  0    the guest powered off\n"
	       "  120  the guest crashed (panic, bugcheck or triple fault)\n"
	       "  124  the time of --timeout is up\n"
	       "  130, 143  ended by SIGINT, SIGTERM\n"
	       "  odd  what a guest of --machine unit-test has written to its\n"
	       "       exit port, N << 1 | 1; 1 is its success\n"
	       "  64-78     something outside the guest is wrong; "
	       "see sysexits.h\n");
}

/* How many single-letter edits lead from @a to @b. */
static unsigned edit_distance(const char *a, const char *b)
{
	size_t width = strlen(b) + 1;
	g_autofree unsigned *row = g_new(unsigned, width);

	for (size_t j = 0; j < width; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; a[i - 1]; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j < width; j++) {
			unsigned up = row[j];

			row[j] = MIN(MIN(up, row[j - 1]) + 1,
				     diagonal + (a[i - 1] != b[j - 1]));
			diagonal = up;
		}
	}
	return row[width - 1];
}

static void suggest(const char *given, const char *candidate,
		    const char **best, unsigned *least)
{
	unsigned d = edit_distance(given, candidate);

	if (d < *least) {
		*least = d;
		*best = candidate;
	}
}

static bool unknown_option(enum command command, const char *name,
			   GError **error)
{
	g_autofree char *what = g_strdup_printf("unknown option --%s", name);
	g_autofree char *why = g_strdup_printf("kvmbus %s does not know it",
					       commands[command].name);
	const char *best = NULL;
	unsigned least = 4;
	g_autofree char *advice = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(options); i++)
		if (is_option_of(&options[i], command))
			suggest(name, options[i].name, &best, &least);
	advice = best ? g_strdup_printf("--%s", best) :
			g_strdup("kvmbus help");
	return usage(error, what, why, advice);
}

static bool unknown_command(const char *name, GError **error)
{
	g_autofree char *what = g_strdup_printf("unknown command %s", name);
	const char *best = "help";
	unsigned least = 3;
	g_autofree char *advice = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
		suggest(name, commands[i].name, &best, &least);
	advice = g_strdup_printf("kvmbus %s", best);
	return usage(error, what, "kvmbus does not know it", advice);
}

static bool find_command(const char *name, enum command *out)
{
	if (!strcmp(name, "--help") || !strcmp(name, "-h"))
		name = "help";
	else if (!strcmp(name, "--version"))
		name = "version";
	for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
		if (!strcmp(name, commands[i].name)) {
			*out = (enum command)i;
			return true;
		}
	}
	return false;
}

static const struct option *find_option(enum command command,
					const char *name, char letter)
{
	for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
		const struct option *op = &options[i];

		if (is_option_of(op, command) &&
		    (name ? !strcmp(name, op->name) :
			    letter && letter == op->letter))
			return op;
	}
	return NULL;
}

/*
 * Parse the option at @argv[*at] and its value: "--name value",
 * "--name=value", "-l value" or "-lvalue".
 */
static bool parse_option(struct options *o, char **argv, int *at,
			 GError **error)
{
	const char *arg = argv[*at], *value = NULL;
	g_autofree char *name = NULL;
	const struct option *op;

	if (arg[0] != '-' || !arg[1])
		return usage(error, "too many words", arg,
			     "kvmbus run --kernel FILE --disk FILE");
	if (arg[1] == '-') {
		const char *eq = strchr(arg, '=');

		name = eq ? g_strndup(arg + 2, (size_t)(eq - arg - 2)) :
			    g_strdup(arg + 2);
		op = find_option(o->command, name, 0);
		value = eq ? eq + 1 : NULL;
	} else {
		name = g_strndup(arg + 1, 1);
		op = find_option(o->command, NULL, arg[1]);
		value = arg[2] ? arg + 2 : NULL;
	}
	if (!op)
		return unknown_option(o->command, name, error);
	if (op->argument && !value)
		value = argv[*at + 1] ? argv[++*at] : NULL;
	if (!op->argument != !value) {
		g_autofree char *what = g_strdup_printf("--%s %s", op->name,
			value ? "takes no value" : "needs a value");

		return usage(error, what, op->help, "kvmbus help");
	}
	return op->set(o, value, error);
}

static void set_defaults(struct options *o)
{
	o->append = g_strdup("");
	o->console = g_strdup("stdio");
	o->disks = g_ptr_array_new_with_free_func(
		(GDestroyNotify)disk_options_free);
	o->nics = g_ptr_array_new_with_free_func(nic_options_free);
	o->forwards = g_array_new(FALSE, FALSE, sizeof(struct net_forward));
	o->cpus = MIN(g_get_num_processors(), CPUS_DEFAULT);
	o->memory = MEMORY_DEFAULT;
	o->hv_profile = g_strdup("full");
}

static bool has_own_words(enum command command)
{
	return command == COMMAND_CALL || command == COMMAND_DISK;
}

struct options *options_parse(int argc, char **argv, GError **error)
{
	autoptr(options) o = g_new0(struct options, 1);

	set_defaults(o);
	if (argc < 2) {
		o->command = COMMAND_HELP;
		return g_steal_pointer(&o);
	}
	if (!find_command(argv[1], &o->command)) {
		unknown_command(argv[1], error);
		return NULL;
	}
	for (int i = 2; i < argc && !has_own_words(o->command); i++) {
		if (o->command != COMMAND_RUN && o->command != COMMAND_DOCTOR) {
			usage(error, "too many words", argv[i], "kvmbus help");
			return NULL;
		}
		if (!parse_option(o, argv, &i, error))
			return NULL;
	}
	if (o->command == COMMAND_RUN && !o->kernel) {
		usage(error, "nothing to boot", "--kernel is missing",
		      "kvmbus run --kernel FILE --disk FILE");
		return NULL;
	}
	if (!disks_can_resume(o, error) || !place_disks(o, error) ||
	    !finish_nics(o, error))
		return NULL;
	return g_steal_pointer(&o);
}

void options_free(struct options *o)
{
	if (!o)
		return;

	g_free(o->kernel);
	g_free(o->initrd);
	g_free(o->append);
	g_free(o->console);
	g_free(o->hv_profile);
	g_free(o->capture);
	g_free(o->control);
	g_ptr_array_unref(o->disks);
	g_ptr_array_unref(o->nics);
	g_array_unref(o->forwards);
	g_free(o);
}
