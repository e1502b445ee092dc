/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "nat_frames.h"

static struct frame f;

static bool tcp4(const char *to, bool metadata)
{
	fill_tcp(frame_ip4(&f, IPPROTO_TCP, GUEST, to, 20), 1000, 80, 1, 0,
		 TH_SYN);
	return filter(&f, metadata);
}

static bool tcp6(const char *to, bool metadata)
{
	fill_tcp(frame_ip6(&f, IPPROTO_TCP, to, 20), 1000, 80, 1, 0, TH_SYN);
	return filter(&f, metadata);
}

static bool udp4(const char *to, unsigned port)
{
	fill_udp(frame_ip4(&f, IPPROTO_UDP, GUEST, to, 12), 1000, port, "abcd",
		 4);
	return filter(&f, false);
}

static bool udp6(const char *to, unsigned port)
{
	fill_udp(frame_ip6(&f, IPPROTO_UDP, to, 12), 1000, port, "abcd", 4);
	return filter(&f, false);
}

static void the_world_may_be_reached(void **state)
{
	assert_true(tcp4("10.0.2.2", false));
	assert_true(tcp4("10.0.2.3", false));
	assert_true(tcp4("93.184.216.34", false));
	assert_true(tcp4("169.253.255.255", false));
	assert_true(tcp4("169.255.0.0", false));
	assert_true(tcp4("168.63.129.15", false));
	assert_true(tcp4("128.0.0.1", false));
	assert_true(tcp4("223.255.255.255", false));
	assert_true(tcp6("fec0::2", false));
	assert_true(tcp6("2606:2800:220:1::1", false));
	assert_true(tcp6("64:ff9b::5db8:d822", false));
	assert_true(udp4("10.0.2.3", 53));
}

static void metadata_of_the_hosts_cloud_may_not(void **state)
{
	static const char *const v4[] = { "169.254.0.0", "169.254.169.254",
					  "169.254.255.255", "168.63.129.16",
					  "100.100.100.200", "192.0.0.192" };
	static const char *const v6[] = { "fd00:ec2::254", "fd20:ce::254",
					  "fd00:c1::a9fe:a9fe",
					  "64:ff9b::a9fe:a9fe",
					  "64:ff9b::168.63.129.16",
					  "2002:a9fe:a9fe::1" };

	for (size_t i = 0; i < G_N_ELEMENTS(v4); i++) {
		assert_false(tcp4(v4[i], false));
		assert_true(tcp4(v4[i], true));
	}
	for (size_t i = 0; i < G_N_ELEMENTS(v6); i++) {
		assert_false(tcp6(v6[i], false));
		assert_true(tcp6(v6[i], true));
	}
	assert_false(udp4("169.254.169.253", 53));
	assert_false(udp6("fd00:ec2::253", 53));
}

/* 127.0.0.1 is this host's, and Linux connects mapped addresses by IPv4. */
static void no_address_means_this_host_but_the_gateways(void **state)
{
	static const char *const v4[] = { "127.0.0.1", "127.255.255.255",
					  "0.0.0.0", "0.1.2.3", "224.0.0.1",
					  "239.255.255.255", "240.0.0.1",
					  "255.255.255.255" };
	static const char *const v6[] = { "::", "::1", "::ffff:127.0.0.1",
					  "::ffff:169.254.169.254",
					  "::ffff:10.0.2.2", "::127.0.0.1",
					  "fe80::a9fe:a9fe", "febf::1",
					  "ff02::1", "64:ff9b::127.0.0.1",
					  "2002:7f00:1::1" };

	for (size_t i = 0; i < G_N_ELEMENTS(v4); i++)
		assert_false(tcp4(v4[i], true));
	for (size_t i = 0; i < G_N_ELEMENTS(v6); i++)
		assert_false(tcp6(v6[i], true));
}

static void dhcp_passes_and_tftp_does_not(void **state)
{
	assert_true(udp4("255.255.255.255", 67));
	assert_false(udp4("255.255.255.255", 68));
	assert_false(udp4("10.0.2.2", 69));
	assert_true(udp6("ff02::1:2", 547));
	assert_false(udp6("ff02::1:2", 548));
	assert_false(udp6("ff02::1:3", 547));
	assert_false(udp6("fec0::2", 69));
}

static bool icmp6(const char *to, uint8_t type)
{
	frame_ip6(&f, IPPROTO_ICMPV6, to, 8)[0] = type;
	return filter(&f, false);
}

static void neighbours_are_found_and_the_gateway_answers_pings(void **state)
{
	assert_true(icmp6("ff02::2", 133));
	assert_true(icmp6("ff02::1:ff00:2", 135));
	assert_true(icmp6("fec0::2", 136));
	assert_false(icmp6("ff02::1", 134));
	assert_false(icmp6("ff02::1", 137));
	assert_true(icmp6("fec0::2", 128));
	assert_true(icmp6("fe80::2", 128));
	assert_false(icmp6("fec0::4", 128));
	assert_false(icmp6("2606:2800:220:1::1", 128));
}

static void what_is_cut_off_is_dropped(void **state)
{
	size_t len;

	assert_true(tcp4("10.0.2.2", false));
	for (len = f.len; len--;) {
		f.len = len;
		assert_false(filter(&f, false));
	}
	assert_true(tcp6("fec0::2", false));
	for (len = f.len; len--;) {
		f.len = len;
		assert_false(filter(&f, false));
	}
	frame_arp(&f, 1, GUEST, GATEWAY);
	assert_true(filter(&f, false));
	f.len--;
	assert_false(filter(&f, false));
}

/* Set a byte of a good TCP or UDP frame over IPv4. */
static bool bent(uint8_t protocol, size_t at, uint8_t value)
{
	if (protocol == IPPROTO_TCP)
		tcp4("10.0.2.2", false);
	else
		udp4("10.0.2.2", 53);
	f.bytes[at] = value;
	return filter(&f, false);
}

static void lengths_have_to_agree(void **state)
{
	assert_false(bent(IPPROTO_TCP, 14, 0x46));	/* IP options */
	assert_false(bent(IPPROTO_TCP, 14, 0x44));
	assert_false(bent(IPPROTO_TCP, 14, 0x65));
	assert_true(bent(IPPROTO_TCP, 17, 40));		/* total length */
	assert_false(bent(IPPROTO_TCP, 17, 41));
	assert_false(bent(IPPROTO_TCP, 17, 39));
	assert_false(bent(IPPROTO_TCP, 17, 19));
	assert_true(bent(IPPROTO_TCP, 20, 0x40));	/* may not be cut */
	assert_false(bent(IPPROTO_TCP, 20, 0x20));	/* fragments */
	assert_false(bent(IPPROTO_TCP, 21, 1));
	assert_false(bent(IPPROTO_TCP, 22, 0));		/* time to live */
	assert_false(bent(IPPROTO_TCP, 23, 132));	/* SCTP */
	assert_false(bent(IPPROTO_TCP, 23, IPPROTO_ICMPV6));
	assert_false(bent(IPPROTO_TCP, 46, 4 << 4));	/* TCP's header */
	assert_false(bent(IPPROTO_TCP, 46, 6 << 4));
	assert_true(bent(IPPROTO_UDP, 39, 12));		/* UDP's length */
	assert_false(bent(IPPROTO_UDP, 39, 13));
	assert_true(bent(IPPROTO_UDP, 39, 8));
	assert_false(bent(IPPROTO_UDP, 39, 7));
	assert_false(bent(IPPROTO_UDP, 12, 0x88));	/* not IP */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_world_may_be_reached),
		cmocka_unit_test(metadata_of_the_hosts_cloud_may_not),
		cmocka_unit_test(no_address_means_this_host_but_the_gateways),
		cmocka_unit_test(dhcp_passes_and_tftp_does_not),
		cmocka_unit_test(
			neighbours_are_found_and_the_gateway_answers_pings),
		cmocka_unit_test(what_is_cut_off_is_dropped),
		cmocka_unit_test(lengths_have_to_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
