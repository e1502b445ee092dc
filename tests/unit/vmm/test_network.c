/* SPDX-License-Identifier: GPL-2.0-or-later */
/* NICs that come and go while a machine runs, before a guest looks at them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/net_nat.h"
#include "core/autoptr.h"
#include "core/error.h"
#include "vmm/network.h"

static struct rig {
	struct options *options;
	struct loop *loop;
	struct gmem gm;
	struct vmbus *bus;
	struct network network;
	unsigned removed;
} r;

static int setup(void **state)
{
	static const struct vmbus_host_ops ops;
	char *argv[] = { "kvmbus", "run", "--kernel", "/vmlinuz", "--net",
			 "isolated", "-p", "0:22", NULL };

	r = (struct rig){ 0 };
	r.options = options_parse(G_N_ELEMENTS(argv) - 1, argv, NULL);
	assert_non_null(r.options);
	r.loop = loop_new(NULL);
	r.bus = vmbus_new(&r.gm, r.loop, &ops, NULL);
	assert_true(network_open(&r.network, r.options, &r.gm, NULL));
	network_offer(&r.network, r.bus);
	assert_true(network_start(&r.network, NULL));
	return 0;
}

static int teardown(void **state)
{
	network_close(&r.network);
	vmbus_free(r.bus);
	loop_free(r.loop);
	options_free(r.options);
	return 0;
}

static void removed(void *arg)
{
	(*(unsigned *)arg)++;
}

static void remove_nic(unsigned index)
{
	unsigned before = r.removed;

	assert_true(network_remove(&r.network, index, removed, &r.removed,
				   NULL));
	assert_int_equal(r.removed, before);
	while (r.removed == before)
		loop_turn(r.loop, true);
}

static void assert_refused(bool ok, GError **error, const char *id)
{
	assert_false(ok);
	assert_non_null(*error);
	if (!strstr((*error)->message, id))
		fail_msg("%s lacks %s", (*error)->message, id);
	g_clear_error(error);
}

static void nics_take_the_lowest_place_that_is_free(void **state)
{
	GError *error = NULL;

	for (int i = 1; i < 8; i++)
		assert_int_equal(network_add(&r.network, "isolated", NULL), i);
	assert_refused(network_add(&r.network, "isolated", &error) >= 0, &error,
		       "[net.full]");
	remove_nic(3);
	remove_nic(0);
	assert_int_equal(network_add(&r.network, "isolated", NULL), 0);
	assert_int_equal(network_add(&r.network, "isolated", NULL), 3);
}

/* 0, or -errno: whether the forward's port is free. */
static int try_port(void)
{
	const struct net_forward *f = &g_array_index(r.options->forwards,
						     struct net_forward, 0);
	const struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_addr = f->host,
		.sin_port = htons(f->host_port) };
	autofd fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_not_equal(f->host_port, 0);
	return bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) ?
		       -errno : 0;
}

static void forwards_go_to_the_next_nic_when_theirs_is_gone(void **state)
{
	assert_int_equal(network_add(&r.network, "isolated", NULL), 1);
	assert_int_equal(try_port(), -EADDRINUSE);
	remove_nic(0);
	assert_int_equal(try_port(), 0);
	assert_int_equal(network_add(&r.network, "isolated", NULL), 0);
	assert_int_equal(try_port(), -EADDRINUSE);
	/* Only those that had none are without. */
	remove_nic(1);
	assert_int_equal(network_add(&r.network, "isolated", NULL), 1);
	assert_int_equal(try_port(), -EADDRINUSE);
	remove_nic(1);
	assert_int_equal(try_port(), -EADDRINUSE);
}

static void a_nic_whose_forwards_cannot_be_had_is_not_added(void **state)
{
	struct net_forward *f = &g_array_index(r.options->forwards,
					       struct net_forward, 0);
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr = f->host };
	socklen_t len = sizeof(addr);
	autofd fd = socket(AF_INET, SOCK_STREAM, 0);
	GError *error = NULL;

	remove_nic(0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
	getsockname(fd, (struct sockaddr *)&addr, &len);
	f->host_port = ntohs(addr.sin_port);
	assert_refused(network_add(&r.network, "isolated", &error) >= 0,
		       &error, "[net.port-busy]");
	close(autofd_steal(&fd));
	assert_int_equal(network_add(&r.network, "isolated", NULL), 0);
}

static void what_cannot_be_is_refused(void **state)
{
	static const struct { const char *value, *id; } bad[] = {
		{ "", "[usage]" }, { "nonsense", "[usage]" },
		{ "isolated,mac=1", "[usage]" },
		{ "socket:/no/such/folder/s", "[net.socket]" },
		{ "isolated,mac=02:00:00:00:00:07", "[net.twin]" },
	};

	assert_int_equal(network_add(&r.network,
				     "isolated,mac=02:00:00:00:00:07", NULL),
			 1);
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		GError *error = NULL;
		int index = network_add(&r.network, bad[i].value, &error);

		assert_refused(index >= 0, &error, bad[i].id);
	}
	/* Nothing of them has stayed. */
	assert_int_equal(network_add(&r.network, "isolated", NULL), 2);
}

static void a_nic_that_is_not_there_cannot_be_used(void **state)
{
	static const unsigned none[] = { 1, 7, 8, UINT32_MAX };

	for (size_t i = 0; i < G_N_ELEMENTS(none); i++) {
		GError *error = NULL;

		assert_refused(network_set_link(&r.network, none[i], true,
						&error),
			       &error, "[net.no-such-nic]");
		assert_refused(network_remove(&r.network, none[i], removed,
					      &r.removed, &error),
			       &error, "[net.no-such-nic]");
	}
}

/* Whatever waits on its way to the NIC's thread goes with it. */
static void a_nic_goes_with_what_was_asked_of_it(void **state)
{
	GError *error = NULL;

	for (int i = 0; i < 20; i++) {
		assert_true(network_set_link(&r.network, 0, i % 2, NULL));
		assert_true(network_remove(&r.network, 0, removed, &r.removed,
					   NULL));
		assert_refused(network_remove(&r.network, 0, removed,
					      &r.removed, &error),
			       &error, "[net.no-such-nic]");
		while (r.removed < (unsigned)i + 1)
			loop_turn(r.loop, true);
		assert_int_equal(network_add(&r.network, "isolated", NULL), 0);
	}
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

/*
 * Threads, of a child that has a network of its own.
 */
static unsigned threads(void)
{
	GDir *dir = g_dir_open("/proc/self/task", 0, NULL);
	unsigned n = 0;

	while (g_dir_read_name(dir))
		n++;
	g_dir_close(dir);
	return n;
}

/* A tap device that can have but one queue. */
static bool make_tap1(void)
{
	struct ifreq ifr = { .ifr_name = "tap1",
			     .ifr_flags = IFF_TAP | IFF_NO_PI };
	autofd fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	return fd >= 0 && !ioctl(fd, TUNSETIFF, &ifr) &&
	       !ioctl(fd, TUNSETPERSIST, 1);
}

static bool counts_are_right(void)
{
	const struct { const char *net; unsigned threads; } cases[] = {
		{ "isolated,queues=3", 1 },
		{ "tap:tap0,queues=3", MIN(3, g_get_num_processors()) },
		{ "tap:tap0,queues=1", 1 }, { "tap:tap1,queues=3", 1 },
	};
	void *state = NULL;

	setup(&state);
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		unsigned before = threads();

		if (network_add(&r.network, cases[i].net, NULL) != 1 ||
		    threads() - before != cases[i].threads)
			return false;
		remove_nic(1);
		if (threads() != before)
			return false;
	}
	teardown(&state);
	return true;
}

static void a_nic_has_a_thread_for_each_queue_of_its_cable(void **state)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		if ((unshare(CLONE_NEWNET) < 0 &&
		     unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) || !make_tap1())
			_exit(77);
		_exit(!counts_are_right());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nics_take_the_lowest_place_that_is_free),
		TEST(forwards_go_to_the_next_nic_when_theirs_is_gone),
		TEST(a_nic_whose_forwards_cannot_be_had_is_not_added),
		TEST(what_cannot_be_is_refused),
		TEST(a_nic_that_is_not_there_cannot_be_used),
		TEST(a_nic_goes_with_what_was_asked_of_it),
		cmocka_unit_test(
			a_nic_has_a_thread_for_each_queue_of_its_cable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
