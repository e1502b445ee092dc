/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory - guest RAM, and the overlay pages that can cover it.
 *
 * RAM is one sealed memfd, so that nothing the guest or another process does
 * can make it shrink under us.  It begins at 0, leaves a hole below 4 GiB
 * (layout.h) and goes on above.  It is mapped twice: for devices and src/hv,
 * who reach RAM whatever covers it; and for KVM, as the guest sees it.  There
 * an overlay page is a page of a second memfd mapped over RAM's host address;
 * KVM follows by its MMU notifier.  RAM's own contents come back when the
 * overlay goes.
 */
#ifndef VMM_MEMORY_H
#define VMM_MEMORY_H

#include <glib.h>
#include <stdbool.h>

#include "core/gmem.h"

struct memory {
	struct gmem gmem;		/* RAM */
	struct gmem guest;		/* as the guest sees it: KVM's only */
	struct gmem_region region[2], guest_region[2];
	int fd;
	uint8_t *ram, *guest_ram;
	uint64_t size;
	int overlay_fd;
	uint8_t *overlay;		/* our own mapping of all of them */
	uint32_t overlay_pages;
};

/* @size: bytes of RAM, whole MiB.  Fails with an error for the user. */
bool memory_init(struct memory *m, uint64_t size, uint32_t overlay_pages,
		 GError **error);
void memory_finish(struct memory *m);

/*
 * Show overlay page @page at @gpa.  0, or -EFAULT if @gpa is not RAM.  Any
 * thread; the caller keeps shows and hides of one @gpa apart.  If it is not
 * @writable, KVM_RUN is -EFAULT when the guest writes to it.
 */
int memory_overlay_show(struct memory *m, gpa_t gpa, uint32_t page,
			bool writable);
void memory_overlay_hide(struct memory *m, gpa_t gpa);

#endif
