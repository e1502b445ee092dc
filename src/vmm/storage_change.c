/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk that comes, goes or grows is a move.  It goes from thread to thread,
 * and who has it is alone with it.
 *
 *	add	main: a place -> files: open -> controller: attach -> main
 *	remove	main -> controller: detach ... at rest -> files: close -> main
 *	resize	main -> controller: measure -> main
 *
 * Files are opened and closed by a thread that does nothing else, since it
 * can take long; guests' disks and the main loop go on.  A disk that could not
 * be attached is closed by it as well.
 */
#include <errno.h>

#include "core/error.h"
#include "core/util.h"
#include "vmm/storage_internal.h"

#define PLACES	(CONTROLLER_MAX * STORVSP_LUN_MAX)

struct move {
	struct loop_note note;
	struct storage *s;
	struct controller *c;
	struct place *place;
	struct disk_options *options;	/* of a new disk, else NULL */
	struct scsi_lun *disk;		/* neither attached nor closed */
	struct storvsp_detach detach;
	struct storage_result result;
	struct storage_reply reply;
};

static void go(struct move *m, struct loop *loop,
	       void (*run)(struct loop_note *note))
{
	m->note.run = run;
	loop_post(loop, &m->note);
}

static struct move *move_of(struct loop_note *note)
{
	return container_of(note, struct move, note);
}

/* Set the error, once; @verb is what could not be done. */
static void fail(struct move *m, const char *verb, int status,
		 const char *id, const char *why, const char *advice)
{
	g_autofree char *what = g_strdup_printf(
		"cannot %s the disk at controller %u, LUN %u", verb,
		m->result.controller, m->result.lun);

	if (!m->result.error)
		user_error_set(&m->result.error, status, id, what, why,
			       advice);
}

static void stays(struct move *m, const char *verb, const char *why)
{
	fail(m, verb, EX_USAGE, "disk.stays", why,
	     "--disk when the machine starts; "
	     "a raw image, VHD or VHDX comes and goes");
}

/*
 * The end of all.
 */
static void move_free(struct move *m)
{
	disk_options_free(m->options);
	g_free(m);
}

static void end(struct loop_note *note)
{
	struct move *m = move_of(note);

	if (m->place)
		m->place->busy = false;
	m->reply.done(&m->result, m->reply.arg);
	g_queue_remove(&m->s->moves, m);
	move_free(m);
}

void storage_drop_moves(struct storage *s)
{
	struct move *m;

	while ((m = g_queue_pop_head(&s->moves))) {
		scsi_lun_free(m->disk);
		g_clear_error(&m->result.error);
		move_free(m);
	}
}

static struct move *move_new(struct storage *s,
				 const struct storage_reply *reply)
{
	struct move *m = g_new0(struct move, 1);

	m->s = s;
	m->reply = *reply;
	g_queue_push_tail(&s->moves, m);
	return m;
}

static void set_place(struct move *m, unsigned controller, unsigned lun)
{
	m->result.controller = controller;
	m->result.lun = lun;
	m->c = &m->s->controller[controller];
	m->place = &m->c->place[lun];
	m->place->busy = true;
}

/* Where files are opened and closed; NULL with an error. */
static struct loop *files_of(struct move *m)
{
	struct storage *s = m->s;

	if (s->files)
		return iothread_loop(s->files);
	s->files = iothread_new(&m->result.error);
	if (!s->files)
		return NULL;
	if (iothread_start(s->files, &m->result.error))
		return iothread_loop(s->files);
	g_clear_pointer(&s->files, iothread_free);
	return NULL;
}

static struct loop *loop_of(const struct move *m)
{
	return iothread_loop(m->c->io);
}

static void close_disk(struct loop_note *note)
{
	struct move *m = move_of(note);

	g_clear_pointer(&m->disk, scsi_lun_free);
	go(m, m->s->main_loop, end);
}

/*
 * Adding.
 */
static void added(struct loop_note *note)
{
	struct move *m = move_of(note);
	struct controller *c = m->c;

	storage_take_place(m->s, m->options, NULL);
	if (!c->offered)
		vmbus_offer(m->s->bus, storvsp_device(c->sv));
	c->offered = true;
	c->next = m->result.lun + 1;
	end(note);
}

/* The place is free for the main loop, and yet may not be for the guest. */
static void attach_disk(struct loop_note *note)
{
	struct move *m = move_of(note);

	if (!storvsp_attach(m->c->sv, m->result.lun, m->disk)) {
		m->disk = NULL;
		go(m, m->s->main_loop, added);
		return;
	}
	fail(m, "add", EX_TEMPFAIL, "disk.place",
	     "the guest has not seen yet that the one before is gone",
	     "another lun=, none, or later");
	go(m, iothread_loop(m->s->files), close_disk);
}

static void open_disk(struct loop_note *note)
{
	struct move *m = move_of(note);
	const struct disk_options *d = m->options;
	const char *why = storage_stays(m->s, d);

	if (why)
		stays(m, "add", why);
	else
		m->disk = storage_open_lun(loop_of(m), d,
					    m->s->options->ephemeral ||
					    d->ephemeral, &m->result.error);
	if (m->disk)
		go(m, loop_of(m), attach_disk);
	else
		go(m, m->s->main_loop, end);
}

static bool is_free(const struct controller *c, unsigned lun)
{
	return !c->place[lun].busy && !c->place[lun].file;
}

/* Not the one that was left last, which the guest may know still. */
static bool choose_lun(struct move *m, unsigned controller)
{
	struct controller *c = &m->s->controller[controller];
	struct disk_options *d = m->options;

	for (unsigned i = 0; i < STORVSP_LUN_MAX; i++) {
		unsigned lun = (c->next + i) % STORVSP_LUN_MAX;

		if (!is_free(c, lun) || (d->lun != DISK_AUTO && d->lun != lun))
			continue;
		d->controller = controller;
		d->lun = lun;
		set_place(m, controller, lun);
		return true;
	}
	return false;
}

/* A LUN alone is one of the first controller. */
static bool choose_place(struct move *m)
{
	const struct disk_options *d = m->options;
	unsigned last = CONTROLLER_MAX - 1;

	if (d->controller != DISK_AUTO)
		return choose_lun(m, d->controller);
	if (d->lun != DISK_AUTO)
		last = 0;
	for (unsigned c = 0; c <= last; c++)
		if (choose_lun(m, c))
			return true;
	return false;
}

static void no_place(struct move *m)
{
	g_autofree char *what = g_strdup_printf("cannot add disk %s",
						m->options->file);

	user_error_set(&m->result.error, EX_USAGE, "disk.place", what,
		       "another disk is where it is to be",
		       "leave controller= and lun= out, or remove that one");
}

static void no_bus(struct move *m)
{
	user_error_set(&m->result.error, EX_USAGE, "hv.no-vmbus",
		       "the guest would not find the disk",
		       "its profile lacks what VMBus needs",
		       "start it with --hv-profile full");
}

static bool start_controller(struct move *m)
{
	struct controller *c = m->c;

	if (c->sv)
		return true;
	if (storage_open_controller(m->s, m->result.controller,
				    &m->result.error) &&
	    iothread_start(c->io, &m->result.error))
		return true;
	g_clear_pointer(&c->sv, storvsp_free);
	g_clear_pointer(&c->io, iothread_free);
	return false;
}

void storage_add(struct storage *s, struct disk_options *d,
		 const struct storage_reply *reply)
{
	struct move *m = move_new(s, reply);

	m->options = d;
	if (!s->bus)
		no_bus(m);
	else if (!choose_place(m))
		no_place(m);
	if (!m->result.error && files_of(m) && start_controller(m))
		go(m, iothread_loop(s->files), open_disk);
	else
		end(&m->note);
}

/*
 * Removing.
 */
static void detached(struct storvsp_detach *d)
{
	struct move *m = container_of(d, struct move, detach);

	m->disk = d->lun;
	if (d->failed)
		fail(m, "flush", EX_IOERR, "disk.io",
		     "it is removed, but the last of what the guest wrote "
		     "could not be made stable",
		     "look at the host's log, and check its file systems");
	go(m, iothread_loop(m->s->files), close_disk);
}

static void detach_disk(struct loop_note *note)
{
	struct move *m = move_of(note);

	m->detach.done = detached;
	if (storvsp_detach(m->c->sv, m->result.lun, &m->detach))
		g_assert_not_reached();
}

/* Have the disk there for the change; false with an error. */
static bool find_disk(struct move *m, const char *verb, unsigned controller,
		      unsigned lun)
{
	const struct place *p = NULL;

	m->result.controller = controller;
	m->result.lun = lun;
	if (controller < CONTROLLER_MAX && lun < STORVSP_LUN_MAX)
		p = &m->s->controller[controller].place[lun];
	if (p && p->busy) {
		fail(m, verb, EX_TEMPFAIL, "disk.busy",
		     "it is just being changed", "later");
	} else if (!p || !p->file) {
		fail(m, verb, EX_USAGE, "disk.none", "there is none",
		     "ListDisks says which there are");
	} else {
		set_place(m, controller, lun);
	}
	return !m->result.error;
}

void storage_remove(struct storage *s, unsigned controller, unsigned lun,
		    const struct storage_reply *reply)
{
	struct move *m = move_new(s, reply);

	if (find_disk(m, "remove", controller, lun) && m->place->stays)
		stays(m, "remove", m->place->stays);
	if (m->result.error || !files_of(m)) {
		end(&m->note);
		return;
	}
	g_clear_pointer(&m->place->file, g_free);
	go(m, loop_of(m), detach_disk);
}

/*
 * Resizing.
 */
static void measure_failed(struct move *m, int number)
{
	switch (number) {
	case EOPNOTSUPP:
		fail(m, "resize", EX_USAGE, "disk.fixed-size",
		     "only raw images and devices change while they are used",
		     "kvmbus disk resize, when no machine has it");
		break;
	case EINVAL:
		fail(m, "resize", EX_DATAERR, "disk.size",
		     "what it has become is no multiple of its sectors, or "
		     "nothing", "truncate -s %512 FILE   (appends zeroes)");
		break;
	default:
		fail(m, "resize", EX_IOERR, "disk.io", g_strerror(number),
		     "look at the host's log");
	}
}

static void measure_disk(struct loop_note *note)
{
	struct move *m = move_of(note);
	struct scsi_lun *disk = storvsp_lun(m->c->sv, m->result.lun);
	int ret = scsi_disk_measure(disk, &m->result.size);

	if (ret)
		measure_failed(m, -ret);
	else
		storvsp_announce(m->c->sv);
	go(m, m->s->main_loop, end);
}

void storage_resize(struct storage *s, unsigned controller, unsigned lun,
		    const struct storage_reply *reply)
{
	struct move *m = move_new(s, reply);

	if (find_disk(m, "resize", controller, lun))
		go(m, loop_of(m), measure_disk);
	else
		end(&m->note);
}

void storage_list(const struct storage *s,
		  void (*each)(unsigned controller, unsigned lun,
			       const char *file, void *arg), void *arg)
{
	for (unsigned n = 0; n < PLACES; n++) {
		unsigned c = n / STORVSP_LUN_MAX, lun = n % STORVSP_LUN_MAX;
		const struct place *p = &s->controller[c].place[lun];

		if (p->file)
			each(c, lun, p->file, arg);
	}
}
