/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/nbd_connect.h"
#include "core/error.h"
#include "vmm/machine.h"
#include "vmm/machine_methods.h"
#include "vmm/network.h"
#include "vmm/storage.h"

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

/* Who asks may be in another folder. */
static bool is_clear(const char *path, GError **error)
{
	g_autofree char *what = NULL;

	if (g_path_is_absolute(path) || nbd_is_uri(path))
		return true;
	what = g_strdup_printf("cannot find %s", path);
	user_error_set(error, EX_USAGE, "control.path", what,
		       "a path from the root is wanted, since the machine may "
		       "run in another folder", "realpath FILE");
	return false;
}

static void disk_added(const struct storage_result *r, void *call)
{
	if (r->error)
		control_fail(call, r->error);
	else
		control_return(call, g_variant_new("(uu)", r->controller,
						   r->lun));
}

static void add_disk(void *host, struct control_call *call)
{
	const struct storage_reply reply = { disk_added, call };
	struct disk_options *d;
	GError *error = NULL;
	const char *text;

	g_variant_get(control_args(call), "(&s)", &text);
	d = disk_options_parse(text, &error);
	if (d && is_clear(d->file, &error)) {
		storage_add(machine_storage(host), d, &reply);
		return;
	}
	disk_options_free(d);
	control_fail(call, error);
}

static void disk_changed(const struct storage_result *r, void *call)
{
	if (r->error)
		control_fail(call, r->error);
	else
		control_return(call, NULL);
}

static void remove_disk(void *host, struct control_call *call)
{
	const struct storage_reply reply = { disk_changed, call };
	unsigned controller, lun;

	g_variant_get(control_args(call), "(uu)", &controller, &lun);
	storage_remove(machine_storage(host), controller, lun, &reply);
}

static void disk_resized(const struct storage_result *r, void *call)
{
	if (r->error)
		control_fail(call, r->error);
	else
		control_return(call, g_variant_new("(t)", r->size));
}

static void resize_disk(void *host, struct control_call *call)
{
	const struct storage_reply reply = { disk_resized, call };
	unsigned controller, lun;

	g_variant_get(control_args(call), "(uu)", &controller, &lun);
	storage_resize(machine_storage(host), controller, lun, &reply);
}

static void grow_disk(void *host, struct control_call *call)
{
	const struct storage_reply reply = { disk_resized, call };
	unsigned controller, lun;
	g_autofree char *what = NULL;
	GError *error = NULL;
	const char *text;
	uint64_t size;

	g_variant_get(control_args(call), "(uu&s)", &controller, &lun, &text);
	if (options_parse_size(text, &size)) {
		storage_grow(machine_storage(host), controller, lun, size,
			     &reply);
		return;
	}
	what = g_strdup_printf("%s is no size", text);
	user_error_set(&error, EX_USAGE, "usage", what,
		       "a size is a number and one of K, M, G, T", "64G");
	control_fail(call, error);
}

/* File names are bytes; what is no UTF-8 comes as U+FFFD. */
static void list_disk(unsigned controller, unsigned lun, const char *file,
		      void *list)
{
	g_autofree char *name = g_utf8_make_valid(file, -1);

	g_variant_builder_add(list, "(uus)", controller, lun, name);
}

static void list_held(const struct storage_held *h, void *list)
{
	g_variant_builder_add(list, "(uus)", h->controller, h->lun,
			      g_strerror(h->error));
}

static void list_held_disks(void *host, struct control_call *call)
{
	GVariantBuilder list;

	g_variant_builder_init(&list, G_VARIANT_TYPE("a(uus)"));
	storage_list_held(machine_storage(host), list_held, &list);
	control_return(call, g_variant_new("(a(uus))", &list));
}

static void disks_seen(const struct storage_result *r, void *arg)
{
	struct control_call *call = arg;
	GVariantBuilder list;

	g_variant_builder_init(&list, G_VARIANT_TYPE("a(uus)"));
	storage_list(machine_storage(control_host(call)), list_disk, &list);
	control_return(call, g_variant_new("(a(uus))", &list));
}

static void list_disks(void *host, struct control_call *call)
{
	const struct storage_reply reply = { disks_seen, call };

	storage_look(machine_storage(host), &reply);
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

static void insert_medium(void *host, struct control_call *call)
{
	const struct storage_reply reply = { disk_changed, call };
	unsigned controller, lun;
	GError *error = NULL;
	const char *file;

	g_variant_get(control_args(call), "(uu&s)", &controller, &lun, &file);
	if (!is_clear(file, &error)) {
		control_fail(call, error);
		return;
	}
	storage_insert(machine_storage(host), controller, lun, file, &reply);
}

static void eject_medium(void *host, struct control_call *call)
{
	const struct storage_reply reply = { disk_changed, call };
	unsigned controller, lun;
	gboolean force;

	g_variant_get(control_args(call), "(uub)", &controller, &lun, &force);
	storage_eject(machine_storage(host), controller, lun, force, &reply);
}

const struct control_method machine_methods[] = {
	{ "AddDisk", "disk:path", "controller:u lun:u", add_disk },
	{ "AddNic", "net:s", "nic:u", add_nic },
	{ "EjectMedium", "controller:u lun:u force:b", "", eject_medium },
	{ "GetState", "", "state:s", get_state },
	{ "GrowDisk", "controller:u lun:u size:s", "size:t", grow_disk },
	{ "InsertMedium", "controller:u lun:u file:path", "", insert_medium },
	{ "ListDisks", "", "disks:a(uus)", list_disks },
	{ "ListHeldDisks", "", "disks:a(uus)", list_held_disks },
	{ "Pause", "", "", pause_machine },
	{ "PowerOff", "", "", power_off },
	{ "RemoveDisk", "controller:u lun:u", "", remove_disk },
	{ "RemoveNic", "nic:u", "", remove_nic },
	{ "Reset", "", "", reset },
	{ "ResizeDisk", "controller:u lun:u", "size:t", resize_disk },
	{ "Resume", "", "", resume },
	{ "SetLink", "nic:u up:b", "", set_link },
	{ 0 },
};
