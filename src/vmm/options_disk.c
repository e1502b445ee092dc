/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --disk, --cdrom, and which place each has. */
#include <string.h>

#include "backend/reservations.h"
#include "backends/block_nbd.h"
#include "devices/storvsp/storvsp.h"
#include "vmm/options_internal.h"

#define BPS_MIN		(64 * 1024u)
#define EPHEMERAL_MIN	(1u << 20)
#define RECONNECT_MAX	3600u	/* seconds */

/* On, off, or on with a limit. */
static bool set_disk_ephemeral(struct disk_options *d, const char *value)
{
	d->ephemeral_max = 0;
	if (is_on(value, &d->ephemeral))
		return true;
	d->ephemeral = true;
	return options_parse_size(value, &d->ephemeral_max) &&
	       d->ephemeral_max >= EPHEMERAL_MIN;
}

static bool is_word(const char *text, size_t max)
{
	for (const char *p = text; *p; p++)
		if (!g_ascii_isgraph(*p))
			return false;
	return *text && strlen(text) <= max;
}

static bool parse_rate(const char *text, uint64_t *rate)
{
	unsigned n;

	if (!parse_count(text, UINT_MAX, &n) || !n)
		return false;
	*rate = n;
	return true;
}

/* One "key=value" of a --disk. */
static bool set_disk_key(void *to, const char *key, const char *value)
{
	struct disk_options *d = to;

	if (!strcmp(key, "ro"))
		return is_on(value, &d->read_only);
	if (!strcmp(key, "direct"))
		return is_on(value, &d->direct);
	if (!strcmp(key, "format"))
		return (d->raw = !strcmp(value, "raw")) ||
		       !strcmp(value, "auto");
	if (!strcmp(key, "backing"))
		return is_on(value, &d->backing);
	if (!strcmp(key, "reconnect"))
		return parse_count(value, RECONNECT_MAX, &d->reconnect);
	if (!strcmp(key, "ephemeral"))
		return set_disk_ephemeral(d, value);
	if (!strcmp(key, "shared"))
		return is_word(value, PR_NAME_MAX) &&
		       set_string(&d->shared, value);
	if (!strcmp(key, "iops"))
		return parse_rate(value, &d->iops);
	if (!strcmp(key, "bps"))
		return options_parse_size(value, &d->bps) && d->bps >= BPS_MIN;
	if (!strcmp(key, "on-error"))
		return (d->pause_on_error = !strcmp(value, "pause")) ||
		       !strcmp(value, "report");
	if (!strcmp(key, "serial"))
		return is_word(value, 20) && set_string(&d->serial, value);
	if (!strcmp(key, "controller"))
		return parse_count(value, CONTROLLER_MAX - 1, &d->controller);
	return parse_count(value, STORVSP_LUN_MAX - 1, &d->lun);
}

void disk_options_free(struct disk_options *d)
{
	if (!d)
		return;

	g_free(d->file);
	g_free(d->serial);
	g_free(d->shared);
	g_free(d);
}

static struct disk_options *parse_disk(const struct keyed *k,
				       const char *value, GError **error)
{
	struct disk_options *d = g_new0(struct disk_options, 1);

	d->direct = true;
	d->reconnect = BLOCK_NBD_RECONNECT;
	d->controller = d->lun = DISK_AUTO;
	d->file = keyed_parse(k, value, d, error);
	if (d->file && *d->file)
		return d;
	if (d->file)
		bad_value(error, k->option, value, "it names no file",
			  k->advice);
	disk_options_free(d);
	return NULL;
}

static bool shares_well(const struct disk_options *d, const char *value,
			GError **error)
{
	if (!d->shared || (!d->read_only && !d->ephemeral && d->direct))
		return true;
	return bad_value(error, "disk", value,
			 "all who share a disk write it, past the cache of the "
			 "host", "leave ro=, ephemeral= and direct= out");
}

/* A pause ends when the user has mended something. */
static bool pauses_well(const struct disk_options *d, const char *value,
			GError **error)
{
	if (d->pause_on_error && d->shared)
		return bad_value(error, "disk", value,
				 "the others would wait for a machine that is "
				 "paused", "leave on-error= out");
	if (d->pause_on_error && d->ephemeral_max)
		return bad_value(error, "disk", value,
				 "its limit stays, and nobody could make space",
				 "ephemeral=on, or leave on-error= out");
	return true;
}

struct disk_options *disk_options_parse(const char *value, GError **error)
{
	static const char *const keys[] = { "ro", "format", "direct",
					    "ephemeral", "shared", "iops",
					    "bps", "serial", "controller",
					    "lun", "reconnect", "backing",
					    "on-error", NULL };
	static const struct keyed keyed = {
		.option = "disk", .keys = keys, .set = set_disk_key,
		.advice = "--disk FILE, ro=on|off format=auto|raw direct=on|off "
			  "ephemeral=on|off|SIZE shared=NAME iops=N "
			  "bps=SIZE (64K or more) serial=TEXT "
			  "controller=0-3 lun=0-63 "
			  "reconnect=SECONDS backing=on|off "
			  "on-error=report|pause",
	};
	struct disk_options *d = parse_disk(&keyed, value, error);

	if (d && shares_well(d, value, error) && pauses_well(d, value, error))
		return d;
	disk_options_free(d);
	return NULL;
}

bool set_disk(struct options *o, const char *value, GError **error)
{
	struct disk_options *d = disk_options_parse(value, error);

	if (d)
		g_ptr_array_add(o->disks, d);
	return d;
}

bool set_cdrom(struct options *o, const char *value, GError **error)
{
	static const char *const keys[] = { "controller", "lun", NULL };
	static const struct keyed keyed = {
		.option = "cdrom", .keys = keys, .set = set_disk_key,
		.advice = "--cdrom FILE|none[,controller=0-3][,lun=0-63]",
	};
	struct disk_options *d = parse_disk(&keyed, value, error);

	if (!d)
		return false;
	g_ptr_array_add(o->disks, d);
	d->cdrom = true;
	if (!strcmp(d->file, "none"))
		g_clear_pointer(&d->file, g_free);
	return true;
}

bool disks_can_resume(const struct options *o, GError **error)
{
	for (unsigned i = 0; i < o->disks->len && !o->control; i++) {
		const struct disk_options *d = o->disks->pdata[i];

		if (d->pause_on_error)
			return bad_value(error, "disk", d->file,
					 "with on-error=pause the machine stays "
					 "paused until it is told to go on",
					 "give the machine a --control PATH");
	}
	return true;
}

/* The disks' places, taken one by one. */
struct places {
	bool taken[CONTROLLER_MAX][STORVSP_LUN_MAX];
};

static bool take_place(struct places *p, struct disk_options *d,
		       unsigned controller, unsigned lun)
{
	if (p->taken[controller][lun])
		return false;

	p->taken[controller][lun] = true;
	d->controller = controller;
	d->lun = lun;
	return true;
}

/* The first free LUN, of the controller that was asked for if one was. */
static bool take_free_place(struct places *p, struct disk_options *d)
{
	bool any = d->controller == DISK_AUTO;
	unsigned first = any ? 0 : d->controller;
	unsigned last = any ? CONTROLLER_MAX - 1 : d->controller;

	for (unsigned c = first; c <= last; c++)
		for (unsigned lun = 0; lun < STORVSP_LUN_MAX; lun++)
			if (take_place(p, d, c, lun))
				return true;
	return false;
}

static bool no_place(GError **error, const struct disk_options *d,
		     const char *why, const char *advice)
{
	return bad_value(error, d->cdrom ? "cdrom" : "disk",
			 d->file ?: "none", why, advice);
}

/* Disks that say where they want to be come first. */
bool place_disks(struct options *o, GError **error)
{
	struct places places = { 0 };

	for (unsigned i = 0; i < o->disks->len; i++) {
		struct disk_options *d = o->disks->pdata[i];
		unsigned c = d->controller == DISK_AUTO ? 0 : d->controller;

		if (d->lun != DISK_AUTO && !take_place(&places, d, c, d->lun))
			return no_place(error, d,
					"another disk has that controller "
					"and lun", "leave lun= out");
	}
	for (unsigned i = 0; i < o->disks->len; i++) {
		struct disk_options *d = o->disks->pdata[i];

		if (d->lun == DISK_AUTO && !take_free_place(&places, d))
			return no_place(error, d,
					"all LUNs are taken: 64 on each of 4 "
					"controllers",
					"fewer disks, or another controller=");
	}
	return true;
}
