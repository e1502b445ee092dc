/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gmem - guest physical memory, as seen by everyone above KVM.
 *
 * The only way to touch guest memory.  Control structures are copied in or out
 * (gmem_read, gmem_write); payload is lent as iovecs (gmem_map) and never
 * interpreted through them; gmem_ptr() is for pages that both sides change by
 * an atomic protocol (rings).
 *
 * Regions are fixed for the life of the machine, never shrink under us (the
 * memory is sealed), and may be used from any thread.  What covers RAM for the
 * guest's processors (overlay pages) is not seen here.
 */
#ifndef CORE_GMEM_H
#define CORE_GMEM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define GMEM_PAGE_SIZE	UINT64_C(4096)

/* A guest physical address. */
typedef uint64_t gpa_t;

struct gmem_region {
	gpa_t gpa;		/* page aligned */
	uint64_t size;		/* bytes, whole pages */
	uint8_t *hva;
};

struct gmem {
	const struct gmem_region *region;	/* in order of gpa */
	size_t count;
};

/*
 * Host address of [gpa, gpa + len), or NULL unless one region holds it all.
 */
void *gmem_ptr(const struct gmem *gm, gpa_t gpa, uint64_t len);

/*
 * Copy.  Return 0, or -EFAULT with nothing copied unless all of
 * [gpa, gpa + len) is RAM.  The range may cross regions that touch.
 */
int gmem_read(const struct gmem *gm, gpa_t gpa, void *dst, size_t len);
int gmem_write(const struct gmem *gm, gpa_t gpa, const void *src, size_t len);

/*
 * Append [gpa, gpa + len) to the first @used entries of @iov, joining it to
 * the last one where host memory is contiguous.  Return the new count,
 * -EFAULT if not all of it is RAM, or -E2BIG if @max entries do not hold it;
 * then @iov beyond @used is undefined.
 */
int gmem_map(const struct gmem *gm, gpa_t gpa, size_t len,
	     struct iovec *iov, int used, int max);

#endif
