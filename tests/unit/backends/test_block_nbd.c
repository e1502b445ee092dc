/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "backends/block_nbd.h"
#include "backends/block_now.h"
#include "block_shadow.h"
#include "core/error.h"
#include "nbd_server.h"

#define MIB		(1u << 20)
#define MS		UINT64_C(1000000)	/* in nanoseconds */
#define DISK_SIZE	(256u << 10)
#define CMD_READ	0u
#define CMD_WRITE	1u
#define CMD_FLUSH	3u
#define CMD_ZEROES	6u

static char folder[] = "/tmp/kvmbus-nbd-XXXXXX";
static char *path, *uri;
static struct loop *loop;
static struct nbd_test_server *server;
static struct block_backend *bb;

static const struct nbd_server_options usual = {
	.size = DISK_SIZE, .flags = NBD_ALL, .crashes = true,
};

struct single {
	struct block_request rq;
	struct iovec iov[4];
	bool over;
};

static struct block_backend *connect_to(const char *to, unsigned reconnect,
					bool read_only, GError **error)
{
	const struct block_nbd_options o = {
		.server = { .name = to, .uri = to },
		.reconnect = reconnect, .read_only = read_only,
	};

	return block_nbd_open(loop, &o, error);
}

static void start_with(const struct nbd_server_options *options,
		       unsigned reconnect)
{
	struct nbd_server_options o = *options;
	g_autoptr(GError) error = NULL;

	o.path = path;
	loop = loop_new(NULL);
	server = nbd_server_new(&o);
	bb = connect_to(uri, reconnect, false, &error);
	if (!bb)
		fail_msg("%s", error->message);
}

static void start(void)
{
	start_with(&usual, 30);
}

static void end(void)
{
	g_clear_pointer(&bb, block_close);
	g_clear_pointer(&server, nbd_server_free);
	g_clear_pointer(&loop, loop_free);
}

static int teardown(void **state)
{
	end();
	return 0;
}

static void done(struct block_request *rq)
{
	((struct single *)rq)->over = true;
}

static void submit(struct single *s, enum block_op op, uint64_t offset,
		   void *buf, uint64_t len)
{
	*s = (struct single){ .iov[0] = { buf, len } };
	s->rq = (struct block_request){
		.op = op, .offset = offset, .len = len, .iov = s->iov,
		.iovcnt = 1, .done = done,
	};
	block_submit(bb, &s->rq);
}

static int finish(struct single *s)
{
	while (!s->over)
		loop_turn(loop, true);
	return s->rq.result;
}

static int request(enum block_op op, uint64_t offset, void *buf, uint64_t len)
{
	struct single s;

	submit(&s, op, offset, buf, len);
	return finish(&s);
}

static int flush(void)
{
	uint8_t none;

	return request(BLOCK_FLUSH, 0, &none, 0);
}

static int write_byte(uint64_t offset, uint8_t byte, size_t len)
{
	g_autofree uint8_t *buf = g_malloc(len);

	memset(buf, byte, len);
	return request(BLOCK_WRITE, offset, buf, len);
}

static void expect_error(const char *to, bool read_only, int status,
			 const char *id)
{
	g_autoptr(GError) error = NULL;

	if (connect_to(to, 30, read_only, &error))
		fail_msg("%s: not %s", to, id);
	assert_int_equal(error->code, status);
	if (!strstr(error->message, id))
		fail_msg("%s: not %s", error->message, id);
}

/*
 * What works.
 */
static void run_random(const struct nbd_server_options *o, unsigned reconnect)
{
	struct shadow s;

	start_with(o, reconnect);
	shadow_init(&s, loop, bb, 20 << 10, 1);
	shadow_run(&s, 5000);
	shadow_verify(&s);
	assert_int_equal(flush(), 0);
	assert_memory_equal(nbd_server_bytes(server), s.bytes, DISK_SIZE);
	shadow_finish(&s);
	end();
}

static void random_requests_read_what_was_written(void **state)
{
	run_random(&usual, 30);
	run_random(&usual, 0);
}

static void a_server_that_can_do_little_is_enough(void **state)
{
	struct nbd_server_options o = usual;

	o.flags = 0;
	run_random(&o, 30);
	o.flags = NBD_FLUSH;
	run_random(&o, 30);
	assert_null(bb);
}

static void limits_of_the_server_are_kept(void **state)
{
	struct nbd_server_options o = usual;

	o.block_min = 4096;
	o.block_max = 8192;
	run_random(&o, 30);
	start_with(&o, 30);
	assert_int_equal(bb->block_size, 4096);
	end();
	o.block_min = 1;
	start_with(&o, 30);
	assert_int_equal(bb->block_size, 512);
}

static void memory_in_pieces_is_one_command(void **state)
{
	uint8_t a[1024], b[512], c[2560];
	struct single s = { .iov = { { a, 1024 }, { b, 512 }, { c, 2560 } } };

	start();
	memset(a, 1, sizeof(a));
	memset(b, 2, sizeof(b));
	memset(c, 3, sizeof(c));
	s.rq = (struct block_request){
		.op = BLOCK_WRITE, .offset = 512, .len = 4096, .iov = s.iov,
		.iovcnt = 3, .done = done,
	};
	block_submit(bb, &s.rq);
	assert_int_equal(finish(&s), 0);
	assert_int_equal(nbd_server_count(server, CMD_WRITE), 1);
	memset(a, 0, sizeof(a));
	memset(b, 0, sizeof(b));
	memset(c, 0, sizeof(c));
	s.over = false;
	s.rq.op = BLOCK_READ;
	block_submit(bb, &s.rq);
	assert_int_equal(finish(&s), 0);
	assert_int_equal(nbd_server_count(server, CMD_READ), 1);
	for (unsigned i = 0; i < sizeof(c); i++) {
		assert_int_equal(a[i % sizeof(a)], 1);
		assert_int_equal(b[i % sizeof(b)], 2);
		assert_int_equal(c[i], 3);
	}
}

static void a_write_with_fua_is_stable_when_it_is_done(void **state)
{
	const uint16_t flags[] = { NBD_ALL, NBD_FLUSH };
	uint8_t buf[512];
	struct single s;

	memset(buf, 7, sizeof(buf));
	for (unsigned i = 0; i < G_N_ELEMENTS(flags); i++) {
		struct nbd_server_options o = usual;

		o.flags = flags[i];
		start_with(&o, 30);
		s = (struct single){ .iov[0] = { buf, sizeof(buf) } };
		s.rq = (struct block_request){
			.op = BLOCK_WRITE, .offset = 1024, .len = 512,
			.fua = true, .iov = s.iov, .iovcnt = 1, .done = done,
		};
		block_submit(bb, &s.rq);
		assert_int_equal(finish(&s), 0);
		assert_memory_equal(nbd_server_stable(server) + 1024, buf,
				    sizeof(buf));
		end();
	}
}

static void requests_without_the_loop_are_done_at_once(void **state)
{
	uint8_t a[4096], b[4096];

	memset(a, 9, sizeof(a));
	start();
	assert_int_equal(block_write_now(bb, 4096, a, sizeof(a)), 0);
	assert_int_equal(block_flush_now(bb), 0);
	nbd_server_fault(server, NBD_DROPS_BEFORE, 0);
	assert_int_equal(block_read_now(bb, 4096, b, sizeof(b)), 0);
	assert_memory_equal(a, b, sizeof(a));
	assert_int_equal(block_zero_now(bb, 4096, 512), 0);
	assert_int_equal(block_grow_now(bb, 2 * DISK_SIZE), -ENOTSUP);
	/* And after the loop, with what it has left. */
	assert_int_equal(write_byte(0, 5, 512), 0);
	nbd_server_fault(server, NBD_DROPS_BEFORE, 0);
	assert_int_equal(block_read_now(bb, 0, b, 512), 0);
	assert_int_equal(b[511], 5);
}

static void an_error_of_the_server_is_the_requests(void **state)
{
	uint8_t buf[512];

	start();
	nbd_server_fault(server, NBD_FAILS, 0);
	assert_int_equal(request(BLOCK_READ, 0, buf, 512), -EIO);
	assert_int_equal(request(BLOCK_READ, 0, buf, 512), 0);
	nbd_server_fault(server, NBD_FAILS, 0);
	assert_int_equal(flush(), -EIO);
	assert_int_equal(flush(), 0);
}

/*
 * What is lost.
 */
#define FAULTS	40	/* from the first request on */

static void lose_at(enum nbd_fault fault, unsigned after)
{
	struct shadow s;

	start();
	shadow_init(&s, loop, bb, 20 << 10, 100 + after);
	nbd_server_fault(server, fault, after);
	while (!nbd_server_has_failed(server))
		shadow_run(&s, 20);
	shadow_run(&s, 20);
	shadow_verify(&s);
	assert_int_equal(nbd_server_connections(server), 2);
	assert_int_equal(flush(), 0);
	assert_memory_equal(nbd_server_stable(server), s.bytes, DISK_SIZE);
	shadow_finish(&s);
	end();
}

static void a_crash_at_any_request_loses_nothing(void **state)
{
	for (unsigned after = 0; after < FAULTS; after++) {
		lose_at(NBD_DROPS_BEFORE, after);
		lose_at(NBD_DROPS_AFTER, after);
		lose_at(NBD_DROPS_INSIDE, after);
		lose_at(NBD_SAYS_SHUTDOWN, after);
	}
}

static void a_crash_while_writes_are_sent_again_loses_nothing(void **state)
{
	struct single s;
	uint8_t buf[512];

	for (unsigned after = 0; after < 12; after++) {
		start();
		/* Each is shorter than the one before, and begins where it does. */
		for (unsigned i = 0; i < 8; i++)
			assert_int_equal(write_byte(0, (uint8_t)i,
						    4096 - i * 512), 0);
		nbd_server_fault(server, NBD_DROPS_BEFORE, 0);
		assert_int_equal(request(BLOCK_READ, 0, buf, 512), 0);
		/* This one is at a write that is sent again. */
		nbd_server_fault(server, NBD_DROPS_BEFORE, 0);
		submit(&s, BLOCK_READ, 0, buf, 512);
		while (!nbd_server_has_failed(server))
			loop_turn(loop, true);
		nbd_server_fault(server, NBD_DROPS_AFTER, after);
		assert_int_equal(finish(&s), 0);
		assert_int_equal(buf[0], 7);
		while (!nbd_server_has_failed(server))
			assert_int_equal(request(BLOCK_READ, 0, buf, 512), 0);
		assert_int_equal(flush(), 0);
		for (unsigned i = 0; i < 8; i++)
			assert_int_equal(nbd_server_stable(server)[i * 512],
					 7 - i);
		end();
	}
}

static void a_flush_covers_what_was_done_before_it_only(void **state)
{
	struct nbd_server_options o = usual;
	uint8_t a[512], b[512];
	struct single f, w;

	o.late_flushes = true;
	start_with(&o, 30);
	memset(a, 4, sizeof(a));
	submit(&f, BLOCK_FLUSH, 0, a, 0);
	submit(&w, BLOCK_WRITE, 1024, a, 512);
	assert_int_equal(finish(&w), 0);
	assert_int_equal(finish(&f), 0);
	nbd_server_fault(server, NBD_DROPS_BEFORE, 0);
	assert_int_equal(request(BLOCK_READ, 1024, b, 512), 0);
	assert_memory_equal(a, b, sizeof(a));
}

static void what_is_not_flushed_is_bounded(void **state)
{
	struct nbd_server_options o = usual;
	g_autofree uint8_t *buf = g_malloc0(MIB);

	o.size = 4 * MIB;
	start_with(&o, 30);
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(request(BLOCK_WRITE, i % 4 * MIB, buf, MIB),
				 0);
	/* 64 MiB are kept at most, and half of that is enough to flush. */
	assert_in_range(nbd_server_count(server, CMD_FLUSH), 3, 7);
	for (unsigned i = 0; i < 10000; i++)
		assert_int_equal(request(BLOCK_WRITE_ZEROES, 0, NULL, 512), 0);
	assert_in_range(nbd_server_count(server, CMD_FLUSH), 5, 10);
}

static void a_flush_that_nobody_asked_for_is_reported_by_the_next(void **state)
{
	struct nbd_server_options o = usual;
	g_autofree uint8_t *buf = g_malloc0(MIB);

	o.size = 4 * MIB;
	start_with(&o, 30);
	nbd_server_fault(server, NBD_FAILS, 32);
	while (!nbd_server_has_failed(server))
		assert_int_equal(request(BLOCK_WRITE, 0, buf, MIB), 0);
	assert_int_equal(nbd_server_count(server, CMD_FLUSH), 1);
	assert_int_equal(flush(), -EIO);
	assert_int_equal(flush(), 0);
}

static void what_cannot_be_written_again_is_reported_by_a_flush(void **state)
{
	uint8_t buf[512];

	start();
	assert_int_equal(write_byte(0, 1, 512), 0);
	nbd_server_stop(server);
	nbd_server_start(server);
	nbd_server_fault(server, NBD_FAILS, 0);
	assert_int_equal(request(BLOCK_READ, 4096, buf, 512), 0);
	assert_true(nbd_server_has_failed(server));
	assert_int_equal(flush(), -EIO);
	assert_int_equal(flush(), 0);
}

static void requests_wait_for_a_server_that_is_away(void **state)
{
	struct single s;
	uint8_t buf[512];

	start();
	assert_int_equal(write_byte(512, 3, 512), 0);
	nbd_server_stop(server);
	submit(&s, BLOCK_READ, 512, buf, 512);
	for (unsigned i = 0; i < 20; i++)
		loop_turn(loop, false);
	assert_false(s.over);
	nbd_server_start(server);
	assert_int_equal(finish(&s), 0);
	assert_int_equal(buf[0], 3);
}

static void requests_that_nobody_waits_for_do_not_wait(void **state)
{
	uint8_t buf[512];
	struct single s;

	start();
	nbd_server_stop(server);
	submit(&s, BLOCK_READ, 0, buf, 512);
	block_hurry(bb);
	assert_false(s.over);
	assert_int_equal(finish(&s), -ENOTCONN);
	/* This one is of somebody who does. */
	submit(&s, BLOCK_READ, 0, buf, 512);
	nbd_server_start(server);
	assert_int_equal(finish(&s), 0);
	/* And one that a server answers is let be answered. */
	submit(&s, BLOCK_READ, 0, buf, 512);
	block_hurry(bb);
	assert_int_equal(finish(&s), 0);
}

static void requests_fail_when_it_stays_away_and_work_again(void **state)
{
	uint8_t buf[512];
	int result;

	start_with(&usual, 1);
	assert_int_equal(write_byte(512, 3, 512), 0);
	nbd_server_stop(server);
	assert_int_equal(request(BLOCK_READ, 512, buf, 512), -ENOTCONN);
	/* At once from now on. */
	assert_int_equal(request(BLOCK_READ, 512, buf, 512), -ENOTCONN);
	assert_int_equal(flush(), -ENOTCONN);
	nbd_server_start(server);
	do {
		loop_turn(loop, true);
		result = request(BLOCK_READ, 512, buf, 512);
	} while (result);
	assert_int_equal(buf[0], 3);
	assert_int_equal(flush(), 0);
	assert_int_equal(nbd_server_stable(server)[512], 3);
}

static void tick(struct loop_timer *t)
{
}

static void a_disk_that_fails_lets_its_loop_rest(void **state)
{
	struct loop_timer t = { .expired = tick };
	unsigned turns = 0;
	uint8_t buf[512];

	for (unsigned reconnect = 0; reconnect < 2; reconnect++) {
		start_with(&usual, reconnect);
		nbd_server_stop(server);
		assert_int_equal(request(BLOCK_READ, 0, buf, 512), -ENOTCONN);
		loop_timer_set(loop, &t, loop_now(loop) + 100 * MS);
		for (turns = 0; t.due_ns; turns++)
			loop_turn(loop, true);
		assert_in_range(turns, 1, 20);
		end();
	}
}

static void a_silent_server_is_asked_anew_and_then_given_up(void **state)
{
	uint8_t buf[512];

	start_with(&usual, 1);
	nbd_server_fault(server, NBD_IS_SILENT, 0);
	assert_int_equal(request(BLOCK_READ, 0, buf, 512), 0);
	assert_int_equal(nbd_server_connections(server), 2);
}

static void one_connection_is_all_without_reconnecting(void **state)
{
	uint8_t buf[512];

	start_with(&usual, 0);
	nbd_server_fault(server, NBD_DROPS_BEFORE, 0);
	assert_int_equal(request(BLOCK_READ, 0, buf, 512), -ENOTCONN);
	assert_int_equal(request(BLOCK_READ, 0, buf, 512), -ENOTCONN);
	assert_int_equal(block_read_now(bb, 0, buf, 512), -ENOTCONN);
	assert_int_equal(nbd_server_connections(server), 1);
}

static void another_disk_does_not_take_its_place(void **state)
{
	uint8_t buf[512];

	start_with(&usual, 2);
	nbd_server_stop(server);
	nbd_server_change(server, DISK_SIZE / 2, NBD_ALL);
	nbd_server_start(server);
	assert_int_equal(request(BLOCK_READ, 0, buf, 512), -ENOTCONN);
	nbd_server_stop(server);
	nbd_server_change(server, DISK_SIZE, NBD_ALL | NBD_READ_ONLY);
	nbd_server_start(server);
	assert_int_equal(request(BLOCK_READ, 0, buf, 512), -ENOTCONN);
}

static void it_is_closed_while_it_looks_for_the_server(void **state)
{
	uint8_t buf[512];

	start_with(&usual, 1);
	nbd_server_stop(server);
	assert_int_equal(request(BLOCK_READ, 0, buf, 512), -ENOTCONN);
}

/*
 * Leaving a loop that goes on.
 */
static bool has_left;

static void left(struct block_leave *l)
{
	has_left = true;
}

static void leave(void)
{
	struct block_leave l = { .left = left };

	has_left = false;
	block_leave(bb, &l);
	while (!has_left)
		loop_turn(loop, true);
}

static void *close_elsewhere(void *arg)
{
	uint8_t byte[512] = { 7 };

	/* As formats do when they end. */
	assert_int_equal(block_write_now(bb, 1024, byte, sizeof(byte)), 0);
	assert_int_equal(block_flush_now(bb), 0);
	block_close(bb);
	return NULL;
}

/* Any completion that comes late would be for memory that is gone. */
static void turn_for_a_while(void)
{
	struct loop_timer t = { .expired = tick };

	loop_timer_set(loop, &t, loop_now(loop) + 20 * MS);
	while (t.due_ns)
		loop_turn(loop, true);
}

static void it_is_closed_by_another_thread_while_the_loop_turns(void **state)
{
	GThread *thread;

	start();
	assert_int_equal(write_byte(0, 5, 512), 0);
	leave();
	thread = g_thread_new("closer", close_elsewhere, NULL);
	turn_for_a_while();
	g_thread_join(thread);
	bb = NULL;
	turn_for_a_while();
	assert_int_equal(nbd_server_stable(server)[0], 5);
	assert_int_equal(nbd_server_stable(server)[1024], 7);
}

static void it_leaves_when_the_server_has_been_lost_before(void **state)
{
	GThread *thread;

	start();
	nbd_server_fault(server, NBD_DROPS_BEFORE, 0);
	assert_int_equal(write_byte(0, 5, 512), 0);
	leave();
	nbd_server_fault(server, NBD_DROPS_AFTER, 0);
	thread = g_thread_new("closer", close_elsewhere, NULL);
	g_thread_join(thread);
	bb = NULL;
	turn_for_a_while();
	assert_int_equal(nbd_server_stable(server)[0], 5);
}

static void it_leaves_while_it_looks_for_the_server(void **state)
{
	uint8_t buf[512];

	for (unsigned i = 0; i < 50; i++) {
		start_with(&usual, 1);
		nbd_server_stop(server);
		if (i % 2) {
			struct single s;

			submit(&s, BLOCK_READ, 0, buf, 512);
			block_hurry(bb);
			assert_int_equal(finish(&s), -ENOTCONN);
		}
		leave();
		g_clear_pointer(&bb, block_close);
		turn_for_a_while();
		end();
	}
}

static void a_loop_that_ends_may_not_have_been_left(void **state)
{
	struct block_leave l = { .left = left };

	start();
	assert_int_equal(write_byte(0, 5, 512), 0);
	block_leave(bb, &l);
}

/*
 * Who cannot be used.
 */
static void errors_say_what_is_wrong(void **state)
{
	struct nbd_server_options o = usual;
	g_autofree char *other = g_strdup_printf(
		"nbd+unix:///other?socket=%s", path);
	g_autofree char *tls = g_strdup_printf("nbds+unix:///disk?socket=%s",
					       path);

	expect_error(uri, false, EX_UNAVAILABLE, "[nbd.connect]");
	expect_error("nbd://[::1/disk", false, EX_USAGE, "[nbd.uri]");
	expect_error("nbd+unix:///disk", false, EX_USAGE, "[nbd.uri]");
	start();
	g_clear_pointer(&bb, block_close);
	expect_error(other, false, EX_NOINPUT, "[nbd.export]");
	expect_error(tls, false, EX_UNAVAILABLE, "[nbd.connect]");
	end();
	o.path = path;
	o.flags |= NBD_READ_ONLY;
	server = nbd_server_new(&o);
	expect_error(uri, false, EX_NOPERM, "[disk.read-only]");
	bb = connect_to(uri, 30, true, NULL);
	assert_non_null(bb);
	assert_true(bb->read_only);
	end();
	o.flags = NBD_ALL;
	o.size = 1000;
	server = nbd_server_new(&o);
	expect_error(uri, false, EX_DATAERR, "[disk.size]");
	end();
	o.size = DISK_SIZE;
	o.block_min = 8192;
	server = nbd_server_new(&o);
	expect_error(uri, false, EX_DATAERR, "[nbd.blocks]");
}

static int make_folder(void **state)
{
	assert_non_null(mkdtemp(folder));
	path = g_build_filename(folder, "socket", NULL);
	uri = g_strdup_printf("nbd+unix:///disk?socket=%s", path);
	return 0;
}

static int remove_folder(void **state)
{
	unlink(path);
	rmdir(folder);
	g_free(path);
	g_free(uri);
	return 0;
}

#define TEST(f)	cmocka_unit_test_teardown(f, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(random_requests_read_what_was_written),
		TEST(a_server_that_can_do_little_is_enough),
		TEST(limits_of_the_server_are_kept),
		TEST(memory_in_pieces_is_one_command),
		TEST(a_write_with_fua_is_stable_when_it_is_done),
		TEST(requests_without_the_loop_are_done_at_once),
		TEST(an_error_of_the_server_is_the_requests),
		TEST(a_crash_at_any_request_loses_nothing),
		TEST(a_crash_while_writes_are_sent_again_loses_nothing),
		TEST(a_flush_covers_what_was_done_before_it_only),
		TEST(what_is_not_flushed_is_bounded),
		TEST(a_flush_that_nobody_asked_for_is_reported_by_the_next),
		TEST(what_cannot_be_written_again_is_reported_by_a_flush),
		TEST(requests_wait_for_a_server_that_is_away),
		TEST(requests_that_nobody_waits_for_do_not_wait),
		TEST(requests_fail_when_it_stays_away_and_work_again),
		TEST(a_disk_that_fails_lets_its_loop_rest),
		TEST(a_silent_server_is_asked_anew_and_then_given_up),
		TEST(one_connection_is_all_without_reconnecting),
		TEST(another_disk_does_not_take_its_place),
		TEST(it_is_closed_while_it_looks_for_the_server),
		TEST(it_is_closed_by_another_thread_while_the_loop_turns),
		TEST(it_leaves_when_the_server_has_been_lost_before),
		TEST(it_leaves_while_it_looks_for_the_server),
		TEST(a_loop_that_ends_may_not_have_been_left),
		TEST(errors_say_what_is_wrong),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
