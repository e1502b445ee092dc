/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <gio/gio.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "backends/nbd_connect.h"
#include "backends/unix_socket.h"
#include "core/error.h"
#include "vmm/call.h"
#include "vmm/control.h"
#include "vmm/json.h"

#define FORM		"kvmbus call PATH [METHOD [ARG...]] [--json]"
#define HANDSHAKE_S	10	/* for each step of it */
#define FOR_EVER	G_MAXINT

struct call {
	const char *path, *method;
	char **args;		/* @count of them */
	unsigned count;
	bool json;
	GDBusConnection *bus;
	GDBusNodeInfo *info;
};

void call_help(void)
{
	printf("\nkvmbus call\n");
	printf("  %-31s %s\n", "PATH", "say what can be asked of a machine");
	printf("  %-31s %s\n", "PATH METHOD [ARG...]", "ask it");
	printf("  %-31s %s\n", "--json", "for programs");
}

/*
 * Errors.
 */
static bool fail(GError **error, int status, const char *id, const char *what,
		 const char *why, const char *advice)
{
	user_error_set(error, status, id, what, why, advice);
	return false;
}

static bool not_reached(const struct call *c, int number, GError **error)
{
	g_autofree char *what = g_strdup_printf("no machine is reached at %s",
						c->path);
	g_autofree char *advice = g_strdup_printf(
		"start one there: kvmbus run ... --control %s", c->path);
	bool denied = number == EACCES || number == EPERM;

	return fail(error, denied ? EX_NOPERM : EX_UNAVAILABLE,
		    "control.unreached", what, g_strerror(number),
		    denied ? "be who has started it" : advice);
}

static bool no_machine(const struct call *c, const GError *why, GError **error)
{
	g_autofree char *what = g_strdup_printf(
		"what listens at %s does not answer as a machine", c->path);

	return fail(error, EX_PROTOCOL, "control.protocol", what, why->message,
		    "the path that kvmbus run was given as --control");
}

/* An answer of the machine's says all; others come from the way there. */
static bool refused(const struct call *c, GError *why, int status,
		    GError **error)
{
	g_autofree char *name = g_dbus_error_get_remote_error(why);
	g_autofree char *what = g_strdup_printf("the machine at %s has not "
						"done %s", c->path, c->method);

	g_dbus_error_strip_remote_error(why);
	if (!name || !g_str_has_prefix(name, CONTROL_ERROR))
		return fail(error, EX_UNAVAILABLE, "control.failed", what,
			    why->message, "see whether it still runs");
	g_set_error_literal(error, USER_ERROR, status, why->message);
	return false;
}

/*
 * The machine.
 */
static bool connect_to(struct call *c, GError **error)
{
	int fd = unix_socket_connect(c->path);
	g_autoptr(GSocket) socket = NULL;
	g_autoptr(GSocketConnection) stream = NULL;
	g_autoptr(GError) why = NULL;

	if (fd < 0)
		return not_reached(c, -fd, error);
	socket = g_socket_new_from_fd(fd, &why);
	if (!socket)
		return no_machine(c, why, error);
	stream = g_socket_connection_factory_create_connection(socket);
	g_socket_set_timeout(socket, HANDSHAKE_S);
	c->bus = g_dbus_connection_new_sync(
		G_IO_STREAM(stream), NULL,
		G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT, NULL, NULL,
		&why);
	if (!c->bus)
		return no_machine(c, why, error);
	g_socket_set_timeout(socket, 0);
	return true;
}

/* What an error says that it is, or else the most general one. */
static int status_of(GDBusMessage *answer)
{
	GVariant *field = g_dbus_message_get_header(
		answer, (GDBusMessageHeaderField)CONTROL_STATUS);
	guint32 status = 0;

	if (field && g_variant_is_of_type(field, G_VARIANT_TYPE_UINT32))
		status = g_variant_get_uint32(field);
	return status >= EX__BASE && status <= EX__MAX ? (int)status :
							 EX_UNAVAILABLE;
}

/* The values, or NULL with why, and the exit status that it means. */
static GVariant *ask(const struct call *c, const char *interface,
		     const char *method, GVariant *args, int *status,
		     GError **why)
{
	g_autoptr(GDBusMessage) question = g_dbus_message_new_method_call(
		NULL, CONTROL_OBJECT, interface, method);
	g_autoptr(GDBusMessage) answer = NULL;
	GVariant *values;

	*status = EX_UNAVAILABLE;
	if (args)
		g_dbus_message_set_body(question, args);
	answer = g_dbus_connection_send_message_with_reply_sync(
		c->bus, question, G_DBUS_SEND_MESSAGE_FLAGS_NONE, FOR_EVER,
		NULL, NULL, why);
	if (!answer)
		return NULL;
	if (g_dbus_message_to_gerror(answer, why)) {
		*status = status_of(answer);
		return NULL;
	}
	values = g_dbus_message_get_body(answer);
	return values ? g_variant_ref(values) :
			g_variant_ref_sink(g_variant_new_tuple(NULL, 0));
}

static bool learn(struct call *c, GError **error)
{
	g_autoptr(GError) why = NULL;
	int status;
	g_autoptr(GVariant) answer =
		ask(c, "org.freedesktop.DBus.Introspectable", "Introspect",
		    NULL, &status, &why);
	const char *xml;

	if (answer && g_variant_is_of_type(answer, G_VARIANT_TYPE("(s)"))) {
		g_variant_get(answer, "(&s)", &xml);
		c->info = g_dbus_node_info_new_for_xml(xml, &why);
	}
	if (c->info &&
	    g_dbus_node_info_lookup_interface(c->info, CONTROL_INTERFACE))
		return true;
	if (!why)
		g_set_error_literal(&why, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
				    "it has no " CONTROL_INTERFACE);
	return no_machine(c, why, error);
}

static GDBusInterfaceInfo *interface_of(const struct call *c)
{
	return g_dbus_node_info_lookup_interface(c->info, CONTROL_INTERFACE);
}

/*
 * Arguments and values.
 */
static void append_args(GString *form, GDBusArgInfo **args)
{
	for (; args && *args; args++)
		g_string_append_printf(form, " %s:%s", (*args)->name,
				       (*args)->signature);
}

static char *form_of(const GDBusMethodInfo *m)
{
	GString *form = g_string_new(m->name);

	append_args(form, m->in_args);
	if (m->out_args && *m->out_args)
		g_string_append(form, " ->");
	append_args(form, m->out_args);
	return g_string_free(form, FALSE);
}

static void list_methods(const struct call *c)
{
	GDBusMethodInfo **m = interface_of(c)->methods;

	for (; m && *m; m++) {
		g_autofree char *form = form_of(*m);

		printf("%s\n", form);
	}
}

/*
 * A file's name is one of this folder, not of the machine's; what follows it in
 * the word stays behind it.
 */
static GVariant *parse_path(const char *text)
{
	g_autofree char *here = g_get_current_dir();

	if (!*text || g_path_is_absolute(text) || nbd_is_uri(text))
		return g_variant_new_string(text);
	return g_variant_new_take_string(g_build_filename(here, text, NULL));
}

static bool is_path(const GDBusArgInfo *arg)
{
	return g_dbus_annotation_info_lookup(arg->annotations,
					     CONTROL_IS_PATH) != NULL;
}

/* A string is the word as it is; all else is in GVariant's text form. */
static GVariant *parse_arg(const GDBusArgInfo *arg, const char *text,
			   GError **error)
{
	g_autoptr(GError) why = NULL;
	g_autofree char *what = NULL;
	GVariant *value;

	if (!strcmp(arg->signature, "s") && g_utf8_validate(text, -1, NULL))
		return is_path(arg) ? parse_path(text) :
				      g_variant_new_string(text);
	value = g_variant_parse(G_VARIANT_TYPE(arg->signature), text, NULL,
				NULL, &why);
	if (value)
		return value;
	what = g_strdup_printf("%s cannot be the argument %s", text, arg->name);
	fail(error, EX_USAGE, "usage", what, why->message,
	     "u, t: a number; b: true or false; s: any text in UTF-8");
	return NULL;
}

static unsigned count_args(GDBusArgInfo **args)
{
	unsigned n = 0;

	while (args && args[n])
		n++;
	return n;
}

/* A floating tuple, or NULL with an error. */
static GVariant *parse_args(const struct call *c, const GDBusMethodInfo *m,
			    GError **error)
{
	g_autofree char *form = form_of(m);
	g_auto(GVariantBuilder) tuple;

	g_variant_builder_init(&tuple, G_VARIANT_TYPE_TUPLE);
	if (count_args(m->in_args) != c->count) {
		fail(error, EX_USAGE, "usage",
		     "too many or too few arguments", "this is the form",
		     form);
		return NULL;
	}
	for (unsigned i = 0; i < c->count; i++) {
		GVariant *arg = parse_arg(m->in_args[i], c->args[i], error);

		if (!arg)
			return NULL;
		g_variant_builder_add_value(&tuple, arg);
	}
	return g_variant_builder_end(&tuple);
}

static void print_value(GVariant *value)
{
	g_autofree char *text = NULL;

	if (g_variant_is_of_type(value, G_VARIANT_TYPE_STRING)) {
		printf("%s\n", g_variant_get_string(value, NULL));
		return;
	}
	text = g_variant_print(value, FALSE);
	printf("%s\n", text);
}

static void print_values(const struct call *c, const GDBusMethodInfo *m,
			 GVariant *values)
{
	unsigned known = count_args(m->out_args);

	if (c->json)
		putchar('{');
	for (unsigned i = 0; i < g_variant_n_children(values); i++) {
		g_autoptr(GVariant) value = g_variant_get_child_value(values,
								      i);

		if (!c->json) {
			print_value(value);
			continue;
		}
		if (i)
			printf(", ");
		json_print_text(i < known ? m->out_args[i]->name : "");
		printf(": ");
		json_print_variant(value);
	}
	if (c->json)
		printf("}\n");
}

/*
 * The command.
 */
static bool call_method(const struct call *c, GError **error)
{
	const GDBusMethodInfo *m =
		g_dbus_interface_info_lookup_method(interface_of(c), c->method);
	g_autoptr(GVariant) values = NULL;
	g_autoptr(GError) why = NULL;
	g_autofree char *what = NULL;
	GVariant *args;
	int status;

	if (!m) {
		what = g_strdup_printf("%s cannot be asked of a machine",
				       c->method);
		return fail(error, EX_USAGE, "control.method", what,
			    "it has no such method", "kvmbus call PATH");
	}
	args = parse_args(c, m, error);
	if (!args)
		return false;
	values = ask(c, CONTROL_INTERFACE, c->method, args, &status, &why);
	if (!values)
		return refused(c, why, status, error);
	print_values(c, m, values);
	return true;
}

static bool parse(struct call *c, int argc, char **argv, GError **error)
{
	int words = 0;

	/* --json may be anywhere; what remains are words. */
	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--json"))
			c->json = true;
		else
			argv[words++] = argv[i];
	}
	if (!words)
		return fail(error, EX_USAGE, "usage", "a word is missing",
			    "it must be said which machine", FORM);
	c->path = argv[0];
	c->method = words > 1 ? argv[1] : NULL;
	c->args = argv + 2;
	c->count = (unsigned)MAX(words - 2, 0);
	return true;
}

static void finish(struct call *c)
{
	g_clear_pointer(&c->info, g_dbus_node_info_unref);
	g_clear_object(&c->bus);
}

int call_command(int argc, char **argv, GError **error)
{
	struct call c = { 0 };
	bool ok = parse(&c, argc, argv, error) && connect_to(&c, error) &&
		  learn(&c, error);

	if (ok && c.method)
		ok = call_method(&c, error);
	else if (ok)
		list_methods(&c);
	finish(&c);
	return ok ? 0 : (*error)->code;
}
