/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether there is a link, as the guest hears of it.
 *
 *	back end, user -> link_update() -> link_tell(): now, or when it has been
 *					   quiet for so long
 *
 * Linux works changes off one by one, each two seconds after the last.  It is
 * told at most that often, and then what is true; that a link went and came
 * back in between may mean that it leads elsewhere, so it hears that, too.
 *
 * All of it is line 0's, whose word counts for the cable.
 */
#include "devices/netvsp/netvsp_internal.h"

#define LINK_QUIET_NS	UINT64_C(2000000000)

bool link_is_up(const struct netvsp *nv)
{
	return nv->nb->link_up && !nv->unplugged;
}

void link_begin(struct netvsp *nv)
{
	nv->link_told = nv->link_up = link_is_up(nv);
	nv->link_changed = false;
	loop_timer_clear(nv->vmbus.loop, &nv->link_quiet);
}

uint32_t link_speed(const struct netvsp *nv)
{
	return (uint32_t)MIN(nv->nb->speed / 100, UINT32_MAX);
}

static void indicate(struct netvsp *nv)
{
	uint32_t speed = link_speed(nv);

	if (!nv->link_up) {
		rndis_indicate(nv, RNDIS_STATUS_MEDIA_DISCONNECT, NULL, 0);
		return;
	}
	rndis_indicate(nv, RNDIS_STATUS_LINK_SPEED_CHANGE, &speed,
		       sizeof(speed));
	rndis_indicate(nv, nv->link_told ? RNDIS_STATUS_NETWORK_CHANGE :
					   RNDIS_STATUS_MEDIA_CONNECT, NULL, 0);
}

static void link_tell(struct netvsp *nv)
{
	bool news = nv->link_changed && (nv->link_up || nv->link_told);

	nv->link_changed = false;
	if (!news || nv->rndis != RNDIS_UP)
		return;
	indicate(nv);
	nv->link_told = nv->link_up;
	loop_timer_set(nv->vmbus.loop, &nv->link_quiet,
		       loop_now(nv->vmbus.loop) + LINK_QUIET_NS);
}

void link_was_quiet(struct loop_timer *t)
{
	struct netvsp *nv = container_of(t, struct netvsp, link_quiet);

	line_begin(nv->line[0]);
	link_tell(nv);
	line_end(nv->line[0]);
}

void link_update(struct netvsp *nv)
{
	bool up = link_is_up(nv);

	if (up == nv->link_up)
		return;
	nv->link_up = up;
	nv->link_changed = true;
	if (!nv->link_quiet.due_ns)
		link_tell(nv);
}
