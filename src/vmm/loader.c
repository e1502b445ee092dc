/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"
#include "vmm/layout.h"
#include "vmm/loader_internal.h"

#define MIB	(UINT64_C(1) << 20)

bool loader_fail(GError **error, const struct image *img, int status,
		 const char *id, const char *why, const char *advice)
{
	g_autofree char *what = g_strdup_printf("cannot boot %s", img->path);

	user_error_set(error, status, id, what, why, advice);
	return false;
}

bool loader_needs_memory(GError **error, const struct image *img,
			 uint64_t end)
{
	g_autofree char *advice =
		g_strdup_printf("-m %" G_GUINT64_FORMAT "M or more",
				end / MIB + 1);

	return loader_fail(error, img, EX_DATAERR, "kernel.memory",
			   "the machine's memory is too small for it", advice);
}

static bool image_open(struct image *img, const char *path, const char *id,
		       GError **error)
{
	struct stat st;

	img->path = g_strdup(path);
	img->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (img->fd < 0)
		return loader_fail(error, img,
				   errno == EACCES ? EX_NOPERM : EX_NOINPUT,
				   id, g_strerror(errno),
				   "a file that you may read; kernels are "
				   "/boot/vmlinuz-*");
	if (fstat(img->fd, &st) < 0 || !S_ISREG(st.st_mode))
		return loader_fail(error, img, EX_DATAERR, id,
				   "it is not a regular file",
				   "the path of a file in it, or of a copy");
	if (!st.st_size)
		return loader_fail(error, img, EX_DATAERR, id,
				   "the file is empty",
				   "get it again: it is not complete");
	img->size = (uint64_t)st.st_size;
	return true;
}

bool loader_read(const struct image *img, uint64_t offset, uint64_t len,
		 const struct gmem *gm, gpa_t gpa, GError **error)
{
	uint8_t *to = gmem_ptr(gm, gpa, len);

	if (!to)
		return loader_needs_memory(error, img, gpa + len);
	if (offset > img->size || len > img->size - offset)
		return loader_fail(error, img, EX_DATAERR, "kernel.truncated",
				   "the file ends too early",
				   "get it again: it is not complete");
	while (len) {
		ssize_t n = pread(img->fd, to, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return loader_fail(error, img, EX_IOERR, "kernel.read",
					   n ? g_strerror(errno) :
					       "the file has become shorter",
					   "let nobody write to it meanwhile");
		to += n;
		offset += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return true;
}

unsigned loader_e820(const struct gmem *gm, struct e820_entry map[E820_MAX])
{
	const struct gmem_region *low = &gm->region[0];
	unsigned n = 0;

	map[n++] = (struct e820_entry){ 0, LAYOUT_ACPI, E820_RAM };
	map[n++] = (struct e820_entry){ LAYOUT_ACPI, LAYOUT_ACPI_MAX,
					E820_ACPI };
	map[n++] = (struct e820_entry){ LAYOUT_SMBIOS, LAYOUT_SMBIOS_MAX,
					E820_RESERVED };
	map[n++] = (struct e820_entry){ LAYOUT_SMBIOS + LAYOUT_SMBIOS_MAX,
					0xa0000 - LAYOUT_SMBIOS -
						LAYOUT_SMBIOS_MAX,
					E820_RAM };
	map[n++] = (struct e820_entry){ 0xa0000, LAYOUT_LOW_END - 0xa0000,
					E820_RESERVED };
	map[n++] = (struct e820_entry){ LAYOUT_LOW_END,
					low->size - LAYOUT_LOW_END, E820_RAM };
	if (gm->count > 1)
		map[n++] = (struct e820_entry){ gm->region[1].gpa,
						gm->region[1].size, E820_RAM };
	return n;
}

/* What a file that we cannot boot looks like, for the message. */
static const char *describe(const uint8_t *head)
{
	static const struct {
		const char *magic, *text;
		size_t len;
	} kinds[] = {
		{ "\x7f" "ELF", "it is an ELF file without a multiboot header "
		  "(vmlinux?)", 4 },
		{ "\x1f\x8b", "it is compressed by gzip", 2 },
		{ "\xfd" "7zXZ", "it is compressed by xz", 5 },
		{ "MZ", "it is an EFI program, but not a Linux kernel", 2 },
		{ "070701", "it is a cpio archive (an initrd?)", 6 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
		if (!memcmp(head, kinds[i].magic, kinds[i].len))
			return kinds[i].text;
	return "it is neither a Linux bzImage nor a multiboot image";
}

static bool choose_format(struct loader *l, GError **error)
{
	if (linux_recognizes(l)) {
		l->load = linux_load;
		return linux_check(l, error);
	}
	if (multiboot_recognizes(l)) {
		l->load = multiboot_load;
		return multiboot_check(l, error);
	}
	return loader_fail(error, &l->kernel, EX_DATAERR, "kernel.format",
			   describe(l->head),
			   "give a bzImage, as in /boot/vmlinuz-*");
}

struct loader *loader_open(const char *kernel, const char *initrd,
			   const char *cmdline, GError **error)
{
	autoptr(loader) l = g_new0(struct loader, 1);

	l->kernel.fd = l->initrd.fd = -1;
	l->cmdline = g_strdup(cmdline);
	if (!image_open(&l->kernel, kernel, "kernel.missing", error) ||
	    (initrd &&
	     !image_open(&l->initrd, initrd, "initrd.missing", error)))
		return NULL;
	if (pread(l->kernel.fd, l->head, sizeof(l->head), 0) < 0) {
		loader_fail(error, &l->kernel, EX_IOERR, "kernel.read",
			    g_strerror(errno), "dmesg, for the disk it is on");
		return NULL;
	}
	if (strlen(cmdline) >= LAYOUT_CMDLINE_MAX) {
		user_error_set(error, EX_USAGE, "kernel.cmdline",
			       "--append is too long",
			       "a kernel command line has at most 4095 "
			       "characters", "shorten --append");
		return NULL;
	}
	return choose_format(l, error) ? g_steal_pointer(&l) : NULL;
}

static void image_close(struct image *img)
{
	if (img->fd >= 0)
		close(img->fd);
	g_free(img->path);
}

void loader_free(struct loader *l)
{
	if (!l)
		return;

	image_close(&l->kernel);
	image_close(&l->initrd);
	g_free(l->cmdline);
	g_free(l);
}

bool loader_is_linux(const struct loader *l)
{
	return l->load == linux_load;
}

bool loader_load(const struct loader *l, const struct gmem *gm,
		 struct boot_state *state, GError **error)
{
	return l->load(l, gm, state, error);
}
