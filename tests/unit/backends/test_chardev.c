/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "backends/chardev.h"
#include "core/error.h"

static struct loop *loop;
static struct chardev *cd;
static char *dir, *path, *spec;
static GString *got;		/* input that was taken */
static size_t room;		/* for more of it */
static unsigned quits;

static size_t input(void *user, const uint8_t *bytes, size_t len)
{
	size_t n = MIN(len, room);

	g_string_append_len(got, (const char *)bytes, (gssize)n);
	room -= n;
	return n;
}

static void quit(void *user)
{
	quits++;
}

static struct chardev *open_spec(GError **error)
{
	const struct chardev_user user = { .input = input, .quit = quit };

	return chardev_open(spec, loop, &user, error);
}

static int setup(void **state)
{
	loop = loop_new(NULL);
	dir = g_dir_make_tmp("chardev-XXXXXX", NULL);
	path = g_build_filename(dir, "console", NULL);
	got = g_string_new(NULL);
	room = 1 << 20;
	quits = 0;
	cd = NULL;
	return 0;
}

static int teardown(void **state)
{
	chardev_close(cd);
	unlink(path);
	rmdir(dir);
	loop_free(loop);
	g_string_free(got, TRUE);
	g_clear_pointer(&dir, g_free);
	g_clear_pointer(&path, g_free);
	g_clear_pointer(&spec, g_free);
	return 0;
}

/* Until the kernel has nothing more for us. */
static void settle(void)
{
	for (unsigned idle = 0; idle < 20; idle++) {
		if (loop_turn(loop, false))
			idle = 0;
		g_usleep(500);
	}
}

/* What goes through a terminal takes the time that the kernel's workers do. */
#define EVENTUALLY(condition)						\
	do {								\
		for (unsigned n = 0; n < 20000 && !(condition); n++) {	\
			loop_turn(loop, false);				\
			g_usleep(500);					\
		}							\
		assert_true(condition);					\
	} while (0)

static void write_text(const char *text)
{
	chardev_write(cd, (const uint8_t *)text, strlen(text));
}

static void take_more(size_t n)
{
	room += n;
	chardev_accept(cd);
	settle();
}

static void a_file_keeps_what_was_written(void **state)
{
	g_autofree char *text = NULL;

	spec = g_strdup_printf("file:%s", path);
	assert_true(g_file_set_contents(path, "old and longer", -1, NULL));
	cd = open_spec(NULL);
	assert_non_null(cd);
	write_text("first ");
	chardev_accept(cd);
	write_text("second");
	assert_true(g_file_get_contents(path, &text, NULL, NULL));
	assert_string_equal(text, "first second");
}

static void expect_refusal(const char *text)
{
	g_autoptr(GError) error = NULL;

	assert_null(open_spec(&error));
	assert_non_null(strstr(error->message, text));
}

static void what_cannot_be_opened_is_an_error(void **state)
{
	spec = g_strdup_printf("file:%s/no/such", dir);
	expect_refusal("[console.file]");
	g_free(spec);
	spec = g_strdup_printf("unix:%s/no/such", dir);
	expect_refusal("[console.socket]");
	g_free(spec);
	spec = g_strdup_printf("unix:%s/%0200d", dir, 1);
	expect_refusal("[console.socket]");
	g_free(spec);
	assert_true(g_file_set_contents(path, "", -1, NULL));
	spec = g_strdup_printf("unix:%s", path);
	expect_refusal("remove the file");
	g_free(spec);
	spec = g_strdup("pipe:x");
	expect_refusal("[console.kind]");
}

/*
 * A socket.
 */
static int connect_client(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path));
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)),
			 0);
	settle();
	return fd;
}

static void open_socket(void)
{
	spec = g_strdup_printf("unix:%s", path);
	cd = open_spec(NULL);
	assert_non_null(cd);
	settle();
}

static void send_text(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL),
			 strlen(text));
	settle();
}

static void expect_text(int fd, const char *text)
{
	char buf[64] = "";

	assert_int_equal(recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT),
			 strlen(text));
	assert_string_equal(buf, text);
}

static void a_socket_goes_both_ways_one_client_after_the_other(void **state)
{
	int fd;

	open_socket();
	write_text("lost");
	fd = connect_client();
	write_text("hello");
	expect_text(fd, "hello");
	send_text(fd, "yes\n");
	assert_string_equal(got->str, "yes\n");
	close(fd);
	settle();
	write_text("lost");
	fd = connect_client();
	write_text("again");
	expect_text(fd, "again");
	send_text(fd, "no\n");
	assert_string_equal(got->str, "yes\nno\n");
	close(fd);
	chardev_close(g_steal_pointer(&cd));
	assert_int_equal(access(path, F_OK), -1);
}

static void input_waits_until_the_guest_takes_it(void **state)
{
	g_autofree char *text = g_strnfill(2 * CHARDEV_INPUT_MAX + 50, 'i');
	int fd;

	open_socket();
	fd = connect_client();
	room = 16;
	memcpy(text, "0123456789abcdefX", 17);
	send_text(fd, text);
	assert_int_equal(got->len, 16);
	take_more(1);
	assert_int_equal(got->str[16], 'X');
	take_more(0);
	assert_int_equal(got->len, 17);
	take_more(1000);
	assert_string_equal(got->str, text);
	close(fd);
}

static void a_client_that_does_not_read_stops_nobody(void **state)
{
	g_autofree char *text = g_strnfill(4096, 'o');
	int fd;

	open_socket();
	fd = connect_client();
	for (unsigned i = 0; i < 1000; i++)
		write_text(text);
	close(fd);
	write_text(text);
	settle();
	fd = connect_client();
	write_text("new");
	expect_text(fd, "new");
	close(fd);
}

/* The guest takes no input, so nobody reads what the client has sent. */
static void a_client_that_left_unheard_makes_room_for_the_next(void **state)
{
	g_autofree char *text = g_strnfill(2 * CHARDEV_INPUT_MAX, 'i');
	int fd;

	open_socket();
	room = 0;
	fd = connect_client();
	send_text(fd, text);
	close(fd);
	settle();
	fd = connect_client();
	write_text("new");
	expect_text(fd, "new");
	take_more(1000);
	g_string_truncate(got, 0);
	send_text(fd, "ls\n");
	assert_string_equal(got->str, "ls\n");
	close(fd);
}

static void a_second_client_waits_for_the_first_to_leave(void **state)
{
	int first, second;

	open_socket();
	first = connect_client();
	second = connect_client();
	send_text(second, "2");
	send_text(first, "1");
	assert_string_equal(got->str, "1");
	write_text("x");
	expect_text(first, "x");
	close(first);
	settle();
	assert_string_equal(got->str, "12");
	write_text("y");
	expect_text(second, "y");
	close(second);
}

static void what_a_client_sent_before_it_left_is_not_lost(void **state)
{
	int fd;

	open_socket();
	room = 2;
	fd = connect_client();
	send_text(fd, "abcd");
	close(fd);
	settle();
	take_more(10);
	assert_string_equal(got->str, "abcd");
}

/*
 * A terminal.
 */
static int terminal, saved_in, saved_out;

static int setup_terminal(void **state)
{
	int slave;

	setup(state);
	terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (terminal < 0 || grantpt(terminal) < 0 || unlockpt(terminal) < 0)
		return -1;
	slave = open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
	saved_in = dup(STDIN_FILENO);
	saved_out = dup(STDOUT_FILENO);
	dup2(slave, STDIN_FILENO);
	close(slave);
	spec = g_strdup("stdio");
	cd = open_spec(NULL);
	return cd ? 0 : -1;
}

static int teardown_terminal(void **state)
{
	teardown(state);
	dup2(saved_in, STDIN_FILENO);
	close(saved_in);
	close(saved_out);
	close(terminal);
	return 0;
}

static void press(const char *keys, size_t len)
{
	assert_int_equal(write(terminal, keys, len), len);
	settle();
}

static void every_key_reaches_the_guest_but_the_escapes(void **state)
{
	press("a\x03\x04\x1a\r", 5);		/* Ctrl-C and the like too */
	press("\x1d", 1);
	press("\x1d" "b", 2);
	press("\x1d" "x", 2);			/* no key of ours: dropped */
	press("c", 1);
	EVENTUALLY(g_str_has_suffix(got->str, "c"));
	assert_string_equal(got->str, "a\x03\x04\x1a\r\x1d" "bc");
	assert_int_equal(quits, 0);
	press("\x1d" "q", 2);
	EVENTUALLY(quits == 1);
}

static void a_guest_that_takes_no_input_can_still_be_left(void **state)
{
	g_autofree char *keys = g_strnfill(3 * CHARDEV_INPUT_MAX, 'k');

	room = 0;
	press(keys, 10);
	press(keys, strlen(keys));
	press("\x1d", 1);
	press("q", 1);
	EVENTUALLY(quits == 1);
	/* As many keys as fit were kept. */
	take_more(10000);
	assert_int_equal(got->len, CHARDEV_INPUT_MAX);
	press("z", 1);
	EVENTUALLY(g_str_has_suffix(got->str, "z"));
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TERMINAL(f) \
	cmocka_unit_test_setup_teardown(f, setup_terminal, teardown_terminal)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_file_keeps_what_was_written),
		TEST(what_cannot_be_opened_is_an_error),
		TEST(a_socket_goes_both_ways_one_client_after_the_other),
		TEST(input_waits_until_the_guest_takes_it),
		TEST(a_client_that_does_not_read_stops_nobody),
		TEST(a_client_that_left_unheard_makes_room_for_the_next),
		TEST(a_second_client_waits_for_the_first_to_leave),
		TEST(what_a_client_sent_before_it_left_is_not_lost),
		TERMINAL(every_key_reaches_the_guest_but_the_escapes),
		TERMINAL(a_guest_that_takes_no_input_can_still_be_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
