/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The timer that a VP has of its host, for the first of what is due: one of its
 * synthetic timers, or another try of messages that wait.
 */
#include "hv/hv_internal.h"

#define NEVER	UINT64_MAX

void deadline_init(struct hv_vp *vp)
{
	for (unsigned i = 0; i < DUE_COUNT; i++)
		vp->due[i] = NEVER;
	vp->deadline = NEVER;
}

void deadline_set(struct hv_vp *vp, enum due due, uint64_t at)
{
	uint64_t next;

	vp->due[due] = at;
	next = MIN(vp->due[DUE_TIMER], vp->due[DUE_RETRY]);
	if (next == vp->deadline)
		return;
	vp->deadline = next;
	vp->hv->ops->set_timer(vp->hv->host, vp->index, next);
}

/* The host's timer is used up. */
void hv_timer_expired(struct hv *hv, uint32_t n)
{
	struct hv_vp *vp;

	g_assert(n < hv->config.vp_count);
	vp = &hv->vp[n];
	pthread_mutex_lock(&vp->lock);
	vp->deadline = NEVER;
	pthread_mutex_unlock(&vp->lock);
	stimer_run(vp);
	message_retry_expired(vp);
}
