/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/image_kind.h"
#include "core/autoptr.h"

#define HEADER		512u		/* that each format has at least */
#define SECTOR		512u

/* docs/interop/qcow2.txt of QEMU; version 1 has these in the same places. */
#define QCOW_BACKING_OFFSET	8	/* 8 bytes, big-endian */
#define QCOW_VERSION		4	/* 4 */
#define QCOW_INCOMPATIBLE	72	/* 8; from version 3 on */
#define QCOW_EXTERNAL_DATA	(UINT64_C(1) << 2)

/* docs/interop/qed_spec.txt; little-endian, as VMDK is. */
#define QED_FEATURES		16
#define QED_BACKING		UINT64_C(1)

/* "Virtual Disk Format" of VMware. */
#define VMDK_CAPACITY		12
#define VMDK_DESCRIPTOR		28	/* its first sector */
#define VMDK_DESCRIPTOR_SIZE	(20 * SECTOR)	/* what QEMU looks at */

static uint64_t get_be(const uint8_t *p, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes; i++)
		v = v << 8 | p[i];
	return v;
}

static uint64_t get_le64(const uint8_t *p)
{
	uint64_t v = 0;

	for (unsigned i = 8; i--;)
		v = v << 8 | p[i];
	return v;
}

static bool qcow_names_files(const uint8_t *start, size_t len)
{
	return get_be(start + QCOW_BACKING_OFFSET, 8) ||
	       (get_be(start + QCOW_VERSION, 4) >= 3 &&
		get_be(start + QCOW_INCOMPATIBLE, 8) & QCOW_EXTERNAL_DATA);
}

static bool qed_names_files(const uint8_t *start, size_t len)
{
	return get_le64(start + QED_FEATURES) & QED_BACKING;
}

/* Whether the text at @at of a descriptor has a parent. */
static bool has_parent(const uint8_t *start, size_t len, uint64_t at)
{
	static const char hint[] = "parentFileNameHint";

	return at > len || len - at < VMDK_DESCRIPTOR_SIZE ||
	       memmem(start + at, VMDK_DESCRIPTOR_SIZE, hint,
		      strlen(hint));
}

/* Without a capacity of its own its descriptor has files, as that of ESX. */
static bool vmdk_names_files(const uint8_t *start, size_t len)
{
	uint64_t sector = get_le64(start + VMDK_DESCRIPTOR);

	return !get_le64(start + VMDK_CAPACITY) || sector > len / SECTOR ||
	       has_parent(start, len, sector * SECTOR);
}

static bool vmdk3_names_files(const uint8_t *start, size_t len)
{
	return has_parent(start, len, 0);
}

/* It consists of nothing else. */
static bool always(const uint8_t *start, size_t len)
{
	return true;
}

static const struct image_kind kinds[] = {
	{ "qcow", "qcow", 0, 8, "QFI\xfb\0\0\0\1", qcow_names_files },
	{ "qcow2", "qcow2", 0, 4, "QFI\xfb", qcow_names_files },
	{ "QED", "qed", 0, 4, "QED", qed_names_files },
	{ "VMDK", "vmdk", 0, 4, "KDMV", vmdk_names_files },
	{ "VMDK", "vmdk", 0, 4, "COWD", vmdk3_names_files },
	{ "VMDK", "vmdk", 0, 21, "# Disk DescriptorFile", always },
	{ "VDI", "vdi", 64, 4, "\x7f\x10\xda\xbe", NULL },
	{ "Parallels", "parallels", 0, 16, "WithoutFreeSpace", NULL },
	{ "Parallels", "parallels", 0, 16, "WithouFreSpacExt", NULL },
};

const struct image_kind *image_kind_of(const uint8_t *start, size_t len)
{
	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
		const struct image_kind *k = &kinds[i];

		if (len >= k->at + k->len &&
		    !memcmp(start + k->at, k->magic, k->len))
			return k;
	}
	return NULL;
}

bool image_kind_names_files(const struct image_kind *kind,
			    const uint8_t *start, size_t len)
{
	if (!kind->names_files)
		return false;
	return len < HEADER || kind->names_files(start, len);
}

const struct image_kind *image_kind_of_file(const char *path,
					    bool *names_files)
{
	autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	g_autofree uint8_t *start = NULL;
	const struct image_kind *kind;
	struct stat st;
	ssize_t len;

	if (fd < 0 || fstat(fd, &st) < 0 ||
	    !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)))
		return NULL;
	start = g_malloc0(IMAGE_START);
	len = pread(fd, start, IMAGE_START, 0);
	kind = len > 0 ? image_kind_of(start, (size_t)len) : NULL;
	/* A short file has no more than zeroes behind its end. */
	if (kind && names_files)
		*names_files = image_kind_names_files(kind, start,
						      IMAGE_START);
	return kind;
}
