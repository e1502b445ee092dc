/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "vmm/net_modes.h"
#include "vmm/options_internal.h"

#define MAC_LEN		6
#define MAC_TEXT_LEN	17	/* "02:00:00:00:00:01" */

void nic_options_free(void *p)
{
	struct nic_options *nic = p;

	g_free(nic->argument);
	g_free(nic);
}

static bool has_mac(const struct nic_options *nic)
{
	static const uint8_t none[MAC_LEN];

	return memcmp(nic->mac, none, MAC_LEN) != 0;
}

/* A station's address: neither a group's nor nobody's. */
static bool parse_mac(const char *text, struct nic_options *nic)
{
	if (strlen(text) != MAC_TEXT_LEN)
		return false;
	for (unsigned i = 0; i < MAC_LEN; i++) {
		int high = g_ascii_xdigit_value(text[3 * i]);
		int low = g_ascii_xdigit_value(text[3 * i + 1]);
		char behind = text[3 * i + 2];

		if (high < 0 || low < 0 ||
		    behind != (i < MAC_LEN - 1 ? ':' : '\0'))
			return false;
		nic->mac[i] = (uint8_t)(high << 4 | low);
	}
	return has_mac(nic) && !(nic->mac[0] & 1);
}

static bool set_nic_key(void *to, const char *key, const char *value)
{
	struct nic_options *nic = to;

	if (!strcmp(key, "mac"))
		return parse_mac(value, nic);
	return parse_count(value, NET_QUEUES_MAX, &nic->queues) && nic->queues;
}

static char *list_modes(void)
{
	GString *list = g_string_new(NULL);

	for (const struct net_mode *m = net_modes; m->name; m++) {
		g_autofree char *form = net_mode_form(m);

		g_string_append_printf(list, "%s, ", form);
	}
	g_string_append(list, "off");
	return g_string_free(list, FALSE);
}

/* MODE[:ARGUMENT] */
static bool set_mode(struct nic_options *nic, const char *text, GError **error)
{
	size_t len = strcspn(text, ":");
	const char *argument = text[len] ? text + len + 1 : NULL;
	g_autofree char *form = NULL;

	nic->mode = net_mode_find(text, len);
	if (!nic->mode) {
		g_autofree char *modes = list_modes();

		return bad_value(error, "net", text, "there is no such mode",
				 modes);
	}
	nic->argument = g_strdup(argument);
	if (argument ? nic->mode->argument && *argument :
		       !nic->mode->argument || nic->mode->argument_optional)
		return true;
	form = net_mode_form(nic->mode);
	return bad_value(error, "net", text, argument && !nic->mode->argument ?
			 "nothing may follow this mode" :
			 "something has to follow this mode", form);
}

static struct nic_options *parse_nic(const char *value, GError **error)
{
	static const char *const keys[] = { "mac", "queues", NULL };
	static const struct keyed keyed = {
		.option = "net", .keys = keys, .set = set_nic_key,
		.advice = "mac=02:00:00:00:00:01, even in its first byte; "
			  "queues=1-64",
	};
	struct nic_options *nic = g_new0(struct nic_options, 1);
	g_autofree char *mode = keyed_parse(&keyed, value, nic, error);

	if (mode && set_mode(nic, mode, error))
		return nic;
	nic_options_free(nic);
	return NULL;
}

bool set_net(struct options *o, const char *value, GError **error)
{
	struct nic_options *nic;

	if (!strcmp(value, "off")) {
		o->no_nics = true;
		return true;
	}
	if (o->nics->len == NIC_MAX)
		return bad_value(error, "net", value,
				 "a machine has up to 8 NICs", "fewer of them");
	nic = parse_nic(value, error);
	if (nic)
		g_ptr_array_add(o->nics, nic);
	return nic;
}

/*
 * A machine is what it boots from: its first disk, or else its kernel.  So it
 * has the same addresses in every run.
 */
static void make_mac(const struct options *o, unsigned index,
		     struct nic_options *nic)
{
	const struct disk_options *disk =
		o->disks->len ? o->disks->pdata[0] : NULL;
	g_autofree char *path = g_canonicalize_filename(
		disk ? disk->file : o->kernel, NULL);
	g_autofree char *name = g_strdup_printf("kvmbus nic %u %s", index,
						path);
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	uint8_t digest[32];
	gsize len = sizeof(digest);

	g_checksum_update(sum, (const guchar *)name, -1);
	g_checksum_get_digest(sum, digest, &len);
	nic->mac[0] = 0x02;	/* locally administered */
	memcpy(nic->mac + 1, digest, MAC_LEN - 1);
}

static bool refuse_twins(const struct options *o, GError **error)
{
	for (unsigned i = 0; i < o->nics->len; i++) {
		const struct nic_options *a = o->nics->pdata[i];

		for (unsigned j = 0; j < i; j++) {
			const struct nic_options *b = o->nics->pdata[j];

			if (!memcmp(a->mac, b->mac, MAC_LEN))
				return usage(error, "two NICs have the same "
					     "mac=", "each needs one of its "
					     "own", "leave mac= out");
		}
	}
	return true;
}

struct nic_options *nic_options_new(const struct options *o, unsigned index,
				    const char *value, GError **error)
{
	struct nic_options *nic = parse_nic(value, error);

	if (nic && !has_mac(nic))
		make_mac(o, index, nic);
	return nic;
}

/* Forwards lead to the first NIC that can have them. */
static bool place_forwards(struct options *o, GError **error)
{
	if (!o->forwards->len)
		return true;
	for (unsigned i = 0; i < o->nics->len; i++) {
		struct nic_options *nic = o->nics->pdata[i];

		nic->forwards = nic->mode->forwards;
		if (nic->forwards)
			return true;
	}
	return usage(error, "--publish needs a NIC with NAT",
		     "no other mode forwards ports", "--net nat");
}

bool finish_nics(struct options *o, GError **error)
{
	if (o->command != COMMAND_RUN)
		return true;
	if (o->no_nics && o->nics->len)
		return bad_value(error, "net", "off",
				 "another --net asks for a NIC",
				 "one of the two");
	o->default_nic = !o->no_nics && !o->nics->len;
	if (o->default_nic && !set_net(o, net_modes->name, error))
		return false;
	for (unsigned i = 0; i < o->nics->len; i++) {
		struct nic_options *nic = o->nics->pdata[i];

		if (!has_mac(nic))
			make_mac(o, i, nic);
	}
	return refuse_twins(o, error) && place_forwards(o, error);
}
