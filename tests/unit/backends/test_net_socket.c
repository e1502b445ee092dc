/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <glib/gstdio.h>
#include <netinet/if_ether.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "backends/net_socket.h"
#include "core/autoptr.h"
#include "core/error.h"
#include "core/util.h"
#include "nat_frames.h"

#define SECOND	UINT64_C(1000000000)

struct end {
	struct net_backend *nb;
	unsigned up, down;
};

struct rig {
	struct loop *loop;
	char *folder, *path;
	struct end a, b, c;
};

static uint64_t now;

static uint64_t clock_ns(void)
{
	return now;
}

static void on_event(void *user)
{
}

static void on_link(void *user, bool up)
{
	struct end *e = user;

	if (up)
		e->up++;
	else
		e->down++;
}

static int setup(void **state)
{
	struct rig *r = g_new0(struct rig, 1);

	*state = r;
	r->folder = g_dir_make_tmp("kvmbus-net-XXXXXX", NULL);
	r->path = g_build_filename(r->folder, "net", NULL);
	r->loop = loop_new(NULL);
	now = SECOND;
	loop_set_clock(r->loop, clock_ns);
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	net_close(r->a.nb);
	net_close(r->b.nb);
	net_close(r->c.nb);
	loop_free(r->loop);
	g_unlink(r->path);
	g_rmdir(r->folder);
	g_free(r->path);
	g_free(r->folder);
	g_free(r);
	return 0;
}

static void turns(struct rig *r)
{
	for (int i = 0; i < 10; i++)
		loop_turn(r->loop, false);
}

static void open_end(struct rig *r, struct end *e)
{
	e->nb = net_socket_open(r->loop, r->path, NULL);
	assert_non_null(e->nb);
	e->nb->user = (struct net_user){ on_event, on_event, on_link, e };
}

/* Its loop runs on for the others, so it must have left that first. */
static void close_end(struct rig *r, struct end *e)
{
	net_close(e->nb);
	*e = (struct end){ 0 };
}

static void assert_frame_passes(struct end *from, struct end *to)
{
	uint8_t sent[100] = { 1, 2, 3 }, got[200];
	struct iovec out = { sent, sizeof(sent) }, in = { got, sizeof(got) };
	struct net_frame f = { .iov = &out, .iovcnt = 1, .len = sizeof(sent) };

	assert_int_equal(net_send(from->nb, &f, 1), 1);
	f = (struct net_frame){ .iov = &in, .iovcnt = 1 };
	assert_int_equal(net_recv(to->nb, &f), 1);
	assert_int_equal(f.len, sizeof(sent));
	assert_memory_equal(got, sent, sizeof(sent));
}

static void assert_no_frame(struct end *e)
{
	uint8_t got[200];
	struct iovec in = { got, sizeof(got) };
	struct net_frame f = { .iov = &in, .iovcnt = 1 };

	assert_int_equal(net_recv(e->nb, &f), 0);
}

static void two_that_name_one_path_are_connected(void **state)
{
	struct rig *r = *state;

	open_end(r, &r->a);
	turns(r);
	assert_false(r->a.nb->link_up);
	assert_false(loop_turn(r->loop, false));
	open_end(r, &r->b);
	assert_true(r->b.nb->link_up);
	turns(r);
	assert_int_equal(r->a.up, 1);
	assert_frame_passes(&r->a, &r->b);
	assert_frame_passes(&r->b, &r->a);
}

static void a_third_one_finds_no_peer_and_takes_none_away(void **state)
{
	struct rig *r = *state;

	open_end(r, &r->a);
	open_end(r, &r->b);
	turns(r);
	open_end(r, &r->c);
	turns(r);
	assert_no_frame(&r->c);
	turns(r);
	assert_int_equal(r->c.down, 1);
	assert_false(r->c.nb->link_up);
	assert_int_equal(r->a.down + r->b.down, 0);
	assert_frame_passes(&r->a, &r->b);
}

static int connect_as_another(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path));
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)),
			 0);
	return fd;
}

static void without_descriptors_a_peer_is_taken_later(void **state)
{
	struct rig *r = *state;
	struct rlimit was, none;
	int lowest;
	autofd peer = -1;

	open_end(r, &r->a);
	peer = connect_as_another(r->path);
	lowest = dup(peer);
	close(lowest);
	getrlimit(RLIMIT_NOFILE, &was);
	none = was;
	none.rlim_cur = (rlim_t)lowest;
	setrlimit(RLIMIT_NOFILE, &none);
	turns(r);
	assert_false(loop_turn(r->loop, false));
	setrlimit(RLIMIT_NOFILE, &was);
	assert_int_equal(r->a.up, 0);
	now += SECOND;
	turns(r);
	assert_int_equal(r->a.up, 1);
}

/* As if the other machine had been killed: its end is shut, by the test. */
static int listen_as_another(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path));
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static void what_a_dead_machine_left_is_taken_over(void **state)
{
	struct rig *r = *state;

	close(listen_as_another(r->path));
	assert_true(g_file_test(r->path, G_FILE_TEST_EXISTS));
	open_end(r, &r->a);
	open_end(r, &r->b);
	turns(r);
	assert_int_equal(r->a.up, 1);
}

static void who_loses_the_listener_becomes_one_a_second_later(void **state)
{
	struct rig *r = *state;
	int listener = listen_as_another(r->path), peer;

	open_end(r, &r->a);
	assert_true(r->a.nb->link_up);
	peer = accept(listener, NULL, NULL);
	close(peer);
	close(listener);
	turns(r);
	assert_no_frame(&r->a);
	turns(r);
	assert_int_equal(r->a.down, 1);
	assert_false(loop_turn(r->loop, false));
	now += SECOND;
	turns(r);
	open_end(r, &r->b);
	turns(r);
	assert_int_equal(r->a.up, 1);
	assert_true(r->b.nb->link_up);
	assert_frame_passes(&r->b, &r->a);
}

static void who_listens_removes_its_file(void **state)
{
	struct rig *r = *state;

	open_end(r, &r->a);
	assert_true(g_file_test(r->path, G_FILE_TEST_EXISTS));
	close_end(r, &r->a);
	assert_false(g_file_test(r->path, G_FILE_TEST_EXISTS));
	loop_free(r->loop);	/* it has its poll still */
	r->loop = loop_new(NULL);
}

static void assert_error(struct net_backend *(*open)(struct loop *loop,
						     const char *path,
						     GError **error),
			 struct rig *r, const char *path, int status,
			 const char *text)
{
	GError *error = NULL;

	assert_null(open(r->loop, path, &error));
	assert_int_equal(error->code, status);
	assert_non_null(strstr(error->message, text));
	g_error_free(error);
}

static void a_file_that_is_no_socket_is_left_alone(void **state)
{
	struct rig *r = *state;

	g_file_set_contents(r->path, "data", -1, NULL);
	assert_error(net_socket_open, r, r->path, EX_CANTCREAT, "[net.socket]");
	assert_true(g_file_test(r->path, G_FILE_TEST_IS_REGULAR));
}

static void folders_that_are_not_there_and_long_names(void **state)
{
	g_autofree char *longer = g_strnfill(200, 'x');
	struct rig *r = *state;

	assert_error(net_socket_open, r, "/nowhere/net", EX_CANTCREAT,
		     "No such file");
	assert_error(net_socket_open, r, longer, EX_CANTCREAT, "too long");
}

static unsigned lost;

static void passt_lost(const char *path)
{
	assert_null(path);
	lost++;
}

static struct net_backend *open_passt(struct loop *loop, const char *path,
				      GError **error)
{
	return net_passt_open(loop, path, passt_lost, error);
}

static void a_passt_that_is_not_there_is_an_error(void **state)
{
	struct rig *r = *state;

	assert_error(open_passt, r, r->path, EX_UNAVAILABLE,
		     "[net.passt-socket]");
	assert_false(g_file_test(r->path, G_FILE_TEST_EXISTS));
}

static void a_passt_that_is_not_installed_is_an_error(void **state)
{
	g_autofree char *old = g_strdup(g_getenv("PATH"));
	struct rig *r = *state;

	g_setenv("PATH", r->folder, TRUE);
	assert_error(open_passt, r, NULL, EX_UNAVAILABLE,
		     "[net.passt-missing]");
	g_setenv("PATH", old, TRUE);
}

/* One that says a frame of 20 bytes, and then leaves. */
static void a_passt_that_is_started_has_the_other_end(void **state)
{
	g_autofree char *old = g_strdup(g_getenv("PATH"));
	g_autofree char *both = NULL, *program = NULL;
	uint8_t got[100];
	struct iovec iov = { got, sizeof(got) };
	struct net_frame f = { .iov = &iov, .iovcnt = 1 };
	struct rig *r = *state;

	program = g_build_filename(r->folder, "passt", NULL);
	both = g_strdup_printf("%s:%s", r->folder, old);
	g_file_set_contents(program, "#!/bin/sh\n"
			    "[ \"$*\" = '--foreground --quiet --fd 3' ] || "
			    "exit 1\n"
			    "printf '\\0\\0\\0\\024abcdefghijklmnopqrst' >&3\n",
			    -1, NULL);
	g_chmod(program, 0755);
	g_setenv("PATH", both, TRUE);
	r->a.nb = open_passt(r->loop, NULL, NULL);
	g_setenv("PATH", old, TRUE);
	assert_non_null(r->a.nb);
	r->a.nb->user = (struct net_user){ on_event, on_event, on_link, &r->a };
	while (!net_recv(r->a.nb, &f))
		loop_turn(r->loop, true);
	assert_int_equal(f.len, 20);
	assert_memory_equal(got, "abcdefghijklmnopqrst", 20);
	assert_int_equal(lost, 0);
	while (!r->a.down) {
		net_recv(r->a.nb, &f);
		loop_turn(r->loop, true);
	}
	turns(r);
	assert_int_equal(lost, 1);
	now += 2 * SECOND;	/* it is not looked for again */
	turns(r);
	assert_false(loop_turn(r->loop, false));
	g_unlink(program);
}

/* A guest of the real one, by hand. */
static void send_to_passt(struct net_backend *nb, struct frame *out)
{
	const struct iovec iov = { out->bytes, out->len };
	const struct net_frame f = { .iov = &iov, .iovcnt = 1,
				     .len = out->len };
	struct nat_packet packet;

	assert_int_equal(nat_filter(out->bytes, out->len, true, &packet),
			 NAT_PASS);
	nat_finish_checksums(out->bytes, &packet);
	assert_int_equal(net_send(nb, &f, 1), 1);
}

/* The next frame of @protocol. */
static const uint8_t *wait_for(struct rig *r, struct frame *in,
			       uint8_t protocol)
{
	const struct iovec iov = { in->bytes, sizeof(in->bytes) };
	struct net_frame f = { .iov = &iov, .iovcnt = 1 };

	for (;;) {
		while (net_recv(r->a.nb, &f))
			if (get16(in->bytes + 12) == 0x0800 &&
			    in->bytes[23] == protocol)
				return in->bytes + 34;
		assert_int_equal(r->a.down, 0);
		loop_turn(r->loop, true);
	}
}

static const uint8_t *option(const uint8_t *dhcp, uint8_t code)
{
	for (size_t at = 240; at < 540 && dhcp[at] != 255;
	     at += 2 + dhcp[at + 1])
		if (dhcp[at] == code)
			return dhcp + at + 2;
	fail_msg("no option %u", code);
	return NULL;
}

/* It is installed, and has the sandbox and the network that it insists on. */
static bool passt_can_run(void)
{
	g_autofree char *program = g_find_program_in_path("passt");
	g_autofree char *routes = NULL;
	int status = -1;

	return program &&
	       g_spawn_command_line_sync("unshare --user true", NULL, NULL,
					 &status, NULL) && !status &&
	       g_file_get_contents("/proc/net/route", &routes, NULL, NULL) &&
	       strstr(routes, "\t00000000\t");
}

static void a_real_passt_gives_a_lease_and_a_connection(void **state)
{
	static struct frame in, out;
	const uint8_t kind[] = { 99, 130, 83, 99, 53, 1, 1, 255 };
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(addr);
	char guest[INET_ADDRSTRLEN], router[INET_ADDRSTRLEN];
	autofd fd = -1;
	uint8_t dhcp[300] = { 1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78 };
	struct rig *r = *state;
	const uint8_t *got;

	if (!passt_can_run()) {
		print_message("passt cannot run here\n");
		skip();
	}
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(fd, 1), 0);
	getsockname(fd, (struct sockaddr *)&addr, &len);
	r->a.nb = open_passt(r->loop, NULL, NULL);
	assert_non_null(r->a.nb);
	r->a.nb->user = (struct net_user){ on_event, on_event, on_link, &r->a };

	memcpy(dhcp + 28, guest_mac, 6);
	memcpy(dhcp + 236, kind, sizeof(kind));
	fill_udp(frame_ip4(&out, IPPROTO_UDP, "0.0.0.0", "255.255.255.255",
			   8 + sizeof(dhcp)), 68, 67, dhcp, sizeof(dhcp));
	send_to_passt(r->a.nb, &out);
	got = wait_for(r, &in, IPPROTO_UDP);
	assert_int_equal(get16(got + 2), 68);
	assert_int_equal(*option(got + 8, 53), 2);
	inet_ntop(AF_INET, got + 8 + 16, guest, sizeof(guest));
	inet_ntop(AF_INET, option(got + 8, 3), router, sizeof(router));

	/* The router's ports are those of this host. */
	fill_tcp(frame_ip4(&out, IPPROTO_TCP, guest, router, 20), 1000,
		 ntohs(addr.sin_port), 100, 0, TH_SYN);
	send_to_passt(r->a.nb, &out);
	got = wait_for(r, &in, IPPROTO_TCP);
	assert_int_equal(got[13], TH_SYN | TH_ACK);
	assert_int_equal(get32(got + 8), 101);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(two_that_name_one_path_are_connected),
		TEST(a_third_one_finds_no_peer_and_takes_none_away),
		TEST(without_descriptors_a_peer_is_taken_later),
		TEST(what_a_dead_machine_left_is_taken_over),
		TEST(who_loses_the_listener_becomes_one_a_second_later),
		TEST(who_listens_removes_its_file),
		TEST(a_file_that_is_no_socket_is_left_alone),
		TEST(folders_that_are_not_there_and_long_names),
		TEST(a_passt_that_is_not_there_is_an_error),
		TEST(a_passt_that_is_not_installed_is_an_error),
		TEST(a_passt_that_is_started_has_the_other_end),
		TEST(a_real_passt_gives_a_lease_and_a_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
