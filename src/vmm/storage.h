/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * storage - the machine's SCSI controllers and the disks on them.
 *
 * Each controller that has, or once had, disks has an I/O thread.  The order of
 * what the guest is offered first follows the controllers' numbers, and their
 * identity is stable from run to run.
 */
#ifndef VMM_STORAGE_H
#define VMM_STORAGE_H

#include <glib.h>
#include <stdbool.h>

#include "vmbus/bus.h"
#include "vmm/options.h"

/* A disk that holds requests because the host has failed. */
struct storage_held {
	unsigned controller, lun;
	const char *file;	/* borrowed */
	int error;		/* errno */
};

struct storage {
	struct controller *controller;	/* CONTROLLER_MAX of them */
	const struct options *options;
	const struct gmem *gm;
	struct loop *main_loop;
	struct vmbus *bus;		/* NULL: the guest has none */
	struct iothread *files;		/* opens and closes; NULL: not yet */
	struct iothread *growth;	/* makes disks larger; likewise */
	bool growing;			/* it has one */
	GQueue moves;			/* changes under way */
	void (*held)(void *host, const struct storage_held *h);
	void *host;
};

/* Open all disks of @o, which is borrowed, as are @gm and @main_loop. */
bool storage_open(struct storage *s, const struct options *o,
		  const struct gmem *gm, struct loop *main_loop,
		  GError **error);
/* Before it starts: who hears, on the main loop, of disks that hold. */
void storage_watch(struct storage *s,
		   void (*held)(void *host, const struct storage_held *h),
		   void *host);
/* Main loop: let all that hold try again; what fails again is told again. */
void storage_again(struct storage *s);
/* Main loop: call @each for those that hold now. */
void storage_list_held(const struct storage *s,
		       void (*each)(const struct storage_held *h, void *arg),
		       void *arg);
/* Offer the controllers. */
void storage_offer(struct storage *s, struct vmbus *bus);
bool storage_start(struct storage *s, GError **error);
/*
 * Stop the threads; the bus has been reset or freed.  Changes under way have
 * no done() any more.
 */
void storage_close(struct storage *s);

/*
 * Disks that come and go while the guest runs.  On the main loop, where done()
 * is called, now or later.
 */
struct storage_result {
	unsigned controller, lun;
	uint64_t size;		/* bytes, of a disk that was resized */
	GError *error;		/* passes; NULL: it is done */
};

struct storage_reply {
	void (*done)(const struct storage_result *r, void *arg);
	void *arg;
};

/* @d passes; it is placed where it says, or somewhere. */
void storage_add(struct storage *s, struct disk_options *d,
		 const struct storage_reply *reply);
/* Its file is closed when it is done. */
void storage_remove(struct storage *s, unsigned controller, unsigned lun,
		    const struct storage_reply *reply);
/* The disk becomes as large as its file or device has become. */
void storage_resize(struct storage *s, unsigned controller, unsigned lun,
		    const struct storage_reply *reply);
/* It has @size bytes, and not less than before. */
void storage_grow(struct storage *s, unsigned controller, unsigned lun,
		  uint64_t size, const struct storage_reply *reply);
/*
 * Put @file in a DVD drive that is empty, or take a disc out, with @force also
 * from a guest that has locked it.
 */
void storage_insert(struct storage *s, unsigned controller, unsigned lun,
		    const char *file, const struct storage_reply *reply);
void storage_eject(struct storage *s, unsigned controller, unsigned lun,
		   bool force, const struct storage_reply *reply);
/* See which discs the guest has ejected; a list tells it when it is done. */
void storage_look(struct storage *s, const struct storage_reply *reply);
/*
 * Call @each for all disks that are there, in order; an empty drive's file is
 * "".
 */
void storage_list(const struct storage *s,
		  void (*each)(unsigned controller, unsigned lun,
			       const char *file, void *arg), void *arg);

#endif
