/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <string.h>

#include "vmm/options_internal.h"

/* "22", "2222:22", "127.0.0.1:22", "127.0.0.1:2222:22", "[::1]:2222:22" */
#define PARTS_MAX	3

static bool parse_port(const char *text, unsigned least, uint16_t *port)
{
	unsigned n;

	if (!parse_count(text, UINT16_MAX, &n) || n < least)
		return false;
	*port = (uint16_t)n;
	return true;
}

/* Cut "/udp" or "/tcp" off @text. */
static bool cut_protocol(char *text, bool *udp)
{
	char *slash = strchr(text, '/');

	*udp = slash && !strcmp(slash, "/udp");
	if (!slash)
		return true;
	if (!*udp && strcmp(slash, "/tcp") != 0)
		return false;
	*slash = '\0';
	return true;
}

/* "[ADDR]:" in front of *@text, if it begins so. */
static bool cut_ip6(char **text, struct net_forward *f)
{
	char *end;

	if (**text != '[')
		return true;
	end = strstr(*text, "]:");
	if (!end)
		return false;
	*end = '\0';
	f->ip6 = true;
	if (inet_pton(AF_INET6, *text + 1, &f->host6) != 1)
		return false;
	*text = end + strlen("]:");
	return true;
}

bool forward_parse(const char *value, struct net_forward *f)
{
	g_autofree char *text = g_strdup(value);
	g_auto(GStrv) parts = NULL;
	char *rest = text;
	unsigned n, at = 0;

	*f = (struct net_forward){ .host = { htonl(INADDR_LOOPBACK) } };
	if (!cut_protocol(text, &f->udp) || !cut_ip6(&rest, f))
		return false;
	parts = g_strsplit(rest, ":", -1);
	n = g_strv_length(parts);
	if (n < 1 || n > PARTS_MAX)
		return false;
	if (!f->ip6 && strchr(parts[0], '.') &&
	    inet_pton(AF_INET, parts[at++], &f->host) != 1)
		return false;
	if (n == at || n - at > 2 ||
	    !parse_port(parts[n - 1], 1, &f->guest_port))
		return false;
	f->host_port = f->guest_port;
	if (n - at == 2 && !parse_port(parts[at], 0, &f->host_port))
		return false;
	f->any_port = !f->host_port;
	return true;
}

bool set_publish(struct options *o, const char *value, GError **error)
{
	struct net_forward f;

	if (!forward_parse(value, &f))
		return bad_value(error, "publish", value,
				 "it is no [ADDR:][HOST:]GUEST[/udp] with an "
				 "IPv4 address, or an IPv6 address in "
				 "brackets, and ports up to 65535",
				 "-p 2222:22, or -p [::1]:2222:22");
	if (o->forwards->len == NET_FORWARDS_MAX)
		return bad_value(error, "publish", value,
				 "a machine has up to 64 forwards",
				 "fewer of them");
	g_array_append_val(o->forwards, f);
	return true;
}
