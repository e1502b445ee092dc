/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ports of the host that lead to a guest behind NAT. */
#include <dlfcn.h>
#include <slirp/libslirp.h>
#include <sys/resource.h>

#include "nat_rig.h"

/* The gateway's SYN, answered with @flags; a client's is from a higher port. */
static void answer_probe(uint8_t flags)
{
	do {
		assert_true(comes(is_tcp, PATIENCE_MS));
	} while (l4()[13] != TH_SYN || get16(l4() + 2) != GUEST_PORT ||
		 get16(l4()) > 64);
	send_tcp(GUEST_PORT, get16(l4()), flags & TH_SYN ? 500 : 0,
		 get32(l4() + 4) + 1, flags | TH_ACK);
}

static void open_the_port(void)
{
	frame_arp(&out, 1, GUEST, GATEWAY);
	send_out();
	answer_probe(TH_SYN);
	assert_true(refuses_soon(false));
}

static bool second_is_over;

static void second_over(struct loop_timer *t)
{
	second_is_over = true;
}

static unsigned turns_in_a_second(void)
{
	struct loop_timer second = { .expired = second_over };
	unsigned turns = 0;

	second_is_over = false;
	loop_timer_set(loop, &second,
		       loop_now(loop) + UINT64_C(1000000000));
	for (; !second_is_over; turns++)
		loop_turn(loop, true);
	return turns;
}

/* A connection, a flow and a forward that are open cost few wake-ups. */
static void an_idle_guest_lets_the_host_sleep(void **state)
{
	uint16_t port, udp_port;
	autofd fd = host_socket(SOCK_STREAM, &port);
	autofd udp = host_socket(SOCK_DGRAM, &udp_port), peer = -1;
	uint32_t ack;

	connect_to(port, &ack);
	assert_true(readable_soon(fd));
	peer = accept(fd, NULL, NULL);
	send_udp(GUEST, GATEWAY, 1000, udp_port, "x", 1);
	assert_true(readable_soon(udp));
	open_the_port();
	while (comes(is_tcp, 100))
		;
	assert_in_range(turns_in_a_second(), 1, 20);
}

static void a_port_refuses_until_the_guest_listens(void **state)
{
	assert_int_not_equal(forward.host_port, 0);
	assert_true(refuses());
	assert_false(comes(is_tcp, 300));	/* nobody is asked yet */
	frame_arp(&out, 1, GUEST, GATEWAY);
	send_out();
	answer_probe(TH_RST);
	assert_true(refuses());
	answer_probe(TH_SYN);
	assert_true(comes(is_tcp, PATIENCE_MS));
	assert_int_equal(l4()[13], TH_RST);	/* what was half open */
	assert_true(refuses_soon(false));
}

static void a_client_reaches_the_guest(void **state)
{
	autofd client = -1;
	uint32_t seq;
	uint16_t from;
	char text[6];

	open_the_port();
	while (comes(is_tcp, 100))	/* what open_the_port() has made */
		;
	client = connect_client();
	assert_true(client >= 0);
	assert_true(comes(is_tcp, PATIENCE_MS));
	assert_int_equal(l4()[13], TH_SYN);
	from = get16(l4());
	seq = get32(l4() + 4) + 1;
	send_tcp(GUEST_PORT, from, 500, seq, TH_SYN | TH_ACK);
	assert_int_equal(write(client, "hello", 5), 5);
	do {
		assert_true(comes(is_tcp, PATIENCE_MS));
	} while (in.len == 14 + 20 + 20);
	assert_int_equal(get16(l4()), from);
	assert_memory_equal(l4() + 20, "hello", 5);

	fill_tcp(frame_ip4(&out, IPPROTO_TCP, GUEST, GATEWAY, 20 + 6),
		 GUEST_PORT, from, 501, seq + 5, TH_ACK | TH_PSH);
	memcpy(out.bytes + 54, "answer", 6);
	send_out();
	assert_true(readable_soon(client));
	assert_int_equal(read(client, text, 6), 6);
	assert_memory_equal(text, "answer", 6);
}

static void a_port_refuses_again_when_the_guest_does(void **state)
{
	open_the_port();
	/* A client's SYN that meets nobody. */
	do {
		assert_true(comes(is_tcp, PATIENCE_MS));
	} while (l4()[13] != TH_SYN);
	send_tcp(GUEST_PORT, get16(l4()), 0, get32(l4() + 4) + 1,
		 TH_RST | TH_ACK);
	answer_probe(TH_RST);
	assert_true(refuses_soon(true));
}

static void a_reset_of_a_connection_alone_closes_nothing(void **state)
{
	open_the_port();
	send_tcp(GUEST_PORT, 50000, 77, 0, TH_RST);
	answer_probe(TH_SYN);
	assert_false(refuses());
}

static void a_port_refuses_when_the_guest_begins_anew(void **state)
{
	open_the_port();
	net_forget(nb);
	assert_true(refuses());
	open_the_port();
	send_dhcp(1);
	assert_true(refuses());
}

static void a_port_refuses_when_the_guest_falls_silent(void **state)
{
	open_the_port();
	send_tcp(GUEST_PORT, 50000, 77, 0, TH_RST);
	assert_true(refuses_soon(true));
}

/* Who asks for a lease as @mac gets it. */
static void lease(const uint8_t mac[6])
{
	sender_mac = mac;
	for (unsigned i = 0; i < 2; i++) {
		send_dhcp_of(mac, i ? 3 : 1);
		assert_true(comes(is_udp, PATIENCE_MS));
	}
}

static void become(const char *addr, const uint8_t mac[6])
{
	guest = addr;
	sender_mac = mac;
}

/* And not the gateway's own. */
static bool is_clients_syn(void)
{
	return is_tcp() && l4()[13] == TH_SYN && get16(l4()) > NAT_PROBES_MAX;
}

/* A client's connection leads to @addr as @mac. */
static void assert_leads_to(const char *addr, const uint8_t mac[6])
{
	uint8_t want[4];
	autofd client = -1;

	while (comes(is_tcp, 100))
		;
	client = connect_client();
	assert_true(client >= 0);
	assert_true(comes(is_clients_syn, PATIENCE_MS));
	inet_pton(AF_INET, addr, want);
	assert_memory_equal(in.bytes + 30, want, 4);
	assert_memory_equal(in.bytes, mac, 6);
	send_tcp(GUEST_PORT, get16(l4()), 0, get32(l4() + 4) + 1,
		 TH_RST | TH_ACK);
}

#define CLIENTS	60

/* Of a client, as the guest sees it. */
struct syn {
	uint16_t port;
	uint32_t seq;
};

/* As many as come until none does for a while. */
static unsigned receive_syns(struct syn *syn)
{
	unsigned n = 0;

	for (; n < CLIENTS && comes(is_clients_syn, 200); n++)
		syn[n] = (struct syn){ get16(l4()), get32(l4() + 4) };
	return n;
}

static void reset_all(const struct syn *syn, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		send_tcp(GUEST_PORT, syn[i].port, 0, syn[i].seq + 1,
			 TH_RST | TH_ACK);
}

static struct rlimit all_descriptors;

static int few_descriptors(void **state)
{
	struct rlimit few;

	getrlimit(RLIMIT_NOFILE, &all_descriptors);
	few = all_descriptors;
	few.rlim_cur = 2 * CLIENTS;
	setrlimit(RLIMIT_NOFILE, &few);
	return forwarding(state);
}

static int enough_descriptors(void **state)
{
	setrlimit(RLIMIT_NOFILE, &all_descriptors);
	return stop(state);
}

/* Else accept() fails again and again, and nothing else has any. */
static void clients_wait_when_descriptors_become_few(void **state)
{
	struct syn syn[CLIENTS];
	int client[CLIENTS];
	unsigned passed, total;

	open_the_port();
	while (comes(is_tcp, 100))
		;
	for (unsigned i = 0; i < CLIENTS; i++) {
		client[i] = connect_client();
		assert_true(client[i] >= 0);
	}
	passed = receive_syns(syn);
	assert_in_range(passed, 1, CLIENTS - 20);
	assert_in_range(turns_in_a_second(), 1, 20);
	/* Nor does the guest get any. */
	send_tcp(1000, forward.host_port, 100, 0, TH_SYN);
	assert_int_equal(nb->dropped, 1);
	/* They pass when others have gone. */
	for (total = passed; total < CLIENTS && passed; total += passed) {
		reset_all(syn, passed);
		passed = receive_syns(syn);
	}
	assert_int_equal(total, CLIENTS);
	for (unsigned i = 0; i < CLIENTS; i++)
		close(client[i]);
}

static void a_forward_follows_the_guest_to_another_lease(void **state)
{
	lease(guest_mac);
	open_the_port();
	assert_leads_to(GUEST, guest_mac);
	lease(other_mac);
	assert_true(refuses());
	become(ELSEWHERE, other_mac);
	answer_probe(TH_SYN);
	assert_true(refuses_soon(false));
	assert_leads_to(ELSEWHERE, other_mac);
	/* And back, as often as it likes. */
	lease(guest_mac);
	become(GUEST, guest_mac);
	open_the_port();
	assert_leads_to(GUEST, guest_mac);
}

static void a_machine_behind_the_guest_gets_no_forwards(void **state)
{
	lease(guest_mac);
	lease(other_mac);
	become(GUEST, guest_mac);
	open_the_port();
	assert_leads_to(GUEST, guest_mac);
	become(ELSEWHERE, other_mac);
	frame_arp(&out, 1, guest, GATEWAY);
	send_out();
	assert_leads_to(GUEST, guest_mac);
}

static void a_guest_without_a_lease_is_where_it_shows_itself(void **state)
{
	static const char *const nobodys[] = { GATEWAY, "10.0.2.3", "10.0.2.0",
					       "10.0.2.255", "10.0.3.9",
					       "0.0.0.0" };

	for (size_t i = 0; i < G_N_ELEMENTS(nobodys); i++) {
		frame_arp(&out, 1, nobodys[i], GATEWAY);
		send_out();
	}
	assert_false(comes(is_tcp, 300));
	become("10.0.2.77", guest_mac);
	frame_arp(&out, 1, guest, GATEWAY);
	send_out();
	answer_probe(TH_SYN);
	assert_true(refuses_soon(false));
	assert_leads_to("10.0.2.77", guest_mac);
}

#define SECOND	UINT64_C(1000000000)

static void say(void)
{
	frame_arp(&out, 1, guest, GATEWAY);
	send_out();
}

/* The guest alone is asked, as libslirp never does. */
static bool is_question(void)
{
	return is_arp() && get16(in.bytes + 20) == 1 &&
	       !memcmp(in.bytes, guest_mac, 6);
}

static void listen_without_a_lease(void)
{
	loop_set_clock(loop, fake_clock);
	become("10.0.2.77", guest_mac);
	say();
	now += SECOND;
	answer_probe(TH_SYN);
	assert_true(refuses_soon(false));
}

static void a_guest_that_changes_its_address_is_followed(void **state)
{
	listen_without_a_lease();
	become("10.0.2.78", guest_mac);
	say();
	for (unsigned i = 0; i < 3; i++) {
		assert_true(comes(is_question, PATIENCE_MS));
		assert_int_equal(get32(in.bytes + 38), 0x0a00024d);
		assert_false(comes(is_question, 20));
		assert_false(refuses());
		now += SECOND;
	}
	assert_true(refuses_soon(true));
	now += SECOND;
	answer_probe(TH_SYN);
	assert_true(refuses_soon(false));
	assert_leads_to("10.0.2.78", guest_mac);
}

static void a_guest_with_two_addresses_is_where_it_was(void **state)
{
	unsigned questions = 0;

	listen_without_a_lease();
	for (unsigned i = 0; i < 50; i++) {
		become("10.0.2.78", guest_mac);
		say();
		become("10.0.2.77", guest_mac);
		if (comes(is_question, 5)) {
			questions++;
			say();
		}
		now += SECOND / 10;
	}
	assert_in_range(questions, 2, 5);
	assert_false(refuses());
	assert_leads_to("10.0.2.77", guest_mac);
}

static void nobody_else_makes_the_gateway_doubt(void **state)
{
	static const char *const nobodys[] = { GATEWAY, "10.0.2.3", "10.0.2.0",
					       "10.0.2.255", "10.0.3.9",
					       "192.168.0.1" };

	listen_without_a_lease();
	for (size_t i = 0; i < G_N_ELEMENTS(nobodys); i++) {
		become(nobodys[i], guest_mac);
		say();
	}
	become("10.0.2.78", other_mac);
	say();
	assert_false(comes(is_question, 50));
	now += 10 * SECOND;
	assert_false(comes(is_question, 50));
	assert_false(refuses());
}

/* Its datagrams go to the forwarded port. */
static int datagram_client(void)
{
	struct sockaddr_storage addr;
	socklen_t len = nat_port_sockaddr(&forward, &addr);
	int fd = socket(addr.ss_family, SOCK_DGRAM, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&addr, len), 0);
	return fd;
}

static bool is_datagram(void)
{
	return is_udp() && get16(l4() + 2) == GUEST_PORT;
}

/* A datagram comes for 10.0.2.@host. */
static void assert_datagram_for(unsigned host)
{
	assert_true(comes(is_datagram, PATIENCE_MS));
	assert_int_equal(get32(in.bytes + 30), 0x0a000200 + host);
}

static void datagrams_follow_the_guest_to_another_lease(void **state)
{
	autofd client = datagram_client();

	for (unsigned i = 0; i < 2; i++) {
		lease(i ? other_mac : guest_mac);
		loop_turn(loop, false);
		assert_int_equal(send(client, "x", 1, 0), 1);
		assert_datagram_for(15 + i);
	}
}

/* What has come to the port stays there: it was taken all the time. */
static void a_datagram_waits_while_its_forward_moves(void **state)
{
	autofd client = datagram_client();

	lease(guest_mac);
	loop_turn(loop, false);
	sender_mac = other_mac;
	send_dhcp_of(other_mac, 3);
	assert_int_equal(send(client, "x", 1, 0), 1);
	assert_datagram_for(16);
}

/* There are none but those that are open; what it was. */
static struct rlimit forbid_descriptors(void)
{
	autofd lowest = dup(STDIN_FILENO);
	struct rlimit was, none;

	getrlimit(RLIMIT_NOFILE, &was);
	none = was;
	none.rlim_cur = (rlim_t)lowest;
	setrlimit(RLIMIT_NOFILE, &none);
	return was;
}

static void a_forward_that_cannot_follow_keeps_its_port(void **state)
{
	autofd client = datagram_client();
	struct rlimit was;

	lease(guest_mac);
	assert_int_equal(send(client, "x", 1, 0), 1);
	assert_datagram_for(15);
	was = forbid_descriptors();
	lease(other_mac);
	sender_mac = guest_mac;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(send(client, "x", 1, 0), 1);
		assert_datagram_for(15);
	}
	assert_string_equal(stuck_because, g_strerror(EMFILE));
	assert_int_equal(times_stuck, 1);
	setrlimit(RLIMIT_NOFILE, &was);
	sender_mac = other_mac;
	assert_int_equal(send(client, "x", 1, 0), 1);
	assert_datagram_for(16);
	assert_int_equal(times_stuck, 1);
}

static unsigned descriptors(void)
{
	GDir *dir = g_dir_open("/proc/self/fd", 0, NULL);
	unsigned n = 0;

	while (g_dir_read_name(dir))
		n++;
	g_dir_close(dir);
	return n;
}

/* A libslirp that does not say what it waits for. */
static bool is_silent;

void slirp_pollfds_fill(Slirp *slirp, uint32_t *timeout,
			SlirpAddPollCb add_poll, void *opaque)
{
	__typeof__(slirp_pollfds_fill) *real = dlsym(RTLD_NEXT, __func__);

	if (!is_silent)
		real(slirp, timeout, add_poll, opaque);
}

static void a_socket_that_libslirp_does_not_name_is_an_error(void **state)
{
	g_autoptr(GError) error = NULL;
	struct net_forward f = forward;
	const struct net_nat_options options = { .forwards = &f,
						 .forward_count = 1 };
	struct net_backend *other;
	unsigned count;

	f.any_port = true;
	lease(guest_mac);
	count = descriptors();
	is_silent = true;
	assert_null(net_nat_open(loop, &options, &error));
	lease(other_mac);
	loop_turn(loop, false);
	is_silent = false;
	assert_non_null(strstr(error->message, "[net.port]"));
	assert_string_equal(stuck_because, "libslirp does not wait for it");
	/* What it was given is free again. */
	assert_int_equal(descriptors(), count);
	f.any_port = false;
	other = net_nat_open(loop, &options, NULL);
	assert_non_null(other);
	net_close(other);
}

/* Who has @mac asks whether anybody else is at @addr, which it will have. */
static void claim6(const char *addr, const uint8_t mac[6])
{
	uint8_t *icmp;

	sender_mac = mac;
	icmp = frame_ip6(&out, IPPROTO_ICMPV6, "ff02::1", 24);
	memset(out.bytes + 22, 0, 16);
	out.bytes[21] = 255;
	icmp[0] = 135;
	inet_pton(AF_INET6, addr, icmp + 8);
	send_out();
}

/* Plain and slow, from the sum @sum on. */
static unsigned plain_sum(const uint8_t *p, size_t len, unsigned sum)
{
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? p[i] : (unsigned)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static bool is_probe6(void)
{
	return is_tcp6() && l4_of6()[13] == TH_SYN &&
	       get16(l4_of6()) <= NAT_PROBES_MAX;
}

static bool is_clients_syn6(void)
{
	return is_tcp6() && l4_of6()[13] == TH_SYN &&
	       get16(l4_of6()) > NAT_PROBES_MAX;
}

/* The gateway's SYN to @addr as @mac, answered with @flags from there. */
static void answer_probe6(const char *addr, const uint8_t mac[6],
			  uint8_t flags)
{
	uint8_t want[16];
	uint8_t *tcp;

	assert_true(comes(is_probe6, PATIENCE_MS));
	inet_pton(AF_INET6, addr, want);
	assert_memory_equal(in.bytes + 38, want, 16);
	assert_memory_equal(in.bytes, mac, 6);
	assert_int_equal(get16(l4_of6() + 2), GUEST_PORT);
	assert_int_equal(plain_sum(l4_of6(), 20, pseudo6(in.bytes + 14, 20)),
			 0xffff);
	sender_mac = mac;
	tcp = frame_ip6(&out, IPPROTO_TCP, GATEWAY6, 20);
	memcpy(out.bytes + 22, want, 16);
	fill_tcp(tcp, GUEST_PORT, get16(l4_of6()), flags & TH_SYN ? 500 : 0,
		 get32(l4_of6() + 4) + 1, flags | TH_ACK);
	send_out();
}

static void assert_leads_to6(const char *addr)
{
	uint8_t want[16];
	autofd client = -1;

	while (comes(is_tcp6, 100))
		;
	client = connect_client();
	assert_true(client >= 0);
	assert_true(comes(is_clients_syn6, PATIENCE_MS));
	inet_pton(AF_INET6, addr, want);
	assert_memory_equal(in.bytes + 38, want, 16);
	assert_int_equal(get16(l4_of6() + 2), GUEST_PORT);
}

static void a_port_of_ipv6_leads_to_the_guests(void **state)
{
	assert_true(refuses());
	/* Neither by IPv4 nor by what is nobody's address it is known. */
	frame_arp(&out, 1, GUEST, GATEWAY);
	send_out();
	claim6("fe80::15", guest_mac);
	claim6(GATEWAY6, guest_mac);
	assert_false(comes(is_probe6, 300));
	claim6("fec0::15", guest_mac);
	answer_probe6("fec0::15", guest_mac, TH_RST);
	assert_true(refuses());
	answer_probe6("fec0::15", guest_mac, TH_SYN);
	assert_true(refuses_soon(false));
	assert_leads_to6("fec0::15");
	/* What another machine has does not matter. */
	claim6("fec0::16", other_mac);
	assert_leads_to6("fec0::15");
	net_forget(nb);
	assert_true(refuses());
}

/* It may say where it is before its lease says who it is. */
static void a_port_of_ipv6_follows_the_guest(void **state)
{
	lease(guest_mac);
	claim6("fec0::15", guest_mac);
	answer_probe6("fec0::15", guest_mac, TH_SYN);
	assert_true(refuses_soon(false));
	claim6("fec0::16", other_mac);
	assert_false(refuses());
	lease(other_mac);
	assert_true(refuses());
	answer_probe6("fec0::16", other_mac, TH_SYN);
	assert_true(refuses_soon(false));
	assert_leads_to6("fec0::16");
}

static bool is_question6(void)
{
	return is_solicitation() && !memcmp(in.bytes, guest_mac, 6);
}

static void a_guest_that_changes_its_ipv6_address_is_followed(void **state)
{
	uint8_t was[16];

	inet_pton(AF_INET6, "fec0::15", was);
	loop_set_clock(loop, fake_clock);
	claim6("fec0::15", guest_mac);
	now += SECOND;
	answer_probe6("fec0::15", guest_mac, TH_SYN);
	assert_true(refuses_soon(false));
	for (unsigned i = 0; i < 2; i++) {
		claim6("fec0::16", guest_mac);
		assert_true(comes(is_question6, PATIENCE_MS));
		assert_memory_equal(l4_of6() + 8, was, 16);
		assert_int_equal(in.bytes[21], 255);
		assert_int_equal(plain_sum(l4_of6(), 32,
					   pseudo6(in.bytes + 14, 32)), 0xffff);
		answer_solicitation();
		now += 4 * SECOND;
		assert_false(comes(is_question6, 20));
	}
	claim6("fec0::16", guest_mac);
	for (unsigned i = 0; i < 4; i++) {
		assert_false(refuses());
		assert_int_equal(comes(is_question6, i < 3 ? PATIENCE_MS : 20),
				 i < 3);
		now += SECOND;
	}
	assert_true(refuses_soon(true));
	answer_probe6("fec0::16", guest_mac, TH_SYN);
	assert_true(refuses_soon(false));
	assert_leads_to6("fec0::16");
}

static void a_busy_port_names_its_holder(void **state)
{
	g_autoptr(GError) error = NULL;
	struct net_forward f = { .host = { htonl(INADDR_LOOPBACK) },
				 .guest_port = 22 };
	const struct net_nat_options options = { .forwards = &f,
						 .forward_count = 1 };
	autofd fd = host_socket(SOCK_STREAM, &f.host_port);

	assert_true(fd >= 0);
	assert_null(net_nat_open(loop, &options, &error));
	assert_true(g_error_matches(error, USER_ERROR, EX_UNAVAILABLE));
	assert_non_null(strstr(error->message, "[net.port-busy]"));
	assert_non_null(strstr(error->message, "this machine has it"));
}

/* Whose port refuses is held all the same. */
static void a_port_that_refuses_is_no_one_elses(void **state)
{
	g_autoptr(GError) error = NULL;
	struct net_forward f = forward;
	const struct net_nat_options options = { .forwards = &f,
						 .forward_count = 1 };

	f.any_port = false;
	assert_null(net_nat_open(loop, &options, &error));
	assert_non_null(strstr(error->message, "[net.port-busy]"));
}

#define NAT_TEST(name, how) cmocka_unit_test_setup_teardown(name, how, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		NAT_TEST(an_idle_guest_lets_the_host_sleep, forwarding),
		NAT_TEST(a_port_refuses_until_the_guest_listens, forwarding),
		NAT_TEST(a_client_reaches_the_guest, forwarding),
		NAT_TEST(a_port_refuses_again_when_the_guest_does, forwarding),
		NAT_TEST(a_reset_of_a_connection_alone_closes_nothing,
			 forwarding),
		NAT_TEST(a_port_refuses_when_the_guest_begins_anew,
			 forwarding),
		NAT_TEST(a_port_refuses_when_the_guest_falls_silent,
			 forwarding),
		cmocka_unit_test_setup_teardown(
			clients_wait_when_descriptors_become_few,
			few_descriptors, enough_descriptors),
		NAT_TEST(a_forward_follows_the_guest_to_another_lease,
			 forwarding),
		NAT_TEST(a_machine_behind_the_guest_gets_no_forwards,
			 forwarding),
		NAT_TEST(a_guest_without_a_lease_is_where_it_shows_itself,
			 forwarding),
		NAT_TEST(a_guest_that_changes_its_address_is_followed,
			 forwarding),
		NAT_TEST(a_guest_with_two_addresses_is_where_it_was,
			 forwarding),
		NAT_TEST(nobody_else_makes_the_gateway_doubt, forwarding),
		NAT_TEST(datagrams_follow_the_guest_to_another_lease,
			 forwarding_udp),
		NAT_TEST(a_datagram_waits_while_its_forward_moves,
			 forwarding_udp),
		NAT_TEST(a_forward_that_cannot_follow_keeps_its_port,
			 forwarding_udp),
		NAT_TEST(a_socket_that_libslirp_does_not_name_is_an_error,
			 forwarding),
		NAT_TEST(a_port_of_ipv6_leads_to_the_guests, forwarding6),
		NAT_TEST(a_port_of_ipv6_follows_the_guest, forwarding6),
		NAT_TEST(a_guest_that_changes_its_ipv6_address_is_followed,
			 forwarding6),
		NAT_TEST(a_busy_port_names_its_holder, plain),
		NAT_TEST(a_port_that_refuses_is_no_one_elses, forwarding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
