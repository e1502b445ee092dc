/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disks that hold what the host fails at:
 *
 *	controller's loop: it holds ----> main loop: held(), which pauses
 *	controller's loop: try again <---- main loop: storage_again()
 */
#include "core/util.h"
#include "vmm/storage_internal.h"

/* What it is held for; .error 0: it is not, or has just given up or gone. */
static struct storage_held look(const struct place *p)
{
	return (struct storage_held){
		.controller = p->controller, .lun = p->lun, .file = p->file,
		.error = p->file ? g_atomic_int_get(&p->error) : 0,
	};
}

static void tell(struct loop_note *note)
{
	struct place *p = container_of(note, struct place, held);
	const struct storage_held h = look(p);

	if (h.error)
		p->storage->held(p->storage->host, &h);
}

static void changed(struct block_hold_watch *w, int error)
{
	struct place *p = container_of(w, struct place, watch);

	g_atomic_int_set(&p->error, -error);
	if (error)
		loop_post(p->storage->main_loop, &p->held);
}

static void try_again(struct loop_note *note)
{
	storvsp_again(container_of(note, struct controller, again)->sv);
}

void storage_watch(struct storage *s,
		   void (*held)(void *host, const struct storage_held *h),
		   void *host)
{
	s->held = held;
	s->host = host;
}

void storage_hold_init(struct storage *s)
{
	for (unsigned i = 0; i < CONTROLLER_MAX; i++) {
		struct controller *c = &s->controller[i];

		c->again.run = try_again;
		for (unsigned lun = 0; lun < STORVSP_LUN_MAX; lun++) {
			struct place *p = &c->place[lun];

			p->storage = s;
			p->controller = i;
			p->lun = lun;
			p->watch.changed = changed;
			p->held.run = tell;
		}
	}
}

void storage_again(struct storage *s)
{
	for (unsigned i = 0; i < CONTROLLER_MAX; i++) {
		struct controller *c = &s->controller[i];

		if (c->sv)
			loop_post(iothread_loop(c->io), &c->again);
	}
}

void storage_list_held(const struct storage *s,
		       void (*each)(const struct storage_held *h, void *arg),
		       void *arg)
{
	for (unsigned i = 0; i < CONTROLLER_MAX * STORVSP_LUN_MAX; i++) {
		const struct place *p =
			&s->controller[i / STORVSP_LUN_MAX]
				 .place[i % STORVSP_LUN_MAX];
		const struct storage_held h = look(p);

		if (h.error)
			each(&h, arg);
	}
}
