/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <limits.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "backends/net_capture.h"
#include "core/error.h"
#include "core/util.h"

/* A cable that takes two frames of each call, and has one if it is told so. */
struct cable {
	struct net_backend nb;
	unsigned offloads;
	size_t next;		/* length of the frame to receive; 0: none */
	bool closed;
};

static struct {
	char *folder, *path;
	unsigned stopped, readable, writable, down;
} rig;

static unsigned cable_send(struct net_backend *nb,
			   const struct net_frame *frames, unsigned count)
{
	nb->dropped += 5;
	return MIN(count, 2);
}

static int cable_recv(struct net_backend *nb, struct net_frame *f)
{
	struct cable *c = container_of(nb, struct cable, nb);

	nb->dropped += 1;
	if (!c->next)
		return 0;
	f->len = c->next;
	memset(f->iov->iov_base, 0x77, MIN(f->iov->iov_len, c->next));
	return 1;
}

static void cable_set_offloads(struct net_backend *nb, unsigned offloads)
{
	container_of(nb, struct cable, nb)->offloads = offloads;
}

static void cable_close(struct net_backend *nb)
{
	container_of(nb, struct cable, nb)->closed = true;
}

static const struct net_backend_ops cable_ops = {
	.name = "cable",
	.send = cable_send,
	.recv = cable_recv,
	.set_offloads = cable_set_offloads,
	.close = cable_close,
};

static struct cable new_cable(void)
{
	return (struct cable){
		.nb = { .ops = &cable_ops, .offloads = NET_OFFLOAD_CSUM,
			.mtu_max = 9000, .speed = 7, .link_up = true },
	};
}

static void on_stopped(const char *path, const char *why)
{
	assert_string_equal(path, rig.path);
	rig.stopped++;
}

static int setup(void **state)
{
	memset(&rig, 0, sizeof(rig));
	rig.folder = g_dir_make_tmp("kvmbus-capture-XXXXXX", NULL);
	rig.path = g_build_filename(rig.folder, "net.pcapng", NULL);
	return 0;
}

static int teardown(void **state)
{
	g_unlink(rig.path);
	g_rmdir(rig.folder);
	g_free(rig.path);
	g_free(rig.folder);
	return 0;
}

/* Reads the file from one block to the next. */
struct reader {
	char *bytes;
	size_t len, at;
};

static uint32_t word(const struct reader *r, size_t offset)
{
	uint32_t value;

	assert_true(r->at + offset + 4 <= r->len);
	memcpy(&value, r->bytes + r->at + offset, 4);
	return value;
}

static void reader_open(struct reader *r)
{
	r->at = 0;
	assert_true(g_file_get_contents(rig.path, &r->bytes, &r->len, NULL));
}

/* The block at r->at is whole; then go behind it. */
static void next_block(struct reader *r)
{
	uint32_t total = word(r, 4);

	assert_true(total >= 12 && total % 4 == 0);
	assert_int_equal(word(r, total - 4), total);
	r->at += total;
}

static void assert_section(struct reader *r)
{
	assert_int_equal(word(r, 0), 0x0a0d0d0a);
	assert_int_equal(word(r, 8), 0x1a2b3c4d);
	assert_int_equal(word(r, 12), 1);
	next_block(r);
}

static void assert_interface(struct reader *r, const char *name)
{
	size_t len = strlen(name), end = 20 + (len + 3) / 4 * 4;

	assert_int_equal(word(r, 0), 1);
	assert_int_equal(word(r, 8), 1);
	assert_int_equal(word(r, 16), 2 | len << 16);
	assert_memory_equal(r->bytes + r->at + 20, name, len);
	assert_int_equal(word(r, end), 9 | 1 << 16);
	assert_int_equal(word(r, end + 4), 9);
	assert_int_equal(word(r, end + 8), 0);
	next_block(r);
}

static void assert_packet(struct reader *r, uint32_t interface, size_t len,
			  uint8_t fill, uint32_t direction)
{
	uint64_t ns = (uint64_t)word(r, 12) << 32 | word(r, 16);
	size_t end = 28 + (len + 3) / 4 * 4;

	assert_int_equal(word(r, 0), 6);
	assert_int_equal(word(r, 8), interface);
	/* time() is a clock tick behind. */
	assert_in_range(time(NULL) + 1 - ns / 1000000000, 0, 60);
	assert_int_equal(word(r, 20), len);
	assert_int_equal(word(r, 24), len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal((uint8_t)r->bytes[r->at + 28 + i], fill);
	assert_int_equal(word(r, end), 2 | 4 << 16);
	assert_int_equal(word(r, end + 4), direction);
	assert_int_equal(word(r, end + 8), 0);
	next_block(r);
}

static void assert_end(struct reader *r)
{
	assert_int_equal(r->at, r->len);
	g_free(r->bytes);
}

static __thread uint8_t bytes[4096];

/* Three of 61 to 63 bytes in pieces; the memory of the last goes on. */
static unsigned send_three(struct net_backend *nb)
{
	struct iovec iov[3][2];
	struct net_frame frames[3] = { 0 };

	memset(bytes, 0x55, sizeof(bytes));
	for (unsigned i = 0; i < 3; i++) {
		iov[i][0] = (struct iovec){ bytes, 14 };
		iov[i][1] = (struct iovec){ bytes + 14, 47 + i };
		frames[i].iov = iov[i];
		frames[i].iovcnt = 2;
		frames[i].len = 61 + i;
	}
	return net_send(nb, frames, 3);
}

static int receive(struct net_backend *nb, size_t room)
{
	struct iovec iov = { bytes, room };
	struct net_frame f = { .iov = &iov, .iovcnt = 1 };

	return net_recv(nb, &f);
}

static struct net_capture *open_capture(void)
{
	struct net_capture *c = net_capture_open(rig.path, on_stopped, NULL);

	assert_non_null(c);
	return c;
}

/* In front of the only queue of a cable. */
static struct net_backend *wrap(struct net_capture *c, const char *name,
				struct net_backend *inner)
{
	struct net_cable cable = { .queue = { inner }, .count = 1 };

	net_capture_wrap(c, name, &cable);
	return cable.queue[0];
}

static void what_passes_is_recorded_both_ways(void **state)
{
	struct net_capture *c = open_capture();
	struct cable a = new_cable(), b = new_cable();
	struct net_backend *na = wrap(c, "net0", &a.nb);
	struct net_backend *nb = wrap(c, "network1", &b.nb);
	struct reader r;

	assert_int_equal(send_three(na), 2);
	b.next = 64;
	assert_int_equal(receive(nb, 2000), 1);
	b.next = 0;
	assert_int_equal(receive(nb, 2000), 0);
	net_close(na);
	net_close(nb);
	net_capture_close(c);
	assert_true(a.closed && b.closed);
	assert_int_equal(rig.stopped, 0);

	reader_open(&r);
	assert_section(&r);
	assert_interface(&r, "net0");
	assert_interface(&r, "network1");
	assert_packet(&r, 0, 61, 0x55, 2);
	assert_packet(&r, 0, 62, 0x55, 2);
	assert_packet(&r, 1, 64, 0x77, 1);
	assert_end(&r);
}

static void a_frame_of_very_many_pieces_is_recorded(void **state)
{
	struct net_capture *c = open_capture();
	struct cable a = new_cable();
	struct net_backend *nb = wrap(c, "net0", &a.nb);
	static const unsigned counts[] = { IOV_MAX - 3, IOV_MAX - 2, IOV_MAX };
	struct iovec iov[IOV_MAX];
	struct reader r;

	memset(bytes, 0x55, sizeof(bytes));
	for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
		struct net_frame f = { .iov = iov, .iovcnt = (int)counts[i],
				       .len = counts[i] };

		for (unsigned n = 0; n < counts[i]; n++)
			iov[n] = (struct iovec){ bytes + n, 1 };
		assert_int_equal(net_send(nb, &f, 1), 1);
	}
	net_close(nb);
	net_capture_close(c);

	reader_open(&r);
	assert_section(&r);
	assert_interface(&r, "net0");
	for (size_t i = 0; i < G_N_ELEMENTS(counts); i++)
		assert_packet(&r, 0, counts[i], 0x55, 2);
	assert_end(&r);
}

static void the_queues_of_a_cable_are_one_interface(void **state)
{
	struct net_capture *c = open_capture();
	struct cable a = new_cable(), b = new_cable();
	struct net_cable cable = { .queue = { &a.nb, &b.nb }, .count = 2 };
	struct reader r;

	net_capture_wrap(c, "net0", &cable);
	a.next = 60;
	assert_int_equal(receive(cable.queue[0], 2000), 1);
	b.next = 64;
	assert_int_equal(receive(cable.queue[1], 2000), 1);
	net_cable_close(&cable);
	net_capture_close(c);
	assert_true(a.closed && b.closed);

	reader_open(&r);
	assert_section(&r);
	assert_interface(&r, "net0");
	assert_packet(&r, 0, 60, 0x77, 1);
	assert_packet(&r, 0, 64, 0x77, 1);
	assert_end(&r);
}

static void on_readable(void *user)
{
	rig.readable++;
}

static void on_writable(void *user)
{
	rig.writable++;
}

static void on_link(void *user, bool up)
{
	rig.down += !up;
}

static void a_capture_is_not_noticed(void **state)
{
	struct net_capture *c = open_capture();
	struct cable a = new_cable();
	struct net_backend *nb = wrap(c, "net0", &a.nb);
	const struct net_user *inner = &a.nb.user;

	nb->user = (struct net_user){ on_readable, on_writable, on_link, NULL };
	assert_int_equal(nb->offloads, NET_OFFLOAD_CSUM);
	assert_int_equal(nb->mtu_max, 9000);
	assert_int_equal(nb->speed, 7);
	assert_true(nb->link_up);
	net_set_offloads(nb, NET_OFFLOAD_TSO4);
	assert_int_equal(a.offloads, NET_OFFLOAD_TSO4);
	inner->readable(inner->user);
	inner->writable(inner->user);
	inner->link(inner->user, false);
	assert_int_equal(rig.readable, 1);
	assert_int_equal(rig.writable, 1);
	assert_int_equal(rig.down, 1);
	assert_false(nb->link_up);
	send_three(nb);
	assert_int_equal(nb->dropped, 5);
	receive(nb, 100);
	assert_int_equal(nb->dropped, 6);
	net_close(nb);
	net_capture_close(c);
}

static void limit_files(rlim_t bytes_max)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = bytes_max;
	setrlimit(RLIMIT_FSIZE, &limit);
}

/* At each place within the second frame that the file may end. */
static void a_full_disk_ends_the_capture_not_the_traffic(void **state)
{
	for (rlim_t room = 176; room < 284; room += 7) {
		struct net_capture *c = open_capture();
		struct cable a = new_cable();
		struct net_backend *nb = wrap(c, "net0", &a.nb);
		struct reader r;

		rig.stopped = 0;
		limit_files(room);
		assert_int_equal(send_three(nb), 2);
		assert_int_equal(send_three(nb), 2);
		limit_files(RLIM_INFINITY);
		assert_int_equal(rig.stopped, 1);
		net_close(nb);
		net_capture_close(c);

		reader_open(&r);
		assert_section(&r);
		assert_interface(&r, "net0");
		assert_packet(&r, 0, 61, 0x55, 2);
		assert_end(&r);
	}
}

/* Two loops that write at once. */
static void *send_many(void *nb)
{
	for (unsigned i = 0; i < 500; i++)
		receive(nb, 2000);
	return NULL;
}

static void blocks_of_two_loops_do_not_mix(void **state)
{
	struct net_capture *c = open_capture();
	struct cable a = new_cable(), b = new_cable();
	struct net_backend *na = wrap(c, "a", &a.nb);
	struct net_backend *nb = wrap(c, "b", &b.nb);
	unsigned packets = 0;
	pthread_t thread;
	struct reader r;

	a.next = 101;
	b.next = 1501;
	assert_int_equal(pthread_create(&thread, NULL, send_many, na), 0);
	send_many(nb);
	pthread_join(thread, NULL);
	net_close(na);
	net_close(nb);
	net_capture_close(c);
	reader_open(&r);
	assert_section(&r);
	assert_interface(&r, "a");
	assert_interface(&r, "b");
	for (; r.at < r.len; packets++)
		assert_packet(&r, word(&r, 8), word(&r, 8) ? 1501 : 101, 0x77,
			      1);
	assert_int_equal(packets, 1000);
	assert_end(&r);
}

/* Nor those of one NIC whose queues have loops of their own. */
static void blocks_of_two_queues_do_not_mix(void **state)
{
	struct net_capture *c = open_capture();
	struct cable a = new_cable(), b = new_cable();
	struct net_cable cable = { { &a.nb, &b.nb }, 2 };
	unsigned packets[2] = { 0 };
	pthread_t thread;
	struct reader r;

	net_capture_wrap(c, "a", &cable);
	a.next = 101;
	b.next = 1501;
	assert_int_equal(pthread_create(&thread, NULL, send_many,
					cable.queue[0]), 0);
	send_many(cable.queue[1]);
	pthread_join(thread, NULL);
	net_cable_close(&cable);
	net_capture_close(c);
	reader_open(&r);
	assert_section(&r);
	assert_interface(&r, "a");
	while (r.at < r.len) {
		bool large = word(&r, 20) == 1501;

		assert_packet(&r, 0, large ? 1501 : 101, 0x77, 1);
		packets[large]++;
	}
	assert_int_equal(packets[0], 500);
	assert_int_equal(packets[1], 500);
	assert_end(&r);
}

static void a_file_that_cannot_be_made_is_an_error(void **state)
{
	GError *error = NULL;

	assert_null(net_capture_open("/nowhere/net.pcapng", on_stopped,
				     &error));
	assert_int_equal(error->code, EX_CANTCREAT);
	assert_non_null(strstr(error->message, "[net.capture]"));
	g_error_free(error);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_passes_is_recorded_both_ways),
		TEST(a_frame_of_very_many_pieces_is_recorded),
		TEST(the_queues_of_a_cable_are_one_interface),
		TEST(a_capture_is_not_noticed),
		TEST(a_full_disk_ends_the_capture_not_the_traffic),
		TEST(blocks_of_two_loops_do_not_mix),
		TEST(blocks_of_two_queues_do_not_mix),
		TEST(a_file_that_cannot_be_made_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
