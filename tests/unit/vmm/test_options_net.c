/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <string.h>

#include "core/error.h"
#include "vmm/net_modes.h"
#include "vmm/options_internal.h"

static struct options *parse(const char *words, GError **error)
{
	g_autofree char *line = g_strdup_printf("kvmbus run --kernel k %s",
						words);
	g_auto(GStrv) argv = g_strsplit(g_strchomp(line), " ", -1);

	return options_parse((int)g_strv_length(argv), argv, error);
}

static void refused(const char *words, const char *part)
{
	g_autoptr(GError) e = NULL;

	assert_null(parse(words, &e));
	assert_true(g_error_matches(e, USER_ERROR, EX_USAGE));
	if (!strstr(e->message, part))
		fail_msg("%s: no \"%s\" in: %s", words, part, e->message);
}

static const struct nic_options *nic_of(const struct options *o, unsigned i)
{
	assert_true(i < o->nics->len);
	return o->nics->pdata[i];
}

static void a_machine_has_one_nic_with_nat_unless_told_otherwise(void **state)
{
	autoptr(options) o = parse("", NULL);
	autoptr(options) off = parse("--net off", NULL);

	assert_int_equal(o->nics->len, 1);
	assert_string_equal(nic_of(o, 0)->mode->name, "nat");
	assert_null(nic_of(o, 0)->argument);
	assert_int_equal(nic_of(o, 0)->queues, 0);
	assert_int_equal(off->nics->len, 0);
	refused("--net off --net nat", "--net off is not possible");
}

static void a_nic_takes_an_address_and_queues(void **state)
{
	static const uint8_t mac[] = { 0x52, 0x54, 0, 0xab, 0xCD, 0xef };
	autoptr(options) o = parse("--net nat,queues=64,"
				   "mac=52:54:00:ab:CD:ef --net nat", NULL);

	assert_int_equal(o->nics->len, 2);
	assert_memory_equal(nic_of(o, 0)->mac, mac, 6);
	assert_int_equal(nic_of(o, 0)->queues, 64);
}

static void an_address_is_a_stations(void **state)
{
	refused("--net nat,mac=", "mac=");
	refused("--net nat,mac=52:54:00:ab:cd", "mac=52:54:00:ab:cd");
	refused("--net nat,mac=52:54:00:ab:cd:ef:01", "mac=52");
	refused("--net nat,mac=52:54:00:ab:cd:eg", "mac=52");
	refused("--net nat,mac=52-54-00-ab-cd-ef", "mac=52");
	refused("--net nat,mac=01:00:5e:00:00:01", "even in its first byte");
	refused("--net nat,mac=00:00:00:00:00:00", "mac=00");
}

static void queues_are_1_to_64(void **state)
{
	refused("--net nat,queues=0", "queues=1-64");
	refused("--net nat,queues=65", "queues=1-64");
	refused("--net nat,queues=two", "queues=1-64");
}

static void a_mode_that_is_not_there_gets_a_list(void **state)
{
	refused("--net bridge", "nat, ");
	refused("--net nat,mtu=9000", "there is no such mode");
	refused("--net nat:x", "nothing may follow");
	refused("--net=", "there is no such mode");
}

static void a_ninth_nic_is_refused(void **state)
{
	g_autoptr(GString) words = g_string_new(NULL);

	for (int i = 0; i < 8; i++)
		g_string_append(words, "--net nat ");
	options_free(parse(words->str, NULL));
	g_string_append(words, "--net nat");
	refused(words->str, "up to 8 NICs");
}

static void an_address_stays_that_of_its_machine_and_nic(void **state)
{
	autoptr(options) a = parse("--net nat --net nat --disk x", NULL);
	autoptr(options) b = parse("--append y --disk ./x --net nat --net nat "
				   "-c 1", NULL);
	autoptr(options) other = parse("--disk z", NULL);
	autoptr(options) diskless = parse("", NULL);

	assert_int_equal(nic_of(a, 0)->mac[0], 0x02);
	assert_memory_equal(nic_of(a, 0)->mac, nic_of(b, 0)->mac, 6);
	assert_memory_equal(nic_of(a, 1)->mac, nic_of(b, 1)->mac, 6);
	assert_memory_not_equal(nic_of(a, 0)->mac, nic_of(a, 1)->mac, 6);
	assert_memory_not_equal(nic_of(a, 0)->mac, nic_of(other, 0)->mac, 6);
	assert_memory_not_equal(nic_of(a, 0)->mac, nic_of(diskless, 0)->mac, 6);
}

static void two_nics_with_one_address_are_refused(void **state)
{
	refused("--net nat,mac=02:00:00:00:00:01 --net nat "
		"--net nat,mac=02:00:00:00:00:01", "two NICs have the same");
}

static const struct net_forward *forward_of(const struct options *o,
					    unsigned i)
{
	assert_true(i < o->forwards->len);
	return &g_array_index(o->forwards, struct net_forward, i);
}

static void check_forward(const char *words, uint32_t host, unsigned host_port,
			  unsigned guest_port, bool udp)
{
	autoptr(options) o = parse(words, NULL);
	const struct net_forward *f;

	assert_non_null(o);
	f = forward_of(o, 0);
	assert_int_equal(ntohl(f->host.s_addr), host);
	assert_int_equal(f->host_port, host_port);
	assert_int_equal(f->any_port, !host_port);
	assert_int_equal(f->guest_port, guest_port);
	assert_int_equal(f->udp, udp);
	assert_true(nic_of(o, 0)->forwards);
}

static void a_forward_is_of_loopback_unless_told_otherwise(void **state)
{
	check_forward("-p 22", 0x7f000001, 22, 22, false);
	check_forward("-p 2222:22", 0x7f000001, 2222, 22, false);
	check_forward("-p 0:3389", 0x7f000001, 0, 3389, false);
	check_forward("-p 0.0.0.0:80", 0, 80, 80, false);
	check_forward("-p 192.0.2.1:8080:80", 0xc0000201, 8080, 80, false);
	check_forward("-p 53/udp", 0x7f000001, 53, 53, true);
	check_forward("--publish 65535:65535/tcp", 0x7f000001, 65535, 65535,
		      false);
}

static void a_forward_may_be_of_ipv6(void **state)
{
	static const struct in6_addr loopback = IN6ADDR_LOOPBACK_INIT;
	autoptr(options) o = parse("-p [::1]:8080:80 -p [::]:0:53/udp "
				   "-p [::1]:22", NULL);
	const struct net_forward *f = forward_of(o, 0);

	assert_true(f->ip6 && !f->udp && !f->any_port);
	assert_memory_equal(&f->host6, &loopback, sizeof(loopback));
	assert_int_equal(f->host_port, 8080);
	assert_int_equal(f->guest_port, 80);
	f = forward_of(o, 1);
	assert_true(f->ip6 && f->udp && f->any_port);
	assert_memory_equal(&f->host6, &in6addr_any, sizeof(in6addr_any));
	f = forward_of(o, 2);
	assert_int_equal(f->host_port, 22);
}

static void a_forward_that_makes_no_sense_is_refused(void **state)
{
	static const char *const bad[] = {
		"-p=", "-p :22", "-p 22:", "-p 0", "-p 65536", "-p 65536:22",
		"-p 1:2:3", "-p 1.2.3:22", "-p 1.2.3.4", "-p 1.2.3.256:22",
		"-p 22/sctp", "-p 22/", "-p /udp", "-p +22", "-p 22:22:22:22",
		"-p 127.0.0.1:1:2:3", "-p -1",
		"-p [::1]", "-p [::1]:", "-p [::1]22", "-p [::1", "-p [:22",
		"-p ::1:22", "-p [1.2.3.4]:22", "-p []:22", "-p [::1]:1:2:3",
		"-p [::1]:1.2.3.4:22", "-p [::1%lo]:22", "-p 1:[::1]:2",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		refused(bad[i], "[ADDR:][HOST:]GUEST");
}

static void forwards_lead_to_the_first_nic_that_has_nat(void **state)
{
	autoptr(options) o = parse("--net isolated --net nat -p 22", NULL);

	assert_true(nic_of(o, 0)->forwards);
	assert_false(nic_of(o, 1)->forwards);
	refused("--net off -p 22", "needs a NIC with NAT");
}

static void a_machine_has_up_to_64_forwards(void **state)
{
	g_autoptr(GString) words = g_string_new(NULL);

	for (int i = 1; i <= 64; i++)
		g_string_append_printf(words, "-p %d ", i);
	options_free(parse(words->str, NULL));
	g_string_append(words, "-p 65");
	refused(words->str, "up to 64 forwards");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_machine_has_one_nic_with_nat_unless_told_otherwise),
		cmocka_unit_test(a_nic_takes_an_address_and_queues),
		cmocka_unit_test(an_address_is_a_stations),
		cmocka_unit_test(queues_are_1_to_64),
		cmocka_unit_test(a_mode_that_is_not_there_gets_a_list),
		cmocka_unit_test(a_ninth_nic_is_refused),
		cmocka_unit_test(an_address_stays_that_of_its_machine_and_nic),
		cmocka_unit_test(two_nics_with_one_address_are_refused),
		cmocka_unit_test(
			a_forward_is_of_loopback_unless_told_otherwise),
		cmocka_unit_test(a_forward_may_be_of_ipv6),
		cmocka_unit_test(a_forward_that_makes_no_sense_is_refused),
		cmocka_unit_test(forwards_lead_to_the_first_nic_that_has_nat),
		cmocka_unit_test(a_machine_has_up_to_64_forwards),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
