/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "backends/nat_refuse.h"
#include "nat_frames.h"

#define FORBIDDEN4	"169.254.169.254"
#define FORBIDDEN6	"fd00:ec2::254"

static const uint8_t gateway_mac[6] = { 0x52, 0x55, 10, 0, 2, 2 };
static struct frame f;
static uint8_t answer[NAT_REFUSAL_MAX];

/* The answer to @f, as filtered; from memory of its own for ASan. */
static size_t refused(void)
{
	g_autofree uint8_t *copy = NULL;
	struct nat_packet p;

	memcpy(f.bytes, gateway_mac, 6);
	copy = g_memdup2(f.bytes, f.len);
	assert_int_equal(nat_filter(copy, f.len, false, &p), NAT_REFUSE);
	return nat_refuse(copy, &p, answer);
}

/* One's complement sum of big-endian words: 0xffff if all is right. */
static unsigned plain_sum(const uint8_t *p, size_t len, unsigned sum)
{
	for (size_t i = 0; i < len; i++) {
		sum += i % 2 ? p[i] : (unsigned)p[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

static void assert_headers(size_t len, bool ip6, unsigned protocol)
{
	const uint8_t *ip = answer + 14;
	size_t l4 = 14 + (ip6 ? 40 : 20);
	uint8_t tail[4] = { 0, (uint8_t)protocol };
	unsigned sum = 0;

	assert_memory_equal(answer, guest_mac, 6);
	assert_memory_equal(answer + 6, gateway_mac, 6);
	assert_int_equal(get16(answer + 12), ip6 ? 0x86dd : 0x0800);
	put16(tail + 2, (unsigned)(len - l4));
	if (ip6) {
		assert_int_equal(get16(ip + 4), len - l4);
		assert_int_equal(ip[6], protocol);
		assert_memory_equal(ip + 24, f.bytes + 14 + 8, 16);
		sum = plain_sum(ip + 8, 32, 0);
	} else {
		assert_int_equal(get16(ip + 2), len - 14);
		assert_int_equal(ip[9], protocol);
		assert_memory_equal(ip + 16, f.bytes + 14 + 12, 4);
		assert_int_equal(plain_sum(ip, 20, 0), 0xffff);
		sum = plain_sum(ip + 12, 8, 0);
	}
	if (protocol == IPPROTO_ICMP)
		sum = 0;
	else
		sum = plain_sum(tail, 4, sum);
	assert_int_equal(plain_sum(answer + l4, len - l4, sum), 0xffff);
}

static uint8_t *begin_tcp(bool ip6, size_t data)
{
	return ip6 ? frame_ip6(&f, IPPROTO_TCP, FORBIDDEN6, 20 + data) :
		     frame_ip4(&f, IPPROTO_TCP, GUEST, FORBIDDEN4, 20 + data);
}

/* RFC 9293 3.5.2. */
static void a_connection_is_reset(void **state)
{
	static const struct { size_t data; uint8_t flags, want;
			      uint32_t seq, ack; } cases[] = {
		{ 0, TH_SYN, TH_RST | TH_ACK, 0, 1001 },
		{ 5, TH_SYN, TH_RST | TH_ACK, 0, 1006 },
		{ 0, TH_SYN | TH_ACK, TH_RST, 77, 0 },
		{ 9, TH_ACK | TH_PSH, TH_RST, 77, 0 },
		{ 9, TH_FIN, TH_RST | TH_ACK, 0, 1010 },
	};

	for (size_t i = 0; i < 2 * G_N_ELEMENTS(cases); i++) {
		bool ip6 = i % 2;
		size_t k = i / 2, len;
		const uint8_t *tcp = answer + 14 + (ip6 ? 40 : 20);

		fill_tcp(begin_tcp(ip6, cases[k].data), 4000, 80, 1000, 77,
			 cases[k].flags);
		len = refused();
		assert_int_equal(len, tcp + 20 - answer);
		assert_headers(len, ip6, IPPROTO_TCP);
		assert_memory_equal(answer + 14 + (ip6 ? 8 : 12),
				    f.bytes + 14 + (ip6 ? 24 : 16),
				    ip6 ? 16 : 4);
		assert_int_equal(get16(tcp), 80);
		assert_int_equal(get16(tcp + 2), 4000);
		assert_int_equal(get32(tcp + 4), cases[k].seq);
		assert_int_equal(get32(tcp + 8), cases[k].ack);
		assert_int_equal(tcp[12], 0x50);
		assert_int_equal(tcp[13], cases[k].want);
	}
}

static void the_gateway_says_what_is_prohibited(void **state)
{
	static uint8_t data[1400];
	uint8_t gateway6[16];
	size_t len;

	fill_udp(frame_ip4(&f, IPPROTO_UDP, GUEST, FORBIDDEN4, 8 + 100), 1000,
		 53, data, 100);
	len = refused();
	assert_headers(len, false, IPPROTO_ICMP);
	assert_int_equal(get32(answer + 26), 0x0a000202);
	assert_int_equal(get16(answer + 34), 3 << 8 | 13);
	assert_int_equal(len, 14 + 20 + 8 + 28);
	assert_memory_equal(answer + 42, f.bytes + 14, 28);

	inet_pton(AF_INET6, "fec0::2", gateway6);
	fill_udp(frame_ip6(&f, IPPROTO_UDP, FORBIDDEN6, 8 + 100), 1000, 53,
		 data, 100);
	len = refused();
	assert_headers(len, true, IPPROTO_ICMPV6);
	assert_memory_equal(answer + 22, gateway6, 16);
	assert_int_equal(get16(answer + 54), 1 << 8 | 1);
	assert_int_equal(len, 14 + 40 + 8 + 40 + 108);
	assert_memory_equal(answer + 62, f.bytes + 14, 148);
	/* No more than every link takes. */
	fill_udp(frame_ip6(&f, IPPROTO_UDP, FORBIDDEN6, 8 + 1400), 1000, 53,
		 data, 1400);
	len = refused();
	assert_headers(len, true, IPPROTO_ICMPV6);
	assert_int_equal(len, 14 + 1280);
	/* Where libslirp could not answer a ping. */
	frame_ip6(&f, IPPROTO_ICMPV6, "2606:2800:220:1::1", 8)[0] = 128;
	assert_true(refused());
}

static void who_must_not_be_answered_is_not(void **state)
{
	static const char *const from[] = { "0.0.0.0", "224.0.0.1",
					    "255.255.255.255" };

	fill_tcp(begin_tcp(false, 0), 4000, 80, 1000, 77, TH_RST);
	assert_int_equal(refused(), 0);
	for (size_t i = 0; i < G_N_ELEMENTS(from); i++) {
		fill_tcp(frame_ip4(&f, IPPROTO_TCP, from[i], FORBIDDEN4, 20),
			 4000, 80, 1000, 77, TH_SYN);
		assert_int_equal(refused(), 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		fill_tcp(begin_tcp(true, 0), 4000, 80, 1000, 77, TH_SYN);
		memset(f.bytes + 22, i ? 0xff : 0, 16);
		assert_int_equal(refused(), 0);
	}
	fill_tcp(begin_tcp(false, 0), 4000, 80, 1000, 77, TH_SYN);
	f.bytes[6] |= 1;
	assert_int_equal(refused(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_is_reset),
		cmocka_unit_test(the_gateway_says_what_is_prohibited),
		cmocka_unit_test(who_must_not_be_answered_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
