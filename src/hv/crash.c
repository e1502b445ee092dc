/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest crash enlightenment.  TLFS 4.3. */
#include <string.h>

#include "core/trace.h"
#include "hv/hv_internal.h"

/* With CRASH_NOTIFY_MSG: where the text is, and how long. */
enum { P_MESSAGE = 3, P_MESSAGE_LEN = 4 };

/* One that cannot be read stays empty, and the crash is told anyway. */
static void read_message(const struct hv *hv, struct hv_crash *crash)
{
	char *text = crash->message;
	size_t len = MIN(crash->p[P_MESSAGE_LEN], HV_CRASH_MESSAGE_MAX);

	gmem_read(hv->gm, crash->p[P_MESSAGE], text, len);
	for (char *c = text; *c; c++)
		if (!g_ascii_isprint(*c) && *c != '\n')
			*c = '?';
}

static void trace_crash(const struct hv_vp *vp, const struct hv_crash *c)
{
	g_autofree char *text = g_strescape(c->message, NULL);

	trace(TRACE_HV, "hv.crash vp=%u os=%#" G_GINT64_MODIFIER
	      "x p0=%#" G_GINT64_MODIFIER "x p1=%#" G_GINT64_MODIFIER
	      "x p2=%#" G_GINT64_MODIFIER "x p3=%#" G_GINT64_MODIFIER
	      "x p4=%#" G_GINT64_MODIFIER "x text=\"%s\"", vp->index,
	      c->guest_os_id, c->p[0], c->p[1], c->p[2], c->p[3], c->p[4],
	      text);
}

bool crash_write_ctl(struct hv_vp *vp, uint32_t msr, uint64_t ctl)
{
	struct hv *hv = vp->hv;
	g_autofree struct hv_crash *crash = NULL;

	if (!(ctl & HV_CRASH_CTL_CRASH_NOTIFY))
		return true;

	crash = g_new0(struct hv_crash, 1);
	pthread_mutex_lock(&hv->lock);
	crash->guest_os_id = hv->guest_os_id;
	memcpy(crash->p, hv->crash, sizeof(crash->p));
	pthread_mutex_unlock(&hv->lock);
	if (ctl & HV_CRASH_CTL_CRASH_NOTIFY_MSG)
		read_message(hv, crash);
	trace_crash(vp, crash);
	hv->ops->crash(hv->host, vp->index, crash);
	return true;
}
