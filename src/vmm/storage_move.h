/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A move is a change of the disks, or of the discs in DVD drives.  It goes from
 * thread to thread, and who has it is alone with it.
 *
 *	add	main: a place -> files: open -> controller: attach -> main
 *	remove	main -> controller: detach ... at rest -> files: close -> main
 *	resize	main -> controller: measure -> main
 *	grow	main -> controller: hold ... at rest -> growth: extend
 *		-> controller: release -> main
 *	insert	main -> files: open -> controller: insert -> main
 *	eject	main -> controller: eject -> main
 *	list	(main -> controller: which drives are empty -> main) ...
 *
 * Files are opened and closed by a thread that does nothing else, since it
 * can take long; guests' disks and the main loop go on.  What could not be
 * given to the guest is closed by it as well.  A disk that grows has another
 * thread: the guest waits for it, and must not for whatever else is opened.
 */
#ifndef VMM_STORAGE_MOVE_H
#define VMM_STORAGE_MOVE_H

#include "core/util.h"
#include "vmm/storage_internal.h"

struct move {
	struct loop_note note;
	struct storage *s;
	struct controller *c;
	struct place *place;
	struct disk_options *options;	/* of a new disk, else NULL */
	struct scsi_lun *disk;		/* neither attached nor closed */
	char *file;			/* of a disc that comes, else NULL */
	struct block_backend *medium;	/* likewise, until it is in the drive */
	bool force;			/* of a disc that goes */
	uint64_t empty;			/* drives of a list, a bit for a LUN */
	struct scsi_lun *grows;		/* a disk that is held; its bytes ... */
	uint64_t before, size;		/* ... now, and as it is to have */
	int failed;			/* why it does not, -errno */
	struct storvsp_hold hold;
	struct storvsp_detach detach;
	struct block_leave leave;
	struct storage_result result;
	struct storage_reply reply;
};

static inline struct move *move_of(struct loop_note *note)
{
	return container_of(note, struct move, note);
}

struct move *move_new(struct storage *s, const struct storage_reply *reply);
/* Go on there. */
void move_go(struct move *m, struct loop *loop,
	     void (*run)(struct loop_note *note));
/* That of its controller. */
struct loop *move_loop(const struct move *m);
/* Main loop: where files are opened and closed; NULL with an error. */
struct loop *move_files(struct move *m);
/* Likewise: where the only disk that grows does so. */
struct loop *move_growth(struct move *m);
/* Set the error, once; @verb is what could not be done. */
void move_fail(struct move *m, const char *verb, int status, const char *id,
	       const char *why, const char *advice);
/* Main loop: have the place for the change. */
void move_set_place(struct move *m, unsigned controller, unsigned lun);
/* Likewise, if a disk is there; false with an error. */
bool move_find(struct move *m, const char *verb, unsigned controller,
	       unsigned lun);
/* Close what the guest does not have, and then end. */
void move_close(struct move *m);
/* Main loop: answer and free it. */
void move_end(struct loop_note *note);

#endif
