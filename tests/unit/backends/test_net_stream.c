/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backends/net_segment.h"
#include "backends/net_stream.h"
#include "core/util.h"
#include "net_packet.h"

struct rig {
	struct net_stream s;
	struct loop *loop;
	int peer;
	unsigned readable, writable, up, down, lost;
};

static uint8_t payload[65536], bytes[NET_FRAME_MAX + 1];

static void on_readable(void *user)
{
	((struct rig *)user)->readable++;
}

static void on_writable(void *user)
{
	((struct rig *)user)->writable++;
}

static void on_link(void *user, bool up)
{
	struct rig *r = user;

	if (up)
		r->up++;
	else
		r->down++;
}

static void on_lost(struct net_stream *s)
{
	container_of(s, struct rig, s)->lost++;
}

static void on_close(struct net_stream *s)
{
	net_stream_finish(s);
}

static void connect_peer(struct rig *r)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				    fds), 0);
	r->peer = fds[1];
	net_stream_attach(&r->s, fds[0]);
}

static int setup(void **state)
{
	struct rig *r = g_new0(struct rig, 1);

	*state = r;
	r->loop = loop_new(NULL);
	net_stream_init(&r->s, r->loop);
	r->s.lost = on_lost;
	r->s.close = on_close;
	r->s.nb.user = (struct net_user){
		on_readable, on_writable, on_link, r
	};
	connect_peer(r);
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	loop_free(r->loop);
	net_close(&r->s.nb);
	if (r->peer >= 0)
		close(r->peer);
	g_free(r);
	return 0;
}

static void turns(struct rig *r)
{
	for (int i = 0; i < 6; i++)
		loop_turn(r->loop, false);
}

static void write_all(int fd, const void *p, size_t len)
{
	while (len) {
		ssize_t n = write(fd, p, len);

		assert_true(n > 0);
		p = (const uint8_t *)p + n;
		len -= (size_t)n;
	}
}

static void peer_sends(struct rig *r, uint32_t len, uint8_t mark)
{
	uint32_t be = htonl(len);

	memset(bytes, mark, len);
	write_all(r->peer, &be, sizeof(be));
	write_all(r->peer, bytes, len);
}

/* A frame that the peer gets, or 0 if there is none for it now. */
static size_t peer_receives(struct rig *r, uint8_t *buf)
{
	uint32_t len;
	ssize_t n = recv(r->peer, &len, sizeof(len), MSG_DONTWAIT);

	if (n <= 0)
		return 0;
	assert_int_equal(n, sizeof(len));
	len = ntohl(len);
	assert_true(len <= NET_FRAME_MAX);
	for (size_t at = 0; at < len; at += (size_t)n) {
		n = recv(r->peer, buf + at, len - at, MSG_DONTWAIT);
		if (n < 0)
			turns(r);	/* there is more to come */
		n = MAX(n, 0);
	}
	return len;
}

static int receives(struct rig *r, struct net_frame *f, uint8_t *buf,
		    size_t room)
{
	static struct iovec iov[2];

	iov[0] = (struct iovec){ buf, MIN(room, 5) };
	iov[1] = (struct iovec){ buf + iov[0].iov_len, room - iov[0].iov_len };
	*f = (struct net_frame){ .iov = iov, .iovcnt = 2, .hdr.flags = 0xff };
	return net_recv(&r->s.nb, f);
}

static void frames_of_the_peer_are_received(void **state)
{
	uint8_t got[2048], want[2048];
	struct rig *r = *state;
	struct net_frame f;

	assert_int_equal(receives(r, &f, got, sizeof(got)), 0);
	for (uint8_t i = 1; i <= 3; i++)
		peer_sends(r, 100u * i, i);
	for (uint8_t i = 1; i <= 3; i++) {
		assert_int_equal(receives(r, &f, got, sizeof(got)), 1);
		assert_int_equal(f.len, 100 * i);
		memset(want, i, f.len);
		assert_memory_equal(got, want, f.len);
		assert_int_equal(f.hdr.flags, 0);
	}
	assert_int_equal(receives(r, &f, got, sizeof(got)), 0);
}

static void a_frame_may_come_byte_by_byte(void **state)
{
	static const uint8_t wire[4 + 20] = { 0, 0, 0, 20, 1, 2, 3 };
	struct rig *r = *state;
	struct net_frame f;
	uint8_t got[100];

	for (size_t i = 0; i < sizeof(wire); i++) {
		assert_int_equal(receives(r, &f, got, sizeof(got)), 0);
		write_all(r->peer, wire + i, 1);
	}
	assert_int_equal(receives(r, &f, got, sizeof(got)), 1);
	assert_int_equal(f.len, 20);
	assert_memory_equal(got, wire + 4, 20);
}

static void frames_go_on_behind_the_buffers_end(void **state)
{
	static uint8_t got[NET_FRAME_MAX];
	struct rig *r = *state;
	struct net_frame f;

	for (unsigned i = 0; i < 40; i++) {
		peer_sends(r, 50000 + i, (uint8_t)i);
		assert_int_equal(receives(r, &f, got, sizeof(got)), 1);
		assert_int_equal(f.len, 50000 + i);
		assert_int_equal(got[0], i);
		assert_int_equal(got[f.len - 1], i);
	}
}

static void who_found_nothing_is_told_once(void **state)
{
	struct rig *r = *state;
	struct net_frame f;
	uint8_t got[100];

	receives(r, &f, got, sizeof(got));
	turns(r);
	assert_int_equal(r->readable, 0);
	peer_sends(r, 60, 1);
	turns(r);
	peer_sends(r, 60, 1);
	turns(r);
	assert_int_equal(r->readable, 1);
	assert_int_equal(receives(r, &f, got, sizeof(got)), 1);
	turns(r);
	assert_int_equal(r->readable, 1);
}

static void runts_and_what_has_no_room_are_dropped_and_counted(void **state)
{
	struct rig *r = *state;
	struct net_frame f;
	uint8_t got[100];

	peer_sends(r, 13, 1);
	peer_sends(r, 101, 2);
	peer_sends(r, 14, 3);
	assert_int_equal(receives(r, &f, got, sizeof(got)), 1);
	assert_int_equal(f.len, 14);
	assert_int_equal(got[0], 3);
	assert_int_equal(r->s.nb.dropped, 2);
}

/* The peer has always sent more already, for so many times. */
static unsigned refills;
static int refill_from = -1;

ssize_t recv(int fd, void *p, size_t len, int flags)
{
	static const uint8_t runt[] = { 0, 0, 0, 1, 0 };
	ssize_t n = syscall(SYS_recvfrom, fd, p, len, flags, NULL, NULL);

	if (refill_from >= 0 && refills) {
		refills--;
		write_all(refill_from, runt, sizeof(runt));
	}
	return n;
}

static void a_peer_that_sends_rubbish_does_not_hold_the_loop(void **state)
{
	static uint8_t got[NET_FRAME_MAX];
	struct rig *r = *state;
	struct net_frame f;

	peer_sends(r, 1, 0);
	refill_from = r->peer;
	refills = 1000;
	assert_int_equal(receives(r, &f, got, sizeof(got)), 0);
	assert_true(refills > 900);
	turns(r);
	assert_in_range(r->readable, 1, 6);
	refills = 0;
	refill_from = -1;
	peer_sends(r, 60, 7);
	assert_int_equal(receives(r, &f, got, sizeof(got)), 1);
	assert_int_equal(f.len, 60);
}

static void a_length_that_no_frame_has_ends_the_peer(void **state)
{
	static const uint32_t lengths[] = { 0, NET_FRAME_MAX + 1, 0xffffffff };

	for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
		uint32_t be = htonl(lengths[i]);
		struct rig *r = *state;
		struct net_frame f;
		uint8_t got[100];

		write_all(r->peer, &be, sizeof(be));
		assert_int_equal(receives(r, &f, got, sizeof(got)), 0);
		assert_int_equal(receives(r, &f, got, sizeof(got)), 0);
		assert_int_equal(r->down, i);
		turns(r);
		assert_int_equal(r->down, i + 1);
		assert_int_equal(r->lost, i + 1);
		close(r->peer);
		connect_peer(r);
	}
}

static unsigned send_packet(struct rig *r, const struct net_packet *p,
			    uint16_t gso_size)
{
	struct iovec iov = { bytes, 0 };
	struct net_frame f = { .iov = &iov, .iovcnt = 1 };

	f.len = iov.iov_len = net_packet_build_offload(p, gso_size, bytes,
						       &f.hdr);
	return net_send(&r->s.nb, &f, 1);
}

static void what_is_sent_leaves_nothing_to_be_done(void **state)
{
	static uint8_t got[NET_FRAME_MAX], want[NET_FRAME_MAX];
	struct rig *r = *state;
	const struct net_packet p = { .payload = payload, .payload_len = 5000 };

	assert_int_equal(send_packet(r, &p, 0), 1);
	assert_int_equal(send_packet(r, &p, 1200), 1);
	assert_int_equal(peer_receives(r, got), net_packet_build(&p, want));
	assert_memory_equal(got, want, 5054);
	for (unsigned i = 0; i < 5; i++) {
		struct net_packet s = net_packet_segment(&p, 1200, i);
		size_t len = net_packet_build(&s, want);

		assert_int_equal(peer_receives(r, got), len);
		assert_memory_equal(got, want, len);
	}
	assert_int_equal(peer_receives(r, got), 0);
}

static void a_frame_that_makes_no_sense_is_dropped_and_counted(void **state)
{
	static uint8_t got[NET_FRAME_MAX];
	struct rig *r = *state;
	struct iovec iov = { bytes, 100 };
	struct net_frame f = { .iov = &iov, .iovcnt = 1, .len = 100,
			       .hdr.gso_type = 1 };

	assert_int_equal(net_send(&r->s.nb, &f, 1), 1);
	assert_int_equal(r->s.nb.dropped, 1);
	assert_int_equal(peer_receives(r, got), 0);
}

static void a_slow_peer_makes_the_sender_wait(void **state)
{
	static uint8_t got[NET_FRAME_MAX];
	const struct net_packet p = {
		.payload = payload, .payload_len = 60000,
	};
	unsigned sent = 0, received = 0;
	struct rig *r = *state;

	while (send_packet(r, &p, 1448))
		assert_true(++sent < 100);
	assert_true(sent >= 2);
	turns(r);
	assert_int_equal(r->writable, 0);
	assert_int_equal(r->s.nb.dropped, 0);
	while (peer_receives(r, got)) {
		received++;
		turns(r);
	}
	assert_int_equal(received, sent * ((60000 + 1447) / 1448));
	assert_int_equal(r->writable, 1);
	assert_int_equal(send_packet(r, &p, 1448), 1);
}

static void what_the_peer_did_not_take_at_once_follows(void **state)
{
	static uint8_t got[NET_FRAME_MAX];
	const struct net_packet p = {
		.payload = payload, .payload_len = 60000,
	};
	struct rig *r = *state;
	int size = 4096;

	setsockopt(r->s.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	assert_int_equal(send_packet(r, &p, 1448), 1);
	for (unsigned i = 0; i < (60000 + 1447) / 1448; i++) {
		turns(r);
		assert_true(peer_receives(r, got) > 54);
	}
	assert_int_equal(r->writable, 0);
}

/* A part of a frame is of no use: none of it gets there, or all of it. */
static void segments_that_are_too_many_are_lost_together(void **state)
{
	static uint8_t got[NET_FRAME_MAX];
	const struct net_packet p = {
		.payload = payload, .payload_len = 60000,
	};
	static const uint16_t sizes[] = { 1, 6, 17, 18, 48, 536 };
	struct rig *r = *state;

	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		uint16_t gso_size = sizes[i];
		unsigned count = (60000u + gso_size - 1) / gso_size;
		bool fits = count * (4 + 54) + 60000 <= NET_STREAM_BUFFER;
		uint64_t dropped = r->s.nb.dropped;
		unsigned received = 0;

		assert_int_equal(send_packet(r, &p, gso_size), 1);
		assert_int_equal(r->s.nb.dropped, dropped + !fits);
		while (peer_receives(r, got)) {
			received++;
			turns(r);
		}
		assert_int_equal(received, fits ? count : 0);
	}
}

static void a_peer_that_leaves_is_a_link_that_is_down(void **state)
{
	const struct net_packet p = { .payload = payload, .payload_len = 100 };
	struct rig *r = *state;
	struct net_frame f;
	uint8_t got[200];

	assert_int_equal(r->up, 1);
	peer_sends(r, 60, 9);
	close(r->peer);
	r->peer = -1;
	turns(r);
	/* What it said before comes first. */
	assert_int_equal(receives(r, &f, got, sizeof(got)), 1);
	assert_int_equal(f.len, 60);
	assert_int_equal(receives(r, &f, got, sizeof(got)), 0);
	turns(r);
	assert_int_equal(r->down, 1);
	assert_int_equal(r->lost, 1);
	assert_false(r->s.nb.link_up);
	assert_int_equal(send_packet(r, &p, 0), 1);
	assert_int_equal(r->s.nb.dropped, 1);
	assert_int_equal(receives(r, &f, got, sizeof(got)), 0);
	assert_false(loop_turn(r->loop, false));

	connect_peer(r);
	assert_int_equal(r->up, 2);
	peer_sends(r, 60, 9);
	turns(r);
	assert_int_equal(receives(r, &f, got, sizeof(got)), 1);
}

static void a_sender_that_waits_goes_on_when_the_peer_leaves(void **state)
{
	const struct net_packet p = {
		.payload = payload, .payload_len = 60000,
	};
	struct rig *r = *state;
	struct net_frame f;
	uint8_t got[200];

	receives(r, &f, got, sizeof(got));
	while (send_packet(r, &p, 1448))
		;
	close(r->peer);
	r->peer = -1;
	turns(r);
	receives(r, &f, got, sizeof(got));
	turns(r);
	assert_int_equal(r->down, 1);
	assert_int_equal(r->writable, 1);
	assert_int_equal(send_packet(r, &p, 1448), 1);
}

static void a_sender_that_waits_goes_on_when_the_peer_is_given_up(void **state)
{
	const struct net_packet p = {
		.payload = payload, .payload_len = 60000,
	};
	static const uint8_t nonsense[4] = { 0xff };
	struct rig *r = *state;
	struct net_frame f;
	uint8_t got[200];

	while (send_packet(r, &p, 1448))
		;
	write_all(r->peer, nonsense, sizeof(nonsense));
	receives(r, &f, got, sizeof(got));
	turns(r);
	assert_int_equal(r->down, 1);
	assert_int_equal(r->writable, 1);
	close(r->peer);
	connect_peer(r);
	turns(r);
	assert_int_equal(peer_receives(r, bytes), 0);
}

/* Neither half a frame from one, nor half a frame for it. */
static void a_new_peer_finds_nothing_of_the_old_one(void **state)
{
	static const uint8_t half[10] = { 0, 0, 0, 100 };
	const struct net_packet p = {
		.payload = payload, .payload_len = 1000,
	};
	static uint8_t got[NET_FRAME_MAX];
	struct rig *r = *state;
	struct net_frame f;

	while (send_packet(r, &p, 0))
		;
	write_all(r->peer, half, sizeof(half));
	receives(r, &f, got, sizeof(got));
	close(r->peer);
	turns(r);
	receives(r, &f, got, sizeof(got));
	turns(r);
	connect_peer(r);
	turns(r);
	assert_int_equal(peer_receives(r, got), 0);
	peer_sends(r, 50, 1);
	assert_int_equal(receives(r, &f, got, sizeof(got)), 1);
	assert_int_equal(f.len, 50);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(frames_of_the_peer_are_received),
		TEST(a_frame_may_come_byte_by_byte),
		TEST(frames_go_on_behind_the_buffers_end),
		TEST(who_found_nothing_is_told_once),
		TEST(runts_and_what_has_no_room_are_dropped_and_counted),
		TEST(a_peer_that_sends_rubbish_does_not_hold_the_loop),
		TEST(a_length_that_no_frame_has_ends_the_peer),
		TEST(what_is_sent_leaves_nothing_to_be_done),
		TEST(a_frame_that_makes_no_sense_is_dropped_and_counted),
		TEST(a_slow_peer_makes_the_sender_wait),
		TEST(what_the_peer_did_not_take_at_once_follows),
		TEST(segments_that_are_too_many_are_lost_together),
		TEST(a_peer_that_leaves_is_a_link_that_is_down),
		TEST(a_sender_that_waits_goes_on_when_the_peer_leaves),
		TEST(a_sender_that_waits_goes_on_when_the_peer_is_given_up),
		TEST(a_new_peer_finds_nothing_of_the_old_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
