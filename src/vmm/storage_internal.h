/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the machine's storage share. */
#ifndef VMM_STORAGE_INTERNAL_H
#define VMM_STORAGE_INTERNAL_H

#include "backends/block_hold.h"
#include "devices/storvsp/storvsp.h"
#include "vmm/iothread.h"
#include "vmm/storage.h"

struct place {
	char *file;		/* "" for an empty drive; NULL: no disk */
	bool busy;		/* it is being changed */
	struct storage *storage;	/* these never change */
	unsigned controller, lun;
	struct block_hold_watch watch;	/* controller's loop */
	/* Why the disk holds requests, 0: it does not; changed() -> look(). */
	int error;
	struct loop_note held;		/* to the main loop: it does */
};

/* The main loop's, but for what is reached by @sv on its own. */
struct controller {
	struct iothread *io;	/* NULL: it is not there */
	struct storvsp *sv;
	bool offered;
	unsigned next;		/* LUN to look at first for a new disk */
	struct loop_note again;		/* to its loop: for storvsp_again() */
	struct place place[STORVSP_LUN_MAX];
};

/* On any thread that has nothing else to do: files may take their time. */
struct scsi_lun *storage_open_lun(const struct storage *s, struct loop *loop,
				  const struct disk_options *d, GError **error);
bool storage_open_controller(struct storage *s, unsigned number,
			     GError **error);
void storage_take_place(struct storage *s, const struct disk_options *d);
/* Before the first disk. */
void storage_hold_init(struct storage *s);
/* The threads have stopped. */
void storage_drop_moves(struct storage *s);

/* What a DVD drive can have in it; NULL with an error for the user. */
struct block_backend *storage_open_medium(struct loop *loop, const char *path,
					  bool direct, GError **error);

#endif
