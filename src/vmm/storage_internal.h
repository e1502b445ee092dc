/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the machine's storage share. */
#ifndef VMM_STORAGE_INTERNAL_H
#define VMM_STORAGE_INTERNAL_H

#include "devices/storvsp/storvsp.h"
#include "vmm/iothread.h"
#include "vmm/storage.h"

struct controller {
	struct iothread *io;
	struct storvsp *sv;	/* NULL: there is no such controller */
};

/* A change of a disc that is over, or will not be: the threads have stopped. */
void storage_disc_free(void *change);

/* What a DVD drive can have in it; NULL with an error for the user. */
struct block_backend *storage_open_medium(struct loop *loop, const char *path,
					  bool direct, GError **error);

#endif
