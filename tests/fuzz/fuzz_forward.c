/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --publish: what is taken can be written down and read again. */
#include <arpa/inet.h>
#include <glib.h>
#include <string.h>

#include "vmm/options_internal.h"

static char *write_down(const struct net_forward *f)
{
	char addr[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &f->host, addr, sizeof(addr));
	return g_strdup_printf("%s:%u:%u/%s", addr, f->host_port,
			       f->guest_port, f->udp ? "udp" : "tcp");
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
	g_assert(f.host.s_addr == g.host.s_addr && f.udp == g.udp &&
		 f.host_port == g.host_port && f.guest_port == g.guest_port);
	return 0;
}
