/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/autoptr.h"
#include "core/error.h"
#include "vmm/layout.h"
#include "vmm/memory.h"

static bool fail(GError **error, const char *what)
{
	user_error_set(error, EX_OSERR, "host.memory", what, g_strerror(errno),
		       "give the machine less memory: -m SIZE");
	return false;
}

static uint8_t *map_shared(int fd, uint64_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_NORESERVE, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* A memfd of @size bytes that keeps its size for ever, mapped. */
static uint8_t *map_sealed(const char *name, uint64_t size, int *out_fd)
{
	autofd fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint8_t *p;

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0 ||
	    fcntl(fd, F_ADD_SEALS,
		  F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return NULL;
	p = map_shared(fd, size);
	if (p)
		*out_fd = autofd_steal(&fd);
	return p;
}

static void add_region(struct gmem *gm, struct gmem_region *r, gpa_t gpa,
		       uint64_t size, uint8_t *hva)
{
	gm->region = r;
	r[gm->count++] = (struct gmem_region){
		.gpa = gpa, .size = size, .hva = hva,
	};
}

/* Below the hole and above it. */
static void add_regions(struct gmem *gm, struct gmem_region *r, uint64_t size,
			uint8_t *ram)
{
	uint64_t low = MIN(size, LAYOUT_LOW_RAM_MAX);

	add_region(gm, r, 0, low, ram);
	if (size > low)
		add_region(gm, r, LAYOUT_HIGH_RAM, size - low, ram + low);
}

bool memory_init(struct memory *m, uint64_t size, uint32_t overlay_pages,
		 GError **error)
{
	*m = (struct memory){
		.fd = -1, .overlay_fd = -1, .size = size,
		.overlay_pages = overlay_pages,
	};
	m->ram = map_sealed("guest-ram", size, &m->fd);
	m->guest_ram = m->ram ? map_shared(m->fd, size) : NULL;
	if (!m->guest_ram) {
		memory_finish(m);
		return fail(error, "cannot get the guest's memory");
	}
	m->overlay = map_sealed("overlay-pages",
				overlay_pages * GMEM_PAGE_SIZE,
				&m->overlay_fd);
	if (!m->overlay) {
		memory_finish(m);
		return fail(error, "cannot get memory for overlay pages");
	}
	/* Where the host allows it for shared memory: fewer page faults. */
	madvise(m->ram, size, MADV_HUGEPAGE);
	madvise(m->guest_ram, size, MADV_HUGEPAGE);
	add_regions(&m->gmem, m->region, size, m->ram);
	add_regions(&m->guest, m->guest_region, size, m->guest_ram);
	return true;
}

void memory_finish(struct memory *m)
{
	if (m->ram)
		munmap(m->ram, m->size);
	if (m->guest_ram)
		munmap(m->guest_ram, m->size);
	if (m->overlay)
		munmap(m->overlay, m->overlay_pages * GMEM_PAGE_SIZE);
	if (m->fd >= 0)
		close(m->fd);
	if (m->overlay_fd >= 0)
		close(m->overlay_fd);
	m->ram = m->guest_ram = m->overlay = NULL;
	m->fd = m->overlay_fd = -1;
}

/* Replace one page in one step: no other thread sees a hole. */
static int map_page(uint8_t *at, int prot, int fd, uint64_t offset)
{
	void *p = mmap(at, GMEM_PAGE_SIZE, prot,
		       MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd,
		       (off_t)offset);

	return p == MAP_FAILED ? -errno : 0;
}

int memory_overlay_show(struct memory *m, gpa_t gpa, uint32_t page,
			bool writable)
{
	uint8_t *at = gmem_ptr(&m->guest, gpa, GMEM_PAGE_SIZE);

	g_assert(page < m->overlay_pages);
	if (!at)
		return -EFAULT;
	return map_page(at, PROT_READ | (writable ? PROT_WRITE : 0),
			m->overlay_fd, page * GMEM_PAGE_SIZE);
}

void memory_overlay_hide(struct memory *m, gpa_t gpa)
{
	uint8_t *at = gmem_ptr(&m->guest, gpa, GMEM_PAGE_SIZE);

	if (at)
		map_page(at, PROT_READ | PROT_WRITE, m->fd,
			 (uint64_t)(at - m->guest_ram));
}
