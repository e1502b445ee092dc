/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --publish: what is taken can be written down and read again. */
#include <arpa/inet.h>
#include <glib.h>
#include <string.h>

#include "vmm/options_internal.h"

static char *write_down(const struct net_forward *f)
{
	char addr[INET6_ADDRSTRLEN];

	inet_ntop(f->ip6 ? AF_INET6 : AF_INET, &f->host6, addr, sizeof(addr));
	return g_strdup_printf(f->ip6 ? "[%s]:%u:%u/%s" : "%s:%u:%u/%s", addr,
			       f->host_port, f->guest_port,
			       f->udp ? "udp" : "tcp");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = g_strndup((const char *)data, size);
	g_autofree char *again = NULL;
	struct net_forward f, g;

	if (!forward_parse(text, &f))
		return 0;
	again = write_down(&f);
	g_assert(f.guest_port && f.any_port == !f.host_port);
	g_assert(forward_parse(again, &g));
	g_assert(f.ip6 == g.ip6 && f.udp == g.udp &&
		 !memcmp(&f.host6, &g.host6, f.ip6 ? 16 : 4) &&
		 f.host_port == g.host_port && f.guest_port == g.guest_port);
	return 0;
}
