/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>

#include "vmm/crash.h"

#define HEX	"%#" G_GINT64_MODIFIER "x"

/* TLFS 2.6.1: GUEST_OS_ID 62:48 vendor, 47:40 OS, 39:16 version, 15:0 build. */
#define OS_OF(id)	((id) >> 40)
#define OS_WINDOWS_NT	UINT64_C(0x000104)	/* Microsoft, Windows NT */

bool crash_is_bugcheck(const struct hv_crash *crash)
{
	return OS_OF(crash->guest_os_id) == OS_WINDOWS_NT;
}

static void append_bugcheck(GString *s, const struct hv_crash *c)
{
	uint64_t id = c->guest_os_id;

	g_string_append_printf(s, "bugcheck " HEX " (" HEX ", " HEX ", " HEX
			       ", " HEX ") in Windows %u.%u.%u", c->p[0],
			       c->p[1], c->p[2], c->p[3], c->p[4],
			       (unsigned)(id >> 32 & 0xff),
			       (unsigned)(id >> 24 & 0xff),
			       (unsigned)(id & 0xffff));
}

char *crash_describe(const struct hv_crash *c)
{
	GString *s = g_string_new(NULL);

	if (crash_is_bugcheck(c))
		append_bugcheck(s, c);
	else
		g_string_append_printf(s, "p0=" HEX " p1=" HEX " p2=" HEX
				       " p3=" HEX " p4=" HEX, c->p[0], c->p[1],
				       c->p[2], c->p[3], c->p[4]);
	if (c->message[0])
		g_string_append_printf(s, "\n%s", c->message);
	return g_strchomp(g_string_free(s, FALSE));
}
