/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <glib-unix.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/unix_socket.h"
#include "core/autoptr.h"
#include "core/error.h"
#include "core/util.h"
#include "vmm/control.h"

#define BACKLOG			16
#define HANDSHAKE_S		10	/* for each step of it */
#define GOODBYE_MS		1000	/* for clients to take what is left */
#define UNANSWERED_MAX		64	/* calls of a client */

struct control {
	char *path;
	int listener;
	const struct control_method *methods;
	GDBusNodeInfo *info;
	struct loop *main_loop;
	void *host;
	pthread_t thread;
	bool started;
	GMainContext *context;	/* the thread's */
	GMainLoop *loop;

	/* The thread's own. */
	char *guid;
	GDBusAuthObserver *auth;
	GSource *accept;
	GQueue clients;		/* struct client */
	GQueue calls;		/* struct control_call without an answer */
	bool ending;
};

struct client {
	struct control *c;
	GSocket *socket;
	GDBusConnection *bus;	/* NULL: not yet */
};

/* Crosses to the main loop and back; one of them has it. */
struct control_call {
	struct control *c;
	const struct control_method *method;
	GDBusMethodInvocation *invocation;
	struct loop_note note;
	GVariant *values;
	GError *error;
};

/*
 * Calls.
 */
void *control_host(const struct control_call *call)
{
	return call->c->host;
}

GVariant *control_args(const struct control_call *call)
{
	return g_dbus_method_invocation_get_parameters(call->invocation);
}

/* GDBus has no way to send an error that has more than a name and a text. */
static void refuse(GDBusMethodInvocation *invocation, const GError *error)
{
	GDBusConnection *bus =
		g_dbus_method_invocation_get_connection(invocation);
	GDBusMessage *call = g_dbus_method_invocation_get_message(invocation);
	g_autoptr(GDBusMessage) answer = NULL;
	g_autofree char *id = user_error_id(error);
	g_autofree char *name = NULL;

	g_strdelimit(id, "-", '_');
	name = g_strconcat(CONTROL_ERROR, id, NULL);
	answer = g_dbus_message_new_method_error_literal(call, name,
							 error->message);
	g_dbus_message_set_header(
		answer, (GDBusMessageHeaderField)CONTROL_STATUS,
		g_variant_new_uint32((guint32)error->code));
	g_dbus_connection_send_message(bus, answer,
				       G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL,
				       NULL);
	g_object_unref(invocation);
}

/* The invocation is used up by its answer. */
static void call_end(struct control_call *call)
{
	if (call->error)
		refuse(call->invocation, call->error);
	else
		g_dbus_method_invocation_return_value(call->invocation,
						      call->values);
	g_queue_remove(&call->c->calls, call);
	g_clear_pointer(&call->values, g_variant_unref);
	g_clear_error(&call->error);
	g_free(call);
}

static gboolean call_answered(gpointer call)
{
	call_end(call);
	return G_SOURCE_REMOVE;
}

/* Any thread: have @run(@data) done on the control thread. */
static void post(struct control *c, GSourceFunc run, void *data)
{
	GSource *source = g_idle_source_new();

	g_source_set_callback(source, run, data, NULL);
	g_source_attach(source, c->context);
	g_source_unref(source);
}

void control_return(struct control_call *call, GVariant *values)
{
	if (values)
		call->values = g_variant_ref_sink(values);
	post(call->c, call_answered, call);
}

void control_fail(struct control_call *call, GError *error)
{
	call->error = error;
	post(call->c, call_answered, call);
}

static void run_call(struct loop_note *note)
{
	struct control_call *call =
		container_of(note, struct control_call, note);

	call->method->run(call->c->host, call);
}

static const struct control_method *find_method(const struct control *c,
						const char *name)
{
	const struct control_method *m = c->methods;

	while (strcmp(m->name, name) != 0)
		m++;
	return m;
}

static void set_ending(GError **error)
{
	user_error_set(error, EX_UNAVAILABLE, "control.ending",
		       "the machine does not do it any more",
		       "its run is over", NULL);
}

/* GDBus lets through only what the interface has. */
static void called(GDBusConnection *bus, const char *sender, const char *path,
		   const char *interface, const char *name, GVariant *args,
		   GDBusMethodInvocation *invocation, gpointer data)
{
	struct control *c = data;
	g_autoptr(GError) error = NULL;
	struct control_call *call;

	if (c->ending)
		set_ending(&error);
	else if (c->calls.length == CONTROL_CALLS)
		user_error_set(&error, EX_TEMPFAIL, "control.busy",
			       "the machine cannot take another call",
			       "too many are under way", "later");
	if (error) {
		refuse(invocation, error);
		return;
	}
	call = g_new0(struct control_call, 1);
	call->c = c;
	call->method = find_method(c, name);
	call->invocation = invocation;
	call->note.run = run_call;
	g_queue_push_tail(&c->calls, call);
	loop_post(c->main_loop, &call->note);
}

static const GDBusInterfaceVTable vtable = { .method_call = called };

/*
 * Clients.
 */

/* For the filter of a connection, which runs on a thread of GDBus's. */
struct load {
	GSocket *socket;
	unsigned unanswered;
};

static void load_free(gpointer data)
{
	struct load *load = data;

	g_object_unref(load->socket);
	g_free(load);
}

static bool wants_answer(GDBusMessage *m)
{
	return g_dbus_message_get_message_type(m) ==
		       G_DBUS_MESSAGE_TYPE_METHOD_CALL &&
	       !(g_dbus_message_get_flags(m) &
		 G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED);
}

/*
 * GDBus has no limit for what it reads, nor for answers that nobody takes; but
 * each message comes by here, in when it was read, out when it is written.
 */
static GDBusMessage *limit(GDBusConnection *bus, GDBusMessage *m,
			   gboolean incoming, gpointer data)
{
	struct load *load = data;

	if (!incoming) {
		load->unanswered--;
		return m;
	}
	if (wants_answer(m) && load->unanswered < UNANSWERED_MAX) {
		load->unanswered++;
		return m;
	}
	if (wants_answer(m))
		g_socket_shutdown(load->socket, TRUE, TRUE, NULL);
	g_object_unref(m);
	return NULL;
}

static void client_free(struct client *client)
{
	struct control *c = client->c;

	g_queue_remove(&c->clients, client);
	g_clear_object(&client->bus);
	g_object_unref(client->socket);
	g_free(client);
	if (c->ending && g_queue_is_empty(&c->clients))
		g_main_loop_quit(c->loop);
}

static void client_left(GDBusConnection *bus, gboolean vanished, GError *error,
			gpointer client)
{
	client_free(client);
}

static void client_came(GObject *source, GAsyncResult *result, gpointer data)
{
	struct client *client = data;
	struct load *load;

	client->bus = g_dbus_connection_new_finish(result, NULL);
	if (!client->bus || client->c->ending) {
		client_free(client);
		return;
	}
	g_socket_set_timeout(client->socket, 0);
	load = g_new0(struct load, 1);
	load->socket = g_object_ref(client->socket);
	/* A filter's own release would be left to a loop that may be over. */
	g_object_set_data_full(G_OBJECT(client->bus), "load", load, load_free);
	g_dbus_connection_add_filter(client->bus, limit, load, NULL);
	g_signal_connect(client->bus, "closed", G_CALLBACK(client_left),
			 client);
	g_dbus_connection_register_object(client->bus, CONTROL_OBJECT,
					  client->c->info->interfaces[0],
					  &vtable, client->c, NULL, NULL);
	g_dbus_connection_start_message_processing(client->bus);
}

static bool may_call(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       (peer.uid == geteuid() || peer.uid == 0);
}

static gboolean only_external(GDBusAuthObserver *auth, const char *mechanism,
			      gpointer data)
{
	return !strcmp(mechanism, "EXTERNAL");
}

static void greet(struct control *c, GSocket *socket)
{
	const GDBusConnectionFlags flags =
		G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER |
		G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING;
	g_autoptr(GSocketConnection) stream =
		g_socket_connection_factory_create_connection(socket);
	struct client *client = g_new0(struct client, 1);

	client->c = c;
	client->socket = socket;
	g_queue_push_tail(&c->clients, client);
	g_socket_set_timeout(socket, HANDSHAKE_S);
	g_dbus_connection_new(G_IO_STREAM(stream), c->guid, flags, c->auth,
			      NULL, client_came, client);
}

static gboolean accept_client(gint listener, GIOCondition why, gpointer data)
{
	struct control *c = data;
	autofd fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	GSocket *socket;

	if (fd < 0 || c->clients.length == CONTROL_CLIENTS || !may_call(fd))
		return G_SOURCE_CONTINUE;
	socket = g_socket_new_from_fd(fd, NULL);
	if (!socket)
		return G_SOURCE_CONTINUE;
	autofd_steal(&fd);
	greet(c, socket);
	return G_SOURCE_CONTINUE;
}

/*
 * The thread.
 */
static gboolean time_is_up(gpointer loop)
{
	g_main_loop_quit(loop);
	return G_SOURCE_REMOVE;
}

static void flushed(GObject *bus, GAsyncResult *result, gpointer data)
{
	g_dbus_connection_flush_finish(G_DBUS_CONNECTION(bus), result, NULL);
	g_dbus_connection_close(G_DBUS_CONNECTION(bus), NULL, NULL, NULL);
}

/* Connections end when what is left has been written; others at once. */
static void say_goodbye(gpointer data, gpointer user)
{
	struct client *client = data;

	if (client->bus)
		g_dbus_connection_flush(client->bus, NULL, flushed, NULL);
	else
		g_socket_shutdown(client->socket, TRUE, TRUE, NULL);
}

static gboolean end(gpointer data)
{
	struct control *c = data;
	GSource *timeout = g_timeout_source_new(GOODBYE_MS);
	struct control_call *call;

	c->ending = true;
	g_source_destroy(c->accept);
	while ((call = g_queue_peek_head(&c->calls))) {
		set_ending(&call->error);
		call_end(call);
	}
	g_source_set_callback(timeout, time_is_up, c->loop, NULL);
	g_source_attach(timeout, c->context);
	g_source_unref(timeout);
	g_queue_foreach(&c->clients, say_goodbye, NULL);
	if (g_queue_is_empty(&c->clients))
		g_main_loop_quit(c->loop);
	return G_SOURCE_REMOVE;
}

static void *control_main(void *arg)
{
	struct control *c = arg;

	g_main_context_push_thread_default(c->context);
	c->guid = g_dbus_generate_guid();
	c->auth = g_dbus_auth_observer_new();
	g_signal_connect(c->auth, "allow-mechanism", G_CALLBACK(only_external),
			 NULL);
	c->accept = g_unix_fd_source_new(c->listener, G_IO_IN);
	g_source_set_callback(c->accept, G_SOURCE_FUNC(accept_client), c, NULL);
	g_source_attach(c->accept, c->context);
	g_main_loop_run(c->loop);
	g_source_unref(c->accept);
	g_object_unref(c->auth);
	g_free(c->guid);
	g_main_context_pop_thread_default(c->context);
	return NULL;
}

bool control_start(struct control *c, GError **error)
{
	int ret = pthread_create(&c->thread, NULL, control_main, c);

	c->started = !ret;
	if (ret)
		user_error_set(error, EX_OSERR, "host.threads",
			       "cannot start a thread", g_strerror(ret),
			       "raise the limit: ulimit -u");
	return c->started;
}

/*
 * Making it.
 */
static void describe_arg(GString *xml, const char *name, const char *type,
			 const char *direction)
{
	bool path = !strcmp(type, CONTROL_PATH);

	g_string_append_printf(xml, "<arg name='%s' type='%s' direction='%s'>",
			       name, path ? "s" : type, direction);
	if (path)
		g_string_append(xml, "<annotation name='" CONTROL_IS_PATH
				"' value='true'/>");
	g_string_append(xml, "</arg>");
}

static void describe_args(GString *xml, const char *list, const char *direction)
{
	g_auto(GStrv) args = g_strsplit(list, " ", -1);

	for (unsigned i = 0; args[i]; i++) {
		g_auto(GStrv) arg = g_strsplit(args[i], ":", 2);

		describe_arg(xml, arg[0], arg[1], direction);
	}
}

static GDBusNodeInfo *describe(const struct control_method *methods)
{
	g_autoptr(GString) xml = g_string_new("<node><interface name='"
					      CONTROL_INTERFACE "'>");
	GDBusNodeInfo *info;

	for (const struct control_method *m = methods; m->name; m++) {
		g_string_append_printf(xml, "<method name='%s'>", m->name);
		describe_args(xml, m->in, "in");
		describe_args(xml, m->out, "out");
		g_string_append(xml, "</method>");
	}
	g_string_append(xml, "</interface></node>");
	info = g_dbus_node_info_new_for_xml(xml->str, NULL);
	g_assert(info);
	return info;
}

/* A descriptor, or -errno; -EADDRINUSE: somebody is there. */
static int take_path(const char *path)
{
	autofd lock = unix_socket_lock(path);
	autofd other = -1;

	if (lock < 0)
		return lock;
	other = unix_socket_connect(path);
	if (other >= 0)
		return -EADDRINUSE;
	if (other != -ENOENT && other != -ECONNREFUSED)
		return other;
	return unix_socket_listen(path, 0600, BACKLOG);
}

static void path_refused(const char *path, int number, GError **error)
{
	g_autofree char *what =
		g_strdup_printf("cannot be controlled at %s", path);

	if (number == EADDRINUSE || number == EAGAIN)
		user_error_set(error, EX_TEMPFAIL, "control.in-use", what,
			       "another machine is, or something else is there",
			       "another name");
	else
		user_error_set(error, EX_CANTCREAT, "control.socket", what,
			       g_strerror(number),
			       "a name in a folder that you may write to");
}

struct control *control_new(const char *path,
			    const struct control_method *methods,
			    struct loop *main_loop, void *host, GError **error)
{
	int listener = take_path(path);
	struct control *c;

	if (listener < 0) {
		path_refused(path, -listener, error);
		return NULL;
	}
	c = g_new0(struct control, 1);
	c->path = g_strdup(path);
	c->listener = listener;
	c->methods = methods;
	c->info = describe(methods);
	c->main_loop = main_loop;
	c->host = host;
	c->context = g_main_context_new();
	c->loop = g_main_loop_new(c->context, FALSE);
	return c;
}

/* Clients that have not left in time are left with the process. */
void control_free(struct control *c)
{
	if (!c)
		return;

	if (c->started) {
		post(c, end, c);
		pthread_join(c->thread, NULL);
	}
	unlink(c->path);
	close(c->listener);
	g_main_loop_unref(c->loop);
	g_main_context_unref(c->context);
	g_dbus_node_info_unref(c->info);
	g_free(c->path);
	g_free(c);
}
