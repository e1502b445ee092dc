/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/error.h"
#include "core/util.h"
#include "vmm/storage_move.h"

struct move *move_new(struct storage *s, const struct storage_reply *reply)
{
	struct move *m = g_new0(struct move, 1);

	m->s = s;
	m->reply = *reply;
	g_queue_push_tail(&s->moves, m);
	return m;
}

void move_go(struct move *m, struct loop *loop,
	     void (*run)(struct loop_note *note))
{
	m->note.run = run;
	loop_post(loop, &m->note);
}

struct loop *move_loop(const struct move *m)
{
	return iothread_loop(m->c->io);
}

static struct loop *thread_loop(struct move *m, struct iothread **io)
{
	if (*io)
		return iothread_loop(*io);
	*io = iothread_new(&m->result.error);
	if (!*io)
		return NULL;
	if (iothread_start(*io, &m->result.error))
		return iothread_loop(*io);
	g_clear_pointer(io, iothread_free);
	return NULL;
}

struct loop *move_files(struct move *m)
{
	return thread_loop(m, &m->s->files);
}

struct loop *move_growth(struct move *m)
{
	return thread_loop(m, &m->s->growth);
}

void move_fail(struct move *m, const char *verb, int status, const char *id,
	       const char *why, const char *advice)
{
	g_autofree char *what = g_strdup_printf(
		"cannot %s the disk at controller %u, LUN %u", verb,
		m->result.controller, m->result.lun);

	if (!m->result.error)
		user_error_set(&m->result.error, status, id, what, why,
			       advice);
}

void move_set_place(struct move *m, unsigned controller, unsigned lun)
{
	m->result.controller = controller;
	m->result.lun = lun;
	m->c = &m->s->controller[controller];
	m->place = &m->c->place[lun];
	m->place->busy = true;
}

bool move_find(struct move *m, const char *verb, unsigned controller,
	       unsigned lun)
{
	const struct place *p = NULL;

	m->result.controller = controller;
	m->result.lun = lun;
	if (controller < CONTROLLER_MAX && lun < STORVSP_LUN_MAX)
		p = &m->s->controller[controller].place[lun];
	if (p && p->busy) {
		move_fail(m, verb, EX_TEMPFAIL, "disk.busy",
			  "it is just being changed", "later");
	} else if (!p || !p->file) {
		move_fail(m, verb, EX_USAGE, "disk.none", "there is none",
			  "ListDisks says which there are");
	} else {
		move_set_place(m, controller, lun);
	}
	return !m->result.error;
}

static void move_free(struct move *m)
{
	disk_options_free(m->options);
	g_free(m->file);
	g_free(m);
}

void move_end(struct loop_note *note)
{
	struct move *m = move_of(note);

	if (m->place)
		m->place->busy = false;
	m->reply.done(&m->result, m->reply.arg);
	g_queue_remove(&m->s->moves, m);
	move_free(m);
}

static void close_files(struct loop_note *note)
{
	struct move *m = move_of(note);

	g_clear_pointer(&m->disk, scsi_lun_free);
	g_clear_pointer(&m->medium, block_close);
	move_go(m, m->s->main_loop, move_end);
}

void move_close(struct move *m)
{
	move_go(m, iothread_loop(m->s->files), close_files);
}

void storage_drop_moves(struct storage *s)
{
	struct move *m;

	while ((m = g_queue_pop_head(&s->moves))) {
		scsi_lun_free(m->disk);
		block_close(m->medium);
		g_clear_error(&m->result.error);
		move_free(m);
	}
}
