/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Discs that the user changes while the machine runs:
 *
 *	main loop: open the file ----> controller's loop: insert or eject
 *	main loop: done()        <----
 */
#include <errno.h>

#include "core/error.h"
#include "core/util.h"
#include "vmm/storage_internal.h"

struct change {
	struct disc_change asked;
	struct storage *storage;
	struct controller *controller;
	char *file;			/* "" if a disc is taken out */
	struct block_backend *bb;	/* until it is in the drive */
	int result;
	struct loop_note there, back;
};

void storage_disc_free(void *change)
{
	struct change *c = change;

	block_close(c->bb);
	g_free(c->file);
	g_free(c);
}

/* What stood in the way, by its number. */
static const struct {
	int result;
	int status;
	const char *id, *why, *advice;
} problems[] = {
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

static GError *error_of(const struct disc_change *asked, int result)
{
	g_autofree char *what = g_strdup_printf(
		"the disc of LUN %u on controller %u stays as it is",
		asked->lun, asked->controller);
	GError *error = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(problems); i++) {
		g_autofree char *advice = NULL;

		if (problems[i].result != result)
			continue;
		advice = g_strdup_printf(problems[i].advice,
					 asked->controller, asked->lun);
		user_error_set(&error, problems[i].status, problems[i].id, what,
			       problems[i].why, advice);
	}
	return error;
}

static void run_back(struct loop_note *note)
{
	struct change *c = container_of(note, struct change, back);
	struct disc_change asked = c->asked;
	struct place *place = &c->controller->place[asked.lun];
	int result = c->result;

	/* Unless the drive is being removed. */
	if (!result && place->file) {
		g_free(place->file);
		place->file = g_steal_pointer(&c->file);
	}
	g_ptr_array_remove(c->storage->changes, c);
	asked.done(asked.arg, result ? error_of(&asked, result) : NULL);
}

/* 0, or -errno; the medium passes only then. */
static int perform(struct change *c)
{
	struct scsi_lun *lun = storvsp_lun(c->controller->sv, c->asked.lun);
	int ret;

	if (!lun)
		return -ENODEV;
	if (!c->bb)
		return scsi_dvd_eject(lun, c->asked.force);
	ret = scsi_dvd_insert(lun, c->bb);
	if (!ret)
		c->bb = NULL;
	return ret;
}

static void run_there(struct loop_note *note)
{
	struct change *c = container_of(note, struct change, there);

	c->result = perform(c);
	loop_post(c->storage->main_loop, &c->back);
}

/* The medium to put in, if any; false with @error. */
static bool open_file(struct change *c, GError **error)
{
	const char *file = c->asked.file;

	if (!file)
		return true;
	if (!g_path_is_absolute(file)) {
		user_error_set(error, EX_USAGE, "cdrom.path",
			       "a path from the root is wanted",
			       "the machine may run in another folder",
			       "realpath FILE");
		return false;
	}
	c->bb = storage_open_medium(iothread_loop(c->controller->io), file,
				    true, error);
	return c->bb;
}

void storage_change_disc(struct storage *s, const struct disc_change *asked)
{
	struct change *c;
	GError *error = NULL;

	if (asked->controller >= CONTROLLER_MAX ||
	    !s->controller[asked->controller].sv) {
		asked->done(asked->arg, error_of(asked, -ENODEV));
		return;
	}
	c = g_new0(struct change, 1);
	c->asked = *asked;
	c->storage = s;
	c->controller = &s->controller[asked->controller];
	c->there.run = run_there;
	c->back.run = run_back;
	if (!open_file(c, &error)) {
		storage_disc_free(c);
		asked->done(asked->arg, error);
		return;
	}
	c->asked.file = NULL;
	c->file = g_strdup(asked->file ?: "");
	g_ptr_array_add(s->changes, c);
	loop_post(iothread_loop(c->controller->io), &c->there);
}
