/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A machine of three methods, and clients of all kinds on another thread. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <glib/gstdio.h>

#include "backends/unix_socket.h"
#include "core/error.h"
#include "vmm/control.h"

#define TOO_LONG	60	/* s: who waits for ever is killed */

static struct {
	char *folder, *path;
	struct loop *loop;
	struct control *control;
	struct control_call *kept[CONTROL_CALLS + 1];
	unsigned kept_count;
	void (*client)(void);
} t;

static void echo(void *host, struct control_call *call)
{
	assert_ptr_equal(host, &t);
	control_return(call, control_args(call));
}

static void refuse(void *host, struct control_call *call)
{
	GError *error = NULL;

	user_error_set(&error, EX_USAGE, "disk.no-way", "it cannot be",
		       "never", "another [one]");
	control_fail(call, error);
}

static void keep(void *host, struct control_call *call)
{
	t.kept[t.kept_count++] = call;
}

static void let_go(void)
{
	while (t.kept_count)
		control_return(t.kept[--t.kept_count], NULL);
}

static const struct control_method methods[] = {
	{ "Echo", "text:s number:u", "text:s number:u", echo },
	{ "Keep", "", "", keep },
	{ "Refuse", "", "", refuse },
	{ 0 },
};

static int set_up(void **state)
{
	GError *error = NULL;

	alarm(TOO_LONG);
	signal(SIGPIPE, SIG_IGN);
	memset(&t, 0, sizeof(t));
	t.folder = g_dir_make_tmp("control-XXXXXX", NULL);
	t.path = g_build_filename(t.folder, "socket", NULL);
	t.loop = loop_new(NULL);
	t.control = control_new(t.path, methods, t.loop, &t, &error);
	assert_null(error);
	assert_true(control_start(t.control, NULL));
	return 0;
}

static int tear_down(void **state)
{
	control_free(t.control);
	loop_free(t.loop);
	assert_int_equal(access(t.path, F_OK), -1);
	rmdir(t.folder);
	g_free(t.folder);
	g_free(t.path);
	alarm(0);
	return 0;
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static void *client_main(void *arg)
{
	t.client();
	loop_stop(t.loop);
	return NULL;
}

/* The machine's loop turns as long as @client runs. */
static void serve(void (*client)(void))
{
	pthread_t thread;

	t.client = client;
	pthread_create(&thread, NULL, client_main, NULL);
	loop_run(t.loop);
	pthread_join(thread, NULL);
}

static GDBusConnection *dial(void)
{
	g_autofree char *address = g_strdup_printf("unix:path=%s", t.path);
	GDBusConnection *bus = g_dbus_connection_new_for_address_sync(
		address, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT, NULL,
		NULL, NULL);

	return bus;
}

static GVariant *ask(GDBusConnection *bus, const char *method, GVariant *args,
		     GError **error)
{
	return g_dbus_connection_call_sync(bus, NULL, CONTROL_OBJECT,
					   CONTROL_INTERFACE, method, args,
					   NULL, G_DBUS_CALL_FLAGS_NONE,
					   G_MAXINT, NULL, error);
}

/* Of no answer, by name. */
static bool is_refused(GVariant *answer, GError *error, const char *name)
{
	g_autofree char *remote = NULL;

	if (answer)
		return false;
	remote = g_dbus_error_get_remote_error(error);
	return remote && !strcmp(remote, name);
}

static void echoes(GDBusConnection *bus)
{
	g_autoptr(GVariant) answer =
		ask(bus, "Echo", g_variant_new("(su)", "text", 7), NULL);
	const char *text;
	guint32 number;

	assert_non_null(answer);
	g_variant_get(answer, "(&su)", &text, &number);
	assert_string_equal(text, "text");
	assert_int_equal(number, 7);
}

static void call_echo(void)
{
	g_autoptr(GDBusConnection) bus = dial();

	echoes(bus);
}

static void a_call_goes_to_the_loop_and_back(void **state)
{
	serve(call_echo);
}

static void call_refuse(void)
{
	g_autoptr(GDBusConnection) bus = dial();
	g_autoptr(GError) error = NULL;
	GVariant *answer = ask(bus, "Refuse", NULL, &error);

	assert_true(is_refused(answer, error,
			       CONTROL_ERROR "disk.no_way"));
	assert_non_null(strstr(error->message, "it cannot be\n     why: never"));
	assert_non_null(strstr(error->message, "[disk.no-way]\n     try: "));
}

static void call_refuse_by_message(void)
{
	g_autoptr(GDBusConnection) bus = dial();
	g_autoptr(GDBusMessage) call = g_dbus_message_new_method_call(
		NULL, CONTROL_OBJECT, CONTROL_INTERFACE, "Refuse");
	g_autoptr(GDBusMessage) answer =
		g_dbus_connection_send_message_with_reply_sync(
			bus, call, G_DBUS_SEND_MESSAGE_FLAGS_NONE, G_MAXINT,
			NULL, NULL, NULL);
	GVariant *status = g_dbus_message_get_header(
		answer, (GDBusMessageHeaderField)CONTROL_STATUS);

	assert_int_equal(g_variant_get_uint32(status), EX_USAGE);
	echoes(bus);
}

static void an_error_has_its_exit_status_in_a_field(void **state)
{
	serve(call_refuse_by_message);
}

static void an_error_has_its_id_as_name_and_all_its_text(void **state)
{
	serve(call_refuse);
}

static void call_wrongly(void)
{
	g_autoptr(GDBusConnection) bus = dial();

	assert_null(ask(bus, "Other", NULL, NULL));
	assert_null(ask(bus, "Echo", NULL, NULL));
	assert_null(ask(bus, "Echo", g_variant_new("(us)", 7, "text"), NULL));
	echoes(bus);
}

static void what_the_interface_lacks_is_refused(void **state)
{
	serve(call_wrongly);
}

static void only_its_owner_may_use_the_socket(void **state)
{
	struct stat st;

	assert_int_equal(stat(t.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_path_in_use_is_refused(void **state)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *id = NULL;

	assert_null(control_new(t.path, methods, t.loop, &t, &error));
	id = user_error_id(error);
	assert_string_equal(id, "control.in-use");
}

static void a_socket_that_nobody_listens_at_is_taken_over(void **state)
{
	int fd;

	control_free(t.control);
	fd = unix_socket_listen(t.path, 0600, 1);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(access(t.path, F_OK), 0);
	t.control = control_new(t.path, methods, t.loop, &t, NULL);
	assert_non_null(t.control);
	assert_true(control_start(t.control, NULL));
	serve(call_echo);
}

/* Half of a handshake each, of all clients but one. */
static void call_beside_mutes(void)
{
	int mute[CONTROL_CLIENTS - 1];

	for (unsigned i = 0; i < G_N_ELEMENTS(mute); i++) {
		mute[i] = unix_socket_connect(t.path);
		assert_true(mute[i] >= 0);
		assert_int_equal(send(mute[i], "\0AUTH", 5, 0), 5);
	}
	call_echo();
	for (unsigned i = 0; i < G_N_ELEMENTS(mute); i++)
		close(mute[i]);
}

static void mute_clients_delay_nobody(void **state)
{
	serve(call_beside_mutes);
}

static void come_too_many(void)
{
	GDBusConnection *bus[CONTROL_CLIENTS];

	for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
		bus[i] = dial();
		echoes(bus[i]);
	}
	assert_null(dial());
	for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
		echoes(bus[i]);
		g_object_unref(bus[i]);
	}
}

static void clients_beyond_the_limit_are_turned_away(void **state)
{
	serve(come_too_many);
}

static void forget(GObject *bus, GAsyncResult *result, gpointer data)
{
}

/* One without a callback would say that it wants no answer. */
static void leave_call(GDBusConnection *bus)
{
	g_dbus_connection_call(bus, NULL, CONTROL_OBJECT, CONTROL_INTERFACE,
			       "Keep", NULL, NULL, G_DBUS_CALL_FLAGS_NONE,
			       G_MAXINT, NULL, forget, NULL);
}

/* Each connection has a limit of its own, too. */
static GDBusConnection *busy[2];

static void fill_up(void)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(busy); i++) {
		busy[i] = dial();
		for (unsigned n = 0; n < CONTROL_CALLS / 2; n++)
			leave_call(busy[i]);
	}
}

static void call_too_often(void)
{
	g_autoptr(GError) error = NULL;
	GVariant *answer = ask(busy[0], "Keep", NULL, &error);

	assert_true(is_refused(answer, error, CONTROL_ERROR "control.busy"));
}

static void calls_beyond_the_limit_are_refused(void **state)
{
	serve(fill_up);
	while (t.kept_count < CONTROL_CALLS)
		loop_turn(t.loop, true);
	serve(call_too_often);
	let_go();
	serve(call_echo);
	g_clear_object(&busy[0]);
	g_clear_object(&busy[1]);
}

/* The handshake of a client that reads nothing. */
static int dial_deaf(void)
{
	g_autofree char *uid = g_strdup_printf("%u", geteuid());
	g_autoptr(GString) hello = g_string_new("AUTH EXTERNAL ");
	int fd = unix_socket_connect(t.path);

	for (const char *p = uid; *p; p++)
		g_string_append_printf(hello, "%02x", *p);
	g_string_append(hello, "\r\nBEGIN\r\n");
	assert_int_equal(send(fd, "", 1, 0), 1);
	assert_int_equal(send(fd, hello->str, hello->len, 0), hello->len);
	return fd;
}

/* Up to when it is left, which has to be. */
static void flood(void)
{
	g_autoptr(GDBusMessage) m = g_dbus_message_new_method_call(
		NULL, CONTROL_OBJECT, CONTROL_INTERFACE, "Echo");
	g_autofree char *text = g_strnfill(10000, 'x');
	g_autofree guchar *blob = NULL;
	int fd = dial_deaf();
	gsize len;

	g_dbus_message_set_body(m, g_variant_new("(su)", text, 1));
	g_dbus_message_set_serial(m, 1);
	blob = g_dbus_message_to_blob(m, &len, G_DBUS_CAPABILITY_FLAGS_NONE,
				      NULL);
	while (send(fd, blob, len, 0) > 0 || errno == EAGAIN)
		;
	assert_true(errno == EPIPE || errno == ECONNRESET);
	close(fd);
	call_echo();
}

static void who_asks_and_does_not_listen_is_left(void **state)
{
	serve(flood);
}

static GError *goodbye;

static void *wait_for_end(void *arg)
{
	g_autoptr(GDBusConnection) bus = dial();

	assert_null(ask(bus, "Keep", NULL, &goodbye));
	return NULL;
}

static void a_call_under_way_hears_that_the_machine_is_over(void **state)
{
	g_autofree char *name = NULL;
	pthread_t thread;

	pthread_create(&thread, NULL, wait_for_end, NULL);
	while (!t.kept_count)
		loop_turn(t.loop, true);
	g_clear_pointer(&t.control, control_free);
	pthread_join(thread, NULL);
	name = g_dbus_error_get_remote_error(goodbye);
	assert_string_equal(name, CONTROL_ERROR "control.ending");
	g_clear_error(&goodbye);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_call_goes_to_the_loop_and_back),
		TEST(an_error_has_its_exit_status_in_a_field),
		TEST(an_error_has_its_id_as_name_and_all_its_text),
		TEST(what_the_interface_lacks_is_refused),
		TEST(only_its_owner_may_use_the_socket),
		TEST(a_path_in_use_is_refused),
		TEST(a_socket_that_nobody_listens_at_is_taken_over),
		TEST(mute_clients_delay_nobody),
		TEST(clients_beyond_the_limit_are_turned_away),
		TEST(calls_beyond_the_limit_are_refused),
		TEST(who_asks_and_does_not_listen_is_left),
		TEST(a_call_under_way_hears_that_the_machine_is_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
