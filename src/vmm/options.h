/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * options - the command line, by one table that also is the help text.
 */
#ifndef VMM_OPTIONS_H
#define VMM_OPTIONS_H

#include <glib.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/autoptr.h"

#define CONTROLLER_MAX	4	/* SCSI controllers, as Hyper-V has */
#define NIC_MAX		8	/* likewise */

enum command {
	COMMAND_RUN, COMMAND_CALL, COMMAND_DISK, COMMAND_DOCTOR, COMMAND_HELP,
	COMMAND_VERSION,
};

/* What is on the board beside what every machine has. */
enum machine_kind {
	MACHINE_DEFAULT,	/* nothing */
	MACHINE_UNIT_TEST,	/* debug exit, fw_cfg, the SynIC's test device */
};

enum on_crash { ON_CRASH_FAIL, ON_CRASH_RESET };

/* Parts of the hypervisor interface with an option of their own. */
enum hv_part { HV_PART_TIMERS, HV_PART_IDLE, HV_PART_APIC, HV_PARTS };
enum hv_switch { HV_AS_PROFILE, HV_ON, HV_OFF };

#define DISK_AUTO	UINT_MAX	/* controller or LUN not given */

struct disk_options {
	char *file;		/* NULL: a drive without a medium */
	bool cdrom;		/* a DVD drive, whatever the file's content */
	char *serial;		/* NULL: none */
	bool raw;		/* whatever its content looks like */
	bool read_only;
	bool direct;		/* O_DIRECT where possible */
	bool backing;		/* an image may name other files */
	unsigned reconnect;	/* seconds to wait for a server; 0: none */
	bool ephemeral;		/* what is written is forgotten */
	uint64_t ephemeral_max;	/* bytes of it; 0: no limit */
	char *shared;		/* this machine's name for others, or NULL */
	uint64_t iops, bps;	/* requests and bytes in a second; 0: no limit */
	bool pause_on_error;	/* what the host fails at waits for the user */
	unsigned controller;
	unsigned lun;
};

struct net_mode;

struct nic_options {
	const struct net_mode *mode;
	char *argument;		/* what follows "MODE:"; NULL: nothing */
	uint8_t mac[6];		/* never all zero after parsing */
	unsigned queues;	/* 0: as many as are good for the processors */
	bool forwards;		/* those of the options lead to this one */
};

struct options;

/*
 * One as by --net @value, the @index'th of a machine.  NULL with an error for
 * the user.
 */
struct nic_options *nic_options_new(const struct options *o, unsigned index,
				    const char *value, GError **error);
void nic_options_free(void *nic);

struct options {
	enum command command;
	char *kernel, *initrd;
	char *append;		/* never NULL after parsing */
	GPtrArray *disks;	/* struct disk_options, DVD drives too */
	bool ephemeral;		/* all disks are */
	GPtrArray *nics;	/* struct nic_options */
	bool no_nics;		/* --net off */
	bool default_nic;	/* nobody has asked for the only one */
	GArray *forwards;	/* struct net_forward */
	bool host_metadata;	/* guests may ask for that of the host's cloud */
	char *capture;		/* file for what NICs' cables carry, or NULL */
	char *control;		/* path of the control socket, or NULL */
	unsigned cpus;
	uint64_t memory;	/* bytes, whole MiB */
	char *console;		/* "stdio", "file:F", "unix:F", "off" */
	uint64_t timeout_ms;	/* 0: none */
	enum on_crash on_crash;
	enum machine_kind machine;
	bool stats;
	char *hv_profile;	/* a name, or a file */
	enum hv_switch hv_parts[HV_PARTS];
	bool show_hv;		/* doctor prints what a guest will see */
	bool unknown_msr_gp;	/* else they read as 0 */
};

/*
 * Parse @argv; what follows COMMAND_CALL is call_command()'s, COMMAND_DISK
 * disk_command()'s.  NULL with an error for the user; its advice names the
 * nearest option where one was misspelt.
 */
struct options *options_parse(int argc, char **argv, GError **error);
void options_free(struct options *o);
AUTOPTR_DEFINE(options, options_free)

/* What follows --disk; @controller and @lun may be DISK_AUTO. */
struct disk_options *disk_options_parse(const char *value, GError **error);
void disk_options_free(struct disk_options *d);

/* "64G": a number with K, M, G or T behind it, or none of them. */
bool options_parse_size(const char *text, uint64_t *bytes);

/* To stdout. */
void options_help(void);

#endif
