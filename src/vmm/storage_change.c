/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>

#include "core/error.h"
#include "core/util.h"
#include "vmm/storage_move.h"

#define PLACES	(CONTROLLER_MAX * STORVSP_LUN_MAX)

/*
 * Adding.
 */
static void added(struct loop_note *note)
{
	struct move *m = move_of(note);
	struct controller *c = m->c;

	storage_take_place(m->s, m->options);
	if (!c->offered)
		vmbus_offer(m->s->bus, storvsp_device(c->sv));
	c->offered = true;
	c->next = m->result.lun + 1;
	move_end(note);
}

/* The place is free for the main loop, and yet may not be for the guest. */
static void attach_disk(struct loop_note *note)
{
	struct move *m = move_of(note);

	if (!storvsp_attach(m->c->sv, m->result.lun, m->disk)) {
		m->disk = NULL;
		move_go(m, m->s->main_loop, added);
		return;
	}
	move_fail(m, "add", EX_TEMPFAIL, "disk.place",
		  "the guest has not seen yet that the one before is gone",
		  "another lun=, none, or later");
	move_close(m);
}

static void open_disk(struct loop_note *note)
{
	struct move *m = move_of(note);

	m->disk = storage_open_lun(m->s, move_loop(m), m->options,
				   &m->result.error);
	if (m->disk)
		move_go(m, move_loop(m), attach_disk);
	else
		move_go(m, m->s->main_loop, move_end);
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
		move_set_place(m, controller, lun);
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
	const struct disk_options *d = m->options;
	bool any = d->controller == DISK_AUTO && d->lun == DISK_AUTO;
	g_autofree char *what = g_strdup_printf("cannot add disk %s",
						m->options->file);

	user_error_set(&m->result.error, EX_USAGE, "disk.place", what,
		       any ? "all LUNs are taken: 64 on each of 4 controllers" :
			     "another disk is where it is to be",
		       any ? "RemoveDisk, for one that is not needed" :
			     "leave controller= and lun= out, or remove that "
			     "one");
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
	if (!m->result.error && move_files(m) && start_controller(m))
		move_go(m, iothread_loop(s->files), open_disk);
	else
		move_end(&m->note);
}

/*
 * Removing.
 */
static void disk_left(struct block_leave *l)
{
	move_close(container_of(l, struct move, leave));
}

static void leave_loop(struct loop_note *note)
{
	struct move *m = move_of(note);

	m->leave.left = disk_left;
	scsi_lun_leave(m->disk, &m->leave);
}

/* Not from inside: who calls this may have to do with the disk still. */
static void detached(struct storvsp_detach *d)
{
	struct move *m = container_of(d, struct move, detach);

	m->disk = d->lun;
	if (d->failed)
		move_fail(m, "flush", EX_IOERR, "disk.io",
			  "it is removed, but the last of what the guest wrote "
			  "could not be made stable",
			  "look at the host's log, and check its file systems");
	move_go(m, move_loop(m), leave_loop);
}

static void detach_disk(struct loop_note *note)
{
	struct move *m = move_of(note);

	m->detach.done = detached;
	if (storvsp_detach(m->c->sv, m->result.lun, &m->detach))
		g_assert_not_reached();
}

void storage_remove(struct storage *s, unsigned controller, unsigned lun,
		    const struct storage_reply *reply)
{
	struct move *m = move_new(s, reply);

	if (!move_find(m, "remove", controller, lun) || !move_files(m)) {
		move_end(&m->note);
		return;
	}
	g_clear_pointer(&m->place->file, g_free);
	move_go(m, move_loop(m), detach_disk);
}

/*
 * Resizing.
 */
static void size_failed(struct move *m, int number, const char *advice)
{
	switch (number) {
	case EOPNOTSUPP:
		move_fail(m, "resize", EX_USAGE, "disk.fixed-size",
			  "it keeps its size while it is used", advice);
		break;
	case EINVAL:
		move_fail(m, "resize", EX_DATAERR, "disk.size",
			  "there is no disk of that size",
			  "whole sectors; a VHD has up to 2040 GiB, a VHDX "
			  "64 TiB, and none more than a larger parent hides\n"
			  "of a raw image: truncate -s %512 FILE   "
			  "(appends zeroes)");
		break;
	default:
		move_fail(m, "resize", EX_IOERR, "disk.io", g_strerror(number),
			  "room on the host's disk; look at the host's log");
	}
}

static void measure_disk(struct loop_note *note)
{
	struct move *m = move_of(note);
	struct scsi_lun *disk = storvsp_lun(m->c->sv, m->result.lun);
	int ret = scsi_disk_measure(disk, &m->result.size);

	if (ret)
		size_failed(m, -ret,
			    "GrowDisk, if the disk is a VHD or VHDX\n"
			    "kvmbus disk resize, when no machine has it");
	else
		storvsp_announce(m->c->sv);
	move_go(m, m->s->main_loop, move_end);
}

void storage_resize(struct storage *s, unsigned controller, unsigned lun,
		    const struct storage_reply *reply)
{
	struct move *m = move_new(s, reply);

	if (move_find(m, "resize", controller, lun))
		move_go(m, move_loop(m), measure_disk);
	else
		move_end(&m->note);
}

/*
 * Growing: the guest's requests wait, so that the format can be changed below
 * them.
 */
static void grown(struct loop_note *note)
{
	move_of(note)->s->growing = false;
	move_end(note);
}

static void release_disk(struct loop_note *note)
{
	struct move *m = move_of(note);
	struct scsi_lun *disk = storvsp_lun(m->c->sv, m->result.lun);

	scsi_disk_extended(disk, m->before);
	storvsp_release(m->c->sv, m->result.lun);
	if (m->result.size != m->before)
		storvsp_announce(m->c->sv);
	move_go(m, m->s->main_loop, grown);
}

static void grow_failed(struct move *m)
{
	if (m->size < m->before)
		move_fail(m, "resize", EX_USAGE, "disk.shrink",
			  "it would become smaller, and the guest would lose "
			  "what is there",
			  "kvmbus disk resize --shrink, when no machine has "
			  "it");
	else
		size_failed(m, -m->failed,
			    "a raw image, VHD or VHDX grows if its file can: "
			    "not of a server, shared,\n"
			    "ephemeral, read-only, or a VHD with a parent\n"
			    "kvmbus disk resize, when no machine has it");
}

static void extend_disk(struct loop_note *note)
{
	struct move *m = move_of(note);
	struct scsi_lun *disk = m->grows;

	m->before = scsi_disk_size(disk);
	if (m->hold.failed)
		m->failed = -EIO;
	else if (m->size > m->before)
		m->failed = scsi_disk_extend(disk, m->size);
	m->result.size = scsi_disk_size(disk);
	if (m->failed || m->size < m->before)
		grow_failed(m);
	move_go(m, move_loop(m), release_disk);
}

static void disk_at_rest(struct loop_note *note)
{
	struct move *m = move_of(note);

	move_go(m, iothread_loop(m->s->growth), extend_disk);
}

/* Not from inside, as when it is removed. */
static void held(struct storvsp_hold *h)
{
	struct move *m = container_of(h, struct move, hold);

	move_go(m, move_loop(m), disk_at_rest);
}

static void hold_disk(struct loop_note *note)
{
	struct move *m = move_of(note);

	m->hold.done = held;
	m->grows = storvsp_lun(m->c->sv, m->result.lun);
	if (storvsp_hold(m->c->sv, m->result.lun, &m->hold))
		g_assert_not_reached();
}

void storage_grow(struct storage *s, unsigned controller, unsigned lun,
		  uint64_t size, const struct storage_reply *reply)
{
	struct move *m = move_new(s, reply);

	m->size = size;
	if (move_find(m, "resize", controller, lun) && s->growing)
		move_fail(m, "resize", EX_TEMPFAIL, "disk.busy",
			  "another disk is growing", "later");
	if (m->result.error || !move_growth(m)) {
		move_end(&m->note);
		return;
	}
	s->growing = true;
	move_go(m, move_loop(m), hold_disk);
}

/*
 * Discs.
 */

/* What stood in the way, by its number. */
static const struct {
	int result;
	int status;
	const char *id, *why, *advice;
} disc_problems[] = {
	{ -ENODEV, EX_USAGE, "cdrom.no-drive",
	  "no DVD drive is there: those of a machine are made when it starts",
	  "kvmbus run --cdrom none,controller=%u,lun=%u" },
	{ -EEXIST, EX_TEMPFAIL, "cdrom.full", "there is a disc in the drive",
	  "EjectMedium %u %u false" },
	{ -ENOMEDIUM, EX_UNAVAILABLE, "cdrom.empty", "the drive is empty",
	  "InsertMedium %u %u FILE" },
	{ -EBUSY, EX_TEMPFAIL, "cdrom.locked",
	  "the guest has locked the drive, and has now been asked to eject",
	  "wait for the guest, or take it by force: EjectMedium %u %u true" },
};

static void disc_failed(struct move *m, int result)
{
	const struct storage_result *r = &m->result;
	g_autofree char *what = g_strdup_printf(
		"the disc of LUN %u on controller %u stays as it is", r->lun,
		r->controller);

	for (size_t i = 0; i < G_N_ELEMENTS(disc_problems); i++) {
		g_autofree char *advice = NULL;

		if (disc_problems[i].result != result)
			continue;
		advice = g_strdup_printf(disc_problems[i].advice,
					 r->controller, r->lun);
		user_error_set(&m->result.error, disc_problems[i].status,
			       disc_problems[i].id, what,
			       disc_problems[i].why, advice);
	}
}

/* Have the drive there for the change; false with an error. */
static bool find_drive(struct move *m, unsigned controller, unsigned lun)
{
	if (move_find(m, "change", controller, lun))
		return true;
	if (m->result.error->code == EX_USAGE) {
		g_clear_error(&m->result.error);
		disc_failed(m, -ENODEV);
	}
	return false;
}

/* The drive has what m->file says. */
static void disc_changed(struct loop_note *note)
{
	struct move *m = move_of(note);

	g_free(m->place->file);
	m->place->file = g_steal_pointer(&m->file);
	move_end(note);
}

static void insert_disc(struct loop_note *note)
{
	struct move *m = move_of(note);
	struct scsi_lun *drive = storvsp_lun(m->c->sv, m->result.lun);
	int ret = scsi_dvd_insert(drive, m->medium);

	if (!ret) {
		m->medium = NULL;
		move_go(m, m->s->main_loop, disc_changed);
		return;
	}
	disc_failed(m, ret);
	move_close(m);
}

static void open_disc(struct loop_note *note)
{
	struct move *m = move_of(note);

	m->medium = storage_open_medium(move_loop(m), m->file, true,
					&m->result.error);
	if (m->medium)
		move_go(m, move_loop(m), insert_disc);
	else
		move_go(m, m->s->main_loop, move_end);
}

void storage_insert(struct storage *s, unsigned controller, unsigned lun,
		    const char *file, const struct storage_reply *reply)
{
	struct move *m = move_new(s, reply);

	m->file = g_strdup(file);
	if (find_drive(m, controller, lun) && move_files(m))
		move_go(m, iothread_loop(s->files), open_disc);
	else
		move_end(&m->note);
}

static void eject_disc(struct loop_note *note)
{
	struct move *m = move_of(note);
	struct scsi_lun *drive = storvsp_lun(m->c->sv, m->result.lun);
	int ret = scsi_dvd_eject(drive, m->force);

	if (ret)
		disc_failed(m, ret);
	move_go(m, m->s->main_loop, ret ? move_end : disc_changed);
}

void storage_eject(struct storage *s, unsigned controller, unsigned lun,
		   bool force, const struct storage_reply *reply)
{
	struct move *m = move_new(s, reply);

	m->file = g_strdup("");
	m->force = force;
	if (find_drive(m, controller, lun))
		move_go(m, move_loop(m), eject_disc);
	else
		move_end(&m->note);
}

/*
 * Listing.  A guest can have ejected a disc, which its controller's loop knows.
 */
static void see_empty(struct move *m)
{
	for (unsigned lun = 0; lun < STORVSP_LUN_MAX; lun++) {
		struct place *p = &m->c->place[lun];

		if (!(m->empty & UINT64_C(1) << lun) || !p->file || p->busy)
			continue;
		g_free(p->file);
		p->file = g_strdup("");
	}
}

static void ask_drives(struct move *m, struct controller *from);

/* What was put in since then comes to this loop later. */
static void drives_asked(struct loop_note *note)
{
	struct move *m = move_of(note);

	see_empty(m);
	ask_drives(m, m->c + 1);
}

static void look_at_drives(struct loop_note *note)
{
	struct move *m = move_of(note);

	m->empty = 0;
	for (unsigned lun = 0; lun < STORVSP_LUN_MAX; lun++) {
		const struct scsi_lun *drive = storvsp_lun(m->c->sv, lun);

		if (drive && scsi_dvd_is_empty(drive))
			m->empty |= UINT64_C(1) << lun;
	}
	move_go(m, m->s->main_loop, drives_asked);
}

static void ask_drives(struct move *m, struct controller *from)
{
	struct controller *end = m->s->controller + CONTROLLER_MAX;

	while (from < end && !from->sv)
		from++;
	m->c = from;
	if (from < end)
		move_go(m, move_loop(m), look_at_drives);
	else
		move_end(&m->note);
}

void storage_look(struct storage *s, const struct storage_reply *reply)
{
	struct move *m = move_new(s, reply);

	ask_drives(m, s->controller);
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
